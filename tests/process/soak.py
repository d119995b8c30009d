"""A long run at high speed: one process that trades against a sandbox until the time is up, its size looked at all the while.

    python -m tests.process.soak --minutes 60 --speed 60

It fails when the books are not the exchange's, when a part of the program failed, or when memory or open files grow after the first quarter.
"""

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.recovery.bot_process import PAIRS, Asked, run
from tests.replay_rig import books_of_exchange

from lemon_trader.core.units import PPM
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

LOOKS = 24
GROWTH_MAX = 1.15  # of memory, last quarter over the second: what a day of orders leaves is bounded
SETTLE_S = 60


async def soak(minutes: float, speed: int, folder: Path) -> list[str]:
    """Run; what was wrong."""
    world = WorldOptions(symbols=tuple(PAIRS), seed=1, activity_pct=200, accounts=1)
    sandbox = await start_sandbox(ServerOptions(world=world, speed_ppm=speed * PPM))
    account = sandbox.accounts[0]
    forks = multiprocessing.get_context("forkserver")
    hear, tell = forks.Pipe(duplex=False)
    lasts_s = int(minutes * 60 * speed)
    asked = Asked(
        sandbox.rest_url, sandbox.ws_url, account.api_key, account.secret, account.scheme, folder, time.monotonic_ns(), sandbox.clock.now_us(),
        speed * PPM, lasts_s,
    )  # fmt: skip
    process = forks.Process(target=run, args=(asked, tell))
    process.start()
    sizes: list[tuple[float, int]] = []
    exchange = sandbox.app.desk.exchange
    try:
        begun = time.monotonic()
        last = -1.0
        while time.monotonic() - begun < minutes * 60 + SETTLE_S:
            if hear.poll() and (said := hear.recv()) != "trading":
                return _wrong(said, exchange, account.name, sizes)
            if not process.is_alive():
                return ["the program ended by itself"]
            if time.monotonic() - last > minutes * 60 / LOOKS:
                last = time.monotonic()
                sizes.append(_size(process.pid or 0))
                fills = len(exchange.accounts[account.name].fills)
                journal = _written(folder)
                print(
                    f"{last - begun:6.0f} s  {sizes[-1][0]:6.1f} MiB  {sizes[-1][1]:3} files  {fills:6} fills  journal {journal >> 20} MiB",
                    flush=True,
                )
            await asyncio.sleep(0.2)
        return ["it did not stop"]
    finally:
        process.kill()
        process.join()
        await sandbox.stop()


def _wrong(said: dict[str, Any], exchange: Any, name: str, sizes: list[tuple[float, int]]) -> list[str]:
    """What the last words and the sizes show."""
    wrong = [*said["failures"]] + ([] if said["clean"] else ["the stop was not clean"])
    for symbol in PAIRS:
        ours, theirs = said["books"][symbol], books_of_exchange(exchange, name, exchange.instrument(symbol))
        print(f"{symbol}: books {ours}, the exchange's {theirs}")
        wrong += [] if ours == theirs else [f"{symbol}: the books differ"]
    quarter = len(sizes) // 4
    early, late = (max(s[0] for s in part) for part in (sizes[quarter : 2 * quarter], sizes[-quarter:]))
    print(
        f"memory: {early:.1f} MiB at most in the second quarter, {late:.1f} MiB in the last; orders {len(exchange.accounts[name].order_history)}"
    )
    wrong += [f"memory grew from {early:.1f} to {late:.1f} MiB"] if late > early * GROWTH_MAX else []
    files = [s[1] for s in sizes[quarter:]]
    wrong += [f"open files grew from {files[0]} to {files[-1]}"] if files[-1] > files[0] + 5 else []
    return wrong


def _written(folder: Path) -> int:
    """Bytes of the journal."""
    return sum(file.stat().st_size for file in folder.rglob("journal-*"))


def _size(pid: int) -> tuple[float, int]:
    """Resident memory in MiB, and open files."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--speed", type=int, default=60, help="exchange seconds in one second")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = asyncio.run(soak(asked.minutes, asked.speed, Path(folder)))
    print("\n".join(wrong) or f"soaked {asked.minutes:g} minutes at {asked.speed} times: nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
