"""What a backtest plays: a file, or the market data that is stored, as a market that can be opened again for every run."""

import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from lemon_trader.config.backtest import NONE, PUBLISHED, BacktestSettings
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.periods import moment_text
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.database.history import BARS as STORED_BARS
from lemon_trader.database.history import HistoryError
from lemon_trader.market.acts import Act, Reference, Source
from lemon_trader.market.columns import PRICES, UNITS, tick_units
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.faults import BACKWARDS, DUPLICATE, FUTURE, GAP, IMPOSSIBLE, OFF_GRID, OVERLAP, Fault, file_faults
from lemon_trader.market.files import is_known, played, read_columns
from lemon_trader.market.instruments import UnknownMarket, default_instrument
from lemon_trader.market.marks import HOUR_US, INTEREST_PPB
from lemon_trader.market.prints import Prints, play_prints
from lemon_trader.market.recordings import BARS, TAPE, TRADES, kind_of, open_recording
from lemon_trader.market.tables import BarTable, FundingTable, read_bars, read_funding, read_trades
from lemon_trader.run.stored import stored_bars, stored_funding, stored_trades

STORE: Final = "store"
UNPLAYABLE: Final = frozenset({BACKWARDS, DUPLICATE, OVERLAP, IMPOSSIBLE, FUTURE})
TRADES_WORD: Final = "trades"  # of --data: the stored trades instead of the stored bars


class Data(msgspec.Struct, frozen=True):
    """A stretch of one market.

    Attributes:
        kind: BARS, TRADES, BOOK, TOUCH or TAPE.
        name: for people.
        instrument: the market's grid.
        bars: of BARS; else None.
        open: of every other kind, the acts from the beginning; each call opens them anew.
        funding: what is paid on a perpetual; None = as the acts say, or nothing.
        off_grid: prices that were put on the grid.
        gaps: what is missing of a file's period.
    """

    kind: str
    name: str
    instrument: Instrument
    bars: BarTable | None = None
    open: Callable[[], Source] | None = None
    funding: FundingTable | None = None
    off_grid: int = 0
    gaps: tuple[Fault, ...] = ()


def symbol_of(data: str | None) -> str:
    """The market that a file plays where nobody names one. Raises BadSetting."""
    if data is None or data == TRADES_WORD:
        raise BadSetting("backtest.no-symbol")
    path = Path(data)
    try:
        if kind_of(path) == TAPE:
            markets = sorted(open_recording(path).instruments)
            if len(markets) > 1:
                raise BadSetting("backtest.which-market", file=path.name, markets=", ".join(markets))
            return markets[0]
        return played(path, None).symbol
    except RecordingError as error:
        raise BadSetting("backtest.data", reason=error) from error


def load(settings: BacktestSettings) -> Data:
    """The market as the settings want it.

    Raises:
        BadSetting: a file or store that cannot be played: missing, foreign, unsorted, overlapping, of another market, an empty period.
    """
    try:
        found = _stored(settings) if settings.data is None or str(settings.data) == TRADES_WORD else _file(settings, settings.data)
        return msgspec.structs.replace(found, funding=_funding(settings, found))
    except (RecordingError, HistoryError) as error:
        raise BadSetting("backtest.data", reason=error) from error


def _file(settings: BacktestSettings, path: Path) -> Data:
    symbol, kind = settings.pair.symbol, kind_of(path)
    start_us, end_us = settings.start_us, settings.end_us
    gaps: tuple[Fault, ...] = ()
    if kind in {BARS, TRADES}:
        gaps = _looked_at(settings, path)
    if kind == BARS:
        table = read_bars(path, symbol=symbol, start_us=start_us, end_us=end_us)
        return Data(BARS, path.name, _listed(symbol), bars=table, off_grid=table.off_grid, gaps=gaps)
    off_grid = read_trades(path, symbol=symbol, start_us=start_us, end_us=end_us).off_grid if kind == TRADES else 0

    def again() -> Source:
        return _until(open_recording(path, symbol=symbol, start=start_us, seed=settings.seed), end_us)

    return Data(kind, path.name, _instrument(again()), open=again, off_grid=off_grid, gaps=gaps)


