"""The same strategy over the same minutes, as bars, as trades and as a recorded book: how far the models of fills lie apart.

    python benchmarks/fill_gaps.py FOLDER_OF_RECORDINGS

BTC/USDT spot, 8 August 2024 23:54:15 to 9 August 00:05 UTC, the minutes of which all three are there.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

from lemon_trader.cli.app import main as lemon_trader

START, END = "2024-08-08T23:55", "2024-08-09T00:05"
BARS = "bars/btcusdt_binance_spot_1m_202408.parquet"
TRADES = "l2/btcusdt_binance_spot_20240808_09_trades.parquet"
BOOK = "l2/btcusdt_binance_spot_20240808_09_depth.parquet"
MAKER = ["market-maker", "BTC_USDC", "--budget", "2000", "--spread", "0.004", "--rebalance", "off", "--max-orders", "1"]
LADDER = [
    *[
        "martingale",
        "BTC_USDC",
        "--budget",
        "20000",
        "--layers",
        "4",
        "--step-pct",
        "0.03",
        "--step-scale",
        "1",
        "--take-profit-pct",
        "0.03",
    ],
    *["--stop-loss-pct", "1", "--no-stop-by-layer", "--cooldown", "1s", "--entry", "market"],
]


def runs(arguments: list[str], data: Path, *more: str) -> list[dict]:
    """The runs of one backtest, most pessimistic first."""
    words = ["backtest", *arguments, "--data", str(data), "--start", START, "--end", END, "--off-grid", "nearest", "--maker-fee-pct", "0"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = lemon_trader([*words, "--taker-fee-pct", "0", "--json", *more])
    assert code == 0, out.getvalue()
    return json.loads(out.getvalue().splitlines()[-1])["runs"]


def main() -> None:
    folder = Path(sys.argv[1])
    print("| strategy | data | fills by | fills | turnover, USDC | net, USDC | markout 5 s, bp |\n|---|---|---|---:|---:|---:|---:|")
    for name, arguments in (("market-maker", MAKER), ("martingale", LADDER)):
        for kind, file, more in (("bars", BARS, ["--engine", "replay"]), ("trades", TRADES, []), ("book", BOOK, [])):
            for run in runs(arguments, folder / file, *more):
                f = run["figures"]
                markout = "-" if f["markout_5s_bp"] is None else f"{f['markout_5s_bp']:.2f}"
                turnover, net = (f"{float(f[key]):.2f}" for key in ("turnover", "net"))
                print(f"| {name} | {kind} | {run['fill_model']} | {f['fills']} | {turnover} | {net} | {markout} |")


if __name__ == "__main__":
    main()
