"""Files of recorded markets: which is played as which market, and the columns of one.

Known recordings stand in a table, because a file does not say in which unit its volume is or how a price of 2013 fits on today's grid.
This is the one place that reads such files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from lemon_trader.market.columns import Table
from lemon_trader.market.errors import RecordingError

L2_ENDINGS: Final = ("_depth", "_bbo", "_trades")
SUFFIXES: Final = (".parquet", ".feather", ".csv")


class Recording(msgspec.Struct, frozen=True, gc=False):
    """How one recording is played.

    Attributes:
        symbol: the market it plays.
        scale: recorded prices are multiplied by this, and sizes divided, so that a low old price has as fine a grid as today's.
        is_quote_volume: the bars' volume is in quote, not in base.
    """

    symbol: str
    scale: int = 1
    is_quote_volume: bool = False


RECORDINGS: Final[Mapping[str, Recording]] = {
    "avaxusdt_binance_perp_1m_202602": Recording("AVAX_USDC_PERP"),
    "btcperp_ftx_1m_202201": Recording("BTC_USDC_PERP", is_quote_volume=True),
    "btcusd_bitfinex_spot_1m_2013_2014": Recording("BTC_USDC", scale=100),
    "btcusdc_binance_spot_aggtrades_20251004": Recording("BTC_USDC"),
    "btcusdt_binance_spot_1m_202111": Recording("BTC_USDC"),
    "btcusdt_binance_spot_1m_202206": Recording("BTC_USDC"),
    "btcusdt_binance_spot_1m_202408": Recording("BTC_USDC"),
    "btcusdt_binance_spot_1m_202505": Recording("BTC_USDC"),
    "btcusdt_binance_spot_20240808_09": Recording("BTC_USDC"),
    "btcusdt_binance_usdm_20240808": Recording("BTC_USDC_PERP"),
    "btcusdt_okx_perp_5m_2022": Recording("BTC_USDC_PERP"),
    "dogeusdt_binance_perp_1m_202601": Recording("DOGE_USDC_PERP"),
    "ethusdt_binance_spot_1m_202212": Recording("ETH_USDC"),
    "ethusdt_binance_spot_1m_202408": Recording("ETH_USDC"),
    "ethusdt_binance_usdm_20240808": Recording("ETH_USDC_PERP"),
    "solusdt_binance_perp_1m_202307": Recording("SOL_USDC_PERP"),
    "solusdt_binance_perp_1m_202505": Recording("SOL_USDC_PERP"),
    "solusdt_binance_spot_1m_202109": Recording("SOL_USDC"),
    "solusdt_binance_spot_3m_2022_2023": Recording("SOL_USDC"),
    "solusdt_binance_spot_5m_2023_2025": Recording("SOL_USDC"),
    "solusdt_okx_perp_5m_2022": Recording("SOL_USDC_PERP"),
    "xrpusdt_binance_spot_1m_202111": Recording("XRP_USDC"),
}


def refuse_inverse(path: Path) -> None:
    """Refuse a recording of an inverse contract. Raises RecordingError."""
    if "coinm" in path.name:
        raise RecordingError("recording.inverse", file=path.name)


def is_known(path: Path) -> bool:
    """Whether the file is a recording that the program knows: of another exchange, and put on a market's grid by the table above."""
    return _stem(path) in RECORDINGS


def played(path: Path, symbol: str | None) -> Recording:
    """What the file is played as. Raises RecordingError for a stranger without a symbol."""
    known = RECORDINGS.get(_stem(path))
    if known is not None:
        return known if symbol is None else msgspec.structs.replace(known, symbol=symbol)
    if symbol is None:
        raise RecordingError("recording.stranger", file=path.name)
    return Recording(symbol)


def _stem(path: Path) -> str:
    stem = path.name.split(".")[0]
    for ending in L2_ENDINGS:
        stem = stem.removesuffix(ending)
    return stem


def read_columns(path: Path, others: tuple[str, ...] = ()) -> Table:
    """The file's columns by name, in lower case and with _ for blanks.

    Args:
        path: the file.
        others: endings that the caller reads in another way; the refusal of an unknown ending names them too.

    Raises:
        RecordingError: it is missing, of another kind, or cannot be read.
    """
    import pyarrow as pa  # noqa: PLC0415  a synthetic market does not pay for the import
    from pyarrow import csv, feather, parquet  # noqa: PLC0415

    if not path.is_file():
        raise RecordingError("recording.missing", path=path)
    if path.suffix not in SUFFIXES:
        raise RecordingError("recording.ending", file=path.name, endings=", ".join((*SUFFIXES, *others)))
    try:
        if path.suffix == ".parquet":
            table = parquet.read_table(path)
        elif path.suffix == ".feather":
            table = feather.read_table(path)
        else:
            table = csv.read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise RecordingError("recording.unreadable-as", file=path.name, kind=path.suffix[1:], reason=reason) from None
    return {str(n).strip().lower().replace(" ", "_"): table.column(k).to_numpy() for k, n in enumerate(table.column_names)}
