"""The same study on a Ray cluster: bars go to every machine once, batches are cut into parts that are worth the way."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from lemon_trader.optimize.evaluate import Scenario, figures_of
from lemon_trader.optimize.figures import FIGURES, Floats
from lemon_trader.strategies.catalog import STRATEGIES

PARTS_A_CORE: Final = 4  # so that a slow machine does not hold up the rest for long
SETS_MIN: Final = 8  # of a part: a task costs as much as a few runs


class Cluster:
    """Plays on the machines behind an address."""

    def __init__(self, strategy: str, address: str) -> None:
        """Connect.

        Args:
            strategy: its name.
            address: as Ray takes it: `auto`, `host:port`, `ray://host:port`.

        Raises:
            ImportError: the extra `cluster` is not installed.
            ConnectionError: no cluster answers there.
        """
        import ray  # noqa: PLC0415  an extra

        self._ray: Any = ray
        self._strategy = strategy
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        self._play: Any = ray.remote(num_cpus=1)(_figures)
        self._kept: dict[int, Any] = {}

    @property
    def cores(self) -> int:
        """How many the cluster has."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    @property
    def nodes(self) -> int:
        """How many machines there are."""
        return sum(1 for node in self._ray.nodes() if node["Alive"])

    def figures(self, scenario: Scenario, many: Sequence[Any], *, curved: bool) -> Floats:
        """A row of all figures for each params record, in order."""
        if not len(many):
            return np.zeros((0, len(FIGURES)))
        if id(scenario) not in self._kept:
            self._kept[id(scenario)] = (scenario, self._ray.put(scenario))  # kept itself, so that its id is nobody else's
        size = max(SETS_MIN, -(-len(many) // (self.cores * PARTS_A_CORE)))
        parts = [list(many[k : k + size]) for k in range(0, len(many), size)]
        waiting = [self._play.remote(self._strategy, self._kept[id(scenario)][1], part, curved) for part in parts]
        rows: Floats = np.concatenate(self._ray.get(waiting))
        return rows

    def close(self) -> None:
        """Leave the cluster, if it was joined for this."""
        self._kept.clear()
        if self._is_ours:
            self._ray.shutdown()


def _figures(strategy: str, scenario: Scenario, many: Sequence[Any], curved: bool) -> Floats:
    """What a machine of the cluster plays: on one core, because Ray counts cores by tasks."""
    return figures_of(STRATEGIES[strategy], scenario, many, curved=curved, workers=1)
