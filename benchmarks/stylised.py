"""What synthetic markets have in common with recorded ones: the stylised facts of both side by side, each with the band that holds both.

    python benchmarks/stylised.py [--seeds 3] [--minutes 60] [--days 20] [--sizes] [--write docs/sandbox.md]

The bands were drawn when both columns had been seen, and the synthetic market was then set so that it lies within them: that both do proves
nothing but that it can be done. So there is a third column, of recordings that were not looked at for it, and what lies outside is told.

Recordings are read from the folder that LEMON_TRADER_DATA names, by default `shared/data` beside the repository; without one the synthetic
column stands alone. `--sizes` prints the distribution of sizes as `market/calibration.py` holds it. What is measured:

- minutes: returns of the price from minute to minute, out of bars; synthetic, out of the price behind the markets;
- takes: public trades, those of one moment and side counted as one;
- book: best prices and what rests, looked at once a second as the program itself plays them, on the grid it plays them on.
"""

import argparse
import json
import os
from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from lemon_trader.core.units import BUY, SELL, US_PER_S
from lemon_trader.market.acts import Act, apply
from lemon_trader.market.calibration import SIZES, STEP_US
from lemon_trader.market.chance import Chance
from lemon_trader.market.instruments import INSTRUMENTS
from lemon_trader.market.price import Price
from lemon_trader.market.recordings import open_recording
from lemon_trader.market.synthetic import synthetic

Floats = npt.NDArray[np.float64]
Facts = dict[str, float]

DATA = Path(os.environ.get("LEMON_TRADER_DATA") or Path(__file__).parents[2] / "shared" / "data")
DAY_OF_TRADES = "trades/btcusdc_binance_spot_aggtrades_20251004.parquet"
BOOKS = ("btcusdt_binance_usdm_20240808", "ethusdt_binance_usdm_20240808", "btcusdt_binance_spot_20240808_09")
BARS = (
    "avaxusdt_binance_perp_1m_202602", "btcperp_ftx_1m_202201", "btcusdt_binance_spot_1m_202206", "btcusdt_binance_spot_1m_202408",
    "btcusdt_binance_spot_1m_202505", "dogeusdt_binance_perp_1m_202601", "ethusdt_binance_spot_1m_202212",
    "ethusdt_binance_spot_1m_202408", "solusdt_binance_perp_1m_202307", "solusdt_binance_perp_1m_202505",
    "solusdt_binance_spot_1m_202109", "xrpusdt_binance_spot_1m_202111",
)  # fmt: skip
# Not looked at when the bands and the numbers of `market/calibration.py` were chosen.
HELD_OUT_BARS = ("btcusdt_binance_spot_1m_202111", "btcusd_bitfinex_spot_1m_2013_2014")
HELD_OUT_TAKES = "l2/btcusd_binance_coinm_20240808_09_trades.parquet"  # sizes are contracts of 100 USD
SYNTHETIC = ("SOL_USDC", "BTC_USDC_PERP", "ETH_USDC")
START_US = 1_722_859_200_000_000
MOMENT_US = 10_000
FINE_GRID_TICKS = 50_000  # a price of so many has five or more of them within 0.01 %

# What every market must show, made up or recorded: (least, most).
BANDS: Mapping[str, tuple[float, float]] = {
    "minutes: deviation, ppm": (300, 2_500),
    "minutes: median |return| / deviation": (0.1, 0.6),  # a bell has 0.67
    "minutes: kurtosis": (6, 1_000),  # a bell has 3
    "minutes: return after return": (-0.1, 0.1),
    "minutes: |return| after 1": (0.15, 0.5),
    "minutes: |return| after 5": (0.12, 0.4),
    "minutes: |return| after 15": (0.1, 0.35),
    "minutes: |return| after 60": (0.05, 0.3),
    "minutes: |return| after 240": (0.005, 0.25),
    "takes: side after 1": (0.15, 0.7),
    "takes: side after 10": (0.03, 0.45),
    "takes: side after 50, long": (0.03, 0.25),
    "takes: size, a tenth below, of median": (0.02, 0.1),
    "takes: size, a tenth above, of median": (15, 40),
    "takes: size, a hundredth above, of median": (100, 350),
    "takes: variation of waiting times": (1.3, 3.0),  # without clusters 1
    "takes: part within 10 ms of the last": (0.25, 0.45),
    "takes: count of a second after the last's": (0.12, 0.5),
    "book: part of time with the least spread": (0.93, 1.0),
    "book: within 0.01 % beside the touch, fine grid": (1.2, 4),
    "book: within 0.05 % beside the touch": (6, 40),
    "book: within 0.1 % beside the touch": (14, 95),
    "book: within 0.5 % beside the touch": (35, 450),
    "book: deviation of the mid in a second, ppm": (20, 400),
    "book: kurtosis of the mid in a second": (4, 1_000),
}

