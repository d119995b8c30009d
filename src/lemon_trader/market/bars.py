"""A market out of bars: a path through each bar's prices that touches its high and its low and never leaves them.

A bar does not say in which order its prices came. We go open, low, high, close in a bar that rose and open, high, low, close in one that
fell, the usual order in which a bar says least about its future; a bar that did neither takes either way, by seed. Long ways are cut into
steps so that whoever rests on the way is met in turn. Between two bars the price jumps: nothing is known about what lay between.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import PPM, US_PER_S
from lemon_trader.market.acts import Act
from lemon_trader.market.chance import Chance
from lemon_trader.market.crowd import Crowd
from lemon_trader.market.marks import Marks

STEP_PPM: Final = 1_000  # a step of a path is at most this part of the bar's open, unless that makes too many
STEPS_MAX: Final = 24
MINUTE_US: Final = 60 * US_PER_S
DEPTH_SHIFT: Final = 3  # a level of the ladder usually holds an eighth of a minute's volume
MEMORY: Final = 64  # bars over which that volume is averaged


class Bars(msgspec.Struct, frozen=True, gc=False):
    """Bars on the grid, columns of equal length.

    Attributes:
        at_us: when each opens, µs UTC, rising.
        every_us: how long one lasts, µs.
        open, high, low, close: ticks, low <= open, close <= high, > 0.
        lots: traded volume; a bar of 0 holds no data and is passed over.
    """

    at_us: list[int]
    every_us: int
    open: list[int]
    high: list[int]
    low: list[int]
    close: list[int]
    lots: list[int]


def path(first: int, high: int, low: int, last: int, *, low_first: bool) -> list[int]:
    """Prices from the open to the close of one bar, ticks: both extremes among them, no two neighbours equal, at most a few dozen."""
    corners = (low, high, last) if low_first else (high, low, last)
    length = 0
    here = first
    for corner in corners:
        length += abs(corner - here)
        here = corner
    step = max(1, first * STEP_PPM // PPM, -(-length // STEPS_MAX))
    prices = [first]
    here = first
    for corner in corners:
        way = corner - here
        if way:
            steps = -(-abs(way) // step)
            prices.extend(here + way * k // steps for k in range(1, steps + 1))
            here = corner
    return prices


def play_bars(bars: Bars, instrument: Instrument, seed: int, reference_us: int) -> Iterator[Act]:
    """The acts of one market that lives through `bars`. The same bars and seed give the same acts."""
    chance = Chance("bars", seed, instrument.symbol)
    marks = Marks(instrument, reference_us)
    every_us = bars.every_us
    usual = next((v for v in bars.lots if v), 1) * MINUTE_US
    crowd = Crowd(instrument, chance, 1)
    for at_us, first, high, low, last, lots in zip(bars.at_us, bars.open, bars.high, bars.low, bars.close, bars.lots, strict=True):
        if not lots:
            continue
        usual += (lots * MINUTE_US - usual) // MEMORY
        crowd.depth_lots = max(2, usual // every_us >> DEPTH_SHIFT)
        low_first = last > first if last != first else bool(chance.bits() & 1)
        prices = path(first, high, low, last, low_first=low_first)
        share = max(1, lots // len(prices))
        for k, ticks in enumerate(prices):
            now_us = at_us + every_us * k // len(prices)
            yield from marks.until(now_us, crowd.mid_half_ticks)
            yield from crowd.walk(now_us, ticks, share, is_jump=not k)
            yield from marks.until(now_us, crowd.mid_half_ticks)
