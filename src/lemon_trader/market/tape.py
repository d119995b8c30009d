"""A tape of a real market: the exchange's own frames as they came, one JSON object a line, and how they are played.

    {"tape": 1, "exchange": "backpack", "symbols": ["SOL_USDC"], "part": 1, "begun_us": …, "markets": […]}   first line of every part
    {"r": …, "f": {…}}                     a stream frame, untouched
    {"r": …, "depth": "SOL_USDC", "book": {…}}   the answer to a request for the book, untouched
    {"r": …, "gap": "why"}                 from here on something is missing, until the next book
    {"r": …, "next": "tape.2.jsonl.gz"}    this part is over and the tape goes on in that file of the same folder
    {"r": …, "end": "why"}                 the tape was ended in order

`r` is when the recorder received it, µs UTC of its machine; the frames carry the exchange's own times, and by those the tape is played.
A file that stops without one of the last two lines was cut off, and is played as far as it goes.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

import msgspec

from lemon_trader.core.events import BookDelta, BookSnapshot, Event, MarkPrice, PublicTrade
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, SELL
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.exchanges.dialect import Dialect, WireError
from lemon_trader.market.acts import Act, Reference, Source
from lemon_trader.market.depth import Replica
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.instruments import UnknownMarket, default_instrument
from lemon_trader.market.marks import Marks

VERSION: Final = 1
SUFFIXES: Final = (".jsonl", ".jsonl.gz")
KEPT_MAX: Final = 5_000  # changes that wait for a book
MARKS_US: Final = 1_000_000


class Head(msgspec.Struct):
    """What a part begins with. `markets`: the exchange's own rows, by which the frames are read."""

    tape: int
    exchange: str
    symbols: list[str]
    part: int
    begun_us: int
    markets: msgspec.Raw


class Line(msgspec.Struct):
    """Any other line."""

    r: int
    f: msgspec.Raw = msgspec.Raw(b"")
    depth: str = ""
    book: msgspec.Raw = msgspec.Raw(b"")
    gap: str = ""
    next: str = ""


_head: Final = msgspec.json.Decoder(Head)
_line: Final = msgspec.json.Decoder(Line)


# ---- writing ----


def head_line(name: str, symbols: Iterable[str], part: int, begun_us: int, markets: bytes) -> bytes:
    """A part's first line; `markets` is the exchange's JSON, already cut to the markets of the tape."""
    return _row({"tape": VERSION, "exchange": name, "symbols": list(symbols), "part": part, "begun_us": begun_us, "markets": _raw(markets)})


def frame_line(received_us: int, payload: bytes) -> bytes:
    """A stream frame. Raises ValueError when it is not JSON."""
    return _row({"r": received_us, "f": _raw(payload)})


def book_line(received_us: int, symbol: str, body: bytes) -> bytes:
    """The answer to a request for a book. Raises ValueError when it is not JSON."""
    return _row({"r": received_us, "depth": symbol, "book": _raw(body)})


def mark_line(received_us: int, word: str, text: str) -> bytes:
    """A `gap`, `next` or `end`."""
    return _row({"r": received_us, word: text})


def _raw(payload: bytes) -> msgspec.Raw:
    json.loads(payload)
    # A line break may only stand between JSON's words, where a blank says the same.
    return msgspec.Raw(payload.strip().replace(b"\n", b" ").replace(b"\r", b" "))


