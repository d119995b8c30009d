"""The exchange of a mode for faces that look: the real one, a sandbox that runs elsewhere, or one embedded for as long as they look."""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from lemon_trader.api.client import ApiClient
from lemon_trader.api.http_wire import Headers, HttpWire
from lemon_trader.config.reach import ReachSettings
from lemon_trader.config.settings import LIVE, SANDBOX
from lemon_trader.core.events import Event
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import PPM, US_PER_S
from lemon_trader.env import Env
from lemon_trader.env_live import LiveEnv, Proxies
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.exchanges.dialect import Request, Signer
from lemon_trader.run.parts import EXCHANGE, make_signer
from lemon_trader.run.scaled import ScaledEnv
from lemon_trader.sandbox.accounts import demo_accounts
from lemon_trader.sandbox.server import RunningSandbox, ServerOptions, start_sandbox
from lemon_trader.sandbox.world import SYNTHETIC, WorldOptions
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import RateBudget
from lemon_trader.venues.account_feed import AccountFeed
from lemon_trader.venues.market_feed import MarketFeed

PROBE_TIMEOUT_US: Final = 10 * US_PER_S


class Reach:
    """An exchange within reach. Make it with `open_reach` on the loop that shall carry it.

    Attributes:
        env: the world, by the exchange's own clock where the exchange is embedded.
        signer: the account's; None where there is none (paper, or live without keys).
        client: retried reads.
        sandbox: the embedded one, if any.
        faults: what failed on the way, by name; nothing dies in silence.
    """

    def __init__(
        self, live_env: LiveEnv, env: Env, signer: Signer | None, rest_url: str, ws_url: str, sandbox: RunningSandbox | None,
        faults: list[str],
    ) -> None:  # fmt: skip
        """Know the parts; connections open when they are needed."""
        self._live_env = live_env
        self.env = env
        self.signer = signer
        self.rest_url = rest_url
        self.ws_url = ws_url
        self.sandbox = sandbox
        self.faults = faults
        self.dialect = exchange(EXCHANGE).dialect()
        self.clock = VenueClock()
        self.client = ApiClient(env, rest_url, self.dialect, signer, self.clock, RateBudget())

    async def fresh_clock(self) -> None:
        """Know the exchange's time well enough to sign. Raises ReadLost."""
        if self.clock.due(self.env.now_us()):
            await self.client.sync_time()

    def venue_ms(self) -> int:
        """The exchange's clock, ms: what a request is signed with."""
        return self.clock.venue_ms(self.env.now_us())

    def market_feed(self, markets: dict[str, Instrument], symbols: Sequence[str], sink: Callable[[Sequence[Event]], None]) -> MarketFeed:
        """The public stream of these markets, not started."""
        return MarketFeed(self.env, self.ws_url, self.dialect, self.client, markets, symbols, sink)

    def account_feed(self, markets: dict[str, Instrument], heartbeat: str, sink: Callable[[Sequence[Event]], None]) -> AccountFeed:
        """The account's stream, not started; only where there is a signer."""
        assert self.signer is not None
        return AccountFeed(self.env, self.ws_url, self.dialect, self.signer, self.clock, markets, heartbeat, sink)

    async def close(self) -> None:
        """Give everything back."""
        self.client.close()
        await self._live_env.close()
        if self.sandbox is not None:
            await self.sandbox.stop()


async def open_reach(settings: ReachSettings, *, rest_url: str = "", ws_url: str = "") -> Reach:
    """The exchange that these settings name; nothing is asked of it yet.

    Args:
        settings: the mode and its keys.
        rest_url: of requests, instead of the real exchange's, for tests.
        ws_url: of streams, likewise.

    Raises:
        PortInUse, RecordingError, UnknownMarket: an embedded sandbox that cannot be.
        SecretError: keys that cannot sign.
    """
    faults: list[str] = []
    live_env = LiveEnv(
        settings.data_dir, lambda name, fault: faults.append(f"{name}: {fault!r}"),
        proxies=Proxies(stream=settings.ws_proxy or "", environ=os.environ),
    )  # fmt: skip
    known = exchange(EXCHANGE)
    if settings.mode != SANDBOX:
        keys = settings.keys if settings.mode == LIVE else None
        signer = make_signer(keys.api_key, keys.secret_key.reveal()) if keys is not None else None
        return Reach(live_env, live_env, signer, rest_url or known.rest_url, ws_url or known.ws_url, None, faults)
    if settings.sandbox_url:
        account = demo_accounts(settings.market.seed, 1)[0]
        signer = make_signer(account.api_key, account.secret)
        return Reach(live_env, live_env, signer, settings.sandbox_url, f"ws://{urlsplit(settings.sandbox_url).netloc}/", None, faults)
    market = settings.market
    recorded = market.source != SYNTHETIC
    world = WorldOptions(market=market.source, seed=market.seed, symbol="SOL_USDC" if recorded else None)
    sandbox = await start_sandbox(ServerOptions(world=world, speed_ppm=int(market.speed * PPM)))
    account = sandbox.accounts[0]
    env = ScaledEnv(live_env, sandbox.clock.now_us, sandbox.clock.wall_of)
    return Reach(live_env, env, make_signer(account.api_key, account.secret), sandbox.rest_url, sandbox.ws_url, sandbox, faults)


class Reply:
    """A raw answer: status, body, when its question left and when it was here, engine time µs."""

    __slots__ = ("body", "headers", "received_us", "sent_us", "status")

    def __init__(self, status: int, headers: Headers, body: bytes, sent_us: int, received_us: int) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.sent_us = sent_us
        self.received_us = received_us


class Asker:
    """Sends a request once and gives back the raw answer, whatever it says: for those who want to know how the exchange answers."""

    def __init__(self, env: Env, url: str) -> None:
        """Know where; connects at the first question."""
        self._env = env
        self._url = url
        self._wire: HttpWire | None = None

    async def ask(self, request: Request) -> Reply:
        """One request, one answer, nothing repeated. Raises OSError when no answer came; then nobody knows whether it was acted on."""
        wire = self._wire
        if wire is None or not wire.is_idle:
            if wire is not None:
                wire.close()
            wire = self._wire = HttpWire(self._env, self._url, self)
            await wire.open()
        done: asyncio.Future[Reply] = asyncio.Future()
        sent_us = self._env.now_us()

        def answered(status: int, headers: Headers, body: bytes) -> None:
            if not done.done():
                done.set_result(Reply(status, headers, body, sent_us, self._env.now_us()))

        def lost(reason: str) -> None:
            if not done.done():
                done.set_exception(ConnectionError(reason))

        wire.send(request, answered, lost, PROBE_TIMEOUT_US)
        return await done

    def close(self) -> None:
        """End the connection."""
        if self._wire is not None:
            self._wire.close()

    def wire_ended(self, wire: HttpWire, reason: str) -> None:
        """The connection is gone; the next question opens another."""
        del reason
        if wire is self._wire:
            self._wire = None
