"""A machine that stood still, and a clock that was set, are noticed; time that passes is not."""

import pytest

from lemon_trader.core.units import US_PER_S
from lemon_trader.engine.awake import Awake

S = US_PER_S
CASES = [
    ("time passes as it should", 5, 5, None),
    ("the loop was busy for a while", 20, 20, None),
    ("a laptop slept, and its steady clock counts sleep", 3_600, 3_600, ("alert.woke", 3_600)),
    ("the process alone was held", 60, 60, ("alert.woke", 60)),
    ("a laptop slept whose steady clock sleeps too", 5, 3_605, ("alert.clock_jumped", 3_600)),
    ("the clock was set back", 5, -295, ("alert.clock_jumped", -300)),
    ("the clock was corrected by a second", 5, 6, None),
]


@pytest.mark.parametrize(("says", "steady", "wall", "expected"), CASES, ids=[c[0] for c in CASES])
def test_two_clocks_tell_what_happened(says, steady, wall, expected):
    awake = Awake(1_000 * S, 5_000 * S)
    assert awake.look((1_000 + steady) * S, (5_000 + wall) * S) == expected
    assert awake.look((1_005 + steady) * S, (5_005 + wall) * S) is None, "it is told once"
