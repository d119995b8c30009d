"""The watchdog in virtual time: when it acts and when it lets go; and beside the whole program and its exchange, what it leaves there."""

import asyncio
import json

import pytest
from tests.fake_env import FakeEnv
from tests.fake_store import Disk, full
from tests.simulation.directed import MAKER, MARTINGALE, PERP, SPOT, Stage, play
from tests.simulation.exchange import REST, STREAM
from tests.virtual_time import VirtualLoop

from lemon_trader.config.settings import LOCK_FILE, SANDBOX, PairSettings, RunSettings
from lemon_trader.core.events import Latched, Told, UserCommand
from lemon_trader.core.units import EXIT, HALTED, US_PER_S
from lemon_trader.database.journal import read_events
from lemon_trader.engine.watchdog import KILL_FILE, LATCH_FILE, Watchdog, latches
from lemon_trader.run.parts import make_signer
from lemon_trader.run.watchdog import hands

HUNG_US = 10 * US_PER_S
OTHERS_MAY = ("I14",)  # that checker knows commands and limits as the only authorities, and here a file and the watchdog are two more


class Kennel:
    """A watchdog over a disk, with hands that are only counted."""

    def __init__(self, loop, *, done_after=1, lasts_us=US_PER_S):
        self.disk, self.told, self.acts, self.stopped = Disk(), [], 0, 0
        self.env = FakeEnv(loop, disks={"live": self.disk})
        self.store = self.env.store("live")
        self.done_after, self.lasts_us = done_after, lasts_us
        self.dog = Watchdog(self.env, self.store, self.hands, lambda key, *_, **_values: self.told.append(key), hung_us=HUNG_US)

    async def hands(self, go_on):
        self.acts += 1
        until = self.env.now_us() + self.lasts_us
        while self.env.now_us() < until:
            await self.env.sleep(50_000)
            if not go_on():
                self.stopped += 1
                return "stopped"
        return "" if self.acts >= self.done_after else "one order is left"

    async def beat_for(self, seconds):
        for _ in range(seconds):
            self.dog.beat()
            await asyncio.sleep(1)


def kept(work, **how):
    """Run `work(kennel)` beside its watchdog; the kennel."""
    loop = VirtualLoop()

    async def whole():
        kennel = Kennel(loop, **how)
        kennel.watching = asyncio.create_task(kennel.dog.run())
        await work(kennel)
        kennel.watching.cancel()
        return kennel

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()


def test_a_healthy_engine_is_left_alone_and_a_goodbye_ends_the_watch():
    async def work(k):
        await asyncio.sleep(60)  # a start may take its time
        await k.beat_for(3_600)
        k.dog.left()
        await asyncio.sleep(1)
        assert k.watching.done()

    k = kept(work)
    assert (k.acts, k.told, k.store.names()) == (0, [], [])


def test_silence_is_answered_once_within_its_bound_and_the_latch_says_why():
    async def work(k):
        await k.beat_for(5)
        await asyncio.sleep((HUNG_US - US_PER_S) / US_PER_S - 0.5)
        assert k.acts == 0
        await asyncio.sleep(1)
        assert k.acts == 1
        await asyncio.sleep(600)

    k = kept(work)
    assert k.acts == 1, "it does not act again on the same silence"
    assert k.told == ["alert.watchdog_hung", "alert.watchdog_done"]
    assert json.loads(k.store.read(LATCH_FILE))["reason"] == "hung"


def test_what_is_not_proven_is_tried_again_and_told_each_minute():
    async def work(k):
        k.dog.beat()
        await asyncio.sleep(400)

    k = kept(work, done_after=20, lasts_us=10 * US_PER_S)
    assert k.acts == 20
    assert k.told[0] == "alert.watchdog_hung"
    assert k.told[-1] == "alert.watchdog_done"
    assert 2 <= k.told.count("alert.watchdog_not_done") <= 5


