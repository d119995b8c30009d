"""What a market has printed: the last trades, candles of every interval, and the statistics of a day or a week.

Candles are kept in three grains (seconds, minutes, hours), each for as long as somebody may ask; every other interval is put together
from the coarsest grain that fits. Prices are ticks, quantities lots, cash atoms, times µs UTC.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

import msgspec

from lemon_trader.core.units import US_PER_S
from lemon_trader.exchanges.backpack.server_public import INTERVALS
from lemon_trader.exchanges.backpack.times import iso_of_us, us_of_iso
from lemon_trader.matching.effects import Traded

PRINTS_MAX: Final = 10_000
DAY_US: Final = 86_400 * US_PER_S
WEEK_US: Final = 7 * DAY_US
_MONDAY_US: Final = 4 * DAY_US  # the epoch began on a Thursday
_GRAINS: Final = ((US_PER_S, 3_600), (60 * US_PER_S, 10_080), (3_600 * US_PER_S, 9_600))  # (width, how many are kept)


class Candle(msgspec.Struct, gc=False):
    """Trades of one stretch of time, put together."""

    start_us: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    lots: int = 0
    quote_atoms: int = 0
    trades: int = 0

    @property
    def prices(self) -> tuple[int, int, int, int]:
        """Open, high, low, close."""
        return self.open_ticks, self.high_ticks, self.low_ticks, self.close_ticks

    def refine(self, ticks_by: int, lots_by: int) -> None:
        """Express it in a finer grid."""
        self.open_ticks *= ticks_by
        self.high_ticks *= ticks_by
        self.low_ticks *= ticks_by
        self.close_ticks *= ticks_by
        self.lots *= lots_by

    def add(self, other: "Candle") -> None:
        """Take in a candle that came later."""
        self.high_ticks = max(self.high_ticks, other.high_ticks)
        self.low_ticks = min(self.low_ticks, other.low_ticks)
        self.close_ticks = other.close_ticks
        self.lots += other.lots
        self.quote_atoms += other.quote_atoms
        self.trades += other.trades


class Series:
    """Candles of one price: trades, mark or index."""

    def __init__(self) -> None:
        self._grains: list[tuple[int, deque[Candle]]] = [(width, deque(maxlen=kept)) for width, kept in _GRAINS]
        self._followed: dict[str, Candle | None] = {}
        self._closed_day: tuple[int, int, Candle | None] = (-1, 0, None)  # (minute, span, closed minutes together)

    def add(self, at_us: int, ticks: int, lots: int = 0, quote_atoms: int = 0, trades: int = 0) -> list[tuple[str, Candle]]:
        """Take one price in; gives the followed candles (interval, candle) that it closed."""
        one = Candle(at_us, ticks, ticks, ticks, ticks, lots, quote_atoms, trades)
        for width, candles in self._grains:
            start = at_us - at_us % width
            if candles and candles[-1].start_us >= start:
                candles[-1].add(one)
            else:
                candles.append(msgspec.structs.replace(one, start_us=start))
        closed = []
        for interval, candle in self._followed.items():
            start = bucket_start(at_us, interval)
            if candle is not None and candle.start_us >= start:
                candle.add(one)
                continue
            if candle is not None:
                closed.append((interval, candle))
            self._followed[interval] = msgspec.structs.replace(one, start_us=start)
        return closed

    def follow(self, interval: str, now_us: int) -> None:
        """Keep the running candle of `interval` at hand from now on."""
        if interval not in self._followed:
            found = self.candles(interval, bucket_start(now_us, interval), now_us)
            self._followed[interval] = found[-1] if found else None

    def refine(self, ticks_by: int, lots_by: int) -> None:
        """Express everything in a finer grid."""
        followed = (candle for candle in self._followed.values() if candle is not None)
        for candle in chain(*(candles for _, candles in self._grains), followed):
            candle.refine(ticks_by, lots_by)
        self._closed_day = (-1, 0, None)

    def running(self, interval: str) -> Candle | None:
        """The running candle of a followed interval; None while nothing has traded in it."""
        return self._followed.get(interval)

    def close_due(self, now_us: int) -> list[tuple[str, Candle]]:
        """The followed candles whose time is over; each comes once."""
        due = [(i, c) for i, c in self._followed.items() if c is not None and bucket_end(c.start_us, i) <= now_us]
        for interval, _ in due:
            self._followed[interval] = None
        return due

    def candles(self, interval: str, from_us: int, to_us: int) -> list[Candle]:
        """Candles that start within [from, to], oldest first; stretches without a price are left out."""
        width = INTERVALS[interval] * US_PER_S
        grain = max((g for g in self._grains if g[0] <= width), key=lambda g: g[0])[1]
        found: list[Candle] = []
        for candle in grain:
            start = bucket_start(candle.start_us, interval)
            if not from_us <= start <= to_us:
                continue
            if found and found[-1].start_us == start:
                found[-1].add(candle)
            else:
                found.append(msgspec.structs.replace(candle, start_us=start))
        return found

    def span(self, now_us: int, span_us: int) -> Candle | None:
        """Everything of the last day (by minutes) or a longer span (by hours) as one candle; None when nothing traded."""
        candles = self._grains[1 if span_us <= DAY_US else 2][1]
        if not candles or candles[-1].start_us <= now_us - span_us:
            return None
        minute = now_us // (60 * US_PER_S)
        if self._closed_day[:2] != (minute, span_us) or self._closed_day[2] is None:
            recent = (c for c in _but_last(candles) if c.start_us > now_us - span_us)
            self._closed_day = (minute, span_us, _together(recent))
        closed, running = self._closed_day[2], candles[-1]
        if closed is None or closed.start_us == running.start_us:
            return msgspec.structs.replace(running)
        whole = msgspec.structs.replace(closed)
        whole.add(running)
        return whole


class Tape:
    """One market's prints and candles."""

    def __init__(self) -> None:
        self.prints: deque[Traded] = deque(maxlen=PRINTS_MAX)
        self.trades = Series()
        self.mark = Series()
        self.index = Series()

    def refine(self, ticks_by: int, lots_by: int) -> None:
        """Express everything in a finer grid."""
        for n, print_ in enumerate(self.prints):
            self.prints[n] = msgspec.structs.replace(print_, ticks=print_.ticks * ticks_by, lots=print_.lots * lots_by)
        for series in (self.trades, self.mark, self.index):
            series.refine(ticks_by, lots_by)

    def add(self, print_: Traded) -> list[tuple[str, Candle]]:
        """Take one print in; gives the followed candles that it closed."""
        self.prints.append(print_)
        return self.trades.add(print_.at_us, print_.ticks, print_.lots, print_.quote_atoms, 1)


