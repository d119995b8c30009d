"""The whole program through a TCP proxy that spoils what passes; when the network is well again, the books are the exchange's to the atom."""

import asyncio
import multiprocessing
import os
import time

import pytest
from tests.process.leaks import leaks, leaks_in
from tests.process.tcp_proxy import FAULTS, TcpProxy
from tests.recovery.bot_process import PAIRS, Asked, run
from tests.replay_rig import books_of_exchange

from lemon_trader.core.units import PPM
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

pytestmark = pytest.mark.process
SPEED_PPM = 12 * PPM
SICK_S = 60  # of the exchange's time
LASTS_S = 110
FORKS = multiprocessing.get_context("forkserver")


async def trade_through(folder, seed, sick_s=SICK_S, lasts_s=LASTS_S, odds=(0.02, 0.004)):
    """One life through two proxies; (what it said, the exchange, the proxies, the account's keys)."""
    world = WorldOptions(symbols=tuple(PAIRS), seed=1, activity_pct=300, accounts=1)
    sandbox = await start_sandbox(ServerOptions(world=world, speed_ppm=SPEED_PPM))
    rest, stream = TcpProxy(sandbox.rest_url, seed), TcpProxy(sandbox.ws_url, seed + 1)
    account = sandbox.accounts[0]
    hear, tell = FORKS.Pipe(duplex=False)
    process = None
    try:
        asked = Asked(
            await rest.start(), await stream.start(), account.api_key, account.secret, account.scheme, folder, time.monotonic_ns(),
            sandbox.clock.now_us(), SPEED_PPM, lasts_s,
        )  # fmt: skip
        process = FORKS.Process(target=run, args=(asked, tell))
        process.start()

        async def says(wait_s):
            until = time.monotonic() + wait_s
            while not hear.poll():
                assert time.monotonic() < until, "it said nothing"
                await asyncio.sleep(0.01)
            return hear.recv()

        assert await says(90) == "trading"
        rest.odds, stream.odds = odds
        rest.owe()
        await asyncio.sleep(sick_s / (SPEED_PPM / PPM))
        for proxy in (rest, stream):
            proxy.heal()
        said = await says(30 + lasts_s)
        exchange = sandbox.app.desk.exchange
        return said, exchange, (rest, stream), account
    finally:
        if process is not None:
            process.kill()
            process.join()
        await rest.stop()
        await stream.stop()
        await sandbox.stop()


def test_the_books_are_equal_after_everything_that_a_network_can_do(tmp_path):
    seed = int(os.environ.get("LEMON_TRADER_SEED") or 7)
    print(f"seed {seed}; LEMON_TRADER_SEED={seed} repeats its draws")
    said, exchange, proxies, keys = asyncio.run(trade_through(tmp_path, seed))
    met = sum((proxy.met for proxy in proxies), start=type(proxies[0].met)())
    account = exchange.accounts[keys.name]
    print(f"spoiled {dict(met)}; {len(account.order_history)} orders ended, {len(account.fills)} fills, alerts {sorted(said['alerts'])}")
    assert set(met) == set(FAULTS)
    assert not said["failures"]
    assert said["clean"], said
    for symbol in PAIRS:
        assert said["books"][symbol] == books_of_exchange(exchange, account.name, exchange.instrument(symbol)), symbol
    assert sorted(str(order_id) for order_id in account.live) == sorted(row[0] for row in said["live"])
    ids = [o.client_id for o in (*account.order_history, *account.live.values()) if o.client_id is not None]
    assert len(ids) == len(set(ids)), "no order twice"
    assert len(ids) > 20
    wire = bytes(proxies[0].passed + proxies[1].passed)
    assert len(wire) > 10_000
    assert not leaks(wire, keys.secret)
    assert not leaks_in(tmp_path, keys.secret)
