"""`record`: the real market onto a tape that the sandbox plays."""

from collections.abc import Sequence

from lemon_trader.cli.console import Console
from lemon_trader.cli.flags import HELP, Group, Typed
from lemon_trader.cli.trade import request_of
from lemon_trader.config.record import RECORD_PARAMETERS, resolve_record
from lemon_trader.messages.catalogue import speak


def record_groups() -> Sequence[Group]:
    """Its flags."""
    return [("group.record", (*RECORD_PARAMETERS, HELP))]


def record(typed: Typed) -> int:
    """Record until stopped. Raises BadSetting."""
    settings = resolve_record(request_of(typed))
    speak(settings.lang)
    console = Console(as_json=settings.json)

    from lemon_trader.run.record import run_record

    code = run_record(settings, console)
    console.finish()
    return code
