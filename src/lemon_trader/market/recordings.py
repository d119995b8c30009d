"""Recorded markets: which file is played as which market, and how a file becomes a source of acts.

Known recordings stand in a table, because a file does not say in which unit its volume is or how a price of 2013 fits on today's grid.
Any other file with bars or trades in it can be played as a market that the user names. This is the one place that reads recordings.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.market import columns, tape
from lemon_trader.market.acts import Act, Source
from lemon_trader.market.bars import Bars, play_bars
from lemon_trader.market.columns import Ints, Part, Table
from lemon_trader.market.depth import Batches, play_depth
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.instruments import UnknownMarket, default_instrument
from lemon_trader.market.prints import Prints, play_prints
from lemon_trader.market.recorded_book import depth_batches, touch_batches

L2_ENDINGS: Final = ("_depth", "_bbo", "_trades")
BAR_COLUMNS: Final = {"open", "high", "low", "close", "volume"}
TRADE_COLUMNS: Final = {"price", "qty", "side"}
BOOK_COLUMNS: Final = {"kind", "last_id", "side", "price", "qty"}
TOUCH_COLUMNS: Final = {"bid_px", "bid_qty", "ask_px", "ask_qty"}
FUNDING_COLUMNS: Final = {"funding_rate"}
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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked of `open_recording`, with the file's place in the table."""

    path: Path
    play: Recording
    instrument: Instrument
    part: Part
    seed: int
    reference_us: int

    @property
    def name(self) -> str:
        return self.path.name


def open_recording(
    path: str | Path, *, symbol: str | None = None, start: int | None = None, limit: int | None = None, shift_to_us: int | None = None,
    seed: int = 0, reference_us: int = US_PER_S,
) -> Source:  # fmt: skip
    """A recording as a market.

    Args:
        path: a .parquet, .feather or .csv file of bars, of trades, or of an order book (whose trades are taken from the file beside it);
            or a .jsonl or .jsonl.gz tape of the exchange's own frames, with all its parts.
        symbol: play it as this market; needed for a file that is not in the table, and preferred to the table's market.
        start: leave out what is older, µs UTC, in the recording's own time.
        limit: play at most this many bars, trades or batches of the book.
        shift_to_us: move all times so that the first act happens then, µs UTC.
        seed: of what a recording does not say (the way through a flat bar, the quantities of the invented book).
        reference_us: distance of a perpetual's mark prices, µs.

    Raises:
        RecordingError: missing, unreadable, foreign or corrupted file, or an unknown market.
    """
    path = Path(path)
    _refuse_inverse(path)
    if limit is not None and limit < 1:
        raise RecordingError(f"a limit of {limit} rows leaves nothing to play; it must be 1 or more")
    if path.name.endswith(tape.SUFFIXES):
        return tape.play_tape(_tape_lines(path), path.name, symbol=symbol, start=start, limit=limit, shift_to_us=shift_to_us)
    table = _read(path)
    opener = _opener(path, table)
    play = _played(path, symbol)
    try:
        instrument = default_instrument(play.symbol)
    except UnknownMarket as error:
        raise RecordingError(str(error)) from None
    return opener(_Wanted(path, play, instrument, Part(start, limit, shift_to_us), seed, reference_us), table)


def _tape_lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a tape, part after part; a part that was cut off ends where it can be read no more. Raises RecordingError."""
    opened = path
    while True:
        if not opened.is_file():
            raise RecordingError(f"there is no recording {opened}; check the path")
        last = b""
        with gzip.open(opened) if opened.suffix == ".gz" else opened.open("rb") as file:
            try:
                for line in file:
                    if line.endswith(b"\n"):
                        last = line
                        yield line
            except (EOFError, zlib.error):
                return
            except OSError as error:
                raise RecordingError(f"{opened.name} cannot be read ({str(error)[:120]}); fetch it again") from None
        name = tape.next_part(last)
        if not name or Path(name).name != name:
            return
        opened = path.with_name(name)


def _opener(path: Path, table: Table) -> "Callable[[_Wanted, Table], Source]":
    """Who plays a file with these columns."""
    names = set(table)
    openers: tuple[tuple[set[str], Callable[[_Wanted, Table], Source]], ...] = (
        (BAR_COLUMNS, _open_bars),
        (BOOK_COLUMNS, _open_depth),
        (TOUCH_COLUMNS, _open_touch),
        (TRADE_COLUMNS, _open_prints),
    )
    for needed, opener in openers:
        if needed <= names:
            if not len(next(iter(table.values()))):
                raise RecordingError(f"{path.name} holds no rows; there is nothing to play")
            return opener
    if names >= FUNDING_COLUMNS:
        raise RecordingError(f"{path.name} is a history of funding rates, not a market; open the bars, trades or depth of a market")
    raise RecordingError(
        f"{path.name} holds neither bars ({', '.join(sorted(BAR_COLUMNS))}), trades ({', '.join(sorted(TRADE_COLUMNS))}) "
        f"nor a book; its columns are {', '.join(sorted(names))[:200]}"
    )


def _refuse_inverse(path: Path) -> None:
    if "coinm" in path.name:
        raise RecordingError(
            f"{path.name} records an inverse (COIN-M) contract: its sizes are contracts and its profit is in the coin, and no market here "
            f"works that way; open a spot or USD-margined recording, for example btcusdt_binance_usdm_20240808_depth.parquet"
        )


def _played(path: Path, symbol: str | None) -> Recording:
    """What the file is played as; refuses strangers without a symbol."""
    stem = path.name.split(".")[0]
    for ending in L2_ENDINGS:
        stem = stem.removesuffix(ending)
    known = RECORDINGS.get(stem)
    if known is not None:
        return known if symbol is None else msgspec.structs.replace(known, symbol=symbol)
    if symbol is None:
        raise RecordingError(
            f"{path.name} is not a recording this program knows; name the market it shall play, for example --symbol SOL_USDC"
        )
    return Recording(symbol)


def _read(path: Path) -> Table:
    """The file's columns by lower-case name. Raises RecordingError."""
    import pyarrow as pa  # noqa: PLC0415  a synthetic market does not pay for the import
    from pyarrow import csv, feather, parquet  # noqa: PLC0415

    if not path.is_file():
        raise RecordingError(f"there is no recording {path}; check the path")
    if path.suffix not in SUFFIXES:
        raise RecordingError(f"{path.name} is not a recording this program reads; it reads {', '.join((*SUFFIXES, *tape.SUFFIXES))}")
    try:
        if path.suffix == ".parquet":
            table = parquet.read_table(path)
        elif path.suffix == ".feather":
            table = feather.read_table(path)
        else:
            table = csv.read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise RecordingError(
            f"{path.name} cannot be read as {path.suffix[1:]} ({str(error).splitlines()[0][:120]}); fetch it again"
        ) from None
    return {str(n).strip().lower(): table.column(k).to_numpy() for k, n in enumerate(table.column_names)}


