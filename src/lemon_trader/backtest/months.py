"""What each calendar month (UTC) of a run brought, beside the market itself."""

from dataclasses import dataclass

import numpy as np

from lemon_trader.backtest.curve import Ints
from lemon_trader.backtest.metrics import hold_equity
from lemon_trader.backtest.result import Result


@dataclass(frozen=True, slots=True)
class Month:
    """One month, or the part of it that was played.

    Attributes:
        month: as in 2024-02.
        net_atoms: change of equity.
        gain_pct: of the equity that the month began with; None where that was nothing.
        hold_pct: the same of buying and holding.
        fills: how many.
    """

    month: str
    net_atoms: int
    gain_pct: float | None
    hold_pct: float | None
    fills: int


def months(result: Result) -> list[Month]:
    """The months of a run, in order."""
    r = result
    last_us = max(r.start_us, r.end_us - 1)
    begin, end = (np.datetime64(at, "us").astype("datetime64[M]") for at in (r.start_us, last_us))
    names = np.arange(begin, end + 1)
    edges = np.append(np.maximum(names.astype("datetime64[us]").astype(np.int64), r.start_us), r.end_us)
    own = _at(r.equity["at_us"], r.equity["equity_atoms"], edges)
    hold = _at(*hold_equity(r), edges)
    filled = np.searchsorted(r.fills["at_us"], np.append(edges[:-1], last_us + 1))
    return [
        Month(
            str(name), own[n + 1] - own[n], _gain_pct(own[n], own[n + 1]), _gain_pct(hold[n], hold[n + 1]), int(filled[n + 1] - filled[n])
        )
        for n, name in enumerate(names)
    ]


def _at(at_us: Ints, values: Ints, edges: Ints) -> list[int]:
    """The value that stood at each edge."""
    found: list[int] = values[np.maximum(np.searchsorted(at_us, edges, "right") - 1, 0)].tolist()
    return found


def _gain_pct(first: int, last: int) -> float | None:
    return 100 * (last / first - 1) if first > 0 else None
