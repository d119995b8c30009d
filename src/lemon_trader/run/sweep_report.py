"""The HTML report of a sweep: the best set as a backtest's report, and the surfaces of everything that was tried."""

from pyarrow import parquet

from lemon_trader.backtest.charts import Surface
from lemon_trader.backtest.metrics import metrics
from lemon_trader.backtest.report import page
from lemon_trader.backtest.surfaces import surfaces
from lemon_trader.messages.catalogue import knows, say
from lemon_trader.run.sweep import Swept

VALUE = "value."
TOGETHER = "all."


def sweep_page(swept: Swept) -> str:
    """The page: of the best set's first market or period, replayed by the engine that trades. Needs at least one good set."""
    shown = swept.best[0].replayed[:1]
    return page(shown, [metrics(r) for r in shown], surfaces_of(swept))


def surfaces_of(swept: Swept) -> list[Surface]:
    """The first objective over each pair of the parameters that were varied, of every trial in the study's file."""
    goal = swept.goal.objectives[0]
    table = parquet.read_table(swept.results_file)
    names = [c.removeprefix(VALUE) for c in table.column_names if c.startswith(VALUE)]
    columns = [table.column(f"{VALUE}{name}").to_pylist() for name in names]
    trials = list(zip(*columns, strict=True))
    values = table.column(f"{TOGETHER}{goal.name}").to_pylist()
    unit = "%" if goal.name.endswith("_pct") else ""
    label = f"figure.{goal.name}"
    return surfaces(say(label) if knows(label) else goal.name, names, trials, values, unit=unit, lowest=not goal.is_high)
