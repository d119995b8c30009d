"""Draws are the same everywhere and spread as they say."""

import pytest

from lemon_trader.market.chance import MILLION, Chance


def test_the_generator_is_the_published_one():
    chance = Chance("any")
    chance._state = 1234567
    assert [chance.bits() for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_names_fix_the_draws_on_every_machine():
    assert Chance("flow", 7, "SOL_USDC").bits() == 1082738600563262638
    assert Chance("flow", 7, "SOL_USDC").bits() != Chance("flow", 8, "SOL_USDC").bits()
    assert Chance("a", 1).bits() != Chance("a", "1").bits()


@pytest.mark.parametrize("bound", [1, 2, 7, 1000])
def test_below_gives_every_number_below_and_no_other(bound):
    chance = Chance("below", bound)
    assert {chance.below(bound) for _ in range(30 * bound)} == set(range(bound)) or bound == 1000
    assert all(0 <= chance.below(bound) < bound for _ in range(1000))


@pytest.mark.parametrize("ppm", [0, 250_000, MILLION])
def test_what_happens_with_a_probability_happens_that_often(ppm):
    chance = Chance("happens", ppm)
    count = sum(chance.happens(ppm) for _ in range(10_000))
    assert abs(count - ppm // 100) <= 150 * (0 < ppm < MILLION)


def test_the_bell_has_mean_0_and_its_stated_deviation():
    chance = Chance("bell")
    draws = [chance.bell() for _ in range(20_000)]
    mean = sum(draws) / len(draws)
    deviation = (sum((d - mean) ** 2 for d in draws) / len(draws)) ** 0.5
    assert abs(mean) < 0.03 * MILLION
    assert 0.98 * MILLION < deviation < 1.02 * MILLION
    assert max(map(abs, draws)) < 3.5 * MILLION
