"""Trade what a settings file says: two strategies in two markets under one budget, each for its own time.

    python examples/05_two_pairs.py

The same as `lemon-trader run --file examples/05_lemon.toml`, with the steps in sight.
"""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

from lemon_trader.cli.declared import declarations
from lemon_trader.config.resolve import Request, resolve
from lemon_trader.env_live import LiveEnv
from lemon_trader.messages.catalogue import say
from lemon_trader.run.trading import open_sandbox, sandbox_session

FILE = Path(__file__).with_name("05_lemon.toml")


async def main() -> None:
    settings = resolve(Request(file=FILE), declarations()).settings
    for pair in settings.pairs:
        print(f"{pair.strategy} in {pair.symbol}: {pair.budget} for {pair.duration_s} s")
    sandbox = await open_sandbox(settings)
    with tempfile.TemporaryDirectory() as folder:
        env = LiveEnv(Path(folder), lambda part, error: print(f"{part} failed: {error!r}"))
        session = sandbox_session(replace(settings, data_dir=Path(folder)), env, sandbox)
        session.on_alert = lambda alert: print(say(alert.key, **alert.values))
        try:
            await session.recover()
            await session.plan()
            await session.trade()
            assert session.runner is not None
            await session.runner.until_ended()
            await session.stop("example")
        finally:
            await session.close()
            await env.close()
            await sandbox.stop()


if __name__ == "__main__":
    asyncio.run(main())
