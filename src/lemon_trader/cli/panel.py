"""`lemon-trader panel` and `python run.py --panel`: the panel's door, and the processes that it starts.

Everything the panel does beside the control channel is one of the program's own commands, run as a process of its own: an engine that was
started here belongs to nobody's terminal and lives on when the panel is closed.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import lemon_trader
from lemon_trader.cli.console import is_attended
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.doors import DONE
from lemon_trader.cli.flags import KEYS, Group, Typed, trading_groups
from lemon_trader.cli.screen import print_text
from lemon_trader.cli.trade import request_of
from lemon_trader.config.alerts import ALERTS
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request, choose_mode, preview
from lemon_trader.config.settings import MODES, SANDBOX
from lemon_trader.config.sources import Layers, variable_of
from lemon_trader.env_live import FolderStore
from lemon_trader.market.instruments import INSTRUMENTS
from lemon_trader.messages.catalogue import say, speak, spoken
from lemon_trader.panel.desk import Said
from lemon_trader.panel.settings import FILE, PanelSettings
from lemon_trader.run.panel import check_values, listed_symbols

FlagsOf = Callable[[str], Collection[str]]  # the flags that a command of the program knows

FOLDER: Final = Path("settings")
LOCK: Final = "panel.lock"
KEY_VARIABLES: Final = {"api_key": "API_KEY", "secret_key": "SECRET_KEY"}
COMMAND_S: Final = 120  # longest that a page is waited for
TAIL_BYTES: Final = 8_000
NOT_SETTINGS: Final = frozenset(
    {"strategy", "symbol", "help", "cli", "panel", "json", "lang", "data_dir", "yes", "as_written", "keep", *MODES}
)


def panel_groups() -> Sequence[Group]:
    """The flags of `lemon-trader panel`: those of a run, without a settings file, which the panel keeps itself."""
    return [(title, tuple(p for p in parameters if p.name != "file")) for title, parameters in trading_groups()]


def panel(typed: Typed, flags_of: FlagsOf, *, seed_door: bool = False) -> int:
    """Show the panel until it is closed; the exit code. Raises BadSetting where it cannot be shown, or was opened with what cannot be."""
    if "file" in typed.flags:
        raise BadSetting("panel.no-file", file=FOLDER / FILE)
    request = request_of(typed, seed_door=seed_door)
    house = preview(request, declarations()).house
    speak(str(house["lang"] or spoken()))
    mode = _mode(request)
    if not is_attended() or os.environ.get("TERM") == "dumb":
        raise BadSetting("panel.no-terminal")
    desk = ProgramDesk(typed, Path(str(house["data_dir"])), mode, flags_of)
    settings = open_settings(FOLDER, os.environ)
    settings.give({k: v for k, v in typed.flags.items() if k not in NOT_SETTINGS}, typed.flag_words, _which(typed))

    from lemon_trader.panel.app import Panel

    app = Panel(desk, settings, declarations(), alone=desk.is_first())
    app.run(mouse=False)
    print_text(say("panel.closed-running", mode=app.scene.mode.upper()) if app.scene.is_running else say("panel.closed"))
    return app.return_code or DONE


def open_settings(folder: Path, environment: Mapping[str, str]) -> PanelSettings:
    """The panel's settings in this folder, read; a folder that cannot be made costs only the saving."""
    try:
        store: FolderStore | None = FolderStore(folder)
    except OSError:
        store = None
    settings = PanelSettings(store, declarations(), check_values, environment)
    settings.load()
    return settings


def _which(typed: Typed) -> Mapping[str, str]:
    return {name: typed.flags[name] for name in ("strategy", "symbol") if name in typed.flags}


def _mode(request: Request) -> str:
    """The mode that the flags name, else as a start from this door would choose it; "" where it must be chosen first."""
    try:
        return choose_mode(request, Layers(request.flags, request.environment, None, request.flag_words))[0]
    except BadSetting as refused:
        if refused.key != "mode.keys-without-mode":
            raise
        return ""


