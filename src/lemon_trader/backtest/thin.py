"""Fewer points for a chart, none of the extremes lost: of every column of pixels the first, the lowest, the highest and the last value."""

import numpy as np

from lemon_trader.backtest.curve import Floats, Ints

Numbers = Ints | Floats


def extremes(at_us: Ints, values: Numbers, start_us: int, end_us: int, columns: int) -> Ints:
    """Indices, rising, of at most four rows in each of `columns` equal stretches of [start_us, end_us]; every row where they are few."""
    first, last = np.searchsorted(at_us, [start_us, end_us + 1])
    if last - first <= 4 * columns:
        return np.arange(first, last)
    edges = np.searchsorted(at_us[first:last], np.linspace(start_us, end_us + 1, columns + 1)[:-1]) + first
    kept: set[int] = set()
    for a, b in zip(edges.tolist(), [*edges[1:].tolist(), int(last)], strict=True):
        if b > a:
            part = values[a:b]
            kept.update((a, a + int(part.argmin()), a + int(part.argmax()), b - 1))
    return np.array(sorted(kept), np.int64)


def fewest(at_us: Ints, values: Numbers, start_us: int, end_us: int, columns: int) -> Ints:
    """Indices of the lowest and the highest row of each stretch: for marks, of which one in a place is enough."""
    found = extremes(at_us, values, start_us, end_us, columns)
    if len(found) <= 2 * columns:
        return found
    edges = np.searchsorted(at_us[found], np.linspace(start_us, end_us + 1, columns + 1)[:-1])
    kept: set[int] = set()
    for a, b in zip(edges.tolist(), [*edges[1:].tolist(), len(found)], strict=True):
        if b > a:
            part = values[found[a:b]]
            kept.update((a + int(part.argmin()), a + int(part.argmax())))
    return found[np.array(sorted(kept), np.int64)]
