"""Let the market maker quote for thirty seconds and print what it made. The sandbox lives ten times as fast as the clock.

python examples/03_make_a_market.py
"""

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path

from lemon_trader.config.settings import SANDBOX, PairSettings, RunSettings
from lemon_trader.core.units import PPM
from lemon_trader.env_live import LiveEnv
from lemon_trader.run.parts import default_values
from lemon_trader.run.trading import sandbox_session
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

SYMBOL = "ETH_USDC_PERP"
SPEED = 10


async def main() -> None:
    values = default_values("market-maker", spread=Decimal("0.1"), max_orders=2, interval=10)
    pair = PairSettings("market-maker", SYMBOL, values, budget=Decimal(2_000), duration_s=30)
    # "ripple": every few seconds somebody large buys or sells through the book, which is what a market maker lives on.
    sandbox = await start_sandbox(ServerOptions(world=WorldOptions(stories={SYMBOL: "ripple"}), speed_ppm=SPEED * PPM))
    with tempfile.TemporaryDirectory() as folder:
        env = LiveEnv(Path(folder), lambda part, error: print(f"{part} failed: {error!r}"))
        session = sandbox_session(RunSettings(mode=SANDBOX, pairs=(pair,), data_dir=Path(folder)), env, sandbox)
        try:
            await session.recover()
            await session.plan()
            await session.trade()
            assert session.runner is not None
            await session.runner.until_ended()
            await session.stop("example")
            made = session.report()["markets"][0]["periods"]["all"]
            for name in ("trades", "gross", "fees", "funding", "net"):
                print(f"{name:>8}  {made[name]}")
        finally:
            await session.close()
            await env.close()
            await sandbox.stop()


if __name__ == "__main__":
    asyncio.run(main())
