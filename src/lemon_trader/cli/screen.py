"""Lines and tables on a terminal, and the same without colour in a pipe."""

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from lemon_trader.messages.catalogue import say, shown
from lemon_trader.messages.width import pad, width

NUMBER: Final = re.compile(r"[-+]?[\d,]*\.?\d+\s?(%|[A-Z]{2,10})?|-|")
GAP: Final = "  "
COLUMNS_MIN: Final = 40


def columns_of(stream: TextIO) -> int:
    """How wide the screen is; a pipe is as wide as its text, here given as 100."""
    return max(COLUMNS_MIN, shutil.get_terminal_size((80, 24)).columns) if stream.isatty() else 100


def is_plain(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """True where nothing but text may be written: a pipe, NO_COLOR, a terminal that can do nothing."""
    return not stream.isatty() or bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"


def cell(value: object) -> str:
    """A cell's text: a dash for None, everything else as in a message."""
    return "-" if value is None else shown(value)


def table_lines(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table as plain lines: numbers to the right, East Asian text by its width, nothing cut."""
    heads = [say(c) if c else "" for c in columns]
    cells = [[cell(value) for value in row] for row in rows]
    right = [all(NUMBER.fullmatch(row[i]) for row in cells) for i in range(len(heads))]
    widths = [max([width(heads[i]), *(width(row[i]) for row in cells)]) for i in range(len(heads))]

    def line(texts: Sequence[str]) -> str:
        return GAP.join(pad(text, widths[i], right=right[i]) for i, text in enumerate(texts)).rstrip()

    return [title, *([line(heads)] if any(heads) else []), *(line(row) for row in cells)]


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], stream: TextIO | None = None) -> None:
    """A table on `stream` (standard output): drawn on a terminal, plain lines elsewhere."""
    out = stream or sys.stdout
    if is_plain(out, os.environ):
        print("\n".join(table_lines(title, columns, rows)), file=out)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[cell(value) for value in row] for row in rows]
    drawn = Table(title=Text(title, style="bold"), title_justify="left", box=SIMPLE_HEAD, show_header=any(columns), pad_edge=False)
    for i, name in enumerate(columns):
        numeric = all(NUMBER.fullmatch(row[i]) for row in cells)
        drawn.add_column(Text(say(name) if name else ""), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        # Text and not str: a bracket in an exchange's answer is a bracket, not markup.
        drawn.add_row(*(Text(text) for text in row))
    Console(file=out, highlight=False).print(drawn)
