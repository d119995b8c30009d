"""`logs`: the end of the program's log in lines for people, older files included; `--follow` goes on as it grows."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lemon_trader.cli.doors import DONE, FAILED
from lemon_trader.cli.flags import HELP, MODE_FLAGS, Group, Typed
from lemon_trader.cli.running import OURS, modes, place
from lemon_trader.config.model import read
from lemon_trader.logger import FILE, FILES_KEPT, LEVELS
from lemon_trader.messages.catalogue import escaped, knows, say
from lemon_trader.messages.told import say_alert
from lemon_trader.strategies.parameter import Parameter

LINES: Final = Parameter("lines", "--lines", "int", "40", "help.lines", low="1", high="100000")
LEVEL: Final = Parameter("level", "--level", "choice", "debug", "help.level", choices=tuple(LEVELS))
FOLLOW: Final = Parameter("follow", "--follow", "bool", "false", "help.follow")
OWN: Final = (LINES, LEVEL, FOLLOW)
POLL_MS: Final = 500
HEAD: Final = frozenset({"at", "mode", "level", "event", "logger", "exception"})


def groups() -> Sequence[Group]:
    """The flags of `logs`."""
    return [("group.house", (*OWN, *MODE_FLAGS, *OURS, HELP))]


def logs(typed: Typed) -> int:
    """Print the last lines of each mode's log, or of the one that is named. With `--json` each line as it stands in the file.

    Raises BadSetting.
    """
    given = {p.name: typed.flags[p.name] for p in OWN if p.name in typed.flags}
    values = read("logs", OWN, given, {p.name: p.flag for p in OWN})
    folders = [folder for mode in modes(typed) if (folder := place(typed) / mode).is_dir()]
    floor = LEVELS[str(values["level"])]
    found = sorted(
        (line for folder in folders for line in wanted(lines_of(folder), floor)), key=lambda line: str(line.get("at", ""))
    )  # by time: the modes' files lie side by side
    show: Callable[[Mapping[str, Any]], str] = as_json if typed.flags.get("json") else for_people
    for line in found[-int(str(values["lines"])) :]:
        print(show(line))
    if values["follow"] and folders:
        _follow(folders, floor, show)
    elif not found:
        print(say("logs.none", place=place(typed), modes=", ".join(modes(typed))))
    return DONE if found else FAILED


def wanted(lines: Iterator[Mapping[str, Any]], floor: int) -> Iterator[Mapping[str, Any]]:
    """Those of at least this grade; a line whose grade nobody knows is shown rather than lost."""
    return (line for line in lines if LEVELS.get(str(line.get("level")), LEVELS["critical"]) >= floor)


def lines_of(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Every line of a store's log, oldest first."""
    names = [f"{FILE}.{age}" for age in range(FILES_KEPT, 0, -1)] + [FILE]
    for name in names:
        if (folder / name).is_file():
            yield from decoded((folder / name).read_bytes())


def decoded(data: bytes) -> Iterator[Mapping[str, Any]]:
    """Log lines out of bytes; what is no line of the log (a torn one) is passed over."""
    for raw in data.splitlines():
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line


def for_people(line: Mapping[str, Any]) -> str:
    """One line: time, mode, grade, and the event, as a sentence where it is a message of the program's."""
    at = str(line.get("at", "-"))[:19].replace("T", " ")
    event = str(line.get("event", "-"))
    fields = {str(name): value for name, value in line.items() if name not in HEAD}
    if knows(event):
        text = say_alert(event, fields)
    else:
        text = " ".join([escaped(event), *(f"{escaped(name)}={escaped(str(value))}" for name, value in fields.items())])
    cause = f" | {escaped(str(line['exception']).strip().rsplit(chr(10), 1)[-1])}" if line.get("exception") else ""
    return f"{escaped(at)} {escaped(str(line.get('mode', '-'))).upper()} {escaped(str(line.get('level', '-'))).upper():<8} {text}{cause}"


def as_json(line: Mapping[str, Any]) -> str:
    """One line as it stands in the file."""
    return json.dumps(line, ensure_ascii=True)


def _follow(folders: Sequence[Path], floor: int, show: Callable[[Mapping[str, Any]], str]) -> None:
    """Print what is added, until interrupted. A file that became shorter was rotated, and is read from its beginning."""
    paths = [folder / FILE for folder in folders]
    seen = {path: _size(path) for path in paths}
    while True:
        for path in paths:
            size = _size(path)
            if size < seen[path]:
                seen[path] = 0
            if size > seen[path]:
                with path.open("rb") as file:
                    file.seek(seen[path])
                    data = file.read(size - seen[path])
                whole = data.rfind(b"\n") + 1  # a line that is being written is read when it is whole
                seen[path] += whole
                for line in wanted(decoded(data[:whole]), floor):
                    print(show(line), flush=True)
        time.sleep(POLL_MS / 1_000)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
