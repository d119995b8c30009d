"""Wants against what works: the fewest places and cancels, each with a reason.

One order per slot. Replacing is: cancel, proven end, then place the open rest under the same key. Only a reduce-only TRIGGER may
overlap its predecessor. The same source runs plain over slots objects and compiled over arrays.
"""

from dataclasses import dataclass
from typing import Any, Final

from lemon_trader.core.reasons import (
    AGAIN,
    BELOW_MIN,
    CHANGED,
    DONE,
    FARTHER,
    KEPT,
    KEPT_SETTLING,
    KEPT_SMALLER,
    KEPT_TOLERANCE,
    LARGER,
    NEARER,
    NONE,
    NOT_WANTED,
    OLD_GENERATION,
    OWN_CROSS,
    PLACED,
    SMALLER,
    STALE_ROW,
    SURPLUS,
    TOO_MANY_UNKNOWN,
    WAIT_COINS,
    WAIT_END,
    WAIT_RETRY,
)
from lemon_trader.core.records import ORDERS_MAX, SLOTS, ints
from lemon_trader.core.units import (
    ARMED,
    BUY,
    CANCELLING,
    EXIT,
    IN_FLIGHT,
    PPM,
    QUOTE,
    REBALANCE,
    REDUCE_ONLY,
    SELL,
    STOP,
    TAKE,
    TRIGGER,
    UNKNOWN,
)
from lemon_trader.formulas.compilable import compilable

SETTLE_US: Final = 1_000_000  # an order that is only farther or smaller is replaced no sooner after it was sent
AGAIN_US: Final = 2_000_000  # a cancel whose end is not proven is sent again
UNKNOWN_TRIGGERS_MAX: Final = 3
COMMANDS_MAX: Final = ORDERS_MAX + SLOTS

PLACE: Final = 1
CANCEL: Final = 2


@dataclass(slots=True)
class Action:
    """One command of a turn before it has an id.

    Attributes:
        what: PLACE or CANCEL; 0 = withheld by a limit.
        index: of the row (PLACE) or of the order (CANCEL).
        qty_lots: to place now.
        reason / figure: of the diff, or of the limit that withheld it.
    """

    what: int = 0
    index: int = 0
    qty_lots: int = 0
    reason: int = 0
    figure: int = 0


@dataclass(slots=True)
class Scratch:
    """Working room of one diff, made once.

    Attributes:
        row_of_slot: index of the row that wants this slot; 0 = none. Holds for slots that a row or an order of this diff names.
        kept: per slot, 1 when an order of it is kept: a second one is surplus. Holds likewise.
    """

    row_of_slot: list[int] = ints(SLOTS)
    kept: list[int] = ints(SLOTS)


def action_array() -> list[Action]:
    """Room for the actions of one turn, made once."""
    return [Action() for _ in range(COMMANDS_MAX)]


@compilable
def keep_order(order: Any, row: Any, open_lots: int, now_us: int) -> int:
    """The reason to keep an order for this row (KEPT …) or to cancel it (NEARER …). Writes `order.figure`.

    An order nearer the touch than wanted or larger than what is open costs money and goes at once; one that is only farther or smaller
    waits `SETTLE_US` after it was sent, so that a price that swings does not cost the place in the queue each time.
    """
    order.figure = 0
    kind = row.kind
    if order.side != row.side or order.kind != kind:
        return CHANGED
    if kind == TRIGGER:
        return KEPT  # its generation says when it moves; reduce-only shrinks it, growth never replaces it
    if kind == TAKE:
        return KEPT  # immediate-or-cancel: it ends by itself
    nearer = (order.price_ticks - row.price_ticks) * row.side
    if nearer > row.tolerance_ticks:
        order.figure = nearer
        return NEARER
    more = order.open_lots - open_lots
    slack = open_lots * row.tolerance_ppm // PPM
    if more > slack:
        order.figure = more
        return LARGER
    if -nearer > row.tolerance_ticks:
        settling = order.sent_us + SETTLE_US - now_us
        if settling > 0:
            order.figure = settling
            return KEPT_SETTLING
        order.figure = -nearer
        return FARTHER
    if -more > slack:
        order.figure = -more
        if row.role == QUOTE:
            return KEPT_SMALLER
        settling = order.sent_us + SETTLE_US - now_us
        if settling > 0:
            order.figure = settling
            return KEPT_SETTLING
        return SMALLER
    if nearer != 0:
        order.figure = nearer if nearer > 0 else -nearer
        return KEPT_TOLERANCE
    return KEPT


