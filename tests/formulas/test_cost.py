"""Average, take profit, stop and break-even, each rounded to the side that is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemon_trader.formulas.cost import (
    active_stop_ppm,
    average_atoms,
    beyond_ticks,
    cap_ticks,
    round_trip_ppm,
    stop_loss_ticks,
    take_profit_ticks,
)
from lemon_trader.formulas.rounding import PPM

LOT = 10_000_000  # base atoms of 0.01
TICK_LOT = 100_000  # quote atoms of 0.01 x 0.01


@pytest.mark.parametrize(
    ("sentence", "cost", "base", "expected"),
    [
        ("sixteen lots at 149.85 have cost 1.4985 each", 16 * 14_985 * TICK_LOT, 16 * LOT, 14_985 * TICK_LOT),
        ("a fee taken in base leaves the average where it was", 999 * 1_498_500_000, 999 * LOT, 1_498_500_000),
        ("what does not divide rounds up", 100, 3 * LOT, 34),
        ("nothing held has no average", 100, 0, 0),
        ("something given for nothing has none either", 0, LOT, 0),
        ("a position of a thousand million quote is exact", 10**18 + 1, 10**15, 10**10 + 1),
    ],
)
def test_the_average_is_what_a_lot_has_cost_rounded_up(sentence, cost, base, expected):
    assert average_atoms(cost, base, LOT) == expected, sentence


@pytest.mark.parametrize(
    ("sentence", "average_ticks", "expected"),
    [
        ("1.2 % over 150.00 is 151.80 exactly", 15_000, 15_180),
        ("1.2 % over 149.85 is 151.6482 and rounds up", 14_985, 15_165),
    ],
)
def test_a_take_profit_never_stands_a_tick_too_near(sentence, average_ticks, expected):
    assert take_profit_ticks(average_ticks * TICK_LOT, 12_000, TICK_LOT, 1) == expected, sentence


def test_a_short_takes_profit_below_and_rounds_down():
    assert take_profit_ticks(14_985 * TICK_LOT, 12_000, TICK_LOT, -1) == 14_805
    assert take_profit_ticks(0, 12_000, TICK_LOT, 1) == 0


def test_a_stop_never_fires_sooner_than_meant():
    assert stop_loss_ticks(15_000 * TICK_LOT, 80_000, TICK_LOT, 1) == 13_800
    assert stop_loss_ticks(15_001 * TICK_LOT, 80_000, TICK_LOT, 1) == 13_800
    assert stop_loss_ticks(15_001 * TICK_LOT, 80_000, TICK_LOT, -1) == 16_202
    assert stop_loss_ticks(0, 80_000, TICK_LOT, -1) == 0


@pytest.mark.parametrize(
    ("sentence", "stop", "by_layer", "depth", "expected"),
    [
        ("with one layer filled 4 % is the tighter", 330_000, 1, 0, 40_000),
        ("with two it is 8 %", 330_000, 1, 1, 80_000),
        ("from the ninth on the configured one is", 330_000, 1, 8, 330_000),
        ("without it only the configured one counts", 330_000, 0, 0, 330_000),
        ("a tight stop stays tight", 20_000, 1, 0, 20_000),
    ],
)
def test_the_stop_grows_with_the_ladder(sentence, stop, by_layer, depth, expected):
    assert active_stop_ppm(stop, by_layer, depth) == expected, sentence


def test_beyond_is_at_least_a_tick_away_and_never_below_one():
    assert beyond_ticks(13_800, 5_000, 1) == 13_731
    assert beyond_ticks(13_800, 5_000, -1) == 13_869
    assert beyond_ticks(50, 1, 1) == 49
    assert beyond_ticks(1, 5_000, 1) == 1


def test_a_cap_goes_through_the_touch_and_rounds_towards_it():
    assert cap_ticks(15_001, 2_000, 1) == 15_031
    assert cap_ticks(15_001, 2_000, -1) == 14_971
    assert cap_ticks(0, 2_000, 1) == 0
    assert cap_ticks(1, 990_000, -1) == 1


@pytest.mark.parametrize(
    ("sentence", "fee", "in_base", "expected"),
    [
        ("0.08 % on spot needs 0.1602 %", 800, 1, 1_602),
        ("0.1 % on spot needs 0.2003 %", 1_000, 1, 2_004),
        ("0.02 % on a perpetual needs 0.0401 %", 200, 0, 401),
        ("without a fee nothing is needed", 0, 1, 0),
    ],
)
def test_the_break_even_pays_both_ways(sentence, fee, in_base, expected):
    assert round_trip_ppm(fee, fee, in_base) == expected, sentence


@given(price=st.integers(10_000, 10**7), lots=st.integers(1, 10**5), fee=st.integers(0, 5_000))
def test_a_spot_round_trip_at_break_even_ends_at_zero_or_above(price, lots, fee):
    lots *= 1_000
    sold = take_profit_ticks(price * TICK_LOT, round_trip_ppm(fee, fee, 1), TICK_LOT, 1)
    paid = price * lots * PPM * PPM
    assert sold * lots * (PPM - fee) * (PPM - fee) >= paid
