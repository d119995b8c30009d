"""`sweep`: many parameter sets over markets and periods, the best few by the engine that trades, and how much of it is luck."""

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np

from lemon_trader.backtest.result import Result, check
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.settings import Face
from lemon_trader.config.sweep import NO_FORWARD, SweepSettings
from lemon_trader.engine.startup import StartRefused
from lemon_trader.optimize import memory
from lemon_trader.optimize.evaluate import Evaluator, Local, Scenario, all_figures, play, returns_matrix
from lemon_trader.optimize.figures import FIGURES, Floats, needs_curve, reduced, step_for
from lemon_trader.optimize.forward import folds, judged
from lemon_trader.optimize.overfit import deflated_sharpe, overfitting, sharpe_of
from lemon_trader.optimize.samplers import GRID, LEARNING, Sampler, make_sampler
from lemon_trader.optimize.space import Point
from lemon_trader.optimize.store import (
    CODE,
    DATA,
    SCHEMA,
    SPACE,
    Head,
    StudyError,
    StudyStore,
    asked_fingerprint,
    code_fingerprint,
    data_fingerprint,
)
from lemon_trader.optimize.study import Goal, Trials, robustness, search
from lemon_trader.run.backtest import compared, replay_bars
from lemon_trader.run.sweep_parts import Build, Stage, builder, goal_of, space_of, stages_of, values_at, why_not

BATCH: Final = 512
BATCH_LEARNING: Final = 32
KEPT_TOGETHER: Final = 2_000  # trials that wait for one part on the disk, at most
COMPARED_MAX: Final = 500  # trials whose returns are held against one another
MIB: Final = 1 << 20
AUTO: Final = "auto"  # of --cluster: the one that this machine belongs to
KNOCK_S: Final = 5
OTHERS: Final = {CODE: "sweep.other-code", DATA: "sweep.other-data", SPACE: "sweep.other-space"}

Progress = Callable[[int, int, int], None]  # trials done, trials wanted, microseconds since the begin


@dataclass(frozen=True, slots=True)
class Chosen:
    """One of the best.

    Attributes:
        rank: 1 is the best.
        point, texts: where it is in the space.
        figures: of each scenario, and together (by figure).
        replayed: by the engine that trades, of each scenario; agrees: whether each is what the kernel found, fill by fill.
        around: how its neighbourhood does; empty where it has none.
    """

    rank: int
    point: Point
    texts: dict[str, str]
    figures: Floats
    together: Floats
    replayed: tuple[Result, ...]
    agrees: tuple[bool, ...]
    around: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A walk-forward: of each fold its times and what was chosen; of each scenario the curve put together."""

    folds: tuple[dict[str, Any], ...]
    curves: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found.

    Attributes:
        trials / good: played; of these, how many have every objective and keep every bound.
        elapsed_us: of the playing.
        best: the best few.
        deflated: probability that the best has skill, after so many tries; overfitted: that what is best in one half of time is below the
            middle in the other. None = too little to tell.
        compared: trials that these two look at.
        forward: the walk-forward, where one was asked for.
        results_file: where everything is.
    """

    scenarios: tuple[str, ...]
    goal: Goal
    trials: int
    good: int
    elapsed_us: int
    best: tuple[Chosen, ...]
    deflated: Any
    overfitted: Any
    compared: int
    forward: Forwarded | None
    results_file: str


class _Sweep:
    """A sweep under way."""

    def __init__(self, settings: SweepSettings, face: Face, progress: Progress) -> None:
        self.settings = settings
        self.face = face
        self.progress = progress
        self.goal = goal_of(settings)
        self.space = space_of(settings)
        self.stages = stages_of(settings)
        self.scenarios = [stage.scenario for stage in self.stages]
        self.build: Build = builder(settings, self.space)
        self.curved = needs_curve(self.goal.names)
        if settings.sampler == GRID and self.space.size > settings.trials:
            raise BadSetting("sweep.grid-too-large", points=self.space.size, trials=settings.trials)
        self.wanted = min(settings.trials, self.space.size) if settings.sampler == GRID else settings.trials
        if all(self.build(s, self.space.at(k)) is None for s in self.scenarios for k in _spread(self.space.size, 50)):
            raise why_not(settings, self.space, self.stages[0], self.space.at(0)) or BadSetting("sweep.nothing-varies", example="-")

    def sampler(self, begin: int = 0, shift: int = 0) -> Sampler:
        """A fresh sampler that knows `begin` trials were made. Raises BadSetting without its extra."""
        s = self.settings
        try:
            return make_sampler(s.sampler, self.space, s.base.seed + shift, len(self.goal.objectives), begin)
        except ImportError as error:
            raise BadSetting("sweep.no-extra", what=s.sampler, extra="analysis", module=error.name) from error

    def play_with(self, evaluator: Evaluator, scenarios: Sequence[Scenario]) -> Callable[[Sequence[Point]], Floats]:
        """Who plays points over these scenarios."""

        def played(points: Sequence[Point]) -> Floats:
            return all_figures(evaluator, scenarios, lambda s, k: self.build(s, points[k]), len(points), curved=self.curved)

        return played

    def is_refused(self, point: Point) -> bool:
        """Whether the strategy refuses these values in a scenario, so that they were not played."""
        return any(self.build(s, point) is None for s in self.scenarios)

    @property
    def batch(self) -> int:
        """Points asked for at once."""
        return self.settings.batch or (BATCH_LEARNING if self.settings.sampler in LEARNING else BATCH)


