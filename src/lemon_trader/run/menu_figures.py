"""What the menu makes of a book and of candles: liquidity, averages, trend, and a spread that pays. Integers in, integers out."""

from collections.abc import Sequence
from math import isqrt
from typing import Final

import msgspec

from lemon_trader.core.units import PPM
from lemon_trader.exchanges.dialect import Candle

LEVELS: Final = 10
PRESSURE_PPM: Final = 200_000  # an imbalance beyond this is called pressure of that side
AVERAGES: Final = (5, 20, 50)
SPREAD_LOW_PPM: Final = 2_000
SPREAD_HIGH_PPM: Final = 20_000
SPREAD_OF_VOLATILITY_PPM: Final = 200_000
STEP_PPM: Final = 100  # a suggestion is a whole hundredth of a percent
CALM_PPM: Final = 5_000
WILD_PPM: Final = 20_000

Side = Sequence[tuple[int, int]]  # (price ticks, lots), the best first


class Liquidity(msgspec.Struct, frozen=True):
    """How much rests near the touch.

    Attributes:
        bids, asks: the levels looked at, the best first.
        bid_lots, ask_lots: their sums.
        imbalance_ppm: (bids - asks) / (bids + asks), -10**6 … 10**6; 0 for an empty book.
        spread_ppm: of the touch, ppm of the mid; 0 where a side is empty.
    """

    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    bid_lots: int
    ask_lots: int
    imbalance_ppm: int
    spread_ppm: int

    @property
    def pressure(self) -> str:
        """`buy`, `sell` or `balanced`."""
        if self.imbalance_ppm > PRESSURE_PPM:
            return "buy"
        return "sell" if self.imbalance_ppm < -PRESSURE_PPM else "balanced"


class Analysis(msgspec.Struct, frozen=True):
    """What the last candles say.

    Attributes:
        candles: how many had a trade.
        close_ticks: of the last one; 0 without any.
        averages_ticks: of the last 5, 20 and 50 closes; 0 where there are fewer.
        volatility_ppm: how far the closes of the last 50 candles scatter round their mean, ppm of it; -1 with fewer than three.
        from_long_ppm: last close against the longest average there is, ppm; 0 without one.
        trend: `up`, `down`, `sideways`, or `unknown`.
        spread_ppm: suggested full spread: a fifth of the volatility within 0.2 … 2 %, never below the fees of a round trip.
        orders: suggested orders on each side.
    """

    candles: int
    close_ticks: int
    averages_ticks: tuple[int, ...]
    volatility_ppm: int
    from_long_ppm: int
    trend: str
    spread_ppm: int
    orders: int


def liquidity(bids: Side, asks: Side, levels: int = LEVELS) -> Liquidity:
    """The liquidity of the best `levels` on each side; levels may come in any order."""
    best_bids = tuple(sorted(((p, q) for p, q in bids if q), reverse=True)[:levels])
    best_asks = tuple(sorted((p, q) for p, q in asks if q)[:levels])
    bid_lots, ask_lots = sum(q for _, q in best_bids), sum(q for _, q in best_asks)
    total = bid_lots + ask_lots
    spread = 0
    if best_bids and best_asks:
        bid, ask = best_bids[0][0], best_asks[0][0]
        spread = (ask - bid) * 2 * PPM // (ask + bid)
    return Liquidity(best_bids, best_asks, bid_lots, ask_lots, (bid_lots - ask_lots) * PPM // total if total else 0, spread)


def analyse(candles: Sequence[Candle], break_even_ppm: int) -> Analysis:
    """What these candles, oldest first, say; those without a trade are left out. `break_even_ppm`: fees of a round trip as maker."""
    closes = [candle.close_ticks for candle in candles if candle.close_ticks]
    averages = tuple(sum(closes[-n:]) // n if len(closes) >= n else 0 for n in AVERAGES)
    volatility = scatter_ppm(closes[-AVERAGES[-1] :])
    longest = next((average for average in reversed(averages) if average), 0)
    last = closes[-1] if closes else 0
    wanted = min(max(max(volatility, 0) * SPREAD_OF_VOLATILITY_PPM // PPM, SPREAD_LOW_PPM), SPREAD_HIGH_PPM)
    spread = -(-max(wanted, break_even_ppm) // STEP_PPM) * STEP_PPM
    orders = 3 if CALM_PPM <= volatility <= WILD_PPM or volatility < 0 else 5 if volatility < CALM_PPM else 2
    return Analysis(
        len(closes), last, averages, volatility, (last - longest) * PPM // longest if longest else 0, _trend(averages), spread, orders
    )


def scatter_ppm(closes: Sequence[int]) -> int:
    """Standard deviation of these prices, ppm of their mean, rounded down; -1 where there are fewer than three."""
    n = len(closes)
    if n < 3:
        return -1
    total = sum(closes)
    # n² times the variance, exact; the mean is total / n.
    spread = n * sum(close * close for close in closes) - total * total
    return isqrt(spread * PPM * PPM) // total


def _trend(averages: Sequence[int]) -> str:
    short, middle, long = averages
    if not middle:
        return "unknown"
    far = long or middle
    if short > middle >= far:
        return "up"
    return "down" if short < middle <= far else "sideways"
