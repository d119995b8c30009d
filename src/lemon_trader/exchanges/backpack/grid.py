"""One market's numbers, as text and as integers, remembered: a book repeats the same few hundred prices all day."""

from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from lemon_trader.core.instrument import Instrument
from lemon_trader.exchanges.dialect import WireError

MEMO_MAX: Final = 4_096

K = TypeVar("K")
V = TypeVar("V")


class Memo(dict[K, V], Generic[K, V]):
    """What `make` gave for a key, kept until there are too many. What `make` refuses is not kept."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> V:
        value = self._make(key)
        if len(self) >= MEMO_MAX:
            self.clear()
        self[key] = value
        return value


class Grid:
    """One instrument with its memos.

    Attributes:
        ticks: price text -> ticks, > 0; raises GateError or WireError.
        lots: quantity text -> lots; raises GateError.
        price_text / qty_text: ticks and lots -> text as requests carry it.
    """

    __slots__ = ("instrument", "lots", "price_text", "qty_text", "ticks")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.ticks: Memo[str, int] = Memo(self._ticks)
        self.lots: Memo[str, int] = Memo(instrument.qty_lots)
        self.price_text: Memo[int, str] = Memo(instrument.price_text)
        self.qty_text: Memo[int, str] = Memo(instrument.qty_text)

    def _ticks(self, text: str) -> int:
        ticks = self.instrument.price_ticks(text)
        if ticks <= 0:
            raise WireError("a price of 0")
        return ticks


class Grids:
    """The grids in use; a market whose instrument was replaced begins afresh."""

    __slots__ = ("_grids",)

    def __init__(self) -> None:
        self._grids: dict[str, Grid] = {}

    def of(self, symbol: str, instruments: Mapping[str, Instrument]) -> Grid:
        """The grid of `symbol`. Raises WireError when it is not among `instruments`."""
        instrument = instruments.get(symbol)
        grid = self._grids.get(symbol)
        if grid is None or grid.instrument is not instrument:
            if instrument is None:
                raise WireError(f"{symbol[:40]!r} is no market we know")
            grid = self._grids[symbol] = Grid(instrument)
        return grid
