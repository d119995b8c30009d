"""A world of its own for tests: virtual time, wires and feeds in memory, and `fake_store`'s disks.

Servers are objects: `env.serve_wire(url, factory)` and `env.serve_feed(url, factory)` call `factory(end)` for every connection and give the
listener of the server's end. What flows is delayed by `env.delay_us`, in order; a connection can be cut, or go silent in one direction.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Protocol

from tests.fake_store import Disk, FakeStore
from tests.virtual_time import VirtualLoop

START_US = 1_790_000_000_000_000  # some day; the loop itself begins at 0


class End:
    """One end of a connection in memory: a Wire or a Feed for whoever holds it, with the listener `user`."""

    def __init__(self, env: "FakeEnv", *, is_feed: bool) -> None:
        self._env = env
        self._is_feed = is_feed
        self.peer: End
        self.user: Any = None
        self.is_open = True
        self.is_silent = False  # what is sent from this end is lost on the way; the other side sees nothing
        self.is_client = False  # the program's end: what passes here is told to `env.tap`
        self.sent = 0
        self._free_us = 0
        self._arriving: list[Any] = []
        self._sending: list[bytes] = []  # what arrives at `_sending_us`, in one timer
        self._sending_us = -1

    # -- Wire and Feed --

    def write(self, data: bytes) -> None:
        self._send(bytes(data))

    def send(self, payload: bytes) -> None:
        self._send(bytes(payload))

    def close(self, code: int = 1000, reason: str = "closed by the other side") -> None:
        """Both listeners are told, the other one after everything sent before."""
        if not self.is_open:
            return
        self.is_open = False
        self._env.loop.call_soon(self._tell_end, "closed by us", code)
        if not self.is_silent:
            self._env.loop.call_at(self._arrival() / 1e6, self.peer._ended, reason, code)

    # -- faults --

    def cut(self, reason: str = "connection reset") -> None:
        """Both sides lose the connection now; what is on its way is lost with it."""
        for end in (self, self.peer):
            if end.is_open:
                end.is_open = False
                end._env.loop.call_soon(end._tell_end, reason, 1006)

    # -- inside --

    def _send(self, data: bytes) -> None:
        if not self.is_open:
            return
        self.sent += 1
        if self.is_client and self._env.tap is not None:
            self._env.tap.left(self, data)
        if self.is_silent:
            return
        at_us = self._arrival()
        if at_us == self._sending_us and at_us > self._env.loop.now_us:
            self._sending.append(data)
            return
        self._sending, self._sending_us = [data], at_us
        self._env.loop.call_at(at_us / 1e6, self.peer._arrived, self._sending)

    def _arrival(self) -> int:
        loop = self._env.loop
        self._free_us = max(self._free_us, loop.now_us + self._env.draw_delay_us())
        return self._free_us

    def _arrived(self, sent: list[bytes]) -> None:
        if not self.is_open:
            return
        if self._env.reads_alone:
            for data in sent:
                self._arriving.append(data)
                self._read()
            return
        # What arrives in the same instant is one read.
        if not self._arriving:
            self._env.loop.call_soon(self._read)
        self._arriving += sent

    def _read(self) -> None:
        arrived, self._arriving = self._arriving, []
        if not self.is_open or not arrived:
            return
        if self.is_client and self._env.tap is not None:
            self._env.tap.arrived(self, arrived)
        if self._is_feed:
            self.user.on_messages(arrived)
        else:
            self.user.data_received(b"".join(arrived))

    def _ended(self, reason: str, code: int) -> None:
        if self.is_open:
            self._read()
            self.is_open = False
            self._tell_end(reason, code)

    def _tell_end(self, reason: str, code: int) -> None:
        self._env.forget(self)
        if self.user is not None:
            if self._is_feed:
                self.user.on_closed(code, reason)
            else:
                self.user.connection_lost(reason)


class Tap(Protocol):
    """Who listens at the program's ends."""

    def left(self, end: End, data: bytes) -> None:
        """The program has handed these bytes to a wire, or this message to a feed; nothing of it has arrived yet."""

    def arrived(self, end: End, payloads: list[bytes]) -> None:
        """These are about to be given to the program as one read."""


