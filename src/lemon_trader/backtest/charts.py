"""The charts of a run: equity, drawdown, price with orders and fills, layers over time, and the surface of a sweep.

Each is bounded in size whatever the length of the run: columns of pixels keep their extremes (`thin.py`), of marks in one place one stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lemon_trader.backtest.curve import drawdowns
from lemon_trader.backtest.metrics import Metrics, hold_equity
from lemon_trader.backtest.result import CANCELLED, PLACED, Columns, Result
from lemon_trader.backtest.svg import Axis, Chart, time_chart
from lemon_trader.backtest.tables import moment
from lemon_trader.backtest.thin import extremes, fewest
from lemon_trader.core.units import ATOMS_PER_UNIT, BUY, LAYER, ROLE_NAMES, STOP, side_name

COLUMNS: Final = 600
MARK_COLUMNS: Final = 150
ORDERS_MAX: Final = 1_200
EARLIER: Final = 2_000
CANDLES_MAX: Final = 300
HEAT_COLUMNS: Final = 80
CELL: Final = 34
AROUND: Final = 120  # bars shown around a moment


@dataclass(frozen=True, slots=True)
class Surface:
    """One figure of a sweep over two parameters.

    Attributes:
        title, x_name, y_name: as people read them; nothing in them is trusted.
        x, y: the values along the axes, as text.
        z: a row for each of y, from the bottom up; None = not tried.
        unit: of z, as text.
    """

    title: str
    x_name: str
    y_name: str
    x: tuple[str, ...]
    y: tuple[str, ...]
    z: tuple[tuple[float | None, ...], ...]
    unit: str = ""


def equity_chart(results: Sequence[Result], title: str, *, hold: bool = False) -> str:
    """Equity of each run in quote; with buying and holding beside, whose swings may leave the runs flat."""
    first = results[0]
    curves = [("hold", *hold_equity(first))] if hold else []
    curves += [(f"own{n}", r.equity["at_us"], r.equity["equity_atoms"]) for n, r in enumerate(results)]
    low = min(int(values.min()) for _, _, values in curves) / ATOMS_PER_UNIT
    high = max(int(values.max()) for _, _, values in curves) / ATOMS_PER_UNIT
    chart = time_chart(title, (first.start_us, first.end_us), (low, high), height=280)
    for name, times, values in curves:
        kept = extremes(times, values, first.start_us, first.end_us, COLUMNS)
        chart.line(zip(times[kept].tolist(), (values[kept] / ATOMS_PER_UNIT).tolist(), strict=True), name)
    return chart.text()


def drawdown_chart(results: Sequence[Result], title: str) -> str:
    """How far each run's equity lay under its highest, percent."""
    first = results[0]
    curves = [(f"own{n}", r.equity["at_us"], -100 * drawdowns(r.equity["equity_atoms"])) for n, r in enumerate(results)]
    chart = time_chart(title, (first.start_us, first.end_us), (min(float(v.min()) for _, _, v in curves), 0), height=160, unit="%")
    for name, times, values in curves:
        kept = extremes(times, values, first.start_us, first.end_us, COLUMNS)
        points = list(zip(times[kept].tolist(), values[kept].tolist(), strict=True))
        chart.area(points, 0, name)
        chart.line(points, name)
    return chart.text()


def price_chart(result: Result, title: str, span_us: tuple[int, int] | None = None) -> str:
    """Price with what rested and what was filled; the whole run, or a part of it."""
    start_us, end_us = span_us or (result.start_us, result.end_us)
    p = result.prices
    p = p[(p["at_us"] >= start_us) & (p["at_us"] < end_us)]
    f = result.fills
    f = f[(f["at_us"] >= start_us) & (f["at_us"] <= end_us)]
    unit = result.instrument.tick_scale / 10**result.instrument.price_decimals
    seen = [values for values in (p["low_ticks"], p["high_ticks"], f["ticks"]) if len(values)]
    if not seen:
        return ""
    low, high = min(int(v.min()) for v in seen) * unit, max(int(v.max()) for v in seen) * unit
    chart = time_chart(title, (start_us, end_us), (low, high), height=340)
    _draw_price(chart, p, unit, result.price_every_us)
    _draw_orders(chart, result, (start_us, end_us), unit)
    for side in (BUY, -BUY):
        for stops in (False, True):
            marks = f[(f["side"] == side) & (((f["role"] == STOP) | (f["role"] < 0)) == stops)]
            kept = marks[fewest(marks["at_us"], marks["ticks"], start_us, end_us, MARK_COLUMNS)]
            name = "stop" if stops else "buy" if side == BUY else "sell"
            for row in kept:
                chart.mark(int(row["at_us"]), int(row["ticks"]) * unit, name, _fill_words(row, result), up=side == BUY)
    return chart.text()


