"""A martingale's ladder: what each layer may spend, at which price it stands, and how many lots that is.

Layer 0 is the first entry and counts. Sizes grow geometrically in quote and are normalised, so that the whole ladder with its fees never
costs more than the budget. Sides are +1 for a ladder of buys and -1 for one of sells.
"""

from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.rounding import PPB, PPM, ceil_div, scaled_floor


def layer_shares_ppb(layers: int, multiplier_ppm: int) -> list[int]:
    """Each layer's share of the budget, parts per 10**9, rounded down: their sum is never above one.

    Runs once, when parameters are built: its numbers outgrow 64 bits.
    """
    weights = [multiplier_ppm**i * PPM ** (layers - 1 - i) for i in range(layers)]
    whole = sum(weights)
    return [weight * PPB // whole for weight in weights]


def layer_depths_ppm(layers: int, step_ppm: int, scale_ppm: int) -> list[int]:
    """Each layer's distance from the anchor, ppm, rounded half up; layer 0 stands on it.

    Neighbours are step, step x scale, step x scale**2 ... apart; a scale of 10**6 is a linear ladder. Runs once, as `layer_shares_ppb`.
    """
    depths = [0]
    exact = 0  # in units of ppm / 10**(6 x layers), so that only the last figure is rounded
    unit = PPM**layers
    for i in range(layers - 1):
        exact += step_ppm * scale_ppm**i * PPM ** (layers - i)
        depths.append((2 * exact + unit) // (2 * unit))
    return depths


@compilable
def spendable_atoms(budget_atoms: int, fee_ppm: int) -> int:
    """What may be spent on orders so that with a fee of `fee_ppm` on top it is never more than the budget; quote atoms, rounded down.

    `budget_atoms` 0 ... 2**61; a rebate (`fee_ppm` < 0) buys nothing more.
    """
    if budget_atoms <= 0:
        return 0
    return scaled_floor(budget_atoms, PPM, PPM + max(fee_ppm, 0))


@compilable
def layer_ticks(anchor_ticks: int, depth_ppm: int, side: int) -> int:
    """Price of a layer, ticks, rounded away from the anchor: a buy never costs more than meant, a sell never brings less.

    Args:
        anchor_ticks: price of layer 0, ticks, 1 ... 2**42.
        depth_ppm: distance from it, 0 ... 10**6.
        side: +1 below the anchor, -1 above it.
    """
    return anchor_ticks - side * ceil_div(anchor_ticks * depth_ppm, PPM)


@compilable
def layer_lots(spend_atoms: int, share_ppb: int, price_ticks: int, tick_lot_atoms: int) -> int:
    """How many whole lots a layer's share of `spend_atoms` buys at its price; 0 when the price is none.

    `price_ticks` x `tick_lot_atoms`, the worth of one lot, must be below 2**63 (9 x 10**9 quote).
    """
    if price_ticks <= 0:
        return 0
    return scaled_floor(spend_atoms, share_ppb, PPB) // (price_ticks * tick_lot_atoms)