def _open_bars(wanted: _Wanted, table: Table) -> Source:
    name, instrument, scale = wanted.name, wanted.instrument, wanted.play.scale
    at_us = columns.times_us(table, name)
    columns.check_rising(at_us, name, strictly=True)
    fine = {c: columns.units(table, c, name, is_price=True) for c in columns.PRICES}
    body_high, body_low = np.maximum(fine["open"], fine["close"]), np.minimum(fine["open"], fine["close"])
    wrong = np.flatnonzero((body_high > fine["high"]) | (body_low < fine["low"]))
    if len(wrong):
        raise RecordingError(f"{name}, row {int(wrong[0]) + 1}: open or close lies outside low and high; repair or drop that row")
    volume = columns.units(table, "volume", name, is_price=False)
    if wanted.play.is_quote_volume:
        volume = volume // np.maximum(fine["close"] // columns.UNITS, 1)
    rows = wanted.part.rows(at_us, name)
    shift = wanted.part.shift(int(at_us[rows.start]))
    first, high, low, last = (columns.ticks(fine[c][rows], instrument, scale, name).tolist() for c in columns.PRICES)
    steps = np.diff(at_us)
    every_us = int(np.median(steps)) if len(steps) else 60 * US_PER_S
    bars = Bars((at_us[rows] + shift).tolist(), every_us, first, high, low, last, columns.lots(volume[rows] // scale, instrument).tolist())
    start_us = next((at for at, lots in zip(bars.at_us, bars.lots, strict=True) if lots), None)
    if start_us is None:
        raise RecordingError(f"{name}: no bar of the chosen part has a volume, so nothing traded; choose another part")
    return _source(wanted, start_us, play_bars(bars, instrument, wanted.seed, wanted.reference_us))


def _open_prints(wanted: _Wanted, table: Table) -> Source:
    at_us = columns.event_us(table, wanted.name)
    rows = wanted.part.rows(at_us, wanted.name)
    prints = _prints(wanted, table, wanted.name, at_us, rows, wanted.part.shift(int(at_us[rows.start])))
    return _source(wanted, prints.at_us[0], play_prints(prints, wanted.instrument, wanted.seed, wanted.reference_us))


def _open_depth(wanted: _Wanted, table: Table) -> Source:
    book, shift = depth_batches(table, wanted.name, wanted.instrument, wanted.part)
    return _play_book(wanted, book, "_depth", shift, columns.event_us)


def _open_touch(wanted: _Wanted, table: Table) -> Source:
    book, shift = touch_batches(table, wanted.name, wanted.instrument, wanted.part)
    has_event = "event_ms" in table and bool((table["event_ms"] > 0).any())
    return _play_book(wanted, book, "_bbo", shift, columns.event_us if has_event else columns.received_us)


def _play_book(wanted: _Wanted, book: Batches, ending: str, shift: int, clock: Callable[[Table, str], Ints]) -> Source:
    """Book and trades together. The trades stand in the file of the same name that ends in _trades, read by the book's clock."""
    prints = Prints([], [], [], [])
    beside = wanted.path.with_name(wanted.path.name.replace(ending, "_trades"))
    if beside != wanted.path and beside.is_file():
        table = _read(beside)
        at_us = clock(table, beside.name)
        last_us = (book.at_us or [book.start_us])[-1]
        rows = slice(*np.searchsorted(at_us + shift, [book.start_us, last_us + 1]).tolist())
        prints = _prints(wanted, table, beside.name, at_us, rows, shift)
    return _source(wanted, book.start_us, play_depth(book, prints, wanted.instrument, wanted.reference_us))


def _prints(wanted: _Wanted, table: Table, name: str, at_us: Ints, rows: slice, shift: int) -> Prints:
    instrument = wanted.instrument
    columns.check_rising(at_us, name, strictly=False)
    side = columns.sides(table, "side", columns.TAKER, name)
    fine = columns.units(table, "price", name, is_price=True)
    ticks = columns.ticks_of_trades(fine, side, instrument, name)
    lots = np.maximum(columns.lots(columns.units(table, "qty", name, is_price=False), instrument), 1)
    return Prints((at_us[rows] + shift).tolist(), side[rows].tolist(), ticks[rows].tolist(), lots[rows].tolist())


def _source(wanted: _Wanted, start_us: int, acts: Iterator[Act]) -> Source:
    return Source({wanted.instrument.symbol: wanted.instrument}, start_us, acts)
