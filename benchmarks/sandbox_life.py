"""The sandbox as its clients meet it: start to first answer, orders while fifty streams listen, depth frames to one subscriber, memory.

    python benchmarks/sandbox_life.py [--hours 24]

Times by the wall need cores that nobody else uses. Beside each stands what it costs in processor time, which a busy machine changes little.
"""

import argparse
import asyncio
import gc
import http.client
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parent))

from memory import resident_bytes
from sandbox_orders import SYMBOL, Client, Orders, serve, used_s

from lemon_trader.core.units import US_PER_S
from lemon_trader.env_live import new_loop
from lemon_trader.sandbox.world import WorldOptions, make_world

SUBSCRIBERS = 50
MEASURED = 2_000
STREAMS = [f"{kind}.{SYMBOL}" for kind in ("depth", "bookTicker", "trade")]
START_US = 1_790_000_000_000_000
HOUR_US = 3_600 * US_PER_S


def start_s() -> tuple[float, float]:
    """From the command to its first answer: by the wall, and in processor time of its process until it was ended right after."""
    before = _of_children_s()
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "lemon_trader.main", "sandbox", "--json"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())["rest_url"].removeprefix("http://")
        line = http.client.HTTPConnection(where)
        line.request("GET", "/api/v1/ping")
        assert line.getresponse().read() == b"pong"
        took = time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait()
    return took, _of_children_s() - before


def _of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def listen(port: int, streams: list[str], on_frame: Callable[[], None]) -> None:
    """One subscriber, until it is cancelled."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"ws://127.0.0.1:{port}/") as socket:
        await socket.send_str(json.dumps({"method": "SUBSCRIBE", "params": streams}))
        async for _ in socket:
            on_frame()


def crowd(port: int, pipe: Connection) -> None:
    """Fifty subscribers in a process of their own; it says once that all listen, and the frames they got when asked."""
    frames = 0

    def count() -> None:
        nonlocal frames
        frames += 1

    async def life() -> None:
        tasks = [asyncio.ensure_future(listen(port, STREAMS, count)) for _ in range(SUBSCRIBERS)]
        await asyncio.sleep(1)
        pipe.send("ready")
        while not pipe.poll():  # noqa: ASYNC110  a pipe has no event
            await asyncio.sleep(0.05)
        pipe.recv()
        pipe.send(frames)
        for task in tasks:
            task.cancel()

    new_loop().run_until_complete(life())


class Timed(Client):
    """One connection that notes how long each answer took, µs."""

    def __init__(self, orders: Orders, took: list[float]) -> None:
        super().__init__(orders)
        self._took = took

    def data_received(self, data: bytes) -> None:
        self._took.append((time.perf_counter_ns() - self._sent_ns) / 1_000)
        super().data_received(data)

    def _next(self) -> None:
        self._sent_ns = time.perf_counter_ns()
        super()._next()


async def latencies(port: int, api_key: str, secret: str) -> list[float]:
    """Of orders one after the other, signing included."""
    took: list[float] = []
    orders = Orders(api_key, secret, MEASURED)
    await asyncio.get_running_loop().create_connection(lambda: Timed(orders, took), "127.0.0.1", port)
    await orders.done
    return took[MEASURED // 10 :]


async def depth_frames(port: int, api_key: str, secret: str) -> float:
    """Frames a second that one subscriber gets while orders change the book as fast as they are answered."""
    frames = 0

    def count() -> None:
        nonlocal frames
        frames += 1

    listener = asyncio.ensure_future(listen(port, [f"depth.{SYMBOL}"], count))
    await asyncio.sleep(0.5)
    orders = Orders(api_key, secret, MEASURED)
    begun = time.perf_counter()
    for _ in range(4):
        await asyncio.get_running_loop().create_connection(lambda: Client(orders), "127.0.0.1", port)
    await orders.done
    while frames < MEASURED and time.perf_counter() - begun < 60:  # noqa: ASYNC110  what is still on its way counts
        await asyncio.sleep(0.001)
    took = time.perf_counter() - begun
    listener.cancel()
    return frames / took


def with_server(use: Callable[[int, str, str], Any]) -> tuple[Any, float]:
    """What `use` finds at a fresh sandbox that has a process of its own, and the processor time that the sandbox took for it, s."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        where = ours.recv()
        before = used_s(ours)
        found = use(*where)
        return found, used_s(ours) - before
    finally:
        server.kill()
        server.join()


def crowded(port: int, api_key: str, secret: str) -> tuple[list[float], int]:
    """Latencies while fifty subscribers listen, and the frames that these got."""
    ours, theirs = multiprocessing.Pipe()
    listeners = multiprocessing.get_context("spawn").Process(target=crowd, args=(port, theirs), daemon=True)
    listeners.start()
    try:
        assert ours.recv() == "ready"
        took = new_loop().run_until_complete(latencies(port, api_key, secret))
        ours.send("enough")
        return took, ours.recv()
    finally:
        listeners.kill()
        listeners.join()


def memory(hours: float) -> dict[str, float]:
    """A simulated day of the exchange alone, all six markets: resident at its end, and the slope over its second half per hour."""
    world = make_world(WorldOptions(), START_US)
    points: list[int] = []
    acts, next_us = 0, START_US
    step_us = int(hours * HOUR_US) // 24
    begun = time.perf_counter()
    for act in world.source:
        while act.at_us >= next_us:
            world.app.advance(next_us)
            gc.collect()
            points.append(resident_bytes())
            next_us += step_us
        if len(points) > 24:
            break
        world.app.act(act)
        acts += 1
    half = points[len(points) // 2 :]
    per_hour = statistics.linear_regression(range(len(half)), half).slope * HOUR_US / step_us
    return {"resident": points[-1], "slope": per_hour, "acts": acts, "hours": hours, "seconds": time.perf_counter() - begun}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--hours", type=float, default=24, help="of the memory part")
    asked.add_argument("--json", action="store_true", help="print one JSON object (it always does)")
    given = asked.parse_args()
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).resolve().parents[1] / "src"))
    starts = sorted(start_s() for _ in range(3))
    alone, alone_s = with_server(lambda *at: new_loop().run_until_complete(latencies(*at)))
    (took, frames), crowd_s = with_server(crowded)
    depth, depth_s = with_server(lambda *at: new_loop().run_until_complete(depth_frames(*at)))
    found = {
        "start": starts[1][0],
        "start_cpu": starts[1][1],
        "alone_p50": statistics.median(alone),
        "alone_p99": statistics.quantiles(alone, n=100)[98],
        "crowded_p50": statistics.median(took),
        "crowded_p99": statistics.quantiles(took, n=100)[98],
        "crowd_frames": frames,
        "alone_us": alone_s / MEASURED * 1e6,  # of the sandbox, for one order
        "crowd_us": crowd_s / MEASURED * 1e6,
        "depth_frames": depth,
        "depth_us": depth_s / MEASURED * 1e6,
        "memory": memory(given.hours),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
