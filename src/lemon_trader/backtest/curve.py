"""Figures of an equity curve: gain, drawdown, return for risk. The same functions judge the strategy and what it is compared with.

Every definition stands in docs/backtest.md with its unit. Ratios are fractions (0.01 is one percent), durations seconds. None means that
the figure does not exist here (too short a run, nothing lost, equity used up), which is never written as 0.
"""

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any, Final

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
YEAR_DAYS: Final = 365
STEPS_US: Final = (DAY_US, HOUR_US, MINUTE_US)  # the longest of which a run has enough is what its returns are taken over
STEPS_MIN: Final = 30
WORST: Final = 0.01  # of all samples, the part that "the worst" means
WINDOWS: Final = 10  # the weighted gain is the mean over the last 1/1, 1/2 … 1/10 of the run


@dataclass(frozen=True, slots=True)
class CurveFigures:
    """What an equity curve says.

    Attributes:
        gain: end / start - 1.
        adg: geometric mean gain a day. adg_weighted: mean of the adg of the last 1/1 … 1/10 of the run: what was lately counts more.
        drawdown_worst: deepest fall below the highest so far, as a part of it. drawdown_mean_worst: mean of the worst 1 % of the steps.
        expected_shortfall: mean of the worst 1 % of the steps' returns; < 0 is a loss.
        sharpe, sortino: a year's, without a riskless rate. calmar, sterling: 365 x adg / drawdown_worst and / drawdown_mean_worst.
        omega: sum of gains / sum of losses of the steps.
        recovery_s: longest time under a former high; recovered: False where that time had not ended with the run.
        step_us: over what the returns are taken; 0 = the run is too short for any.
        steps: how many of them.
    """

    gain: float
    adg: float | None
    adg_weighted: float | None
    drawdown_worst: float
    drawdown_mean_worst: float | None
    expected_shortfall: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    sterling: float | None
    omega: float | None
    recovery_s: float
    recovered: bool
    step_us: int
    steps: int


def curve_figures(at_us: Ints, equity: Ints, start_us: int, end_us: int) -> CurveFigures:
    """The figures of equity (atoms, at least one row, the first > 0) over [start_us, end_us)."""
    first, last = int(equity[0]), int(equity[-1])
    adg = daily_gain(first, last, end_us - start_us)
    step_us = step_of(end_us - start_us)
    worst = worst_drawdown(equity)
    mean_worst = shortfall = sharpe = sortino = omega = None
    steps = 0
    if step_us:
        ends, dips = sampled(at_us, equity, start_us, end_us, step_us)
        steps = len(dips)
        mean_worst = mean_of_worst(dips)
        returns = returns_of(ends)
        if returns is not None:
            shortfall = -mean_of_worst(-returns)
            a_year = YEAR_DAYS * DAY_US / step_us
            sharpe = _ratio(float(returns.mean()) * sqrt(a_year), float(returns.std(ddof=1)))
            sortino = _ratio(float(returns.mean()) * sqrt(a_year), sqrt(float((np.minimum(returns, 0) ** 2).mean())))
            omega = _ratio(float(returns[returns > 0].sum()), -float(returns[returns < 0].sum()))
    longest, recovered = longest_recovery(at_us, equity, end_us)
    return CurveFigures(
        gain=last / first - 1,
        adg=adg,
        adg_weighted=_weighted(at_us, equity, start_us, end_us),
        drawdown_worst=worst,
        drawdown_mean_worst=mean_worst,
        expected_shortfall=shortfall,
        sharpe=sharpe,
        sortino=sortino,
        calmar=None if adg is None else _ratio(adg * YEAR_DAYS, worst),
        sterling=None if adg is None or mean_worst is None else _ratio(adg * YEAR_DAYS, mean_worst),
        omega=omega,
        recovery_s=longest / 1_000_000,
        recovered=recovered,
        step_us=step_us,
        steps=steps,
    )


