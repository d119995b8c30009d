"""Luck among many trials: the published examples, and the ends between which every answer lies."""

from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest

from lemon_trader.optimize.overfit import deflated_sharpe, expected_best, overfitting, probable_sharpe, sharpe_of


@pytest.mark.parametrize(
    ("trials", "best", "probability"),
    [
        # Bailey and López de Prado (2014), the numerical example: five years of days, a Sharpe ratio of 2.5 a year, variance of trials 1/2.
        (100, 0.1132, 0.9004),
        (46, None, 0.9505),
    ],
)
def test_the_published_example_of_the_deflated_ratio(trials, best, probability):
    found = expected_best(trials, 0.5 / 250)
    if best is not None:
        assert found == pytest.approx(best, abs=5e-5)
    assert probable_sharpe(2.5 / sqrt(250), 1250, -3, 10, found) == pytest.approx(probability, abs=5e-4)


def test_the_best_of_many_draws_is_what_the_formula_expects():
    draws = np.random.default_rng(7).normal(size=(4_000, 200))
    assert draws.max(axis=1).mean() == pytest.approx(expected_best(200, 1.0), abs=0.03)


def test_with_normal_returns_and_one_trial_it_is_the_usual_test_of_a_mean():
    assert probable_sharpe(0.1, 401, 0, 3) == pytest.approx(NormalDist().cdf(0.1 * 20 / sqrt(1 + 0.5 * 0.01)))
    assert expected_best(1, 5.0) == 0


def test_skill_stands_out_of_the_trials_and_luck_does_not():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(500, 50))
    sharpes = np.array([sharpe_of(noise[:, k]) for k in range(50)])
    lucky = noise[:, int(sharpes.argmax())]
    assert deflated_sharpe(lucky, sharpes) < 0.9
    assert deflated_sharpe(lucky + 0.3, sharpes) > 0.999


def test_too_few_figures_say_nothing():
    assert deflated_sharpe(np.array([0.1, 0.2]), np.array([0.1, 0.2])) is None
    assert deflated_sharpe(np.zeros(10), np.array([0.1, 0.2])) is None
    assert overfitting(np.zeros((100, 1))) is None
    assert overfitting(np.zeros((5, 10))) is None


def test_what_is_best_everywhere_is_not_overfitted():
    returns = np.random.default_rng(1).normal(size=(240, 20))
    returns[:, 4] += 3
    assert overfitting(returns) == 0


def test_what_is_good_only_while_the_others_are_bad_is_overfitted_entirely():
    # In each part of time another trial shines and pays for it in all other parts.
    returns = np.full((240, 12), 0.0) + np.random.default_rng(2).normal(scale=1e-6, size=(240, 12))
    for part in range(12):
        returns[part * 20 : part * 20 + 20, part] += 1.0
    assert overfitting(returns) == 1


def test_pure_noise_is_overfitted_about_half_of_the_time():
    found = [overfitting(np.random.default_rng(seed).normal(size=(240, 30))) for seed in range(40)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.07)


def test_a_sharpe_ratio_of_nothing_is_nothing():
    assert sharpe_of(np.full(5, 0.1)) == 0
    assert sharpe_of(np.array([0.0, 2.0])) == pytest.approx(1 / sqrt(2))
