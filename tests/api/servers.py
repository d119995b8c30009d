"""HTTP servers in memory: what a test says is what they answer, when it says so."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httptools
from tests.fake_env import End

URL = "http://exchange"


@dataclass
class Asked:
    """One request as the server read it, with the ways to answer it."""

    end: End
    at_us: int = 0
    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for pair in self.target.partition("?")[2].split("&") if pair)

    def answer(self, status: int = 200, body: bytes = b"", headers: str = "") -> None:
        self.end.write(answer(status, body, headers))


def answer(status: int = 200, body: bytes = b"", headers: str = "") -> bytes:
    """The bytes of an answer."""
    return f"HTTP/1.1 {status} Word\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class MemoryServer:
    """Answers by `respond(asked)`; what it leaves unanswered stays so. `asked` remembers every request."""

    def __init__(self, env: Any, respond: Callable[[Asked], None] = lambda _: None, url: str = URL) -> None:
        self.env = env
        self.respond = respond
        self.asked: list[Asked] = []
        self.ends: list[End] = []
        env.serve_wire(url, self._accept)

    @property
    def open_ends(self) -> list[End]:
        return [end for end in self.ends if end.is_open]

    def targets(self) -> list[str]:
        return [f"{asked.method} {asked.target}" for asked in self.asked]

    def _accept(self, end: End) -> "_Peer":
        self.ends.append(end)
        return _Peer(self, end)


class _Peer:
    """One connection at the server."""

    def __init__(self, server: MemoryServer, end: End) -> None:
        self._server = server
        self._end = end
        self._fresh()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, reason: str) -> None:
        self.lost = reason

    def on_url(self, url: bytes) -> None:
        self._asked.target += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._asked.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._asked.body += body

    def on_message_complete(self) -> None:
        asked = self._asked
        asked.method = self._parser.get_method().decode()
        asked.at_us = self._server.env.now_us()
        self._server.asked.append(asked)
        self._fresh()
        self._server.respond(asked)

    def _fresh(self) -> None:
        self._asked = Asked(self._end)
        self._parser = httptools.HttpRequestParser(self)
