"""From what was given to what a run gets: which mode, which pairs, every value checked, keys only where the mode is live."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Final, cast

from lemon_trader.config.alerts import ALERTS, alert_settings
from lemon_trader.config.budgets import share_budget
from lemon_trader.config.errors import BadSetting, raise_all
from lemon_trader.config.general import GENERAL, HOUSE, LANGUAGES, LIMITS, MARKET, MODE, PAIR, PAPER_BALANCE
from lemon_trader.config.keys import DOTENV, keys_are_present, keys_for_live
from lemon_trader.config.model import read
from lemon_trader.config.paper import paper_balances
from lemon_trader.config.settings import LIVE, MODES, SANDBOX, LimitSettings, MarketSettings, PairSettings, RunSettings
from lemon_trader.config.sources import (
    Given,
    Layers,
    SettingsFile,
    read_file,
    refuse_unknown_keys,
    refuse_unknown_variables,
)
from lemon_trader.config.values import Doubt, doubt, nearest
from lemon_trader.strategies.parameter import Parameter, Value

SYMBOL: Final = re.compile(r"[A-Z0-9]{1,20}_[A-Z0-9]{1,20}(_PERP)?", re.ASCII)
HOUSE_PARAMETERS: Final = (*LIMITS, *MARKET, *ALERTS, *HOUSE)
PAIR_WORDS: Final = ("strategy", "symbol")
PROXY: Final = re.compile(r"https?://[^\s@]+", re.ASCII)

Declarations = Mapping[str, Sequence[Parameter]]  # every strategy's parameters, by its name; the first is the default strategy


@dataclass(frozen=True, slots=True)
class Request:
    """What a door gathered, before anything is checked.

    Attributes:
        flags: by parameter name; besides the declared ones `api_key`, `secret_key`, `strategy`, `symbol`, `live`, `paper`, `sandbox`,
            `yes`, `as_written`. Absent and None are "not given".
        flag_words: what each was called on the command line.
        pairs: `STRATEGY:SYMBOL` words.
        environment: of the process.
        file: the settings file, where one was named.
        seed_door: the seed's own doors choose live from present keys; no other door does.
        terminal: somebody is there to answer.
        lang: the reader's language where no setting says it.
        dotenv: the one `.env` that may be opened.
    """

    flags: Mapping[str, object] = field(default_factory=dict)
    flag_words: Mapping[str, str] = field(default_factory=dict)
    pairs: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    seed_door: bool = False
    terminal: bool = False
    lang: str = LANGUAGES[0]
    dotenv: Path = DOTENV


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of `config show`: a value, and where it comes from ("" = the default)."""

    parameter: Parameter
    value: Value
    origin: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Everything checked that can be checked without a mode, without keys, and with nothing opened but the settings file.

    Attributes:
        pairs: what would trade; empty where nothing was named.
        house: the program's own values, by name.
        doubts: what ought to be asked.
        shown: every value with its origin, by section: "" is the program's, else `STRATEGY:SYMBOL`, or a strategy where no pair was named.
    """

    pairs: tuple[PairSettings, ...]
    house: Mapping[str, Value]
    doubts: tuple[Doubt, ...]
    shown: tuple[tuple[str, tuple[Setting, ...]], ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings of a run, and what ought to be asked about them before it."""

    settings: RunSettings
    doubts: tuple[Doubt, ...]


