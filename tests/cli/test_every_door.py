"""Every command, every entry of the menu and every command of the panel has a test that goes through the door itself; here is which.

A new door without a row fails, and so does a row whose test is gone or does not name its door.
"""

import ast
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from tests.cli.faces import pipe, running_sandbox, stand_alone
from tests.cli.typed import ROOT, run

from lemon_trader.cli import menu
from lemon_trader.cli.app import COMMANDS, main
from lemon_trader.core.units import US_PER_S
from lemon_trader.database.journal import Journal
from lemon_trader.env_live import FolderStore
from lemon_trader.panel.commands import NAMES

TESTS = ROOT / "tests"
LOOK = "process/test_every_look.py::test_a_look_shows_what_an_ended_run_left"
ACT = "process/test_every_look.py::test_an_act_on_a_sandbox_that_is_gone_says_so_and_claims_nothing"
LIVING = "loopback/test_acts_on_a_living_engine.py::test_a_living_engine_is_asked_told_and_resumed_by_the_word"
PAIR = "loopback/test_a_running_pair.py::test_a_pair_is_edited_and_stopped_while_the_other_goes_on"
HERE = "cli/test_every_door.py::"
PANEL = "panel/test_panel_commands.py::test_"

COMMAND_TESTS = {
    "run": ["process/test_every_look.py::ended", "process/test_paper.py::test_paper_trades_on_the_streams_of_a_running_exchange_and_is_looked_at_edited_and_stopped_by_its_doors"],
    "plan": ["cli/test_commands.py::test_plan_shows_every_layer_and_sends_nothing"],
    "sandbox": ["loopback/test_sandbox_state.py::test_a_killed_program_goes_on_where_it_was"],
    "demo": ["process/test_whole_program.py::test_the_demonstration_shows_what_it_promises"],
    "status": [LOOK, LIVING],
    "report": [LOOK],
    "why": [LOOK],
    "orders": [LOOK],
    "balance": [LOOK, LIVING],
    "logs": [LOOK, "cli/test_plan_and_logs.py::test_the_log_is_told_in_sentences_by_level_and_by_mode"],
    "stop": [ACT, PAIR],
    "kill": [ACT, LIVING],
    "flatten": [ACT, LIVING],
    "resume": [ACT, LIVING],
    "cancel": [ACT, LIVING],
    "edit": [PAIR],
    "record": [HERE + "test_a_market_is_recorded_by_the_door"],
    "config show": ["cli/test_commands.py::test_config_show_says_where_each_value_comes_from"],
    "config schema": ["cli/test_commands.py::test_config_schema_is_json_that_describes_every_setting"],
    "config validate": ["cli/test_commands.py::test_config_validate_accepts_the_example_and_refuses_a_broken_one"],
    "journal verify": [HERE + "test_a_torn_and_a_rotten_journal_are_verified_and_repaired_by_the_door"],
    "journal repair": [HERE + "test_a_torn_and_a_rotten_journal_are_verified_and_repaired_by_the_door"],
    "doctor": ["cli/test_doctor.py::test_an_embedded_sandbox_is_looked_at_where_no_key_is"],
    "init": ["cli/test_init.py::test_on_a_real_terminal_typed_keys_never_appear"],
    "panel": ["panel/test_panel_door.py::test_a_real_engine_is_started_outlives_its_panel_and_is_stopped_by_the_next"],
    "menu": ["cli/test_menu.py::test_every_door_shows_the_mode_first_and_the_seeds_entries_in_their_order"],
}  # fmt: skip

# By number, as the menu shows them.
MENU_TESTS = {
    "1": "cli/test_menu.py::test_the_deposit_address_asks_for_a_chain_and_a_sandbox_lets_nobody_send_money",
    "2": "cli/test_menu.py::test_balances_are_those_of_the_account",
    "3": "cli/test_menu.py::test_markets_are_numbered_with_grid_and_kind",
    "4": "cli/test_menu.py::test_the_book_has_ten_levels_a_side_at_most_asks_above_bids_and_says_who_presses",
    "5": "cli/test_menu.py::test_a_strategy_runs_from_the_menu_by_prompts_and_its_statistics_follow",
    "6": "cli/test_menu.py::test_statistics_and_commands_do_what_their_commands_do",
    "7": "cli/test_menu.py::test_the_analysis_suggests_no_spread_below_the_fees",
    "8": "cli/test_menu.py::test_the_menu_speaks_traditional_chinese",
    "9": "cli/test_menu.py::test_plan_asks_every_parameter_that_the_strategy_declares",
    "10": HERE + "test_the_menus_doctor_looks_at_the_sandbox_that_the_menu_looks_at",
    "19": PAIR,
}

