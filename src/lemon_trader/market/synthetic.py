"""Endless made-up markets: calm and storm in turn, jumps, runs of buyers and sellers; the same seed gives the same market.

Markets of one base share their price, as spot and perpetual do. The price is a random walk whose size changes between four weathers that
last for minutes, so that large moves come in clusters; a weak pull brings it back over weeks, and it never leaves a quarter to four times
of where it began. All of it is integers, so a seed means the same on every machine.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from operator import attrgetter
from typing import Final

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_MS, US_PER_S
from lemon_trader.market.acts import Act, Source
from lemon_trader.market.chance import MILLION, Chance
from lemon_trader.market.flow import Flow
from lemon_trader.market.instruments import COINS, usual_price_ticks
from lemon_trader.market.marks import Marks

STEP_US: Final = 250 * US_PER_MS
PAR: Final = 10**12  # the price's fixed point: one times the price it began with
PPB: Final = 10**9
PULL_PPB: Final = 150  # part of the distance from the beginning that one step takes back
LOWEST: Final = PAR // 4
HIGHEST: Final = PAR * 4
JUMP_PPB: Final = 5_000_000  # deviation of a jump


class Weather(msgspec.Struct, frozen=True, gc=False):
    """How a market behaves for some minutes.

    Attributes:
        deviation_ppb: of one step's return.
        steps: how long it usually lasts.
        jumps_ppm: probability of a jump in one step.
        stress_ppm: spread and number of trades beside usual ones, and how much thinner the book is.
    """

    deviation_ppb: int
    steps: int
    jumps_ppm: int
    stress_ppm: int


WEATHERS: Final = (
    Weather(15_000, 1_200, 5, 700_000),
    Weather(35_000, 1_000, 15, 1_000_000),
    Weather(90_000, 480, 60, 1_700_000),
    Weather(220_000, 120, 250, 3_000_000),
)


class Price:
    """The price behind all markets of one base, as a multiple of where it began."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._weather = 1
        self.value = PAR

    @property
    def weather(self) -> Weather:
        """What the market is like now."""
        return WEATHERS[self._weather]

    def step(self) -> int:
        """The next value, in units of PAR."""
        chance, weather = self._chance, self.weather
        change_ppb = weather.deviation_ppb * chance.bell() // MILLION + (PAR - self.value) * PULL_PPB // PAR
        if chance.happens(weather.jumps_ppm):
            change_ppb += JUMP_PPB * chance.bell() // MILLION
        self.value = min(HIGHEST, max(LOWEST, self.value + self.value * change_ppb // PPB))
        if not chance.below(weather.steps):
            turn = 1 if chance.bits() & 1 else -1
            self._weather = abs(self._weather + turn) if self._weather + turn < len(WEATHERS) else self._weather - 1
        return self.value


def synthetic(
    instruments: Sequence[Instrument], *, seed: int, start_us: int, activity_pct: int = 100, prices: Mapping[str, int] | None = None,
    reference_us: int = US_PER_S,
) -> Source:  # fmt: skip
    """An endless market in each of `instruments`.

    Args:
        instruments: default markets of the simulated exchange, or others of the same bases.
        seed: fixes everything but the times.
        start_us: when it begins, µs UTC.
        activity_pct: how busy; 100 gives 5 to 20 acts a second and market.
        prices: by symbol, where a price begins, ticks; else a usual price.
        reference_us: distance of a perpetual's mark prices, µs.

    Raises:
        ValueError: no market, one named twice, or an activity below 1 %.
    """
    symbols = [i.symbol for i in instruments]
    if not symbols or len(set(symbols)) < len(symbols):
        raise ValueError(f"a synthetic market needs at least one symbol and each only once; given: {', '.join(symbols) or 'none'}")
    if activity_pct < 1:
        raise ValueError(f"an activity of {activity_pct} % is too little; give 1 or more, 100 is usual")
    markets = [_market(i, seed, start_us, activity_pct, (prices or {}).get(i.symbol), reference_us) for i in instruments]
    return Source({i.symbol: i for i in instruments}, start_us, heapq.merge(*markets, key=attrgetter("at_us")))


def _market(of: Instrument, seed: int, start_us: int, activity_pct: int, begin_ticks: int | None, reference_us: int) -> Iterator[Act]:
    coin = COINS[of.base]
    begin = begin_ticks or usual_price_ticks(of)
    price = Price(Chance("price", seed, of.base))
    flow = Flow(of, Chance("flow", seed, of.symbol), begin, coin.touch, coin.pace_ppm * activity_pct // 100)
    crowd, marks = flow.crowd, Marks(of, reference_us)
    for at_us in count(start_us, STEP_US):
        yield from marks.until(at_us, crowd.mid_half_ticks)
        fair_ticks = max(1, (begin * price.step() + PAR // 2) // PAR)
        for act in flow.step(at_us, fair_ticks, STEP_US, stress_ppm=price.weather.stress_ppm):
            yield from marks.until(act.at_us, crowd.mid_half_ticks)
            yield act
