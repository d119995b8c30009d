"""The table of commands: each is found, listed, and honest about what it does not do yet."""

import json
import tomllib

import pytest
from tests.cli.typed import run

from lemon_trader.cli.app import COMMANDS, main
from lemon_trader.messages.catalogue import say


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """In a folder of its own, in English, with no key anywhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("API_KEY", "SECRET_KEY", "BACKPACK_KEY", "BACKPACK_SECRET", "LEMON_TRADER_LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")


def test_the_list_of_commands_is_whole_and_fits_its_screen(capsys):
    printed = run(capsys, main, [])
    assert printed.code == 0
    for name in COMMANDS:
        assert f"  {name} " in printed.out
    assert max(map(len, printed.out.splitlines())) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page(capsys, name):
    printed = run(capsys, main, [*name.split(), "--help"])
    assert printed.code == 0
    assert printed.out.startswith(say(COMMANDS[name].summary))
    assert "--lang" in printed.out


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.call is None])
def test_what_comes_later_says_so_and_does_nothing(capsys, name):
    printed = run(capsys, main, name.split())
    assert printed.code == 2
    assert "later" in printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pan"], "plan"),
        (["jurnal"], "journal"),
        (["journal"], "journal verify, journal repair"),
        (["status", "--moed"], "--mode"),
        (["report", "SOL_USDC"], "SOL_USDC"),
    ],
)
def test_an_unknown_word_is_refused_with_what_was_probably_meant(capsys, arguments, words):
    printed = run(capsys, main, arguments)
    assert printed.code == 2
    assert words in printed.err or arguments[-1] in printed.err


def test_plan_shows_every_layer_and_sends_nothing(capsys):
    printed = run(capsys, main, ["plan", "martingale:SOL_USDC", "--budget", "400", "--layers", "5", "--price", "100"])
    assert printed.code == 0
    assert "Worst loss" in printed.out
    assert sum(line.strip()[:1].isdigit() for line in printed.out.splitlines()) == 5
    assert say("sheet.nothing-sent") in printed.out


PLANS_REFUSED = [
    ("a negative stop means its fraction", ["--stop-loss-pct", "-0.33"], "Did you mean 33?"),
    ("a budget below the smallest ladder names the smallest", ["--budget", "5"], "smallest that works"),
    ("a stop inside the ladder names step and stop that work", ["--stop-loss-pct", "3"], "--stop-inside-ladder"),
    ("a price off the grid names its neighbours", ["--price", "100.001"], "100.01"),
]


@pytest.mark.parametrize(("flags", "words"), [case[1:] for case in PLANS_REFUSED], ids=[case[0] for case in PLANS_REFUSED])
def test_plans_that_are_refused(capsys, flags, words):
    printed = run(capsys, main, ["plan", "martingale:SOL_USDC", *flags])
    assert printed.code == 2
    assert words in printed.err
    assert not printed.out


def test_plan_of_an_unknown_market_names_those_there_are(capsys):
    printed = run(capsys, main, ["plan", "martingale:NOPE_USDC"])
    assert printed.code == 2
    assert "SOL_USDC" in printed.err


def test_the_seeds_own_sample_spread_is_warned_of_on_spot(capsys):
    printed = run(capsys, main, ["plan", "market-maker:SOL_USDC", "--spread", "0.1", "--budget", "500"])
    assert printed.code == 0
    assert "0.16" in printed.out
    assert "every round trip loses" in printed.out


def test_config_show_says_where_each_value_comes_from(capsys, monkeypatch):
    monkeypatch.setenv("LEMON_TRADER_MAX_ORDERS", "4")
    printed = run(capsys, main, ["config", "show", "market-maker:SOL_USDC", "--spread", "0.3"])
    lines = {line.split()[0]: line.split() for line in printed.out.splitlines() if line.strip()}
    assert lines["spread"][1:3] == ["0.3", "--spread"]
    assert lines["max_orders"][1:3] == ["4", "LEMON_TRADER_MAX_ORDERS"]
    assert lines["interval"][1:3] == ["1m", "default"]


def test_config_schema_is_json_that_describes_every_setting(capsys):
    schema = json.loads(run(capsys, main, ["config", "schema"]).out)
    assert {"spread", "layers", "daily_loss_pct", "pair"} <= set(schema["properties"])
    assert "percent" in schema["properties"]["spread"]["description"]
    assert not {"yes", "as_written", "api_key", "secret_key"} & set(schema["properties"])


def test_config_validate_accepts_the_example_and_refuses_a_broken_one(capsys, tmp_path):
    good = tmp_path / "lemon.toml"
    good.write_text('[[pair]]\nstrategy = "martingale"\nsymbol = "SOL_USDC"\nlayers = 5\n')
    assert tomllib.loads(good.read_text())
    assert run(capsys, main, ["config", "validate", str(good)]).code == 0
    good.write_text('[[pair]]\nstrategy = "martingale"\nsymbol = "SOL_USDC"\nlayres = 5\n')
    printed = run(capsys, main, ["config", "validate", str(good)])
    assert printed.code == 2
    assert "layers" in printed.err


@pytest.mark.parametrize("name", ["status", "why", "orders", "stop", "kill", "flatten", "resume", "cancel"])
def test_without_an_engine_nothing_is_done_and_nothing_is_made(capsys, tmp_path, name):
    printed = run(capsys, main, [name])
    assert printed.code == 1
    assert "No engine runs" in printed.out
    assert not list(tmp_path.iterdir())


def test_a_report_of_nothing_says_so(capsys):
    printed = run(capsys, main, ["report", "--json"])
    assert printed.code == 1
    assert json.loads(printed.out.splitlines()[-1]) == {}


def test_there_is_no_journal_where_nothing_ran(capsys):
    assert run(capsys, main, ["journal", "verify"]).code == 2
    printed = run(capsys, main, ["journal", "repair"])
    assert printed.code == 2
    assert "--sandbox" in printed.err


def test_the_language_flag_wins_over_the_environment(capsys):
    assert "用法" in run(capsys, main, ["run", "--help", "--lang", "zh-TW"]).out
    assert "Usage" in run(capsys, main, ["run", "--help"]).out


@pytest.mark.parametrize("place", ["file/below", "file"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_sent(capsys, tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    printed = run(capsys, main, ["run", "market-maker:SOL_USDC", "--sandbox", "--data-dir", str(tmp_path / place)])
    assert printed.code == 2
    assert "--data-dir" in printed.err
    assert not printed.out


def test_a_short_run_raises_no_question(capsys):
    assert run(capsys, main, ["plan", "market-maker:SOL_USDC", "--duration", "5"]).code == 0
