"""Market making: quotes around the mid, shifted against the position, wider when the market trembles.

Everything a row depends on is decided at a *look* and kept in `memory`: between two looks the same rows are wanted again, so orders keep
their place in the queue. A look happens when the mid has left the tolerance, after `interval`, and when position, budget or parameters
have changed. `market_maker_setup.py` makes the parameters.
"""

from dataclasses import dataclass
from typing import Final

from lemon_trader.core.records import ASK_SLOT, REBALANCE_SLOT, Position, Row, View, in_lots, in_ticks, ints
from lemon_trader.core.units import BUY, POST_ONLY, PPM, QUOTE, REBALANCE, SELL, TAKE
from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.cost import cap_ticks
from lemon_trader.formulas.quote import half_spread_ppm, is_jump, quote_ticks, share_ppm, skew_ppm, tilt_ppm, tolerance2_ticks
from lemon_trader.formulas.rounding import scaled_floor
from lemon_trader.strategies.rows import ANY_PRICE, hold, narrow, put, wake

REBALANCE_OFF: Final = 0
REBALANCE_PASSIVE: Final = 1  # post-only at the touch
REBALANCE_TAKE: Final = 2
REBALANCE_EVERY_US: Final = 3_600_000_000
RESIZE_PARTS: Final = 20  # a derived size is changed when it is off by more than a twentieth
QTY_TOLERANCE_PPM: Final = 50_000
QUOTE_SLOTS: Final = 32


@dataclass(slots=True)
class MarketMakerParams:
    """What a person decided, as integers.

    Attributes:
        stamp: of all the others: another stamp is another set of parameters, and a look.
        spread_ppm: full width between first bid and first ask, ppm of the mid.
        levels / level_step_ppm: quotes a side, and how far apart.
        quantity_lots: of each level; 0 = a level is its part of the budget.
        target_ppm: wanted value of the position over the budget.
        skew_ppm: share of the half spread by which a position as far from the target as can be shifts the quotes.
        widening_ppm: k x sqrt(n): how much of a second's volatility the half spread grows by.
        tolerance_ppm: how far the mid may move before the quotes follow.
        interval_us: longest time between two looks.
        pull_us: how long the threatened side stays pulled after a move of half the spread.
        fall_limit_ppm: bids pause while the mid stands more than this under its highest of the fall window; 0 = never.
        rebalance: REBALANCE_...; threshold_ppm: distance from the target, over the budget, that starts one.
        slippage_ppm: of a taking rebalance, through the touch.
        volatility_window_us / fall_window_us: of the features.
    """

    stamp: int = 0
    spread_ppm: int = 0
    levels: int = 0
    level_step_ppm: int = 0
    quantity_lots: int = in_lots()
    target_ppm: int = 0
    skew_ppm: int = 0
    widening_ppm: int = 0
    tolerance_ppm: int = 0
    interval_us: int = 0
    pull_us: int = 0
    fall_limit_ppm: int = 0
    rebalance: int = 0
    threshold_ppm: int = 0
    slippage_ppm: int = 0
    volatility_window_us: int = 0
    fall_window_us: int = 0


@dataclass(slots=True)
class MarketMakerMemory:
    """What the quotes stand on between two looks.

    Attributes:
        stamp, base_atoms, budget_atoms: parameters, position and budget of the last look.
        anchor2: bid + ask of the last look; 0 = there was none.
        half_ppm / skew_ppm: half spread and shift, > 0 = down, ppm of the mid.
        size_lots: of a level.
        look_us: when the next look is due at the latest.
        pulled_side / calm_us: the side that a jump threatened, 0 = none, and until when it stays pulled.
        bids_paused: 1 while the market falls fast.
        rebalance_side: of the one that runs, 0 = none; rebalance_ticks: its price of the last look.
        rebalance_lots: the gap frozen at its start; rebalance_generation: of its key; rebalance_us: before when none starts again.
        generation / total: per quote slot, the key and its total.
    """

    stamp: int = 0
    base_atoms: int = 0
    budget_atoms: int = 0
    anchor2: int = in_ticks()
    half_ppm: int = 0
    skew_ppm: int = 0
    size_lots: int = in_lots()
    look_us: int = 0
    pulled_side: int = 0
    calm_us: int = 0
    bids_paused: int = 0
    rebalance_side: int = 0
    rebalance_ticks: int = in_ticks()
    rebalance_lots: int = in_lots()
    rebalance_generation: int = 0
    rebalance_us: int = 0
    generation: list[int] = ints(QUOTE_SLOTS)
    total: list[int] = ints(QUOTE_SLOTS, "lots")