def resolve(request: Request, declarations: Declarations) -> Resolved:
    """Everything a run needs, checked as a whole.

    Raises:
        BadSetting: with every refusal that was found; nothing has been opened but the settings file, and `.env` where the mode is live.
    """
    layers = _layers(request)
    mode, reason = choose_mode(request, layers)
    if mode == LIVE and not request.terminal and not (request.flags.get("live") and request.flags.get("yes")):
        raise BadSetting("mode.live-needs-yes")
    found = _preview(request, layers, declarations)
    if not found.pairs:
        raise BadSetting("pair.none", example=f"{next(iter(declarations))}:SOL_USDC")
    house = found.house
    settings = RunSettings(
        mode=mode,
        mode_reason=reason,
        pairs=found.pairs,
        keys=keys_for_live(request.flags, request.environment, request.dotenv) if mode == LIVE else None,
        limits=LimitSettings(
            order_notional=_decimal(house["max_order_notional"]),
            position_notional=_decimal(house["max_position_notional"]),
            open_orders=cast("int", house["max_open_orders"]),
            daily_loss_pct=cast("Decimal", house["daily_loss_pct"]),
            drawdown_pct=cast("Decimal", house["drawdown_pct"]),
            slippage_pct=cast("Decimal", house["slippage_pct"]),
        ),
        market=market_settings(house),
        paper_balances=paper_balances(str(house["paper_balance"]), PAPER_BALANCE.flag),
        data_dir=Path(str(house["data_dir"])),
        lang=str(house["lang"] or request.lang),
        yes=bool(request.flags.get("yes")),
        keep=bool(house["keep"]),
        accept_fee_loss=bool(house["accept_fee_loss"]),
        unproven=bool(house["unproven"]),
        strict=house["durability"] == "strict",
        journal_days=cast("int", house["journal_days"]),
        ws_proxy=None if house["ws_proxy"] is None else str(house["ws_proxy"]),
        json=bool(house["json"]),
        alerts=alert_settings(house),
        watchdog=bool(house["watchdog"]),
        watchdog_after_s=cast("int", house["watchdog_after"]),
    )
    return Resolved(settings, found.doubts)


def preview(request: Request, declarations: Declarations) -> Preview:
    """What these flags, this environment and this file say, checked; no mode is chosen and no key is looked for. Raises BadSetting."""
    return _preview(request, _layers(request), declarations)


def _layers(request: Request) -> Layers:
    file = read_file(request.file) if request.file is not None else None
    return Layers(request.flags, request.environment, file, request.flag_words)


def _preview(request: Request, layers: Layers, declarations: Declarations) -> Preview:
    _refuse_unknown(layers, declarations)
    plans = _pairs(request, layers, declarations)
    if plans:
        _refuse_foreign_flags(layers, declarations, {strategy for strategy, _, _ in plans})
    house = _read("lemon_trader", HOUSE_PARAMETERS, layers)
    _check_proxy(house.values["ws_proxy"])
    paper_balances(str(house.values["paper_balance"]), PAPER_BALANCE.flag)
    alert_settings(house.values, {s.parameter.name: s.origin for s in house.shown})
    pairs = [_pair(strategy, symbol, table, layers, declarations) for strategy, symbol, table in plans]
    pairs = _within_account(pairs, _decimal(house.values["account_budget"]))
    parts = [(f"{pair.strategy}:{pair.symbol}", part) for pair, part in pairs]
    if not plans:
        parts = [(name, _read(name, _with_pair_settings(parameters), layers)) for name, parameters in declarations.items()]
    return Preview(
        pairs=tuple(pair for pair, _ in pairs),
        house=house.values,
        doubts=(*house.doubts, *(d for _, part in parts for d in part.doubts)),
        shown=(("", house.shown), *((name, part.shown) for name, part in parts)),
    )


def choose_mode(request: Request, layers: Layers) -> tuple[str, str]:
    """(mode, message id of why), by the rules of `Which venue`; "" where it was asked for by name.

    Raises:
        BadSetting: two modes at once, or keys without a mode at a door that does not choose live from keys.
    """
    asked = [mode for mode in MODES if request.flags.get(mode)]
    if len(asked) > 1:
        raise BadSetting("mode.many", modes=", ".join(f"--{mode}" for mode in asked))
    if asked:
        return asked[0], ""
    given = layers.find(MODE.name)
    if given is not None:
        return str(_one(MODE, given)), ""
    if not keys_are_present(request.flags, request.environment, request.dotenv):
        return SANDBOX, "mode.sandbox-without-keys"
    if request.seed_door:
        return LIVE, "mode.live-from-keys"
    raise BadSetting("mode.keys-without-mode")


