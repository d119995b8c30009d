"""The seed's two doors, `python run.py …` and `python main.py …`: its flags, its defaults, its order of what wins.

`--panel` before `--cli` before a direct run (`--symbol` with `--spread`, or with `--strategy`); with none of them `run.py` gives its hint
and `main.py` opens the menu. Only here does the presence of keys choose live. A first word that is no flag is a command of `lemon-trader`,
which so works in a clone where nothing but the requirements was installed; it means the same there as here.
"""

import os
import sys
from collections.abc import Sequence

from lemon_trader.cli.doors import DONE, answer
from lemon_trader.cli.flags import Typed, help_text, read_flags, trading_groups
from lemon_trader.cli.screen import columns_of, print_text
from lemon_trader.messages.catalogue import say


def main(door: str, arguments: Sequence[str]) -> int:
    """Run what the seed's grammar asks for; `door` is `run.py` or `main.py`. The exit code comes back."""
    return answer(arguments, os.environ, lambda: dispatch(door, arguments))


def dispatch(door: str, arguments: Sequence[str]) -> int:
    """Choose the face and hand over. Raises BadSetting."""
    if arguments and not arguments[0].startswith("-"):
        from lemon_trader.cli.app import dispatch as command

        return command(arguments)
    groups = trading_groups(faces=True)
    typed = read_flags(arguments, groups, words=False)
    flags = typed.flags
    if flags.get("help"):
        print(help_text(f"python {door} {say('help.flags')}", groups, columns_of(sys.stdout)))
        return DONE
    if flags.get("panel"):
        return _panel(typed)
    if flags.get("cli"):
        return _menu(typed)
    if is_direct_run(typed):
        from lemon_trader.cli.trade import start

        return start(typed, seed_door=True)
    if door == "main.py":
        return _menu(typed)
    print_text(say("seed.hint", door=door))
    return DONE


def is_direct_run(typed: Typed) -> bool:
    """True when the flags name what to trade: a symbol with the spread or a strategy, or a settings file."""
    flags = typed.flags
    return "file" in flags or ("symbol" in flags and ("spread" in flags or "strategy" in flags))


def _menu(typed: Typed) -> int:
    from lemon_trader.cli.app import dispatch as command
    from lemon_trader.cli.menu import menu

    return menu(typed, command, seed_door=True)


def _panel(typed: Typed) -> int:
    from lemon_trader.cli.app import flags_of
    from lemon_trader.cli.panel import panel

    return panel(typed, flags_of, seed_door=True)
