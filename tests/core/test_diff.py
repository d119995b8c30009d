"""Wants against what works: each case is a rule of architecture §3, in a sentence."""

import pytest
from tests.core.make import T0, empty_view, holding, want

from lemon_trader.core.diff import CANCEL, PLACE, SETTLE_US, Scratch, action_array, diff, fill_slots
from lemon_trader.core.reasons import NAMES
from lemon_trader.core.records import EXIT_SLOT, STOP_SLOT, TRIGGER_SLOT, Position, Row, Working, row_array
from lemon_trader.core.units import (
    ARMED,
    BUY,
    CANCELLING,
    EXIT,
    IN_FLIGHT,
    LAYER,
    LIMIT,
    QUOTE,
    REDUCE_ONLY,
    SELL,
    STOP,
    TAKE,
    TRIGGER,
    UNKNOWN,
    WORKING,
)

LONG_AGO = T0 - 60_000_000


def order(slot: int, side: int, ticks: int, lots: int, **more: int) -> Working:
    made = Working(slot=slot, side=side, price_ticks=ticks, open_lots=lots, state=WORKING, acked=1, sent_us=LONG_AGO)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def run(rows: list[Row], orders: list[Working], position: Position | None = None, *, generation: dict[int, int] | None = None,
        filled: dict[int, int] | None = None, **view_fields: int):  # fmt: skip
    view = empty_view(**view_fields)
    for o in orders:
        view.generation[o.slot] = max(view.generation[o.slot], o.generation)
    for slot, g in (generation or {}).items():
        view.generation[slot] = g
    for slot, lots in (filled or {}).items():
        view.filled[slot] = lots
    fill_slots(view, orders, len(orders))
    out = row_array()
    out[1 : 1 + len(rows)] = rows
    actions = action_array()
    n = diff(out, 1 + len(rows), orders, len(orders), view, position or holding(), Scratch(), actions)
    said = [(("PLACE" if a.what == PLACE else "CANCEL"), a.index, a.qty_lots, NAMES[a.reason]) for a in actions[:n]]
    assert all(a.what in (PLACE, CANCEL) for a in actions[:n])
    return said, [NAMES[r.reason] for r in rows], [NAMES[o.reason] for o in orders]


CASES = [
    ("an empty slot is filled with the open rest of its total", [want(0, BUY, 9_900, 10)], [], {0: 0}, {0: 4}, [("PLACE", 1, 6, "PLACED")]),
    ("a total that is filled asks for nothing", [want(0, BUY, 9_900, 10)], [], {0: 0}, {0: 10}, []),
    ("fills of an older generation do not count", [want(0, BUY, 9_900, 10, generation=1)], [], {0: 0}, {0: 4}, [("PLACE", 1, 10, "PLACED")]),
    ("a row older than the highest generation attempted is refused", [want(0, BUY, 9_900, 10)], [], {0: 3}, {}, []),
    ("an order that nobody wants is cancelled", [], [order(0, BUY, 9_900, 10)], {}, {}, [("CANCEL", 0, 0, "NOT_WANTED")]),
    ("an order as wanted is kept", [want(0, BUY, 9_900, 10)], [order(0, BUY, 9_900, 10)], {}, {}, []),
    ("nearer the touch than wanted goes at once", [want(0, BUY, 9_900, 10)], [order(0, BUY, 9_901, 10, sent_us=T0)], {}, {}, [("CANCEL", 0, 0, "NEARER")]),
    ("an ask that is nearer goes too", [want(0, SELL, 10_100, 10)], [order(0, SELL, 10_099, 10)], {}, {}, [("CANCEL", 0, 0, "NEARER")]),
    ("nearer within the tolerance keeps its place in the queue", [want(0, BUY, 9_900, 10, tolerance_ticks=1)], [order(0, BUY, 9_901, 10)], {}, {}, []),
    ("farther is replaced once it has settled", [want(0, BUY, 9_900, 10)], [order(0, BUY, 9_890, 10)], {}, {}, [("CANCEL", 0, 0, "FARTHER")]),
    ("farther and just sent waits", [want(0, BUY, 9_900, 10)], [order(0, BUY, 9_890, 10, sent_us=T0 - SETTLE_US + 1)], {}, {}, []),
    ("larger than what is open goes at once", [want(0, BUY, 9_900, 10)], [order(0, BUY, 9_900, 11, sent_us=T0)], {}, {}, [("CANCEL", 0, 0, "LARGER")]),
    ("a quote that is merely smaller is kept", [want(0, BUY, 9_900, 10, role=QUOTE)], [order(0, BUY, 9_900, 2)], {}, {}, []),
    ("a layer that is smaller is replaced", [want(0, BUY, 9_900, 10, role=LAYER)], [order(0, BUY, 9_900, 2, role=LAYER)], {}, {}, [("CANCEL", 0, 0, "SMALLER")]),
    ("another side in the slot ends first", [want(0, SELL, 10_100, 1)], [order(0, BUY, 9_900, 1)], {}, {}, [("CANCEL", 0, 0, "CHANGED")]),
    ("an older generation is cancelled before the newer is placed", [want(0, BUY, 9_900, 10, generation=1)], [order(0, BUY, 9_900, 10)], {}, {}, [("CANCEL", 0, 0, "OLD_GENERATION")]),
    ("an unknown order blocks its slot and is not cancelled here", [want(0, BUY, 9_900, 10)], [order(0, BUY, 9_900, 10, state=UNKNOWN)], {}, {}, []),
    ("a cancel in the air is waited for", [], [order(0, BUY, 9_900, 10, state=CANCELLING, cancel_us=T0 - 1)], {}, {}, []),
    ("a cancel without an end is repeated, wanted or not", [want(0, BUY, 9_900, 10)], [order(0, BUY, 9_900, 10, state=CANCELLING, cancel_us=LONG_AGO)], {}, {}, [("CANCEL", 0, 0, "AGAIN")]),
    ("a second order of one key is surplus", [want(0, BUY, 9_900, 10)], [order(0, BUY, 9_900, 10), order(0, BUY, 9_900, 10)], {}, {}, [("CANCEL", 1, 0, "SURPLUS")]),
    ("a bid that would meet our own ask is withheld", [want(0, BUY, 9_900, 10)], [order(16, SELL, 9_900, 10, role=STOP, kind=TAKE)], {}, {}, []),
]  # fmt: skip


