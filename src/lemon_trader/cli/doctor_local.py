"""The doctor's look at this machine: Python, terminal, the store and its journal, the file with the keys. Nothing is changed by looking."""

import os
import shutil
import stat
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from lemon_trader import __version__
from lemon_trader.cli.screen import is_plain
from lemon_trader.config.keys import DOTENV, OTHERS_MAY
from lemon_trader.config.reach import ReachSettings
from lemon_trader.config.settings import LIVE, LOCK_FILE
from lemon_trader.core.instrument import atoms_text
from lemon_trader.database.chain import JournalTooNew
from lemon_trader.database.journal_care import verify
from lemon_trader.env_live import FolderStore
from lemon_trader.run.doctor.lines import Lines
from lemon_trader.run.doctor.record import is_proven
from lemon_trader.run.trading import UNPROVEN_BUDGET

COLUMNS: Final = 80
ROWS: Final = 24
FREE_BYTES: Final = 200 << 20
LIBRARIES: Final = ("aiohttp", "msgspec", "picows", "PyNaCl", "pydantic", "uvloop")


def look_at_machine(settings: ReachSettings, lines: Lines, dotenv: Path = DOTENV) -> None:
    """Everything that can be said without the exchange."""
    _versions(lines)
    _terminal(lines)
    _store(settings, lines)
    _dotenv(settings, lines, dotenv)


def is_loose(dotenv: Path) -> bool:
    """Whether others may read the file with the keys; it is not opened to find out."""
    return os.name == "posix" and dotenv.exists() and bool(dotenv.stat().st_mode & OTHERS_MAY)


def _versions(lines: Lines) -> None:
    found = []
    missing = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    python = ".".join(str(part) for part in sys.version_info[:3])
    values: dict[str, object] = {"version": __version__, "python": python, "libraries": ", ".join(found)}
    if missing:
        lines.warn("versions", "doctor.versions.missing", "doctor.versions.fix", missing=", ".join(missing), **values)
    else:
        lines.ok("versions", "doctor.versions.ok", **values)


def _terminal(lines: Lines) -> None:
    encoding = (sys.stdout.encoding or "ascii").lower().replace("_", "-")
    if encoding not in {"utf-8", "utf8"}:
        lines.warn("locale", "doctor.locale.bad", "doctor.locale.fix", encoding=encoding)
    else:
        lines.ok("locale", "doctor.locale.ok", encoding=encoding)
    if not sys.stdout.isatty():
        lines.ok("terminal", "doctor.terminal.pipe")
        return
    size = shutil.get_terminal_size((COLUMNS, ROWS))
    values: dict[str, object] = {"columns": size.columns, "rows": size.lines, "least": f"{COLUMNS} × {ROWS}"}
    if size.columns < COLUMNS or size.lines < ROWS:
        lines.warn("terminal", "doctor.terminal.small", "doctor.terminal.fix", **values)
    elif is_plain(sys.stdout, os.environ):
        lines.ok("terminal", "doctor.terminal.plain", **values)
    else:
        lines.ok("terminal", "doctor.terminal.ok", **values)


def _store(settings: ReachSettings, lines: Lines) -> None:
    place = settings.store_dir
    nearest = next((p for p in (place, *place.absolute().parents) if p.exists()), Path("/"))
    try:
        if not nearest.is_dir():
            raise NotADirectoryError(20, "not a folder", str(nearest))
        if nearest == place:
            with tempfile.TemporaryFile(dir=place):
                pass
        elif not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(13, "not writable", str(nearest))
        free = shutil.disk_usage(nearest).free
    except OSError as error:
        lines.fail("store", "doctor.store.bad", "doctor.store.fix", place=place, reason=error.strerror or type(error).__name__)
        return
    if free < FREE_BYTES:
        lines.warn("store", "doctor.store.full", "doctor.store.full-fix", place=place, free=free >> 20)
    else:
        lines.ok("store", "doctor.store.ok", place=place, free=free >> 20)
    if nearest == place:
        _journal(settings, lines)
    else:
        lines.ok("journal", "doctor.journal.none")


def _journal(settings: ReachSettings, lines: Lines) -> None:
    store = FolderStore(settings.store_dir)
    try:
        if store.lock(LOCK_FILE):
            lines.ok("engine", "doctor.engine.none")
        else:
            lines.ok("engine", "doctor.engine.runs")
        found = verify(store)
        if found.damage:
            lines.fail("journal", "doctor.journal.damaged", "doctor.journal.fix", mode=settings.mode, damage=found.damage)
        elif not found.segments:
            lines.ok("journal", "doctor.journal.none")
        else:
            lines.ok("journal", "doctor.journal.ok", entries=found.entries)
        if settings.mode == LIVE and settings.keys is not None:
            if is_proven(store, settings.keys.api_key):
                lines.ok("live-checks", "doctor.proven.ok")
            else:
                lines.warn("live-checks", "doctor.proven.not", "doctor.proven.fix", cap=atoms_text(UNPROVEN_BUDGET))
    except JournalTooNew as error:
        lines.fail("journal", "doctor.journal.new", "doctor.journal.new-fix", reason=str(error))
    except OSError as error:
        lines.fail("journal", "doctor.store.bad", "doctor.store.fix", place=settings.store_dir, reason=error.strerror or "-")
    finally:
        store.close()


def _dotenv(settings: ReachSettings, lines: Lines, dotenv: Path) -> None:
    if not os.path.lexists(dotenv):
        if settings.mode == LIVE and settings.keys is not None:
            lines.ok("env-file", "doctor.env.elsewhere", source=settings.keys.source)
        else:
            lines.ok("env-file", "doctor.env.none", file=dotenv)
    elif is_loose(dotenv):
        mode = f"{stat.S_IMODE(dotenv.stat().st_mode):04o}"
        lines.fail("env-file", "doctor.env.loose", "doctor.env.fix", file=dotenv, mode=mode, command=f"chmod 600 {dotenv}")
    else:
        lines.ok("env-file", "doctor.env.ok", file=dotenv)