# The rows of the table in `docs/sandbox.md`: a fact as it is called there.
TOLD: Mapping[str, str] = {
    "minutes: kurtosis": "kurtosis of minute returns (a bell has 3)",
    "minutes: |return| after 1": "size of a minute's move after 1 minute, correlation",
    "minutes: |return| after 60": "the same after 60 minutes",
    "takes: side after 1": "side of a trade after 1 trade, correlation",
    "takes: side after 10": "the same after 10 trades",
    "takes: part within 10 ms of the last": "part of trades within 10 ms of the last",
    "takes: size, a tenth above, of median": "a tenth of all trades is larger than so many medians",
    "book: within 0.1 % beside the touch": "quantity within 0.1 % of the mid, beside the touch",
}
TOLD_HEAD = "| Fact | Synthetic | Recorded | Held out | Band |"


def correlation(values: Floats, lag: int) -> float:
    """Of values with those `lag` later."""
    x = values - values.mean()
    return float((x[:-lag] * x[lag:]).mean() / (x * x).mean())


def kurtosis(values: Floats) -> float:
    x = values - values.mean()
    return float((x**4).mean() / (x * x).mean() ** 2)


# ---- the facts of a market ----


def minute_facts(prices: Floats) -> Facts:
    """Of prices a minute apart."""
    r = np.diff(np.log(prices))
    facts = {
        "minutes: deviation, ppm": float(r.std() * 1e6),
        "minutes: median |return| / deviation": float(np.median(np.abs(r)) / r.std()),
        "minutes: kurtosis": kurtosis(r),
        "minutes: return after return": correlation(r, 1),
    }
    return facts | {f"minutes: |return| after {lag}": correlation(np.abs(r), lag) for lag in (1, 5, 15, 60, 240)}


