"""Faults of the process that carries the program: lives that are too short, an ordered end, a slow disk (fault matrix F)."""

import asyncio

import pytest
from tests.simulation.directed import MAKER, PERP, SPOT, S, Stage, play

from lemon_trader.core.units import PROVEN_ABSENT, UNKNOWN
from lemon_trader.sandbox.faults import Kind


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F53_lives_that_never_come_to_decide_prove_an_unknown_order_absent_all_the_same(symbol):
    async def script(s: Stage):
        s.fault(Kind.LOSE_REQUEST)
        await s.begin()
        await s.until(lambda: s.happened and bool(s.ours(UNKNOWN)), "an order is unknown")
        lost = s.ours(UNKNOWN)[0].client_id
        s.life.die(power=False)
        s.life.faults.silence("", s.now_us + 120 * S)  # no start sees its market: each of them waits five seconds before it decides
        for _ in range(3):
            await s.wait(11)
            birth = asyncio.get_running_loop().create_task(s.life.be_born())
            await s.wait(3)
            assert s.life.session is None, "it has not begun to trade"
            birth.cancel()
            s.life.die(power=False)
        s.life.faults._silent.clear()
        await s.begin()
        assert s.order(lost).state == PROVEN_ABSENT

    play(script, MAKER, symbol)
