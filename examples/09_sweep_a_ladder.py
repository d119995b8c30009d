"""Sweep a ladder over a made market: a grid of two parameters, the best three played again by the engine that trades, and how much is luck.

    python examples/09_sweep_a_ladder.py

The first sweep on a machine compiles the loop, a minute or so; the next one finds it. On the command line it is
`lemon-trader sweep martingale SOL_USDC --data bars.csv --vary take_profit_pct=0.4..2..0.4`.
"""

import runpy
import tempfile
from pathlib import Path

from lemon_trader.cli.app import main as lemon_trader

write_bars = runpy.run_path(str(Path(__file__).with_name("08_backtest_a_ladder.py")))["write_bars"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bars, report = Path(folder) / "bars.csv", Path(folder) / "result.html"
        write_bars(bars)
        varied = ["--vary", "take_profit_pct=0.4..2..0.4", "--vary", "step_pct=0.5..1.5..0.25"]
        told = ["--report", str(report), "--out", str(Path(folder) / "study"), "--data-dir", folder, "--lang", "en"]
        lemon_trader(["sweep", "martingale", "SOL_USDC", "--data", str(bars), "--budget", "500", "--layers", "4", *varied, *told])


if __name__ == "__main__":
    main()
