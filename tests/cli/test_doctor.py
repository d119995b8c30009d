"""`doctor`: each finding with its grade and its way out; 1 when something fails, 0 when all is well or only worth knowing."""

import ast
import json
import os
import stat

import pytest
from tests.cli.faces import pipe, running_sandbox, stand_alone, type_in
from tests.cli.typed import run
from tests.shape.sources import sources

from lemon_trader.cli import doctor as doctors
from lemon_trader.cli.app import COMMANDS, main
from lemon_trader.cli.flags import read_flags
from lemon_trader.config.settings import LOCK_FILE
from lemon_trader.env_live import FolderStore
from lemon_trader.matching.rules import Rules
from lemon_trader.messages.catalogue import placeholders, texts
from lemon_trader.sandbox import private
from lemon_trader.sandbox.faults import Fault, Kind

READ_ONLY = '{"code":"FORBIDDEN","message":"Read only key"}'


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    stand_alone(monkeypatch, tmp_path)
    pipe(monkeypatch)


@pytest.fixture(scope="module")
def sandbox():
    with running_sandbox() as running:
        yield running


def at(sandbox, *more):
    return ["doctor", "--json", "--sandbox-url", sandbox.rest_url, *more]


def lines_of(printed):
    found = json.loads(printed.out.splitlines()[-1])
    return {line["name"]: line for line in found["lines"]}, found


def live(capsys, sandbox, tmp_path, *flags):
    """The doctor in live mode, at the sandbox's address with its first account's keys."""
    typed = read_flags(["--live", "--json", *flags], doctors.doctor_groups(), words=True)

    def door(_):
        return doctors.doctor(typed, rest_url=sandbox.rest_url, ws_url=sandbox.ws_url, locks=tmp_path / "locks")

    return run(capsys, door, [])


@pytest.fixture
def _keys(monkeypatch, sandbox):
    monkeypatch.setenv("API_KEY", sandbox.accounts[0].api_key)
    monkeypatch.setenv("SECRET_KEY", sandbox.accounts[0].secret)


def test_a_healthy_machine_and_exchange_have_nothing_to_mend(capsys, sandbox):
    printed = run(capsys, main, at(sandbox))
    lines, found = lines_of(printed)
    assert printed.code == 0
    assert found["ok"] is True
    assert {line["grade"] for line in lines.values()} <= {"ok", "warn"}
    wanted = {
        "versions", "locale", "terminal", "store", "journal", "env-file", "host", "status", "clock", "key", "permission", "market",
        "auto-lend", "auto-borrow", "leverage", "fees", "balances", "public-stream", "private-stream",
    }  # fmt: skip
    assert wanted <= set(lines)


def test_an_embedded_sandbox_is_looked_at_where_no_key_is(capsys):
    printed = run(capsys, main, ["doctor"])
    assert printed.code == 0
    assert printed.out.startswith("SANDBOX")


def test_the_doctor_speaks_traditional_chinese(capsys, sandbox):
    printed = run(capsys, main, ["doctor", "--sandbox-url", sandbox.rest_url, "--lang", "zh-TW"])
    assert printed.code == 0
    assert "金鑰可以交易" in printed.out


def test_looking_makes_no_folder(capsys, sandbox, tmp_path):
    run(capsys, main, at(sandbox))
    assert not (tmp_path / "data-store").exists()


def test_an_unknown_market_fails_with_those_near_it(capsys, sandbox):
    printed = run(capsys, main, at(sandbox, "market-maker:SOL_USDT"))
    lines, _ = lines_of(printed)
    assert printed.code == 1
    assert lines["market"]["grade"] == "fail"
    assert "SOL_USDC" in lines["market"]["fix"]


def test_an_exchange_that_cannot_be_reached_fails_with_the_way_out(capsys):
    printed = run(capsys, main, ["doctor", "--json", "--sandbox-url", "http://127.0.0.1:9"])
    lines, _ = lines_of(printed)
    assert printed.code == 1
    assert lines["host"]["grade"] == "fail"
    assert "lemon-trader sandbox" in lines["host"]["fix"]
    assert "key" not in lines, "what nobody can know is not said"


