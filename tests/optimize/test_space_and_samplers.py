"""What may be tried, and who says what is tried next."""

from itertools import pairwise

import numpy as np
import pytest

from lemon_trader.optimize.samplers import CMA_ES, GRID, LEARNING, NSGA2, NSGA3, RANDOM, SOBOL, TPE, make_sampler
from lemon_trader.optimize.space import Dimension, Space

SPACE = Space(
    (
        Dimension("take_profit_pct", tuple(str(n) for n in range(10))),
        Dimension("layers", ("4", "6", "8")),
        Dimension("entry", ("market", "offset"), is_ordered=False),
    )
)
NUMBERS = Space(SPACE.dimensions[:2])
NO_BOUNDS = np.zeros((0, 0))


def test_every_point_has_one_number_and_every_number_one_point():
    points = [SPACE.at(k) for k in range(SPACE.size)]
    assert SPACE.size == 60
    assert len(set(points)) == 60
    assert points == sorted(points), "the last dimension changes fastest"
    assert SPACE.texts(points[-1]) == {"take_profit_pct": "9", "layers": "8", "entry": "offset"}


def test_neighbours_differ_in_one_parameter_and_stay_inside():
    assert set(SPACE.neighbours((0, 1, 0))) == {(1, 1, 0), (0, 0, 0), (0, 2, 0), (0, 1, 1)}
    assert len(SPACE.neighbours((5, 1, 0), reach=2)) == 4 + 2 + 1
    assert len(SPACE.around((5, 1, 0))) == 9
    assert (5, 1, 0) in SPACE.around((5, 1, 0))


def test_units_fall_into_levels_evenly_and_never_outside():
    assert SPACE.of_units((0.0, 0.0, 0.0)) == (0, 0, 0)
    assert SPACE.of_units((0.999999, 0.34, 0.5)) == (9, 1, 1)
    assert SPACE.of_units((1.0, 1.0, 1.0)) == (9, 2, 1)


def test_a_grid_gives_every_point_once():
    sampler = make_sampler(GRID, SPACE, 1, 1)
    batches = [sampler.ask(25) for _ in range(4)]
    assert [len(b) for b in batches] == [25, 25, 10, 0]
    assert [point for batch in batches for point in batch] == [SPACE.at(k) for k in range(60)]


@pytest.mark.parametrize("kind", [GRID, RANDOM, SOBOL])
def test_point_number_k_is_the_same_however_the_study_was_cut(kind):
    if kind == SOBOL:
        pytest.importorskip("scipy")
    whole = make_sampler(kind, SPACE, 5, 1).ask(32)
    first = make_sampler(kind, SPACE, 5, 1).ask(16)
    rest = make_sampler(kind, SPACE, 5, 1, begin=16).ask(16)
    assert first + rest == whole


def test_another_seed_draws_other_points():
    pytest.importorskip("scipy")
    for kind in (RANDOM, SOBOL):
        assert make_sampler(kind, SPACE, 1, 1).ask(32) != make_sampler(kind, SPACE, 2, 1).ask(32)


def test_sobol_fills_the_space_more_evenly_than_draws():
    pytest.importorskip("scipy")
    line = Space((Dimension("x", tuple(map(str, range(64)))),))
    assert sorted(make_sampler(SOBOL, line, 3, 1).ask(64)) == [(k,) for k in range(64)]
    assert len(set(make_sampler(RANDOM, line, 3, 1).ask(64))) < 64


def climb(kind, space, objectives=1, batches=12):
    """Scores are highest at (7, 1); the best that was found, in batches of eight."""
    sampler = make_sampler(kind, space, 11, objectives)
    found = []
    for _ in range(batches):
        points = sampler.ask(8)
        scores = np.array([[-abs(p[0] - 7) - abs(p[1] - 1), -float(p[0])][:objectives] for p in points])
        sampler.tell(points, scores, np.zeros((len(points), 0)))
        found += list(zip(scores[:, 0].tolist(), points, strict=True))
    return max(found), found


@pytest.mark.parametrize("kind", sorted(LEARNING))
def test_an_algorithm_that_learns_is_asked_in_batches_and_finds_the_top(kind):
    pytest.importorskip("optuna")
    pytest.importorskip("cmaes" if kind == CMA_ES else "optuna")
    space = NUMBERS if kind == CMA_ES else SPACE
    (score, point), _ = climb(kind, space, objectives=2 if kind in {NSGA2, NSGA3} else 1)
    assert score >= -1, f"{point} is the top or beside it"


def test_what_was_tried_before_is_learnt_from():
    pytest.importorskip("optuna")
    _, found = climb(TPE, SPACE, batches=6)
    sampler = make_sampler(TPE, SPACE, 4, 1, begin=len(found))
    sampler.tell([p for _, p in found], np.array([[s] for s, _ in found]), np.zeros((len(found), 0)))
    later = sampler.ask(16)
    assert np.mean([abs(p[0] - 7) for p in later]) < 2.5, "an even draw would be three levels away on average"


def test_broken_bounds_and_missing_figures_are_told_and_not_chosen():
    pytest.importorskip("optuna")
    for kind in (TPE, NSGA2):
        sampler = make_sampler(kind, SPACE, 2, 1)
        for _ in range(10):
            points = sampler.ask(8)
            scores = np.array([[float(p[0])] if p[1] else [-np.inf] for p in points])
            sampler.tell(points, scores, np.array([[p[0] - 4.0] for p in points]))
        later = sampler.ask(16)
        assert np.median([p[0] for p in later]) <= 6, f"{kind}: what lies beyond the bound is tried less"


def test_levels_are_text_in_their_order():
    assert all(a.levels for a in SPACE.dimensions)
    assert all(int(a) < int(b) for a, b in pairwise(SPACE.dimensions[1].levels))
