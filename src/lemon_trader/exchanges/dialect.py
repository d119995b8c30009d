"""The port of an exchange's words: no socket, no clock; bytes and numbers in, facts and requests out. One folder adds an exchange."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import (
    AccountTerms,
    BadFact,
    Balance,
    BookSnapshot,
    BookState,
    CashMove,
    Event,
    Fill,
    LastPrice,
    MarkPrice,
    OrderRow,
    PublicTrade,
    VenuePosition,
)
from lemon_trader.core.instrument import Instrument

EXPIRED: Final = "EXPIRED"  # code of a PlaceRefused, reason of a CancelAnswered: the edge judged our clock wrong
STREAM_ERROR: Final = "stream error"  # source of a BadFact: the exchange refused what the connection asked for


class Request(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request, signed already where it must be. `path` carries the query."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Candle(msgspec.Struct, frozen=True, gc=False):
    """One bucket of trades, half open in time, µs UTC; prices in ticks, all 0 when nothing traded; volume in whole lots of base."""

    start_us: int
    end_us: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume_lots: int
    trades: int


class Token(msgspec.Struct, frozen=True, gc=False):
    """One chain on which an asset moves in and out; amounts are the exchange's text, shown and never computed with."""

    chain: str
    deposits_open: bool
    deposit_min: str
    withdrawals_open: bool
    withdrawal_min: str
    withdrawal_fee: str


class AccountSwitches(msgspec.Struct, frozen=True, gc=False):
    """What the account does by itself, and how far it may reach; `leverage_limit` is the exchange's text, of the whole account."""

    auto_lend: bool
    auto_borrow: bool
    leverage_limit: str


class Signer(Protocol):
    """Who proves that a request is ours. The secret stays inside; only `api_key` and signatures come out."""

    @property
    def api_key(self) -> str:
        """The public name of the key."""

    def sign(self, text: bytes) -> str:
        """The signature of `text`, base64."""


class Clocked(Protocol):
    """Who knows the exchange's time."""

    def venue_ms(self) -> int:
        """Best estimate of the exchange's clock, ms."""


class Dialect(Protocol):
    """A client's half of an exchange's protocol.

    Decoders of REST bodies raise `WireError` when a body is not what was asked for. One bad row of a list goes to `bad` (with its symbol
    or asset, so that the reader can tell whether it matters) and does not spoil the others; without `bad` it raises, because a row that is
    lost in silence would pass for proof of absence. Rows of markets that are not among `instruments` are left out. `venue_ms` is the
    signing time.
    """

    name: str
    window_ms: int  # how long a signed request stays valid

    # -- orders --
    def place(self, orders: Sequence[Place], instruments: Mapping[str, Instrument], signer: Signer, venue_ms: int) -> Request:
        """One order or a batch, signed once."""

    def cancel(self, order: Cancel, signer: Signer, venue_ms: int) -> Request:
        """One cancel, by order id where given, else by client id."""

    def place_answer(
        self, orders: Sequence[Place], status: int, body: bytes, instruments: Mapping[str, Instrument], ts_us: int
    ) -> list[Event]:
        """One PlaceAccepted, PlaceRefused or PlaceUnknown for each of `orders`, in order; never raises."""

    def cancel_answer(self, order: Cancel, status: int, body: bytes, instruments: Mapping[str, Instrument], ts_us: int) -> list[Event]:
        """One CancelAnswered; never raises."""

    # -- reads: requests --
    def read(self, what: str, signer: Signer | None, venue_ms: int, **params: str) -> Request:
        """A read by name; parameters are the exchange's own.

        Names: `time status markets assets depth klines ticker trades trade_history mark_prices`, and of the account, signed,
        `account capital collateral open_orders order position order_history fill_history funding_history deposit_address`.

        Raises:
            ValueError: another name, or a read of the account without a signer.
        """

    # -- reads: bodies --
    def time_ms(self, body: bytes) -> int:
        """The exchange's clock, ms."""

    def status(self, body: bytes) -> str:
        """`Ok`, `Maintenance`, or another word, raw."""

    def markets(self, body: bytes) -> tuple[dict[str, Instrument], dict[str, str]]:
        """Markets by symbol, and by symbol why the others cannot be traded."""

    def assets(self, body: bytes, bad: list[BadFact] | None = None) -> dict[str, list[Token]]:
        """By asset, the chains on which it moves."""

    def depth(self, symbol: str, body: bytes, instrument: Instrument, ts_us: int) -> BookSnapshot:
        """The book; levels in any order."""

    def trades(self, symbol: str, body: bytes, instrument: Instrument, ts_us: int, bad: list[BadFact] | None = None) -> list[PublicTrade]:
        """Public prints, newest first."""

    def ticker(self, symbol: str, status: int, body: bytes, instrument: Instrument, ts_us: int) -> LastPrice:
        """The last price, 0 when there was no trade."""

    def mark_prices(
        self, body: bytes, instruments: Mapping[str, Instrument], ts_us: int, bad: list[BadFact] | None = None
    ) -> list[MarkPrice]:
        """Marks; a closed market is absent."""

    def klines(self, body: bytes, instrument: Instrument, bad: list[BadFact] | None = None) -> list[Candle]:
        """Candles, oldest first."""

    def account(self, body: bytes, ts_us: int) -> AccountTerms:
        """The account's rates and switches."""

    def account_switches(self, body: bytes) -> AccountSwitches:
        """What the account does by itself, from the body that `account` reads."""

    def balances(self, body: bytes, ts_us: int, bad: list[BadFact] | None = None) -> list[Balance]:
        """Balances by asset."""

    def positions(
        self, status: int, body: bytes, instruments: Mapping[str, Instrument], ts_us: int, bad: list[BadFact] | None = None
    ) -> list[VenuePosition]:
        """Open positions; what is absent is flat."""

    def orders(
        self, body: bytes, instruments: Mapping[str, Instrument], *, is_open: bool, bad: list[BadFact] | None = None
    ) -> list[OrderRow]:
        """Orders in the order of the body; a history is newest first."""

    def fills(self, body: bytes, instruments: Mapping[str, Instrument], ts_us: int, bad: list[BadFact] | None = None) -> list[Fill]:
        """Fills in the order of the body, newest first."""

    def funding(self, body: bytes, ts_us: int, bad: list[BadFact] | None = None) -> list[CashMove]:
        """Funding in the order of the body, newest first."""

    def deposit_address(self, body: bytes) -> str:
        """Where the account takes deposits."""

    # -- streams --
    def subscribe(self, streams: Sequence[str], signer: Signer | None, venue_ms: int) -> bytes:
        """One SUBSCRIBE message; private streams need the signer."""

    def public_streams(self, symbol: str, instrument: Instrument) -> list[str]:
        """The streams a strategy needs of one market."""

    def heartbeat_stream(self, symbol: str) -> str:
        """A stream of the market that speaks every second even when nothing happens: the sign of life of a connection."""

    def private_streams(self) -> list[str]:
        """The account's streams."""

    def frame(self, payload: bytes, instruments: Mapping[str, Instrument], ts_us: int) -> list[Event]:
        """The facts of one stream message; never raises: what cannot be read is a BadFact."""


class WireError(ValueError):
    """A body that is not what was asked for: the read is unavailable, never empty."""


__all__ = ["BookState", "Clocked", "Dialect", "Request", "Signer", "WireError"]
