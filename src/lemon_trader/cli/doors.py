"""What every door of the command line does around its command: the reader's language, refusals in it, exit codes."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from lemon_trader.cli.screen import print_text
from lemon_trader.config.errors import BadSetting
from lemon_trader.core.instrument import GateError
from lemon_trader.messages.catalogue import language_for, say, speak
from lemon_trader.strategies.parameter import StrategyRefused

DONE: Final = 0
FAILED: Final = 1
REFUSED: Final = 2
INTERRUPTED: Final = 130


def answer(arguments: Sequence[str], environment: Mapping[str, str], command: Callable[[], int]) -> int:
    """Run `command` in the reader's language; what it refuses is said on standard error, and the exit code comes back."""
    speak(language_for(environment, _language_flag(arguments)))
    try:
        return command()
    except BadSetting as refused:
        for one in (refused, *refused.others):
            complain(one.key, one.values)
        return REFUSED
    except StrategyRefused as refused:
        complain(refused.key, refused.values)
        return REFUSED
    except GateError as refused:
        complain("refused.value", {"reason": str(refused)})
        return REFUSED
    except KeyboardInterrupt:
        complain("interrupted", {})
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone, as `| head` does. Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        complain("failed.system", {"place": error.filename or "-", "reason": error.strerror or type(error).__name__})
        return FAILED


def complain(key: str, values: Mapping[str, object]) -> None:
    """One refusal on standard error."""
    print_text(say("refused", text=say(key, **values)), stream=sys.stderr)


def _language_flag(arguments: Sequence[str]) -> str | None:
    """The value of `--lang`, before anything is parsed: refusals of the parser itself are in the reader's language too."""
    for i, word in enumerate(arguments):
        if word == "--lang":
            return arguments[i + 1] if i + 1 < len(arguments) else None
        if word.startswith("--lang="):
            return word.removeprefix("--lang=")
    return None
