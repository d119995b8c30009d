"""Exchange time faster or slower than the wall's: the program beside an embedded sandbox lives by the sandbox's clock.

With `--speed 10` a second of every timer, age and lease is a tenth of a second by the wall, on both sides of the loopback alike.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from lemon_trader.env import Env, Feed, FeedUser, Store, Timer, Wire, WireUser


class ScaledEnv:
    """`Env` by another clock; everything but time passes through."""

    def __init__(self, env: Env, now_us: Callable[[], int], wall_of: Callable[[int], int]) -> None:
        """`now_us` is the other clock; `wall_of` says how long a span of it takes by the wall, µs."""
        self._env = env
        self._now_us = now_us
        self._wall_of = wall_of

    def now_us(self) -> int:
        """The other clock's time, µs UTC."""
        return self._now_us()

    def wall_us(self) -> int:
        """The machine's wall clock."""
        return self._env.wall_us()

    def random(self) -> float:
        """Uniform in [0, 1)."""
        return self._env.random()

    def call_later(self, delay_us: int, call: Callable[[], None]) -> Timer:
        """Call once after `delay_us` of the other clock."""
        return self._env.call_later(self._wall_of(delay_us), call)

    async def sleep(self, delay_us: int) -> None:
        """Come back after `delay_us` of the other clock."""
        await self._env.sleep(self._wall_of(delay_us))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> Timer:
        """Run a task."""
        return self._env.spawn(work, name)

    async def connect_wire(self, url: str, user: WireUser) -> Wire:
        """Connect for HTTP."""
        return await self._env.connect_wire(url, user)

    async def connect_feed(self, url: str, user: FeedUser) -> Feed:
        """Open a WebSocket."""
        return await self._env.connect_feed(url, user)

    def store(self, name: str) -> Store:
        """A folder of the program's own."""
        return self._env.store(name)
