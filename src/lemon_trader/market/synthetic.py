"""Endless made-up markets that behave as recorded ones do; the same seed gives the same market.

Markets of one coin share the price behind them; a perpetual stands a changing premium away from it, which makes its index, and its funding.
Around it quotes follow (`makers`), takers come (`takers`), each in its own time. What "as recorded ones do" means stands in
`calibration`, and `benchmarks/stylised.py` prints both side by side.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from operator import attrgetter
from typing import Final

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import ATOMS_PER_UNIT, PPM, US_PER_S
from lemon_trader.market.acts import Act, Source
from lemon_trader.market.calibration import CHANGES_PPM, FOLLOWS_PPM, MET_PPM, REFILL_US, STEP_US, TOUCH_PER_TAKE
from lemon_trader.market.chance import Chance
from lemon_trader.market.instruments import COINS, usual_price_ticks
from lemon_trader.market.makers import TICK, Makers
from lemon_trader.market.marks import Marks
from lemon_trader.market.price import PAR, PPB, Premium, Price
from lemon_trader.market.takers import Takers

# What can be due in a market; at the same time in this order.
_FOLLOW, _REFILL, _CHANGE, _TAKE = range(4)
WAITING_MAX: Final = 64  # refills and takes to come of one market; more bring no more


def synthetic(
    instruments: Sequence[Instrument], *, seed: int, start_us: int, activity_pct: int = 100, prices: Mapping[str, int] | None = None,
    reference_us: int = US_PER_S,
) -> Source:  # fmt: skip
    """An endless market in each of `instruments`.

    Args:
        instruments: default markets of the simulated exchange, or others of the same bases.
        seed: fixes everything but the times.
        start_us: when it begins, µs UTC.
        activity_pct: how busy takers and quotes are; 100 gives 10 to 25 acts a second and market. The price moves the same.
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
    markets = [_Market(i, seed, activity_pct, (prices or {}).get(i.symbol), reference_us).play(start_us) for i in instruments]
    return Source({i.symbol: i for i in instruments}, start_us, heapq.merge(*markets, key=attrgetter("at_us")))


class _Market:
    """One market: the price behind it, who quotes, who takes, and what each has in mind next."""

    def __init__(self, of: Instrument, seed: int, activity_pct: int, begin_ticks: int | None, reference_us: int) -> None:
        coin = COINS[of.base]
        self._begin = begin_ticks or usual_price_ticks(of)
        self._price = Price(Chance("price", seed, of.base))
        self._premium = Premium(Chance("premium", seed, of.symbol)) if of.is_perp else None
        self._chance = Chance("flow", seed, of.symbol)
        self._pace_ppm = coin.pace_ppm * activity_pct // 100
        self._touch_lots = max(4, coin.touch * ATOMS_PER_UNIT // of.notional_atoms(self._begin, 1))
        self._makers = Makers(of, self._chance, self._touch_lots)
        self._takers = Takers(self._chance, max(1, self._touch_lots // TOUCH_PER_TAKE))
        self._marks = Marks(of, reference_us)
        self._index = self._fair = self._begin * TICK
        self._agenda: list[tuple[int, int, int]] = []  # (when, what, side of a take)

    def play(self, start_us: int) -> Iterator[Act]:
        """Everything that happens, times never falling."""
        makers, marks, agenda = self._makers, self._marks, self._agenda
        yield from makers.follow(start_us, self._fair)
        for at_us in count(start_us, STEP_US):
            yield from marks.until(at_us, makers.mid_half_ticks, self._index)
            self._step(at_us)
            while agenda and agenda[0][0] < at_us + STEP_US:
                now_us, what, side = heapq.heappop(agenda)
                for act in self._happen(now_us, what, side):
                    yield from marks.until(act.at_us, makers.mid_half_ticks, self._index)
                    yield act

    def _step(self, at_us: int) -> None:
        """Move the price and put on the agenda what begins in this step."""
        chance, agenda, price = self._chance, self._agenda, self._price
        self._index = (self._begin * TICK * price.step() + PAR // 2) // PAR
        self._fair = self._index if self._premium is None else self._index + self._index * self._premium.step() // PPB
        stress_ppm = price.stress_ppm
        self._makers.touch_lots = max(2, self._touch_lots * PPM // max(PPM >> 1, stress_ppm))
        pace_ppm = self._pace_ppm * stress_ppm // PPM
        if chance.happens(FOLLOWS_PPM * pace_ppm // PPM):
            heapq.heappush(agenda, (at_us + chance.below(STEP_US), _FOLLOW, 0))
        for _ in range(self._takers.arrivals(pace_ppm)):
            heapq.heappush(agenda, (at_us + chance.below(STEP_US), _TAKE, self._takers.side()))
        changes, part = divmod(CHANGES_PPM * self._pace_ppm // PPM, PPM)
        for _ in range(changes + chance.happens(part)):
            heapq.heappush(agenda, (at_us + chance.below(STEP_US), _CHANGE, 0))

    def _happen(self, now_us: int, what: int, side: int) -> Sequence[Act]:
        makers, agenda = self._makers, self._agenda
        if what == _FOLLOW:
            return makers.follow(now_us, self._fair, self._takers.lots() if self._chance.happens(MET_PPM) else 0)
        if what == _REFILL:
            return makers.fill(now_us)
        if what == _CHANGE:
            return makers.change_mind(now_us)
        acts = makers.take(now_us, side, self._takers.lots())
        if len(agenda) < WAITING_MAX:
            if makers.is_eaten():
                heapq.heappush(agenda, (now_us + self._chance.wait(REFILL_US), _REFILL, 0))
            for child_us, child_side in self._takers.offspring(now_us, side):
                heapq.heappush(agenda, (child_us, _TAKE, child_side))
        return acts
