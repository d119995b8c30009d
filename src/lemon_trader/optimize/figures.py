"""The figures that a sweep may judge by, and how several scenarios become one.

A figure is a float; NaN = it does not exist for that run. Those of the first table come with every run of the compiled loop; those of the
second need the equity curve, which makes a sweep several times slower.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from lemon_trader.backtest.curve import DAY_US, curve_figures, daily_gain, returns_of, sampled
from lemon_trader.backtest.result import Columns, Result

Floats = np.ndarray[Any, np.dtype[np.float64]]

# name -> True where more is better
QUICK: Final = {
    "gain_pct": True,  # of the budget, at the end
    "adg_pct": True,  # geometric mean gain a day
    "drawdown_of_budget_pct": False,  # deepest fall under a peak, of the budget
    "lowest_equity_pct": True,  # of the budget
    "fees_of_budget_pct": False,
    "funding_of_budget_pct": True,
    "turnover_times": True,  # worth of all fills over the budget
    "fills": True,
    "positions": True,  # closed
    "stops": False,  # positions closed by a stop
    "in_position_pct": False,  # of the time
    "liquidations": False,
    "refused": False,
}
CURVED: Final = {
    "adg_weighted_pct": True,
    "drawdown_worst_pct": False,  # of the peak
    "drawdown_mean_worst_pct": False,
    "expected_shortfall_pct": True,  # below 0 is a loss
    "recovery_s": False,
    "sharpe": True,
    "sortino": True,
    "calmar": True,
    "sterling": True,
    "omega": True,
}
MORE_IS_BETTER: Final = QUICK | CURVED
FIGURES: Final = tuple(MORE_IS_BETTER)
WORST: Final = "worst"
MEAN: Final = "mean"
REDUCERS: Final = (WORST, MEAN)


class Objective(msgspec.Struct, frozen=True):
    """One figure that is to be as high, or as low, as possible."""

    name: str
    is_high: bool

    def score(self, figures: Floats) -> Floats:
        """Higher is better; what does not exist is worst."""
        values = figures[..., FIGURES.index(self.name)]
        found: Floats = np.where(np.isnan(values), -np.inf, values if self.is_high else -values)
        return found


class Constraint(msgspec.Struct, frozen=True):
    """A bound that a run must keep; a figure that does not exist keeps none."""

    name: str
    is_least: bool
    bound: float

    def excess(self, figures: Floats) -> Floats:
        """By how much the bound is broken, 0 or less where it is kept."""
        values = figures[..., FIGURES.index(self.name)]
        found: Floats = np.where(np.isnan(values), np.inf, self.bound - values if self.is_least else values - self.bound)
        return found


def bounded(name: str, bound: str, *, is_least: bool) -> Constraint:
    """The constraint whose bound a person wrote as `bound`, a decimal number."""
    return Constraint(name, is_least, float(bound))


def needs_curve(names: Sequence[str]) -> bool:
    """Whether one of these figures needs the equity curve."""
    return any(name in CURVED for name in names)


def quick_figures(summary: Columns, budget_atoms: int, lasted_us: int) -> Floats:
    """Rows of all figures for rows of the loop's summaries; those of the curve are NaN. A run that could not go on has none."""
    found = np.full((len(summary), len(FIGURES)), np.nan)
    budget = float(budget_atoms)

    def put(name: str, values: Any) -> None:
        found[:, FIGURES.index(name)] = values

    put("gain_pct", 100 * (summary["equity_atoms"] - budget_atoms) / budget)
    gains = [daily_gain(budget_atoms, int(equity), lasted_us) for equity in summary["equity_atoms"]]
    put("adg_pct", [np.nan if gain is None else 100 * gain for gain in gains])
    put("drawdown_of_budget_pct", 100 * summary["drawdown_atoms"] / budget)
    put("lowest_equity_pct", 100 * summary["lowest_atoms"] / budget)
    put("fees_of_budget_pct", 100 * summary["fees_atoms"] / budget)
    put("funding_of_budget_pct", 100 * summary["funding_atoms"] / budget)
    put("turnover_times", summary["turnover_atoms"] / budget)
    put("in_position_pct", 100 * summary["held_us"] / max(lasted_us, 1))
    for name, column in (("fills", "fills"), ("positions", "trips"), ("stops", "stopped")):
        put(name, summary[column])
    for name in ("liquidations", "refused"):
        put(name, summary[name])
    found[summary["status"] != 0] = np.nan
    return found


