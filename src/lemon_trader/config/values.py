"""From what a person typed to a checked value, by the kind of its parameter.

Hard bounds refuse. Sane bounds doubt: the value could be meant, but is more likely off by a hundred or a sign, so it is asked.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from lemon_trader.config.errors import BadSetting
from lemon_trader.core.instrument import GateError, decimal
from lemon_trader.strategies.parameter import Parameter, Value

TEXT_MAX: Final = 1024
SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION: Final = re.compile(r"(?:\d{1,9}[smhd]?)|(?:\d{1,9}d)?(?:\d{1,9}h)?(?:\d{1,9}m)?(?:\d{1,9}s)?", re.ASCII)
DURATION_PART: Final = re.compile(r"(\d+)([smhd]?)", re.ASCII)
TRUE: Final = frozenset({"true", "yes", "on", "1"})
FALSE: Final = frozenset({"false", "no", "off", "0"})
NOTHING: Final = frozenset({"", "auto", "none", "null", "off"})  # words for "derived or off", where a parameter has such a default
LEVELS: Final = ("on", "silent", "off")
LIST_MAX: Final = 4_096
ITEM: Final = re.compile(r"""(?:[^,"']|"[^"]*"|'[^']*'|["'])+""")  # up to a comma that no quotes hold
NUMBERS: Final = frozenset({"pct", "quote", "price", "qty", "number", "int"})


@dataclass(frozen=True, slots=True)
class Doubt:
    """A value within the hard bounds and outside the sane ones: a question to the reader, as a message id with its values."""

    key: str
    values: dict[str, object]


def parse(parameter: Parameter, raw: object) -> Value:
    """The value that `raw` spells for this parameter; None stands for "derived or off" where the default is so.

    Raises:
        BadSetting: not of the kind, or outside the hard bounds; the message names the nearest value that works.
    """
    if parameter.kind in {"list", "levels"}:
        return _list(parameter, raw) if parameter.kind == "list" else _levels(parameter, raw)
    text = _text(parameter, raw)
    if parameter.default is None and text.lower() in NOTHING:
        return None
    match parameter.kind:
        case "bool":
            return _bool(parameter, text)
        case "choice":
            return _choice(parameter, text)
        case "text":
            return text
        case "duration":
            seconds = _duration(parameter, text)
            _check_bounds(parameter, text, Decimal(seconds))
            return seconds
        case _:
            value = _number(parameter, text)
            if parameter.kind == "int" and value != int(value):
                raise BadSetting("setting.not-whole", name=parameter.flag, value=text)
            _check_bounds(parameter, text, value)
            return int(value) if parameter.kind == "int" else value


def default(parameter: Parameter) -> Value:
    """The parameter's default, parsed."""
    return None if parameter.default is None else parse(parameter, parameter.default)


def doubt(parameter: Parameter, value: Value, origin: str = "") -> Doubt | None:
    """The question to ask about a parsed value that is outside the sane bounds, with the value that was probably meant.

    `origin`: what to call the place it comes from; "" = the flag.
    """
    if value is None or isinstance(value, (bool, str)):
        return None
    number = Decimal(value)
    low, high = _bound(parameter, parameter.sane_low), _bound(parameter, parameter.sane_high)
    if (low is None or number >= low) and (high is None or number <= high):
        return None
    values: dict[str, object] = {"name": origin or parameter.flag, "value": show(parameter, value)}
    likely = _likely(parameter, number)
    if likely is None:
        return Doubt("doubt.unusual", values | {"low": parameter.sane_low or "-", "high": parameter.sane_high or "-"})
    return Doubt("doubt.meant", values | {"likely": show(parameter, likely)})


def show(parameter: Parameter, value: Value) -> str:
    """The value as a person would type it; of a secret only what kind of thing it is."""
    if value is None:
        return "none" if parameter.secret or parameter.kind == "list" else "auto"
    if parameter.secret:
        return ", ".join(masked(item) for item in items(str(value)))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return plain(value)
    if parameter.kind == "duration":
        return duration_text(int(value))
    return str(value)


def items(text: str) -> tuple[str, ...]:
    """The items of a list: what stands between commas that no quotes hold. Quotes are taken off where a comma is why they are there."""
    found = []
    for part in text.split("\n"):
        for match in ITEM.finditer(part):
            item = match.group().strip()
            if len(item) > 2 and item[0] in "\"'" and item.find(item[0], 1) == len(item) - 1 and "," in item:
                item = item[1:-1]
            if item:
                found.append(item)
    return tuple(found)


def masked(item: str) -> str:
    """What may be shown of an address or a command: its scheme, or its program."""
    scheme, separator, _ = item.partition("://")
    return f"{scheme}://***" if separator else f"{item.split(maxsplit=1)[0]} ***"


