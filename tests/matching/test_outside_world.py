"""Everything that is not an account: anonymous quantity beside our orders in the queue, and takers that come from nowhere."""

import pytest
from tests.matching.worlds import PERP, SPOT, T, booked, changes, ended, limit, world

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import BookChanged, StateChanged, Traded
from lemon_trader.matching.orders import Refused


def executed(exchange, order):
    """How much of an order was filled, wherever it stands."""
    live = [o for o in exchange.open_orders(order.account) if o.order_id == order.order_id]
    return (live[0] if live else ended(exchange, order)).executed_lots


QUEUE = [
    ("what was there before is filled before us", [10, "us"], 10, 0),
    ("one lot more than what was there reaches us", [10, "us"], 11, 1),
    ("an increase after us queues behind us", [10, "us", 30], 15, 5),
    ("it is filled once we are", [10, "us", 30], 20, 5),
    ("a decrease takes from behind us first", [10, "us", 30, 12], 11, 1),
    ("and only then from before us", [10, "us", 30, 4], 6, 2),
    ("a level without anonymous quantity is ours alone", [10, "us", 0], 2, 2),
    ("a decrease never takes from us", ["us", 10, 0], 5, 5),
    ("a restated quantity changes nobody's place", [10, "us", 10, 10], 12, 2),
    ("growth again after a decrease is behind us", [10, "us", 4, 10], 6, 2),
]


@pytest.mark.parametrize(("steps", "taken", "ours"), [case[1:] for case in QUEUE], ids=[case[0] for case in QUEUE])
def test_our_place_in_the_queue(steps, taken, ours):
    exchange = world()
    order = None
    for step in steps:
        if step == "us":
            order = exchange.place("ann", limit(SPOT, BUY, 5, 9_900), T)
        else:
            exchange.set_outside(SPOT, BUY, 9_900, step, T)
    assert exchange.outside_take(SPOT, SELL, taken, 0, T) == taken
    assert executed(exchange, order) == ours
    exchange.check_closed()


def test_a_decrease_takes_the_youngest_anonymous_quantity_first():
    exchange = world()
    exchange.set_outside(SPOT, BUY, 9_900, 10, T)
    first = exchange.place("ann", limit(SPOT, BUY, 5, 9_900), T)
    exchange.set_outside(SPOT, BUY, 9_900, 20, T)
    second = exchange.place("bob", limit(SPOT, BUY, 5, 9_900), T)
    exchange.set_outside(SPOT, BUY, 9_900, 30, T)
    exchange.set_outside(SPOT, BUY, 9_900, 15, T)  # the last ten and five of the middle ten are gone
    exchange.outside_take(SPOT, SELL, 21, 0, T)
    assert (executed(exchange, first), executed(exchange, second)) == (5, 1)


def test_an_order_that_leaves_the_middle_of_a_queue_lets_those_behind_move_up():
    exchange = world()
    exchange.set_outside(SPOT, BUY, 9_900, 10, T)
    middle = exchange.place("ann", limit(SPOT, BUY, 5, 9_900), T)
    last = exchange.place("bob", limit(SPOT, BUY, 5, 9_900), T)
    exchange.cancel("ann", SPOT, T, order_id=middle.order_id)
    exchange.outside_take(SPOT, SELL, 12, 0, T)
    assert executed(exchange, last) == 2


def test_a_taker_keeps_to_its_limit_and_what_finds_nobody_vanishes():
    exchange = booked()
    assert exchange.outside_take(SPOT, BUY, 700, 10_100, T) == 500
    assert exchange.outside_take(SPOT, BUY, 700, 0, T) == 500
    assert exchange.outside_take(SPOT, BUY, 700, 0, T) == 0
    assert exchange.depth(SPOT).asks == ()
    assert exchange.last_ticks(SPOT) == 10_200


def test_a_trade_between_two_of_the_outside_world_is_printed_and_moves_no_money():
    exchange = booked()
    exchange.outside_take(SPOT, BUY, 700, 0, T)
    prints = [e for e in exchange.take_effects() if isinstance(e, Traded)]
    assert [(e.ticks, e.lots, e.buyer, e.seller, e.buyer_is_maker) for e in prints] == [
        (10_100, 500, None, None, False), (10_200, 200, None, None, False),
    ]  # fmt: skip
    assert prints[0].buy_order_id == prints[1].buy_order_id != prints[0].sell_order_id
    exchange.check_closed()


def test_a_price_that_moves_through_us_fills_us_and_rests_with_what_is_left():
    exchange = world()
    order = exchange.place("ann", limit(SPOT, BUY, 5, 10_000), T)
    worse = exchange.place("ann", limit(SPOT, BUY, 5, 9_900), T)
    exchange.set_outside(SPOT, SELL, 9_950, 8, T)
    assert (executed(exchange, order), executed(exchange, worse)) == (5, 0)
    fill = exchange.accounts["ann"].fills[0]
    assert (fill.ticks, fill.is_maker) == (10_000, True)  # at our price, as maker
    assert exchange.depth(SPOT).asks == ((9_950, 3),)
    assert exchange.depth(SPOT).bids == ((9_900, 5),)