def _looked_at(settings: BacktestSettings, path: Path) -> tuple[Fault, ...]:
    """The gaps of a file's wanted period. Raises BadSetting for rows that cannot be played, RecordingError, UnknownMarket.

    Prices off the grid are refused, unless it was said that they shall be put on it; of the recordings that the program knows it is known.
    """
    i = _listed(settings.pair.symbol)
    found, _, _ = file_faults(path, i, time.time_ns() // 1_000)
    start_us, end_us = settings.start_us or 0, settings.end_us or 2**63
    wanted = [f for f in found if start_us <= f.at_us < end_us]
    worst = next((f for f in wanted if f.kind in UNPLAYABLE), None)
    if worst is not None:
        kind: tuple[str, dict[str, object]] = (f"fault.{worst.kind}", {})
        key = "backtest.future" if worst.kind == FUTURE else "backtest.faulty"
        raise BadSetting(key, file=path.name, row=worst.row, at=moment_text(worst.at_us), fault=kind, note=worst.note)
    off = next((f for f in found if f.kind == OFF_GRID), None)
    if off is not None and not settings.to_nearest and not is_known(path):
        value = _price_at(path, off.row, i)
        raise BadSetting("backtest.off-grid", file=path.name, row=off.row, value=value, rows=off.rows, tick=i.tick, symbol=i.symbol)
    return tuple(f for f in wanted if f.kind == GAP)


def _price_at(path: Path, row: int, instrument: Instrument) -> str:
    """The price in this row that is not on the grid."""
    table = read_columns(path)
    for name in (*PRICES, "price"):
        if name in table and round(table[name][row - 1] * UNITS) % tick_units(instrument):
            return f"{name} {table[name][row - 1]}"
    return ""


def _listed(symbol: str) -> Instrument:
    """The market with its filters. Raises RecordingError where there are none."""
    try:
        return default_instrument(symbol)
    except UnknownMarket as error:
        raise RecordingError(error.key, **error.values) from None


def _stored(settings: BacktestSettings) -> Data:
    symbol, folder = settings.pair.symbol, settings.history
    if settings.data is None:
        instrument, table = stored_bars(folder, symbol, settings.every_us, settings.start_us, settings.end_us)
        _check_rows(len(table), settings)
        return Data(BARS, f"{symbol} {STORED_BARS.name} {settings.every_us // US_PER_S} s", instrument, bars=table)
    instrument, trades = stored_trades(folder, symbol, settings.start_us, settings.end_us)
    _check_rows(len(trades), settings)
    prints = Prints(trades.at_us.tolist(), trades.side.tolist(), trades.ticks.tolist(), trades.lots.tolist())

    def again() -> Source:
        return Source({symbol: instrument}, prints.at_us[0], play_prints(prints, instrument, settings.seed, US_PER_S))

    return Data(TRADES, f"{symbol} {TRADES}", instrument, open=again)


def _check_rows(rows: int, settings: BacktestSettings) -> None:
    if not rows:
        raise HistoryError(f"nothing of {settings.pair.symbol} is stored in the wanted period; `data list` shows what is")


def _instrument(source: Source) -> Instrument:
    (found,) = source.instruments.values()
    return found


def _until(source: Source, end_us: int | None) -> Source:
    """The acts before `end_us`. Raises RecordingError where there are none."""
    if end_us is None:
        return source
    if source.start_us >= end_us:
        raise RecordingError("recording.end")
    return Source(source.instruments, source.start_us, takewhile(lambda act: act.at_us < end_us, source))


def _funding(settings: BacktestSettings, data: Data) -> FundingTable | None:
    """The rates of a perpetual: of a file, of the store, or the published rule; None = the acts' own, or a spot market."""
    symbol = data.instrument.symbol
    if not data.instrument.is_perp:
        if settings.funding not in {PUBLISHED, NONE}:
            raise BadSetting("backtest.funding-on-spot", value=settings.funding, symbol=symbol)
        return None
    if settings.funding == STORE:
        return stored_funding(settings.history, symbol, settings.start_us, settings.end_us)
    if settings.funding not in {PUBLISHED, NONE}:
        return read_funding(settings.funding, symbol, start_us=settings.start_us, end_us=settings.end_us)
    if settings.funding == PUBLISHED and data.bars is None:
        return None
    if data.bars is None:
        return FundingTable(symbol, np.zeros(0, np.int64), np.zeros(0, np.int64))
    first, last = int(data.bars.at_us[0]), int(data.bars.at_us[-1]) + data.bars.every_us
    hours = np.arange(first // HOUR_US + 1, last // HOUR_US + 1, dtype=np.int64) * HOUR_US
    # Bars do not know the index, so there is no premium to see: what is left of the published rule is its interest.
    rate = 0 if settings.funding == NONE else INTEREST_PPB
    return FundingTable(symbol, hours, np.full(len(hours), rate, np.int64))


def with_funding(acts: Iterator[Act], table: FundingTable) -> Iterator[Act]:
    """The acts with the rate of the interval that each reference falls into; behind the table's end none is paid."""
    ends, rates = table.at_us.tolist(), table.rate_ppb.tolist()
    k = 0
    for act in acts:
        if type(act) is Reference:
            while k < len(ends) and ends[k] < act.at_us:
                k += 1
            yield msgspec.structs.replace(act, funding_ppb=rates[k] if k < len(ends) else 0)
        else:
            yield act


def interval_us(table: FundingTable) -> int:
    """How far apart the table's intervals end: the commonest distance, an hour where there are fewer than two."""
    steps, counts = np.unique(np.diff(table.at_us), return_counts=True)
    return int(steps[np.argmax(counts)]) if len(steps) else HOUR_US
