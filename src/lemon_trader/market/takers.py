"""Who takes, when, on which side and how much: the order flow of a synthetic market.

Takes come in clusters, because one brings the next: some a few milliseconds later, some within the second, some within the minute (a Hawkes
process, told as families). Sides have a long memory, because large orders are worked off in pieces, and how many pieces one has
varies over three decades. Sizes follow the measured distribution.
"""

from typing import Final

from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.market.calibration import CHILD_KEEPS_PPM, OFFSPRING, PIECES_MAX, SIZES, TAKES_PPM
from lemon_trader.market.chance import Chance

OF_THEMSELVES_PPM: Final = PPM - sum(ppm for ppm, _ in OFFSPRING)  # takes that no other take brought


class Takers:
    """The takers of one market."""

    def __init__(self, chance: Chance, median_lots: int) -> None:
        self._chance = chance
        self._median_lots = median_lots
        self._side = BUY
        self._pieces = 0  # of the large order that are still to come

    def arrivals(self, pace_ppm: int) -> int:
        """How many takes come of themselves in one step; `pace_ppm` beside a usual market."""
        whole, part = divmod(TAKES_PPM * pace_ppm // PPM * OF_THEMSELVES_PPM // PPM, PPM)
        return whole + self._chance.happens(part)

    def side(self) -> int:
        """The side of a take that came of itself."""
        chance = self._chance
        if not self._pieces:
            self._side = BUY if chance.bits() & 1 else SELL
            self._pieces = self._cut()
        self._pieces -= 1
        return self._side

    def offspring(self, at_us: int, side: int) -> list[tuple[int, int]]:
        """(time, side) of the takes that this one brings."""
        chance = self._chance
        children = []
        for ppm, mean_us in OFFSPRING:
            if chance.happens(ppm):
                children.append((at_us + chance.wait(mean_us), side if chance.happens(CHILD_KEEPS_PPM) else -side))
        return children

    def lots(self) -> int:
        """The size of one take."""
        return max(1, self._median_lots * self._chance.among(SIZES) // 1_000)

    def _cut(self) -> int:
        """Into how many pieces a large order is cut: n or more with a probability of about n to the power of -1.4."""
        draw = 1 + self._chance.below(PPM)
        pieces = 1
        while pieces < PIECES_MAX and draw**5 * pieces**7 < PPM**5:
            pieces += 1 + pieces // 8
        return pieces
