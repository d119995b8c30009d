"""One fact in: `step(state, event)` changes the state and decides nothing. State is the fold of its events.

Streams are hints and race each other; reads are the truth and lag. Whatever order they come in, the same facts lead to the same state.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from lemon_trader.core.authority import latched, market_closing, user_command
from lemon_trader.core.events import (
    NO_CLIENT_ID,
    AccountRead,
    AccountTerms,
    Anchor,
    Attempted,
    BadFact,
    Balance,
    BookDelta,
    BookSnapshot,
    BookState,
    CancelAnswered,
    CashMove,
    Decided,
    Event,
    FeedState,
    Fill,
    GridChanged,
    IdsReserved,
    LastPrice,
    Latched,
    MarketClosing,
    MarkPrice,
    OrderUpdate,
    PlaceAccepted,
    PlaceRefused,
    PlaceUnknown,
    PublicTrade,
    Started,
    Told,
    Touch,
    UserCommand,
    VenuePosition,
    VenueStatus,
    Wake,
)
from lemon_trader.core.grid import change_grid
from lemon_trader.core.market import IDENTICAL_MAX, MarketState
from lemon_trader.core.orders import Order
from lemon_trader.core.reconcile import apply_read, book_fill, book_move, resolve
from lemon_trader.core.state import ORPHANS_MAX, SKEW_MARGIN_US, TOLD_MAX, AccountState, Alert
from lemon_trader.core.units import (
    ACTIVE,
    ARMED,
    CANCELLED,
    CANCELLING,
    EXPIRED,
    FILLED,
    IN_FLIGHT,
    PROVEN_ABSENT,
    REDUCING,
    REJECTED,
    STOP,
    TRIGGER,
    UNKNOWN,
    US_PER_S,
    WORKING,
)
from lemon_trader.core.watch import digest, watch

RETRY_US: Final = 200_000  # after a refusal the slot waits for a newer book and at least this long
PROBE_US: Final = 60 * US_PER_S  # after identical refusals one probe a minute
STOP_RETRY_US: Final = 2 * US_PER_S  # what protects waits no longer than this, whatever it was refused for
FUNDS_RETRY_US: Final = 10 * US_PER_S
THROTTLED_US: Final = 2 * US_PER_S
ANY_BOOK: Final = -2  # below every update id, and below that of a book that was dropped
UNPRICED: Final = ("TOO_MANY_REQUESTS", "NOT_SENT", "EXPIRED")  # refusals that no price had to do with
FUNDS_CODES: Final = ("INSUFFICIENT_FUNDS", "INSUFFICIENT_MARGIN", "MAX_LEVERAGE_REACHED", "POSITION_LIMIT", "ORDER_LIMIT")
STOPPING_CODES: Final = ("UNAUTHORIZED", "FORBIDDEN", "INVALID_SIGNATURE", "ACCOUNT_DEACTIVATED", "ACCOUNT_LIQUIDATING")


def step(state: AccountState, event: Event) -> None:
    """Fold one event into the state. Facts of markets that are not ours are ignored."""
    handler = _HANDLERS.get(type(event))
    if handler is not None:
        handler(state, event)


def _venue_time(state: AccountState, venue_us: int) -> None:
    state.venue_us = max(state.venue_us, venue_us)


# ---- market facts ----


def _book_snapshot(state: AccountState, e: BookSnapshot) -> None:
    m = state.markets.get(e.symbol)
    if m is None:
        return
    _public(state, e.ts_us, e.venue_us)
    m.book.snapshot(e)
    m.touch(e.ts_us)


def _book_delta(state: AccountState, e: BookDelta) -> None:
    m = state.markets.get(e.symbol)
    if m is None:
        return
    _public(state, e.ts_us, e.venue_us)
    if not m.book.delta(e):
        m.asked = True
    m.touch(e.ts_us)


def _touch(state: AccountState, e: Touch) -> None:
    m = state.markets.get(e.symbol)
    if m is None:
        return
    _public(state, e.ts_us, e.venue_us)
    if not m.book.agrees(e):
        m.book.drop()  # two words of one update id that differ: neither is believed
        m.touch(e.ts_us)
        m.asked = True


def _trade(state: AccountState, e: PublicTrade) -> None:
    m = state.markets.get(e.symbol)
    if m is None:
        return
    _public(state, e.ts_us, e.venue_us)
    _last_price(m, e.price_ticks, e.ts_us)


def _last(state: AccountState, e: LastPrice) -> None:
    m = state.markets.get(e.symbol)
    if m is None:
        return
    _public(state, e.ts_us, e.venue_us)
    if e.last_ticks > 0:
        _last_price(m, e.last_ticks, e.ts_us)


def _last_price(m: MarketState, ticks: int, ts_us: int) -> None:
    m.last_ticks, m.last_us = ticks, ts_us
    m.view.last_ticks = ticks
    if m.doubt_us:  # the second source may settle what the first one left in doubt
        m.confirm(ts_us)
        m.asked = True


def _mark(state: AccountState, e: MarkPrice) -> None:
    m = state.markets.get(e.symbol)
    if m is None:
        return
    _public(state, e.ts_us, e.venue_us)
    m.mark_ticks, m.index_ticks, m.mark_us, m.funding_ppb = e.mark_ticks, e.index_ticks, e.ts_us, e.funding_ppb
    m.view.mark_ticks, m.view.index_ticks = e.mark_ticks, e.index_ticks
    m.asked = True  # once a second; stops of a perpetual are judged by it
    m.confirm(e.ts_us)


def _public(state: AccountState, ts_us: int, venue_us: int) -> None:
    state.public_us = ts_us
    state.venue_us = max(state.venue_us, venue_us)


def _book_state(state: AccountState, e: BookState) -> None:
    m = state.markets.get(e.symbol)
    if m is not None and m.instrument.book_state != e.state:
        m.instrument = msgspec.structs.replace(m.instrument, book_state=e.state)
        m.asked = True
        state.tell(e.ts_us, "alert.book_state", "warn", symbol=e.symbol, state=e.state)


def _venue_status(state: AccountState, e: VenueStatus) -> None:
    if e.status != state.venue_status:
        state.venue_status = e.status
        state.want_read = True
        _ask_all(state)
        state.tell(e.ts_us, "alert.venue_status", "warn", status=e.status)


def _feed(state: AccountState, e: FeedState) -> None:
    if e.feed == "public":
        state.public_up = e.up
        for m in state.markets.values():
            m.book.drop()
            m.touch(e.ts_us)
    else:
        state.private_up = e.up
    state.want_read = True  # nothing is replayed: what happened meanwhile is read
    _ask_all(state)


def _bad(state: AccountState, e: BadFact) -> None:
    state.bad_facts += 1
    if e.account:
        state.want_read = True
    m = state.markets.get(e.symbol)
    if m is not None and not e.account:
        m.asked = True


# ---- answers ----


def _place_accepted(state: AccountState, e: PlaceAccepted) -> None:
    _venue_time(state, e.venue_us)
    m = state.markets.get(e.symbol)
    order = resolve(state, m, e.client_id, e.order_id, "", e.ts_us) if m is not None else None
    if m is None or order is None:
        return
    m.asked = True
    m.orders.name(order, e.order_id)
    order.acked = 1
    order.stated_lots = max(order.stated_lots, e.filled_lots)
    if order.filled_lots < order.stated_lots:
        state.want_read = True  # its fills may come by the stream; the read makes sure
    _clear_refusals(m, order.slot)
    if order.state in (CANCELLED, EXPIRED, FILLED):
        return  # the stream was faster than the answer
    match e.status:
        case "working":
            m.orders.move(order, WORKING, e.ts_us)
        case "armed":
            m.orders.move(order, ARMED, e.ts_us)
        case "filled":
            m.orders.move(order, FILLED, e.ts_us)
        case "expired" | "cancelled" | "trigger_failed":
            m.orders.move(order, CANCELLED if e.status == "cancelled" else EXPIRED, e.ts_us)
            if order.filled_lots + order.stated_lots == 0:
                _wait(m, order, e.ts_us + RETRY_US)
        case _:
            m.orders.move(order, UNKNOWN, e.ts_us)
            state.want_read = True


def _place_refused(state: AccountState, e: PlaceRefused) -> None:
    m = state.markets.get(e.symbol)
    order = m.orders.find(e.client_id, "") if m is not None else None
    if m is None or order is None or not order.is_live:
        return
    m.asked = True
    order.venue_reason = e.code
    if e.code == "CLIENT_ID_EXISTS" or order.filled_lots > 0 or order.acked:
        # The venue knows this id: whatever the refusal means, an order may live under it.
        m.orders.move(order, UNKNOWN, e.ts_us)
        state.want_read = True
        return
    m.orders.move(order, REJECTED, e.ts_us)
    key = (order.slot, e.code)
    count = m.refusals[key] = m.refusals.get(key, 0) + 1
    wait = RETRY_US
    if e.code in FUNDS_CODES:
        wait = FUNDS_RETRY_US
        state.want_read = True
    elif e.code == "TOO_MANY_REQUESTS":
        wait = THROTTLED_US
    if count >= IDENTICAL_MAX and e.code not in UNPRICED:
        wait = PROBE_US
        if count == IDENTICAL_MAX:
            state.tell(e.ts_us, "alert.refused_again", "warn", symbol=e.symbol, code=e.code, message=e.message, count=count)
    if order.role == STOP:
        wait = min(wait, STOP_RETRY_US)
    _wait(m, order, e.ts_us + wait, any_book=e.code in UNPRICED)
    if e.code in STOPPING_CODES:
        state.tell(e.ts_us, "alert.refused_account", "grave", code=e.code, message=e.message)
        m.frozen = e.code


def _place_unknown(state: AccountState, e: PlaceUnknown) -> None:
    m = state.markets.get(e.symbol)
    order = m.orders.find(e.client_id, "") if m is not None else None
    if m is None or order is None or not order.is_live or order.acked:
        return
    m.asked = True
    state.want_read = True
    m.orders.move(order, UNKNOWN, e.ts_us)


def _cancel_answered(state: AccountState, e: CancelAnswered) -> None:
    _venue_time(state, e.venue_us)
    m = state.markets.get(e.symbol)
    order = m.orders.find(e.client_id, "") if m is not None else None
    if m is None or order is None or not order.is_live:
        return
    m.asked = True
    match e.outcome:
        case "cancelled":
            order.acked = 1  # it was there, whatever became of its own answer
            order.stated_lots = max(order.stated_lots, e.filled_lots)
            if order.filled_lots < order.stated_lots:
                state.want_read = True
            m.orders.move(order, CANCELLED, e.ts_us)
        case "not_found":
            # Never "it was not there": filled, ended by itself, or not there *yet*. The histories say which.
            state.want_read = True
            if not order.lease or order.fence_sent_us:
                order.fence_us = order.fence_us or e.ts_us
                order.fence_venue_us = order.fence_venue_us or state.venue_us
            if order.state == CANCELLING and order.lease:
                m.orders.move(order, UNKNOWN, e.ts_us)
        case "accepted":
            pass  # executed later or never: it stays CANCELLING and is asked again
        case _:
            order.fence_sent_us = 0


# ---- account facts ----


def _order_update(state: AccountState, e: OrderUpdate) -> None:
    _venue_time(state, e.venue_us)
    m = state.markets.get(e.symbol)
    if m is None:
        return
    order = resolve(state, m, e.client_id, e.order_id, e.related_id, e.ts_us, e)
    if e.origin not in ("", "USER"):
        system_order(state, m, e.ts_us, e.origin)
    if order is None:
        state.want_read = True  # somebody's order, or one of ours that we cannot place yet: the read tells
        return
    m.asked = True
    m.orders.name(order, e.order_id)
    order.acked = 1
    order.stated_lots = max(order.stated_lots, e.filled_lots)
    if order.filled_lots < order.stated_lots:
        state.want_read = True
    ended = order.state in (CANCELLED, EXPIRED, FILLED)
    match e.kind:
        case "accepted":
            if not ended:
                m.orders.move(order, WORKING, e.ts_us)
        case "trigger_placed":
            if not ended:
                m.orders.move(order, ARMED, e.ts_us)
        case "cancelled":
            m.orders.move(order, CANCELLED, e.ts_us)
        case "expired" | "trigger_failed":
            order.venue_reason = e.reason
            m.orders.move(order, EXPIRED, e.ts_us)
            _wait(m, order, e.ts_us + RETRY_US)
        case "modified":
            if not ended and e.qty_lots > 0:
                m.orders.resize(order, e.qty_lots)
        case _:
            if not ended:
                m.orders.move(order, UNKNOWN, e.ts_us)
            state.want_read = True


def system_order(state: AccountState, market: MarketState, ts_us: int, origin: str) -> None:
    """The exchange acted by itself (liquidation, deleveraging, settlement): the strategy is frozen here and the operator told."""
    if not market.frozen:
        market.frozen = origin
        market.asked = True
        state.tell(ts_us, "alert.system_order", "grave", symbol=market.instrument.symbol, origin=origin)


def _fill(state: AccountState, e: Fill) -> None:
    _venue_time(state, e.venue_us)
    m = state.markets.get(e.symbol)
    if m is not None:
        if e.origin not in ("", "USER"):
            system_order(state, m, e.ts_us, e.origin)
        book_fill(state, m, e, ordinal=-1)


def _balance(state: AccountState, e: Balance) -> None:
    state.balances[e.asset] = (e.available_atoms, e.locked_atoms)
    for m in state.markets.values():
        if e.asset in (m.instrument.base, m.instrument.quote):
            m.asked = True


def _position(state: AccountState, e: VenuePosition) -> None:
    m = state.markets.get(e.symbol)
    if m is not None:
        m.venue_lots = e.lots
        if e.lots != m.ledger.lots:
            state.want_read = True


def _move(state: AccountState, e: CashMove) -> None:
    m = state.markets.get(e.symbol)
    if m is not None:
        book_move(state, m, e)


def _terms(state: AccountState, e: AccountTerms) -> None:
    state.terms = e
    for m in state.markets.values():
        state.apply_terms(m)
        m.asked = True
        if e.liquidating:
            system_order(state, m, e.ts_us, "LIQUIDATING")


def _read(state: AccountState, e: AccountRead) -> None:
    _venue_time(state, e.venue_us)
    apply_read(state, e)
    _ask_all(state)


# ---- our own ----


def _wake(state: AccountState, e: Wake) -> None:
    for m in state.markets.values():
        m.asked = True
        if m.doubt_us:
            m.confirm(e.ts_us)
    watch(state, e.ts_us)


def _ids(state: AccountState, e: IdsReserved) -> None:
    if e.lo > state.next_id:  # a new life starts behind the block of the last one: what is skipped may have been sent
        state.orphans = [*state.orphans[1 - ORPHANS_MAX :], (state.next_id, e.lo)]
        recover(state, e.ts_us)
    state.next_id, state.ids_end = e.lo, e.hi


def _started(state: AccountState, e: Started) -> None:
    state.started[e.symbol] = e
    m = state.markets.get(e.symbol)
    if m is not None and e.inventory_lots:
        m.ledger.give(e.inventory_lots * m.instrument.lot_atoms, e.inventory_cost_atoms)
    if m is not None:
        m.ended = False
    if state.mode == REDUCING:  # an end by `stop` is released by a start; a latch is not
        state.mode, state.mode_reason, state.mode_detail, state.exit_masked = ACTIVE, "", "", False


def _told(state: AccountState, e: Told) -> None:
    state.told = [*state.told[1 - TOLD_MAX :], Alert(e.ts_us, e.key, e.grade, e.values)]


def _anchor(state: AccountState, e: Anchor) -> None:
    if e.name == "day":
        if state.has_anchor and e.day > state.day:
            digest(state, e)
        state.day, state.day_pnl = e.day, e.equity_atoms
        if not state.has_anchor:
            state.peak_pnl, state.has_anchor = e.equity_atoms, True
    else:
        state.peak_pnl = e.equity_atoms


def _decided(state: AccountState, e: Decided) -> None:
    m = state.markets.get(e.symbol)
    if m is None:
        return
    if e.memory:
        m.memory_bytes = e.memory
        m.memory_ticks = m.memory_lots = 1
    for a in e.attempts:
        m.orders.add(order_of(a))
        state.next_id = max(state.next_id, a.client_id + 1)
    for c in e.cancels:
        order = m.orders.find(c.client_id, "")
        if order is not None and order.is_live:
            lease_over = state.venue_us > order.expires_us + SKEW_MARGIN_US
            m.orders.sent_cancel(order, e.ts_us, fence=order.state == UNKNOWN and lease_over)


def order_of(a: Attempted) -> Order:
    """The order that an attempt starts as."""
    return Order(
        slot=a.slot, generation=a.generation, role=a.role, side=a.side, kind=a.kind, flags=a.flags, price_ticks=a.price_ticks,
        trigger_ticks=a.trigger_ticks, open_lots=a.qty_lots, state=IN_FLIGHT, sent_us=a.ts_us, client_id=a.client_id, qty_lots=a.qty_lots,
        expires_us=a.expires_us,
    )  # fmt: skip


def recover(state: AccountState, ts_us: int) -> None:
    """A new life begins: what was in the air when the last one ended is UNKNOWN; nothing of its streams and reads is believed any more.

    It is part of the fold, or a later life would read the answers to this one's fences as answers to orders that are still in flight.
    """
    for m in state.markets.values():
        for order in list(m.orders.live):
            if order.state == IN_FLIGHT:
                m.orders.move(order, UNKNOWN, ts_us)
            order.fence_sent_us = 0
            order.fence_us = ts_us if order.fence_us else 0  # what was proven stays; by this life's clock its wait begins anew
            if order.cancel_us:
                order.cancel_us = 1  # long ago: whatever this life's clock says, a cancel in the air is sent again
            if order.state == UNKNOWN:
                order.unknown_us = ts_us
            order.told = 0
        m.book.drop()
        m.venue_lots = None
        m.retry_us = [0] * len(m.retry_us)
        m.retry_book = [-1] * len(m.retry_book)
        m.retrying = True
        m.bare_us = 0
    state.told, state.lost_us = [], {}  # they were told in that life, and this one watches for itself
    state.public_up = state.private_up = False
    state.public_us = state.account_us = 0
    state.want_read = True


def _wait(m: MarketState, order: Order, until_us: int, *, any_book: bool = False) -> None:
    """Let an order's slot wait, and then for a newer book, unless no book had to do with how it ended: a TRIGGER goes by the mark."""
    slot = order.slot
    if 0 <= slot < len(m.retry_us):
        m.retry_us[slot] = max(m.retry_us[slot], until_us)
        m.retrying = True
        m.retry_book[slot] = ANY_BOOK if any_book or order.kind == TRIGGER else m.book.last_id


