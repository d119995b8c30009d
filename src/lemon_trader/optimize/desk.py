"""What the compiled loop keeps beside the records that the strategy reads: money, the market's moment, counters."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from lemon_trader.core.records import slots_of_int

NEVER: Final = 2**62

# How a run ended.
PLAYED: Final = 0
FILLS_FULL: Final = 1  # the rows for fills did not suffice: it is played again with more
ORDERS_FULL: Final = 2
STRATEGY_FAULT: Final = 3  # it gave no answer
ENDLESS: Final = 4  # a point of which the strategy wants no end: a bug of ours


@dataclass(slots=True)
class Desk:
    """The account, the market of bars, and how far the run has come.

    Attributes:
        status: PLAYED ...; bars: played.
        price: now, ticks; start_us: of the run.
        budget_atoms / cash_atoms: given to the strategy; quote held.
        base_atoms / cost_atoms: position as the ledger has it.
        realised_atoms, fees_atoms, funding_atoms: running sums, quote atoms; flow_atoms: what equity is beside the value of what is held.
        left_lots: what may still be filled at this point.
        orders: how many live. changed: 1 when the slots of the view must be written again.
        rate_tokens / rate_us: of the bucket of the limits.
        band_low / band_high / wake_us: where and until when the last answer holds.
        need_low / need_high: prices between which nothing happens: no order is reached, no answer ends, the margin suffices.
        next_fund: row of the funding table.
        frozen: 1 after a liquidation.
        day_loss_atoms / drawdown_limit: loss limits, quote atoms, 0 = off; day, day_atoms, top_atoms: their anchors (day < 0: none yet).
        halted / halted_us: the loss limit that stopped the strategy, 0 = none, and when.
        fills, placed, cancelled, refused, liquidations: counted.
        trips / stopped: positions closed; of these, by a STOP. held_us: how long anything worth an order was held; since_us: since when.
        turnover_atoms: worth of all fills.
        peak_atoms / drawdown_atoms / lowest_atoms: of equity at the marks: highest, deepest fall under a peak, lowest.
        marks: rows of equity written; equity_atoms: at the last of them.
        looked / asked: bars gone through point by point; times that the strategy was asked.
        refusals: per slot, how many in a row.
    """

    status: int = PLAYED
    bars: int = 0
    price: int = 0
    start_us: int = 0
    budget_atoms: int = 0
    cash_atoms: int = 0
    base_atoms: int = 0
    cost_atoms: int = 0
    realised_atoms: int = 0
    fees_atoms: int = 0
    funding_atoms: int = 0
    flow_atoms: int = 0
    left_lots: int = 0
    orders: int = 0
    changed: int = 1
    rate_tokens: int = 0
    rate_us: int = 0
    band_low: int = 0
    band_high: int = 0
    wake_us: int = 0
    need_low: int = NEVER
    need_high: int = 0
    next_fund: int = 0
    frozen: int = 0
    day_loss_atoms: int = 0
    drawdown_limit: int = 0
    day: int = -1
    day_atoms: int = 0
    top_atoms: int = 0
    halted: int = 0
    halted_us: int = 0
    fills: int = 0
    placed: int = 0
    cancelled: int = 0
    refused: int = 0
    liquidations: int = 0
    trips: int = 0
    stopped: int = 0
    held_us: int = 0
    since_us: int = 0
    turnover_atoms: int = 0
    peak_atoms: int = 0
    drawdown_atoms: int = 0
    lowest_atoms: int = 0
    marks: int = 0
    equity_atoms: int = 0
    looked: int = 0
    asked: int = 0
    refusals: list[int] = slots_of_int()


@dataclass(slots=True)
class Grid:
    """Of the market, what the loop needs; `core/instrument.py` explains the fields.

    Attributes:
        step_us: a quarter of a bar.
        reads_features: 1 when the strategy decides by volatility or fall, so that every touch must be followed.
        mark_every: bars between two marks of the equity.
    """

    is_perp: int = 0
    tick_lot_atoms: int = 0
    lot_atoms: int = 0
    min_ticks: int = 0
    max_ticks: int = 0
    low_ppm: int = 0
    high_ppm: int = 0
    band_low_ppm: int = 0
    band_high_ppm: int = 0
    step_us: int = 0
    reads_features: int = 0
    mark_every: int = 1


class Room(NamedTuple):
    """Everything that one run changes, and what it decides by. Records in compiled code, made once for each thread.

    `seen` is the view: numba keeps that name of an attribute for itself.
    """

    params: Any
    rules: Any
    grid: Any
    limits: Any
    seen: Any
    position: Any
    memory: Any
    features: Any
    out: Any
    orders: Any
    actions: Any
    scratch: Any
    desk: Any
    fills: Any
    equity: Any


class Tape(NamedTuple):
    """The bars that trade, columns; `fund_us` / `fund_ppb`: the funding intervals of a perpetual.

    `block_low` ...: lowest and highest prices of every `BLOCK` and every `MANY` bars (`marks.py`), the last part of one included; empty =
    every bar is read.
    """

    at_us: Any
    open: Any
    high: Any
    low: Any
    close: Any
    lots: Any
    fund_us: Any
    fund_ppb: Any
    block_low: Any
    block_high: Any
    many_low: Any
    many_high: Any
