"""The sandbox on a real port: REST and stream over the same socket, and a pacer that lets its market live by the clock.

This is a shell: it carries bytes and time to `SandboxApp` and carries its answers back. A session that reads too slowly is dropped, so that
one sleeping client cannot hold the exchange's memory.
"""

import asyncio
import errno
import json
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from lemon_trader.core.units import PPM, US_PER_S
from lemon_trader.sandbox.accounts import DemoAccount
from lemon_trader.sandbox.app import SandboxApp
from lemon_trader.sandbox.faults import Faults
from lemon_trader.sandbox.state import StateFile
from lemon_trader.sandbox.steering import Steering
from lemon_trader.sandbox.world import World, WorldOptions, make_world

HOST: Final = "127.0.0.1"
FRAMES_MAX: Final = 20_000  # waiting for one session; some minutes of a busy market
MESSAGE_BYTES_MAX: Final = 1 << 20
BODY_BYTES_MAX: Final = 1 << 20
ACTS_AT_ONCE: Final = 500  # between two looks at the sockets
PAUSE_US_MAX: Final = 50_000
FOLLOWED_STEP_US: Final = 20_000  # of exchange time: no client that is followed hears of anything later than that
GRACE_US: Final = 2_000  # a client that was silent for so long, by the wall, has nothing to say for now
END_S: Final = 2  # for requests that are being answered when the exchange stops


class PortInUse(OSError):
    """The port belongs to somebody else."""


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how fast.

    Attributes:
        port: 0 = any free one.
        speed_ppm: exchange time beside the wall's, 1,000,000 = the same.
        is_followed: time goes on as soon as every client is idle instead, and stands while nobody is connected.
        ping_us / first_ping_us: how often a stream is pinged, and the bounds of the first time, which is drawn; wall time.
        pong_us: a stream that has answered no ping for so long is cut at the next one.
        close_us: how long a stream that was sent a close frame may take to answer it.
        compresses: whether permessage-deflate is agreed to with clients that offer it.
        state: file in which the exchange outlives its process; None = it does not.
    """

    world: WorldOptions = msgspec.field(default_factory=WorldOptions)
    port: int = 0
    speed_ppm: int = PPM
    is_followed: bool = False
    ping_us: int = 60 * US_PER_S
    first_ping_us: tuple[int, int] = (5 * US_PER_S, 38 * US_PER_S)
    pong_us: int = 120 * US_PER_S
    close_us: int = 30 * US_PER_S
    compresses: bool = True
    state: Path | None = None


class Clock:
    """Exchange time: begins with the wall's and runs at its own speed, never back."""

    def __init__(self, speed_ppm: int, from_us: int = 0) -> None:
        """Begin now, but not before `from_us`, where an earlier life of the exchange has come to. Raises ValueError unless it runs."""
        self.speed_ppm = checked_speed(speed_ppm)
        self.start_us = max(self.wall_us(), from_us)
        self._begun_ns = time.monotonic_ns()
        self.is_held = False  # time goes on by `hold` alone

    def now_us(self) -> int:
        """Exchange time, µs UTC."""
        if self.is_held:
            return self.start_us
        return self.start_us + (time.monotonic_ns() - self._begun_ns) * self.speed_ppm // (1_000 * PPM)

    def hold(self, at_us: int) -> None:
        """Let it be `at_us`, not before what it was, until somebody says more or sets a speed."""
        self.start_us, self.is_held = max(at_us, self.now_us()), True

    def set_speed(self, speed_ppm: int) -> None:
        """Run at another speed from now on. Raises ValueError unless it is above 0."""
        checked_speed(speed_ppm)
        self.start_us, self._begun_ns = self.now_us(), time.monotonic_ns()
        self.speed_ppm = speed_ppm
        self.is_held = False

    def wall_us(self) -> int:
        """The machine's time, µs UTC: what a client signs with that knows nothing of the exchange's speed."""
        return time.time_ns() // 1_000

    def wall_of(self, span_us: int) -> int:
        """How long a span of exchange time takes by the wall, µs."""
        return span_us * PPM // self.speed_ppm


def checked_speed(speed_ppm: int) -> int:
    """The speed itself. Raises ValueError unless it is above 0."""
    if speed_ppm <= 0:
        raise ValueError(f"a speed of {speed_ppm / PPM} is not possible; it must be above 0")
    return speed_ppm


