"""What a martingale is told and what it remembers: its two records and the codes in them."""

from dataclasses import dataclass
from typing import Final

from lemon_trader.core.records import LAYERS_MAX, in_lots, in_ticks, ints
from lemon_trader.core.units import BUY

# Phases.
IDLE: Final = 0
LADDER: Final = 1
CLOSE: Final = 2  # no layers any more; whatever is held or still fills gets its exit and its stop
STOPPED: Final = 3  # everything is sold; never reverts

# How layer 0 gets in.
OFFSET: Final = 0  # a limit under the bid, which follows the market up a few times
MARKET: Final = 1  # immediate-or-cancel with a slippage cap
MANUAL: Final = 2  # a limit at a price of the person's own

SETTLE_US: Final = 1_000_000  # a resting stop moves at most once in this time, and an unanswered one is sent again after it

REPLAN: Final = 2

SKIP: Final = 0  # an entry that was not filled is given up, the next cycle tries again
BY_MARKET: Final = 1  # the next cycle goes in by MARKET

# Why no cycle begins; `waiting` gives them, `why` shows them.
READY: Final = 0
WAIT_MASKED: Final = 1
WAIT_FRESH: Final = 2
WAIT_SIGNAL: Final = 3
WAIT_COOLDOWN: Final = 4
WAIT_CYCLES: Final = 5
WAIT_WINDING_DOWN: Final = 6
WAIT_ORDERS: Final = 7
WAIT_PRICE: Final = 8
WAIT_BUDGET: Final = 9
WAIT_NAMES: Final = (
    "READY", "MASKED", "FRESH", "SIGNAL", "COOLDOWN", "CYCLES", "WINDING_DOWN", "ORDERS", "PRICE", "BUDGET",
)  # fmt: skip
PHASE_NAMES: Final = ("IDLE", "LADDER", "CLOSE", "STOPPED")


@dataclass(slots=True)
class MartingaleParams:
    """What a person decided, as integers.

    Attributes:
        side: +1 a ladder of buys.
        layers / resting: of the ladder, the first entry included; how many rest at once.
        entry: OFFSET, MARKET or MANUAL; offset_ppm: under the bid; entry_ticks: of a MANUAL entry.
        attempts / entry_wait_us: how often an OFFSET entry is priced again, and after how long each time.
        chase_ppm: how far above its first price an OFFSET entry may follow; sizes leave room for it in the budget.
        fallback: SKIP or BY_MARKET, once the attempts are used up.
        entry_slippage_ppm: of a MARKET entry, and of a layer whose price the market has jumped over, through the touch.
        take_profit_ppm / stop_ppm: from the average. stop_by_layer: 1 = the tighter of stop_ppm and 4 % for each layer filled.
        stop_slippage_ppm: how far through the touch a STOP may sell.
        protect_ppm: on perpetuals, how far beyond the stop the resting one stands.
        cooldown_us / pause_us: before the next cycle, after a profit and after a stop.
        cycles: to run; 0 = no end. winding_down: 1 = no new cycle.
        share_ppb / depth_ppm: per layer, its part of the budget and its distance from the anchor.
        stamp: of what a cycle is planned by; another stamp is another plan.
    """

    side: int = BUY
    layers: int = 0
    resting: int = 0
    entry: int = 0
    offset_ppm: int = 0
    entry_ticks: int = in_ticks()
    attempts: int = 0
    entry_wait_us: int = 0
    chase_ppm: int = 0
    fallback: int = 0
    entry_slippage_ppm: int = 0
    take_profit_ppm: int = 0
    stop_ppm: int = 0
    stop_by_layer: int = 0
    stop_slippage_ppm: int = 0
    protect_ppm: int = 0
    cooldown_us: int = 0
    pause_us: int = 0
    cycles: int = 0
    winding_down: int = 0
    share_ppb: list[int] = ints(LAYERS_MAX)
    depth_ppm: list[int] = ints(LAYERS_MAX)
    stamp: int = 0


@dataclass(slots=True)
class MartingaleMemory:
    """Where the cycle stands.

    Attributes:
        phase: IDLE ...; cycle: generation of LAYER, EXIT and STOP; cycles_done: ended after a purchase.
        next_us: no cycle begins before.
        layers: planned in this cycle; 0 = none is armed.
        anchor_ticks / anchor_most: price of layer 0, and the highest that its sizes leave budget for.
        by_market: 1 when layer 0 takes; anchored: 1 once the ladder hangs on what layer 0 was filled at (at once without by_market).
        enter_by_market: the next cycle takes. attempts / entry_us: pricings used up, and when the last was.
        giving_up: 1 when the entry is being taken back, REPLAN when that is because another plan is wanted.
        dust_atoms / dust_cost: base and cost held when the cycle was armed.
        reached: 1 once the position could be sold; bought: lots ever filled in layers, and base_atoms, at the last computation.
        depth: deepest layer with a fill; exit_ticks / stop_ticks: 0 = nothing to close.
        cycle_lots: the most that this cycle can hold.
        trigger_generation / trigger_ticks / trigger_us: of the resting stop, and when it last moved.
        trigger_fills: lots ever filled in its slot when the cycle began.
        price / total / depth_ppm: per layer, frozen when the cycle is armed. stamp: of the parameters that it was planned by.
    """

    phase: int = IDLE
    cycle: int = 0
    cycles_done: int = 0
    next_us: int = 0
    layers: int = 0
    anchor_ticks: int = in_ticks()
    anchor_most: int = in_ticks()
    by_market: int = 0
    anchored: int = 0
    enter_by_market: int = 0
    attempts: int = 0
    entry_us: int = 0
    giving_up: int = 0
    dust_atoms: int = 0
    dust_cost: int = 0
    reached: int = 0
    bought: int = in_lots()
    base_atoms: int = 0
    depth: int = 0
    exit_ticks: int = in_ticks()
    stop_ticks: int = in_ticks()
    cycle_lots: int = in_lots()
    trigger_generation: int = 0
    trigger_ticks: int = in_ticks()
    trigger_us: int = 0
    trigger_fills: int = in_lots()
    price: list[int] = ints(LAYERS_MAX, "ticks")
    total: list[int] = ints(LAYERS_MAX, "lots")
    depth_ppm: list[int] = ints(LAYERS_MAX)
    stamp: int = 0
