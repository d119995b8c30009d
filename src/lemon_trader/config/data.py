"""Settings of `data fetch`, `import`, `list` and `check`. No keys: everything they read is public."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE
from lemon_trader.config.model import read
from lemon_trader.config.periods import period_us
from lemon_trader.config.record import ADDRESS, RECORD_ONLY
from lemon_trader.config.resolve import Request, check_symbol
from lemon_trader.config.sources import Layers
from lemon_trader.config.values import SECONDS, items
from lemon_trader.strategies.parameter import Parameter, Value

INTERVALS: Final = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
BARS: Final = "bars"
TRADES: Final = "trades"
FOLDER: Final = "history"  # under the data directory; market data belongs to no mode
OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})", re.ASCII)
_HOUSE: Final = {p.name: p for p in HOUSE}
_EVERYWHERE: Final = (_HOUSE["data_dir"], _HOUSE["lang"], _HOUSE["json"])
_REST_URL: Final = next(p for p in RECORD_ONLY if p.name == "rest_url")

FETCH_ONLY: Final = (
    Parameter("symbol", "--symbol", "list", None, "help.data-symbols"),
    Parameter("what", "--what", "choice", BARS, "help.data-what", choices=(BARS, TRADES)),
    Parameter("interval", "--interval", "choice", "1m", "help.data-interval", choices=INTERVALS),
    Parameter("start", "--start", "text", None, "help.data-start"),
    Parameter("end", "--end", "text", None, "help.data-end"),
)
FETCH_PARAMETERS: Final = (*FETCH_ONLY, _REST_URL, *_EVERYWHERE)
IMPORT_ONLY: Final = (
    Parameter("symbol", "--symbol", "text", None, "help.import-symbol"),
    Parameter("off_grid", "--off-grid", "choice", "refuse", "help.off-grid", choices=("refuse", "nearest")),
    Parameter("quote_volume", "--quote-volume", "bool", "false", "help.quote-volume"),
    Parameter("utc_offset", "--utc-offset", "text", "+00:00", "help.utc-offset"),
    Parameter("replace", "--replace", "bool", "false", "help.data-replace"),
)
IMPORT_PARAMETERS: Final = (*IMPORT_ONLY, *_EVERYWHERE)
LIST_PARAMETERS: Final = _EVERYWHERE
CHECK_ONLY: Final = (Parameter("symbol", "--symbol", "text", None, "help.check-symbol"),)
CHECK_PARAMETERS: Final = (*CHECK_ONLY, *_EVERYWHERE)
DATA_ONLY: Final = (*FETCH_ONLY, *(p for p in IMPORT_ONLY if p.name != "symbol"))  # for the table of all settings


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """What to fetch.

    Attributes:
        symbols: the markets, at least one, each once.
        what: BARS or TRADES.
        interval: of bars, one of `INTERVALS`.
        start_us, end_us: the period, µs UTC; an end of None = until now.
        rest_url: where the exchange is; "" = where it lives.
        folder: of the store.
    """

    symbols: tuple[str, ...]
    what: str
    interval: str
    start_us: int
    end_us: int | None
    rest_url: str
    folder: Path
    lang: str
    json: bool

    @property
    def every_s(self) -> int:
        """Length of a bar, seconds."""
        return interval_s(self.interval)


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What to import.

    Attributes:
        files: at least one.
        symbol: the market whose data they hold; None = as the table of known recordings says.
        to_nearest: prices off the grid are put on the nearest tick instead of refused.
        is_quote_volume: the bars' volume is in quote.
        offset_us: how far the file's clock is ahead of UTC, µs.
        replace: rows that differ from stored ones take their place.
        folder: of the store.
    """

    files: tuple[Path, ...]
    symbol: str | None
    to_nearest: bool
    is_quote_volume: bool
    offset_us: int
    replace: bool
    folder: Path
    lang: str
    json: bool


@dataclass(frozen=True, slots=True)
class LookSettings:
    """What to list or check: the files that are named, or what is stored under `folder` (of `symbol` alone, where it is given)."""

    files: tuple[Path, ...]
    symbol: str | None
    folder: Path
    lang: str
    json: bool


def interval_s(interval: str) -> int:
    """Seconds of an interval's name."""
    return int(interval[:-1]) * SECONDS[interval[-1]]


def resolve_fetch(request: Request) -> FetchSettings:
    """The settings, from flags, environment and defaults. Raises BadSetting: no market, no start, an empty period, no address."""
    values, origins = _values("data fetch", FETCH_PARAMETERS, request)
    named = (*request.pairs, *items(str(values["symbol"] or "")))
    symbols = tuple(dict.fromkeys(check_symbol(s, origins.get("symbol", "--symbol")) for s in named))
    if not symbols:
        raise BadSetting("data.no-symbol")
    start_us, end_us = period_us(_text(values["start"]), _text(values["end"]))
    if start_us is None:
        raise BadSetting("data.no-start")
    rest_url = _text(values["rest_url"]) or ""
    if rest_url and not ADDRESS["rest_url"].fullmatch(rest_url):
        raise BadSetting("record.address", name=origins["rest_url"], value=rest_url[:80])
    return FetchSettings(
        symbols, str(values["what"]), str(values["interval"]), start_us, end_us, rest_url, _folder(values), *_house(values, request)
    )


def resolve_import(request: Request) -> ImportSettings:
    """The settings, from flags, environment and defaults. Raises BadSetting: no file, a market or an offset that is none."""
    values, origins = _values("data import", IMPORT_PARAMETERS, request)
    if not request.pairs:
        raise BadSetting("data.no-file")
    symbol = _text(values["symbol"])
    offset = OFFSET.fullmatch(str(values["utc_offset"]).strip())
    if offset is None:
        raise BadSetting("data.offset", value=str(values["utc_offset"])[:60])
    minutes = int(offset[2]) * 60 + int(offset[3])
    return ImportSettings(
        tuple(map(Path, request.pairs)),
        None if symbol is None else check_symbol(symbol, origins["symbol"]),
        values["off_grid"] == "nearest",
        bool(values["quote_volume"]),
        (-minutes if offset[1] == "-" else minutes) * 60_000_000,
        bool(values["replace"]),
        _folder(values),
        *_house(values, request),
    )


def resolve_list(request: Request) -> LookSettings:
    """The settings, from flags, environment and defaults. Raises BadSetting."""
    values, _ = _values("data list", LIST_PARAMETERS, request)
    return LookSettings((), None, _folder(values), *_house(values, request))


def resolve_check(request: Request) -> LookSettings:
    """The settings, from flags, environment and defaults. Raises BadSetting."""
    values, origins = _values("data check", CHECK_PARAMETERS, request)
    symbol = _text(values["symbol"])
    checked = None if symbol is None else check_symbol(symbol, origins["symbol"])
    return LookSettings(tuple(map(Path, request.pairs)), checked, _folder(values), *_house(values, request))


def _values(name: str, parameters: tuple[Parameter, ...], request: Request) -> tuple[dict[str, Value], dict[str, str]]:
    given = Layers(request.flags, request.environment, None, request.flag_words).collect(p.name for p in parameters)
    origins = {key: g.origin for key, g in given.items()}
    return read(name, parameters, {key: g.value for key, g in given.items()}, origins), origins


def _house(values: dict[str, Value], request: Request) -> tuple[str, bool]:
    return str(values["lang"] or request.lang), bool(values["json"])


def _folder(values: dict[str, Value]) -> Path:
    return Path(str(values["data_dir"])) / FOLDER


def _text(value: Value) -> str | None:
    return None if value is None else str(value)