def test_a_key_of_another_exchange_fails(capsys, sandbox):
    lines, _ = lines_of(run(capsys, main, at(sandbox, "--seed", "2")))
    assert lines["key"]["grade"] == "fail"
    assert "401" in lines["key"]["text"]


def test_a_key_that_may_only_read_fails(capsys, sandbox):
    sandbox.app.faults.order(Fault(Kind.ERROR_BEFORE, "DELETE", "/api/v1/order", status=403, body=READ_ONLY))
    printed = run(capsys, main, at(sandbox))
    lines, _ = lines_of(printed)
    assert printed.code == 1
    assert lines["permission"]["grade"] == "fail"


def test_an_answer_that_settles_nothing_is_not_taken_for_permission(capsys, sandbox):
    sandbox.app.faults.order(Fault(Kind.ERROR_BEFORE, "DELETE", "/api/v1/order", status=500))
    lines, _ = lines_of(run(capsys, main, at(sandbox)))
    assert lines["permission"]["grade"] == "warn"


def test_an_exchange_in_maintenance_is_said(capsys, sandbox):
    sandbox.app.faults.maintenance = True
    try:
        lines, _ = lines_of(run(capsys, main, at(sandbox)))
    finally:
        sandbox.app.faults.maintenance = False
    assert lines["status"]["grade"] == "warn"


@pytest.mark.parametrize(("switch", "name"), [("autoLend", "auto-lend"), ("autoBorrowSettlements", "auto-borrow")])
def test_lending_and_borrowing_that_are_on_are_warned_of(capsys, monkeypatch, sandbox, switch, name):
    made = private.account_row
    monkeypatch.setattr(private, "account_row", lambda *args, **values: made(*args, **values) | {switch: True})
    lines, _ = lines_of(run(capsys, main, at(sandbox)))
    assert lines[name]["grade"] == "warn"


@pytest.mark.parametrize(("rules", "name"), [({"spot_maker_ppm": 900}, "fees"), ({"perp_taker_ppm": 600}, "fees")])
def test_fees_above_those_that_plan_reckons_with_are_warned_of(capsys, rules, name):
    with running_sandbox(rules=Rules(**rules)) as running:
        printed = run(capsys, main, at(running))
    _, found = lines_of(printed)
    assert printed.code == 0
    assert "warn" in {line["grade"] for line in found["lines"] if line["name"] == name}


def test_an_account_without_money_is_warned_of(capsys):
    with running_sandbox(balances={"SOL": "1"}) as running:
        lines, _ = lines_of(run(capsys, main, at(running)))
    assert lines["balances"]["grade"] == "warn"


def test_a_stream_that_keeps_silent_fails(capsys, monkeypatch, sandbox):
    monkeypatch.setattr("lemon_trader.run.doctor.exchange.STREAM_US", 300_000)
    sandbox.app.faults.silence("", 10**18)
    try:
        printed = run(capsys, main, at(sandbox))
    finally:
        sandbox.app.faults._silent.clear()
    lines, _ = lines_of(printed)
    assert printed.code == 1
    assert lines["public-stream"]["grade"] == lines["private-stream"]["grade"] == "fail"