def test_an_engine_that_takes_the_latch_ends_the_act_at_once():
    async def work(k):
        k.dog.beat()
        await asyncio.sleep(12)
        assert k.acts == 1
        k.store.remove(LATCH_FILE)
        await k.beat_for(100)
        assert k.stopped == 1
        assert k.acts == 1
        await asyncio.sleep(15)  # and hangs anew

    k = kept(work, lasts_us=100 * US_PER_S)
    assert k.acts == 2
    assert k.told.count("alert.watchdog_hung") == 2


def test_a_machine_that_slept_is_not_a_hung_engine():
    async def work(k):
        await k.beat_for(5)
        k.env.asleep_us += 3_600 * US_PER_S  # both processes stood still, and every clock went on
        await asyncio.sleep(1)
        await k.beat_for(5)

    assert kept(work).acts == 0


def test_death_is_answered_unless_another_engine_has_started():
    async def work(k):
        k.dog.lost()  # before the first beat, too
        await asyncio.sleep(5)
        assert k.watching.done()

    async def taken_over(k):
        k.disk.locks.add(LOCK_FILE)
        await work(k)

    k = kept(work)
    assert (k.acts, k.told) == (1, ["alert.watchdog_dead", "alert.watchdog_done"])
    assert LOCK_FILE not in k.disk.locks
    k = kept(taken_over)
    assert (k.acts, k.told, k.store.names()) == (0, [], [])


def test_a_hung_engine_that_is_then_killed_is_acted_on_to_the_end():
    async def work(k):
        k.dog.beat()
        await asyncio.sleep(15)
        k.dog.lost()
        await asyncio.sleep(30)
        assert k.watching.done()

    k = kept(work, lasts_us=8 * US_PER_S)
    assert k.stopped == 1
    assert k.told == ["alert.watchdog_hung", "alert.watchdog_done"], "the latch lay there already"
    assert k.acts == 2


@pytest.mark.parametrize("is_dead", [True, False])
def test_a_full_disk_takes_the_latch_and_not_the_cancels(is_dead):
    async def work(k):
        k.disk.fail = lambda act, _name: full() if act == "replace" else None
        k.dog.beat()
        if is_dead:
            k.dog.lost()
        await asyncio.sleep(60)

    k = kept(work)
    assert k.acts == 1
    assert k.told == [f"alert.watchdog_{'dead' if is_dead else 'hung'}", "alert.watchdog_no_latch", "alert.watchdog_done"]


def test_what_lies_in_the_store_halts_whatever_is_written_in_it():
    disk = Disk()
    store = disk.store()
    assert latches(store, 7) == []
    store.replace(KILL_FILE, b"")
    store.replace(LATCH_FILE, b"not json")
    (name, latch), (kill_name, kill) = latches(store, 7)
    assert (name, latch) == (LATCH_FILE, Latched(7, HALTED, "WATCHDOG", "-"))
    assert (kill_name, kill) == (KILL_FILE, UserCommand(7, "kill", "", "file"))
    store.replace(LATCH_FILE, b'{"reason": "hung", "silent_s": 12}')
    assert latches(store, 7)[0][1].detail == "hung 12 s"


# ---- beside the program and its exchange ----


async def watched_death(s: Stage, told: list[str]) -> None:
    """The engine is killed; a watchdog acts on the same exchange until it is done."""
    life = s.life
    life.die(power=False)
    env = FakeEnv(life.loop, seed=99, disks=life.disks)
    life.edge.serve(env)
    account = life.account
    signer = make_signer(account.api_key, account.secret, scheme=account.scheme)
    settings = RunSettings(SANDBOX, (PairSettings(life.drawn.strategy, s.symbol, {}),))
    dog = Watchdog(
        env, env.store(SANDBOX), hands(settings, env, signer, rest_url=REST, ws_url=STREAM), lambda key, *_, **_values: told.append(key), hung_us=HUNG_US
    )  # fmt: skip
    dog.lost()
    watching = asyncio.create_task(dog.run())
    await s.until(watching.done, "the watchdog is done", 60)
    watching.result()
    env.kill()


