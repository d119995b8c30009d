"""How much memory a study will take, said before it takes it."""

import os
from collections.abc import Sequence
from typing import Final

from lemon_trader.backtest.result import EQUITY, FILL, PRICE
from lemon_trader.market.tables import BarTable
from lemon_trader.optimize.figures import FIGURES

PROCESS: Final = 300 << 20  # the program, the compiler and its code
BAR_BYTES: Final = 8 * 6
KERNEL_BAR_BYTES: Final = 8 * 2 + 4 * 4
TRIAL_BYTES: Final = 400  # a point, its record and its place in the tables
FILLS: Final = 1 << 16


def needed(tables: Sequence[BarTable], trials: int, *, curved: bool, compared: int, steps: int) -> int:
    """Bytes that a study takes at its peak.

    Args:
        tables: of its scenarios.
        trials: how many there will be.
        curved: whether runs keep their equity.
        compared: how many runs' returns are held against one another at the end.
        steps: returns of each of these.
    """
    bars = max((len(t) for t in tables), default=0)
    held = sum(len(t) for t in tables) * BAR_BYTES + bars * KERNEL_BAR_BYTES
    # A run with its rows, and the same once more while its figures are made.
    one = 2 * (bars * (EQUITY.itemsize + PRICE.itemsize) + FILLS * FILL.itemsize)
    results = trials * (len(tables) * len(FIGURES) * 8 * 3 + TRIAL_BYTES)
    return PROCESS + held + results + (one if curved or compared else 0) + compared * steps * 8 * 4


def available() -> int:
    """Bytes that are free on this machine; 0 where it does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
