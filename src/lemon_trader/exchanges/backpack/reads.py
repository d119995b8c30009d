"""Reads: requests by name, and bodies as records.

A body that is not what was asked for raises `WireError`: the read is unavailable, never empty. Rows of markets that are not among the given
instruments are left out, because they were not asked for.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from lemon_trader.core.events import (
    AccountTerms,
    BadFact,
    Balance,
    BookSnapshot,
    CashMove,
    Fill,
    LastPrice,
    MarkPrice,
    OrderRow,
    PublicTrade,
    VenuePosition,
)
from lemon_trader.core.instrument import Instrument, atoms, decimal
from lemon_trader.core.units import INT64_MAX
from lemon_trader.exchanges.backpack import rows, untrusted, words
from lemon_trader.exchanges.backpack.orders import signed_headers
from lemon_trader.exchanges.backpack.streams import mark_price
from lemon_trader.exchanges.backpack.times import us_of_iso, us_of_ms, us_of_us
from lemon_trader.exchanges.backpack.untrusted import Row
from lemon_trader.exchanges.dialect import AccountSwitches, Candle, Request, Signer, Token, WireError

# Name of a read -> its path. What needs a signature follows from the table of instructions.
READS: Final[Mapping[str, str]] = {
    "ping": "/api/v1/ping",
    "time": "/api/v1/time",
    "status": "/api/v1/status",
    "assets": "/api/v1/assets",
    "markets": "/api/v1/markets",
    "depth": "/api/v1/depth",
    "klines": "/api/v1/klines",
    "ticker": "/api/v1/ticker",
    "trades": "/api/v1/trades",
    "trade_history": "/api/v1/trades/history",
    "mark_prices": "/api/v1/markPrices",
    "account": "/api/v1/account",
    "capital": "/api/v1/capital",
    "collateral": "/api/v1/capital/collateral",
    "order": "/api/v1/order",
    "open_orders": "/api/v1/orders",
    "position": "/api/v1/position",
    "order_history": "/wapi/v1/history/orders",
    "fill_history": "/wapi/v1/history/fills",
    "funding_history": "/wapi/v1/history/funding",
    "deposit_address": "/wapi/v1/capital/deposit/address",
}
PERP_CASH: Final = "USDC"  # every perpetual is settled in it


class ReadWords:
    """The reading half of the dialect."""

    window_ms: int

    def read(self, what: str, signer: Signer | None, venue_ms: int, **params: str) -> Request:
        """A read by its name in `READS`; the query is sorted, and what is signed is its raw text.

        Raises:
            ValueError: a name that is not in the table, or a private read without a signer.
        """
        path = READS.get(what)
        if path is None:
            raise ValueError(f"no read is called {what!r}; there are: {', '.join(READS)}")
        query = "&".join(f"{key}={quote(params[key], safe='')}" for key in sorted(params))
        target = f"{path}?{query}" if query else path
        instruction = words.INSTRUCTIONS.get(("GET", path))
        if instruction is None:
            return Request("GET", target, (), b"")
        if signer is None:
            raise ValueError(f"the read {what!r} is the account's own; pass a signer")
        signed = words.params_text(instruction, params)
        return Request("GET", target, signed_headers(signed, signer, venue_ms, self.window_ms), b"")

    # -- the exchange --

    def time_ms(self, body: bytes) -> int:
        """The exchange's clock, ms. Raises WireError."""
        text = body[:40].decode("ascii", errors="replace").strip()
        try:
            return us_of_ms(text) // 1_000
        except ValueError as fault:
            raise WireError(f"time: {fault}") from None

    def status(self, body: bytes) -> str:
        """`Ok`, `Maintenance`, or a word nobody knows, raw. Raises WireError."""
        return untrusted.text(untrusted.one(body), "status")

    def markets(self, body: bytes) -> tuple[dict[str, Instrument], dict[str, str]]:
        """Spot and perpetual markets by symbol, and by symbol (or row number) why the others are not traded. Raises WireError."""
        taken: dict[str, Instrument] = {}
        refused: dict[str, str] = {}
        for number, value in enumerate(untrusted.many(body)):
            name = f"row {number}"
            try:
                row = untrusted.as_row(value)
                name = untrusted.text(row, "symbol")
                made = rows.market_of(row, name)
            except ValueError as fault:
                refused[name] = str(fault)[: untrusted.TEXT_MAX]
            else:
                taken[name] = made
        return taken, refused

    def depth(self, symbol: str, body: bytes, instrument: Instrument, ts_us: int) -> BookSnapshot:
        """The book; the exchange lists bids with the best last, which is why levels come in no order here. Raises WireError."""
        row = untrusted.one(body)
        try:
            last_id = untrusted.count(row, "lastUpdateId")
            venue_us = us_of_us(row.get("timestamp"))
            return BookSnapshot(
                ts_us, venue_us, symbol, last_id, rows.levels(row, "bids", instrument), rows.levels(row, "asks", instrument)
            )
        except ValueError as fault:
            raise WireError(f"depth of {symbol}: {fault}") from None

    def trades(self, symbol: str, body: bytes, instrument: Instrument, ts_us: int, bad: list[BadFact] | None = None) -> list[PublicTrade]:
        """Public prints, newest first as they come. Raises WireError."""

        def make(row: Row) -> PublicTrade:
            price, lots = untrusted.price(row, "price", instrument), instrument.qty_lots(untrusted.number(row, "quantity"))
            is_maker = untrusted.flag(row, "isBuyerMaker")
            return PublicTrade(ts_us, us_of_ms(row.get("timestamp")), symbol, price, lots, is_maker, untrusted.count(row, "id"))

        return list(untrusted.each(untrusted.many(body), make, "trades", bad))

    def ticker(self, symbol: str, status: int, body: bytes, instrument: Instrument, ts_us: int) -> LastPrice:
        """The last price; a market without any data answers 204 and no body. Raises WireError."""
        if status == 204:
            return LastPrice(ts_us, 0, symbol, 0)
        row = untrusted.one(body)
        try:
            return LastPrice(ts_us, 0, symbol, untrusted.price_or_none(row, "lastPrice", instrument))
        except ValueError as fault:
            raise WireError(f"ticker of {symbol}: {fault}") from None

    def mark_prices(
        self, body: bytes, instruments: Mapping[str, Instrument], ts_us: int, bad: list[BadFact] | None = None
    ) -> list[MarkPrice]:
        """Marks of the given markets; a closed market is absent. The exchange says no time here. Raises WireError."""

        def make(row: Row) -> MarkPrice | None:
            symbol = untrusted.text(row, "symbol")
            market = instruments.get(symbol)
            if market is None:
                return None
            index = None if row.get("indexPrice") is None else untrusted.number(row, "indexPrice")
            rate = None if row.get("fundingRate") is None else untrusted.number(row, "fundingRate")
            next_us = us_of_ms(row["nextFundingTimestamp"]) if row.get("nextFundingTimestamp") else 0
            return mark_price(symbol, untrusted.number(row, "markPrice"), index, rate, next_us, market, 0, ts_us)

        return list(untrusted.each(untrusted.many(body), make, "mark prices", bad))

    def klines(self, body: bytes, instrument: Instrument, bad: list[BadFact] | None = None) -> list[Candle]:
        """Candles as they come, oldest first; a bucket without a trade has prices of 0. Raises WireError."""

        def make(row: Row) -> Candle:
            first, high, low, last = (untrusted.price_or_none(row, key, instrument) for key in ("open", "high", "low", "close"))
            if any((first, high, low, last)) and not all((first, high, low, last)):
                raise WireError("some of its prices are missing")
            lots = instrument.floor_lots(untrusted.number(row, "volume"))
            if not 0 <= lots <= INT64_MAX:
                raise WireError("its volume is more than this program counts")
            start_us, end_us = us_of_iso(row.get("start")), us_of_iso(row.get("end"))
            return Candle(start_us, end_us, first, high, low, last, lots, untrusted.count(row, "trades"))

        return list(untrusted.each(untrusted.many(body), make, "klines", bad))

    def assets(self, body: bytes, bad: list[BadFact] | None = None) -> dict[str, list[Token]]:
        """Each asset's chains, with whether deposits and withdrawals are open there. Raises WireError."""

        def make(row: Row) -> tuple[str, list[Token]]:
            tokens = row.get("tokens")
            if type(tokens) is not list:
                raise WireError("tokens is not a list")
            return untrusted.text(row, "symbol"), [rows.token_of(untrusted.as_row(token)) for token in tokens]

        return dict(untrusted.each(untrusted.many(body), make, "assets", bad))

    # -- the account --

    def account(self, body: bytes, ts_us: int) -> AccountTerms:
        """The account's rates and switches. Raises WireError."""
        row = untrusted.one(body)
        try:
            return AccountTerms(
                ts_us,
                rows.fee_ppm(row, "spotMakerFee"),
                rows.fee_ppm(row, "spotTakerFee"),
                rows.fee_ppm(row, "futuresMakerFee"),
                rows.fee_ppm(row, "futuresTakerFee"),
                f"{decimal(untrusted.number(row, 'leverageLimit')).normalize():f}",
                untrusted.flag(row, "autoLend"),
                untrusted.flag(row, "liquidating", default=False),
            )
        except ValueError as fault:
            raise WireError(f"account: {fault}") from None

    def account_switches(self, body: bytes) -> AccountSwitches:
        """Whether the account lends or borrows by itself, and its leverage. Raises WireError."""
        row = untrusted.one(body)
        try:
            leverage = f"{decimal(untrusted.number(row, 'leverageLimit')).normalize():f}"
            return AccountSwitches(untrusted.flag(row, "autoLend"), untrusted.flag(row, "autoBorrowSettlements", default=False), leverage)
        except ValueError as fault:
            raise WireError(f"account: {fault}") from None

    def balances(self, body: bytes, ts_us: int, bad: list[BadFact] | None = None) -> list[Balance]:
        """Balances by asset; lent funds are not among them. Raises WireError."""

        def make(row: Row) -> Balance:
            available, locked = atoms(untrusted.number(row, "available")), atoms(untrusted.number(row, "locked"))
            return Balance(ts_us, 0, untrusted.text(row, "symbol"), available, locked)

        named = [{**value, "symbol": asset} if isinstance(value, dict) else value for asset, value in untrusted.one(body).items()]
        return list(untrusted.each(named, make, "balances", bad))

    def positions(
        self, status: int, body: bytes, instruments: Mapping[str, Instrument], ts_us: int, bad: list[BadFact] | None = None
    ) -> list[VenuePosition]:
        """Open positions of the given markets; asked for one market, a proper "not found" means flat. Raises WireError."""

        def make(row: Row) -> VenuePosition | None:
            symbol = untrusted.text(row, "symbol")
            market = instruments.get(symbol)
            if market is None:
                return None
            return VenuePosition(ts_us, 0, symbol, untrusted.signed_lots(row, "netQuantity", market))

        if status == 404:
            if untrusted.one(body).get("code") == words.RESOURCE_NOT_FOUND:
                return []
            raise WireError("position: 404 without the exchange's own not-found")
        if status != 200:
            raise WireError(f"position: HTTP {status}")
        return list(untrusted.each(untrusted.many(body), make, "positions", bad))

    def orders(
        self, body: bytes, instruments: Mapping[str, Instrument], *, is_open: bool, bad: list[BadFact] | None = None
    ) -> list[OrderRow]:
        """Orders of the given markets, from the open ones or from the history, as they come (history: newest first). Raises WireError."""

        def make(row: Row) -> OrderRow | None:
            symbol = untrusted.text(row, "symbol")
            market = instruments.get(symbol)
            return None if market is None else rows.order_of(row, symbol, market, is_open=is_open)

        return list(untrusted.each(untrusted.many(body), make, "open orders" if is_open else "order history", bad))

    def fills(self, body: bytes, instruments: Mapping[str, Instrument], ts_us: int, bad: list[BadFact] | None = None) -> list[Fill]:
        """Fills of the given markets as they come, newest first. Raises WireError."""

        def make(row: Row) -> Fill | None:
            symbol = untrusted.text(row, "symbol")
            market = instruments.get(symbol)
            return None if market is None else rows.fill_of(row, symbol, market, ts_us)

        return list(untrusted.each(untrusted.many(body), make, "fill history", bad))

    def funding(self, body: bytes, ts_us: int, bad: list[BadFact] | None = None) -> list[CashMove]:
        """Funding paid (< 0) or received, as it comes, newest first. Raises WireError."""

        def make(row: Row) -> CashMove:
            symbol, text = untrusted.text(row, "symbol"), untrusted.number(row, "quantity")
            when_us = us_of_iso(row.get("intervalEndTimestamp"))
            # One payment a market and interval; the account of a key is one subaccount.
            return CashMove(ts_us, when_us, symbol, "funding", PERP_CASH, atoms(text), text, f"funding:{symbol}:{when_us}")

        return list(untrusted.each(untrusted.many(body), make, "funding history", bad))

    def deposit_address(self, body: bytes) -> str:
        """Where this account takes deposits. Raises WireError."""
        return untrusted.text(untrusted.one(body), "address")
