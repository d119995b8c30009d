"""Fills of a session and of its replay are matched, and what is left over is told with what rested on the other side."""

from dataclasses import replace

import pytest
from tests.backtest.made import SECOND, START, fill, result, rows

from lemon_trader.backtest.parity_fills import (
    NO_ORDER_NOW,
    NO_ORDER_THEN,
    OTHER_PRICE,
    OTHER_QUANTITY,
    QUEUE_NOW,
    QUEUE_THEN,
    compare_fills,
    gathered,
)
from lemon_trader.backtest.result import CANCELLED, ORDER, PLACED
from lemon_trader.core.units import BUY, LAYER

WINDOW = 5 * SECOND
BOUGHT = fill(10, "layer", "buy", 9_900, 10, slot=0, generation=1)


def order(at_s, what, ticks, slot=0, lots=10):
    return (START + at_s * SECOND, what, BUY, LAYER, slot, 1, ticks, lots)


def made(*fills, orders=()):
    return replace(result(fills, [9_900] * 2), orders=rows(ORDER, orders))


def compare(then, now):
    return compare_fills(then.fills, then.orders, now, WINDOW)


def test_equal_fills_match_and_their_lag_is_told():
    found = compare(made(BOUGHT), made({**BOUGHT, "at_us": BOUGHT["at_us"] + 300_000}))
    assert (found.then, found.now, found.matched, found.later_us) == (1, 1, 1, 300_000)
    assert found.differences == ()


def test_parts_of_one_order_are_one_fill():
    parts = [{**BOUGHT, "lots": 4}, {**BOUGHT, "lots": 6, "at_us": BOUGHT["at_us"] + SECOND}]
    assert [got.lots for got in gathered(made(*parts).fills, WINDOW)] == [10]
    assert compare(made(*parts), made(BOUGHT)).matched == 1


def test_fills_of_one_key_that_lie_far_apart_stay_two():
    parts = [BOUGHT, {**BOUGHT, "at_us": BOUGHT["at_us"] + WINDOW + 1}]
    assert len(gathered(made(*parts).fills, WINDOW)) == 2


@pytest.mark.parametrize(
    ("then", "now", "cause"),
    [
        (made(BOUGHT), made(orders=[order(0, PLACED, 9_900)]), QUEUE_NOW),
        (made(BOUGHT), made(orders=[order(0, PLACED, 9_800)]), NO_ORDER_NOW),
        (made(BOUGHT), made(orders=[order(0, PLACED, 9_900), order(2, CANCELLED, 9_900)]), NO_ORDER_NOW),
        (made(orders=[order(0, PLACED, 9_900)]), made(BOUGHT), QUEUE_THEN),
        (made(), made(BOUGHT), NO_ORDER_THEN),
        (made(BOUGHT), made({**BOUGHT, "ticks": 9_903}), OTHER_PRICE),
        (made(BOUGHT), made({**BOUGHT, "lots": 7}), OTHER_QUANTITY),
        (made(BOUGHT), made({**BOUGHT, "at_us": BOUGHT["at_us"] + WINDOW + 1}), NO_ORDER_NOW),
    ],
)
def test_what_does_not_match_has_its_cause(then, now, cause):
    assert compare(then, now).differences[0].cause[0] == cause


def test_a_worse_price_is_counted_in_ticks_for_either_side():
    sold = fill(20, "exit", "sell", 10_000, 10, slot=32, generation=1)
    worse = compare(made(BOUGHT, sold), made({**BOUGHT, "ticks": 9_903}, {**sold, "ticks": 9_998}))
    assert [d.cause[1]["ticks"] for d in worse.differences] == [3, 2]


def test_every_fill_is_matched_or_told_once():
    then = made(*(fill(n, "quote", "buy", 9_900 + n % 3, 5, slot=n % 2, generation=n) for n in range(0, 60, 3)))
    now = made(*(fill(n, "quote", "buy", 9_900 + n % 5, 5, slot=n % 2, generation=n) for n in range(0, 60, 4)))
    found = compare(then, now)
    both = sum(d.then is not None and d.now is not None for d in found.differences)
    only = [sum(d.then is not None and d.now is None for d in found.differences), sum(d.then is None for d in found.differences)]
    assert found.then == found.matched + both + only[0]
    assert found.now == found.matched + both + only[1]
    assert [d.at_us for d in found.differences] == sorted(d.at_us for d in found.differences)
