"""What one market wants now: view, `targets`, mask, diff, limits; and the turn's record of it.

`decide` reads the state and writes only working room; what it decided becomes fact when the shell has journalled the `Decided` record and
folds it back with `step`.
"""

from typing import Final

from lemon_trader.core.commands import Cancel, Command, Place
from lemon_trader.core.diff import AGAIN_US, CANCEL, PLACE, diff, fill_slots
from lemon_trader.core.events import Anchor, Attempted, CancelAttempted, Decided, Event, Latched, MarketClosing
from lemon_trader.core.grid import snap, snap_actions
from lemon_trader.core.instrument import atoms_text, within_ppm
from lemon_trader.core.limits import RATE_UNIT, collar_ticks, is_closing, is_masked, mask, review
from lemon_trader.core.market import ACCOUNT_AGE_US, FEED_AGE_US, IDENTICAL_MAX, MARK_AGE_US, OPEN_STATES, Binding, MarketState
from lemon_trader.core.orders import Order
from lemon_trader.core.reasons import (
    AGAIN,
    BELOW_MIN,
    FENCE,
    KEPT_SETTLING,
    KEPT_TOLERANCE,
    LIMIT_BUDGET,
    LIMIT_COLLAR,
    LIMIT_NOTIONAL,
    LIMIT_POSITION,
    LIMIT_RATE,
    LIMIT_REPEAT,
    MISSING_INPUT,
    NAMES,
    NONE,
    NOT_WANTED,
    OUT_OF_BAND,
    OWN_CROSS,
    WAIT_COINS,
    WAIT_FUNDS,
    WAIT_RETRY,
)
from lemon_trader.core.records import STOP_SLOT, TRIGGER_SLOT, pack, unpack, write_band
from lemon_trader.core.state import HIST_LAG_US, SKEW_MARGIN_US, AccountState
from lemon_trader.core.units import ACTIVE, BUY, CANCELLING, HALTED, REDUCE_ONLY, REDUCING, SELL, STOP, TAKE, TRIGGER, UNKNOWN, US_PER_S

FENCE_AGAIN_US: Final = 2 * US_PER_S
RATE_PER_US: Final = 15  # 900 orders a minute of the account's 2,000 requests
RATE_BURST: Final = 150 * RATE_UNIT
RATE_RESERVE: Final = 30 * RATE_UNIT
OLD_BOOK_US: Final = 5 * US_PER_S  # a refusal waits no longer than this for a book that may have nothing to say
DAY_US: Final = 86_400 * US_PER_S
FAULT: Final = "STRATEGY_FAULT"
UNPROTECTED: Final = "UNPROTECTED"
BARE_MAX_US: Final = 5 * US_PER_S  # `G` of the fault matrix: held so long without a resting stop, although the exchange answers, it is sold
# What was withheld is looked at again with every price.
BAND_BREAKERS: Final = frozenset(
    {
        WAIT_RETRY,
        WAIT_COINS,
        BELOW_MIN,
        OWN_CROSS,
        OUT_OF_BAND,
        MISSING_INPUT,
        LIMIT_COLLAR,
        LIMIT_NOTIONAL,
        LIMIT_POSITION,
        LIMIT_BUDGET,
        LIMIT_RATE,
        LIMIT_REPEAT,
        WAIT_FUNDS,
    }
)