def with_empty(candles: Sequence[Candle], interval: str, most: int) -> list[Candle]:
    """The candles with those between them that had no price, at prices of 0; the first of them, when they are more than `most`."""
    found: list[Candle] = []
    for candle in candles:
        while found and (next_us := bucket_end(found[-1].start_us, interval)) < candle.start_us:
            if len(found) > most:
                return found
            found.append(Candle(next_us, 0, 0, 0, 0))
        found.append(candle)
    return found


def bucket_start(at_us: int, interval: str) -> int:
    """When the candle of `interval` that holds `at_us` begins: weeks on Monday, months on their first day, else multiples of the epoch."""
    if interval == "1month":
        return us_of_iso(f"{iso_of_us(at_us)[:7]}-01T00:00:00")
    width = INTERVALS[interval] * US_PER_S
    offset = _MONDAY_US if interval == "1w" else 0
    return at_us - (at_us - offset) % width


def bucket_end(start_us: int, interval: str) -> int:
    """When the candle that begins at `start_us` ends."""
    if interval == "1month":
        return bucket_start(start_us + 32 * DAY_US, interval)
    return start_us + INTERVALS[interval] * US_PER_S


def _but_last(candles: deque[Candle]) -> Iterator[Candle]:
    return (candles[i] for i in range(len(candles) - 1))


def _together(candles: Iterable[Candle]) -> Candle | None:
    whole: Candle | None = None
    for candle in candles:
        if whole is None:
            whole = msgspec.structs.replace(candle)
        else:
            whole.add(candle)
    return whole