@pytest.mark.parametrize(("strategy", "symbol"), [(MARTINGALE, PERP), (MARTINGALE, SPOT), (MAKER, SPOT)])
def test_F61_after_a_death_only_the_stop_rests_and_the_next_start_is_halted_and_converges(strategy, symbol):
    told: list[str] = []

    async def script(s: Stage):
        await s.begin()
        await (s.holding() if strategy == MARTINGALE else s.quoting())
        before = {path: s.asked("POST", path) for path in ("/api/v1/order", "/api/v1/orders")}
        assert any(not o.is_trigger for o in s.live)
        stops = len(s.triggers)
        died_us = s.now_us
        await watched_death(s, told)
        assert s.now_us - died_us < 10 * US_PER_S
        assert [o for o in s.live if not o.is_trigger] == []
        assert len(s.triggers) == stops, "what protects stays"
        assert {path: s.asked("POST", path) for path in before} == before, "it places nothing"
        await s.begin()
        state = s.session.state
        assert (state.mode, state.mode_reason, state.exit_masked) == (HALTED, "WATCHDOG", True)
        assert LATCH_FILE not in s.session.store.names()
        await s.wait(10)
        written = list(read_events(s.session.store))
        assert [e.reason for e in written if isinstance(e, Latched)] == ["WATCHDOG"]
        assert "alert.latched" in [e.key for e in written if isinstance(e, Told)]
        assert [o for o in s.live if not o.is_trigger] == [], "halted"
        s.command("resume")
        await s.quoting()
        if strategy == MARTINGALE:
            await s.until(lambda: any(o.role == EXIT for o in s.market.orders.live), "the take profit is back")

    play(script, strategy, symbol, forgiven=OTHERS_MAY)
    assert told == ["alert.watchdog_dead", "alert.watchdog_done"]


def test_F61_an_exchange_that_is_away_is_asked_until_it_answers():
    told: list[str] = []

    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        life = s.life
        life.edge.down = True
        life.edge.cut_all()

        async def back():
            await asyncio.sleep(100)
            life.edge.down = False

        returning = asyncio.create_task(back())
        life.die(power=False)
        env = FakeEnv(life.loop, seed=99, disks=life.disks)
        life.edge.serve(env)
        signer = make_signer(life.account.api_key, life.account.secret, scheme=life.account.scheme)
        settings = RunSettings(SANDBOX, (PairSettings(MAKER, s.symbol, {}),))
        act = hands(settings, env, signer, rest_url=REST, ws_url=STREAM)
        dog = Watchdog(env, env.store(SANDBOX), act, lambda key, *_, **_values: told.append(key), hung_us=HUNG_US)
        dog.lost()
        watching = asyncio.create_task(dog.run())
        await s.until(watching.done, "the watchdog is done", 300)
        await returning
        assert s.live == []
        env.kill()
        await s.begin()
        s.command("resume")
        await s.quoting()

    play(script, MAKER, SPOT, forgiven=OTHERS_MAY)
    assert "alert.watchdog_not_done" in told
    assert told[-1] == "alert.watchdog_done"


def test_F76_a_file_named_kill_halts_within_two_seconds_and_its_halt_outlives_a_restart():
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        s.session.store.replace(KILL_FILE, b"")
        await s.until(lambda: s.live == [], "everything is cancelled", 3)
        assert s.session.state.mode_reason == "kill"
        assert KILL_FILE not in s.session.store.names()
        await s.again()
        assert s.session.state.mode == HALTED
        s.command("resume")
        await s.quoting()

    play(script, MAKER, SPOT, forgiven=OTHERS_MAY)


def test_F76_a_file_named_kill_that_waits_for_a_start_halts_it():
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        s.life.die(power=False)
        s.life.disks[SANDBOX].store().replace(KILL_FILE, b"")
        await s.begin()
        assert s.session.state.mode == HALTED
        await s.until(lambda: s.live == [], "what rested is cancelled", 5)
        s.command("resume")
        await s.quoting()

    play(script, MAKER, SPOT, forgiven=OTHERS_MAY)
