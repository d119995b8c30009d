"""A live venue against the sandbox over real sockets, with a TCP proxy between them that can break what passes."""

import asyncio
from contextlib import asynccontextmanager

from tests.env_live.real import live_env, until

from lemon_trader.core.book import Book
from lemon_trader.core.commands import Place
from lemon_trader.core.events import (
    BookDelta,
    BookSnapshot,
    CancelAnswered,
    FeedState,
    Fill,
    PlaceAccepted,
    PlaceRefused,
    PlaceUnknown,
)
from lemon_trader.core.units import BUY, POST_ONLY
from lemon_trader.exchanges.catalog import exchange, signer
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions
from lemon_trader.venues.live import LiveVenue

SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
ANSWERS = (PlaceAccepted, PlaceRefused, PlaceUnknown)


class FaultyProxy:
    """Passes bytes between client and server until told to cut, to fall silent, or to close its door."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.is_silent = False
        self.accepted = 0
        self.port = 0

    async def start(self) -> None:
        """Listen: on a port of its own, on the same one when it listened before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Reset every connection and refuse new ones until `start`."""
        assert self._server is not None
        self._server.close()
        self.cut()

    async def stop(self) -> None:
        self.shut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection that is open now."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._open |= {writer, there_writer}
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass  # one side went, or the test is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not self.is_silent:
                    writer.write(data)
                    await writer.drain()
        finally:
            self._open.discard(writer)
            writer.close()


class Rig:
    """Everything a test wants to look at."""

    def __init__(self, sandbox, env, rest, stream) -> None:
        self.sandbox = sandbox
        self.env = env
        self.rest = rest
        self.stream = stream
        self.calls = []
        self.book = Book()
        self.in_send = False
        account = sandbox.accounts[0]
        self.ledger = sandbox.app.desk.exchange.accounts[account.name]
        self.venue = LiveVenue(
            env,
            exchange("backpack").dialect(),
            signer("backpack", account.secret),
            self.sink,
            rest_url=f"http://127.0.0.1:{rest.port}",
            ws_url=f"ws://127.0.0.1:{stream.port}/",
        )

    def sink(self, facts):
        assert not self.in_send, "the sink was called before send returned"
        self.calls.append(list(facts))
        for fact in facts:
            match fact:
                case FeedState(feed="public"):
                    self.book.drop()
                case BookSnapshot(symbol="SOL_USDC"):
                    self.book.snapshot(fact)
                case BookDelta(symbol="SOL_USDC"):
                    self.book.delta(fact)

    def send(self, *commands):
        self.in_send = True
        self.venue.send(commands)
        self.in_send = False

    @property
    def facts(self):
        return [fact for call in self.calls for fact in call]

    def of(self, *kinds):
        return [fact for fact in self.facts if type(fact) in kinds]

    def answers(self):
        return {fact.client_id: type(fact) for fact in self.of(*ANSWERS)}

    def cancels(self):
        return {fact.client_id: fact.outcome for fact in self.of(CancelAnswered)}

    def fills(self):
        return {(fact.order_id, fact.trade_id): (fact.price_ticks, fact.qty_lots, fact.fee_atoms) for fact in self.of(Fill)}

    def exchange_fills(self):
        return {(str(f.order_id), f.trade_id): (f.ticks, f.lots, f.fee_atoms) for f in self.ledger.fills}

    async def up(self, *symbols):
        """Connected, with a book and both streams."""
        await self.venue.connect(symbols or (SPOT,))
        await until(lambda: {f.feed for f in self.of(FeedState) if f.up} == {"public", "private"} and self.book.valid)

    def quote(self, client_id, away=100, lots=100, kind=POST_ONLY):
        """A bid well below the touch."""
        return Place(SPOT, client_id, BUY, kind, 0, self.book.bid_ticks - away, 0, lots)


@asynccontextmanager
async def live_rig(folder, **world):
    """A sandbox, a venue, and faulty proxies before both of its doors."""
    sandbox = await start_sandbox(ServerOptions(world=WorldOptions(**world)))
    rest, stream = FaultyProxy(sandbox.port), FaultyProxy(sandbox.port)
    await rest.start()
    await stream.start()
    try:
        async with live_env(folder) as env:
            rig = Rig(sandbox, env, rest, stream)
            yield rig
            await rig.venue.close()
            await asyncio.sleep(0.01)
    finally:
        await rest.stop()
        await stream.stop()
        await sandbox.stop()
