"""The budget of requests: the limit is never passed, and cancels always have what reads may not take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemon_trader.utils.rate import MINUTE_US, PLACE, PROTECT, READ, RateBudget

START_US = 1_790_000_000_000_000


def drain(budget, kind, now_us):
    taken = 0
    while budget.take(kind, now_us):
        taken += 1
    return taken


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(READ, 240), (PLACE, 340), (PROTECT, 400)],
    ids=["reads stop first", "places leave a rest to cancels", "cancels and protection use all"],
)
def test_each_kind_stops_at_its_own_floor(kind, expected):
    assert drain(RateBudget(), kind, START_US) == expected


def test_what_reads_left_over_is_there_for_places_and_then_for_cancels():
    budget = RateBudget()
    assert drain(budget, READ, START_US) == 240
    assert drain(budget, PLACE, START_US) == 100
    assert drain(budget, PROTECT, START_US) == 60
    assert not budget.take(PROTECT, START_US)


def test_the_wait_told_is_exact_to_the_microsecond():
    budget = RateBudget()
    drain(budget, PLACE, START_US)
    wait_us = budget.wait_us(PLACE, START_US)
    assert wait_us == MINUTE_US // 1_600
    assert not budget.take(PLACE, START_US + wait_us - 1)
    assert budget.take(PLACE, START_US + wait_us)


@given(st.lists(st.tuples(st.sampled_from([PROTECT, PLACE, READ]), st.integers(0, 3_000_000), st.integers(1, 500)), max_size=60))
def test_no_minute_wherever_it_begins_sees_more_than_the_limit(steps):
    budget, now_us, left = RateBudget(per_minute=200, burst=40, place_floor=6, read_floor=16), START_US, []
    for kind, pause_us, tries in steps:
        now_us += pause_us
        left += [now_us] * sum(budget.take(kind, now_us) for _ in range(tries))
    for begin in left:
        assert sum(begin <= at < begin + MINUTE_US for at in left) <= 200


def test_too_many_requests_pauses_places_and_reads_and_lets_cancels_through():
    budget = RateBudget()
    budget.throttled(START_US)
    assert not budget.take(READ, START_US)
    assert not budget.take(PLACE, START_US)
    assert budget.take(PROTECT, START_US)
    assert budget.take(PLACE, START_US + 1_000_000)


def test_the_pause_doubles_while_the_exchange_keeps_saying_so_and_begins_small_after_it_served_us():
    budget, now_us, pauses = RateBudget(), START_US, []
    for _ in range(8):
        budget.throttled(now_us)
        pauses.append(budget.wait_us(READ, now_us))
        now_us += pauses[-1]
    assert pauses == [1_000_000 * n for n in (1, 2, 4, 8, 16, 32, 60, 60)]
    budget.answered(now_us)
    budget.throttled(now_us)
    assert budget.wait_us(READ, now_us) == 1_000_000


def test_an_answer_that_was_on_its_way_does_not_end_the_pause():
    budget = RateBudget()
    budget.throttled(START_US)
    budget.throttled(START_US + 1_000_000)
    budget.answered(START_US + 1_999_999)
    assert budget.wait_us(READ, START_US + 1_999_999) == 1_000_001


def test_a_cancel_that_is_served_later_ends_the_pause_and_the_next_one_is_longer_all_the_same():
    budget = RateBudget()
    budget.throttled(START_US)
    budget.throttled(START_US + 1_000_000)
    budget.answered(START_US + 2_000_000)
    assert budget.take(READ, START_US + 2_000_000)
    budget.throttled(START_US + 2_000_001)
    assert budget.wait_us(READ, START_US + 2_000_001) == 4_000_000


def test_what_is_refused_within_a_pause_begins_it_anew_and_does_not_double_it():
    budget = RateBudget()
    for at_us in range(0, 800_000, 100_000):
        budget.throttled(START_US + at_us)
    assert budget.wait_us(READ, START_US + 700_000) == 1_000_000


def test_a_served_cancel_does_not_shorten_what_the_exchange_asked_for():
    budget = RateBudget()
    budget.throttled(START_US, 30_000_000)
    budget.answered(START_US + 2_000_000)
    assert budget.wait_us(READ, START_US + 2_000_000) == 28_000_000


def test_a_hint_of_the_exchange_is_followed_up_to_a_minute():
    budget = RateBudget()
    budget.throttled(START_US, 30_000_000)
    assert budget.wait_us(READ, START_US) == 30_000_000
    budget.throttled(START_US, 3_600_000_000)
    assert budget.wait_us(READ, START_US) == 60_000_000


def test_a_time_that_goes_back_refills_nothing():
    budget = RateBudget()
    drain(budget, PROTECT, START_US)
    assert not budget.take(PROTECT, START_US - MINUTE_US)
    assert budget.left(PROTECT, START_US) == 0
