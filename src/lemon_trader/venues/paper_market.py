"""When a paper order fills: a public market is watched, and only what it proves is taken for a trade with our orders.

Our orders are not in that market, so each rule errs against us:

- A resting order waits behind everything that was shown at its price when it was placed. Only public trades at that price by takers of the
  other side bring it forward: quantity that is withdrawn before us may have stood behind us.
- A trade strictly beyond its price would have met it first: it fills, by no more than was traded.
- An offer of the other side that stands strictly beyond its price would have met it: it fills, by no more than is newly shown there.
- A touch of its price alone fills nothing, and one traded lot fills one lot of ours, not one of each of our orders.
- A trade that the exchange stamped no later than the book an order joined was in that book already.

A taker takes what is shown, level by level, and what it took is gone until the market states that level again.
"""

from collections.abc import Iterable
from typing import Final

from lemon_trader.core.book import Book
from lemon_trader.core.events import (
    BookDelta,
    BookSnapshot,
    BookState,
    Event,
    FeedState,
    GridChanged,
    LastPrice,
    Levels,
    MarkPrice,
    PublicTrade,
)
from lemon_trader.core.units import BUY, SELL, US_PER_S
from lemon_trader.matching.exchange import BOOK_STATES, Exchange
from lemon_trader.matching.orders import OrderState, Status

BLIND_US: Final = 10 * US_PER_S  # a market of which nothing was heard for so long cannot be traded in


class Place:
    """Where a resting order stands.

    Attributes:
        ahead: lots of others that must trade at its price before it does.
        beyond: lots of the other side strictly beyond its price that it has met already, of those that still stand there.
        since_us: exchange time of the youngest fact about the book it joined.
    """

    __slots__ = ("ahead", "beyond", "since_us")

    def __init__(self, ahead: int, beyond: int, since_us: int) -> None:
        self.ahead = ahead
        self.beyond = beyond
        self.since_us = since_us