def _row(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(fields) + b"\n"


def next_part(line: bytes) -> str:
    """The file in which the tape goes on after this line; "" = nowhere."""
    try:
        return _line.decode(line).next if b'"next"' in line else ""
    except msgspec.DecodeError:
        return ""


# ---- playing ----


def play_tape(
    lines: Iterator[bytes], name: str, *, symbol: str | None = None, start: int | None = None, limit: int | None = None,
    shift_to_us: int | None = None,
) -> Source:  # fmt: skip
    """A tape as markets; nothing is read before it is needed.

    Args:
        lines: of all parts, one after the other.
        name: of the file, for refusals.
        symbol: play this market alone. One that is not on the tape may stand for the tape's only one, where both have the same grid.
        start: leave out what is older, µs UTC, in the tape's own time; the book that stood then is there.
        limit: play at most this many frames.
        shift_to_us: move all times so that the first act happens then, µs UTC.

    Raises:
        RecordingError: no tape, of another version or exchange, without the market, or with nothing on it.
    """
    try:
        head = _head.decode(next(lines, b""))
    except msgspec.DecodeError:
        raise RecordingError("recording.no-tape", file=name) from None
    if head.tape != VERSION:
        raise RecordingError("recording.tape-version", file=name, version=head.tape, own=VERSION)
    try:
        dialect = exchange(head.exchange).dialect()
        listed, _ = dialect.markets(bytes(head.markets))
    except ValueError as error:
        raise RecordingError("recording.tape-head", file=name, reason=str(error)) from None
    recorded = {s: listed[s] for s in head.symbols if s in listed}
    player = _Player(name, dialect, recorded, _played(name, recorded, symbol))
    facts = player.facts(lines, limit)
    early: list[Event | None] = []
    for fact in facts:
        early.append(fact)
        if fact is not None and (start is None or _time(fact) >= start):
            break
    if not early or early[-1] is None or (start is not None and _time(early[-1]) < start):
        raise RecordingError("recording.tape-empty" if start is None else "recording.tape-over", file=name)
    begin_us = max(_time(early[-1]), start or 0)
    shift = 0 if shift_to_us is None else shift_to_us - begin_us
    return Source(player.instruments, begin_us + shift, player.acts(chain(early, facts), begin_us, shift))


def _played(name: str, recorded: Mapping[str, Instrument], symbol: str | None) -> dict[str, Instrument]:
    """The markets to play, by what they are called on the tape."""
    if symbol is None or symbol in recorded:
        if not recorded:
            raise RecordingError("recording.tape-markets", file=name)
        return {s: of for s, of in recorded.items() if symbol in {None, s}}
    if len(recorded) == 1:
        (its_symbol, of), = recorded.items()  # fmt: skip
        try:
            other = default_instrument(symbol)
        except UnknownMarket as error:
            raise RecordingError(error.key, **error.values) from None
        if (other.tick, other.lot) == (of.tick, of.lot):
            return {its_symbol: other}
    raise RecordingError("recording.tape-other", file=name, markets=", ".join(recorded), symbol=symbol)


class _Market:
    """One market of the tape: its book, whether its chain holds, and what waits for the next book."""

    def __init__(self, recorded: Instrument, played: Instrument) -> None:
        self.symbol = played.symbol
        self.replica = Replica(played.symbol, 1)
        self.marks = Marks(played, MARKS_US) if played.is_perp and not recorded.is_perp else None
        self.last_id = -1  # -1 = no book that holds
        self.waiting: deque[BookDelta] = deque(maxlen=KEPT_MAX)

    def delta(self, fact: BookDelta) -> bool:
        """Take changes in; True when they belong to the book."""
        if self.last_id >= 0 and fact.first_id > self.last_id + 1:
            self.lose()
        if self.last_id < 0:
            self.waiting.append(fact)
            return False
        if fact.last_id <= self.last_id:
            return False
        self.replica.record(_rows(fact))
        self.last_id = fact.last_id
        return True

    def book(self, fact: BookSnapshot) -> bool:
        """Take a whole book in; True when it was wanted and meets the changes that wait."""
        newer = [delta for delta in self.waiting if delta.last_id > fact.last_id]
        if self.last_id >= 0 or (newer and newer[0].first_id > fact.last_id + 1):
            return False
        self.replica.replace(_rows(fact))
        self.last_id = fact.last_id
        self.waiting.clear()
        for delta in newer:
            self.delta(delta)
        return True

    def lose(self) -> None:
        """Something is missing: the book stands as it is until the next one."""
        self.last_id = -1
        self.waiting.clear()


class _Player:
    """A tape while it is played."""

    def __init__(self, name: str, dialect: Dialect, recorded: dict[str, Instrument], played: dict[str, Instrument]) -> None:
        self.instruments = {of.symbol: msgspec.structs.replace(of, book_state="Open") for of in played.values()}
        self._name = name
        self._dialect = dialect
        self._recorded = recorded
        self._markets = {symbol: _Market(recorded[symbol], of) for symbol, of in played.items()}

    def facts(self, lines: Iterator[bytes], limit: int | None) -> Iterator[Event | None]:
        """What the lines say of the markets played; None = a gap. Ends where the tape goes over to another grid."""
        left = limit
        for text in lines:
            try:
                line = _line.decode(text)
            except msgspec.DecodeError:
                if self._is_other_grid(text):
                    return
                yield None  # a head of the next part changes nothing; anything else that cannot be read is a gap
                continue
            if line.gap:
                yield None
            elif line.depth in self._markets:
                try:
                    yield self._dialect.depth(line.depth, bytes(line.book), self._recorded[line.depth], line.r)
                except WireError:
                    continue  # the recorder asks again until a book can be used
            elif line.f:
                for fact in self._dialect.frame(bytes(line.f), self._recorded, line.r):
                    if isinstance(fact, (BookDelta, PublicTrade, MarkPrice)) and fact.symbol in self._markets:
                        if left is not None:
                            if not left:
                                return
                            left -= 1
                        yield fact

    def acts(self, facts: Iterable[Event | None], begin_us: int, shift: int) -> Iterator[Act]:
        """The acts; those before `begin_us` are folded into the book that stands then."""
        now_us = 0
        has_begun = False
        for fact in facts:
            if fact is None:
                for market in self._markets.values():
                    market.lose()
                continue
            now_us = max(now_us, _time(fact))
            if not has_begun and now_us >= begin_us:
                has_begun = True
                yield from chain.from_iterable(market.replica.shown(now_us + shift) for market in self._markets.values())
            assert isinstance(fact, (BookDelta, BookSnapshot, PublicTrade, MarkPrice))
            acts = list(self._act(fact, self._markets[fact.symbol], now_us + shift))
            if has_begun:
                yield from acts

    def _act(self, fact: "BookDelta | BookSnapshot | PublicTrade | MarkPrice", market: _Market, at_us: int) -> Iterator[Act]:
        match fact:
            case PublicTrade():
                yield from market.replica.trade(at_us, SELL if fact.buyer_is_maker else BUY, fact.price_ticks, fact.qty_lots)
            case MarkPrice():
                yield Reference(at_us, market.symbol, fact.mark_ticks, fact.index_ticks, fact.funding_ppb)
                return
            case BookDelta():
                if market.delta(fact):
                    yield from market.replica.show(at_us)
            case BookSnapshot():
                if market.book(fact):
                    yield from market.replica.show(at_us)
        if market.marks is not None:
            yield from market.marks.until(at_us, market.replica.mid_half_ticks)

    def _is_other_grid(self, text: bytes) -> bool:
        try:
            listed, _ = self._dialect.markets(bytes(_head.decode(text).markets))
        except ValueError:
            return False
        return any((of.tick, of.lot) != (listed[s].tick, listed[s].lot) for s, of in self._recorded.items() if s in listed)


def _time(fact: Event) -> int:
    assert isinstance(fact, (BookDelta, BookSnapshot, PublicTrade, MarkPrice))
    return fact.venue_us


def _rows(book: BookDelta | BookSnapshot) -> list[tuple[int, int, int]]:
    return [*((BUY, ticks, lots) for ticks, lots in book.bids), *((SELL, ticks, lots) for ticks, lots in book.asks)]
