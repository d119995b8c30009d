"""The exchange alone, served until it is stopped."""

import asyncio
import signal
from contextlib import suppress

from lemon_trader.config.settings import Face, SandboxSettings
from lemon_trader.core.units import PPM
from lemon_trader.run.trading import OK, carry
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions


def run_sandbox(settings: SandboxSettings, face: Face) -> int:
    """Serve until a signal; the exit code."""
    return carry(_serve(settings, face), face)


async def _serve(settings: SandboxSettings, face: Face) -> int:
    world = WorldOptions(
        market=settings.market.source, seed=settings.market.seed,
        scheme="hmac-sha256" if settings.signatures == "hmac-sha256" else "ed25519",
    )  # fmt: skip
    running = await start_sandbox(ServerOptions(world=world, port=settings.port, speed_ppm=int(settings.market.speed * PPM)))
    if settings.json:
        print(running.readiness(), flush=True)  # noqa: T201  one line that programs wait for
    else:
        face.say("sandbox.ready", rest_url=running.rest_url, ws_url=running.ws_url)
        for account in running.accounts:
            face.say("sandbox.account", name=account.name, api_key=account.api_key, secret=account.secret)
        face.say("sandbox.how_to_end")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows has no handlers on a loop: Ctrl-C raises there
            loop.add_signal_handler(number, ended.set)
    try:
        await ended.wait()
    finally:
        await running.stop()
    return OK
