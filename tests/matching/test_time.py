"""Time comes from the caller: it never runs backwards, and what falls due happens at its own moment and in order."""

import pytest
from tests.matching.worlds import HOUR, PERP, SPOT, T, booked, changes, ended, limit, market, refusal

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import OrderChanged
from lemon_trader.matching.orders import NewOrder, Reason, Status, TimeInForce
from lemon_trader.matching.rules import Rules

DELAY = Rules(taker_delay_us=100_000)
DUE = T + 100_000


def test_an_earlier_time_counts_as_the_latest_seen():
    exchange = booked()
    exchange.advance(T + 50)
    order = exchange.place("ann", limit(SPOT, BUY, 1, 9_000), T + 20)
    assert order.created_us == exchange.now_us == T + 50


@pytest.mark.parametrize(
    "new", [market(SPOT, BUY, 5), limit(SPOT, BUY, 5, 10_100), limit(SPOT, SELL, 5, 9_900, time_in_force=TimeInForce.FOK)]
)
def test_an_order_that_would_take_waits_out_the_delay(new):
    exchange = booked(DELAY)
    order = exchange.place("ann", new, T)
    assert (order.status, exchange.due_us(order.order_id), exchange.next_due_us) == (Status.NEW, DUE, DUE)
    assert [o.order_id for o in exchange.open_orders("ann")] == [order.order_id]
    exchange.advance(DUE - 1)
    assert exchange.accounts["ann"].fills == []
    exchange.advance(DUE)
    assert ended(exchange, order).status is Status.FILLED
    assert ended(exchange, order).updated_us == DUE
    assert exchange.due_us(order.order_id) is None


@pytest.mark.parametrize("new", [limit(SPOT, BUY, 5, 10_099), limit(SPOT, BUY, 5, 9_000, post_only=True)])
def test_an_order_that_would_rest_does_not_wait(new):
    exchange = booked(DELAY)
    order = exchange.place("ann", new, T)
    assert exchange.due_us(order.order_id) is None
    assert exchange.depth(SPOT).bids


def test_a_waiting_order_meets_the_book_as_it_is_then():
    exchange = booked(DELAY)
    order = exchange.place("ann", limit(SPOT, BUY, 5, 10_100), T)
    exchange.set_outside(SPOT, SELL, 10_100, 0, T + 10)  # somebody was quicker
    exchange.set_outside(SPOT, BUY, 9_950, 1, DUE + 10)  # any later act lets it arrive first, at its own time
    assert exchange.open_order("ann", SPOT, order_id=order.order_id).executed_lots == 0
    assert exchange.depth(SPOT).bids[0] == (10_100, 5)


def test_what_a_waiting_order_needs_is_held_meanwhile():
    exchange = booked(DELAY)
    exchange.place("ann", market(SPOT, SELL, 6_000), T)
    exchange.place("ann", market(SPOT, BUY, 500), T)
    ann = exchange.accounts["ann"]
    assert (ann.locked("SOL"), ann.locked("USDC")) == (6_000 * 10**7, 500 * 10_100 * 10**5)
    assert refusal(exchange, "ann", limit(SPOT, SELL, 4_001, 10_500))[0] == "INSUFFICIENT_FUNDS"
    exchange.place("ann", market(PERP, BUY, 300), T)
    assert ann.exposed_lots(PERP) == (300, 0)
    exchange.advance(DUE)
    assert (ann.locked("SOL"), ann.locked("USDC"), ann.exposed_lots(PERP)) == (0, 0, (0, 0))


def test_a_cancel_is_not_delayed_and_stops_a_waiting_order():
    exchange = booked(DELAY)
    order = exchange.place("ann", market(SPOT, BUY, 5), T)
    assert exchange.cancel("ann", SPOT, T + 5, order_id=order.order_id).status is Status.CANCELLED
    exchange.take_effects()
    exchange.advance(DUE + HOUR)
    assert changes(exchange.take_effects()) == []
    assert exchange.accounts["ann"].locked("USDC") == 0


def test_a_waiting_reduce_only_order_expires_when_the_position_is_gone():
    slow = booked(DELAY)
    slow.place("ann", market(PERP, BUY, 10), T)
    slow.advance(DUE)
    first = slow.place("ann", market(PERP, SELL, 10, reduce_only=True), DUE)
    second = slow.place("ann", market(PERP, SELL, 10, reduce_only=True), DUE)
    slow.advance(DUE + 100_000)
    assert ended(slow, first).status is Status.FILLED
    assert (ended(slow, second).status, ended(slow, second).reason) == (Status.EXPIRED, Reason.REDUCE_ONLY_NOT_REDUCED)


def test_waiting_perpetual_orders_by_quote_cannot_outrun_the_margin():
    exchange = booked(DELAY)
    exchange.set_outside(PERP, SELL, 10_100, 10_000_000, T)
    orders = [exchange.place("ann", market(PERP, BUY, quote_atoms=300_000 * 10**9), T) for _ in range(2)]
    exchange.advance(DUE)
    assert ended(exchange, orders[0]).status is Status.FILLED
    assert (ended(exchange, orders[1]).status, ended(exchange, orders[1]).reason) == (Status.EXPIRED, Reason.INSUFFICIENT_MARGIN)


def test_a_triggers_child_waits_as_well():
    exchange = booked(DELAY)
    exchange.place("ann", market(PERP, BUY, 10), T)
    exchange.advance(DUE)
    exchange.place("ann", market(PERP, SELL, trigger_ticks=9_500, trigger_ppm=1_000_000), DUE)
    exchange.set_reference(PERP, 9_500, 9_500, 0, DUE + 7)
    assert exchange.next_due_us == DUE + 100_007
    exchange.advance(DUE + 100_007)
    assert exchange.accounts["ann"].position(PERP) is None


def test_what_is_due_happens_in_the_order_of_its_time_with_that_time():
    hour = (T // HOUR + 1) * HOUR
    exchange = booked(DELAY)
    exchange.set_reference(PERP, 10_000, 10_000, 1_000, T)
    before = exchange.place("ann", market(PERP, BUY, 10), hour - 150_000)
    after = exchange.place("ann", market(PERP, BUY, 10), hour - 60_000)
    exchange.take_effects()
    exchange.advance(hour + HOUR // 2)
    ann = exchange.accounts["ann"]
    assert [row.lots for row in ann.funding] == [10]  # the second came too late to pay
    told = [(e.order.order_id, e.at_us) for e in exchange.take_effects() if isinstance(e, OrderChanged)]
    assert told == [(before.order_id, hour - 50_000), (after.order_id, hour + 40_000)]


def test_two_exchanges_fed_the_same_say_the_same():
    def life():
        exchange = booked(DELAY)
        for step in range(50):
            new = NewOrder(symbol=PERP if step % 2 else SPOT, side=BUY if step % 3 else SELL, lots=1 + step, ticks=9_900 + 7 * step)
            exchange.place(("ann", "bob")[step % 2], new, T + step * 30_000)
            exchange.set_reference(PERP, 9_900 + step, 9_900, 100, T + step * 30_000)
        return exchange.take_effects()

    assert life() == life()
