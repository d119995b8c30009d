"""Who says what is tried next: a grid, draws, Sobol's sequence, or one of Optuna's algorithms, always asked for many at once.

A compiled run is cheaper than a suggestion, so an algorithm that learns gets a whole batch of answers at a time. The first three need no
answers: point number k is the same whatever was found, so a study that was interrupted goes on as if it had not been.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np

from lemon_trader.optimize.figures import Floats
from lemon_trader.optimize.space import Point, Space

GRID: Final = "grid"
RANDOM: Final = "random"
SOBOL: Final = "sobol"
TPE: Final = "tpe"
CMA_ES: Final = "cma-es"
NSGA2: Final = "nsga2"
NSGA3: Final = "nsga3"
SAMPLERS: Final = (GRID, RANDOM, SOBOL, TPE, CMA_ES, NSGA2, NSGA3)
LEARNING: Final = frozenset({TPE, CMA_ES, NSGA2, NSGA3})
NEED_EXTRA: Final = LEARNING | {SOBOL}
FAR: Final = 1e12


class Sampler(Protocol):
    """Gives points and learns from what came of them."""

    def ask(self, count: int) -> list[Point]:
        """The next points, at most so many; none when there are no more."""

    def tell(self, points: Sequence[Point], scores: Floats, excess: Floats) -> None:
        """What came of the points that were asked last, or of earlier ones at the start: scores (higher is better), broken bounds."""


class Grid:
    """Every point once, in order."""

    def __init__(self, space: Space, begin: int = 0) -> None:
        """Go on with point number `begin`."""
        self._space = space
        self._next = begin

    def ask(self, count: int) -> list[Point]:
        """The next points."""
        last = min(self._next + count, self._space.size)
        points = [self._space.at(k) for k in range(self._next, last)]
        self._next = last
        return points

    def tell(self, points: Sequence[Point], scores: Floats, excess: Floats) -> None:
        """It learns nothing."""


class Draws:
    """Points drawn evenly, number k always the same for a seed."""

    def __init__(self, space: Space, seed: int, begin: int = 0) -> None:
        """Go on with point number `begin`."""
        self._space = space
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._random.random((begin, len(space.dimensions)))  # what was drawn before

    def ask(self, count: int) -> list[Point]:
        """The next points."""
        return [self._space.of_units(units) for units in self._random.random((count, len(self._space.dimensions))).tolist()]

    def tell(self, points: Sequence[Point], scores: Floats, excess: Floats) -> None:
        """It learns nothing."""


class Sobol:
    """Points that fill the space evenly, scrambled by the seed; number k is always the same."""

    def __init__(self, space: Space, seed: int, begin: int = 0) -> None:
        """Go on with point number `begin`. Raises ImportError without the extra `analysis`."""
        from scipy.stats import qmc  # noqa: PLC0415  an extra

        self._space = space
        self._sequence: Any = qmc.Sobol(len(space.dimensions), scramble=True, rng=seed)
        if begin:
            self._sequence.fast_forward(begin)

    def ask(self, count: int) -> list[Point]:
        """The next points."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a count is no power of two, which it says in a study of any length
            drawn = self._sequence.random(count)
        return [self._space.of_units(units) for units in drawn.tolist()]

    def tell(self, points: Sequence[Point], scores: Floats, excess: Floats) -> None:
        """It learns nothing."""


class Learning:
    """One of Optuna's samplers, in memory, asked and answered in batches. Levels are its whole numbers, words its categories."""

    def __init__(self, space: Space, kind: str, seed: int, objectives: int) -> None:
        """Begin without an answer.

        Raises:
            ImportError: the extra `analysis` is not installed.
        """
        import optuna  # noqa: PLC0415  an extra

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._is_bounded = kind != CMA_ES
        samplers: dict[str, Any] = {
            TPE: lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True),
            CMA_ES: lambda: optuna.samplers.CmaEsSampler(seed=seed),
            NSGA2: lambda: optuna.samplers.NSGAIISampler(seed=seed),
            NSGA3: lambda: optuna.samplers.NSGAIIISampler(seed=seed),
        }
        self._optuna: Any = optuna
        self._space = space
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # its word for bounds and batches, for years now
            self._study: Any = optuna.create_study(sampler=samplers[kind](), directions=["maximize"] * objectives)
        self._ranges: dict[str, Any] = {
            d.name: optuna.distributions.IntDistribution(0, len(d.levels) - 1)
            if d.is_ordered
            else optuna.distributions.CategoricalDistribution(list(range(len(d.levels))))
            for d in space.dimensions
        }
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[Point]:
        """The next points."""
        self._asked = [self._study.ask(self._ranges) for _ in range(count)]
        return [tuple(int(trial.params[d.name]) for d in self._space.dimensions) for trial in self._asked]

    def tell(self, points: Sequence[Point], scores: Floats, excess: Floats) -> None:
        """Learn; points that were not asked for are taken as finished trials."""
        asked, self._asked = self._asked, []
        for k, point in enumerate(points):
            broken = np.where(np.isfinite(excess[k]), excess[k], FAR).tolist()
            usable = bool(np.isfinite(scores[k]).all())
            values = scores[k].tolist() if usable else None
            if usable and not self._is_bounded and any(amount > 0 for amount in broken):
                values = [-FAR - sum(max(amount, 0) for amount in broken)]  # it knows no bounds, and only who is before whom
            state = self._optuna.trial.TrialState.COMPLETE if usable else self._optuna.trial.TrialState.FAIL
            if asked:
                if self._is_bounded:
                    for number, amount in enumerate(broken):
                        asked[k].set_constraint(str(number), amount)
                self._study.tell(asked[k], values, state=state)
            elif usable:
                params = {d.name: level for d, level in zip(self._space.dimensions, point, strict=True)}
                bounds = {str(number): amount for number, amount in enumerate(broken)} if self._is_bounded else None
                trial = self._optuna.trial.create_trial(params=params, distributions=self._ranges, values=values, constraints=bounds)
                self._study.add_trial(trial)


def make_sampler(kind: str, space: Space, seed: int, objectives: int, begin: int = 0) -> Sampler:
    """The sampler of this name; `begin` points were tried before. Raises ImportError where it needs the extra `analysis`."""
    if kind == GRID:
        return Grid(space, begin)
    if kind == RANDOM:
        return Draws(space, seed, begin)
    if kind == SOBOL:
        return Sobol(space, seed, begin)
    return Learning(space, kind, seed + begin, objectives)
