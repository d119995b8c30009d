"""Surfaces of a sweep: one figure over each pair of the parameters that were varied, for a report.

Where several trials share a place (others were varied too), the best of them stands there. Many different values are put into a few
stretches.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from lemon_trader.backtest.charts import Surface

VALUES_MAX: Final = 24
STRETCHES: Final = 12
SURFACES_MAX: Final = 6


def surfaces(
    title: str,
    names: Sequence[str],
    trials: Sequence[Sequence[str]],
    values: Sequence[float | None],
    *,
    unit: str = "",
    lowest: bool = False,
) -> list[Surface]:
    """One surface for each pair of parameters, at most six.

    Args:
        title: of the figure.
        names: of the parameters that were varied.
        trials: for each trial the parameters' values as text, in the order of `names`.
        values: the figure of each trial; None or not a number = it has none.
        unit: of the figure.
        lowest: the lowest value of a place is the best one.
    """
    axes = [_axis([trial[n] for trial in trials]) for n in range(len(names))]
    return [
        _surface(title, (names[a], names[b]), (axes[a], axes[b]), values, unit, lowest=lowest)
        for a, b in list(combinations(range(len(names)), 2))[:SURFACES_MAX]
    ]


Axis = tuple[tuple[str, ...], list[int]]  # labels in order, and for each trial the place of its value


def _axis(texts: Sequence[str]) -> Axis:
    different = sorted(set(texts), key=_order)
    if len(different) <= VALUES_MAX:
        place = {text: n for n, text in enumerate(different)}
        return tuple(different), [place[text] for text in texts]
    numbers = [_number(text) for text in texts]
    known = [n for n in numbers if n is not None]
    if len(known) < len(numbers):  # words, and too many of them: the first ones have a place of their own
        place = {text: min(n, VALUES_MAX - 1) for n, text in enumerate(different)}
        return (*different[: VALUES_MAX - 1], "…"), [place[text] for text in texts]
    low, high = min(known), max(known)
    width = (high - low) / STRETCHES
    labels = tuple(f"{low + (n + 0.5) * width:.4g}" for n in range(STRETCHES))
    return labels, [min(STRETCHES - 1, int((n - low) / width)) for n in known]


def _surface(
    title: str, names: tuple[str, str], axes: tuple[Axis, Axis], values: Sequence[float | None], unit: str, *, lowest: bool
) -> Surface:
    (x, columns), (y, rows) = axes
    best: dict[tuple[int, int], float] = {}
    for column, row, value in zip(columns, rows, values, strict=True):
        if value is None or value != value:  # noqa: PLR0124  only "not a number" differs from itself
            continue
        known = best.get((row, column))
        if known is None or (value < known if lowest else value > known):
            best[row, column] = value
    z = tuple(tuple(best.get((row, column)) for column in range(len(x))) for row in range(len(y)))
    return Surface(f"{title}: {names[0]} × {names[1]}", names[0], names[1], x, y, z, unit)


def _order(text: str) -> tuple[int, float, str]:
    number = _number(text)
    return (1, 0.0, text) if number is None else (0, number, text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
