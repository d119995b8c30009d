"""Be told: a hook of your own on loopback prints what a running session tells it.

    python examples/07_be_told.py

On the command line it is `--on-alert URL`. Chat services take the same with the extra `notify`; see docs/alerts.md.
"""

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path

from aiohttp import web

from lemon_trader.config.alerts import target
from lemon_trader.config.settings import SANDBOX, AlertSettings, PairSettings, RunSettings
from lemon_trader.core.units import PPM
from lemon_trader.env_live import LiveEnv
from lemon_trader.run.parts import default_values
from lemon_trader.run.trading import sandbox_session
from lemon_trader.sandbox.server import ServerOptions, start_sandbox

SPEED = 10


async def told(request: web.Request) -> web.Response:
    alert = await request.json()
    print(f"{alert['at']}  {alert['event']:<6}  {alert['text']}")
    return web.Response(status=204)


async def main() -> None:
    app = web.Application()
    app.router.add_post("/told", told)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook = f"http://127.0.0.1:{runner.addresses[0][1]}/told"

    values = default_values("market-maker", spread=Decimal("0.4"))
    pair = PairSettings("market-maker", "SOL_USDC", values, budget=Decimal(500), duration_s=10)
    alerts = AlertSettings(targets=(target(hook),), levels={"fill": "off", "command": "off"}, account_label="practice")
    sandbox = await start_sandbox(ServerOptions(speed_ppm=SPEED * PPM))
    with tempfile.TemporaryDirectory() as folder:
        env = LiveEnv(Path(folder), lambda part, error: print(f"{part} failed: {error!r}"))
        settings = RunSettings(mode=SANDBOX, pairs=(pair,), data_dir=Path(folder), alerts=alerts)
        session = sandbox_session(settings, env, sandbox)
        try:
            await session.recover()
            await session.plan()
            await session.trade()
            assert session.runner is not None
            await session.runner.until_ended()
            await session.stop("example")
        finally:
            await session.close()  # waits a moment until the last alert has left
            await env.close()
            await sandbox.stop()
            await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
