"""A sweep's own loop: ask for points, play them, keep what came of them, until there are as many as were wanted.

It knows neither markets nor files: who plays a batch and who keeps it is handed in.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from lemon_trader.optimize.figures import FIGURES, Constraint, Floats, Objective, ranking, reduced
from lemon_trader.optimize.samplers import Sampler
from lemon_trader.optimize.space import Point, Space

Play = Callable[[Sequence[Point]], Floats]  # points in, figures by (scenario, point, figure) out


class Goal(msgspec.Struct, frozen=True):
    """What is wanted.

    Attributes:
        objectives: at least one; the first one orders what is equally good.
        constraints: bounds that every good set keeps.
        reducer: how scenarios become one: WORST or MEAN.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    reducer: str = "worst"

    @property
    def names(self) -> tuple[str, ...]:
        """Every figure that is looked at."""
        return (*(o.name for o in self.objectives), *(c.name for c in self.constraints))

    def scores(self, figures: Floats) -> Floats:
        """Columns are the objectives, higher is better; of figures by (set, figure)."""
        return np.stack([o.score(figures) for o in self.objectives], axis=-1)

    def excess(self, figures: Floats) -> Floats:
        """Columns are the bounds, more than 0 = broken; of figures by (set, figure)."""
        if not self.constraints:
            return np.zeros((len(figures), 0))
        return np.stack([c.excess(figures) for c in self.constraints], axis=-1)


class Trials:
    """What was tried, in order, with what came of it.

    Attributes:
        points: one for each trial.
    """

    def __init__(self, scenarios: int) -> None:
        """Nothing yet, over so many scenarios."""
        self.points: list[Point] = []
        self._parts: list[Floats] = []
        self._scenarios = scenarios

    def __len__(self) -> int:
        return len(self.points)

    def add(self, points: Sequence[Point], figures: Floats) -> None:
        """Keep a batch: figures by (scenario, point, figure)."""
        assert figures.shape == (self._scenarios, len(points), len(FIGURES))
        self.points += points
        self._parts.append(figures)

    @property
    def figures(self) -> Floats:
        """By (scenario, trial, figure)."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts, axis=1)]
        return self._parts[0] if self._parts else np.zeros((self._scenarios, 0, len(FIGURES)))

    def ranked(self, goal: Goal) -> list[int]:
        """Numbers of the trials, the best first, each point once."""
        whole = reduced(self.figures, goal.reducer)
        seen: set[Point] = set()
        found = []
        for k in ranking(goal.scores(whole), goal.excess(whole)):
            if self.points[k] not in seen:
                seen.add(self.points[k])
                found.append(k)
        return found

    def good(self, goal: Goal) -> int:
        """How many trials have every objective and keep every bound."""
        whole = reduced(self.figures, goal.reducer)
        excess = goal.excess(whole)
        return int((np.isfinite(goal.scores(whole)).all(axis=1) & (excess <= 0).all(axis=1)).sum())


def search(
    sampler: Sampler, goal: Goal, trials: Trials, play: Play, *, wanted: int, batch: int,
    keep: Callable[[Sequence[Point], Floats], None] = lambda _points, _figures: None, go_on: Callable[[], bool] = lambda: True,
) -> None:  # fmt: skip
    """Try points until there are `wanted`, the sampler has no more, or `go_on` says no.

    Args:
        sampler: who says what is tried; one that knows of `trials` already.
        goal: what it is told to look for.
        trials: what was tried before; grows.
        play: who plays a batch.
        wanted: how many trials there shall be.
        batch: how many are asked for at once.
        keep: called with every batch once it is played.
        go_on: asked before each batch.
    """
    known: dict[Point, Floats] = {}
    figures = trials.figures
    for k, point in enumerate(trials.points):
        known[point] = figures[:, k]
    while len(trials) < wanted and go_on():
        points = sampler.ask(min(batch, wanted - len(trials)))
        if not points:
            return
        fresh = [point for point in dict.fromkeys(points) if point not in known]
        if fresh:
            played = play(fresh)
            known.update({point: played[:, number] for number, point in enumerate(fresh)})
        found = np.stack([known[point] for point in points], axis=1)
        whole = reduced(found, goal.reducer)
        sampler.tell(points, goal.scores(whole), goal.excess(whole))
        trials.add(points, found)
        keep(points, found)


def robustness(space: Space, point: Point, own: Floats, goal: Goal, play: Play, reach: int = 1) -> dict[str, float]:
    """How the first objective stands in the neighbourhood of a point: what is best alone on its hill is an accident.

    Args:
        space: where the point is.
        point: around which one looks.
        own: its own figures, of one row.
        goal: what is wanted.
        play: who plays the neighbours.
        reach: how many levels away.

    Returns:
        `own`, `mean`, `worst` of the first objective as it is counted there (higher is better), and `kept_pct`: of the neighbours, the part
        that keeps every bound. Empty where there is no neighbour.
    """
    neighbours = space.neighbours(point, reach)
    if not neighbours:
        return {}
    whole = reduced(play(neighbours), goal.reducer)
    scores, excess = goal.scores(whole)[:, 0], goal.excess(whole)
    finite = scores[np.isfinite(scores)]
    kept = np.isfinite(scores) & (excess <= 0).all(axis=1)
    return {
        "own": float(goal.scores(own[None])[0, 0]),
        "mean": float(finite.mean()) if len(finite) else float("nan"),
        "worst": float(scores.min()) if len(finite) == len(scores) else float("nan"),
        "kept_pct": 100 * float(kept.mean()),
    }
