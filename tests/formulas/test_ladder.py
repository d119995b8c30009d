"""The ladder: shares, depths, prices and lots, never above the budget."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemon_trader.formulas.ladder import layer_depths_ppm, layer_lots, layer_shares_ppb, layer_ticks, spendable_atoms
from lemon_trader.formulas.rounding import PPB, PPM


def test_seventy_in_three_layers_of_one_point_three_is_shared_as_the_seed_shares_it():
    shares = layer_shares_ppb(3, 1_300_000)
    assert [70 * share // 10_000 / 10**5 for share in shares] == [17.54385, 22.80701, 29.64912]


@given(layers=st.integers(1, 32), multiplier=st.integers(PPM, 10 * PPM))
def test_shares_grow_and_never_sum_to_more_than_the_whole(layers, multiplier):
    shares = layer_shares_ppb(layers, multiplier)
    assert len(shares) == layers
    assert PPB - layers <= sum(shares) <= PPB
    assert shares == sorted(shares)


@pytest.mark.parametrize(
    ("sentence", "step", "scale", "expected"),
    [
        ("a scale of one is linear", 8_000, 1_000_000, [0, 8_000, 16_000, 24_000]),
        ("each step is a quarter wider than the last", 15_000, 1_250_000, [0, 15_000, 33_750, 57_188]),
        ("a half ppm rounds up, and nothing is rounded before the sum", 1, 1_500_000, [0, 1, 3, 5]),
    ],
)
def test_depths_add_up_step_by_step(sentence, step, scale, expected):
    assert layer_depths_ppm(4, step, scale) == expected, sentence


@pytest.mark.parametrize(
    ("sentence", "anchor", "depth", "side", "expected"),
    [
        ("the first layer stands on the anchor", 14_985, 0, 1, 14_985),
        ("an exact distance is kept", 10_000, 15_000, 1, 9_850),
        ("a buy is rounded down by the whole next tick", 10_001, 15_000, 1, 9_850),
        ("a sell is rounded up", 10_001, 15_000, -1, 10_152),
    ],
)
def test_a_layer_is_rounded_away_from_the_anchor(sentence, anchor, depth, side, expected):
    assert layer_ticks(anchor, depth, side) == expected, sentence


@given(
    budget=st.integers(1, 10**16),
    anchor=st.integers(100, 10**7),
    lot=st.integers(1, 10**6),
    layers=st.integers(1, 12),
    multiplier=st.integers(PPM, 3 * PPM),
    fee=st.integers(-500, 5_000),
)
@settings(max_examples=200)
def test_a_ladder_with_its_fees_never_costs_more_than_the_budget(budget, anchor, lot, layers, multiplier, fee):
    spend = spendable_atoms(budget, fee)
    prices = [layer_ticks(anchor, depth, 1) for depth in layer_depths_ppm(layers, 10_000, 1_100_000)]
    shares = layer_shares_ppb(layers, multiplier)
    cost = sum(layer_lots(spend, share, price, lot) * price * lot for share, price in zip(shares, prices, strict=True))
    assert cost * (PPM + max(fee, 0)) <= budget * PPM


def test_a_layer_without_price_buys_nothing():
    assert layer_lots(10**12, PPB, 0, 1) == 0
    assert spendable_atoms(-5, 1_000) == 0