def test_a_damaged_journal_fails_with_its_repair(capsys, sandbox, tmp_path):
    (tmp_path / "data-store" / "sandbox").mkdir(parents=True)
    (tmp_path / "data-store" / "sandbox" / "journal-000001").write_bytes(b"x" * 200)
    lines, _ = lines_of(run(capsys, main, at(sandbox)))
    assert lines["journal"]["grade"] == "fail"
    assert "journal repair --sandbox" in lines["journal"]["fix"]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_store_that_cannot_be_fails(capsys, sandbox, tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    lines, _ = lines_of(run(capsys, main, at(sandbox, "--data-dir", str(tmp_path / place))))
    assert lines["store"]["grade"] == "fail"
    assert "--data-dir" in lines["store"]["fix"]


@pytest.mark.usefixtures("_keys")
def test_live_says_the_cap_and_that_the_checks_lift_it(capsys, sandbox, tmp_path):
    (tmp_path / "data-store" / "live").mkdir(parents=True)
    lines, _ = lines_of(live(capsys, sandbox, tmp_path))
    assert lines["live-checks"]["grade"] == "warn"
    assert "50" in lines["live-checks"]["text"]
    assert sandbox.accounts[0].secret not in str(lines)


def test_live_without_keys_fails_with_where_they_go(capsys, sandbox, tmp_path):
    printed = live(capsys, sandbox, tmp_path)
    lines, _ = lines_of(printed)
    assert printed.code == 1
    assert ".env" in lines["key"]["text"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind are POSIX's")
class TestLooseKeys:
    """A file with keys that others may read; it holds no keys here."""

    @pytest.fixture(autouse=True)
    def _loose(self, tmp_path):
        (tmp_path / ".env").write_text("nothing\n")
        (tmp_path / ".env").chmod(0o644)

    def test_it_fails_with_the_exact_command(self, capsys, sandbox, tmp_path):
        printed = live(capsys, sandbox, tmp_path)
        lines, _ = lines_of(printed)
        assert printed.code == 1
        assert lines["env-file"]["fix"] == "chmod 600 .env"
        assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o644, "nobody was there to agree"

    @pytest.mark.parametrize(("answer", "mode"), [("y", 0o600), ("", 0o644)])
    def test_on_a_terminal_it_is_offered_to_run_it(self, capsys, monkeypatch, sandbox, tmp_path, answer, mode):
        type_in(monkeypatch)
        monkeypatch.setattr("builtins.input", lambda prompt="": answer)
        run(capsys, main, ["doctor", "--sandbox-url", sandbox.rest_url])
        assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == mode


def test_keys_without_a_mode_are_refused_as_at_every_door(capsys, monkeypatch):
    monkeypatch.setenv("API_KEY", "a")
    printed = run(capsys, main, ["doctor"])
    assert printed.code == 2
    for word in ("--live", "--paper", "--sandbox"):
        assert word in printed.err


@pytest.mark.usefixtures("_keys")
def test_checks_are_refused_while_an_engine_runs_on_the_account(capsys, sandbox, tmp_path):
    engine = FolderStore(tmp_path / "data-store" / "live")
    assert engine.lock(LOCK_FILE)
    try:
        printed = live(capsys, sandbox, tmp_path, "--live-checks", "--yes")
    finally:
        engine.close()
    assert printed.code == 1
    assert "lemon-trader stop" in printed.err
    assert not sandbox.app.desk.exchange.accounts["account-1"].order_history


@pytest.mark.usefixtures("_keys")
def test_without_a_terminal_real_money_wants_yes(monkeypatch, sandbox, tmp_path):
    typed = read_flags(["--live", "--live-checks"], doctors.doctor_groups(), words=True)
    with pytest.raises(doctors.BadSetting) as refused:
        doctors.doctor(typed, rest_url=sandbox.rest_url, ws_url=sandbox.ws_url, locks=tmp_path / "locks")
    assert refused.value.key == "doctor.checks.needs-yes"


def test_every_flag_of_the_doctor_can_be_read():
    command = COMMANDS["doctor"]
    typed = read_flags(["market-maker:SOL_USDC", "--live-checks", "--sandbox"], command.groups(), words=True)
    assert typed.flags["live_checks"] == "true"


def findings():
    """(place, message ids, names of the values given, True when more come by **) of every finding and failed check in the sources."""
    for source in sources():
        for node in ast.walk(source.tree):
            name = getattr(node, "func", None) and (getattr(node.func, "attr", None) or getattr(node.func, "id", None))
            if name in {"ok", "warn", "fail", "CheckFailed"} and node.args:
                keys = [a.value for a in node.args if isinstance(a, ast.Constant) and str(a.value).startswith(("doctor.", "checks."))]
                given = {k.arg for k in node.keywords}
                yield f"{source.name}:{node.lineno}", keys, given


def test_every_finding_has_its_text_and_the_values_that_it_wants():
    known = texts("en")
    found = [row for row in findings() if row[1]]
    assert len(found) > 70
    for place, keys, given in found:
        for key in keys:
            assert key in known, f"{place} {key}"
            assert None in given or placeholders(known[key]) <= given, f"{place} {key} wants {placeholders(known[key])}"
