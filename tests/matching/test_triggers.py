"""Orders that wait for a price: when they fire, what they become, and how they fail."""

import pytest
from tests.matching.worlds import FEELESS, PERP, SPOT, T, booked, changes, ended, limit, market, world

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import OrderChanged
from lemon_trader.matching.orders import LIVE, NewOrder, OrderType, Reason, Status, TriggerBy
from lemon_trader.matching.rules import Rules

ALL = 1_000_000
MARK, LAST, INDEX = TriggerBy.MARK, TriggerBy.LAST, TriggerBy.INDEX


def holding(lots: int, rules: Rules | None = None):
    """An exchange on which ann holds a position; mark 100.00, last 101.00 or 99.00."""
    exchange = booked(rules)
    exchange.place("ann", market(PERP, BUY if lots > 0 else SELL, abs(lots)), T)
    exchange.take_effects()
    return exchange


def stop(ticks: int, by: TriggerBy | None = MARK, **more: object) -> NewOrder:
    return market(PERP, SELL, **{"trigger_ticks": ticks, "trigger_ppm": ALL, "trigger_by": by, **more})


FIRES = [
    ("a trigger below the mark waits while the mark falls short of it", 9_500, [9_501], False),
    ("it fires when the mark reaches it", 9_500, [9_500], True),
    ("it fires when the mark jumps past it", 9_500, [9_000], True),
    ("a rise does not fire it", 9_500, [10_500], False),
    ("a trigger above the mark waits for a rise", 10_500, [10_499, 9_000], False),
    ("it fires at its price", 10_500, [10_500], True),
    ("one that stands at the mark fires at once", 10_000, [], True),
]


@pytest.mark.parametrize(("ticks", "marks", "fires"), [case[1:] for case in FIRES], ids=[case[0] for case in FIRES])
def test_a_trigger_fires_from_the_side_on_which_its_price_was(ticks, marks, fires):
    exchange = holding(100)
    trigger = exchange.place("ann", stop(ticks), T)
    for mark in marks:
        exchange.set_reference(PERP, mark, 10_000, 0, T)
    assert (exchange.accounts["ann"].position(PERP) is None) == fires
    if fires:
        assert ended(exchange, trigger).status is Status.TRIGGERED
    else:
        assert exchange.open_order("ann", PERP, order_id=trigger.order_id).status is Status.TRIGGER_PENDING


def test_a_fired_trigger_ends_and_a_child_with_an_id_of_its_own_goes_on():
    exchange = holding(100)
    trigger = exchange.place("ann", stop(9_500, client_id=5), T)
    assert (trigger.status, trigger.lots, trigger.trigger_ppm) == (Status.TRIGGER_PENDING, 0, ALL)
    exchange.set_reference(PERP, 9_500, 9_500, 0, T + 7)
    told = exchange.take_effects()
    child = exchange.accounts["ann"].order_history[-1]
    assert changes(told) == [
        ("trigger_placed", trigger.order_id), ("triggered", trigger.order_id), ("accepted", child.order_id), ("filled", child.order_id),
    ]  # fmt: skip
    assert child.order_id > trigger.order_id
    assert (child.related_id, child.triggered_us, child.client_id, child.reduce_only) == (trigger.order_id, T + 7, None, True)
    assert (child.status, child.executed_lots) == (Status.FILLED, 100)
    assert ended(exchange, trigger).triggered_us == T + 7
    assert exchange.open_orders("ann") == []


@pytest.mark.parametrize("rule", ["live", "forever"])
def test_whether_the_child_keeps_the_client_id_is_a_switch(rule):
    exchange = holding(100, Rules(child_keeps_client_id=True, client_id_rule=rule))
    exchange.place("ann", limit_child(SELL, 9_500, 10_700, client_id=5), T)
    exchange.set_reference(PERP, 9_500, 9_500, 0, T)
    assert exchange.open_order("ann", PERP, client_id=5).ticks == 10_700
    exchange.cancel("ann", PERP, T, client_id=5)


def limit_child(side: int, trigger: int, ticks: int, **more: object) -> NewOrder:
    return limit(PERP, side, 0, ticks, **{"trigger_ticks": trigger, "trigger_lots": 10, "trigger_by": MARK, **more})


def test_each_trigger_watches_its_own_price():
    exchange = holding(100)
    by_price = {by: exchange.place("ann", limit_child(SELL, 9_500, 10_700, trigger_by=by), T).order_id for by in TriggerBy}

    def waiting():
        live = {order.order_id for order in exchange.open_orders("ann")}
        return {by for by, order_id in by_price.items() if order_id in live}

    exchange.set_reference(PERP, 9_501, 9_400, 0, T)
    assert waiting() == {MARK, LAST}
    exchange.outside_take(PERP, SELL, 1, 0, T)  # prints 99.00
    exchange.set_outside(PERP, BUY, 9_900, 0, T)
    exchange.set_outside(PERP, BUY, 9_800, 0, T)
    exchange.set_outside(PERP, BUY, 9_400, 1, T)
    assert waiting() == {MARK, LAST}
    exchange.outside_take(PERP, SELL, 1, 0, T)
    assert waiting() == {MARK}
    exchange.set_reference(PERP, 9_500, 9_400, 0, T)
    assert waiting() == set()


