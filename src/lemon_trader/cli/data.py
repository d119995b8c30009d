"""`data fetch`, `data import`, `data list`, `data check`: the market data that backtests and sweeps are run over."""

from collections.abc import Sequence

from lemon_trader.cli.console import Console
from lemon_trader.cli.flags import HELP, Group, Typed
from lemon_trader.cli.trade import request_of
from lemon_trader.config.data import (
    CHECK_PARAMETERS,
    FETCH_PARAMETERS,
    IMPORT_PARAMETERS,
    LIST_PARAMETERS,
    resolve_check,
    resolve_fetch,
    resolve_import,
    resolve_list,
)
from lemon_trader.messages.catalogue import speak


def groups_of(action: str) -> Sequence[Group]:
    """The flags of `data fetch` and the like."""
    parameters = {"fetch": FETCH_PARAMETERS, "import": IMPORT_PARAMETERS, "list": LIST_PARAMETERS, "check": CHECK_PARAMETERS}
    return [("group.data", (*parameters[action], HELP))]


def data(action: str, typed: Typed) -> int:
    """Carry the command out; its exit code. Raises BadSetting."""
    from lemon_trader.run import data as run

    request = request_of(typed)
    match action:
        case "fetch":
            fetch = resolve_fetch(request)
            console = _console(fetch.lang, as_json=fetch.json)
            code = run.run_fetch(fetch, console)
        case "import":
            wanted = resolve_import(request)
            console = _console(wanted.lang, as_json=wanted.json)
            code = run.run_import(wanted, console)
        case "list":
            look = resolve_list(request)
            console = _console(look.lang, as_json=look.json)
            code = run.run_list(look, console)
        case _:
            look = resolve_check(request)
            console = _console(look.lang, as_json=look.json)
            code = run.run_check(look, console)
    console.finish()
    return code


def _console(lang: str, *, as_json: bool) -> Console:
    speak(lang)
    return Console(as_json=as_json)
