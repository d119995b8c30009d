"""Faults of the process that carries the program: lives that are too short, an ordered end, a slow disk (fault matrix F)."""

import asyncio
from functools import partial

import pytest
from tests.simulation.directed import MAKER, MARTINGALE, PERP, SPOT, WORLDS, S, Stage, has_trigger, play
from tests.simulation.watch import STORE

from lemon_trader.core.units import BUY, HALTED, PROVEN_ABSENT, UNKNOWN
from lemon_trader.database.journal import Journal
from lemon_trader.database.packing import Packer
from lemon_trader.engine.watchdog import KILL_FILE, LATCH_FILE
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


def opening(s: Stage) -> list:
    """What rests at the exchange under our ids and can open something."""
    return [o for o in s.live if not o.is_trigger and not o.reduce_only and (o.side == BUY or s.symbol == PERP)]


@pytest.mark.parametrize("file", [KILL_FILE, LATCH_FILE])
@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F76_what_lies_in_the_folder_halts_a_running_engine_and_its_next_life(file, strategy, symbol):
    async def script(s: Stage):
        await s.begin()
        await (s.holding() if strategy == MARTINGALE else s.quoting())
        s.life.watch.authority.laid[file] += 1
        s.life.watch.quits.kill(s.life.loop.now_us)
        s.life.disks[STORE].store().replace(file, b"")
        await s.until(lambda: opening(s) == [], "what opens is cancelled", 3)
        assert s.session.state.mode == HALTED
        assert file not in s.life.disks[STORE].files, "taken, once it is journalled"
        if (strategy, symbol) == (MARTINGALE, PERP):
            assert has_trigger(s)
        await s.again()
        assert s.session.state.mode == HALTED

    play(script, strategy, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, PERP), (MARTINGALE, SPOT)])
def test_F64_closed_parts_of_the_journal_are_packed_while_it_trades_and_the_next_life_reads_them(strategy, symbol, monkeypatch):
    monkeypatch.setattr("lemon_trader.run.session.Journal", partial(Journal, segment_bytes=4_000))
    monkeypatch.setattr("lemon_trader.run.session.Packer", lambda store, days: Packer(store, days=days - 7))
    monkeypatch.setattr("lemon_trader.database.packing.LOOK_US", S)

    async def script(s: Stage):
        files = lambda: sorted(name for name in s.life.disks[STORE].files if name.startswith("journal-"))  # noqa: E731  asked again and again
        await s.begin()
        await s.quoting()
        for _ in range(3):
            await s.wait(30)
            s.session.engine.checkpoint(s.now_us)
        await s.until(lambda: len(files()) > 1 and all(n.endswith(".gz") for n in files()[:-1]), "all but the one that is written", 60)
        s.life.records.clear()  # lost: the next start builds them anew out of all of it
        await s.again()
        await s.quoting()

    play(script, strategy, symbol)
