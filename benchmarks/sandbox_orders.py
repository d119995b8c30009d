"""The sandbox under fire: signed limit orders a second over loopback from one client process, and its matching alone.

    python benchmarks/sandbox_orders.py

Orders a second need a core for each of the two processes. What an order costs the sandbox in processor time is told beside them: it is
much the same on a machine that has other things to do.
"""

import asyncio
import json
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection

from lemon_trader.core.commands import Place
from lemon_trader.core.units import ATOMS_PER_UNIT, BUY, LIMIT, SELL
from lemon_trader.env_live import new_loop
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.market.instruments import default_instrument
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import NewOrder
from lemon_trader.matching.rules import Rules
from lemon_trader.run.parts import make_signer
from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import EMPTY, WorldOptions

SYMBOL = "SOL_USDC"
ORDERS = 6_000
CONNECTIONS = 8
MATCHED = 40_000


def serve(pipe: Connection) -> None:
    """A sandbox in a process of its own, until it is killed. Asked through the pipe it says what processor time it has used, s."""

    async def life() -> None:
        switches = Switches(requests_per_minute=0, heartbeat_us=0)
        world = WorldOptions(market=EMPTY, symbols=(SYMBOL,), accounts=1, balances={"USDC": "10000000"}, switches=switches)
        running = await start_sandbox(ServerOptions(world=world))
        account = running.accounts[0]
        asyncio.get_running_loop().add_reader(pipe.fileno(), lambda: pipe.send((pipe.recv(), time.process_time())[1]))
        pipe.send((running.port, account.api_key, account.secret))
        await asyncio.Event().wait()

    new_loop().run_until_complete(life())


class Client(asyncio.Protocol):
    """One connection with one order in the air."""

    def __init__(self, orders: "Orders") -> None:
        self._orders = orders

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(data.decode())
        self._orders.answered()
        self._next()

    def _next(self) -> None:
        request = self._orders.take()
        if request:
            self._transport.write(request)


class Orders:
    """What is sent, signed as it is taken."""

    def __init__(self, api_key: str, secret: str, count: int = ORDERS) -> None:
        self._count = count
        self._signer = make_signer(api_key, secret)
        self._dialect = exchange("backpack").dialect()
        self._instruments = {SYMBOL: default_instrument(SYMBOL)}
        self._sent = 0
        self._left = count
        self.done = asyncio.get_running_loop().create_future()

    def take(self) -> bytes:
        if self._sent == self._count:
            return b""
        self._sent += 1
        order = Place(SYMBOL, self._sent, BUY, LIMIT, 0, 10_000 + self._sent % 500, 0, 10)
        request = self._dialect.place([order], self._instruments, self._signer, time.time_ns() // 1_000_000)
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
        return f"POST {request.path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(request.body)}\r\n\r\n".encode() + request.body

    def answered(self) -> None:
        self._left -= 1
        if not self._left:
            self.done.set_result(None)


async def fire(port: int, api_key: str, secret: str) -> float:
    """Orders a second."""
    loop = asyncio.get_running_loop()
    orders = Orders(api_key, secret)
    begun = time.perf_counter()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Client(orders), "127.0.0.1", port)
    await orders.done
    return ORDERS / (time.perf_counter() - begun)


def signed() -> dict[str, float]:
    """Over loopback: orders a second, and the processor time of one in each process, µs."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        where = ours.recv()
        before, own = used_s(ours), time.process_time()
        rate = new_loop().run_until_complete(fire(*where))
        client, used = time.process_time() - own, used_s(ours) - before
        return {"signed": rate, "server_us": used / ORDERS * 1e6, "client_us": client / ORDERS * 1e6}
    finally:
        server.kill()
        server.join()


def used_s(pipe: Connection) -> float:
    """Processor time of the process that serves, until now."""
    pipe.send("time")
    used: float = pipe.recv()
    return used


def matching() -> float:
    """Orders a second into a book of a hundred levels: four rest, every fifth trades with two of them."""
    venue = Exchange([default_instrument(SYMBOL)], Rules())
    names = ("a", "b")
    for name in names:
        venue.open_account(name, {"USDC": 10_000_000 * ATOMS_PER_UNIT, "SOL": 1_000_000 * ATOMS_PER_UNIT})
    plan = []
    for n in range(MATCHED):
        if n % 5 == 4:
            plan.append(("b", NewOrder(symbol=SYMBOL, side=SELL, lots=40, ticks=9_900)))
        else:
            plan.append(("a", NewOrder(symbol=SYMBOL, side=BUY, lots=10, ticks=10_000 + n * 7 % 100)))
    now_us = 1_790_000_000_000_000
    begun = time.perf_counter()
    for account, order in plan:
        now_us += 50
        venue.place(account, order, now_us)
        venue.take_effects()
    return MATCHED / (time.perf_counter() - begun)


if __name__ == "__main__":
    print(json.dumps({**signed(), "matching": matching()}), file=sys.stdout)
