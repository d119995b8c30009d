"""Paper under faults: whatever happens to the program, its network and its disk, nothing told is lost and the books are the account's."""

import asyncio

import pytest
from tests.simulation.paper_life import ACTS, PaperLife
from tests.virtual_time import VirtualLoop


def live(seed, **more):
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    life = PaperLife(seed, loop, **more)
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
def test_each_strategy_on_each_kind_of_market_survives_every_kind_of_fault(seed, says):
    out = live(seed)
    assert out.violations == [], f"seed {seed}: {says}"
    assert out.fills > 0, says


@pytest.mark.parametrize("act", ACTS)
def test_each_fault_alone(act):
    out = live(2 * ACTS.index(act), only=(act,), active_us=45_000_000)
    assert out.violations == [], act
    assert out.fills > 0
    assert out.deaths == (6 if act in ("kill", "power", "restart") else 0)
    assert bool(out.refused_writes) == (act == "disk")
