"""The compiled loop over bars: one run, a sweep, and what compiling costs.

    python benchmarks/kernel.py [FILE]

Plays a year of minutes (drawn, the same each time; FILE = a recording of bars instead) through the default martingale with a stop. Beside
every figure stands a bare compiled loop that only compares each bar with two prices: what memory and comparing alone allow on this machine
now. Compile times are of processes of their own, with an empty and with a filled cache. Where `benchmarks/.venv-peers` holds vectorbt, its
import and first simulation over as many bars are timed too.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numba
import numpy as np

from lemon_trader.core.instrument import Instrument
from lemon_trader.formulas.fill import FillRules
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.tables import BarTable, read_bars
from lemon_trader.optimize.building import CACHE_VARIABLE
from lemon_trader.optimize.kernel import BarSettings, run_bars, run_many
from lemon_trader.run.parts import default_values
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market

BARS = 525_600
SETS = 200
ROUNDS = 3
BUDGET = 1_000
MINUTE_US = 60_000_000
PEER = Path(__file__).resolve().parent / ".venv-peers" / "bin" / "python"
PEER_RUN = """
import time, sys
begun = time.perf_counter()
import numpy as np, vectorbt as vbt
close = np.cumprod(1 + np.random.default_rng(1).normal(0, 6e-4, {bars})) * 150
def order(c):
    return vbt.portfolio.nb.order_nb(size=1.0 if c.i % 997 == 0 else -1.0, price=c.close[c.i, c.col], fees=8e-4)
import numba
order = numba.njit(order)
def once():
    at = time.perf_counter()
    vbt.Portfolio.from_order_func(close, order, init_cash=1e6)
    return time.perf_counter() - at
once(); first = time.perf_counter() - begun
print(first, {bars} / min(once() for _ in range(3)))
"""


def year() -> BarTable:
    """A year of minutes of a wandering price, 0.06 % a minute; the same each time."""
    rng = np.random.default_rng(20_261_122)
    steps = rng.normal(0, 6e-4, (BARS, 4))
    price = 15_000 * np.exp(np.cumsum(steps.ravel() - np.mean(steps)) * 0.5).reshape(BARS, 4)
    ticks = np.maximum(np.rint(price), 100).astype(np.int64)
    lots = rng.integers(1, 50_000, BARS)
    at_us = 1_700_000_040_000_000 + np.arange(BARS, dtype=np.int64) * MINUTE_US
    first, last = np.ascontiguousarray(ticks[:, 0]), np.ascontiguousarray(ticks[:, 3])
    return BarTable("SOL_USDC", MINUTE_US, at_us, first, ticks.max(axis=1), ticks.min(axis=1), last, lots)


def parameter_sets(instrument: Instrument, price: int, count: int) -> list[Any]:
    """Martingales around the default one: six layers, a profit of 1.0 to 1.6 % on the average, a stop."""
    strategy, market = STRATEGIES["martingale"], Market(instrument, 800, 1_000, price)
    rng = np.random.default_rng(7)
    return [
        strategy.build(
            default_values(
                "martingale", budget=Decimal(BUDGET), take_profit_pct=Decimal(int(rng.integers(100, 160))) / 100,
                step_pct=Decimal(int(rng.integers(100, 200))) / 100, stop_inside_ladder=True,
            ),
            market,
        )
        for _ in range(count)
    ]  # fmt: skip


@numba.njit(nogil=True)
def bare(low: Any, high: Any, bottom: int, top: int) -> int:
    """How many bars leave two prices: what a loop costs that does nothing else."""
    found = 0
    for i in range(len(low)):
        if low[i] < bottom or high[i] > top:
            found += 1
    return found


def best(work: Any, clock: Any = time.process_time) -> float:
    """Shortest of some rounds, seconds of the processor: neighbours do not count. What runs on several cores is timed by the wall."""
    taken = []
    for _ in range(ROUNDS):
        begun = clock()
        work()
        taken.append(clock() - begun)
    return min(taken)


def started(cache: str) -> float:
    """Seconds of a whole process that plays a short table once."""
    code = (
        "from benchmarks.kernel import *\n"
        "t = year().part(end_us=1_700_000_040_000_000 + 500 * MINUTE_US); i = default_instrument('SOL_USDC')\n"
        "run_bars(STRATEGIES['martingale'], parameter_sets(i, 15_000, 1)[0], i, t, BarSettings(FillRules(), BUDGET * 10**9))\n"
    )
    root = Path(__file__).resolve().parents[1]
    env = os.environ | {CACHE_VARIABLE: cache, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    return time.perf_counter() - begun


def peer(bars: int) -> dict[str, float] | str:
    """Bars a second of vectorbt over as many bars, if somebody made its environment."""
    if not PEER.exists():
        return "benchmarks/.venv-peers is not there"
    done = subprocess.run([PEER, "-c", PEER_RUN.format(bars=bars)], capture_output=True, text=True, check=False)
    if done.returncode:
        return "vectorbt is not in benchmarks/.venv-peers"
    first, rate = (float(x) for x in done.stdout.split())
    return {"first_s": first, "bars_a_s": rate}


def measure(file: str | None) -> dict[str, object]:
    table = year() if file is None else read_bars(file)
    instrument = default_instrument(table.symbol)
    strategy = STRATEGIES["martingale"]
    many = parameter_sets(instrument, int(table.open[0]), SETS)
    rules = FillRules(maker_fee_ppm=800, taker_fee_ppm=1_000)
    settings = BarSettings(rules, BUDGET * 10**9, 10 * BUDGET * 10**9)
    plain = replace(settings, indexed=False)
    one = run_bars(strategy, many[0], instrument, table, settings)  # compiles
    low, high = table.low.astype(np.int32), table.high.astype(np.int32)
    bare(low, high, 0, 2**30)
    bars = len(table)
    daily = replace(settings, mark_every=1_440)
    over = (strategy, many, instrument, table)
    rates = {
        "bare_loop": bars / best(lambda: bare(low, high, 0, 2**30)),
        "one_with_fills_and_equity": bars / best(lambda: run_bars(strategy, many[0], instrument, table, settings)),
        "one_with_fills_and_daily_equity": bars / best(lambda: run_bars(strategy, many[0], instrument, table, daily)),
        "sweep_on_one_core": bars * SETS / best(lambda: run_many(*over, plain, workers=1)),
        "sweep_on_one_core_indexed": bars * SETS / best(lambda: run_many(*over, settings, workers=1)),
        "sweep_on_one_core_indexed_daily_marks": bars * SETS / best(lambda: run_many(*over, daily, workers=1)),
        "sweep_on_all_cores_indexed": bars * SETS / best(lambda: run_many(*over, settings), time.perf_counter),
    }
    summary = run_many(strategy, many, instrument, table, settings)
    with tempfile.TemporaryDirectory(prefix="lemon-kernels-") as cache:
        compile_s = {"first_process_s": started(cache), "cached_process_s": started(cache)}
    return {
        "bars": bars, "sets": SETS, "cores": os.cpu_count(), "fills_of_one": len(one.fills), "fills_a_set": float(summary["fills"].mean()),
        "bars_a_s": rates, "of_bare_loop": {name: rate / rates["bare_loop"] for name, rate in rates.items()}, "compile": compile_s,
        "vectorbt": peer(bars),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1] if len(sys.argv) > 1 else None), indent=1))