class ProgramDesk:
    """The world as the panel may use it: this program's commands as processes, and the stores of its engines."""

    def __init__(self, typed: Typed, data_dir: Path, asked: str, flags_of: FlagsOf) -> None:
        self.modes: Sequence[str] = MODES
        self.asked = asked
        self.environment: Mapping[str, str] = os.environ
        self._data_dir = data_dir
        self._flags_of = flags_of
        self._house = FolderStore(data_dir)
        self._stores: dict[str, FolderStore] = {}
        # Never on a command line, where every process of the machine could read them.
        secrets = {KEY_VARIABLES[p.name]: typed.flags[p.name] for p in KEYS if p.name in typed.flags}
        secrets |= {variable_of(p.name): typed.flags[p.name] for p in ALERTS if p.name in typed.flags}
        source = str(Path(lemon_trader.__file__).parents[1])
        path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        self._environment = {**os.environ, **secrets, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}

    def is_first(self) -> bool:
        """True when no other panel looks at these records."""
        return self._house.lock(LOCK)

    def store(self, mode: str) -> FolderStore:
        """Where the engine of this mode keeps its records. Raises OSError."""
        if mode not in self._stores:
            self._stores[mode] = FolderStore(self._data_dir / mode)
        return self._stores[mode]

    async def command(self, name: str, mode: str, words: Sequence[str] = ()) -> Said:
        """Run one of the program's commands to its end. Raises BadSetting for one that does not come back."""
        process = await asyncio.create_subprocess_exec(
            *self._line(name, mode, words), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env={**self._environment, "COLUMNS": str(_page_columns())},
        )  # fmt: skip
        try:
            async with asyncio.timeout(COMMAND_S):
                out, _ = await process.communicate()
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise BadSetting("panel.too-slow", command=name, seconds=COMMAND_S) from error
        return Said(process.returncode or 0, out.decode("utf-8", "replace"))

    def launch(self, mode: str, words: Sequence[str]) -> "Launched":
        """Start an engine that belongs to no terminal. Raises OSError."""
        name = f"panel-start-{mode}.log"
        self._house.replace(name, b"")
        path = self._data_dir / name
        with path.open("ab") as file:
            return Launched(_detached(self._line("run", mode, words), file, self._environment), path)

    async def symbols(self, mode: str) -> Sequence[str]:
        """The markets of this mode. Raises OSError."""
        return sorted(INSTRUMENTS) if mode == SANDBOX else await listed_symbols(self._data_dir)

    def _line(self, name: str, mode: str, words: Sequence[str]) -> list[str]:
        """The command line; of the flags that every command gets here, those that this one knows."""
        known = self._flags_of(name)
        ours = [f"--{mode}", f"--data-dir={self._data_dir}", f"--lang={spoken()}"]
        given = [word for word in (*ours, *words) if not word.startswith("--") or _flag(word) in known]
        return [sys.executable, "-m", "lemon_trader.main", name, *given]


class Launched:
    """An engine that was started here."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._process = process
        self._output = output

    def ended(self) -> int | None:
        """Its exit code; None while it lives."""
        return self._process.poll()

    def said(self) -> str:
        """The end of what it printed."""
        return self._output.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace")


def _page_columns() -> int:
    """What a page of the panel shows of a line: its scroll bar takes a column."""
    return shutil.get_terminal_size().columns - 2


def _flag(word: str) -> str:
    flag = word.split("=", 1)[0]
    return f"--{flag.removeprefix('--no-')}" if flag.startswith("--no-") else flag


def _detached(line: Sequence[str], output: IO[bytes], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """A process in a session of its own: neither Ctrl-C nor the end of this terminal reaches it."""
    return subprocess.Popen(  # noqa: S603  our own program, our own words
        line, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=dict(environment), start_new_session=True
    )