def prepare(state: AccountState, market: MarketState, now_us: int) -> None:
    """Write the market's view and position for this moment."""
    v, m, i = market.view, market, market.instrument
    table = m.orders
    v.now_us = now_us
    if m.slots_seen != table.changes:
        m.slots_seen = table.changes
        v.generation, v.filled, v.filled_ever, v.sent_us = table.generation, table.filled, table.filled_ever, table.sent_us
        fill_slots(v, table.live, len(table.live))
    if m.retrying:
        _free_slots(m, now_us)
    v.volatility_ppm, v.fall_ppm = m.sigma_ppm, m.fell_ppm
    v.confirmed_ticks = m.confirmed_ticks
    bounded = (m.last_ticks, m.mark_ticks, i)
    if m.bounded != bounded:
        m.bounded = bounded
        v.low_ticks, v.high_ticks = _bounds(m)
    v.fresh = int(is_fresh(state, m, now_us))
    v.may_open = int(state.mode == ACTIVE and not m.ended and not m.frozen and state.has_anchor)
    p, ledger = m.position, m.ledger
    p.lots, p.base_atoms, p.cost_atoms = ledger.lots, ledger.base_atoms, ledger.cost_atoms
    available, _ = state.balances.get(i.quote, (0, 0))
    p.free_quote_atoms = available
    if v.is_perp:
        p.sellable_lots = abs(p.lots)
    else:
        held = max(0, p.base_atoms)
        if i.base in state.balances:
            total = sum(state.balances[i.base])
            for row in m.foreign:
                if row.side == SELL and not row.is_trigger:
                    total -= (row.qty_lots - row.filled_lots) * i.lot_atoms
            held = min(held, max(0, total))
        p.sellable_lots = held // i.lot_atoms
        for order in table.live:
            if order.side == BUY and not order.acked:
                p.free_quote_atoms -= order.open_lots * order.price_ticks * i.tick_lot_atoms
    if i.lot_step > 1:
        p.sellable_lots -= p.sellable_lots % i.lot_step
    p.budget_atoms = m.binding.budget_atoms if m.binding is not None else 0


def is_fresh(state: AccountState, market: MarketState, now_us: int) -> bool:
    """Whether every input of new exposure is young and believed."""
    v = market.view
    return (
        market.book.valid
        and 0 < v.bid_ticks < v.ask_ticks
        and state.public_up
        and state.store_ok
        and now_us - state.public_us <= FEED_AGE_US
        and now_us - state.account_us <= ACCOUNT_AGE_US
        and (not v.is_perp or (market.mark_ticks > 0 and now_us - market.mark_us <= MARK_AGE_US))
        and not (market.doubt_us and not market.confirmed_ticks)
        and not market.is_apart()
        and state.venue_status == "Ok"
        and market.instrument.book_state in OPEN_STATES
    )


def decide(state: AccountState, market: MarketState, now_us: int, expires_us: int) -> tuple[Decided | None, list[Command]]:
    """The record of this market's turn and the commands that it sends; (None, []) when nothing changed.

    `expires_us`: exchange time after which a command signed now is refused.
    """
    market.asked = False
    prepare(state, market, now_us)
    return weigh(state, market, now_us, expires_us)


def weigh(state: AccountState, market: MarketState, now_us: int, expires_us: int) -> tuple[Decided | None, list[Command]]:
    """`decide` by the view and the position that stand in the market: just prepared, or as a journal kept them of a turn long ago."""
    v, p, binding = market.view, market.position, market.binding
    used = 1
    view_bytes = position_bytes = memory_bytes = b""
    if binding is not None:
        used, memory_bytes = _ask(state, market, binding, now_us)
    else:
        write_band(market.out, 0, 0, 0)
    limits = market.limits
    limits.exit_masked = int(state.exit_masked)
    limits.mode = max(state.mode, REDUCING) if market.ended else state.mode
    flatten = state.flatten or market.closing
    if market.closing:
        limits.mode, limits.exit_masked = HALTED, 1
    decided = used > 0 and binding is not None  # without an answer nobody knows what shall rest: nothing protective is touched
    used = mask(market.out, max(1, used), limits)
    if flatten:
        if not decided:
            used = _keep_trigger(market, used)
        used = _flatten_row(market, used)
    market.rows_used = used
    i = market.instrument
    steps = i.tick_step * i.lot_step  # above 1 only where the venue's grid has become coarser than ours
    if steps > 1:
        snap(market.out, used, v, i.tick_step, i.lot_step)
    orders = market.orders.live
    if decided or flatten:
        done = diff(market.out, used, orders, len(orders), v, p, market.scratch, market.actions)
    else:
        done = _withdraw(market, now_us)
    if market.refusals:
        _name_repeats(market, used)
    fences = _fences(state, market, now_us)
    if done or fences or memory_bytes:
        view_bytes, position_bytes = pack(v), pack(p)
    if done:
        if steps > 1:
            snap_actions(market.actions, done, market.out, v, i.lot_step)
        _refill(state, now_us)
        limits.rate_tokens, limits.rate_reserve = state.rate_tokens, RATE_RESERVE
        limits.budget_atoms = p.budget_atoms
        review(market.out, orders, len(orders), v, p, limits, market.actions, done)
        state.rate_tokens = limits.rate_tokens
    _write_band(market, used, now_us)
    commands, attempts, cancels = _commands(state, market, done, now_us, expires_us)
    for order in fences:
        cancels.append(CancelAttempted(now_us, market.instrument.symbol, order.client_id, NAMES[FENCE]))
        commands.append(Cancel(market.instrument.symbol, order.client_id, order.order_id))
    if not commands and not memory_bytes:
        return None, []
    return Decided(now_us, market.instrument.symbol, view_bytes, position_bytes, memory_bytes, tuple(attempts), tuple(cancels)), commands


