"""Every figure of a run by name, with its unit: what terminal, HTML and JSON show, and what a sweep optimises.

The same table judges the strategy, buying and holding the market for the whole budget, and cash. Names end in their unit; money is quote
atoms, `_pct` percent, `_bp` 1/100 percent, `_s` seconds. None = the figure does not exist for this run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lemon_trader.backtest.curve import CurveFigures, Ints, curve_figures, worst_drawdown
from lemon_trader.backtest.cycles import ENDED_BY_STOP, STILL_OPEN, Cycle, booked, cycles, held_spans
from lemon_trader.backtest.making import making_figures
from lemon_trader.backtest.result import Result
from lemon_trader.core.ledger import Booked

Value = int | float | None

MONEY: Final = "money"
PCT: Final = "pct"
BP: Final = "bp"
SECONDS: Final = "seconds"
COUNT: Final = "count"
RATIO: Final = "ratio"


@dataclass(frozen=True, slots=True)
class Section:
    """Some figures under one title: message id, and (name, unit) of each; a figure's label is the message `figure.<name>`."""

    title: str
    figures: tuple[tuple[str, str], ...]


SECTIONS: Final = (
    Section(
        "figures.gain",
        (("equity", MONEY), ("net", MONEY), ("gain_pct", PCT), ("adg_pct", PCT), ("adg_weighted_pct", PCT)),
    ),
    Section(
        "figures.risk",
        (
            ("drawdown_worst_pct", PCT), ("drawdown_in_bars_pct", PCT), ("drawdown_mean_worst_pct", PCT),
            ("expected_shortfall_pct", PCT), ("recovery_s", SECONDS),
        ),
    ),
    Section(
        "figures.ratios",
        (("sharpe", RATIO), ("sortino", RATIO), ("calmar", RATIO), ("sterling", RATIO), ("omega", RATIO)),
    ),
    Section(
        "figures.exposure",
        (
            ("exposure_mean_pct", PCT), ("exposure_max_pct", PCT), ("in_position_pct", PCT),
            ("position_mean_s", SECONDS), ("position_max_s", SECONDS),
        ),
    ),
    Section(
        "figures.trading",
        (
            ("fills", COUNT), ("turnover", MONEY), ("turnover_times", RATIO), ("win_rate_pct", PCT), ("maker_share_pct", PCT),
            ("fees", MONEY), ("fee_share_pct", PCT), ("funding", MONEY), ("funding_share_pct", PCT), ("interest", MONEY),
            ("placed", COUNT), ("cancelled", COUNT), ("refused", COUNT), ("liquidations", COUNT),
        ),
    ),
    Section(
        "figures.making",
        (
            ("spread_capture", MONEY), ("spread_capture_bp", BP), ("markout_1s_bp", BP), ("markout_5s_bp", BP),
            ("markout_30s_bp", BP), ("inventory_cost", MONEY),
        ),
    ),
    Section(
        "figures.martingale",
        (
            ("cycles", COUNT), ("cycles_won_pct", PCT), ("cycle_mean_s", SECONDS), ("cycle_worst", MONEY), ("layers_mean", RATIO),
            ("layers_max", COUNT), ("ladder_exhausted", COUNT), ("stops", COUNT),
        ),
    ),
)  # fmt: skip
UNITS: Final = {name: unit for section in SECTIONS for name, unit in section.figures}


@dataclass(frozen=True, slots=True)
class Metrics:
    """A run judged.

    Attributes:
        own, hold, cash: figures by name of the strategy, of buying and holding, of doing nothing.
        cycles: of a martingale, each.
        layer_counts: how many cycles used 1, 2 … layers.
        step_us: over what returns were taken; 0 = the run is too short, and what needs returns is None.
        recovered: False where the longest recovery had not ended.
    """

    own: Mapping[str, Value]
    hold: Mapping[str, Value]
    cash: Mapping[str, Value]
    cycles: tuple[Cycle, ...]
    layer_counts: tuple[int, ...]
    step_us: int
    recovered: bool


