"""Everybody who quotes in a synthetic market: a book that keeps to a price, dense at the touch and thinner farther out.

The quotes know the price behind the market and follow it: what it has passed is withdrawn, at times not quite in time, and whoever of the
accounts still rests there is traded away, as by people who saw it first. Behind the touch every stretch of distance holds about what was
measured there. What takers eat is missing until somebody puts it there again.
"""

from bisect import bisect_left, insort
from typing import Final

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.market.acts import SWEEP, Act, Level, Take
from lemon_trader.market.calibration import CROWDED, PROFILE, PROFILE_END_PPM, SPREAD_TICKS
from lemon_trader.market.chance import Chance
from lemon_trader.market.marks import FINE

TICK: Final = 2 * FINE  # one tick as prices are given here: in 2⁻²⁰ of half a tick
SLACK: Final = TICK // 4  # so far the price may leave the touch before the quotes follow
SHARES: Final = (60, 200, 400, 700, 1_000, 1_400, 1_900, 2_700)  # thousandths of what is usual at a level, each as likely


class Makers:
    """The book of the others in one market. It knows only its own orders, never an account's.

    Attributes:
        touch_lots: what usually rests at the best price; the caller may change it at any time.
    """

    def __init__(self, instrument: Instrument, chance: Chance, touch_lots: int) -> None:
        self.symbol = instrument.symbol
        self.touch_lots = touch_lots
        self._chance = chance
        self._lots: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self._keys: dict[int, list[int]] = {BUY: [], SELL: []}  # -side x price, so that the best comes first
        self._base = 0  # best bid that is wanted; the best ask is SPREAD_TICKS above
        self._stretches: list[tuple[int, int]] = []  # (ticks from the touch, share of the touch in thousandths)
        self._end = 0
        self._scaled_at = 0

    @property
    def mid_half_ticks(self) -> int:
        """Bid + ask: the mid in half ticks."""
        return self.best(BUY) + self.best(SELL)

    def best(self, side: int) -> int:
        """Best price of a side, 0 when it is empty."""
        keys = self._keys[side]
        return -side * keys[0] if keys else 0

    def follow(self, at_us: int, fair: int, lots: int = 0) -> list[Act]:
        """Let the quotes go to a price, in 2⁻²⁰ of half a tick; nothing when they are there.

        With `lots`, somebody still gets that much of the last quote that stood in the way.
        """
        base = self._base
        if base and base * TICK - SLACK <= fair <= (base + SPREAD_TICKS) * TICK + SLACK:
            return []
        base = max(1, fair // TICK - (SPREAD_TICKS - 1) // 2)
        side = BUY if base > self._base else SELL
        acts: list[Act] = []
        limit = base if side == BUY else base + SPREAD_TICKS
        facing = self._keys[-side]
        gone = facing[: bisect_left(facing, side * limit + 1)]
        acts += [self._set(at_us, -side, side * key, 0) for key in gone]
        if lots and gone:
            acts.append(Level(at_us, self.symbol, -side, side * gone[-1], lots))
        if self._base:
            acts.append(Take(at_us, self.symbol, side, SWEEP, limit))
        self._base = base
        return acts + self.fill(at_us)

    def fill(self, at_us: int) -> list[Act]:
        """Put back what is missing and take away what is too much, at the touch and in every stretch behind it."""
        base = self._base
        if abs(base - self._scaled_at) * 50 > self._scaled_at:
            self._scale(base)
        return self._fill(at_us, BUY, base) + self._fill(at_us, SELL, base + SPREAD_TICKS)

    def take(self, at_us: int, side: int, lots: int) -> list[Act]:
        """Somebody takes `lots`, however far it goes within the quoted book; more than one act when levels are eaten up."""
        book, keys = self._lots[-side], self._keys[-side]
        if not keys:
            return []
        acts: list[Act] = [Take(at_us, self.symbol, side, lots, side * keys[-1])]
        while lots and keys:
            ticks = side * keys[0]
            if book[ticks] > lots:
                book[ticks] -= lots
                break
            lots -= book[ticks]
            # Stated once more: an order of an account may have taken part, and the quotes do not know it.
            acts.append(self._set(at_us, -side, ticks, 0))
        return acts

    def change_mind(self, at_us: int) -> list[Act]:
        """A new quantity at one of the levels, the nearer the more often; prices unchanged."""
        chance = self._chance
        side = BUY if chance.bits() & 1 else SELL
        keys = self._keys[side]
        if not keys:
            return []
        key = keys[min(chance.below(len(keys)), chance.below(len(keys)))]
        ticks = -side * key
        touch = self._base if side == BUY else self._base + SPREAD_TICKS
        share = next(s for offset, s in reversed(self._stretches) if offset <= max(0, side * (touch - ticks)))
        return [self._set(at_us, side, ticks, self._some(share))]

    def is_eaten(self) -> bool:
        """Whether a touch is missing."""
        return self.best(BUY) != self._base or self.best(SELL) != self._base + SPREAD_TICKS

    def _fill(self, at_us: int, side: int, touch: int) -> list[Act]:
        keys = self._keys[side]
        acts: list[Act] = []
        near = -side * touch
        stretches, last = self._stretches, len(self._stretches) - 1
        k = 0
        for number, (offset, share) in enumerate(stretches):
            begin = near + offset
            end = near + (stretches[number + 1][0] if number < last else self._end)
            first = k
            while k < len(keys) and keys[k] < end:
                k += 1
            if k == first:
                key = begin if not number else begin + self._chance.below(end - begin)
                if -side * key > 0:
                    acts.append(self._set(at_us, side, -side * key, self._some(share)))
                    k += 1
            while k - first > CROWDED:
                acts.append(self._set(at_us, side, -side * keys[first + 1], 0))
                k -= 1
        acts += [self._set(at_us, side, -side * key, 0) for key in keys[k:]]
        return acts

    def _set(self, at_us: int, side: int, ticks: int, lots: int) -> Level:
        book, key = self._lots[side], -side * ticks
        if not lots:
            del book[ticks]
            keys = self._keys[side]
            del keys[bisect_left(keys, key)]
        else:
            if ticks not in book:
                insort(self._keys[side], key)
            book[ticks] = lots
        return Level(at_us, self.symbol, side, ticks, lots)

    def _scale(self, base: int) -> None:
        """Put the measured distances on the grid at this price; those that fall on one tick become one."""
        self._scaled_at = base
        shares: dict[int, int] = {}
        for ppm, share in PROFILE:
            offset = max(1, base * ppm // PPM) if ppm else 0  # the touch is one price, however fine the grid
            shares[offset] = shares.get(offset, 0) + share
        self._stretches = list(shares.items())
        self._end = max(base * PROFILE_END_PPM // PPM, self._stretches[-1][0] + 1)

    def _some(self, share: int) -> int:
        z = self._chance.bits()
        return max(1, self.touch_lots * share * SHARES[z & 7] * (192 + (z >> 57)) >> 28)