def add_curve(row: Floats, result: Result) -> None:
    """Write the figures of a run's equity curve into its row."""
    r = result
    curve = curve_figures(r.equity["at_us"], r.equity["equity_atoms"], r.start_us, r.end_us)
    found = {
        "adg_weighted_pct": _percent(curve.adg_weighted),
        "drawdown_worst_pct": 100 * curve.drawdown_worst,
        "drawdown_mean_worst_pct": _percent(curve.drawdown_mean_worst),
        "expected_shortfall_pct": _percent(curve.expected_shortfall),
        "recovery_s": curve.recovery_s,
        "sharpe": curve.sharpe,
        "sortino": curve.sortino,
        "calmar": curve.calmar,
        "sterling": curve.sterling,
        "omega": curve.omega,
    }
    for name, value in found.items():
        row[FIGURES.index(name)] = np.nan if value is None else value


def step_returns(result: Result, step_us: int) -> Floats | None:
    """The run's return of each whole step; None where equity was used up."""
    r = result
    ends, _ = sampled(r.equity["at_us"], r.equity["equity_atoms"], r.start_us, r.end_us, step_us)
    return returns_of(ends)


def step_for(lasted_us: int) -> int:
    """Over what the returns of runs of this length are compared, µs: days where there are sixty of them, else a sixtieth of it all."""
    return DAY_US if lasted_us >= 60 * DAY_US else max(lasted_us // 60, 1)


def reduced(figures: Floats, how: str) -> Floats:
    """One row for each set, of figures by (scenario, set, figure): the mean, or of each figure what is worst.

    A figure that does not exist in one scenario does not exist for all of them together.
    """
    if how == MEAN:
        mean: Floats = figures.mean(axis=0)
        return mean
    is_high = np.array([MORE_IS_BETTER[name] for name in FIGURES])
    worst: Floats = np.where(is_high, figures.min(axis=0), figures.max(axis=0))
    return worst


def ranking(scores: Floats, excess: Floats) -> list[int]:
    """Numbers of the sets, the best first.

    Sets that keep every bound come before those that do not. Of several objectives, those that no other set beats in all of them come
    first, then those that only these beat, and so on; within such a front by the first objective. Broken bounds are compared by how much.

    Args:
        scores: rows are sets, columns are objectives, higher is better; -inf = there is no such figure.
        excess: rows are sets, columns are bounds, more than 0 = broken; no column where nothing is bounded.
    """
    broken = np.maximum(excess, 0).sum(axis=1) if excess.shape[1] else np.zeros(len(scores))
    kept = [int(k) for k in np.flatnonzero((broken == 0) & np.isfinite(scores).all(axis=1))]
    rest = sorted(set(range(len(scores))) - set(kept), key=lambda k: (float(broken[k]), *(-float(s) for s in scores[k]), k))
    if scores.shape[1] == 1:
        return sorted(kept, key=lambda k: (-float(scores[k, 0]), k)) + rest
    fronts: list[int] = []
    waiting = np.array(kept, np.int64)
    while len(waiting):
        s = scores[waiting]
        beaten = np.array([bool((np.all(s >= one, axis=1) & np.any(s > one, axis=1)).any()) for one in s])
        fronts += sorted((int(k) for k in waiting[~beaten]), key=lambda k: (-float(scores[k, 0]), k))
        waiting = waiting[beaten]
    return fronts + rest


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
