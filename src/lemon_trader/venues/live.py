"""A real exchange, or one that speaks like it: commands over the order wire, facts from streams and reads."""

from collections.abc import Mapping, Sequence
from typing import Final

from lemon_trader.api.account import AccountReader
from lemon_trader.api.client import ReadLost
from lemon_trader.api.order_wire import OrderWire
from lemon_trader.core.commands import Command
from lemon_trader.core.events import AccountRead, AccountTerms, BadFact, BookSnapshot, Event, PlaceRefused
from lemon_trader.core.instrument import Instrument
from lemon_trader.env import Env, Timer
from lemon_trader.exchanges.dialect import Dialect, Signer
from lemon_trader.venues.account_feed import AccountFeed
from lemon_trader.venues.market_feed import MarketFeed
from lemon_trader.venues.public_side import PublicSide, is_one_grid
from lemon_trader.venues.venue import Sink, VenueLost
from lemon_trader.websocket.client import AGE_US

GRID_CODES: Final = frozenset(("INVALID_PRICE", "INVALID_QUANTITY", "INVALID_CLIENT_REQUEST"))  # what an order off the grid is refused with


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
        self._tasks: list[Timer] = []
        self._feeds: list[MarketFeed | AccountFeed] = []
        self._is_closed = False
        self._public: MarketFeed | None = None
        self._unread: set[str] = set()  # delisted markets that reads of the account leave out, because the exchange refuses them
        self._side = PublicSide(env, dialect, signer, self._tell, rest_url, on_grid=self._regridded)
        self.clock = self._side.clock
        self.rate = self._side.rate
        self._client = self._side.client
        self._markets = self._side.markets
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
        return self._side.expires_us(now_us)

    # -- reads --

    async def instruments(self) -> dict[str, Instrument]:
        """The exchange's markets by symbol. Raises VenueLost."""
        return await self._side.instruments()

    def use(self, instruments: Mapping[str, Instrument]) -> None:
        """Speak of these markets on the caller's grid; one that the exchange does not list is left out of the streams."""
        self._side.use(instruments)

    async def terms(self) -> AccountTerms:
        """The account's rates and switches. Raises VenueLost."""
        await self._side.ready()
        try:
            return await self._client.terms()
        except ReadLost as fault:
            raise VenueLost(str(fault)) from fault

    async def read_account(self, symbols: Sequence[str], since_us: int) -> AccountRead:
        """Read orders, history, fills, moves, balances and positions of these markets. Raises VenueLost when any of the reads fails."""
        await self._side.ready()
        self._unread &= self._side.delisted
        markets = await self._side.of([symbol for symbol in symbols if symbol not in self._unread])
        try:
            read = await self._account.read(markets, since_us)
        except ReadLost as fault:
            self._side.is_in_doubt = True
            gone = self._side.delisted.intersection(markets)
            if not gone:
                raise VenueLost(str(fault)) from fault
            self._unread |= gone  # it may have failed for them alone: the others are read without them from now on
            return await self.read_account(symbols, since_us)
        if any(not is_one_grid(market, self._markets[symbol]) for symbol, market in markets.items()):
            raise VenueLost("a market's grid has changed while the account was read")
        return read

    async def depth(self, symbol: str) -> BookSnapshot:
        """The book of one market now, for sheets before a start. Raises VenueLost."""
        return await self._side.depth(symbol)

    # -- life --

    async def connect(self, symbols: Sequence[str]) -> None:
        """Start the streams of these markets and the order connections, and keep them. Raises VenueLost."""
        assert symbols
        assert not self._feeds
        await self._side.ready()
        await self._side.of(symbols)
        streamed = [symbol for symbol in symbols if symbol not in self._side.delisted]
        self._orders.start()
        public = MarketFeed(
            self._env, self._ws_url, self._dialect, self._client, self._markets, streamed, self._tell, age_us=self._age_us
        )  # fmt: skip
        private = AccountFeed(
            self._env, self._ws_url, self._dialect, self._signer, self.clock, self._markets, streamed[0], self._tell, age_us=self._age_us
        )
        self._public = public
        self._feeds += [public, private]
        for feed in self._feeds:
            feed.start()
        self._tasks.append(self._env.spawn(self._client.keep_time(), "exchange clock"))
        self._tasks.append(self._env.spawn(self._side.keep_status(symbols), "exchange status"))

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
        if self._is_closed:
            return
        if not self._side.is_in_doubt:
            self._side.is_in_doubt = any(_doubts_grid(fact) for fact in facts)
        self._sink(facts)

    def _regridded(self, symbol: str) -> None:
        """What waits in a stream on the old grid is dropped with the connection."""
        if self._public is not None:
            self._public.stream.restart(f"{symbol} is on another grid")


def _doubts_grid(fact: Event) -> bool:
    """Whether a fact may mean that numbers stand on another grid: something came that could not be read, or an order was off it."""
    return (type(fact) is BadFact and fact.raw != "") or (type(fact) is PlaceRefused and fact.code in GRID_CODES)
