"""One keep-alive HTTP/1.1 connection: one request in the air, one answer or one loss for each, everything bounded.

A loss says only that no whole answer came. Whether the server acted on the request is not known then; nothing here sends twice.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol
from urllib.parse import urlsplit

import httptools

from lemon_trader.core.units import US_PER_S
from lemon_trader.env import Env, Timer, Wire
from lemon_trader.exchanges.dialect import Request
from lemon_trader.utils.rate import MINUTE_US, RateBudget

Headers = dict[str, str]  # names in lower case; of a repeated name the last value
OnAnswer = Callable[[int, Headers, bytes], None]  # status, headers, body
OnLost = Callable[[str], None]  # why no answer came

HEADER_BYTES_MAX: Final = 65_536
BODY_BYTES_MAX: Final = 8 << 20  # the largest honest body, all markets, is below 1 MB
HTTP_FAULT: Final = 500  # from here on a status says that something is broken, not what
TIMEOUT_US: Final = 5 * US_PER_S


class Owner(Protocol):
    """Who keeps the connection."""

    def wire_ended(self, wire: "HttpWire", reason: str) -> None:
        """The connection is gone; the request in the air, if any, was told before."""


class HttpWire:
    """One connection and the request in the air on it.

    Attributes:
        is_open: connected.
        is_idle: connected, and no request is in the air.
        answered: whole answers received on this connection.
    """

    def __init__(self, env: Env, url: str, owner: Owner, *, body_max: int = BODY_BYTES_MAX, takes_end: bool = False) -> None:
        """Know where to connect; `open()` does it. `url` is scheme://host[:port].

        `takes_end`: an answer that names no length is whole when the other side ends the connection, as HTTP/1.0 has it. The exchange
        always names one, and what was cut off there must not pass for an answer.
        """
        self._env = env
        self._url = url
        self._owner = owner
        self._body_max = body_max
        self._takes_end = takes_end
        self._host = urlsplit(url).netloc.rsplit("@", 1)[-1]
        self._wire: Wire | None = None
        self._timer: Timer | None = None
        self._on_answer: OnAnswer | None = None
        self._on_lost: OnLost | None = None
        self._answer: _Answer | None = None
        self._why = ""
        self.is_open = False
        self.answered = 0

    @property
    def is_idle(self) -> bool:
        """Whether a request may be sent now."""
        return self.is_open and self._on_answer is None

    async def open(self) -> None:
        """Connect. A connection is opened once; make another HttpWire for the next. Raises OSError."""
        assert self._wire is None
        wire = await self._env.connect_wire(self._url, self)
        self._wire = wire
        if self._why:
            wire.close()
            raise ConnectionError(self._why)
        self.is_open = True

    def send(self, request: Request, on_answer: OnAnswer, on_lost: OnLost, timeout_us: int = TIMEOUT_US) -> None:
        """Send on an idle connection; exactly one of the two is called later, never before this returns.

        Raises:
            ValueError: a request that could smuggle a second one; nothing was sent.
        """
        assert self.is_idle
        assert self._wire is not None
        data = request_bytes(request, self._host)
        self._on_answer, self._on_lost = on_answer, on_lost
        self._wire.write(data)  # which never calls back: what waits for the answer is made while the request is on its way
        self._answer = _Answer(self._body_max)
        self._timer = self._env.call_later(timeout_us, self._timed_out)

    def close(self, reason: str = "closed by us") -> None:
        """End the connection; the request in the air is lost."""
        self._why = self._why or reason
        self.is_open = False
        if self._wire is not None:
            self._wire.close()

    # -- the wire's callbacks --

    def data_received(self, data: bytes) -> None:
        """Bytes of one read."""
        if not self.is_open:
            return
        answer = self._answer
        if answer is None:
            self.close("bytes that no request asked for")
            return
        fault = answer.feed(data)
        if fault:
            self.close(fault)
        elif answer.is_whole:
            self._finish(answer)

    def connection_lost(self, reason: str) -> None:
        """The connection is gone."""
        self.is_open = False
        answer, on_answer, on_lost = self._answer, self._on_answer, self._on_lost
        if self._takes_end and not self._why and answer is not None and answer.ends_with_connection and on_answer is not None:
            self._forget()
            on_answer(answer.status, answer.headers, answer.body)
            on_lost = None
        reason = self._why or reason
        if on_lost is not None:
            began = answer is not None and answer.began
            self._forget()
            on_lost(f"{reason}, {'in the middle of' if began else 'before'} the answer")
        self._owner.wire_ended(self, reason)

    # -- inside --

    def _finish(self, answer: "_Answer") -> None:
        on_answer = self._on_answer
        assert on_answer is not None
        self._forget()
        self.answered += 1
        if not answer.keeps_alive:
            self.close("the server ended the connection after its answer")
        # Last, because it may send the next request on this very connection.
        on_answer(answer.status, answer.headers, answer.body)

    def _timed_out(self) -> None:
        self._timer = None
        # A late answer on this connection would be taken for the next request's: the connection goes.
        self.close("no answer in time")

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_answer = self._on_lost = self._answer = None


def request_bytes(request: Request, host: str) -> bytes:
    """The request as it goes over the wire.

    Raises:
        ValueError: line breaks or blanks where they would end the line early.
    """
    lines = [f"{name}: {value}" for name, value in request.headers]
    whole = "".join(lines)
    if not (whole.isascii() and whole.isprintable()):
        guilty = next((name for name, value in request.headers if not (value.isascii() and value.isprintable())), "with a strange name")
        raise ValueError(f"the header {guilty[:40]} carries a value that is not printable")
    body = request.body
    if body or request.method not in {"GET", "HEAD"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((_opening(request.method, request.path, host), *lines, "", "")).encode("ascii") + body


@lru_cache(maxsize=64)  # the order path has three, and none of them ever changes
def _opening(method: str, target: str, host: str) -> str:
    """The first two lines. Raises ValueError."""
    if not (target.isascii() and target.isprintable() and " " not in target and target.startswith("/")):
        raise ValueError(f"{target[:80]!r} is not a request target")
    if not (method.isalpha() and host.isascii() and host.isprintable()):
        raise ValueError(f"{method[:20]!r} {host[:80]!r}: no such method or host")
    return f"{method} {target} HTTP/1.1\r\nHost: {host}"


def note_status(rate: RateBudget, status: int, headers: Headers, now_us: int) -> None:
    """Let the budget know how the exchange takes our requests."""
    if status == 429:
        hint = headers.get("retry-after", "")
        rate.throttled(now_us, min(MINUTE_US, int(hint[:6]) * US_PER_S) if hint.isascii() and hint.isdigit() else 0)
    elif status < HTTP_FAULT:  # a gateway that is down has served nobody
        rate.answered(now_us)


class _Answer:
    """One answer as it arrives, for httptools to call back into."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_body_max",
        "_fault",
        "_head_bytes",
        "_parser",
        "began",
        "headers",
        "is_whole",
        "keeps_alive",
        "status",
    )

    def __init__(self, body_max: int) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._body_max = body_max
        self._head_bytes = 0
        self._fault = ""
        self.began = False
        self.is_whole = False
        self.keeps_alive = False
        self.status = 0
        self.headers: Headers = {}

    @property
    def body(self) -> bytes:
        return self._body[0] if len(self._body) == 1 else b"".join(self._body)

    @property
    def ends_with_connection(self) -> bool:
        """The head is here, and says nothing of how long the body is."""
        return self.status >= 200 and not self.headers.keys() & {"content-length", "transfer-encoding"}

    def feed(self, data: bytes) -> str:
        """Take bytes in; the reason when they are no answer, else ""."""
        self.began = True
        if not self.status:
            # The parser tells nothing of a line that never ends, so what came in earlier reads is counted here.
            if self._head_bytes > HEADER_BYTES_MAX:
                return f"a head above {HEADER_BYTES_MAX} bytes"
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            return self._fault or f"not an HTTP answer: {str(error)[:120]}"
        return self._fault

    # -- httptools' callbacks --

    def on_message_begin(self) -> None:
        if self.is_whole:
            self._fail("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # else it is a trailer, and says nothing that we asked
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if int(self.headers.get("content-length", "0")) > self._body_max:
            self._fail(f"a body above {self._body_max} bytes")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._body_max:
            self._fail(f"a body above {self._body_max} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self.status < 200:
            # 100 Continue and its kin are no answers; the answer follows.
            self.headers, self.status = {}, 0
            return
        self.keeps_alive = self._parser.should_keep_alive()
        self.is_whole = True

    def _fail(self, reason: str) -> None:
        self._fault = self._fault or reason
        raise ValueError(reason)  # httptools turns it into its own error, which ends the feeding
