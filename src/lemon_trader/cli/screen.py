"""Lines and tables on a terminal, and the same without colour in a pipe."""

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from lemon_trader.messages.catalogue import say, shown
from lemon_trader.messages.width import pad, width, wrap

NUMBER: Final = re.compile(r"[-+]?[\d,]*\.?\d+\s?(%|[A-Z]{2,10})?|-|")
GAP: Final = "  "
COLUMNS_MIN: Final = 40
HEAD_LINES_MAX: Final = 6
DIGITS_MAX: Final = 6
WORDS_MIN: Final = 12  # columns that a column of words keeps, if it has so many


def columns_of(stream: TextIO) -> int:
    """How wide the screen is; a pipe is as wide as its text, here given as 100."""
    return max(COLUMNS_MIN, shutil.get_terminal_size((80, 24)).columns) if stream.isatty() else 100


def room_of(stream: TextIO) -> int | None:
    """The columns that text on `stream` must fit in; None where it may be as wide as it is: in a pipe, unless COLUMNS says otherwise."""
    if stream.isatty():
        return columns_of(stream)
    given = os.environ.get("COLUMNS", "")
    return max(COLUMNS_MIN, int(given)) if given.isascii() and given.isdigit() and len(given) < DIGITS_MAX and int(given) else None


def is_plain(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """True where nothing but text may be written: a pipe, NO_COLOR, a terminal that can do nothing."""
    return not stream.isatty() or bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"


def cell(value: object) -> str:
    """A cell's text: a dash for None, everything else as in a message."""
    return "-" if value is None else shown(value)


def print_text(text: str = "", *, stream: TextIO | None = None, flush: bool = False) -> None:
    """Words for a reader on `stream` (standard output): on a terminal they break at blanks, a pipe gets each line whole."""
    out = stream or sys.stdout
    print(fitted(text, out), file=out, flush=flush)


def fitted(text: str, stream: TextIO) -> str:
    """`text` in lines that the screen behind `stream` can show; what follows a break stands as far in as its line began."""
    room = room_of(stream)
    if room is None:
        return text
    lines: list[str] = []
    for whole in text.split("\n"):
        indent = whole[: len(whole) - len(whole.lstrip(" "))]
        lines += [(indent + part).rstrip() for part in wrap(whole.lstrip(" "), max(room - len(indent), COLUMNS_MIN // 2))]
    return "\n".join(lines)


def prompted(question: str) -> str:
    """A question that an answer is typed behind, in lines that the screen can show."""
    words = question.rstrip()
    return fitted(words, sys.stdout) + question[len(words) :]


def table_lines(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, room: int | None = None, rule: str = ""
) -> list[str]:  # fmt: skip
    """A table as plain lines: numbers to the right, East Asian text by its width, nothing cut.

    `room`: columns of the screen; a wider table breaks its words, never its numbers, and goes on below under its first column where even
    that is too wide. `rule`: what is drawn under the heads.
    """
    heads = [say(c) if c else "" for c in columns]
    cells = [[cell(value) for value in row] for row in rows]
    numeric = [all(NUMBER.fullmatch(row[i]) for row in cells) for i in range(len(heads))]
    lines = [title] if room is None else wrap(title, room)
    blocks = [list(range(len(heads)))] if room is None else _blocks(heads, cells, numeric, room)
    for number, block in enumerate(blocks):
        widths = _widths(heads, cells, numeric, block, room)
        if number:
            lines.append("")
        if any(heads):
            lines += _row_lines(heads, block, widths, numeric)
            if rule:
                lines.append(rule * (sum(widths.values()) + len(GAP) * (len(block) - 1)))
        for row in cells:
            lines += _row_lines(row, block, widths, numeric)
    return lines


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], stream: TextIO | None = None) -> None:
    """A table on `stream` (standard output): as wide as the screen at most, its title in bold, and plain lines in a pipe."""
    out = stream or sys.stdout
    room = room_of(out)
    if is_plain(out, os.environ):
        print("\n".join(table_lines(title, columns, rows, room=room)), file=out)
        return
    from rich.console import Console
    from rich.text import Text

    # Text and not str: a bracket in an exchange's answer is a bracket, not markup.
    drawn = Text("\n".join([*table_lines(title, columns, rows, room=room, rule="─"), ""]))
    drawn.stylize("bold", 0, len(title))
    Console(file=out, highlight=False, soft_wrap=True).print(drawn)


def _blocks(heads: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool], room: int) -> list[list[int]]:
    """The columns of each part of a table; one part where all fit, else every part begins with the first column."""
    least = [_least(heads, cells, numeric, i) for i in range(len(heads))]
    blocks = [[0]]
    used = least[0]
    for i in range(1, len(heads)):
        used += len(GAP) + least[i]
        if used > room and len(blocks[-1]) > 1:
            blocks.append([0])
            used = least[0] + len(GAP) + least[i]
        blocks[-1].append(i)
    return blocks


def _widths(
    heads: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool], block: Sequence[int], room: int | None
) -> dict[int, int]:  # fmt: skip
    """How wide each column of a part is: its widest text, and where that is too much, the least, with the rest given to words."""
    whole = {i: max([width(heads[i]), *(width(row[i]) for row in cells)]) for i in block}
    gaps = len(GAP) * (len(block) - 1)
    if room is None or sum(whole.values()) + gaps <= room:
        return whole
    least = {i: _least(heads, cells, numeric, i) for i in block}
    widths = least
    for lines in range(HEAD_LINES_MAX, 0, -1):  # heads in as few lines as the screen has room for
        tried = {i: _narrowest(heads[i], lines, least[i]) for i in block}
        if sum(tried.values()) + gaps > room:
            break
        widths = tried
    spare = max(room - gaps - sum(widths.values()), 0)
    for i in (i for i in block if not numeric[i]):
        more = min(whole[i] - widths[i], spare)
        widths[i] += more
        spare -= more
    return widths


def _narrowest(head: str, lines: int, least: int) -> int:
    """The fewest columns, `least` or more, in which a head takes no more than so many lines."""
    return next(columns for columns in range(least, max(least, width(head)) + 1) if len(wrap(head, columns)) <= lines)


def _least(heads: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool], i: int) -> int:
    """The fewest columns for column `i`: the longest word of its head, a number whole, of other text the longest word."""
    texts = [row[i] for row in cells]
    words = [word for text in (heads[i], *([] if numeric[i] else texts)) for word in wrap(text, 1)]
    widest = max((width(text) for text in texts), default=0)
    return max([*(width(word) for word in words), widest if numeric[i] else min(widest, WORDS_MIN)])


def _row_lines(row: Sequence[str], block: Sequence[int], widths: Mapping[int, int], numeric: Sequence[bool]) -> list[str]:
    """One row of a part, in as many lines as its longest cell takes."""
    parts = {i: wrap(row[i], widths[i]) for i in block}
    lines = []
    for n in range(max(len(part) for part in parts.values())):
        texts = [pad(parts[i][n] if n < len(parts[i]) else "", widths[i], right=numeric[i]) for i in block]
        lines.append(GAP.join(texts).rstrip())
    return lines
