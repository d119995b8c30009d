"""What every venue over an exchange knows without an account: its markets, its clock, how it is, and the books by request."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lemon_trader.api.client import ApiClient, ReadLost
from lemon_trader.core.events import BookSnapshot, BookState, Event, VenueStatus
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_MS, US_PER_S
from lemon_trader.env import Env
from lemon_trader.exchanges.dialect import Dialect, Signer
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import RateBudget
from lemon_trader.venues.venue import Sink, VenueLost

STATUS_US: Final = 30 * US_PER_S
STATUS_BAD_US: Final = 5 * US_PER_S  # while the exchange is not well, or could not be asked
MARKETS_US: Final = 300 * US_PER_S  # the catalogue is cached for minutes before it reaches us
GRID: Final = ("kind", "tick", "lot", "base", "quote")


class PublicSide:
    """Reads of an exchange that need no account.

    Attributes:
        clock: the estimate of the exchange's time.
        rate: the budget of requests.
        client: the reads themselves, signed too where there is a signer.
        markets: by symbol, once they were asked for.
    """

    def __init__(self, env: Env, dialect: Dialect, signer: Signer | None, tell: Sink, rest_url: str) -> None:
        """Know the parts; nothing connects before it is asked to. `signer` None = nothing can ever be signed here."""
        self._env = env
        self._dialect = dialect
        self._tell = tell
        self._states: dict[str, str] = {}
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
        self._states.update({symbol: market.book_state for symbol, market in markets.items()})
        return markets

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
            pause_us = STATUS_US
            try:
                status = await self.client.status()
                self._tell([VenueStatus(self._env.now_us(), status)])
                if status != "Ok":
                    pause_us = STATUS_BAD_US
                if self._env.now_us() - markets_us >= MARKETS_US or pause_us == STATUS_BAD_US:
                    markets, _ = await self.client.markets()
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
            old, new = self.markets[symbol], markets.get(symbol)
            if new is None:
                state = "Delisted"
            elif any(getattr(old, name) != getattr(new, name) for name in GRID):
                state = f"GridChanged: tick {old.tick} to {new.tick}, lot {old.lot} to {new.lot}"
            else:
                state = new.book_state
                self.markets[symbol] = msgspec.structs.replace(new, book_state=state)
            if state != self._states.get(symbol):
                self._states[symbol] = state
                facts.append(BookState(now_us, symbol, state))
        if facts:
            self._tell(facts)
