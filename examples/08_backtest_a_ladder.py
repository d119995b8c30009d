"""Backtest a ladder over a market that this program makes itself: under two models of fills, beside holding and cash, with a report.

    python examples/08_backtest_a_ladder.py

On the command line it is `lemon-trader backtest martingale SOL_USDC --data bars.csv --report result.html`; see docs/backtest.md.
"""

import math
import tempfile
from pathlib import Path

from lemon_trader.cli.app import main as lemon_trader

MINUTES = 2 * 1_440
START_S = 1_767_225_600  # 2026-01-01 00:00 UTC


def price(minute: float) -> float:
    """Waves of a day, an hour and some minutes, and one fall that a ladder does not survive."""
    waves = 4 * math.sin(minute / 230) + 1.5 * math.sin(minute / 17) + 0.6 * math.sin(minute / 3.1)
    fall = -22 / (1 + math.exp((2_200 - minute) / 25))
    return 150 + waves + fall


def write_bars(path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("ts,open,high,low,close,volume\n")
        for n in range(MINUTES):
            seen = [round(price(n + quarter / 4), 2) for quarter in range(5)]
            file.write(f"{START_S + 60 * n},{seen[0]},{max(seen)},{min(seen)},{seen[-1]},900\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bars, report = Path(folder) / "bars.csv", Path(folder) / "result.html"
        write_bars(bars)
        flags = ["--engine", "replay", "--budget", "500", "--layers", "4", "--report", str(report), "--data-dir", folder, "--lang", "en"]
        code = lemon_trader(["backtest", "martingale", "SOL_USDC", "--data", str(bars), *flags])
        print(f"exit code {code}; the report has {report.read_text(encoding='utf-8').count('<svg')} charts")


if __name__ == "__main__":
    main()
