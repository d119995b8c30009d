"""Bars through the compiled loop: one run with all that it left, or many parameter sets side by side with a line of figures each.

`run_bars` gives what a replay of the same bars through the engine gives, fill by fill; tests hold the two equal.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from lemon_trader.backtest.gather import utc
from lemon_trader.backtest.result import EQUITY, FILL, KERNEL, PRICE, Columns, Counters, Note, Result, Totals
from lemon_trader.core.diff import COMMANDS_MAX, Action, Scratch
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.limits import Limits
from lemon_trader.core.records import ORDERS_MAX, ROWS_MAX, Position, Row, View, Working, as_row, dtype_of
from lemon_trader.core.units import ACTIVE
from lemon_trader.formulas.fill import FILL_MODELS, POINTS, FillRules
from lemon_trader.formulas.volatility import Features
from lemon_trader.market.columns import Ints
from lemon_trader.market.tables import BarTable, FundingTable
from lemon_trader.optimize.building import build, names_of
from lemon_trader.optimize.desk import ENDLESS, FILLS_FULL, ORDERS_FULL, STRATEGY_FAULT, Desk, Grid, Tape
from lemon_trader.optimize.guard import REASONS
from lemon_trader.optimize.loop import targets
from lemon_trader.optimize.marks import BLOCK, MANY
from lemon_trader.optimize.sets import play_sets
from lemon_trader.strategies.parameter import Strategy

FILLS_FIRST: Final = 1 << 14
INT32_MAX: Final = 2**31 - 1
FEATURES: Final = {"volatility_ppm", "fall_ppm"}
FAULTS: Final = {ORDERS_FULL: "more orders than a market may have", STRATEGY_FAULT: "no answer", ENDLESS: "orders without end at one price"}

SUMMARY: Final = np.dtype(
    [
        (name, np.int64)
        for name in (
            "equity_atoms",  # at the end
            "drawdown_atoms",  # deepest fall under a peak, at the marks
            "lowest_atoms",
            "realised_atoms",
            "fees_atoms",
            "funding_atoms",
            "turnover_atoms",
            "fills",
            "trips",  # positions closed
            "stopped",  # of these, by a stop
            "placed",
            "cancelled",
            "refused",
            "liquidations",
            "held_us",
            "base_atoms",  # held at the end
            "status",  # 0 = played to the end
        )
    ]
)


class KernelFault(AssertionError):
    """The loop could not go on: a fault of the program or of a strategy, with the moment it came to."""


@dataclass(frozen=True, slots=True)
class BarSettings:
    """What a run over bars assumes beside its strategy.

    Attributes:
        rules: how bars fill, and what it costs.
        budget_atoms: the strategy's, quote atoms; equity starts with it.
        cash_atoms: of the account, quote atoms; 0 = the budget. Less than the budget is leverage, on perpetuals alone.
        limits: of the send path; None = as a pair has them that is given nothing but its budget.
        funding: of a perpetual.
        day_loss_atoms / drawdown_atoms: net loss of a UTC day, and under the highest profit, that stop the strategy for good; 0 = none do.
        mark_every: bars between two rows of equity; the deepest fall is looked for at these.
        indexed: whether blocks of bars in which nothing can happen are passed over at once; the same figures without, later.
        source: what is played, for people.
        params: the strategy's settings as text, for people.
    """

    rules: FillRules
    budget_atoms: int
    cash_atoms: int = 0
    limits: Limits | None = None
    funding: FundingTable | None = None
    day_loss_atoms: int = 0
    drawdown_atoms: int = 0
    mark_every: int = 1
    indexed: bool = True
    source: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


def run_bars(strategy: Strategy, params: Any, instrument: Instrument, table: BarTable, settings: BarSettings) -> Result:
    """Play the bars once; everything that it left.

    Raises:
        KernelFault: the strategy gave no answer, or wants orders without end.
        ValueError: no bar of the table traded.
    """
    made = _Made(strategy, instrument, table, settings)
    rows = FILLS_FIRST
    while True:
        fills, equity = np.zeros(rows, FILL), np.zeros(made.bars // made.mark_every + 3, EQUITY)
        desk, summary = made.play([params], fills, equity[1:])
        if summary["status"][0] != FILLS_FULL:
            break
        rows *= 4
    status = int(summary["status"][0])
    if status in FAULTS:
        raise KernelFault(f"{strategy.name}: {FAULTS[status]}")
    return made.result(desk[0, 0], fills, equity)


def run_many(
    strategy: Strategy, many: Sequence[Any], instrument: Instrument, table: BarTable, settings: BarSettings, *, workers: int = 0
) -> Columns:  # fmt: skip
    """Play the bars once for each parameter set, on so many cores (0 = all); SUMMARY rows in the same order.

    A set whose run could not go on has a `status` other than 0 (`desk.py` names them) and figures up to there.
    """
    if not len(many):
        return np.zeros(0, SUMMARY)
    made = _Made(strategy, instrument, table, settings)
    return made.play(many, np.zeros(0, FILL), np.zeros(0, EQUITY), workers or os.cpu_count() or 1)[1]


class _Made:
    """The arrays that runs over one table share."""

    def __init__(self, strategy: Strategy, instrument: Instrument, table: BarTable, settings: BarSettings) -> None:
        assert instrument.tick_step == instrument.lot_step == 1, "a grid that grew coarser is of a living market, not of a recorded one"
        traded = np.flatnonzero(table.lots > 0)
        if not len(traded):
            raise ValueError(f"no bar of these {len(table)} traded")
        self.strategy = strategy
        self.instrument = instrument
        self.table = table
        self.settings = settings
        self.bars = len(traded)
        self.mark_every = max(settings.mark_every, 1)
        whole = self.bars == len(table)
        fits = int(table.high.max()) < INT32_MAX // 8
        kind = np.int32 if fits else np.int64

        def column(values: Ints, dtype: type) -> Ints:
            return np.ascontiguousarray(values if whole else values[traded], dtype=dtype)

        funding = settings.funding if instrument.is_perp else None
        none = np.zeros(0, np.int64)
        self.tape = Tape(
            column(table.at_us, np.int64), column(table.open, kind), column(table.high, kind), column(table.low, kind),
            column(table.close, kind), column(table.lots, np.int64),
            none if funding is None else funding.at_us, none if funding is None else funding.rate_ppb,
            *_extremes(column(table.low, kind), column(table.high, kind), BLOCK if settings.indexed else 0),
            *_extremes(column(table.low, kind), column(table.high, kind), MANY if settings.indexed else 0),
        )  # fmt: skip
        self.rules = _array(settings.rules)
        self.grid = _array(grid_of(strategy, instrument, table.every_us, self.mark_every))

    def play(self, many: Sequence[Any], fills: Columns, equity: Columns, workers: int = 1) -> tuple[Columns, Columns]:
        """Play the tape for every parameter set; (desks of the workers, summary)."""
        strategy = self.strategy
        workers = max(1, min(workers, len(many)))
        summary = np.zeros(len(many), SUMMARY)
        sets = np.array([as_row(params) for params in many], dtype_of(strategy.params_type))
        windows = [Features(*strategy.features(params).windows_us) for params in many]
        features = np.array([as_row(made) for made in windows], dtype_of(Features))
        rooms = [np.zeros((workers, 1), dtype_of(kind)) for kind in (View, Position, strategy.memory_type, Features, Scratch, Desk, Limits)]
        shapes = ((Row, ROWS_MAX), (Working, ORDERS_MAX), (Action, COMMANDS_MAX))
        lists = [np.zeros((workers, length), dtype_of(kind)) for kind, length in shapes]
        run = build(play_sets, {targets: strategy.targets}, strategy.name)
        shared = (sets, features, self.rules, self.grid, self.tape, *self._blanks(), fills, equity, summary)

        def work(first: int) -> None:
            run(first, workers, *shared, *(room[first] for room in rooms), *(rows[first] for rows in lists))

        if workers == 1:
            work(0)
        else:
            # Compiled code runs without the interpreter's lock; each worker has a room of its own and writes its own lines.
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(work, range(workers)))
        return rooms[5], summary

    def _blanks(self) -> tuple[Columns, ...]:
        """View, position, memory, desk and limits before a run."""
        i, s = self.instrument, self.settings
        view = View(
            is_perp=int(i.is_perp), tick_lot_atoms=i.tick_lot_atoms, lot_atoms=i.lot_atoms, min_lots=i.min_lots, max_lots=i.max_lots,
            min_ticks=i.min_ticks, max_ticks=i.max_ticks, maker_fee_ppm=s.rules.maker_fee_ppm, taker_fee_ppm=s.rules.taker_fee_ppm,
        )  # fmt: skip
        desk = Desk(
            budget_atoms=s.budget_atoms, cash_atoms=s.cash_atoms or s.budget_atoms, day_loss_atoms=s.day_loss_atoms,
            drawdown_limit=s.drawdown_atoms,
        )  # fmt: skip
        limits = s.limits or Limits(orders_max=40, order_notional_max=s.budget_atoms)
        limits = replace(limits, mode=ACTIVE, exit_masked=0)  # those of a program that has run may stand halted
        return tuple(_array(record) for record in (view, Position(), self.strategy.memory_type(), desk, limits))

    def result(self, desk: Any, fills: Columns, equity: Columns) -> Result:
        """What a run left; `equity` has its marks from the second row on."""
        s, i, t = self.settings, self.instrument, self.table
        left = {name: int(desk[name]) for name in desk.dtype.names if name != "refusals"}
        equity[0] = (self.tape.at_us[0], s.budget_atoms, 0, 0)
        realised, fees, funding = left["realised_atoms"], left["fees_atoms"], left["funding_atoms"]
        unrealised = left["equity_atoms"] - s.budget_atoms - realised + fees - funding
        prices = np.zeros(self.bars, PRICE)
        for name, column in zip(PRICE.names or (), self.tape[:5], strict=True):
            prices[name] = column
        refused = {"INSUFFICIENT_MARGIN": left["refused"]} if left["refused"] else {}
        notes = []
        if left["halted"]:
            notes.append(Note("backtest.note.halted", {"reason": REASONS[left["halted"]], "at": utc(left["halted_us"])}))
        if left["liquidations"]:
            notes.append(Note("backtest.note.liquidated", {"count": left["liquidations"]}))
        return Result(
            strategy=self.strategy.name, symbol=i.symbol, instrument=i, params=s.params, engine=KERNEL,
            fill_model=FILL_MODELS[s.rules.model], settings={}, source=s.source, start_us=int(self.tape.at_us[0]),
            end_us=int(self.tape.at_us[-1]) + t.every_us, events=self.bars, budget_atoms=s.budget_atoms, mark_ticks=left["price"],
            totals=Totals(realised, unrealised, fees, funding), fills=fills[: left["fills"]].copy(),
            equity=equity[: left["marks"] + 1], prices=prices, price_every_us=t.every_us,
            counters=Counters(left["placed"], left["cancelled"], refused, left["liquidations"]), notes=tuple(notes),
        )  # fmt: skip


def grid_of(strategy: Strategy, instrument: Instrument, every_us: int, mark_every: int) -> Grid:
    """What the loop must know of a market and of how a strategy reads it."""
    i = instrument
    return Grid(
        is_perp=int(i.is_perp), tick_lot_atoms=i.tick_lot_atoms, lot_atoms=i.lot_atoms, min_ticks=i.min_ticks, max_ticks=i.max_ticks,
        low_ppm=i.low_ppm, high_ppm=i.high_ppm, band_low_ppm=i.band_low_ppm, band_high_ppm=i.band_high_ppm, step_us=every_us // POINTS,
        reads_features=int(bool(FEATURES & names_of(strategy.targets))), mark_every=mark_every,
    )  # fmt: skip


def _extremes(low: Ints, high: Ints, size: int) -> tuple[Ints, Ints]:
    """Lowest and highest of every `size` bars; empty for 0."""
    if not size:
        return low[:0], high[:0]
    first = np.arange(0, len(low), size)
    return np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)


def _array(record: Any) -> Columns:
    array: Columns = np.zeros(1, dtype_of(type(record)))
    array[0] = as_row(record)
    return array
