"""How a bar is traded: which way its price goes, what that reaches, at which price it fills, and what it costs.

A bar is four points: its open, its two extremes, its close. Between two points the price moves one way; between a close and the next open
it jumps. `docs/decisions/0014-how-a-bar-is-traded.md` tells why. The exchange of bars and the compiled kernel both trade by these
functions. Sides are +1 buy and -1 sell, times µs, prices ticks.
"""

from dataclasses import dataclass
from typing import Any, Final

from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.cost import cap_ticks
from lemon_trader.formulas.rounding import PPB, PPM, scaled_ceil, scaled_floor

PESSIMISTIC: Final = 0
TOUCH: Final = 1
PROBABILISTIC: Final = 2
FILL_MODELS: Final = ("pessimistic", "touch", "probabilistic")
POINTS: Final = 4  # of a bar

_MASK: Final = 2**31 - 1


@dataclass(slots=True)
class FillRules:
    """What is assumed about fills, as integers.

    Attributes:
        model: PESSIMISTIC fills what the price goes through by a tick; TOUCH what it reaches; PROBABILISTIC what it goes through, and of
            what it reaches exactly a share of `touch_ppm`.
        touch_ppm / seed: of PROBABILISTIC, the share and which of them.
        share_ppm: of what trades at a point, the part that may be ours; 0 = no bound. A bar's volume is shared by its points equally.
        half_spread_ppm: of the touch around the price; 0 = the bid is the price and the ask one tick above it.
        slippage_ppm: how much worse than the touch what takes is filled.
        maker_fee_ppm / taker_fee_ppm: of the worth of a fill; < 0 = rebate.
        liquidation_fee_ppm: of the worth of a liquidation, beside nothing else.
        imf_ppm / mmf_ppm: of a perpetual, the margin that opening needs and that holding needs, of the worth at mark; 0 = not looked at.
    """

    model: int = PESSIMISTIC
    touch_ppm: int = 500_000
    seed: int = 0
    share_ppm: int = 0
    half_spread_ppm: int = 0
    slippage_ppm: int = 0
    maker_fee_ppm: int = 0
    taker_fee_ppm: int = 0
    liquidation_fee_ppm: int = 10_000
    imf_ppm: int = 0
    mmf_ppm: int = 0


