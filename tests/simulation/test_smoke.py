"""A few seeds inside the ordinary tests, so that a broken harness or a broken promise is seen without the long run."""

import asyncio

import pytest
from tests.simulation.life import Life
from tests.simulation.plan import FAULTS, draw
from tests.virtual_time import VirtualLoop

from lemon_trader.core.units import US_PER_S


def live(seed: int, *, only: list[str] | None = None, scheme: str | None = None):
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    drawn = draw(seed, only=only, active_us=60 * US_PER_S, quiet_us=80 * US_PER_S)
    drawn.scheme = scheme or drawn.scheme
    life = Life(seed, drawn, loop)
    loop.set_exception_handler(lambda _, context: life.out.violations.append(repr(context)))
    try:
        return loop.run_until_complete(life.run())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()


@pytest.mark.parametrize(
    ("seed", "says"), [(0, "market maker, spot"), (1, "martingale, spot"), (2, "market maker, perpetual"), (3, "martingale, perpetual")]
)
def test_each_strategy_on_each_kind_of_market_survives_lost_replies_and_a_kill(seed, says):
    out = live(seed, only=["F02", "F52"])
    assert out.violations == [], says
    assert out.commands > 0
    assert out.lives > 1


@pytest.mark.parametrize("scheme", ["ed25519", "hmac-sha256"])
def test_both_ways_of_signing_trade_from_end_to_end(scheme):
    out = live(2, only=[], scheme=scheme)
    assert out.violations == []
    assert out.commands > 0


def test_two_runs_of_one_seed_are_equal_to_the_byte():
    assert live(6, only=["F50b", "F05"]).trace == live(6, only=["F50b", "F05"]).trace


def test_every_fault_of_the_plan_can_be_drawn():
    drawn = {name for seed in range(400) for name in draw(seed).faults}
    assert drawn == set(FAULTS)
