"""One side of a book: levels of first-in-first-out queues in which account orders and anonymous quantity wait together.

Most levels hold nothing but anonymous quantity; those are one integer. A level grows a queue when the first account order joins it, and
loses it with the last. Prices are kept in one sorted list per side, best at its end, because books are touched near the best price.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import msgspec

from lemon_trader.matching.orders import OrderState

# Where an account's order stands among anonymous lots at its price: in the order in which they came, behind all of them for ever (whoever
# comes later goes before it), or before all of them. The last two are the ends between which the truth lies where a queue is not known.
IN_TURN: Final = 0
LAST: Final = 1
FIRST: Final = 2


class Queueing(msgspec.Struct, frozen=True):
    """How accounts' orders queue with anonymous quantity.

    Attributes:
        standing: IN_TURN, LAST or FIRST.
        leaving: (lots before an account's order, lots behind it, lots that left without a trade) -> how many of those stood before it;
            None = none, as long as anybody is left behind it.
    """

    standing: int = IN_TURN
    leaving: Callable[[int, int, int], int] | None = None


FAIR: Final = Queueing()


class Level:
    """A price's queue.

    Attributes:
        lots: everything that rests here.
        outside: the anonymous part of it.
    """

    __slots__ = ("_chunk_key", "_order_count", "_queue", "lots", "outside", "ticks")

    def __init__(self, ticks: int) -> None:
        self.ticks = ticks
        self.lots = 0
        self.outside = 0
        self._queue: OrderedDict[int, OrderState | int] | None = None  # keys: order id, or a negative number for anonymous lots
        self._order_count = 0
        self._chunk_key = 0

    @property
    def has_orders(self) -> bool:
        """True when at least one account order waits here."""
        return self._queue is not None

    def head(self) -> OrderState | int:
        """Who is first: an account's order, or a number of anonymous lots."""
        if self._queue is None:
            return self.outside
        return next(iter(self._queue.values()))

    def entries(self) -> Iterator[OrderState | int]:
        """The whole queue, first in first."""
        if self._queue is None:
            yield self.outside
        else:
            yield from self._queue.values()

    def join(self, order: OrderState, standing: int = IN_TURN) -> None:
        """Put an order at the back of the queue, or at its front."""
        if self._queue is None:
            self._queue = OrderedDict()
            if self.outside:
                self._add_chunk(self.outside)
        self._queue[order.order_id] = order
        if standing == FIRST:
            self._queue.move_to_end(order.order_id, last=False)
        self._order_count += 1
        self.lots += order.open_lots

    def leave(self, order: OrderState) -> None:
        """Take an order out, with what it still has open."""
        self.lots -= order.open_lots
        self._forget(order)

    def shrink(self, lots: int) -> None:
        """An order of this level lost `lots` of its open quantity and keeps its place."""
        self.lots -= lots

    def filled(self, order: OrderState, lots: int) -> None:
        """An order of this level was filled by `lots`, which its `executed_lots` show already; it leaves when nothing is open."""
        self.lots -= lots
        if not order.open_lots:
            self._forget(order)

    def set_outside(self, lots: int, queueing: Queueing = FAIR) -> None:
        """Make the anonymous quantity `lots`: more joins the back, account orders keep their places.

        Less is taken from the back, or from where `queueing` says, seen from each account's order in turn.
        """
        change = lots - self.outside
        self.lots += change
        self.outside = lots
        if self._queue is None or not change:
            return
        is_last = queueing.standing != LAST
        if change > 0:
            end = next(reversed(self._queue) if is_last else iter(self._queue))
            chunk = self._queue[end]
            if isinstance(chunk, int):
                self._queue[end] = chunk + change
            else:
                self._add_chunk(change)
                self._queue.move_to_end(self._chunk_key, last=is_last)
        elif queueing.leaving is None:
            self._take_back(-change, [key for key in self._queue if key < 0])
        else:
            self._take_by(-change, lots - change, queueing.leaving)

    def _take_by(self, lots: int, outside: int, leaving: Callable[[int, int, int], int]) -> None:
        """Take `lots` of `outside` anonymous ones away; before each account's order what `leaving` says, the rest behind the last."""
        assert self._queue is not None
        behind = outside
        parts: list[list[int]] = [[]]  # keys of anonymous lots between the accounts' orders
        for key in self._queue:
            if key < 0:
                parts[-1].append(key)
            else:
                parts.append([])
        for keys in parts[:-1]:
            ahead = sum(chunk for key in keys if isinstance(chunk := self._queue[key], int))
            behind -= ahead
            gone = leaving(ahead, behind, lots)
            self._take_back(gone, keys)
            lots -= gone
        self._take_back(lots, parts[-1])

    def _take_back(self, lots: int, keys: list[int]) -> None:
        """Take `lots` away from these anonymous parts of the queue, from the last one on."""
        assert self._queue is not None
        for key in reversed(keys):
            if not lots:
                return
            chunk = self._queue[key]
            assert isinstance(chunk, int)
            if chunk > lots:
                self._queue[key] = chunk - lots
                return
            lots -= chunk
            del self._queue[key]

    def refine(self, ticks_by: int, lots_by: int) -> None:
        """Express the level in a finer grid; its orders are expressed already."""
        self.ticks *= ticks_by
        self.lots *= lots_by
        self.outside *= lots_by
        if self._queue is not None:
            for key, chunk in self._queue.items():
                if isinstance(chunk, int):
                    self._queue[key] = chunk * lots_by

    def take_outside(self, lots: int) -> None:
        """Take `lots` of the anonymous quantity at the head of the queue; at most what stands there."""
        self.lots -= lots
        self.outside -= lots
        if self._queue is None:
            return
        key, chunk = next(iter(self._queue.items()))
        assert isinstance(chunk, int)
        assert chunk >= lots
        if chunk == lots:
            del self._queue[key]
        else:
            self._queue[key] = chunk - lots

    def _add_chunk(self, lots: int) -> None:
        assert self._queue is not None
        self._chunk_key -= 1
        self._queue[self._chunk_key] = lots

    def _forget(self, order: OrderState) -> None:
        assert self._queue is not None
        del self._queue[order.order_id]
        self._order_count -= 1
        if not self._order_count:
            self._queue = None


class Side:
    """All levels of one side; iterates best first. `side` is BUY for bids, SELL for asks."""

    __slots__ = ("_keys", "_levels", "_queueing", "changed", "side")

    def __init__(self, side: int, queueing: Queueing = FAIR) -> None:
        self.side = side
        self._queueing = queueing
        self._levels: dict[int, Level] = {}
        self._keys: list[int] = []  # side x ticks, ascending, so that the best is last on both sides
        self.changed: dict[int, None] = {}  # ticks whose total has changed since the last publication

    def __iter__(self) -> Iterator[Level]:
        levels, side = self._levels, self.side
        for key in reversed(self._keys):
            yield levels[key * side]

    def __len__(self) -> int:
        return len(self._keys)

    def best(self) -> Level | None:
        """The level a taker meets first, or None."""
        return self._levels[self._keys[-1] * self.side] if self._keys else None

    def at(self, ticks: int) -> Level | None:
        """The level at this price, or None."""
        return self._levels.get(ticks)

    def is_reached(self, limit_ticks: int) -> bool:
        """True when a taker with this limit price meets the best level."""
        return bool(self._keys) and self._keys[-1] >= self.side * limit_ticks

    def join(self, order: OrderState) -> None:
        """Rest an order at its price."""
        self._ensure(order.ticks).join(order, self._queueing.standing)
        self.changed[order.ticks] = None

    def leave(self, order: OrderState) -> None:
        """Take a resting order out."""
        level = self._levels[order.ticks]
        level.leave(order)
        self.touched(level)

    def set_outside(self, ticks: int, lots: int) -> None:
        """State a level's anonymous quantity."""
        level = self._levels.get(ticks)
        if level is None:
            if not lots:
                return
            level = self._ensure(ticks)
        elif level.outside == lots:
            return
        level.set_outside(lots, self._queueing)
        self.touched(level)

    def drop_outside(self, limit_ticks: int) -> None:
        """Take all anonymous quantity away that a taker with this limit price would meet."""
        reached = []
        for level in self:
            if self.side * level.ticks < self.side * limit_ticks:
                break
            reached.append(level)
        for level in reached:
            if level.outside:
                level.set_outside(0)
                self.touched(level)

    def top(self, limit: int | None) -> tuple[tuple[int, int], ...]:
        """(ticks, lots) of the best levels, best first; None = all."""
        return tuple([(level.ticks, level.lots) for level in islice(self, limit)])

    def refine(self, ticks_by: int, lots_by: int) -> None:
        """Express the side in a finer grid; its orders are expressed already."""
        for level in self._levels.values():
            level.refine(ticks_by, lots_by)
        self._levels = {level.ticks: level for level in self._levels.values()}
        self._keys = [key * ticks_by for key in self._keys]
        self.changed = {ticks * ticks_by: None for ticks in self.changed}

    def coarsen_outside(self, price_step: int, lot_step: int) -> None:
        """Move anonymous quantity to multiples of the steps, away from the other side; what is no whole step vanishes."""
        moved: dict[int, int] = {}
        for level in tuple(self):
            if level.outside:
                ticks = level.ticks // price_step * price_step if self.side > 0 else -(-level.ticks // price_step) * price_step
                moved[ticks] = moved.get(ticks, 0) + level.outside
                if ticks != level.ticks:
                    self.set_outside(level.ticks, 0)
        for ticks, lots in moved.items():
            if ticks > 0:
                self.set_outside(ticks, lots - lots % lot_step)

    def take_changed(self) -> list[tuple[int, int, int]]:
        """(side, ticks, lots) of each level whose total has changed since the last call."""
        if not self.changed:
            return []
        levels, side = self._levels, self.side
        found = [(side, ticks, levels[ticks].lots if ticks in levels else 0) for ticks in self.changed]
        self.changed.clear()
        return found

    def touched(self, level: Level) -> None:
        """Note that a level's total has changed, and drop it when nothing is left."""
        self.changed[level.ticks] = None
        if level.lots:
            return
        del self._levels[level.ticks]
        key = level.ticks * self.side
        if self._keys[-1] == key:
            self._keys.pop()
        else:
            del self._keys[bisect_left(self._keys, key)]

    def _ensure(self, ticks: int) -> Level:
        level = self._levels.get(ticks)
        if level is None:
            level = self._levels[ticks] = Level(ticks)
            key = ticks * self.side
            if not self._keys or key > self._keys[-1]:
                self._keys.append(key)
            else:
                insort(self._keys, key)
        return level
