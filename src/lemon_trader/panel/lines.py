"""Text for a terminal as data: lines of segments with a named style, cut by the columns they take. No toolkit is known here."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

from lemon_trader.messages.catalogue import escaped
from lemon_trader.messages.width import cut, width, wrap

Segment = tuple[str, str]  # text, style: one of STYLES
Line = tuple[Segment, ...]

# What each style means; the toolkit decides how it looks, and without colour bold and reverse are left.
STYLES: Final = ("plain", "title", "dim", "good", "bad", "warn", "banner", "live", "buy", "sell")
US_PER_S: Final = 1_000_000
ADJUSTED_MAX: Final = 18  # a power of ten beyond which text is no price, no quantity and no money
DASH: Final = "-"
GAP: Final[Segment] = ("  ", "plain")  # between two figures of a line


def plain(text: object, style: str = "plain") -> Segment:
    """One segment. Whatever comes from outside is escaped here: it cannot move a cursor or break a line."""
    return escaped(str(text)), style


def fit(segments: Iterable[Segment], columns: int) -> Line:
    """The segments in at most `columns`; what is too long ends in an ellipsis."""
    kept: list[Segment] = []
    left = columns
    for text, style in segments:
        taken = cut(text, left)
        if taken:
            kept.append((taken, style))
        left -= width(taken)
        if width(taken) < width(text) or left <= 0:
            break
    return tuple(kept)


def folded(line: Line, columns: int) -> list[Line]:
    """The line in as many as it takes: its last segment breaks at blanks and goes on below where it began."""
    before = sum(width(text) for text, _ in line[:-1])
    if not line or before + width(line[-1][0]) <= columns or before > columns // 2:
        return [line]
    text, style = line[-1]
    first, *rest = wrap(text, columns - before)
    return [(*line[:-1], (first, style)), *(((" " * before, "plain"), (part, style)) for part in rest)]


def spread(left: Sequence[Segment], right: Sequence[Segment], columns: int) -> Line:
    """`left` at the beginning of the line and `right` at its end; where both do not fit, `right` gives way."""
    room = columns - sum(width(text) for text, _ in left) - sum(width(text) for text, _ in right)
    if room < 1:
        return fit(left, columns)
    return fit((*left, (" " * room, "plain"), *right), columns)


def table(heads: Sequence[str], rows: Sequence[Sequence[Segment]], columns: int, *, right: frozenset[int] = frozenset()) -> list[Line]:
    """A header line and one line for each row, columns as wide as they must be. `right`: numbers of the columns that end flush."""
    wide = [max([width(head), *(width(row[n][0]) for row in rows)]) for n, head in enumerate(heads)]

    def cells(row: Sequence[Segment]) -> Line:
        found: list[Segment] = []
        for n, (text, style) in enumerate(row):
            blanks = " " * (wide[n] - width(text))
            last = n == len(row) - 1
            found.append((f"{blanks}{text} " if n in right else text if last else f"{text}{blanks} ", style))
        return fit(found, columns)

    return [cells([(head, "title") for head in heads]), *(cells(row) for row in rows)]


def labelled(rows: Sequence[tuple[str, Sequence[Segment]]], columns: int) -> list[Line]:
    """Lines of a label and what follows it, the labels in one column; a line that is too long closes its gaps first."""
    wide = max((width(label) for label, _ in rows), default=0)
    lines = []
    for label, segments in rows:
        long = wide + 1 + sum(width(text) for text, _ in segments) > columns
        closed = [(" ", "plain") if segment == GAP and long else segment for segment in segments]
        lines.append(fit(((label + " " * (wide - width(label) + 1), "title"), *closed), columns))
    return lines


def rounded(text: object, places: int) -> str:
    """A figure for a screen, half away from zero, without padding; a dash for none. What is no number is shown as it came."""
    if text is None:
        return DASH
    known = number(text)
    if known is None:
        return escaped(str(text))
    value = known.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    shown = f"{value:f}"
    return "0" if not value else shown.rstrip("0").rstrip(".") if "." in shown else shown


def number(text: object) -> Decimal | None:
    """The number that a picture's text spells; None for none, and for one that no market has."""
    try:
        value = Decimal(str(text)) if text is not None else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() and abs(value.adjusted()) <= ADJUSTED_MAX else None


def sign_style(text: object) -> str:
    """How a profit looks: good above zero, bad below."""
    value = number(text) or Decimal(0)
    return "good" if value > 0 else "bad" if value < 0 else "plain"


def time_of_day(at_us: object) -> str:
    """A time of µs since the epoch as hours, minutes and seconds UTC; a dash for none."""
    if not isinstance(at_us, int) or not 0 < at_us < 10**17:
        return DASH
    return datetime.fromtimestamp(at_us // US_PER_S, UTC).strftime("%H:%M:%S")


def age(us: object) -> str:
    """How old something is, in the unit that reads best; a dash for none."""
    if not isinstance(us, int):
        return DASH
    if us < US_PER_S:
        return f"{us // 1_000} ms"
    return f"{us // US_PER_S}.{us // 100_000 % 10} s" if us < 60 * US_PER_S else f"{us // US_PER_S} s"
