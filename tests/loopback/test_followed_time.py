"""`--speed max`: exchange time goes on as fast as the clients follow, and stands while nobody is there or somebody is being answered."""

import asyncio
import json

import aiohttp

from lemon_trader.core.units import US_PER_S
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions


def followed(work):
    async def main():
        options = ServerOptions(world=WorldOptions(symbols=("SOL_USDC",), seed=2), is_followed=True)
        sandbox = await start_sandbox(options)
        try:
            async with aiohttp.ClientSession() as client:
                return await work(sandbox, client)
        finally:
            await sandbox.stop()

    return asyncio.run(main())


def test_time_stands_while_nobody_is_connected_and_runs_ahead_of_the_wall_when_somebody_listens():
    async def work(sandbox, client):
        begun_us = sandbox.clock.now_us()
        await asyncio.sleep(0.05)
        alone_us = sandbox.clock.now_us() - begun_us
        async with client.ws_connect(sandbox.ws_url) as stream:
            await stream.send_str(json.dumps({"method": "SUBSCRIBE", "params": ["bookTicker.SOL_USDC"]}))
            frames = [await stream.receive_json() for _ in range(40)]
        return alone_us, sandbox.clock.now_us() - begun_us, [f["data"]["T"] for f in frames]

    alone_us, gone_us, times = followed(work)
    assert alone_us == 0
    assert gone_us > 3 * US_PER_S
    assert times == sorted(times)


def test_time_stands_while_a_request_is_being_answered():
    async def work(sandbox, client):
        async with client.get(sandbox.rest_url + "/api/v1/time") as answer:
            await answer.read()
        await asyncio.sleep(0.02)
        sandbox._in_flight += 1
        held_us = sandbox.clock.now_us()
        await asyncio.sleep(0.03)
        stood_us = sandbox.clock.now_us() - held_us
        sandbox._in_flight -= 1
        await asyncio.sleep(0.05)
        return stood_us, sandbox.clock.now_us() - held_us

    stood_us, went_us = followed(work)
    assert stood_us == 0
    assert went_us > 0


def test_a_speed_set_by_the_operator_ends_the_following():
    async def work(sandbox, _):
        sandbox.clock.set_speed(2_000_000)
        begun_us = sandbox.clock.now_us()
        await asyncio.sleep(0.02)
        return sandbox.clock.now_us() - begun_us

    assert followed(work) >= 40_000