def daily_gain(first: int, last: int, lasted_us: int) -> float | None:
    """Geometric mean gain a day; None for less than a day, of which it would be a wild guess. -1 when nothing is left."""
    if lasted_us < DAY_US or first <= 0:
        return None
    return float((last / first) ** (DAY_US / lasted_us) - 1) if last > 0 else -1.0


def step_of(lasted_us: int) -> int:
    """Over what the returns of a run of this length are taken, µs: days, else hours, else minutes; 0 where even those are too few."""
    return next((step for step in STEPS_US if lasted_us // step >= STEPS_MIN), 0)


def sampled(at_us: Ints, equity: Ints, start_us: int, end_us: int, step_us: int) -> tuple[Floats, Floats]:
    """(equity at the start and at the end of each whole step, deepest drawdown seen within each step), the steps counted from the start."""
    edges = np.arange(start_us, end_us + 1, step_us)
    # A row at an edge belongs to the step that it ends; the last of several rows with one time is what counts.
    upto = np.searchsorted(at_us, edges, "right")
    ends = equity[np.maximum(upto - 1, 0)].astype(np.float64)
    falls = drawdowns(equity)
    carried = falls[np.maximum(upto - 1, 0)]
    dips = np.maximum(carried[:-1], carried[1:])  # a step without a row of its own stands as deep as the one before left it
    starts, stops = upto[:-1], upto[1:]
    busy = stops > starts
    if busy.any():
        # A maximum over the rows of each step; steps without rows have none to give.
        dips[busy] = np.maximum(dips[busy], np.maximum.reduceat(falls[: stops[-1]], starts[busy]))
    return ends, dips


def drawdowns(equity: Ints) -> Floats:
    """How far each row lies under the highest so far, as a part of it, 0 … 1 (more where equity is below nothing)."""
    values = equity.astype(np.float64)
    peaks = np.maximum.accumulate(values)
    return np.where(peaks > 0, (peaks - values) / np.where(peaks > 0, peaks, 1), 1.0)


def worst_drawdown(equity: Ints) -> float:
    """The deepest fall below the highest so far, as a part of it."""
    return float(drawdowns(equity).max())


def returns_of(ends: Floats) -> Floats | None:
    """Each step's return; None where equity was used up: from nothing there is no return."""
    if bool((ends[:-1] <= 0).any()):
        return None
    return ends[1:] / ends[:-1] - 1


def mean_of_worst(values: Floats) -> float:
    """Mean of the largest 1 % of the values, at least of one."""
    count = max(1, round(len(values) * WORST))
    return float(np.sort(values)[-count:].mean())


def longest_recovery(at_us: Ints, equity: Ints, end_us: int) -> tuple[int, bool]:
    """(longest time from a high until equity stood as high again, µs; False where the run ended before it did)."""
    peaks = np.maximum.accumulate(equity)
    at_peak = np.flatnonzero(equity == peaks)
    times = np.append(at_us[at_peak], end_us)
    # Between neighbours at a peak with no row under it, nothing had to be recovered.
    under = np.append(np.diff(at_peak) > 1, at_peak[-1] < len(equity) - 1)
    spans = np.where(under, np.diff(times), 0)
    longest = int(spans.argmax())
    return int(spans[longest]), not (longest == len(spans) - 1 and bool(under[-1]))


def _weighted(at_us: Ints, equity: Ints, start_us: int, end_us: int) -> float | None:
    gains = []
    for part in range(1, WINDOWS + 1):
        since = end_us - (end_us - start_us) // part
        row = max(0, int(np.searchsorted(at_us, since, "right")) - 1)
        gains.append(daily_gain(int(equity[row]), int(equity[-1]), end_us - since))
    known = [gain for gain in gains if gain is not None]
    return sum(known) / WINDOWS if len(known) == WINDOWS else None


def _ratio(part: float, whole: float) -> float | None:
    """Part / whole; None where there is no whole to speak of (rounding leaves a few 10^-16 of nothing)."""
    if abs(whole) < 1e-15:
        return None
    found = part / whole
    return found if isfinite(found) else None
