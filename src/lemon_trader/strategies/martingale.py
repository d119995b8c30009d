"""The martingale: a ladder of buys under an anchor, one exit for everything it bought, one stop under the average.

IDLE -> LADDER -> CLOSE or STOP -> IDLE. Arming freezes prices and totals of all layers in `memory`; exit and stop prices are computed when
a buy fills and kept there too. Everything is written for a `side`: +1 buys a falling market; -1, a ladder of sells above the market, is not
offered yet. `martingale_setup.py` makes the parameters and refuses ladders that stop out inside themselves.
"""

from typing import Final

from lemon_trader.core.records import EXIT_SLOT, LAYERS_MAX, TRIGGER_SLOT, Position, Row, View
from lemon_trader.core.units import BUY
from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.cost import active_stop_ppm, average_atoms, cap_ticks, stop_loss_ticks, take_profit_ticks
from lemon_trader.formulas.ladder import layer_lots, layer_ticks, spendable_atoms
from lemon_trader.formulas.rounding import PPM
from lemon_trader.strategies.martingale_facts import (
    closable_lots,
    deepest_layer,
    ladder_is_used_up,
    latest_generation,
    lots_bought,
    orders_alive,
)
from lemon_trader.strategies.martingale_records import (
    BY_MARKET,
    CLOSE,
    IDLE,
    LADDER,
    MANUAL,
    MARKET,
    READY,
    REPLAN,
    SETTLE_US,
    STOPPED,
    WAIT_BUDGET,
    WAIT_COOLDOWN,
    WAIT_CYCLES,
    WAIT_FRESH,
    WAIT_MASKED,
    WAIT_ORDERS,
    WAIT_PRICE,
    WAIT_SIGNAL,
    WAIT_WINDING_DOWN,
    MartingaleMemory,
    MartingaleParams,
)
from lemon_trader.strategies.martingale_rows import check_take_profit, close_all_positions, place_martingale_orders, protect
from lemon_trader.strategies.rows import ANY_PRICE, hold, narrow

PHASE_STEPS: Final = 6  # more than any chain of phases within one moment


@compilable
def targets(params: MartingaleParams, view: View, position: Position, memory: MartingaleMemory, out: list[Row]) -> int:
    """Write the orders that shall rest now; the number of rows, header included."""
    for _ in range(PHASE_STEPS):
        if advance(params, view, position, memory) == 0:
            break
    if memory.phase == IDLE:
        why = waiting(params, view, position, memory)
        if why == WAIT_COOLDOWN:
            hold(out, 1, ANY_PRICE, memory.next_us)
        elif why in (WAIT_CYCLES, WAIT_WINDING_DOWN):
            hold(out, 1, ANY_PRICE, 0)
        else:
            hold(out, 0, 0, 0)
        return 1
    used = 1
    sellable = closable_lots(params, position)
    if memory.phase == STOPPED:
        hold(out, 0, 0, 0)
        used = close_all_positions(params, view, memory, sellable, out, used)
    else:
        hold(out, 1, ANY_PRICE, 0)
        if memory.stop_ticks > 0 and position.base_atoms * params.side > 0:
            if params.side == BUY:
                narrow(out, memory.stop_ticks + 1, ANY_PRICE)
            else:
                narrow(out, 1, memory.stop_ticks - 1)
        if memory.phase == LADDER:
            used = place_martingale_orders(params, view, memory, out, used)
        used = check_take_profit(params, view, memory, sellable, out, used)
    return protect(params, view, memory, sellable, out, used)


@compilable
def advance(params: MartingaleParams, view: View, position: Position, memory: MartingaleMemory) -> int:
    """Take one step through the phases; 1 when the phase has changed. Nothing else changes when it is called again with the same view."""
    sellable = closable_lots(params, position)
    minimum = max(view.min_lots, 1)
    if memory.phase == IDLE:
        if sellable >= minimum:  # nothing armed explains it: a late fill, or coins that were given
            guard_what_is_held(params, view, position, memory, sellable)
            return 1
        if waiting(params, view, position, memory) == READY:
            generate_martingale_orders(params, view, position, memory)
            return 1
        return 0
    check_order_fills(params, view, position, memory)
    if memory.phase != STOPPED and check_stop_loss(params, view, position, memory):
        memory.phase = STOPPED
        return 1
    if sellable >= minimum:
        memory.reached = 1
    if memory.phase == LADDER:
        if deepest_layer(view, memory) >= 0:
            memory.giving_up = 0
            anchor_on_fill(params, view, position, memory)
        elif memory.reached == 0:
            return follow_entry(params, view, memory)
        if sellable < minimum and view.live_orders[EXIT_SLOT] == 0 and (memory.reached or ladder_is_used_up(view, memory)):
            memory.phase = CLOSE
            return 1
        return 0
    if sellable < minimum and orders_alive(view) == 0:
        end_cycle(memory, view.now_us + (params.pause_us if memory.phase == STOPPED else params.cooldown_us))
        return 1
    return 0


