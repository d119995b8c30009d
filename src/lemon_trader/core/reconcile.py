"""What a read of the account changes: fills booked, ends proven, orders adopted, unknown outcomes resolved.

An unknown outcome is never sent again. Its lease ends (the edge refuses it from then on), a cancel by client id fences the engine's
queue, and open orders, history and fills read afterwards do not know it, while position and cash are explained to the last atom: only
then is it PROVEN_ABSENT. Errors, empty answers and time alone prove nothing.
"""

from typing import Final

import msgspec

from lemon_trader.core.events import NO_CLIENT_ID, AccountRead, CashMove, Fill, OrderRow, OrderUpdate
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.market import MarketState
from lemon_trader.core.orders import Order
from lemon_trader.core.state import HIST_LAG_US, SKEW_MARGIN_US, AccountState, Recorded
from lemon_trader.core.units import (
    ARMED,
    CANCELLED,
    CANCELLING,
    EXPIRED,
    FILLED,
    IN_FLIGHT,
    POST_ONLY,
    PROVEN_ABSENT,
    QUOTE,
    SELL,
    STOP,
    TAKE,
    TRIGGER,
    UNKNOWN,
    US_PER_S,
    WORKING,
    side_name,
)

POSITION_MISMATCH: Final = "POSITION_MISMATCH"
STRANGERS_MAX: Final = 1_000
SETTLING_US: Final = 15 * US_PER_S  # a perpetual's profit is in the balance this long after its last fill
MISMATCH_MAX: Final = 3  # a difference that survives this many reads freezes the market
ADOPTED_SLOT: Final = -1  # ours, but of no slot we know: the diff cancels it


def resolve(
    state: AccountState,
    market: MarketState,
    client_id: int,
    order_id: str,
    related_id: str,
    ts_us: int,
    seen: OrderUpdate | OrderRow | None = None,
) -> Order | None:
    """Our order that these names mean; None when it is nobody's we know.

    A child that a trigger made, a second order that the venue accepted under one client id, and an order whose id lies in a block that an
    earlier life reserved are taken in here: they are ours whatever our journal says.
    """
    table = market.orders
    if order_id:
        known = table.find(NO_CLIENT_ID, order_id)
        if known is not None:
            return known
    parent = table.find(NO_CLIENT_ID, related_id) if related_id else None
    mine = table.find(client_id, "") if client_id != NO_CLIENT_ID else None
    if parent is None and mine is not None:
        if not order_id or not mine.order_id or mine.order_id == order_id:
            return mine
        parent = mine  # the same client id under another order id
    if parent is not None:
        child = _child(market, parent, order_id, ts_us, seen)
        if parent.kind == TRIGGER and parent.is_live:
            table.move(parent, FILLED, ts_us)  # it has fired: its child lives on in its place
        else:
            state.tell(ts_us, "alert.second_order", "warn", symbol=market.instrument.symbol, order=order_id, client_id=client_id)
        return child
    if client_id != NO_CLIENT_ID and order_id and any(lo <= client_id < hi for lo, hi in state.orphans):
        return _orphan(market, client_id, order_id, ts_us, seen)
    return None


def book_fill(state: AccountState, market: MarketState, fill: Fill, *, ordinal: int) -> bool:
    """Book a fill once; True when it was new.

    `ordinal`: in a read, how many fills with the same fallback key came before this one there; -1 = from the stream.
    """
    order = resolve(state, market, fill.client_id, fill.order_id, fill.related_id, fill.ts_us)
    ledger = market.ledger
    if order is None:
        if fill.origin in ("", "USER") or not market.instrument.is_perp:
            return _foreign_fill(state, market, fill, ordinal)
    else:
        market.orders.name(order, fill.order_id)
        order.stated_lots = max(order.stated_lots, fill.filled_lots)
        market.asked = True
    new = True
    if ledger.seen(fill, max(0, ordinal)) or ledger.renamed(fill):
        new = False
    elif fill.trade_id <= 0 and order is not None and ordinal < 0 <= fill.filled_lots <= order.filled_lots:
        new = False  # nothing names it, but its order is booked that far already
    if new:
        booked = ledger.book(fill)
        if market.instrument.is_perp:
            state.settling_us = max(state.settling_us, fill.ts_us + SETTLING_US)
        quote, base = market.instrument.quote, market.instrument.base
        _expect(state, quote, booked.cash_atoms)
        if not market.instrument.is_perp:
            fee = fill.fee_atoms if fill.fee_asset == base else 0
            received = fill.side * fill.qty_lots * market.instrument.lot_atoms - fee
            _expect(state, base, received)
            _hold(state, base, received)  # the venue's own word overwrites it; until then an exit need not wait for it
            _hold(state, quote, booked.cash_atoms)
        if fill.fee_asset not in (quote, base):
            _expect(state, fill.fee_asset, -fill.fee_atoms)
        v = market.view
        mid = (v.bid_ticks + v.ask_ticks) // 2 if v.bid_ticks and v.ask_ticks else 0
        role, generation = (order.role, order.generation) if order is not None else (-1, -1)
        state.recorded.append(Recorded(fill, booked, role, generation, mid))
        _tell_stop(state, market, fill, role, booked.realised_atoms)
        market.asked = True
    if order is not None:
        if new:
            market.orders.book(order, fill.qty_lots, fill.ts_us)
        if fill.done and order.is_live:
            market.orders.move(order, FILLED, fill.ts_us)
    return new


