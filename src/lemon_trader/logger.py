"""The log: JSON lines in a file that never grows beyond its bound, plain lines on the console, and no secret in either.

Whoever logs on the path of an order only leaves a note in memory; `flush`, called between turns, makes text of it. Secrets are taken out
by value, as the last thing before the bytes are written: whatever field, error text or traceback they came in. Text of other people
cannot end a line, move a cursor or turn the writing round.
"""

import base64
import binascii
import json
import logging
import string
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import quote, quote_plus

import structlog

WINDOW: Final = 8  # this many characters of a secret in a row are a leak
HIDDEN: Final = "***"
VALUE_MAX: Final = 1_000  # characters of one value; the traceback may have more
TRACEBACK_MAX: Final = 8_000
FIELDS_MAX: Final = 40
NAME_MAX: Final = 60
NOTES_MAX: Final = 10_000
FILE: Final = "lemon-trader.log"
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
FILES_KEPT: Final = 3  # older ones beside the current: .1 is the youngest
UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, format (direction marks), surrogate, line separators
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN: Final = frozenset(string.printable) - frozenset("\t\n\r\x0b\x0c")


class LogFile(Protocol):
    """An append-only file."""

    def append(self, data: bytes) -> None:
        """Hand over. Raises OSError."""

    def close(self) -> None:
        """Give it back."""


class LogStore(Protocol):
    """The folder that the log lies in."""

    def read(self, name: str) -> bytes:
        """All of it; b"" when there is none. Raises OSError."""

    def open_append(self, name: str) -> LogFile:
        """Open for appending. Raises OSError."""

    def replace(self, name: str, data: bytes) -> None:
        """Write whole. Raises OSError."""

    def truncate(self, name: str, length: int) -> None:
        """Cut. Raises OSError."""


class Redactor:
    """Knows the secrets and takes every stretch of them out of a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._windows: set[str] = set()
        self._short: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Never let this text through again, nor its spellings in base64, hex and percent signs, nor 8 characters of any of them."""
        for spelling in spellings(secret):
            if len(spelling) >= WINDOW:
                self._windows.update(spelling[i : i + WINDOW] for i in range(len(spelling) - WINDOW + 1))
            elif spelling == secret and secret:
                self._short.append(secret)  # too short for a window: only the whole is known

    def clean(self, text: str) -> str:
        """The text with every known stretch replaced by three stars."""
        for secret in self._short:
            text = text.replace(secret, HIDDEN)
        windows = self._windows
        if not windows or len(text) < WINDOW:
            return text
        parts: list[str] = []
        at = kept = 0
        while at <= len(text) - WINDOW:
            if text[at : at + WINDOW] not in windows:
                at += 1
                continue
            parts += (text[kept:at], HIDDEN)
            end = at + WINDOW
            while at < end and at <= len(text) - WINDOW:  # as long as windows overlap it is one stretch
                if text[at : at + WINDOW] in windows:
                    end = at + WINDOW
                at += 1
            at = kept = end
        return "".join((*parts, text[kept:])) if parts else text


