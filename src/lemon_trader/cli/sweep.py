"""`sweep STRATEGY SYMBOL --vary …`: many parameter sets over the past, the best few by the engine that trades."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from lemon_trader.cli.backtest import backtest_groups
from lemon_trader.cli.console import Console
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.doors import DONE
from lemon_trader.cli.flags import Group, Typed
from lemon_trader.cli.screen import print_table, print_text
from lemon_trader.cli.trade import request_of
from lemon_trader.config.periods import moment_text
from lemon_trader.config.sweep import SWEEP_ONLY, resolve_sweep
from lemon_trader.messages.catalogue import say, speak

SAY_S: Final = 10
NOT_OF_SWEEPS: Final = frozenset({"engine", "bounds", "calibrate"})  # flags of a backtest that mean nothing here


def sweep_groups() -> Sequence[Group]:
    """Its flags: its own, and those of a backtest."""
    rest = [(title, tuple(p for p in parameters if p.name not in NOT_OF_SWEEPS)) for title, parameters in backtest_groups()]
    return [("group.sweep", SWEEP_ONLY), *rest]


def sweep(typed: Typed) -> int:
    """Try, and show what was found; the exit code. Raises BadSetting."""
    settings = resolve_sweep(request_of(typed), declarations())
    speak(settings.base.lang)
    console = Console(as_json=settings.base.json)
    for doubt in settings.base.doubts:
        console.say(doubt.key, **doubt.values)

    from lemon_trader.run.sweep import run_sweep

    with _Bar() as bar:
        swept = run_sweep(settings, console, bar)
    console.result(show(swept))
    if settings.base.report is not None and swept.best:
        from lemon_trader.cli.results import write_page
        from lemon_trader.run.sweep_report import sweep_page

        write_page(sweep_page(swept), settings.base.report)
    console.finish()
    return DONE


def show(swept: Any) -> dict[str, Any]:
    """Print what a sweep found, and give it back for `--json`."""
    from lemon_trader.optimize.figures import FIGURES

    seconds = swept.elapsed_us // 1_000_000
    rate = swept.trials * len(swept.scenarios) * 1_000_000 // max(swept.elapsed_us, 1)
    print_text(say("sweep.done", trials=swept.trials, good=swept.good, scenarios=len(swept.scenarios), seconds=seconds, rate=rate))
    for name in swept.scenarios:
        print_text(say("sweep.scenario-line", name=name))
    if swept.trials and not swept.good:
        print_text(say("sweep.none-good"))
    names = list(dict.fromkeys((*swept.goal.names, "gain_pct", "drawdown_of_budget_pct", "fills")))
    if swept.best:
        varied = list(swept.best[0].texts)
        heads = ("sweep.rank", *varied, *names, "sweep.replay-net", "sweep.around", "sweep.agrees")
        rows: list[Sequence[object]] = [
            (
                c.rank, *c.texts.values(), *(_figure(c.together[FIGURES.index(name)]) for name in names),
                " / ".join(f"{100 * r.totals.net_atoms / r.budget_atoms:.3f}" for r in c.replayed), _around(c.around),
                ("sweep.yes" if all(c.agrees) else "sweep.no", {}),
            )
            for c in swept.best
        ]  # fmt: skip
        print()
        print_table(say("sweep.best", count=len(rows)), heads, rows)
        if not all(all(c.agrees) for c in swept.best):
            print_text(say("sweep.differ"))
    print()
    _print_luck(swept)
    if swept.forward is not None:
        _print_forward(swept.forward, names)
    print_text(say("sweep.kept", file=swept.results_file))
    return _json(swept)


def _print_luck(swept: Any) -> None:
    if swept.deflated is not None:
        print_text(say("sweep.deflated", pct=_figure(100 * swept.deflated), trials=swept.compared))
    if swept.overfitted is not None:
        print_text(say("sweep.overfitted", pct=_figure(100 * swept.overfitted), trials=swept.compared))
    if swept.deflated is None or swept.overfitted is None:
        print_text(say("sweep.luck-unknown"))


def _print_forward(forward: Any, names: Sequence[str]) -> None:
    rows: list[Sequence[object]] = []
    shown = [name for name in names if name in forward.folds[0]["inside"]]
    for number, fold in enumerate(forward.folds, 1):
        times = [moment_text(fold[key])[:16] for key in ("train_us", "test_us", "end_us")]
        pairs = [f"{_figure(fold['inside'][name])} → {_figure(fold['outside'][name])}" for name in shown]
        rows.append((number, *times, " ".join(f"{k}={v}" for k, v in fold["chosen"].items()), *pairs))
    heads = ("sweep.fold-number", "sweep.fold-train", "sweep.fold-test", "sweep.fold-end", "sweep.fold-chosen", *shown)
    print_table(say("sweep.forward"), heads, rows)
    for curve in forward.curves:
        print_text(
            say(
                "sweep.stitched", name=curve["scenario"], gain=_figure(curve["gain_pct"]), drawdown=_figure(curve["drawdown_worst_pct"]),
                sharpe=_figure(curve["sharpe"]), fills=curve["fills"],
            )
        )  # fmt: skip


def _around(around: dict[str, Any]) -> str:
    return f"{_figure(around['mean'])} / {_figure(around['worst'])}" if around else "-"


def _figure(value: Any) -> str:
    """Four digits that say something; a dash for what does not exist."""
    return "-" if value is None or value != value else f"{value:.4g}"  # noqa: PLR0124  only "not a number" differs from itself


def _plain(value: Any) -> Any:
    return None if value is None or value != value else value  # noqa: PLR0124


def _json(swept: Any) -> dict[str, Any]:
    from lemon_trader.optimize.figures import FIGURES

    def named(row: Any) -> dict[str, Any]:
        return {name: _plain(row[n].item()) for n, name in enumerate(FIGURES)}

    return {
        "scenarios": list(swept.scenarios),
        "trials": swept.trials,
        "good": swept.good,
        "elapsed_us": swept.elapsed_us,
        "best": [
            {
                "rank": c.rank, "values": c.texts, "figures": named(c.together), "by_scenario": [named(row) for row in c.figures],
                "replayed_net_atoms": [r.totals.net_atoms for r in c.replayed], "replayed_fills": [len(r.fills) for r in c.replayed],
                "agrees": list(c.agrees), "around": {k: _plain(v) for k, v in c.around.items()},
            }
            for c in swept.best
        ],
        "deflated_sharpe": swept.deflated,
        "overfitting": swept.overfitted,
        "compared": swept.compared,
        "forward": None if swept.forward is None else {"folds": list(swept.forward.folds), "curves": list(swept.forward.curves)},
        "file": swept.results_file,
    }  # fmt: skip


class _Bar:
    """How far a sweep has come: a bar on a terminal, a line now and then in a pipe; with the rate and the time left."""

    def __init__(self) -> None:
        self._said_s = time.monotonic()
        self._live: Any = None
        self._task: Any = None

    def __enter__(self) -> Callable[[int, int, int], None]:
        if sys.stdout.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._live = Progress(
                TextColumn(say("sweep.bar")), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn()
            )
            self._live.start()
            self._task = self._live.add_task("sweep", total=None, rate="")
        return self._told

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def _told(self, done: int, wanted: int, elapsed_us: int) -> None:
        rate = done * 1_000_000 // max(elapsed_us, 1)
        if self._live is not None:
            self._live.update(self._task, completed=done, total=wanted, rate=say("sweep.rate", rate=rate))
        elif time.monotonic() - self._said_s >= SAY_S:
            self._said_s = time.monotonic()
            left = (wanted - done) * elapsed_us // max(done, 1) // 1_000_000
            print_text(say("sweep.so-far", done=done, wanted=wanted, rate=rate, left=left), flush=True)