@compilable
def bar_bid(price: int, half_spread_ppm: int) -> int:
    """The best bid while the price is `price`, at least 1. `price` < 2**42."""
    return max(price - price * half_spread_ppm // PPM, 1)


@compilable
def bar_ask(price: int, half_spread_ppm: int) -> int:
    """The best ask while the price is `price`: at least a tick above it."""
    return price + max(price * half_spread_ppm // PPM, 1)


@compilable
def low_comes_first(model: int, open_ticks: int, close_ticks: int, lots: int, buys: int, sells: int) -> int:
    """1 when a bar goes to its low before its high.

    PESSIMISTIC takes what is held through the loss first (a stop before the profit), and where nothing is held it comes last to the side
    that rests, so that nothing is opened and closed with profit on one bar's way. The others go as the colour of the bar suggests: down
    first in one that rose.

    Args:
        model: of `FillRules`.
        open_ticks: of the bar.
        close_ticks: of the bar.
        lots: held, signed.
        buys: how many buys rest.
        sells: how many sells rest.
    """
    if model != PESSIMISTIC:
        return 1 if close_ticks >= open_ticks else 0
    if lots != 0:
        return 1 if lots > 0 else 0
    if buys > 0 and sells > 0:
        return 1 if close_ticks >= open_ticks else 0
    return 0 if buys > 0 else 1


@compilable
def chance_ppm(seed: int, at_us: int, price: int, side: int) -> int:
    """A number of 0 ... 999,999 that these four always give, and that looks drawn."""
    state = seed & _MASK
    for part in (at_us & _MASK, at_us >> 31, price & _MASK, price >> 31, side + 1):
        state = ((state ^ part) * 1_103_515_245 + 12_345) & _MASK
        state ^= state >> 15
        state = (state * 1_566_083_941 + 1) & _MASK
        state ^= state >> 13
    return state * PPM >> 31


@compilable
def is_reached(rules: Any, side: int, price: int, start: int, end: int, at_us: int) -> int:
    """1 when a move from `start` to `end` fills an order that rests at `price`.

    An order that the price has gone through before (an earlier point's volume did not suffice for all of it) is reached by any move.

    Args:
        rules: a `FillRules` record.
        side: of the order.
        price: of the order.
        start: the price before the move.
        end: the price after it.
        at_us: when the move ends.
    """
    left = (end - price) * side  # < 0: the price went through; 0: it came as far as the order
    if (end - start) * side < 0:
        if left != 0:
            return 1 if left < 0 else 0
        if rules.model == TOUCH:
            return 1
        return 1 if rules.model == PROBABILISTIC and chance_ppm(rules.seed, at_us, price, side) < rules.touch_ppm else 0
    return 1 if (start - price) * side < 0 and is_through(rules, side, price, start) else 0


@compilable
def is_through(rules: Any, side: int, price: int, now: int) -> int:
    """1 when an order at `price` takes from the other side's touch while the price is `now`."""
    if side > 0:
        return 1 if price >= bar_ask(now, rules.half_spread_ppm) else 0
    return 1 if price <= bar_bid(now, rules.half_spread_ppm) else 0


@compilable
def is_triggered(side: int, trigger: int, end: int) -> int:
    """1 when the price at the end of a move has come to a TRIGGER's: at or below it for a sell, at or above it for a buy."""
    return 1 if (end - trigger) * side >= 0 else 0


@compilable
def trigger_level(side: int, trigger: int, start: int, end: int, jumped: int) -> int:
    """The price that a TRIGGER fires at: its own on a way through it, where the market jumped over it the price after the jump."""
    if jumped:
        return end
    return start if (start - trigger) * side >= 0 else trigger


@compilable
def taker_ticks(rules: Any, side: int, price: int) -> int:
    """What one who takes pays (or gets) while the price is `price`: the other side's touch, worse by the slippage."""
    if side > 0:
        return cap_ticks(bar_ask(price, rules.half_spread_ppm), rules.slippage_ppm, side)
    return cap_ticks(bar_bid(price, rules.half_spread_ppm), rules.slippage_ppm, side)


@compilable
def point_lots(bar_lots: int, share_ppm: int) -> int:
    """What may be filled of ours at one point of a bar, lots; all there is where the share is no bound."""
    if share_ppm == 0:
        return 2**62
    return scaled_floor(bar_lots, share_ppm, POINTS * PPM)


@compilable
def fee_atoms(worth_atoms: int, rate_ppm: int) -> int:
    """The fee on what is worth `worth_atoms`, rounded up: a fee is never too small, a rebate never too large. |rate| <= 10**6."""
    if rate_ppm >= 0:
        return scaled_ceil(worth_atoms, rate_ppm, PPM)
    return -scaled_floor(worth_atoms, -rate_ppm, PPM)


@compilable
def reduced_cost(cost_atoms: int, closing_atoms: int, held_atoms: int) -> int:
    """The part of a cost that leaves with `closing_atoms` of `held_atoms` (both > 0), rounded down: the rest stays with the rest."""
    return scaled_floor(cost_atoms, closing_atoms, held_atoms)


@compilable
def funding_atoms(lots: int, mark_ticks: int, tick_lot_atoms: int, rate_ppb: int) -> int:
    """What a position is paid (> 0) or pays for a funding interval, quote atoms, rounded down; positive rates are paid by longs."""
    size = lots if lots >= 0 else -lots
    rate = rate_ppb if lots >= 0 else -rate_ppb
    worth = size * mark_ticks * tick_lot_atoms
    if rate >= 0:
        return -scaled_ceil(worth, rate, PPB)
    return scaled_floor(worth, -rate, PPB)


@compilable
def margin_atoms(lots: int, mark_ticks: int, tick_lot_atoms: int, fraction_ppm: int) -> int:
    """The margin of so many lots at mark, quote atoms, rounded up; `lots` >= 0."""
    return scaled_ceil(lots * mark_ticks * tick_lot_atoms, fraction_ppm, PPM)


@compilable
def value_atoms(base_atoms: int, ticks: int, tick_lot_atoms: int, lot_atoms: int) -> int:
    """What is held at this price, quote atoms, rounded towards zero; signed as what is held, as the ledger values it."""
    size = base_atoms if base_atoms >= 0 else -base_atoms
    worth = scaled_floor(size, ticks * tick_lot_atoms, lot_atoms)
    return worth if base_atoms >= 0 else -worth
