"""The compiled loop over bars: the exchange of bars, and the turn of the engine, as plain functions over records.

It asks the strategy exactly where the engine's turn would have to: after a fill, outside the answer's band, at its wake. Between two
answers it only compares bars with what could change anything. `targets`, diff and limits are the ones that trade.
"""

from typing import Any, Final

from lemon_trader.core.diff import CANCEL, PLACE, diff, fill_slots
from lemon_trader.core.limits import RATE_UNIT, mask, review
from lemon_trader.core.reasons import (
    KEPT_SETTLING,
    LIMIT_COLLAR,
    LIMIT_RATE,
    LIMIT_REPEAT,
    MISSING_INPUT,
    OUT_OF_BAND,
    WAIT_RETRY,
)
from lemon_trader.core.records import SLOTS
from lemon_trader.core.units import ACTIVE, BUY, PPM, REDUCE_ONLY, SELL, TRIGGER
from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.fill import (
    bar_ask,
    bar_bid,
    funding_atoms,
    is_reached,
    is_triggered,
    low_comes_first,
    margin_atoms,
    point_lots,
    taker_ticks,
    trigger_level,
)
from lemon_trader.formulas.volatility import update_features
from lemon_trader.optimize.books import (
    SYSTEM,
    account_atoms,
    book,
    held_lots,
    mid_half_ticks,
    note_flow,
    place,
    reducible_lots,
    remove_order,
)
from lemon_trader.optimize.desk import ENDLESS, NEVER, PLAYED, STRATEGY_FAULT
from lemon_trader.optimize.guard import DAY_US, HOUR_US, is_guarded, judge
from lemon_trader.optimize.marks import mark, skip_marking, skip_quiet, skip_writing, wide
from lemon_trader.optimize.quiet import need

DEEP_LOTS: Final = 2**50
TURNS_MAX: Final = 1_000  # of one point
RATE_PER_US: Final = 15
RATE_BURST: Final = 150 * RATE_UNIT
RATE_RESERVE: Final = 30 * RATE_UNIT


@compilable
def targets(params: Any, view: Any, position: Any, memory: Any, out: Any) -> int:  # noqa: ARG001  the names say whose place it keeps
    """Keep the place of the strategy's own decision, which is put here when the loop is compiled for it."""
    return 0


@compilable
def play(room: Any, tape: Any) -> None:
    """Play the whole tape; `room.desk` says how it went."""
    desk = room.desk
    grid = room.grid
    count = len(tape.at_us)
    desk.price = wide(tape.open[0])
    desk.start_us = tape.at_us[0]
    while desk.next_fund < len(tape.fund_us) and tape.fund_us[desk.next_fund] < desk.start_us:
        desk.next_fund += 1
    desk.peak_atoms = desk.budget_atoms
    desk.lowest_atoms = desk.budget_atoms
    # Without rows to write, a mark at every bar is only made where it could show a new peak, trough or fall: the same figures, sooner.
    sparse = grid.mark_every == 1 and len(room.equity) == 0 and grid.reads_features == 0
    next_mark = NEVER if sparse else grid.mark_every
    ask = 1
    until = 0  # the first bar that must be looked at whatever its prices are
    i = 0
    while i < count and desk.status == PLAYED:
        begun = i
        # What the price stands beyond already (the rest of a fill that the volume did not suffice for) is met by any move.
        if i < until and desk.need_low <= desk.price <= desk.need_high:
            stop = min(until, next_mark, count)
            if grid.reads_features:
                i = follow_quiet(room, tape, i, stop)
            elif sparse and desk.base_atoms != 0:
                i = skip_marking(room, tape, i, stop)
            elif grid.mark_every == 1 and not sparse:
                i = skip_writing(room, tape, i, min(until, count))
                next_mark = i + 1 if i > begun else next_mark
            else:
                i = skip_quiet(tape, i, stop, desk.need_low, desk.need_high)
            if i > begun:
                desk.price = wide(tape.close[i - 1])
        if i == begun:
            pass_funding(room, tape, i)
            play_bar(room, tape, i, ask)
            ask = 0
            i += 1
            until = quiet_until(room, tape, i)
            if sparse:
                mark(room, tape.at_us[i - 1] + 3 * grid.step_us)
        if i == next_mark:
            mark(room, tape.at_us[i - 1] + 3 * grid.step_us)
            next_mark += grid.mark_every
    if desk.status == PLAYED:
        desk.price = wide(tape.close[count - 1])
        desk.bars = count
        last_us = tape.at_us[count - 1] + 3 * grid.step_us
        if sparse or next_mark - grid.mark_every != count:
            mark(room, last_us)
        minimum = max(room.seen.min_lots, 1)
        if abs(held_lots(desk, grid)) >= minimum:
            desk.held_us += last_us - desk.since_us


