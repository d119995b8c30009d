"""What a position has cost, and the prices that follow from it: take profit, stop, fee break-even.

The average is carried as atoms of quote per lot, which is finer than a tick. Sides are +1 for a long position and -1 for a short one.
"""

from typing import Final

from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.rounding import PPM, ceil_div, scaled_ceil, scaled_floor

LAYER_STOP_PPM: Final = 40_000  # the seed's dynamic stop: 4 % for each layer that is filled


@compilable
def average_atoms(cost_atoms: int, base_atoms: int, lot_atoms: int) -> int:
    """Average cost of one lot, quote atoms, rounded up; 0 when nothing is held or it cost nothing.

    Args:
        cost_atoms: paid (or, of a short, received) for what is held, 0 ... 2**62.
        base_atoms: held, atoms, >= 0, < 2**61.
        lot_atoms: base atoms of one lot.
    """
    if cost_atoms <= 0 or base_atoms <= 0:
        return 0
    return scaled_ceil(cost_atoms, lot_atoms, base_atoms)


@compilable
def take_profit_ticks(average: int, profit_ppm: int, tick_lot_atoms: int, side: int) -> int:
    """Price at which the whole position is closed with profit, ticks: away from the average, never a tick too near.

    Args:
        average: from `average_atoms`; 0 gives 0.
        profit_ppm: distance from the average, ppm, 0 ... 10**7.
        tick_lot_atoms: quote atoms of one lot at one tick, <= 2**41.
        side: +1 long, -1 short.
    """
    if average <= 0:
        return 0
    if side > 0:
        return scaled_ceil(average, PPM + profit_ppm, PPM * tick_lot_atoms)
    return scaled_floor(average, max(PPM - profit_ppm, 0), PPM * tick_lot_atoms)


@compilable
def stop_loss_ticks(average: int, loss_ppm: int, tick_lot_atoms: int, side: int) -> int:
    """Price at which the position is given up, ticks, rounded away from the average: never sooner than meant. Arguments as above."""
    if average <= 0:
        return 0
    if side > 0:
        return scaled_floor(average, max(PPM - loss_ppm, 0), PPM * tick_lot_atoms)
    return scaled_ceil(average, PPM + loss_ppm, PPM * tick_lot_atoms)


@compilable
def active_stop_ppm(stop_ppm: int, by_layer: int, depth: int) -> int:
    """The distance of the stop from the average while `depth` is the deepest layer with a fill: with `by_layer` the tighter of the two."""
    if by_layer:
        return min(stop_ppm, LAYER_STOP_PPM * (depth + 1))
    return stop_ppm


@compilable
def beyond_ticks(price_ticks: int, beyond_ppm: int, side: int) -> int:
    """A price farther into the loss by `beyond_ppm`, ticks, at least one tick; 1 is the lowest. `price_ticks` < 2**42."""
    away = max(ceil_div(price_ticks * beyond_ppm, PPM), 1)
    return max(price_ticks - side * away, 1)


@compilable
def cap_ticks(touch_ticks: int, slippage_ppm: int, side: int) -> int:
    """The worst price that an order through the touch may pay, ticks, rounded towards the touch. `touch_ticks` < 2**42.

    Args:
        touch_ticks: the other side's best price: the ask for a buy, the bid for a sell; 0 gives 0.
        slippage_ppm: how far through it.
        side: +1 buy, -1 sell.
    """
    if touch_ticks <= 0:
        return 0
    if side > 0:
        return touch_ticks + touch_ticks * slippage_ppm // PPM
    return max(touch_ticks - touch_ticks * slippage_ppm // PPM, 1)


@compilable
def round_trip_ppm(open_fee_ppm: int, close_fee_ppm: int, fee_in_base: int) -> int:
    """How far the closing price must lie above the opening price for a long round trip to end at zero, ppm, rounded up.

    Args:
        open_fee_ppm: rate of the opening order, negative = rebate.
        close_fee_ppm: rate of the closing order.
        fee_in_base: 1 where the buy pays its fee in the coin bought (spot): then fewer coins are sold than were bought.
    """
    if fee_in_base:
        return ceil_div(PPM * PPM * PPM, (PPM - open_fee_ppm) * (PPM - close_fee_ppm)) - PPM
    return ceil_div(PPM * (PPM + open_fee_ppm), PPM - close_fee_ppm) - PPM
