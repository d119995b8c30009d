"""Laws of every strategy in every state: random markets, partial fills, lost answers, masks, stale data. `venue.py` checks them."""

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies.venue import Venue, spot_view

from lemon_trader.core.instrument import instrument
from lemon_trader.core.records import Position
from lemon_trader.core.units import LAYER
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.martingale_records import LADDER
from lemon_trader.strategies.parameter import Market

SPOT = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01", min_qty="0.02")
PERP = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01", min_qty="0.01")
BUDGET = 400 * 10**9


def random_values(name, pick, perp):
    if name == "martingale":
        return {
            "layers": pick.randint(1, 7),
            "multiplier": Decimal(pick.choice(["1", "1.3", "1.5"])),
            "step_pct": Decimal(pick.choice(["0.2", "0.8", "1.5"])),
            "step_scale": Decimal(pick.choice(["1", "1.25"])),
            "resting": pick.randint(1, 8),
            "take_profit_pct": Decimal(pick.choice(["0.3", "1.2"])),
            "stop_loss_pct": Decimal(pick.choice(["2", "8"])),
            "stop_by_layer": pick.random() < 0.5,
            "stop_inside_ladder": True,
            "entry": pick.choice(["offset", "market", "manual"]),
            "entry_price": Decimal("149.5"),
            "entry_attempts": pick.randint(0, 3),
            "entry_wait": pick.choice([1, 5, 60]),
            "entry_fallback": pick.choice(["skip", "market"]),
            "cooldown": pick.choice([0, 5]),
            "pause_after_stop": pick.choice([0, 10]),
            "cycles": pick.choice([0, 0, 2]),
            "budget": Decimal(400),
        }
    values = {
        "spread": Decimal(pick.choice(["0.05", "0.2", "1"])),
        "max_orders": pick.randint(1, 6),
        "interval": pick.choice([2, 60]),
        "skew_pct": Decimal(pick.choice([0, 50, 100])),
        "rebalance": pick.choice(["off", "passive", "take"]),
        "rebalance_threshold_pct": Decimal(pick.choice([5, 30])),
        "target_share_pct": Decimal(pick.choice([0, 30, 50, 100])),
        "fall_limit_pct": Decimal(pick.choice(["0", "0.3"])),
        "pull_pause": pick.choice([0, 1, 3]),
    }
    if pick.random() < 0.5:
        values["quantity"] = Decimal(pick.choice(["0.05", "0.2"]))
    if perp and pick.random() < 0.3:
        values["target_share_pct"] = Decimal(-30)
    return values


@pytest.mark.slow
@pytest.mark.parametrize("perp", [False, True], ids=["spot", "perpetual"])
@pytest.mark.parametrize("name", sorted(STRATEGIES))
@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_the_laws_hold_on_random_walks(name, perp, seed):
    pick = random.Random(seed)
    grid = PERP if perp else SPOT
    strategy = STRATEGIES[name]
    market = Market(grid, 200 if perp else 800, 500 if perp else 1000, 15_000)
    params = strategy.build(random_values(name, pick, perp), market)
    view = spot_view(grid, maker_fee_ppm=market.maker_fee_ppm, taker_fee_ppm=market.taker_fee_ppm)
    position = Position(budget_atoms=BUDGET, free_quote_atoms=BUDGET)
    venue = Venue(strategy, params, view, position, market.maker_fee_ppm, market.taker_fee_ppm, seed, pick.choice([0, 100, 400]))
    bid = 15_000
    for _ in range(120):
        bid = max(bid + round(pick.gauss(0, pick.choice([2, 20, 120]))), 5_000)
        venue.view.fresh = int(pick.random() > 0.03)
        venue.view.may_open = int(pick.random() > 0.03)
        if name == "martingale" and pick.random() < 0.02:
            params.winding_down = int(pick.random() < 0.2)
        venue.move(bid, bid + pick.choice([1, 1, 2, 9]), seconds=pick.choice([0.1, 1, 1, 30, 400]))
        if name == "martingale":
            check_it_never_hangs(venue)


def check_it_never_hangs(venue):
    """Armed, flat and no LAYER wanted never lasts."""
    flat = venue.position.sellable_lots < venue.view.min_lots and not venue.orders
    if venue.memory.phase == LADDER and flat and venue.view.fresh and venue.view.may_open:
        assert venue.wanted(LAYER), "armed and flat, and nothing is wanted"
