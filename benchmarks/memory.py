"""Memory of an hour's simulated quoting: the resident set after each simulated minute, and its slope over the second half.

    python benchmarks/memory.py

What the simulated exchange must remember of orders that have ended is thrown away each minute: it is not the program's memory.
"""

import gc
import itertools
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from played import Played

from lemon_trader.core.units import US_PER_S
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.synthetic import synthetic

START_US = 1_790_000_000_000_000
MINUTE_US = 60 * US_PER_S
MINUTES = 60
KEPT_US = 120 * US_PER_S  # how far the program's reads look back, and more


def resident_bytes() -> int:
    """Memory of this process that is in RAM now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget(program: Played, now_us: int) -> None:
    """Let the exchange forget what nobody will ask for."""
    account = program.exchange.accounts[program.venue.account]
    for rows, field in ((account.order_history, "updated_us"), (account.fills, "at_us"), (account.funding, "at_us")):
        while rows and getattr(rows[0], field) < now_us - KEPT_US:
            del rows[0]
    commands = getattr(program.venue, "commands", [])
    commands.clear()


def measure() -> dict[str, float]:
    source = synthetic([default_instrument("SOL_USDC")], seed=1, start_us=START_US)
    points: list[int] = []
    with tempfile.TemporaryDirectory(prefix="lemon-memory-") as folder:
        program = Played(source, Path(folder))
        program.open()
        for minute, acts in itertools.islice(itertools.groupby(source, lambda act: (act.at_us - START_US) // MINUTE_US), MINUTES):
            program.play(acts)
            forget(program, START_US + (minute + 1) * MINUTE_US)
            gc.collect()
            points.append(resident_bytes())
    half = points[MINUTES // 2 :]
    slope = statistics.linear_regression(range(len(half)), half).slope
    return {"resident": points[-1], "slope": slope, "orders": program.engine.sent, "first": points[0]}


if __name__ == "__main__":
    print(json.dumps(measure()))
