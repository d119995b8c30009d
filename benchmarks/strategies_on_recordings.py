"""What both strategies' defaults would have made and lost on recorded markets.

    python -m benchmarks.strategies_on_recordings

Each window of a recording is played through the engine against the simulated exchange: the same decisions, limits and books as live, fees
of tier 1, no latency (a command is carried out before the market moves on), and for bars a path through each that touches its extremes.
Every figure is the ledger's, and the ledger is compared with the exchange's own rows to the atom. Recordings are read from the folder that
LEMON_TRADER_DATA names.
"""

import os
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tests.replay_rig import NAME, Rig, books_of_bot, books_of_exchange, make_rig, pair_of

from lemon_trader.core.units import HALTED, QUOTE, US_PER_S
from lemon_trader.market.recordings import open_recording
from lemon_trader.strategies.martingale_records import STOPPED

DATA = Path(os.environ.get("LEMON_TRADER_DATA", "../shared/data"))
DAY_US = 86_400 * US_PER_S
BUDGET = {"martingale": 400, "market-maker": 500}
DEFAULTS: dict[str, Any] = {}
NARROW: dict[str, Any] = {"spread": Decimal("0.1")}
# strategy -> (folder and recording, first day in it, days, what differs from the defaults)
WINDOWS = {
    "martingale": (
        ("bars/solusdt_binance_spot_1m_202109", 2, 7, DEFAULTS),
        ("bars/solusdt_binance_spot_1m_202109", 16, 7, DEFAULTS),
        ("bars/solusdt_binance_spot_3m_2022_2023", 96, 7, DEFAULTS),
        ("bars/solusdt_binance_spot_5m_2023_2025", 398, 7, DEFAULTS),
        ("bars/solusdt_binance_spot_5m_2023_2025", 447, 7, DEFAULTS),
        ("bars/btcusdt_binance_spot_1m_202408", 8, 7, DEFAULTS),
        ("bars/ethusdt_binance_spot_1m_202408", 20, 7, DEFAULTS),
        ("bars/solusdt_binance_perp_1m_202505", 10, 7, DEFAULTS),
        ("bars/solusdt_binance_perp_1m_202505", 45, 7, DEFAULTS),
        ("bars/avaxusdt_binance_perp_1m_202602", 2, 7, DEFAULTS),
    ),
    "market-maker": (
        ("trades/btcusdc_binance_spot_aggtrades_20251004", 0, 1, DEFAULTS),
        ("trades/btcusdc_binance_spot_aggtrades_20251004", 0, 1, NARROW),
        ("l2/btcusdt_binance_spot_20240808_09_depth", 0, 1, NARROW),
        ("l2/btcusdt_binance_usdm_20240808_depth", 0, 1, NARROW),
        ("l2/ethusdt_binance_usdm_20240808_depth", 0, 1, NARROW),
        ("bars/solusdt_binance_spot_1m_202109", 2, 1, DEFAULTS),
        ("bars/solusdt_binance_spot_1m_202109", 2, 1, NARROW),
    ),
}


@dataclass
class Seen:
    """What a window did besides its books."""

    first: int = 0
    lowest: int = 0
    most_cost: int = 0
    stops: int = 0
    phase: int = 0
    halted: str = ""

    def look(self, rig: Rig) -> None:
        """After every turn."""
        state, market = rig.bot.state, rig.bot.market
        net = state.net_pnl()
        self.lowest = min(self.lowest, net or 0)
        self.most_cost = max(self.most_cost, market.ledger.cost_atoms)
        self.first = self.first or market.reference_ticks()
        if state.mode == HALTED and not self.halted:
            self.halted = f", halted: {state.mode_reason}"
        phase = getattr(market.binding.memory, "phase", 0) if market.binding is not None else 0
        self.stops += phase == STOPPED != self.phase
        self.phase = phase


def play(strategy: str, name: str, day: int, days: int, changed: dict[str, Any]) -> str:
    """One row of the table."""
    path = DATA / f"{name}.parquet"
    if name.startswith("bars/"):
        times_us = pq.read_table(path, columns=["ts_ms"]).column(0).to_numpy() * 1_000
        start_us = int(times_us[0]) // DAY_US * DAY_US + day * DAY_US
        rows = int(((times_us >= start_us) & (times_us < start_us + days * DAY_US)).sum())
        source = open_recording(path, start=start_us, limit=rows, seed=1)
    else:
        source = open_recording(path, seed=1)
    symbol = next(iter(source.instruments))
    seen = Seen()
    begun = time.perf_counter()
    rig = make_rig(source, pair_of(strategy, symbol, budget=BUDGET[strategy], **changed), after=seen.look)
    rig.play(source)
    market, ledger = rig.bot.market, rig.bot.market.ledger
    ours, theirs = books_of_bot(market), books_of_exchange(rig.exchange, NAME, market.instrument)
    assert ours == theirs, f"{name}: the books differ, {ours} and {theirs}"
    last = market.reference_ticks()
    if strategy == "martingale":
        done = f"{market.binding.memory.cycles_done} cycles, {seen.stops} of them stopped"
    else:
        quotes = {a.client_id for d in rig.bot.decided() for a in d.attempts if a.role == QUOTE}
        done = f"{sum(f.client_id in quotes for f in rig.account.fills)} fills of quotes"
    lasted_s = (rig.now_us - source.start_us) // US_PER_S
    lasted = f"{lasted_s / 86_400:.1f} d" if lasted_s > 86_000 else f"{lasted_s / 60:.0f} min"
    print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    cells = (
        name.split("/")[1] + (f", spread {changed['spread']}" if changed else ""),
        time.strftime("%Y-%m-%d", time.gmtime(source.start_us // US_PER_S)),
        lasted,
        f"{Decimal(last - seen.first) * 100 / seen.first:+.1f}",
        *map(money, (ledger.net_atoms(last), seen.lowest, ledger.fees_atoms, ledger.bought_atoms + ledger.sold_atoms, seen.most_cost)),
        done + seen.halted,
    )
    return f"| {' | '.join(cells)} |"


def money(atoms: int) -> str:
    """Quote atoms to a hundredth."""
    return f"{Decimal(atoms) / 10**9:.2f}"


def main() -> None:
    for strategy, windows in WINDOWS.items():
        print(f"{strategy}, budget {BUDGET[strategy]} USDC\n")
        print("| recording | from | lasts | market % | net | lowest net | fees | turnover | most held at cost | what happened |")
        print("|---|---|---:|---:|---:|---:|---:|---:|---:|---|")
        for window in windows:
            print(play(strategy, *window), flush=True)
        print()


if __name__ == "__main__":
    main()
