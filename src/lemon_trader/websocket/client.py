"""One stream that is kept: connect, subscribe, watch its age, come back with jitter. What its messages mean is its user's business."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from lemon_trader.core.units import US_PER_S
from lemon_trader.env import Env, Feed
from lemon_trader.utils.backoff import Backoff

AGE_US: Final = 3 * US_PER_S
SETTLED_US: Final = 10 * US_PER_S  # a connection that spoke for this long was a good one: the next is not punished for its end


class StreamUser(Protocol):
    """Who listens."""

    def hello(self) -> Sequence[bytes]:
        """What to send first on a fresh connection, signed now; one message each."""

    def stream_messages(self, payloads: Sequence[bytes], ts_us: int, *, is_first: bool) -> None:
        """All messages of one read, stamped. `is_first`: they are the first of a connection, which is thereby up."""

    def stream_ended(self, reason: str, ts_us: int) -> None:
        """The connection went down, or could not be made; told once for each that was up, and once for a row of vain attempts."""


class StreamClient:
    """Keeps one stream. It is up from the first message that arrives, not from the handshake: a silent subscription is no stream.

    Attributes:
        is_up: messages arrive.
        epoch: counts connections; who waits for something compares it.
    """

    def __init__(self, env: Env, url: str, name: str, user: StreamUser, *, age_us: int = AGE_US) -> None:
        """Know the parts; `start()` connects.

        Args:
            env: the world.
            url: of the stream.
            name: for tasks and texts.
            user: who listens.
            age_us: a connection on which nothing arrived for this long is given up; something must be subscribed that speaks more often.
        """
        self._env = env
        self._url = url
        self._name = name
        self._user = user
        self._age_us = age_us
        self._backoff = Backoff(lambda n: int(env.random() * n))
        self._connection: _Connection | None = None
        self._is_closed = False
        self._told = ""  # the last reason told while nothing was up
        self.is_up = False
        self.epoch = 0

    def start(self) -> None:
        """Connect, and keep connected."""
        self._env.spawn(self._keep(), f"{self._name} stream")

    def restart(self, reason: str) -> None:
        """Give this connection up and open a fresh one."""
        if self._connection is not None:
            self._connection.end(reason)

    def close(self) -> None:
        """End it for good; nothing is told any more."""
        self._is_closed = True
        if self._connection is not None:
            self._connection.end("closed by us")

    # -- inside --

    async def _keep(self) -> None:
        while not self._is_closed:
            connection = _Connection(self._env, self, self._age_us)
            self._connection = connection
            self.epoch += 1
            try:
                await connection.open(self._url)
            except OSError as fault:
                self._ended(str(fault) or type(fault).__name__, was_up=False)
            else:
                lived_us = await connection.ended()
                if lived_us >= SETTLED_US:
                    self._backoff.reset()
            if not self._is_closed:
                await self._env.sleep(self._backoff.next_us())

    def hello(self) -> Sequence[bytes]:
        """For its connection."""
        return self._user.hello()

    def messages(self, payloads: Sequence[bytes], ts_us: int, *, is_first: bool) -> None:
        """For its connection."""
        self.is_up = True
        self._told = ""
        self._user.stream_messages(payloads, ts_us, is_first=is_first)

    def ended(self, reason: str, *, was_up: bool) -> None:
        """For its connection."""
        self._ended(reason, was_up=was_up)

    def _ended(self, reason: str, *, was_up: bool) -> None:
        self.is_up = False
        if not self._is_closed and (was_up or reason != self._told):
            self._told = reason
            self._user.stream_ended(reason, self._env.now_us())


class _Connection:
    """One connection; once it has ended, nothing of it is told any more, whatever still arrives."""

    def __init__(self, env: Env, client: StreamClient, age_us: int) -> None:
        self._env = env
        self._client = client
        self._age_us = age_us
        self._feed: Feed | None = None
        self._over = asyncio.Event()
        self._opened_us = 0
        self._heard_us = 0
        self._is_up = False

    async def open(self, url: str) -> None:
        """Connect and subscribe. Raises OSError."""
        self._feed = await self._env.connect_feed(url, self)
        if self._over.is_set():
            self._feed.close()
            raise ConnectionError("given up while it connected")
        for payload in self._client.hello():
            self._feed.send(payload)
        self._opened_us = self._heard_us = self._env.now_us()
        self._watch()

    async def ended(self) -> int:
        """Wait for the end; how long messages had come, µs."""
        await self._over.wait()
        return self._heard_us - self._opened_us

    def end(self, reason: str) -> None:
        """Give it up now; the socket's own end may come whenever it likes."""
        if self._over.is_set():
            return
        self._over.set()
        if self._feed is not None:
            self._feed.close()
            self._client.ended(reason, was_up=self._is_up)

    # -- the feed's callbacks --

    def on_messages(self, payloads: list[bytes]) -> None:
        """Messages of one read."""
        if self._over.is_set() or self._is_silent():
            return  # after a sleep of the machine messages of before it may come first: they are old, and so is the connection
        ts_us = self._heard_us = self._env.now_us()
        is_first, self._is_up = not self._is_up, True
        self._client.messages(payloads, ts_us, is_first=is_first)

    def on_closed(self, code: int, reason: str) -> None:
        """The other side, or the way to it, has gone."""
        self.end(f"{code} {reason}".strip())

    def _watch(self) -> None:
        if not self._over.is_set() and not self._is_silent():
            self._env.call_later(self._heard_us + self._age_us - self._env.now_us(), self._watch)

    def _is_silent(self) -> bool:
        """Whether the connection has been silent for its age; it is given up then."""
        silent_us = self._env.now_us() - self._heard_us
        if self._heard_us and silent_us >= self._age_us:
            self.end(f"silent for {silent_us // 1_000} ms")
        return self._over.is_set()
