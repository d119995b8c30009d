"""A real exchange, or one that speaks like it: commands over the order wire, facts from streams and reads."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lemon_trader.api.account import AccountReader
from lemon_trader.api.client import ApiClient, ReadLost
from lemon_trader.api.order_wire import OrderWire
from lemon_trader.core.commands import Command
from lemon_trader.core.events import AccountRead, AccountTerms, BookSnapshot, BookState, Event, VenueStatus
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_MS, US_PER_S
from lemon_trader.env import Env, Timer
from lemon_trader.exchanges.dialect import Dialect, Signer
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import RateBudget
from lemon_trader.venues.account_feed import AccountFeed
from lemon_trader.venues.market_feed import MarketFeed
from lemon_trader.venues.venue import Sink, VenueLost
from lemon_trader.websocket.client import AGE_US

STATUS_US: Final = 30 * US_PER_S
STATUS_BAD_US: Final = 5 * US_PER_S  # while the exchange is not well, or could not be asked
MARKETS_US: Final = 300 * US_PER_S  # the catalogue is cached for minutes before it reaches us
GRID: Final = ("kind", "tick", "lot", "base", "quote")


class LiveVenue:
    """`Venue` over sockets.

    Attributes:
        clock: the estimate of the exchange's time.
        rate: the account's budget of requests.
    """

    def __init__(
        self,
        env: Env,
        dialect: Dialect,
        signer: Signer,
        sink: Sink,
        *,
        rest_url: str,
        ws_url: str,
        age_us: int = AGE_US,
        connections: int = 3,
    ) -> None:
        """Know the parts; nothing connects before it is asked to.

        Args:
            env: the world.
            dialect: the exchange's words.
            signer: who signs.
            sink: where facts go, all of one network read in one call, never during `send`.
            rest_url: scheme://host[:port] of requests.
            ws_url: of the streams.
            age_us: a stream silent for this long is replaced.
            connections: of the order path.
        """
        self._env = env
        self._dialect = dialect
        self._signer = signer
        self._sink = sink
        self._ws_url = ws_url
        self._age_us = age_us
        self._markets: dict[str, Instrument] = {}
        self._states: dict[str, str] = {}
        self._tasks: list[Timer] = []
        self._feeds: list[MarketFeed | AccountFeed] = []
        self._is_closed = False
        self.clock = VenueClock()
        self.rate = RateBudget()
        self._client = ApiClient(env, rest_url, dialect, signer, self.clock, self.rate)
        self._account = AccountReader(env, self._client, dialect, self.clock)
        self._orders = OrderWire(
            env, rest_url, dialect, signer, self.clock, self.rate, self._markets, self._tell, connections=connections
        )  # fmt: skip

    # -- commands --

    def send(self, commands: Sequence[Command]) -> None:
        """Send the commands of one turn; each is answered through the sink by exactly one fact."""
        self._orders.send(commands)

    def expires_us(self, now_us: int) -> int:
        """Exchange time after which a command signed now is refused at the edge, µs."""
        return (self.clock.venue_ms(now_us) + self._dialect.window_ms) * US_PER_MS

    # -- reads --

    async def instruments(self) -> dict[str, Instrument]:
        """The exchange's markets by symbol. Raises VenueLost."""
        try:
            markets, _ = await self._client.markets()
        except ReadLost as fault:
            raise VenueLost(str(fault)) from fault
        self._markets.update(markets)
        self._states.update({symbol: market.book_state for symbol, market in markets.items()})
        return markets

    async def terms(self) -> AccountTerms:
        """The account's rates and switches. Raises VenueLost."""
        await self._ready()
        try:
            return await self._client.terms()
        except ReadLost as fault:
            raise VenueLost(str(fault)) from fault

    async def read_account(self, symbols: Sequence[str], since_us: int) -> AccountRead:
        """Read orders, history, fills, moves, balances and positions of these markets. Raises VenueLost when any of the reads fails."""
        await self._ready()
        markets = await self._of(symbols)
        try:
            return await self._account.read(markets, since_us)
        except ReadLost as fault:
            raise VenueLost(str(fault)) from fault

    async def depth(self, symbol: str) -> BookSnapshot:
        """The book of one market now, for sheets before a start. Raises VenueLost."""
        markets = await self._of([symbol])
        try:
            return await self._client.depth(markets[symbol])
        except ReadLost as fault:
            raise VenueLost(str(fault)) from fault

    # -- life --

    async def connect(self, symbols: Sequence[str]) -> None:
        """Start the streams of these markets and the order connections, and keep them. Raises VenueLost."""
        assert symbols
        assert not self._feeds
        await self._ready()
        await self._of(symbols)
        self._orders.start()
        public = MarketFeed(
            self._env, self._ws_url, self._dialect, self._client, self._markets, symbols, self._tell, age_us=self._age_us
        )  # fmt: skip
        private = AccountFeed(
            self._env, self._ws_url, self._dialect, self._signer, self.clock, self._markets, symbols[0], self._tell, age_us=self._age_us
        )
        self._feeds += [public, private]
        for feed in self._feeds:
            feed.start()
        self._tasks.append(self._env.spawn(self._client.keep_time(), "exchange clock"))
        self._tasks.append(self._env.spawn(self._keep_status(symbols), "exchange status"))

    async def close(self) -> None:
        """End streams and connections; nothing is cancelled by it, and nothing is told after it."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        for feed in self._feeds:
            feed.close()
        self._orders.close()
        self._client.close()

    # -- inside --

    def _tell(self, facts: Sequence[Event]) -> None:
        if not self._is_closed:
            self._sink(facts)

    async def _ready(self) -> None:
        """Nothing is signed before the exchange's time is known: a signature with a wrong one is refused, or worse, lives too long."""
        if not self.clock.ready:
            try:
                await self._client.sync_time()
            except ReadLost as fault:
                raise VenueLost(str(fault)) from fault

    async def _of(self, symbols: Sequence[str]) -> Mapping[str, Instrument]:
        if not self._markets:
            await self.instruments()
        unknown = [symbol for symbol in symbols if symbol not in self._markets]
        if unknown:
            raise VenueLost(f"the exchange lists no market {', '.join(unknown)}")
        return {symbol: self._markets[symbol] for symbol in symbols}

    async def _keep_status(self, symbols: Sequence[str]) -> None:
        """Tell how the exchange is, and what may be done in our markets, for ever."""
        markets_us = self._env.now_us()
        while True:
            pause_us = STATUS_US
            try:
                status = await self._client.status()
                self._tell([VenueStatus(self._env.now_us(), status)])
                if status != "Ok":
                    pause_us = STATUS_BAD_US
                if self._env.now_us() - markets_us >= MARKETS_US or pause_us == STATUS_BAD_US:
                    markets, _ = await self._client.markets()
                    markets_us = self._env.now_us()
                    self._tell_changes(symbols, markets)
            except ReadLost:
                pause_us = STATUS_BAD_US  # its age is seen by whoever decides; streams and commands tell their own troubles
            await self._env.sleep(pause_us)

    def _tell_changes(self, symbols: Sequence[str], markets: Mapping[str, Instrument]) -> None:
        """Tell of each market of ours what changed in the catalogue. A grid never changes under running orders: trading pauses instead."""
        now_us = self._env.now_us()
        facts: list[Event] = []
        for symbol in symbols:
            old, new = self._markets[symbol], markets.get(symbol)
            if new is None:
                state = "Delisted"
            elif any(getattr(old, name) != getattr(new, name) for name in GRID):
                state = f"GridChanged: tick {old.tick} to {new.tick}, lot {old.lot} to {new.lot}"
            else:
                state = new.book_state
                self._markets[symbol] = msgspec.structs.replace(new, book_state=state)
            if state != self._states.get(symbol):
                self._states[symbol] = state
                facts.append(BookState(now_us, symbol, state))
        if facts:
            self._tell(facts)
