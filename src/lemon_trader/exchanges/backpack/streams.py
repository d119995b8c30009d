"""Stream messages: subscriptions out, facts in.

Market frames are read by typed decoders in one pass, because an order may hang on them. Account frames are few and may hold anything
new; they go through the patient reader. A frame that cannot be read whole is no fact: a depth change without one of its levels would be
a false book.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from lemon_trader.core.events import (
    BadFact,
    Balance,
    BookDelta,
    Event,
    Fill,
    LastPrice,
    Levels,
    MarkPrice,
    OrderUpdate,
    PublicTrade,
    Touch,
    VenuePosition,
)
from lemon_trader.core.instrument import Instrument, atoms
from lemon_trader.core.units import INT64_MAX
from lemon_trader.exchanges.backpack import untrusted, words
from lemon_trader.exchanges.backpack.grid import Grid, Grids
from lemon_trader.exchanges.backpack.times import us_of_ms, us_of_us
from lemon_trader.exchanges.backpack.untrusted import Row
from lemon_trader.exchanges.dialect import STREAM_ERROR, Signer, WireError

LEVELS_MAX: Final = 5_000  # of one frame
_SUBSCRIBE_TEXT: Final = f"instruction={words.SUBSCRIBE}"

Moment = Annotated[int, msgspec.Meta(ge=10**14, lt=10**17)]  # µs; 1973 … 5138
Counter = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Digits = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,18}\Z")]
Pair = tuple[str, str]


class _Envelope(msgspec.Struct, gc=False):
    stream: str
    data: msgspec.Raw


class _Depth(msgspec.Struct, gc=False):
    s: str
    a: list[Pair]
    b: list[Pair]
    U: Counter
    u: Counter
    T: Moment


class _Touch(msgspec.Struct, gc=False):
    s: str
    u: Counter | Digits  # a number on the wire, text in the reference
    T: Moment
    a: str | None = None
    A: str | None = None
    b: str | None = None
    B: str | None = None


class _Trade(msgspec.Struct, gc=False):
    s: str
    p: str
    q: str
    t: Counter
    m: bool
    T: Moment


class _Ticker(msgspec.Struct, gc=False):
    s: str
    E: Moment
    c: str | None = None


class _Mark(msgspec.Struct, gc=False):
    s: str
    p: str
    E: Moment
    i: str | None = None
    f: str | None = None
    n: Counter | None = None
    T: Moment | None = None


_envelope: Final = msgspec.json.Decoder(_Envelope)
_depth: Final = msgspec.json.Decoder(_Depth)
_touch: Final = msgspec.json.Decoder(_Touch)
_trade: Final = msgspec.json.Decoder(_Trade)
_ticker: Final = msgspec.json.Decoder(_Ticker)
_mark: Final = msgspec.json.Decoder(_Mark)


class StreamWords:
    """The stream path of the dialect."""

    window_ms: int
    _grids: Grids

    def subscribe(self, streams: Sequence[str], signer: Signer | None, venue_ms: int) -> bytes:
        """One SUBSCRIBE message; stream names are not signed. Raises ValueError for private streams without a signer."""
        message: dict[str, Any] = {"method": words.WS_SUBSCRIBE, "params": list(streams)}
        if any(stream.startswith(words.ACCOUNT_PREFIX) for stream in streams):
            if signer is None:
                raise ValueError("account streams are only given to whoever signs for them; pass a signer")
            signature = signer.sign(f"{_SUBSCRIBE_TEXT}&timestamp={venue_ms}&window={self.window_ms}".encode())
            message["signature"] = [signer.api_key, signature, str(venue_ms), str(self.window_ms)]
        return msgspec.json.encode(message)

    def public_streams(self, symbol: str, instrument: Instrument) -> list[str]:
        """The streams a strategy needs of one market; the ticker comes each second and shows that a quiet market lives."""
        kinds = ["depth", "bookTicker", "trade", "ticker"]
        if instrument.is_perp:
            kinds.append("markPrice")
        return [f"{kind}.{symbol}" for kind in kinds]

    def heartbeat_stream(self, symbol: str) -> str:
        """The ticker: it comes each second."""
        return f"ticker.{symbol}"

    def private_streams(self) -> list[str]:
        """The account's streams, for all markets at once."""
        return [words.ORDER_UPDATES, words.POSITION_UPDATES, words.BALANCE_UPDATES]

    def frame(self, payload: bytes, instruments: Mapping[str, Instrument], ts_us: int) -> list[Event]:
        """The facts of one stream message; never raises: what cannot be read is a BadFact."""
        try:
            if len(payload) > untrusted.BYTES_MAX:
                raise WireError(f"{len(payload)} bytes are more than the {untrusted.BYTES_MAX} that are read")
            envelope = _envelope.decode(payload)
            stream = envelope.stream
            read = _MARKET.get(stream[: stream.find(".")])
            if read is not None:
                return [read(envelope.data, self._grids, instruments, ts_us)]
            account = _ACCOUNT.get(".".join(stream.split(".", 2)[:2]))
            if account is not None:
                return [account(untrusted.one(bytes(envelope.data)), self._grids, instruments, ts_us)]
            raise WireError("no stream that we asked for")
        except (ValueError, RecursionError) as fault:
            return [_bad(payload, fault, ts_us)]


