"""The loop of a sweep, its ranking, its memory of points, its folder, without a market: a play is a function of the point."""

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from lemon_trader.market.tables import BarTable
from lemon_trader.optimize.figures import FIGURES, MEAN, WORST, Objective, bounded, ranking, reduced
from lemon_trader.optimize.samplers import GRID, RANDOM, make_sampler
from lemon_trader.optimize.space import Dimension, Space
from lemon_trader.optimize.store import Head, StudyError, StudyStore, asked_fingerprint, code_fingerprint, data_fingerprint
from lemon_trader.optimize.study import Goal, Trials, robustness, search

SPACE = Space((Dimension("x", tuple(map(str, range(8)))), Dimension("y", ("0", "1", "2"))))
GAIN, FILLS, DRAWDOWN = (FIGURES.index(name) for name in ("gain_pct", "fills", "drawdown_worst_pct"))
GOAL = Goal((Objective("gain_pct", True),))


def hill(points):
    """Two scenarios; a hill at (5, 1) in the first, at (3, 1) in the second; (7, 2) cannot be built."""
    found = np.full((2, len(points), len(FIGURES)), np.nan)
    for k, (x, y) in enumerate(points):
        if (x, y) != (7, 2):
            found[:, k, GAIN] = 10 - abs(x - 5) - 2 * abs(y - 1), 10 - abs(x - 3) - 2 * abs(y - 1)
            found[:, k, FILLS] = 10 * x
            found[:, k, DRAWDOWN] = x
    return found


def searched(goal=GOAL, sampler=GRID, wanted=24, **options):
    trials = Trials(2)
    search(make_sampler(sampler, SPACE, 3, len(goal.objectives)), goal, trials, hill, wanted=wanted, batch=7, **options)
    return trials


def best_of(trials, goal):
    return trials.points[trials.ranked(goal)[0]]


@pytest.mark.parametrize(
    ("why", "goal", "best"),
    [
        ("the worst of two scenarios is best between their hills", GOAL, (4, 1)),
        (
            "a bound moves the best to what keeps it",
            msgspec.structs.replace(GOAL, constraints=(bounded("fills", "50", is_least=True),)),
            (5, 1),
        ),
        ("an upper bound does too", msgspec.structs.replace(GOAL, constraints=(bounded("fills", "20", is_least=False),)), (2, 1)),
        ("as low as possible", Goal((Objective("drawdown_worst_pct", False), Objective("gain_pct", True))), (0, 1)),
    ],
)
def test_the_best_is_what_was_asked_for(why, goal, best):
    assert best_of(searched(goal), goal) == best


def test_several_objectives_put_what_nothing_beats_first():
    goal = Goal((Objective("gain_pct", True), Objective("drawdown_worst_pct", False)))
    trials = searched(goal)
    order = [trials.points[k] for k in trials.ranked(goal)]
    assert order[:5] == [(4, 1), (3, 1), (2, 1), (1, 1), (0, 1)], "the front from the best gain to the least drawdown"


def test_ranking_without_bounds_with_bounds_and_with_missing_figures():
    scores = np.array([[1.0], [3.0], [2.0], [-np.inf]])
    assert ranking(scores, np.zeros((4, 0))) == [1, 2, 0, 3]
    assert ranking(scores, np.array([[0.0], [5.0], [-1.0], [0.0]])) == [2, 0, 3, 1], "what breaks a bound comes last, by how much"


def test_reduced_figures_are_of_each_figure_the_worst_or_the_mean():
    figures = hill([(5, 1), (7, 2)])
    assert reduced(figures, WORST)[0, GAIN] == 8
    assert reduced(figures, MEAN)[0, GAIN] == 9
    figures[1, 0, DRAWDOWN] = 20
    assert reduced(figures, WORST)[0, DRAWDOWN] == 20, "of a drawdown the larger one is the worse"
    assert np.isnan(reduced(figures, MEAN)[1, GAIN])


def test_a_point_that_comes_again_is_not_played_again():
    played = []

    def play(points):
        played.extend(points)
        return hill(points)

    trials = Trials(2)
    search(make_sampler(RANDOM, SPACE, 3, 1), GOAL, trials, play, wanted=200, batch=16)
    assert len(trials) == 200
    assert len(played) == len(set(played)) <= SPACE.size
    assert len(trials.ranked(GOAL)) == len(set(played)), "each point has one place"


def test_it_stops_when_it_is_told_and_when_the_grid_is_through():
    assert len(searched(wanted=1_000)) == SPACE.size
    rounds = iter([True, True, False])
    assert len(searched(go_on=lambda: next(rounds))) == 14