def market_settings(values: Mapping[str, Value]) -> MarketSettings:
    """Where the simulated market comes from, out of checked values."""
    return MarketSettings(str(values["market"]), cast("int", values["seed"]), cast("Decimal", values["speed"]))


def check_symbol(text: str, origin: str) -> str:
    """The symbol, if it is spelled as the exchange spells symbols. Raises BadSetting with the likely spelling."""
    if SYMBOL.fullmatch(text):
        return text
    likely = re.sub(r"[-/ :.]+", "_", text.strip().upper())
    if SYMBOL.fullmatch(likely):
        raise BadSetting("pair.symbol-meant", name=origin, value=text, likely=likely)
    raise BadSetting("pair.symbol", name=origin, value=text[:60])


@dataclass(frozen=True, slots=True)
class _Part:
    """Values of one section with what ought to be asked and shown about them."""

    values: Mapping[str, Value]
    given: frozenset[str]
    doubts: tuple[Doubt, ...]
    shown: tuple[Setting, ...]


def _read(name: str, parameters: tuple[Parameter, ...], layers: Layers, table: Mapping[str, object] | None = None) -> _Part:
    given = layers.collect((p.name for p in parameters), table)
    origins = {key: value.origin for key, value in given.items()}
    values = read(name, parameters, {key: value.value for key, value in given.items()}, origins)
    doubts = (doubt(p, values[p.name], origins[p.name]) for p in parameters if p.name in given)
    shown = tuple(Setting(p, values[p.name], origins.get(p.name, "")) for p in parameters)
    return _Part(values, frozenset(given), tuple(d for d in doubts if d is not None), shown)


def _one(parameter: Parameter, given: Given) -> Value:
    return read(parameter.name, (parameter,), {parameter.name: given.value}, {parameter.name: given.origin})[parameter.name]


def _pair(
    strategy: str, symbol: str, table: Mapping[str, object], layers: Layers, declarations: Declarations
) -> tuple[PairSettings, _Part]:
    names = {p.name for p in declarations[strategy]}
    part = _read(strategy, _with_pair_settings(declarations[strategy]), layers, table)
    duration = part.values["duration"]
    pair = PairSettings(
        strategy=strategy,
        symbol=symbol,
        values={name: part.values[name] for name in names},
        given=part.given,
        budget=_decimal(part.values["budget"]),
        duration_s=None if duration is None else cast("int", duration),
        inventory=_decimal(part.values["inventory"]) or Decimal(0),
    )
    return pair, part


def _within_account(pairs: list[tuple[PairSettings, _Part]], account: Decimal | None) -> list[tuple[PairSettings, _Part]]:
    """The pairs with their budgets under the account's; what was shared out is shown with where it comes from."""
    if account is None or not pairs:
        return pairs
    budgets = share_budget(account, {f"{pair.strategy}:{pair.symbol}": pair.budget for pair, _ in pairs})
    found = []
    for pair, part in pairs:
        budget = budgets[f"{pair.strategy}:{pair.symbol}"]
        if pair.budget is None:
            shown = tuple(replace(s, value=budget, origin="account_budget") if s.parameter.name == "budget" else s for s in part.shown)
            part = replace(part, shown=shown)  # noqa: PLW2901  the same section with one value settled
        found.append((replace(pair, budget=budget), part))
    return found