PANEL_TESTS = {
    "help": "help_is_a_page_that_names_every_command",
    "clear": "colon_and_slash_open_the_command_line_and_escape_leaves_it",
    "exit": "exit_and_quit_close_the_panel_and_tell_the_engine_nothing",
    "quit": "exit_and_quit_close_the_panel_and_tell_the_engine_nothing",
    "symbols": "symbols_shows_five_in_a_line",
    "start": "start_starts_what_is_set_in_the_mode_that_is_looked_at",
    "stop": "stop_and_cancel_go_to_the_running_engine",
    "params": "params_lists_every_setting_with_value_origin_and_meaning",
    "set": "set_saves_at_once_and_says_so",
    **dict.fromkeys(("status", "balance", "orders", "why", "report", "logs", "diagnose", "doctor"), "looking_shows_what_the_programs_own_command_prints"),
    "cancel": "stop_and_cancel_go_to_the_running_engine",
    "plan": "plan_asks_for_the_sheet_of_what_is_set_and_sends_nothing",
    **dict.fromkeys(("kill", "flatten", "resume"), "kill_flatten_and_resume_want_their_own_word_typed"),
    "mode": "with_keys_and_no_mode_nothing_starts_before_one_is_chosen",
    "strategy": "strategy_and_symbol_can_be_set_by_each_of_their_names",
    "market": "tab_and_market_show_the_next_market_below",
    "renew": "renew_wants_a_yes_and_begins_a_new_file",
}  # fmt: skip


