"""The public half of a venue: one stream for all markets, books kept by snapshot and deltas, REST while the stream is down.

What leaves here are facts in the order in which they may be believed. How fresh they are is judged by whoever decides.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lemon_trader.api.client import ApiClient, ReadLost
from lemon_trader.core.events import BadFact, BookDelta, Event, FeedState
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.env import Env
from lemon_trader.exchanges.dialect import Dialect
from lemon_trader.utils.backoff import Backoff
from lemon_trader.venues.venue import Sink
from lemon_trader.websocket.client import AGE_US, StreamClient
from lemon_trader.websocket.depth_sync import DepthSync

CHECK_US: Final = 15 * US_PER_S  # a book that was quiet for this long is compared with REST
REREAD_US: Final = US_PER_S // 5  # between books while one is wanted that meets the deltas
RECHECK_US: Final = 2 * US_PER_S  # the stream's time to catch up with a REST book that was ahead of it
POLL_US: Final = 2 * US_PER_S  # between REST books while the stream is down
LOOK_US: Final = US_PER_S // 2


class MarketFeed:
    """Public facts of some markets, all of one network read in one call of the sink."""

    def __init__(
        self,
        env: Env,
        url: str,
        dialect: Dialect,
        client: ApiClient,
        instruments: Mapping[str, Instrument],
        symbols: Sequence[str],
        sink: Sink,
        *,
        age_us: int = AGE_US,
    ) -> None:
        """Know the parts; `start()` connects.

        Args:
            env: the world.
            url: of the stream.
            dialect: the exchange's words.
            client: reads the books.
            instruments: the markets by symbol.
            symbols: the markets to follow.
            sink: where facts go.
            age_us: a stream silent for this long is replaced.
        """
        self._env = env
        self._dialect = dialect
        self._client = client
        self._instruments = instruments
        self._sink = sink
        self._markets = {symbol: _Market(Backoff(lambda n: int(env.random() * n), first_us=US_PER_S)) for symbol in symbols}
        self._is_closed = False
        self.stream = StreamClient(env, url, "public", self, age_us=age_us)

    def start(self) -> None:
        """Connect, and keep the books."""
        self.stream.start()
        self._env.call_later(LOOK_US, self._look)

    def close(self) -> None:
        """End the stream."""
        self._is_closed = True
        self.stream.close()

    # -- the stream's callbacks --

    def hello(self) -> Sequence[bytes]:
        """One message that subscribes to everything; every book starts empty with it."""
        for market in self._markets.values():
            market.sync.restart()
        streams = [name for symbol in self._markets for name in self._dialect.public_streams(symbol, self._instruments[symbol])]
        return [self._dialect.subscribe(streams, None, 0)]

    def stream_messages(self, payloads: Sequence[bytes], ts_us: int, *, is_first: bool) -> None:
        """Facts of one read, deltas in their order."""
        facts: list[Event] = [FeedState(ts_us, "public", up=True)] if is_first else []
        frame, instruments, markets = self._dialect.frame, self._instruments, self._markets
        for payload in payloads:
            for fact in frame(payload, instruments, ts_us):
                if type(fact) is BookDelta:
                    market = markets.get(fact.symbol)
                    if market is not None:
                        market.moved_us = ts_us
                        facts += market.sync.delta(fact)
                else:
                    facts.append(fact)
        if facts:
            self._sink(facts)
        for symbol, market in markets.items():
            if market.sync.fault:
                self.stream.restart(f"{symbol}: {market.sync.fault}")
                return
            if market.sync.wants_snapshot and self._is_due(market, ts_us):
                self._read(symbol, market)

    def stream_ended(self, reason: str, ts_us: int) -> None:
        """Nobody quotes on a stream that is down; the books go on by REST."""
        self._sink([FeedState(ts_us, "public", up=False, reason=reason)])

    # -- books by REST --

    def _look(self) -> None:
        """Look after every book twice a second."""
        if self._is_closed:
            return
        now_us = self._env.now_us()
        for symbol, market in self._markets.items():
            if self._is_due(market, now_us):
                self._read(symbol, market)
        self._env.call_later(LOOK_US, self._look)

    def _is_due(self, market: "_Market", now_us: int) -> bool:
        """Whether a book shall be read by REST now."""
        passed_us = now_us - market.read_us
        if market.is_reading:
            return False
        if not self.stream.is_up:
            return passed_us >= POLL_US
        if market.sync.wants_snapshot:
            return passed_us >= REREAD_US
        if market.sync.is_ahead:
            return passed_us >= RECHECK_US
        return min(passed_us, now_us - market.moved_us) >= CHECK_US

    def _read(self, symbol: str, market: "_Market") -> None:
        market.is_reading = True
        self._env.spawn(self._read_book(symbol, market), f"book of {symbol}")

    async def _read_book(self, symbol: str, market: "_Market") -> None:
        epoch = self.stream.epoch
        instrument = self._instruments[symbol]
        try:
            book = await self._client.depth(instrument)
        except ReadLost as fault:
            self._tell([BadFact(self._env.now_us(), "depth", symbol, str(fault), "")])
            await self._env.sleep(market.backoff.next_us())
            market.is_reading = False
            return
        market.is_reading = False
        if instrument is not self._instruments[symbol]:
            return  # its grid may be another one by now: the next look reads again
        market.read_us = self._env.now_us()
        market.backoff.reset()
        if not self.stream.is_up:
            self._tell([book])
        elif epoch == self.stream.epoch:
            self._tell(market.sync.snapshot(book))
            if market.sync.fault:
                self.stream.restart(f"{symbol}: {market.sync.fault}")

    def _tell(self, facts: Sequence[Event]) -> None:
        """Tell facts that waited, stamped with now: they are believed from this moment on, and engine time does not go back."""
        if facts and not self._is_closed:
            now_us = self._env.now_us()
            self._sink([msgspec.structs.replace(fact, ts_us=now_us) for fact in facts])


class _Market:
    """What is known of one market's depth, when it was read by REST, and when the stream last moved it."""

    def __init__(self, backoff: Backoff) -> None:
        self.sync = DepthSync()
        self.backoff = backoff
        self.is_reading = False
        self.read_us = 0
        self.moved_us = 0