@compilable
def pass_funding(room: Any, tape: Any, i: int) -> None:
    """Pass over the funding intervals that ended before bar `i` while nothing was held."""
    desk = room.desk
    if desk.base_atoms != 0 or i == 0:
        return
    past_us = tape.at_us[i - 1] + 3 * room.grid.step_us
    while desk.next_fund < len(tape.fund_us) and tape.fund_us[desk.next_fund] <= past_us:
        desk.next_fund += 1


@compilable
def follow_quiet(room: Any, tape: Any, first: int, stop: int) -> int:
    """The same, telling every touch to the features."""
    desk = room.desk
    grid = room.grid
    half = room.rules.half_spread_ppm
    i = first
    while i < stop and tape.low[i] >= desk.need_low and tape.high[i] <= desk.need_high:
        at_us = tape.at_us[i]
        first = wide(tape.open[i])
        low = wide(tape.low[i])
        high = wide(tape.high[i])
        last = wide(tape.close[i])
        down = first_way(room, first, last)
        follow(room, at_us, first, half)
        follow(room, at_us + grid.step_us, low if down else high, half)
        follow(room, at_us + 2 * grid.step_us, high if down else low, half)
        follow(room, at_us + 3 * grid.step_us, last, half)
        i += 1
    return i


@compilable
def follow(room: Any, now_us: int, price: int, half: int) -> None:
    """Tell one touch to the features."""
    update_features(room.features, now_us, bar_bid(price, half), bar_ask(price, half))


@compilable
def first_way(room: Any, open_ticks: int, close_ticks: int) -> int:
    """1 when this bar goes to its low first."""
    buys = 0
    sells = 0
    for k in range(room.desk.orders):
        order = room.orders[k]
        if order.kind != TRIGGER:
            if order.side == BUY:
                buys += 1
            else:
                sells += 1
    return low_comes_first(room.rules.model, open_ticks, close_ticks, held_lots(room.desk, room.grid), buys, sells)


@compilable
def quiet_until(room: Any, tape: Any, first: int) -> int:
    """The first bar from `first` on that a wake or a funding interval falls into, whatever its prices are."""
    desk = room.desk
    count = len(tape.at_us)
    until = count
    wake_us = desk.wake_us
    if desk.base_atoms != 0 and desk.next_fund < len(tape.fund_us) and (wake_us == 0 or tape.fund_us[desk.next_fund] < wake_us):
        wake_us = tape.fund_us[desk.next_fund]
    if is_guarded(room):
        midnight_us = (desk.day + 1) * DAY_US  # a new day is a new anchor, whatever the price is
        wake_us = min(wake_us, midnight_us) if wake_us > 0 else midnight_us
    if wake_us > 0:
        low = first
        high = count
        offset = 3 * room.grid.step_us
        while low < high:
            middle = (low + high) // 2
            if tape.at_us[middle] + offset >= wake_us:
                high = middle
            else:
                low = middle + 1
        until = low
    return until


