"""Scripted little markets: a price that is told where to be when, with ordinary order flow around it. For the demo and for tests."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import PPM, US_PER_MS, US_PER_S
from lemon_trader.market.acts import Act, Source
from lemon_trader.market.chance import MILLION, Chance
from lemon_trader.market.flow import Flow
from lemon_trader.market.instruments import COINS, usual_price_ticks
from lemon_trader.market.marks import Marks

STEP_US: Final = 250 * US_PER_MS
SETTLES: Final = 8  # a wobble loses an eighth of itself in each step


class Scenario(msgspec.Struct, frozen=True):
    """A script.

    Attributes:
        waypoints: (seconds from the start, price as ppm of the first price), seconds rising and above 0.
        wobble_ppm: how far the price usually strays from the straight way between them.
        pace_ppm: how busy the market is; one million is usual.
        leaps: the price stays until a waypoint's time and is there at once, instead of going straight.
    """

    waypoints: tuple[tuple[int, int], ...]
    wobble_ppm: int = 300
    pace_ppm: int = 2 * PPM
    leaps: bool = False

    @property
    def seconds(self) -> int:
        """How long it lasts."""
        return self.waypoints[-1][0]


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "calm": Scenario(((60, 1_000_000),)),
    # A dip that a martingale buys and sells again, then a fall through its whole ladder and its stop.
    "demo": Scenario(((15, 1_000_000), (30, 960_000), (50, 1_012_000), (60, 1_005_000), (85, 800_000), (100, 804_000))),
    # Every few seconds somebody large buys or sells through the book: what a market maker lives on.
    "ripple": Scenario(tuple((6 * n, 1_001_300 if n % 2 else 999_900) for n in range(1, 20)), wobble_ppm=100, leaps=True),
    "crash": Scenario(((20, 1_000_000), (30, 880_000), (40, 900_000), (60, 895_000))),
    "spike": Scenario(((20, 1_000_000), (21, 930_000), (24, 995_000), (60, 1_000_000))),
}


def play_scenario(
    scenario: Scenario,
    instrument: Instrument,
    *,
    start_us: int,
    seed: int = 0,
    price_ticks: int | None = None,
    reference_us: int = US_PER_S,
) -> Source:
    """The scenario in this market, from `price_ticks` (else a usual price) on; it ends with the last waypoint.

    At the time of each waypoint a trade happens at exactly its price, rounded down to a tick.

    Raises:
        ValueError: waypoints that are missing, out of order or without a price above 0.
    """
    last = 0
    for seconds, relative_ppm in scenario.waypoints:
        if seconds <= last or relative_ppm <= 0:
            raise ValueError(f"waypoint ({seconds}, {relative_ppm}) must come later than {last} s and have a price above 0")
        last = seconds
    if not last:
        raise ValueError("a scenario needs at least one waypoint, for example ((60, 1000000),)")
    begin_ticks = price_ticks or usual_price_ticks(instrument)
    return Source({instrument.symbol: instrument}, start_us, _play(scenario, instrument, start_us, seed, begin_ticks, reference_us))


def _play(scenario: Scenario, of: Instrument, start_us: int, seed: int, begin_ticks: int, reference_us: int) -> Iterator[Act]:
    chance = Chance("scenario", seed, of.symbol)
    flow = Flow(of, chance, begin_ticks, COINS[of.base].touch, scenario.pace_ppm)
    crowd, marks = flow.crowd, Marks(of, reference_us)
    noise_ppm = scenario.wobble_ppm // 2
    from_us, from_ticks = start_us, begin_ticks
    wobble_ppm = 0
    for seconds, relative_ppm in scenario.waypoints:
        to_us, to_ticks = start_us + seconds * US_PER_S, max(1, begin_ticks * relative_ppm // PPM)
        for at_us in range(from_us, to_us, STEP_US):
            gone_us = 0 if scenario.leaps else at_us - from_us
            straight = from_ticks + (to_ticks - from_ticks) * gone_us // (to_us - from_us)
            fair_ticks = max(1, straight + straight * wobble_ppm // PPM)
            yield from marks.until(at_us, crowd.mid_half_ticks)
            for act in flow.step(at_us, fair_ticks, STEP_US):
                yield from marks.until(act.at_us, crowd.mid_half_ticks)
                yield act
            wobble_ppm += noise_ppm * chance.bell() // MILLION - wobble_ppm // SETTLES
        yield from marks.until(to_us, crowd.mid_half_ticks)
        yield from crowd.walk(to_us, to_ticks, 1)
        yield from marks.until(to_us, crowd.mid_half_ticks)
        from_us, from_ticks, wobble_ppm = to_us, to_ticks, 0
