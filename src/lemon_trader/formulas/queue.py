"""Where in a queue somebody stood who left it: the recording says how much is gone from a price, never from where.

Every model gives how many of the lots that went stood before our order. Lots that were traded are known to have stood in front and never
come here. The models agree where the facts leave no choice: what is gone beyond everything behind us stood before us, and no more can have
gone before us than stood there.

* `BEHIND`: as few as can be. Whoever leaves stood behind us, as long as anybody is left there. It errs against us.
* `SPREAD`: between the two parts of the queue in the ratio of their lots to some power. The power 1 is in proportion; higher powers take
  more from the longer part. 0 takes half from each.
* `AHEAD`: as many as can be. It flatters.
"""

from typing import Final

from lemon_trader.formulas.compilable import compilable

BEHIND: Final = 0
SPREAD: Final = 1
AHEAD: Final = 2
POWER_MAX: Final = 8
_ONE: Final = 1 << 16


@compilable
def left_ahead(model: int, power: int, ahead_lots: int, behind_lots: int, left_lots: int) -> int:
    """How many of the lots that left the queue stood before us, rounded down.

    Args:
        model: BEHIND, SPREAD or AHEAD.
        power: of SPREAD, 0 … 8.
        ahead_lots: lots of others before our order, 0 … 2**40.
        behind_lots: lots of others behind it, 0 … 2**40.
        left_lots: how many went without a trade, 0 … ahead + behind.
    """
    least = max(0, left_lots - behind_lots)
    most = min(left_lots, ahead_lots)
    if model == BEHIND or least == most:
        return least
    if model == AHEAD:
        return most
    shorter = min(ahead_lots, behind_lots)
    ratio = shorter * _ONE // max(ahead_lots, behind_lots)
    weight = _ONE
    for _ in range(power):
        weight = weight * ratio // _ONE
    # The longer part weighs 1 and the shorter one `weight`.
    of_ahead = _ONE if ahead_lots > behind_lots else weight
    return min(most, max(least, left_lots * of_ahead // (_ONE + weight)))
