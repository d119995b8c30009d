"""A short day in the sandbox; `make sandbox-day` lives a whole one."""

from tests.simulation.sandbox_day import STEPS, live


def test_two_programs_on_spot_and_perpetual_agree_with_the_exchange_after_liquidation_maintenance_and_other_filters():
    day = live(0.12, activity_pct=40, spread_pct="0.05")
    assert day.found == []
    assert day.said == [what for _, what in STEPS]
