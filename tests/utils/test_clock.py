"""The exchange's clock: one wrong or late answer moves nothing, a clock that was really set is followed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemon_trader.utils.clock import VenueClock

START_US = 1_790_000_000_000_000


def ask(clock, at_us, offset_us, there_us=20_000, back_us=20_000):
    """One question to an exchange whose clock is ours + `offset_us`."""
    venue_ms = (at_us + there_us + offset_us) // 1_000
    return clock.sample(at_us, at_us + there_us + back_us, venue_ms)


def test_before_any_sample_it_is_not_ready_and_wants_one():
    clock = VenueClock()
    assert not clock.ready
    assert clock.due(START_US)
    assert clock.venue_us(START_US) == START_US


@given(st.integers(-(10**9), 10**9), st.integers(0, 400_000), st.integers(0, 400_000))
def test_the_true_offset_lies_within_the_uncertainty(offset_us, there_us, back_us):
    clock = VenueClock()
    assert ask(clock, START_US, offset_us, there_us, back_us)
    end_us = START_US + there_us + back_us
    assert abs(clock.offset_us - offset_us) <= clock.uncertainty_us(end_us)
    assert clock.uncertainty_us(end_us) <= (there_us + back_us) // 2 + 1_000


def test_the_quickest_answer_of_several_wins():
    clock = VenueClock()
    for number, trip_us in enumerate((300_000, 40_000, 250_000)):
        ask(clock, START_US + number * 1_000_000, 5_000_000, trip_us, 0)
    assert abs(clock.offset_us - 5_000_000) <= 21_000


@pytest.mark.parametrize(
    ("sent_us", "received_us", "venue_ms"),
    [
        (START_US, START_US + 2_100_000, START_US // 1_000),
        (START_US, START_US - 1, START_US // 1_000),
        (START_US, START_US + 1_000, 0),
        (START_US, START_US + 1_000, -5),
    ],
    ids=["it took too long", "answered before it was asked", "a time of nothing", "a time before 1970"],
)
def test_a_sample_that_says_nothing_is_ignored(sent_us, received_us, venue_ms):
    clock = VenueClock()
    ask(clock, START_US, 7_000)
    before = clock.offset_us
    assert not clock.sample(sent_us, received_us, venue_ms)
    assert clock.offset_us == before
    assert clock.ignored == 1


def test_one_wrong_answer_among_honest_ones_moves_nothing():
    clock = VenueClock()
    for number in range(3):
        ask(clock, START_US + number * 1_000_000, 5_000)
    ask(clock, START_US + 4_000_000, 600_000_000, 100, 100)
    assert abs(clock.offset_us - 5_000) <= 20_500


def test_one_wrong_answer_is_outvoted_even_when_it_was_the_first():
    clock = VenueClock()
    ask(clock, START_US, -86_400_000_000, 100, 100)
    for number in range(1, 3):
        ask(clock, START_US + number * 1_000_000, 5_000)
    assert not clock.wants_sample
    assert abs(clock.offset_us - 5_000) <= 20_500


def test_a_clock_that_was_really_set_is_followed_when_most_samples_say_so():
    clock = VenueClock(keep=5)
    for number in range(5):
        ask(clock, START_US + number * 60_000_000, 0)
    for number in range(5, 8):
        ask(clock, START_US + number * 60_000_000, 3_600_000_000)
    assert abs(clock.offset_us - 3_600_000_000) <= 21_000


def test_a_doubt_asks_for_new_samples_and_keeps_the_old_estimate_until_they_come():
    clock = VenueClock()
    for number in range(5):
        ask(clock, START_US + number, 2_000_000)
    assert not clock.due(START_US)
    clock.doubt()
    assert clock.due(START_US)
    assert abs(clock.offset_us - 2_000_000) <= 21_000
    ask(clock, START_US + 1_000_000, 9_000_000)
    assert abs(clock.offset_us - 9_000_000) <= 21_000
    assert clock.wants_sample
    ask(clock, START_US + 2_000_000, 9_000_000)
    ask(clock, START_US + 3_000_000, 9_000_000)
    assert not clock.wants_sample


def test_an_estimate_ages_and_is_asked_for_again():
    clock = VenueClock(drift_ppm=100)
    for number in range(3):
        ask(clock, START_US + number, 0)
    young = clock.uncertainty_us(START_US + 40_002)
    assert clock.uncertainty_us(START_US + 40_002 + 3_600_000_000) == young + 360_000
    assert not clock.due(START_US + 59_000_000)
    assert clock.due(START_US + 61_000_000)


def test_a_drift_is_followed_and_told():
    clock = VenueClock()
    for minute in range(60):
        at_us = START_US + minute * 60_000_000
        ask(clock, at_us, minute * 60_000_000 * 50 // 1_000_000)  # 50 ppm fast
        assert abs(clock.offset_us - minute * 3_000) <= 25_000
    assert 40 <= clock.drift_ppm <= 60


def test_a_request_is_signed_with_whole_milliseconds_rounded_down():
    clock = VenueClock()
    clock.sample(START_US, START_US, START_US // 1_000)
    assert clock.offset_us == 500
    assert clock.venue_ms(START_US + 499) == START_US // 1_000
    assert clock.venue_ms(START_US + 500) == START_US // 1_000 + 1
