"""Take-profit and stop-loss that an order brings along, and the limit on how many triggers wait."""

import pytest
from tests.matching.worlds import FEELESS, PERP, SPOT, T, booked, changes, ended, limit, market, refusal, world

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import Change, OrderChanged
from lemon_trader.matching.orders import Attached, Leg, OrderType, Reason, Status, TriggerBy
from lemon_trader.matching.rules import Rules

PAIR = Attached(Leg(10_500), Leg(9_500))
ALL = 1_000_000


def triggers(exchange, account="ann"):
    return [o for o in exchange.open_orders(account) if o.status is Status.TRIGGER_PENDING]


def entered(rules: Rules | None = FEELESS, symbol: str = PERP, side: int = BUY, pair: Attached = PAIR):
    exchange = booked(rules)
    parent = exchange.place("ann", market(symbol, side, 300, attached=pair), T)
    return exchange, parent


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_filled_parent_arms_both_over_the_whole_position(side):
    exchange, parent = entered(side=side, pair=Attached(Leg(10_500), Leg(9_500, 9_400, TriggerBy.LAST)))
    profit, loss = triggers(exchange)
    assert [o.related_id for o in (profit, loss)] == [parent.order_id] * 2
    assert (profit.side, profit.order_type, profit.trigger_ticks, profit.trigger_ppm) == (-side, OrderType.MARKET, 10_500, ALL)
    assert (loss.order_type, loss.ticks, loss.trigger_by, loss.reduce_only) == (OrderType.LIMIT, 9_400, TriggerBy.LAST, True)
    assert profit.trigger_by is TriggerBy.MARK


def test_a_resting_parent_arms_nothing_until_it_fills_and_one_pair_serves_all_its_fills():
    exchange = world()
    exchange.place("ann", limit(PERP, BUY, 100, 10_000, attached=PAIR), T)
    assert triggers(exchange) == []
    exchange.outside_take(PERP, SELL, 40, 0, T)
    first = [o.order_id for o in triggers(exchange)]
    exchange.outside_take(PERP, SELL, 60, 0, T)
    assert [o.order_id for o in triggers(exchange)] == first
    assert len(first) == 2


def test_the_parent_may_have_to_end_first():
    exchange = world(Rules(attached_arms="end"))
    parent = exchange.place("ann", limit(PERP, BUY, 100, 10_000, attached=PAIR), T)
    exchange.outside_take(PERP, SELL, 40, 0, T)
    assert triggers(exchange) == []
    exchange.cancel("ann", PERP, T, order_id=parent.order_id)
    assert len(triggers(exchange)) == 2


def test_a_parent_that_never_filled_arms_nothing():
    exchange = world()
    parent = exchange.place("ann", limit(PERP, BUY, 100, 9_000, attached=PAIR), T)
    exchange.cancel("ann", PERP, T, order_id=parent.order_id)
    assert exchange.open_orders("ann") == []


def test_a_parent_that_only_reduces_has_nothing_to_guard():
    exchange = booked(FEELESS)
    exchange.place("ann", market(PERP, SELL, 300), T)
    exchange.place("ann", market(PERP, BUY, 100, attached=PAIR), T)
    assert triggers(exchange) == []
    exchange.place("ann", market(PERP, BUY, 300, attached=PAIR), T)  # through zero
    assert len(triggers(exchange)) == 2


@pytest.mark.parametrize(("mark", "fired"), [(10_500, 0), (9_500, 1)])
def test_the_one_that_fires_closes_the_position_and_ends_the_other(mark, fired):
    exchange, _ = entered()
    pair = triggers(exchange)
    exchange.take_effects()
    exchange.set_reference(PERP, mark, mark, 0, T)
    assert exchange.accounts["ann"].position(PERP) is None
    assert ended(exchange, pair[fired]).status is Status.TRIGGERED
    assert ended(exchange, pair[1 - fired]).status is Status.CANCELLED
    assert exchange.open_orders("ann") == []
    exchange.check_closed()


def test_by_switch_the_other_stays():
    exchange, _ = entered(Rules(attached_cancel_one_another=False))
    pair = triggers(exchange)
    exchange.set_reference(PERP, 10_500, 10_500, 0, T)
    assert [o.order_id for o in triggers(exchange)] == [pair[1].order_id]
    exchange.set_reference(PERP, 9_500, 9_500, 0, T)
    assert ended(exchange, pair[1]).reason is Reason.STOP_WITHOUT_POSITION


