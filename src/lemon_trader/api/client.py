"""Reads: signed or public, retried within a bound, never a command.

A read either gives what was asked for or raises `ReadLost`; an error, an empty body or half a list is never taken for "nothing there".
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeVar

from lemon_trader.api.http_wire import BODY_BYTES_MAX, TIMEOUT_US, Headers, HttpWire, note_status
from lemon_trader.core.events import AccountTerms, BookSnapshot
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.env import Env
from lemon_trader.exchanges.dialect import Dialect, Signer, WireError
from lemon_trader.utils.backoff import Backoff
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import READ, RateBudget

ATTEMPTS: Final = 4
BUDGET_WAIT_US: Final = 30 * US_PER_S  # a read that would wait longer for the budget is lost
BUDGET_LOOK_US: Final = US_PER_S
READ_TIMEOUT_US: Final = 2 * TIMEOUT_US  # all markets, or a page of history, are slower than an order
CLOCK_LOOK_US: Final = US_PER_S // 4

T = TypeVar("T")
Decode = Callable[[int, bytes, int], T]  # status, body, engine time of the read


class ReadLost(Exception):
    """The read did not succeed within the bounded retries, or was refused for good."""


class ApiClient:
    """Reads of one exchange over a few kept connections."""

    def __init__(
        self,
        env: Env,
        url: str,
        dialect: Dialect,
        signer: Signer | None,
        clock: VenueClock,
        rate: RateBudget,
        *,
        connections: int = 2,
    ) -> None:
        """Know the parts; connections open when they are needed.

        Args:
            env: the world.
            url: scheme://host[:port] of the exchange.
            dialect: its words.
            signer: who signs private reads; None = only public ones.
            clock: the exchange's time, kept by `keep_time`.
            rate: the account's requests, shared with the order path.
            connections: reads in the air at once.
        """
        self._env = env
        self._url = url
        self._dialect = dialect
        self._signer = signer
        self._clock = clock
        self._rate = rate
        self._free = asyncio.Semaphore(connections)
        self._idle: list[HttpWire] = []
        self._open: set[HttpWire] = set()
        self._is_closed = False

    def close(self) -> None:
        """End the connections; reads in the air are lost."""
        self._is_closed = True
        for wire in list(self._open):
            wire.close()

    # -- what there is to read --

    async def markets(self) -> tuple[dict[str, Instrument], dict[str, str]]:
        """Markets by symbol, and why others are not usable. Raises ReadLost."""
        return await self.get("markets", lambda _status, body, _ts: self._dialect.markets(body))

    async def terms(self) -> AccountTerms:
        """The account's rates and switches. Raises ReadLost."""
        return await self.get("account", lambda _status, body, ts_us: self._dialect.account(body, ts_us))

    async def status(self) -> str:
        """The exchange's word for its own state. Raises ReadLost."""
        return await self.get("status", lambda _status, body, _ts: self._dialect.status(body))

    async def depth(self, instrument: Instrument) -> BookSnapshot:
        """The whole book. Raises ReadLost."""
        symbol = instrument.symbol
        return await self.get(
            "depth", lambda _status, body, ts_us: self._dialect.depth(symbol, body, instrument, ts_us), symbol=symbol, limit="1000"
        )

    async def get(self, what: str, decode: Decode[T], *, accept: tuple[int, ...] = (200,), **params: str) -> T:
        """One read by the dialect's name, retried when it was lost, answered with 429 or 5xx, or unreadable.

        Args:
            what: the dialect's name of the read.
            decode: makes the result of status, body and engine time; raises WireError when the body is not what was asked for.
            accept: statuses that `decode` understands; any other below 500 is a refusal and not asked again.
            params: of the read.

        Raises:
            ReadLost: with the last reason.
        """
        backoff = Backoff(lambda n: int(self._env.random() * n), first_us=US_PER_S // 4, cap_us=4 * US_PER_S)
        reason = ""
        has_doubted = False
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._env.sleep(backoff.next_us())
            await self._await_budget(what)
            try:
                reply = await self._ask(what, params)
            except OSError as fault:
                reason = str(fault)
                continue
            if reply.status in accept:
                try:
                    return decode(reply.status, reply.body, reply.received_us)
                except WireError as fault:
                    reason = str(fault)
                    continue
            reason = f"HTTP {reply.status}: {_start(reply.body)}"
            if reply.status == 400 and reply.is_signed and not has_doubted:
                # Of all refusals the one worth a second try: our idea of the exchange's clock may be off.
                has_doubted = True
                self._clock.doubt()
                await self.sync_time()
            elif reply.status != 429 and reply.status < 500:
                raise ReadLost(f"{what}: refused with {reason}")
        raise ReadLost(f"{what}: {reason} ({ATTEMPTS} attempts)")

    # -- the exchange's clock --

    async def sync_time(self) -> None:
        """Ask for the time until the clock has what it wants. Raises ReadLost when it has never been read and cannot be."""
        reason = ""
        for _ in range(2 * ATTEMPTS):
            await self._await_budget("time")
            try:
                await self._sample_time()
            except (OSError, WireError) as fault:
                reason = str(fault)
                await self._env.sleep(US_PER_S // 4)
            if not self._clock.wants_sample:
                return
        if not self._clock.ready:
            raise ReadLost(f"the exchange's clock could not be read: {reason or 'every answer came too late to say anything'}")

    async def keep_time(self) -> None:
        """Keep the clock's estimate young, for ever; asked at once after a doubt."""
        backoff = Backoff(lambda n: int(self._env.random() * n), first_us=US_PER_S)
        while True:
            await self._env.sleep(CLOCK_LOOK_US)
            if not self._clock.due(self._env.now_us()):
                backoff.reset()
                continue
            try:
                if self._clock.wants_sample:
                    await self.sync_time()
                else:
                    await self._await_budget("time")
                    await self._sample_time()
            except (OSError, WireError, ReadLost):
                await self._env.sleep(backoff.next_us())

    # -- inside --

    async def _sample_time(self) -> None:
        """One sample for the clock. Raises OSError, WireError."""
        reply = await self._ask("time", {})
        if reply.status != 200:
            raise WireError(f"time: HTTP {reply.status}")
        self._clock.sample(reply.sent_us, reply.received_us, self._dialect.time_ms(reply.body))

    async def _await_budget(self, what: str) -> None:
        waited_us = 0
        while not self._rate.take(READ, self._env.now_us()):
            wait_us = self._rate.wait_us(READ, self._env.now_us())
            if waited_us + wait_us > BUDGET_WAIT_US:
                raise ReadLost(f"{what}: the budget of requests is used up for {wait_us // US_PER_S} s")
            look_us = min(wait_us, BUDGET_LOOK_US)  # a pause may end before its time, and a machine may sleep through it
            waited_us += look_us
            await self._env.sleep(look_us)

    async def _ask(self, what: str, params: Mapping[str, str]) -> "_Reply":
        """One attempt. Raises OSError."""
        async with self._free:
            wire = await self._take()
            done: asyncio.Future[tuple[int, Headers, bytes, int]] = asyncio.Future()

            def answered(status: int, headers: Headers, body: bytes) -> None:
                if not done.done():
                    done.set_result((status, headers, body, self._env.now_us()))

            def lost(reason: str) -> None:
                if not done.done():
                    done.set_exception(ConnectionError(reason))

            sent_us = self._env.now_us()
            try:
                request = self._dialect.read(what, self._signer, self._clock.venue_ms(sent_us), **params)
                wire.send(request, answered, lost, READ_TIMEOUT_US)
                status, headers, body, now_us = await done
            finally:
                if wire.is_idle:
                    self._idle.append(wire)
                else:
                    wire.close()  # whoever asked has gone; the answer must not meet the next question
        note_status(self._rate, status, headers, now_us)
        return _Reply(status, body, sent_us, now_us, is_signed=bool(request.headers))

    async def _take(self) -> HttpWire:
        """A connection nobody uses: a kept one, else a new one. Raises OSError."""
        while self._idle:
            wire = self._idle.pop()
            if wire.is_idle:
                return wire
        return await self._connect()

    async def _connect(self) -> HttpWire:
        if self._is_closed:
            raise ConnectionError("closed by us")
        wire = HttpWire(self._env, self._url, self, body_max=BODY_BYTES_MAX)
        self._open.add(wire)
        try:
            await wire.open()
        except BaseException:  # a cancelled start too leaves no wire behind; raised again
            self._open.discard(wire)
            raise
        return wire

    def wire_ended(self, wire: HttpWire, reason: str) -> None:
        """A connection is gone; the next read opens another."""
        del reason
        self._open.discard(wire)
        if wire in self._idle:
            self._idle.remove(wire)


class _Reply(NamedTuple):
    """An answer, when its question left and when it was here."""

    status: int
    body: bytes
    sent_us: int
    received_us: int
    is_signed: bool


def _start(body: bytes) -> str:
    """The start of a body for a text, harmless to a terminal."""
    return "".join(c if c.isprintable() else " " for c in body[:200].decode("utf-8", "replace"))
