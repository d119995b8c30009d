"""A sign of life is given while all is well and withheld while it is not, in virtual time."""

import asyncio

from tests.api.servers import MemoryServer
from tests.fake_env import FakeEnv
from tests.virtual_time import run

from lemon_trader.config.settings import Secret
from lemon_trader.core.units import US_PER_S
from lemon_trader.notify.heartbeat import Heartbeat

ADDRESS = Secret("http://watch/ping/1234-abcd")


def test_it_is_regular_while_all_is_well_and_silent_while_it_is_not():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        server = MemoryServer(env, lambda asked: asked.answer(), url="http://watch")
        well = True
        beat = Heartbeat(env, ADDRESS, 60 * US_PER_S, lambda: well, lambda *_: None)
        await asyncio.sleep(200)
        assert server.targets() == ["GET /ping/1234-abcd"] * 4
        well = False
        await asyncio.sleep(300)
        assert len(server.asked) == 4
        assert beat.withheld
        well = True
        await asyncio.sleep(6)
        assert len(server.asked) == 5, "it does not wait a whole interval to say that all is well again"
        beat.close()
        await asyncio.sleep(300)
        assert len(server.asked) == 5
        assert not server.open_ends
        env.check()

    run(main)


def test_signs_that_do_not_arrive_are_told_once():
    async def main():
        env = FakeEnv(asyncio.get_running_loop())
        server = MemoryServer(env, lambda asked: asked.answer(500), url="http://watch")
        told = []
        beat = Heartbeat(env, ADDRESS, 10 * US_PER_S, lambda: True, lambda key, grade, values: told.append((key, values["count"])))
        await asyncio.sleep(200)
        assert told == [("alert.heartbeat_lost", "3")]
        server.respond = lambda asked: asked.answer()
        await asyncio.sleep(20)
        assert beat.beats
        server.respond = lambda asked: None
        await asyncio.sleep(200)
        assert len(told) == 2
        beat.close()
        env.check()

    run(main)
