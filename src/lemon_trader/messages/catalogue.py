"""`say(id, **values)`: the text of a message in the reader's language.

An id is stable and means the same in log, panel, report and web. A catalogue is a folder of gettext files, one for each part of the
program, read at first use. Whatever is put into a text is escaped: a symbol, an exchange's answer or a file's name cannot move a cursor,
break a line or turn the writing round.
"""

import string
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

LOCALES: Final = {"en": "en", "zh-TW": "zh_TW"}  # our name of a language → its catalogue
DEFAULT: Final = "en"
FOLDER: Final = Path(__file__).parent / "locales"
VARIABLE: Final = "LEMON_TRADER_LANG"
SYSTEM_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")  # strongest first, as POSIX reads them
UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, format (direction marks), surrogate, line separators

_FORMATTER: Final = string.Formatter()
_spoken = DEFAULT


def speak(language: str) -> None:
    """Let `say` answer in this language from now on. Raises KeyError for one that has no catalogue."""
    global _spoken  # noqa: PLW0603  one process speaks to one reader
    LOCALES[language]
    _spoken = language


def spoken() -> str:
    """The language that `say` answers in."""
    return _spoken


def say(key: str, /, **values: object) -> str:
    """The text of message `key` with its values, escaped. An id that no catalogue knows is shown with its values, never raised."""
    text = texts(_spoken).get(key)
    if text is None:
        return ": ".join((key, ", ".join(f"{name}={shown(value)}" for name, value in values.items()))) if values else key
    return text.format_map(_Shown(values))


def knows(key: str) -> bool:
    """True when `key` is a message."""
    return key in texts(_spoken)


def language_for(environment: Mapping[str, str], asked: str | None = None) -> str:
    """The reader's language: as asked (by flag), else LEMON_TRADER_LANG, else the system's locale, else English."""
    for word in (asked, environment.get(VARIABLE)):
        if word:
            return match(word) or DEFAULT
    # The first that is set decides, even where it names a language we do not have.
    system = next((environment[name] for name in SYSTEM_VARIABLES if environment.get(name)), "")
    return match(system) or DEFAULT


def match(word: str) -> str | None:
    """Our language for a locale name: `zh_TW.UTF-8`, `zh-Hant` and `zh` are zh-TW; None for one that we do not speak."""
    language = word.replace("_", "-").split(".")[0].split("@")[0].lower().split("-")[0]
    return {"zh": "zh-TW", "en": "en"}.get(language)


@cache
def texts(language: str) -> dict[str, str]:
    """Every message of a language by id."""
    from babel.messages.pofile import read_po  # noqa: PLC0415  a command that says nothing does not pay for it

    found: dict[str, str] = {}
    for path in sorted((FOLDER / LOCALES[language]).glob("*.po")):
        with path.open("rb") as file:
            catalogue = read_po(file, locale=LOCALES[language], abort_invalid=True)
        for message in catalogue:
            if message.id and message.string:
                assert message.id not in found, f"{path.name} says {message.id} again"
                found[str(message.id)] = str(message.string)
    return found


def placeholders(text: str) -> frozenset[str]:
    """The names that `text` wants values for."""
    return frozenset(name for _, name, _, _ in _FORMATTER.parse(text) if name is not None)


def shown(value: object) -> str:
    """A value as it stands in a text: numbers without exponent, `("id", {values})` as that message, nothing that a terminal would obey."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Mapping):
        return say(str(value[0]), **value[1])
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return escaped(str(value))


def escaped(text: str) -> str:
    r"""`text` with every control character, direction mark and line break spelled out, `\\x1b` and the like."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if unicodedata.category(c) not in UNSAFE else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text
    )


class _Shown(dict[str, object]):
    """The values of a message; a missing one shows its own name, because a screen with a gap beats a traceback in the night."""

    def __getitem__(self, name: str) -> str:
        return shown(super().__getitem__(name)) if name in self else f"{{{name}}}"
