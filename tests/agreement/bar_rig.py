"""One draw of (strategy, parameters, bars, fill model) played by both carriers, and what must be equal between them."""

import random
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from lemon_trader.backtest.bar_exchange import BarExchange
from lemon_trader.backtest.bars import BarPlayer
from lemon_trader.backtest.gather import Gathered
from lemon_trader.backtest.program import Program
from lemon_trader.backtest.result import EQUITY, Result, check
from lemon_trader.config.settings import LimitSettings, PairSettings
from lemon_trader.core.instrument import Instrument
from lemon_trader.formulas.fill import FILL_MODELS, POINTS, FillRules
from lemon_trader.market.tables import BarTable, FundingTable
from lemon_trader.optimize.kernel import BarSettings, run_bars
from lemon_trader.run.parts import apply_limits, default_values, make_plan
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import StrategyRefused

QUOTE = 10**9
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Draw:
    """What is played.

    Attributes:
        capital: quote units of the account; more than the budget, or less of it on a perpetual.
        changed: parameters that are not at their default.
    """

    strategy: str
    instrument: Instrument
    table: BarTable
    rules: FillRules
    budget: int
    capital: int
    changed: dict[str, Any]
    funding: FundingTable | None = None
    limits: LimitSettings = LimitSettings()


def both(draw: Draw) -> tuple[Result, Result]:
    """(kernel, replay), each held against itself; raises StrategyRefused where the draw is no setting."""
    slow, _, program = replayed(draw)
    plan = program.plan
    assert plan is not None
    assumed = BarSettings(
        draw.rules, plan.budget_atoms, draw.capital * QUOTE, program.market.limits, draw.funding,
        day_loss_atoms=program.state.day_loss_max, drawdown_atoms=program.state.drawdown_max,
    )  # fmt: skip
    quick = run_bars(STRATEGIES[draw.strategy], plan.built, draw.instrument, draw.table, assumed)
    check(quick)
    check(slow)
    return quick, slow


