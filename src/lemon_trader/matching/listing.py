"""One market while it trades: both sides of its book, its prices, its triggers, its counters."""

from collections.abc import Iterator

from msgspec.structs import replace

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.book import FAIR, Queueing, Side
from lemon_trader.matching.effects import BookChanged, Effect, TouchChanged
from lemon_trader.matching.filters import Regrid
from lemon_trader.matching.orders import BY_INDEX, BY_LAST, BY_MARK, OrderState, TriggerBy
from lemon_trader.matching.rules import Rules, Terms
from lemon_trader.matching.triggers import watched_prices


class Listing:
    """A market's state.

    Attributes:
        instrument: what everything here is counted in; `filters` is what is published, the same as long as it has never changed.
        price_step, lot_step: the filters' steps in the instrument's.
        terms: what it has beside its filters.
        mark_ticks, index_ticks, last_ticks: 0 while unknown.
        holders: accounts with a position here.
        update_id: of the last BookChanged.
    """

    __slots__ = (
        "_high_ticks", "_low_ticks", "_moved", "_touch", "asks", "bids", "book_state", "filters", "funding_ppb", "holders", "index_ticks",
        "instrument", "last_ticks", "lot_step", "mark_ticks", "next_trade_id", "outside_lots", "price_step", "terms", "triggers",
        "update_id",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, rules: Rules, terms: Terms, queueing: Queueing = FAIR) -> None:
        self.terms = terms
        self.instrument = self.filters = instrument
        self.price_step = self.lot_step = 1
        self.bids = Side(BUY, queueing)
        self.asks = Side(SELL, queueing)
        self.book_state = instrument.book_state
        self.mark_ticks = 0
        self.index_ticks = 0
        self.last_ticks = 0
        self.funding_ppb = 0
        self.holders: dict[str, Account] = {}
        self.outside_lots = 0  # the outside world's signed position
        self.triggers = watched_prices()
        self.update_id = rules.first_update_id - 1
        self.next_trade_id = rules.first_trade_id
        self._moved: dict[TriggerBy, None] = {}
        self._low_ticks = 0
        self._high_ticks = 0
        self._touch = (0, 0, 0, 0)

    def change_filters(self, filters: Instrument, way: Regrid) -> None:
        """Go over to new filters. The accounts' orders, positions and rows are expressed in the new grid already."""
        ticks_by, lots_by = way.ticks_by, way.lots_by
        self.instrument, self.filters = way.grid, filters
        self.price_step, self.lot_step = way.price_step, way.lot_step
        for side in (self.bids, self.asks):
            side.refine(ticks_by, lots_by)
        for triggers in self.triggers.values():
            triggers.refine(ticks_by)
        self.mark_ticks *= ticks_by
        self.index_ticks *= ticks_by
        self.last_ticks *= ticks_by
        self._low_ticks *= ticks_by
        self._high_ticks *= ticks_by
        self.outside_lots *= lots_by
        self.terms = replace(self.terms, open_interest_lots=self.terms.open_interest_lots * lots_by)
        bid_ticks, bid_lots, ask_ticks, ask_lots = self._touch
        self._touch = (bid_ticks * ticks_by, bid_lots * lots_by, ask_ticks * ticks_by, ask_lots * lots_by)

    def resting(self, side: int) -> Side:
        """The side on which orders of `side` rest."""
        return self.bids if side == BUY else self.asks

    def facing(self, side: int) -> Side:
        """The side that takers of `side` meet."""
        return self.asks if side == BUY else self.bids

    def touch(self) -> tuple[int, int, int, int]:
        """(bid_ticks, bid_lots, ask_ticks, ask_lots), 0 where a side is empty."""
        bid, ask = self.bids.best(), self.asks.best()
        return (bid.ticks, bid.lots, ask.ticks, ask.lots) if bid and ask else (
            bid.ticks if bid else 0, bid.lots if bid else 0, ask.ticks if ask else 0, ask.lots if ask else 0,
        )  # fmt: skip

    def open_interest_lots(self, side: int = 0) -> int:
        """What accounts hold long (BUY) or short (SELL); 0 = whichever is more: the outside world is on the other side of the rest."""
        held = [account.position_lots(self.instrument.symbol) for account in self.holders.values()]
        longs, shorts = sum(lots for lots in held if lots > 0), -sum(lots for lots in held if lots < 0)
        return max(longs, shorts) if not side else longs if side == BUY else shorts

    @property
    def is_matching(self) -> bool:
        """True while orders may meet: a book that takes cancels or makers alone, or is closed, stands still."""
        return self.book_state in {"Open", "LimitOnly"}

    @property
    def active_ticks(self) -> int:
        """The price that bands are measured from: last trade, else mark, else the middle of the book; 0 when there is none."""
        return self.last_ticks or self.mark_ticks or self._middle_ticks()

    @property
    def margin_ticks(self) -> int:
        """The price that positions are valued at: mark, else last trade, else the middle of the book; 0 when there is none."""
        return self.mark_ticks or self.last_ticks or self._middle_ticks()

    def price_ticks(self, by: TriggerBy) -> int:
        """The price that a trigger watches; 0 while unknown."""
        if by is BY_MARK:
            return self.mark_ticks
        return self.last_ticks if by is BY_LAST else self.index_ticks

    def printed(self, ticks: int) -> None:
        """A trade took place at this price."""
        self.last_ticks = ticks
        if BY_LAST not in self._moved:
            self._moved[BY_LAST] = None
            self._low_ticks = self._high_ticks = ticks
        elif ticks < self._low_ticks:
            self._low_ticks = ticks
        elif ticks > self._high_ticks:
            self._high_ticks = ticks

    def stated(self, mark_ticks: int, index_ticks: int, funding_ppb: int) -> None:
        """Mark, index and funding rate are these now."""
        self.mark_ticks, self.index_ticks, self.funding_ppb = mark_ticks, index_ticks, funding_ppb
        if mark_ticks:
            self._moved[BY_MARK] = None
        if index_ticks:
            self._moved[BY_INDEX] = None

    def armed(self, order: OrderState) -> None:
        """A trigger begins to watch its price."""
        assert order.trigger_by is not None
        price = self.price_ticks(order.trigger_by)
        self.triggers[order.trigger_by].add(order, price)
        if order.trigger_ticks == price:
            self._moved.setdefault(order.trigger_by)
            if order.trigger_by is BY_LAST and not self._low_ticks:
                self._low_ticks = self._high_ticks = price

    def due_triggers(self) -> Iterator[OrderState]:
        """The triggers that what has moved since the last call fires."""
        while self._moved:
            by = next(iter(self._moved))
            del self._moved[by]
            low = high = self.price_ticks(by)
            if by is BY_LAST:  # a sweep may have printed on both sides of where it ended
                low, high = self._low_ticks or low, self._high_ticks or high
                self._low_ticks = self._high_ticks = 0
            yield from self.triggers[by].due(low, high)

    def impact_ticks(self, side: int) -> int:
        """The worst price a market order of `side` may reach, from the touch; 0 = no bound or nothing to take."""
        best = self.facing(side).best()
        factor = self.instrument.impact_high_ppm if side == BUY else self.instrument.impact_low_ppm
        if best is None or not factor:
            return 0
        return best.ticks * factor // PPM if side == BUY else -(-best.ticks * factor // PPM)

    def publish(self, effects: list[Effect], at_us: int) -> None:
        """Say what has changed in the book since the last publication, under one new update id."""
        bids, asks = self.bids, self.asks
        if not bids.changed and not asks.changed:
            return
        levels = (*bids.take_changed(), *asks.take_changed())
        self.update_id += 1
        symbol = self.instrument.symbol
        effects.append(BookChanged(symbol, self.update_id, self.update_id, levels, at_us))
        touch = self.touch()
        if touch != self._touch:
            self._touch = touch
            effects.append(TouchChanged(symbol, *touch, self.update_id, at_us))

    def _middle_ticks(self) -> int:
        bid, ask = self.bids.best(), self.asks.best()
        if bid and ask:
            return (bid.ticks + ask.ticks) // 2
        return bid.ticks if bid else ask.ticks if ask else 0
