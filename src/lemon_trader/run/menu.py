"""What the menu asks of an exchange, as calls that block: an answer, or `ReadLost`. An embedded exchange lives on between two questions."""

from typing import Final, NamedTuple

from lemon_trader.api.client import ReadLost
from lemon_trader.config.reach import ReachSettings
from lemon_trader.core.events import AccountTerms, Balance, BookSnapshot
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.exchanges.dialect import Candle, Token
from lemon_trader.matching.rules import Rules
from lemon_trader.run.menu_figures import AVERAGES, Analysis, Liquidity, analyse, liquidity
from lemon_trader.run.reach import Reach, open_reach
from lemon_trader.run.side_loop import SideLoop
from lemon_trader.strategies.market_maker_setup import break_even_ppm
from lemon_trader.strategies.parameter import Market

INTERVALS: Final = (("15m", 900), ("1m", 60))  # a market too young for the first is looked at by the second
CANDLES: Final = 100


class MarketLook(NamedTuple):
    """A market analysed: by which candles, what they say, the book's liquidity, the fees, and whether these are the account's own."""

    instrument: Instrument
    interval: str
    analysis: Analysis
    liquidity: Liquidity
    break_even_ppm: int
    own_fees: bool


class MenuExchange:
    """The exchange behind the menu's entries.

    Attributes:
        has_account: private questions can be asked.
    """

    def __init__(self, settings: ReachSettings, *, rest_url: str = "", ws_url: str = "") -> None:
        """Come within reach; an embedded sandbox begins to live. Raises what `open_reach` raises."""
        self._loop = SideLoop()
        try:
            self._reach: Reach = self._loop.do(open_reach(settings, rest_url=rest_url, ws_url=ws_url))
        except BaseException:  # a thread of ours does not outlive a start that failed; raised again
            self._loop.close()
            raise
        self.has_account = self._reach.signer is not None
        self.embedded_url = self._reach.sandbox.rest_url if self._reach.sandbox is not None else ""
        self._markets: dict[str, Instrument] = {}

    def close(self) -> None:
        """Give everything back."""
        self._loop.do(self._reach.close())
        self._loop.close()

    # -- public --

    def markets(self) -> dict[str, Instrument]:
        """Every market that can be traded, by symbol; asked once. Raises ReadLost."""
        if not self._markets:
            self._markets = self._loop.do(self._reach.client.markets())[0]
        return self._markets

    def chains(self) -> dict[str, list[Token]]:
        """The chains of each asset. Raises ReadLost."""
        dialect = self._reach.dialect
        return self._loop.do(self._reach.client.get("assets", lambda _status, body, _ts: dialect.assets(body)))

    def book(self, symbol: str) -> Liquidity:
        """The book near its touch. Raises ReadLost."""
        book: BookSnapshot = self._loop.do(self._reach.client.depth(self.markets()[symbol]))
        return liquidity(book.bids, book.asks)

    def look(self, symbol: str) -> MarketLook:
        """The market analysed. Raises ReadLost."""
        instrument = self.markets()[symbol]
        terms = self.terms()
        rates = Rules()
        if terms is not None:
            maker = terms.perp_maker_ppm if instrument.is_perp else terms.spot_maker_ppm
        else:
            maker = rates.perp_maker_ppm if instrument.is_perp else rates.spot_maker_ppm
        fees = break_even_ppm(Market(instrument, maker, 0, 0))
        found = [(name, analyse(self._candles(instrument, name, seconds), fees)) for name, seconds in INTERVALS]
        interval, analysis = next(((n, a) for n, a in found if a.candles >= AVERAGES[1]), found[0])
        return MarketLook(instrument, interval, analysis, self.book(symbol), fees, terms is not None)

    # -- private: only where `has_account` --

    def deposit_address(self, chain: str) -> str:
        """Where the account takes deposits on this chain. Raises ReadLost."""
        dialect = self._reach.dialect
        self._loop.do(self._reach.fresh_clock())
        return self._loop.do(
            self._reach.client.get("deposit_address", lambda _status, body, _ts: dialect.deposit_address(body), blockchain=chain)
        )

    def balances(self) -> list[Balance]:
        """Every balance that is not zero, by asset. Raises ReadLost."""
        dialect = self._reach.dialect
        self._loop.do(self._reach.fresh_clock())
        rows = self._loop.do(self._reach.client.get("capital", lambda _status, body, ts_us: dialect.balances(body, ts_us)))
        return sorted((row for row in rows if row.available_atoms or row.locked_atoms), key=lambda row: row.asset)

    def terms(self) -> AccountTerms | None:
        """The account's rates; None where there is no account. Raises ReadLost."""
        if not self.has_account:
            return None
        self._loop.do(self._reach.fresh_clock())
        return self._loop.do(self._reach.client.terms())

    # -- inside --

    def _candles(self, instrument: Instrument, interval: str, seconds: int) -> list[Candle]:
        dialect = self._reach.dialect
        start_s = self._reach.env.now_us() // US_PER_S - CANDLES * seconds
        return self._loop.do(
            self._reach.client.get(
                "klines", lambda _status, body, _ts: dialect.klines(body, instrument),
                symbol=instrument.symbol, interval=interval, startTime=str(start_s),
            )
        )  # fmt: skip


__all__ = ["MarketLook", "MenuExchange", "ReadLost"]