@compilable
def targets(params: MarketMakerParams, view: View, position: Position, memory: MarketMakerMemory, out: list[Row]) -> int:
    """Write the quotes that shall rest now; the number of rows, header included."""
    hold(out, 0, 0, 0)
    if view.fresh == 0 or view.may_open == 0 or view.bid_ticks <= 0 or view.ask_ticks <= view.bid_ticks or position.budget_atoms <= 0:
        return 1
    if is_look_due(params, view, position, memory):
        look(params, view, position, memory)
    # As long as the mid stays within the tolerance no look is due. Rows that lean on the touch narrow this further.
    tolerance2 = tolerance2_ticks(memory.anchor2, params.tolerance_ppm)
    hold(out, max((memory.anchor2 - tolerance2 + 1) // 2, 1), (memory.anchor2 + tolerance2) // 2, memory.look_us)
    wake(out, view.now_us, memory.calm_us)
    used = 1
    rest = 0
    if memory.rebalance_side != 0:
        filled = view.filled[REBALANCE_SLOT] if view.generation[REBALANCE_SLOT] == memory.rebalance_generation else 0
        rest = max(memory.rebalance_lots - filled, 0)
        used = write_rebalance(params, view, memory, out, used)
    used = write_side(params, view, position, memory, out, used, BUY, rest, tolerance2 // 2)
    return write_side(params, view, position, memory, out, used, SELL, rest, tolerance2 // 2)


@compilable
def is_look_due(params: MarketMakerParams, view: View, position: Position, memory: MarketMakerMemory) -> int:
    """1 when the quotes must be thought over."""
    mid2 = view.bid_ticks + view.ask_ticks
    moved = mid2 - memory.anchor2
    if moved < 0:
        moved = -moved
    if (
        memory.anchor2 == 0
        or moved > tolerance2_ticks(memory.anchor2, params.tolerance_ppm)
        or view.now_us >= memory.look_us
        or position.base_atoms != memory.base_atoms
        or position.budget_atoms != memory.budget_atoms
        or params.stamp != memory.stamp
    ):
        return 1
    return 0


@compilable
def look(params: MarketMakerParams, view: View, position: Position, memory: MarketMakerMemory) -> None:
    """Set anchor, half spread, skew, size, pauses and rebalance for the market as it is now."""
    mid2 = view.bid_ticks + view.ask_ticks
    if memory.anchor2 > 0 and is_jump(mid2, memory.anchor2, params.spread_ppm):
        memory.pulled_side = BUY if mid2 < memory.anchor2 else SELL
        memory.calm_us = view.now_us + params.pull_us
    elif view.now_us >= memory.calm_us:
        memory.pulled_side = 0
    value = value_atoms(view, position, mid2)
    budget = position.budget_atoms
    half = half_spread_ppm(params.spread_ppm, view.volatility_ppm, params.widening_ppm)
    memory.half_ppm = half
    memory.skew_ppm = skew_ppm(half, params.skew_ppm, tilt_ppm(value, budget, params.target_ppm, view.is_perp))
    memory.bids_paused = 1 if params.fall_limit_ppm > 0 and view.fall_ppm > params.fall_limit_ppm else 0
    size = params.quantity_lots
    if size == 0:
        # Half of the budget may be bids and half asks, shared by the levels of a side.
        size = budget // params.levels // (mid2 * view.tick_lot_atoms)
    off = size - memory.size_lots if size >= memory.size_lots else memory.size_lots - size
    if params.stamp != memory.stamp or off * RESIZE_PARTS > memory.size_lots:
        memory.size_lots = size
    memory.anchor2 = mid2
    memory.look_us = view.now_us + params.interval_us
    memory.base_atoms = position.base_atoms
    memory.budget_atoms = budget
    memory.stamp = params.stamp
    steer_rebalance(params, view, position, memory, value)


@compilable
def value_atoms(view: View, position: Position, mid2: int) -> int:
    """Signed value of what is held at the mid, quote atoms, towards zero."""
    base = position.base_atoms
    size = base if base >= 0 else -base
    value = scaled_floor(size, mid2 * view.tick_lot_atoms, 2 * view.lot_atoms)
    return value if base >= 0 else -value


@compilable
def steer_rebalance(params: MarketMakerParams, view: View, position: Position, memory: MarketMakerMemory, value: int) -> None:
    """Start, follow or end the order that brings the position back to its target. At most one an hour starts."""
    slot = REBALANCE_SLOT
    if memory.rebalance_side == 0 and (
        params.rebalance == REBALANCE_OFF or view.live_orders[slot] != 0 or view.now_us < memory.rebalance_us
    ):
        return
    budget = position.budget_atoms
    wanted = scaled_floor(budget, params.target_ppm, PPM) if params.target_ppm >= 0 else -scaled_floor(budget, -params.target_ppm, PPM)
    gap = wanted - value
    side = BUY if gap > 0 else SELL
    minimum = max(view.min_lots, 1)
    reach = rebalance_reach(params, view, position, memory, side)
    if memory.rebalance_side != 0:
        filled = view.filled[slot] if view.generation[slot] == memory.rebalance_generation else 0
        rest = memory.rebalance_lots - filled
        crossed = gap == 0 or side != memory.rebalance_side
        if crossed or rest <= 0 or rest > reach or (rest < minimum and view.live_orders[slot] == 0) or view.now_us >= memory.rebalance_us:
            memory.rebalance_side = 0
    if memory.rebalance_side == 0:
        if params.rebalance == REBALANCE_OFF or view.live_orders[slot] != 0 or view.now_us < memory.rebalance_us:
            return
        off = share_ppm(gap, budget)
        if (off <= params.threshold_ppm and -off <= params.threshold_ppm) or (side == BUY and memory.bids_paused):
            return
        lots = min(2 * (gap * side) // (memory.anchor2 * view.tick_lot_atoms), reach)
        if lots < minimum:
            return
        memory.rebalance_side = side
        memory.rebalance_lots = lots
        memory.rebalance_generation = max(memory.rebalance_generation, view.generation[slot]) + 1
        memory.rebalance_us = view.now_us + REBALANCE_EVERY_US
    memory.rebalance_ticks = worst_ticks(params, view, side)


@compilable
def worst_ticks(params: MarketMakerParams, view: View, side: int) -> int:
    """The price of a rebalance that starts now: the near touch, or when it takes the far one with its slippage."""
    if params.rebalance == REBALANCE_TAKE:
        return cap_ticks(view.ask_ticks if side == BUY else view.bid_ticks, params.slippage_ppm, side)
    return view.bid_ticks if side == BUY else view.ask_ticks


@compilable
def rebalance_reach(params: MarketMakerParams, view: View, position: Position, memory: MarketMakerMemory, side: int) -> int:
    """How many lots a rebalance of this side may have: coins on spot, else what is left of the budget at the price it would pay."""
    if side == SELL and view.is_perp == 0:
        return position.sellable_lots
    price = max(worst_ticks(params, view, side), memory.anchor2 // 2 + 1)
    held = position.cost_atoms if position.base_atoms * side > 0 else 0
    return max(position.budget_atoms - held, 0) // (price * view.tick_lot_atoms)


@compilable
def write_rebalance(params: MarketMakerParams, view: View, memory: MarketMakerMemory, out: list[Row], used: int) -> int:
    """Write the REBALANCE row; the number of rows."""
    side = memory.rebalance_side
    if side == BUY and memory.bids_paused:
        return used
    kind = POST_ONLY
    price = memory.rebalance_ticks
    if params.rebalance == REBALANCE_TAKE:
        kind = TAKE
    else:
        price = min(price, view.ask_ticks - 1) if side == BUY else max(price, view.bid_ticks + 1)
        lean_on_touch(view, side, price, out)
    put(out, used, REBALANCE_SLOT, memory.rebalance_generation, REBALANCE, side, kind, 0, price, memory.rebalance_lots)
    out[used].tolerance_ppm = 0 if kind == TAKE else QTY_TOLERANCE_PPM
    return used + 1


@compilable
def write_side(
    params: MarketMakerParams,
    view: View,
    position: Position,
    memory: MarketMakerMemory,
    out: list[Row],
    used: int,
    side: int,
    rebalance_lots: int,
    tolerance_ticks: int,
) -> int:
    """Write the quotes of one side, nearest first, as far as money or coins reach; the number of rows."""
    if side == BUY and memory.bids_paused:
        return used
    if memory.pulled_side == side and view.now_us < memory.calm_us:
        return used
    # What a side may use: money for bids and for a perpetual's asks, coins for asks on spot. A running rebalance has its part first.
    coins = 0
    money = 0
    by_coins = side == SELL and view.is_perp == 0
    claimed = rebalance_lots if memory.rebalance_side == side else 0
    anchor2 = memory.anchor2
    if by_coins:
        coins = position.sellable_lots - claimed
    else:
        held = position.cost_atoms if position.base_atoms * side > 0 else 0
        money = position.budget_atoms - held - claimed * max(memory.rebalance_ticks, anchor2 // 2 + 1) * view.tick_lot_atoms
    lowest = max(view.min_ticks, 1)
    highest = view.max_ticks
    minimum = max(view.min_lots, 1)
    nearest = view.ask_ticks - 1 if side == BUY else view.bid_ticks + 1
    distance = memory.half_ppm + side * memory.skew_ppm
    slot = 0 if side == BUY else ASK_SLOT
    for level in range(params.levels):
        if (coins if by_coins else money) <= 0:
            break  # nothing is left for this level or a deeper one, and a side without quotes leans on no touch
        price = quote_ticks(anchor2, side, distance)
        if price < lowest or 0 < highest < price:
            break
        if (price - nearest) * side > 0:
            price = nearest  # one tick inside the other side's touch: a post-only order that reaches it is refused
        if level == 0:
            lean_on_touch(view, side, price, out)
        worth = price * view.tick_lot_atoms
        total = hold_quote(view, memory, slot, coins if by_coins else money // worth, minimum)
        if total > 0:
            generation = memory.generation[slot]
            rest = total - view.filled[slot] if view.generation[slot] == generation else total
            coins -= rest
            money -= rest * worth
            row = out[used]
            row.slot = slot
            row.generation = generation
            row.role = QUOTE
            row.side = side
            row.kind = POST_ONLY
            row.flags = 0
            row.price_ticks = price
            row.trigger_ticks = 0
            row.qty_lots = total
            row.tolerance_ticks = tolerance_ticks
            row.tolerance_ppm = QTY_TOLERANCE_PPM
            used += 1
        distance += params.level_step_ppm
        slot += 1
    return used


@compilable
def hold_quote(view: View, memory: MarketMakerMemory, slot: int, reach_lots: int, minimum: int) -> int:
    """The total of this slot's key, 0 = no quote; begins a new generation where the old one is used up and nothing of it lives.

    A total never changes once an order was sent for its key: another size is another generation, and waits until nothing lives.
    """
    generation = memory.generation[slot]
    sent = view.generation[slot]
    if view.live_orders[slot] > 0:
        if sent != generation:
            return 0  # something of another generation lives: it ends before anything else is asked of this slot
        total = memory.total[slot]
        return total if 0 < total - view.filled[slot] <= reach_lots else 0
    wanted = min(memory.size_lots, reach_lots)
    if wanted < minimum:
        return 0
    if sent == generation and view.filled[slot] == 0 and wanted == memory.total[slot]:
        return wanted
    if sent >= generation:
        memory.generation[slot] = sent + 1
    memory.total[slot] = wanted
    return wanted


@compilable
def lean_on_touch(view: View, side: int, price: int, out: list[Row]) -> None:
    """Let the answer hold only where the nearest order of a side does not reach the touch; one that does follows every touch."""
    if side == BUY:
        if price >= view.ask_ticks - 1:
            narrow(out, 1, 0)
        else:
            narrow(out, price, ANY_PRICE)
    elif price <= view.bid_ticks + 1:
        narrow(out, 1, 0)
    else:
        narrow(out, 1, price)
