"""From the columns of a recording to integers on a market's grid, each value checked on the way.

Prices are put on the grid to the nearest tick, half up (a recorded book: bids down, asks up, so that it cannot cross); quantities are
rounded down to whole lots, and what traded at all counts as one lot at least.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, SELL, US_PER_MS
from lemon_trader.market.errors import RecordingError

Column = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Table = Mapping[str, Column]

DECIMALS: Final = 8  # recorded prices and sizes are read in units of 10⁻⁸
UNITS: Final = 10**DECIMALS
VALUE_MAX: Final = 10**10
TIMES: Final = ("ts_us", "ts_ms", "ts", "timestamp", "time", "date", "datetime", "open_time")
PRICES: Final = ("open", "high", "low", "close")
IDS: Final = ("trade_id", "agg_id", "id")  # what the sources call a trade's number
YEAR_2100_S: Final = 4_102_444_800


class Part(msgspec.Struct, frozen=True, gc=False):
    """The part of a recording that is wanted, and when it shall happen.

    Attributes:
        start: leave out what is older, µs UTC in the recording's own time.
        limit: at most this many rows.
        shift_to_us: when the first act happens, µs UTC; None = when it was recorded.
    """

    start: int | None
    limit: int | None
    shift_to_us: int | None

    def rows(self, at_us: "Ints", name: str) -> slice:
        """The rows to play, at least one. Raises RecordingError when the recording ends before the wanted start."""
        first = 0 if self.start is None else int(np.searchsorted(at_us, self.start))
        if first >= len(at_us):
            begin, end, start = (f"{np.datetime64(int(t), 'us')!s:.19} UTC" for t in (at_us[0], at_us[-1], self.start or 0))
            raise RecordingError("recording.start", file=name, begin=begin, end=end, start=start)
        return slice(first, len(at_us) if self.limit is None else first + self.limit)

    def shift(self, first_us: int) -> int:
        """By how much all times move, µs."""
        return 0 if self.shift_to_us is None else self.shift_to_us - first_us


def times_us(table: Table, name: str) -> Ints:
    """The time column in µs UTC; a bare number is seconds, ms, µs or ns by its size."""
    found = next((c for c in TIMES if c in table), None)
    if found is None:
        raise RecordingError("recording.no-times", file=name, columns=", ".join(TIMES))
    values = table[found]
    if values.dtype.kind == "M":
        return _as_us(values)
    if values.dtype.kind in "OU":
        try:
            return _as_us(values.astype("datetime64[us]"))
        except ValueError as error:
            raise RecordingError("recording.no-moment", file=name, column=found, reason=str(error)) from None
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise RecordingError("recording.not-times", file=name, column=found)
    largest = int(values.max()) if len(values) else 0
    times = values.astype(np.int64)
    for unit_us, seconds in ((1_000_000, 1), (1_000, 10**3), (1, 10**6)):
        if largest <= YEAR_2100_S * seconds:
            return times * unit_us
    return times // 1_000


def event_us(table: Table, name: str) -> Ints:
    """When the venue did it, µs UTC: its matching time where the feed has one, else its sending time, else the file's only clock."""
    for column in ("trans_ms", "event_ms"):
        if column in table and (table[column] > 0).any():
            found: Ints = table[column] * US_PER_MS
            return found
    return received_us(table, name)


def received_us(table: Table, name: str) -> Ints:
    """When the recorder received it, µs UTC, else the file's only clock."""
    if "recv_ns" in table:
        found: Ints = table["recv_ns"] // 1_000
        return found
    return times_us(table, name)


def units(table: Table, column: str, name: str, *, is_price: bool) -> Ints:
    """A column of decimal numbers in units of 10⁻⁸; prices must be above 0, sizes 0 or more."""
    if column not in table:
        raise RecordingError("recording.no-column", file=name, column=column, found=", ".join(table))
    values = table[column]
    if values.dtype.kind not in "iuf":
        raise RecordingError("recording.text", file=name, column=column)
    least = 0 if is_price else -1
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > least) & (values < VALUE_MAX) & (values >= 0)))
    if len(wrong):
        row = int(wrong[0])
        raise RecordingError("recording.price" if is_price else "recording.size", file=name, row=row + 1, column=column, value=values[row])
    fine: Ints = np.rint(values.astype(np.float64) * UNITS).astype(np.int64)
    return fine


def ticks(fine: Ints, instrument: Instrument, scale: int, name: str) -> Ints:
    """Prices in ticks, to the nearest, half up. `scale` multiplies the recorded price first."""
    unit = tick_units(instrument)
    return _bounded((fine * scale * 2 + unit) // (2 * unit), fine, instrument, name)


def ticks_of_trades(fine: Ints, side: Ints, instrument: Instrument, name: str) -> Ints:
    """Prices of trades in ticks, up where a buyer took and down where a seller did: as a recorded book is merged."""
    unit = tick_units(instrument)
    return _bounded(np.where(side == BUY, -(-fine // unit), fine // unit), fine, instrument, name)


def _bounded(found: Ints, fine: Ints, instrument: Instrument, name: str) -> Ints:
    """`found` if all of it lies within the market's price bounds."""
    wrong = np.flatnonzero((found < instrument.min_ticks) | ((instrument.max_ticks > 0) & (found > instrument.max_ticks)))
    if len(wrong):
        row = int(wrong[0])
        price = f"{int(fine[row]) // UNITS}.{int(fine[row]) % UNITS:0{DECIMALS}d}".rstrip("0").rstrip(".")
        raise RecordingError("recording.price-bounds", file=name, row=row + 1, price=price, symbol=instrument.symbol, tick=instrument.tick)
    return found


def lots(fine: Ints, instrument: Instrument) -> Ints:
    """Sizes in lots, rounded down; anything above 0 is one lot at least."""
    unit = instrument.lot_scale * 10 ** (DECIMALS - instrument.qty_decimals)
    return np.where(fine > 0, np.maximum(fine // unit, 1), 0)


def tick_units(instrument: Instrument) -> int:
    """One tick in units of 10⁻⁸."""
    return int(instrument.tick_scale * 10 ** (DECIMALS - instrument.price_decimals))


def sides(table: Table, column: str, words: Mapping[str, int], name: str) -> Ints:
    """A column of side words as BUY and SELL."""
    values = table[column]
    found = np.zeros(len(values), np.int64)
    for word, side in words.items():
        found[values == word] = side
    wrong = np.flatnonzero(found == 0)
    if len(wrong):
        row = int(wrong[0])
        one, other = words
        raise RecordingError("recording.side", file=name, row=row + 1, column=column, value=str(values[row])[:20], one=one, other=other)
    return found


TAKER: Final[Mapping[str, int]] = {"buy": BUY, "sell": SELL}
BOOK: Final[Mapping[str, int]] = {"bid": BUY, "ask": SELL}


def check_rising(at_us: Ints, name: str, *, strictly: bool) -> None:
    """Refuse times that go back, or stand still where they may not."""
    steps = np.diff(at_us)
    wrong = np.flatnonzero(steps <= 0 if strictly else steps < 0)
    if len(wrong):
        row = int(wrong[0]) + 2
        raise RecordingError("recording.order", file=name, row=row)


def _as_us(values: Column) -> Ints:
    return values.astype("datetime64[us]").astype(np.int64)
