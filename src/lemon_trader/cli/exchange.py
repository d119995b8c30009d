"""`sandbox` and `demo`: the exchange alone, and the minute that shows everything."""

from lemon_trader.cli.console import Console
from lemon_trader.cli.flags import Typed
from lemon_trader.cli.trade import request_of
from lemon_trader.config.sandbox import resolve_demo, resolve_sandbox
from lemon_trader.messages.catalogue import speak


def sandbox(typed: Typed) -> int:
    """Serve until stopped. Raises BadSetting."""
    settings = resolve_sandbox(request_of(typed))
    speak(settings.lang)
    console = Console()

    from lemon_trader.run.sandbox import run_sandbox

    return run_sandbox(settings, console)


def demo(typed: Typed) -> int:
    """Show quotes, fills, a cycle, a stop and a reconnect over loopback. Raises BadSetting."""
    settings = resolve_demo(request_of(typed))
    speak(settings.lang)
    console = Console(as_json=settings.json)

    from lemon_trader.run.demo import run_demo

    code = run_demo(settings, console)
    console.finish()
    return code
