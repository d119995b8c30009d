"""One WebSocket at message level over picows: bounded messages, a read's messages together, and pongs of our own."""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from python_socks import ProxyError as SocksError

from lemon_trader.env import FeedUser
from lemon_trader.env_live.proxy import endpoint, shown
from lemon_trader.env_live.wire import CONNECT_S, Report, no_delay

MESSAGE_BYTES_MAX: Final = 1 << 20
WORK_CAP: Final = 1_000  # messages handled in one callback; the rest follow in the next ones

# Looking a word up in picows' enumeration costs more than the rest of taking a frame.
_DATA: Final = frozenset({WSMsgType.TEXT, WSMsgType.BINARY})
_PARTS: Final = _DATA | {WSMsgType.CONTINUATION}
_PING: Final = WSMsgType.PING
_CLOSE: Final = WSMsgType.CLOSE

# picows logs what it then raises or tells by its callbacks; one voice is enough.
_QUIET: Final = logging.getLogger("lemon_trader.feed")
_QUIET.setLevel(logging.CRITICAL + 1)


class SocketFeed(WSListener):
    """A connected stream with its listener."""

    def __init__(self, user: FeedUser, report: Report) -> None:
        super().__init__()
        self._user = user
        self._report = report
        self._transport: WSTransport | None = None
        self._loop = asyncio.get_running_loop()
        self._ready: deque[bytes] = deque()
        self._is_late = False  # a callback that hands over the rest is scheduled
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._is_open = True
        self._end = (0, "")
        self._retrieving: asyncio.Task[None] | None = None

    # -- the port --

    def send(self, payload: bytes) -> None:
        """Send one text message; nothing happens on a stream that has ended."""
        if self._is_open and self._transport is not None:
            self._transport.send(WSMsgType.TEXT, payload)

    def close(self) -> None:
        """End it without waiting for the other side; `on_closed` follows."""
        self._stop(WSCloseCode.OK, "closed by us")

    # -- picows' callbacks --

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport
        no_delay(transport.underlying_transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Gather the messages of one read; hand them over with its last frame."""
        if self._is_open:
            self._take(transport, frame)
            if transport.is_close_frame_sent:
                self._is_open = False  # picows looks one frame ahead and refused that one; nothing after this can be believed
        if frame.last_in_buffer and self._ready and not self._is_late:
            self._hand_over()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Everything that arrived is told before the end is."""
        self._is_open = False
        self._retrieving = self._loop.create_task(_retrieve(transport))
        while self._ready:
            self._hand_over()
        try:
            self._user.on_closed(*(self._end if self._end[0] else _end_of(transport)))
        except Exception as fault:  # noqa: BLE001  the loop's outermost edge: told to the engine, never swallowed
            self._report("feed", fault)

    # -- inside --

    def _take(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if frame.payload_size > MESSAGE_BYTES_MAX:
            self._is_open = False  # picows has refused it and hangs up, but reads on for a moment and would still hand it over
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._stop(WSCloseCode.PROTOCOL_ERROR, "an extension that was never agreed on")
        elif kind in _DATA and frame.fin and not self._parts:
            self._ready.append(frame.get_payload_as_bytes())
        elif kind in _PARTS:
            self._assemble(frame, is_first=kind != WSMsgType.CONTINUATION)
        elif kind == _PING:
            # Not picows' own pong: it would hide the frame from us, and with it the end of a read.
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == _CLOSE:
            code = frame.get_close_code()
            reason = frame.get_close_message() or b""
            self._end = (_number(code), reason.decode("utf-8", "replace")[:123])
            self._is_open = False
            transport.send_close(code if _number(code) else WSCloseCode.OK)
            transport.disconnect()

    def _assemble(self, frame: WSFrame, *, is_first: bool) -> None:
        payload = frame.get_payload_as_bytes()
        self._parts_bytes += len(payload)
        if is_first == bool(self._parts):
            self._stop(WSCloseCode.PROTOCOL_ERROR, "fragments out of order")
        elif self._parts_bytes > MESSAGE_BYTES_MAX:
            self._stop(WSCloseCode.MESSAGE_TOO_BIG, f"a message above {MESSAGE_BYTES_MAX} bytes")
        else:
            self._parts.append(payload)
            if frame.fin:
                self._ready.append(b"".join(self._parts))
                self._parts, self._parts_bytes = [], 0

    def _hand_over(self) -> None:
        ready = self._ready
        batch = [ready.popleft()] if len(ready) == 1 else [ready.popleft() for _ in range(min(len(ready), WORK_CAP))]
        try:
            self._user.on_messages(batch)
        except Exception as fault:  # noqa: BLE001  as above
            self._report("feed", fault)
            self._stop(WSCloseCode.INTERNAL_ERROR, "a fault of ours")
        if ready and self._is_open and not self._is_late:
            # Back pressure instead of a queue that grows: nothing is read before this is handled.
            self._is_late = True
            self._pause(is_paused=True)
            self._loop.call_soon(self._rest)

    def _rest(self) -> None:
        self._is_late = False
        if not self._ready:
            return
        self._hand_over()
        if not self._is_late:
            self._pause(is_paused=False)

    def _pause(self, *, is_paused: bool) -> None:
        if self._transport is not None and self._is_open:
            raw = self._transport.underlying_transport
            (raw.pause_reading if is_paused else raw.resume_reading)()

    def _stop(self, code: WSCloseCode, reason: str) -> None:
        if self._is_open:
            self._is_open = False
            self._end = (_number(code), reason)
            if self._transport is not None:
                self._transport.send_close(code)
                self._transport.disconnect(graceful=False)


def _end_of(transport: WSTransport) -> tuple[int, str]:
    """Code and reason of an end that nobody announced, or that picows decided on."""
    handshake = transport.close_handshake
    if handshake is not None and handshake.sent is not None:
        return _number(handshake.sent.code), handshake.sent.reason or "refused"
    return _number(WSCloseCode.ABNORMAL_CLOSURE), "connection lost"


async def _retrieve(transport: WSTransport) -> None:
    """Take over what picows raises at the end of a connection: its reason is told by the callback, and unretrieved it would be logged."""
    with suppress(Exception):
        await transport.wait_disconnected()


def _number(code: Any) -> int:
    """A close code as a number: picows gives its own enumeration for the codes it knows, and a number for the others."""
    return int(getattr(code, "value", code))


async def open_feed(url: str, user: FeedUser, report: Report, proxy: str, tls: Callable[[], ssl.SSLContext]) -> SocketFeed:
    """Open a WebSocket, through `proxy` when there is one. Raises OSError."""
    target = endpoint(url)
    try:
        async with asyncio.timeout(CONNECT_S):
            _, feed = await ws_connect(
                lambda: SocketFeed(user, report),
                url,
                ssl_context=tls() if target.is_secure else None,
                proxy=proxy or None,
                proxy_ssl_context=tls() if proxy.startswith("https:") else None,
                websocket_handshake_timeout=CONNECT_S,
                max_frame_size=MESSAGE_BYTES_MAX,
                max_redirects=0,
                enable_auto_pong=False,
                logger_name=_QUIET,
            )
    except (WSError, SocksError) as error:
        raise ConnectionError(f"no stream at {shown(url)}: {str(error)[:200]}") from None
    if not isinstance(feed, SocketFeed):
        raise ConnectionError(f"no stream at {shown(url)}: it hung up before it answered")
    return feed
