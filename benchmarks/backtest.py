"""Backtests through the real engine: how many bars, trades and book updates a second, and what the kind of data does to the figures.

    python benchmarks/backtest.py            speed, one JSON object: events of each kind of data in a second of the processor
    python benchmarks/backtest.py gaps       the same hours as bars and as trades, the second table of docs/backtest.md

Reads the recordings that LEMON_TRADER_DATA names. Bars of the same hours are made of the trades themselves, so nothing but the kind of data
differs.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lemon_trader.backtest.metrics import metrics
from lemon_trader.backtest.result import Result
from lemon_trader.cli.declared import declarations
from lemon_trader.config.backtest import BacktestSettings, resolve_backtest
from lemon_trader.config.resolve import Request
from lemon_trader.core.instrument import atoms_text
from lemon_trader.run import backtest
from lemon_trader.run.backtest_data import load

DATA = Path(os.environ.get("LEMON_TRADER_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
BARS = DATA / "bars" / "solusdt_binance_spot_1m_202109.parquet"
TRADES = DATA / "trades" / "btcusdc_binance_spot_aggtrades_20251004.parquet"
BOOK = DATA / "l2" / "btcusdt_binance_spot_20240808_09_depth.parquet"
MAKER = {"spread": "0.02", "budget": "500", "max_orders": "1"}
LADDER = {
    "step_pct": "0.02", "take_profit_pct": "0.03", "stop_loss_pct": "1.5", "entry_offset_pct": "0.01", "budget": "400", "cooldown": "5s",
    "layers": "5",
}  # fmt: skip


class Silent:
    """A face that nobody looks at."""

    def __getattr__(self, _: str) -> object:
        return lambda *_args, **_values: None


def settings(strategy: str, symbol: str, file: Path, **flags: str) -> BacktestSettings:
    request = Request(flags={"data": str(file), "bounds": "false", "engine": "replay", **flags}, pairs=(strategy, symbol), environment={})
    return resolve_backtest(request, declarations(), symbol=symbol)


def played(strategy: str, symbol: str, file: Path, **flags: str) -> tuple[Result, float]:
    """What a run left, and the processor's seconds of playing it; opening the file again is counted, as it is read while it is played."""
    wanted = settings(strategy, symbol, file, **flags)
    data = load(wanted)
    fees = backtest.fees_of(wanted, is_perp=data.instrument.is_perp)
    is_bars = data.bars is not None
    model = wanted.fill_model if is_bars or data.kind == "trades" else wanted.queue
    begun = time.process_time()
    result = (backtest.replay_bars if is_bars else backtest.replay_acts)(wanted, data, model, fees)
    return result, time.process_time() - begun


def speed() -> Mapping[str, float]:
    found: dict[str, float] = {}
    for name, strategy, symbol, file, flags in (
        ("bars", "martingale", "SOL_USDC", BARS, {"end": "2021-09-27"}),
        ("trades", "martingale", "BTC_USDC", TRADES, {"end": "2025-10-04T06:00"}),
        ("book", "market-maker", "BTC_USDC", BOOK, MAKER),
    ):
        result, seconds = played(strategy, symbol, file, **flags)
        found[f"{name}_events"] = result.events / seconds
        if name == "bars":
            found["bar_points"] = 4 * result.events / seconds
    return found


def bars_of(trades: Path, into: Path, seconds: int) -> Path:
    """The bars of a file of trades, minutes without a trade left out."""
    table = parquet.read_table(trades)
    at_ms = table["ts_us"].to_numpy() // 1_000
    price, qty = table["price"].to_numpy(), table["qty"].to_numpy()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(at_ms // (seconds * 1000))) + 1])
    ends = np.concatenate([starts[1:], [len(at_ms)]]) - 1
    parquet.write_table(
        pa.table(
            {
                "ts_ms": at_ms[starts] // (seconds * 1000) * (seconds * 1000), "open": price[starts],
                "high": np.maximum.reduceat(price, starts), "low": np.minimum.reduceat(price, starts), "close": price[ends],
                "volume": np.add.reduceat(qty, starts),
            }
        ),
        into,
    )  # fmt: skip
    return into


def gaps() -> None:
    """Print the table."""
    print("| strategy | data | fills by | fills | turnover | spread captured, bp | net | net of turnover, bp |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="lemon-gaps-") as folder:
        bars = bars_of(TRADES, Path(folder) / "bars.parquet", 60)
        for strategy, flags in (("market-maker", MAKER), ("martingale", LADDER)):
            common = {**flags, "off_grid": "nearest", "end": "2025-10-04T04:00", "fee_tier": "VIP5"}  # fees would hide the rest
            for kind, file in (("bars of 60 s", bars), ("trades", TRADES)):
                for model in ("pessimistic", "touch"):
                    result, _ = played(strategy, "BTC_USDC", file, **common, fill_model=model)
                    print(row(strategy, kind, model, result), flush=True)


def row(strategy: str, kind: str, model: str, result: Result) -> str:
    own = metrics(result).own
    turnover = int(own["turnover"] or 0)
    net = result.totals.net_atoms
    spread = own["spread_capture_bp"]
    cells = (
        strategy, kind, model, str(len(result.fills)), money(turnover), "-" if spread is None else f"{spread:.2f}", money(net),
        f"{net * 10_000 / turnover:.1f}" if turnover else "-",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def money(atoms: int) -> str:
    return atoms_text(atoms // 10_000_000 * 10_000_000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("speed", "gaps"), default="speed")
    parser.add_argument("--json", action="store_true", help="as `run.py` asks every part; speed is JSON in any case")
    if parser.parse_args().what == "gaps":
        gaps()
    else:
        print(json.dumps(speed()))
    sys.exit(0)
