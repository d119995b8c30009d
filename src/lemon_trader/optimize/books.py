"""Money and orders of the compiled loop: what a fill changes, what becomes of an order. The arithmetic is the ledger's, to the atom."""

from typing import Any, Final

from lemon_trader.core.units import ARMED, BUY, POST_ONLY, REDUCE_ONLY, SELL, STOP, TAKE, TRIGGER, WORKING
from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.fill import (
    bar_ask,
    bar_bid,
    fee_atoms,
    is_through,
    margin_atoms,
    reduced_cost,
    taker_ticks,
    value_atoms,
)
from lemon_trader.formulas.rounding import scaled_ceil, scaled_floor
from lemon_trader.optimize.desk import FILLS_FULL, ORDERS_FULL

# As `core/step.py` waits after a refusal.
RETRY_US: Final = 200_000
FUNDS_RETRY_US: Final = 10_000_000
PROBE_US: Final = 60_000_000
STOP_RETRY_US: Final = 2_000_000
IDENTICAL_MAX: Final = 3
SYSTEM: Final = -1  # slot, generation and role of a fill that no order of ours made


@compilable
def held_lots(desk: Any, grid: Any) -> int:
    """Whole lots held, towards zero; signed."""
    base: int = desk.base_atoms
    lot: int = grid.lot_atoms
    return base // lot if base >= 0 else -(-base // lot)


@compilable
def net_atoms(room: Any, ticks: int) -> int:
    """Equity at a price: the budget and everything since, quote atoms."""
    desk = room.desk
    net: int = desk.budget_atoms + desk.flow_atoms
    return net + value_atoms(desk.base_atoms, ticks, room.grid.tick_lot_atoms, room.grid.lot_atoms)


@compilable
def account_atoms(room: Any, ticks: int) -> int:
    """What the whole account is worth to the exchange's margin at a price, quote atoms; perpetuals."""
    desk = room.desk
    cash: int = desk.cash_atoms - (desk.cost_atoms if desk.base_atoms >= 0 else -desk.cost_atoms)
    return cash + value_atoms(desk.base_atoms, ticks, room.grid.tick_lot_atoms, room.grid.lot_atoms)


@compilable
def move_position(desk: Any, change: int, notional: int) -> int:
    """Change the position by `change` base atoms worth `notional` > 0; what was realised by it."""
    held = desk.base_atoms
    desk.base_atoms = held + change
    if held == 0 or (held > 0) == (change > 0):
        desk.cost_atoms += notional
        return 0
    size = change if change > 0 else -change
    had = held if held > 0 else -held
    closing = min(had, size)
    worth = notional if closing == size else scaled_floor(notional, closing, size)
    part = reduced_cost(desk.cost_atoms, closing, had)
    desk.cost_atoms -= part
    if closing < size:
        desk.cost_atoms += notional - worth
    return worth - part if held > 0 else part - worth


@compilable
def settle(room: Any, side: int, ticks: int, lots: int, rate_ppm: int) -> int:
    """Book one fill in position and money; the fee, in base for a spot buy and else in quote."""
    desk = room.desk
    grid = room.grid
    worth = ticks * lots * grid.tick_lot_atoms
    size = lots * grid.lot_atoms
    desk.turnover_atoms += worth
    realised = move_position(desk, side * size, worth)
    if grid.is_perp or side == SELL:
        fee = fee_atoms(worth, rate_ppm)
        fee_quote = fee
    else:
        # Base taken as fee is base sold for exactly the fee's worth.
        fee = fee_atoms(size, rate_ppm)
        if fee >= 0:
            fee_quote = scaled_floor(fee, ticks * grid.tick_lot_atoms, grid.lot_atoms)
            if fee > 0:
                realised += move_position(desk, -fee, fee_quote)
        else:
            fee_quote = -scaled_ceil(-fee, ticks * grid.tick_lot_atoms, grid.lot_atoms)
            realised += move_position(desk, -fee, -fee_quote)
    if grid.is_perp:
        desk.cash_atoms += realised - fee
    else:
        desk.cash_atoms -= side * worth
        if side == SELL:
            desk.cash_atoms -= fee
    desk.realised_atoms += realised
    desk.fees_atoms += fee_quote
    note_flow(desk)
    return fee


@compilable
def note_flow(desk: Any) -> None:
    """Reckon anew what equity is beside the value of what is held."""
    cost = desk.cost_atoms if desk.base_atoms >= 0 else -desk.cost_atoms
    desk.flow_atoms = desk.realised_atoms - desk.fees_atoms + desk.funding_atoms - cost


@compilable
def book(
    room: Any, now_us: int, side: int, slot: int, generation: int, role: int, ticks: int, lots: int, rate_ppm: int, is_maker: int, mid: int
) -> None:
    """Book one fill: money, slots of the view, counters, its row."""
    desk = room.desk
    view = room.seen
    before = held_lots(desk, room.grid)
    fee = settle(room, side, ticks, lots, rate_ppm)
    after = held_lots(desk, room.grid)
    minimum = max(view.min_lots, 1)
    was_held = before >= minimum or -before >= minimum
    is_held = after >= minimum or -after >= minimum
    if was_held and (not is_held or (before > 0) != (after > 0)):
        desk.trips += 1
        desk.held_us += now_us - desk.since_us
        if role in (STOP, SYSTEM):
            desk.stopped += 1
    if is_held and (not was_held or (before > 0) != (after > 0)):
        desk.since_us = now_us
    if slot >= 0:
        view.filled_ever[slot] += lots
        if generation == view.generation[slot]:
            view.filled[slot] += lots
    desk.changed = 1
    if len(room.fills) > 0:
        if desk.fills >= len(room.fills):
            desk.status = FILLS_FULL
            return
        row = room.fills[desk.fills]
        row.at_us = now_us
        row.side = side
        row.role = role
        row.slot = slot
        row.generation = generation
        row.ticks = ticks
        row.lots = lots
        row.quote_atoms = ticks * lots * room.grid.tick_lot_atoms
        row.fee_atoms = fee
        row.fee_is_base = 0 if room.grid.is_perp or side == SELL or fee == 0 else 1
        row.is_maker = is_maker
        row.mid_half_ticks = mid
    desk.fills += 1


