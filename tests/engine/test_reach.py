"""How far reads look back for an order whose end nobody knows."""

from lemon_trader.core.orders import Order
from lemon_trader.core.reconcile import ADOPTED_SLOT
from lemon_trader.engine.startup import ADOPTED_AGAIN, ADOPTED_REACH, OVERLAP_US, reach_us

MET_US = 1_790_000_000_000_000
BEFORE = {
    "generation": 0,
    "role": 0,
    "side": 1,
    "kind": 0,
    "flags": 0,
    "price_ticks": 0,
    "trigger_ticks": 0,
    "open_lots": 0,
    "state": 4,
    "sent_us": MET_US,
}


def back_us(slot, missing):
    return MET_US - reach_us(Order(slot=slot, missing=missing, **BEFORE))


def test_an_order_that_was_sent_is_looked_for_from_when_it_was_sent():
    assert {back_us(3, missing) for missing in (0, 1, 9, ADOPTED_AGAIN)} == {OVERLAP_US}


def test_an_adopted_order_may_be_older_than_when_it_was_met_and_each_read_looks_back_twice_as_far():
    looks = [back_us(ADOPTED_SLOT, missing) for missing in range(ADOPTED_REACH + 1)]
    assert looks == [OVERLAP_US * 2**n for n in range(ADOPTED_REACH + 1)]
    assert looks[-1] > 86_400_000_000, "a day at least"


def test_a_search_that_found_nothing_is_made_again_now_and_then_only():
    far = [missing for missing in range(ADOPTED_REACH + 1, 200) if back_us(ADOPTED_SLOT, missing) > OVERLAP_US]
    assert far == list(range(ADOPTED_AGAIN, 200, ADOPTED_AGAIN))
