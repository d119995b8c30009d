"""Everybody else in one market: a small book that moves because somebody trades.

A price path says only that trades happened at certain prices. The crowd turns one such trade into acts that an exchange with our own
orders in it can carry out honestly: the price does not pass a resting order without trading it away, and at the price itself only as much
is traded as the trade says, in the queue's order. The touch follows the last trade; farther out stands a coarse ladder of levels on
fixed prices, so that a small move changes few of them.
"""

from typing import Final

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.market.acts import SWEEP, Act, Level, Take
from lemon_trader.market.chance import Chance

LADDER: Final = 6  # levels a side beyond the touch
GAP_PPM: Final = 1_000  # between two of them
SPREAD_PPM: Final = 100  # of the touch; never under one tick


class Crowd:
    """The book of the others in one market. It knows only its own orders, never an account's.

    Attributes:
        bid_ticks, ask_ticks: the crowd's touch; 0 before the first trade; a bid of 0 later on means nobody bids.
        last_ticks: price of the last trade.
        depth_lots: usual quantity of a ladder level, lots; the caller may change it at any time.
        spread_ppm: of the touch; the caller may change it at any time.
    """

    def __init__(self, instrument: Instrument, chance: Chance, depth_lots: int, spread_ppm: int = SPREAD_PPM) -> None:
        self.symbol = instrument.symbol
        self.depth_lots = depth_lots
        self.spread_ppm = spread_ppm
        self.bid_ticks = self.ask_ticks = self.last_ticks = 0
        self._chance = chance
        self._books: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}  # what may still rest there, by price
        self._gap = 0
        self._gap_base = 0
        self._rung = {BUY: 0, SELL: 0}  # nearest ladder price of each side when it was last looked after

    @property
    def mid_half_ticks(self) -> int:
        """Bid + ask: the mid in half ticks."""
        return self.bid_ticks + self.ask_ticks

    def trade(self, at_us: int, side: int, ticks: int, lots: int, *, is_jump: bool = False) -> list[Act]:
        """One trade of `lots` at `ticks` by a taker on `side`, and the book that surrounds it afterwards.

        What the price passes on its way is traded; with `is_jump` the crowd's own orders there are withdrawn instead, so that nothing of
        the crowd's is printed between the last price and this one. Orders of accounts are traded away in both cases.
        """
        acts: list[Act] = []
        symbol = self.symbol
        ahead, behind = self._books[-side], self._books[side]
        touch = self.ask_ticks if side == BUY else self.bid_ticks
        for t in [t for t in behind if side * (t - ticks) >= 0]:
            acts.append(Level(at_us, symbol, side, t, 0))
            del behind[t]
        passed = [t for t in ahead if side * (t - ticks) < 0]
        if is_jump:
            acts.extend(Level(at_us, symbol, -side, t, 0) for t in passed)
        for t in passed:
            del ahead[t]
        if side * (ticks - touch) < 0:
            # The resting side came nearer before it was taken: whoever stands in its way is met first.
            acts.append(Take(at_us, symbol, -side, SWEEP, ticks))
        if ticks != self.last_ticks and ticks > side:
            acts.append(Take(at_us, symbol, side, SWEEP, ticks - side))
        have = ahead.get(ticks, 0)
        if have <= lots:
            have = lots + self._some(self.depth_lots >> 1)
            acts.append(Level(at_us, symbol, -side, ticks, have))
        acts.append(Take(at_us, symbol, side, lots, ticks))
        ahead[ticks] = have - lots
        self.last_ticks = ticks
        self._follow(at_us, side, touch, acts)
        return acts

    def walk(self, at_us: int, ticks: int, lots: int, *, is_jump: bool = False) -> list[Act]:
        """`trade` by the side that a move to `ticks` needs; at an unchanged price the side that traded last goes on."""
        last = self.last_ticks
        side = BUY if ticks > last or (ticks == last and self.ask_ticks == last) else SELL
        return self.trade(at_us, side, ticks, lots, is_jump=is_jump)

    def refresh(self, at_us: int) -> list[Act]:
        """Somebody changes their mind: a new quantity at one of the levels, prices unchanged."""
        side = BUY if self._chance.bits() & 1 else SELL
        book = self._books[side]
        if not book:
            return []
        ticks = list(book)[self._chance.below(len(book))]
        book[ticks] = lots = self._some(self.depth_lots)
        return [Level(at_us, self.symbol, side, ticks, lots)]

    def _follow(self, at_us: int, side: int, old_ahead: int, acts: list[Act]) -> None:
        """Bring touch and ladder to the trade just made by a taker on `side`."""
        ticks = self.last_ticks
        spread = max(1, ticks * self.spread_ppm // PPM)
        old_behind = self.bid_ticks if side == BUY else self.ask_ticks
        near = max(0, ticks - side * spread)
        if old_behind and abs(old_behind - near) <= spread >> 1 and old_behind in self._books[side]:
            near = old_behind
        if abs(ticks - self._gap_base) * 2 > self._gap_base:
            self._gap = max(1, ticks * GAP_PPM // PPM)
            self._gap_base = ticks
        self._retire(at_us, -side, old_ahead, ticks, acts)
        self._retire(at_us, side, old_behind, near, acts)
        behind = self._books[side]
        nearest = side * max((side * t for t in behind), default=0)
        if nearest and side * (nearest - near) > 0:
            near = nearest  # a level of the ladder stands nearer than the spread would have it
        elif near > 0 and near != nearest:
            behind[near] = lots = self._some(self.depth_lots >> 1)
            acts.append(Level(at_us, self.symbol, side, near, lots))
        self.bid_ticks, self.ask_ticks = (near, ticks) if side == BUY else (ticks, near)
        self._ladder(at_us, BUY, self.bid_ticks, acts)
        self._ladder(at_us, SELL, self.ask_ticks, acts)

    def _retire(self, at_us: int, side: int, old: int, new: int, acts: list[Act]) -> None:
        """Withdraw a former touch, unless it is a price of the ladder."""
        book = self._books[side]
        if old != new and old in book and old % self._gap:
            del book[old]
            acts.append(Level(at_us, self.symbol, side, old, 0))

    def _ladder(self, at_us: int, side: int, touch: int, acts: list[Act]) -> None:
        gap = self._gap
        rung = ((touch - 1) // gap) * gap if side == BUY else (touch // gap + 1) * gap
        if rung == self._rung[side]:
            return
        self._rung[side] = rung
        book = self._books[side]
        farthest = rung - side * gap * (LADDER + 1)
        for t in [t for t in book if side * (t - farthest) < 0]:
            del book[t]
            acts.append(Level(at_us, self.symbol, side, t, 0))
        for k in range(LADDER):
            t = rung - side * gap * k
            if t > 0 and t not in book:
                book[t] = lots = self._some(self.depth_lots * (4 + k) >> 2)
                acts.append(Level(at_us, self.symbol, side, t, lots))

    def _some(self, lots: int) -> int:
        """About `lots`: between a half and one and a half of it, at least 1."""
        return max(1, lots * (128 + (self._chance.bits() & 255)) >> 8)