def metrics(result: Result) -> Metrics:
    """Judge a run. Everything is made of the result's columns; nothing is played again."""
    r = result
    books = booked(r)
    made = cycles(r, books)
    curve = curve_figures(r.equity["at_us"], r.equity["equity_atoms"], r.start_us, r.end_us)
    own = {
        **_of_curve(curve, int(r.equity["equity_atoms"][-1]), r.budget_atoms),
        "drawdown_in_bars_pct": 100 * drawdown_in_bars(r),
        **_exposure(r, books),
        **_trading(r, books),
        **_making(r),
        **(_martingale(r, made) if r.layers else {}),
    }
    at_us, hold = hold_equity(r)
    held = curve_figures(at_us, hold, r.start_us, r.end_us)
    idle = np.full(len(at_us), r.budget_atoms, np.int64)
    cash = curve_figures(at_us, idle, r.start_us, r.end_us)
    deepest = max((c.deepest for c in made), default=-1)
    return Metrics(
        own=_named(own),
        hold=_named(_of_curve(held, int(hold[-1]), r.budget_atoms) | {"exposure_mean_pct": 100.0, "exposure_max_pct": 100.0}),
        cash=_named(_of_curve(cash, r.budget_atoms, r.budget_atoms)),
        cycles=tuple(made),
        layer_counts=tuple(sum(c.layers == n for c in made) for n in range(1, max(r.layers, deepest + 1) + 1)),
        step_us=curve.step_us,
        recovered=curve.recovered,
    )


