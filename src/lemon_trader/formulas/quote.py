"""Where a maker's quotes stand: half spread, skew against the position, and prices rounded away from the touch.

Distances are ppm of the mid. A mid lies between two ticks as often as on one, so it is carried as `mid2`, the sum of bid and ask.
Sides are +1 for a buy and -1 for a sell.
"""

from typing import Final

from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.rounding import PPM, scaled_floor

HALF_MAX_PPM: Final = 500_000  # a bid at half the mid: whatever the model says, no quote stands farther


@compilable
def half_spread_ppm(spread_ppm: int, volatility_ppm: int, widening_ppm: int) -> int:
    """Distance of the first quote from the mid: half the spread, widened by volatility. Monotone, never narrower than asked.

    Args:
        spread_ppm: full width between first bid and first ask, ppm of the mid, 0 ... 10**6.
        volatility_ppm: standard deviation of one-second returns, ppm, 0 ... 10**6.
        widening_ppm: k x sqrt(n) in ppm, for k standard deviations over n seconds; 0 ... 10**12.
    """
    half = (spread_ppm + 1) // 2 + volatility_ppm * widening_ppm // PPM
    return min(half, HALF_MAX_PPM)


@compilable
def tilt_ppm(value_atoms: int, budget_atoms: int, target_ppm: int, is_perp: int) -> int:
    """How far the position is from its target, -10**6 (as short of it as it can be) ... 10**6 (as long); 0 on target. Rises with the value.

    Args:
        value_atoms: signed value of what is held, quote atoms.
        budget_atoms: quote reserved, atoms, < 2**61; 0 counts as on target.
        target_ppm: wanted value over budget, ppm.
        is_perp: 1 where the value may reach minus the budget.
    """
    if budget_atoms <= 0:
        return 0
    share = share_ppm(value_atoms, budget_atoms)
    away = share - target_ppm
    room = PPM - target_ppm if away > 0 else target_ppm + (PPM if is_perp else 0)
    if away == 0 or room <= 0:
        return 0
    if away > 0:
        return min(away * PPM // room, PPM)
    return -min(-away * PPM // room, PPM)


@compilable
def share_ppm(value_atoms: int, budget_atoms: int) -> int:
    """Signed value over budget, ppm towards zero, clamped to twice the budget. `budget_atoms` 1 ... 2**61."""
    size = value_atoms if value_atoms >= 0 else -value_atoms
    share = 2 * PPM if size >= 2 * budget_atoms else scaled_floor(size, PPM, budget_atoms)
    return share if value_atoms >= 0 else -share


@compilable
def skew_ppm(half_ppm: int, strength_ppm: int, tilt: int) -> int:
    """How far both sides shift, ppm of the mid: down (> 0) when long of the target. Monotone in `tilt`, never more than the half spread.

    Args:
        half_ppm: from `half_spread_ppm`.
        strength_ppm: share of the half spread that a full tilt uses, 0 ... 10**6.
        tilt: from `tilt_ppm`.
    """
    size = tilt if tilt >= 0 else -tilt
    shift = half_ppm * strength_ppm // PPM * size // PPM
    return shift if tilt >= 0 else -shift


@compilable
def quote_ticks(mid2: int, side: int, distance_ppm: int) -> int:
    """Price of a quote, ticks: a buy rounded down, a sell rounded up, so that a spread is never narrower than asked.

    Args:
        mid2: bid + ask, ticks, < 2**41.
        side: +1 buy, -1 sell.
        distance_ppm: from the mid, 0 ... 10**6.
    """
    # Floor division of the negative rounds a sell up: one expression for both sides.
    return side * (side * mid2 * (PPM - side * distance_ppm) // (2 * PPM))


@compilable
def tolerance2_ticks(mid2: int, tolerance_ppm: int) -> int:
    """How far `mid2` may move before quotes are thought over, in its own half ticks, rounded down. `mid2` < 2**41."""
    return mid2 * tolerance_ppm // PPM


@compilable
def is_jump(mid2: int, anchor2: int, spread_ppm: int) -> int:
    """1 when the mid has moved by half the spread or more since the quotes were set. Both < 2**41."""
    moved = mid2 - anchor2 if mid2 >= anchor2 else anchor2 - mid2
    return 1 if moved * (2 * PPM) >= anchor2 * spread_ppm else 0
