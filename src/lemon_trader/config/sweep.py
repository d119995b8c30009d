"""Settings of `sweep`: what is varied, over which markets and periods, what is wanted, and how it is looked for.

They come from flags and from a study file; what a backtest assumes is declared there (`config/backtest.py`) and holds here too.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

from lemon_trader.config.backtest import (
    BACKTEST_PARAMETERS,
    LIMIT_PARAMETERS,
    PAIR_PARAMETERS,
    BacktestSettings,
    resolve_backtest,
    words_of,
)
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE
from lemon_trader.config.model import read
from lemon_trader.config.periods import period_us
from lemon_trader.config.resolve import SYMBOL, Declarations, Request, check_symbol
from lemon_trader.config.sources import Layers, read_toml, variable_of
from lemon_trader.config.values import items, nearest, parse, plain
from lemon_trader.strategies.parameter import Parameter, Value

SAMPLERS: Final = ("grid", "random", "sobol", "tpe", "cma-es", "nsga2", "nsga3")
REDUCERS: Final = ("worst", "mean")
NO_FORWARD: Final = "none"
FORWARD: Final = (NO_FORWARD, "anchored", "rolling")
RANGE: Final = ".."
LOG: Final = "log"
LEVELS: Final = 101  # of a range whose step nobody gave
LEVELS_MAX: Final = 10_001
DIGITS: Final = 4  # of a level that lies between two ends
STEPPED: Final = frozenset({"int", "duration"})
ORDERED: Final = frozenset({"pct", "quote", "price", "qty", "number", "int", "duration"})
BOUND: Final = re.compile(r"\s*([a-z_0-9]+)\s*(<=|>=)\s*(-?[0-9]+(?:\.[0-9]+)?)\s*")
GOAL: Final = re.compile(r"\s*([a-z_0-9]+)\s*(?::\s*(max|min)\s*)?")
LISTS: Final = frozenset({"vary", "scenario", "objective", "constraint"})
STUDIES: Final = "studies"
_DATA_DIR: Final = next(p for p in HOUSE if p.name == "data_dir")

SWEEP_ONLY: Final = (
    Parameter("study", "--study", "text", None, "help.study"),
    Parameter("vary", "--vary", "list", None, "help.vary"),
    Parameter("scenario", "--scenario", "list", None, "help.scenario"),
    Parameter("reduce", "--reduce", "choice", REDUCERS[0], "help.reduce", choices=REDUCERS),
    Parameter("sampler", "--sampler", "choice", "grid", "help.sampler", choices=SAMPLERS),
    Parameter("trials", "--trials", "int", "1000", "help.trials", low="1", high="100000000"),
    Parameter("batch", "--batch", "int", None, "help.batch", low="1", high="1000000"),
    Parameter("objective", "--objective", "list", "gain_pct", "help.objective"),
    Parameter("constraint", "--constraint", "list", None, "help.constraint"),
    Parameter("walk_forward", "--walk-forward", "choice", NO_FORWARD, "help.walk-forward", choices=FORWARD),
    Parameter("folds", "--folds", "int", "4", "help.folds", low="1", high="1000"),
    Parameter("train_parts", "--train-parts", "int", "2", "help.train-parts", low="1", high="100"),
    Parameter("best", "--best", "int", "3", "help.best", low="1", high="50"),
    Parameter("out", "--out", "text", None, "help.sweep-out"),
    Parameter("resume", "--resume", "bool", "false", "help.resume-study"),
    Parameter("cluster", "--cluster", "text", None, "help.cluster"),
    Parameter("memory_mib", "--memory-mib", "int", None, "help.memory-mib", low="64"),
)
SWEEP_NAMES: Final = frozenset(p.name for p in SWEEP_ONLY)


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter that varies: its values as text, in order; `is_ordered` where neighbours are alike."""

    name: str
    levels: tuple[str, ...]
    is_ordered: bool


