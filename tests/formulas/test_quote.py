"""Quotes: width, shift and rounding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemon_trader.formulas.quote import HALF_MAX_PPM, half_spread_ppm, is_jump, quote_ticks, share_ppm, skew_ppm, tilt_ppm
from lemon_trader.formulas.rounding import PPM

RATES = st.integers(0, PPM)


@pytest.mark.parametrize(
    ("sentence", "mid2", "side", "distance", "expected"),
    [
        ("a bid half of 0.1 % under 150.00 lies on a tick below", 30_000, 1, 500, 14_992),
        ("an ask half of 0.1 % over 150.00 lies on a tick above", 30_000, -1, 500, 15_008),
        ("a mid between two ticks is not rounded before the quote is", 30_001, 1, 0, 15_000),
        ("and its ask rounds up", 30_001, -1, 0, 15_001),
        ("an exact distance is kept exactly by a bid", 20_000, 1, 1_000, 9_990),
        ("and by an ask", 20_000, -1, 1_000, 10_010),
    ],
)
def test_a_quote_rounds_away_from_the_mid(sentence, mid2, side, distance, expected):
    assert quote_ticks(mid2, side, distance) == expected, sentence


@given(mid2=st.integers(2, 2**40), spread=st.integers(1, 500_000))
def test_the_width_is_never_narrower_than_asked_and_less_than_two_ticks_wider(mid2, spread):
    half = half_spread_ppm(spread, 0, 0)
    width = quote_ticks(mid2, -1, half) - quote_ticks(mid2, 1, half)
    assert width * 2 * PPM >= mid2 * spread
    assert width * 2 * PPM < mid2 * (spread + 1) + 2 * 2 * PPM


@given(spread=RATES, widening=st.integers(0, 10**9), calm=RATES, wild=RATES)
def test_the_half_spread_never_falls_when_volatility_rises(spread, widening, calm, wild):
    calm, wild = sorted((calm, wild))
    low, high = half_spread_ppm(spread, calm, widening), half_spread_ppm(spread, wild, widening)
    assert low <= high <= HALF_MAX_PPM
    assert low >= min((spread + 1) // 2, HALF_MAX_PPM)


def test_one_standard_deviation_over_four_seconds_widens_by_two_of_a_second():
    assert half_spread_ppm(1_000, 80, 2 * PPM) == 500 + 160


@given(value=st.integers(-(2**60), 2**60), more=st.integers(0, 2**59), budget=st.integers(1, 2**59), target=RATES, perp=st.integers(0, 1))
def test_the_tilt_rises_with_the_position_and_stays_within_one(value, more, budget, target, perp):
    low, high = tilt_ppm(value, budget, target, perp), tilt_ppm(value + more, budget, target, perp)
    assert -PPM <= low <= high <= PPM


@pytest.mark.parametrize(
    ("sentence", "value", "target", "perp", "expected"),
    [
        ("nothing held against a target of half the budget is as short as spot can be", 0, 500_000, 0, -PPM),
        ("half the budget held is on target", 200, 500_000, 0, 0),
        ("the whole budget held is as long as it can be", 400, 500_000, 0, PPM),
        ("half way to the top is half a tilt", 300, 500_000, 0, PPM // 2),
        ("a perpetual without position is on its target of nothing", 0, 0, 1, 0),
        ("a perpetual short by half its budget is half tilted", -200, 0, 1, -PPM // 2),
        ("more than the budget is no more than a full tilt", 900, 0, 1, PPM),
        ("with a target of everything there is no longer than that", 500, PPM, 0, 0),
    ],
)
def test_the_tilt_says_how_far_the_position_is_from_its_target(sentence, value, target, perp, expected):
    assert tilt_ppm(value, 400, target, perp) == expected, sentence


def test_without_a_budget_nothing_is_tilted():
    assert tilt_ppm(10**9, 0, 500_000, 0) == 0


def test_a_share_is_clamped_to_twice_the_budget():
    assert share_ppm(10**18, 1) == 2 * PPM
    assert share_ppm(-(10**18), 1) == -2 * PPM
    assert share_ppm(-1, 3) == -333_333


@given(half=st.integers(0, HALF_MAX_PPM), strength=RATES, one=st.integers(-PPM, PPM), other=st.integers(-PPM, PPM))
def test_the_skew_is_monotone_odd_and_never_more_than_the_half_spread(half, strength, one, other):
    one, other = sorted((one, other))
    low, high = skew_ppm(half, strength, one), skew_ppm(half, strength, other)
    assert -half <= low <= high <= half
    assert skew_ppm(half, strength, -one) == -low


@pytest.mark.parametrize(
    ("sentence", "mid2", "expected"),
    [
        ("half the spread of 0.1 % down is a jump", 19_990, 1),
        ("half the spread up is one too", 20_010, 1),
        ("a tick less is none", 19_991, 0),
        ("and nothing at all is none", 20_000, 0),
    ],
)
def test_a_jump_is_a_move_of_half_the_spread(sentence, mid2, expected):
    assert is_jump(mid2, 20_000, 1_000) == expected, sentence
