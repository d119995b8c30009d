"""The live checks on the sandbox: all pass there, a wrong answer fails its check and says why, and nothing is ever left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest
from tests.cli.faces import PERP, SPOT, dipping_sandbox, pipe, stand_alone, type_in
from tests.cli.typed import CLEAN, ROOT, run

from lemon_trader.cli import doctor as doctors
from lemon_trader.cli.app import main
from lemon_trader.cli.flags import read_flags
from lemon_trader.config.reach import ReachSettings
from lemon_trader.config.settings import LIVE, SANDBOX, Keys, MarketSettings, PairSettings, RunSettings, Secret
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import ATOMS_PER_UNIT, BUY
from lemon_trader.engine.startup import StartRefused
from lemon_trader.env_live import FolderStore
from lemon_trader.exchanges.backpack.server import Refusal
from lemon_trader.market.instruments import default_instrument
from lemon_trader.matching.orders import NewOrder
from lemon_trader.matching.rules import Rules
from lemon_trader.messages.catalogue import say
from lemon_trader.run import trading
from lemon_trader.run.doctor import bench as checks_bench
from lemon_trader.run.doctor import checks
from lemon_trader.run.doctor import triggers as checks_triggers
from lemon_trader.run.doctor.record import NAMES, OUT_FILE, RECORD_FILE, is_proven, read_record, write_record
from lemon_trader.run.doctor.visit import CHECKS, Doctor
from lemon_trader.run.parts import default_values
from lemon_trader.sandbox.faults import Fault, Kind

SYMBOLS = (SPOT, PERP)
BY_NAME = {check.name: check for check in CHECKS}


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    stand_alone(monkeypatch, tmp_path)
    pipe(monkeypatch)
    monkeypatch.setattr(checks_triggers, "FIRE_US", 2_000_000)


@pytest.fixture(scope="module")
def sandbox():
    with dipping_sandbox() as running:
        yield running


def settings(sandbox, folder):
    return ReachSettings(SANDBOX, "", None, None, sandbox.rest_url, MarketSettings(), folder / "data-store", "en", False, None)


def check(sandbox, folder, name):
    """One check's result."""
    visit = Doctor(settings(sandbox, folder), SYMBOLS)
    try:
        return visit.check(BY_NAME[name], visit.record())
    finally:
        visit.close()


def left_behind(sandbox, folder):
    """Open orders and positions of the account, and what the store still names."""
    exchange = sandbox.app.desk.exchange
    held = [p.lots for p in exchange.accounts["account-1"].positions.values() if p.lots]
    out = json.loads((folder / "data-store" / "sandbox" / OUT_FILE).read_text())
    return exchange.open_orders("account-1"), held, out["orders"], out["perp"]


NOTHING = ([], [], [], "")


def test_every_check_passes_on_the_sandbox_and_the_account_is_proven(capsys, sandbox, tmp_path):
    printed = run(capsys, main, ["doctor", "--json", "--live-checks", "--sandbox-url", sandbox.rest_url])
    found = json.loads(printed.out.splitlines()[-1])
    assert printed.code == 0, [one for one in found["checks"] if not one["passed"]]
    assert [one["name"] for one in found["checks"]] == list(NAMES)
    assert all(one["passed"] for one in found["checks"])
    store = FolderStore(tmp_path / "data-store" / "sandbox")
    assert is_proven(store, sandbox.accounts[0].api_key)
    assert not is_proven(store, sandbox.accounts[1].api_key), "another account has proven nothing"
    assert json.loads(store.read(RECORD_FILE))["passed"] is True
    assert left_behind(sandbox, tmp_path) == NOTHING
    events = next(one for one in found["checks"] if one["name"] == "trigger-events")["findings"]
    assert events["sold"] == "0.02", "what was bought after the stop was placed as well"


def test_the_checks_pass_for_a_real_account_by_its_keys_and_lift_the_cap(capsys, monkeypatch, sandbox, tmp_path):
    monkeypatch.setenv("API_KEY", sandbox.accounts[0].api_key)
    monkeypatch.setenv("SECRET_KEY", sandbox.accounts[0].secret)
    typed = read_flags(["--live", "--live-checks", "--yes"], doctors.doctor_groups(), words=True)

    def door(_):
        return doctors.doctor(typed, rest_url=sandbox.rest_url, ws_url=sandbox.ws_url, locks=tmp_path / "locks")

    printed = run(capsys, door, [])
    assert printed.code == 0, printed.out
    assert say("doctor.checks.all-passed") in printed.out
    assert sandbox.accounts[0].secret not in printed.out + printed.err
    store = FolderStore(tmp_path / "data-store" / "live")
    assert is_proven(store, sandbox.accounts[0].api_key)
    for name in store.names():
        assert sandbox.accounts[0].secret.encode() not in store.read(name)