@dataclass(frozen=True, slots=True)
class ScenarioWish:
    """A market and a period. A symbol of "" = the file's own; data of None = what is stored; no bound = None, µs UTC."""

    symbol: str
    data: Path | None
    start_us: int | None
    end_us: int | None


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """What to try.

    Attributes:
        base: everything that is not varied, as a backtest has it.
        symbol: the market that the words name, for files that name none; "" = nobody named one.
        axes: what is varied, at least one.
        scenarios: at least one.
        reducer: how they become one.
        sampler, trials, batch: who says what is tried, how much, how many at once (None = as suits the sampler).
        objectives: (figure, "max", "min" or "" for what is usual).
        constraints: (figure, whether it is a least, the bound).
        forward: NO_FORWARD, or how the windows to train in begin; folds, train_parts: how many, and how long beside a test.
        best: how many of the best are shown.
        out: folder of the study; is_resumed: go on with what is there.
        cluster: address of a Ray cluster; None = this process.
        memory_mib: what may be used; None = what is free.
        declaration: what was asked, for the study's own file.
    """

    base: BacktestSettings
    symbol: str
    axes: tuple[Axis, ...]
    scenarios: tuple[ScenarioWish, ...]
    reducer: str
    sampler: str
    trials: int
    batch: int | None
    objectives: tuple[tuple[str, str], ...]
    constraints: tuple[tuple[str, bool, Decimal], ...]
    forward: str
    folds: int
    train_parts: int
    best: int
    out: Path
    is_resumed: bool
    cluster: str | None
    memory_mib: int | None
    declaration: Mapping[str, Any]


def resolve_sweep(request: Request, declarations: Declarations) -> SweepSettings:
    """The settings, from words, flags, the study file, environment and defaults.

    Raises:
        BadSetting: nothing to vary, a parameter or a value that cannot be, a scenario, an objective or a bound that is none.
    """
    given = Layers(request.flags, request.environment, None, request.flag_words).find("study")
    file = None if given is None else Path(str(given.value))
    top = {} if file is None else read_toml(file)[1]
    request = _with_file(request, top, file, declarations)
    flags = Layers(request.flags, request.environment, None, request.flag_words).collect(SWEEP_NAMES)
    raw = {name: g.value for name, g in flags.items()}
    values = read("sweep", SWEEP_ONLY, raw, {name: g.origin for name, g in flags.items()})
    scenarios = tuple(map(_scenario, items(str(values["scenario"] or ""))))
    ours = {variable_of(name) for name in SWEEP_NAMES}
    strategy, symbol = words_of(request, declarations)
    named = symbol
    symbol = symbol or next((s.symbol for s in scenarios if s.symbol), "")
    base = resolve_backtest(
        replace(
            request,
            flags={name: value for name, value in request.flags.items() if name not in SWEEP_NAMES},
            environment={name: text for name, text in request.environment.items() if name not in ours},
        ),
        declarations,
        symbol=symbol or "SOL_USDC",
    )
    axes = tuple(_axis(text, strategy, declarations) for text in items(str(values["vary"] or "")))
    if not axes:
        raise BadSetting("sweep.nothing-varies", example="take_profit_pct=0.5..3..0.1")
    if twice := next((a.name for a in axes if sum(b.name == a.name for b in axes) > 1), None):
        raise BadSetting("sweep.varied-twice", name=twice)
    if not scenarios:
        scenarios = (ScenarioWish(symbol, base.data, base.start_us, base.end_us),)
    out = values["out"]
    folder = request.flags.get("data_dir") or request.environment.get(variable_of("data_dir")) or _DATA_DIR.default
    return SweepSettings(
        base=base,
        symbol=named,
        axes=axes,
        scenarios=scenarios,
        reducer=str(values["reduce"]),
        sampler=str(values["sampler"]),
        trials=cast("int", values["trials"]),
        batch=cast("int | None", values["batch"]),
        objectives=tuple(map(_objective, items(str(values["objective"])))),
        constraints=tuple(map(_constraint, items(str(values["constraint"] or "")))),
        forward=str(values["walk_forward"]),
        folds=cast("int", values["folds"]),
        train_parts=cast("int", values["train_parts"]),
        best=cast("int", values["best"]),
        out=Path(str(folder)) / STUDIES / f"{strategy}-{symbol or 'study'}" if out is None else Path(str(out)),
        is_resumed=bool(values["resume"]),
        cluster=None if values["cluster"] is None else str(values["cluster"]),
        memory_mib=cast("int | None", values["memory_mib"]),
        declaration=_declaration(values, base, axes),
    )


