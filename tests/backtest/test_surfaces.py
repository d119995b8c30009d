"""Surfaces show, for each pair of parameters, the best trial of every place."""

from lemon_trader.backtest.charts import surface_chart
from lemon_trader.backtest.surfaces import STRETCHES, SURFACES_MAX, VALUES_MAX, surfaces

NAMES = ["layers", "step_pct", "entry"]
TRIALS = [("4", "0.5", "market"), ("4", "1", "limit"), ("10", "0.5", "market"), ("4", "0.5", "limit")]


def test_every_pair_has_a_surface_with_its_values_in_order():
    found = surfaces("Gain", NAMES, TRIALS, [1.0, -2.0, 3.0, 1.5], unit="%")
    assert [(s.x_name, s.y_name) for s in found] == [("layers", "step_pct"), ("layers", "entry"), ("step_pct", "entry")]
    first = found[0]
    assert (first.x, first.y) == (("4", "10"), ("0.5", "1")), "as numbers, not as words: 4 before 10"
    assert first.z == ((1.5, 3.0), (-2.0, None))
    assert first.title == "Gain: layers × step_pct"


def test_where_less_is_better_the_least_stands():
    assert surfaces("Drawdown", NAMES, TRIALS, [1.0, -2.0, 3.0, 1.5], lowest=True)[0].z[0][0] == 1.0


def test_a_trial_without_the_figure_leaves_its_place_empty():
    assert surfaces("Gain", NAMES, TRIALS, [None, float("nan"), 3.0, None])[0].z == ((None, 3.0), (None, None))


def test_many_values_become_a_few_stretches():
    trials = [(str(n), str(n / 7)) for n in range(200)]
    (found,) = surfaces("Gain", ["a", "b"], trials, [float(n) for n in range(200)])
    assert len(found.x) == len(found.y) == STRETCHES
    assert found.z[0][0] == 16.0, "the best of the lowest stretch"
    assert found.z[-1][-1] == 199.0
    assert "<svg" in surface_chart(found)


def test_many_words_share_the_last_place():
    trials = [(f"w{n:03}", "1") for n in range(60)]
    (found,) = surfaces("Gain", ["a", "b"], trials, [float(n) for n in range(60)])
    assert len(found.x) == VALUES_MAX
    assert found.z[0][-1] == 59.0


def test_many_parameters_make_no_endless_report():
    assert len(surfaces("Gain", list("abcdef"), [tuple("123456")], [1.0])) == SURFACES_MAX
    assert surfaces("Gain", ["a"], [("1",)], [1.0]) == []
