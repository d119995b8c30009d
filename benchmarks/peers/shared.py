"""What the programs of this folder share: the bars and the ladder that `ours.py` wrote, and how a run is timed.

Imports nothing of the program: the peers live in an environment of their own.
"""

import json
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]  # of the repository


@dataclass
class Ladder:
    """The martingale that everybody plays: a market order at the close of a bar, layers under it, all sold at a profit on the average.

    Attributes:
        budget: quote that a ladder may spend, fees included.
        fee: of the worth of every fill, a fraction.
        share: of the budget, by layer; depth: under the price of the first layer, a fraction, by layer.
        take_profit / stop: from the average, fractions.
        lot / tick: of the market.
    """

    budget: float
    fee: float
    share: list[float]
    depth: list[float]
    take_profit: float
    stop: float
    lot: float
    tick: float

    def prices(self, anchor: float) -> list[float]:
        """Of all layers, rounded down to ticks."""
        return [int(anchor * (1 - depth) / self.tick + 1e-9) * self.tick for depth in self.depth]

    def lots(self, anchor: float) -> list[int]:
        """Of all layers, rounded down."""
        spend = self.budget / (1 + self.fee)
        return [int(spend * share / price / self.lot + 1e-9) for share, price in zip(self.share, self.prices(anchor), strict=True)]

    def exits(self, average: float) -> tuple[float, float]:
        """Profit, rounded up, and stop, rounded down, to ticks."""
        profit = math.ceil(average * (1 + self.take_profit) / self.tick - 1e-9) * self.tick
        return profit, int(average * (1 - self.stop) / self.tick + 1e-9) * self.tick


def read(folder: str) -> tuple[Any, Ladder]:
    """Columns at_us, open, high, low, close, volume, and the ladder."""
    return np.load(Path(folder) / "bars.npz"), Ladder(**json.loads((Path(folder) / "ladder.json").read_text()))


def report(count: int, run: Callable[[], tuple[int, float]]) -> None:
    """Play three times and print one JSON object: how many of `count` a second in the first call, and in the better of the later ones.

    `run` gives fills and net gain in quote. Seconds are the processor's, so neighbours do not count.
    """
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        fills, net = run()
        seconds.append(time.process_time() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    first, later = count / seconds[0], count / min(seconds[1:])
    print(json.dumps({"count": count, "first_s": seconds[0], "first": first, "later": later, "peak": peak, "fills": fills, "net": net}))