@compilable
def play_bar(room: Any, tape: Any, i: int, ask: int) -> None:
    """One bar, point by point."""
    step = room.grid.step_us
    room.desk.looked += 1
    at_us = tape.at_us[i]
    lots = tape.lots[i]
    # Prices are kept in 32 bits where they fit; here they become whole again, so that no product is cut off.
    first = wide(tape.open[i])
    low = wide(tape.low[i])
    high = wide(tape.high[i])
    last = wide(tape.close[i])
    wakes = 1 if ask or at_us // HOUR_US != (tape.at_us[i - 1] + 3 * step) // HOUR_US else 0
    point(room, tape, at_us, first, lots, 1, ask, wakes)
    down = first_way(room, first, last)
    for k in range(1, 4):
        now_us = at_us + k * step
        price = last
        if k < 3:
            price = low if (k == 1) == (down == 1) else high
        wakes = 1 if now_us // HOUR_US != (now_us - step) // HOUR_US else 0
        point(room, tape, now_us, price, lots, 0, 0, wakes)


@compilable
def point(room: Any, tape: Any, now_us: int, price: int, lots: int, jumped: int, ask: int, wakes: int) -> None:
    """One point: fills on the way to it, funding, margin, and the turn where one is due. `wakes`: the engine's hourly wake is here."""
    desk = room.desk
    start = desk.price
    half = room.rules.half_spread_ppm
    if room.grid.reads_features:
        follow(room, now_us, price, half)
    fund_due = desk.next_fund < len(tape.fund_us) and tape.fund_us[desk.next_fund] <= now_us
    if (
        ask == 0
        and not fund_due
        and desk.need_low <= price <= desk.need_high
        and desk.need_low <= start <= desk.need_high
        and (desk.wake_us == 0 or now_us < desk.wake_us)
        and (wakes == 0 or is_guarded(room) == 0 or now_us // DAY_US == desk.day)
    ):
        desk.price = price
        return
    desk.left_lots = point_lots(lots, room.rules.share_ppm)
    fills = desk.fills
    liquidations = desk.liquidations
    move(room, now_us, start, price, jumped)
    desk.price = price
    if room.grid.is_perp:
        while desk.next_fund < len(tape.fund_us) and tape.fund_us[desk.next_fund] <= now_us:
            held = held_lots(desk, room.grid)
            amount = funding_atoms(held, price, room.grid.tick_lot_atoms, tape.fund_ppb[desk.next_fund])
            desk.funding_atoms += amount
            desk.cash_atoms += amount
            note_flow(desk)
            desk.next_fund += 1
        check_margin(room, now_us, start)
    asked = ask != 0 or desk.fills != fills or desk.liquidations != liquidations or 0 < desk.wake_us <= now_us
    if (wakes or desk.fills != fills) and judge(room, now_us):
        asked = True
    bid = bar_bid(price, half)
    touch = bar_ask(price, half)
    if asked or not (0 < desk.band_low <= bid and touch <= desk.band_high):
        see(room, now_us, bid, touch)
        turn(room, now_us)
    need(room)


@compilable
def move(room: Any, now_us: int, start: int, end: int, jumped: int) -> None:
    """Fill what a move of the price reaches, nearest first, of one price the oldest first."""
    desk = room.desk
    orders = room.orders
    low = min(start, end)
    high = max(start, end)
    hits = 0
    for k in range(desk.orders):
        order = orders[k]
        if order.kind == TRIGGER:
            hit = is_triggered(order.side, order.trigger_ticks, end)
        else:
            hit = is_reached(room.rules, order.side, order.price_ticks, start, end, now_us)
        order.cancel_us = -1 if hit else 0  # marks what this move reaches; nothing else uses the field here
        hits += hit
    mid = mid_half_ticks(room, start)
    while hits > 0:
        best = -1
        nearest = NEVER
        for k in range(desk.orders):
            order = orders[k]
            if order.cancel_us != -1:
                continue
            level = order.trigger_ticks if order.kind == TRIGGER else order.price_ticks
            away = abs(min(max(level, low), high) - start)
            if away < nearest:
                nearest = away
                best = k
        hits -= 1
        order = orders[best]
        order.cancel_us = 0
        side = order.side
        if order.kind == TRIGGER:
            lots = reducible_lots(room, side)
            slot = order.slot
            generation = order.generation
            role = order.role
            ticks = taker_ticks(room.rules, side, trigger_level(side, order.trigger_ticks, start, end, jumped))
            remove_order(room, best)
            if lots > 0:
                book(room, now_us, side, slot, generation, role, ticks, lots, room.rules.taker_fee_ppm, 0, mid)
            continue
        lots = min(order.open_lots, desk.left_lots)
        if order.flags & REDUCE_ONLY:
            lots = min(lots, reducible_lots(room, side))
        if lots == 0:
            continue
        desk.left_lots -= lots
        order.open_lots -= lots
        book(
            room, now_us, side, order.slot, order.generation, order.role, order.price_ticks, lots, room.rules.maker_fee_ppm, 1, mid
        )  # fmt: skip
        if order.open_lots == 0:
            remove_order(room, best)


@compilable
def check_margin(room: Any, now_us: int, start: int) -> None:
    """Close the position where what is left does not cover the maintenance margin; nothing is opened any more."""
    desk = room.desk
    lots = held_lots(desk, room.grid)
    if lots == 0 or room.rules.mmf_ppm == 0:
        return
    size = lots if lots > 0 else -lots
    if account_atoms(room, desk.price) >= margin_atoms(size, desk.price, room.grid.tick_lot_atoms, room.rules.mmf_ppm):
        return
    desk.liquidations += 1
    desk.frozen = 1
    desk.orders = 0
    desk.changed = 1
    side = SELL if lots > 0 else BUY
    ticks = taker_ticks(room.rules, side, desk.price)
    mid = mid_half_ticks(room, start)
    book(room, now_us, side, SYSTEM, SYSTEM, SYSTEM, ticks, size, room.rules.liquidation_fee_ppm, 0, mid)


@compilable
def see(room: Any, now_us: int, bid: int, ask: int) -> None:
    """Write what the market says into the view."""
    desk = room.desk
    grid = room.grid
    view = room.seen
    price = desk.price
    view.now_us = now_us
    view.bid_ticks = bid
    view.ask_ticks = ask
    view.bid_lots = DEEP_LOTS
    view.ask_lots = DEEP_LOTS
    view.last_ticks = price
    view.fresh = 1
    view.confirmed_ticks = price if grid.is_perp else bid
    if grid.is_perp:
        view.mark_ticks = price
        view.index_ticks = price
    if grid.reads_features:
        view.volatility_ppm = room.features.volatility_ppm
        view.fall_ppm = room.features.fall_ppm
    low = grid.min_ticks
    high = grid.max_ticks
    if grid.low_ppm:
        low = max(low, -(-price * grid.low_ppm // PPM))
    if grid.high_ppm:
        high = min(high or NEVER, price * grid.high_ppm // PPM)
    if grid.is_perp:
        if grid.band_low_ppm:
            low = max(low, -(-price * grid.band_low_ppm // PPM))
        if grid.band_high_ppm:
            high = min(high or NEVER, price * grid.band_high_ppm // PPM)
    view.low_ticks = low
    view.high_ticks = high


@compilable
def turn(room: Any, now_us: int) -> None:
    """Decide and carry out until nothing is wanted any more: the engine's turn, and the answers' turns after it."""
    desk = room.desk
    for _ in range(TURNS_MAX):
        fills = desk.fills
        prepare(room, now_us)
        desk.asked += 1
        used = targets(room.params, room.seen, room.position, room.memory, room.out)
        if used <= 0:
            desk.status = STRATEGY_FAULT
            return
        used = mask(room.out, used, room.limits)
        done = diff(room.out, used, room.orders, desk.orders, room.seen, room.position, room.scratch, room.actions)
        if done:
            limit(room, done, now_us)
        keep_band(room, used, now_us)
        if carry_out(room, done, now_us) == 0 or desk.status != PLAYED:
            return
        if desk.fills != fills:
            judge(room, now_us)
    desk.status = ENDLESS


@compilable
def prepare(room: Any, now_us: int) -> None:
    """Bring slots and position of this moment into the records that the strategy reads."""
    desk = room.desk
    grid = room.grid
    view = room.seen
    position = room.position
    view.may_open = 1 if desk.frozen == 0 and room.limits.mode == ACTIVE else 0
    if desk.changed:
        desk.changed = 0
        fill_slots(view, room.orders, desk.orders)
    for slot in range(SLOTS):
        if view.retry_us[slot] != 0 and now_us >= view.retry_us[slot]:
            view.retry_us[slot] = 0
    position.lots = held_lots(desk, grid)
    position.base_atoms = desk.base_atoms
    position.cost_atoms = desk.cost_atoms
    position.free_quote_atoms = desk.cash_atoms
    position.budget_atoms = desk.budget_atoms
    if grid.is_perp:
        position.sellable_lots = abs(position.lots)
        return
    position.sellable_lots = max(position.lots, 0)
    for k in range(desk.orders):
        order = room.orders[k]
        if order.side == BUY and order.kind != TRIGGER:
            position.free_quote_atoms -= order.open_lots * order.price_ticks * grid.tick_lot_atoms


@compilable
def limit(room: Any, done: int, now_us: int) -> None:
    """Hold the places of a turn against the limits."""
    desk = room.desk
    limits = room.limits
    if desk.rate_us:
        desk.rate_tokens = min(RATE_BURST, desk.rate_tokens + min(now_us - desk.rate_us, RATE_BURST) * RATE_PER_US)
    else:
        desk.rate_tokens = RATE_BURST
    desk.rate_us = now_us
    limits.rate_tokens = desk.rate_tokens
    limits.rate_reserve = RATE_RESERVE
    limits.budget_atoms = desk.budget_atoms
    review(room.out, room.orders, desk.orders, room.seen, room.position, limits, room.actions, done)
    desk.rate_tokens = limits.rate_tokens


@compilable
def keep_band(room: Any, used: int, now_us: int) -> None:
    """Where and until when this answer holds. What was withheld narrows it to nothing; what settles has a time."""
    desk = room.desk
    head = room.out[0]
    low = head.price_ticks
    high = head.trigger_ticks
    wake_us = head.qty_lots
    for k in range(1, used):
        row = room.out[k]
        if breaks_band(row.reason):
            low = 0
            high = 0
        elif row.reason == KEPT_SETTLING:
            due_us = now_us + row.figure
            wake_us = min(wake_us, due_us) if wake_us else due_us
    desk.band_low = low
    desk.band_high = high
    desk.wake_us = wake_us


@compilable
def breaks_band(reason: int) -> int:
    """1 for what was withheld because of price or time.

    The engine asks again at every price whatever was withheld (`BAND_BREAKERS` of `core/decide.py`); money, coins and orders of ours do not
    change between two fills here, so what waits for them alone would be withheld again.
    """
    return 1 if reason in (WAIT_RETRY, OUT_OF_BAND, MISSING_INPUT, LIMIT_COLLAR, LIMIT_RATE, LIMIT_REPEAT) else 0


@compilable
def carry_out(room: Any, done: int, now_us: int) -> int:
    """Carry out the commands of a turn in their order; how many there were."""
    desk = room.desk
    sent = 0
    cancels = 0
    for n in range(done):
        action = room.actions[n]
        if action.what == CANCEL:
            remove_order(room, action.index - cancels)  # cancels come first, by rising index
            cancels += 1
            sent += 1
        elif action.what == PLACE:
            place(room, room.out[action.index], action.qty_lots, now_us)
            sent += 1
        if desk.status != PLAYED:
            break
    desk.cancelled += cancels
    return sent
