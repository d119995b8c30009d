"""What is wrong with market data, row by row: everything is reported, nothing is repaired.

The same look is taken at a file as it came, in the file's own numbers, and at what is stored, in ticks and lots.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from lemon_trader.core.instrument import Instrument
from lemon_trader.market import columns
from lemon_trader.market.columns import Column, Ints, Table
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.files import read_columns
from lemon_trader.market.tables import every_us

BACKWARDS: Final = "backwards"
DUPLICATE: Final = "duplicate"
OVERLAP: Final = "overlap"
GAP: Final = "gap"
MISALIGNED: Final = "misaligned"
IMPOSSIBLE: Final = "impossible"
NO_VOLUME: Final = "no-volume"
OFF_GRID: Final = "off-grid"
FUTURE: Final = "future"
NOT_ASKED: Final = "not-asked"  # a gap that nobody has asked the exchange about
FAULTS: Final = (BACKWARDS, DUPLICATE, OVERLAP, GAP, NOT_ASKED, MISALIGNED, IMPOSSIBLE, NO_VOLUME, OFF_GRID, FUTURE)


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        kind: one of `FAULTS`.
        at_us: where it begins, µs UTC.
        rows: how many rows it is about: those that are missing of a gap, else those that are wrong.
        row: the first of them, counted from 1; of a gap the row after it.
        note: the figures, as text: the prices of an impossible bar, the end of a gap.
    """

    kind: str
    at_us: int
    rows: int
    row: int
    note: str = ""


def bar_faults(at_us: Ints, prices: Mapping[str, Column], volume: Column, every: int, now_us: int = 0) -> list[Fault]:
    """Everything that is wrong with bars, kind by kind, each in the order of the file.

    Args:
        at_us: when each opens, µs UTC, as it stands.
        prices: open, high, low, close in any one unit.
        volume: traded, in any unit; below 0 or not a number makes a bar impossible.
        every: how long a bar lasts, µs.
        now_us: bars that open later have not happened yet, µs UTC; 0 = not looked at.
    """
    first, high, low, last = (prices[name] for name in columns.PRICES)
    possible = (low > 0) & (low <= np.minimum(first, last)) & (high >= np.maximum(first, last)) & np.isfinite(high) & (volume >= 0)
    broken = [
        Fault(IMPOSSIBLE, int(at_us[n]), 1, n + 1, f"open {first[n]} high {high[n]} low {low[n]} close {last[n]} volume {volume[n]}")
        for n in np.flatnonzero(~possible).tolist()
    ]
    return [
        *_order_faults(at_us, every),
        *_runs(at_us, at_us % every != 0, MISALIGNED),
        *broken,
        *_runs(at_us, volume == 0, NO_VOLUME),
        *(_runs(at_us, at_us > now_us, FUTURE) if now_us else []),
    ]


def trade_faults(at_us: Ints, price: Column, qty: Column, ids: Ints | None = None, now_us: int = 0) -> list[Fault]:
    """Everything that is wrong with trades: times that go back, numbers twice or missing, prices and sizes that cannot be."""
    possible = (price > 0) & np.isfinite(price) & (qty > 0) & np.isfinite(qty)
    found = [Fault(BACKWARDS, int(at_us[n + 1]), 1, n + 2) for n in np.flatnonzero(np.diff(at_us) < 0).tolist()]
    found += [Fault(IMPOSSIBLE, int(at_us[n]), 1, n + 1, f"price {price[n]} quantity {qty[n]}") for n in np.flatnonzero(~possible).tolist()]
    if ids is not None and len(ids):
        steps = np.diff(ids)
        found += [Fault(DUPLICATE, int(at_us[n + 1]), 1, n + 2, f"number {ids[n + 1]}") for n in np.flatnonzero(steps == 0).tolist()]
        found += [
            Fault(GAP, int(at_us[n]), int(steps[n]) - 1, n + 2, f"numbers {ids[n] + 1} to {ids[n + 1] - 1}")
            for n in np.flatnonzero(steps > 1).tolist()
        ]
    return [*found, *(_runs(at_us, at_us > now_us, FUTURE) if now_us else [])]