def spellings(secret: str) -> set[str]:
    """The ways in which a secret, and the bytes that it spells in base64 or hex, may come to be written."""
    found = {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    for data in (secret.encode(), *_decoded(secret)):
        found |= {data.hex(), data.hex().upper(), data.hex(" "), data.hex(":"), repr(data)[2:-1], json.dumps(repr(data)[2:-1])[1:-1]}
        for lead in range(3):  # inside a longer text the groups of base64 begin at any of three places
            inner = base64.b64encode(bytes(lead) + data).decode().rstrip("=")
            inner = inner[(0, 2, 3)[lead] : len(inner) - (1 if (lead + len(data)) % 3 else 0)]
            found |= {inner, inner.replace("+", "-").replace("/", "_")}
        found |= {base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode(), base64.b32encode(data).decode()}
    percent = {f(s, safe="") for s in tuple(found) for f in (quote, quote_plus)}
    percent |= {"".join(f"%{byte:02{x}}" for byte in secret.encode()) for x in ("x", "X")}
    percent |= {_lower_percent(s) for s in percent}
    return {s for s in found | percent if s}


def safe(text: str, limit: int = VALUE_MAX) -> str:
    """`text` on one line, with whatever a terminal could obey written as its code, cut at `limit` characters with a note of how much."""
    cut = len(text) - limit
    if cut > 0:
        text = text[:limit]
    if not _PLAIN.issuperset(text):
        text = "".join(c if c in _PLAIN or unicodedata.category(c) not in UNSAFE else _code(c) for c in text)
    return f"{text}…(+{cut})" if cut > 0 else text


class Log:
    """Takes notes and writes them down.

    Attributes:
        lost: notes that were not kept, because too many waited or the disk refused.
    """

    def __init__(
        self, store: LogStore | None, *, mode: str, wall_us: Callable[[], int], redactor: Redactor, level: str = "info",
        console: Callable[[str], None] | None = None, console_level: str = "warning", file_bytes_max: int = FILE_BYTES_MAX,
        files_kept: int = FILES_KEPT,
    ) -> None:  # fmt: skip
        """A log of one process.

        Args:
            store: folder of the file; None = console only.
            mode: live, paper, sandbox or replay; stands in each line.
            wall_us: the wall clock, µs UTC.
            redactor: knows the secrets; more may be added to it later.
            level: of the file.
            console: prints one line; None = no console.
            console_level: of the console.
            file_bytes_max: of each file.
            files_kept: older files beside the current one.
        """
        self.lost = 0
        self._store = store
        self._mode = mode
        self._wall_us = wall_us
        self._redactor = redactor
        self._level = LEVELS[level]
        self._console = console
        self._console_level = LEVELS[console_level]
        self._bytes_max = file_bytes_max
        self._kept = files_kept
        self._notes: deque[tuple[int, str, dict[str, Any]]] = deque()
        self._file: LogFile | None = None
        self._length = 0
        self._torn = False

    def logger(self, name: str) -> Any:
        """A structlog logger whose lines come here: `log.logger("engine").warning("feed lost", reason=…)`."""
        floor = min(self._level, self._console_level)
        processors: list[Any] = [structlog.processors.add_log_level, structlog.processors.format_exc_info, self._take]
        return structlog.wrap_logger(None, processors, structlog.make_filtering_bound_logger(floor)).bind(logger=name)

    def note(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Leave a note. Nothing is formatted or written now, unless it is an error: a crash may follow."""
        if len(self._notes) >= NOTES_MAX:
            self.lost += 1
            return
        self._notes.append((self._wall_us(), level, {"event": event, **fields}))
        if LEVELS.get(level, LEVELS["error"]) >= LEVELS["error"]:
            self.flush()

    def flush(self) -> None:
        """Write what was noted. Never raises: a disk that refuses costs lines, which are counted and told when it takes them again."""
        lines: list[str] = []
        while self._notes:
            at_us, level, fields = self._notes.popleft()
            grade = LEVELS.get(level, LEVELS["error"])
            if grade >= self._level:
                lines.append(self._line(at_us, level, fields))
            if self._console is not None and grade >= self._console_level:
                self._console(self._redactor.clean(_for_people(_time(at_us), self._mode, level, fields)))
        if lines and self._store is not None:
            self._write(self._store, lines)

    def close(self) -> None:
        """Write the rest and give the file back."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self, _logger: Any, _method: str, fields: MutableMapping[str, Any]) -> str:
        self.note(fields.pop("level", "info"), str(fields.pop("event", "")), fields)
        raise structlog.DropEvent

    def _line(self, at_us: int, level: str, fields: Mapping[str, Any]) -> str:
        shown = {"at": _time(at_us), "mode": self._mode, "level": level}
        shown |= {safe(str(name), NAME_MAX): _shown(name, value) for name, value in list(fields.items())[:FIELDS_MAX]}
        return self._redactor.clean(json.dumps(shown, ensure_ascii=False, separators=(",", ":")))

    def _write(self, store: LogStore, lines: list[str]) -> None:
        telling = self.lost
        if telling:
            lines.insert(0, self._line(self._wall_us(), "error", {"event": "log lines were lost", "count": telling}))
        while lines:
            chunk, size = 0, 0
            for line in lines:
                size += len(line.encode()) + 1
                if chunk and size > self._bytes_max:
                    break
                chunk += 1
            try:
                self._append(store, "".join(f"{line}\n" for line in lines[:chunk]).encode())
            except OSError:
                self._torn = True  # part of it may stand there: what comes next begins a line of its own
                self.lost += len(lines) - bool(telling)
                return
            del lines[:chunk]
            self.lost -= telling
            telling = 0

    def _append(self, store: LogStore, data: bytes) -> None:
        """Write, and rotate before it grows too long. Raises OSError."""
        if self._file is None:
            self._length = len(store.read(FILE))
            self._file = store.open_append(FILE)
        if self._length and self._length + len(data) > self._bytes_max:
            self._rotate(store)
        self._file.append(b"\n" + data if self._torn else data)
        self._length += len(data) + self._torn
        self._torn = False

    def _rotate(self, store: LogStore) -> None:
        """Move every file on by one and begin the current one anew. Raises OSError."""
        for age in range(self._kept, 1, -1):
            older = store.read(f"{FILE}.{age - 1}")
            if older:
                store.replace(f"{FILE}.{age}", older)
        if self._kept:
            store.replace(f"{FILE}.1", store.read(FILE))
        store.truncate(FILE, 0)
        self._length = 0


class LibraryHandler(logging.Handler):
    """Brings what libraries say through `logging` here, so that it is cleaned like everything else."""

    def __init__(self, log: Log, level: int = logging.WARNING) -> None:
        super().__init__(level)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Note one record of a library."""
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        try:
            text = record.getMessage()
        except (TypeError, ValueError) as error:
            text = f"{record.msg!r} ({error})"
        level = next(name for name, floor in reversed(LEVELS.items()) if record.levelno >= floor or name == "debug")
        self._log.note(level, text, fields)


def _shown(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    text = value if isinstance(value, str) else str(value)
    if name in {"exception", "stack"}:
        return safe(text[-TRACEBACK_MAX:], TRACEBACK_MAX)  # its end says what happened
    return safe(text)


def _for_people(at: str, mode: str, level: str, fields: Mapping[str, Any]) -> str:
    parts = [at[11:19], mode.upper(), f"{level.upper():<8}", safe(str(fields["event"]))]
    hidden = {"event", "exception", "logger"}
    parts += [f"{safe(str(k), NAME_MAX)}={_shown(k, v)}" for k, v in list(fields.items())[:FIELDS_MAX] if k not in hidden]
    if "exception" in fields:
        parts += ["|", safe(str(fields["exception"]).strip().rsplit("\n", 1)[-1])]
    return " ".join(parts)


def _time(at_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _code(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _decoded(secret: str) -> list[bytes]:
    """What the secret spells when it is base64 or hex: keys are handed over so."""
    found: list[bytes] = []
    for decode in (_from_base64, bytes.fromhex):
        try:
            found.append(decode(secret.strip()))
        except (ValueError, binascii.Error):
            continue
    return [data for data in found if data]


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)


def _lower_percent(text: str) -> str:
    parts = text.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])
