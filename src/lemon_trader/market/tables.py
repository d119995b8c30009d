"""Recorded markets as columns of integers on a market's grid: what backtests are run over and what the store of market data keeps.

Prices that lie off the grid are put on the nearest tick, and how many they were is counted in the table, so that whoever shows a result can
say so. Nothing else is changed: rows that contradict themselves are refused here, and looked for one by one in `faults.py`.
"""

from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.market import columns
from lemon_trader.market.columns import Ints, Table
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.files import Recording, played, read_columns, refuse_inverse
from lemon_trader.market.instruments import UnknownMarket, default_instrument

MINUTE_US: Final = 60 * US_PER_S
RATE_MAX: Final = 1  # no funding interval ever charged the whole position
PPB: Final = 1_000_000_000


class BarTable(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Bars of one market, columns of equal length, oldest first.

    Attributes:
        symbol: the market on whose grid they are.
        every_us: how long a bar lasts, µs.
        at_us: when each opens, µs UTC, strictly rising, neighbours at least `every_us` apart.
        open, high, low, close: ticks, > 0, low <= open, close <= high.
        lots: traded volume, >= 0; a bar of 0 saw no trade.
        off_grid: how many prices of the file were not on the grid and were put on the nearest tick, half up.
    """

    symbol: str
    every_us: int
    at_us: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    lots: Ints
    off_grid: int = 0

    def __len__(self) -> int:
        return len(self.at_us)

    def part(self, start_us: int | None = None, end_us: int | None = None) -> "BarTable":
        """The bars that open in [start_us, end_us), µs UTC; None = no bound. The columns are views, not copies."""
        rows = _rows(self.at_us, start_us, end_us)
        return BarTable(
            self.symbol, self.every_us, self.at_us[rows], self.open[rows], self.high[rows], self.low[rows], self.close[rows],
            self.lots[rows], self.off_grid,
        )  # fmt: skip


class TradeTable(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Public trades of one market, columns of equal length, oldest first.

    Attributes:
        symbol: the market on whose grid they are.
        at_us: µs UTC, never falling.
        side: of the taker, BUY or SELL.
        ticks: price, > 0; off the grid it was put up where a buyer took and down where a seller did.
        lots: > 0; less than a lot counts as one.
        ids: the number that the source gave each, rising; None = it gave none.
        off_grid: how many prices of the file were not on the grid.
    """

    symbol: str
    at_us: Ints
    side: Ints
    ticks: Ints
    lots: Ints
    off_grid: int = 0
    ids: Ints | None = None

    def __len__(self) -> int:
        return len(self.at_us)

    def part(self, start_us: int | None = None, end_us: int | None = None) -> "TradeTable":
        """The trades in [start_us, end_us), µs UTC; None = no bound. The columns are views, not copies."""
        rows = _rows(self.at_us, start_us, end_us)
        ids = None if self.ids is None else self.ids[rows]
        return TradeTable(self.symbol, self.at_us[rows], self.side[rows], self.ticks[rows], self.lots[rows], self.off_grid, ids)


class FundingTable(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What a perpetual's longs paid its shorts, oldest first.

    Attributes:
        symbol: the market.
        at_us: the end of the funding interval, µs UTC, strictly rising.
        rate_ppb: rate of the interval, 10⁻⁹ of the position's value; above 0 longs pay.
    """

    symbol: str
    at_us: Ints
    rate_ppb: Ints

    def __len__(self) -> int:
        return len(self.at_us)

    def part(self, start_us: int | None = None, end_us: int | None = None) -> "FundingTable":
        """The intervals that end in [start_us, end_us), µs UTC; None = no bound."""
        rows = _rows(self.at_us, start_us, end_us)
        return FundingTable(self.symbol, self.at_us[rows], self.rate_ppb[rows])


def read_bars(
    path: str | Path, instrument: Instrument | None = None, *, start_us: int | None = None, end_us: int | None = None,
    symbol: str | None = None, scale: int | None = None, is_quote_volume: bool | None = None,
) -> BarTable:  # fmt: skip
    """The bars of a file on the grid of `instrument`.

    Args:
        path: a .parquet, .feather or .csv file of bars.
        instrument: the market they are put on; None = the default market of `symbol`, or the one that a known recording plays.
        start_us: leave out bars that open earlier, µs UTC; None = no bound.
        end_us: leave out bars that open then or later, µs UTC; None = no bound.
        symbol: the market's name where no instrument is given.
        scale: recorded prices are multiplied by this and sizes divided; None = as the table of known recordings says, else 1.
        is_quote_volume: the volume is in quote, not in base; None = as that table says, else False.

    Raises:
        RecordingError: a missing, unreadable or foreign file, rows that contradict themselves, an unknown market, an empty period.
    """
    path, table, play, instrument = _opened(path, instrument, symbol)
    if scale is not None:
        play = msgspec.structs.replace(play, scale=scale)
    if is_quote_volume is not None:
        play = msgspec.structs.replace(play, is_quote_volume=is_quote_volume)
    found = bars_of(table, path.name, instrument, play)
    _check_period(found.at_us, start_us, end_us, path.name)
    return found.part(start_us, end_us)


def read_trades(
    path: str | Path, instrument: Instrument | None = None, *, start_us: int | None = None, end_us: int | None = None,
    symbol: str | None = None,
) -> TradeTable:  # fmt: skip
    """The public trades of a file on the grid of `instrument`; arguments and errors as of `read_bars`."""
    path, table, _, instrument = _opened(path, instrument, symbol)
    found = trades_of(table, path.name, instrument, columns.event_us(table, path.name))
    _check_period(found.at_us, start_us, end_us, path.name)
    return found.part(start_us, end_us)


def read_funding(path: str | Path, symbol: str, *, start_us: int | None = None, end_us: int | None = None) -> FundingTable:
    """The funding rates of a file with columns of time and `funding_rate`. Raises RecordingError as `read_bars` does."""
    path = Path(path)
    found = funding_of(read_columns(path), path.name, symbol)
    _check_period(found.at_us, start_us, end_us, path.name)
    return found.part(start_us, end_us)


def bars_of(table: Table, name: str, instrument: Instrument, play: Recording) -> BarTable:
    """The columns of a file of bars on the grid of `instrument`. Raises RecordingError when rows contradict themselves."""
    at_us = columns.times_us(table, name)
    columns.check_rising(at_us, name, strictly=True)
    fine = {c: columns.units(table, c, name, is_price=True) for c in columns.PRICES}
    body_high, body_low = np.maximum(fine["open"], fine["close"]), np.minimum(fine["open"], fine["close"])
    wrong = np.flatnonzero((body_high > fine["high"]) | (body_low < fine["low"]))
    if len(wrong):
        raise RecordingError("recording.bar", file=name, row=int(wrong[0]) + 1)
    volume = columns.units(table, "volume", name, is_price=False)
    if play.is_quote_volume:
        volume = volume // np.maximum(fine["close"] // columns.UNITS, 1)
    unit = columns.tick_units(instrument)
    every = every_us(at_us)
    close_by = np.flatnonzero(np.diff(at_us) < every)
    if len(close_by):
        row = int(close_by[0]) + 2
        raise RecordingError("recording.overlap", file=name, row=row, seconds=every // US_PER_S)
    off_grid = sum(int(np.count_nonzero(fine[c] * play.scale % unit)) for c in columns.PRICES)
    first, high, low, last = (columns.ticks(fine[c], instrument, play.scale, name) for c in columns.PRICES)
    lots = columns.lots(volume // play.scale, instrument)
    return BarTable(instrument.symbol, every, at_us, first, high, low, last, lots, off_grid)


def trades_of(table: Table, name: str, instrument: Instrument, at_us: Ints) -> TradeTable:
    """The columns of a file of trades that happened at `at_us`. Raises RecordingError when rows contradict themselves."""
    columns.check_rising(at_us, name, strictly=False)
    side = columns.sides(table, "side", columns.TAKER, name)
    fine = columns.units(table, "price", name, is_price=True)
    ticks = columns.ticks_of_trades(fine, side, instrument, name)
    lots = np.maximum(columns.lots(columns.units(table, "qty", name, is_price=False), instrument), 1)
    off_grid = int(np.count_nonzero(fine % columns.tick_units(instrument)))
    ids = next((table[c].astype(np.int64) for c in columns.IDS if c in table and table[c].dtype.kind in "iu"), None)
    return TradeTable(instrument.symbol, at_us, side, ticks, lots, off_grid, ids)


def funding_of(table: Table, name: str, symbol: str) -> FundingTable:
    """The columns of a file of funding rates. Raises RecordingError when they are not rates."""
    at_us = columns.times_us(table, name)
    columns.check_rising(at_us, name, strictly=True)
    rates = table.get("funding_rate")
    if rates is None or rates.dtype.kind not in "iuf":
        raise RecordingError("recording.no-rates", file=name, found=", ".join(table))
    wrong = np.flatnonzero(~(np.isfinite(rates) & (np.abs(rates) < RATE_MAX)))
    if len(wrong):
        row = int(wrong[0])
        raise RecordingError("recording.rate", file=name, row=row + 1, value=rates[row])
    return FundingTable(symbol, at_us, np.rint(rates * PPB).astype(np.int64))


def every_us(at_us: Ints) -> int:
    """How long a bar of these lasts: the commonest distance of two neighbours, the smaller of two, µs; a minute where there are none."""
    steps, counts = np.unique(np.diff(at_us), return_counts=True)
    return int(steps[np.argmax(counts)]) if len(steps) else MINUTE_US


def _opened(path: str | Path, instrument: Instrument | None, symbol: str | None) -> tuple[Path, Table, Recording, Instrument]:
    path = Path(path)
    refuse_inverse(path)
    table = read_columns(path)
    if not table or not len(next(iter(table.values()))):
        raise RecordingError("recording.no-rows", file=path.name)
    play = played(path, symbol if instrument is None else instrument.symbol)
    if instrument is None:
        try:
            instrument = default_instrument(play.symbol)
        except UnknownMarket as error:
            raise RecordingError(error.key, **error.values) from None
    return path, table, play, instrument


def _rows(at_us: Ints, start_us: int | None, end_us: int | None) -> slice:
    first = 0 if start_us is None else int(np.searchsorted(at_us, start_us))
    return slice(first, len(at_us) if end_us is None else max(first, int(np.searchsorted(at_us, end_us))))


def _check_period(at_us: Ints, start_us: int | None, end_us: int | None, name: str) -> None:
    """Refuse a period that holds nothing of the file."""
    rows = _rows(at_us, start_us, end_us)
    if rows.start >= rows.stop:
        begin, end = (f"{np.datetime64(int(t), 'us')!s:.19} UTC" for t in (at_us[0], at_us[-1]))
        raise RecordingError("recording.period", file=name, begin=begin, end=end)
