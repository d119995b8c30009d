"""Every look and every act through its door, after a run that has ended: a newcomer's second step."""

import json

import pytest
from tests.cli.typed import process, run

from lemon_trader.cli.app import COMMANDS, main

LOOKS = ("status", "why", "orders", "balance", "report", "logs")
ACTS = ("stop", "cancel", "kill", "flatten", "resume")


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The folder of a sandbox run of two seconds, begun by the seed's door with one of `lemon-trader`'s commands."""
    place = tmp_path_factory.mktemp("ended")
    done = process("run.py", ["run", "market-maker:SOL_USDC", "--sandbox", "--duration", "2s"], place)
    assert done.code == 0, done.out + done.err
    return place / "data-store"


def test_these_are_all_the_looks_and_acts_there_are():
    by_section = {
        section: [c.name for c in COMMANDS.values() if c.section == section and c.call] for section in ("section.look", "section.act")
    }
    assert sorted(by_section["section.look"]) == sorted(LOOKS)
    assert set(ACTS) <= set(by_section["section.act"])


@pytest.mark.process
@pytest.mark.parametrize("name", LOOKS)
def test_a_look_shows_what_an_ended_run_left(capsys, ended, name):
    shown = run(capsys, main, [name, "--data-dir", str(ended), "--lang", "en"])
    assert shown.code == 0
    assert "SANDBOX" in shown.out, "the mode stands on every screen"
    as_json = run(capsys, main, [name, "--data-dir", str(ended), "--json"])
    assert as_json.code == 0
    assert "sandbox" in json.dumps(json.loads(as_json.out.splitlines()[-1]))


@pytest.mark.process
@pytest.mark.parametrize("name", ACTS)
def test_an_act_on_a_sandbox_that_is_gone_says_so_and_claims_nothing(capsys, ended, name):
    done = run(capsys, main, [name, "--data-dir", str(ended), "--lang", "en", "--json"])
    assert done.code == 1
    assert "No engine runs" in done.out
    assert json.loads(done.out.splitlines()[-1]) == {"action": name, "done": False, "running": False}