def hold_equity(result: Result) -> tuple[Ints, Ints]:
    """(times, atoms) of the whole budget put into the market at its first price and left there: no fee, no lot, no funding."""
    p = result.prices
    if not len(p):
        return np.array([result.start_us, result.end_us]), np.array([result.budget_atoms] * 2)
    first = int(p["open_ticks"][0])
    closes = np.array([result.budget_atoms * close // first for close in p["close_ticks"].tolist()], np.int64)
    return np.append(result.start_us, p["at_us"] + result.price_every_us), np.append(result.budget_atoms, closes)


def drawdown_in_bars(result: Result) -> float:
    """The deepest drawdown when what was held at a bar's begin is valued at the bar's worst price: what closes alone do not show.

    What was held is followed from the close before the bar, at which equity had been valued, to the bar's low (of a short, its high).
    """
    e, p, i = result.equity, result.prices, result.instrument
    worst = worst_drawdown(e["equity_atoms"])
    if len(p) < 2:
        return worst
    bars, before = p[1:], p[:-1]["close_ticks"]
    row = np.searchsorted(e["at_us"], bars["at_us"], "right") - 1
    bars, before, row = bars[row >= 0], before[row >= 0], row[row >= 0]
    base = e["base_atoms"][row]
    moved = np.where(base > 0, bars["low_ticks"] - before, bars["high_ticks"] - before)
    equity = e["equity_atoms"][row] + base * moved.astype(np.float64) * (i.tick_lot_atoms / i.lot_atoms)
    peaks = np.maximum.accumulate(e["equity_atoms"])[row].astype(np.float64)
    dips = ((peaks - equity) / np.maximum(peaks, 1))[base != 0]
    return max(worst, float(dips.max())) if len(dips) else worst


def _of_curve(curve: CurveFigures, equity: int, budget: int) -> dict[str, Value]:
    return {
        "equity": equity,
        "net": equity - budget,
        "gain_pct": 100 * curve.gain,
        "adg_pct": _times(100, curve.adg),
        "adg_weighted_pct": _times(100, curve.adg_weighted),
        "drawdown_worst_pct": 100 * curve.drawdown_worst,
        "drawdown_mean_worst_pct": _times(100, curve.drawdown_mean_worst),
        "expected_shortfall_pct": _times(100, curve.expected_shortfall),
        "recovery_s": curve.recovery_s,
        "sharpe": curve.sharpe,
        "sortino": curve.sortino,
        "calmar": curve.calmar,
        "sterling": curve.sterling,
        "omega": curve.omega,
    }


def _exposure(r: Result, books: list[Booked]) -> dict[str, Value]:
    e = r.equity
    lasted = r.end_us - r.start_us
    # Each row's cost stands until the next row; before the first one nothing was held.
    stood = np.diff(np.append(e["at_us"], max(r.end_us, int(e["at_us"][-1])))).astype(np.float64)
    cost = e["cost_atoms"].astype(np.float64)
    spans = held_spans(r, books)
    return {
        "exposure_mean_pct": 100 * float((cost * stood).sum()) / (lasted * r.budget_atoms) if lasted else None,
        "exposure_max_pct": 100 * max([0, *(b.cost_atoms for b in books)]) / r.budget_atoms,
        "in_position_pct": 100 * float(spans.sum()) / lasted if lasted else None,
        "position_mean_s": float(spans.mean()) / 1_000_000 if len(spans) else None,
        "position_max_s": int(spans.max()) / 1_000_000 if len(spans) else None,
    }


def _trading(r: Result, books: Sequence[Booked]) -> dict[str, Value]:
    f, totals = r.fills, r.totals
    turnover = int(f["quote_atoms"].sum())
    gross = totals.realised_atoms + totals.unrealised_atoms
    won, closed = _won(r, books)
    counts = r.counters
    return {
        "fills": len(f),
        "turnover": turnover,
        "turnover_times": turnover / r.budget_atoms,
        "win_rate_pct": 100 * won / closed if closed else None,
        "maker_share_pct": 100 * int(f["quote_atoms"][f["is_maker"] == 1].sum()) / turnover if turnover else None,
        "fees": totals.fees_atoms,
        "fee_share_pct": 100 * totals.fees_atoms / gross if gross > 0 else None,
        "funding": totals.funding_atoms,
        "funding_share_pct": 100 * totals.funding_atoms / gross if gross > 0 else None,
        "interest": totals.interest_atoms,
        "placed": counts.placed,
        "cancelled": counts.cancelled,
        "refused": sum(counts.refused.values()) if counts.placed is not None else None,
        "liquidations": counts.liquidations,
    }


def _won(r: Result, books: Sequence[Booked]) -> tuple[int, int]:
    """(fills that reduced and brought more than their fee, fills that reduced)."""
    won = closed = base = 0
    for side, b in zip(r.fills["side"].tolist(), books, strict=True):
        if base * side < 0:
            closed += 1
            won += b.realised_atoms > b.fee_quote_atoms
        base = b.base_atoms
    return won, closed


def _making(r: Result) -> dict[str, Value]:
    m = making_figures(r)
    return {
        "spread_capture": m.spread_atoms,
        "spread_capture_bp": m.spread_bp,
        "inventory_cost": m.inventory_cost_atoms,
        **{f"markout_{seconds}s_bp": value for seconds, value in m.markout_bp.items()},
    }


def _martingale(r: Result, made: Sequence[Cycle]) -> dict[str, Value]:
    ended = [c for c in made if c.ended != STILL_OPEN]
    return {
        "cycles": len(made),
        "cycles_won_pct": 100 * sum(c.net_atoms > 0 for c in ended) / len(ended) if ended else None,
        "cycle_mean_s": sum(c.end_us - c.start_us for c in ended) / len(ended) / 1_000_000 if ended else None,
        "cycle_worst": min((c.net_atoms for c in ended), default=None),
        "layers_mean": sum(c.layers for c in made) / len(made) if made else None,
        "layers_max": max((c.layers for c in made), default=None),
        "ladder_exhausted": sum(c.layers >= r.layers for c in made),
        "stops": sum(c.ended == ENDED_BY_STOP for c in made),
    }


def _named(found: Mapping[str, Value]) -> dict[str, Value]:
    """Every figure there is, in order, None for those that were not found."""
    strangers = found.keys() - UNITS.keys()
    assert not strangers, strangers
    return {name: found.get(name) for name in UNITS}


def _times(factor: int, value: float | None) -> float | None:
    return None if value is None else factor * value