def test_one_that_is_cancelled_by_hand_leaves_the_other():
    exchange, _ = entered()
    pair = triggers(exchange)
    exchange.cancel("ann", PERP, T, order_id=pair[0].order_id)
    assert [o.order_id for o in triggers(exchange)] == [pair[1].order_id]


def test_on_spot_the_pair_grows_with_the_fills_and_sells_what_the_fee_has_left():
    exchange = world()
    exchange.accounts["ann"].add("SOL", -exchange.accounts["ann"].total("SOL"))  # only what is bought can be sold
    exchange.place("ann", limit(SPOT, BUY, 1_000, 10_000, attached=PAIR), T)
    exchange.outside_take(SPOT, SELL, 400, 0, T)
    assert [o.trigger_lots for o in triggers(exchange)] == [400, 400]
    exchange.take_effects()
    exchange.outside_take(SPOT, SELL, 600, 0, T)
    assert [o.trigger_lots for o in triggers(exchange)] == [1_000, 1_000]
    assert [k for k, _ in changes(exchange.take_effects(), "ann")].count("modified") == 2
    exchange.set_outside(SPOT, BUY, 9_400, 2_000, T)
    exchange.outside_take(SPOT, SELL, 1, 0, T)  # prints 94.00: below the stop
    sold = exchange.accounts["ann"].fills[-1]
    assert (sold.side, sold.lots) == (SELL, 999)  # 0.08 % of 10 SOL went as fee
    assert exchange.open_orders("ann") == []


def test_a_trigger_brings_them_along_to_its_child():
    exchange = booked(FEELESS)
    exchange.place("ann", market(PERP, BUY, trigger_ticks=10_200, trigger_lots=100, attached=PAIR), T)
    assert len(triggers(exchange)) == 1
    exchange.set_reference(PERP, 10_200, 10_200, 0, T)
    assert [o.trigger_ticks for o in triggers(exchange)] == [10_500, 9_500]


def test_the_limit_on_triggers_refuses_an_order_and_fails_what_is_brought_along():
    exchange = booked(Rules(max_triggers=2))
    exchange.place("ann", market(PERP, BUY, 100), T)
    exchange.place("ann", market(PERP, SELL, trigger_ticks=9_000, trigger_ppm=ALL), T)
    exchange.take_effects()
    exchange.place("ann", market(PERP, BUY, 100, attached=PAIR), T)
    told = [e for e in exchange.take_effects() if isinstance(e, OrderChanged) and e.order.is_trigger]
    assert [e.kind for e in told] == [Change.TRIGGER_PLACED, Change.TRIGGER_PLACED, Change.TRIGGER_FAILED]
    assert told[-1].order.reason is Reason.MAX_STOP_ORDERS_PER_POSITION
    code, message = refusal(exchange, "ann", market(PERP, SELL, trigger_ticks=9_000, trigger_ppm=ALL))
    assert (code, message) == ("ORDER_LIMIT", "Too many stop orders per position: the limit of 2 is reached")
    exchange.place("ann", market(SPOT, SELL, trigger_ticks=9_000, trigger_lots=10), T)  # each market for itself


@pytest.mark.parametrize("pair", [Attached(Leg(0)), Attached(None, Leg(9_500, 20_001))])
def test_prices_out_of_bounds_are_refused(pair):
    from tests.matching.worlds import perp

    exchange = booked(None, perp(max_ticks=20_000))
    assert refusal(exchange, "ann", limit(PERP, BUY, 10, 9_900, attached=pair))[0] == "INVALID_PRICE"


def test_a_refused_post_only_order_can_be_told_in_the_stream():
    exchange = booked(Rules(post_only_rejection_events=True))
    with pytest.raises(Exception, match="immediately match"):
        exchange.place("ann", limit(SPOT, BUY, 10, 10_100, post_only=True), T)
    assert [kind for kind, _ in changes(exchange.take_effects(), "ann")] == ["accepted", "expired"]
    assert exchange.accounts["ann"].order_history[-1].reason is Reason.POST_ONLY_TAKER
    exchange.check_closed()


def test_client_ids_may_be_shared_and_the_newest_live_order_is_meant():
    exchange = booked(Rules(client_id_rule="none"))
    older = exchange.place("ann", limit(SPOT, BUY, 10, 9_700, client_id=7), T)
    newer = exchange.place("ann", limit(SPOT, BUY, 10, 9_600, client_id=7), T)
    assert exchange.cancel("ann", SPOT, T, client_id=7).order_id == newer.order_id
    assert exchange.cancel("ann", SPOT, T, client_id=7).order_id == older.order_id
