"""What a sweep plays: scenarios made of settings as a backtest makes its market, and a params record for each point of the space."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from lemon_trader.backtest.latency import Fixed
from lemon_trader.config.backtest import BacktestSettings
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.periods import moment_text
from lemon_trader.config.sweep import ScenarioWish, SweepSettings
from lemon_trader.config.values import parse
from lemon_trader.core.units import ATOMS_PER_UNIT
from lemon_trader.engine.startup import StartRefused
from lemon_trader.formulas.fill import bar_ask, bar_bid
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.recordings import BARS
from lemon_trader.optimize.evaluate import Scenario
from lemon_trader.optimize.figures import FIGURES, MORE_IS_BETTER, Objective, bounded
from lemon_trader.optimize.kernel import BarSettings
from lemon_trader.optimize.space import Dimension, Point, Space
from lemon_trader.optimize.study import Goal
from lemon_trader.run.backtest import Planner, fees_of, opened, symbol_of
from lemon_trader.run.backtest_data import Data, load
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market, StrategyRefused, Value

NO_MARKET_NAMED: Final = "recording.stranger"  # how a file of bars is refused that does not say whose they are
Build = Callable[[Scenario, Point], Any]  # a params record; None = these values cannot be built there


class Stage:
    """One scenario with everything it is made of.

    Attributes:
        settings: as a backtest of it would have them.
        data: its market.
        fees: (maker, taker), ppm.
        scenario: for the compiled loop.
    """

    def __init__(self, settings: BacktestSettings) -> None:
        """Load the data and make the market. Raises BadSetting."""
        self.settings = settings
        self.data = load(settings)
        if self.data.kind != BARS or self.data.bars is None:
            raise BadSetting("sweep.bars-only", data=self.data.name, kind=self.data.kind)
        self.fees = fees_of(settings, is_perp=self.data.instrument.is_perp)
        try:
            exchange, program = opened(settings, self.data, settings.fill_model, self.fees, Fixed())
            plan = Planner(settings, self.data)(program.state)
        except StartRefused as refused:
            raise BadSetting(refused.key, **refused.values) from refused
        except StrategyRefused as refused:
            raise BadSetting(refused.key, **refused.values) from refused
        self.scenario = Scenario(
            name_of(self.data),
            self.data.instrument,
            self.data.bars,
            BarSettings(
                exchange.rules, plan.budget_atoms, exchange.cash_atoms, program.market.limits, self.data.funding,
                day_loss_atoms=program.state.day_loss_max, drawdown_atoms=program.state.drawdown_max, source=self.data.name,
            ),
        )  # fmt: skip

    @property
    def budget(self) -> Decimal:
        """Quote that every set has."""
        return Decimal(self.scenario.settings.budget_atoms) / ATOMS_PER_UNIT

    def with_values(self, values: Mapping[str, Value]) -> BacktestSettings:
        """The settings of a backtest of one set."""
        pair = self.settings.pair
        return replace(self.settings, pair=replace(pair, values={**pair.values, **values}, budget=self.budget))


def stages_of(settings: SweepSettings) -> list[Stage]:
    """Every scenario of the sweep. Raises BadSetting."""
    return [Stage(_settings_of(settings, wish)) for wish in settings.scenarios]


def space_of(settings: SweepSettings) -> Space:
    """What is varied."""
    return Space(tuple(Dimension(axis.name, axis.levels, axis.is_ordered) for axis in settings.axes))


def goal_of(settings: SweepSettings) -> Goal:
    """What is wanted. Raises BadSetting for a figure that there is not."""
    for name in (*(name for name, _ in settings.objectives), *(name for name, _, _ in settings.constraints)):
        if name not in MORE_IS_BETTER:
            raise BadSetting("sweep.unknown-figure", name=name, figures=", ".join(FIGURES))
    return Goal(
        tuple(Objective(name, how == "max" if how else MORE_IS_BETTER[name]) for name, how in settings.objectives),
        tuple(bounded(name, str(bound), is_least=is_least) for name, is_least, bound in settings.constraints),
        settings.reducer,
    )


def builder(settings: SweepSettings, space: Space) -> Build:
    """What makes a params record of a point, for the market as a scenario's first bar finds it."""
    strategy = STRATEGIES[settings.base.pair.strategy]
    parsed = {
        p.name: [parse(p, level) for level in d.levels] for d in space.dimensions for p in strategy.parameters if p.name == d.name
    }  # fmt: skip
    base = settings.base.pair.values

    def build(scenario: Scenario, point: Point) -> Any:
        s = scenario.settings
        budget = Decimal(s.budget_atoms) / ATOMS_PER_UNIT
        values: dict[str, Value] = {
            **base,
            "budget": budget,
            **{d.name: parsed[d.name][level] for d, level in zip(space.dimensions, point, strict=True)},
        }
        market = Market(scenario.instrument, s.rules.maker_fee_ppm, s.rules.taker_fee_ppm, first_price(scenario))
        try:
            return strategy.build(values, market)
        except StrategyRefused:
            return None

    return build


def why_not(settings: SweepSettings, space: Space, stage: Stage, point: Point) -> BadSetting | None:
    """Why a strategy refuses a point in a scenario; None when it does not."""
    strategy = STRATEGIES[settings.base.pair.strategy]
    s = stage.scenario.settings
    values = {**settings.base.pair.values, "budget": stage.budget, **values_at(settings, space, point)}
    market = Market(stage.scenario.instrument, s.rules.maker_fee_ppm, s.rules.taker_fee_ppm, first_price(stage.scenario))
    try:
        strategy.build(values, market)
    except StrategyRefused as refused:
        return BadSetting(refused.key, **refused.values)
    return None


def values_at(settings: SweepSettings, space: Space, point: Point) -> dict[str, Value]:
    """The parameters' values at a point."""
    known = {p.name: p for p in STRATEGIES[settings.base.pair.strategy].parameters}
    return {name: parse(known[name], text) for name, text in space.texts(point).items()}


def first_price(scenario: Scenario) -> int:
    """The price by which a start values the market at the first bar that traded, ticks."""
    table = scenario.table
    price = int(table.open[int((table.lots > 0).argmax())])
    if scenario.instrument.is_perp:
        return price
    half = scenario.settings.rules.half_spread_ppm
    return (bar_bid(price, half) + bar_ask(price, half)) // 2


def name_of(data: Data) -> str:
    """A scenario's name: its market, where it comes from, its days."""
    assert data.bars is not None
    first, last = (moment_text(int(at))[:10] for at in data.bars.at_us[[0, -1]])
    return f"{data.instrument.symbol} {data.name} {first} – {last}"


def _settings_of(settings: SweepSettings, wish: ScenarioWish) -> BacktestSettings:
    base = settings.base
    symbol = wish.symbol or (base.pair.symbol if wish.data is None else _symbol_of(str(wish.data), settings.symbol))
    return replace(base, pair=replace(base.pair, symbol=symbol), data=wish.data, start_us=wish.start_us, end_us=wish.end_us)


def _symbol_of(data: str, named: str) -> str:
    """The file's own market; of a file that names none, the one of the sweep's words. Raises BadSetting where neither names one."""
    try:
        return symbol_of(data)
    except BadSetting as error:
        reason = error.values.get("reason")
        if named and isinstance(reason, RecordingError) and reason.key == NO_MARKET_NAMED:
            return named
        raise
