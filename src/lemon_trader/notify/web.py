"""One request to an address that is not the exchange's, over a connection of its own."""

import asyncio
from typing import Final
from urllib.parse import urlsplit

from lemon_trader.api.http_wire import Headers, HttpWire, OnAnswer, OnLost
from lemon_trader.config.settings import Secret
from lemon_trader.core.units import US_PER_S
from lemon_trader.env import Env
from lemon_trader.exchanges.dialect import Request
from lemon_trader.notify.notice import Notice

TIMEOUT_US: Final = 15 * US_PER_S
ANSWER_BYTES_MAX: Final = 65_536
AGAIN: Final = frozenset({408, 425, 429})  # refusals that pass


class Undelivered(Exception):
    """It did not arrive. `for_good`: the other side said so, and asking again would not change it."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


class WebTarget:
    """A JSON POST for every notice."""

    def __init__(self, env: Env, address: Secret) -> None:
        self._env = env
        self._address = address

    async def deliver(self, notice: Notice) -> None:
        """Raises Undelivered."""
        await fetch(self._env, self._address, "POST", notice.as_json())


async def fetch(env: Env, address: Secret, method: str, body: bytes = b"") -> None:
    """Ask once. Raises Undelivered for everything but a status of success; its text never holds the address."""
    parts = urlsplit(address.reveal())
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [("User-Agent", "lemon-trader"), ("Accept", "*/*"), ("Connection", "close")]
    if body:
        headers.append(("Content-Type", "application/json; charset=utf-8"))
    answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def answer(status: int, _headers: Headers, _body: bytes) -> None:
        if not answered.done():
            answered.set_result(status)

    def lost(reason: str) -> None:
        if not answered.done():
            answered.set_exception(Undelivered(reason))

    wire = HttpWire(env, f"{parts.scheme.lower()}://{parts.netloc}", _Nobody(), body_max=ANSWER_BYTES_MAX, takes_end=True)
    timer = env.call_later(TIMEOUT_US, lambda: lost("no answer in time"))
    try:
        opening = env.spawn(_open(wire, Request(method, target, tuple(headers), body), answer, lost), "notify connection")
        try:
            status = await answered
        finally:
            opening.cancel()
    finally:
        timer.cancel()
        wire.close()
    if not 200 <= status < 300:
        raise Undelivered(f"HTTP {status}", for_good=300 <= status < 500 and status not in AGAIN)


async def _open(wire: HttpWire, request: Request, answer: OnAnswer, lost: OnLost) -> None:
    try:
        await wire.open()
        wire.send(request, answer, lost, TIMEOUT_US)
    except (OSError, ValueError) as error:
        lost(type(error).__name__ if isinstance(error, ValueError) else str(error) or type(error).__name__)


class _Nobody:
    """Keeps no connection."""

    def wire_ended(self, wire: HttpWire, reason: str) -> None:
        """The one request was told already."""