class PaperMarket:
    """One public market in front of one account of a simulated exchange."""

    def __init__(self, exchange: Exchange, account: str, symbol: str) -> None:
        """Follow a market; orders of the account that rest already join its queues with the first book."""
        self._exchange = exchange
        self._name = account
        self._symbol = symbol
        self._live = exchange.accounts[account].live
        self._book = Book()
        self._places: dict[int, Place] = {}
        self._found = set(self._live)  # rested before: what stands beyond their prices now has not met them yet
        self._book_us = 0
        self._heard_us = 0

    def is_seen(self, now_us: int) -> bool:
        """Whether the book is known and young enough to trade on; engine time."""
        return self._book.valid and now_us - self._heard_us <= BLIND_US

    def see(self, fact: Event, at_us: int) -> None:
        """Take in one public fact about this market, or the state of the public stream.

        Args:
            fact: any other kind is of no meaning here.
            at_us: exchange time now.
        """
        self._heard_us = max(self._heard_us, fact.ts_us)
        match fact:
            case BookDelta() if self._book.valid and fact.last_id > self._book.last_id:
                if fact.first_id > self._book.last_id + 1:
                    self._lose(at_us)  # an update is missing
                else:
                    self._book.delta(fact)
                    self._shown(_rows(fact.bids, fact.asks), fact.venue_us, at_us)
            case BookSnapshot():
                gone = self._nothing()
                self._book.snapshot(fact)
                self._shown([*gone, *_rows(self._book.bids.items(), self._book.asks.items())], fact.venue_us, at_us)
            case PublicTrade():
                self._traded(fact, at_us)
            case LastPrice() if fact.last_ticks and not self._exchange.last_ticks(self._symbol):
                self._exchange.state_last(self._symbol, fact.last_ticks, at_us)
            case MarkPrice():
                self._exchange.set_reference(self._symbol, fact.mark_ticks, fact.index_ticks, fact.funding_ppb, at_us)
            case BookState():
                self._exchange.set_book_state(self._symbol, fact.state if fact.state in BOOK_STATES else "Closed", at_us)
            case GridChanged():
                self._exchange.change_filters(fact.instrument, at_us)  # its bounds alone: steps that change pause the market instead
            case FeedState(feed="public"):
                self._lose(at_us)
            case _:
                pass
        self.settle()

    def settle(self) -> None:
        """Give each order that rests since the last call its place, and forget those that have ended."""
        for order_id in [o for o in self._places if o not in self._live]:
            del self._places[order_id]
        if not self._book.valid:
            return
        for order in self._live.values():
            if order.symbol != self._symbol or order.order_id in self._places or not self._rests(order):
                continue
            shown = self._book.bids if order.side == BUY else self._book.asks
            beyond = 0 if order.order_id in self._found else self._beyond(order)  # a new one has taken what it could
            self._places[order.order_id] = Place(shown.get(order.ticks, 0), beyond, self._book_us)

    # -- inside --

    def _rests(self, order: OrderState) -> bool:
        return order.status is not Status.TRIGGER_PENDING and self._exchange.due_us(order.order_id) is None

    def _resting(self) -> list[OrderState]:
        """Our resting orders, those that the market meets first in front."""
        live = self._live
        return sorted((live[o] for o in self._places if o in live), key=lambda o: (-o.side * o.ticks, o.order_id))

    def _lose(self, at_us: int) -> None:
        """Nobody can say any more what the market shows: nothing can be taken from it before the next whole book."""
        self._exchange.state_book(self._symbol, self._nothing(), at_us)
        self._book.drop()

    def _nothing(self) -> list[tuple[int, int, int]]:
        """Every known level, gone."""
        return [(BUY, ticks, 0) for ticks in self._book.bids] + [(SELL, ticks, 0) for ticks in self._book.asks]

    def _shown(self, rows: Iterable[tuple[int, int, int]], venue_us: int, at_us: int) -> None:
        """The book changed: the exchange shows it, and what newly stands beyond our prices meets us."""
        self._book_us = max(self._book_us, venue_us)
        self._exchange.state_book(self._symbol, rows, at_us)
        self.settle()
        met = {BUY: 0, SELL: 0}
        for order in self._resting():
            place = self._places[order.order_id]
            beyond = self._beyond(order)
            place.beyond = min(place.beyond, beyond)
            lots = self._fill(order, beyond - place.beyond - met[order.side], at_us)
            place.beyond = beyond
            met[order.side] += lots

    def _traded(self, trade: PublicTrade, at_us: int) -> None:
        """A public trade: what it proves for our orders, then the last price."""
        taker = SELL if trade.buyer_is_maker else BUY
        left = trade.qty_lots
        for order in self._resting():
            place = self._places[order.order_id]
            if 0 < trade.venue_us <= place.since_us:
                continue
            past = order.side * (order.ticks - trade.price_ticks)
            if past > 0:
                left -= self._fill(order, left, at_us)
            elif past == 0 and taker == -order.side:
                before = min(place.ahead, left)
                place.ahead -= before
                left -= self._fill(order, left - before, at_us)
        self._exchange.state_last(self._symbol, trade.price_ticks, at_us)

    def _fill(self, order: OrderState, lots: int, at_us: int) -> int:
        """Fill a resting order by up to `lots`; what it was."""
        lots = min(lots, order.open_lots) if order.order_id in self._live else 0  # another fill may have shrunk or ended it
        if lots <= 0:
            return 0
        self._exchange.trade_with(self._name, order.order_id, lots, at_us)
        return lots

    def _beyond(self, order: OrderState) -> int:
        """Lots that the other side shows at prices strictly better than the order's."""
        book = self._book
        if order.side == BUY:
            return sum(q for p, q in book.asks.items() if p < order.ticks) if 0 < book.ask_ticks < order.ticks else 0
        return sum(q for p, q in book.bids.items() if p > order.ticks) if book.bid_ticks > order.ticks else 0


def _rows(bids: Levels | Iterable[tuple[int, int]], asks: Levels | Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
    return [(BUY, ticks, lots) for ticks, lots in bids] + [(SELL, ticks, lots) for ticks, lots in asks]