WRONG = [
    ("a client id is taken twice", "client-ids", {"client_id_rule": "none"}, None, "checks.client-ids.twice"),
    ("only one stop rests at a time", "triggers", {"max_triggers": 1}, None, "checks.triggers.one-only"),
    (
        "an unknown id gets no definite answer", "not-found", {}, Fault(Kind.ERROR_BEFORE, "DELETE", "/api/v1/order"),
        "checks.not-found.strange",
    ),
    (
        "an acknowledged order is denied", "not-found", {},
        Fault(Kind.ERROR_BEFORE, "DELETE", "/api/v1/order", times=2, status=404, body='{"code":"RESOURCE_NOT_FOUND","message":"Not Found"}'),
        "checks.not-found.denied",
    ),
    (
        "histories share the limit of candles", "history-limit", {},
        Fault(Kind.ERROR_BEFORE, "GET", "/wapi/v1/history/orders", status=429, body='{"code":"TOO_MANY_REQUESTS","message":"x"}'),
        "checks.history-limit.tight",
    ),
    (
        "an order is not taken at all", "cancels", {},
        Fault(Kind.ERROR_BEFORE, "POST", "/api/v1/order", status=400, body='{"code":"INSUFFICIENT_FUNDS","message":"no"}'),
        "checks.not-taken",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "rules", "fault", "key"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_answer_fails_its_check_says_why_and_leaves_nothing(tmp_path, name, rules, fault, key):
    with dipping_sandbox(rules=Rules(**rules)) as running:
        if fault is not None:
            running.app.faults.order(fault)
        result = check(running, tmp_path, name)
        assert not result.passed
        assert result.key == key
        assert left_behind(running, tmp_path)[:3] == NOTHING[:3]


def test_an_order_signed_a_minute_ago_must_not_be_taken(monkeypatch, sandbox, tmp_path):
    monkeypatch.setattr("lemon_trader.sandbox.app.check_time", lambda claim, clocks: None)
    result = check(sandbox, tmp_path, "expired")
    assert (result.passed, result.key) == (False, "checks.expired.taken")
    assert left_behind(sandbox, tmp_path) == NOTHING, "it was taken, and it was cancelled"


def test_an_expired_order_must_be_refused_in_words_that_the_program_knows(monkeypatch, sandbox, tmp_path):
    def refused(claim, clocks):
        if abs(int(claim.timestamp) - clocks[0]) > 30_000:
            raise Refusal(400, "INVALID_ORDER", "no")

    monkeypatch.setattr("lemon_trader.sandbox.app.check_time", refused)
    result = check(sandbox, tmp_path, "expired")
    assert (result.passed, result.key) == (False, "checks.expired.strange")


def test_a_history_slower_than_the_program_waits_fails(monkeypatch, sandbox, tmp_path):
    monkeypatch.setattr(checks, "HIST_LAG_US", 100_000)
    monkeypatch.setattr(checks, "LAG_LIMIT_US", 1_500_000)
    sandbox.app.faults.history_lag_us = 600_000
    try:
        result = check(sandbox, tmp_path, "history-lag")
    finally:
        sandbox.app.faults.history_lag_us = 0
    assert (result.passed, result.key) == (False, "checks.history-lag.slow")
    assert result.findings["fill_ms"] >= 500
    assert left_behind(sandbox, tmp_path) == NOTHING


def test_fills_without_trade_ids_fail(sandbox, tmp_path):
    sandbox.app.faults.omit_trade_ids = True
    try:
        result = check(sandbox, tmp_path, "trade-ids")
    finally:
        sandbox.app.faults.omit_trade_ids = False
    assert (result.passed, result.key) == (False, "checks.trade-ids.missing")


def test_a_stop_that_sells_less_than_the_position_fails(monkeypatch, sandbox, tmp_path):
    """The exchange freezes what 100 % was when the stop was placed."""
    exchange = sandbox.app.desk.exchange
    place = exchange.place

    def frozen(account, new, now_us):
        if new.trigger_ppm:
            new = msgspec.structs.replace(new, trigger_ppm=0, trigger_lots=exchange.accounts[account].positions[new.symbol].lots)
        return place(account, new, now_us)

    monkeypatch.setattr(exchange, "place", frozen)
    result = check(sandbox, tmp_path, "trigger-events")
    assert (result.passed, result.key) == (False, "checks.trigger-events.partly")
    assert left_behind(sandbox, tmp_path) == NOTHING, "what the stop left was sold"


def test_a_signer_that_would_cancel_everything_fails(monkeypatch, sandbox, tmp_path):
    monkeypatch.setattr("lemon_trader.exchanges.signers._Sealed._check", lambda self, text: None)
    result = check(sandbox, tmp_path, "cancel-all")
    assert (result.passed, result.key) == (False, "checks.cancel-all.signed")


def test_cancels_answered_with_202_pass_once_their_ends_are_proven(sandbox, tmp_path):
    sandbox.app.faults.order(Fault(Kind.ACCEPT_LATE, "DELETE", "/api/v1/order", times=2, delay_us=50_000))
    result = check(sandbox, tmp_path, "cancels")
    assert result.passed
    assert "accepted" in result.findings["outcomes"]


def test_a_cancel_that_never_ends_fails_and_stays_in_the_store_until_it_does(capsys, monkeypatch, sandbox, tmp_path):
    monkeypatch.setattr(checks_bench, "END_US", 0)
    monkeypatch.setattr(checks_bench, "SKEW_MS", 400)
    sandbox.app.faults.order(Fault(Kind.ACCEPT_NEVER, "DELETE", "/api/v1/order", times=1_000))
    result = check(sandbox, tmp_path, "cancels")
    assert (result.passed, result.key) == (False, "checks.no-end")
    orders, _, named, _ = left_behind(sandbox, tmp_path)
    assert len(orders) == len(named) == 1, "what rests is known"
    sandbox.app.faults._waiting.clear()
    printed = run(capsys, main, ["doctor", "--json", "--sandbox-url", sandbox.rest_url])
    assert left_behind(sandbox, tmp_path) == NOTHING
    assert "leftovers" in printed.out


def test_a_lost_answer_to_an_order_is_looked_after_until_it_cannot_arrive(monkeypatch, sandbox, tmp_path):
    monkeypatch.setattr(checks_bench, "SKEW_MS", -4_800)  # so that the window ends soon
    sandbox.app.faults.order(Fault(Kind.EXECUTE_LATE, "POST", "/api/v1/order", delay_us=100_000))
    result = check(sandbox, tmp_path, "cancels")
    assert not result.passed
    time.sleep(0.2)
    assert left_behind(sandbox, tmp_path) == NOTHING, "it arrived late, and was cancelled"


def test_a_market_with_somebody_elses_orders_is_left_alone(sandbox, tmp_path):
    exchange = sandbox.app.desk.exchange
    mine = exchange.place("account-1", NewOrder(symbol="SOL_USDC_PERP", side=BUY, lots=1, ticks=14_500), exchange.now_us)
    try:
        result = check(sandbox, tmp_path, "client-ids")
        assert (result.passed, result.key) == (False, "checks.not-empty")
        assert [o.order_id for o in exchange.open_orders("account-1")] == [mine.order_id], "not cancelled"
    finally:
        exchange.cancel("account-1", "SOL_USDC_PERP", exchange.now_us, order_id=mine.order_id)


def test_a_check_that_is_not_agreed_to_is_not_done_and_keeps_the_cap(capsys, monkeypatch, sandbox, tmp_path):
    monkeypatch.setenv("API_KEY", sandbox.accounts[1].api_key)
    monkeypatch.setenv("SECRET_KEY", sandbox.accounts[1].secret)
    type_in(monkeypatch)
    answers = iter(["cancel-all" if name == "cancel-all" else "no" for name in NAMES])
    monkeypatch.setattr("builtins.input", lambda prompt="": next(answers))
    typed = read_flags(["--live", "--live-checks"], doctors.doctor_groups(), words=True)

    def door(_):
        return doctors.doctor(typed, rest_url=sandbox.rest_url, ws_url=sandbox.ws_url, locks=tmp_path / "locks")

    printed = run(capsys, door, [])
    store = FolderStore(tmp_path / "data-store" / "live")
    record = read_record(store, sandbox.accounts[1].api_key)
    assert list(record.results) == ["cancel-all"]
    assert not is_proven(store, sandbox.accounts[1].api_key)
    assert say("doctor.checks.not-all") in printed.out
    assert not sandbox.app.desk.exchange.accounts["account-2"].order_history


def test_a_record_of_other_checks_or_another_account_proves_nothing(tmp_path):
    store = FolderStore(tmp_path)
    record = read_record(store, "key")
    for name in NAMES:
        record.results[name] = checks_bench.Result(True, 1, "checks.cancel-all.passed", {}, {})
    write_record(store, record)
    assert is_proven(store, "key")
    assert not is_proven(store, "other")
    record.version += 1
    write_record(store, record)
    assert not is_proven(store, "key")
    store.replace(RECORD_FILE, b"{")
    assert not is_proven(store, "key")


def live_start(folder, *, unproven=False):
    """Whether a live start of 100 would be confirmed. Raises StartRefused."""
    state = AccountState()
    state.add_market(default_instrument(SPOT))
    session = SimpleNamespace(state=state, store=FolderStore(folder), changed=list, equity_atoms=lambda _: 0)
    pair = PairSettings("market-maker", SPOT, default_values("market-maker", spread=Decimal(1)))
    wanted = RunSettings(LIVE, (pair,), keys=Keys("key", Secret("-"), "-"), data_dir=folder, yes=True, unproven=unproven)
    plan = SimpleNamespace(
        symbol=SPOT, strategy="market-maker", budget_atoms=100 * ATOMS_PER_UNIT, built=None, params=None, inventory_lots=0
    )
    face = SimpleNamespace(say=lambda *_, **__: None, confirm=lambda *_, **__: True)
    return trading.confirm(wanted, face, session, [plan])


def test_the_cap_holds_until_the_account_has_passed(monkeypatch, tmp_path):
    monkeypatch.setattr(trading, "show_sheet", lambda *_, **__: None)
    with pytest.raises(StartRefused) as refused:
        live_start(tmp_path)
    assert refused.value.key == "start.unproven"
    assert live_start(tmp_path, unproven=True)
    store = FolderStore(tmp_path)
    record = read_record(store, "key")
    for name in NAMES[:-1]:
        record.results[name] = checks_bench.Result(True, 1, "checks.cancel-all.passed", {}, {})
    write_record(store, record)
    with pytest.raises(StartRefused):
        live_start(tmp_path)
    record.results[NAMES[-1]] = checks_bench.Result(True, 1, "checks.cancel-all.passed", {}, {})
    write_record(store, record)
    assert live_start(tmp_path)


@pytest.mark.process
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_ended_in_the_middle_of_a_check_nothing_is_forgotten(capsys, tmp_path, number):
    with dipping_sandbox(still=True) as running:  # the mark never moves: the check of a stop that fires waits with everything out
        exchange = running.app.desk.exchange
        child = subprocess.Popen(
            [sys.executable, "-m", "lemon_trader.main", "doctor", "--live-checks", "--sandbox-url", running.rest_url],
            cwd=tmp_path, env=CLEAN | {"PYTHONPATH": str(ROOT / "src")}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  a suite in a shell's background inherits "ignored"
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while "expired" not in _results(tmp_path) or not any(o.is_trigger for o in exchange.open_orders("account-1")):
                assert time.monotonic() < deadline
                assert child.poll() is None
                time.sleep(0.05)
            child.send_signal(number)
            code = child.wait(90)
        finally:
            child.kill()
            child.wait()
        if number == signal.SIGINT:
            assert code == 130
            assert left_behind(running, tmp_path) == NOTHING, "it cleaned up before it left"
            return
        assert any(p.lots for p in exchange.accounts["account-1"].positions.values())
        named = json.loads((tmp_path / "data-store" / "sandbox" / OUT_FILE).read_text())
        assert named["perp"] == PERP
        assert {o.client_id for o in exchange.open_orders("account-1")} <= {client_id for _, client_id in named["orders"]}
        printed = run(capsys, main, ["doctor", "--json", "--sandbox-url", running.rest_url])
        found = json.loads(printed.out.splitlines()[-1])
        assert printed.code == 0
        assert "leftovers" in {line["name"] for line in found["lines"]}
        assert left_behind(running, tmp_path) == NOTHING


def _results(folder):
    path = folder / "data-store" / "sandbox" / RECORD_FILE
    return json.loads(path.read_text())["results"] if path.exists() else {}
