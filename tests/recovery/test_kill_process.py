"""kill -9 at fifty random moments (or as many as are asked for) of real processes with real sockets and files, against one exchange that goes on living."""

import asyncio
import multiprocessing
import os
import random
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.recovery.bot_process import PAIRS, Asked, run
from tests.replay_rig import books_of_exchange

from lemon_trader.core.events import Decided
from lemon_trader.core.units import PPM, TRIGGER, US_PER_S
from lemon_trader.database.journal import read_events
from lemon_trader.env_live.store import FolderStore
from lemon_trader.sandbox.server import RunningSandbox, ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

KILLS = int(os.environ.get("LEMON_TRADER_KILLS") or 50)  # `make kill-test RUNS=1000`
SPEED_PPM = 12 * PPM  # an unknown outcome takes some fifteen seconds to resolve: a life of a second must be enough for it
LAST_S = 60  # of the exchange's time: unknown outcomes of the last kill are resolved, then it stops in order
START_MAX_S = 60  # so long a busy machine may take
MARKET_SEED = 1  # a market lively enough for both strategies; chance decides when the program dies
EARLY = 0.2  # of the lives end before they trade
SHORT = 0.8  # of the others are too short to resolve anything
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.recovery.bot_process"])


@dataclass
class Kills:
    """What happened.

    Attributes:
        early: killed before it traded: in its recovery or its first reads.
        lost: ended by themselves, because the machine was too slow for the exchange's clock.
        whole_us: from the kill before it until nothing was in doubt any more, exchange µs, of each life that lived so long.
        killed_us: when the last one was.
        last: what the last life said at its end.
    """

    lives: int = 0
    early: int = 0
    lost: int = 0
    whole_us: list[int] = field(default_factory=list)
    killed_us: int = 0
    last: dict[str, Any] = field(default_factory=dict)