def _tell_stop(state: AccountState, market: MarketState, fill: Fill, role: int, realised_atoms: int) -> None:
    """Tell when a stop, or a `flatten`, begins to sell, and what it made when nothing is held any more."""
    if role != STOP:
        market.stop_atoms = None
        return
    i = market.instrument
    what = "flatten" if state.flatten or market.closing else "stop"
    if market.stop_atoms is None:
        market.stop_atoms = 0
        state.tell(
            fill.ts_us, f"alert.{what}_fired", "warn", symbol=i.symbol, side=side_name(fill.side), quantity=i.qty_text(fill.qty_lots),
            price=i.price_text(fill.price_ticks), held=atoms_text(market.ledger.base_atoms), base=i.base,
        )  # fmt: skip
    market.stop_atoms += realised_atoms
    if not market.ledger.lots:
        realised = atoms_text(market.stop_atoms)
        market.stop_atoms = None
        state.tell(fill.ts_us, f"alert.{what}_done", "warn", symbol=i.symbol, realised=realised, quote=i.quote)


def apply_read(state: AccountState, read: AccountRead) -> None:
    """Fold one complete read of the account."""
    state.account_us = state.read_us = read.begun_us
    state.want_read = False
    for balance in read.balances:
        state.balances[balance.asset] = (balance.available_atoms, balance.locked_atoms)
    positions = {p.symbol: p.lots for p in read.positions}
    rows: dict[str, list[OrderRow]] = {s: [] for s in read.symbols}
    for row in (*read.open_orders, *read.history):
        rows.setdefault(row.symbol, []).append(row)
    for move in read.moves:
        market = state.markets.get(move.symbol)
        if market is not None:
            book_move(state, market, move)
    for symbol in read.symbols:
        market = state.markets.get(symbol)
        if market is None:
            continue
        named = {row.order_id: row for row in rows[symbol]}
        for row in sorted(rows[symbol], key=lambda row: bool(row.related_id)):  # a trigger is known by name before its child is met
            order = resolve(state, market, row.client_id, row.order_id, row.related_id, read.ts_us, row)
            if order is not None:
                market.orders.name(order, row.order_id)
        _book_fills(state, market, read, named)
        _apply_rows(state, market, read, rows[symbol])
        if market.instrument.is_perp:
            market.venue_lots = positions.get(symbol, 0)
    explained = _explain(state, read)
    for symbol in read.symbols:
        market = state.markets.get(symbol)
        if market is not None:
            _resolve_unknown(state, market, read, explained=explained and market.mismatch == 0)


def book_move(state: AccountState, market: MarketState, move: CashMove) -> None:
    """Book a cash movement once: funding and interest are profit or loss, everything else only explains a balance."""
    is_result = move.kind in ("funding", "interest")
    if market.ledger.fund(move.key, move.quantity_atoms if is_result else 0):
        _expect(state, move.asset, move.quantity_atoms)


def news(state: AccountState, read: AccountRead) -> AccountRead:
    """The read without what is known already: rows of orders that have ended here as they say, and named fills that are booked.

    Folding it leads to the same state as folding the whole read, and the journal does not repeat ten minutes of history every time.
    """
    history = tuple(row for row in read.history if not _is_old(state, row))
    fills = tuple(f for f in read.fills if f.trade_id <= 0 or not _is_booked(state, f))
    moves = tuple(m for m in read.moves if m.symbol not in state.markets or m.key not in state.markets[m.symbol].ledger.moves)
    return msgspec.structs.replace(read, history=history, fills=fills, moves=moves)