def _bad(payload: bytes, fault: Exception, ts_us: int) -> BadFact:
    """The record of a frame that is no fact: the exchange's own error message, or what is wrong with it."""
    reason, source, symbol = str(fault)[: untrusted.TEXT_MAX], "stream", ""
    try:
        row = untrusted.one(payload)
        if isinstance(row.get("error"), dict):
            error = row["error"]
            source, reason = STREAM_ERROR, f"{str(error.get('code'))[:20]} {str(error.get('message'))[: untrusted.TEXT_MAX]}"
        elif untrusted.is_text(row.get("stream")):
            source = str(row["stream"])
            data = row.get("data")
            symbol = str(data["s"]) if isinstance(data, dict) and untrusted.is_text(data.get("s")) else ""
    except WireError:
        pass  # its reason is already known
    account = b'"account.' in payload[: untrusted.BYTES_MAX]
    return BadFact(ts_us, source, symbol, reason.encode(errors="replace").decode(), untrusted.raw_text(payload), account=account)


# ---- market ----


def _levels(pairs: list[Pair], grid: Grid) -> Levels:
    ticks, lots = grid.ticks, grid.lots
    return tuple([(ticks[price], lots[quantity]) for price, quantity in pairs])


def _book_delta(data: msgspec.Raw, grids: Grids, instruments: Mapping[str, Instrument], ts_us: int) -> Event:
    it = _depth.decode(data)
    grid = grids.of(it.s, instruments)
    if len(it.a) + len(it.b) > LEVELS_MAX:
        raise WireError(f"{len(it.a) + len(it.b)} levels are more than the {LEVELS_MAX} of one frame")
    if it.u < it.U:
        raise WireError(f"first update {it.U} is after the last, {it.u}")
    return BookDelta(ts_us, it.T, it.s, it.U, it.u, _levels(it.b, grid), _levels(it.a, grid))


def _book_ticker(data: msgspec.Raw, grids: Grids, instruments: Mapping[str, Instrument], ts_us: int) -> Event:
    it = _touch.decode(data)
    grid = grids.of(it.s, instruments)
    bid = ask = bid_lots = ask_lots = 0
    if it.b is not None and it.B is not None:
        bid, bid_lots = grid.ticks[it.b], grid.lots[it.B]
    if it.a is not None and it.A is not None:
        ask, ask_lots = grid.ticks[it.a], grid.lots[it.A]
    return Touch(ts_us, it.T, it.s, bid, bid_lots, ask, ask_lots, int(it.u))


def _public_trade(data: msgspec.Raw, grids: Grids, instruments: Mapping[str, Instrument], ts_us: int) -> Event:
    it = _trade.decode(data)
    grid = grids.of(it.s, instruments)
    return PublicTrade(ts_us, it.T, it.s, grid.ticks[it.p], grid.lots[it.q], it.m, it.t)


def _last_price(data: msgspec.Raw, grids: Grids, instruments: Mapping[str, Instrument], ts_us: int) -> Event:
    it = _ticker.decode(data)
    grid = grids.of(it.s, instruments)
    return LastPrice(ts_us, it.E, it.s, 0 if it.c is None else grid.ticks[it.c])


def _mark_price(data: msgspec.Raw, grids: Grids, instruments: Mapping[str, Instrument], ts_us: int) -> Event:
    it = _mark.decode(data)
    next_us = us_of_ms(it.n) if it.n else 0
    return mark_price(it.s, it.p, it.i, it.f, next_us, grids.of(it.s, instruments).instrument, it.T or it.E, ts_us)