class RunningSandbox:
    """A sandbox that listens.

    Attributes:
        app: the application behind the port, for tests that order faults or read the exchange's own ledger.
        steering: the operator's hand on the markets.
        broken: set when the market can go on no more.
        memory: the file that it is kept in, closed with it; None = none.
    """

    def __init__(self, world: World, clock: Clock, options: ServerOptions | None = None) -> None:
        self._options = options or ServerOptions()
        self._chance = Random(self._options.world.seed)  # noqa: S311  of when pings begin
        self.app: SandboxApp = world.app
        self.accounts: tuple[DemoAccount, ...] = world.accounts
        self.clock = clock
        self.port = 0
        self.steering = Steering(world.source, world.app.desk.outside)
        self.broken = asyncio.Event()
        self.memory: StateFile | None = None
        if self._options.is_followed:
            clock.hold(clock.start_us)
        self._outboxes: set[Outbox] = set()
        self._in_flight = 0  # requests that are being answered
        self._stirred_ns = 0  # when a client had something to read or to say
        self._runner: web.ServerRunner | None = None
        self._pacer: asyncio.Task[None] | None = None

    @property
    def rest_url(self) -> str:
        """Where REST requests go."""
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where streams connect."""
        return f"ws://{HOST}:{self.port}/"

    def readiness(self, **more: str) -> str:
        """One line of JSON that says where it listens and which keys it knows; secrets are those of demo accounts alone."""
        accounts = [{"api_key": account.api_key} | ({} if account.is_own else {"secret": account.secret}) for account in self.accounts]
        return json.dumps({"rest_url": self.rest_url, "ws_url": self.ws_url, "accounts": accounts, **more})

    async def listen(self, port: int) -> None:
        """Open the port. Raises PortInUse."""
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=END_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"port {port} is already in use; choose another with --port, or 0 for any free one") from None
            raise
        self.port = self._runner.addresses[0][1]
        self._pacer = asyncio.create_task(self._pace(), name="sandbox pacer")
        self._pacer.add_done_callback(self._pacer_ended)

    async def stop(self) -> None:
        """Close every stream with a close frame, then the port. Harmless when called again."""
        pacer, self._pacer = self._pacer, None
        if pacer is not None:
            pacer.cancel()
            await asyncio.wait([pacer])
        self.app.hub.close_all(WSCloseCode.GOING_AWAY, "shutting down")
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        memory, self.memory = self.memory, None
        if memory is not None:
            self.app.memory = None
            memory.close()

    # ---- time ----

    async def _pace(self) -> None:
        while True:
            if self.clock.is_held:
                await self._follow()
                continue
            now_us = self.clock.now_us()
            if self._catch_up(now_us):
                await asyncio.sleep(0)
                continue
            self.app.advance(now_us)
            due_us = min(self.app.next_due_us(), self.steering.due_us)
            pause_us = max(0, min(due_us - self.clock.now_us(), PAUSE_US_MAX * self.clock.speed_ppm // PPM))
            await asyncio.sleep(self.clock.wall_of(pause_us) / US_PER_S)

    async def _follow(self) -> None:
        """Let time go on by one step if every client is idle; else wait a little."""
        if not self._is_idle():
            await asyncio.sleep(GRACE_US / (4 * US_PER_S))
            return
        now_us = self.clock.now_us()
        due_us = min(self.app.next_due_us(), self.steering.due_us, now_us + US_PER_S)
        self.clock.hold(max(due_us, now_us + FOLLOWED_STEP_US))
        self.catch_up()
        await asyncio.sleep(0)

    def _is_idle(self) -> bool:
        """Whether somebody is connected, everything was sent that there was to read, and nothing has come in for a short while."""
        if self._runner is None or self._runner.server is None or not self._runner.server.connections:
            return False
        now_ns = time.monotonic_ns()
        if self._in_flight or any(outbox.is_waiting for outbox in self._outboxes):
            self._stirred_ns = now_ns
            return False
        return now_ns - self._stirred_ns >= GRACE_US * 1_000

    def _pacer_ended(self, pacer: "asyncio.Task[None]") -> None:
        """A market that can go on no more must not look like a quiet one: say why, and end every stream."""
        error = None if pacer.cancelled() else pacer.exception()
        if error is not None:
            pacer.get_loop().call_exception_handler({"message": "the sandbox's market has stopped", "exception": error, "task": pacer})
            self.app.hub.close_all(WSCloseCode.INTERNAL_ERROR, "the market has stopped")
            self.broken.set()

    def catch_up(self) -> int:
        """Let everything happen that was due by now; exchange time, for whoever acts next."""
        now_us = self.clock.now_us()
        while self._catch_up(now_us):
            pass
        self.app.advance(now_us)
        return now_us

    def _catch_up(self, now_us: int) -> bool:
        """Let the outside world do what it had to do by now; True when there is more of it."""
        for _ in range(ACTS_AT_ONCE):
            act = self.steering.take(now_us)
            if act is None:
                return False
            self.app.act(act)
        return True

    # ---- sockets ----

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._stream(request)
        self._in_flight += 1
        try:
            return await self._answer_request(request)
        finally:
            self._in_flight -= 1
            self._stirred_ns = time.monotonic_ns()

    async def _answer_request(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413, text="payload too large")
        now_us = self.clock.now_us()
        self._catch_up(now_us)
        wall_us, peer = self.clock.wall_us(), request.remote or ""
        answer = self.app.handle(request.method, request.raw_path, request.headers, body, now_us, wall_us=wall_us, peer=peer)
        if answer.delay_us:
            await asyncio.sleep(self.clock.wall_of(answer.delay_us) / US_PER_S)
        if answer.is_lost and request.transport is not None:
            request.transport.abort()
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        options = self._options
        socket = web.WebSocketResponse(
            autoping=False, max_msg_size=MESSAGE_BYTES_MAX, timeout=options.close_us / US_PER_S, compress=options.compresses
        )
        try:
            await socket.prepare(request)
        except ConnectionResetError:
            return web.Response(status=400)  # the client went away in the middle of its handshake: nobody reads this
        outbox = Outbox(socket)
        self._outboxes.add(outbox)
        session = self.app.open_stream(outbox.put, outbox.end)
        pulse = Pulse(socket, request, options, self._chance.randint(*options.first_ping_us))
        tasks = [asyncio.create_task(outbox.drain(), name="stream writer"), asyncio.create_task(pulse.beat(), name="stream pings")]
        try:
            async for message in socket:
                if message.type is WSMsgType.PING:
                    with suppress(ConnectionError):
                        await socket.pong(message.data)
                elif message.type is WSMsgType.PONG:
                    pulse.answered()
                else:
                    self._receive(session.receive, message)
        finally:
            session.gone()
            self._outboxes.discard(outbox)
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        return socket

    def _receive(self, receive: Callable[[str | bytes, int, int], None], message: WSMessage) -> None:
        self._stirred_ns = time.monotonic_ns()
        if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
            receive(message.data, self.clock.now_us(), self.clock.wall_us())


class Pulse:
    """The pings of one stream. One that leaves them unanswered for too long is cut without a close frame, as on the venue."""

    def __init__(self, socket: web.WebSocketResponse, request: web.BaseRequest, options: ServerOptions, first_us: int) -> None:
        self._socket = socket
        self._request = request
        self._options = options
        self._first_us = first_us
        self._heard_s = time.monotonic()

    def answered(self) -> None:
        """The client has sent a pong."""
        self._heard_s = time.monotonic()

    async def beat(self) -> None:
        """Ping as long as the stream lives and answers."""
        pause_us = self._first_us
        while not self._socket.closed:
            await asyncio.sleep(pause_us / US_PER_S)
            pause_us = self._options.ping_us
            if time.monotonic() - self._heard_s > self._options.pong_us / US_PER_S:
                if self._request.transport is not None:
                    self._request.transport.abort()
                return
            try:
                await self._socket.ping()
            except ConnectionError:
                return


class Outbox:
    """Frames on their way to one session, in order. When too many wait, the session is dropped."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._frames: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._end: tuple[int, str] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether there are frames that have not left."""
        return bool(self._frames)

    def put(self, frame: bytes) -> None:
        """Send it when its turn comes."""
        if len(self._frames) >= FRAMES_MAX:
            self._frames.clear()
            self.end(WSCloseCode.POLICY_VIOLATION, "too slow")
        if self._end is None:
            self._frames.append(frame)
            self._news.set()

    def end(self, code: int, reason: str) -> None:
        """Close the connection after what waits."""
        self._end = self._end or (code, reason)
        self._news.set()

    async def drain(self) -> None:
        """Send frames as long as the session lives."""
        while not self._socket.closed:
            while self._frames:
                try:
                    await self._socket.send_frame(self._frames.popleft(), WSMsgType.TEXT)
                except (ConnectionError, RuntimeError):
                    return  # the connection went first; the reader of the session notices and ends it
            if self._end is not None:
                await self._socket.close(code=self._end[0], message=self._end[1].encode())
                return
            self._news.clear()
            await self._news.wait()


async def start_sandbox(options: ServerOptions | None = None, *, faults: Faults | None = None) -> RunningSandbox:
    """A sandbox that listens on its port and lives, in the running event loop.

    Raises:
        PortInUse: the port belongs to somebody else.
        StateError: the memory cannot be used.
        UnknownMarket, RecordingError, GateError, ValueError: options that cannot be.
    """
    options = options or ServerOptions()
    memory = StateFile(options.state) if options.state is not None else None
    try:
        kept = memory.load() if memory is not None else None
        clock = Clock(options.speed_ppm, kept.at_us if kept is not None else 0)
        world = make_world(options.world, clock.start_us, faults=faults, kept=kept)
        if memory is not None and kept is not None:
            memory.attach(world.app.desk, kept)
            world.app.memory = memory
        running = RunningSandbox(world, clock, options)
        running.memory = memory
        await running.listen(options.port)
    except BaseException:  # raised again: the file is given back, so that the next start finds it free
        if memory is not None:
            memory.close()
        raise
    return running
