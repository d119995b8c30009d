"""The environment of a real run: the one place that reads a clock, draws a random number, opens a socket or starts a task."""

import asyncio
import os
import random
import ssl
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

from lemon_trader.core.units import US_PER_S
from lemon_trader.env import FeedUser, WireUser
from lemon_trader.env_live.feed import SocketFeed, open_feed
from lemon_trader.env_live.proxy import Proxies
from lemon_trader.env_live.store import FolderStore, checked
from lemon_trader.env_live.wire import SocketWire, open_wire

Failed = Callable[[str, BaseException], None]


def new_loop() -> asyncio.AbstractEventLoop:
    """A new event loop: uvloop's where it is installed, else the standard one."""
    try:
        import uvloop  # noqa: PLC0415  not there on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _steady_ns() -> Callable[[], int]:
    """A clock that never steps and, where the system offers one, does not stop while the machine sleeps.

    A clock that sleeps too would call yesterday's book fresh after a night.
    """
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        clock = getattr(time, name, None)
        if clock is not None:
            return partial(time.clock_gettime_ns, clock)
    return time.monotonic_ns


class LiveEnv:
    """`Env` over the running machine.

    What a task, a timer or a callback raises goes to `on_failure`; nothing dies in silence.
    """

    def __init__(
        self,
        data: Path,
        on_failure: Failed,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        proxies: Proxies | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take the time once; open nothing yet.

        Args:
            data: the program's data folder; stores are folders in it.
            on_failure: called on the loop with the name of what failed and the exception.
            loop: whose timers and tasks are used; the running one when None.
            proxies: through which connections go; None = what the environment variables say.
            tls: how servers are verified; None = the system's certificates.
        """
        self._data = data
        self._failed = on_failure
        self._loop = loop if loop is not None else asyncio.get_running_loop()
        self._loop.set_exception_handler(self._loop_failed)
        self._proxies = proxies or Proxies(environ=os.environ)
        self._context = tls
        self._steady_ns: Final = _steady_ns()
        self._shift_ns: Final = time.time_ns() - self._steady_ns()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stores: dict[str, FolderStore] = {}

    # -- time and chance --

    def now_us(self) -> int:
        """Steady time shifted once to UTC at start, µs."""
        return (self._steady_ns() + self._shift_ns) // 1_000

    def wall_us(self) -> int:
        """The machine's wall clock, µs UTC; may step."""
        return time.time_ns() // 1_000

    def random(self) -> float:
        """Uniform in [0, 1)."""
        return random.random()  # noqa: S311  jitter of back-off, no secret

    # -- tasks --

    def call_later(self, delay_us: int, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call once after `delay_us`."""
        return self._loop.call_later(max(0, delay_us) / US_PER_S, call)

    async def sleep(self, delay_us: int) -> None:
        """Come back after `delay_us`."""
        await asyncio.sleep(delay_us / US_PER_S)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> "LiveTask":
        """Run a task under a name; its failure reaches `on_failure`."""
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return LiveTask(task)

    async def close(self) -> None:
        """Cancel every task, wait until they have ended, give locks back."""
        while self._tasks:  # a connection that ends now may have spawned its successor
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for store in self._stores.values():
            store.close()

    # -- network --

    async def connect_wire(self, url: str, user: WireUser) -> SocketWire:
        """Connect to `url`; TLS is verified. Raises OSError."""
        return await open_wire(url, user, self._failed, self._proxies.choose(url, is_stream=False), self._tls)

    async def connect_feed(self, url: str, user: FeedUser) -> SocketFeed:
        """Open a WebSocket; TLS is verified. Raises OSError."""
        return await open_feed(url, user, self._failed, self._proxies.choose(url, is_stream=True), self._tls)

    # -- files --

    def store(self, name: str) -> FolderStore:
        """The folder `name` of the data folder. Raises OSError, BadName."""
        found = self._stores.get(checked(name))
        if found is None:
            found = self._stores[name] = FolderStore(self._data / name)
        return found

    # -- inside --

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            self._failed(task.get_name(), fault)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        fault = context.get("exception")
        if fault is not None:
            self._failed(str(context.get("message", "callback")), fault)
        else:
            loop.default_exception_handler(context)


class LiveTask:
    """A running task, as the port wants it."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def cancel(self) -> None:
        """End it at its next wait; harmless when it has ended."""
        self._task.cancel()
