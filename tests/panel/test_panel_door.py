"""The panel's doors: where it cannot be shown it says so, what it is opened with is checked as at every door, and real engines run beside it."""

import asyncio
import base64
import os
import signal
import sys

import pytest
from tests.cli.typed import process, run
from tests.panel.kit import Opened

from lemon_trader.cli import app, seed
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.flags import read_flags
from lemon_trader.cli.panel import ProgramDesk, open_settings, panel_groups
from lemon_trader.messages.catalogue import say, speak
from lemon_trader.panel.app import Panel

DOORS = {"run.py": lambda words: seed.main("run.py", ["--panel", *words]), "lemon-trader": lambda words: app.main(["panel", *words])}
KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize("door", DOORS)
def test_in_a_pipe_it_says_what_to_use_instead_and_leaves_nothing_behind(monkeypatch, capsys, tmp_path, door):
    monkeypatch.chdir(tmp_path)
    printed = run(capsys, DOORS[door], ["--lang", "en"])
    assert printed.code == 2
    assert "lemon-trader status" in printed.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--spread", "-0.4"], "-0.4"),
        (["--spraed", "0.4"], "--spread"),
        (["--live", "--paper"], "--live"),
        (["--lang", "fr"], "fr"),
    ],
)
def test_what_it_is_opened_with_is_refused_as_at_every_door(monkeypatch, capsys, tmp_path, door, words, says):
    monkeypatch.chdir(tmp_path)
    printed = run(capsys, DOORS[door], words)
    assert printed.code == 2
    assert says in printed.err


def test_a_settings_file_belongs_to_a_run_and_not_to_the_panel(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    printed = run(capsys, DOORS["run.py"], ["--file", "lemon.toml"])
    assert printed.code == 2
    assert "panel_settings.json" in printed.err


@pytest.mark.process
def test_the_toolkit_is_loaded_by_nothing_but_an_open_panel(tmp_path):
    script = tmp_path / "loaded.py"
    root = os.fspath(seed.__file__).partition("lemon_trader")[0]
    script.write_text(
        f"import sys\nsys.path.insert(0, {root!r})\nfrom lemon_trader.cli.app import main\n"
        "for words in (['panel'], ['panel', '--help'], ['status'], ['config', 'show']):\n    main(words)\nprint('LOADED', 'textual' in sys.modules)\n"
    )
    assert process(script, [], tmp_path).out.splitlines()[-1] == "LOADED False"


def desk_in(tmp_path, *words):
    typed = read_flags(["--sandbox", *words], panel_groups(), words=False)
    return ProgramDesk(typed, tmp_path / "data", "sandbox", app.flags_of)


def test_keys_and_hooks_go_to_an_engine_by_its_environment_and_never_on_a_command_line(tmp_path):
    desk = desk_in(tmp_path, "--api-key", KEY, "--secret-key", KEY, "--on-alert", "https://example.invalid/hook")
    lines = [desk._line(name, "live", ["market-maker:SOL_USDC", "--yes"]) for name in ("run", "plan", "kill", "report", "doctor", "logs")]
    assert not [word for line in lines for word in line if KEY in word or "invalid" in word]
    assert desk._environment["API_KEY"] == KEY
    assert desk._environment["LEMON_TRADER_ON_ALERT"].startswith("https://")


@pytest.mark.parametrize(
    "name", ["status", "balance", "orders", "why", "report", "logs", "doctor", "plan", "stop", "cancel", "kill", "flatten", "resume"]
)
def test_every_command_that_the_panel_runs_takes_what_it_is_given(tmp_path, name):
    pair = ["market-maker:SOL_USDC", "--spread=0.4", "--no-stop-by-layer"] if name == "plan" else ["--yes"]
    line = desk_in(tmp_path)._line(name, "sandbox", pair)
    command = app.COMMANDS[name]
    assert command.call is not None, "it exists"
    read_flags(line[line.index(name) + 1 :], command.groups(), words=bool(command.operands))


def test_two_panels_know_of_each_other(tmp_path):
    first, second = desk_in(tmp_path), desk_in(tmp_path)
    assert first.is_first()
    assert not second.is_first()


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="process groups of this kind are POSIX's")
def test_a_real_engine_is_started_outlives_its_panel_and_is_stopped_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    speak("en")

    async def first(desk):
        panel = Panel(desk, open_settings(tmp_path / "settings", {}), declarations())
        async with panel.run_test(size=(80, 24)) as pilot:
            opened = Opened(panel, pilot, desk, None, [], {})
            await opened.type("set spread 0.2 duration 10m")
            await opened.type("start SOL_USDC")
            assert panel.commands.launched is not None, opened.log
            await waited(opened, lambda: panel.scene.is_running and "Quoting: yes" in opened.text())
            await waited(opened, lambda: len(panel.scene.track["SOL_USDC"]) > 3)
            await opened.type("why")
            assert say("why.title", symbol="SOL_USDC") in opened.text()
            await pilot.press("escape")
            await opened.type("exit")
        return panel.commands.launched

    async def second(desk, launched):
        panel = Panel(desk, open_settings(tmp_path / "settings", {}), declarations())
        async with panel.run_test(size=(200, 60)) as pilot:
            opened = Opened(panel, pilot, desk, None, [], {})
            assert launched.ended() is None, "closing a panel ends nothing"
            await waited(opened, lambda: panel.scene.is_running)
            await opened.type("flatten")
            await opened.reply("flatten")
            await waited(opened, lambda: "HALTED" in opened.text())
            await opened.type("resume")
            assert "SOL_USDC" in opened.text()
            await opened.reply("resume")
            await waited(opened, lambda: panel.scene.picture["state"] == "ACTIVE")
            await opened.type("stop")
            await waited(opened, lambda: not panel.scene.is_running)
            await waited(opened, lambda: launched.ended() is not None)
        assert launched.ended() == 0, launched.said()

    async def waited(opened, true):
        for _ in range(600):
            if true():
                return
            await opened.pilot.pause(0.1)
        raise AssertionError(f"it never came: {opened.log}\n{opened.text()}")

    launched = None
    try:
        launched = asyncio.run(first(desk_in(tmp_path)))
        asyncio.run(second(desk_in(tmp_path), launched))
    finally:
        if launched is not None and launched.ended() is None:
            os.kill(launched._process.pid, signal.SIGKILL)
            launched._process.wait()
