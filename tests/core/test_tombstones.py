"""Orders that have ended are remembered for a day, and most of that day in little room."""

import msgspec
import pytest

from lemon_trader.core.orders import TOMBSTONE_US, WHOLE_US, IllegalTransition, Order, OrderTable
from lemon_trader.core.units import CANCELLED, US_PER_S, WORKING

T0 = 1_790_000_000 * US_PER_S
LONG_US = WHOLE_US + US_PER_S


def ended(count: int = 3) -> OrderTable:
    """A table of orders that were cancelled a second apart, the first at T0, and packed."""
    table = OrderTable()
    for n in range(count):
        table.add(Order(client_id=n + 1, order_id=f"v{n + 1}", slot=n, qty_lots=10 + n, open_lots=10 + n, state=WORKING, sent_us=T0))
    for n, order in enumerate(list(table.live)):
        table.move(order, CANCELLED, T0 + n * US_PER_S)
    table.forget(T0 + LONG_US + count * US_PER_S)
    assert not list(table), "all are packed"
    return table


@pytest.mark.parametrize(("client_id", "order_id"), [(2, ""), (-1, "v2"), (2, "v2"), (77, "v2")])
def test_a_packed_order_is_found_by_either_name_and_is_whole_again(client_id: int, order_id: str):
    table = ended()
    order = table.find(client_id, order_id)
    assert order is not None
    assert (order.client_id, order.order_id, order.qty_lots, order.state, order.ended_us) == (2, "v2", 11, CANCELLED, T0 + US_PER_S)
    assert table.find(client_id, order_id) is order


def test_what_the_exchange_says_of_a_packed_order_stays_with_it():
    table = ended()
    order = table.find(2, "")
    table.move(order, WORKING, T0 + 3_600 * US_PER_S)
    assert table.live == [order]
    table.forget(T0 + 2 * TOMBSTONE_US)
    assert list(table) == [order], "it lives: no tombstone ends for it"
    assert table.find(1, "") is None


def test_an_order_looked_up_is_packed_again():
    table = ended()
    table.find(1, "")
    table.forget(T0 + 2 * LONG_US)
    assert not list(table)
    assert table.find(-1, "v1").qty_lots == 10


def test_a_day_after_its_end_it_is_forgotten_under_both_names():
    table = ended()
    table.forget(T0 + TOMBSTONE_US + US_PER_S + 1)
    assert [table.find(n, "") is not None for n in (1, 2, 3)] == [False, False, True]
    assert [table.find(-1, f"v{n}") is not None for n in (1, 2, 3)] == [False, False, True]


def test_a_packed_order_keeps_its_client_id_from_being_used_again():
    with pytest.raises(IllegalTransition, match="client id 2"):
        ended().add(Order(client_id=2))


def test_a_checkpoint_carries_packed_orders_and_what_was_whole():
    table = ended()
    table.find(3, "")
    again = OrderTable()
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(table.image())))
    assert again.image() == table.image()
    assert [o.client_id for o in again] == [3]
    assert again.find(-1, "v1") == table.find(-1, "v1")
