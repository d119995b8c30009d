"""Hostile and broken input while it trades, settings that are wrong, and modes that are mixed up (fault matrix G and H)."""

import json
import os
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tests.config.declared import STRATEGIES as DECLARED
from tests.invariants.secrets import Canary
from tests.simulation.directed import MAKER, MARTINGALE, PERP, SPOT, WORLDS, S, Stage, has_trigger, play
from tests.simulation.mishaps import NASTY

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.keys import keys_for_live
from lemon_trader.config.resolve import Request, resolve
from lemon_trader.config.settings import LIVE, MODES, PAPER, SANDBOX, Keys, PairSettings, RunSettings, Secret
from lemon_trader.core.units import BUY, CANCELLED, UNKNOWN
from lemon_trader.database.journal import Journal, JournalForeign
from lemon_trader.env_live import BadName, FolderStore
from lemon_trader.matching.orders import Code, Refused
from lemon_trader.run.editing import answer
from lemon_trader.run.parts import default_values, make_signer
from lemon_trader.run.session import Session
from lemon_trader.sandbox.faults import Kind

HOSTILE_TEXT = '\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>\r\n{"level":"error"} \u202egnp.exe =HYPERLINK("http://x") \' OR 1=1;--'


KEYS = Keys("A" * 43 + "=", Secret("B" * 43 + "="), "test")


def opening(s: Stage) -> list:
    """What rests at the exchange under our ids and can open something."""
    return [o for o in s.live if not o.is_trigger and not o.reduce_only and (o.side == BUY or s.symbol == PERP)]


async def something_rests(s: Stage, strategy: str) -> None:
    await s.begin()
    await (s.holding() if strategy == MARTINGALE else s.quoting())


def heard_by(s: Stage, marks: tuple[bytes, ...]) -> list[bytes]:
    """What reaches the program from now on and holds one of these."""
    found: list[bytes] = []
    tap = s.life.env.tap
    arrived = tap.arrived

    def listen(end, payloads):
        found.extend(p for p in payloads if any(mark in p for mark in marks))
        arrived(end, payloads)

    tap.arrived = listen
    return found


