"""The rows of a martingale's answer: layers, exit, stop, and the stop that rests at the venue."""

from lemon_trader.core.records import EXIT_SLOT, STOP_SLOT, TRIGGER_SLOT, Row, View
from lemon_trader.core.units import BUY, EXIT, LAYER, LIMIT, REDUCE_ONLY, STOP, TAKE, TRIGGER, WHOLE_POSITION
from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.cost import beyond_ticks, cap_ticks
from lemon_trader.formulas.rounding import PPM, ceil_div
from lemon_trader.strategies.martingale_facts import deepest_layer, filled_of_cycle, layer_is_open, layers_alive
from lemon_trader.strategies.martingale_records import MANUAL, SETTLE_US, MartingaleMemory, MartingaleParams
from lemon_trader.strategies.rows import ANY_PRICE, hold, narrow, put, wake


@compilable
def place_martingale_orders(params: MartingaleParams, view: View, memory: MartingaleMemory, out: list[Row], used: int) -> int:
    """Write the first `resting` unfinished layers; the number of rows."""
    if view.fresh == 0 or view.may_open == 0:
        hold(out, 0, 0, 0)
        return used
    if memory.giving_up:
        return used
    deepest = deepest_layer(view, memory)
    if deepest < 0 and params.entry != MANUAL:
        wake(out, view.now_us, memory.entry_us + params.entry_wait_us)
    if memory.anchored == 0:
        hold(out, 0, 0, out[0].qty_lots)
        return put(out, used, 0, memory.cycle, LAYER, params.side, TAKE, 0, memory.anchor_most, memory.total[0])
    # A layer that the market has jumped over buys at the market instead, and reaches no further through it than an entry may.
    reach = cap_ticks(view.ask_ticks if params.side == BUY else view.bid_ticks, params.entry_slippage_ppm, params.side)
    minimum = max(view.min_lots, 1)
    left = params.resting
    for layer in range(memory.layers):
        if left == 0:
            break
        if layer_is_open(view, memory, layer, deepest, minimum) == 0:
            continue
        price = memory.price[layer]
        if reach > 0 and (price - reach) * params.side > 0:
            price = reach
            hold(out, 0, 0, out[0].qty_lots)
        elif left == params.resting:  # the first one is the nearest: while the market has not jumped over it, it has over none
            if params.side == BUY:
                narrow(out, ceil_div(price * PPM, PPM + params.entry_slippage_ppm), ANY_PRICE)
            else:
                narrow(out, 1, price * PPM // (PPM - params.entry_slippage_ppm))
        used = put(out, used, layer, memory.cycle, LAYER, params.side, LIMIT, 0, price, memory.total[layer])
        left -= 1
    return used


@compilable
def check_take_profit(params: MartingaleParams, view: View, memory: MartingaleMemory, sellable: int, out: list[Row], used: int) -> int:
    """Write the one exit of the whole position; the number of rows."""
    if memory.exit_ticks == 0 or sellable <= 0 or (sellable < max(view.min_lots, 1) and view.live_orders[EXIT_SLOT] == 0):
        return used
    total = filled_of_cycle(view, memory, EXIT_SLOT) + sellable
    flags = REDUCE_ONLY if view.is_perp else 0
    return put(out, used, EXIT_SLOT, memory.cycle, EXIT, -params.side, LIMIT, flags, memory.exit_ticks, total)


@compilable
def close_all_positions(params: MartingaleParams, view: View, memory: MartingaleMemory, sellable: int, out: list[Row], used: int) -> int:
    """Write the stop: sell at once whatever is free, no further through the touch than the cap; the number of rows."""
    price = cap_ticks(view.bid_ticks if params.side == BUY else view.ask_ticks, params.stop_slippage_ppm, -params.side)
    if price == 0 or sellable < max(view.min_lots, 1):
        return used  # no touch: there is nothing to sell to, and no price to bound the slippage with
    if params.side == BUY:
        price = max(price, view.low_ticks)
    elif view.high_ticks > 0:
        price = min(price, view.high_ticks)
    total = filled_of_cycle(view, memory, STOP_SLOT) + sellable
    flags = REDUCE_ONLY if view.is_perp else 0
    return put(out, used, STOP_SLOT, memory.cycle, STOP, -params.side, TAKE, flags, price, total)


@compilable
def protect(params: MartingaleParams, view: View, memory: MartingaleMemory, sellable: int, out: list[Row], used: int) -> int:
    """On perpetuals, write the stop that rests at the venue a little beyond the program's own; the number of rows.

    Once nothing is held, the one that rests is wanted until the last layer's end is proven.
    A new generation comes when its price has moved (at most one in `SETTLE_US`), and when the last is unanswered for so long or has ended.
    """
    if view.is_perp == 0 or memory.stop_ticks == 0:
        return used
    flags = REDUCE_ONLY | WHOLE_POSITION
    if sellable < max(view.min_lots, 1):
        if view.live_orders[TRIGGER_SLOT] == 0 or layers_alive(view) == 0:
            return used
        # Flat as far as we know: what rests stays, under the key that it has, until no layer can have filled unheard.
        put(out, used, TRIGGER_SLOT, view.generation[TRIGGER_SLOT], STOP, -params.side, TRIGGER, flags, 0, max(memory.cycle_lots, 1))
        out[used].trigger_ticks = max(memory.trigger_ticks, 1)
        return used + 1
    wanted = beyond_ticks(memory.stop_ticks, params.protect_ppm, params.side)
    sent = view.generation[TRIGGER_SLOT]
    if memory.trigger_ticks == 0 or sent > memory.trigger_generation:
        memory.trigger_generation = max(memory.trigger_generation, sent) + 1
        memory.trigger_ticks = wanted
        memory.trigger_us = view.now_us
    elif sent < memory.trigger_generation:
        memory.trigger_ticks = wanted  # nothing was sent for this key yet
    else:
        moved = memory.trigger_ticks != wanted or view.ended[TRIGGER_SLOT] != 0
        answer_us = view.sent_us[TRIGGER_SLOT] + SETTLE_US
        silent = view.armed[TRIGGER_SLOT] == 0
        due_us = memory.trigger_us + SETTLE_US
        if view.now_us >= due_us and (moved or (silent and view.now_us >= answer_us)):
            memory.trigger_generation += 1
            memory.trigger_ticks = wanted
            memory.trigger_us = view.now_us
        elif moved:
            wake(out, view.now_us, due_us)
        elif silent:
            wake(out, view.now_us, max(due_us, answer_us))
    lots = max(memory.cycle_lots, sellable)
    put(out, used, TRIGGER_SLOT, memory.trigger_generation, STOP, -params.side, TRIGGER, flags, 0, lots)
    out[used].trigger_ticks = memory.trigger_ticks
    return used + 1
