"""The tools that other tests trust: virtual time, and the world in memory."""

import asyncio
import random

import pytest
from tests.fake_env import START_US, FakeEnv
from tests.virtual_time import Deadlock, VirtualLoop, run


def test_a_day_passes_at_once_and_exactly():
    async def main():
        loop = asyncio.get_running_loop()
        env = FakeEnv(loop)
        stamps = []
        for _ in range(24):
            await env.sleep(3_600_000_000)
            stamps.append(env.now_us() - START_US)
        return stamps

    assert run(main) == [hour * 3_600_000_000 for hour in range(1, 25)]


def test_timers_of_one_instant_keep_their_order():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        called = []
        for number in range(100):
            env.call_later(500, lambda number=number: called.append(number))
        await env.sleep(1_000)
        return called

    assert run(main) == list(range(100))


def test_a_timer_is_called_at_its_microsecond():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        delays = [1, 2, 3, 999_999, 1_000_001, 86_400_000_001, 30 * 86_400_000_000 + 7]
        called = []
        for delay in delays:
            env.call_later(delay, lambda: called.append(env.now_us() - START_US))
        await env.sleep(40 * 86_400_000_000)
        return delays, called

    delays, called = run(main)
    assert called == delays


def test_a_deadlock_names_who_waits():
    async def main():
        async def wait():
            await asyncio.get_running_loop().create_future()

        task = asyncio.get_running_loop().create_task(wait(), name="the one that waits")
        await task

    with pytest.raises(Deadlock, match="the one that waits"):
        run(main)


def test_an_executor_runs_inline_and_its_failure_is_told():
    async def main():
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)

    run(main)


def test_a_real_socket_under_virtual_time_is_a_fault_of_the_test():
    async def main():
        with pytest.raises(AssertionError, match="real file or socket"):
            await asyncio.open_connection("127.0.0.1", 1)

    run(main)


def steps(shuffle):
    async def main():
        done = []

        async def step(number):
            await asyncio.sleep(0)
            done.append(number)

        await asyncio.gather(*(step(number) for number in range(8)))
        return done

    return run(main, shuffle=shuffle)


def test_tasks_run_in_their_order_or_in_one_drawn_from_the_seed():
    assert steps(None) == list(range(8))
    orders = [steps(random.Random(seed)) for seed in range(5)]
    assert orders == [steps(random.Random(seed)) for seed in range(5)]
    assert len({tuple(order) for order in orders}) > 1
    assert all(sorted(order) == list(range(8)) for order in orders)


class Listener:
    def __init__(self):
        self.heard = []

    def data_received(self, data):
        self.heard.append(data)

    def on_messages(self, payloads):
        self.heard.append(payloads)

    def connection_lost(self, reason):
        self.heard.append(reason)

    def on_closed(self, code, reason):
        self.heard.append((code, reason))


async def connected(env, *, is_feed):
    mine, theirs, ends = Listener(), Listener(), []
    serve = env.serve_feed if is_feed else env.serve_wire
    serve("x://y", lambda end: ends.append(end) or theirs)
    connect = env.connect_feed if is_feed else env.connect_wire
    return await connect("x://y", mine), ends[0], mine, theirs


def test_what_is_sent_arrives_in_order_and_one_instant_is_one_read():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        env.delay_us = (10, 5_000)
        here, there, mine, theirs = await connected(env, is_feed=False)
        for number in range(50):
            here.write(b"%d," % number)
            await env.sleep(100)
        await env.sleep(10_000)
        assert b"".join(theirs.heard) == b"".join(b"%d," % n for n in range(50))
        env.delay_us = 100
        there.write(b"a")
        there.write(b"b")
        await env.sleep(1_000)
        assert mine.heard == [b"ab"]

    run(main)


def test_messages_stay_messages_and_an_end_comes_after_them():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        here, there, mine, theirs = await connected(env, is_feed=True)
        there.send(b"one")
        there.send(b"two")
        there.close(1001, "restart")
        there.send(b"never")
        await env.sleep(10_000)
        assert mine.heard == [[b"one", b"two"], (1001, "restart")]
        assert not here.is_open
        here.send(b"into the void")
        await env.sleep(10_000)
        assert theirs.heard == [(1001, "closed by us")]

    run(main)


def test_a_cut_loses_what_was_on_its_way_and_tells_both_once():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        here, there, mine, theirs = await connected(env, is_feed=False)
        here.write(b"lost")
        there.write(b"lost")
        here.cut()
        here.cut()
        here.close()
        await env.sleep(10_000)
        assert mine.heard == theirs.heard == ["connection reset"]

    run(main)


def test_a_silent_end_is_heard_by_nobody():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        here, there, mine, theirs = await connected(env, is_feed=False)
        there.is_silent = True
        there.write(b"lost")
        here.write(b"heard")
        await env.sleep(10_000)
        assert (mine.heard, theirs.heard) == ([], [b"heard"])

    run(main)


def test_a_killed_process_does_nothing_more_and_others_see_its_connections_end():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        _, _, mine, theirs = await connected(env, is_feed=False)
        called = []
        env.call_later(1_000, lambda: called.append("timer"))
        env.spawn(env.sleep(1_000), "task")
        env.store("a").open_append("f").append(b"written")
        env.kill()
        await env.sleep(10_000)
        assert called == []
        assert mine.heard == []
        assert theirs.heard == ["closed by the other side"]
        after = FakeEnv(asyncio.get_running_loop(), disks=env.disks)
        assert after.store("a").read("f") == b"written"
        env.check()

    run(main)


def test_refused_and_hanging_connections_raise():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        env.hangs.add("x://hangs")
        for url in ("x://nobody", "x://hangs"):
            with pytest.raises(OSError):
                await env.connect_wire(url, Listener())

    run(main)


def test_the_failure_of_a_task_is_kept_with_its_name():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())

        async def fail():
            raise ValueError("x")

        env.spawn(fail(), "the task")
        await env.sleep(1)
        with pytest.raises(AssertionError, match="the task failed"):
            env.check()

    run(main)


def test_the_loop_is_a_loop_of_asyncio():
    loop = VirtualLoop()
    assert loop.run_until_complete(asyncio.wait_for(asyncio.sleep(1000, "done"), 2000)) == "done"
    loop.close()
