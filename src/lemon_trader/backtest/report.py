"""The report of a backtest or a sweep: one HTML file that needs no network and runs no script.

Charts are SVG, the style is in the page, and a policy in its head forbids loading anything. Every text is escaped, so that a file's name or
a parameter cannot become markup.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from lemon_trader.backtest.charts import (
    Surface,
    closer_span,
    drawdown_chart,
    equity_chart,
    layer_chart,
    price_chart,
    surface_chart,
)
from lemon_trader.backtest.metrics import PCT, Metrics
from lemon_trader.backtest.months import months
from lemon_trader.backtest.page_style import STYLE
from lemon_trader.backtest.result import Result
from lemon_trader.backtest.tables import Line, columns, cycle_cells, in_unit, moment, sections
from lemon_trader.core.instrument import atoms_text
from lemon_trader.messages.catalogue import say, spoken

CYCLES_WORST: Final = 60
CYCLES_LAST: Final = 140
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
CYCLE_HEADS: Final = (
    "result.cycle", "result.cycle-start", "result.cycle-hours", "result.cycle-layers", "result.cycle-opened", "result.cycle-in",
    "result.cycle-out", "result.cycle-net", "result.cycle-ended",
)  # fmt: skip


def page(results: Sequence[Result], judged: Sequence[Metrics], surfaces: Sequence[Surface] = ()) -> str:
    """The report of one strategy in one market under one or several models of fills, in the reader's language.

    Args:
        results: at least one; the first is drawn in detail.
        judged: `metrics` of each.
        surfaces: of a sweep that the runs are the best of.
    """
    first, best = results[0], judged[0]
    i = first.instrument
    title = say("result.title", strategy=first.strategy, symbol=first.symbol, source=first.source)
    body = [f"<h1>{escape(f'{first.strategy} · {first.symbol}')}</h1>", _paragraph(title), _paragraph(_span(first))]
    body += [_paragraph(text) for text in notes(results)]
    names = [*columns(results), say("result.hold"), say("result.cash")]
    for head, lines in sections(judged, i.quote):
        body.append(_section(say(head), _figure_table(lines, names)))
    equity, beside, drawdown = say("page.equity", quote=i.quote), say("page.beside-hold", quote=i.quote), say("page.drawdown")
    body.append(_section(equity, _legend(results, hold=False) + equity_chart(results, equity)))
    body.append(_section(drawdown, _legend(results, hold=False) + drawdown_chart(results, drawdown)))
    body.append(_section(beside, _legend(results) + equity_chart(results, beside, hold=True)))
    if len(first.prices):
        body.append(_section(say("page.price"), price_chart(first, say("page.price"))))
        span = closer_span(first, best)
        closer = say("page.worst-cycle" if best.cycles else "page.deepest", start=moment(span[0]), end=moment(span[1]))
        body.append(_section(closer, price_chart(first, closer, span)))
    if best.cycles:
        body.append(_section(say("page.layers"), layer_chart(first, best, say("page.layers")) + _layer_table(results, judged)))
        body.append(_section(say("page.cycles"), _cycle_table(first, best)))
    body.append(_section(say("result.months"), _month_table(results)))
    body += [_section(surface.title, surface_chart(surface)) for surface in surfaces]
    body.append(_section(say("page.assumed"), _details(results)))
    return (
        f'<!doctype html><html lang="{spoken()}"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def notes(results: Sequence[Result]) -> list[str]:
    """What a reader must know, each sentence once."""
    return list(dict.fromkeys(say(note.key, **note.values) for r in results for note in r.notes))


def _span(r: Result) -> str:
    return say(
        "result.span", start=moment(r.start_us), end=moment(r.end_us), events=r.events, budget=atoms_text(r.budget_atoms),
        quote=r.instrument.quote,
    )  # fmt: skip


def _section(title: str, inner: str) -> str:
    return f"<h2>{escape(title)}</h2><section>{inner}</section>"


def _paragraph(text: str) -> str:
    return f'<p class="soft">{escape(text)}</p>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], marks: Mapping[tuple[int, int], str] | None = None) -> str:
    """A table of texts; `marks` gives single cells a class."""
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    body = []
    for y, row in enumerate(rows):
        cells = []
        for x, cell in enumerate(row):
            name = (marks or {}).get((y, x))
            cells.append(f'<td class="{name}">{escape(cell)}</td>' if name else f"<td>{escape(cell)}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _figure_table(lines: Sequence[Line], names: Sequence[str]) -> str:
    return _table(["", *names, ""], [[say(line.label), *line.cells, line.unit] for line in lines])


def _legend(results: Sequence[Result], *, hold: bool = True) -> str:
    keys = [f'<span class="key own{n}"></span>{escape(name)}' for n, name in enumerate(columns(results))]
    if hold:
        keys.append(f'<span class="key hold"></span>{escape(say("result.hold"))}')
    return f"<p>{''.join(keys)}</p>"


def _month_table(results: Sequence[Result]) -> str:
    played = [months(r) for r in results]
    rows: list[list[str]] = []
    marks: dict[tuple[int, int], str] = {}
    for y, month in enumerate(played[0]):
        gains = [*(p[y].gain_pct for p in played), month.hold_pct]
        cells, unit = in_unit(gains, PCT, "")
        rows.append([month.month, *cells, unit, str(month.fills)])
        marks |= {(y, x + 1): "good" if gain > 0 else "bad" for x, gain in enumerate(gains) if gain}
    return _table(["", *columns(results), say("result.hold"), "", say("figure.fills")], rows, marks)


def _layer_table(results: Sequence[Result], judged: Sequence[Metrics]) -> str:
    most = max(len(m.layer_counts) for m in judged)
    rows = [[str(n + 1), *(str(m.layer_counts[n]) if n < len(m.layer_counts) else "-" for m in judged)] for n in range(most)]
    return _table([say("page.layers-used"), *columns(results)], rows)


def _cycle_table(r: Result, m: Metrics) -> str:
    order = sorted(range(len(m.cycles)), key=lambda n: m.cycles[n].net_atoms)
    shown = sorted({*order[:CYCLES_WORST], *range(len(m.cycles))[-CYCLES_LAST:]})
    rows: list[list[str]] = []
    marks: dict[tuple[int, int], str] = {}
    for y, n in enumerate(shown):
        cycle = m.cycles[n]
        rows.append([*cycle_cells(cycle, r.instrument, n + 1), say(f"result.ended-{cycle.ended}")])
        marks[y, 7] = "good" if cycle.net_atoms > 0 else "bad"
    said = "" if len(shown) == len(m.cycles) else _paragraph(say("page.cycles-shown", shown=len(shown), count=len(m.cycles)))
    return said + _table([say(h) for h in CYCLE_HEADS], rows, marks)


def _details(results: Sequence[Result]) -> str:
    first = results[0]
    settings = [[name, *(str(r.settings.get(name, "-")) for r in results)] for name in first.settings]
    params = [[name, value] for name, value in first.params.items()]
    return (
        _table([say("page.setting"), *columns(results)], settings)
        + f"<details><summary>{escape(say('page.params'))}</summary>{_table(['', ''], params)}</details>"
    )