@compilable
def waiting(params: MartingaleParams, view: View, position: Position, memory: MartingaleMemory) -> int:
    """Why no cycle begins now, WAIT_...; READY when one does."""
    if params.winding_down:
        return WAIT_WINDING_DOWN
    if params.cycles > 0 and memory.cycles_done >= params.cycles:
        return WAIT_CYCLES
    if view.now_us < memory.next_us:
        return WAIT_COOLDOWN
    if view.may_open == 0:
        return WAIT_MASKED
    if view.fresh == 0:
        return WAIT_FRESH
    if view.start_signal == 0:
        return WAIT_SIGNAL
    if orders_alive(view):
        return WAIT_ORDERS
    if view.bid_ticks <= 0 or view.ask_ticks <= view.bid_ticks:
        return WAIT_PRICE
    if allocate_funds(params, view, position, highest_anchor(params, view, memory), 0) < max(view.min_lots, 1):
        return WAIT_BUDGET
    return READY


@compilable
def generate_martingale_orders(params: MartingaleParams, view: View, position: Position, memory: MartingaleMemory) -> None:
    """Arm a cycle: freeze prices and totals of all layers. Never more than the budget, fees included, less the cost of dust still held."""
    memory.phase = LADDER
    memory.cycle = latest_generation(view, memory.cycle) + 1
    memory.anchor_most = highest_anchor(params, view, memory)
    memory.by_market = 1 if params.entry == MARKET or memory.enter_by_market else 0
    memory.anchor_ticks = memory.anchor_most if memory.by_market else entry_ticks(params, view)
    memory.anchored = 1 - memory.by_market
    memory.enter_by_market = 0
    memory.attempts = 0
    memory.entry_us = view.now_us
    memory.stamp = params.stamp
    memory.layers = params.layers
    memory.dust_atoms = position.base_atoms * params.side
    memory.dust_cost = position.cost_atoms
    memory.bought = lots_bought(view, memory)
    memory.base_atoms = position.base_atoms * params.side
    memory.trigger_fills = view.filled_ever[TRIGGER_SLOT]
    memory.cycle_lots = position.lots * params.side
    minimum = max(view.min_lots, 1)
    for layer in range(params.layers):
        lots = allocate_funds(params, view, position, memory.anchor_most, layer)
        # A layer under the minimum is left out, never enlarged: dust and a risen price make the budget smaller than when it was checked.
        memory.total[layer] = lots if lots >= minimum else 0
        memory.depth_ppm[layer] = params.depth_ppm[layer]
        memory.cycle_lots += memory.total[layer]
    calculate_prices(params, memory)


@compilable
def guard_what_is_held(params: MartingaleParams, view: View, position: Position, memory: MartingaleMemory, sellable: int) -> None:
    """Give an exit and a stop to something held that no cycle bought."""
    memory.phase = CLOSE
    memory.cycle = latest_generation(view, memory.cycle)
    memory.layers = 0
    memory.depth = LAYERS_MAX  # of unknown depth: the stop is the configured one
    memory.cycle_lots = sellable
    memory.bought = 0
    memory.base_atoms = position.base_atoms * params.side
    memory.trigger_fills = view.filled_ever[TRIGGER_SLOT]
    price_position(params, view, position, memory)


@compilable
def entry_ticks(params: MartingaleParams, view: View) -> int:
    """Where a resting entry stands now, ticks."""
    if params.entry == MANUAL:
        return params.entry_ticks
    return layer_ticks(view.bid_ticks if params.side == BUY else view.ask_ticks, params.offset_ppm, params.side)


