"""Stored market data as tables: what backtests and sweeps read when they are given a market and no file."""

from pathlib import Path

from lemon_trader.core.instrument import Instrument
from lemon_trader.database.history import BARS, FUNDING, TRADES, History, Series
from lemon_trader.market.tables import BarTable, FundingTable, TradeTable


def stored_bars(
    folder: Path, symbol: str, every_us: int, start_us: int | None = None, end_us: int | None = None
) -> tuple[Instrument, BarTable]:  # fmt: skip
    """The bars of one market that open in [start_us, end_us), µs UTC, and the grid that they are on. Raises HistoryError."""
    instrument, rows = History(folder).read(Series(symbol, BARS.name, every_us), start_us, end_us)
    return instrument, BarTable(
        symbol, every_us, rows["at_us"], rows["open"], rows["high"], rows["low"], rows["close"], rows["lots"]
    )  # fmt: skip


def stored_trades(folder: Path, symbol: str, start_us: int | None = None, end_us: int | None = None) -> tuple[Instrument, TradeTable]:
    """The trades of one market in [start_us, end_us), µs UTC, and the grid that they are on. Raises HistoryError."""
    instrument, rows = History(folder).read(Series(symbol, TRADES.name), start_us, end_us)
    return instrument, TradeTable(symbol, rows["at_us"], rows["side"], rows["ticks"], rows["lots"], ids=rows["id"])


def stored_funding(folder: Path, symbol: str, start_us: int | None = None, end_us: int | None = None) -> FundingTable:
    """The funding rates of one perpetual whose intervals end in [start_us, end_us), µs UTC. Raises HistoryError."""
    _, rows = History(folder).read(Series(symbol, FUNDING.name), start_us, end_us)
    return FundingTable(symbol, rows["at_us"], rows["rate_ppb"])
