"""A small pen for charts: scales, axes, lines and marks as SVG text that needs nothing from outside its file.

Colours are the page's CSS variables, so that a chart follows light and dark. Whatever is written into it is escaped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from math import ceil, floor, log10
from typing import Final

WIDTH: Final = 960
LEFT: Final = 78
RIGHT: Final = 14
TOP: Final = 12
BOTTOM: Final = 26
LABEL: Final = 80  # a time's width
TIME_TICKS: Final = 7
VALUE_TICKS: Final = 6
_MINUTE: Final = 60_000_000
_DAY: Final = 1_440 * _MINUTE
TIME_STEPS: Final = tuple(n * _MINUTE for n in (1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720)) + tuple(
    n * _DAY for n in (1, 2, 7, 14, 30, 90, 365)
)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of values laid onto a stretch of pixels, straight."""

    low: float
    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        span = self.high - self.low
        return self.first + (value - self.low) / span * (self.last - self.first) if span else (self.first + self.last) / 2


@dataclass(slots=True)
class Chart:
    """One chart: time to the right, values upward.

    Attributes:
        title: said to those who cannot see it.
        height: of the whole, pixels.
        x, y: the axes; `parts` what was drawn so far.
    """

    title: str
    height: int
    x: Axis
    y: Axis
    parts: list[str] = field(default_factory=list)

    def line(self, points: Iterable[Point], name: str) -> None:
        """A line through points of (value on x, value on y), in the colour of the class `name`."""
        self.parts.append(f'<path class="line {name}" d="{_path(self._laid(points))}"/>')

    def stairs(self, points: Sequence[Point], name: str) -> None:
        """A line that stays until the next point and then steps: of what is known only at moments."""
        steps = [p for before, now in pairwise(points) for p in (before, (now[0], before[1]))]
        self.line([*steps, *points[-1:]], name)

    def area(self, points: Sequence[Point], base: float, name: str) -> None:
        """What lies between a line and the value `base`."""
        if points:
            closed = [(points[0][0], base), *points, (points[-1][0], base)]
            self.parts.append(f'<path class="area {name}" d="{_path(self._laid(closed))}Z"/>')

    def bar(self, x: tuple[float, float], y: tuple[float, float], name: str, tip: str = "", opacity: float = 1) -> None:
        """A filled box between two values on each axis."""
        left, right = sorted((self.x.at(x[0]), self.x.at(x[1])))
        top, bottom = sorted((self.y.at(y[0]), self.y.at(y[1])))
        shade = "" if opacity == 1 else f' fill-opacity="{opacity:.2f}"'
        box = f'x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0.5):.1f}" height="{max(bottom - top, 0.5):.1f}"'
        self.parts.append(f'<rect class="{name}" {box}{shade}>{_tip(tip)}</rect>')

    def mark(self, x: float, y: float, name: str, tip: str, *, up: bool) -> None:
        """A small triangle whose tip touches the value: upward for a buy, downward for a sell."""
        a, b = self.x.at(x), self.y.at(y)
        down = 7 if up else -7
        self.parts.append(
            f'<path class="mark {name}" d="M{a:.1f} {b:.1f}L{a - 4:.1f} {b + down:.1f}L{a + 4:.1f} {b + down:.1f}Z">{_tip(tip)}</path>'
        )

    def level(self, x: tuple[float, float], y: float, name: str, tip: str = "") -> None:
        """A flat line from one value of x to another."""
        a, b, c = self.x.at(x[0]), self.x.at(x[1]), self.y.at(y)
        self.parts.append(f'<path class="rest {name}" d="M{a:.1f} {c:.1f}H{b:.1f}">{_tip(tip)}</path>')

    def words(self, x: float, y: float, text: str, name: str = "") -> None:
        """Text in the middle of a place."""
        self.parts.append(f'<text class="{name}" x="{self.x.at(x):.1f}" y="{self.y.at(y):.1f}" text-anchor="middle">{escape(text)}</text>')

    def text(self) -> str:
        """The whole chart."""
        box = f'viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{escape(self.title, quote=True)}"'
        return f'<svg {box} xmlns="http://www.w3.org/2000/svg">{"".join(self.parts)}</svg>'

    def _laid(self, points: Iterable[Point]) -> list[Point]:
        return [(self.x.at(x), self.y.at(y)) for x, y in points]


def time_chart(
    title: str, span_us: tuple[int, int], values: tuple[float, float], *, height: int = 240, unit: str = "", rows: int = 0
) -> Chart:
    """A chart over time with its axes drawn: values in round steps with `unit` beside them, or so many `rows` with their numbers."""
    low, high = values
    if high - low <= abs(high) * 1e-12:  # a flat line still needs room around it
        low, high = low - (abs(low) * 0.01 or 1), high + (abs(high) * 0.01 or 1)
    pad = 0 if rows else (high - low) * 0.04
    x = Axis(span_us[0], span_us[1], LEFT, WIDTH - RIGHT)
    y = Axis(low - pad, high + pad, height - BOTTOM, TOP)
    chart = Chart(title, height, x, y)
    ticks = value_ticks(y.low, y.high) if not rows else []
    places = _places(ticks)
    for value in ticks:
        at = y.at(value)
        chart.parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        label = escape(f"{value:,.{places}f}{unit}")
        chart.parts.append(f'<text class="tick" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    for row in range(rows):
        chart.parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y.at(row + 0.5) + 4:.1f}" text-anchor="end">{row}</text>')
    for at_us, label in time_ticks(*span_us):
        at = x.at(at_us)
        chart.parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{height - BOTTOM}"/>')
        place = f'x="{at:.1f}" y="{height - 8}" text-anchor="middle"'
        if at > WIDTH - LABEL / 2:  # the last label would be cut off at the edge
            place = f'x="{WIDTH}" y="{height - 8}" text-anchor="end"'
        chart.parts.append(f'<text class="tick" {place}>{label}</text>')
    return chart


def value_ticks(low: float, high: float) -> list[float]:
    """Round values in [low, high]: 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / VALUE_TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * 0.999)
    return [n * step for n in range(ceil(low / step), floor(high / step) + 1)]


def time_ticks(start_us: int, end_us: int) -> list[tuple[int, str]]:
    """Round moments in [start_us, end_us] with their names, UTC."""
    step = next((s for s in TIME_STEPS if (end_us - start_us) // s <= TIME_TICKS), TIME_STEPS[-1])
    form = "%H:%M" if step < _DAY else "%Y-%m-%d"
    if step < _DAY < end_us - start_us:
        form = "%m-%d %H:%M"
    first = -(-start_us // step) * step
    return [(at, f"{datetime.fromtimestamp(at // 1_000_000, UTC):{form}}") for at in range(first, end_us + 1, step)]


def _places(ticks: Sequence[float]) -> int:
    if len(ticks) < 2:
        return 2
    return max(0, -floor(log10(ticks[1] - ticks[0]) + 1e-9))


def _path(points: Sequence[Point]) -> str:
    return "".join(f"{'L' if n else 'M'}{x:.1f} {y:.1f}" for n, (x, y) in enumerate(points))


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
