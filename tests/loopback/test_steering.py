"""An operator moves markets that live: to another price, to a standstill, through a story; and lets them go again."""

import pytest

from lemon_trader.core.units import SELL, US_PER_S
from lemon_trader.matching.orders import NewOrder
from lemon_trader.sandbox.steering import Steering
from lemon_trader.sandbox.world import EMPTY, WorldOptions, make_world

START_US = 1_790_000_000_000_000
SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"


class Market:
    """A synthetic sandbox under virtual time, with an operator."""

    def __init__(self, **options):
        self.world = make_world(WorldOptions(symbols=(SPOT, PERP), **options), START_US)
        self.app, self.exchange = self.world.app, self.world.app.desk.exchange
        self.steering = Steering(self.world.source, self.app.desk.outside)
        self.now_us = START_US

    def run(self, seconds):
        self.now_us += seconds * US_PER_S
        while (act := self.steering.take(self.now_us)) is not None:
            self.app.act(act)
            bid, _, ask, _ = self.exchange.touch(act.symbol)
            assert not bid or not ask or bid < ask, "a book is never crossed"
        self.app.advance(self.now_us)
        self.exchange.check_closed()

    @property
    def middle(self):
        bid, _, ask, _ = self.exchange.touch(SPOT)
        return (bid + ask) // 2

    def book(self):
        book = self.exchange.depth(SPOT)
        return book.bids, book.asks


@pytest.mark.parametrize("share", [80, 97, 104, 130])
def test_a_moved_market_trades_at_its_price_and_lives_on_from_there(share):
    free, moved = Market(), Market()
    free.run(20)
    moved.run(20)
    before = moved.middle
    target = before * share // 100
    moved.steering.move(SPOT, target, moved.now_us)
    moved.run(0)
    assert moved.exchange.last_ticks(SPOT) == target
    assert abs(moved.middle - target) <= 1
    free.run(60)
    moved.run(60)
    assert [(t - (target - before), q) for t, q in moved.book()[0]] == list(free.book()[0]), "the same market, elsewhere"


def test_who_rests_in_the_way_is_traded_away_at_his_own_price():
    market = Market()
    market.run(10)
    name = market.world.accounts[0].name
    price = market.middle + 300
    order = market.exchange.place(name, NewOrder(symbol=SPOT, side=SELL, lots=100, ticks=price), market.now_us)
    far = market.exchange.place(name, NewOrder(symbol=SPOT, side=SELL, lots=100, ticks=price + 1_000), market.now_us)
    market.steering.move(SPOT, price + 200, market.now_us)
    market.run(0)
    fills = [(f.order_id, f.ticks, f.lots) for f in market.exchange.accounts[name].fills]
    assert fills == [(order.order_id, price, 100)]
    assert market.exchange.open_order(name, SPOT, order_id=far.order_id).executed_lots == 0


def test_a_perpetuals_index_moves_along():
    market = Market()
    market.run(10)
    _, index, _, _ = market.app.desk.outside.reference(PERP)
    here = market.steering.price_ticks(PERP)
    market.steering.move(PERP, here + 500, market.now_us)
    market.run(0)
    assert market.exchange.reference(PERP)[1] == index + 500


def test_a_held_market_stands_still_and_is_let_go_where_its_source_is():
    free, held = Market(), Market()
    for market in (free, held):
        market.run(10)
    held.steering.hold(SPOT, held.now_us, held=True)
    before, trades = held.book(), len(held.app.desk.tapes[SPOT].prints)
    held.run(60)
    assert held.book() == before
    assert len(held.app.desk.tapes[SPOT].prints) == trades
    held.steering.hold(SPOT, held.now_us, held=False)
    held.run(0)
    free.run(60)
    assert held.book() == free.book()


def test_a_story_begins_at_the_present_price_and_the_market_goes_on_at_its_end():
    market = Market()
    market.run(10)
    before = market.middle
    market.steering.tell(SPOT, "crash", market.now_us)
    market.run(35)
    assert market.middle < before * 92 // 100
    assert market.steering.hand(SPOT).story == "crash"
    market.run(30)
    after = market.middle
    assert market.steering.hand(SPOT).story == ""
    assert abs(after - before * 895 // 1000) < before // 50
    prints = len(market.app.desk.tapes[SPOT].prints)
    market.run(30)
    assert len(market.app.desk.tapes[SPOT].prints) > prints, "its own source goes on"
    assert abs(market.middle - after) < before // 20


def test_an_empty_market_can_be_moved_and_told_a_story():
    market = Market(market=EMPTY)
    market.steering.move(SPOT, 12_345, market.now_us)
    market.run(0)
    assert market.exchange.last_ticks(SPOT) == 12_345
    market.steering.tell(SPOT, "calm", market.now_us)
    market.run(5)
    assert abs(market.middle - 12_345) < 200


def test_a_market_with_changed_filters_is_moved_in_its_sources_units():
    market = Market()
    market.run(5)
    market.app.change_filters(SPOT, market.now_us, tick="0.001")
    market.run(1)
    here = market.steering.price_ticks(SPOT)
    assert 10_000 < here < 20_000, "hundredths, as the source counts"
    market.steering.move(SPOT, here + 100, market.now_us)
    market.run(0)
    assert market.exchange.last_ticks(SPOT) == (here + 100) * 10
    market.run(20)


def test_what_nobody_touches_is_untouched():
    alone, beside = Market(), Market()
    beside.run(5)
    beside.steering.move(SPOT, 20_000, beside.now_us)
    beside.run(30)
    alone.run(5)
    alone.run(30)
    assert alone.exchange.depth(PERP) == beside.exchange.depth(PERP)