@pytest.mark.parametrize(("says", "rows", "orders", "generation", "filled", "expected"), CASES, ids=[c[0] for c in CASES])
def test_a_rule_of_the_diff(says, rows, orders, generation, filled, expected):
    rows = [Row(*[getattr(r, f) for f in r.__slots__]) for r in rows]
    orders = [Working(*[getattr(o, f) for f in o.__slots__]) for o in orders]
    said, _, _ = run(rows, orders, holding(100), generation=generation, filled=filled)
    assert said == expected, says


def test_an_exit_is_capped_at_what_no_other_sell_claims():
    rows = [want(EXIT_SLOT, SELL, 10_100, 10, role=EXIT, kind=LIMIT)]
    said, _, _ = run(rows, [order(5, SELL, 10_300, 4, role=STOP, kind=TAKE, state=CANCELLING, cancel_us=T0)], holding(10))
    assert said == [("PLACE", 1, 6, "PLACED")]


def test_a_stop_claims_free_coins_before_an_exit_whatever_their_order_in_the_rows():
    rows = [want(EXIT_SLOT, SELL, 10_100, 10, role=EXIT, kind=LIMIT), want(STOP_SLOT, SELL, 9_700, 10, role=STOP, kind=TAKE)]
    said, why, _ = run(rows, [], holding(10))
    assert said == [("PLACE", 2, 10, "PLACED")]
    assert why[0] == "WAIT_COINS"


def test_a_stop_waits_for_the_exits_proven_end_and_then_sells():
    stop = want(STOP_SLOT, SELL, 9_700, 10, role=STOP, kind=TAKE)
    exit_order = order(EXIT_SLOT, SELL, 10_100, 10, role=EXIT, kind=LIMIT)
    said, why, _ = run([stop], [exit_order], holding(10))
    assert said == [("CANCEL", 0, 0, "NOT_WANTED")]
    assert why == ["WAIT_COINS"]
    said, _, _ = run([stop], [], holding(10))
    assert said == [("PLACE", 1, 10, "PLACED")]


def trigger(generation: int, **more: int) -> Row:
    return want(
        TRIGGER_SLOT,
        SELL,
        0,
        10,
        role=STOP,
        kind=TRIGGER,
        flags=REDUCE_ONLY,
        trigger_ticks=9_000 + generation,
        generation=generation,
        **more,
    )


def armed(generation: int, **more: int) -> Working:
    return order(TRIGGER_SLOT, SELL, 0, 10, role=STOP, kind=TRIGGER, flags=REDUCE_ONLY, generation=generation, **{"state": ARMED, **more})


def test_a_newer_trigger_is_sent_while_the_older_is_armed_and_the_older_stays():
    said, _, why = run([trigger(1)], [armed(0)], holding(10), is_perp=1)
    assert said == [("PLACE", 1, 10, "PLACED")]
    assert why == ["KEPT"]


def test_the_older_trigger_goes_once_the_newer_is_armed():
    said, _, _ = run([trigger(1)], [armed(0), armed(1)], holding(10), is_perp=1)
    assert said == [("CANCEL", 0, 0, "OLD_GENERATION")]


def test_no_trigger_is_sent_while_one_is_in_flight_or_three_are_unknown():
    said, why, _ = run([trigger(1)], [armed(0, state=IN_FLIGHT)], holding(10), is_perp=1)
    assert (said, why) == ([], ["WAIT_END"])
    said, why, _ = run([trigger(3)], [armed(g, state=UNKNOWN) for g in range(3)], holding(10), is_perp=1)
    assert (said, why) == ([], ["TOO_MANY_UNKNOWN"])


def test_a_perpetual_makers_asks_are_no_claim_on_what_is_held():
    rows = [want(16, SELL, 10_100, 10, role=QUOTE)]
    said, _, _ = run(rows, [], holding(0), is_perp=1)
    assert said == [("PLACE", 1, 10, "PLACED")]
    said, why, _ = run([want(16, SELL, 10_100, 10, role=QUOTE)], [], holding(0))
    assert (said, why) == ([], ["WAIT_COINS"])


def test_a_refused_slot_waits():
    view = {"retry_us": [T0 + 5] + [0] * 39}
    said, why, _ = run([want(0, BUY, 9_900, 10)], [], **view)
    assert (said, why) == ([], ["WAIT_RETRY"])
