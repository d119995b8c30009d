"""Start a run that trades, from whatever door it was asked for."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lemon_trader.cli.console import Console, is_attended
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.flags import Typed
from lemon_trader.config.errors import BadSetting, raise_all
from lemon_trader.config.resolve import Request, resolve
from lemon_trader.config.values import Doubt
from lemon_trader.messages.catalogue import say, speak, spoken


def request_of(typed: Typed, *, seed_door: bool = False) -> Request:
    """What was typed and what surrounds it, unchecked."""
    file = typed.flags.get("file")
    return Request(
        flags=typed.flags,
        flag_words=typed.flag_words,
        pairs=typed.words,
        environment=os.environ,
        file=None if file is None else Path(file),
        seed_door=seed_door,
        terminal=is_attended(),
        lang=spoken(),
    )


def start(typed: Typed, *, seed_door: bool = False) -> int:
    """Trade until the end; the exit code. Raises BadSetting before anything is sent."""
    request = request_of(typed, seed_door=seed_door)
    resolved = resolve(request, declarations())
    settings = resolved.settings
    speak(settings.lang)
    console = Console(yes=settings.yes, as_json=settings.json)
    if settings.keys is not None and typed.flags.get("secret_key"):
        console.say("keys.flag-seen")
    settle_doubts(resolved.doubts, console, as_written=bool(typed.flags.get("as_written")))
    check_writable(settings.store_dir)

    from lemon_trader.run.trading import run_trading

    code = run_trading(settings, console)
    console.finish()
    return code


def check_writable(folder: Path) -> None:
    """Make the mode's folder, and be sure that files can be made in it. Raises BadSetting."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadSetting("place.unwritable", place=folder, reason=error.strerror or type(error).__name__) from error


def settle_doubts(doubts: Sequence[Doubt], console: Console, *, as_written: bool) -> None:
    """Ask about every value that is probably not what was meant. Raises BadSetting where the answer is no, or nobody answers."""
    if as_written or not doubts:
        return
    if is_attended():
        for doubt in doubts:
            if not console.ask(doubt.key, **doubt.values):
                raise BadSetting("doubt.declined", name=doubt.values["name"])
        return
    raise_all([BadSetting("doubt.unanswered", question=say(d.key, **d.values)) for d in doubts])
