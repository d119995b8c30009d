"""A market out of a recorded order book: every level as it was, every trade as it happened, and our own orders in the queue among them.

Two records contradict each other for moments, because a venue sends its book in batches and its trades at once. A trade is the newer
witness: it could not have happened at its price while somebody offered a better one, so such levels are withdrawn before it, and what it
took away is missing until the book speaks again. With the next batch the shown book is the recorded one.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.acts import Act, Level, Take
from lemon_trader.market.marks import Marks
from lemon_trader.market.prints import Prints

Rows = Sequence[tuple[int, int, int]]  # (side, price in the recording's own unit, lots)


class Batches(msgspec.Struct, frozen=True, gc=False):
    """A recorded book: the state it starts from, then absolute quantities in batches.

    Attributes:
        unit_ticks: prices are `ticks x unit_ticks` in the recording's own unit; finer prices are merged onto the grid, bids down, asks up.
        start_us: when `first` is the book.
        first: the whole book then.
        at_us: of each batch, µs UTC, never falling.
        ends: of each batch, the index in the columns behind its last row.
        side, price, lots: columns of all batches; 0 lots = the level is gone.
    """

    unit_ticks: int
    start_us: int
    first: list[tuple[int, int, int]]
    at_us: list[int]
    ends: list[int]
    side: list[int]
    price: list[int]
    lots: list[int]

    def batches(self) -> Iterator[tuple[int, Rows]]:
        """(time, rows) of each batch."""
        begin = 0
        for at_us, end in zip(self.at_us, self.ends, strict=True):
            yield at_us, list(zip(self.side[begin:end], self.price[begin:end], self.lots[begin:end], strict=True))
            begin = end


def play_depth(book: Batches, prints: Prints, instrument: Instrument, reference_us: int) -> Iterator[Act]:
    """The acts of one market that was recorded as a book and its trades, none of them older than the book."""
    marks = Marks(instrument, reference_us)
    replica = Replica(instrument.symbol, book.unit_ticks)
    replica.record(book.first)
    yield from replica.show(book.start_us)
    yield from marks.until(book.start_us, replica.mid_half_ticks)
    trades = zip(prints.at_us, repeat(True), zip(prints.side, prints.ticks, prints.lots, strict=True), strict=False)
    updates = ((at_us, False, rows) for at_us, rows in book.batches())
    # At the same time the trades, named first, come first: the batch that ends then has them in its quantities already.
    events: Iterator[tuple[int, bool, Any]] = heapq.merge(trades, updates, key=itemgetter(0))
    for at_us, is_trade, what in events:
        yield from marks.until(at_us, replica.mid_half_ticks)
        if is_trade:
            yield from replica.trade(at_us, *what)
        else:
            replica.record(what)
            yield from replica.show(at_us)
        yield from marks.until(at_us, replica.mid_half_ticks)


class Replica:
    """The recorded book, what of it is shown, and what must be shown anew."""

    def __init__(self, symbol: str, unit_ticks: int) -> None:
        self._symbol = symbol
        self._unit = unit_ticks
        self._fine: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}  # lots by recorded price
        self._true: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}  # the same merged onto the grid
        self._shown: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self._best: dict[int, list[int]] = {BUY: [], SELL: []}  # heaps of shown prices, best first; left ones are dropped when met
        self._doubtful: set[tuple[int, int]] = set()  # levels whose shown quantity may not be the true one

    @property
    def mid_half_ticks(self) -> int:
        """Best bid + best ask; 0 while a side is empty."""
        bid, ask = self._touch(BUY), self._touch(SELL)
        return bid + ask if bid and ask else 0

    def record(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Take in absolute quantities; nothing is shown yet."""
        unit = self._unit
        for side, price, lots in rows:
            ticks = price // unit if side == BUY else -(-price // unit)
            if ticks <= 0:
                continue
            fine, true = self._fine[side], self._true[side]
            change = lots - fine.get(price, 0)
            if lots:
                fine[price] = lots
            else:
                fine.pop(price, None)
            total = true.get(ticks, 0) + change
            if total:
                true[ticks] = total
            else:
                true.pop(ticks, None)
            self._doubtful.add((side, ticks))

    def replace(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Take in a whole book; what it does not name is gone. Nothing is shown yet."""
        whole = {(side, price): lots for side, price, lots in rows if lots}
        gone = [(side, price, 0) for side, levels in self._fine.items() for price in levels if (side, price) not in whole]
        self.record([*gone, *((side, price, lots) for (side, price), lots in whole.items())])

    def shown(self, at_us: int) -> list[Act]:
        """Everything that is shown, as acts for an exchange that has seen none of it."""
        return [Level(at_us, self._symbol, side, t, lots) for side, levels in self._shown.items() for t, lots in levels.items()]

    def show(self, at_us: int) -> list[Act]:
        """Make the shown book the recorded one. What goes goes first, so that the book is never crossed on the way."""
        gone: list[Act] = []
        come: list[Act] = []
        for side, ticks in sorted(self._doubtful):
            lots = self._true[side].get(ticks, 0)
            if lots != self._shown[side].get(ticks, 0):
                (come if lots else gone).append(self._set(at_us, side, ticks, lots))
        self._doubtful.clear()
        return gone + come

    def trade(self, at_us: int, side: int, ticks: int, lots: int) -> list[Act]:
        """A recorded trade: what it proves gone is withdrawn, what it needs is there, and afterwards that much less."""
        acts: list[Act] = []
        for book_side, reach in ((-side, 1), (side, 0)):  # offers better than the trade's price; bids that the offer would have met
            while (best := self._touch(book_side)) and side * (best - ticks) * (1 if book_side == side else -1) >= reach:
                acts.append(self._set(at_us, book_side, best, 0))
                self._doubtful.add((book_side, best))
        have = self._shown[-side].get(ticks, 0)
        if have < lots:
            acts.append(self._set(at_us, -side, ticks, lots))
            have = lots
        acts.append(Take(at_us, self._symbol, side, lots, ticks))
        # Stated once more: an order of an account may have taken part of the trade, and the recorded book did not know it.
        acts.append(self._set(at_us, -side, ticks, have - lots))
        self._doubtful.add((-side, ticks))
        return acts

    def _set(self, at_us: int, side: int, ticks: int, lots: int) -> Level:
        shown = self._shown[side]
        if lots:
            if ticks not in shown:
                heapq.heappush(self._best[side], -side * ticks)
            shown[ticks] = lots
        else:
            shown.pop(ticks, None)
        return Level(at_us, self._symbol, side, ticks, lots)

    def _touch(self, side: int) -> int:
        heap, shown = self._best[side], self._shown[side]
        while heap and -side * heap[0] not in shown:
            heapq.heappop(heap)
        return -side * heap[0] if heap else 0