def closer_span(result: Result, judged: Metrics) -> tuple[int, int]:
    """The stretch worth a closer look: the worst cycle of a martingale, else what lies around the deepest drawdown."""
    around = AROUND * result.price_every_us
    if judged.cycles:
        worst = min(judged.cycles, key=lambda c: c.net_atoms)
        edge = max((worst.end_us - worst.start_us) // 8, 10 * result.price_every_us)
        return max(result.start_us, worst.start_us - edge), min(result.end_us, worst.end_us + edge)
    deepest = int(result.equity["at_us"][int(drawdowns(result.equity["equity_atoms"]).argmax())])
    return max(result.start_us, deepest - around), min(result.end_us, deepest + around)


def layer_chart(result: Result, judged: Metrics, title: str) -> str:
    """Which layers were filled when: the darker, the more."""
    f = result.fills[result.fills["role"] == LAYER]
    rows = len(judged.layer_counts)
    chart = time_chart(title, (result.start_us, result.end_us), (0, rows), height=60 + 18 * rows, rows=rows)
    edges = np.linspace(result.start_us, result.end_us, HEAT_COLUMNS + 1)
    counts, _, _ = np.histogram2d(f["at_us"], f["slot"], bins=[edges, np.arange(rows + 1)])
    most = max(1.0, float(counts.max()))
    for column, layer in np.argwhere(counts > 0).tolist():
        count = float(counts[column, layer])
        tip = f"{moment(int(edges[column]))}: {int(count)} × layer {layer}"
        chart.bar((float(edges[column]), float(edges[column + 1])), (layer + 0.04, layer + 0.96), "heat", tip, 0.2 + 0.8 * count / most)
    return chart.text()


def surface_chart(surface: Surface) -> str:
    """A sweep's figure over two parameters: green above nothing, red below, the stronger the farther."""
    s = surface
    columns, rows = len(s.x), len(s.y)
    height = 60 + CELL * rows
    chart = Chart(s.title, height, Axis(0, max(columns, 1), 120, 946), Axis(0, max(rows, 1), height - 44, 16))
    known = [abs(v) for row in s.z for v in row if v is not None]
    most = max(known, default=0) or 1.0
    each = -(-columns // 24)  # not every value of a fine grid has room for its name
    for y, row in enumerate(s.z):
        if y % -(-rows // 24) == 0:
            chart.words(-0.06 * columns, y + 0.38, s.y[y], "tick")
        for x, value in enumerate(row):
            if value is None:
                continue
            tip = f"{s.x_name} {s.x[x]}, {s.y_name} {s.y[y]}: {value:.4g}{s.unit}"
            chart.bar((x, x + 1), (y, y + 1), "good" if value >= 0 else "bad", tip, 0.08 + 0.92 * abs(value) / most)
            if columns <= 14:
                chart.words(x + 0.5, y + 0.38, f"{value:.3g}", "cell")
    for x in range(0, columns, each):
        chart.words(x + 0.5, -16 / CELL, s.x[x], "tick")
    chart.words(columns / 2, -36 / CELL, s.x_name, "tick")
    chart.words(-0.06 * columns, rows + 0.1, s.y_name, "tick")
    return chart.text()


def _draw_price(chart: Chart, p: Columns, unit: float, every_us: int) -> None:
    if 0 < len(p) <= CANDLES_MAX:
        for row in p:
            middle = int(row["at_us"]) + every_us // 2
            chart.bar((middle, middle), (int(row["low_ticks"]) * unit, int(row["high_ticks"]) * unit), "wick")
            edges = (int(row["at_us"]) + every_us // 6, int(row["at_us"]) + every_us - every_us // 6)
            rose = row["close_ticks"] >= row["open_ticks"]
            chart.bar(edges, (int(row["open_ticks"]) * unit, int(row["close_ticks"]) * unit), "rose" if rose else "fell")
        return
    start_us, end_us = int(chart.x.low), int(chart.x.high)
    lows, highs = (p[extremes(p["at_us"], p[name], start_us, end_us, COLUMNS)] for name in ("low_ticks", "high_ticks"))
    outline = [(int(r["at_us"]), int(r["high_ticks"]) * unit) for r in highs]
    outline += [(int(r["at_us"]), int(r["low_ticks"]) * unit) for r in lows[::-1]]
    if outline:
        chart.area(outline, outline[0][1], "price")
    chart.line(((int(r["at_us"]), int(r["close_ticks"]) * unit) for r in lows), "price")


def _draw_orders(chart: Chart, result: Result, span_us: tuple[int, int], unit: float) -> None:
    o = result.orders
    first, last = np.searchsorted(o["at_us"], span_us)
    if last - first > 2 * ORDERS_MAX:  # each is placed once and ends once: more than can be told apart
        return
    before = max(0, int(first) - EARLIER)  # what was placed earlier may still rest
    since_us = int(o["at_us"][before]) if before < len(o) else span_us[0]
    fills = result.fills[np.searchsorted(result.fills["at_us"], since_us) :]
    rests = resting(o[before:last], fills[: np.searchsorted(fills["at_us"], span_us[1], "right")], min(span_us[1], result.end_us))
    for start, end, side, ticks in rests:
        price = ticks * unit
        if end >= span_us[0] and chart.y.low <= price <= chart.y.high:
            chart.level((max(start, span_us[0]), end), price, "buy" if side == BUY else "sell")


def resting(orders: Columns, fills: Columns, end_us: int) -> list[tuple[int, int, int, int]]:
    """(from, until, side, ticks) of every order of ORDER and FILL rows: until its cancel, its last fill, its successor, or the end."""
    found: list[tuple[int, int, int, int]] = []
    living: dict[tuple[int, int], tuple[int, int, int, int]] = {}  # (side, slot) → from, side, ticks, lots still open
    names = ("at_us", "side", "slot", "ticks", "lots")
    sent = zip(orders["what"].tolist(), *(orders[name].tolist() for name in names), strict=True)
    got = zip(*(fills[name].tolist() for name in names), strict=True)
    # At one time: cancels, then places, then fills, each in their order.
    steps = [(row[1], int(row[0] == PLACED), n, row[1:]) for n, row in enumerate(sent) if row[0] in (PLACED, CANCELLED)]
    steps += [(row[0], 2, n, row) for n, row in enumerate(got)]
    for at, what, _, (_, side, slot, ticks, lots) in sorted(steps):
        before = living.pop((side, slot), None)
        if what == 2 and before is not None and before[3] > lots:
            living[side, slot] = (*before[:3], before[3] - lots)
            continue
        if before is not None:
            found.append((before[0], at, before[1], before[2]))
        if what == 1:
            living[side, slot] = (at, side, ticks, lots)
    return [*found, *((start, end_us, side, ticks) for start, side, ticks, _ in living.values())]


def _fill_words(row: Columns, result: Result) -> str:
    i = result.instrument
    role = ROLE_NAMES[int(row["role"])] if row["role"] >= 0 else "SYSTEM"
    where = f" {int(row['slot'])}" if row["role"] == LAYER else ""
    lots, price = i.qty_text(int(row["lots"])), i.price_text(int(row["ticks"]))
    return f"{moment(int(row['at_us']))} {role}{where} {side_name(int(row['side']))} {lots} @ {price}"
