"""Which proxy a connection takes, and the CONNECT handshake through it."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

ANSWER_BYTES_MAX: Final = 16_384


class ProxyError(OSError):
    """The proxy is unusable or refused us. Its address is named, its password never."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies that a user wants.

    Attributes:
        rest: for HTTP connections, "" = by the environment.
        stream: for WebSockets (`--ws-proxy`), "" = by the environment.
        environ: the environment variables.
    """

    rest: str = ""
    stream: str = ""
    environ: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Refuse at once what could never work. Raises ValueError."""
        for url in (self.rest, self.stream):
            if url and not _is_proxy(url):
                # Not the value itself: where it is malformed nobody can say which part of it is a password.
                raise ValueError("the proxy's address is not of the form http://[USER:PASSWORD@]HOST:PORT or https://…")

    def choose(self, url: str, *, is_stream: bool) -> str:
        """The proxy for a connection to `url`, "" = none.

        An explicit one is always taken. The environment's is never taken to a loopback address nor where NO_PROXY says so.

        Raises:
            ProxyError: the environment names one that cannot work; going around it in silence would show our address.
        """
        explicit = self.stream if is_stream else self.rest
        parts = urlsplit(url)
        host = parts.hostname or ""
        if explicit or _is_loopback(host):
            return explicit
        environ = {name.lower(): value for name, value in (self.environ or {}).items()}
        is_secure = parts.scheme in {"https", "wss"}
        found = environ.get("https_proxy" if is_secure else "http_proxy") or environ.get("all_proxy") or ""
        if found and not _is_bypassed(host, environ.get("no_proxy", "")):
            if not _is_proxy(found):
                raise ProxyError("the proxy's address in the environment is not of the form http://[USER:PASSWORD@]HOST:PORT or https://…")
            return found
        return ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect: host, port, and whether by TLS."""

    host: str
    port: int
    is_secure: bool


def endpoint(url: str) -> Endpoint:
    """The endpoint of an http(s) or ws(s) URL. Raises OSError when it is none."""
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
        raise OSError(f"{shown(url)} is not an address to connect to; write it as https://HOST[:PORT]")
    is_secure = parts.scheme in {"https", "wss"}
    return Endpoint(parts.hostname, parts.port or (443 if is_secure else 80), is_secure)


def shown(url: str) -> str:
    """The URL without user and password: what may stand in a text."""
    scheme, mark, rest = url.partition("://")
    place = rest if mark else scheme
    return (scheme + mark if mark else "") + place.rsplit("@", 1)[-1][:200]


class Tunnel(asyncio.Protocol):
    """One CONNECT handshake. `done` resolves when the way is free, or carries why not."""

    def __init__(self, proxy: str, target: Endpoint) -> None:
        self._proxy = proxy
        self._target = target
        self._answer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the way."""
        host = f"[{self._target.host}]" if ":" in self._target.host else self._target.host
        name = f"{host}:{self._target.port}"
        head = f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n"
        parts = urlsplit(self._proxy)
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            head += f"Proxy-Authorization: Basic {b64encode(secret).decode()}\r\n"
        cast("asyncio.WriteTransport", transport).write(f"{head}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Read the answer's head; a body after a refusal does not matter."""
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if self.done.done() or (not end and len(self._answer) <= ANSWER_BYTES_MAX):
            return
        words = head.split(b"\r\n", 1)[0].split(b" ", 2)
        if not end or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            self._fail("did not answer in HTTP")
        elif not 200 <= int(words[1]) < 300:
            self._fail(f"refused to connect to {self._target.host}:{self._target.port} with status {int(words[1])}")
        elif rest:
            self._fail("sent bytes before the server could")
        else:
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The proxy hung up."""
        if not self.done.done():
            self._fail(f"closed the connection ({exc or 'end of stream'})")

    def _fail(self, reason: str) -> None:
        self.done.set_exception(ProxyError(f"proxy {shown(self._proxy)} {reason}"))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number
    except ValueError:
        return None
    return parts


def _is_proxy(url: str) -> bool:
    parts = _split(url)
    return parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname)


def _is_bypassed(host: str, no_proxy: str) -> bool:
    """NO_PROXY as other programs read it: names with all that end in them, `*` for everything, ports ignored."""
    for entry in no_proxy.split(","):
        name = entry.strip().lower().lstrip(".").rsplit(":", 1)[0]
        if name == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
    return False


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
