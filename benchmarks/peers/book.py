"""Write a recorded book for hftbacktest, and replay it through our engine: `python benchmarks/peers/book.py FOLDER`.

The recording is eleven minutes of BTC/USDT spot, 8 August 2024, from the folder that LEMON_TRADER_DATA names. What the peer gets is its own
event rows, stamped as received, with the snapshot as ordinary changes: both sides build the book as the recording goes on.
"""

import sys
from pathlib import Path

import numpy as np
from pyarrow import parquet
from shared import ROOT, report

sys.path.insert(0, str(ROOT))

from benchmarks.backtest import BOOK, MAKER, played

DEPTH, TRADE = 1, 2  # of hftbacktest's events
BUY, SELL = 1 << 29, 1 << 28
SEEN = 1 << 31 | 1 << 30  # by the exchange and by us


def rows(file: Path, what: int, bid: str) -> np.ndarray:
    """One array of (event, time, price, quantity) of a recorded file, in its order."""
    table = parquet.read_table(file)
    is_buy = np.array([side == bid for side in table["side"].to_pylist()])
    made = np.zeros(len(table), [("ev", "u8"), ("at", "i8"), ("px", "f8"), ("qty", "f8")])
    made["ev"] = SEEN | what | np.where(is_buy, BUY, SELL)
    made["at"], made["px"], made["qty"] = table["recv_ns"], table["price"], table["qty"]
    return made


def main() -> None:
    trades = BOOK.with_name(BOOK.name.replace("_depth", "_trades"))
    found = np.concatenate([rows(BOOK, DEPTH, "bid"), rows(trades, TRADE, "buy")])
    np.save(Path(sys.argv[1]) / "book.npy", found[np.argsort(found["at"], kind="stable")])

    def run() -> tuple[int, float]:
        result, _ = played("market-maker", "BTC_USDC", BOOK, **MAKER)
        return len(result.fills), result.totals.net_atoms / 1e9

    report(len(found), run)


if __name__ == "__main__":
    main()
