"""`settings/panel_settings.json`: what the panel starts a strategy with. Loaded at start, saved at every change.

The first README's panel kept five settings of the market maker and a symbol at the top of that file, and they stand there still.
Every other setting stands under its strategy's name in `strategies`, or in `program`. What else the file holds is somebody's and is kept.
A file that cannot be believed is left as it is: the panel says why, goes on with the defaults and saves nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from lemon_trader.config.alerts import ALERTS
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE, LIMITS, MARKET, PAIR
from lemon_trader.config.resolve import Declarations, check_symbol
from lemon_trader.config.sources import refuse_unknown, variable_of
from lemon_trader.config.values import default, nearest, parse, show
from lemon_trader.env import Store
from lemon_trader.strategies.parameter import Parameter, StrategyRefused, Value

FILE: Final = "panel_settings.json"
KEPT: Final = "panel_settings.kept-{}.json"
VERSION: Final = 1
BYTES_MAX: Final = 1_000_000
INT_DIGITS: Final = 18  # what is longer than a machine's integer is kept as it was written

# Of the first README's panel: its names in the file, and the settings they are now.
SEED_KEYS: Final = {
    "base_spread_percentage": "spread", "order_quantity": "quantity", "max_orders": "max_orders", "duration": "duration",
    "interval": "interval",
}  # fmt: skip
SHORT: Final = {"base_spread": "spread", "spread": "spread", "quantity": "quantity"}
ALERT_NAMES: Final = frozenset(p.name for p in ALERTS)  # addresses are secrets, and this file holds none
ALIASES: Final = SEED_KEYS | SHORT
SYMBOL: Final = "default_symbol"
STRATEGY: Final = "strategy"
STRATEGIES: Final = "strategies"
PROGRAM: Final = "program"
VERSION_KEY: Final = "version"
# Where records lie is asked before the panel opens, and JSON is for programs.
NOT_HERE: Final = frozenset({"data_dir", "json"})
GENERAL: Final = tuple(p for p in (*LIMITS, *MARKET, *HOUSE) if p.name not in NOT_HERE)


@dataclass(frozen=True, slots=True)
class Place:
    """A setting and where it belongs: a strategy's name, or PROGRAM."""

    section: str
    parameter: Parameter


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that shall become `value`; drops: it shall be the default again, and leave the file."""

    place: Place
    value: Value
    drops: bool

    @property
    def key(self) -> tuple[str, str]:
        """Section and name."""
        return self.place.section, self.place.parameter.name


class PanelSettings:
    """The settings of one panel.

    Attributes:
        strategy, symbol: what `start` starts; symbol None = it must be named.
        problem: why the file is not believed and nothing is saved; None = it is.
        strangers: keys of the file that mean nothing here and are kept.
    """

    def __init__(
        self, store: Store | None, declarations: Declarations, check: Callable[[str, Mapping[str, Value]], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Nothing is read yet.

        Args:
            store: the folder of the file; None = nowhere to save.
            declarations: every strategy's parameters; the first is the one that the first README's file was about.
            check: raises StrategyRefused for a strategy's values that cannot work together.
            environment: of the process: what it sets is what a start would use where the file says nothing.
        """
        self.strategy = next(iter(declarations))
        self.symbol: str | None = None
        self.problem: BadSetting | None = None
        self.strangers: tuple[str, ...] = ()
        self._store = store
        self._declarations = declarations
        self._check = check
        self._environment = environment or {}
        self._saved: dict[tuple[str, str], Value] = {}
        self._given: dict[tuple[str, str], tuple[Value, str]] = {}

    @property
    def first(self) -> str:
        """The strategy whose settings stand at the top of the file."""
        return next(iter(self._declarations))

    def load(self) -> None:
        """Read the file; what is wrong with it becomes `problem`, and the defaults stand."""
        try:
            raw = self._read()
            found = self._interpret(raw)
            for strategy in self._declarations:
                self._check(strategy, self._values_of(strategy, found.values))
        except BadSetting as error:
            self.problem = error
        except StrategyRefused as error:
            self.problem = BadSetting(error.key, **error.values)
        else:
            self.problem = None
            self._saved, self.strategy, self.symbol, self.strangers = found.values, found.strategy, found.symbol, found.strangers

    def give(self, flags: Mapping[str, str], words: Mapping[str, str], which: Mapping[str, str]) -> None:
        """Take what the panel was opened with: it counts above the file. A symbol is saved, as the first README's panel did.

        Args:
            flags: settings by name, as text.
            words: the flag of each.
            which: `strategy` and `symbol`, where they were named.

        Raises:
            BadSetting: one of them cannot be.
        """
        self.strategy = self._strategy(which["strategy"]) if "strategy" in which else self.strategy
        if "symbol" in which:
            self.symbol = check_symbol(which["symbol"], words.get("symbol", SYMBOL))
            if self.problem is None and self._store is not None:
                self.choose(symbol=self.symbol)
        for name, text in flags.items():
            for section in (self.strategy, PROGRAM):
                p = self._parameters(section).get(name)
                if p is not None:
                    self._given[section, name] = (parse(p, text), words.get(name, p.flag))
                    break

    def find(self, word: str) -> Place:
        """The setting that `word` names, in whatever of its spellings; `martingale.budget` names a strategy's. Raises BadSetting."""
        head, dot, tail = word.partition(".")
        sections = [self._strategy(head)] if dot and nearest(head, self._declarations) else [self.strategy, PROGRAM, *self._declarations]
        name = (tail if dot else word).removeprefix("--").replace("-", "_").lower()
        for section in sections:
            known = self._parameters(section)
            if name in known:
                return Place(section, known[name])
        if name in ALIASES:
            return Place(self.first, self._parameters(self.first)[ALIASES[name]])
        if name in ALERT_NAMES:
            raise BadSetting("panel.alerts-elsewhere", name=name, variable=variable_of(name))
        raise refuse_unknown(word[:60], self.names(), FILE)

    def names(self) -> list[str]:
        """Every name that `set` takes."""
        own = {name for section in (*self._declarations, PROGRAM) for name in self._parameters(section)}
        return sorted(own | set(ALIASES) | {STRATEGY, SYMBOL, "symbol"})

    def rows(self) -> Iterator[tuple[Place, Value, str]]:
        """(setting, value, origin) of everything that a start would use; origin "" = the default."""
        for section in (self.strategy, PROGRAM):
            for p in self._parameters(section).values():
                key = (section, p.name)
                if key in self._given:
                    yield Place(section, p), *self._given[key]
                elif key in self._saved:
                    yield Place(section, p), self._saved[key], FILE
                elif text := self._environment.get(variable_of(p.name)):
                    yield Place(section, p), parse(p, text), variable_of(p.name)
                else:
                    yield Place(section, p), default(p), ""

    def flags(self) -> dict[str, str]:
        """What differs from the defaults, as flags by parameter name."""
        return {place.parameter.name: show(place.parameter, value) for place, value, origin in self.rows() if origin and value is not None}

    def flag_words(self) -> dict[str, str]:
        """The flag of each setting of `flags`."""
        return {place.parameter.name: place.parameter.flag for place, _, origin in self.rows() if origin}

    def arguments(self) -> list[str]:
        """The same as words of a command line."""
        found = []
        for place, value, origin in self.rows():
            p = place.parameter
            if not origin or value is None or value == default(p):
                continue
            if p.kind != "bool":
                found.append(f"{p.flag}={show(p, value)}")
            else:
                found.append(p.flag if value else f"--no-{p.flag.removeprefix('--')}")
        return found

    def change(self, words: Sequence[str]) -> list[Change]:
        """What `set NAME VALUE [NAME VALUE …]` asks for, checked together and not yet done. Raises BadSetting, StrategyRefused."""
        if not words or len(words) % 2:
            raise BadSetting("panel.set-usage")
        asked = []
        for word, text in zip(words[::2], words[1::2], strict=True):
            place = self.find(word)
            drops = text.lower() == "default"
            asked.append(Change(place, default(place.parameter) if drops else parse(place.parameter, text), drops))
        values = self._current() | {change.key: change.value for change in asked}
        for strategy in {change.place.section for change in asked} & set(self._declarations):
            self._check(strategy, self._values_of(strategy, values))
        return asked

    def keep(self, asked: Sequence[Change]) -> None:
        """Do what `change` gave back, and save it. Raises BadSetting when it could not be saved; it holds for this panel all the same."""
        for change in asked:
            self._given.pop(change.key, None)
            self._saved.pop(change.key, None)
            if not change.drops:
                self._saved[change.key] = change.value
        self._save(lambda raw: self._write(raw, [change.key for change in asked]))

    def choose(self, *, strategy: str | None = None, symbol: str | None = None) -> None:
        """Another strategy or symbol, saved. Raises BadSetting."""
        if strategy is not None:
            self.strategy = self._strategy(strategy)
            self._save(lambda raw: raw.__setitem__(STRATEGY, self.strategy))
        if symbol is not None:
            self.symbol = check_symbol(symbol, "symbol")
            self._save(lambda raw: raw.__setitem__(SYMBOL, self.symbol))

    def renew(self) -> str:
        """Put a file that is not believed aside and begin a new one with what holds now; the name it has now. Raises BadSetting."""
        assert self._store is not None
        try:
            taken = set(self._store.names())
            name = next(n for n in map(KEPT.format, range(1, 1_000)) if n not in taken)
            self._store.replace(name, self._store.read(FILE))
            self._store.replace(FILE, _encoded({VERSION_KEY: VERSION}))
        except OSError as error:
            raise BadSetting("panel.not-saved", file=FILE, reason=error.strerror or error) from error
        self.problem = None
        self._save(lambda raw: self._write(raw, list(self._saved)))
        return name

    # -- inside --

    def _parameters(self, section: str) -> dict[str, Parameter]:
        if section == PROGRAM:
            return {p.name: p for p in GENERAL}
        own = {p.name: p for p in self._declarations[section]}
        return own | {p.name: p for p in PAIR if p.name not in own}

    def _strategy(self, word: str) -> str:
        if word in self._declarations:
            return word
        likely = nearest(word, self._declarations)
        if likely is not None:
            raise BadSetting("pair.strategy-meant", name=STRATEGY, value=word[:60], likely=likely)
        raise BadSetting("pair.strategy", name=STRATEGY, value=word[:60], choices=", ".join(self._declarations))

    def _current(self) -> dict[tuple[str, str], Value]:
        return self._saved | {key: value for key, (value, _) in self._given.items()}

    def _values_of(self, strategy: str, values: Mapping[tuple[str, str], Value]) -> dict[str, Value]:
        return {p.name: values.get((strategy, p.name), default(p)) for p in self._declarations[strategy]}

    def _read(self) -> dict[str, Any]:
        if self._store is None:
            return {}
        try:
            text = self._store.read(FILE)
        except OSError as error:
            raise BadSetting("file.unreadable", file=FILE, reason=error.strerror or error) from error
        if len(text) > BYTES_MAX:
            raise BadSetting("file.too-large", file=FILE, bytes=BYTES_MAX)
        if not text:
            return {}
        try:
            raw = json.loads(
                text.decode("utf-8-sig"), parse_float=Decimal, parse_int=_whole, parse_constant=_no_number, object_pairs_hook=_once
            )
            _encoded(raw)
        except (ValueError, RecursionError) as error:
            raise BadSetting("panel.settings-broken", file=FILE, reason=str(error)[:200]) from error
        if not isinstance(raw, dict):
            raise BadSetting("panel.settings-broken", file=FILE, reason=type(raw).__name__)
        version = raw.get(VERSION_KEY, VERSION)
        if type(version) is not int or not 0 < version <= VERSION:
            raise BadSetting("panel.settings-version", file=FILE, version=str(version)[:20], known=VERSION)
        return raw

    def _interpret(self, raw: Mapping[str, Any]) -> "_Found":
        """What a file's content means. Raises BadSetting."""
        values: dict[tuple[str, str], Value] = {}
        said: dict[str, str] = {}
        strangers = [k for k in raw if k not in {*ALIASES, SYMBOL, STRATEGY, STRATEGIES, PROGRAM, VERSION_KEY}]
        for key, name in ALIASES.items():
            if key not in raw:
                continue
            p = self._parameters(self.first)[name]
            value = _parsed(p, raw[key], key)
            if values.setdefault((self.first, name), value) != value:
                raise BadSetting("panel.settings-contradict", file=FILE, one=said[name], other=key)
            said[name] = key
        tables = _table(raw, STRATEGIES)
        for section, table in (*((name, _table(tables, name)) for name in tables), (PROGRAM, _table(raw, PROGRAM))):
            known = self._parameters(section) if section == PROGRAM or section in self._declarations else {}
            for key, given in table.items():
                if key not in known:
                    strangers.append(f"{section}.{key}")
                    continue
                value = _parsed(known[key], given, f"{section}.{key}")
                if values.setdefault((section, key), value) != value:
                    raise BadSetting("panel.settings-contradict", file=FILE, one=said[key], other=f"{section}.{key}")
        strategy = self._strategy(str(raw.get(STRATEGY) or self.first))
        symbol = raw.get(SYMBOL)
        return _Found(values, strategy, None if symbol is None else check_symbol(str(symbol), SYMBOL), tuple(strangers))

    def _write(self, raw: dict[str, Any], keys: Sequence[tuple[str, str]]) -> None:
        for section, name in keys:
            table, word = _home(raw, section, name, self.first)
            if (section, name) in self._saved:
                table[word] = self._saved[section, name]
            else:
                table.pop(word, None)

    def _save(self, write: Callable[[dict[str, Any]], None]) -> None:
        if self.problem is not None or self._store is None:
            raise BadSetting("panel.only-here", file=FILE)
        raw = self._read()  # another panel may have written meanwhile: only what changed here is changed there
        raw.setdefault(VERSION_KEY, VERSION)
        write(raw)
        try:
            self._store.replace(FILE, _encoded(raw))
        except OSError as error:
            raise BadSetting("panel.not-saved", file=FILE, reason=error.strerror or error) from error