@cache
def texts(file: str) -> dict[str, str]:
    """By function of a test file: every text in it, and in the constants and functions of its module that it names; a line each."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))

    def words(node: ast.AST) -> list[str]:
        return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]

    module = {t.id: words(n.value) for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    module |= {n.name: words(n) for n in tree.body if isinstance(n, ast.FunctionDef)}
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            named = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            found[node.name] = "\n".join(words(node) + [w for name in named for w in module.get(name, ())])
    return found


def names_its_door(test: str, door: str) -> bool:
    """Whether this test exists and types the words of this door."""
    file, _, function = test.partition("::")
    typed = texts(file).get(function, "")
    lines = {line for text in typed.split("\n") for line in (text, *text.split())}
    return all(word in lines for word in door.split())


def typed_by_some_test(words: list[str]) -> bool:
    """Whether any test types these words first, in a list or a call: then a new command needs no row."""
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        if all(f'"{word}"' in text for word in words):
            for node in ast.walk(ast.parse(text)):
                parts = node.elts if isinstance(node, ast.List) else node.args if isinstance(node, ast.Call) else []
                if [getattr(e, "value", None) for e in parts[: len(words)]] == words:
                    return True
    return False


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.call is not None])
def test_every_command_has_its_door_test(name):
    if name in COMMAND_TESTS:
        assert [test for test in COMMAND_TESTS[name] if not names_its_door(test, name)] == []
    else:
        assert typed_by_some_test(name.split()), f"no test goes through `lemon-trader {name}`: write one, and a row here if it is not found"


def test_every_entry_of_the_menu_has_its_door_test():
    commands = {str(number): name for number, name in enumerate(menu.COMMANDS, int(menu.EXIT) + 1)}
    for number in [str(n) for n in range(1, int(menu.EXIT) + 1 + len(menu.COMMANDS))]:
        if number in MENU_TESTS:
            assert names_its_door(MENU_TESTS[number], number), number
        else:
            assert commands[number] in ALIKE, f"entry {number}, {commands[number]}"


def test_every_command_of_the_panel_has_its_door_test():
    assert sorted(PANEL_TESTS) == sorted(NAMES)
    assert [name for name in NAMES if not names_its_door(f"{PANEL}{PANEL_TESTS[name]}", name)] == []


# -- doors that had none --


ALIKE = [name for name in menu.COMMANDS if name not in {"plan", "doctor", "edit"}]


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    stand_alone(monkeypatch, tmp_path)


@pytest.mark.parametrize("name", ALIKE)
def test_an_entry_of_the_menu_prints_what_its_command_prints(capsys, monkeypatch, name):
    number = str(menu.COMMANDS.index(name) + int(menu.EXIT) + 1)
    pipe(monkeypatch, number, menu.EXIT)
    shown = run(capsys, main, ["menu", "--sandbox"])
    alone = run(capsys, main, [name, "--sandbox"])
    assert alone.out.strip()
    assert alone.out.strip() in shown.out
    assert shown.code == alone.code == 1


def test_the_menus_doctor_looks_at_the_sandbox_that_the_menu_looks_at(capsys, monkeypatch):
    with running_sandbox() as sandbox:
        pipe(monkeypatch, "10", menu.EXIT)
        shown = run(capsys, main, ["menu", "--sandbox-url", sandbox.rest_url])
    assert "SANDBOX" in shown.out
    assert sandbox.rest_url in shown.out or "clock" in shown.out.lower()
    assert shown.code in {0, 1}
    assert "Traceback" not in shown.err


def test_a_torn_and_a_rotten_journal_are_verified_and_repaired_by_the_door(capsys, tmp_path):
    from lemon_trader.core.events import IdsReserved, UserCommand

    place = tmp_path / "data-store" / "sandbox"
    store = FolderStore(place)
    journal = Journal(store, mode="sandbox", account="demo")
    journal.open(1)
    journal.append(IdsReserved(2, 1, 1025))
    for n in range(20):
        journal.append(UserCommand(3 + n, "kill", "", "test"))
    journal.close()
    store.close()
    path = place / "journal-000001"
    whole = path.read_bytes()
    sound = run(capsys, main, ["journal", "verify"])
    assert sound.code == 0
    assert "21" in sound.out, "every entry is counted"
    assert run(capsys, main, ["journal", "repair", "--sandbox"]).code == 0, "nothing to mend is no failure"
    path.write_bytes(whole[:400] + b"\xff" + whole[401:])
    assert run(capsys, main, ["journal", "verify", "--sandbox"]).code == 1
    mended = run(capsys, main, ["journal", "repair", "--sandbox"])
    assert mended.code == 0, mended.err
    assert "journal" in mended.out
    assert any(p.read_bytes()[400:401] == b"\xff" for p in place.iterdir() if p.stat().st_size > 400), "the damaged file is kept"
    assert run(capsys, main, ["journal", "verify", "--sandbox"]).code == 0


def test_an_empty_store_of_data_says_how_it_is_filled(capsys):
    for words in (["data", "list"], ["data", "check"]):
        shown = run(capsys, main, words)
        assert shown.code == 0
        assert "data fetch SOL_USDC" in shown.out
    assert run(capsys, main, ["data", "check", "nowhere.csv"]).code == 2


def test_trades_are_fetched_listed_and_checked_by_the_doors(capsys):
    with running_sandbox(seed=3) as sandbox:
        start = datetime.fromtimestamp(sandbox.clock.now_us() // US_PER_S - 3_600, UTC).strftime("%Y-%m-%dT%H:%M")
        done = run(capsys, main, ["data", "fetch", "SOL_USDC", "--what", "trades", "--start", start, "--rest-url", sandbox.rest_url])
    assert done.code == 0, done.out + done.err
    listed = run(capsys, main, ["data", "list"])
    assert listed.code == 0
    assert "SOL_USDC" in listed.out
    assert run(capsys, main, ["data", "check"]).code == 0


def test_a_market_is_recorded_by_the_door(capsys, tmp_path):
    with running_sandbox(seed=3) as sandbox:
        words = [
            "--symbol",
            "SOL_USDC",
            "--out",
            "tape.jsonl",
            "--duration",
            "2",
            "--rest-url",
            sandbox.rest_url,
            "--ws-url",
            sandbox.ws_url,
        ]
        done = run(capsys, main, ["record", *words])
    assert done.code == 0, done.out + done.err
    assert len(Path("tape.jsonl").read_text().splitlines()) > 5
