"""The exchange alone, served until it is stopped."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.settings import Face, SandboxSettings
from lemon_trader.config.sources import refuse_unknown
from lemon_trader.core.instrument import GateError
from lemon_trader.core.units import PPM
from lemon_trader.env_live import new_loop
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.instruments import UnknownMarket
from lemon_trader.sandbox.accounts import demo_accounts, own_account
from lemon_trader.sandbox.admin import AdminServer
from lemon_trader.sandbox.chosen import SWITCHES, SwitchRefused, chosen
from lemon_trader.sandbox.server import PortInUse, ServerOptions, start_sandbox
from lemon_trader.sandbox.state import StateError
from lemon_trader.sandbox.tiers import UnknownTier, tier_of
from lemon_trader.sandbox.world import WorldOptions

# As a run's that trades. Nothing of that is imported here: an exchange alone starts in two thirds of the time.
OK, FAILED, REFUSED = 0, 1, 2


def run_sandbox(settings: SandboxSettings, face: Face) -> int:
    """Serve until a signal; the exit code."""
    world = world_of(settings)
    return _carried(_serve(settings, world, face), face)


def _carried(work: Coroutine[Any, Any, int], face: Face) -> int:
    """Run the exchange's life on a loop of its own; what refuses its start becomes one message and exit code 2."""
    loop = new_loop()
    try:
        return loop.run_until_complete(work)
    except (StateError, UnknownMarket, RecordingError, GateError, PortInUse) as error:
        face.say("start.refused", reason=str(error))
    except PermissionError as error:
        face.say("start.unwritable", path=error.filename, reason=error.strerror)
    finally:
        loop.close()
    return REFUSED


def world_of(settings: SandboxSettings) -> WorldOptions:
    """What kind of sandbox these settings ask for. Raises BadSetting when an own account has a demo account's name."""
    demo = {account.name for account in demo_accounts(settings.market.seed, settings.accounts, {})}
    clash = next((account.name for account in settings.own if account.name in demo), None)
    if clash is not None:
        raise BadSetting("sandbox.accounts-clash", name=clash)
    stranger = next((name for name in settings.switches if name not in SWITCHES), None)
    if stranger is not None:
        raise refuse_unknown(stranger, SWITCHES, "--switches")
    try:
        rules, switches = chosen(settings.switches)
        tier = None if settings.fee_tier is None else tier_of(settings.fee_tier).name
    except (SwitchRefused, UnknownTier) as refused:
        raise BadSetting("sandbox.choice-refused", reason=str(refused)) from refused
    own = [own_account(a.name, a.api_key, a.secret, a.balances, settings.signatures) for a in settings.own]
    return WorldOptions(
        market=settings.market.source, symbol=settings.symbol, seed=settings.market.seed, scheme=settings.signatures,
        accounts=settings.accounts,
        balances=settings.balances, own=own, tier=tier, rules=rules, switches=switches,
    )  # fmt: skip


async def _serve(settings: SandboxSettings, world: WorldOptions, face: Face) -> int:
    speed_ppm = int(settings.market.speed * PPM)
    options = ServerOptions(
        world=world, port=settings.port, speed_ppm=speed_ppm, is_followed=settings.is_followed, state=settings.state
    )  # fmt: skip
    running = await start_sandbox(options)
    admin = AdminServer(running, settings.lang)
    try:
        await admin.listen(settings.admin_port)
    except PortInUse:
        await running.stop()
        raise
    if settings.json:
        print(running.readiness(admin_url=admin.url, admin_token=admin.token), flush=True)  # noqa: T201  one line that programs wait for
    else:
        face.say("sandbox.ready", rest_url=running.rest_url, ws_url=running.ws_url)
        for account in running.accounts:
            if account.is_own:
                face.say("sandbox.own-account", name=account.name, api_key=account.api_key)
            else:
                face.say("sandbox.account", name=account.name, api_key=account.api_key, secret=account.secret)
        face.say("sandbox.admin", url=admin.url, token=admin.token)
        face.say("sandbox.how_to_end")
    is_told = False

    def told() -> None:
        nonlocal is_told
        is_told = True
        running.broken.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows has no handlers on a loop: Ctrl-C raises there
            loop.add_signal_handler(number, told)
    try:
        await running.broken.wait()
    finally:
        await admin.stop()
        await running.stop()
    if not is_told:
        face.say("sandbox.broken")
        return FAILED
    return OK
