"""How much of a good result is luck, when many were tried: the deflated Sharpe ratio and the probability of backtest overfitting.

Sources: Bailey and López de Prado, "The Deflated Sharpe Ratio" (2014); Bailey, Borwein, López de Prado, Zhu, "The Probability of Backtest
Overfitting" (2015). Sharpe ratios here are those of one step (a day, an hour), not of a year.
"""

from itertools import combinations
from math import e, sqrt
from statistics import NormalDist
from typing import Any, Final

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

EULER: Final = 0.5772156649015329
PARTS: Final = 12  # into which time is cut; 924 ways to take half of them
_NORMAL: Final = NormalDist()


def sharpe_of(returns: Floats) -> float:
    """Mean over standard deviation of one step; 0 where nothing varies."""
    deviation = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    return float(returns.mean()) / deviation if deviation > 0 else 0.0


def expected_best(trials: int, variance: float) -> float:
    """The best Sharpe ratio to be expected of so many trials without any skill.

    Args:
        trials: how many independent ones, at least 1.
        variance: of the trials' Sharpe ratios, >= 0.
    """
    if trials < 2:
        return 0.0
    first, second = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * e))
    return sqrt(variance) * ((1 - EULER) * first + EULER * second)


def probable_sharpe(sharpe: float, steps: int, skewness: float, kurtosis: float, than: float = 0.0) -> float:
    """The probability that the true Sharpe ratio is above `than`, 0 ... 1.

    Args:
        sharpe: measured over so many steps, at least 2.
        steps: returns that were measured.
        skewness: of the returns.
        kurtosis: of the returns; 3 where they are normal.
        than: what it is held against.
    """
    spread = max(1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe * sharpe, 1e-12)
    return _NORMAL.cdf((sharpe - than) * sqrt(steps - 1) / sqrt(spread))


def deflated_sharpe(returns: Floats, trial_sharpes: Floats) -> float | None:
    """The probability that the best trial has skill, given how many there were and how they scattered; None for too few figures.

    Args:
        returns: of the best trial, one for each step.
        trial_sharpes: of all trials, of one step; trials that resemble each other count as if they did not, which judges too strictly.
    """
    if len(returns) < 3 or len(trial_sharpes) < 2:
        return None
    centred = returns - returns.mean()
    deviation = float(centred.std())
    if deviation == 0:
        return None
    skewness = float((centred**3).mean()) / deviation**3
    kurtosis = float((centred**4).mean()) / deviation**4
    best = expected_best(len(trial_sharpes), float(trial_sharpes.var(ddof=1)))
    return probable_sharpe(sharpe_of(returns), len(returns), skewness, kurtosis, best)


def overfitting(returns: Floats, parts: int = PARTS) -> float | None:
    """The probability that what is best in one half of time is below the middle in the other, 0 ... 1; None for too few figures.

    Every way of taking half of the parts of time is tried: the best trial there is looked up in the other half.

    Args:
        returns: rows are steps, columns are trials.
        parts: into which the rows are cut, an even number; fewer where there are too few rows.
    """
    steps, trials = returns.shape
    parts = min(parts, steps // 2) // 2 * 2
    if trials < 2 or parts < 4:
        return None
    length = steps // parts
    cut = returns[: length * parts].reshape(parts, length, trials)
    sums, squares = cut.sum(axis=1), (cut**2).sum(axis=1)
    halves = np.array([[k in chosen for k in range(parts)] for chosen in combinations(range(parts), parts // 2)], np.float64)
    count = length * parts // 2
    inside = _sharpes(halves @ sums, halves @ squares, count)
    outside = _sharpes((1 - halves) @ sums, (1 - halves) @ squares, count)
    best = inside.argmax(axis=1)
    found = outside[np.arange(len(halves)), best]
    # Its rank in the other half, equals counted half: 1 is the worst of them, `trials` the best.
    rank = (outside < found[:, None]).sum(axis=1) + ((outside == found[:, None]).sum(axis=1) + 1) / 2
    return float((rank / (trials + 1) <= 0.5).mean())


def _sharpes(sums: Floats, squares: Floats, count: int) -> Floats:
    means = sums / count
    variance = np.maximum(squares / count - means**2, 0) * count / max(count - 1, 1)
    still = variance <= 1e-24 * np.maximum(squares / count, 1e-300)
    found: Floats = np.where(still, 0.0, means / np.sqrt(np.where(still, 1.0, variance)))
    return found