def mark_price(
    symbol: str, mark: str, index: str | None, rate: str | None, next_us: int, instrument: Instrument, venue_us: int, ts_us: int
) -> MarkPrice:
    """A mark, from the stream or a read. Raises GateError, WireError."""
    mark_ticks = instrument.nearest_ticks(mark)
    index_ticks = 0 if index is None else instrument.nearest_ticks(index)
    if not 0 < mark_ticks <= INT64_MAX or not 0 <= index_ticks <= INT64_MAX:
        raise WireError(f"mark {mark[:40]} and index {str(index)[:40]} are no prices of {symbol}")
    return MarkPrice(ts_us, venue_us, symbol, mark_ticks, index_ticks, 0 if rate is None else atoms(rate), next_us)


# ---- account ----


def _order_update(row: Row, grids: Grids, instruments: Mapping[str, Instrument], ts_us: int) -> Event:
    """A fill, or what else became of an order. A word nobody knows is handed on raw: the order's state is then to be asked for."""
    symbol = untrusted.text(row, "s")
    grid = grids.of(symbol, instruments)
    event, status = untrusted.text(row, "e"), untrusted.text(row, "X")
    side = untrusted.side(row, "S")
    venue_us = us_of_us(row.get("T"))
    order_id, client_id = untrusted.text(row, "i"), untrusted.client_id(row, "c")
    related_id, origin = untrusted.text_or(row, "I", ""), untrusted.text_or(row, "O", words.USER)
    filled = _lots_or_none(row, "z", grid)
    if event == words.ORDER_FILL:
        fee = untrusted.number(row, "n")
        quantity = grid.lots[untrusted.number(row, "l")]
        if quantity <= 0:
            raise WireError("a fill of nothing")
        return Fill(
            ts_us, venue_us, symbol, order_id, client_id, related_id, untrusted.trade_id(row, "t"), side,
            grid.ticks[untrusted.number(row, "L")], quantity, atoms(fee), untrusted.text(row, "N"), fee, untrusted.flag(row, "m"),
            filled if row.get("z") is not None else -1, origin, done=status == words.FILLED,
        )  # fmt: skip
    kind = words.ORDER_EVENTS.get(event, event) if status in words.STATUS_WORDS else status
    quantity = _lots_or_none(row, "q", grid) or _lots_or_none(row, "Y", grid)
    return OrderUpdate(
        ts_us, venue_us, symbol, kind, order_id, client_id, related_id, side,
        untrusted.price_or_none(row, "p", grid.instrument), untrusted.price_or_none(row, "P", grid.instrument), quantity, filled,
        untrusted.text_or(row, "R", ""), origin,
    )  # fmt: skip


def _lots_or_none(row: Row, key: str, grid: Grid) -> int:
    """A quantity in lots; 0 when absent, null, or a percentage of a position."""
    value = untrusted.number_or(row, key, "0")
    return 0 if value.endswith("%") else grid.lots[value]


def _position_update(row: Row, grids: Grids, instruments: Mapping[str, Instrument], ts_us: int) -> Event:
    """The position as it stands: changes carry an event word, the state told on subscribing carries none."""
    symbol = untrusted.text(row, "s")
    return VenuePosition(ts_us, us_of_us(row.get("T")), symbol, untrusted.signed_lots(row, "q", grids.of(symbol, instruments).instrument))


def _balance_update(row: Row, _grids: Grids, _instruments: Mapping[str, Instrument], ts_us: int) -> Event:
    available, locked = atoms(untrusted.number(row, "A")), atoms(untrusted.number(row, "L"))
    return Balance(ts_us, us_of_us(row.get("T", row.get("E"))), untrusted.text(row, "a"), available, locked)


_MARKET: Final[Mapping[str, Callable[[msgspec.Raw, Grids, Mapping[str, Instrument], int], Event]]] = {
    "depth": _book_delta,
    "bookTicker": _book_ticker,
    "trade": _public_trade,
    "ticker": _last_price,
    "markPrice": _mark_price,
}
_ACCOUNT: Final[Mapping[str, Callable[[Row, Grids, Mapping[str, Instrument], int], Event]]] = {
    words.ORDER_UPDATES: _order_update,
    words.POSITION_UPDATES: _position_update,
    words.BALANCE_UPDATES: _balance_update,
}
