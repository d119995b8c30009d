"""Looks and acts after kill -9: real processes, real sockets, the command line's own door, an exchange that goes on living."""

import asyncio
import json

import msgspec
import pytest
from tests.loopback.dead_engine_kit import PERP, SPOT, dead_engine

from lemon_trader.cli.app import main
from lemon_trader.database.journal import peek
from lemon_trader.env_live import FolderStore
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.run import parts

pytestmark = pytest.mark.process

LADDER_LEFT = {
    SPOT: [("BUY", False), ("BUY", False), ("SELL", False)],
    PERP: [("BUY", False), ("BUY", False), ("SELL", False), ("SELL", True)],
}
STOPS_LEFT = {SPOT: [], PERP: [("SELL", True)]}
NOTHING_LEFT = {SPOT: [], PERP: []}


@pytest.fixture
def door(monkeypatch, tmp_path, capsys):
    """Call the command line as a user of this account would: (exit code, printed text, the last line's JSON)."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEMON_TRADER_LANG", "en")
    monkeypatch.chdir(tmp_path)

    async def call(rig, *words):
        monkeypatch.setenv("API_KEY", rig.asked.api_key)
        monkeypatch.setenv("SECRET_KEY", rig.asked.secret)
        known = msgspec.structs.replace(exchange("backpack"), rest_url=rig.asked.rest_url, ws_url=rig.asked.ws_url)
        monkeypatch.setattr(parts, "exchange", lambda _: known)
        code = await asyncio.to_thread(main, [*words, "--json", "--data-dir", str(rig.folder)])
        printed = capsys.readouterr()
        lines = printed.out.strip().splitlines()
        said = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
        return code, printed.out + printed.err, said

    return call


def run(folder, story):
    async def live():
        async with dead_engine(folder) as rig:
            assert rig.rests() == LADDER_LEFT, "a position in both markets, with layers, take profit and the resting stop"
            await story(rig)

    asyncio.run(asyncio.wait_for(live(), 90))


def test_looks_are_of_the_journal_or_the_exchange_and_change_nothing(tmp_path, door):
    async def story(rig):
        store = FolderStore(rig.folder / "live")
        kept = [name for name in store.names() if not name.startswith("records.db-")]  # what readers of a database share among themselves
        files = {name: store.read(name) for name in kept}
        code, text, said = await door(rig, "status")
        assert code == 0, text
        journal = said["live"]
        assert (journal["source"], journal["running"]) == ("journal", False)
        held = {m["symbol"]: m["position"] for m in journal["markets"]}
        assert {symbol: float(held[symbol]) > 0 for symbol in held} == {SPOT: True, PERP: True}
        assert "Nothing is watched now" in text
        # Somebody fills a layer while nothing runs: only the exchange knows.
        bid = max((o for o in rig.account.live.values() if o.symbol == SPOT and o.side > 0), key=lambda o: o.ticks)
        rig.sandbox.app.desk.exchange.outside_take(SPOT, -1, 10**9, bid.ticks, rig.sandbox.clock.now_us())
        code, text, said = await door(rig, "status", "--live")
        assert code == 0, text
        now = said["live"]
        assert now["source"] == "exchange"
        assert float(next(m for m in now["markets"] if m["symbol"] == SPOT)["position"]) > float(held[SPOT])
        for look, words in (("why", "nothing is decided"), ("orders", "layer"), ("balance", "USDC"), ("report", "Report of LIVE")):
            code, text, _ = await door(rig, look, *(["--live"] if look == "balance" else []))
            assert code == 0, (look, text)
            assert words in text
        assert {name: store.read(name) for name in kept} == files, "a look writes nothing"

    run(tmp_path / "data", story)


def test_cancel_leaves_stops_and_the_next_look_says_so(tmp_path, door):
    async def story(rig):
        code, text, _ = await door(rig, "cancel")
        assert code == 2, "real money is named"
        assert "cancel --live" in text
        assert rig.rests() == LADDER_LEFT
        code, text, said = await door(rig, "cancel", "--live")
        assert code == 0, text
        assert said["done"] is True
        assert rig.rests() == STOPS_LEFT
        code, text, _ = await door(rig, "stop", "--live")
        assert code == 1
        assert "nothing to stop" in text

    run(tmp_path / "data", story)


def test_kill_latches_and_resume_shows_why_and_what_it_places(tmp_path, door):
    async def story(rig):
        code, text, said = await door(rig, "kill", "--live")
        assert (code, said["done"]) == (0, True), text
        assert rig.rests() == STOPS_LEFT
        code, text, said = await door(rig, "status")
        assert said["live"]["state"] == "HALTED"
        assert "the operator said kill" in text
        code, text, _ = await door(rig, "resume", "--live")
        assert code == 2, "nobody typed the word"
        assert "the operator said kill" in text
        assert "Not confirmed" in text
        code, text, said = await door(rig, "resume", "--live", "--yes")
        assert code == 0, text
        wanted = {m["symbol"]: {o["role"] for o in m["orders"]} for m in said["would_place"]}
        assert wanted == {SPOT: {"LAYER", "EXIT"}, PERP: {"LAYER", "EXIT", "STOP"}}
        assert rig.rests() == STOPS_LEFT, "a resume alone places nothing"
        _, _, said = await door(rig, "status")
        assert said["live"]["state"] == "ACTIVE"

    run(tmp_path / "data", story)


def test_flatten_sells_what_is_held_once_the_word_is_given(tmp_path, door):
    async def story(rig):
        code, text, _ = await door(rig, "flatten", "--live")
        assert code == 2
        assert "would close" in text
        assert rig.rests() == LADDER_LEFT
        code, text, said = await door(rig, "flatten", "--live", "--yes")
        assert (code, said["done"]) == (0, True), text
        assert rig.rests() == NOTHING_LEFT
        assert not rig.account.position_lots(PERP)
        left = {m["symbol"]: float(m["position"]) for m in said["status"]["markets"]}
        assert left[PERP] == 0
        assert left[SPOT] < 0.01, "less than the smallest order"

    run(tmp_path / "data", story)


def test_a_kill_is_written_down_though_the_exchange_is_away(tmp_path, door):
    async def story(rig):
        await rig.sandbox.stop()
        code, text, _ = await door(rig, "kill", "--live")
        assert code == 1
        assert "The halt is written down" in text
        opened = peek(FolderStore(rig.folder / "live"))
        assert opened.events[-1].action == "kill"
        _, _, said = await door(rig, "status")
        assert said["live"]["state"] == "HALTED"

    run(tmp_path / "data", story)