def play_frames(strategy: str, symbol: str, says: str, marks: tuple[bytes, ...]) -> None:
    async def script(s: Stage):
        await something_rests(s, strategy)
        heard, held = heard_by(s, marks), s.held_lots()
        for _ in range(3):
            await s.life._act(f"say:{says}")
            await s.wait(2)
        assert len(heard) >= len(NASTY[says]), "all of it was heard"
        if strategy == MARTINGALE:
            assert s.held_lots() >= held, "and sold nothing"
        assert not s.life.env.failures
        await s.until(lambda: s.market.view.fresh == 1 and bool(s.live), "it trades on", 30)
        if (strategy, symbol) == (MARTINGALE, PERP):
            assert has_trigger(s)

    play(script, strategy, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F65_numbers_that_are_none_are_refused_row_by_row(strategy, symbol):
    play_frames(strategy, symbol, "numbers", (b"NaN", b"9999999999", b"Infinity"))


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F66_nesting_doubled_keys_and_bytes_that_are_no_text_cost_nothing_but_themselves(strategy, symbol):
    play_frames(strategy, symbol, "bytes", (b"[[[[[[", b'"e":"depth","e":"depth"', b"\x00\x01", b"\xff\xfe"))


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F67_words_that_nobody_knows_are_kept_raw_and_the_rest_is_used(strategy, symbol):
    play_frames(strategy, symbol, "words", (b"Waltzing", b"newThing", b'"orderFill","s":null', b'"e":"markPrice"'))


@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, SPOT), (MARTINGALE, PERP)])
def test_F67_an_acceptance_of_unknown_status_is_asked_about(strategy, symbol):
    async def script(s: Stage):
        await something_rests(s, strategy)
        s.life.faults.silence("account", s.now_us + 30 * S)
        changed = 0

        def waltz(method, path, given):
            nonlocal changed
            if method != "POST" or b'"status":"New"' not in given.body or changed:
                return given
            changed += 1
            return msgspec.structs.replace(given, body=given.body.replace(b'"status":"New"', b'"status":"Waltzing"'))

        s.life.edge.after.append(waltz)
        for order in opening(s):
            s.exchange.cancel(s.life.account.name, s.symbol, s.now_us, order_id=order.order_id)
        await s.until(lambda: bool(changed) and bool(s.ever(UNKNOWN)), "its state is not guessed", 60)
        await s.until(lambda: s.calm, "and then known", 40)

    play(script, strategy, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F68_a_page_of_html_with_status_200_is_no_result(strategy, symbol):
    async def script(s: Stage):
        await something_rests(s, strategy)
        page = b"<html><body>502</body></html>"
        pages: list[str] = []

        def html(method, path, given):
            if pages.count(method) < 5 and path != "/api/v1/time":
                pages.append(method)
                return msgspec.structs.replace(given, status=200, body=page[: len(page) // (1 + len(pages) % 3)])
            return given

        orders = [o for o in s.live if not o.is_trigger]
        s.life.edge.after.append(html)
        for order in orders:
            s.exchange.cancel(s.life.account.name, s.symbol, s.now_us, order_id=order.order_id)
        await s.until(lambda: pages.count("POST") >= 1 and pages.count("GET") == 5, "answered so", 80)
        await s.until(lambda: s.calm and any(not o.is_trigger for o in s.live), "and then known", 80)

    play(script, strategy, symbol)


@pytest.mark.parametrize(
    ("strategy", "symbol", "how"), [(MAKER, SPOT, "empty"), (MARTINGALE, SPOT, "lag"), (MAKER, PERP, "lag"), (MARTINGALE, PERP, "empty")]
)
def test_F69_empty_lists_and_histories_far_behind_prove_nothing(strategy, symbol, how):
    async def script(s: Stage):
        await something_rests(s, strategy)
        s.life.faults.silence("account", s.now_us + 25 * S)
        if how == "lag":
            s.life.faults.history_lag_us = 60 * S
        else:
            await s.life._act("answer:empty")
        mine = next(o for o in s.live if not o.is_trigger)
        reads = s.asked("GET", "/wapi/v1/history/fills")
        s.take(mine)
        await s.until(lambda: s.asked("GET", "/wapi/v1/history/fills") >= reads + 3, "read again and again", 60)
        assert s.order(mine.client_id).state != CANCELLED, "nothing is declared gone"
        twins = [o for o in s.live if s.life.keys[o.client_id] == s.life.keys[mine.client_id]]
        assert twins == [], "and nothing is placed for it again"
        s.life.faults.history_lag_us = 0
        s.life.edge.after.clear()
        await s.until(lambda: s.order(mine.client_id).filled_lots == mine.executed_lots and s.calm, "found", 60)

    play(script, strategy, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, SPOT), (MARTINGALE, PERP)])
def test_F70_text_of_the_exchange_is_inert_wherever_it_is_shown(strategy, symbol):
    async def script(s: Stage):
        await something_rests(s, strategy)
        place, refused = s.exchange.place, []

        def rude(account, new, now_us):
            if account == s.life.account.name and not new.trigger_ticks and len(refused) < 8:
                refused.append(now_us)
                raise Refused(Code.INVALID_ORDER, HOSTILE_TEXT)
            return place(account, new, now_us)

        s.exchange.place = rude
        s.session.engine.on_alert = lambda alert: (s.alerts.append(alert.key), s.session._alert(alert))
        for order in opening(s):
            s.exchange.cancel(s.life.account.name, s.symbol, s.now_us, order_id=order.order_id)
        await s.until(lambda: len(refused) >= 3 and "alert.refused_again" in s.alerts, "said, and told", 60)
        s.exchange.place = place
        await s.wait(2)
        s.session.log.flush()
        logs = {name: bytes(image.data) for disk in s.life.disks.values() for name, image in disk.files.items() if "log" in name}
        assert any(b"refused_again" in data for data in logs.values())
        for name, data in logs.items():
            assert b"\x1b" not in data, name
            assert b"\x07" not in data, name
            assert "\u202e".encode() not in data, name
            assert all(json.loads(line) or True for line in data.decode().splitlines()), "one line is one object still"
        json.loads(json.dumps(s.session.picture()))

    play(script, strategy, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, PERP), (MARTINGALE, SPOT)])
def test_F71_a_secret_that_the_exchange_sends_back_stands_nowhere(strategy, symbol):
    async def script(s: Stage):
        await something_rests(s, strategy)
        secret = s.life.account.secret
        for text in (secret, secret[:20], secret.encode().hex()):
            s.fault(Kind.ERROR_BEFORE, status=400, body=json.dumps({"code": "INVALID_ORDER", "message": f"bad signature of {text}"}))
        for order in opening(s):
            s.exchange.cancel(s.life.account.name, s.symbol, s.now_us, order_id=order.order_id)
        await s.until(lambda: s.happened, "it came back", 80)
        await s.wait(3)
        s.session.log.flush()
        s.life.watch.canary.look(
            "the program's own log", b"".join(bytes(i.data) for d in s.life.disks.values() for n, i in d.files.items() if "log" in n)
        )
        s.life.watch.canary.look("a picture", json.dumps(s.session.picture()).encode())
        planted = Canary(secret)
        planted.look("planted", f"x{secret[3:14]}x".encode())
        assert planted.found, "the search would have found it"

    play(script, strategy, symbol)


