"""Figures of making a market: what the spread brought, what prices did after a fill, and what holding cost.

Gross profit is two parts: what fills were better than the mid at their moment (the spread captured), and the rest, which is what the mid
then did to what was held. The second with its sign turned is the cost of inventory.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from lemon_trader.backtest.result import Columns, Result

HORIZONS_S: Final = (1, 5, 30)
MID_AGE_MAX_US: Final = 1_000_000  # a mid that is older than this says nothing about a moment
PER_BP: Final = 10_000


@dataclass(frozen=True, slots=True)
class MakingFigures:
    """What making a market brought.

    Attributes:
        spread_atoms: sum over fills of how much better than the mid they were, quote atoms; None where a fill's mid is not
            known, as on bars.
        spread_bp: the same as a part of the turnover, 1/100 %.
        inventory_cost_atoms: what the mid's moves took from what was held: spread_atoms - (realised + unrealised).
        markout_bp: by horizon in seconds, how far the mid had gone our way since the maker fills' prices, weighted by worth, 1/100 %;
            negative = filled by those who knew better. None where the data does not say.
    """

    spread_atoms: int | None
    spread_bp: float | None
    inventory_cost_atoms: int | None
    markout_bp: dict[int, float | None]


def making_figures(result: Result) -> MakingFigures:
    """The figures of this run."""
    f, i, totals = result.fills, result.instrument, result.totals
    # Bars know no mid at the moment of a fill: the price of a point before it would make every fill within a bar look like spread.
    known = len(f) > 0 and len(result.mids) > 0 and bool((f["mid_half_ticks"] > 0).all())
    spread = None
    if known:
        columns = (f[name].tolist() for name in ("side", "mid_half_ticks", "ticks", "lots"))
        spread = sum(side * (half - 2 * ticks) * lots for side, half, ticks, lots in zip(*columns, strict=True)) * i.tick_lot_atoms // 2
    turnover = int(f["quote_atoms"].sum())
    return MakingFigures(
        spread_atoms=spread,
        spread_bp=None if spread is None or not turnover else spread * PER_BP / turnover,
        inventory_cost_atoms=None if spread is None else spread - totals.realised_atoms - totals.unrealised_atoms,
        markout_bp={seconds: _markout_bp(f[f["is_maker"] == 1], result.mids, seconds) for seconds in HORIZONS_S},
    )


def _markout_bp(fills: Columns, mids: Columns, seconds: int) -> float | None:
    if not len(fills) or not len(mids):
        return None
    when = fills["at_us"] + seconds * 1_000_000
    row = np.searchsorted(mids["at_us"], when, "right") - 1
    seen = (row >= 0) & (when - mids["at_us"][np.maximum(row, 0)] <= MID_AGE_MAX_US)
    if not bool(seen.any()):
        return None
    mid = mids["mid_half_ticks"][row[seen]] / 2
    f = fills[seen]
    worth = f["quote_atoms"].astype(np.float64)
    moved = f["side"] * (mid - f["ticks"]) / f["ticks"]
    return float((moved * worth).sum() / worth.sum() * PER_BP)
