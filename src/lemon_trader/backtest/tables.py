"""The figures of one or several runs as text: the same rows for terminal and HTML, and everything exact for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lemon_trader.backtest.cycles import Cycle
from lemon_trader.backtest.metrics import BP, COUNT, MONEY, PCT, RATIO, SECONDS, SECTIONS, UNITS, Metrics, Value
from lemon_trader.backtest.months import months
from lemon_trader.backtest.result import Result
from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import ATOMS_PER_UNIT, side_name
from lemon_trader.messages.catalogue import knows, say

Message = tuple[str, Mapping[str, object]]  # a message id with its values, as `messages.shown` takes it

# (at least so many seconds, seconds of one, how it is written): two of a unit before it is used, so that no digit is lost
DURATIONS: Final = ((2 * 86_400, 86_400, "d"), (2 * 3_600, 3_600, "h"), (2 * 60, 60, "min"), (0, 1, "s"))
DASH: Final = "-"
CYCLES_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: message id of its label, its text in each column, and its unit as text ("" = none)."""

    name: str
    label: str
    cells: tuple[str, ...]
    unit: str


def sections(judged: Sequence[Metrics], quote: str) -> list[tuple[str, list[Line]]]:
    """Each section's title (message id) with its lines; columns are the runs, then holding the first one's market, then cash.

    A figure that no run has is left out, and a section without any.
    """
    columns = [*(m.own for m in judged), judged[0].hold, judged[0].cash]
    found = []
    for section in SECTIONS:
        lines = [
            line(name, [column[name] for column in columns], quote)
            for name, _ in section.figures
            if any(m.own[name] is not None for m in judged)
        ]
        if lines:
            found.append((section.title, lines))
    return found


def columns(results: Sequence[Result]) -> list[str]:
    """What tells the runs apart, in the reader's language: the model of fills, and the engine where one model was played by two."""
    models = [say(f"model.{r.fill_model}") if knows(f"model.{r.fill_model}") else r.fill_model for r in results]
    return [f"{model} ({r.engine})" if models.count(model) > 1 else model for model, r in zip(models, results, strict=True)]


def line(name: str, values: Sequence[Value], quote: str) -> Line:
    """One figure's line: all its cells in one unit, with as many decimals as the smallest needs to say something."""
    unit = UNITS[name]
    texts, word = in_unit(values, unit, quote)
    return Line(name, f"figure.{name}", tuple(texts), word)


def in_unit(values: Sequence[Value], unit: str, quote: str) -> tuple[list[str], str]:
    """(the values as text, the word for their unit)."""
    known = [abs(v) for v in values if v is not None]
    largest = max(known, default=0)
    if unit == COUNT:
        return [DASH if v is None else f"{int(v)}" for v in values], ""
    if unit == SECONDS:
        _, one, word = next(row for row in DURATIONS if largest >= row[0])
        return [DASH if v is None else _plain(v / one, 0 if one == 1 else 1) for v in values], word
    if unit == MONEY:
        places = 2 if largest >= 100 * ATOMS_PER_UNIT else 4
        return [DASH if v is None else _plain(v / ATOMS_PER_UNIT, places) for v in values], quote
    places = 2 if largest >= 1 or unit == RATIO else 4
    return [DASH if v is None else _plain(v, places) for v in values], {PCT: "%", BP: "bp", RATIO: ""}[unit]


def cycle_cells(cycle: Cycle, instrument: Instrument, number: int) -> tuple[str, ...]:
    """One row of the table of cycles; what ended it is a message and stands beside it."""
    return (
        str(number),
        moment(cycle.start_us)[5:],
        _plain((cycle.end_us - cycle.start_us) / 3_600_000_000, 1),
        str(cycle.layers),
        _plain(cycle.bought_atoms / ATOMS_PER_UNIT, 2),
        price_text(cycle.average_in, instrument),
        price_text(cycle.average_out, instrument),
        _plain(cycle.net_atoms / ATOMS_PER_UNIT, 4),
    )


def price_text(average: int, instrument: Instrument) -> str:
    """Quote atoms per lot as a price with the grid's decimals and one more; a dash for none."""
    if not average:
        return DASH
    return (
        f"{average / instrument.tick_lot_atoms * instrument.tick_scale / 10**instrument.price_decimals:.{instrument.price_decimals + 1}f}"
    )


def moment(at_us: int) -> str:
    """A time, UTC, to the minute."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M")


def as_json(result: Result, judged: Metrics) -> dict[str, Any]:
    """Everything that the other faces show, exact: money as decimal text, times in µs, ratios as they were computed."""
    r, i = result, result.instrument
    return {
        "strategy": r.strategy,
        "symbol": r.symbol,
        "engine": r.engine,
        "fill_model": r.fill_model,
        "source": r.source,
        "start_us": r.start_us,
        "end_us": r.end_us,
        "events": r.events,
        "settings": dict(r.settings),
        "params": dict(r.params),
        "budget": atoms_text(r.budget_atoms),
        "totals": {
            "realised": atoms_text(r.totals.realised_atoms),
            "unrealised": atoms_text(r.totals.unrealised_atoms),
            "fees": atoms_text(r.totals.fees_atoms),
            "funding": atoms_text(r.totals.funding_atoms),
            "interest": atoms_text(r.totals.interest_atoms),
            "net": atoms_text(r.totals.net_atoms),
        },
        "position": {"base": atoms_text(r.base_atoms), "cost": atoms_text(r.cost_atoms), "mark": i.price_text(r.mark_ticks)},
        "figures": _figures(judged.own),
        "hold": _figures(judged.hold),
        "cash": _figures(judged.cash),
        "returns_over_s": judged.step_us // 1_000_000,
        "recovered": judged.recovered,
        "layer_counts": list(judged.layer_counts),
        "cycles": [
            {
                "generation": c.generation, "start_us": c.start_us, "end_us": c.end_us, "side": side_name(c.side), "layers": c.layers,
                "opened": atoms_text(c.bought_atoms), "realised": atoms_text(c.realised_atoms), "fees": atoms_text(c.fees_atoms),
                "funding": atoms_text(c.funding_atoms), "net": atoms_text(c.net_atoms), "ended": c.ended,
            }
            for c in judged.cycles
        ],
        "months": [
            {"month": m.month, "net": atoms_text(m.net_atoms), "gain_pct": m.gain_pct, "hold_pct": m.hold_pct, "fills": m.fills}
            for m in months(r)
        ],
        "refused": dict(r.counters.refused),
        "notes": [{"key": n.key, "values": {k: str(v) for k, v in n.values.items()}} for n in r.notes],
    }  # fmt: skip


def _figures(found: Mapping[str, Value]) -> dict[str, Any]:
    return {name: atoms_text(int(v)) if v is not None and UNITS[name] == MONEY else v for name, v in found.items()}


def _plain(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text
