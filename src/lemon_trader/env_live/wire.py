"""One HTTP connection over a real socket, whose writes leave at once.

A loop that gathers small writes until its callback has ended would hold an order back behind our own decision.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

import aiofastnet

from lemon_trader.env import WireUser
from lemon_trader.env_live.proxy import Tunnel, endpoint

CONNECT_S: Final = 10

Report = Callable[[str, BaseException], None]


class SocketWire(asyncio.Protocol):
    """A connected socket, plain or TLS, with its listener."""

    def __init__(self, user: WireUser, report: Report) -> None:
        self._user = user
        self._report = report
        self._transport: asyncio.Transport | None = None
        self._closing = False

    def write(self, data: bytes) -> None:
        """Send now, as far as the kernel takes it. Nothing happens on a connection that has ended: its end is told by a callback."""
        if self._transport is not None and not self._closing:
            self._transport.write(data)

    def close(self) -> None:
        """End it without waiting for the other side; `connection_lost` follows."""
        if self._transport is not None and not self._closing:
            self._closing = True
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The way is open."""
        self._transport = cast("asyncio.Transport", transport)  # it is one in all but its ancestry
        no_delay(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of one read."""
        if self._closing:
            return
        try:
            self._user.data_received(data)
        except Exception as fault:  # noqa: BLE001  the loop's outermost edge: told to the engine, never swallowed
            self._report("wire", fault)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end; told once."""
        reason = "closed by us" if self._closing else f"lost: {exc}" if exc else "closed by the other side"
        self._closing = True
        try:
            self._user.connection_lost(reason)
        except Exception as fault:  # noqa: BLE001  as above
            self._report("wire", fault)


async def open_wire(url: str, user: WireUser, report: Report, proxy: str, tls: Callable[[], ssl.SSLContext]) -> SocketWire:
    """Connect to `url`, through `proxy` when there is one. Raises OSError."""
    target = endpoint(url)
    loop = asyncio.get_running_loop()

    def make() -> SocketWire:
        return SocketWire(user, report)

    async with asyncio.timeout(CONNECT_S):
        if not proxy:
            _, wire = await aiofastnet.create_connection(loop, make, target.host, target.port, ssl=tls() if target.is_secure else None)
            return wire
        door = endpoint(proxy)
        transport, tunnel = await aiofastnet.create_connection(
            loop, lambda: Tunnel(proxy, target), door.host, door.port, ssl=tls() if door.is_secure else None
        )
        try:
            await tunnel.done
            wire = make()
            if target.is_secure:
                transport = await aiofastnet.start_tls(loop, transport, wire, tls(), server_hostname=target.host)
            else:
                transport.set_protocol(wire)
            wire.connection_made(transport)
        except BaseException:  # a cancelled start too gives its socket back; raised again
            transport.abort()
            raise
        return wire


def no_delay(transport: asyncio.BaseTransport) -> None:
    """Small writes must not wait for the acknowledgement of earlier ones."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):  # the connection has just ended; its own callback says so
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