class Process:
    """One life of the program. It is forked from a server that has imported the program and done nothing else."""

    def __init__(self, sandbox: RunningSandbox, folder: Path, lasts_s: int = 10**6) -> None:
        account = sandbox.accounts[0]
        asked = Asked(
            sandbox.rest_url, sandbox.ws_url, account.api_key, account.secret, account.scheme, folder,
            time.monotonic_ns(), sandbox.clock.now_us(), SPEED_PPM, lasts_s, tells_whole=True,
        )  # fmt: skip
        self._hear, tell = FORKS.Pipe(duplex=False)
        self._process = FORKS.Process(target=run, args=(asked, tell))
        self._process.start()
        tell.close()

    async def says(self, wait_s: float) -> Any:
        """The next thing it says."""
        until = time.monotonic() + wait_s
        while not self._hear.poll():
            assert time.monotonic() < until, f"it said nothing for {wait_s} s"
            await asyncio.sleep(0.005)
        return self._hear.recv()

    async def trades(self) -> bool:
        """Wait until it trades; False when it could not reach its exchange in time and has ended by itself."""
        said = await self.says(START_MAX_S)
        assert said == "trading" or said.startswith("lost: "), said
        return bool(said == "trading")

    def whole(self) -> list[int]:
        """When, if at all yet, it was as if nobody had been killed."""
        return [self._hear.recv()] if self._hear.poll() else []

    def kill(self) -> None:
        """End it between two instructions."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._hear.close()


async def one_life(sandbox: RunningSandbox, folder: Path, chance: random.Random, seen: Kills) -> None:
    """Start it, let it trade for a moment, kill it; now and then before it trades at all."""
    process = Process(sandbox, folder)
    seen.lives += 1
    try:
        if chance.random() < EARLY:
            seen.early += 1
            await asyncio.sleep(chance.uniform(0, 0.2))
        else:
            if not await process.trades():
                seen.lost += 1
                return
            await asyncio.sleep(chance.uniform(0, 0.4) if chance.random() < SHORT else chance.uniform(0.4, 2))
            seen.whole_us += [at_us - seen.killed_us for at_us in process.whole() if seen.killed_us]
    finally:
        process.kill()
        seen.killed_us = sandbox.clock.now_us()


async def last_life(sandbox: RunningSandbox, folder: Path, seen: Kills) -> dict[str, Any]:
    process = Process(sandbox, folder, LAST_S)
    try:
        if not await process.trades():
            seen.lost += 1
            return {}
        seen.whole_us.append(await process.says(LAST_S) - seen.killed_us)
        said: dict[str, Any] = await process.says(START_MAX_S + LAST_S)
        return said
    finally:
        process.kill()


async def kill_and_kill(folder: Path, seed: int) -> tuple[Kills, Any, Any]:
    chance, seen = random.Random(seed), Kills()
    world = WorldOptions(symbols=tuple(PAIRS), seed=MARKET_SEED, activity_pct=300, accounts=1)
    sandbox = await start_sandbox(ServerOptions(world=world, speed_ppm=SPEED_PPM))
    try:
        for _ in range(KILLS):
            await one_life(sandbox, folder, chance, seen)
        while not seen.last:
            assert seen.lost <= KILLS // 10, "it hardly ever reaches its exchange"
            seen.last = await last_life(sandbox, folder, seen)
        exchange = sandbox.app.desk.exchange
        return seen, exchange, exchange.accounts[sandbox.accounts[0].name]
    finally:
        await sandbox.stop()


@pytest.mark.process
@pytest.mark.slow
def test_many_kills(tmp_path: Path):
    seed = int(os.environ.get("LEMON_TRADER_SEED") or 7)
    print(f"seed {seed}; LEMON_TRADER_SEED={seed} repeats its draws")
    seen, exchange, account = asyncio.run(kill_and_kill(tmp_path, seed))
    last = seen.last
    print(
        f"{seen.lives} lives, {seen.early} ended before they traded, {seen.lost} by themselves; {len(account.order_history)} orders ended, {len(account.live)} rest;"
    )
    print(f"{len(account.fills)} fills, net {last['net']}, alerts {sorted(last['alerts'])}")
    assert not last["failures"]
    assert last["clean"], last

    # Books: position and cash of every market, to the atom, and the report made from records that died as often.
    for symbol in PAIRS:
        instrument = exchange.instrument(symbol)
        assert last["books"][symbol] == books_of_exchange(exchange, account.name, instrument), symbol
    reported = {m["symbol"]: m["periods"]["all"]["net"] for m in last["report"]["markets"]}
    assert reported == last["net"]

    # Orders: what rests is what the program says rests, and may only close.
    assert sorted(str(order_id) for order_id in account.live) == sorted(row[0] for row in last["live"])
    assert {row[1] for row in last["live"]} <= {"EXIT", "STOP"}, last["live"]

    # Nothing was sent twice, and no slot had two orders at a time.
    orders = [*account.order_history, *account.live.values()]
    ids = [o.client_id for o in orders if o.client_id is not None]
    assert len(ids) == len(set(ids))
    written = {a.client_id: a for e in read_events(FolderStore(tmp_path / "sandbox")) if isinstance(e, Decided) for a in e.attempts}
    lost = set(ids) - set(written)
    whole_s = sorted(us / US_PER_S for us in seen.whole_us)
    print(
        f"{len(ids)} orders that the exchange took, {len(lost)} of them lost from the journal; from a kill until nothing was in doubt, by the exchange's clock:"
    )
    print(f"{whole_s[len(whole_s) // 2]:.1f} s in the middle, {whole_s[-1]:.1f} s at most, in {len(whole_s)} lives that lived so long")
    assert not lost, "the exchange knows an order that the journal does not"
    overlap = []
    spans: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
    for order in orders:
        attempt = written.get(order.client_id)
        if attempt is not None and attempt.kind != TRIGGER:
            end = order.updated_us if order.order_id not in account.live else 2**62
            spans.setdefault((order.symbol, attempt.slot), []).append((order.created_us, end, order.order_id))
    for key, lives in spans.items():
        lives.sort()
        overlap += [(key, a, b) for a, b in pairwise(lives) if b[0] < a[1]]
    assert not overlap, overlap[:3]
    filled: dict[tuple[str, int, int], int] = {}
    most: dict[tuple[str, int, int], int] = {}
    for a in written.values():
        key3 = (a.symbol, a.slot, a.generation)
        most[key3] = max(most.get(key3, 0), a.total_lots)
    for fill in account.fills:
        a = written.get(fill.client_id)
        if a is not None:
            key3 = (a.symbol, a.slot, a.generation)
            filled[key3] = filled.get(key3, 0) + fill.lots
    assert not [(key, lots) for key, lots in filled.items() if lots > most[key]]

    assert len(orders) > 2 * KILLS, "it hardly traded, so it proves little"
    assert {f.symbol for f in account.fills} == set(PAIRS)
