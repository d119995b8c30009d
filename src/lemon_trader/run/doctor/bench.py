"""The bench on which live checks work: every order stands in the store before a byte of it leaves, and has ended before a check is done.

Nothing is sent twice, nothing but its own orders is cancelled, and what it bought it sells. A bench that dies in the middle leaves
`live-checks-out.json`; `clean()` of the next one goes through it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

from lemon_trader.api.client import ReadLost
from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import (
    BadFact,
    CancelAnswered,
    Event,
    FeedState,
    Fill,
    MarkPrice,
    OrderRow,
    PlaceAccepted,
    PlaceRefused,
    PlaceUnknown,
)
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, POST_ONLY, REDUCE_ONLY, SELL, TAKE, US_PER_MS, US_PER_S
from lemon_trader.env import Store
from lemon_trader.exchanges.dialect import WireError
from lemon_trader.run.doctor.record import Result, read_out, write_out
from lemon_trader.run.menu_figures import Liquidity, liquidity
from lemon_trader.run.reach import Asker, Reach, Reply

SKEW_MS: Final = 3_000  # beyond the window of a signature: from then on the edge cannot take the order any more
END_US: Final = 30 * US_PER_S
AGAIN_US: Final = US_PER_S // 4
STREAM_US: Final = 10 * US_PER_S
AWAY_PPM: Final = 50_000  # how far under the touch a resting order of the checks lies
REACH_PPM: Final = 5_000  # how far through the touch a taking one may reach
SELLS: Final = 6
ENDED: Final = frozenset({"filled", "cancelled", "expired"})


T = TypeVar("T")


class CheckFailed(Exception):
    """The exchange does not do what the program relies on, or the check could not be done. A message id with its values."""

    def __init__(self, key: str, findings: dict[str, Any] | None = None, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values
        self.findings = findings or {}


class Check(NamedTuple):
    """One check: its name, its description (message id, with `symbol` and `worth`), whether it sends orders, and what it does.

    `run` gives (message id, its values, findings) when the exchange does what it should, and raises CheckFailed else.
    """

    name: str
    about: str
    sends: bool
    run: "Callable[[Bench], Awaitable[tuple[str, dict[str, object], dict[str, Any]]]]"


class Leftovers(NamedTuple):
    """What was cleaned up: orders looked after, and lots sold."""

    orders: int
    lots: int


class Placed(NamedTuple):
    """An order that was sent: its id, what the exchange said as a fact, and the raw answer (None = none came)."""

    client_id: int
    fact: Event
    reply: Reply | None

    @property
    def order_id(self) -> str:
        """The exchange's id; "" where it was not accepted."""
        return self.fact.order_id if isinstance(self.fact, PlaceAccepted) else ""

    @property
    def said(self) -> str:
        """The raw answer's beginning, for a text."""
        return "-" if self.reply is None else f"HTTP {self.reply.status} {self.reply.body[:160].decode(errors='replace')}"


