"""A sweep on two machines of a local Ray cluster: the same figures as in this process, row by row."""

import os
from pathlib import Path

import numpy as np
import pytest

from lemon_trader.formulas.fill import FillRules
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.tables import BarTable
from lemon_trader.optimize.cluster import Cluster
from lemon_trader.optimize.evaluate import Local, Scenario
from lemon_trader.optimize.kernel import BarSettings
from lemon_trader.run.parts import default_values
from lemon_trader.run.sweep import check_reachable
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market

SOURCES = Path(__file__).parents[2] / "src"
BUDGET = 1_000 * 10**9


def scenario(bars=2_000):
    rng = np.random.default_rng(4)
    close = np.rint(15_000 * np.exp(np.cumsum(rng.normal(scale=0.002, size=bars)))).astype(np.int64)
    start = np.append(15_000, close[:-1])
    reach = rng.integers(1, 40, bars)
    at_us = 1_722_859_200_000_000 + np.arange(bars) * 60_000_000
    sol = default_instrument("SOL_USDC")
    lots = np.full(bars, 500_000)
    table = BarTable("SOL_USDC", 60_000_000, at_us, start, np.maximum(start, close) + reach, np.minimum(start, close) - reach, close, lots)
    return Scenario("a walk", sol, table, BarSettings(FillRules(maker_fee_ppm=800, taker_fee_ppm=1_000), BUDGET))


def sets(count):
    sol, strategy = default_instrument("SOL_USDC"), STRATEGIES["martingale"]
    market = Market(sol, 800, 1_000, 15_000)
    base = default_values("martingale")
    return [
        strategy.build({**base, "budget": 1_000, "take_profit_pct": (k + 5) / type(base["take_profit_pct"])(10)}, market)
        for k in range(count)
    ]


def test_two_machines_find_what_one_process_finds():
    pytest.importorskip("ray", reason="the extra cluster is not installed: nothing is said about Ray here")
    from ray.cluster_utils import Cluster as Machines

    os.environ["PYTHONPATH"] = str(SOURCES)
    machines = Machines(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        machines.add_node(num_cpus=1)
        cluster = Cluster("martingale", machines.address)
        try:
            assert (cluster.nodes, cluster.cores) == (2, 2)
            place, many = scenario(), sets(24)
            for curved in (False, True):
                theirs = cluster.figures(place, many, curved=curved)
                assert np.array_equal(theirs, Local("martingale").figures(place, many, curved=curved), equal_nan=True)
            assert len({row.tobytes() for row in theirs}) > 12, "the sets do differ"
            assert len(cluster.figures(place, [], curved=False)) == 0
        finally:
            cluster.close()
    finally:
        machines.shutdown()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere.invalid:6379", "127.0.0.1", "127.0.0.1:many"])
def test_an_address_where_nothing_answers_is_told_at_once(address):
    with pytest.raises((OSError, ValueError)):
        check_reachable(address)
