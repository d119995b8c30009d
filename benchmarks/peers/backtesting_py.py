"""The ladder in backtesting.py: `python benchmarks/peers/backtesting_py.py FOLDER`, with the folder that `ours.py` made.

Its orders are of whole units, so a unit is a lot here and a price the price of a lot. It is shown no progress bar.
"""

import sys
import warnings

import backtesting
import pandas as pd
from backtesting import Backtest, Strategy
from shared import read, report

DATA, LADDER = read(sys.argv[1])
SCALE = LADDER.lot


class Martingale(Strategy):
    """Every bar: begin when nothing is held, move both exits when what is held has changed."""

    def init(self) -> None:
        self.seen = 0

    def next(self) -> None:
        held = self.position.size
        if held == self.seen and held:
            return
        if not held:
            for order in list(self.orders):
                order.cancel()
            anchor = self.data.Close[-1] / SCALE
            lots, prices = LADDER.lots(anchor), LADDER.prices(anchor)
            self.buy(size=lots[0], tag="layer")
            for size, price in zip(lots[1:], prices[1:], strict=True):
                self.buy(size=size, limit=price * SCALE, tag="layer")
        else:
            for order in list(self.orders):
                if order.tag == "exit":
                    order.cancel()
            average = sum(t.size * t.entry_price for t in self.trades) / held / SCALE
            profit, stop = LADDER.exits(average)
            self.sell(size=held, limit=profit * SCALE, tag="exit")
            self.sell(size=held, stop=stop * SCALE, tag="exit")
        self.seen = held


def main() -> None:
    warnings.filterwarnings("ignore")
    backtesting.backtesting._tqdm = lambda rows, **_: rows
    columns = {name.title(): DATA[name] * (SCALE if name != "volume" else 1 / SCALE) for name in ("open", "high", "low", "close", "volume")}
    frame = pd.DataFrame(columns, index=pd.to_datetime(DATA["at_us"], unit="us"))
    cash = LADDER.budget * 10
    test = Backtest(frame, Martingale, cash=cash, commission=LADDER.fee, trade_on_close=True, finalize_trades=True)

    def run() -> tuple[int, float]:
        stats = test.run()
        trades = stats["_trades"]
        return len(trades) + trades["ExitTime"].nunique(), float(stats["Equity Final [$]"]) - cash

    report(len(frame), run)


if __name__ == "__main__":
    main()
