"""The recorder: public streams of some markets onto a tape, books read beside them, every gap marked.

It subscribes to what a trading run subscribes to and writes what comes, untouched. It decodes frames only to know whether the chain of a
book holds; when it does not, the book is read again. There is no signer, so nothing can be signed.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from lemon_trader.api.client import ApiClient, ReadLost
from lemon_trader.config.record import RecordSettings
from lemon_trader.config.settings import Face
from lemon_trader.core.events import BadFact, BookDelta, BookSnapshot, Event, LastPrice, MarkPrice, PublicTrade, Touch
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.env import Env
from lemon_trader.env_live import LiveEnv, Proxies
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.exchanges.dialect import STREAM_ERROR
from lemon_trader.market.tape import book_line, frame_line, head_line, mark_line
from lemon_trader.run.parts import EXCHANGE
from lemon_trader.run.tape_writer import TapeWriter
from lemon_trader.run.trading import FAILED, OK, REFUSED, carry
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import RateBudget
from lemon_trader.websocket.client import StreamClient
from lemon_trader.websocket.depth_sync import DepthSync

REREAD_US: Final = US_PER_S // 5  # between two books while one is wanted
DOUBT_US: Final = 5 * US_PER_S  # between two looks at the markets while frames cannot be read
SAY_US: Final = 60 * US_PER_S
WORDS: Final = {PublicTrade: "trades", BookDelta: "depth", Touch: "touches", MarkPrice: "marks"}


class Recorder:
    """Some markets on their way onto a tape.

    Attributes:
        counts: lines by what they are: trades, depth, touches, marks, books, gaps, others.
        ended: set when it can or shall go on no more.
        fault: why, where that was no wish; "" else.
    """

    def __init__(self, env: Env, settings: RecordSettings) -> None:
        """Know the parts; nothing connects yet."""
        known = exchange(EXCHANGE)
        self._env = env
        self._symbols = settings.symbols
        self._part_bytes = settings.part_bytes
        self._out = settings.out
        self._dialect = known.dialect()
        self._client = ApiClient(env, settings.rest_url or known.rest_url, self._dialect, None, VenueClock(), RateBudget())
        self._stream = StreamClient(env, settings.ws_url or known.ws_url, "record", self)
        self._syncs = {symbol: DepthSync() for symbol in settings.symbols}
        self._instruments: dict[str, Instrument] = {}
        self._markets = b""
        self._writer: TapeWriter | None = None
        self._reading: set[str] = set()
        self._read_us: dict[str, int] = {}
        self._doubted_us = 0
        self.counts: Counter[str] = Counter()
        self.ended = asyncio.Event()
        self.fault = ""

    @property
    def parts(self) -> Sequence[Path]:
        """The files so far."""
        return () if self._writer is None else tuple(self._writer.parts)

    async def start(self) -> str:
        """Read the markets, open the tape, connect. A market that is not listed is given back, and nothing was opened.

        Raises:
            ReadLost: the exchange does not answer.
            OSError: the file cannot be made.
        """
        await self._read_markets()
        missing = next((symbol for symbol in self._symbols if symbol not in self._instruments), "")
        if not missing:
            self._writer = TapeWriter(self._out)
            self._write(self._head(1))
            self._stream.start()
        return missing

    def stop(self, why: str) -> None:
        """End the tape in order. Raises OSError."""
        self._stream.close()
        self._client.close()
        writer = self._writer
        if writer is not None and not self.fault:
            writer.end(self._env.wall_us(), why)
        self.ended.set()

    # -- the stream's callbacks --

    def hello(self) -> Sequence[bytes]:
        """Subscribe to everything; every book must be read anew."""
        for sync in self._syncs.values():
            sync.restart()
        streams = [name for symbol in self._symbols for name in self._dialect.public_streams(symbol, self._instruments[symbol])]
        return [self._dialect.subscribe(streams, None, 0)]

    def stream_messages(self, payloads: Sequence[bytes], ts_us: int, *, is_first: bool) -> None:
        """Frames of one read."""
        del is_first
        if self.ended.is_set():
            return
        for payload in payloads:
            facts = self._dialect.frame(payload, self._instruments, ts_us)
            if not any(isinstance(fact, LastPrice) for fact in facts):  # the sign of life is not worth its room
                self._keep(payload, facts)
        for symbol, sync in self._syncs.items():
            if sync.fault:
                self._stream.restart(f"{symbol}: {sync.fault}")
                return
            if sync.wants_snapshot:
                self._want_book(symbol)
        if self._writer is not None and self._writer.part_bytes >= self._part_bytes:
            self._rotate()

    def stream_ended(self, reason: str, ts_us: int) -> None:
        """What happens until the next connection is missing on the tape."""
        del ts_us
        self._gap(reason)

    # -- lines --

    def _keep(self, payload: bytes, facts: Sequence[Event]) -> None:
        for fact in facts:
            if isinstance(fact, BadFact):
                self._doubt(fact)
            self.counts[WORDS.get(type(fact), "others")] += 1
        try:
            self._write(frame_line(self._env.wall_us(), payload))
        except ValueError:
            self._gap("a frame that is not JSON")
        for fact in facts:
            if isinstance(fact, BookDelta) and fact.symbol in self._syncs:
                self._syncs[fact.symbol].delta(fact)

    def _gap(self, reason: str) -> None:
        self.counts["gaps"] += 1
        self._write(mark_line(self._env.wall_us(), "gap", reason[:200]))

    def _write(self, line: bytes) -> None:
        """Append; a disk that refuses ends the recording."""
        if self._writer is None or self.ended.is_set():
            return
        try:
            self._writer.write(line, self._env.wall_us())
        except OSError as error:
            self._fail(error.strerror or type(error).__name__)

    def _fail(self, reason: str) -> None:
        self.fault = reason
        self.ended.set()

    def _head(self, part: int) -> bytes:
        return head_line(EXCHANGE, self._symbols, part, self._env.wall_us(), self._markets)

    def _rotate(self) -> None:
        """Go on in the next part, which begins with its own head and books, so that it can be played alone."""
        assert self._writer is not None
        try:
            number = self._writer.next_part(self._env.wall_us())
        except OSError as error:
            self._fail(error.strerror or type(error).__name__)
            return
        self._write(self._head(number))
        for symbol in self._symbols:
            self._want_book(symbol)

    # -- reads --

    def _want_book(self, symbol: str) -> None:
        """Read a book, unless that is being done or was done just now."""
        if symbol not in self._reading and not self.ended.is_set():
            self._reading.add(symbol)
            self._env.spawn(self._read_book(symbol), f"book of {symbol}")

    async def _read_book(self, symbol: str) -> None:
        now_us = self._env.now_us()
        await self._env.sleep(max(0, self._read_us.get(symbol, 0) + REREAD_US - now_us))
        epoch, instrument = self._stream.epoch, self._instruments[symbol]

        def both(_status: int, body: bytes, ts_us: int) -> tuple[bytes, BookSnapshot]:
            return body, self._dialect.depth(symbol, body, instrument, ts_us)

        try:
            body, book = await self._client.get("depth", both, symbol=symbol, limit="1000")
        except ReadLost as error:
            if not self.ended.is_set():
                self._gap(f"book of {symbol}: {error}")
            return
        finally:
            self._reading.discard(symbol)
            self._read_us[symbol] = self._env.now_us()
        if epoch == self._stream.epoch:
            self.counts["books"] += 1
            self._write(book_line(self._env.wall_us(), symbol, body))
            self._syncs[symbol].snapshot(book)

    async def _read_markets(self) -> None:
        """The exchange's rows of our markets. Raises ReadLost."""

        def rows(_status: int, body: bytes, _ts_us: int) -> tuple[bytes, dict[str, Instrument]]:
            instruments, _ = self._dialect.markets(body)
            ours = [row for row in msgspec.json.decode(body) if isinstance(row, dict) and row.get("symbol") in self._symbols]
            return msgspec.json.encode(ours), {symbol: of for symbol, of in instruments.items() if symbol in self._symbols}

        self._markets, self._instruments = await self._client.get("markets", rows)

    def _doubt(self, fact: BadFact) -> None:
        """What cannot be read may be of a new grid: the markets are read again, and the tape goes on in a part that knows them."""
        if fact.source == STREAM_ERROR:
            self._fail(fact.reason)
        elif self._env.now_us() - self._doubted_us >= DOUBT_US:
            self._doubted_us = self._env.now_us()
            self._env.spawn(self._reread_markets(), "markets")

    async def _reread_markets(self) -> None:
        before = self._instruments
        try:
            await self._read_markets()
        except ReadLost as error:
            self._gap(f"markets: {error}")
            return
        if not self._instruments.keys() >= before.keys():
            self._instruments = before | self._instruments
            return
        if any((of.tick, of.lot) != (before[s].tick, before[s].lot) for s, of in self._instruments.items()):
            self._rotate()
            for sync in self._syncs.values():
                sync.restart()


