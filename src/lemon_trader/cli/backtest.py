"""`backtest STRATEGY SYMBOL`: one strategy over the past, by the very decisions that trade."""

from collections.abc import Sequence

from lemon_trader.cli.console import Console
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.doors import DONE
from lemon_trader.cli.flags import HELP, Group, Typed
from lemon_trader.cli.trade import request_of
from lemon_trader.config.backtest import BACKTEST_ONLY, BACKTEST_PARAMETERS, LIMIT_PARAMETERS, PAIR_PARAMETERS, resolve_backtest, words_of
from lemon_trader.messages.catalogue import speak


def backtest_groups() -> Sequence[Group]:
    """Its flags."""
    own = declarations()
    of_strategies = {p.name for parameters in own.values() for p in parameters}
    house = tuple(p for p in BACKTEST_PARAMETERS if p not in BACKTEST_ONLY)
    return [
        ("group.backtest", BACKTEST_ONLY),
        *((name, tuple(p for p in parameters if p.name != "duration")) for name, parameters in own.items()),
        ("group.pair", tuple(p for p in PAIR_PARAMETERS if p.name not in of_strategies)),
        ("group.limits", LIMIT_PARAMETERS),
        ("group.house", (*house, HELP)),
    ]


def backtest(typed: Typed) -> int:
    """Play, and show what came of it; the exit code. Raises BadSetting, StrategyRefused."""
    request = request_of(typed)
    _, symbol = words_of(request, declarations())

    from lemon_trader.cli.results import show
    from lemon_trader.run.backtest import run_backtest, symbol_of

    settings = resolve_backtest(request, declarations(), symbol=symbol or symbol_of(typed.flags.get("data")))
    speak(settings.lang)
    console = Console(as_json=settings.json)
    for doubt in settings.doubts:
        console.say(doubt.key, **doubt.values)
    if settings.calibrate is not None:
        from lemon_trader.run.backtest_queues import run_calibration

        run_calibration(settings, console)
        console.finish()
        return DONE
    results = run_backtest(settings, console)
    console.result({"runs": show(results, html=settings.report)})
    console.finish()
    return DONE