def _is_old(state: AccountState, row: OrderRow) -> bool:
    market = state.markets.get(row.symbol)
    order = market.orders.find(NO_CLIENT_ID, row.order_id) if market is not None else None
    return order is not None and not order.is_live and order.filled_lots >= row.filled_lots


def _is_booked(state: AccountState, fill: Fill) -> bool:
    market = state.markets.get(fill.symbol)
    if market is None:
        return False
    order = market.orders.find(NO_CLIENT_ID, fill.order_id)
    return order is not None and not order.is_live and market.ledger.seen(fill)


def _book_fills(state: AccountState, market: MarketState, read: AccountRead, named: dict[str, OrderRow]) -> None:
    equal: dict[tuple[str, int, int, int], int] = {}
    for fill in read.fills:
        if fill.symbol != market.instrument.symbol:
            continue
        key = (fill.order_id, fill.price_ticks, fill.qty_lots, fill.venue_us // 1_000)
        ordinal = equal.get(key, 0)
        equal[key] = ordinal + 1
        row = named.get(fill.order_id)
        if row is not None and row.related_id:
            resolve(state, market, fill.client_id, fill.order_id, row.related_id, read.ts_us, row)
        # Histories tell a liquidation again for as long as they are read: only the first time is news, or no `resume` would last.
        is_new = book_fill(state, market, fill, ordinal=ordinal)
        if is_new and fill.origin not in ("", "USER") and not market.frozen:
            market.frozen = fill.origin
            state.tell(read.ts_us, "alert.system_order", "grave", symbol=market.instrument.symbol, origin=fill.origin)


def _apply_rows(state: AccountState, market: MarketState, read: AccountRead, rows: list[OrderRow]) -> None:
    table = market.orders
    foreign: list[OrderRow] = []
    open_ids = {row.order_id for row in rows if row.is_open}
    found: set[int] = set()
    for row in rows:
        order = table.find(NO_CLIENT_ID, row.order_id)
        order = order or (table.find(row.client_id, "") if row.client_id != NO_CLIENT_ID else None)
        if order is None or (order.order_id and order.order_id != row.order_id):
            if row.is_open:
                foreign.append(row)
            continue
        found.add(order.client_id)
        if order.ended_us and order.ended_us > read.begun_us:
            continue  # it ended while the read was under way: the row is older than what we know
        table.name(order, row.order_id)
        order.stated_lots = max(order.stated_lots, row.filled_lots)
        if row.is_open:
            _is_open(market, order, row, read)
        elif row.order_id not in open_ids:
            _has_ended(market, order, row, read.ts_us)
    if len(foreign) != len(market.foreign):
        state.tell(read.ts_us, "alert.foreign_orders", "warn", symbol=market.instrument.symbol, count=len(foreign))
    market.foreign = tuple(foreign)
    market.count_foreign()
    for order in list(table.live):
        if order.client_id in found or order.sent_us >= read.begun_us or order.state in (IN_FLIGHT, UNKNOWN):
            order.missing = 0
        else:
            order.missing += 1
            state.want_read = True
            if order.missing == MISMATCH_MAX:
                state.tell(read.ts_us, "alert.order_missing", "warn", symbol=market.instrument.symbol, order=order.order_id)


def _is_open(market: MarketState, order: Order, row: OrderRow, read: AccountRead) -> None:
    order.missing = 0
    if order.state == CANCELLING:
        order.acked = 1
        return
    if row.qty_lots and order.qty_lots > row.qty_lots and order.kind != TRIGGER:
        market.orders.resize(order, row.qty_lots)
    order.acked = 1
    market.orders.move(order, ARMED if row.status == "armed" else WORKING, read.ts_us)


def _has_ended(market: MarketState, order: Order, row: OrderRow, ts_us: int) -> None:
    match row.status:
        case "filled":
            market.orders.move(order, FILLED, ts_us)
        case "cancelled":
            market.orders.move(order, CANCELLED, ts_us)
        case "expired" | "trigger_failed":
            market.orders.move(order, EXPIRED, ts_us)
        case "triggered" if order.kind == TRIGGER:
            market.orders.move(order, FILLED, ts_us)
        case _:
            pass  # histories may list what still rests; the list of open orders decides


def _explain(state: AccountState, read: AccountRead) -> bool:
    """Whether every balance and position that the venue states is exactly what our journal makes of it."""
    fine = True
    for symbol in read.symbols:
        market = state.markets.get(symbol)
        if market is None or not market.instrument.is_perp:
            continue
        if (market.venue_lots or 0) == market.ledger.lots:
            if market.frozen == POSITION_MISMATCH:
                market.frozen = ""
            market.mismatch = 0
            market.strangers = [f for f in market.strangers if f.ts_us >= read.begun_us]  # the position has said nothing of these yet
            continue
        fine = False
        market.mismatch += 1
        state.want_read = True
        if market.mismatch == MISMATCH_MAX:
            market.frozen = market.frozen or POSITION_MISMATCH
            state.tell(
                read.ts_us, "alert.position_mismatch", "grave",
                symbol=symbol, venue=market.venue_lots, ours=market.ledger.lots, lot=market.instrument.lot,
            )  # fmt: skip
    assets = {
        a
        for m in state.markets.values()
        for a in (m.instrument.base, m.instrument.quote)
        if not (m.instrument.is_perp and a == m.instrument.base)
    }
    open_perp = any(m.instrument.is_perp and m.ledger.base_atoms for m in state.markets.values())
    off: dict[str, int] = {}
    for asset in sorted(assets):
        stated = sum(state.balances.get(asset, (0, 0)))
        if asset not in state.expected:
            state.expected[asset] = stated
        elif stated != state.expected[asset]:
            off[asset] = stated - state.expected[asset]
    if open_perp:
        state.settling_us = read.ts_us + SETTLING_US
    if read.ts_us < state.settling_us:
        # The exchange settles unrealised profit into the quote balance every few seconds: it explains nothing while a position is open, and
        # for a moment after it was closed.
        for market in state.markets.values():
            if market.instrument.is_perp:
                quote = market.instrument.quote
                off.pop(quote, None)
                state.expected[quote] = sum(state.balances.get(quote, (0, 0)))
    if not off:
        state.unexplained = 0
        return fine
    state.unexplained += 1
    state.want_read = True
    if state.unexplained >= MISMATCH_MAX and not any(_may_explain(m, off, read) for m in state.markets.values()):
        # Nothing of ours could have done it and it stays: money was moved by hand. Booked as a transfer, never as profit.
        for asset, change in off.items():
            state.expected[asset] += change
            state.tell(read.ts_us, "alert.transfer", "info", asset=asset, amount=atoms_text(change))
        state.unexplained = 0
    return False


def _may_explain(market: MarketState, off: dict[str, int], read: AccountRead) -> bool:
    """Whether an outcome that is still open here could have moved what is off: a trade moves both assets, or a perpetual's position.

    An order that worked and is not open any more was filled, as far as anybody knows: histories lag, and tell it later.
    """
    rests = {row.order_id for row in read.open_orders}
    if all(o.state != UNKNOWN and o.filled_lots >= o.stated_lots and (not o.order_id or o.order_id in rests) for o in market.orders.live):
        return False
    instrument = market.instrument
    return market.mismatch > 0 if instrument.is_perp else instrument.base in off and instrument.quote in off


def _resolve_unknown(state: AccountState, market: MarketState, read: AccountRead, *, explained: bool) -> None:
    for order in list(market.orders.live):
        if order.state == UNKNOWN:
            state.want_read = True
            lease_over = state.venue_us > order.expires_us + SKEW_MARGIN_US
            if explained and lease_over and _is_fenced(order, read) and not order.acked:
                market.orders.move(order, PROVEN_ABSENT, read.ts_us)
                market.asked = True
                continue
        elif order.ending:
            state.want_read = True


def _is_fenced(order: Order, read: AccountRead) -> bool:
    """Whether a read was begun long enough after the fence for the histories to know: by our time, or over lives by the exchange's.

    The exchange's time was last heard a moment before the fence, so twice the lag is asked of it.
    """
    if not order.fence_us:
        return False
    by_venue = order.fence_venue_us > 0 and read.venue_us >= order.fence_venue_us + 2 * HIST_LAG_US
    return by_venue or read.begun_us >= order.fence_us + HIST_LAG_US


def _foreign_fill(state: AccountState, market: MarketState, fill: Fill, ordinal: int) -> bool:
    """A fill of an order that is not ours: the operator trades by hand. It moves what the account should hold, once, nothing of ours.

    True when it was new.
    """
    instrument = market.instrument
    quantity = fill.qty_lots * instrument.lot_atoms
    name = str(fill.trade_id) if fill.trade_id > 0 else f"{fill.venue_us // 1_000}:{quantity}:{max(0, ordinal)}"
    key = f"foreign:{fill.order_id}:{name}"
    if key in market.ledger.moves:
        return False
    market.ledger.fund(key, 0)
    if instrument.is_perp:
        market.strangers = [*market.strangers[1 - STRANGERS_MAX :], fill]
    else:
        notional = instrument.notional_atoms(fill.price_ticks, fill.qty_lots)
        _expect(state, instrument.quote, -fill.side * notional)
        _expect(state, instrument.base, fill.side * quantity)
    _expect(state, fill.fee_asset, -fill.fee_atoms)
    return True


def adopt_strangers(state: AccountState, market: MarketState, ts_us: int) -> bool:
    """Take over what somebody did to a perpetual's position by hand; False when that is not proven, and nothing has changed.

    Two sources must say the same: the position that the exchange states, and the fills of orders that are not ours. They are booked at
    their own prices, so the result of a position that was closed by hand is the result that it had.
    """
    symbol, ours, venue = market.instrument.symbol, market.ledger.lots, market.venue_lots
    told = sum(f.side * f.qty_lots for f in market.strangers)
    if venue is None or venue - ours != told:
        state.tell(
            ts_us, "alert.position_unproven", "grave", symbol=symbol, venue="-" if venue is None else venue, ours=ours, fills=told,
            lot=market.instrument.lot,
        )  # fmt: skip
        return False
    quote = market.instrument.quote
    for fill in market.strangers:
        booked = market.ledger.book(fill)
        _expect(state, quote, booked.realised_atoms)  # its fee was explained when the fill was first told
        state.recorded.append(Recorded(fill, booked, -1, -1, 0))
    market.strangers = []
    state.tell(ts_us, "alert.position_adopted", "warn", symbol=symbol, before=ours, after=market.ledger.lots, lot=market.instrument.lot)
    return True


def _expect(state: AccountState, asset: str, change: int) -> None:
    if asset in state.expected:
        state.expected[asset] += change


def _hold(state: AccountState, asset: str, change: int) -> None:
    available, locked = state.balances.get(asset, (0, 0))
    if change < 0:  # what an order had locked goes first
        from_locked = min(locked, -change)
        locked -= from_locked
        change += from_locked
    state.balances[asset] = (max(0, available + change), locked)


def _child(market: MarketState, parent: Order, order_id: str, ts_us: int, seen: OrderUpdate | OrderRow | None) -> Order:
    qty = seen.qty_lots if seen is not None and seen.qty_lots else parent.qty_lots
    child = Order(
        slot=parent.slot, generation=parent.generation, role=parent.role, side=parent.side,
        kind=TAKE if parent.kind == TRIGGER else parent.kind, flags=parent.flags,
        price_ticks=0 if parent.kind == TRIGGER else parent.price_ticks,
        open_lots=qty, state=WORKING, sent_us=ts_us, acked=1, client_id=market.next_child, order_id="", qty_lots=qty,
    )  # fmt: skip
    market.next_child -= 1
    market.orders.add(child)
    market.orders.name(child, order_id)
    return child


def _orphan(market: MarketState, client_id: int, order_id: str, ts_us: int, seen: OrderUpdate | OrderRow | None) -> Order:
    side = seen.side if seen is not None else SELL
    trigger = seen is not None and seen.trigger_ticks > 0 and not seen.related_id
    order = Order(
        slot=ADOPTED_SLOT, role=STOP if trigger else QUOTE, side=side, kind=TRIGGER if trigger else POST_ONLY,
        price_ticks=seen.price_ticks if seen is not None else 0, trigger_ticks=seen.trigger_ticks if seen is not None else 0,
        open_lots=seen.qty_lots if seen is not None else 0, state=ARMED if trigger else WORKING,
        sent_us=ts_us, acked=1, client_id=client_id, qty_lots=seen.qty_lots if seen is not None else 0,
    )  # fmt: skip
    market.orders.add(order)
    market.orders.name(order, order_id)
    return order
