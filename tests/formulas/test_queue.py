"""Where those stood who left a queue: three models, held to what the facts leave no choice about."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemon_trader.formulas.compilable import compiled
from lemon_trader.formulas.queue import AHEAD, BEHIND, POWER_MAX, SPREAD, left_ahead

LOTS = st.integers(0, 2**40)

# (what the case says, model, power, ahead, behind, left, of them ahead)
CASES = [
    ("the strict model lets them leave behind us", BEHIND, 1, 100, 60, 60, 0),
    ("what is more than stood behind us stood before us", BEHIND, 1, 100, 60, 70, 10),
    ("the friendly model lets them leave before us", AHEAD, 1, 100, 60, 60, 60),
    ("but never more than stood there", AHEAD, 1, 30, 60, 60, 30),
    ("in proportion", SPREAD, 1, 75, 25, 40, 30),
    ("in proportion, rounded down", SPREAD, 1, 70, 30, 3, 2),
    ("the power 0 takes half from each", SPREAD, 0, 90, 10, 4, 2),
    ("a high power takes as good as all from the longer part", SPREAD, 8, 90, 10, 9, 9),
    ("and nearly none from the shorter", SPREAD, 8, 10, 90, 9, 0),
    ("nobody behind us: all of it before us", SPREAD, 3, 50, 0, 20, 20),
    ("nobody before us: none", SPREAD, 3, 0, 50, 20, 0),
    ("an empty queue loses nothing", SPREAD, 3, 0, 0, 0, 0),
]


@pytest.mark.parametrize(("model", "power", "ahead", "behind", "left", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_how_many_of_those_that_left_stood_before_us(model, power, ahead, behind, left, expected):
    assert left_ahead(model, power, ahead, behind, left) == expected


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from((BEHIND, SPREAD, AHEAD)), st.integers(0, POWER_MAX), LOTS, LOTS, LOTS)
def test_the_models_keep_to_the_facts_and_to_their_order(model, power, ahead, behind, left):
    left = min(left, ahead + behind)
    strict, found, friendly = (left_ahead(m, power, ahead, behind, left) for m in (BEHIND, model, AHEAD))
    assert max(0, left - behind) <= strict <= found <= friendly <= min(left, ahead)


def test_the_compiled_form_says_the_same():
    fast = compiled(left_ahead)
    for model, power, ahead, behind, left in [c[1:6] for c in CASES] + [(SPREAD, 5, 2**40, 2**39 + 7, 2**38 + 1)]:
        assert fast(model, power, ahead, behind, left) == left_ahead(model, power, ahead, behind, left)
