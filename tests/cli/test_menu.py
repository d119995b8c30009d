"""The menu through its doors: eight entries in the seed's order, then the commands; a pipe is read to its end, and one validation holds."""

import itertools
import subprocess
import sys

import pytest
from tests.cli.faces import pipe, running_sandbox, stand_alone, type_in
from tests.cli.typed import CLEAN, ROOT, run

from lemon_trader.cli import seed
from lemon_trader.cli.app import main
from lemon_trader.cli.declared import declarations

DOORS = [
    ("lemon-trader menu", main, ["menu"]),
    ("run.py --cli", lambda arguments: seed.main("run.py", arguments), ["--cli"]),
    ("main.py without arguments", lambda arguments: seed.main("main.py", arguments), []),
]
SEED_ENTRIES = [
    "Deposit address", "Balances", "Markets", "Order book with liquidity", "Run a strategy", "Statistics", "Market analysis", "Exit",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    stand_alone(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def sandbox():
    with running_sandbox() as running:
        yield running


def at(sandbox):
    return ["menu", "--sandbox-url", sandbox.rest_url]


def through(capsys, monkeypatch, arguments, *lines):
    pipe(monkeypatch, *lines)
    return run(capsys, main, arguments)


@pytest.mark.parametrize(("door", "arguments"), [case[1:] for case in DOORS], ids=[case[0] for case in DOORS])
def test_every_door_shows_the_mode_first_and_the_seeds_entries_in_their_order(capsys, monkeypatch, door, arguments):
    pipe(monkeypatch)
    printed = run(capsys, door, arguments)
    assert printed.code == 0
    lines = printed.out.splitlines()
    assert lines[0].startswith("SANDBOX")
    numbered = [line.split(None, 1) for line in lines if line[:3].strip().isdigit()]
    assert [text for _, text in numbered[:8]] == SEED_ENTRIES
    assert [number for number, _ in numbered] == [str(n) for n in range(1, len(numbered) + 1)]
    commands = [text.partition(":")[0] for _, text in numbered[8:]]
    assert {"plan", "doctor", "status", "why", "orders", "stop", "cancel", "kill", "flatten", "resume"} <= set(commands)


def test_the_menu_speaks_traditional_chinese(capsys, monkeypatch):
    printed = through(capsys, monkeypatch, ["menu", "--lang", "zh-TW"], "8")
    assert printed.code == 0
    assert "查詢存款地址" in printed.out
    assert "沙盒" in printed.out.splitlines()[0]


def test_the_deposit_address_asks_for_a_chain_and_a_sandbox_lets_nobody_send_money(capsys, monkeypatch, sandbox):
    printed = through(capsys, monkeypatch, at(sandbox), "1", "Solana")
    assert printed.code == 0
    assert "SANDBOX-SEND-NOTHING-HERE-Solana-account-1" in printed.out


def test_balances_are_those_of_the_account(capsys, monkeypatch, sandbox):
    printed = through(capsys, monkeypatch, at(sandbox), "2")
    rows = {words[0]: words[1] for line in printed.out.splitlines() if len(words := line.split()) == 3}
    assert rows["USDC"] == "10000"
    assert rows["SOL"] == "20"


def test_markets_are_numbered_with_grid_and_kind(capsys, monkeypatch, sandbox):
    out = through(capsys, monkeypatch, at(sandbox), "3").out
    assert [line.split()[1] for line in out.splitlines() if "_USDC" in line and line[:1].isdigit()] == sorted(sandbox.app.desk.markets)
    assert "perpetual" in out


def test_the_book_has_ten_levels_a_side_at_most_asks_above_bids_and_says_who_presses(capsys, monkeypatch, sandbox):
    out = through(capsys, monkeypatch, at(sandbox), "4", "SOL_USDC").out
    rows = [line.split() for line in out.splitlines() if line.split()[:1] in (["ask"], ["bid"])]
    prices = [float(price) for _, price, _ in rows]
    assert prices == sorted(prices, reverse=True)
    sides = [side for side, _, _ in rows]
    assert sides == sorted(sides), "asks first"
    assert 0 < sides.count("ask") <= 10
    assert 0 < sides.count("bid") <= 10
    assert "ratio" in out


def test_the_analysis_suggests_no_spread_below_the_fees(capsys, monkeypatch, sandbox):
    out = through(capsys, monkeypatch, at(sandbox), "7", "SOL_USDC").out
    assert "Suggested: spread" in out
    assert "a spread below 0.16 % loses" in out


def test_statistics_and_commands_do_what_their_commands_do(capsys, monkeypatch, sandbox, tmp_path):
    printed = through(capsys, monkeypatch, at(sandbox), "6", "11")
    alone = run(capsys, main, ["report", "--sandbox"]).out.strip()
    assert alone in printed.out
    assert "No engine runs" in printed.out
    assert printed.code == 1, "a script learns that something had nothing to show"


def test_plan_asks_every_parameter_that_the_strategy_declares(capsys, monkeypatch, sandbox):
    own = [p.name for p in declarations()["martingale"]]
    printed = through(capsys, monkeypatch, at(sandbox), "9", "martingale", "SOL_USDC", *itertools.repeat("", len(own) + 3))
    asked = [line.strip().partition(":")[0] for line in printed.out.splitlines() if line.startswith("  ")]
    assert [name for name in own if name in asked] == own
    assert "Worst loss" in printed.out


def test_the_rest_of_the_defaults_is_taken_by_a_dot(capsys, monkeypatch, sandbox):
    printed = through(capsys, monkeypatch, at(sandbox), "9", "1", "SOL_USDC", "0.3", ".")
    assert "Spread 0.3 % of mid" in printed.out


WRONG = [
    ("an entry that does not exist", ["99"], "no entry"),
    ("a market that is not listed", ["4", "NOPE_USDC"], "NOPE_USDC is not a market"),
    ("a symbol in another spelling", ["4", "sol/usdc"], "SOL_USDC"),
    ("a spread below zero", ["9", "1", "SOL_USDC", "-0.4"], "Did you mean 0.4?"),
    ("a value that is probably off by a hundred", ["9", "1", "SOL_USDC", "40"], "--as-written"),
]


@pytest.mark.parametrize(("lines", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_line_of_a_pipe_ends_it_with_the_words_of_every_door(capsys, monkeypatch, sandbox, lines, words):
    printed = through(capsys, monkeypatch, at(sandbox), *lines, "2")
    assert printed.code == 2
    assert words in printed.err
    assert "10000" not in printed.out, "what followed was meant for another question"


def test_a_person_who_types_something_wrong_is_asked_again(capsys, monkeypatch, sandbox):
    type_in(monkeypatch, "99", "4", "sol-usdc", "SOL_USDC", "8")
    monkeypatch.setattr("builtins.input", lambda prompt="": print(prompt) or sys.stdin.readline().rstrip("\n"))
    printed = run(capsys, main, at(sandbox))
    assert printed.code == 0
    assert "no entry" in printed.err
    assert "Did you mean SOL_USDC" in printed.err
    assert "Liquidity of ten levels" in printed.out


def started_by(monkeypatch, capsys, arguments, *lines):
    """What a run from the menu was started with."""
    started = []
    monkeypatch.setattr("lemon_trader.cli.menu.start", lambda typed: started.append(typed.flags) or 0)
    type_in(monkeypatch, *lines)
    monkeypatch.setattr("builtins.input", lambda prompt="": print(prompt) or sys.stdin.readline().rstrip("\n"))
    run(capsys, main, arguments)
    return started


def test_a_run_gets_what_was_answered_and_the_mode_of_the_menu(capsys, monkeypatch, sandbox):
    (flags,) = started_by(monkeypatch, capsys, at(sandbox), "5", "2", "ETH_USDC", "300", ".", "8")
    assert {k: flags[k] for k in ("strategy", "symbol", "budget", "sandbox")} == {
        "strategy": "martingale", "symbol": "ETH_USDC", "budget": "300", "sandbox": "true",
    }  # fmt: skip
    assert "sandbox_url" not in flags


@pytest.mark.parametrize(("agreed", "spread"), [("y", "40"), ("n", "0.4")])
def test_a_doubtful_value_is_asked_about_once_and_then_meant(capsys, monkeypatch, sandbox, agreed, spread):
    again = [] if agreed == "y" else ["0.4"]
    (flags,) = started_by(monkeypatch, capsys, at(sandbox), "5", "1", "SOL_USDC", "40", agreed, *again, ".", "8")
    assert flags["spread"] == spread
    assert flags["as_written"] == "true"


def test_a_doubt_that_no_prompt_asked_about_is_left_for_the_start_to_ask(capsys, monkeypatch, sandbox):
    monkeypatch.setenv("LEMON_TRADER_DAILY_LOSS_PCT", "90")
    (flags,) = started_by(monkeypatch, capsys, at(sandbox), "5", "1", "SOL_USDC", ".", "8")
    assert "as_written" not in flags


def test_flags_of_the_seeds_door_are_the_defaults_of_the_prompts(capsys, monkeypatch):
    started = []
    monkeypatch.setattr("lemon_trader.cli.menu.start", lambda typed: started.append(typed.flags) or 0)
    pipe(monkeypatch, "5", "1", "", "", ".", "8")
    run(capsys, lambda arguments: seed.main("run.py", arguments), ["--cli", "--symbol", "ETH_USDC", "--spread", "0.7", "--max-orders", "2"])
    assert (started[0]["symbol"], started[0]["spread"], started[0]["max_orders"]) == ("ETH_USDC", "0.7", "2")


def test_an_answer_that_never_comes_leaves_cleanly(capsys, monkeypatch, sandbox):
    printed = through(capsys, monkeypatch, at(sandbox), "4")
    assert printed.code == 1
    assert "nothing was done" in printed.err
    assert "Left the menu" in printed.out


def test_ctrl_c_leaves_with_everything_given_back(capsys, monkeypatch, sandbox):
    type_in(monkeypatch)

    def interrupted(prompt=""):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    printed = run(capsys, main, at(sandbox))
    assert printed.code == 130
    assert "Traceback" not in printed.err


def test_private_entries_of_paper_say_what_to_do_and_ask_no_exchange(capsys, monkeypatch):
    monkeypatch.setattr("lemon_trader.cli.menu.MenuExchange", None)
    printed = through(capsys, monkeypatch, ["menu", "--paper"], "1", "2")
    assert printed.out.count("Paper has no account") == 2
    assert printed.code == 1


def test_live_without_keys_still_opens_and_says_what_the_account_needs(capsys, monkeypatch):
    monkeypatch.setattr("lemon_trader.cli.menu.MenuExchange", None)
    printed = through(capsys, monkeypatch, ["menu", "--live"], "2")
    assert "lemon-trader init" in printed.out


def test_keys_that_cannot_be_used_are_never_passed_over(capsys, monkeypatch):
    monkeypatch.setenv("API_KEY", "not base64!")
    monkeypatch.setenv("SECRET_KEY", "nor this")
    printed = through(capsys, monkeypatch, ["menu", "--live"])
    assert printed.code == 2
    assert "base64" in printed.err
    assert "nor this" not in printed.err


ADDRESSES = ["http://192.168.1.2:8080", "https://api.backpack.exchange", "127.0.0.1:8080", "http://127.0.0.1:99999", "http://127.0.0.1"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_loopback_is_a_sandbox(capsys, monkeypatch, address):
    printed = through(capsys, monkeypatch, ["menu", "--sandbox-url", address])
    assert printed.code == 2
    assert "--sandbox-url" in printed.err


def test_a_sandbox_that_does_not_answer_is_said_and_the_menu_goes_on(capsys, monkeypatch, sandbox):
    monkeypatch.setattr("lemon_trader.api.client.ATTEMPTS", 1)
    printed = through(capsys, monkeypatch, ["menu", "--sandbox-url", "http://127.0.0.1:9"], "3", "3")
    assert printed.code == 1
    assert printed.err.count("gave no answer") == 2


@pytest.mark.process
def test_a_strategy_runs_from_the_menu_by_prompts_and_its_statistics_follow(tmp_path):
    lines = ["5", "1", "SOL_USDC", "0.3", "", "", "", "", "2s", ".", "6", "8"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py")], cwd=tmp_path, env=CLEAN | {"LANG": "en_US.UTF-8", "PYTHONUNBUFFERED": "1"},
        input="".join(f"{line}\n" for line in lines), capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the books equal the exchange's own" in done.stdout
    assert "Report of SANDBOX" in done.stdout
    assert (tmp_path / "data-store" / "sandbox" / "journal-000001").exists()
