"""Where settings come from: flags before environment before file before default, each remembered with its origin."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.values import nearest

PREFIX: Final = "LEMON_TRADER_"
# The folder of recordings, which tests and research read; where compiled kernels are kept.
NOT_SETTINGS: Final = frozenset({"LEMON_TRADER_DATA", "LEMON_TRADER_KERNELS"})
FILE_BYTES_MAX: Final = 1_000_000
KEY_WORDS: Final = frozenset({"api_key", "secret_key", "backpack_key", "backpack_secret"})
PAIR_TABLE: Final = "pair"
FILE_VERSION: Final = 1  # of the file's shape; a file that names none has this one
HEADLINE: Final = re.compile(r"\s*\[(\[?)\s*([A-Za-z0-9_-]+)")
KEY: Final = re.compile(r"""\s*(?:(?P<bare>[A-Za-z0-9_-]+)|["'](?P<quoted>[^"']+)["'])\s*=""")


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it was written, and what to call the place where it stands."""

    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file, read and not yet checked: its top level, and its `[[pair]]` tables.

    Attributes:
        lines: where a key stands, by (number of its `[[pair]]` from 0, or -1 for the top level; key); "" is the pair's own headline.
    """

    path: Path
    top: Mapping[str, object] = field(default_factory=dict)
    pairs: Sequence[Mapping[str, object]] = ()
    lines: Mapping[tuple[int, str], int] = field(default_factory=dict)

    def place(self, table: Mapping[str, object], key: str) -> str:
        """Where a key of one of the tables stands, as editors take it: `lemon.toml:12`."""
        index = next((n for n, pair in enumerate(self.pairs) if pair is table), -1)
        line = self.lines.get((index, key))
        return str(self.path) if line is None else f"{self.path}:{line}"

    def place_of_pair(self, index: int) -> str:
        """Where a pair begins."""
        line = self.lines.get((index, ""))
        return f"{self.path}{'' if line is None else f':{line}'}: [[pair]] {index + 1}"


@dataclass(frozen=True, slots=True)
class Layers:
    """What was given, from the strongest layer to the weakest. Flags are keyed by parameter name; None = not given.

    Attributes:
        flag_words: what a person typed for a parameter name, `--spread` for `spread_pct`.
    """

    flags: Mapping[str, object]
    environment: Mapping[str, str]
    file: SettingsFile | None
    flag_words: Mapping[str, str]

    def find(self, name: str, pair: Mapping[str, object] | None = None) -> Given | None:
        """The strongest value given for `name`; `pair` is the `[[pair]]` table to ask before the file's top level."""
        if self.flags.get(name) is not None:
            return Given(self.flags[name], self.flag_words.get(name, name))
        variable = variable_of(name)
        if self.environment.get(variable):
            return Given(self.environment[variable], variable)
        if self.file is not None:
            for table in (pair or {}, self.file.top):
                if name in table:
                    return Given(table[name], f"{self.file.place(table, name)}: {name}")
        return None

    def collect(self, names: Iterable[str], pair: Mapping[str, object] | None = None) -> dict[str, Given]:
        """What was given for each of these names."""
        found = {name: self.find(name, pair) for name in names}
        return {name: given for name, given in found.items() if given is not None}


def variable_of(name: str) -> str:
    """The environment's name of a setting: `spread_pct` is LEMON_TRADER_SPREAD_PCT."""
    return PREFIX + name.upper()


def read_file(path: Path) -> SettingsFile:
    """The settings file at `path`.

    Raises:
        BadSetting: not readable, not TOML (with the line), holding keys, or of another shape.
    """
    text, top = read_toml(path)
    version = top.pop("version", FILE_VERSION)
    if version != FILE_VERSION or isinstance(version, bool):
        raise BadSetting("file.other-version", file=path, found=str(version)[:20], known=FILE_VERSION)
    pairs = top.pop(PAIR_TABLE, [])
    if not isinstance(pairs, list) or not all(isinstance(pair, dict) for pair in pairs):
        raise BadSetting("file.pair-shape", file=path)
    for table in (top, *pairs):
        for word in table:
            if word.lower() in KEY_WORDS:
                raise BadSetting("file.holds-keys", file=path, name=word)
    return SettingsFile(path, top, tuple(pairs), key_lines(text))


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """(text, tables) of a TOML file that a person wrote; decimal numbers stay decimal. Raises BadSetting."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BadSetting("file.unreadable", file=path, reason=error.strerror or type(error).__name__) from error
    if len(raw) > FILE_BYTES_MAX:
        raise BadSetting("file.too-large", file=path, bytes=FILE_BYTES_MAX)
    try:
        text = raw.decode("utf-8-sig")
        return text, tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSetting("file.not-toml", file=path, reason=str(error)[:200]) from error


def key_lines(text: str) -> dict[tuple[int, str], int]:
    """The line of each key of a settings file, for messages alone: `tomllib` keeps none. See `SettingsFile.lines`."""
    found: dict[tuple[int, str], int] = {}
    pair, inside = -1, True
    for number, line in enumerate(text.splitlines(), 1):
        if match := HEADLINE.match(line):
            double, name = match.groups()
            inside = bool(double) and name == PAIR_TABLE
            pair = pair + 1 if inside else pair
            found.setdefault((pair, "") if inside else (-1, name), number)
        elif inside and (match := KEY.match(line)):
            found.setdefault((pair, match["bare"] or match["quoted"]), number)
    return found


def refuse_unknown_variables(environment: Mapping[str, str], known: Iterable[str]) -> list[BadSetting]:
    """A refusal for each variable that has our prefix and no setting."""
    variables = {variable_of(name) for name in known}
    strangers = sorted(v for v in environment if v.startswith(PREFIX) and v not in variables and v not in NOT_SETTINGS)
    return [refuse_unknown(variable, variables, ("place.environment", {})) for variable in strangers]


def refuse_unknown_keys(file: SettingsFile, table: Mapping[str, object], known: Iterable[str]) -> list[BadSetting]:
    """A refusal for each key of a file's table that is no setting."""
    names = set(known)
    return [refuse_unknown(key, names, file.place(table, key)) for key in table if key not in names]


def refuse_unknown(word: str, known: Iterable[str], place: object) -> BadSetting:
    """The refusal of a name that is no setting, with the nearest that is."""
    likely = nearest(word, known)
    if likely is None:
        return BadSetting("setting.unknown", name=word, place=place)
    return BadSetting("setting.unknown.meant", name=word, place=place, likely=likely)