class FakeEnv:
    """`Env` in memory. What tasks raise is collected in `failures`, and `check()` raises the first."""

    def __init__(self, loop: VirtualLoop, seed: int = 0, disks: dict[str, Disk] | None = None) -> None:
        self.loop = loop
        self.disks = disks if disks is not None else {}  # hand a dead process's disks to the next one
        self.rng = random.Random(seed)
        self.delay_us: int | tuple[int, int] = 1_000  # one way, or bounds of a random delay
        self.reads_alone = False  # each message is a read of its own: over all connections they arrive in the order of sending
        self.wall_skew_us = 0
        self.failures: list[tuple[str, BaseException]] = []
        self.refused: set[str] = set()  # URLs that cannot be connected to now
        self.hangs: set[str] = set()  # URLs where connecting takes for ever
        self.connections: list[End] = []  # client ends, open ones
        self.connected: list[str] = []  # URLs, in the order of connecting
        self.asleep_us = 0  # the machine slept: added to both clocks
        self.tap: Tap | None = None  # sees every byte that leaves the program and every read that reaches it
        self._wires: dict[str, Callable[[End], Any]] = {}
        self._feeds: dict[str, Callable[[End], Any]] = {}
        self._stores: dict[str, FakeStore] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self.is_dead = False

    # -- Env --

    def now_us(self) -> int:
        return START_US + self.asleep_us + self.loop.now_us

    def wall_us(self) -> int:
        return self.now_us() + self.wall_skew_us

    def random(self) -> float:
        return self.rng.random()

    def call_later(self, delay_us: int, call: Callable[[], None]) -> asyncio.TimerHandle:
        def due() -> None:
            self._timers.discard(timer)
            if not self.is_dead:
                call()

        timer = self.loop.call_at((self.loop.now_us + max(0, delay_us)) / 1e6, due)
        self._timers.add(timer)
        return timer

    async def sleep(self, delay_us: int) -> None:
        await asyncio.sleep(delay_us / 1e6)

    def spawn(self, work: Any, name: str) -> asyncio.Task[None]:
        task = self.loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def connect_wire(self, url: str, user: Any) -> End:
        return await self._connect(url, user, self._wires, is_feed=False)

    async def connect_feed(self, url: str, user: Any) -> End:
        return await self._connect(url, user, self._feeds, is_feed=True)

    def store(self, name: str) -> FakeStore:
        if name not in self._stores:
            self._stores[name] = self.disks.setdefault(name, Disk()).store()
        return self._stores[name]

    # -- the world's side --

    def serve_wire(self, url: str, factory: Callable[[End], Any]) -> None:
        """Let connections to `url` succeed; `factory(end)` makes the server's listener for each."""
        self._wires[url] = factory

    def serve_feed(self, url: str, factory: Callable[[End], Any]) -> None:
        """The same for streams."""
        self._feeds[url] = factory

    def draw_delay_us(self) -> int:
        if isinstance(self.delay_us, tuple):
            return self.rng.randint(*self.delay_us)
        return self.delay_us

    def kill(self) -> None:
        """The process dies between two instructions: no task, timer or callback of it runs again; others see their connections end."""
        self.is_dead = True
        for task in list(self._tasks):
            task.remove_done_callback(self._ended)
            task.cancel()
        for timer in list(self._timers):
            timer.cancel()
        for end in list(self.connections):
            end.user = None
            end.close()
        for disk in self.disks.values():
            disk.kill()

    def check(self) -> None:
        """Raise the first failure of a task."""
        for name, fault in self.failures:
            raise AssertionError(f"{name} failed") from fault

    def forget(self, end: End) -> None:
        if end in self.connections:
            self.connections.remove(end)

    @property
    def timers(self) -> int:
        """How many timers of the program wait."""
        self._timers = {timer for timer in self._timers if not timer.cancelled()}
        return len(self._timers)

    @property
    def tasks(self) -> int:
        """How many tasks of the program have not ended."""
        return len(self._tasks)

    # -- inside --

    async def _connect(self, url: str, user: Any, servers: dict[str, Callable[[End], Any]], *, is_feed: bool) -> End:
        await self.sleep(2 * self.draw_delay_us())
        if url in self.hangs:
            await asyncio.sleep(10)
            raise TimeoutError(f"no answer from {url}")
        if url in self.refused or url not in servers:
            raise ConnectionRefusedError(f"refused by {url}")
        here, there = End(self, is_feed=is_feed), End(self, is_feed=is_feed)
        here.peer, there.peer = there, here
        here.user = user
        here.is_client = True
        there.user = servers[url](there)
        self.connections.append(here)
        self.connected.append(url)
        return here

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            self.failures.append((task.get_name(), fault))