@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_F71_a_settings_file_that_others_may_read_is_refused(tmp_path, mode):
    account = "A" * 43 + "="
    path = tmp_path / "keys"
    path.write_text(f"API_KEY={account}\nSECRET_KEY={account}\n")
    path.chmod(mode)
    with pytest.raises(BadSetting) as refused:
        keys_for_live({}, {}, path)
    assert refused.value.key == "keys.loose"
    assert account not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["../x", "..", "/etc/passwd", "a/b", "a\\b", "a\0b", "x" * 5_000, "'; rm -rf /", "$(id)", "a\nb", ".hidden"]
)
def test_F74_no_name_leaves_the_data_folder(tmp_path, name):
    store = FolderStore(tmp_path / "data" / "sandbox")
    for call in (store.read, store.open_append, store.remove, store.lock, lambda n: store.replace(n, b"x")):
        with pytest.raises(BadName):
            call(name)
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
    with pytest.raises(BadSetting):
        resolve(Request(flags={"sandbox": "true"}, pairs=(f"quoter:{name}",), dotenv=tmp_path / ".env"), DECLARED)


@pytest.mark.parametrize(
    ("says", "params"),
    [
        ("no number", {"spread": "wide"}),
        ("beyond its bounds", {"spread": "-1"}),
        ("a number of 5,000 digits", {"spread": "9" * 5_000}),
        ("a name that does not exist", {"spraed": "0.4"}),
        ("one good and one bad", {"spread": "0.4", "max_orders": "0"}),
        ("infinite", {"spread": "Infinity"}),
    ],
)
def test_F75_a_change_while_it_runs_is_checked_whole_and_refused_whole(says, params):
    async def script(s: Stage):
        await something_rests(s, MAKER)
        before, written = dict(s.session.state.started[SPOT].params), s.session.journal.sequence
        said = answer(s.session.engine, s.now_us, {"symbol": SPOT, "params": params, "apply": True, "origin": "test"})
        assert "refused" in said, says
        assert s.session.state.started[SPOT].params == before
        assert s.session.journal.sequence == written, "nothing is journalled"
        await s.wait(2)
        assert s.live

    play(script, MAKER, SPOT)


@pytest.mark.parametrize("given", [{"live": "true"}, {"live": "true", "paper": "true"}, {"live": "true", "budget": "-5"}])
def test_F75_live_starts_by_no_accident(tmp_path, given):
    with pytest.raises(BadSetting):
        resolve(Request(flags=given, pairs=("quoter:SOL_USDC",), dotenv=tmp_path / ".env"), DECLARED)


@pytest.mark.parametrize("mode", [PAPER, SANDBOX])
def test_F78_keys_of_a_live_account_do_not_reach_another_mode(tmp_path, mode):
    keys = {"API_KEY": "A" * 43 + "=", "SECRET_KEY": "B" * 43 + "="}
    found = resolve(
        Request(flags={mode: "true"}, environment=keys, pairs=("quoter:SOL_USDC",), dotenv=tmp_path / ".env"), DECLARED
    ).settings
    assert found.keys is None
    assert found.mode == mode
    folders = {RunSettings(mode=m, pairs=found.pairs, data_dir=tmp_path, keys=KEYS if m == LIVE else None).store_dir for m in MODES}
    assert len(folders) == len(MODES), "each mode has a store of its own"


def test_F78_a_journal_of_another_mode_or_account_is_never_opened():
    async def script(s: Stage):
        await something_rests(s, MAKER)
        store = s.life.disks[SANDBOX].copy().store()
        for mode, account in ((LIVE, s.life.account.api_key), (PAPER, s.life.account.api_key), (SANDBOX, "another")):
            with pytest.raises(JournalForeign):
                Journal(store, mode=mode, account=account).open(s.now_us)
        pairs = (PairSettings(MAKER, SPOT, default_values(MAKER), budget=Decimal(100)),)
        paper = RunSettings(mode=PAPER, pairs=pairs, data_dir=Path("nowhere"))
        live = RunSettings(mode=LIVE, pairs=pairs, data_dir=Path("nowhere"), keys=KEYS)
        signer = make_signer(s.life.account.api_key, s.life.account.secret, scheme=s.life.account.scheme)
        with pytest.raises(AssertionError, match="paper"):
            Session(paper, s.life.env, signer, alone=True)
        with pytest.raises(AssertionError, match="paper"):
            Session(live, s.life.env, None, alone=True)

    play(script, MAKER, SPOT)