def run_record(settings: RecordSettings, face: Face) -> int:
    """Record until the end; the exit code: 0 in order, 1 broken off, 2 refused before anything was written."""
    return carry(_record(settings, face), face)


async def _record(settings: RecordSettings, face: Face) -> int:
    def failed(name: str, error: BaseException) -> None:
        face.say("run.fault", part=name, error=repr(error))
        recorder.fault = recorder.fault or repr(error)
        recorder.ended.set()

    env = LiveEnv(settings.out.parent, failed, proxies=Proxies(stream=settings.ws_proxy or "", environ=os.environ))
    recorder = Recorder(env, settings)
    try:
        try:
            missing = await recorder.start()
        except ReadLost as error:
            face.say("start.venue_lost", reason=str(error))
            return FAILED
        if missing:
            face.say("record.unknown-market", symbol=missing)
            return REFUSED
        face.say("record.begun", symbols=", ".join(settings.symbols), file=str(settings.out))
        env.spawn(_say_now_and_then(env, recorder, face), "record report")
        await _until_ended(recorder, settings.duration_s)
        recorder.stop("stopped")
    finally:
        await env.close()
    return _conclude(recorder, face)


def _conclude(recorder: Recorder, face: Face) -> int:
    counts = dict(recorder.counts)
    face.result({"parts": [str(path) for path in recorder.parts], "counts": counts, "fault": recorder.fault})
    if recorder.fault:
        face.say("record.broken", reason=recorder.fault, file=str(recorder.parts[-1]))
        return FAILED
    face.say(
        "record.ended", trades=counts.get("trades", 0), depth=counts.get("depth", 0), touches=counts.get("touches", 0),
        marks=counts.get("marks", 0), gaps=counts.get("gaps", 0), files=", ".join(str(path) for path in recorder.parts),
    )  # fmt: skip
    face.say("record.next", file=str(recorder.parts[0]))
    return OK


async def _until_ended(recorder: Recorder, duration_s: int | None) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows has no handlers on a loop: Ctrl-C raises there
            loop.add_signal_handler(number, recorder.ended.set)
    with suppress(TimeoutError):
        await asyncio.wait_for(recorder.ended.wait(), duration_s)


async def _say_now_and_then(env: Env, recorder: Recorder, face: Face) -> None:
    while True:
        await env.sleep(SAY_US)
        counts = recorder.counts
        face.say("record.so-far", trades=counts["trades"], depth=counts["depth"], gaps=counts["gaps"], file=str(recorder.parts[-1]))