class Bench:
    """Orders for checks.

    Attributes:
        perp, spot: the markets to work in; None where none was named.
        cancels: (outcome, how long until the end was proven, µs) of every cancel in this bench.
    """

    def __init__(self, reach: Reach, store: Store, symbols: Sequence[str]) -> None:
        """Know the parts. Raises ValueError, OSError where the store's record of earlier orders cannot be read."""
        assert reach.signer is not None
        self.reach = reach
        self.signer = reach.signer
        self._store = store
        self._symbols = symbols
        self._asker = Asker(reach.env, reach.rest_url)
        self._out = read_out(store, self.signer.api_key)
        self._ours: set[int] = set()
        self._known: set[int] = set()  # acknowledged by the exchange
        self.markets: dict[str, Instrument] = {}
        self.perp: Instrument | None = None
        self.spot: Instrument | None = None
        self.cancels: list[tuple[str, int]] = []

    # -- a check from start to end --

    async def carry(self, check: Check) -> Result:
        """Do one check; whatever way it ends, its orders have ended and its position is closed, or the store still names them."""
        now_us = self.reach.env.now_us
        passed = False
        try:
            await self._open(sends=check.sends)
            try:
                key, values, findings = await check.run(self)
                passed = True
            finally:
                await self.tidy()
        except CheckFailed as failed:
            key, values, findings = failed.key, failed.values, failed.findings
            passed = False
        except (ReadLost, OSError, WireError) as error:
            key, values, findings, passed = "checks.unfinished", {"reason": str(error)}, {}, False
        finally:
            self._asker.close()
        return Result(passed, now_us(), key, {name: str(value) for name, value in values.items()}, findings)

    async def clean(self) -> Leftovers:
        """End every order that an interrupted check may have out, and sell what it bought. Raises ReadLost, OSError, CheckFailed."""
        count = len(self._out.orders)
        try:
            await self._read_markets()
            return Leftovers(count, await self.tidy())
        finally:
            self._asker.close()

    async def tidy(self) -> int:
        """Cancel every order that may rest, sell what was bought; the lots sold. Raises CheckFailed when an end could not be proven."""
        for symbol, client_id in list(self._out.orders):
            await self.end(symbol, client_id)
        sold = await self._flatten()
        self._out.perp, self._out.lots_max = "", 0
        self._write()
        return sold

    # -- orders --

    async def place(
        self, m: Instrument, kind: int, *, side: int = BUY, ticks: int = 0, trigger: int = 0, lots: int = 0, flags: int = 0,
        client_id: int | None = None, late_ms: int = 0,
    ) -> Placed:  # fmt: skip
        """Send one order, once. `lots` 0 = the market's smallest; `late_ms` signs it with a time so far back."""
        name = self.new_id() if client_id is None else client_id
        await self.reach.fresh_clock()
        stamp_ms = self.reach.venue_ms()
        is_new = (m.symbol, name) not in self._out.orders
        if is_new:
            self._out.orders.append((m.symbol, name))
        self._out.sent_ms = stamp_ms
        self._write()
        order = Place(m.symbol, name, side, kind, flags, ticks, trigger, lots or m.min_lots)
        request = self.reach.dialect.place([order], self.markets, self.signer, stamp_ms - late_ms)
        try:
            reply = await self._asker.ask(request)
        except OSError as error:
            return Placed(name, PlaceUnknown(self.reach.env.now_us(), m.symbol, name, str(error)), None)
        fact = self.reach.dialect.place_answer([order], reply.status, reply.body, self.markets, reply.received_us)[0]
        if isinstance(fact, PlaceAccepted):
            self._known.add(name)
            if fact.status in ENDED:
                self._forget(m.symbol, name)
        elif isinstance(fact, PlaceRefused) and is_new:
            self._forget(m.symbol, name)  # a definite no: there is nothing to look after
        return Placed(name, fact, reply)

    async def rest(self, m: Instrument, client_id: int | None = None) -> Placed:
        """A smallest post-only bid that rests well below the touch, accepted. Raises CheckFailed."""
        placed = await self.place(m, POST_ONLY, ticks=await self.resting_ticks(m), client_id=client_id)
        if not isinstance(placed.fact, PlaceAccepted):
            raise CheckFailed("checks.not-taken", symbol=m.symbol, said=placed.said)
        return placed

    async def buy(self, m: Instrument) -> Placed:
        """Buy the market's smallest quantity at once, on a perpetual; it is sold again by `tidy`. Raises CheckFailed."""
        assert m.is_perp
        self._out.perp = m.symbol
        self._out.lots_max += m.min_lots
        self._write()
        return await self.take(m, BUY, m.min_lots)

    async def take(self, m: Instrument, side: int, lots: int) -> Placed:
        """Trade at once, no further through the touch than half a percent; a sell only reduces. Raises CheckFailed."""
        near = await self.near(m)
        if side == BUY:
            ticks = near.asks[0][0] * (1_000_000 + REACH_PPM) // 1_000_000
        else:
            ticks = -(-near.bids[0][0] * (1_000_000 - REACH_PPM) // 1_000_000)
        placed = await self.place(m, TAKE, side=side, ticks=ticks, lots=lots, flags=REDUCE_ONLY if side == SELL else 0)
        if not isinstance(placed.fact, PlaceAccepted):
            raise CheckFailed("checks.not-taken", symbol=m.symbol, said=placed.said)
        return placed

    async def cancel(self, symbol: str, client_id: int, order_id: str = "") -> CancelAnswered:
        """Ask once for the end of an order. A lost answer is an answer: unknown."""
        await self.reach.fresh_clock()
        order = Cancel(symbol, client_id, order_id)
        try:
            reply = await self._asker.ask(self.reach.dialect.cancel(order, self.signer, self.reach.venue_ms()))
        except OSError as error:
            return CancelAnswered(self.reach.env.now_us(), 0, symbol, client_id, "unknown", reason=str(error))
        answer = self.reach.dialect.cancel_answer(order, reply.status, reply.body, self.markets, reply.received_us)[0]
        assert isinstance(answer, CancelAnswered)
        return answer

    async def end(self, symbol: str, client_id: int) -> CancelAnswered:
        """Cancel until the end is proven: a definite answer after nothing of it can arrive any more, and no open order of that id.

        Raises:
            CheckFailed: it could not be proven in half a minute; the store goes on naming the order.
        """
        env = self.reach.env
        begun_us = env.now_us()
        first: CancelAnswered | None = None
        while env.now_us() - begun_us < END_US + SKEW_MS * US_PER_MS:
            answer = await self.cancel(symbol, client_id)
            first = first or answer
            if answer.outcome in {"cancelled", "not_found"}:
                rows = [row for row in await self.open_orders(symbol) if row.client_id == client_id]
                for row in rows:  # two under one id: the exchange took what it ought to refuse
                    await self.cancel(symbol, client_id, row.order_id)
                # "Not found" proves an end only where the order was known before, or can arrive no more.
                if not rows and (answer.outcome == "cancelled" or client_id in self._known or self._is_over()):
                    self.cancels.append((first.outcome, env.now_us() - begun_us))
                    self._forget(symbol, client_id)
                    return first
            await env.sleep(AGAIN_US)
        raise CheckFailed("checks.no-end", symbol=symbol, client_id=client_id, reason=first.reason if first is not None else "-")

    def new_id(self) -> int:
        """A client id that was never used."""
        self._out.next_id += 1
        self._ours.add(self._out.next_id)
        return self._out.next_id

    # -- reads --

    async def near(self, m: Instrument) -> Liquidity:
        """The book near its touch, with something on both sides. Raises ReadLost, CheckFailed."""
        book = await self.reach.client.depth(m)
        near = liquidity(book.bids, book.asks)
        if not near.bids or not near.asks:
            raise CheckFailed("checks.empty-book", symbol=m.symbol)
        return near

    async def resting_ticks(self, m: Instrument) -> int:
        """Where a bid of the checks rests: far under the touch, within the market's bands."""
        near = await self.near(m)
        bid = near.bids[0][0]
        low_ppm = max(1_000_000 - AWAY_PPM, m.low_ppm + AWAY_PPM // 10, m.band_low_ppm + AWAY_PPM // 10)
        return int(max(bid * min(low_ppm, 995_000) // 1_000_000, m.min_ticks))

    async def mark_ticks(self, m: Instrument) -> int:
        """The mark price. Raises ReadLost, CheckFailed."""

        def decode(_status: int, body: bytes, ts_us: int) -> list[MarkPrice]:
            return self.reach.dialect.mark_prices(body, {m.symbol: m}, ts_us)

        rows = await self.reach.client.get("mark_prices", decode)
        if not rows:
            raise CheckFailed("checks.no-mark", symbol=m.symbol)
        return rows[0].mark_ticks

    async def open_orders(self, symbol: str) -> list[OrderRow]:
        """Open orders of a market. Raises ReadLost."""
        m = self.markets[symbol]

        def decode(_status: int, body: bytes, _ts: int) -> list[OrderRow]:
            return self.reach.dialect.orders(body, {symbol: m}, is_open=True)

        return await self._signed("open_orders", decode, symbol=symbol)

    async def history(self, symbol: str) -> list[OrderRow]:
        """The newest orders of the history. Raises ReadLost."""
        m = self.markets[symbol]

        def decode(_status: int, body: bytes, _ts: int) -> list[OrderRow]:
            return self.reach.dialect.orders(body, {symbol: m}, is_open=False)

        return await self._signed("order_history", decode, symbol=symbol, limit="50")

    async def fills(self, symbol: str) -> list[Fill]:
        """The newest fills of the history. Raises ReadLost."""
        m = self.markets[symbol]

        def decode(_status: int, body: bytes, ts_us: int) -> list[Fill]:
            return self.reach.dialect.fills(body, {symbol: m}, ts_us)

        return await self._signed("fill_history", decode, symbol=symbol, limit="100")

    async def held_lots(self, m: Instrument) -> int:
        """The position, signed lots. Raises ReadLost."""

        def decode(status: int, body: bytes, ts_us: int) -> int:
            return sum(row.lots for row in self.reach.dialect.positions(status, body, {m.symbol: m}, ts_us))

        await self.reach.fresh_clock()
        return await self.reach.client.get("position", decode, accept=(200, 404), symbol=m.symbol)

    async def raw(self, what: str, **params: str) -> Reply:
        """One read as it is answered, without any patience. Raises OSError, ReadLost."""
        await self.reach.fresh_clock()
        return await self._asker.ask(self.reach.dialect.read(what, self.signer, self.reach.venue_ms(), **params))

    @asynccontextmanager
    async def listening(self, m: Instrument) -> AsyncIterator[list[Event]]:
        """The account's stream while the block runs: its facts as they come. Raises CheckFailed when it does not come up."""
        facts: list[Event] = []
        feed = self.reach.account_feed(self.markets, m.symbol, facts.extend)
        feed.start()
        try:
            await self.until(lambda: any(isinstance(f, FeedState) and f.up for f in facts), STREAM_US)
            if not any(isinstance(f, FeedState) and f.up for f in facts):
                reasons = [f.reason for f in facts if isinstance(f, (FeedState, BadFact))]
                raise CheckFailed("checks.no-stream", reason=reasons[-1] if reasons else "-")
            yield facts
        finally:
            feed.close()

    async def until(self, true: Callable[[], bool], limit_us: int) -> bool:
        """Wait for something that happens by itself, so long at most; whether it did."""
        begun_us = self.reach.env.now_us()
        while not true():
            if self.reach.env.now_us() - begun_us >= limit_us:
                return False
            await self.reach.env.sleep(AGAIN_US // 5)
        return True

    def is_ours(self, client_id: int) -> bool:
        """An id of this bench."""
        return client_id in self._ours

    # -- inside --

    async def _open(self, *, sends: bool) -> None:
        """Markets read, leftovers cleaned; a perpetual to trade in is flat and has no order of anybody's. Raises CheckFailed."""
        await self._read_markets()
        if self._out.orders or self._out.perp:
            await self.tidy()
        if sends:
            for m in (self.perp, self.spot):
                if m is not None and await self.open_orders(m.symbol):
                    raise CheckFailed("checks.not-empty", symbol=m.symbol)
            if self.perp is not None and await self.held_lots(self.perp):
                raise CheckFailed("checks.not-flat", symbol=self.perp.symbol)

    async def _read_markets(self) -> None:
        self.markets = (await self.reach.client.markets())[0]
        await self.reach.fresh_clock()
        named = [self.markets[symbol] for symbol in self._symbols if symbol in self.markets]
        self.perp = next((m for m in named if m.is_perp), None)
        self.spot = next((m for m in named if not m.is_perp), None)

    async def _flatten(self) -> int:
        """Sell what the checks bought, never more; the lots sold. Raises CheckFailed when some of it is left."""
        m = self.markets.get(self._out.perp)
        if m is None:
            return 0
        sold = 0
        for _ in range(SELLS):
            held = await self.held_lots(m)
            lots = min(held, self._out.lots_max - sold)
            if lots <= 0:
                return sold
            placed = await self.take(m, SELL, lots)
            await self.end(m.symbol, placed.client_id)
            sold += held - await self.held_lots(m)
        raise CheckFailed("checks.not-sold", symbol=m.symbol)

    async def _signed(self, what: str, decode: Callable[[int, bytes, int], T], **params: str) -> T:
        await self.reach.fresh_clock()
        return await self.reach.client.get(what, decode, accept=(200,), **params)

    def _is_over(self) -> bool:
        """Whether nothing that was sent can still be accepted: the last signature's window has passed at the exchange."""
        return self.reach.venue_ms() > self._out.sent_ms + self.reach.dialect.window_ms + SKEW_MS

    def _forget(self, symbol: str, client_id: int) -> None:
        self._out.orders = [one for one in self._out.orders if one != (symbol, client_id)]
        self._write()

    def _write(self) -> None:
        write_out(self._store, self._out)
