"""Acts on a dead engine in the simulated world: killed, acted on, started again, and every promise kept."""

import pytest
from tests.simulation.test_smoke import live


@pytest.mark.parametrize(
    "seed", [0, 1, 2, 3], ids=["market maker, spot", "martingale, spot", "market maker, perpetual", "martingale, perpetual"]
)
def test_what_is_done_without_an_engine_is_done_at_the_exchange(seed: int):
    out = live(seed, only=["F77", "F02"])
    assert out.violations == []
    assert out.errands > 0, out.notes
