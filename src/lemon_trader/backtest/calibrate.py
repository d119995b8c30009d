"""Which queue model comes nearest to what happened to us: the orders of a session, put again into the recorded market.

Each of our resting orders is placed when the exchange had accepted it and taken back when it had ended, in a book that was recorded
meanwhile. Under each model some of them fill; what really filled stands in the journal. The recording shows our own orders too: they count
there as somebody's behind us, which the strict model does not see and the others see as little as our orders are small.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from operator import itemgetter
from typing import Final

import msgspec

from lemon_trader.core.events import AccountRead, AnyEvent, CancelAnswered, Decided, Fill, GridChanged, OrderUpdate, PlaceAccepted
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import LIMIT, POST_ONLY
from lemon_trader.market.acts import Act, Source, apply
from lemon_trader.matching.book import Queueing
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import NewOrder, Refused
from lemon_trader.matching.rules import Rules

ACCOUNT: Final = "again"
PLENTY_ATOMS: Final = 10**18
ENDS: Final = frozenset({"cancelled", "expired"})
ACT: Final = 0
PLACE: Final = 1
END: Final = 2


class OwnOrder(msgspec.Struct):
    """One order of ours that rested.

    Attributes:
        client_id, side, ticks, lots: as it was sent.
        placed_us, ended_us: by the exchange's clock, µs UTC; ended 0 = it outlived the journal.
        filled_lots, filled_us: how much of it filled, and when first; 0 = nothing.
    """

    client_id: int
    side: int
    ticks: int
    lots: int
    placed_us: int = 0
    ended_us: int = 0
    filled_lots: int = 0
    filled_us: int = 0


class Fit(msgspec.Struct, frozen=True):
    """How one model did.

    Attributes:
        orders: that could be put into the recording; the model's and our own filled lots of them.
        missed: orders that filled and that the model leaves unfilled; invented: the other way round.
        off_lots: Σ of what the model fills too much or too little, order by order.
    """

    orders: int
    filled_lots: int
    own_lots: int
    missed: int
    invented: int
    off_lots: int


def own_orders(events: Iterable[AnyEvent], symbol: str) -> tuple[list[OwnOrder], Instrument | None]:
    """The orders of one market that rested, in the order in which they were placed, and the grid that the journal counts them in."""
    orders: dict[int, OwnOrder] = {}
    ids: dict[str, int] = {}
    booked: set[tuple[str, int]] = set()
    grid: Instrument | None = None

    def fill(told: Fill) -> None:
        order = orders.get(told.client_id if told.client_id in orders else ids.get(told.order_id, -1))
        if order is not None and told.symbol == symbol and (told.order_id, told.trade_id) not in booked:
            booked.add((told.order_id, told.trade_id))
            order.filled_lots += told.qty_lots
            order.filled_us = min(order.filled_us or told.venue_us, told.venue_us)
            if order.filled_lots >= order.lots:
                order.ended_us = order.ended_us or told.venue_us

    for event in events:
        match event:
            case GridChanged(symbol=named) if named == symbol:
                grid = event.instrument
            case Decided(symbol=named) if named == symbol:
                for a in event.attempts:
                    if a.kind in {LIMIT, POST_ONLY}:
                        orders[a.client_id] = OwnOrder(a.client_id, a.side, a.price_ticks, a.qty_lots)
            case PlaceAccepted(symbol=named) if named == symbol and event.client_id in orders:
                if event.status == "working" and not event.filled_lots:  # else it took
                    orders[event.client_id].placed_us = event.venue_us
                ids[event.order_id] = event.client_id
            case Fill():
                fill(event)
            case AccountRead():
                for told in event.fills:
                    fill(told)
            case OrderUpdate(symbol=named) | CancelAnswered(symbol=named) if named == symbol and event.client_id in orders:
                word = event.kind if isinstance(event, OrderUpdate) else event.outcome
                if word in ENDS:
                    orders[event.client_id].ended_us = orders[event.client_id].ended_us or event.venue_us
            case _:
                pass
    return sorted((o for o in orders.values() if o.placed_us), key=lambda o: (o.placed_us, o.client_id)), grid


def put_again(source: Source, orders: Sequence[OwnOrder], queueing: Queueing) -> Fit:
    """Play the market with these orders in it, each in its time, and compare what fills with what did."""
    ((symbol, instrument),) = source.instruments.items()
    exchange = Exchange([instrument], Rules(), queueing=queueing)
    exchange.advance(source.start_us)
    exchange.open_account(ACCOUNT, {instrument.quote: PLENTY_ATOMS, instrument.base: PLENTY_ATOMS})
    placed: set[int] = set()
    last_us = source.start_us
    acts: Iterator[tuple[int, int, Act | OwnOrder]] = ((act.at_us, ACT, act) for act in source)
    for at_us, what, thing in merge(acts, _changes(orders, source.start_us), key=itemgetter(0)):
        if not isinstance(thing, OwnOrder):
            last_us = at_us
            apply(thing, exchange)
        elif what == PLACE:
            if _place(exchange, symbol, thing, at_us):
                placed.add(thing.client_id)
        elif any(o.client_id == thing.client_id for o in exchange.accounts[ACCOUNT].live.values()):
            exchange.cancel(ACCOUNT, symbol, at_us, client_id=thing.client_id)
        exchange.take_effects()
    filled: dict[int, int] = {}
    for row in exchange.accounts[ACCOUNT].fills:
        if row.client_id is not None:
            filled[row.client_id] = filled.get(row.client_id, 0) + row.lots
    judged = [o for o in orders if o.client_id in placed and o.placed_us <= last_us]
    pairs = [(filled.get(o.client_id, 0), o.filled_lots) for o in judged]
    return Fit(
        len(judged),
        sum(found for found, _ in pairs),
        sum(own for _, own in pairs),
        sum(own > 0 and not found for found, own in pairs),
        sum(found > 0 and not own for found, own in pairs),
        sum(abs(found - own) for found, own in pairs),
    )


def _changes(orders: Sequence[OwnOrder], start_us: int) -> Iterator[tuple[int, int, Act | OwnOrder]]:
    """(time, PLACE or END, order) of everything within the recording, in time order.

    An order that filled whole is left until the model fills it too, for as long again as it took: a late fill is not a missing one.
    """
    found: list[tuple[int, int, Act | OwnOrder]] = []
    for order in orders:
        if order.placed_us < start_us:
            continue
        found.append((order.placed_us, PLACE, order))
        if order.ended_us:
            is_whole = order.filled_lots >= order.lots
            found.append((order.ended_us + (order.ended_us - order.placed_us if is_whole else 0), END, order))
    return iter(sorted(found, key=itemgetter(0, 1)))


def _place(exchange: Exchange, symbol: str, order: OwnOrder, at_us: int) -> bool:
    """Rest it; False where the recorded market stood the other way round and it would have taken."""
    new = NewOrder(symbol=symbol, side=order.side, lots=order.lots, ticks=order.ticks, post_only=True, client_id=order.client_id)
    try:
        exchange.place(ACCOUNT, new, at_us)
    except Refused:
        return False
    return True
