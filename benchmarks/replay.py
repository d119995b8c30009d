"""Replay through the real engine: how many facts, acts and turns a second, the exchange's own work included and left out.

    python benchmarks/replay.py

Plays a minute and more of a recorded order book when `LEMON_TRADER_DATA` names the recordings, else a synthetic market.
"""

import gc
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from played import Played

from lemon_trader.market.acts import Source
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.recordings import open_recording
from lemon_trader.market.synthetic import synthetic

RECORDING = "l2/btcusdt_binance_spot_20240808_09_depth.parquet"
ACTS = 120_000
START_US = 1_790_000_000_000_000


def tape() -> tuple[str, Source]:
    """A name and a market."""
    file = Path(os.environ.get("LEMON_TRADER_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / RECORDING
    if file.exists():
        return "recorded order book", open_recording(file, limit=ACTS)
    return "synthetic order flow", synthetic([default_instrument("SOL_USDC")], seed=1, start_us=START_US, activity_pct=400)


def measure() -> dict[str, object]:
    name, source = tape()
    acts = list(itertools.islice(source, ACTS))  # reading the file is not what is measured
    with tempfile.TemporaryDirectory(prefix="lemon-replay-") as folder:
        program = Played(Source(source.instruments, acts[0].at_us, iter(acts)), Path(folder))
        program.open()
        gc.collect()
        gc.freeze()
        begun = time.perf_counter()
        played = program.play(acts)
        passed = time.perf_counter() - begun
    return {
        "market": name, "acts": played / passed, "facts": program.facts / passed, "turns": program.engine.turns / passed,
        "engine_facts": program.facts / program.inside_s, "orders": program.engine.sent, "span_s": (acts[-1].at_us - acts[0].at_us) / 1e6,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measure()))