def fence(state: AccountState, market: MarketState, now_us: int) -> tuple[Decided | None, list[Command]]:
    """What a start may send before it decides: fences, and nothing else; (None, []) when none is due.

    A life may end before its strategies are first asked; what it has fenced by then, the next one's first read may prove absent.
    """
    symbol, due = market.instrument.symbol, _fences(state, market, now_us)
    if not due:
        return None, []
    cancels = tuple(CancelAttempted(now_us, symbol, order.client_id, NAMES[FENCE]) for order in due)
    return Decided(now_us, symbol, b"", b"", b"", (), cancels), [Cancel(symbol, order.client_id, order.order_id) for order in due]


def _ask(state: AccountState, market: MarketState, binding: Binding, now_us: int) -> tuple[int, bytes]:
    """(rows that the strategy wrote, its memory after, packed; empty when unchanged). No rows = it failed, and its memory is as it was."""
    before = binding.packed or pack(binding.memory)
    error = "it gave no answer"
    try:
        used = binding.targets(binding.params, market.view, market.position, binding.memory, market.out)
    except Exception as raised:  # noqa: BLE001  a strategy's fault is told and ends nothing but its own market's trading
        used, error = 0, repr(raised)
    if used <= 0:
        binding.memory, binding.packed = unpack(type(binding.memory), before), before
        if market.frozen != FAULT:
            market.frozen = FAULT
            state.tell(now_us, "alert.strategy_fault", "grave", symbol=market.instrument.symbol, strategy=binding.name, error=error)
        write_band(market.out, 0, 0, 0)
        return 0, b""
    binding.packed = pack(binding.memory)
    return used, b"" if binding.packed == before else binding.packed


