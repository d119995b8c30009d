"""The price as a line of text, with our resting orders and fills in it.

Braille dots give two prices a column and four steps a row. Orders are dashes with their side at the right edge, fills are the letters
B and S where they happened: nothing depends on colour, and every character is one column wide in every terminal.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from lemon_trader.messages.catalogue import say
from lemon_trader.panel.lines import Line, fit, number, plain
from lemon_trader.panel.scene import Scene, rows_of

BRAILLE: Final = 0x2800
DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column of the cell, from the top
STEPS: Final = 4  # dots in a row
WIDEN: Final = 6  # an order farther than this many times the price's own range stands at the edge
FLAT_PARTS: Final = 5_000  # a price that does not move is shown with a five-thousandth of room


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
    labels = [_places(f"{at_row[row][0]:f}" if row in at_row else text, places) for row, text in enumerate(axis)]
    wide = max(len(label) for label in labels) + 3
    plot = columns - wide
    seen = list(track)[-2 * plot * max(1, len(track) // (2 * plot)) :]
    cells = _dots([p for _, p in seen], plot, rows, low, high)
    lines = []
    marks = _fills(rows_of(market, "fills"), seen, plot, rows, low, high)
    for row in range(rows):
        sides = at_row[row][1] if row in at_row else ""
        segments = []
        for column in range(plot):
            mark = marks.get((row, column))
            dots = cells.get((row, column), 0)
            if mark is not None:
                segments.append((mark, "buy" if mark == "B" else "sell"))
            elif dots:
                segments.append((chr(BRAILLE + dots), "plain"))
            elif sides and column % 2 == 0:
                segments.append(("-", "buy" if sides == "B" else "sell"))
            else:
                segments.append((" ", "plain"))
        segments.append((f"{sides[:1] or ' '} {labels[row]}", "buy" if sides == "B" else "sell" if sides == "S" else "dim"))
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


def _orders(orders: Sequence[tuple[Decimal, str]], rows: int, low: Decimal, high: Decimal) -> dict[int, tuple[Decimal, str]]:
    """Price and letter of our order by row, for the rows where one rests."""
    found: dict[int, tuple[Decimal, str]] = {}
    for price, side in orders:
        found.setdefault(_row(price, rows, low, high), (price, "B" if side == "BUY" else "S"))
    return found


def _fills(
    fills: Sequence[object], track: Sequence[tuple[int, Decimal]], plot: int, rows: int, low: Decimal, high: Decimal
) -> dict[tuple[int, int], str]:
    """The letter of the side by (row, column), for each fill within the time shown."""
    found: dict[tuple[int, int], str] = {}
    used = -(-len(track) // -(-len(track) // (2 * plot)))  # points of the line, two a column
    first, last = track[0][0], track[-1][0]
    for fill in fills:
        at_us, price = (fill.get("at_us"), number(fill.get("price"))) if isinstance(fill, dict) else (None, None)
        if not isinstance(at_us, int) or price is None or not first <= at_us <= last or last == first:
            continue
        point = (at_us - first) * (used - 1) // (last - first)
        column = (2 * plot - used + point) // 2
        found[_row(price, rows, low, high), column] = "B" if isinstance(fill, dict) and fill.get("side") == "BUY" else "S"
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
