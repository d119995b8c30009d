"""A market maker in hftbacktest over a recorded book: `hftbacktest_maker.py FOLDER`, with the folder that `book.py` made.

One quote on each side, 0.01 % from the middle of the book, looked at after each message of the market and moved when it is a tick off;
25 ms each way, queues by its power model, its exchange without partial fills.
"""

import sys
from pathlib import Path

import numpy as np
from hftbacktest import BUY, GTX, LIMIT, BacktestAsset, HashMapMarketDepthBacktest, event_dtype
from numba import njit
from shared import report

TICK, LOT = 0.01, 0.00001
HALF_SPREAD = 0.0001
QUANTITY, MOST = 0.002, 0.008
LATENCY_NS = 25_000_000
FEE = 0.0008


@njit
def quote(hbt):
    """Play to the end of the data; how many looks were had."""
    looks, number = 0, 0
    while hbt.wait_next_feed(True, 60_000_000_000) in (2, 3):
        looks += 1
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        if depth.best_bid_tick >= depth.best_ask_tick or depth.best_bid_tick <= 0:
            continue
        middle = (depth.best_bid + depth.best_ask) / 2
        bid, ask = np.floor(middle * (1 - HALF_SPREAD) / TICK), np.ceil(middle * (1 + HALF_SPREAD) / TICK)
        held = hbt.position(0)
        buys, sells = 0, 0
        orders = hbt.orders(0)
        values = orders.values()
        while values.has_next():
            order = values.get()
            is_buy = order.side == BUY
            if is_buy:
                buys += 1
            else:
                sells += 1
            if order.cancellable and order.price_tick != (bid if is_buy else ask):
                hbt.cancel(0, order.order_id, False)
        if buys == 0 and held < MOST:
            number += 1
            hbt.submit_buy_order(0, number, bid * TICK, QUANTITY, GTX, LIMIT, False)
        if sells == 0 and held > -MOST:
            number += 1
            hbt.submit_sell_order(0, number, ask * TICK, QUANTITY, GTX, LIMIT, False)
    return looks


def main() -> None:
    found = np.load(Path(sys.argv[1]) / "book.npy")
    events = np.zeros(len(found), event_dtype)
    events["ev"], events["px"], events["qty"] = found["ev"], found["px"], found["qty"]
    events["exch_ts"] = events["local_ts"] = found["at"]

    def run() -> tuple[int, float]:
        asset = (
            BacktestAsset()
            .data(events)
            .linear_asset(1.0)
            .constant_order_latency(LATENCY_NS, LATENCY_NS)
            .power_prob_queue_model(2.0)
            .no_partial_fill_exchange()
            .trading_value_fee_model(FEE, FEE)
            .tick_size(TICK)
            .lot_size(LOT)
        )
        hbt = HashMapMarketDepthBacktest([asset])
        quote(hbt)
        state, depth = hbt.state_values(0), hbt.depth(0)
        net = state.balance + state.position * (depth.best_bid + depth.best_ask) / 2 - state.fee
        fills = int(state.num_trades)
        hbt.close()
        return fills, float(net)

    report(len(events), run)


if __name__ == "__main__":
    main()