def risk(state: AccountState, now_us: int) -> list[Event]:
    """Markets that stay unprotected, anchors that are due, and the latch when a loss limit is passed.

    Limits are not judged while something held cannot be valued.
    """
    events: list[Event] = [
        MarketClosing(now_us, symbol, UNPROTECTED, (now_us - m.exposed_us) // US_PER_S)
        for symbol, m in state.markets.items()
        if m.exposed_us and not m.closing and now_us - m.exposed_us > BARE_MAX_US
    ]
    pnl = state.net_pnl()
    if pnl is None:
        return events
    day = now_us // DAY_US
    if not state.has_anchor or day != state.day:
        return [*events, Anchor(now_us, "day", pnl, day)]
    if pnl > state.peak_pnl and (not state.drawdown_max or (pnl - state.peak_pnl) * 100 >= state.drawdown_max):
        events.append(Anchor(now_us, "peak", pnl, day))
    if state.mode != HALTED:
        lost, fallen = state.day_pnl - pnl, state.peak_pnl - pnl
        if state.day_loss_max and lost >= state.day_loss_max:
            events.append(Latched(now_us, HALTED, "DAILY_LOSS", f"{atoms_text(lost)} >= {atoms_text(state.day_loss_max)}"))
        elif state.drawdown_max and fallen >= state.drawdown_max:
            events.append(Latched(now_us, HALTED, "DRAWDOWN", f"{atoms_text(fallen)} >= {atoms_text(state.drawdown_max)}"))
    return events


def _commands(
    state: AccountState, market: MarketState, done: int, now_us: int, expires_us: int
) -> tuple[list[Command], list[Attempted], list[CancelAttempted]]:
    commands: list[Command] = []
    attempts: list[Attempted] = []
    cancels: list[CancelAttempted] = []
    symbol = market.instrument.symbol
    orders = market.orders.live
    client_id = state.next_id
    for n in range(done):
        action = market.actions[n]
        if action.what == CANCEL:
            order = orders[action.index]
            cancels.append(CancelAttempted(now_us, symbol, order.client_id, NAMES[action.reason]))
            commands.append(Cancel(symbol, order.client_id, order.order_id))
        elif action.what == PLACE:
            if client_id >= state.ids_end:
                raise AssertionError("client ids must be reserved before a turn")
            row, qty = market.out[action.index], action.qty_lots
            side, kind, flags, price, trigger = row.side, row.kind, row.flags, row.price_ticks, row.trigger_ticks
            commands.append(Place(symbol, client_id, side, kind, flags, price, trigger, qty))
            key = (row.slot, row.generation, row.role)
            attempts.append(Attempted(now_us, symbol, client_id, *key, side, kind, flags, price, trigger, qty, row.qty_lots, expires_us))
            client_id += 1
    return commands, attempts, cancels


def _withdraw(market: MarketState, now_us: int) -> int:
    """Where no strategy says what shall rest: cancel what only opens and what the mode forbids, and repeat cancels without an end.

    An EXIT and a STOP stay as they are. Where no strategy runs at all, nothing is begun before a command of the user's.
    """
    limits, done = market.limits, 0
    begins = market.binding is not None or limits.mode != ACTIVE
    for k, order in enumerate(market.orders.live):
        if order.state == CANCELLING:
            why = AGAIN if now_us - order.cancel_us >= AGAIN_US else NONE
        elif order.state == UNKNOWN or not begins:
            why = NONE
        else:
            why = NOT_WANTED if not is_closing(order.role) or is_masked(order.role, limits.mode, limits.exit_masked) else NONE
        if why != NONE:
            order.reason = why
            action = market.actions[done]
            action.what, action.index, action.qty_lots, action.reason, action.figure = CANCEL, k, 0, why, 0
            done += 1
    return done


def _fences(state: AccountState, market: MarketState, now_us: int) -> list[Order]:
    """Unknown orders whose lease has ended and that no definite answer has fenced yet.

    One that the venue had accepted before is looked for first, by a read that this life has begun since or for as long as histories
    lag: a word that nobody knows must not cost a resting stop.
    """
    return [
        order
        for order in market.orders.live
        if order.state == UNKNOWN
        and not order.fence_us
        and state.venue_us > order.expires_us + SKEW_MARGIN_US
        and now_us - max(order.fence_sent_us, order.cancel_us) >= FENCE_AGAIN_US  # also after an answer that was none: no storm of cancels
        and (not order.acked or now_us - order.unknown_us >= HIST_LAG_US or state.account_us > order.unknown_us)
    ]


def _keep_trigger(market: MarketState, used: int) -> int:
    """Let a stop that rests at the venue stay until flat, where no strategy wants it."""
    if market.position.sellable_lots < market.view.min_lots:
        return used
    youngest = max((o for o in market.orders.live if o.slot == TRIGGER_SLOT), key=lambda o: o.generation, default=None)
    if youngest is None:
        return used
    row = market.out[used]
    row.slot, row.generation, row.role, row.kind = TRIGGER_SLOT, market.view.generation[TRIGGER_SLOT], STOP, TRIGGER
    row.side, row.flags, row.price_ticks, row.trigger_ticks = youngest.side, youngest.flags, 0, youngest.trigger_ticks
    row.qty_lots = youngest.qty_lots
    row.tolerance_ticks = row.tolerance_ppm = 0
    return used + 1


def _flatten_row(market: MarketState, used: int) -> int:
    """Add a STOP by TAKE for everything held, where the strategy wrote none; `flatten` sells whatever strategy is bound."""
    for i in range(1, used):
        if market.out[i].slot == STOP_SLOT:
            return used
    v, p = market.view, market.position
    side = SELL if p.lots >= 0 else BUY
    price = collar_ticks(v, side, market.limits.exit_collar_ppm)
    if p.sellable_lots < v.min_lots or price <= 0:
        return used
    if side == SELL:
        price = max(price, v.low_ticks)  # beyond the venue's band it would be refused for ever
    elif v.high_ticks > 0:
        price = min(price, v.high_ticks)
    row = market.out[used]
    row.slot, row.generation, row.role, row.kind = STOP_SLOT, max(0, v.generation[STOP_SLOT]), STOP, TAKE
    row.side, row.price_ticks, row.trigger_ticks = side, price, 0
    row.flags = REDUCE_ONLY if v.is_perp else 0
    filled = v.filled[STOP_SLOT] if v.generation[STOP_SLOT] >= 0 else 0
    row.qty_lots = filled + p.sellable_lots
    row.tolerance_ticks = row.tolerance_ppm = 0
    return used + 1


def _write_band(market: MarketState, used: int, now_us: int) -> None:
    """Where and until when this answer holds. What was withheld narrows it to nothing; what settles has a time."""
    head = market.out[0]
    low, high, wake = head.price_ticks, head.trigger_ticks, head.qty_lots
    for i in range(1, used):
        row = market.out[i]
        if row.reason <= KEPT_TOLERANCE:
            continue  # what was placed or rests as wanted holds as long as the strategy says
        if row.reason in BAND_BREAKERS:
            low = high = 0
        elif row.reason == KEPT_SETTLING:
            wake = min(wake, now_us + row.figure) if wake else now_us + row.figure
    market.band_low, market.band_high, market.wake_us = low, high, wake


def _free_slots(market: MarketState, now_us: int) -> None:
    """Free the slots whose wait is over: the time has passed, and the book is newer than the refusal's (or had long enough to be)."""
    shown = market.view.retry_us
    for slot, until in enumerate(market.retry_us):
        if not until:
            shown[slot] = 0
        elif now_us < until:
            shown[slot] = until
        elif market.book.last_id > market.retry_book[slot] or now_us >= until + OLD_BOOK_US:
            market.retry_us[slot] = shown[slot] = 0
        else:
            shown[slot] = now_us + 1
    market.retrying = any(shown)


def _name_repeats(market: MarketState, used: int) -> None:
    """Say of rows that wait because the same was refused again and again that they are only probed; the figure stays."""
    repeated = {slot for (slot, _), count in market.refusals.items() if count >= IDENTICAL_MAX}
    for row in market.out[1:used]:
        if row.reason == WAIT_RETRY and row.slot in repeated:
            row.reason = LIMIT_REPEAT


def _bounds(market: MarketState) -> tuple[int, int]:
    """Where the venue lets a limit price rest now: absolute bounds, bands around the last price and around the mark."""
    i = market.instrument
    low, high = i.min_ticks, i.max_ticks
    if market.last_ticks > 0:
        if i.low_ppm:
            low = max(low, -(-market.last_ticks * i.low_ppm // 1_000_000))
        if i.high_ppm:
            high = min(high or 2**62, within_ppm(market.last_ticks, i.high_ppm))
    if i.is_perp and market.mark_ticks > 0:
        if i.band_low_ppm:
            low = max(low, -(-market.mark_ticks * i.band_low_ppm // 1_000_000))
        if i.band_high_ppm:
            high = min(high or 2**62, within_ppm(market.mark_ticks, i.band_high_ppm))
    return low, high


def _refill(state: AccountState, now_us: int) -> None:
    if state.rate_us:
        state.rate_tokens = min(RATE_BURST, state.rate_tokens + (now_us - state.rate_us) * RATE_PER_US)
    else:
        state.rate_tokens = RATE_BURST
    state.rate_us = now_us