def levels_of(parameter: Parameter, text: str) -> tuple[str, ...]:
    """Every value that `text` spells: `4:6:8`, `0.5..3..0.1` (a step), `0.02..1..log`, `0.5..3` (a hundred steps).

    Raises:
        BadSetting: a value that the parameter refuses, a range that is none, too many values.
    """
    if RANGE not in text:
        levels = [_plain(parameter, part) for part in text.split(":")]
    elif parameter.kind not in ORDERED:
        raise BadSetting("sweep.no-range", name=parameter.name, value=text[:60])
    else:
        levels = _range(parameter, text)
    return tuple(dict.fromkeys(levels))


def _range(parameter: Parameter, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(RANGE)]
    if len(parts) not in {2, 3}:
        raise BadSetting("sweep.range", name=parameter.name, value=text[:60])
    low, high = (Decimal(str(parse(parameter, part))) for part in parts[:2])
    how = parts[2] if len(parts) == 3 else ""
    if low >= high or (how == LOG and low <= 0):
        raise BadSetting("sweep.range", name=parameter.name, value=text[:60])
    if how == LOG:
        found = [low * (high / low) ** (Decimal(k) / (LEVELS - 1)) for k in range(LEVELS)]
    elif how:
        # A step has no bounds of its own: a parameter that may not be 0.1 may still be varied by 0.1.
        step = Decimal(str(parse(_unbounded(parameter), how)))
        if step <= 0 or (high - low) / step >= LEVELS_MAX:
            raise BadSetting("sweep.range", name=parameter.name, value=text[:60])
        return [_plain(parameter, plain(low + k * step)) for k in range(int((high - low) / step) + 1)]
    else:
        found = [low + (high - low) * k / (LEVELS - 1) for k in range(LEVELS)]
    if parameter.kind in STEPPED:
        return [_plain(parameter, str(int(value.to_integral_value()))) for value in found]
    inner = [value.quantize(Decimal(1).scaleb(value.adjusted() - DIGITS + 1)) for value in found[1:-1]]
    return [_plain(parameter, plain(value)) for value in (low, *inner, high)]


def _axis(text: str, strategy: str, declarations: Declarations) -> Axis:
    name, equals, wanted = (part.strip() for part in text.partition("="))
    name = name.removeprefix("--").replace("-", "_")
    known = {p.name: p for p in declarations[strategy]}
    if not equals or not wanted:
        raise BadSetting("sweep.vary-form", value=text[:60])
    parameter = known.get(name)
    if parameter is None:
        raise BadSetting("sweep.unknown-parameter", name=name[:60], strategy=strategy, likely=nearest(name, known) or "-")
    return Axis(name, levels_of(parameter, wanted), parameter.kind in ORDERED)


def _plain(parameter: Parameter, text: str) -> str:
    """The value as it is typed, checked."""
    value = parse(parameter, text.strip())
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else plain(value) if isinstance(value, Decimal) else str(value)


def _unbounded(parameter: Parameter) -> Parameter:
    return Parameter(parameter.name, parameter.flag, parameter.kind, parameter.default, parameter.help)


def _scenario(text: str) -> ScenarioWish:
    what, at, span = text.rpartition("@")
    if not at or RANGE not in span:
        what, span = text, ""
    symbol, equals, data = (part.strip() for part in what.partition("="))
    if not equals:
        symbol, data = (symbol, "") if SYMBOL.fullmatch(symbol) else ("", symbol)
    if not symbol and not data:
        raise BadSetting("sweep.scenario", value=text[:80])
    start, _, end = span.partition(RANGE)
    start_us, end_us = period_us(start.strip() or None, end.strip() or None, names=("--scenario", "--scenario"))
    return ScenarioWish(check_symbol(symbol, "--scenario") if symbol else "", Path(data) if data else None, start_us, end_us)