def plain(value: Decimal) -> str:
    """A decimal without exponent and without padding: 1E+2 is "100", 0.10 is "0.1"."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration_text(seconds: int) -> str:
    """Seconds in the largest unit that is exact: 3600 is "1h", 90 is "90s"."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % SECONDS[unit] == 0:
            return f"{seconds // SECONDS[unit]}{unit}"
    return f"{seconds}s"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be."""
    names = sorted(known)
    found = difflib.get_close_matches(word.lower(), [name.lower() for name in names], n=1)
    return next((name for name in names if name.lower() == found[0]), None) if found else None


def _text(parameter: Parameter, raw: object) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, (str, int, Decimal)):
        text = str(raw).strip()
        if len(text) <= TEXT_MAX and text.isprintable():
            return text
    raise BadSetting("setting.not-readable", name=parameter.flag, value="***" if parameter.secret else str(raw)[:40])


def _list(parameter: Parameter, raw: object) -> str | None:
    """The items in one text, so that `items` finds them again."""
    given = list(raw) if isinstance(raw, (list, tuple)) else [*items(raw)] if isinstance(raw, str) else [raw]
    if isinstance(raw, str) and raw.strip().lower() in NOTHING:
        return None
    words = []
    for item in given:
        if not isinstance(item, str) or not item.strip().isprintable() or len(item) > TEXT_MAX:
            raise BadSetting("setting.not-readable", name=parameter.flag, value="***" if parameter.secret else str(item)[:40])
        words.append(_quoted(parameter, item.strip()))
    text = ", ".join(words)
    if len(text) > LIST_MAX:
        raise BadSetting("setting.too-many", name=parameter.flag, most=LIST_MAX)
    return text or None


def _quoted(parameter: Parameter, item: str) -> str:
    if items(item) == (item,):
        return item
    quotes = next((q for q in "\"'" if q not in item), None)
    if quotes is None:
        raise BadSetting("setting.quotes", name=parameter.flag)
    return f"{quotes}{item}{quotes}"


def _levels(parameter: Parameter, raw: object) -> str | None:
    """`event=level` for each event that was named, in the order of the choices."""
    given: dict[str, object] = {}
    if isinstance(raw, str) and raw.strip().lower() in NOTHING - {"off"}:
        return None
    if isinstance(raw, str):
        for item in items(raw):
            event, equals, word = item.partition("=")
            if not equals:
                raise BadSetting("alerts.no-level", name=parameter.flag, value=item[:40])
            given[event.strip()] = word.strip()
    elif isinstance(raw, dict):
        given = raw
    else:
        raise BadSetting("alerts.no-level", name=parameter.flag, value=str(raw)[:40])
    for event, level in given.items():
        if event not in parameter.choices:
            likely = nearest(event, parameter.choices)
            known = ", ".join(parameter.choices)
            raise BadSetting("alerts.no-event", name=parameter.flag, value=event[:40], likely=likely or known)
        if not isinstance(level, bool) and str(level).lower() not in LEVELS:
            raise BadSetting("alerts.no-level", name=parameter.flag, value=f"{event}={level}"[:60])
    words = {
        event: (LEVELS[0] if level else LEVELS[2]) if isinstance(level, bool) else str(level).lower() for event, level in given.items()
    }
    return ", ".join(f"{event}={words[event]}" for event in parameter.choices if event in words) or None


def _bool(parameter: Parameter, text: str) -> bool:
    word = text.lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise BadSetting("setting.not-a-switch", name=parameter.flag, value=text)


def _choice(parameter: Parameter, text: str) -> str:
    for choice in parameter.choices:
        if text.lower() == choice.lower():
            return choice
    raise BadSetting("setting.not-a-choice", name=parameter.flag, value=text, choices=", ".join(parameter.choices))


def _duration(parameter: Parameter, text: str) -> int:
    if text and DURATION.fullmatch(text.lower()):
        return sum(int(count) * SECONDS[unit] for count, unit in DURATION_PART.findall(text.lower()))
    if re.fullmatch(r"-\d+[smhd]?", text):
        raise BadSetting("setting.below", name=parameter.flag, value=text, low=parameter.low or "0s")
    raise BadSetting("setting.not-a-duration", name=parameter.flag, value=text)


def _number(parameter: Parameter, text: str) -> Decimal:
    bare = text.removesuffix("%").rstrip() if parameter.kind == "pct" else text
    try:
        return decimal(bare.removeprefix("+"))
    except GateError as error:
        comma = bare.replace(",", ".") if bare.count(",") == 1 and "." not in bare else ""
        try:
            decimal(comma)
        except GateError:
            key = "setting.not-whole" if parameter.kind == "int" else "setting.not-a-number"
            raise BadSetting(key, name=parameter.flag, value=text) from error
        raise BadSetting("setting.comma", name=parameter.flag, value=text, likely=comma) from error


def _bound(parameter: Parameter, text: str | None) -> Decimal | None:
    if text is None:
        return None
    return Decimal(_duration(parameter, text)) if parameter.kind == "duration" else decimal(text)


def _check_bounds(parameter: Parameter, text: str, value: Decimal) -> None:
    low, high = _bound(parameter, parameter.low), _bound(parameter, parameter.high)
    if low is not None and value < low:
        likely = _likely(parameter, value)
        if likely is not None:
            raise BadSetting("setting.below.meant", name=parameter.flag, value=text, low=parameter.low, likely=show(parameter, likely))
        raise BadSetting("setting.below", name=parameter.flag, value=text, low=parameter.low)
    if high is not None and value > high:
        likely = _likely(parameter, value)
        if likely is not None:
            raise BadSetting("setting.above.meant", name=parameter.flag, value=text, high=parameter.high, likely=show(parameter, likely))
        raise BadSetting("setting.above", name=parameter.flag, value=text, high=parameter.high)


def _likely(parameter: Parameter, value: Decimal) -> Decimal | None:
    """What was probably meant by a percentage: without its sign, times a hundred (a fraction), or divided by it (basis points)."""
    if parameter.kind != "pct" or value == 0:
        return None
    size = abs(value)
    # A sign too many comes first. A stop of -0.33 means 33 %, as the seed writes it: 0.33 % is no stop that anybody wants, 33 % is.
    return next((likely for likely in (size, size * 100, size / 100) if likely != value and _is_sane(parameter, likely)), None)


def _is_sane(parameter: Parameter, value: Decimal) -> bool:
    low = _bound(parameter, parameter.sane_low) if parameter.sane_low is not None else _bound(parameter, parameter.low)
    high = _bound(parameter, parameter.sane_high) if parameter.sane_high is not None else _bound(parameter, parameter.high)
    return (low is None or value >= low) and (high is None or value <= high)
