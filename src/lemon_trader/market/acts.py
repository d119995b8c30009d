"""What the outside world does to a simulated exchange, as records in time order, and how they are carried out.

Three acts are enough: somebody changes what rests at a price (`Level`), somebody trades (`Take`), and on a perpetual the exchange's own
mark, index and funding rate move (`Reference`). A recording, a synthetic flow and a scripted scenario are all sources of these.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, Protocol

import msgspec

from lemon_trader.core.instrument import Instrument

SWEEP: Final = 10**12  # more lots than any book holds: everything up to the limit price is traded, the rest vanishes


class Level(msgspec.Struct, frozen=True, gc=False):
    """What others have resting at one price, from now on.

    Attributes:
        at_us: exchange time, µs UTC.
        side: BUY for a bid, SELL for an ask.
        ticks: the price, > 0.
        lots: absolute quantity of everybody who is not an account; 0 = nobody.
    """

    at_us: int
    symbol: str
    side: int
    ticks: int
    lots: int


class Take(msgspec.Struct, frozen=True, gc=False):
    """Somebody who is not an account trades at once; what finds no counterpart vanishes.

    Attributes:
        at_us: exchange time, µs UTC.
        side: of the taker, BUY trades against asks.
        lots: at most this much, > 0; `SWEEP` = all there is.
        limit_ticks: no worse than this price.
    """

    at_us: int
    symbol: str
    side: int
    lots: int
    limit_ticks: int


class Reference(msgspec.Struct, frozen=True, gc=False):
    """The exchange's own prices of a perpetual.

    Attributes:
        at_us: exchange time, µs UTC.
        mark_ticks, index_ticks: rounded half up.
        funding_ppb: estimate for the running hour, parts per 10⁹ of the notional; > 0 = longs pay.
    """

    at_us: int
    symbol: str
    mark_ticks: int
    index_ticks: int
    funding_ppb: int


Act = Level | Take | Reference


class Outside(Protocol):
    """The doors of a simulated exchange through which the outside world comes in."""

    def set_outside(self, symbol: str, side: int, ticks: int, lots: int, now_us: int) -> object:
        """Make `lots` the quantity of others at this price."""

    def outside_take(self, symbol: str, side: int, lots: int, limit_ticks: int, now_us: int) -> object:
        """Trade against everything that rests, in price-time order, up to the limit."""

    def set_reference(self, symbol: str, mark_ticks: int, index_ticks: int, funding_ppb: int, now_us: int) -> object:
        """Set the mark and index price and the running funding rate of a perpetual."""


def apply(act: Act, exchange: Outside) -> None:
    """Do to `exchange` what the act says, at its time."""
    if type(act) is Level:
        exchange.set_outside(act.symbol, act.side, act.ticks, act.lots, act.at_us)
    elif type(act) is Take:
        exchange.outside_take(act.symbol, act.side, act.lots, act.limit_ticks, act.at_us)
    else:
        assert type(act) is Reference
        exchange.set_reference(act.symbol, act.mark_ticks, act.index_ticks, act.funding_ppb, act.at_us)


class Source(Iterator[Act]):
    """Acts of one or more markets, times never falling; read once, front to back.

    Attributes:
        instruments: the grid of every market that the acts name.
        start_us: time of the first act, µs UTC.
    """

    def __init__(self, instruments: Mapping[str, Instrument], start_us: int, acts: Iterator[Act]) -> None:
        self.instruments = dict(instruments)
        self.start_us = start_us
        self._acts = acts

    def __next__(self) -> Act:
        return next(self._acts)


def merge(sources: Sequence[Source]) -> Source:
    """Several sources as one, in time order; at the same time the earlier of `sources` comes first.

    Raises:
        ValueError: no source, or two that play the same market.
    """
    if not sources:
        raise ValueError("there is no market to merge; give at least one source")
    instruments: dict[str, Instrument] = {}
    for source in sources:
        for symbol, instrument in source.instruments.items():
            if symbol in instruments:
                raise ValueError(f"two sources play {symbol}; a market can have only one, leave one of them out")
            instruments[symbol] = instrument
    acts = heapq.merge(*sources, key=attrgetter("at_us"))
    return Source(instruments, min(s.start_us for s in sources), acts)