@dataclass(frozen=True, slots=True)
class _Found:
    values: dict[tuple[str, str], Value]
    strategy: str
    symbol: str | None
    strangers: tuple[str, ...]


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def _encoded(raw: object) -> bytes:
    return msgspec.json.format(_ENCODER.encode(raw), indent=2) + b"\n"


def _parsed(p: Parameter, raw: object, key: str) -> Value:
    try:
        return parse(p, "" if raw is None and p.default is None else raw)
    except BadSetting as error:
        raise BadSetting(error.key, **(error.values | {"name": f"{FILE}: {key}"})) from error


def _table(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = raw.get(name, {})
    if not isinstance(found, dict):
        raise BadSetting("panel.settings-broken", file=FILE, reason=name)
    return found


def _home(raw: dict[str, Any], section: str, name: str, first: str) -> tuple[dict[str, Any], str]:
    """The table of the file that this setting stands in, and its name there; other spellings of it are taken away."""
    if section == PROGRAM:
        return raw.setdefault(PROGRAM, {}), name
    seed = next((key for key, known in SEED_KEYS.items() if known == name), None) if section == first else None
    table: dict[str, Any] = raw.get(STRATEGIES, {}).get(section, {}) if seed else raw.setdefault(STRATEGIES, {}).setdefault(section, {})
    if seed is None:
        return table, name
    for alias in (key for key, known in ALIASES.items() if known == name and key != seed):
        raw.pop(alias, None)
    table.pop(name, None)
    return raw, seed


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(k for k, _ in pairs if sum(k == other for other, _ in pairs) > 1)
        raise ValueError(f"{twice[:40]!r} stands there twice")
    return found


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= INT_DIGITS else Decimal(digits)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")
