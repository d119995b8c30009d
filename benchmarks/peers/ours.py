"""Write the bars and the ladder for the peers, and play them in the compiled loop: `python benchmarks/peers/ours.py FOLDER [FILE]`.

Bars are minutes of SOL/USDT, recorded in autumn 2021, if LEMON_TRADER_DATA names the recordings; else a year of minutes that is
drawn, the same each time; FILE = other recorded bars. Fills and the equity of every bar are kept, as the peers keep theirs.
"""

import json
import os
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
from shared import ROOT, Ladder, report

sys.path.insert(0, str(ROOT))

from benchmarks.kernel import year

from lemon_trader.formulas.fill import FillRules
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.tables import read_bars
from lemon_trader.optimize.kernel import BarSettings, run_bars
from lemon_trader.run.parts import default_values
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market

RECORDING = "bars/solusdt_binance_spot_1m_202109.parquet"
BUDGET = 1_000
ATOMS = 10**9  # of a unit of quote
FEE_PPM = 1_000
CHANGED = {
    "budget": Decimal(BUDGET), "take_profit_pct": Decimal("1.3"), "stop_loss_pct": Decimal(12), "stop_by_layer": False, "entry": "market",
    "stop_inside_ladder": True, "resting": 6, "cooldown": 1, "pause_after_stop": 1,
}  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1])
    recorded = os.environ.get("LEMON_TRADER_DATA")
    file = sys.argv[2] if len(sys.argv) > 2 else recorded and Path(recorded) / RECORDING
    table = read_bars(file) if file else year()
    instrument = default_instrument(table.symbol)
    strategy = STRATEGIES["martingale"]
    params = strategy.build(default_values("martingale", **CHANGED), Market(instrument, FEE_PPM, FEE_PPM, int(table.open[0])))
    tick, lot = float(instrument.tick), float(instrument.lot)
    prices = {name: getattr(table, name) * tick for name in ("open", "high", "low", "close")}
    np.savez(folder / "bars.npz", at_us=table.at_us, volume=table.lots * lot, **prices)
    ladder = Ladder(
        budget=BUDGET, fee=FEE_PPM / 1e6, share=[x / 1e9 for x in params.share_ppb[: params.layers]],
        depth=[x / 1e6 for x in params.depth_ppm[: params.layers]], take_profit=params.take_profit_ppm / 1e6, stop=params.stop_ppm / 1e6,
        lot=lot, tick=tick,
    )  # fmt: skip
    (folder / "ladder.json").write_text(json.dumps(vars(ladder)))
    settings = BarSettings(FillRules(maker_fee_ppm=FEE_PPM, taker_fee_ppm=FEE_PPM), BUDGET * ATOMS, 10 * BUDGET * ATOMS)

    def run() -> tuple[int, float]:
        result = run_bars(strategy, params, instrument, table, settings)
        return len(result.fills), result.totals.net_atoms / ATOMS

    report(len(table), run)


if __name__ == "__main__":
    main()