@compilable
def mid_half_ticks(room: Any, price: int) -> int:
    """Twice the mid of the touch while the price is `price`."""
    half = room.rules.half_spread_ppm
    return bar_bid(price, half) + bar_ask(price, half)


@compilable
def reducible_lots(room: Any, side: int) -> int:
    """How many lots an order of this side may take off what is held."""
    return max(0, -side * held_lots(room.desk, room.grid))


@compilable
def remove_order(room: Any, index: int) -> None:
    """Take an order off the list; the others keep their order."""
    desk = room.desk
    orders = room.orders
    for k in range(index + 1, desk.orders):
        to = orders[k - 1]
        other = orders[k]
        to.slot = other.slot
        to.generation = other.generation
        to.role = other.role
        to.side = other.side
        to.kind = other.kind
        to.flags = other.flags
        to.price_ticks = other.price_ticks
        to.trigger_ticks = other.trigger_ticks
        to.open_lots = other.open_lots
        to.state = other.state
        to.sent_us = other.sent_us
        to.acked = other.acked
        to.cancel_us = other.cancel_us
    desk.orders -= 1
    desk.changed = 1


@compilable
def exposed_lots(room: Any, side: int, more_lots: int) -> int:
    """The largest position that could come about if what rests, and `more_lots` of a side, were filled."""
    bought = more_lots if side == BUY else 0
    sold = more_lots if side == SELL else 0
    for k in range(room.desk.orders):
        order = room.orders[k]
        if order.flags & REDUCE_ONLY:
            continue
        if order.side == BUY:
            bought += order.open_lots
        else:
            sold += order.open_lots
    lots = held_lots(room.desk, room.grid)
    return max(abs(lots + bought), abs(lots - sold))


@compilable
def wait(view: Any, slot: int, until_us: int) -> None:
    """Send nothing in a slot again before `until_us`."""
    view.retry_us[slot] = max(view.retry_us[slot], until_us)


@compilable
def is_refused(room: Any, row: Any, qty: int) -> int:
    """1 when the margin does not suffice for what an order opens."""
    if room.grid.is_perp == 0 or row.flags & REDUCE_ONLY or room.rules.imf_ppm == 0:
        return 0
    price = room.desk.price
    exposed = exposed_lots(room, row.side, qty)
    needed = margin_atoms(exposed, price, room.grid.tick_lot_atoms, room.rules.imf_ppm)
    return 1 if exposed > exposed_lots(room, row.side, 0) and account_atoms(room, price) < needed else 0


@compilable
def place(room: Any, row: Any, qty: int, now_us: int) -> None:
    """Carry out one place: refused, armed, filled, or resting."""
    desk = room.desk
    view = room.seen
    slot = row.slot
    desk.placed += 1
    desk.changed = 1
    if row.generation > view.generation[slot]:
        view.generation[slot] = row.generation
        view.filled[slot] = 0
    view.sent_us[slot] = max(view.sent_us[slot], now_us)
    through = row.kind != TRIGGER and is_through(room.rules, row.side, row.price_ticks, desk.price)
    if row.kind == POST_ONLY and through:
        refuse(room, slot, row.role, RETRY_US, now_us)
        return
    if is_refused(room, row, qty):
        refuse(room, slot, row.role, FUNDS_RETRY_US, now_us)
        return
    desk.refusals[slot] = 0
    rest = qty
    if through:
        lots = min(qty, desk.left_lots)
        if row.flags & REDUCE_ONLY:
            lots = min(lots, reducible_lots(room, row.side))
        worst = taker_ticks(room.rules, row.side, desk.price)
        ticks = min(worst, row.price_ticks) if row.side == BUY else max(worst, row.price_ticks)
        if lots > 0:
            desk.left_lots -= lots
            rest -= lots
            mid = mid_half_ticks(room, desk.price)
            book(room, now_us, row.side, slot, row.generation, row.role, ticks, lots, room.rules.taker_fee_ppm, 0, mid)
    if rest == 0:
        return
    if row.kind == TAKE:
        wait(view, slot, now_us + RETRY_US)
        return
    if desk.orders >= len(room.orders):
        desk.status = ORDERS_FULL
        return
    order = room.orders[desk.orders]
    order.slot = slot
    order.generation = row.generation
    order.role = row.role
    order.side = row.side
    order.kind = row.kind
    order.flags = row.flags
    order.price_ticks = row.price_ticks
    order.trigger_ticks = row.trigger_ticks
    order.open_lots = rest
    order.state = ARMED if row.kind == TRIGGER else WORKING
    order.sent_us = now_us
    order.acked = 1
    order.cancel_us = 0
    desk.orders += 1


@compilable
def refuse(room: Any, slot: int, role: int, wait_us: int, now_us: int) -> None:
    """An order was refused: the slot waits, longer when the same was refused again and again."""
    desk = room.desk
    desk.refused += 1
    desk.refusals[slot] += 1
    if desk.refusals[slot] >= IDENTICAL_MAX:
        wait_us = PROBE_US
    if role == STOP:
        wait_us = min(wait_us, STOP_RETRY_US)
    wait(room.seen, slot, now_us + wait_us)
