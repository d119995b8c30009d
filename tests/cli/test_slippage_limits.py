"""An order that may reach further than the limits let any is refused at the door, not withheld in silence."""

from decimal import Decimal

import pytest
from tests.core.make import account, spot

from lemon_trader.config.settings import LimitSettings, PairSettings
from lemon_trader.engine.startup import StartRefused
from lemon_trader.run.parts import apply_limits, default_values, make_plan


@pytest.mark.parametrize(
    ("strategy", "name", "flag"),
    [("martingale", "entry_slippage_pct", "--entry-slippage-pct"), ("market-maker", "rebalance_slippage_pct", "--rebalance-slippage-pct")],
)
def test_a_slippage_above_the_limit_is_refused_with_both_figures(strategy, name, flag):
    state, limits = account(spot()), LimitSettings()
    for over in (False, True):
        value = limits.slippage_pct + (Decimal("0.1") if over else 0)
        pair = PairSettings(strategy, "SOL_USDC", default_values(strategy, **{name: value}), budget=Decimal(400))
        plan = make_plan(pair, state, spot(), 10**13)
        if not over:
            apply_limits(state, limits, [plan])
            continue
        with pytest.raises(StartRefused) as refused:
            apply_limits(state, limits, [plan])
        assert refused.value.key == "start.reach"
        assert (refused.value.values["name"], Decimal(str(refused.value.values["value"]))) == (flag, value)
