"""The exchange's side of a simulated world: the sandbox behind in-memory wires and feeds, its market paced by virtual time."""

from collections.abc import Callable, Iterator
from typing import Any

import httptools

from lemon_trader.core.units import US_PER_S
from lemon_trader.market.acts import Act
from lemon_trader.sandbox.app import Response
from lemon_trader.sandbox.world import World

REST = "http://exchange.test"
STREAM = "ws://exchange.test"

Before = Callable[[str, str, bytes], Response | None]
After = Callable[[str, str, Response], Response]
Frame = Callable[[bytes], list[bytes]]


class Edge:
    """Serves a `World` to the environments of however many lives the bot has.

    Attributes:
        on_request: called with (method, path, body, status) after each request; the checkers listen here, on wire bytes alone.
        down: nothing is answered and nothing can be connected to.
        doubles: so many of the next orders reach the exchange twice, as behind a proxy that sends again.
        breaks: whether the connection breaks where a fault leaves a request without an answer.
        second_answer: of such an order the second answer comes back, not the first.
        held_us: so long a POST waits on the network before it reaches the edge.
        before: asked with (method, path, body) of each request; what one of them answers, the exchange never sees.
        after: may change an answer on its way back: (method, path, answer).
        frames: may change, repeat or withhold a frame of a stream on its way.
    """

    def __init__(self, world: World, clock: Callable[[], int]) -> None:
        self.world = world
        self.clock = clock
        self.down = False
        self.doubles = 0
        self.breaks: Callable[[], bool] = lambda: False
        self.second_answer = False
        self.on_request: list[Callable[[str, str, bytes, int, bytes], None]] = []
        self.doubled = False  # the last request was
        self.held_us = 0
        self.before: list[Before] = []
        self.after: list[After] = []
        self.frames: list[Frame] = []
        self._source: Iterator[Act] = world.source
        self._next = next(self._source, None)
        self._ends: list[Any] = []
        self._streams: list[StreamSide] = []

    def serve(self, env: Any) -> None:
        env.serve_wire(REST, lambda end: HttpSide(self, end, env))
        env.serve_feed(STREAM, lambda end: StreamSide(self, end))

    def follow(self, source: Iterator[Act]) -> None:
        """From now on this is what the outside world does."""
        self._source = source
        self._next = next(source, None)

    def advance(self) -> int:
        """Let the market live up to now; the number of acts."""
        now, done = self.clock(), 0
        while self._next is not None and self._next.at_us <= now:
            self.world.app.act(self._next)
            self._next = next(self._source, None)
            done += 1
        self.world.app.advance(now)
        return done

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        """One request through whatever lies between the program and the exchange."""
        path = target.split("?", maxsplit=1)[0]
        for meddle in self.before:
            answer = meddle(method, path, body)
            if answer is not None:
                return answer
        answer = self.world.app.handle(method, target, headers, body, self.clock())
        self.doubled = method == "POST" and self.doubles > 0
        if self.doubled:
            self.doubles -= 1
            second = self.world.app.handle(method, target, headers, body, self.clock())
            answer = second if self.second_answer else answer
        for twist in self.after:
            answer = twist(method, path, answer)
        return answer

    def say(self, payload: bytes) -> None:
        """Somebody puts a frame into every stream."""
        for stream in self._streams:
            stream.send(payload)

    def end_streams(self) -> None:
        """The exchange takes leave of every stream."""
        for stream in list(self._streams):
            stream.end.close(1001, "going away")
            stream.on_closed(1001, "")

    def cut_all(self) -> None:
        """Every connection breaks at once."""
        ends, self._ends = self._ends, []
        for end in ends:
            end.cut()

    def hold(self, end: Any) -> None:
        self._ends = [e for e in self._ends if e.is_open]
        self._ends.append(end)


class HttpSide:
    """The server's end of one HTTP connection."""

    def __init__(self, edge: Edge, end: Any, env: Any) -> None:
        self._edge, self._end, self._env = edge, end, env
        self._begin()
        edge.hold(end)

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[str, str] = {}
        self._body = b""
        self._url = b""
        self._done = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._done = True

    def data_received(self, data: bytes) -> None:
        if self._edge.down:
            return
        self._parser.feed_data(data)
        if not self._done:
            return
        method, path, body, headers = self._parser.get_method().decode(), self._url.decode(), self._body, self._headers
        self._begin()
        if method == "POST" and self._edge.held_us:
            held_us, self._edge.held_us = self._edge.held_us, 0
            self._env.loop.call_later(held_us / US_PER_S, self._arrived, method, path, headers, body)
        else:
            self._arrived(method, path, headers, body)

    def _arrived(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self._edge.advance()
        answer = self._edge.handle(method, path, headers, body)
        for listen in self._edge.on_request:
            listen(method, path, body, 0 if answer.is_lost else answer.status, answer.body)
        if answer.is_lost:
            if self._edge.breaks():
                self._end.cut()  # else the reply is swallowed and the client waits
            return
        head = f"HTTP/1.1 {answer.status} X\r\nContent-Length: {len(answer.body)}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in answer.headers)
        data = head.encode() + b"\r\n" + answer.body
        if answer.delay_us:
            self._env.loop.call_later(answer.delay_us / US_PER_S, self._end.write, data)
        else:
            self._end.write(data)

    def connection_lost(self, reason: str) -> None:
        """The client went away; nothing to do."""


class StreamSide:
    """The server's end of one stream connection."""

    def __init__(self, edge: Edge, end: Any) -> None:
        self._edge, self.end = edge, end
        self._session = edge.world.app.open_stream(self.send, end.close)
        edge._streams.append(self)
        edge.hold(end)

    def send(self, payload: bytes) -> None:
        """A frame leaves, through whatever lies between."""
        payloads = [payload]
        for twist in self._edge.frames:
            payloads = [sent for one in payloads for sent in twist(one)]
        for sent in payloads:
            self.end.send(sent)

    def on_messages(self, payloads: list[bytes]) -> None:
        if not self._edge.down:
            self._edge.advance()
            for payload in payloads:
                self._session.receive(payload.decode(), self._edge.clock())

    def on_closed(self, code: int, reason: str) -> None:
        self._session.gone()
        if self in self._edge._streams:
            self._edge._streams.remove(self)
