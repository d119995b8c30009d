"""The exchange's switches by their names: where the reference does not say what the exchange does, either answer can be tried."""

from collections.abc import Mapping
from typing import Final

import msgspec

from lemon_trader.matching.rules import Rules
from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.terms import sandbox_rules

_TABLES: Final = frozenset({"loans"})  # not one value but many: set in code alone
_KINDS: Final[Mapping[str, object]] = {
    field.name: field.type
    for kind in (Rules, Switches)
    for field in msgspec.structs.fields(kind)
    if field.name not in _TABLES
}  # fmt: skip
SWITCHES: Final = tuple(_KINDS)


class SwitchRefused(ValueError):
    """A switch does not take this value; the text says which it takes."""


def chosen(texts: Mapping[str, str]) -> tuple[Rules, Switches]:
    """The sandbox's rules and the edge's switches with these values, text by name; every name is one of `SWITCHES`.

    Raises:
        SwitchRefused: a value that its switch does not take.
    """
    rules, switches = sandbox_rules(), Switches()
    of_rules, of_switches = msgspec.structs.asdict(rules), msgspec.structs.asdict(switches)
    for name, text in texts.items():
        try:
            value = msgspec.convert(text, _KINDS[name], strict=False)
        except msgspec.ValidationError as error:
            raise SwitchRefused(f"{name} is {text[:60]!r}: {error}") from error
        (of_rules if name in of_rules else of_switches)[name] = value
    try:
        return Rules(**of_rules), Switches(**of_switches)
    except ValueError as error:
        raise SwitchRefused(str(error)) from error
