"""The seam: everything the program wants of the world comes through one `Env`.

Live it is sockets, a monotonic clock and files (`env_live.py`); in a simulation it is virtual time, in-memory bytes and a store that can
tear. Nothing else in the program reads a clock, draws a random number, opens a socket or file, or starts a task; a test scans for it.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol


class Timer(Protocol):
    """A call that was asked for later."""

    def cancel(self) -> None:
        """Never call it. Harmless after it was called."""


class Wire(Protocol):
    """One connection for HTTP bytes."""

    def write(self, data: bytes) -> None:
        """Send now: leaves before this returns as far as the kernel takes it; never calls back."""

    def close(self) -> None:
        """End the connection; `connection_lost` follows."""


class WireUser(Protocol):
    """Who listens on a Wire."""

    def data_received(self, data: bytes) -> None:
        """Some bytes arrived; one call per network read."""

    def connection_lost(self, reason: str) -> None:
        """The connection is gone; called once."""


class Feed(Protocol):
    """One WebSocket at message level."""

    def send(self, payload: bytes) -> None:
        """Send one text message."""

    def close(self) -> None:
        """End it; `on_closed` follows."""


class FeedUser(Protocol):
    """Who listens on a Feed."""

    def on_messages(self, payloads: list[bytes]) -> None:
        """All messages of one network read, in order. Each is at most the frame cap."""

    def on_closed(self, code: int, reason: str) -> None:
        """The stream is gone; called once."""


class File(Protocol):
    """An append-only file."""

    def append(self, data: bytes) -> None:
        """Hand `data` to the operating system; survives a killed process. Raises OSError."""

    def sync(self) -> None:
        """Make all that was appended survive a loss of power. Raises OSError."""

    def close(self) -> None:
        """Give the file back."""


class Store(Protocol):
    """A folder of the program's own."""

    def read(self, name: str) -> bytes:
        """The content of `name`; b"" when there is none. Raises OSError."""

    def open_append(self, name: str) -> File:
        """Open for appending, made with mode 0600 when missing. Raises OSError."""

    def replace(self, name: str, data: bytes) -> None:
        """Write whole and synced under `name`, or leave the old content. Raises OSError."""

    def truncate(self, name: str, length: int) -> None:
        """Cut `name` to its first `length` bytes (a torn tail after a crash). Raises OSError."""

    def remove(self, name: str) -> None:
        """Take `name` away, durably; harmless when there is none. Raises OSError."""

    def names(self) -> list[str]:
        """Names present, sorted."""

    def lock(self, name: str) -> bool:
        """Take an exclusive lock that ends with the process; False when another process holds it."""

    def unlock(self, name: str) -> None:
        """Give a lock of ours back; harmless when we do not hold it."""


class Env(Protocol):
    """The world as the program may touch it."""

    def now_us(self) -> int:
        """Monotonic time shifted once to UTC at start, µs. Never steps."""

    def wall_us(self) -> int:
        """The machine's wall clock, µs UTC. May step; only logs and the first offset estimate read it."""

    def random(self) -> float:
        """Uniform in [0, 1): jitter of back-off, nothing else."""

    def call_later(self, delay_us: int, call: Callable[[], None]) -> Timer:
        """Call once after `delay_us`, on the loop, never before this returns."""

    async def sleep(self, delay_us: int) -> None:
        """Come back after `delay_us`."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> Timer:
        """Run a task; what it raises reaches the engine's outermost handler, never nowhere."""

    async def connect_wire(self, url: str, user: WireUser) -> Wire:
        """Connect to scheme://host:port of `url` (https = TLS, checked). Raises OSError."""

    async def connect_feed(self, url: str, user: FeedUser) -> Feed:
        """Open a WebSocket. Raises OSError."""

    def store(self, name: str) -> Store:
        """The folder `name` under the program's data directory, made with mode 0700. Raises OSError."""
