"""Market data from the exchange into the store: page by page, within its rate limit, each page kept as soon as it is there.

What was asked for is remembered with the rows, so an interrupted fetch goes on where it stopped and a finished one asks for nothing.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from lemon_trader.api.client import ApiClient
from lemon_trader.core.events import PublicTrade
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, SELL, US_PER_MS, US_PER_S
from lemon_trader.database.history import BARS, TRADES, History, Series, Span
from lemon_trader.env import Env
from lemon_trader.exchanges.dialect import Candle, Dialect, WireError
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import RateBudget

PAGE_ROWS: Final = 1_000  # what clients take the exchange to give at most; an answer that was cut is noticed all the same
SETTLE_US: Final = 10 * US_PER_S  # after its end a bar may still change: the exchange gathers its trades with some delay
PER_MINUTE: Final = 30  # requests of history that the exchange serves, by its own word


class Fetched(msgspec.Struct):
    """What a fetch did so far: requests, rows that are new, rows that were there already."""

    requests: int = 0
    new: int = 0
    repeated: int = 0


class Fetcher:
    """Reads of one exchange into one store.

    Attributes:
        done: what it did so far.
        is_stopping: set from outside; the page in the air is still kept.
    """

    def __init__(
        self, env: Env, url: str, dialect: Dialect, history: History, *, rate: RateBudget | None = None, page_rows: int = PAGE_ROWS,
        told: Callable[[str, int], None] = lambda _symbol, _at_us: None,
    ) -> None:  # fmt: skip
        """Know the parts; nothing connects yet.

        Args:
            env: the world.
            url: where the exchange is.
            dialect: its words.
            history: where the rows go.
            rate: of requests; None = what the exchange serves of history.
            page_rows: asked for at once.
            told: called after each page with the market and how far it has come, µs UTC.
        """
        self._dialect = dialect
        self._history = history
        self._page_rows = page_rows
        self._told = told
        rate = rate or RateBudget(per_minute=PER_MINUTE, burst=6, place_floor=1, read_floor=2)
        self._client = ApiClient(env, url, dialect, None, VenueClock(), rate)
        self.done = Fetched()
        self.is_stopping = False

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    async def markets(self) -> dict[str, Instrument]:
        """The exchange's markets. Raises ReadLost."""
        return (await self._client.markets())[0]

    async def now_us(self) -> int:
        """The exchange's clock, µs UTC, to the millisecond. Raises ReadLost."""
        return await self._client.get("time", lambda _status, body, _ts: self._dialect.time_ms(body)) * US_PER_MS

    async def bars(self, instrument: Instrument, interval: str, every_us: int, start_us: int, end_us: int) -> None:
        """Everything of [start_us, end_us) that was not asked for yet and has happened, oldest first.

        A bar is kept once it has ended and settled. Raises ReadLost, HistoryError, OSError.
        """
        series = Series(instrument.symbol, BARS.name, every_us)
        last_us = min(end_us, await self.now_us() - SETTLE_US)
        start_us, last_us = -(-start_us // every_us) * every_us, last_us // every_us * every_us
        for begin, end in self._history.missing(series, start_us, max(start_us, last_us)):
            for page_us in range(begin, end, self._page_rows * every_us):
                if self.is_stopping:
                    return
                await self._bar_page(series, instrument, interval, (page_us, min(end, page_us + self._page_rows * every_us)))

    async def trades(self, instrument: Instrument, start_us: int) -> None:
        """Every trade since `start_us` that was not fetched yet, newest first, because the exchange pages that way.

        Where the exchange has none so old, what it has. Raises ReadLost, HistoryError, OSError.
        """
        series = Series(instrument.symbol, TRADES.name)
        now_us = await self.now_us()
        offset, bound_us = 0, 0
        leap: tuple[int, int] | None = None  # (where to go back to, start of the stored span that was leapt over)
        while not self.is_stopping:
            rows = await self._trade_page(instrument, offset)
            if leap is not None and (not rows or max(t.venue_us for t in rows) < leap[1]):
                offset, leap = leap[0], None  # more is stored than the exchange counts: walk instead
                continue
            if not rows:
                return
            newest_us, oldest_us = max(t.venue_us for t in rows), min(t.venue_us for t in rows)
            # Of the oldest millisecond some may be on the next page; of the newest some may be on their way.
            span = (oldest_us + US_PER_MS, max(bound_us or newest_us, oldest_us + US_PER_MS))
            self._keep_trades(series, instrument, rows, span)
            bound_us = oldest_us + US_PER_MS
            self._told(instrument.symbol, oldest_us)
            if oldest_us < start_us:
                return
            offset, leap = offset + len(rows), None
            begin_us = next((b for b, e in self._history.covered(series, start_us, now_us) if b < oldest_us <= e), None)
            if begin_us is not None:
                if begin_us <= start_us:
                    return
                _, stored = self._history.read(series, begin_us, oldest_us)
                leap = (offset, begin_us)
                offset += max(0, len(stored["at_us"]) - 1)
                bound_us = begin_us

    async def _bar_page(self, series: Series, instrument: Instrument, interval: str, page: Span) -> None:
        """All bars of one page. An answer that does not reach both ends is asked again for what it left out, until nothing comes."""
        spans = [page]
        found: list[Candle] = []
        while spans:
            begin, end = spans.pop()
            answer = await self._klines(instrument, interval, begin, end, series.every_us)
            candles = sorted((c for c in answer if begin <= c.start_us < end), key=lambda c: c.start_us)
            if candles:
                found += candles
                rest = ((begin, candles[0].start_us), (candles[-1].start_us + series.every_us, end))
                spans += [span for span in rest if span[0] < span[1]]
        found.sort(key=lambda c: c.start_us)
        traded = [c for c in found if c.open_ticks]  # a bucket without a trade has no price; that it was asked for is remembered
        rows = {
            "at_us": [c.start_us for c in traded], "open": [c.open_ticks for c in traded], "high": [c.high_ticks for c in traded],
            "low": [c.low_ticks for c in traded], "close": [c.close_ticks for c in traded], "lots": [c.volume_lots for c in traded],
        }  # fmt: skip
        added = self._history.add(series, instrument, {name: np.array(column, np.int64) for name, column in rows.items()}, page)
        self.done.new += added.new
        self.done.repeated += added.repeated
        self._told(series.symbol, page[1])

    async def _klines(self, instrument: Instrument, interval: str, begin_us: int, end_us: int, every_us: int) -> list[Candle]:
        self.done.requests += 1
        last_s = (end_us - every_us) // US_PER_S  # the exchange counts a bar that begins at the end in

        def decode(_status: int, body: bytes, _ts: int) -> list[Candle]:
            candles = self._dialect.klines(body, instrument)
            if any(c.start_us % every_us for c in candles):
                raise WireError(f"klines: bars that do not begin at whole {interval}")
            return candles

        return await self._client.get(
            "klines", decode, symbol=instrument.symbol, interval=interval, startTime=str(begin_us // US_PER_S), endTime=str(last_s)
        )

    async def _trade_page(self, instrument: Instrument, offset: int) -> list[PublicTrade]:
        self.done.requests += 1
        symbol = instrument.symbol
        return await self._client.get(
            "trade_history", lambda _status, body, ts_us: self._dialect.trades(symbol, body, instrument, ts_us),
            symbol=symbol, limit=str(self._page_rows), offset=str(offset),
        )  # fmt: skip

    def _keep_trades(self, series: Series, instrument: Instrument, rows: Sequence[PublicTrade], span: Span) -> None:
        ordered = sorted(rows, key=lambda t: (t.venue_us, t.trade_id))
        columns = {
            "at_us": [t.venue_us for t in ordered], "id": [t.trade_id for t in ordered],
            "side": [SELL if t.buyer_is_maker else BUY for t in ordered], "ticks": [t.price_ticks for t in ordered],
            "lots": [t.qty_lots for t in ordered],
        }  # fmt: skip
        covered = span if span[0] < span[1] else None
        added = self._history.add(series, instrument, {name: np.array(c, np.int64) for name, c in columns.items()}, covered)
        self.done.new += added.new
        self.done.repeated += added.repeated
