"""A market out of its trades: each is traded again, inside a thin book that follows them."""

from collections.abc import Iterator
from typing import Final

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.market.acts import Act
from lemon_trader.market.chance import Chance
from lemon_trader.market.crowd import Crowd
from lemon_trader.market.marks import Marks

MEMORY: Final = 256  # trades over which the usual size is averaged
DEPTH: Final = 8  # a level of the ladder usually holds this many usual trades


class Prints(msgspec.Struct, frozen=True, gc=False):
    """Public trades on the grid, columns of equal length.

    Attributes:
        at_us: µs UTC, never falling.
        side: of the taker, BUY or SELL.
        ticks: price, > 0.
        lots: > 0.
    """

    at_us: list[int]
    side: list[int]
    ticks: list[int]
    lots: list[int]


def play_prints(prints: Prints, instrument: Instrument, seed: int, reference_us: int) -> Iterator[Act]:
    """The acts of one market in which these trades happen. The same trades and seed give the same acts.

    The trades' prices, sides and sizes are the recorded ones; the book around them is invented. An order of an account that a trade's
    price has passed is traded away whole; at the trade's own price it gets what the trade has left for it.
    """
    chance = Chance("prints", seed, instrument.symbol)
    marks = Marks(instrument, reference_us)
    crowd = Crowd(instrument, chance, 1)
    usual = (prints.lots[0] if prints.lots else 1) * MEMORY
    for at_us, side, ticks, lots in zip(prints.at_us, prints.side, prints.ticks, prints.lots, strict=True):
        usual += lots - usual // MEMORY
        crowd.depth_lots = max(2, usual * DEPTH // MEMORY)
        yield from marks.until(at_us, crowd.mid_half_ticks)
        yield from crowd.trade(at_us, side, ticks, lots, is_jump=True)
        yield from marks.until(at_us, crowd.mid_half_ticks)
