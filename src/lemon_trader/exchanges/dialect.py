"""The port of an exchange's words: no socket, no clock; bytes and numbers in, facts and requests out. One folder adds an exchange."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import AccountTerms, Balance, BookSnapshot, BookState, CashMove, Event, Fill, OrderRow, VenuePosition
from lemon_trader.core.instrument import Instrument


class Request(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request, signed already where it must be. `path` carries the query."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


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

    Decoders of REST bodies raise `WireError` when a body is not what was asked for; one bad row of a list is dropped into
    `bad` (when given) and does not spoil the others. `venue_ms` is the signing time.
    """

    name: str

    # -- orders --
    def place(self, orders: Sequence[Place], instruments: Mapping[str, Instrument], signer: Signer, venue_ms: int) -> Request:
        """One order or a batch, signed once."""

    def cancel(self, order: Cancel, signer: Signer, venue_ms: int) -> Request:
        """One cancel, by order id where given, else by client id."""

    def place_answer(self, orders: Sequence[Place], status: int, body: bytes, instruments: Mapping[str, Instrument], ts_us: int) -> list[Event]:
        """One PlaceAccepted, PlaceRefused or PlaceUnknown for each of `orders`, in order; never raises."""

    def cancel_answer(self, order: Cancel, status: int, body: bytes, instruments: Mapping[str, Instrument], ts_us: int) -> list[Event]:
        """One CancelAnswered; never raises."""

    # -- reads: requests --
    def read(self, what: str, signer: Signer | None, venue_ms: int, **params: str) -> Request:
        """A read by the name that the dialect's table gives it (`time`, `markets`, `depth`, `account`, `capital`, `open_orders` …)."""

    # -- reads: bodies --
    def time_ms(self, body: bytes) -> int: ...
    def markets(self, body: bytes) -> tuple[dict[str, Instrument], dict[str, str]]: ...
    def depth(self, symbol: str, body: bytes, instrument: Instrument, ts_us: int) -> BookSnapshot: ...
    def status(self, body: bytes) -> str: ...
    def account(self, body: bytes, ts_us: int) -> AccountTerms: ...
    def balances(self, body: bytes, ts_us: int) -> list[Balance]: ...
    def positions(self, status: int, body: bytes, instruments: Mapping[str, Instrument], ts_us: int) -> list[VenuePosition]: ...
    def orders(self, body: bytes, instruments: Mapping[str, Instrument], *, is_open: bool) -> list[OrderRow]: ...
    def fills(self, body: bytes, instruments: Mapping[str, Instrument], ts_us: int) -> list[Fill]: ...
    def funding(self, body: bytes, ts_us: int) -> list[CashMove]: ...

    # -- streams --
    def subscribe(self, streams: Sequence[str], signer: Signer | None, venue_ms: int) -> bytes:
        """One SUBSCRIBE message; private streams need the signer."""

    def public_streams(self, symbol: str, instrument: Instrument) -> list[str]:
        """The streams a strategy needs of one market."""

    def private_streams(self) -> list[str]:
        """The account's streams."""

    def frame(self, payload: bytes, instruments: Mapping[str, Instrument], ts_us: int) -> list[Event]:
        """The facts of one stream message; never raises: what cannot be read is a BadFact."""


class WireError(ValueError):
    """A body that is not what was asked for: the read is unavailable, never empty."""


__all__ = ["BookState", "Clocked", "Dialect", "Request", "Signer", "WireError"]
