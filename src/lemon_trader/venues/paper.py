"""Paper: the exchange's own public streams, and an account that is simulated here. Nothing is signed, because there is no signer.

What the market says goes to the engine as it came; the paper exchange sees it first, and what it makes of our orders goes along in the same
call. Commands travel for a moment, as they would, and then meet the market as it is shown. Nothing of the account is told before it is on
the disk.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from lemon_trader.core.commands import Command, Place
from lemon_trader.core.events import AccountRead, AccountTerms, BookSnapshot, Event, FeedState, PlaceRefused
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.env import Env, Store, Timer
from lemon_trader.exchanges.dialect import Dialect
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.rules import Rules
from lemon_trader.venues.market_feed import MarketFeed
from lemon_trader.venues.paper_account import NAME, PaperAccount, PaperAccountError
from lemon_trader.venues.paper_market import PaperMarket
from lemon_trader.venues.public_side import PublicSide
from lemon_trader.venues.simulated_account import SimulatedAccount
from lemon_trader.venues.venue import Sink, VenueLost
from lemon_trader.websocket.client import AGE_US

TRANSIT_US: Final = 50_000  # a command's way to the exchange
TAKER_DELAY_US: Final = 100_000  # the exchange's own speed bump for orders that take
RETRY_US: Final = US_PER_S  # between tries to write the account
RULES: Final = Rules(taker_delay_us=TAKER_DELAY_US)


class PaperVenue:
    """`Venue` over public streams and a paper account.

    Attributes:
        file: the account on the disk.
    """

    def __init__(
        self, env: Env, dialect: Dialect, store: Store, sink: Sink, *, rest_url: str, ws_url: str, balances: Mapping[str, int],
        rules: Rules = RULES, transit_us: int = TRANSIT_US, age_us: int = AGE_US,
    ) -> None:  # fmt: skip
        """Know the parts; nothing connects and nothing is read before it is asked to.

        Args:
            env: the world.
            dialect: the exchange's words.
            store: where the account lives; its lock is the caller's business.
            sink: where facts go, all of one network read in one call, never during `send`.
            rest_url: scheme://host[:port] of public requests.
            ws_url: of the public streams.
            balances: what a new account begins with, atoms by asset.
            rules: fees and switches of the paper exchange.
            transit_us: a command's way to it, µs.
            age_us: a stream silent for this long is replaced.
        """
        self._env = env
        self._dialect = dialect
        self._sink = sink
        self._ws_url = ws_url
        self._rules = rules
        self._transit_us = transit_us
        self._age_us = age_us
        self._side = PublicSide(env, dialect, None, self._public, rest_url)
        self._markets: dict[str, PaperMarket] = {}
        self._feed: MarketFeed | None = None
        self._tasks: list[Timer] = []
        self._due: Timer | None = None
        self._due_us = 0
        self._untold: list[Event] = []
        self._is_closed = False
        self._own: SimulatedAccount | None = None
        self.file = PaperAccount(store, balances)

    @property
    def account_exchange(self) -> Exchange:
        """The paper exchange; there once a read has opened the account."""
        assert self._own is not None
        return self._own.exchange

    @property
    def account(self) -> Account:
        """The account as the paper exchange has it; there once a read has opened it."""
        return self.account_exchange.accounts[NAME]

    # -- commands --

    def send(self, commands: Sequence[Command]) -> None:
        """Send the commands of one turn; they arrive a moment later, in order, and each is answered by exactly one fact."""
        sent = tuple(commands)
        self._env.call_later(self._transit_us, lambda: self._arrive(sent))

    def expires_us(self, now_us: int) -> int:
        """Exchange time after which a command sent now would be refused at the edge, µs."""
        return self._side.expires_us(now_us)

    # -- reads --

    async def instruments(self) -> dict[str, Instrument]:
        """The exchange's markets by symbol. Raises VenueLost."""
        return await self._side.instruments()

    def use(self, instruments: Mapping[str, Instrument]) -> None:
        """Speak of these markets on the caller's grid."""
        self._side.use(instruments)

    async def terms(self) -> AccountTerms:
        """The account's rates: tier 1. Raises VenueLost, PaperAccountError."""
        own = await self._opened(())
        return own.terms(self._env.now_us())

    async def depth(self, symbol: str) -> BookSnapshot:
        """The book of one market now, for sheets before a start. Raises VenueLost."""
        return await self._side.depth(symbol)

    async def read_account(self, symbols: Sequence[str], since_us: int) -> AccountRead:
        """Read the paper account. Raises VenueLost when it cannot be made durable, PaperAccountError when it cannot be opened."""
        own = await self._opened(symbols)
        self._pass(self._env.now_us())
        if self._untold:
            raise VenueLost("the paper account cannot be written; what happened to it is not told before it is on the disk")
        return own.read(symbols, since_us, self._env.now_us())

    # -- life --

    async def connect(self, symbols: Sequence[str]) -> None:
        """Start the public streams of these markets and keep them. Raises VenueLost, PaperAccountError."""
        assert symbols
        assert self._feed is None
        own = await self._opened(symbols)
        followed = sorted({*symbols, *self._held(own)})
        await self._side.of(followed)
        self._markets = {symbol: PaperMarket(own.exchange, NAME, symbol) for symbol in followed}
        streamed = [symbol for symbol in followed if symbol not in self._side.delisted]
        self._feed = MarketFeed(
            self._env, self._ws_url, self._dialect, self._side.client, self._side.markets, streamed, self._public, age_us=self._age_us
        )  # fmt: skip
        self._feed.start()
        self._tasks += [
            self._env.spawn(self._side.client.keep_time(), "exchange clock"),
            self._env.spawn(self._side.keep_status(followed), "exchange status"),
        ]
        self._sink([FeedState(self._env.now_us(), "private", up=True)])

    async def close(self) -> None:
        """End the streams and give the account's file back; what rests goes on resting in it."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._due is not None:
            self._due.cancel()
        if self._feed is not None:
            self._feed.close()
        self._side.client.close()
        self.file.close()

    # -- inside --

    async def _opened(self, symbols: Sequence[str]) -> SimulatedAccount:
        """The account in its exchange, opened by the first who needs it. Raises VenueLost, PaperAccountError."""
        await self._side.ready()
        await self._side.of(symbols)
        if self._own is None:
            now_us = self._side.clock.venue_us(self._env.now_us())
            image = self.file.open(now_us)
            self._check_grids()
            exchange = Exchange(_of_one_settlement(self._side.markets.values()), self._rules)
            exchange.restore_account(NAME, image, now_us)
            self._own = SimulatedAccount(exchange, NAME)
            self._pass(self._env.now_us())
        if foreign := [symbol for symbol in symbols if symbol not in self._own.exchange.symbols]:
            raise VenueLost(f"paper trades perpetuals of one settlement asset, and {', '.join(foreign)} settles in another")
        return self._own

    def _check_grids(self) -> None:
        """Ticks and lots of the file mean the grid that they were written on. Raises PaperAccountError."""
        for symbol, (tick, lot) in self.file.beginning.grids.items():
            market = self._side.markets.get(symbol)
            if market is None or (market.tick, market.lot) != (tick, lot):
                now = "is not listed any more" if market is None else f"has tick {market.tick} and lot {market.lot} now"
                raise PaperAccountError(
                    f"the paper account counts in {symbol} with tick {tick} and lot {lot}, and that market {now}; "
                    f"move the folder of paper records away and begin with a new account"
                )

    def _held(self, own: SimulatedAccount) -> set[str]:
        """Markets in which the account has something, whoever trades there today."""
        return {order.symbol for order in own.exchange.open_orders(NAME)} | own.exchange.accounts[NAME].positions.keys()

    def _arrive(self, commands: Sequence[Command]) -> None:
        """Commands reach the paper exchange."""
        if self._is_closed or self._own is None:
            return
        now_us = self._env.now_us()
        self._advance(self._own, now_us)
        for command in commands:
            market = self._markets[command.symbol]
            if isinstance(command, Place) and not market.is_seen(now_us):
                text = "nothing is heard of this market, so nobody can say what it would do"
                self._untold.append(PlaceRefused(now_us, command.symbol, command.client_id, "NOT_SENT", text))
                continue
            answer = self._own.carry_out(command, now_us)
            self._take_effects(self._own, now_us)
            self._untold.append(answer)
            market.settle()
        self._tell((), now_us)

    def _public(self, facts: Sequence[Event]) -> None:
        """Facts of the public side: the paper exchange sees them before the engine does."""
        if self._is_closed:
            return
        own = self._own
        assert own is not None
        now_us = facts[-1].ts_us
        at_us = self._advance(own, now_us)
        for fact in facts:
            symbol = getattr(fact, "symbol", "")
            for market in self._markets.values() if isinstance(fact, FeedState) else filter(None, (self._markets.get(symbol),)):
                market.see(fact, at_us)
        self._take_effects(own, now_us)
        self._tell(facts, now_us)

    def _pass(self, now_us: int) -> None:
        """Let time pass on the paper exchange: takers whose delay is over, and funding."""
        own = self._own
        if self._is_closed or own is None:
            return
        self._advance(own, now_us)
        self._take_effects(own, now_us)
        self._tell((), now_us)

    def _advance(self, own: SimulatedAccount, now_us: int) -> int:
        """Bring the paper exchange to this moment of engine time; its own time then, µs."""
        at_us = self._side.clock.venue_us(now_us)
        own.offset_us = at_us - now_us
        own.exchange.advance(at_us)
        for market in self._markets.values():
            market.settle()
        return at_us

    def _take_effects(self, own: SimulatedAccount, now_us: int) -> None:
        effects = own.exchange.take_effects()
        self.file.note(effects, own.exchange)
        self._untold += [fact for fact in (own.fact(e, now_us) for e in effects) if fact is not None]

    def _tell(self, public: Sequence[Event], now_us: int) -> None:
        """Tell public facts at once, and with them what the account has to say, if it is on the disk."""
        assert self._own is not None
        facts = list(public)
        if self.file.commit(self._own.exchange):
            facts += self._untold
            self._untold = []
        self._set_alarm(now_us + RETRY_US if self._untold else self._engine_us(self._own.exchange.next_due_us))
        if facts:
            self._sink(facts)

    def _engine_us(self, exchange_us: int | None) -> int:
        """When the paper exchange has something to do next, engine time; 0 = nothing is ahead."""
        return 0 if exchange_us is None or self._own is None else exchange_us - self._own.offset_us

    def _set_alarm(self, at_us: int) -> None:
        """Let time pass on the paper exchange at this moment of engine time (0 = never); an alarm that rings earlier sets the next one."""
        now_us = self._env.now_us()
        if not at_us or (self._due is not None and now_us < self._due_us <= at_us):
            return
        if self._due is not None:
            self._due.cancel()
        self._due_us = at_us
        self._due = self._env.call_later(max(0, at_us - now_us), lambda: self._pass(self._env.now_us()))


def _of_one_settlement(markets: Iterable[Instrument]) -> list[Instrument]:
    """All spot markets, and the perpetuals that settle in what most of them settle in: cross margin knows one settlement asset."""
    known = list(markets)
    settlement = Counter(market.quote for market in known if market.is_perp).most_common(1)
    return [market for market in known if not market.is_perp or market.quote == settlement[0][0]]