def test_a_neighbourhood_tells_a_ridge_from_a_needle():
    own = reduced(hill([(4, 1)]), WORST)[0]
    around = robustness(SPACE, (4, 1), own, GOAL, hill)
    assert around == {"own": 9.0, "mean": (8 + 8 + 7 + 7) / 4, "worst": 7.0, "kept_pct": 100.0}
    edge = robustness(SPACE, (7, 1), reduced(hill([(7, 1)]), WORST)[0], GOAL, hill)
    assert np.isnan(edge["worst"]), "a neighbour that cannot be built has no figure"
    assert edge["kept_pct"] == pytest.approx(200 / 3)


def table(close=100):
    at_us = np.arange(5) * 60_000_000
    same = np.full(5, close)
    return BarTable("SOL_USDC", 60_000_000, at_us, same, same, same, same, same)


def test_fingerprints_see_one_price_one_name_and_one_setting():
    base = data_fingerprint([("a", table())])
    assert base == data_fingerprint([("a", table())])
    assert (
        len({base, data_fingerprint([("b", table())]), data_fingerprint([("a", table(101))]), data_fingerprint([("a", table())] * 2)}) == 4
    )
    assert asked_fingerprint({"a": 1, "b": 2}) == asked_fingerprint({"b": 2, "a": 1}) != asked_fingerprint({"a": 1, "b": 3})


def test_the_fingerprint_of_code_sees_one_changed_line_of_one_file(tmp_path):
    for room in ("formulas", "core", "strategies", "backtest", "optimize", "panel"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "a.py").write_text("x = 1\n")
    before = code_fingerprint(tmp_path)
    (tmp_path / "panel" / "a.py").write_text("x = 2\n")
    assert code_fingerprint(tmp_path) == before, "a screen decides no figure"
    (tmp_path / "core" / "a.py").write_text("x = 2\n")
    assert code_fingerprint(tmp_path) != before


def store_at(tmp_path):
    return StudyStore(tmp_path / "study", SPACE)


def test_a_study_that_was_cut_off_goes_on_and_ends_as_if_it_had_not_been(tmp_path):
    goal = GOAL
    whole = searched(goal, RANDOM, 40)
    store = store_at(tmp_path)
    store.begin(Head(1, {"a": 1}, {"code": "c"}, ("one", "two")))
    trials = Trials(2)
    rounds = iter([True] * 3 + [False])
    search(
        make_sampler(RANDOM, SPACE, 3, 1), goal, trials, hill, wanted=40, batch=7,
        keep=lambda points, figures: store.keep(len(trials) - len(points), points, figures), go_on=lambda: next(rounds),
    )  # fmt: skip
    again = store_at(tmp_path)
    assert again.head().fingerprints == {"code": "c"}
    rest = again.trials(2)
    assert len(rest) == 21
    search(
        make_sampler(RANDOM, SPACE, 3, 1, begin=21), goal, rest, hill, wanted=40, batch=7,
        keep=lambda points, figures: again.keep(len(rest) - len(points), points, figures),
    )  # fmt: skip
    path = again.finish(rest, goal)
    assert rest.points == whole.points
    assert np.array_equal(rest.figures, whole.figures, equal_nan=True)
    assert sorted(p.name for p in path.parent.iterdir()) == ["study.json", "trials.parquet"]
    reread = store_at(tmp_path).trials(2)
    assert reread.points == whole.points
    assert np.array_equal(reread.figures, whole.figures, equal_nan=True)


def test_the_results_file_is_a_table_that_anybody_can_read(tmp_path):
    store, trials = store_at(tmp_path), searched()
    store.begin(Head(1, {}, {}, ("one", "two")))
    rows = pq.read_table(store.finish(trials, GOAL)).to_pylist()
    first = next(row for row in rows if row["rank"] == 1)
    assert (first["value.x"], first["value.y"], first["all.gain_pct"], first["0.gain_pct"]) == ("4", "1", 9.0, 9.0)


def test_a_folder_of_something_else_or_a_broken_part_is_named(tmp_path):
    store = store_at(tmp_path)
    assert store.head() is None
    store.begin(Head(1, {}, {}, ()))
    (store.folder / "part-000001.parquet").write_bytes(b"rotten")
    with pytest.raises(StudyError, match=r"part-000001\.parquet cannot be read"):
        store.trials(2)
    store.begin(Head(2, {}, {}, ()))
    with pytest.raises(StudyError, match="of version 2"):
        store.head()
    (store.folder / "study.json").write_text("{}")
    with pytest.raises(StudyError, match="not the head of a study"):
        store.head()
