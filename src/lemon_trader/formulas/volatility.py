"""Features of a market that strategies read: how much it trembles, and how far it has just fallen.

One record, one incremental function, integers: every carrier calls `update_features` for every touch and gets the same figures.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.rounding import PPB, PPM, ceil_div, root, scaled_floor

BUCKETS: Final = 16  # the fall window is remembered in so many parts: its edge is exact to a sixteenth
_SECOND_US: Final = 1_000_000


def _buckets() -> Any:
    return field(default_factory=lambda: [0] * BUCKETS, metadata={"length": BUCKETS})


@dataclass(slots=True)
class Features:
    """State and result of `update_features`. Give it the two windows; everything else starts at zero.

    Attributes:
        volatility_window_us: memory of the volatility, µs: the weight of a return falls to 1/e over it; at least one second.
        fall_window_us: how far back the highest mid is looked for, µs; at least 16.
        volatility_ppm: standard deviation of one-second mid returns, ppm, exponentially weighted, rounded half up.
        fall_ppm: how far the mid stands under its highest of the fall window, ppm, >= 0, rounded down.
        mid2: bid + ask of the last touch, ticks; 0 = none yet.
        second: the second (of engine time) that the last touch fell into.
        second_mid2: mid at the end of the last second that was counted.
        variance: exponentially weighted mean square of returns, (10**-9)**2.
        weight: seconds counted so far, up to the window: until it is full the mean is a plain one, not one that starts at zero.
        bucket: number of the running part of the fall window.
        highest2: highest mid of the window.
        high2: highest mid of each part, by its number modulo `BUCKETS`; a mid stands until the next touch.
    """

    volatility_window_us: int = 300_000_000
    fall_window_us: int = 60_000_000
    volatility_ppm: int = 0
    fall_ppm: int = 0
    mid2: int = 0
    second: int = 0
    second_mid2: int = 0
    variance: int = 0
    weight: int = 0
    bucket: int = 0
    highest2: int = 0
    high2: list[int] = _buckets()


@compilable
def update_features(features: Any, now_us: int, bid_ticks: int, ask_ticks: int) -> None:
    """Take one touch in. Times never go back; a side that is empty (0) leaves everything as it was.

    Args:
        features: a `Features` record.
        now_us: engine time, µs.
        bid_ticks: best bid, ticks, < 2**40.
        ask_ticks: best ask, the same.
    """
    if bid_ticks <= 0 or ask_ticks <= 0:
        return
    mid2 = bid_ticks + ask_ticks
    second = now_us // _SECOND_US
    if features.mid2 == 0:
        features.second = second
        features.second_mid2 = mid2
        features.bucket = now_us * BUCKETS // features.fall_window_us
        features.high2[features.bucket % BUCKETS] = mid2
    elif second > features.second:
        _close_seconds(features, second - features.second)
        features.second = second
    _note_high(features, now_us * BUCKETS // features.fall_window_us, mid2)
    features.mid2 = mid2
    features.fall_ppm = (features.highest2 - mid2) * PPM // features.highest2


@compilable
def _close_seconds(features: Any, seconds: int) -> None:
    """Count the second that has ended with its return, and those after it in which nothing moved."""
    last2 = features.second_mid2
    moved = features.mid2 - last2
    size = moved if moved >= 0 else -moved
    change = PPB if size >= last2 else scaled_floor(size, PPB, last2)
    window = max(features.volatility_window_us // _SECOND_US, 1)
    # A mean square of returns below 10**9 parts per 10**9 is below 10**18, so the sums here stay below 2**63.
    features.weight = min(features.weight + 1, window)
    features.variance += (change * change - features.variance) // features.weight
    quiet = seconds - 1
    while quiet > 0 and features.weight < window:
        features.weight += 1
        features.variance -= ceil_div(features.variance, features.weight)
        quiet -= 1
    if quiet > 0:
        features.variance = scaled_floor(features.variance, _power_ppb(PPB - PPB // window, quiet), PPB)
    features.second_mid2 = features.mid2
    # Half a ppm more before the division by 1,000 rounds half up.
    features.volatility_ppm = (root(features.variance) + 500) // 1_000


@compilable
def _power_ppb(factor_ppb: int, exponent: int) -> int:
    """`factor_ppb` (< 10**9, parts per 10**9) to the power `exponent`, rounded down at each of its few squarings."""
    result = PPB
    while exponent > 0 and result > 0:
        if exponent & 1:
            result = result * factor_ppb // PPB
        factor_ppb = factor_ppb * factor_ppb // PPB
        exponent >>= 1
    return result


@compilable
def _note_high(features: Any, bucket: int, mid2: int) -> None:
    """Remember a new mid in the window's running part. Until now the last one stood, in every part that has begun meanwhile."""
    if bucket > features.bucket:
        for begun in range(min(bucket - features.bucket, BUCKETS)):
            features.high2[(bucket - begun) % BUCKETS] = features.mid2
        features.bucket = bucket
        features.highest2 = 0
        for i in range(BUCKETS):
            features.highest2 = max(features.highest2, features.high2[i])
    slot = bucket % BUCKETS
    features.high2[slot] = max(features.high2[slot], mid2)
    features.highest2 = max(features.highest2, mid2)
