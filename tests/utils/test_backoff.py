"""Waits grow, are drawn by chance, and stay under their cap."""

import random

from hypothesis import given
from hypothesis import strategies as st

from lemon_trader.utils.backoff import Backoff


def test_bounds_double_until_the_cap_and_begin_again_after_success():
    waits = Backoff(lambda n: n - 1, first_us=100, cap_us=1_000, least_us=10)
    assert [waits.next_us() for _ in range(6)] == [100, 200, 400, 800, 1_000, 1_000]
    waits.reset()
    assert waits.next_us() == 100


def test_the_jitter_is_full_and_never_below_the_least():
    waits = Backoff(lambda _n: 0, first_us=100, cap_us=1_000, least_us=10)
    assert {waits.next_us() for _ in range(50)} == {10}


def test_days_of_failure_build_no_huge_numbers():
    waits = Backoff(lambda n: n - 1)
    for _ in range(10_000):
        waits.next_us()
    assert waits.next_us() == 30_000_000
    assert waits.failures == 10_001


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_every_wait_lies_between_least_and_cap(seed, failures):
    rng = random.Random(seed)
    waits = Backoff(rng.randrange, first_us=500, cap_us=9_000, least_us=7)
    assert all(7 <= waits.next_us() <= min(9_000, 500 << n) for n in range(failures))


def test_clients_that_fell_together_rise_apart():
    first = [Backoff(random.Random(seed).randrange).next_us() for seed in range(100)]
    assert len(set(first)) > 95
    assert max(first) - min(first) > 300_000
