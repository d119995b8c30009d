"""What every venue over an exchange knows without an account: its markets, its clock, how it is, and the books by request."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from lemon_trader.api.client import ApiClient, ReadLost
from lemon_trader.core.events import BookSnapshot, BookState, GridChanged, VenueStatus
from lemon_trader.core.grid import is_same_listing
from lemon_trader.core.instrument import GateError, Instrument, refine
from lemon_trader.core.market import DELISTED
from lemon_trader.core.units import US_PER_MS, US_PER_S
from lemon_trader.env import Env
from lemon_trader.exchanges.dialect import Dialect, Signer
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import RateBudget
from lemon_trader.venues.venue import Sink, VenueLost

STATUS_US: Final = 30 * US_PER_S
STATUS_BAD_US: Final = 5 * US_PER_S  # while the exchange is not well, or could not be asked
MARKETS_US: Final = 300 * US_PER_S  # the catalogue is cached for minutes before it reaches us
DOUBT_US: Final = 5 * US_PER_S  # what could not be read or was refused may mean another grid: the catalogue is asked, but it is long


class PublicSide:
    """Reads of an exchange that need no account.

    Attributes:
        clock: the estimate of the exchange's time.
        rate: the budget of requests.
        client: the reads themselves, signed too where there is a signer.
        markets: by symbol, once they were asked for; those in use on the user's grid.
        delisted: markets in use that the catalogue does not name.
        is_in_doubt: something could not be read or was refused: perhaps a grid has changed.
    """

    def __init__(
        self, env: Env, dialect: Dialect, signer: Signer | None, tell: Sink, rest_url: str, *, on_grid: Callable[[str], None] | None = None
    ) -> None:
        """Know the parts; nothing connects before it is asked to.

        Args:
            env: the world.
            dialect: the exchange's words.
            signer: who signs; None = nothing can ever be signed here.
            tell: where facts go.
            rest_url: scheme://host[:port] of requests.
            on_grid: called with a symbol after its grid has changed; None = whoever listens cannot follow: trading pauses there instead.
        """
        self._env = env
        self._dialect = dialect
        self._tell = tell
        self._on_grid = on_grid
        self.delisted: set[str] = set()
        self.is_in_doubt = False
        self.clock = VenueClock()
        self.rate = RateBudget()
        self.markets: dict[str, Instrument] = {}
        self.client = ApiClient(env, rest_url, dialect, signer, self.clock, self.rate)

    def expires_us(self, now_us: int) -> int:
        """Exchange time after which a command signed now is refused at the edge, µs."""
        return (self.clock.venue_ms(now_us) + self._dialect.window_ms) * US_PER_MS

    async def instruments(self) -> dict[str, Instrument]:
        """The exchange's markets by symbol. Raises VenueLost."""
        try:
            markets, _ = await self.client.markets()
        except ReadLost as fault:
            raise VenueLost(str(fault)) from fault
        self.markets.update(markets)
        return markets

    def use(self, instruments: Mapping[str, Instrument]) -> None:
        """Speak of these markets on the caller's grid."""
        self.delisted = {symbol for symbol in instruments if symbol not in self.markets}
        self.markets.update(instruments)

    async def depth(self, symbol: str) -> BookSnapshot:
        """The book of one market now, for sheets before a start. Raises VenueLost."""
        markets = await self.of([symbol])
        try:
            return await self.client.depth(markets[symbol])
        except ReadLost as fault:
            raise VenueLost(str(fault)) from fault

    async def ready(self) -> None:
        """Nothing is signed before the exchange's time is known: a signature with a wrong one is refused, or worse, lives too long."""
        if not self.clock.ready:
            try:
                await self.client.sync_time()
            except ReadLost as fault:
                raise VenueLost(str(fault)) from fault

    async def of(self, symbols: Sequence[str]) -> Mapping[str, Instrument]:
        """These markets by symbol. Raises VenueLost when one is not listed."""
        if not self.markets:
            await self.instruments()
        unknown = [symbol for symbol in symbols if symbol not in self.markets]
        if unknown:
            raise VenueLost(f"the exchange lists no market {', '.join(unknown)}")
        return {symbol: self.markets[symbol] for symbol in symbols}

    async def keep_status(self, symbols: Sequence[str]) -> None:
        """Tell how the exchange is, and what may be done in our markets, for ever."""
        markets_us = self._env.now_us()
        while True:
            until_us = self._env.now_us() + STATUS_US
            try:
                status = await self.client.status()
                self._tell([VenueStatus(self._env.now_us(), status)])
                if status != "Ok":
                    until_us = self._env.now_us() + STATUS_BAD_US
                passed_us = self._env.now_us() - markets_us
                if passed_us >= MARKETS_US or status != "Ok" or (self.is_in_doubt and passed_us >= DOUBT_US):
                    markets, _ = await self.client.markets()
                    markets_us = self._env.now_us()
                    self.is_in_doubt = False
                    self._tell_changes(symbols, markets)
            except ReadLost:
                # Its age is seen by whoever decides; streams and commands tell their own troubles.
                until_us = self._env.now_us() + STATUS_BAD_US
                await self._env.sleep(US_PER_S)  # without a budget it fails before it asks: doubt may not turn that into a loop on the spot
            while (now_us := self._env.now_us()) < until_us and not (self.is_in_doubt and now_us - markets_us >= DOUBT_US):
                await self._env.sleep(min(US_PER_S, until_us - now_us))

    def _tell_changes(self, symbols: Sequence[str], markets: Mapping[str, Instrument]) -> None:
        """Tell of each market of ours what changed in the catalogue."""
        for symbol in symbols:
            known, listed = self.markets[symbol], markets.get(symbol)
            if listed is None:
                self.delisted.add(symbol)
                self._tell_state(known, DELISTED)
                continue
            self.delisted.discard(symbol)
            try:
                fine = refine(known, listed)
            except GateError as error:
                self._tell_state(known, f"GridChanged: {error}")  # nothing opens on numbers that mean something else by now
                continue
            if is_same_listing(known, fine):
                self._tell_state(known, fine.book_state)
            elif self._on_grid is None and not is_one_grid(known, fine):
                self._tell_state(
                    known, f"GridChanged: tick {known.order_tick} to {fine.order_tick}, lot {known.order_lot} to {fine.order_lot}"
                )
            else:
                self.markets[symbol] = fine
                self._tell([GridChanged(self._env.now_us(), symbol, fine)])
                if self._on_grid is not None and not is_one_grid(known, fine):
                    self._on_grid(symbol)

    def _tell_state(self, known: Instrument, state: str) -> None:
        if state != known.book_state:
            self.markets[known.symbol] = msgspec.structs.replace(known, book_state=state)
            self._tell([BookState(self._env.now_us(), known.symbol, state)])


def is_one_grid(one: Instrument, other: Instrument) -> bool:
    """Whether numbers of both mean the same, and orders keep to the same steps."""
    return (one.tick, one.lot, one.tick_step, one.lot_step) == (other.tick, other.lot, other.tick_step, other.lot_step)