def run_sweep(settings: SweepSettings, face: Face, progress: Progress = lambda _done, _wanted, _us: None) -> Swept:
    """Try, keep, judge and show.

    Raises:
        BadSetting: before anything is played: data, values or figures that cannot be, too little memory, a study of other code or data.
    """
    sweep = _Sweep(settings, face, progress)
    check_memory(sweep)
    store = StudyStore(settings.out, sweep.space)
    trials = _begun(sweep, store)
    evaluator = evaluator_of(settings, face)
    try:
        begun_ns = time.monotonic_ns()
        _search(sweep, store, trials, evaluator)
        elapsed_us = (time.monotonic_ns() - begun_ns) // 1_000
        path = store.finish(trials, sweep.goal)
        tell_refused(sweep, trials)
        order = trials.ranked(sweep.goal)
        forward = None if settings.forward == NO_FORWARD else walk_forward(sweep, evaluator)
        playable = list(islice((k for k in order if not sweep.is_refused(trials.points[k])), settings.best))
        face.say("sweep.judging", best=len(playable), compared=min(len(order), COMPARED_MAX))
        play_points = sweep.play_with(evaluator, sweep.scenarios)
        best = tuple(_chosen(sweep, trials, k, rank, play_points) for rank, k in enumerate(playable, 1))
    finally:
        evaluator.close()
    deflated, overfitted, count = luck(sweep, trials, order)
    names = tuple(s.name for s in sweep.scenarios)
    good = trials.good(sweep.goal)
    return Swept(names, sweep.goal, len(trials), good, elapsed_us, best, deflated, overfitted, count, forward, str(path))


def evaluator_of(settings: SweepSettings, face: Face) -> Evaluator:
    """Who plays: this process, or a cluster. Raises BadSetting where it cannot be reached."""
    if settings.cluster is None:
        return Local(settings.base.pair.strategy)
    from lemon_trader.optimize.cluster import Cluster  # noqa: PLC0415  an extra

    try:
        check_reachable(settings.cluster)
        cluster = Cluster(settings.base.pair.strategy, settings.cluster)
    except ImportError as error:
        raise BadSetting("sweep.no-extra", what="--cluster", extra="cluster", module=error.name) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise BadSetting("sweep.no-cluster", address=settings.cluster, reason=str(error)[:200]) from error
    face.say("sweep.cluster", nodes=cluster.nodes, cores=cluster.cores)
    return cluster


def check_reachable(address: str) -> None:
    """Knock at HOST:PORT once: Ray itself would wait for minutes. Raises OSError, ValueError."""
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    if address != AUTO:
        socket.create_connection((parts.hostname or "", parts.port or 0), KNOCK_S).close()


