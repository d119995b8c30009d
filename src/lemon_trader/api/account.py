"""One reconciliation: everything the exchange says of an account in some markets, all of it or nothing.

The order of the reads matters: open orders first, then how orders ended, then fills. An order that ends while we read is then found at
least once; the other way round it could slip through between two lists.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from lemon_trader.api.client import ApiClient, ReadLost
from lemon_trader.core.events import AccountRead, BadFact, Balance, CashMove, Fill, OrderRow, VenuePosition
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_MS
from lemon_trader.env import Env
from lemon_trader.exchanges.dialect import Dialect, WireError
from lemon_trader.utils.clock import VenueClock

PAGE: Final = 200
OVERLAP: Final = 20  # rows that two neighbouring pages must share, so that none can slip through between them
RESTARTS: Final = 3
PAGES_MAX: Final = 150

T = TypeVar("T")


class AccountReader:
    """Reads an account."""

    def __init__(
        self, env: Env, client: ApiClient, dialect: Dialect, clock: VenueClock, *, page: int = PAGE, overlap: int = OVERLAP
    ) -> None:
        """Know the parts. `page` rows are asked for at a time, neighbours share `overlap` of them."""
        assert 0 < overlap < page
        self._env = env
        self._client = client
        self._dialect = dialect
        self._clock = clock
        self._page = page
        self._overlap = overlap

    async def read(self, instruments: Mapping[str, Instrument], since_us: int) -> AccountRead:
        """The account in these markets, histories back to `since_us` (exchange time).

        Raises:
            ReadLost: one of the reads did not succeed, or a row that may matter could not be read.
        """
        begun_us = self._env.now_us()
        opened: list[OrderRow] = []
        history: list[OrderRow] = []
        fills: list[Fill] = []
        moves: list[CashMove] = []
        positions: list[VenuePosition] = []
        for market in instruments.values():
            opened += await self._open_orders(market)
        for market in instruments.values():
            history += await self._order_history(market, since_us)
        for market in instruments.values():
            fills += reversed(await self._fills(market, since_us, begun_us))
        for market in instruments.values():
            if market.is_perp:
                moves += reversed(await self._funding(market, since_us, begun_us))
        balances = await self._balances(instruments)
        for market in instruments.values():
            if market.is_perp:
                positions += await self._position(market)
        return AccountRead(
            self._env.now_us(), begun_us, self._clock.venue_us(begun_us), since_us, tuple(instruments), tuple(opened), tuple(history),
            tuple(fills), tuple(moves), tuple(balances), tuple(positions),
        )  # fmt: skip

    # -- single reads --

    async def _open_orders(self, market: Instrument) -> list[OrderRow]:
        def decode(_status: int, body: bytes, _ts_us: int) -> list[OrderRow]:
            return _all_read(lambda bad: self._dialect.orders(body, {market.symbol: market}, is_open=True, bad=bad), {market.symbol})

        return await self._client.get("open_orders", decode, symbol=market.symbol)

    async def _order_history(self, market: Instrument, since_us: int) -> list[OrderRow]:
        def rows(body: bytes) -> list[OrderRow]:
            return _all_read(lambda bad: self._dialect.orders(body, {market.symbol: market}, is_open=False, bad=bad), {market.symbol})

        return await self._pages("order_history", rows, lambda row: row.created_us, since_us, symbol=market.symbol)

    async def _fills(self, market: Instrument, since_us: int, stamp_us: int) -> list[Fill]:
        def rows(body: bytes) -> list[Fill]:
            # One stamp for all pages: rows are compared whole where they have no id.
            return _all_read(lambda bad: self._dialect.fills(body, {market.symbol: market}, stamp_us, bad=bad), {market.symbol})

        since_ms = max(0, since_us // US_PER_MS)
        return await self._pages("fill_history", rows, lambda row: row.venue_us, since_us, symbol=market.symbol, **{"from": str(since_ms)})

    async def _funding(self, market: Instrument, since_us: int, stamp_us: int) -> list[CashMove]:
        def rows(body: bytes) -> list[CashMove]:
            return _all_read(lambda bad: self._dialect.funding(body, stamp_us, bad=bad), {market.symbol})

        moves = await self._pages("funding_history", rows, lambda row: row.venue_us, since_us, symbol=market.symbol)
        return [move for move in moves if move.symbol == market.symbol]

    async def _balances(self, instruments: Mapping[str, Instrument]) -> list[Balance]:
        assets = {asset for instrument in instruments.values() for asset in (instrument.base, instrument.quote)}

        def decode(_status: int, body: bytes, ts_us: int) -> list[Balance]:
            return _all_read(lambda bad: self._dialect.balances(body, ts_us, bad=bad), assets)

        return await self._client.get("capital", decode)

    async def _position(self, market: Instrument) -> list[VenuePosition]:
        def decode(status: int, body: bytes, ts_us: int) -> list[VenuePosition]:
            return _all_read(lambda bad: self._dialect.positions(status, body, {market.symbol: market}, ts_us, bad=bad), {market.symbol})

        return await self._client.get("position", decode, accept=(200, 404), symbol=market.symbol)

    # -- paging --

    async def _pages(
        self, what: str, rows_of: Callable[[bytes], list[T]], time_of: Callable[[T], int], since_us: int, **params: str
    ) -> list[T]:
        """All rows back to `since_us`, newest first. Raises ReadLost."""
        since_us -= since_us % US_PER_MS  # histories tell milliseconds: what happened in the same one is not older
        for _ in range(RESTARTS):
            rows: list[T] = []
            moved = 0  # rows that came in front since the first page: everything stands that much further down
            for _ in range(PAGES_MAX):
                expected = min(self._overlap, len(rows))
                offset = len(rows) - expected + moved
                page = await self._client.get(
                    what, lambda _status, body, _ts: rows_of(body), accept=(200,), limit=str(self._page), offset=str(offset), **params
                )
                joined = join_pages(rows, page, expected)
                if joined is None:
                    break
                if len(page) < self._page or time_of(page[-1]) < since_us:
                    return [row for row in joined if time_of(row) >= since_us]
                moved += len(rows) + len(page) - len(joined) - expected
                rows = joined
            else:
                raise ReadLost(f"{what}: {PAGES_MAX} pages did not reach the time asked for")
        raise ReadLost(f"{what}: the pages do not fit together; rows moved or vanished while they were read")


def join_pages(rows: list[T], page: list[T], overlap: int) -> list[T] | None:
    """`rows` continued by `page`, which should begin with the last `overlap` of them, or with more when new rows came in front.

    None when the page fits nowhere: rows were lost in between. Rows need no id; equal rows stay as many as they are.
    """
    if not rows:
        return list(page)
    for shared in range(overlap, min(len(rows), len(page)) + 1):
        if rows[-shared:] == page[:shared]:
            return rows + page[shared:]
    return None


def _all_read(read: Callable[[list[BadFact]], list[T]], ours: Sequence[str] | set[str]) -> list[T]:
    """The rows, when every one that may be ours could be read: a row lost in silence would pass for proof of absence. Raises WireError."""
    bad: list[BadFact] = []
    rows = read(bad)
    for fact in bad:
        if not fact.symbol or fact.symbol in ours:
            raise WireError(f"a row could not be read: {fact.reason}")
    return rows
