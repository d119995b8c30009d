"""Order flow around a price that comes from elsewhere: what synthetic markets and scripted scenarios have in common.

Somebody who knows the price trades the book to it as soon as it lies outside the touch. Everybody else trades at the touch, in runs of
one side, because large orders are cut into small ones; and now and then somebody changes what rests.
"""

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import ATOMS_PER_UNIT, BUY, PPM, SELL
from lemon_trader.market.acts import Act
from lemon_trader.market.chance import Chance
from lemon_trader.market.crowd import SPREAD_PPM, Crowd

KEEPS_SIDE_PPM = 720_000  # a trade at the touch has the side of the one before with this probability, else either
TRADES_PPM = 400_000  # trades at the touch in one step of a market of usual pace
REFRESHES_PPM = 500_000  # changes of mind in one step
DOUBLINGS_MAX = 6  # a trade is at most 2 to this power times the smallest


class Flow:
    """One market's order flow, step by step.

    Attributes:
        crowd: the book of the others.
        pace_ppm: how busy the market is; one million is SOL on a usual day.
    """

    def __init__(self, instrument: Instrument, chance: Chance, price_ticks: int, touch: int, pace_ppm: int) -> None:
        """`touch`: whole units of quote that usually rest at the best price."""
        self.pace_ppm = pace_ppm
        self._chance = chance
        self._touch_lots = max(4, touch * ATOMS_PER_UNIT // instrument.notional_atoms(price_ticks, 1))
        self._side = BUY
        self.crowd = Crowd(instrument, chance, 2 * self._touch_lots)

    def step(self, at_us: int, fair_ticks: int, for_us: int, *, stress_ppm: int = PPM) -> list[Act]:
        """What happens in the `for_us` that begin at `at_us`, with the price at `fair_ticks`; times never fall.

        Above one million, `stress_ppm` widens the spread, thins the book and brings more trades.
        """
        chance, crowd = self._chance, self.crowd
        crowd.spread_ppm = SPREAD_PPM * stress_ppm // PPM
        crowd.depth_lots = max(2, 2 * self._touch_lots * PPM // max(PPM >> 1, stress_ppm))
        acts: list[Act] = []
        if not crowd.bid_ticks <= fair_ticks <= crowd.ask_ticks:
            acts += crowd.walk(at_us, fair_ticks, self._size())
        pace = self.pace_ppm * stress_ppm // PPM
        trades, refreshes = self._count(TRADES_PPM * pace // PPM), self._count(REFRESHES_PPM * pace // PPM)
        happenings = trades + refreshes
        for k in range(happenings):
            now_us = at_us + for_us * k // happenings + chance.below(max(1, for_us // happenings))
            if chance.below(happenings - k) >= trades:
                acts += crowd.refresh(now_us)
                continue
            trades -= 1
            if not chance.happens(KEEPS_SIDE_PPM):
                self._side = BUY if chance.bits() & 1 else SELL
            price = crowd.ask_ticks if self._side == BUY else crowd.bid_ticks
            if price > 0:
                acts += crowd.trade(now_us, self._side, price, self._size())
        return acts

    def _size(self) -> int:
        """Lots of one trade: mostly small, each doubling half as likely."""
        rare = self._chance.bits()
        doublings = min(DOUBLINGS_MAX, (rare & -rare).bit_length() - 1) if rare else DOUBLINGS_MAX
        return max(1, (self._touch_lots << doublings) * (64 + (rare >> 57)) >> 11)

    def _count(self, ppm: int) -> int:
        """A whole number whose mean is `ppm` millionths."""
        whole, part = divmod(ppm, PPM)
        return whole + self._chance.happens(part)