@compilable
def highest_anchor(params: MartingaleParams, view: View, memory: MartingaleMemory) -> int:
    """The worst price at which layer 0 can be filled in a cycle that begins now, ticks: what sizes are computed with."""
    if params.entry == MARKET or memory.enter_by_market:
        return cap_ticks(view.ask_ticks if params.side == BUY else view.bid_ticks, params.entry_slippage_ppm, params.side)
    entry = entry_ticks(params, view)
    if params.entry == MANUAL:
        return entry
    return entry + params.side * (entry * params.chase_ppm // PPM)


@compilable
def allocate_funds(params: MartingaleParams, view: View, position: Position, anchor_ticks: int, layer: int) -> int:
    """Lots of a layer: its share of the budget at its price, rounded down."""
    spend = spendable_atoms(position.budget_atoms - position.cost_atoms, max(view.maker_fee_ppm, view.taker_fee_ppm))
    price = layer_ticks(anchor_ticks, params.depth_ppm[layer], params.side)
    return layer_lots(spend, params.share_ppb[layer], price, view.tick_lot_atoms)


@compilable
def calculate_prices(params: MartingaleParams, memory: MartingaleMemory) -> None:
    """Prices of all layers from the anchor, by the depths that this cycle was armed with."""
    for layer in range(memory.layers):
        memory.price[layer] = layer_ticks(memory.anchor_ticks, memory.depth_ppm[layer], params.side)


@compilable
def follow_entry(params: MartingaleParams, view: View, memory: MartingaleMemory) -> int:
    """Follow the market with an entry that nothing has been bought by yet, or give it up; 1 when the phase has changed.

    Prices move under the same keys and never beyond `anchor_most`, so the budget holds whatever fills meanwhile. An entry that was planned
    by other parameters is taken back: it might rest for ever where nobody wants it any more.
    """
    if memory.stamp != params.stamp:
        memory.giving_up = REPLAN
    if memory.giving_up == 0 and view.fresh and view.may_open and params.entry != MANUAL:
        touch = view.ask_ticks if params.side == BUY else view.bid_ticks
        if memory.by_market:
            gone = view.live_orders[0] == 0 and (touch - memory.anchor_most) * params.side > 0
            memory.giving_up = 1 if gone or view.now_us >= memory.entry_us + params.entry_wait_us else 0
        elif view.now_us >= memory.entry_us + params.entry_wait_us:
            if memory.attempts >= params.attempts:
                memory.giving_up = 1
            else:
                memory.attempts += 1
                memory.entry_us = view.now_us
                wanted = entry_ticks(params, view)
                wanted = min(wanted, memory.anchor_most) if params.side == BUY else max(wanted, memory.anchor_most)
                if (wanted - memory.anchor_ticks) * params.side > 0:  # a market that comes nearer is let come
                    memory.anchor_ticks = wanted
                    calculate_prices(params, memory)
    if memory.giving_up == 0 or orders_alive(view):
        return 0
    by_market = memory.by_market
    replan = memory.giving_up == REPLAN
    end_cycle(memory, view.now_us + (SETTLE_US if replan or by_market or params.fallback == BY_MARKET else params.cooldown_us))
    memory.enter_by_market = 1 if by_market == 0 and not replan and params.fallback == BY_MARKET else 0
    return 1


@compilable
def anchor_on_fill(params: MartingaleParams, view: View, position: Position, memory: MartingaleMemory) -> None:
    """Hang the ladder of a MARKET entry on the volume-weighted price of its fills, once nothing of it is under way."""
    if memory.anchored or view.live_orders[0] != 0:
        return
    bought = position.base_atoms * params.side - memory.dust_atoms
    average = average_atoms(position.cost_atoms - memory.dust_cost, bought, view.lot_atoms)
    anchor = average // view.tick_lot_atoms
    if anchor > 0:  # else it was sold again meanwhile, and the cap is the best that is known
        memory.anchor_ticks = min(anchor, memory.anchor_most) if params.side == BUY else max(anchor, memory.anchor_most)
    memory.anchored = 1
    calculate_prices(params, memory)


@compilable
def check_order_fills(params: MartingaleParams, view: View, position: Position, memory: MartingaleMemory) -> None:
    """When a buy has filled, compute average, exit and stop anew, all from the same moment. A partial exit changes nothing."""
    bought = lots_bought(view, memory)
    base = position.base_atoms * params.side
    if bought != memory.bought or base > memory.base_atoms:
        deepest = deepest_layer(view, memory)
        if deepest >= 0:
            memory.depth = deepest
        price_position(params, view, position, memory)
    memory.bought = bought
    memory.base_atoms = base


@compilable
def price_position(params: MartingaleParams, view: View, position: Position, memory: MartingaleMemory) -> None:
    """Write exit and stop price of what is held."""
    average = average_atoms(position.cost_atoms, position.base_atoms * params.side, view.lot_atoms)
    if average == 0:
        return
    stop_ppm = active_stop_ppm(params.stop_ppm, params.stop_by_layer, memory.depth)
    memory.exit_ticks = take_profit_ticks(average, params.take_profit_ppm, view.tick_lot_atoms, params.side)
    memory.stop_ticks = stop_loss_ticks(average, stop_ppm, view.tick_lot_atoms, params.side)


@compilable
def check_stop_loss(params: MartingaleParams, view: View, position: Position, memory: MartingaleMemory) -> int:
    """1 when the stop's price is confirmed, or the resting stop has filled at the venue."""
    if view.filled_ever[TRIGGER_SLOT] > memory.trigger_fills:
        return 1
    if memory.stop_ticks == 0 or view.confirmed_ticks <= 0 or position.base_atoms * params.side <= 0:
        return 0
    return 1 if (view.confirmed_ticks - memory.stop_ticks) * params.side <= 0 else 0


@compilable
def end_cycle(memory: MartingaleMemory, next_us: int) -> None:
    """Back to IDLE. Dust stays in the position with its cost; a cycle counts when it bought anything."""
    if memory.layers > 0 and memory.exit_ticks > 0:
        memory.cycles_done += 1
    memory.phase = IDLE
    memory.next_us = next_us
    memory.layers = 0
    memory.giving_up = 0
    memory.reached = 0
    memory.depth = 0
    memory.exit_ticks = 0
    memory.stop_ticks = 0
    memory.trigger_ticks = 0
