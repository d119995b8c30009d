"""The command line's flags, made from the declarations: one grammar for the seed's doors, `run`, `plan` and `config`.

A flag carries text; what it means is decided in one place, `config/`, the same for environment and file.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from lemon_trader.cli.declared import declarations
from lemon_trader.config.alerts import ALERTS
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import ANSWERS, HOUSE, LIMITS, MARKET, PAIR
from lemon_trader.config.settings import MODES
from lemon_trader.config.sources import refuse_unknown
from lemon_trader.messages.catalogue import say
from lemon_trader.messages.width import width, wrap
from lemon_trader.strategies.parameter import Parameter

WHICH: Final = (
    Parameter("strategy", "--strategy", "text", None, "help.strategy"),
    Parameter("symbol", "--symbol", "text", None, "help.symbol"),
    Parameter("file", "--file", "text", None, "help.file"),
)
MODE_FLAGS: Final = tuple(Parameter(mode, f"--{mode}", "bool", None, f"help.{mode}") for mode in MODES)
KEYS: Final = (
    Parameter("api_key", "--api-key", "text", None, "help.api-key"),
    Parameter("secret_key", "--secret-key", "text", None, "help.secret-key"),
)
FACES: Final = (
    Parameter("cli", "--cli", "bool", None, "help.cli"),
    Parameter("panel", "--panel", "bool", None, "help.panel"),
)
HELP: Final = Parameter("help", "--help", "bool", None, "help.help")
FLAG_COLUMNS: Final = 34
OPERANDS: Final = {
    "pct": "%", "duration": "90s|5m|12h", "int": "N", "quote": "N", "qty": "N", "price": "N", "number": "N", "levels": "EVENT=LEVEL",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed: flags by parameter name (only those that were given), what each was called, and the words beside them."""

    flags: dict[str, str]
    flag_words: dict[str, str]
    words: tuple[str, ...]


Group = tuple[str, Sequence[Parameter]]  # title's message id (or a strategy's name), and its flags


def trading_groups(*, faces: bool = False) -> list[Group]:
    """Every flag of a run that trades, by what it belongs to; the seed's doors have their two faces besides."""
    own = declarations()
    of_strategies = {p.name for parameters in own.values() for p in parameters}
    return [
        ("group.which", (*WHICH, *MODE_FLAGS, *(FACES if faces else ()), *KEYS)),
        *((name, tuple(parameters)) for name, parameters in own.items()),
        ("group.pair", tuple(p for p in PAIR if p.name not in of_strategies)),
        ("group.limits", LIMITS),
        ("group.market", MARKET),
        ("group.alerts", ALERTS),
        ("group.house", (*HOUSE, *ANSWERS, HELP)),
    ]


def read_flags(arguments: Sequence[str], groups: Iterable[Group], *, words: bool) -> Typed:
    """What `arguments` say.

    Raises:
        BadSetting: an unknown flag (with the nearest one), a flag without its value, a stray word where `words` are not taken.
    """
    parser = _Parser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-h", dest="help", action="store_const", const="true")
    seen: dict[str, Parameter] = {}
    for _, parameters in groups:
        for p in parameters:
            if p.name in seen:
                assert seen[p.name].flag == p.flag, f"{p.name} is called {seen[p.name].flag} and {p.flag}"
                continue
            seen[p.name] = p
            if p.kind == "bool":
                parser.add_argument(p.flag, dest=p.name, action="store_const", const="true")
                if p.default is not None:
                    parser.add_argument(negative(p), dest=p.name, action="store_const", const="false")
            else:
                parser.add_argument(p.flag, dest=p.name, action="append" if p.kind == "list" or p.repeats else "store")
    parser.add_argument("words", nargs="*")
    try:
        found, strangers = parser.parse_known_intermixed_args(list(arguments))
    except argparse.ArgumentError as error:
        key = "flag.takes-no-value" if "explicit" in error.message else "flag.needs-value"
        raise BadSetting(key, name=error.argument_name) from error
    given = {name: value for name, value in vars(found).items() if name != "words" and value is not None}
    flags = {name: ("," if seen[name].repeats else "\n").join(value) if isinstance(value, list) else value for name, value in given.items()}
    if strangers:
        known = {p.flag for p in seen.values()} | {negative(p) for p in seen.values() if p.kind == "bool" and p.default is not None}
        raise refuse_unknown(strangers[0].split("=")[0], known, say("place.command-line"))
    if found.words and not words:
        raise BadSetting("flag.stray-word", value=found.words[0][:60])
    return Typed(flags, {name: seen[name].flag for name in flags}, tuple(found.words))


def help_text(usage: str, groups: Iterable[Group], columns: int) -> str:
    """The help page: usage, then each group's flags with what they do and what they are without being given."""
    lines = [f"{say('help.usage')} {usage}"]
    for title, parameters in groups:
        if not parameters:
            continue
        lines += ["", say(title) if title.startswith("group.") else say("group.strategy", strategy=title)]
        for p in parameters:
            lines += flag_lines(p, columns)
    return "\n".join(lines)


def negative(p: Parameter) -> str:
    """The flag that turns a switch off; help names it where the switch is on by default."""
    return f"--no-{p.flag.removeprefix('--')}"


def flag_lines(p: Parameter, columns: int) -> list[str]:
    """One flag's lines of a help page."""
    is_on = p.kind == "bool" and p.default == "true"
    head = f"  {negative(p)}" if is_on else f"  {p.flag}" if p.kind == "bool" else f"  {p.flag} {_operand(p)}"
    text = say("help.off", text=say(p.help)) if is_on else say(p.help)
    if p.default is not None and p.kind != "bool":
        text += " " + say("help.default", value=p.default)
    return two_columns(head, text, FLAG_COLUMNS, columns)


def two_columns(head: str, text: str, first: int, columns: int) -> list[str]:
    """`head` and beside it the wrapped `text`; a head that is too wide stands on its own line."""
    body = wrap(text, max(24, columns - first))
    indent = " " * first
    if width(head) >= first:
        return [head, *(indent + line for line in body)]
    return [head + " " * (first - width(head)) + body[0], *(indent + line for line in body[1:])]


def _operand(p: Parameter) -> str:
    if p.kind == "choice":
        return "|".join(p.choices)
    return OPERANDS.get(p.kind, "TEXT")


class _Parser(argparse.ArgumentParser):
    """argparse without its habit of printing and leaving by itself."""

    def error(self, message: str) -> NoReturn:
        raise BadSetting("flag.refused", reason=message)