def test_a_crossing_level_that_is_smaller_than_our_order_is_used_up():
    exchange = world()
    order = exchange.place("ann", limit(SPOT, SELL, 5, 10_000), T)
    exchange.set_outside(SPOT, BUY, 10_000, 2, T)
    assert executed(exchange, order) == 2
    assert exchange.depth(SPOT).bids == ()


def test_a_level_that_crosses_older_levels_of_the_outside_world_removes_them_without_a_trade():
    exchange = booked()
    exchange.set_outside(SPOT, BUY, 10_150, 7, T)
    assert exchange.depth(SPOT).asks == ((10_200, 500),)
    assert exchange.depth(SPOT).bids[0] == (10_150, 7)
    assert not [e for e in exchange.take_effects() if isinstance(e, Traded)]


def test_a_crossing_level_trades_with_us_and_not_with_the_outside_quantity_beside_us():
    exchange = world()
    exchange.set_outside(SPOT, SELL, 10_000, 50, T)
    order = exchange.place("ann", limit(SPOT, SELL, 5, 10_000), T)
    exchange.set_outside(SPOT, SELL, 10_000, 80, T)
    exchange.set_outside(SPOT, BUY, 10_000, 7, T)
    assert executed(exchange, order) == 5
    assert exchange.depth(SPOT).asks == ()
    assert exchange.depth(SPOT).bids == ((10_000, 2),)


def test_a_level_of_nothing_crosses_nobody():
    exchange = booked()
    exchange.set_outside(SPOT, BUY, 10_150, 0, T)
    assert len(exchange.depth(SPOT).asks) == 2


def test_levels_come_best_first_and_as_many_as_asked():
    exchange = booked()
    for ticks in (9_850, 9_950, 9_700):
        exchange.set_outside(SPOT, BUY, ticks, 1, T)
    exchange.set_outside(SPOT, BUY, 9_850, 0, T)  # from the middle
    assert [ticks for ticks, _ in exchange.depth(SPOT).bids] == [9_950, 9_900, 9_800, 9_700]
    depth = exchange.depth(SPOT, 1)
    assert (depth.bids, depth.asks) == (((9_950, 1),), ((10_100, 500),))
    assert exchange.touch(SPOT) == (9_950, 1, 10_100, 500)


def test_a_restated_touch_has_an_update_id_of_its_own_and_changes_nothing():
    exchange = booked()
    before = exchange.depth(SPOT)
    exchange.restate(SPOT, T)
    exchange.set_outside(SPOT, BUY, 9_700, 1, T)
    told = [e for e in exchange.take_effects() if isinstance(e, BookChanged)]
    assert [e.first_id for e in told] == [before.update_id + 1, before.update_id + 2]
    assert told[0].levels == ((BUY, 9_900, 500), (SELL, 10_100, 500))
    empty = world()
    empty.restate(SPOT, T)
    assert [e.levels for e in empty.take_effects()] == [()]


def test_an_unchanged_level_is_not_told_again():
    exchange = booked()
    exchange.set_outside(SPOT, BUY, 9_900, 500, T)
    assert exchange.take_effects() == []


def test_a_change_of_the_books_state_is_told():
    exchange = booked()
    exchange.set_book_state(SPOT, "PostOnly", T + 3)
    assert exchange.take_effects() == [StateChanged(SPOT, "PostOnly", T + 3)]
    with pytest.raises(ValueError, match="Half"):
        exchange.set_book_state(SPOT, "Half", T)


@pytest.mark.parametrize(("ticks", "lots"), [(0, 1), (-1, 1), (1, -1)])
def test_an_impossible_level_is_refused(ticks, lots):
    with pytest.raises(ValueError, match="outside level"):
        world().set_outside(SPOT, BUY, ticks, lots, T)


def test_an_impossible_taker_and_an_unknown_market_are_refused():
    with pytest.raises(ValueError, match="outside taker"):
        world().outside_take(SPOT, BUY, -1, 0, T)
    with pytest.raises(Refused, match="DOGE"):
        world().set_outside("DOGE", BUY, 1, 1, T)


def test_a_fok_does_not_count_a_reduce_only_maker_further_than_its_position():
    from lemon_trader.matching.orders import TimeInForce

    exchange = world()
    exchange.set_outside(PERP, SELL, 10_000, 10, T)
    exchange.place("ann", limit(PERP, BUY, 10, 10_000), T)
    for ticks in (10_100, 10_101):  # two of ten, but ten in all can be sold
        exchange.place("ann", limit(PERP, SELL, 10, ticks, reduce_only=True), T)
    exchange.take_effects()
    killed = exchange.place("bob", limit(PERP, BUY, 11, 10_200, time_in_force=TimeInForce.FOK), T)
    assert killed.executed_lots == 0
    filled = exchange.place("bob", limit(PERP, BUY, 10, 10_200, time_in_force=TimeInForce.FOK), T)
    assert filled.executed_lots == 10
    assert [kind for kind, _ in changes(exchange.take_effects(), "ann")] == ["filled", "expired"]