def check_memory(sweep: _Sweep) -> None:
    """Refuse what would not fit. Raises BadSetting."""
    tables = [s.table for s in sweep.scenarios]
    steps = sum(_steps(s) for s in sweep.scenarios)
    needed = memory.needed(tables, sweep.wanted, curved=sweep.curved, compared=min(sweep.wanted, COMPARED_MAX), steps=steps)
    given = sweep.settings.memory_mib
    free = given * MIB if given is not None else memory.available()
    if free and needed > free:
        raise BadSetting("sweep.memory", needed=-(-needed // MIB), free=free // MIB)


def _begun(sweep: _Sweep, store: StudyStore) -> Trials:
    """The study's folder begun anew, or what is there already. Raises BadSetting."""
    settings = sweep.settings
    prints = {
        CODE: code_fingerprint(),
        DATA: data_fingerprint([(s.name, s.table) for s in sweep.scenarios]),
        SPACE: asked_fingerprint(settings.declaration),
    }
    head = Head(SCHEMA, dict(settings.declaration), prints, tuple(s.name for s in sweep.scenarios))
    try:
        before = store.head()
        if before is None:
            store.begin(head)
            return Trials(len(sweep.scenarios))
        if not settings.is_resumed:
            raise BadSetting("sweep.exists", folder=settings.out)
        for what, now in prints.items():
            if before.fingerprints.get(what) != now:
                raise BadSetting(OTHERS[what], folder=settings.out, before=before.fingerprints.get(what), now=now)
        trials = store.trials(len(sweep.scenarios))
    except StudyError as error:
        raise BadSetting("sweep.unreadable", reason=error) from error
    except OSError as error:
        raise BadSetting("place.unwritable", place=settings.out, reason=error.strerror or type(error).__name__) from error
    sweep.face.say("sweep.goes-on", trials=len(trials), folder=settings.out)
    return trials


def _search(sweep: _Sweep, store: StudyStore, trials: Trials, evaluator: Evaluator) -> None:
    """Play until there are enough trials, keeping them now and then."""
    sampler = sweep.sampler(len(trials))
    if len(trials):
        whole = reduced(trials.figures, sweep.goal.reducer)
        sampler.tell(trials.points, sweep.goal.scores(whole), sweep.goal.excess(whole))
    begun_ns, before = time.monotonic_ns(), len(trials)
    waiting: list[tuple[Sequence[Point], Floats]] = []

    def flush() -> None:
        if waiting:
            points = [point for part, _ in waiting for point in part]
            store.keep(len(trials) - len(points), points, np.concatenate([figures for _, figures in waiting], axis=1))
            waiting.clear()

    def keep(points: Sequence[Point], figures: Floats) -> None:
        waiting.append((points, figures))
        if sum(len(part) for part, _ in waiting) >= KEPT_TOGETHER:
            flush()
        sweep.progress(len(trials) - before, sweep.wanted - before, (time.monotonic_ns() - begun_ns) // 1_000)

    try:
        search(sampler, sweep.goal, trials, sweep.play_with(evaluator, sweep.scenarios), wanted=sweep.wanted, batch=sweep.batch, keep=keep)
    finally:
        flush()


def _chosen(sweep: _Sweep, trials: Trials, k: int, rank: int, play_points: Callable[[Sequence[Point]], Floats]) -> Chosen:
    """One of the best, played again by the engine that trades."""
    point = trials.points[k]
    figures = trials.figures[:, k]
    together = reduced(figures[:, None], sweep.goal.reducer)[0]
    replayed, agrees = [], []
    for stage in sweep.stages:
        params = sweep.build(stage.scenario, point)
        if params is None:
            continue
        quick = play(sweep.settings.base.pair.strategy, stage.scenario, params)
        slow = replayed_of(stage, values_at(sweep.settings, sweep.space, point))
        replayed.append(slow)
        agrees.append(compared(quick, slow).key == "backtest.note.agree")
    around = robustness(sweep.space, point, together, sweep.goal, play_points)
    return Chosen(rank, point, sweep.space.texts(point), figures, together, tuple(replayed), tuple(agrees), around)


def tell_refused(sweep: _Sweep, trials: Trials) -> None:
    """Say how many sets a strategy refused, and why the first of them."""
    refused = [p for p in trials.points if sweep.is_refused(p)]
    if refused:
        whys = (why_not(sweep.settings, sweep.space, stage, refused[0]) for stage in sweep.stages)
        why = next(w for w in whys if w is not None)
        sweep.face.say("sweep.refused", count=len(refused), reason=(why.key, why.values))


def replayed_of(stage: Stage, values: Any) -> Result:
    """One set in one scenario through the engine that trades. Raises BadSetting."""
    settings = stage.with_values(values)
    try:
        result = replay_bars(settings, stage.data, settings.fill_model, stage.fees)
    except StartRefused as refused:
        raise BadSetting(refused.key, **refused.values) from refused
    check(result)
    return result


def luck(sweep: _Sweep, trials: Trials, order: Sequence[int]) -> tuple[Any, Any, int]:
    """(deflated Sharpe ratio of the best, probability of overfitting, trials looked at): of the best and an even spread of the others."""
    if not order:
        return None, None, 0
    others = [order[k] for k in _spread(len(order), COMPARED_MAX)]
    numbers = list(dict.fromkeys([order[0], *others]))
    strategy = sweep.settings.base.pair.strategy
    usable = [
        k for k in numbers if all(self_built is not None for self_built in (sweep.build(s, trials.points[k]) for s in sweep.scenarios))
    ]
    if not usable:
        return None, None, 0
    parts = []
    for s in sweep.scenarios:
        many = [sweep.build(s, trials.points[k]) for k in usable]
        parts.append(returns_matrix(strategy, s, many, step_for(s.end_us - s.start_us)))
    if len({part.shape[1] for part in parts}) != 1 or not parts[0].shape[1]:
        return None, None, 0
    returns = np.concatenate(parts)
    sharpes = np.array([sharpe_of(column) for column in returns.T])
    best = returns[:, 0] if usable[0] == order[0] else returns[:, int(sharpes.argmax())]
    return deflated_sharpe(best, sharpes), overfitting(returns), returns.shape[1]


def walk_forward(sweep: _Sweep, evaluator: Evaluator) -> Forwarded:
    """Choose on one stretch, trade the next; every scenario is cut into as many stretches. Raises BadSetting for too short a period."""
    settings, strategy = sweep.settings, sweep.settings.base.pair.strategy
    cuts = [
        folds(s.start_us, s.end_us, settings.folds, settings.train_parts, settings.forward, s.table.every_us) for s in sweep.scenarios
    ]  # fmt: skip
    if any(fold.test_us - fold.train_us < 2 * s.table.every_us for s, found in zip(sweep.scenarios, cuts, strict=True) for fold in found):
        raise BadSetting("sweep.folds", folds=settings.folds, name=sweep.scenarios[0].name)
    told, results = [], [[] for _ in sweep.scenarios]  # type: tuple[list[dict[str, Any]], list[list[Result]]]
    for number in range(settings.folds):
        sweep.face.say("sweep.fold", fold=number + 1, folds=settings.folds)
        training = [s.part(cut[number].train_us, cut[number].test_us) for s, cut in zip(sweep.scenarios, cuts, strict=True)]
        testing = [s.part(cut[number].test_us, cut[number].end_us) for s, cut in zip(sweep.scenarios, cuts, strict=True)]
        for s in (*training, *testing):
            if not (s.table.lots > 0).any():
                raise BadSetting("sweep.folds", folds=settings.folds, name=s.name)
        trials = Trials(len(training))
        search(
            sweep.sampler(shift=number), sweep.goal, trials, sweep.play_with(evaluator, training), wanted=sweep.wanted, batch=sweep.batch
        )
        order = trials.ranked(sweep.goal)
        point = next((trials.points[k] for k in order if all(sweep.build(s, trials.points[k]) is not None for s in testing)), None)
        if point is None:
            raise BadSetting("sweep.folds", folds=settings.folds, name=sweep.scenarios[0].name)
        inside = reduced(trials.figures[:, [trials.points.index(point)]], sweep.goal.reducer)
        outside = reduced(sweep.play_with(evaluator, testing)([point]), sweep.goal.reducer)
        for kept, s in zip(results, testing, strict=True):
            kept.append(play(strategy, s, sweep.build(s, point)))
        cut = cuts[0][number]
        told.append(
            {
                "train_us": cut.train_us, "test_us": cut.test_us, "end_us": cut.end_us, "chosen": sweep.space.texts(point),
                "inside": _by_name(sweep.goal, inside[0]), "outside": _by_name(sweep.goal, outside[0]),
            }
        )  # fmt: skip
    curves = []
    for s, kept in zip(sweep.scenarios, results, strict=True):
        curve = judged(kept)
        curves.append(
            {
                "scenario": s.name, "gain_pct": 100 * curve.gain, "drawdown_worst_pct": 100 * curve.drawdown_worst,
                "sharpe": curve.sharpe, "start_us": kept[0].start_us, "end_us": kept[-1].end_us,
                "fills": sum(len(r.fills) for r in kept),
            }
        )  # fmt: skip
    return Forwarded(tuple(told), tuple(curves))


def _by_name(goal: Goal, figures: Floats) -> dict[str, Any]:
    return {name: figures[FIGURES.index(name)].item() for name in dict.fromkeys(("gain_pct", *goal.names))}


def _steps(scenario: Scenario) -> int:
    lasted = scenario.end_us - scenario.start_us
    return max(1, lasted // step_for(lasted))


def _spread(size: int, count: int) -> list[int]:
    """At most so many numbers of 0 ... size - 1, evenly spread."""
    return list(dict.fromkeys(k * size // min(count, size) for k in range(min(count, size))))
