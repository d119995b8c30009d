"""The ladder in vectorbt's `from_order_func`: `python benchmarks/peers/vectorbt_orders.py FOLDER`, with the folder that `ours.py` made.

One order a bar, as its callback has it. Where a bar reaches two layers at once, the second waits for the next that does.
"""

import sys

import numba
import numpy as np
import vectorbt as vbt
from shared import read, report
from vectorbt.portfolio.enums import NoOrder
from vectorbt.portfolio.nb import order_nb

ANCHOR, LAYER, COST, HELD = range(4)


@numba.njit
def order(c, high, low, state, share, depth, spend, lot, tick, fee, take_profit, stop):
    """What to trade in the bar `c.i`. Stop before profit before purchase, as a pessimist would have it."""
    i = c.i
    if state[HELD] == 0:
        state[ANCHOR], state[LAYER], state[COST] = c.close[i, 0], 1, 0
        size = np.floor(spend * share[0] / state[ANCHOR] / lot + 1e-9) * lot
        state[HELD], state[COST] = size, size * state[ANCHOR]
        return order_nb(size=size, price=state[ANCHOR], fees=fee)
    average = state[COST] / state[HELD]
    under = np.floor(average * (1 - stop) / tick + 1e-9) * tick
    if low[i] <= under:
        size, state[HELD] = state[HELD], 0
        return order_nb(size=-size, price=under, fees=fee)
    above = np.ceil(average * (1 + take_profit) / tick - 1e-9) * tick
    if high[i] > above:
        size, state[HELD] = state[HELD], 0
        return order_nb(size=-size, price=above, fees=fee)
    layer = int(state[LAYER])
    if layer < len(depth):
        price = np.floor(state[ANCHOR] * (1 - depth[layer]) / tick + 1e-9) * tick
        if low[i] < price:
            size = np.floor(spend * share[layer] / price / lot + 1e-9) * lot
            state[LAYER] += 1
            state[HELD] += size
            state[COST] += size * price
            return order_nb(size=size, price=price, fees=fee)
    return NoOrder


def main() -> None:
    data, ladder = read(sys.argv[1])
    high, low, close = data["high"], data["low"], data["close"]
    share, depth = np.array(ladder.share), np.array(ladder.depth)
    cash = ladder.budget * 10

    def run() -> tuple[int, float]:
        given = (
            high, low, np.zeros(4), share, depth, ladder.budget / (1 + ladder.fee), ladder.lot, ladder.tick, ladder.fee, ladder.take_profit,
            ladder.stop,
        )  # fmt: skip
        made = vbt.Portfolio.from_order_func(close, order, *given, init_cash=cash)
        return len(made.order_records), float(made.final_value()) - cash

    report(len(close), run)


if __name__ == "__main__":
    main()
