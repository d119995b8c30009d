"""A backtest on a terminal, as a file to look at, and as JSON: the same figures three times."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lemon_trader.backtest.cycles import STILL_OPEN
from lemon_trader.backtest.metrics import PCT, Metrics, metrics
from lemon_trader.backtest.months import months
from lemon_trader.backtest.result import Result
from lemon_trader.backtest.tables import CYCLES_SHOWN, as_json, columns, cycle_cells, in_unit, moment, sections
from lemon_trader.cli.screen import print_table, print_text
from lemon_trader.config.errors import BadSetting
from lemon_trader.core.instrument import atoms_text
from lemon_trader.messages.catalogue import say

MONTHS_SHOWN: Final = 24


def show(results: Sequence[Result], *, html: Path | None = None) -> list[dict[str, Any]]:
    """Print runs of one strategy over one market side by side, and write the report where `html` says; each run for `--json`.

    Args:
        results: at least one; several are the same run under other fill models or queue models.
        html: where the report goes; it replaces a file that is there. None = no report.

    Raises:
        BadSetting: the report cannot be written.
    """
    judged = [metrics(r) for r in results]
    first = results[0]
    print_text(say("result.title", strategy=first.strategy, symbol=first.symbol, source=first.source))
    print_text(
        say(
            "result.span", start=moment(first.start_us), end=moment(first.end_us), events=first.events,
            budget=atoms_text(first.budget_atoms), quote=first.instrument.quote,
        )
    )  # fmt: skip
    heads = ("", *columns(results), "result.hold", "result.cash", "")
    for title, lines in sections(judged, first.instrument.quote):
        print()
        print_table(say(title), heads, [((line.label, {}), *line.cells, line.unit) for line in lines])
    _print_months(results)
    if judged[0].cycles:
        _print_cycles(first, judged[0])
    print()
    print_notes(results, judged)
    if html is not None:
        from lemon_trader.backtest.report import page

        write_page(page(results, judged), html)
    return [as_json(r, m) for r, m in zip(results, judged, strict=True)]


def write_page(text: str, path: Path) -> None:
    """Write a self-contained HTML file in place of what is there. Raises BadSetting."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadSetting("result.not-written", file=path, reason=error.strerror or error) from error
    print_text(say("result.written", file=path, kib=-(-len(text.encode()) // 1024)))


def print_notes(results: Sequence[Result], judged: Sequence[Metrics]) -> None:
    """What a reader of the figures must know, each once."""
    seen: set[tuple[str, str]] = set()
    for r in results:
        for note in r.notes:
            mark = (note.key, str(sorted(note.values.items())))
            if mark not in seen:
                seen.add(mark)
                print_text(say(note.key, **note.values))
    m = judged[0]
    print_text(say("result.returns-over", step=_step(m.step_us)) if m.step_us else say("result.too-short"))
    if any(not each.recovered for each in judged):
        print_text(say("result.not-recovered"))


def _step(step_us: int) -> tuple[str, dict[str, object]]:
    return ({86_400: "result.step-day", 3_600: "result.step-hour"}.get(step_us // 1_000_000, "result.step-minute"), {})


def _print_months(results: Sequence[Result]) -> None:
    played = [months(r) for r in results]
    if len(played[0]) < 2:
        return
    print()
    rows: list[Sequence[object]] = []
    for n in range(max(0, len(played[0]) - MONTHS_SHOWN), len(played[0])):
        cells, unit = in_unit([*(p[n].gain_pct for p in played), played[0][n].hold_pct], PCT, "")
        rows.append((played[0][n].month, *cells, unit))
    print_table(say("result.months"), ("", *columns(results), "result.hold", ""), rows)


def _print_cycles(r: Result, m: Metrics) -> None:
    print()
    heads = (
        "result.cycle", "result.cycle-start", "result.cycle-hours", "result.cycle-layers", "result.cycle-opened", "result.cycle-in",
        "result.cycle-out", "result.cycle-net", "result.cycle-ended",
    )  # fmt: skip
    chosen = sorted(sorted(range(len(m.cycles)), key=lambda n: m.cycles[n].net_atoms)[:CYCLES_SHOWN])
    rows: list[Sequence[object]] = [
        (*cycle_cells(m.cycles[n], r.instrument, n + 1), (f"result.ended-{m.cycles[n].ended}", {})) for n in chosen
    ]
    open_ones = sum(c.ended == STILL_OPEN for c in m.cycles)
    print_table(say("result.cycles", model=columns([r])[0], shown=len(rows), count=len(m.cycles), open=open_ones), heads, rows)
