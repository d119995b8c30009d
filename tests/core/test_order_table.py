"""The table of orders by itself: what starts at nothing, what old news may not change, what a fence leaves alone, what a view must notice."""

import pytest

from lemon_trader.core.orders import IllegalTransition, Order, OrderTable
from lemon_trader.core.units import CANCELLED, CANCELLING, EXPIRED, FILLED, IN_FLIGHT, PROVEN_ABSENT, REJECTED, UNKNOWN, WORKING

T = 1_000_000


def table_with(state: int = IN_FLIGHT, **more: int) -> tuple[OrderTable, Order]:
    table, order = OrderTable(), Order(client_id=1, slot=0, generation=0, qty_lots=10, open_lots=10, state=IN_FLIGHT, sent_us=T, **more)
    table.add(order)
    if state != IN_FLIGHT:
        table.move(order, state, T)
    return table, order


def test_a_new_order_has_nothing_behind_it():
    order = Order()
    behind = (
        "filled_lots",
        "stated_lots",
        "ending",
        "lease",
        "unknown_us",
        "fence_us",
        "fence_sent_us",
        "ended_us",
        "missing",
        "ending_us",
        "told",
        "fence_venue_us",
    )
    assert {name: getattr(order, name) for name in behind} == dict.fromkeys(behind, 0)


@pytest.mark.parametrize("ended", [FILLED, CANCELLED, EXPIRED, REJECTED, PROVEN_ABSENT])
@pytest.mark.parametrize("news", [IN_FLIGHT, UNKNOWN, CANCELLING])
def test_old_news_about_an_order_that_has_ended_changes_nothing(ended, news):
    table, order = table_with(UNKNOWN)
    if ended == FILLED:
        table.book(order, 10, T)
    else:
        table.move(order, ended, T)
    assert (order.state, table.live) == (ended, [])
    table.move(order, news, 2 * T)
    assert (order.state, table.live, order.ended_us) == (ended, [], T)


@pytest.mark.parametrize("fence", [True, False])
def test_a_cancel_of_an_unknown_order_leaves_it_unknown(fence):
    table, order = table_with(UNKNOWN)
    table.sent_cancel(order, 3 * T, fence=fence)
    assert (order.state, order.fence_sent_us, order.cancel_us) == (UNKNOWN, 3 * T, 3 * T)


def test_a_fence_of_an_order_that_is_known_leaves_it_as_it_is():
    table, order = table_with(WORKING)
    table.sent_cancel(order, 3 * T, fence=True)
    assert (order.state, order.fence_sent_us) == (WORKING, 3 * T)
    table.sent_cancel(order, 4 * T, fence=False)
    assert (order.state, order.lease) == (CANCELLING, 0)


def test_every_change_is_noticed_by_whoever_keeps_a_view():
    table, order = table_with()
    for change in (
        lambda: table.move(order, WORKING, T),
        lambda: table.book(order, 1, T),
        lambda: table.resize(order, 9),
        lambda: table.sent_cancel(order, 2 * T, fence=False),
        lambda: table.move(order, CANCELLED, 3 * T),
    ):
        before = table.changes
        change()
        assert table.changes > before


def test_an_ended_order_is_cancelled_by_nobody():
    table, order = table_with(CANCELLED)
    with pytest.raises(IllegalTransition, match="CANCELLED"):
        table.sent_cancel(order, 2 * T, fence=False)
