"""Anonymous quantity that leaves a queue: from the back, or from where a model says it stood."""

import pytest
from tests.matching.worlds import SPOT, T, limit, spot

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.book import FIRST, IN_TURN, LAST, Queueing
from lemon_trader.matching.exchange import Exchange

NAME = "ann"
MONEY = {"USDC": 10**15, "SOL": 10**15}


def queue(leaving, standing=IN_TURN):
    """50 lots at 99.00, our 10 behind them, 30 more behind us, or wherever the standing puts them."""
    exchange = Exchange([spot()], queueing=Queueing(standing, leaving))
    exchange.open_account(NAME, MONEY)
    exchange.set_outside(SPOT, BUY, 9_900, 50, T)
    exchange.set_outside(SPOT, SELL, 10_100, 50, T)
    order = exchange.place(NAME, limit(SPOT, BUY, 10, 9_900), T)
    exchange.set_outside(SPOT, BUY, 9_900, 80, T)
    return exchange, order.order_id


def ahead_of(exchange, order_id):
    """Lots that must trade before the order does: found by trading."""
    lots = 0
    while not any(f.order_id == order_id for f in exchange.accounts[NAME].fills):
        assert exchange.outside_take(SPOT, SELL, 1, 9_900, T) == 1
        lots += 1
    return lots - 1


@pytest.mark.parametrize(
    ("leaving", "left", "expected"),
    [
        pytest.param(None, 30, 50, id="nobody says where: behind us first"),
        pytest.param(None, 40, 40, id="and before us when nobody is left behind"),
        pytest.param(lambda ahead, behind, left: left // 2, 20, 40, id="a model says half of it stood before us"),
        pytest.param(lambda ahead, behind, left: min(ahead, left), 50, 0, id="a model says all of it stood before us"),
    ],
)
def test_what_leaves_without_a_trade_leaves_from_where_the_model_says(leaving, left, expected):
    exchange, order_id = queue(leaving)
    exchange.set_outside(SPOT, BUY, 9_900, 80 - left, T)
    assert exchange.depth(SPOT).bids[0] == (9_900, 80 - left + 10)
    assert ahead_of(exchange, order_id) == expected
    exchange.check_closed()


def test_each_order_is_asked_about_its_own_place():
    asked = []

    def leaving(ahead, behind, left):
        asked.append((ahead, behind, left))
        return min(ahead, left, 5)

    exchange, _ = queue(leaving)
    exchange.place(NAME, limit(SPOT, BUY, 7, 9_900), T)
    exchange.set_outside(SPOT, BUY, 9_900, 90, T)  # 50 | ours | 30 | ours | 10
    exchange.set_outside(SPOT, BUY, 9_900, 60, T)
    assert asked == [(50, 40, 30), (30, 10, 25)]
    assert exchange.depth(SPOT).bids[0] == (9_900, 60 + 17)


@pytest.mark.parametrize(("standing", "expected"), [(IN_TURN, 50), (LAST, 80), (FIRST, 0)])
def test_where_a_queue_is_not_known_its_two_ends_are_played(standing, expected):
    exchange, order_id = queue(None, standing)
    assert ahead_of(exchange, order_id) == expected
    exchange.check_closed()


def test_whoever_comes_goes_before_an_order_that_stands_last_for_ever():
    exchange, order_id = queue(None, LAST)
    for _ in range(3):
        assert exchange.outside_take(SPOT, SELL, 70, 9_900, T) == 70
        exchange.set_outside(SPOT, BUY, 9_900, 80, T)
    assert not exchange.accounts[NAME].fills
    assert exchange.outside_take(SPOT, SELL, 100, 9_800, T) == 90  # through its price everybody is met
    assert exchange.open_orders(NAME) == []
    assert [f.order_id for f in exchange.accounts[NAME].fills] == [order_id]
