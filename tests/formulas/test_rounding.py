"""Rounding names its direction and stays exact beyond 64 bits."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lemon_trader.formulas.rounding import INT64_MAX, ceil_div, root, scaled_ceil, scaled_floor


@pytest.mark.parametrize(
    ("sentence", "value", "unit", "expected"),
    [
        ("an exact quotient stays", 10, 5, 2),
        ("anything over rounds up", 11, 5, 3),
        ("a negative quotient rounds towards zero, which is up", -11, 5, -2),
    ],
)
def test_ceil_div_rounds_up(sentence, value, unit, expected):
    assert ceil_div(value, unit) == expected, sentence


@given(value=st.integers(0, INT64_MAX), factor=st.integers(0, INT64_MAX), unit=st.integers(1, 2**61))
@settings(max_examples=300)
def test_scaling_equals_the_exact_fraction_on_both_sides(value, factor, unit):
    exact = value * factor
    assume(-(-exact // unit) <= INT64_MAX)
    assert scaled_floor(value, factor, unit) == exact // unit
    assert scaled_ceil(value, factor, unit) == -(-exact // unit)


@given(value=st.integers(INT64_MAX // 2, INT64_MAX), unit=st.integers(2**60, 2**61))
@settings(max_examples=100)
def test_scaling_is_exact_where_the_product_has_124_bits(value, unit):
    factor = unit - 1
    assert scaled_floor(value, factor, unit) == value * factor // unit
    assert scaled_ceil(value, factor, unit) == -(-(value * factor) // unit)


@given(st.integers(0, 4 * 10**18))
def test_the_root_is_the_largest_whole_number_whose_square_fits(value):
    found = root(value)
    assert found * found <= value < (found + 1) * (found + 1)


@pytest.mark.parametrize("whole", [0, 1, 2, 3, 94_906_267, 1_999_999_999, 2_000_000_000])
def test_the_root_is_right_beside_a_square(whole):
    # From 2**53 on a double no longer tells a square from its neighbours.
    assert root(whole * whole) == whole
    if whole:
        assert root(whole * whole - 1) == whole - 1
