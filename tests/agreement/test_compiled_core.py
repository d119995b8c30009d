"""The diff and the limits decide the same compiled and plain: 10⁵ random states, every written field compared."""

import random

import numpy as np
import pytest

from lemon_trader.core.diff import COMMANDS_MAX, Action, Scratch, action_array, diff, fill_slots
from lemon_trader.core.limits import RATE_UNIT, Limits, mask, review
from lemon_trader.core.records import ROWS_MAX, SLOTS, Position, Row, View, Working, as_row, dtype_of, row_array
from lemon_trader.core.units import ARMED, BUY, CANCELLING, IN_FLIGHT, SELL, UNKNOWN, WORKING
from lemon_trader.formulas.compilable import compiled

STATES = 100_000
ORDERS = 8


@pytest.mark.slow
def test_a_hundred_thousand_random_states():
    seed = 20_261_122
    chance = random.Random(seed)
    c_diff, c_review, c_mask, c_fill = compiled(diff), compiled(review), compiled(mask), compiled(fill_slots)
    arrays = {
        "out": np.zeros(ROWS_MAX, dtype_of(Row)), "orders": np.zeros(ORDERS, dtype_of(Working)), "actions": np.zeros(COMMANDS_MAX, dtype_of(Action)),
    }  # fmt: skip
    view_c, position_c = np.zeros(1, dtype_of(View)), np.zeros(1, dtype_of(Position))
    scratch_c, limits_c = np.zeros(1, dtype_of(Scratch)), np.zeros(1, dtype_of(Limits))
    out, actions, scratch = row_array(), action_array(), Scratch()
    placed = cancelled = withheld = 0
    for n in range(STATES):
        rows, orders, view, position, limits = draw(chance)
        out[1 : 1 + len(rows)] = rows
        for k, row in enumerate(rows):
            arrays["out"][k + 1] = as_row(row)
        for k, order in enumerate(orders):
            arrays["orders"][k] = as_row(order)
        view_c[0], position_c[0], limits_c[0] = as_row(view), as_row(position), as_row(limits)
        used, count = 1 + len(rows), len(orders)
        fill_slots(view, orders, count)
        c_fill(view_c[0], arrays["orders"], count)
        used_plain, used_fast = mask(out, used, limits), c_mask(arrays["out"], used, limits_c[0])
        done = diff(out, used_plain, orders, count, view, position, scratch, actions)
        done_fast = c_diff(arrays["out"], used_fast, arrays["orders"], count, view_c[0], position_c[0], scratch_c[0], arrays["actions"])
        left = review(out, orders, count, view, position, limits, actions, done)
        left_fast = c_review(
            arrays["out"], arrays["orders"], count, view_c[0], position_c[0], limits_c[0], arrays["actions"], done_fast
        )  # fmt: skip
        assert (used_plain, done, left) == (used_fast, done_fast, left_fast), f"seed {seed}, state {n}"
        for k in range(done):
            assert as_row(actions[k]) == tuple(arrays["actions"][k].tolist()), f"seed {seed}, state {n}, action {k}"
        for k in range(count):
            assert as_row(orders[k]) == tuple(arrays["orders"][k].tolist()), f"seed {seed}, state {n}, order {k}"
        for k in range(1, used_plain):
            assert as_row(out[k]) == tuple(arrays["out"][k].tolist()), f"seed {seed}, state {n}, row {k}"
        placed += sum(a.what == 1 for a in actions[:done])
        cancelled += sum(a.what == 2 for a in actions[:done])
        withheld += sum(a.what == 0 for a in actions[:done])
    assert min(placed, cancelled, withheld) > STATES // 20, "the states drawn must reach every branch"


def draw(chance: random.Random):
    slots = chance.sample(range(SLOTS), chance.randint(0, 5))
    rows = [
        Row(
            slot=s, generation=chance.randint(0, 2), role=chance.randint(0, 4), side=chance.choice((BUY, SELL)), kind=chance.randint(0, 3),
            flags=chance.randint(0, 3), price_ticks=chance.randint(9_950, 10_050), trigger_ticks=chance.choice((0, 9_000)),
            qty_lots=chance.randint(0, 40), tolerance_ticks=chance.randint(0, 5), tolerance_ppm=chance.choice((0, 50_000)),
        )
        for s in slots
    ]  # fmt: skip
    now = 10**15
    orders = [
        Working(
            slot=chance.choice(slots) if slots and chance.random() < 0.7 else chance.randint(-1, SLOTS - 1), generation=chance.randint(0, 2),
            role=chance.randint(0, 4), side=chance.choice((BUY, SELL)), kind=chance.randint(0, 3), flags=chance.randint(0, 1),
            price_ticks=chance.randint(9_950, 10_050), open_lots=chance.randint(0, 40),
            state=chance.choice((WORKING, WORKING, WORKING, IN_FLIGHT, ARMED, CANCELLING, UNKNOWN)),
            sent_us=now - chance.choice((1, 500_000, 5_000_000)), acked=chance.randint(0, 1), cancel_us=now - chance.choice((1, 5_000_000)),
        )
        for _ in range(chance.randint(0, ORDERS))
    ]  # fmt: skip
    view = View(
        now_us=now, bid_ticks=chance.choice((0, 9_990)), ask_ticks=10_000, fresh=chance.choice((0, 1, 1, 1)), may_open=chance.choice((0, 1, 1, 1)),
        is_perp=chance.randint(0, 1), tick_lot_atoms=100_000, lot_atoms=10**7, min_lots=chance.choice((1, 5)), max_lots=chance.choice((0, 20)),
        low_ticks=chance.choice((0, 9_960)), high_ticks=chance.choice((0, 10_040)),
    )  # fmt: skip
    for order in orders:
        if order.slot >= 0:
            view.generation[order.slot] = max(view.generation[order.slot], order.generation)
    for s in slots:
        view.filled[s] = chance.choice((0, 0, 3))
        view.retry_us[s] = chance.choice((0, 0, 0, now + 5))
    lots = chance.randint(-50, 50) if view.is_perp else chance.randint(0, 50)
    position = Position(
        lots=lots,
        base_atoms=lots * 10**7,
        cost_atoms=abs(lots) * 10**9,
        sellable_lots=abs(lots),
        free_quote_atoms=chance.randint(0, 10**11),
    )
    limits = Limits(
        order_lots_max=chance.choice((0, 0, 30)), order_notional_max=chance.choice((0, 0, 3 * 10**10)), orders_max=chance.choice((4, 64)),
        position_notional_max=chance.choice((0, 6 * 10**10)), budget_atoms=chance.choice((0, 6 * 10**10)),
        rate_tokens=chance.choice((2, 50)) * RATE_UNIT, rate_reserve=RATE_UNIT, mode=chance.choice((0, 0, 0, 1, 2)), exit_masked=chance.choice((0, 0, 1)),
    )  # fmt: skip
    return rows, orders, view, position, limits
