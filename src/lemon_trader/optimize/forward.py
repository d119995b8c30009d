"""Walk-forward: choose on one stretch of time, trade the next one, again and again; what was never seen when choosing is put together."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from lemon_trader.backtest.curve import CurveFigures, Ints, curve_figures
from lemon_trader.backtest.result import Result

ANCHORED: Final = "anchored"
ROLLING: Final = "rolling"


class Fold(msgspec.Struct, frozen=True):
    """One choice: trained on [train_us, test_us), judged on [test_us, end_us), µs UTC."""

    train_us: int
    test_us: int
    end_us: int


def folds(start_us: int, end_us: int, count: int, train_parts: int, how: str, every_us: int) -> list[Fold]:
    """The folds of a period, oldest first; their tests lie one behind the other and end with the period.

    Args:
        start_us: of the period, µs UTC.
        end_us: of the period, excluded.
        count: of folds.
        train_parts: how many tests long the first training is.
        how: ROLLING trains always so long, ANCHORED from the beginning on.
        every_us: length of a bar: no fold begins inside one.
    """
    length = (end_us - start_us) // (count + train_parts) // every_us * every_us
    first_us = end_us - count * length
    found = []
    for k in range(count):
        test_us = first_us + k * length
        train_us = start_us if how == ANCHORED else test_us - train_parts * length
        found.append(Fold(max(train_us, start_us), test_us, test_us + length))
    return found


def stitched(results: Sequence[Result]) -> tuple[Ints, Ints]:
    """(times, atoms): one equity curve of runs that follow one another, each begun with what the last one ended with.

    A run ends with its position valued at the mark and not sold; so does the curve.
    """
    at_us: list[Any] = []
    equity: list[Any] = []
    have = float(results[0].budget_atoms)
    for r in results:
        at_us.append(r.equity["at_us"])
        equity.append(np.rint(r.equity["equity_atoms"] / r.budget_atoms * have).astype(np.int64))
        have = float(equity[-1][-1])
    return np.concatenate(at_us), np.concatenate(equity)


def judged(results: Sequence[Result]) -> CurveFigures:
    """The figures of the stitched curve."""
    at_us, equity = stitched(results)
    return curve_figures(at_us, equity, results[0].start_us, results[-1].end_us)
