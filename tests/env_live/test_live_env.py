"""Clock, timers and tasks of a real run; nothing that fails does so in silence."""

import asyncio
import gc

import pytest
from tests.env_live.real import LOOPS, live_env, run, until

from lemon_trader.env_live import LiveEnv, Proxies


def test_the_clock_follows_utc_and_never_goes_back(tmp_path):
    async def main():
        async with live_env(tmp_path) as env:
            stamps = [env.now_us() for _ in range(10_000)]
            assert stamps == sorted(stamps)
            assert abs(env.now_us() - env.wall_us()) < 1_000_000

    run(main)


@LOOPS
def test_timers_call_once_in_order_and_never_when_cancelled(tmp_path, make_loop):
    async def main():
        async with live_env(tmp_path) as env:
            called = []
            env.call_later(20_000, lambda: called.append("second"))
            env.call_later(0, lambda: called.append("first"))
            env.call_later(10_000, lambda: called.append("never")).cancel()
            assert called == []
            await env.sleep(60_000)
            assert called == ["first", "second"]

    run(main, make_loop)


@LOOPS
def test_a_task_that_fails_and_a_timer_that_fails_reach_the_sink(tmp_path, make_loop):
    async def main():
        failures = []
        env = LiveEnv(tmp_path, lambda name, fault: failures.append((name, str(fault))), proxies=Proxies(environ={}))

        async def break_down():
            raise ValueError("of a task")

        def break_off():
            raise ValueError("of a timer")

        env.spawn(break_down(), "the task's name")
        env.call_later(0, break_off)
        await until(lambda: len(failures) == 2)
        assert ("the task's name", "of a task") in failures
        assert "of a timer" in {text for _, text in failures}
        await env.close()

    run(main, make_loop)


def test_a_running_task_is_not_lost_to_the_garbage_collector_and_is_cancelled_at_the_end(tmp_path):
    async def main():
        ended = []

        async def wait():
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        async with live_env(tmp_path) as env:
            env.spawn(wait(), "waiter")
            await env.sleep(1_000)
            gc.collect()
            await env.sleep(1_000)
            assert ended == []
        assert ended == ["cancelled"]

    run(main)


def test_a_task_that_is_spawned_while_the_world_ends_ends_with_it(tmp_path):
    """A connection that is closed opens its successor: nothing of it may be left for the loop to find."""

    async def main():
        async with live_env(tmp_path) as env:

            async def wait():
                await asyncio.get_running_loop().create_future()

            async def leaves_a_successor():
                try:
                    await wait()
                finally:
                    env.spawn(wait(), "successor")

            env.spawn(leaves_a_successor(), "first")
            await env.sleep(1_000)
        assert not {"first", "successor"} & {task.get_name() for task in asyncio.all_tasks()}

    run(main)


def test_a_task_can_be_cancelled_by_what_spawn_gave(tmp_path):
    async def main():
        async with live_env(tmp_path) as env:
            done = []

            async def wait():
                await env.sleep(5_000)
                done.append(1)

            env.spawn(wait(), "waiter").cancel()
            await env.sleep(20_000)
            assert done == []

    run(main)


def test_a_store_is_a_folder_of_the_data_folder_and_nothing_else(tmp_path):
    async def main():
        async with live_env(tmp_path) as env:
            assert env.store("live") is env.store("live")
            env.store("live").replace("a", b"x")
            assert (tmp_path / "live" / "a").read_bytes() == b"x"
            with pytest.raises(ValueError, match="plain file name"):
                env.store("../elsewhere")

    run(main)


def test_chance_lies_between_nothing_and_one(tmp_path):
    async def main():
        async with live_env(tmp_path) as env:
            drawn = {env.random() for _ in range(100)}
            assert len(drawn) > 90
            assert all(0 <= value < 1 for value in drawn)

    run(main)