def _objective(text: str) -> tuple[str, str]:
    match = GOAL.fullmatch(text)
    if match is None:
        raise BadSetting("sweep.objective", value=text[:60])
    return match[1], match[2] or ""


def _constraint(text: str) -> tuple[str, bool, Decimal]:
    match = BOUND.fullmatch(text)
    if match is None:
        raise BadSetting("sweep.constraint", value=text[:60])
    return match[1], match[2] == ">=", Decimal(match[3])


def _with_file(request: Request, top: Mapping[str, Any], file: Path | None, declarations: Declarations) -> Request:
    """The request with what the study file says where no flag says otherwise. Raises BadSetting for what is not known there."""
    if file is None:
        return request
    flags, words = dict(request.flags), list(request.pairs)
    if "strategy" in top and not words:
        words = [f"{top['strategy']}:{top['symbol']}" if "symbol" in top else str(top["strategy"])]
    own = declarations.get(words[0].partition(":")[0] if words else "", ())
    known = {p.name for p in (*BACKTEST_PARAMETERS, *SWEEP_ONLY, *LIMIT_PARAMETERS, *PAIR_PARAMETERS, *own)}
    for key, value in top.items():
        if key in {"strategy", "symbol"}:
            continue
        if key not in known:
            raise BadSetting("sweep.file-key", file=file, name=key[:60], likely=nearest(key, {*known, "strategy", "symbol"}) or "-")
        flags.setdefault(key, "\n".join(_texts(key, value)) if key in LISTS else _text(value))
    return replace(request, flags=flags, pairs=words, flag_words={**{k: f"{file}: {k}" for k in top}, **request.flag_words})


def _texts(key: str, value: Any) -> Sequence[str]:
    """The items of a list of the study file, each as a flag would say it."""
    if isinstance(value, Mapping):
        return [f"{name}={_levels(wanted)}" for name, wanted in value.items()]
    listed = value if isinstance(value, list) else [value]
    return [_wish(item) if key == "scenario" and isinstance(item, Mapping) else str(item) for item in listed]


def _levels(wanted: Any) -> str:
    if isinstance(wanted, list):
        return ":".join(_text(level) for level in wanted)
    if isinstance(wanted, Mapping):
        ends = [_text(wanted.get("low", "")), _text(wanted.get("high", ""))]
        how = [LOG] if wanted.get(LOG) else [_text(wanted["step"])] if "step" in wanted else []
        return RANGE.join([*ends, *how])
    return _text(wanted)


def _wish(item: Mapping[str, Any]) -> str:
    what = "=".join(str(item[name]) for name in ("symbol", "data") if name in item)
    if "start" not in item and "end" not in item:
        return what
    return f"{what}@{item.get('start', '')}{RANGE}{item.get('end', '')}"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _declaration(values: Mapping[str, Value], base: BacktestSettings, axes: Sequence[Axis]) -> dict[str, Any]:
    """What decides the figures of a study, and who is asked next; not how much of it, where, or how many are shown."""
    passing = {"study", "vary", "trials", "best", "out", "resume", "cluster", "memory_mib"}
    pair = base.pair
    return {
        "strategy": pair.strategy,
        "budget": str(pair.budget),
        "capital": str(base.capital),
        "values": {name: str(value) for name, value in sorted(pair.values.items())},
        "limits": str(base.limits),
        "fills": [base.fill_model, base.touch_ppm, base.share_ppm, base.half_spread_ppm, base.seed],
        "fees": [str(base.fee_tier), *map(str, base.fees_ppm)],
        "perpetual": [base.funding, str(base.leverage)],
        "vary": {axis.name: list(axis.levels) for axis in axes},
        **{name: str(value) for name, value in values.items() if name not in passing},
    }