def _clear_refusals(m: MarketState, slot: int) -> None:
    if m.refusals:
        for key in [k for k in m.refusals if k[0] == slot]:
            del m.refusals[key]


def _ask_all(state: AccountState) -> None:
    for m in state.markets.values():
        m.asked = True


_HANDLERS: Final[dict[type, Callable[[AccountState, Any], None]]] = {
    BookSnapshot: _book_snapshot,
    BookDelta: _book_delta,
    Touch: _touch,
    PublicTrade: _trade,
    LastPrice: _last,
    MarkPrice: _mark,
    BookState: _book_state,
    GridChanged: change_grid,
    VenueStatus: _venue_status,
    FeedState: _feed,
    BadFact: _bad,
    PlaceAccepted: _place_accepted,
    PlaceRefused: _place_refused,
    PlaceUnknown: _place_unknown,
    CancelAnswered: _cancel_answered,
    OrderUpdate: _order_update,
    Fill: _fill,
    Balance: _balance,
    VenuePosition: _position,
    CashMove: _move,
    AccountTerms: _terms,
    AccountRead: _read,
    Wake: _wake,
    IdsReserved: _ids,
    Started: _started,
    UserCommand: user_command,
    Told: _told,
    Latched: latched,
    MarketClosing: market_closing,
    Anchor: _anchor,
    Decided: _decided,
}

__all__ = ["NO_CLIENT_ID", "PROVEN_ABSENT", "order_of", "recover", "step", "system_order"]
