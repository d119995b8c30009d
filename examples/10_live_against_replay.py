"""Trade for a few seconds beside a recorder, make every decision again from the journal, and replay the session on the recording.

    python examples/10_live_against_replay.py

On the command line: `lemon-trader record --symbol SOL_USDC --out sol.jsonl.gz` beside a run, and after it
`lemon-trader report parity --live --tape sol.jsonl.gz`.
"""

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path

from lemon_trader.cli.app import main as lemon_trader
from lemon_trader.config.record import RecordSettings
from lemon_trader.config.settings import SANDBOX, PairSettings, RunSettings
from lemon_trader.env_live import LiveEnv
from lemon_trader.run.parts import default_values
from lemon_trader.run.record import Recorder
from lemon_trader.run.trading import sandbox_session
from lemon_trader.sandbox.server import ServerOptions, start_sandbox

SYMBOL = "SOL_USDC"
SECONDS = 10
FINE = {"layers": 4, "step_pct": Decimal("0.05"), "step_scale": Decimal(1), "take_profit_pct": Decimal("0.05"), "stop_loss_pct": Decimal(1)}


async def trade(folder: Path, tape: Path) -> None:
    values = default_values("martingale", **FINE, stop_by_layer=False, entry="market", cooldown=1)
    pair = PairSettings("martingale", SYMBOL, values, budget=Decimal(500))
    sandbox = await start_sandbox(ServerOptions())
    env = LiveEnv(folder, lambda part, error: print(f"{part} failed: {error!r}"))
    recorder = Recorder(env, RecordSettings((SYMBOL,), tape, None, 1 << 28, sandbox.rest_url, sandbox.ws_url, None, "en", json=False))
    session = sandbox_session(RunSettings(mode=SANDBOX, pairs=(pair,), data_dir=folder, accept_fee_loss=True), env, sandbox)
    try:
        await recorder.start()
        await env.sleep(4_000_000)  # a replay sees the market for three seconds before it decides, as a start does
        await session.recover()
        await session.plan()
        await session.trade()
        await env.sleep(SECONDS * 1_000_000)
        await session.stop("example")
    finally:
        await session.close()
        recorder.stop("example")
        await env.close()
        await sandbox.stop()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tape = Path(folder) / "sol.jsonl.gz"
        asyncio.run(trade(Path(folder), tape))
        code = lemon_trader(["report", "parity", "--sandbox", "--data-dir", folder, "--tape", str(tape), "--lang", "en"])
        print(f"exit code {code}: {'no decision differs' if code == 0 else 'decisions differ'}")


if __name__ == "__main__":
    main()