def _with_pair_settings(own: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """A strategy's parameters and the general ones of a pair; where both have a name, the strategy's declaration stands."""
    names = {p.name for p in own}
    return (*own, *(p for p in PAIR if p.name not in names))


def _pairs(request: Request, layers: Layers, declarations: Declarations) -> list[tuple[str, str, Mapping[str, object]]]:
    """(strategy, symbol, its table of the file), from words, else flags and environment, else the file."""
    tables = layers.file.pairs if layers.file is not None else ()
    found: list[tuple[str, str, Mapping[str, object]]] = []
    if request.pairs:
        for word in request.pairs:
            strategy, colon, symbol = word.partition(":")
            if not colon:
                raise BadSetting("pair.word", value=word[:60], example=f"{next(iter(declarations))}:SOL_USDC")
            found.append((_strategy(strategy, word, declarations), check_symbol(symbol, word), {}))
        found = [(strategy, symbol, _table(tables, strategy, symbol)) for strategy, symbol, _ in found]
    elif (symbol_given := layers.find("symbol")) is not None:
        strategy_given = layers.find("strategy") or Given(next(iter(declarations)), "--strategy")
        strategy = _strategy(str(strategy_given.value), strategy_given.origin, declarations)
        symbol = check_symbol(str(symbol_given.value), symbol_given.origin)
        found.append((strategy, symbol, _table(tables, strategy, symbol)))
    else:
        for index, table in enumerate(tables):
            place = cast("SettingsFile", layers.file).place_of_pair(index)
            if missing := [word for word in PAIR_WORDS if word not in table]:
                raise BadSetting("pair.incomplete", place=place, missing=", ".join(missing))
            found.append((_strategy(str(table["strategy"]), place, declarations), check_symbol(str(table["symbol"]), place), table))
    symbols = [symbol for _, symbol, _ in found]
    if twice := sorted({symbol for symbol in symbols if symbols.count(symbol) > 1}):
        raise BadSetting("pair.symbol-twice", symbol=", ".join(twice))
    return found


def _table(tables: Sequence[Mapping[str, object]], strategy: str, symbol: str) -> Mapping[str, object]:
    return next((t for t in tables if t.get("strategy") == strategy and t.get("symbol") == symbol), {})


def _strategy(name: str, origin: str, declarations: Declarations) -> str:
    if name in declarations:
        return name
    likely = nearest(name, declarations)
    if likely is not None:
        raise BadSetting("pair.strategy-meant", name=origin, value=name[:60], likely=likely)
    raise BadSetting("pair.strategy", name=origin, value=name[:60], choices=", ".join(declarations))


def _refuse_unknown(layers: Layers, declarations: Declarations) -> None:
    of_strategies = {p.name for parameters in declarations.values() for p in parameters}
    top = {p.name for p in GENERAL} | of_strategies | set(PAIR_WORDS)
    refused = refuse_unknown_variables(layers.environment, top)
    if layers.file is not None:
        refused += refuse_unknown_keys(layers.file, layers.file.top, top)
        for table in layers.file.pairs:
            own = declarations.get(str(table.get("strategy")))
            # A strategy that does not exist is told by its own name, not by every parameter that it would have had.
            names = ({p.name for p in own} if own is not None else of_strategies) | {p.name for p in PAIR} | set(PAIR_WORDS)
            refused += refuse_unknown_keys(layers.file, table, names)
    raise_all(refused)


def _refuse_foreign_flags(layers: Layers, declarations: Declarations, chosen: set[str]) -> None:
    """A flag that belongs to a strategy which does not run is a mistake, not a wish."""
    owners: dict[str, list[str]] = {}
    for strategy, parameters in declarations.items():
        for p in parameters:
            owners.setdefault(p.name, []).append(strategy)
    general = {p.name for p in GENERAL}
    raise_all([
        BadSetting("setting.other-strategy", name=layers.flag_words.get(name, name), strategy=", ".join(strategies))
        for name, strategies in owners.items()
        if layers.flags.get(name) is not None and name not in general and not chosen & set(strategies)
    ])  # fmt: skip


def _check_proxy(value: Value) -> None:
    """A proxy's password would stand in logs and process lists, so an address with one is refused."""
    if value is not None and not PROXY.fullmatch(str(value)):
        raise BadSetting("setting.not-a-proxy")


def _decimal(value: Value) -> Decimal | None:
    return None if value is None else cast("Decimal", value)
