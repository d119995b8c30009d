"""Features: what they measure, and that it does not matter how often they are told the same."""

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemon_trader.core.records import as_row
from lemon_trader.formulas.volatility import BUCKETS, Features, update_features

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def told(path, window_s=300, fall_s=60):
    features = Features(window_s * SECOND, fall_s * SECOND)
    for now, mid2 in path:
        update_features(features, START + now, mid2 // 2, mid2 - mid2 // 2)
    return features


def test_a_market_that_stands_still_has_no_volatility():
    features = told([(i * SECOND // 3, 30_000) for i in range(900)])
    assert (features.volatility_ppm, features.fall_ppm) == (0, 0)


def test_volatility_is_the_standard_deviation_of_one_second_returns():
    draw = random.Random(7)
    mids = [2 * 10**9]
    for _ in range(3_000):
        mids.append(round(mids[-1] * (1 + draw.gauss(0, 0.0001))))
    features = told([(i * SECOND, mid) for i, mid in enumerate(mids)], window_s=3_000)
    returns = [b / a - 1 for a, b in itertools.pairwise(mids)]
    assert features.volatility_ppm == pytest.approx(statistics.pstdev(returns, 0) * 10**6, abs=1.5)


def test_moves_within_a_second_count_by_where_the_second_ends():
    there_and_back = told([(0, 30_000), (SECOND, 30_000), (SECOND + 100, 40_000), (SECOND + 200, 30_000), (3 * SECOND, 30_000)])
    assert there_and_back.volatility_ppm == 0
    stayed = told([(0, 30_000), (SECOND, 30_000), (SECOND + 100, 30_300), (3 * SECOND, 30_300)])
    # Three seconds, one return of 1 %: the mean square is a third of it.
    assert stayed.volatility_ppm == round(10_000 / math.sqrt(3))


def test_after_a_window_without_moves_about_a_third_of_the_square_is_left():
    wild = [(i * SECOND, 30_000 + 60 * (i % 2)) for i in range(601)]
    before = told(wild, window_s=100).volatility_ppm
    after = told([*wild, (701 * SECOND, 30_000)], window_s=100).volatility_ppm
    assert after == pytest.approx(before * math.exp(-0.5), rel=0.02)


def test_a_long_silence_ends_at_zero_and_costs_no_time():
    wild = [(i * SECOND, 30_000 + 60 * (i % 2)) for i in range(401)]
    assert told([*wild, (10**9 * SECOND, 30_000), (10**9 * SECOND + SECOND, 30_000)]).volatility_ppm == 0


@given(seed=st.integers(0, 2**32), window=st.integers(1, 600))
@settings(max_examples=30, deadline=None)
def test_telling_the_same_touch_more_often_changes_nothing(seed, window):
    draw = random.Random(seed)
    path, now, mid = [], 0, 30_000
    for _ in range(80):
        now += draw.randrange(5 * SECOND)
        mid = max(mid + draw.randrange(-200, 201), 2)
        path.append((now, mid))
    often = []
    for (at, value), (then, _) in zip(path, [*path[1:], path[-1]], strict=True):
        often += [(at, value), (at + (then - at) // 2, value)]
    once, twice = told(path, window), told(often, window)
    # Seconds without a move are counted one by one or together; the two may differ by the rounding of the powers alone.
    assert abs(once.volatility_ppm - twice.volatility_ppm) <= 2 + once.volatility_ppm // 1_000
    assert once.fall_ppm == twice.fall_ppm
    assert once.second_mid2 == twice.second_mid2


def test_the_same_facts_give_the_same_record():
    path = [(i * 700_000, 30_000 + (i * i) % 97) for i in range(500)]
    assert as_row(told(path)) == as_row(told(path))


@pytest.mark.parametrize(
    ("sentence", "path", "expected"),
    [
        ("1 % under the highest is 1 %", [(0, 30_000), (SECOND, 29_700)], 10_000),
        ("a rise is no fall", [(0, 30_000), (SECOND, 30_300)], 0),
        ("a high within the window counts", [(0, 30_000), (30 * SECOND, 30_000), (50 * SECOND, 29_700)], 10_000),
        ("a high that has left the window is forgotten", [(0, 40_000), (5 * SECOND, 30_000), (70 * SECOND, 29_700)], 10_000),
        ("a mid that stood through a silence was the highest until it fell", [(0, 30_000), (300 * SECOND, 29_700)], 10_000),
    ],
)
def test_the_fall_is_measured_from_the_highest_of_the_window(sentence, path, expected):
    assert told(path).fall_ppm == expected, sentence


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_the_fall_lies_between_those_of_the_window_and_of_a_sixteenth_less(seed):
    draw = random.Random(seed)
    now, mid, path = 0, 30_000, []
    features = told([])
    for _ in range(150):
        now += draw.randrange(8 * SECOND)
        mid = max(mid + draw.randrange(-300, 301), 2)
        path.append((now, mid))
        update_features(features, START + now, mid // 2, mid - mid // 2)
        found = features.fall_ppm
        part = 60 * SECOND // BUCKETS

        def fall(back, path=tuple(path), now=now, mid=mid):
            stood = [value for at, value in path if at <= now - back][-1:]
            high = max([*stood, *(value for at, value in path if at > now - back)])
            return (high - mid) * 10**6 // high

        assert fall(60 * SECOND - part) <= found <= fall(60 * SECOND)


def test_an_empty_side_leaves_everything_as_it_was():
    features = told([(0, 30_000), (SECOND, 30_100)])
    before = as_row(features)
    update_features(features, START + 5 * SECOND, 0, 15_000)
    update_features(features, START + 6 * SECOND, 15_000, 0)
    assert as_row(features) == before