def replayed(draw: Draw) -> tuple[Result, BarExchange, Program]:
    """The engine's run, its exchange and the program; what the exchange has must be what the program believes."""
    i, table = draw.instrument, draw.table
    pair = PairSettings(draw.strategy, i.symbol, default_values(draw.strategy, **draw.changed), budget=Decimal(draw.budget))
    exchange = BarExchange(i, draw.rules, draw.capital * QUOTE)

    def plan(state):
        made = make_plan(pair, state, i, draw.capital * QUOTE)
        apply_limits(state, draw.limits, [made])
        return made

    program = Program(i, exchange, plan, warm_up_us=0)
    first = int((table.lots > 0).argmax())
    at_us, price = int(table.at_us[first]), int(table.open[first])
    program.open(at_us, exchange.terms(at_us), lambda: exchange.opening(at_us, price), lambda: exchange.read(at_us))
    gathered = Gathered(program, table.every_us, has_mids=False)
    player = BarPlayer(exchange, gathered.turn, table, draw.funding)
    curve = []

    def keep(bar):
        closed_us = int(table.at_us[bar]) + 3 * (table.every_us // POINTS)
        curve.append((closed_us, net_of(program, exchange.price), program.market.ledger.base_atoms, program.market.ledger.cost_atoms))

    player.after_bar = keep
    played = player.play()
    result = gathered.result(
        end_us=int(table.at_us[-1]) + table.every_us, price_every_us=table.every_us, start_us=at_us, events=played,
        fill_model=FILL_MODELS[draw.rules.model], source="", settings={},
    )  # fmt: skip
    ledger = program.market.ledger
    assert exchange.base_atoms == ledger.base_atoms, "position of the exchange and of the books"
    assert exchange.cash_atoms == draw.capital * QUOTE + ledger.cash_atoms, "money of the exchange and of the books"
    told = {a.key for a in program.alerts} & {"alert.transfer", "alert.position_mismatch", "alert.order_missing", "alert.foreign_orders"}
    assert not told, f"the program found its account unexplained: {told}"
    return replace(result, equity=np.array(curve, EQUITY)), exchange, program


def net_of(program: Program, price: int) -> int:
    """Equity by the program's books at a price."""
    assert program.plan is not None
    return program.plan.budget_atoms + program.market.ledger.net_atoms(price)


def difference(quick: Result, slow: Result) -> str:
    """The first thing that differs, in words; "" = nothing does."""
    count = min(len(quick.fills), len(slow.fills))
    wrong = np.flatnonzero(quick.fills[:count] != slow.fills[:count])
    names = quick.fills.dtype.names or ()
    if len(wrong) or len(quick.fills) != len(slow.fills):
        at = int(wrong[0]) if len(wrong) else count
        rows = [dict(zip(names, r.fills[at].tolist(), strict=True)) if at < len(r.fills) else None for r in (quick, slow)]
        return f"fill {at + 1} of {len(quick.fills)} / {len(slow.fills)}:\n  kernel {rows[0]}\n  replay {rows[1]}"
    for name in ("totals", "mark_ticks", "base_atoms", "cost_atoms", "events"):
        if getattr(quick, name) != getattr(slow, name):
            return f"{name}: kernel {getattr(quick, name)}, replay {getattr(slow, name)}"
    counted = [(r.counters.placed, r.counters.cancelled, r.counters.liquidations) for r in (quick, slow)]
    if counted[0] != counted[1]:
        return f"placed, cancelled, liquidations: kernel {counted[0]}, replay {counted[1]}"
    return curve_difference(quick, slow)


def curve_difference(quick: Result, slow: Result) -> str:
    """Where the equity at the ends of bars differs. The kernel's first row stands before the first bar."""
    rows = quick.equity[1:]
    wrong = np.flatnonzero(rows != slow.equity) if len(rows) == len(slow.equity) else np.zeros(1, int)
    if not len(wrong):
        return ""
    at = int(wrong[0])
    return f"equity, row {at + 1} of {len(rows)} / {len(slow.equity)}: kernel {rows[at]}, replay {slow.equity[at]}"


def walk(chance: random.Random, instrument: Instrument, bars: int, start: int, every_us: int = 60_000_000) -> BarTable:
    """Bars of a price that wanders, jumps now and then, and stands still now and then; some have no volume."""
    price = start
    rows = []
    shake = chance.choice((0.0003, 0.001, 0.004))
    for k in range(bars):
        if chance.random() < 0.1:
            price = max(10, price + int(chance.gauss(0, price * shake * 4)))
        first = price
        prices = [first]
        for _ in range(6):
            price = max(10, price + int(chance.gauss(0, price * shake)))
            prices.append(price)
        lots = 0 if chance.random() < 0.03 else chance.randrange(1, 50_000)
        rows.append((1_700_000_040_000_000 + k * every_us, first, max(prices), min(prices), price, lots))
    columns = np.array(rows, np.int64).T
    return BarTable(instrument.symbol, every_us, *(np.ascontiguousarray(c) for c in columns))


def draw_of(chance: random.Random, strategy: str, instrument: Instrument, table: BarTable) -> Draw:
    """Parameters, fill model and account, drawn; perhaps no setting at all."""
    perp = instrument.is_perp
    maker, taker = chance.choice(((800, 1_000), (200, 500), (0, 0), (-50, 400)))
    rules = FillRules(
        model=chance.randrange(3), touch_ppm=chance.choice((200_000, 500_000, 900_000)), seed=chance.randrange(1, 10**6),
        share_ppm=chance.choice((0, 0, 2_000, 100_000)), half_spread_ppm=chance.choice((0, 0, 100, 1_000)),
        slippage_ppm=chance.choice((0, 200, 1_500)), maker_fee_ppm=maker, taker_fee_ppm=taker,
        imf_ppm=instrument.imf_ppm, mmf_ppm=instrument.mmf_ppm,
    )  # fmt: skip
    budget = chance.choice((400, 1_000, 5_000))
    capital = budget * chance.choice((1, 1, 3)) if not perp else max(20, budget // chance.choice((1, 1, 5, 30)))
    funding = None
    if perp and chance.random() < 0.7:
        ends = np.arange(int(table.at_us[0]) // HOUR_US * HOUR_US, int(table.at_us[-1]) + HOUR_US, HOUR_US, dtype=np.int64)
        rates = np.array([chance.randrange(-200_000, 400_000) for _ in ends], np.int64)
        funding = FundingTable(instrument.symbol, ends, rates)
    limits = LimitSettings(daily_loss_pct=Decimal(chance.choice((2, 10, 1_000))), drawdown_pct=Decimal(chance.choice((5, 20, 1_000))))
    changed = (ladder if strategy == "martingale" else quotes)(chance)
    return Draw(strategy, instrument, table, rules, budget, capital, changed, funding, limits)


def ladder(chance: random.Random) -> dict[str, Any]:
    """Parameters of a martingale."""
    return {
        "layers": chance.randrange(1, 8), "multiplier": Decimal(chance.choice(("1", "1.4", "2"))),
        "step_pct": Decimal(chance.choice(("0.2", "0.5", "1.5"))), "step_scale": Decimal(chance.choice(("1", "1.25"))),
        "resting": chance.randrange(1, 5), "take_profit_pct": Decimal(chance.choice(("0.2", "0.5", "1.2"))),
        "stop_loss_pct": Decimal(chance.choice(("1", "3", "8"))), "stop_by_layer": chance.random() < 0.5, "stop_inside_ladder": True,
        "entry": chance.choice(("offset", "market")), "entry_offset_pct": Decimal(chance.choice(("0", "0.1", "0.5"))),
        "entry_wait": chance.choice((1, 60, 600)), "entry_attempts": chance.randrange(4),
        "entry_fallback": chance.choice(("skip", "market")), "cooldown": chance.choice((0, 30, 600)),
        "pause_after_stop": chance.choice((0, 3_600)), "cycles": chance.choice((0, 0, 0, 3)),
    }  # fmt: skip


def quotes(chance: random.Random) -> dict[str, Any]:
    """Parameters of a market maker."""
    return {
        "spread": Decimal(chance.choice(("0.05", "0.2", "0.4", "1"))), "max_orders": chance.randrange(1, 6),
        "requote_pct": chance.choice((None, Decimal("0.02"), Decimal("0.3"))), "interval": chance.choice((1, 60, 600)),
        "rebalance": chance.choice(("off", "passive", "take")), "skew_pct": Decimal(chance.choice(("0", "50", "100"))),
        "volatility_factor": Decimal(chance.choice(("0", "1", "5"))), "pull_pause": chance.choice((0, 1, 60)),
        "rebalance_threshold_pct": Decimal(chance.choice(("5", "15"))),
    }  # fmt: skip


__all__ = ["Draw", "StrategyRefused", "both", "difference", "draw_of", "replayed", "walk"]
