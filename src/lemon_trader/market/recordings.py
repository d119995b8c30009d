"""Recorded markets: which file is played as which market, and how a file becomes a source of acts.

Any file with bars or trades in it can be played as a market that the user names; known ones need no name (`files.py`).
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.market import columns, tape
from lemon_trader.market.acts import Act, Source
from lemon_trader.market.bars import Bars, play_bars
from lemon_trader.market.columns import Ints, Part, Table
from lemon_trader.market.depth import Batches, play_depth
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.files import Recording, played, read_columns, refuse_inverse
from lemon_trader.market.instruments import UnknownMarket, default_instrument
from lemon_trader.market.prints import Prints, play_prints
from lemon_trader.market.recorded_book import depth_batches, touch_batches
from lemon_trader.market.tables import bars_of, trades_of

BAR_COLUMNS: Final = {"open", "high", "low", "close", "volume"}
TRADE_COLUMNS: Final = {"price", "qty", "side"}
BOOK_COLUMNS: Final = {"kind", "last_id", "side", "price", "qty"}
TOUCH_COLUMNS: Final = {"bid_px", "bid_qty", "ask_px", "ask_qty"}
FUNDING_COLUMNS: Final = {"funding_rate"}
BARS: Final = "bars"
BOOK: Final = "book"
TOUCH: Final = "touch"
TRADES: Final = "trades"
TAPE: Final = "tape"


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
    refuse_inverse(path)
    if limit is not None and limit < 1:
        raise RecordingError("recording.limit", limit=limit)
    if path.name.endswith(tape.SUFFIXES):
        return tape.play_tape(_tape_lines(path), path.name, symbol=symbol, start=start, limit=limit, shift_to_us=shift_to_us)
    table = read_columns(path, tape.SUFFIXES)
    opener = _opener(path, table)
    play = played(path, symbol)
    try:
        instrument = default_instrument(play.symbol)
    except UnknownMarket as error:
        raise RecordingError(error.key, **error.values) from None
    return opener(_Wanted(path, play, instrument, Part(start, limit, shift_to_us), seed, reference_us), table)


def kind_of(path: str | Path) -> str:
    """What a recording is: BARS, BOOK, TOUCH, TRADES or TAPE. Raises RecordingError as `open_recording` does."""
    path = Path(path)
    if path.name.endswith(tape.SUFFIXES):
        return TAPE
    refuse_inverse(path)
    opener = _opener(path, read_columns(path, tape.SUFFIXES))
    kinds: dict[object, str] = {_open_bars: BARS, _open_depth: BOOK, _open_touch: TOUCH, _open_prints: TRADES}
    return kinds[opener]


def _tape_lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a tape, part after part; a part that was cut off ends where it can be read no more. Raises RecordingError."""
    opened = path
    while True:
        if not opened.is_file():
            raise RecordingError("recording.missing", path=opened)
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
                raise RecordingError("recording.unreadable", file=opened.name, reason=str(error)[:120]) from None
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
                raise RecordingError("recording.no-rows", file=path.name)
            return opener
    if names >= FUNDING_COLUMNS:
        raise RecordingError("recording.funding", file=path.name)
    bars, trades, found = (", ".join(sorted(which)) for which in (BAR_COLUMNS, TRADE_COLUMNS, names))
    raise RecordingError("recording.no-market", file=path.name, bars=bars, trades=trades, found=found[:200])


def _open_bars(wanted: _Wanted, table: Table) -> Source:
    name, instrument = wanted.name, wanted.instrument
    found = bars_of(table, name, instrument, wanted.play)
    rows = wanted.part.rows(found.at_us, name)
    shift = wanted.part.shift(int(found.at_us[rows.start]))
    first, high, low, last, lots = (column[rows].tolist() for column in (found.open, found.high, found.low, found.close, found.lots))
    bars = Bars((found.at_us[rows] + shift).tolist(), found.every_us, first, high, low, last, lots)
    start_us = next((at for at, lots in zip(bars.at_us, bars.lots, strict=True) if lots), None)
    if start_us is None:
        raise RecordingError("recording.no-volume", file=name)
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
        table = read_columns(beside)
        at_us = clock(table, beside.name)
        last_us = (book.at_us or [book.start_us])[-1]
        rows = slice(*np.searchsorted(at_us + shift, [book.start_us, last_us + 1]).tolist())
        prints = _prints(wanted, table, beside.name, at_us, rows, shift)
    return _source(wanted, book.start_us, play_depth(book, prints, wanted.instrument, wanted.reference_us))


def _prints(wanted: _Wanted, table: Table, name: str, at_us: Ints, rows: slice, shift: int) -> Prints:
    found = trades_of(table, name, wanted.instrument, at_us)
    return Prints((found.at_us[rows] + shift).tolist(), found.side[rows].tolist(), found.ticks[rows].tolist(), found.lots[rows].tolist())


def _source(wanted: _Wanted, start_us: int, acts: Iterator[Act]) -> Source:
    return Source({wanted.instrument.symbol: wanted.instrument}, start_us, acts)
