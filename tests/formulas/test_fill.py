"""How a bar is traded: what a move reaches, in which order, at which price, and what it costs. Plain and compiled alike."""

import random

import pytest

from lemon_trader.core.units import BUY, SELL
from lemon_trader.formulas.compilable import compiled
from lemon_trader.formulas.fill import (
    PESSIMISTIC,
    PROBABILISTIC,
    TOUCH,
    FillRules,
    bar_ask,
    bar_bid,
    chance_ppm,
    fee_atoms,
    funding_atoms,
    is_reached,
    low_comes_first,
    point_lots,
    taker_ticks,
    trigger_level,
    value_atoms,
)

STRICT, FRIENDLY = FillRules(model=PESSIMISTIC), FillRules(model=TOUCH)
NEVER, ALWAYS = FillRules(model=PROBABILISTIC, touch_ppm=0), FillRules(model=PROBABILISTIC, touch_ppm=1_000_000)


@pytest.mark.parametrize(
    ("name", "rules", "side", "price", "start", "end", "expected"),
    [
        ("a buy is filled when the price goes a tick through it", STRICT, BUY, 100, 105, 99, 1),
        ("a buy that the price only comes to is not, strictly", STRICT, BUY, 100, 105, 100, 0),
        ("a buy that the price comes to is, by touch", FRIENDLY, BUY, 100, 105, 100, 1),
        ("a sell likewise, on the way up", STRICT, SELL, 100, 95, 101, 1),
        ("a sell that is only touched is not", STRICT, SELL, 100, 95, 100, 0),
        ("a price that stays above reaches no buy", FRIENDLY, BUY, 100, 105, 101, 0),
        ("of what is touched a share of nothing is filled", NEVER, BUY, 100, 105, 100, 0),
        ("of what is touched a share of all is filled", ALWAYS, BUY, 100, 105, 100, 1),
        ("what is gone through is filled whatever the share", NEVER, BUY, 100, 105, 99, 1),
        ("a buy at the price is not filled by a move away from it", FRIENDLY, BUY, 100, 100, 110, 0),
        ("a sell at the price is not filled by a move away from it", FRIENDLY, SELL, 100, 100, 90, 0),
        ("nor by a price that stands still", FRIENDLY, SELL, 100, 100, 100, 0),
        ("the rest of a buy that the price is below already is met by any move", STRICT, BUY, 100, 95, 98, 1),
        ("the rest of a sell that the price is above already is met by any move", STRICT, SELL, 100, 105, 103, 1),
    ],
)
def test_what_a_move_reaches(name, rules, side, price, start, end, expected):
    assert is_reached(rules, side, price, start, end, 1_700_000_000_000_000) == expected, name


@pytest.mark.parametrize(
    ("name", "model", "first", "last", "lots", "buys", "sells", "expected"),
    [
        ("a long position goes through the low first", PESSIMISTIC, 100, 90, 5, 1, 1, 1),
        ("a short position goes through the high first", PESSIMISTIC, 90, 100, -5, 1, 1, 0),
        ("with nothing held and buys resting the low comes last", PESSIMISTIC, 90, 100, 0, 2, 0, 0),
        ("with nothing held and sells resting the high comes last", PESSIMISTIC, 100, 90, 0, 0, 2, 1),
        ("with both resting the colour decides", PESSIMISTIC, 90, 100, 0, 1, 1, 1),
        ("a bar that rose went down first", TOUCH, 90, 100, 5, 1, 1, 1),
        ("a bar that fell went up first", TOUCH, 100, 90, 5, 1, 1, 0),
    ],
)
def test_which_extreme_comes_first(name, model, first, last, lots, buys, sells, expected):
    assert low_comes_first(model, first, last, lots, buys, sells) == expected, name


