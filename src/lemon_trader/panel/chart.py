"""The price as a line of text, with our resting orders and fills in it.

Braille dots give two prices a column and four steps a row. Orders are dashes with their side and price at the right edge (^ and v: it is
beyond the edge), fills are the letters B and S where they happened: nothing depends on colour, and every character is one column wide in
every terminal.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from lemon_trader.messages.catalogue import say
from lemon_trader.panel.lines import Line, fit, number, plain
from lemon_trader.panel.scene import Picture, Scene, rows_of

BRAILLE: Final = 0x2800
DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column of the cell, from the top
STEPS: Final = 4  # dots in a row
WIDEN: Final = 6  # an order farther than this many times the price's own range stands at the edge
FLAT_PARTS: Final = 5_000  # a price that does not move is shown with a five-thousandth of room


class _Order(NamedTuple):
    """An order of ours in the plot: its side's letter, and ^ or v where its price is beyond the plot's edge."""

    price: Decimal
    letter: str
    beyond: str


def chart(scene: Scene, columns: int, height: int) -> list[Line]:
    """The title and the plot, `height` lines together."""
    market = scene.market
    track = scene.track.get(market["symbol"], ()) if market is not None else ()
    title = fit([plain(say("panel.chart"), "title"), plain(f"  {say('panel.chart.legend')}", "dim")], columns)
    rows = height - 1
    if len(track) < 2 or market is None or rows < 2 or columns < 24:
        return [title, fit([plain(say("panel.chart.waiting"), "dim")], columns)]
    orders = [(p, str(o.get("side"))) for o in rows_of(market, "orders") if (p := number(o.get("price"))) is not None and p > 0]
    low, high = scale([p for _, p in track], [p for p, _ in orders])
    axis = [f"{high - (high - low) * n / max(1, rows - 1):f}" for n in range(rows)]
    places = max(len(str(market.get("bid", "")).partition(".")[2]), 2)
    at_row = _orders(orders, rows, low, high)
    # A row where an order rests is labelled with the order's own price.
    labels = [_places(f"{at_row[row].price:f}" if row in at_row else text, places) for row, text in enumerate(axis)]
    wide = max(len(label) for label in labels) + 3
    plot = columns - wide
    seen = list(track)[-2 * plot * max(1, len(track) // (2 * plot)) :]
    cells = _dots([p for _, p in seen], plot, rows, low, high)
    lines = []
    marks = _fills(rows_of(market, "fills"), seen, plot, rows, low, high)
    for row in range(rows):
        order = at_row.get(row)
        style = "dim" if order is None else "buy" if order.letter == "B" else "sell"
        segments = []
        for column in range(plot):
            mark = marks.get((row, column))
            dots = cells.get((row, column), 0)
            if mark is not None:
                segments.append((mark, "buy" if mark == "B" else "sell"))
            elif dots:
                segments.append((chr(BRAILLE + dots), "plain"))
            elif order is not None and order.beyond == " " and column % 2 == 0:
                segments.append(("-", style))
            else:
                segments.append((" ", "plain"))
        segments.append((f"{order.letter}{order.beyond}{labels[row]}" if order is not None else f"  {labels[row]}", style))
        lines.append(fit(_joined(segments), columns))
    return [title, *lines]


def scale(prices: Sequence[Decimal], orders: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    """Lowest and highest price of the plot: all prices, and the orders that are not too far away to leave the line any shape."""
    low, high = min(prices), max(prices)
    room = max(high - low, high / FLAT_PARTS)
    near = [p for p in orders if low - WIDEN * room <= p <= high + WIDEN * room]
    low, high = min([low, *near]), max([high, *near])
    room = max(high - low, high / FLAT_PARTS) / 20
    return low - room, high + room


def _row(price: Decimal, rows: int, low: Decimal, high: Decimal, steps: int = 1) -> int:
    """Row from the top, in `steps` parts of a row; a price beyond the plot stands at its edge."""
    parts = rows * steps - 1
    return min(max(int((high - price) * parts / (high - low) + Decimal("0.5")), 0), parts)


def _dots(prices: Sequence[Decimal], plot: int, rows: int, low: Decimal, high: Decimal) -> dict[tuple[int, int], int]:
    """Braille bits by (row, column): the newest price at the right edge, neighbours joined."""
    cells: dict[tuple[int, int], int] = {}
    points = _sampled(prices, 2 * plot)
    before: int | None = None
    for n, price in enumerate(points):
        x = 2 * plot - len(points) + n
        y = _row(price, rows, low, high, STEPS)
        for dot in range(min(y, before if before is not None else y), max(y, before if before is not None else y) + 1):
            key = (dot // STEPS, x // 2)
            cells[key] = cells.get(key, 0) | DOTS[x % 2][dot % STEPS]
        before = y
    return cells


def _sampled(prices: Sequence[Decimal], count: int) -> list[Decimal]:
    """At most `count` of the prices, evenly taken, the last one always among them."""
    every = -(-len(prices) // count)
    return list(prices[::-1][::every])[::-1]


def _orders(orders: Sequence[tuple[Decimal, str]], rows: int, low: Decimal, high: Decimal) -> dict[int, _Order]:
    """Our order by row; at an edge one that belongs there comes before one that is beyond it, and of those the nearest."""
    found: dict[int, _Order] = {}
    for price, side in sorted(orders, key=lambda order: max(low - order[0], order[0] - high, Decimal(0))):
        beyond = "^" if price > high else "v" if price < low else " "
        found.setdefault(_row(price, rows, low, high), _Order(price, "B" if side == "BUY" else "S", beyond))
    return found


def _fills(
    fills: Sequence[Picture], track: Sequence[tuple[int, Decimal]], plot: int, rows: int, low: Decimal, high: Decimal
) -> dict[tuple[int, int], str]:
    """The letter of the side by (row, column), for each fill within the time shown; a look that failed leaves a gap in time, not here."""
    found: dict[tuple[int, int], str] = {}
    times = [at_us for at_us, _ in track]
    every = -(-len(track) // (2 * plot))  # samples a point, two points a column
    for fill in fills:
        at_us, price = fill.get("at_us"), number(fill.get("price"))
        if not isinstance(at_us, int) or price is None or not times[0] <= at_us <= times[-1]:
            continue
        newer = (len(times) - bisect_right(times, at_us)) // every
        found[_row(price, rows, low, high), (2 * plot - 1 - newer) // 2] = "B" if fill.get("side") == "BUY" else "S"
    return found


def _joined(segments: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbours of one style as one segment."""
    found: list[tuple[str, str]] = []
    for text, style in segments:
        if found and found[-1][1] == style:
            found[-1] = (found[-1][0] + text, style)
        else:
            found.append((text, style))
    return found


def _places(text: str, places: int) -> str:
    whole, _, rest = text.partition(".")
    return f"{whole}.{(rest + '0' * places)[:places]}"
