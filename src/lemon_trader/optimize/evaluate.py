"""Parameter sets in, figures out: the compiled loop over every scenario, in this process or on a cluster.

What cannot be built (a strategy refuses the values together) has no figures, in any scenario; that is not an error of a sweep.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from lemon_trader.backtest.result import Result
from lemon_trader.core.instrument import Instrument
from lemon_trader.market.tables import BarTable
from lemon_trader.optimize.figures import FIGURES, Floats, add_curve, quick_figures, step_returns
from lemon_trader.optimize.kernel import BarSettings, run_bars, run_many
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Strategy


class Scenario(msgspec.Struct, frozen=True, eq=False):
    """One market over one period.

    Attributes:
        name: for people.
        instrument, table: the market and its bars.
        settings: how they fill, what the strategy has.
    """

    name: str
    instrument: Instrument
    table: BarTable
    settings: BarSettings

    @property
    def start_us(self) -> int:
        """When its first bar opens, µs UTC."""
        return int(self.table.at_us[0])

    @property
    def end_us(self) -> int:
        """When its last bar has ended, µs UTC."""
        return int(self.table.at_us[-1]) + self.table.every_us

    def part(self, start_us: int, end_us: int) -> "Scenario":
        """The same market over a part of the period."""
        return msgspec.structs.replace(self, table=self.table.part(start_us, end_us))


class Evaluator(Protocol):
    """Who plays parameter sets."""

    def figures(self, scenario: Scenario, many: Sequence[Any], *, curved: bool) -> Floats:
        """A row of all figures for each params record; `curved` asks for those of the equity curve too."""

    def close(self) -> None:
        """Give back what it holds."""


class Local:
    """Plays in this process, on all cores."""

    def __init__(self, strategy: str) -> None:
        """Know the strategy by its name."""
        self._strategy = STRATEGIES[strategy]

    def figures(self, scenario: Scenario, many: Sequence[Any], *, curved: bool) -> Floats:
        """As `Evaluator` says."""
        return figures_of(self._strategy, scenario, many, curved=curved)

    def close(self) -> None:
        """There is nothing to give back."""


def figures_of(strategy: Strategy, scenario: Scenario, many: Sequence[Any], *, curved: bool, workers: int = 0) -> Floats:
    """A row of all figures for each params record, played on so many cores; 0 = all."""
    s = scenario
    summary = run_many(strategy, many, s.instrument, s.table, s.settings, workers=workers)
    rows = quick_figures(summary, s.settings.budget_atoms, s.end_us - s.start_us)
    if curved:
        for row, params, status in zip(rows, many, summary["status"].tolist(), strict=True):
            if status == 0:
                add_curve(row, run_bars(strategy, params, s.instrument, s.table, s.settings))
    return rows


def play(strategy: str, scenario: Scenario, params: Any) -> Result:
    """One run with everything that it leaves."""
    return run_bars(STRATEGIES[strategy], params, scenario.instrument, scenario.table, scenario.settings)


def returns_matrix(strategy: str, scenario: Scenario, many: Sequence[Any], step_us: int) -> Floats:
    """Returns of every params record: rows are steps, columns are records. A run whose equity was used up is left out."""
    found = [step_returns(play(strategy, scenario, params), step_us) for params in many]
    kept = [column for column in found if column is not None]
    return np.array(kept).T if kept else np.zeros((0, 0))


def all_figures(
    evaluator: Evaluator, scenarios: Sequence[Scenario], build: Callable[[Scenario, int], Any], count: int, *, curved: bool
) -> Floats:  # fmt: skip
    """Figures by (scenario, set, figure).

    Args:
        evaluator: who plays.
        scenarios: where.
        build: the params record of a scenario's set by its number; None = these values cannot be built there.
        count: of sets.
        curved: whether figures of the equity curve are wanted.
    """
    found = np.full((len(scenarios), count, len(FIGURES)), np.nan)
    for row, scenario in zip(found, scenarios, strict=True):
        made = [(k, build(scenario, k)) for k in range(count)]
        usable = [(k, params) for k, params in made if params is not None]
        if usable:
            row[[k for k, _ in usable]] = evaluator.figures(scenario, [params for _, params in usable], curved=curved)
    return found