def file_faults(path: Path, instrument: Instrument | None, now_us: int = 0) -> tuple[list[Fault], int, str]:
    """What is wrong with a file, how many rows it has, and whether they are `bars`, `trades` or `funding`.

    `instrument`: prices that are not on its grid are named too. Raises RecordingError for a file that holds none of them.
    """
    table, name = read_columns(path), path.name
    if set(table) >= {*columns.PRICES, "volume"}:
        at_us = columns.times_us(table, name)
        prices = {c: _numbers(table, c, name) for c in columns.PRICES}
        found = bar_faults(at_us, prices, _numbers(table, "volume", name), every_us(np.unique(at_us)), now_us)
        return [*found, *_grid_faults(at_us, prices.values(), instrument)], len(at_us), "bars"
    if set(table) >= {"price", "qty"}:
        at_us = columns.event_us(table, name)
        price = _numbers(table, "price", name)
        ids = next((table[c] for c in columns.IDS if c in table), None)
        found = trade_faults(at_us, price, _numbers(table, "qty", name), ids, now_us)
        return [*found, *_grid_faults(at_us, [price], instrument)], len(at_us), "trades"
    if "funding_rate" in table:
        at_us = columns.times_us(table, name)
        rates = _numbers(table, "funding_rate", name)
        broken = np.flatnonzero(~(np.abs(rates) < 1)).tolist()
        found = [Fault(IMPOSSIBLE, int(at_us[n]), 1, n + 1, f"rate {rates[n]}") for n in broken]
        return [*(f for f in _order_faults(at_us, 0) if f.kind in {BACKWARDS, DUPLICATE}), *found], len(at_us), "funding"
    raise RecordingError("recording.no-data", file=name, found=", ".join(sorted(table))[:200])


def gaps_that_were_not_asked(faults: Sequence[Fault], spans: Sequence[tuple[int, int]], every: int) -> list[Fault]:
    """The same faults, with the gaps that lie outside all of the spans that were asked for, µs UTC, under their own name."""
    return [
        msgspec.structs.replace(fault, kind=NOT_ASKED)
        if fault.kind == GAP and not any(begin <= fault.at_us and fault.at_us + fault.rows * every <= end for begin, end in spans)
        else fault
        for fault in faults
    ]


def _order_faults(at_us: Ints, every: int) -> list[Fault]:
    """Times that go back, stand still, come too early or too late, in one walk over neighbours."""
    steps = np.diff(at_us)
    found = []
    for n in np.flatnonzero((steps != every) | (steps == 0)).tolist():
        step, row, at = int(steps[n]), n + 2, int(at_us[n + 1])
        if step < 0:
            found.append(Fault(BACKWARDS, at, 1, row))
        elif step == 0:
            found.append(Fault(DUPLICATE, at, 1, row))
        elif step < every:
            found.append(Fault(OVERLAP, at, 1, row))
        elif every and step // every > 1:
            found.append(Fault(GAP, int(at_us[n]) + every, step // every - 1, row, f"to {_clock(at)}"))
    return found


def _grid_faults(at_us: Ints, prices: Iterable[Column], instrument: Instrument | None) -> list[Fault]:
    """One fault that counts the prices off the grid."""
    if instrument is None:
        return []
    unit = columns.tick_units(instrument)
    wrong = np.zeros(len(at_us), bool)
    for column in prices:
        fine = np.rint(np.where(np.isfinite(column), column, 0) * columns.UNITS)
        wrong |= fine % unit != 0
    rows = np.flatnonzero(wrong)
    return [Fault(OFF_GRID, int(at_us[rows[0]]), len(rows), int(rows[0]) + 1, f"tick {instrument.tick}")] if len(rows) else []


def _runs(at_us: Ints, wrong: Column, kind: str) -> list[Fault]:
    """One fault for each unbroken run of wrong rows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong, [False]]).astype(np.int8)))
    return [
        Fault(kind, int(at_us[begin]), int(end - begin), int(begin) + 1)
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]


def _numbers(table: Table, column: str, name: str) -> Column:
    values = table[column]
    if values.dtype.kind not in "iuf":
        raise RecordingError("recording.text", file=name, column=column)
    return values


def _clock(at_us: int) -> str:
    return f"{np.datetime64(at_us, 'us')!s:.19} UTC"
