"""Liquidity, averages and the suggested spread: integers, checked by hand."""

import pytest

from lemon_trader.exchanges.dialect import Candle
from lemon_trader.run.menu_figures import analyse, liquidity, scatter_ppm


def candles(*closes):
    return [Candle(i, i + 1, c, c, c, c, 1 if c else 0, 1 if c else 0) for i, c in enumerate(closes)]


BOOKS = [
    ("equal sides are balanced", [(99, 5)], [(101, 5)], 0, "balanced"),
    ("three to two is just not yet pressure", [(99, 6)], [(101, 4)], 200_000, "balanced"),
    ("more than that is pressure of buyers", [(99, 61)], [(101, 39)], 220_000, "buy"),
    ("and of sellers the other way round", [(99, 39)], [(101, 61)], -220_000, "sell"),
    ("an empty book presses nobody", [], [], 0, "balanced"),
    ("a level without quantity does not count", [(99, 5), (98, 0)], [(101, 5)], 0, "balanced"),
]


@pytest.mark.parametrize(("bids", "asks", "imbalance", "pressure"), [case[1:] for case in BOOKS], ids=[case[0] for case in BOOKS])
def test_who_presses(bids, asks, imbalance, pressure):
    found = liquidity(bids, asks)
    assert (found.imbalance_ppm, found.pressure) == (imbalance, pressure)


def test_only_the_best_ten_levels_count_in_whatever_order_they_come():
    found = liquidity([(100 - i, 1) for i in reversed(range(12))], [(101 + i, 2) for i in reversed(range(12))])
    assert [p for p, _ in found.bids] == list(range(100, 90, -1))
    assert [p for p, _ in found.asks] == list(range(101, 111))
    assert (found.bid_lots, found.ask_lots) == (10, 20)
    assert found.spread_ppm == 2 * 1_000_000 // 201


def test_scatter_is_the_standard_deviation_of_closes_in_ppm_of_their_mean():
    assert scatter_ppm([99, 100, 101]) == 8_164  # sqrt(2/3) of 100, rounded down
    assert scatter_ppm([100] * 5) == 0
    assert scatter_ppm([100, 101]) == -1


def test_averages_and_trend_of_a_market_that_rises():
    found = analyse(candles(*range(1_000, 1_060)), 0)
    assert found.averages_ticks == (1_057, 1_049, 1_034)
    assert found.trend == "up"
    assert analyse(candles(*range(1_060, 1_000, -1)), 0).trend == "down"
    assert analyse(candles(*[1_000] * 60), 0).trend == "sideways"
    assert analyse(candles(1_000, 1_001), 0).trend == "unknown"


def test_candles_without_a_trade_are_left_out():
    assert analyse(candles(100, 0, 0, 102), 0).candles == 2


SPREADS = [
    ("a dead market gets the smallest", [10_000] * 50, 1_600, 2_000, 5),
    ("never below the fees of a round trip", [10_000] * 50, 2_550, 2_600, 5),
    ("a market that scatters five percent gets a fifth of it", [9_500, 10_500] * 25, 1_600, 10_000, 2),
    ("a wild one gets two percent", [8_000, 12_000] * 25, 1_600, 20_000, 2),
    ("nothing known is neither calm nor wild", [10_000], 1_600, 2_000, 3),
]


@pytest.mark.parametrize(("closes", "fees", "spread", "orders"), [case[1:] for case in SPREADS], ids=[case[0] for case in SPREADS])
def test_suggested_spread_and_orders(closes, fees, spread, orders):
    found = analyse(candles(*closes), fees)
    assert (found.spread_ppm, found.orders) == (spread, orders)