def take_facts(at_us: Floats, side: Floats, size: Floats) -> Facts:
    """Of public trades in time order. Memory over many trades is told of long records alone."""
    first = np.flatnonzero(np.r_[True, (np.diff(at_us) != 0) | (np.diff(side) != 0)])
    size, side, at_us = np.add.reduceat(size, first), side[first], at_us[first]
    waits = np.diff(at_us)
    median = np.median(size)
    low, high, highest = (float(q / median) for q in np.quantile(size, (0.1, 0.9, 0.99)))
    counts = np.bincount(((at_us - at_us[0]) // US_PER_S).astype(np.int64)).astype(np.float64)
    facts = {
        "takes: side after 1": correlation(side, 1),
        "takes: side after 10": correlation(side, 10),
        "takes: size, a tenth below, of median": low,
        "takes: size, a tenth above, of median": high,
        "takes: size, a hundredth above, of median": highest,
        "takes: variation of waiting times": float(waits.std() / waits.mean()),
        "takes: part within 10 ms of the last": float((waits < MOMENT_US).mean()),
        "takes: count of a second after the last's": correlation(counts, 1),
    }
    if len(side) > 10_000:
        facts["takes: side after 50, long"] = correlation(side, 50)
    return facts


class Watch:
    """Plays acts of one market and looks at the book once a second."""

    def __init__(self) -> None:
        self.books: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self.takes: list[tuple[int, int, int]] = []  # (when, side, lots)
        self.mids: list[float] = []
        self.depths: list[list[float]] = []
        self._next_us = 0
        self._best: dict[int, int | None] = {BUY: None, SELL: None}  # None = look again
        self._spread: dict[int, int] = {}  # ticks -> µs
        self._seen = (0, 0)

    def play(self, acts: Iterable[Act]) -> "Watch":
        for act in acts:
            if act.at_us >= self._next_us:
                self._look(act.at_us)
            apply(act, self)
        return self

    def set_outside(self, symbol: str, side: int, ticks: int, lots: int, now_us: int) -> None:  # noqa: ARG002  one market
        self._book_time(now_us)
        best = self._best[side]
        if lots:
            self.books[side][ticks] = lots
            if best is not None and (not best or side * (ticks - best) > 0):
                self._best[side] = ticks
        else:
            self.books[side].pop(ticks, None)
            if ticks == best:
                self._best[side] = None
        self._seen = (now_us, self._spread_ticks())

    def outside_take(self, symbol: str, side: int, lots: int, limit_ticks: int, now_us: int) -> None:  # noqa: ARG002  one market
        self._book_time(now_us)
        book, traded = self.books[-side], 0
        while traded < lots and (best := self.best(-side)) and side * (best - limit_ticks) <= 0:
            part = min(lots - traded, book[best])
            traded += part
            book[best] -= part
            if not book[best]:
                del book[best]
                self._best[-side] = None
        if traded:
            self.takes.append((now_us, side, traded))
        self._seen = (now_us, self._spread_ticks())

    def set_reference(self, symbol: str, mark_ticks: int, index_ticks: int, funding_ppb: int, now_us: int) -> None:
        """Marks are no part of the book."""

    def facts(self) -> Facts:
        """Of the book alone."""
        mean = np.mean(self.depths, axis=0)
        near = {"0.05 %": 1, "0.1 %": 2, "0.5 %": 3}
        if min(self.mids) > FINE_GRID_TICKS:
            near["0.01 %"] = 0
        r = np.diff(np.log(np.array(self.mids)))
        whole = sum(self._spread.values())
        return {
            "book: part of time with the least spread": self._spread.get(1, 0) / whole,
            **{
                f"book: within {name} beside the touch{'' if k else ', fine grid'}": float(mean[k + 1] / mean[0])
                for name, k in near.items()
            },
            "book: deviation of the mid in a second, ppm": float(r.std() * 1e6),
            "book: kurtosis of the mid in a second": kurtosis(r),
        }

    def _book_time(self, now_us: int) -> None:
        at_us, ticks = self._seen
        if at_us and ticks > 0:
            self._spread[ticks] = self._spread.get(ticks, 0) + now_us - at_us

    def best(self, side: int) -> int:
        """The best price of a side, 0 when it is empty."""
        known = self._best[side]
        if known is None:
            known = self._best[side] = (max if side == BUY else min)(self.books[side], default=0)
        return known

    def _spread_ticks(self) -> int:
        bid, ask = self.best(BUY), self.best(SELL)
        return ask - bid if bid and ask else 0

    def _look(self, at_us: int) -> None:
        bids, asks = self.books[BUY], self.books[SELL]
        self._next_us = at_us - at_us % US_PER_S + US_PER_S
        bid, ask = self.best(BUY), self.best(SELL)
        if not bid or not ask:
            return
        mid = (bid + ask) / 2
        self.mids.append(mid)
        row = [float(bids[bid] + asks[ask])]
        for ppm in (100, 500, 1_000, 5_000):
            reach = mid * ppm / 1e6
            row.append(sum(n for t, n in bids.items() if t >= mid - reach) + sum(n for t, n in asks.items() if t <= mid + reach))
        self.depths.append(row)


# ---- made-up markets ----


def synthetic_minutes(seed: int, days: int) -> Facts:
    price = Price(Chance("price", seed, "SOL"))
    a_minute = 60 * US_PER_S // STEP_US
    prices = []
    for _ in range(days * 1_440):
        for _ in range(a_minute):
            value = price.step()
        prices.append(value)
    return minute_facts(np.array(prices, np.float64))


def synthetic_market(symbol: str, seed: int, minutes: int) -> Facts:
    acts = synthetic([INSTRUMENTS[symbol]], seed=seed, start_us=START_US)
    watch = Watch().play(takewhile(lambda a: a.at_us < START_US + minutes * 60 * US_PER_S, acts))
    at_us, side, lots = np.array(watch.takes, np.float64).T
    return take_facts(at_us, side, lots) | watch.facts()


# ---- recordings ----


def recorded_minutes(name: str) -> Facts:
    return minute_facts(pq.read_table(DATA / "bars" / f"{name}.parquet", columns=["close"])["close"].to_numpy())


def recorded_takes(path: str) -> Facts:
    return take_facts(*recorded_trades(path))


def recorded_trades(path: str) -> tuple[Floats, Floats, Floats]:
    table = pq.read_table(DATA / path)
    at_us = table["ts_us"].to_numpy() if "ts_us" in table.column_names else table["trans_ms"].to_numpy() * 1_000
    if not at_us.any():
        at_us = table["event_ms"].to_numpy() * 1_000
    side = np.where(table["side"].to_numpy(zero_copy_only=False) == "buy", 1.0, -1.0)
    return at_us.astype(np.float64), side, table["qty"].to_numpy()


def recorded_book(name: str, limit: int | None) -> Facts:
    return Watch().play(open_recording(DATA / "l2" / f"{name}_depth.parquet", limit=limit)).facts()


# ---- the table ----


def columns_of(data: bool, seeds: int, minutes: int, days: int) -> dict[str, list[Facts]]:
    made = [synthetic_minutes(seed, days) for seed in range(1, seeds + 1)]
    made += [synthetic_market(symbol, seed, minutes) for seed in range(1, seeds + 1) for symbol in SYNTHETIC]
    if not data:
        return {"synthetic": made}
    real = [recorded_minutes(name) for name in BARS] + [recorded_takes(DAY_OF_TRADES)]
    for name in BOOKS:
        real += [recorded_takes(f"l2/{name}_trades.parquet"), recorded_book(name, None)]
    held_out = [recorded_minutes(name) for name in HELD_OUT_BARS] + [recorded_takes(HELD_OUT_TAKES)]
    return {"synthetic": made, "recorded": real, "held out": held_out}


def outside(facts: Facts) -> dict[str, float]:
    """The facts that do not lie in their bands."""
    return {name: value for name, value in facts.items() if not BANDS[name][0] <= value <= BANDS[name][1]}


def span(values: list[float]) -> str:
    if not values:
        return ""
    text = "{:,.0f}" if max(map(abs, values)) >= 100 else "{:.2f}"
    low, middle, high = (text.format(v) for v in (min(values), float(np.median(values)), max(values)))
    return f"{middle} ({low} to {high})"


def table(columns: Mapping[str, list[Facts]]) -> str:
    lines = [f"| fact | {' | '.join(columns)} | band | |", f"|---|{'---:|' * len(columns)}---:|---|"]
    for name, (low, high) in BANDS.items():
        seen = [[f[name] for f in facts if name in f] for facts in columns.values()]
        out = sum(not low <= v <= high for values in seen for v in values)
        lines.append(f"| {name} | {' | '.join(map(span, seen))} | {low:g} to {high:g} | {f'{out} outside' if out else ''} |")
    return "\n".join(lines)


def told_table(columns: Mapping[str, list[Facts]]) -> str:
    """The table of the documents: of each fact what is seen at least and at most, in each column."""
    lines = [TOLD_HEAD, "|---|" + "---:|" * 4]
    for fact, name in TOLD.items():
        cells = []
        for facts in columns.values():
            values = [f[fact] for f in facts if fact in f]
            low, high = (short(v) for v in (min(values), max(values))) if values else ("", "")
            cells.append(low if low == high else f"{low} to {high}")
        cells += [""] * (3 - len(columns))
        least, most = BANDS[fact]
        lines.append(f"| {name} | {' | '.join(cells)} | {least:g} to {most:,g} |")
    return "\n".join(lines)


def short(value: float) -> str:
    """A figure without digits that say nothing."""
    return f"{value:,.0f}" if abs(value) >= 5 else f"{value:.2f}"


def write(path: Path, columns: Mapping[str, list[Facts]]) -> None:
    """Put the table in the place of the one that is in the document. Raises ValueError when there is none, or a column is missing."""
    before, head, after = path.read_text(encoding="utf-8").partition(TOLD_HEAD)
    if not head or len(columns) < 3:
        raise ValueError(f"{path} has no table that begins with {TOLD_HEAD}, or there are no recordings to fill it from")
    path.write_text(before + told_table(columns) + "\n\n" + after.partition("\n\n")[2], encoding="utf-8")


def sizes() -> str:
    """The distribution of sizes as `SIZES` holds it, one line a recording."""
    lines = []
    for path in (DAY_OF_TRADES, *(f"l2/{name}_trades.parquet" for name in BOOKS)):
        at_us, side, size = recorded_trades(path)
        first = np.flatnonzero(np.r_[True, (np.diff(at_us) != 0) | (np.diff(side) != 0)])
        size = np.add.reduceat(size, first)
        cuts = np.quantile(size, [ppm / 1e6 for ppm, _ in SIZES]) / np.median(size) * 1_000
        lines.append(f"{path}: {len(size) / (at_us[-1] - at_us[0]) * US_PER_S:.2f} takes a second; {[round(float(c)) for c in cuts]}")
    return "\n".join(lines)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", type=int, default=3, help="of the synthetic markets")
    asked.add_argument("--minutes", type=int, default=180, help="of each synthetic book and its takes")
    asked.add_argument("--days", type=int, default=20, help="of the synthetic price")
    asked.add_argument("--sizes", action="store_true", help="print the measured distribution of sizes instead")
    asked.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    asked.add_argument("--write", type=Path, help="put the short table into this document")
    given = asked.parse_args()
    if given.sizes:
        print(sizes())
        return
    columns = columns_of((DATA / DAY_OF_TRADES).is_file(), given.seeds, given.minutes, given.days)
    if given.write is not None:
        write(given.write, columns)
    print(json.dumps(columns) if given.json else table(columns))


if __name__ == "__main__":
    main()