@compilable
def claim_rank(role: int) -> int:
    """Who takes free coins first: STOP, EXIT, REBALANCE, the rest."""
    if role == STOP:
        return 0
    if role == EXIT:
        return 1
    if role == REBALANCE:
        return 2
    return 3


@compilable
def claims_coins(side: int, kind: int, flags: int, is_perp: int) -> int:
    """1 when an order takes from what is held: apart from TRIGGERs, every sell on spot; on perpetuals what is reduce-only."""
    if kind == TRIGGER:
        return 0
    if is_perp:
        return 1 if flags & REDUCE_ONLY else 0
    return 1 if side == SELL else 0


@compilable
def diff(out: Any, used: int, orders: Any, count: int, view: Any, position: Any, scratch: Any, actions: Any) -> int:
    """How many of `actions` were written to bring `orders[:count]` (not ended) to the rows `out[1:used]`. Cancels come first.

    Writes a reason to every row and every order.
    """
    now_us = view.now_us
    row_of_slot = scratch.row_of_slot
    kept = scratch.kept
    is_perp = view.is_perp
    newest = view.generation
    live_orders = view.live_orders
    for k in range(count):
        slot = orders[k].slot
        if 0 <= slot < SLOTS:
            row_of_slot[slot] = 0
            kept[slot] = 0
    ranks = 0  # bit n: a row of claim rank n is there
    for i in range(1, used):
        row = out[i]
        row.reason = NONE
        row.figure = 0
        row_of_slot[row.slot] = i
        kept[row.slot] = 0
        ranks |= 1 << claim_rank(row.role)
    done = 0
    claimed = 0
    low_sell = 0  # lowest price at which a sell of ours may rest
    high_buy = 0
    for k in range(count):
        order = orders[k]
        order.reason = KEPT
        order.figure = 0
        slot = order.slot
        side = order.side
        kind = order.kind
        if claims_coins(side, kind, order.flags, is_perp):
            claimed += order.open_lots
        price = order.price_ticks
        if price > 0 and kind != TRIGGER:
            if side == BUY:
                high_buy = max(high_buy, price)
            elif low_sell == 0 or price < low_sell:
                low_sell = price
        cancel = 0
        if order.state == CANCELLING:
            if now_us - order.cancel_us >= AGAIN_US:
                cancel = AGAIN
            else:
                order.reason = WAIT_END
        elif order.state == UNKNOWN:
            order.reason = WAIT_END  # the fence resolves it, not the diff
        else:
            wanted = row_of_slot[slot] if 0 <= slot < SLOTS else 0
            if wanted == 0:
                if kind != TAKE or order.role == QUOTE:
                    cancel = NOT_WANTED
            else:
                row = out[wanted]
                if order.generation < row.generation:
                    if kind != TRIGGER or (newest[slot] >= row.generation and view.armed[slot] > 0):
                        cancel = OLD_GENERATION  # the older TRIGGER goes once the newer is armed
                elif order.generation > row.generation:
                    order.reason = STALE_ROW
                else:
                    is_newest = newest[slot] == row.generation
                    why = keep_order(order, row, row.qty_lots - view.filled[slot] if is_newest else row.qty_lots, now_us)
                    if why > KEPT_SMALLER:  # the codes behind it say why an order goes
                        cancel = why
                    elif kind != TRIGGER and kept[slot] != 0:
                        cancel = SURPLUS
                    else:
                        order.reason = why
                        kept[slot] = 1
                        if is_newest:
                            row.reason = why
                            row.figure = order.figure
        if cancel != 0:
            order.reason = cancel
            action = actions[done]
            action.what = CANCEL
            action.index = k
            action.qty_lots = 0
            action.reason = cancel
            action.figure = order.figure
            done += 1
    free = position.sellable_lots - claimed
    for rank in range(4):
        if (ranks >> rank) & 1 == 0:
            continue
        for i in range(1, used):
            row = out[i]
            if row.reason != NONE or (ranks != 1 << rank and claim_rank(row.role) != rank):
                continue
            slot = row.slot
            generation = newest[slot]
            if row.generation < generation:
                row.reason = STALE_ROW
                row.figure = generation
                continue
            if row.kind == TRIGGER:
                if row.generation == generation:
                    row.reason = KEPT if live_orders[slot] > 0 else WAIT_END
                    continue
                if view.in_flight[slot] > 0:
                    row.reason = WAIT_END
                    continue
                if view.unknown[slot] >= UNKNOWN_TRIGGERS_MAX:
                    row.reason = TOO_MANY_UNKNOWN
                    row.figure = view.unknown[slot]
                    continue
            elif live_orders[slot] > 0:
                row.reason = WAIT_END
                continue
            filled = view.filled[slot] if generation == row.generation else 0
            qty = row.qty_lots - filled
            if qty <= 0:
                row.reason = DONE
                continue
            if now_us < view.retry_us[slot]:
                row.reason = WAIT_RETRY
                row.figure = view.retry_us[slot] - now_us
                continue
            claims = claims_coins(row.side, row.kind, row.flags, is_perp)
            if claims and qty > free:
                if free < view.min_lots:
                    row.reason = WAIT_COINS
                    row.figure = free
                    continue
                qty = free
            if qty < view.min_lots and row.kind != TRIGGER:
                row.reason = BELOW_MIN
                row.figure = qty
                continue
            if view.max_lots > 0 and qty > view.max_lots:
                qty = view.max_lots
            if row.kind not in (TAKE, TRIGGER):
                if row.side == BUY and low_sell > 0 and row.price_ticks >= low_sell:
                    row.reason = OWN_CROSS
                    row.figure = low_sell
                    continue
                if row.side == SELL and high_buy > 0 and row.price_ticks <= high_buy:
                    row.reason = OWN_CROSS
                    row.figure = high_buy
                    continue
            if claims:
                free -= qty
            if row.kind != TRIGGER:
                if row.side == BUY:
                    high_buy = max(high_buy, row.price_ticks)
                elif low_sell == 0 or row.price_ticks < low_sell:
                    low_sell = row.price_ticks
            row.reason = PLACED
            action = actions[done]
            action.what = PLACE
            action.index = i
            action.qty_lots = qty
            action.reason = PLACED
            action.figure = qty
            done += 1
    return done


@compilable
def fill_slots(view: Any, orders: Any, count: int) -> None:
    """Write what lives per slot into the view; `generation` there must be set before."""
    generation = view.generation
    for slot in range(SLOTS):
        if generation[slot] < 0:
            continue  # nothing was ever attempted: all of it is 0
        view.live[slot] = 0
        view.live_orders[slot] = 0
        view.armed[slot] = 0
        view.in_flight[slot] = 0
        view.unknown[slot] = 0
        view.ended[slot] = 1
    for k in range(count):
        order = orders[k]
        slot = order.slot
        if slot < 0 or slot >= SLOTS:
            continue
        view.live[slot] += order.open_lots
        view.live_orders[slot] += 1
        if order.state == UNKNOWN:
            view.unknown[slot] += 1
        elif order.state == IN_FLIGHT:
            view.in_flight[slot] += 1
        if order.generation == generation[slot]:
            view.ended[slot] = 0
            if order.state == ARMED:
                view.armed[slot] += 1
