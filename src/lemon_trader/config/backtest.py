"""Settings of `backtest`: one strategy over recorded or stored data, and everything that is assumed about fills, time and fees.

No keys, no mode: nothing is connected to. A strategy's own settings are those of a run, and so are the limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final, cast

from lemon_trader.config.data import FOLDER, INTERVALS, interval_s
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE, LIMITS, MARKET, PAIR
from lemon_trader.config.model import read
from lemon_trader.config.periods import period_us
from lemon_trader.config.resolve import Declarations, Request, check_symbol, preview
from lemon_trader.config.settings import LimitSettings, PairSettings
from lemon_trader.config.sources import Layers, variable_of
from lemon_trader.config.values import Doubt
from lemon_trader.strategies.parameter import Parameter, Value

KERNEL: Final = "kernel"
REPLAY: Final = "replay"
FILL_MODELS: Final = ("pessimistic", "touch", "probabilistic")
QUEUES: Final = ("pessimistic", "proportional", "probability", "optimistic")
PUBLISHED: Final = "published"
NONE: Final = "none"
TICK_DELAY_MS: Final = Decimal(25)  # one way, where the data is fine enough to see it and nobody said another
PERP_LEVERAGE: Final = Decimal(50)  # as far as any market's initial margin goes; the market's own may be less
US_PER_MS: Final = 1_000
PPM_PER_PCT: Final = 10_000

BACKTEST_ONLY: Final = (
    Parameter("symbol", "--symbol", "text", None, "help.symbol"),
    Parameter("data", "--data", "text", None, "help.backtest-data"),
    Parameter("start", "--start", "text", None, "help.backtest-start"),
    Parameter("end", "--end", "text", None, "help.backtest-end"),
    Parameter("interval_of_bars", "--interval-of-bars", "choice", "1m", "help.backtest-interval", choices=INTERVALS),
    Parameter("off_grid", "--off-grid", "choice", "refuse", "help.off-grid", choices=("refuse", "nearest")),
    Parameter("engine", "--engine", "choice", None, "help.backtest-engine", choices=(KERNEL, REPLAY)),
    Parameter("fill_model", "--fill-model", "choice", FILL_MODELS[0], "help.fill-model", choices=FILL_MODELS),
    Parameter("touch_fills_pct", "--touch-fills-pct", "pct", "50", "help.touch-fills-pct", low="0", high="100"),
    Parameter("volume_share_pct", "--volume-share-pct", "pct", "25", "help.volume-share-pct", low="0", high="100"),
    Parameter("half_spread_pct", "--half-spread-pct", "pct", "0", "help.half-spread-pct", low="0", high="5", sane_high="1"),
    Parameter("queue", "--queue", "choice", QUEUES[0], "help.queue", choices=QUEUES),
    Parameter("queue_power", "--queue-power", "int", "3", "help.queue-power", low="0", high="8"),
    Parameter("bounds", "--bounds", "bool", "true", "help.bounds"),
    Parameter("latency_ms", "--latency-ms", "number", None, "help.latency-ms", low="0", high="10000", sane_high="2000"),
    Parameter("answer_ms", "--answer-ms", "number", None, "help.answer-ms", low="0", high="10000", sane_high="2000"),
    Parameter("feed_ms", "--feed-ms", "number", None, "help.feed-ms", low="0", high="10000", sane_high="2000"),
    Parameter("latency_from", "--latency-from", "text", None, "help.latency-from"),
    Parameter("taker_delay_ms", "--taker-delay-ms", "number", "100", "help.taker-delay-ms", low="0", high="10000", sane_high="1000"),
    Parameter("fee_tier", "--fee-tier", "text", None, "help.backtest-fee-tier"),
    Parameter("maker_fee_pct", "--maker-fee-pct", "pct", None, "help.maker-fee-pct", low="-1", high="5", sane_low="-0.02", sane_high="0.2"),
    Parameter("taker_fee_pct", "--taker-fee-pct", "pct", None, "help.taker-fee-pct", low="-1", high="5", sane_low="0", sane_high="0.5"),
    Parameter("funding", "--funding", "text", PUBLISHED, "help.funding"),
    Parameter("leverage", "--leverage", "number", None, "help.leverage", low="1", high="50"),
    Parameter("capital", "--capital", "quote", None, "help.capital", low="1"),
    Parameter("calibrate", "--calibrate", "text", None, "help.calibrate"),
    Parameter("report", "--report", "text", None, "help.backtest-report"),
)
_SEED: Final = next(p for p in MARKET if p.name == "seed")
_HOUSE: Final = tuple(p for p in HOUSE if p.name in {"data_dir", "lang", "json"})
BACKTEST_PARAMETERS: Final = (*BACKTEST_ONLY, _SEED, *_HOUSE)
LIMIT_PARAMETERS: Final = tuple(p for p in LIMITS if p.name != "account_budget")
PAIR_PARAMETERS: Final = tuple(p for p in PAIR if p.name not in {"duration", "inventory"})  # it begins with quote alone


@dataclass(frozen=True, slots=True)
class Latency:
    """How long messages are under way, µs; `measured_in` names a file or store of measured times instead, "" = none.

    Attributes:
        entry_us, answer_us, feed_us: None = nobody said; the kind of data decides.
    """

    entry_us: int | None
    answer_us: int | None
    feed_us: int | None
    measured_in: str = ""


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """What to play, and how.

    Attributes:
        pair: the strategy with its values; its symbol is "" where the data shall say it.
        limits: bounds in the send path, as live.
        data: a file; None = the store of market data under `history`.
        start_us, end_us: the period, µs UTC; None = no bound.
        every_us: length of the stored bars that are wanted.
        to_nearest: prices off the grid are put on the nearest tick instead of refused.
        engine: KERNEL or REPLAY; "" = as the kind of data allows.
        fill_model: of bars; touch_ppm of PROBABILISTIC, share_ppm of the volume that may be ours, half_spread_ppm of the touch.
        queue, queue_power: of recorded books.
        bounds: play the other end of the fill models too.
        taker_delay_us: how long a taking order waits at the exchange.
        fee_tier: None = the first; fees_ppm: (maker, taker) instead of the tier's, None = the tier's.
        funding: PUBLISHED, NONE, or a file of rates.
        leverage_ppm: of a perpetual's account; None = the market's own margin.
        capital: quote that the account has; None = a thousand, or the budget where that is more. On a perpetual it may be less than the
            budget, which is leverage.
        calibrate: a store whose fills the queue models are compared with; None = not wanted.
        report: where the HTML page goes; None = nowhere.
    """

    pair: PairSettings
    limits: LimitSettings
    data: Path | None
    history: Path
    start_us: int | None
    end_us: int | None
    every_us: int
    to_nearest: bool
    engine: str
    fill_model: str
    touch_ppm: int
    share_ppm: int
    half_spread_ppm: int
    queue: str
    queue_power: int
    bounds: bool
    latency: Latency
    taker_delay_us: int
    fee_tier: str | None
    fees_ppm: tuple[int | None, int | None]
    funding: str
    leverage: Decimal | None
    capital: Decimal | None
    calibrate: Path | None
    report: Path | None
    seed: int
    lang: str
    json: bool
    doubts: tuple[Doubt, ...] = ()


def resolve_backtest(request: Request, declarations: Declarations, *, symbol: str) -> BacktestSettings:
    """The settings, from words, flags, environment, file and defaults.

    Args:
        request: its words are `STRATEGY`, `STRATEGY SYMBOL` or `STRATEGY:SYMBOL`.
        declarations: every strategy's parameters.
        symbol: the market where the words name none.

    Raises:
        BadSetting: with every refusal that was found.
    """
    strategy, named = words_of(request, declarations)
    given = Layers(request.flags, request.environment, None, request.flag_words).collect(p.name for p in BACKTEST_PARAMETERS)
    values = read("backtest", BACKTEST_PARAMETERS, {k: g.value for k, g in given.items()}, {k: g.origin for k, g in given.items()})
    ours = {variable_of(p.name) for p in BACKTEST_ONLY}
    found = preview(
        replace(
            request,
            pairs=(f"{strategy}:{named or symbol}",),
            environment={name: text for name, text in request.environment.items() if name not in ours},
        ),
        declarations,
    )
    house = found.house
    start_us, end_us = period_us(_text(values["start"]), _text(values["end"]))
    latency = _latency(values)
    if latency.measured_in and any(us is not None for us in (latency.entry_us, latency.answer_us, latency.feed_us)):
        raise BadSetting("backtest.latency-twice", name="--latency-from", other="--latency-ms, --answer-ms, --feed-ms")
    if values["fee_tier"] is not None and values["maker_fee_pct"] is not None and values["taker_fee_pct"] is not None:
        raise BadSetting("backtest.fees-twice", name="--fee-tier", other="--maker-fee-pct, --taker-fee-pct")
    pair = found.pairs[0]
    if pair.inventory:
        raise BadSetting("backtest.inventory", value=pair.inventory)
    capital = cast("Decimal | None", values["capital"])
    leverage = cast("Decimal | None", values["leverage"]) or (PERP_LEVERAGE if pair.symbol.endswith("_PERP") else Decimal(1))
    if values["leverage"] is not None and not pair.symbol.endswith("_PERP"):
        raise BadSetting("backtest.leverage-on-spot", value=values["leverage"], symbol=pair.symbol)
    if capital is not None and pair.budget is not None and capital * leverage < pair.budget:
        raise BadSetting("backtest.capital", value=capital, budget=pair.budget)
    return BacktestSettings(
        pair=pair,
        limits=LimitSettings(
            order_notional=cast("Decimal | None", house["max_order_notional"]),
            position_notional=cast("Decimal | None", house["max_position_notional"]),
            open_orders=cast("int", house["max_open_orders"]),
            daily_loss_pct=cast("Decimal", house["daily_loss_pct"]),
            drawdown_pct=cast("Decimal", house["drawdown_pct"]),
            slippage_pct=cast("Decimal", house["slippage_pct"]),
        ),
        data=_path(values["data"]),
        history=Path(str(values["data_dir"])) / FOLDER,
        start_us=start_us,
        end_us=end_us,
        every_us=interval_s(str(values["interval_of_bars"])) * 1_000_000,
        to_nearest=values["off_grid"] == "nearest",
        engine=str(values["engine"] or ""),
        fill_model=str(values["fill_model"]),
        touch_ppm=_ppm(values["touch_fills_pct"]),
        share_ppm=_ppm(values["volume_share_pct"]),
        half_spread_ppm=_ppm(values["half_spread_pct"]),
        queue=str(values["queue"]),
        queue_power=cast("int", values["queue_power"]),
        bounds=bool(values["bounds"]),
        latency=latency,
        taker_delay_us=_us(values["taker_delay_ms"]) or 0,
        fee_tier=_text(values["fee_tier"]),
        fees_ppm=(_ppm_or_none(values["maker_fee_pct"]), _ppm_or_none(values["taker_fee_pct"])),
        funding=str(values["funding"]),
        leverage=cast("Decimal | None", values["leverage"]),
        capital=capital,
        calibrate=_path(values["calibrate"]),
        report=_path(values["report"]),
        seed=cast("int", values["seed"]),
        lang=str(house["lang"] or request.lang),
        json=bool(house["json"]),
        doubts=found.doubts,
    )


def words_of(request: Request, declarations: Declarations) -> tuple[str, str]:
    """(strategy, symbol or "") of the words, the symbol of its flag too. Raises BadSetting."""
    words = list(request.pairs)
    if not words or len(words) > 2:
        raise BadSetting("backtest.words", example=f"{next(iter(declarations))} SOL_USDC")
    strategy, _, symbol = words[0].partition(":")
    if len(words) == 2:
        if symbol:
            raise BadSetting("backtest.words", example=f"{strategy} {symbol}")
        symbol = words[1]
    flag = str(request.flags.get("symbol") or "")
    if symbol and flag and symbol != flag:
        raise BadSetting("backtest.two-symbols", word=symbol, flag=flag)
    symbol = symbol or flag
    return strategy, check_symbol(symbol, " ".join(words)) if symbol else ""


def _latency(values: Mapping[str, Value]) -> Latency:
    entry = _us(values["latency_ms"])
    answer, feed = (_us(values[name]) for name in ("answer_ms", "feed_ms"))
    return Latency(entry, entry if answer is None else answer, entry if feed is None else feed, _text(values["latency_from"]) or "")


def _us(value: Value) -> int | None:
    return None if value is None else int(cast("Decimal", value) * US_PER_MS)


def _ppm(value: Value) -> int:
    return int(cast("Decimal", value) * PPM_PER_PCT)


def _ppm_or_none(value: Value) -> int | None:
    return None if value is None else _ppm(value)


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def _path(value: Value) -> Path | None:
    return None if value is None else Path(str(value))
