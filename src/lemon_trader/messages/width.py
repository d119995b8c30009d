"""How many columns of a terminal a text takes: East Asian characters are two wide, marks that combine take none."""

import re
import unicodedata
from typing import Final

WIDE: Final = frozenset({"W", "F"})
ELLIPSIS: Final = "…"
# A run of narrow text with the blanks behind it, or one East Asian character with the punctuation that may not begin a line.
PIECES: Final = re.compile(r"[^\s\u2e80-\uffef]+\s*|[\u2e80-\uffef][。，、；：！？）」』]*\s*|\s+")


def width(text: str) -> int:
    """Columns that `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_width(c) for c in text)


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """`text` filled up to `columns` with blanks after it, or before it (`right`); longer text is cut."""
    cut_text = cut(text, columns)
    blanks = " " * (columns - width(cut_text))
    return blanks + cut_text if right else cut_text + blanks


def cut(text: str, columns: int) -> str:
    """`text` in at most `columns`, its last column an ellipsis where something is missing."""
    if width(text) <= columns:
        return text
    if columns <= 0:
        return ""
    kept, used = [], 1
    for c in text:
        used += _width(c)
        if used > columns:
            break
        kept.append(c)
    return "".join(kept) + ELLIPSIS


def wrap(text: str, columns: int) -> list[str]:
    """`text` in lines of at most `columns`, broken at blanks, and between East Asian characters, which have none."""
    lines, line, used = [], "", 0
    for piece in PIECES.findall(text):
        size = width(piece)
        if used + width(piece.rstrip()) > columns and line:
            lines.append(line.rstrip())
            line, used = "", 0
            if piece.isspace():
                continue
        line, used = line + piece, used + size
    return [*lines, line.rstrip()]


def _width(c: str) -> int:
    if unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in WIDE else 1