def test_a_sweep_that_prints_on_both_sides_of_its_end_fires_what_it_passed():
    exchange = holding(100)  # last is 101.00
    exchange.set_outside(PERP, SELL, 10_100, 0, T)
    exchange.set_outside(PERP, SELL, 10_200, 0, T)
    exchange.set_outside(PERP, SELL, 10_050, 1, T)
    exchange.set_outside(PERP, SELL, 10_300, 1, T)
    falling = exchange.place("ann", limit_child(SELL, 10_060, 10_700, trigger_by=LAST), T)
    rising = exchange.place("ann", limit_child(SELL, 10_300, 10_700, trigger_by=LAST), T)
    exchange.outside_take(PERP, BUY, 2, 0, T)
    assert ended(exchange, falling).status is ended(exchange, rising).status is Status.TRIGGERED


def test_the_default_price_is_the_kind_of_markets():
    exchange = holding(100)
    assert exchange.place("ann", stop(9_000, None), T).trigger_by is MARK
    assert exchange.place("ann", market(SPOT, SELL, trigger_ticks=9_000, trigger_lots=1), T).trigger_by is LAST
    turned = booked(Rules(default_trigger_by_spot=INDEX))
    assert turned.place("ann", market(SPOT, SELL, trigger_ticks=9_000, trigger_lots=1), T).trigger_by is INDEX


def test_without_a_price_at_placement_the_first_one_counts_as_it():
    exchange = world()  # no trade on spot yet
    trigger = exchange.place("ann", limit(SPOT, SELL, 0, 10_700, trigger_ticks=9_500, trigger_lots=5), T)
    for side, ticks in ((SELL, 9_700), (SELL, 9_600), (BUY, 9_400)):
        exchange.set_outside(SPOT, side, ticks, 1, T)
    exchange.outside_take(SPOT, BUY, 1, 0, T)
    assert exchange.open_order("ann", SPOT, order_id=trigger.order_id).status in LIVE
    exchange.outside_take(SPOT, SELL, 1, 0, T)
    assert ended(exchange, trigger).status is Status.TRIGGERED


@pytest.mark.parametrize(("share", "lots"), [(500_000, 50), (333_333, 33), (1_000_000, 100)])
def test_a_share_is_of_the_position_at_firing_rounded_down(share, lots):
    exchange = holding(150)
    exchange.place("ann", stop(9_500, trigger_ppm=share), T)
    exchange.place("ann", market(PERP, SELL, 50), T)
    exchange.set_reference(PERP, 9_500, 9_500, 0, T)
    assert exchange.accounts["ann"].position_lots(PERP) == 100 - lots


def test_a_share_on_spot_is_of_what_is_available_then():
    exchange = booked(FEELESS)
    exchange.outside_take(SPOT, BUY, 1, 0, T)
    exchange.place("ann", limit(SPOT, SELL, 9_900, 15_000), T)  # 100 lots are left
    for new in (
        market(SPOT, SELL, trigger_ticks=9_900, trigger_ppm=500_000),
        limit(SPOT, SELL, 0, 10_900, trigger_ticks=9_900, trigger_ppm=500_000),
        limit(SPOT, BUY, 0, 5_000, trigger_ticks=9_900, trigger_ppm=100_000),
        market(SPOT, BUY, trigger_ticks=9_900, trigger_ppm=10_000),
    ):
        exchange.place("ann", new, T)
    exchange.outside_take(SPOT, SELL, 1, 0, T)
    children = {o.related_id: o for o in exchange.accounts["ann"].order_history + exchange.open_orders("ann") if o.related_id}
    sold, offered, bid, bought = (children[key] for key in sorted(children))
    assert (sold.executed_lots, offered.lots) == (50, 25)
    budget = 10_000 * 10**9 + sold.executed_quote_atoms
    assert bid.lots == budget // 10 // (5_000 * 10**5)
    assert bought.quote_atoms == (budget - bid.lots * 5_000 * 10**5) // 100
    assert bought.status is Status.FILLED