def test_the_touch_is_the_price_and_a_tick_or_half_a_spread_to_each_side():
    assert (bar_bid(10_000, 0), bar_ask(10_000, 0)) == (10_000, 10_001)
    assert (bar_bid(10_000, 1_000), bar_ask(10_000, 1_000)) == (9_990, 10_010)
    assert (bar_bid(1, 500_000), bar_ask(1, 500_000)) == (1, 2)


def test_what_takes_pays_the_other_touch_and_the_slippage():
    rules = FillRules(slippage_ppm=1_000)
    assert taker_ticks(rules, BUY, 10_000) == 10_011  # 10,001 and a thousandth of it, rounded down
    assert taker_ticks(rules, SELL, 10_000) == 9_990


@pytest.mark.parametrize(
    ("name", "start", "end", "jumped", "expected"),
    [
        ("a stop on the way fires at its own price", 105, 95, 0, 100),
        ("a stop that the market jumped over fires at the new price", 105, 95, 1, 95),
        ("a stop that the price is beyond already fires where the price is", 98, 95, 0, 98),
    ],
)
def test_where_a_stop_fires(name, start, end, jumped, expected):
    assert trigger_level(SELL, 100, start, end, jumped) == expected, name


def test_a_share_of_a_quarter_of_the_volume_is_ours():
    assert point_lots(4_000, 100_000) == 100
    assert point_lots(39, 100_000) == 0
    assert point_lots(0, 0) > 10**15  # no bound


def test_fees_are_rounded_against_us_and_rebates_too():
    assert fee_atoms(1_001, 1_000) == 2
    assert fee_atoms(1_001, -1_000) == -1
    assert fee_atoms(0, 1_000) == 0


def test_longs_pay_a_positive_rate_and_every_rounding_is_against_us():
    assert funding_atoms(3, 101, 1_000, 100_000) == -31  # 303,000 x 0.0001 = 30.3
    assert funding_atoms(-3, 101, 1_000, 100_000) == 30
    assert funding_atoms(3, 101, 1_000, -100_000) == 30
    assert funding_atoms(-3, 101, 1_000, -100_000) == -31


def test_a_short_is_worth_less_than_nothing():
    assert value_atoms(-15, 7, 10, 10) == -105
    assert value_atoms(15, 7, 10, 10) == 105


def test_chances_look_drawn_and_depend_on_each_of_their_four():
    base = 1_700_000_000_000_000
    drawn = [chance_ppm(7, base + k * 15_000_000, 14_000 + k % 50, BUY) for k in range(4_000)]
    assert all(0 <= c < 1_000_000 for c in drawn)
    tenths = [sum(1 for c in drawn if c // 100_000 == k) for k in range(10)]
    assert min(tenths) > 300
    assert max(tenths) < 500
    one = chance_ppm(7, base, 14_000, BUY)
    others = (
        chance_ppm(8, base, 14_000, BUY),
        chance_ppm(7, base + 1, 14_000, BUY),
        chance_ppm(7, base, 14_001, BUY),
        chance_ppm(7, base, 14_000, SELL),
    )
    assert one not in others


@pytest.mark.slow
def test_compiled_and_plain_draw_and_reckon_the_same():
    chance = random.Random(20_261_122)
    fast_chance, fast_fee, fast_funding = compiled(chance_ppm), compiled(fee_atoms), compiled(funding_atoms)
    for _ in range(2_000):
        drawn = (chance.randrange(2**31), chance.randrange(2**51), chance.randrange(1, 2**42), chance.choice((BUY, SELL)))
        assert fast_chance(*drawn) == chance_ppm(*drawn)
        fee = (chance.randrange(2**62), chance.randrange(-1_000, 20_000))
        assert fast_fee(*fee) == fee_atoms(*fee)
        funded = (
            chance.randrange(-(10**6), 10**6),
            chance.randrange(1, 10**6),
            chance.randrange(1, 10**5),
            chance.randrange(-(10**6), 10**6),
        )
        assert fast_funding(*funded) == funding_atoms(*funded)
