"""`report parity` at its door: what it says, what it prints as JSON, and how it refuses."""

import json

import pytest
from tests.agreement.tapes import CASES
from tests.agreement.test_refold import played
from tests.cli.faces import stand_alone
from tests.cli.typed import run
from tests.market.test_record import PERP, recorded

from lemon_trader.cli.app import main
from lemon_trader.database.journal import Journal, read_events
from lemon_trader.env_live import FolderStore

CASE = CASES[0]


@pytest.fixture
def store(monkeypatch, tmp_path):
    """A folder in which a sandbox session has ended."""
    stand_alone(monkeypatch, tmp_path)
    rig, disk = played(CASE.name)
    folder = FolderStore(tmp_path / "data-store" / "sandbox")
    journal = Journal(folder, mode="sandbox", account="demo")
    journal.open(rig.start_us)
    for event in read_events(disk.store()):
        journal.append(event)
    journal.close()
    return tmp_path


def parity(capsys, *flags):
    return run(capsys, main, ["report", "parity", *flags])


@pytest.mark.usefixtures("store")
def test_a_session_of_this_program_differs_in_nothing(capsys):
    printed = parity(capsys, "--sandbox", "--json")
    assert printed.code == 0
    assert f"SANDBOX: {CASE.strategy} in {CASE.symbol}" in printed.out
    assert ": 0 differ." in printed.out
    found = json.loads(printed.out.splitlines()[-1])["sandbox"][CASE.symbol]
    assert found["differing"] == 0
    assert found["differences"] == []
    assert found["decisions"] > 10
    assert found["fills"] is None


@pytest.mark.usefixtures("store")
def test_what_differs_is_listed_with_its_cause_and_ends_in_failure(capsys):
    printed = parity(capsys, "--json", "--max-open-orders", "1")
    assert printed.code == 1
    assert "What differs (20 of " in printed.out
    assert "held back today" in printed.out
    found = json.loads(printed.out.splitlines()[-1])["sandbox"][CASE.symbol]
    assert {d["cause"] for d in found["differences"]} == {"parity.cause-withheld"}
    assert len({d["number"] for d in found["differences"]}) == found["differing"] > 5


@pytest.mark.usefixtures("store")
def test_it_speaks_the_readers_language(capsys):
    printed = parity(capsys, "--lang", "zh-TW", "--max-open-orders", "1")
    assert "如今被擋下" in printed.out
    assert "parity." not in printed.out


def test_where_nothing_was_traded_there_is_nothing_to_compare(capsys, monkeypatch, tmp_path):
    stand_alone(monkeypatch, tmp_path)
    printed = parity(capsys)
    assert printed.code == 1
    assert printed.out.startswith("Nothing was ever traded in data-store")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--sandbox", "--tape", "none.jsonl.gz"], "there is no tape none.jsonl.gz"),
        (["--tape", "bars.csv"], "name its mode: --live, --paper, --sandbox"),
        (["--sandbox", "--live"], "--live, --sandbox"),
        (["--sandbox", "--tape", "bars.csv"], "bars.csv"),
        (["--sandbox", "--match-within", "0s"], "--match-within"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_way_out(store, capsys, flags, says):
    (store / "bars.csv").write_text("ts,open,high,low,close,volume\n1600000000,150,150,150,150,1\n1600000060,150,150,150,150,1\n")
    printed = parity(capsys, *flags)
    assert printed.code == 2
    assert says in printed.err


def test_a_journal_that_rotted_is_named(store, capsys):
    file = next((store / "data-store" / "sandbox").glob("journal-*"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    printed = parity(capsys, "--sandbox")
    assert printed.code == 2
    assert "journal" in printed.err


def test_a_market_that_is_not_on_the_tape_has_its_decisions_compared_alone(store, capsys):
    tape, _, _ = recorded(store, seconds=0.6, symbols=(PERP,), name="other.jsonl.gz")
    printed = parity(capsys, "--sandbox", "--tape", str(tape))
    assert printed.code == 0
    assert f"{CASE.symbol} is not on" in printed.out
    assert "Fills:" not in printed.out