FAILS = [
    ("no position at all", 0, stop(9_500), Reason.STOP_WITHOUT_POSITION),
    ("a position on the other side", -100, stop(9_500), Reason.STOP_WITHOUT_POSITION),
    ("reduce-only without a position", 0, stop(9_500, trigger_ppm=0, trigger_lots=5, reduce_only=True), Reason.STOP_WITHOUT_POSITION),
    ("a share of less than a lot", 1, stop(9_500, trigger_ppm=500_000), Reason.INVALID_QUANTITY),
    ("no margin for it", 0, limit_child(SELL, 9_500, 10_700, trigger_lots=600_000), Reason.INSUFFICIENT_MARGIN),
]


@pytest.mark.parametrize(("lots", "new", "reason"), [case[1:] for case in FAILS], ids=[case[0] for case in FAILS])
def test_a_trigger_fails_with_a_reason_and_no_child(lots, new, reason):
    exchange = holding(lots) if lots else booked()
    trigger = exchange.place("ann", new, T)
    exchange.take_effects()
    exchange.set_reference(PERP, 9_500, 9_500, 0, T)
    row = ended(exchange, trigger)
    assert (row.status, row.reason) == (Status.TRIGGER_FAILED, reason)
    assert changes(exchange.take_effects()) == [("trigger_failed", trigger.order_id)]


def test_a_spot_trigger_locks_nothing_until_it_fires_and_fails_when_the_coins_are_gone():
    exchange = booked()
    exchange.outside_take(SPOT, BUY, 1, 0, T)
    trigger = exchange.place("ann", limit(SPOT, SELL, 0, 10_700, trigger_ticks=9_900, trigger_lots=101), T)
    assert exchange.accounts["ann"].locked("SOL") == 0
    exchange.place("ann", limit(SPOT, SELL, 9_900, 15_000), T)
    exchange.outside_take(SPOT, SELL, 1, 0, T)
    assert (ended(exchange, trigger).status, ended(exchange, trigger).reason) == (Status.TRIGGER_FAILED, Reason.INSUFFICIENT_FUNDS)


def test_a_post_only_child_that_would_take_is_entered_and_expires():
    exchange = holding(100)
    exchange.place("ann", limit_child(SELL, 9_500, 9_800, post_only=True), T)
    exchange.take_effects()
    exchange.set_reference(PERP, 9_500, 9_500, 0, T)
    told = [e for e in exchange.take_effects() if isinstance(e, OrderChanged)]
    assert [str(e.kind) for e in told] == ["triggered", "accepted", "expired"]
    assert told[-1].order.reason is Reason.POST_ONLY_TAKER


def test_a_cancelled_trigger_does_not_fire():
    exchange = holding(100)
    trigger = exchange.place("ann", stop(9_500), T)
    assert exchange.cancel("ann", PERP, T, order_id=trigger.order_id).status is Status.CANCELLED
    exchange.set_reference(PERP, 9_000, 9_000, 0, T)
    assert exchange.accounts["ann"].position_lots(PERP) == 100


def test_triggers_fire_oldest_first_and_one_firing_may_cause_the_next():
    exchange = holding(100)
    second = exchange.place("ann", stop(9_900, LAST, trigger_ppm=0, trigger_lots=10), T)  # fires on the first one's print at 99.00
    first = exchange.place("ann", stop(9_500, trigger_ppm=0, trigger_lots=20), T)
    exchange.take_effects()
    exchange.set_reference(PERP, 9_500, 9_500, 0, T)
    fired = [order_id for kind, order_id in changes(exchange.take_effects()) if kind == "triggered"]
    assert fired == [first.order_id, second.order_id]
    assert exchange.accounts["ann"].position_lots(PERP) == 70
    both = [exchange.place("ann", stop(ticks, trigger_ppm=0, trigger_lots=10), T).order_id for ticks in (9_300, 9_400)]
    exchange.set_reference(PERP, 9_300, 9_300, 0, T)
    assert [order_id for kind, order_id in changes(exchange.take_effects()) if kind == "triggered"] == both


def test_many_replaced_triggers_leave_no_litter():
    exchange = holding(100)
    for step in range(500):
        order = exchange.place("ann", stop(9_000 + step % 300), T)
        exchange.cancel("ann", PERP, T, order_id=order.order_id)
    last = exchange.place("ann", stop(9_400), T)
    book = exchange._listings[PERP].triggers[MARK]
    assert len(book._falling) + len(book._rising) < 200
    exchange.set_reference(PERP, 9_400, 9_400, 0, T)
    assert ended(exchange, last).status is Status.TRIGGERED


def test_an_entry_trigger_opens_a_position():
    exchange = booked()
    exchange.place("ann", NewOrder(
        symbol=PERP, side=BUY, order_type=OrderType.MARKET, trigger_ticks=10_500, trigger_lots=10, trigger_by=MARK,
    ), T)  # fmt: skip
    exchange.set_reference(PERP, 10_500, 10_500, 0, T)
    assert exchange.accounts["ann"].position_lots(PERP) == 10
