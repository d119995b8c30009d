"""Limits in the send path: each case is a limit, counted with everything that may still fill."""

import pytest
from tests.core.make import USDC, empty_view, holding, want

from lemon_trader.core.diff import PLACE, action_array
from lemon_trader.core.limits import RATE_UNIT, Limits, mask, review
from lemon_trader.core.reasons import NAMES
from lemon_trader.core.records import Working, row_array
from lemon_trader.core.units import (
    BUY,
    EXIT,
    HALTED,
    LAYER,
    LIMIT,
    POST_ONLY,
    QUOTE,
    REBALANCE,
    REDUCING,
    SELL,
    STOP,
    TAKE,
    TRIGGER,
    UNKNOWN,
    WORKING,
)

PLENTY = 100 * RATE_UNIT
BID = {"side": BUY, "ticks": 9_900, "lots": 100}  # 99 USDC


def run(*, side=BUY, ticks=9_900, lots=100, role=QUOTE, kind=POST_ONLY, orders=(), position=None, limits=None, trigger=0, **view_fields):
    view = empty_view(**view_fields)
    limits = limits or Limits(rate_tokens=PLENTY)
    out = row_array()
    out[1] = want(0, side, ticks, lots, role=role, kind=kind, trigger_ticks=trigger)
    actions = action_array()
    actions[0].what, actions[0].index, actions[0].qty_lots = PLACE, 1, lots
    left = review(out, list(orders), len(orders), view, position or holding(), limits, actions, 1)
    assert left == (1 if actions[0].what == PLACE else 0)
    return "SENT" if left else NAMES[out[1].reason]


def resting(side, ticks, lots, state=WORKING):
    return Working(side=side, price_ticks=ticks, open_lots=lots, state=state, kind=LIMIT)


def lim(**fields):
    return Limits(**{"rate_tokens": PLENTY, **fields})


CASES = [
    ("a plain bid passes", {}, "SENT"),
    ("an order larger than allowed", {"limits": lim(order_lots_max=99)}, "LIMIT_QTY"),
    ("a notional larger than allowed", {"limits": lim(order_notional_max=98 * USDC)}, "LIMIT_NOTIONAL"),
    ("stale input lets nothing open", {"fresh": 0}, "MISSING_INPUT"),
    ("a frozen market lets nothing open", {"may_open": 0}, "MISSING_INPUT"),
    ("stale input lets an exit pass", {"fresh": 0, "side": SELL, "ticks": 10_100, "role": EXIT, "position": holding(100)}, "SENT"),
    ("through the touch beyond the collar", {"ticks": 10_103, "kind": TAKE}, "LIMIT_COLLAR"),
    ("through the touch within the collar", {"ticks": 10_102, "kind": TAKE}, "SENT"),
    ("a stop may reach further", {"side": SELL, "ticks": 9_700, "kind": TAKE, "role": STOP, "position": holding(100)}, "SENT"),
    ("a stop has a collar too", {"side": SELL, "ticks": 9_699, "kind": TAKE, "role": STOP, "position": holding(100)}, "LIMIT_COLLAR"),
    ("a taking order without a touch has no price", {"kind": TAKE, "ask_ticks": 0, "role": STOP}, "MISSING_INPUT"),
    ("what the venue would refuse is not sent", {"low_ticks": 9_901}, "OUT_OF_BAND"),
    ("too many orders rest", {"orders": [resting(BUY, 9_800, 1)] * 3, "limits": lim(orders_max=3)}, "LIMIT_ORDERS"),
    ("an exit may rest beside too many", {"orders": [resting(BUY, 9_800, 1)] * 3, "limits": lim(orders_max=3), "role": EXIT, "side": SELL, "ticks": 10_100}, "SENT"),
    ("held, working and next within the budget", {"limits": lim(budget_atoms=299 * USDC), "position": holding(100), "orders": [resting(BUY, 10_000, 100)]}, "SENT"),
    ("held, working and next beyond the budget", {"limits": lim(budget_atoms=298 * USDC), "position": holding(100), "orders": [resting(BUY, 10_000, 100)]}, "LIMIT_BUDGET"),
    ("an unknown order counts as filled", {"limits": lim(budget_atoms=298 * USDC), "position": holding(100), "orders": [resting(BUY, 10_000, 100, UNKNOWN)]}, "LIMIT_BUDGET"),
    ("the worst position counts what rests", {"limits": lim(position_notional_max=197 * USDC), "orders": [resting(BUY, 10_000, 100)]}, "LIMIT_POSITION"),
    ("a perpetual's ask opens a short beyond what is held", {"side": SELL, "ticks": 10_100, "is_perp": 1, "position": holding(50), "limits": lim(position_notional_max=50 * USDC)}, "LIMIT_POSITION"),
    ("a perpetual's ask that only reduces needs no budget", {"side": SELL, "ticks": 10_100, "is_perp": 1, "position": holding(100), "limits": lim(budget_atoms=1)}, "SENT"),
    ("funds that are not there are not asked for", {"position": holding(0, quote=98 * USDC)}, "WAIT_FUNDS"),
    ("the rate keeps a reserve from opening orders", {"limits": Limits(rate_tokens=3 * RATE_UNIT, rate_reserve=3 * RATE_UNIT)}, "LIMIT_RATE"),
    ("the reserve is for what closes", {"limits": Limits(rate_tokens=3 * RATE_UNIT, rate_reserve=3 * RATE_UNIT), "role": STOP, "kind": TAKE, "side": SELL, "ticks": 9_900, "position": holding(100)}, "SENT"),
    ("a halt masks what opens", {"limits": lim(mode=HALTED)}, "MASKED"),
    ("a trigger is no price to collar", {"kind": TRIGGER, "role": STOP, "side": SELL, "ticks": 0, "trigger": 9_000, "position": holding(100)}, "SENT"),
]  # fmt: skip


@pytest.mark.parametrize(("says", "given", "expected"), CASES, ids=[c[0] for c in CASES])
def test_a_limit(says, given, expected):
    assert run(**{**BID, **given}) == expected, says


def test_two_orders_of_one_turn_count_against_each_other():
    view, out, actions = empty_view(), row_array(), action_array()
    for n in (0, 1):
        out[n + 1] = want(n, BUY, 9_900, 100)
        actions[n].what, actions[n].index, actions[n].qty_lots = PLACE, n + 1, 100
    left = review(out, [], 0, view, holding(), lim(budget_atoms=190 * USDC), actions, 2)
    assert left == 1
    assert NAMES[out[2].reason] == "LIMIT_BUDGET"


@pytest.mark.parametrize(
    ("mode", "exit_masked", "kept"),
    [
        (0, 0, [QUOTE, LAYER, EXIT, STOP, REBALANCE]),
        (REDUCING, 0, [EXIT, STOP]),
        (HALTED, 0, [EXIT, STOP]),
        (HALTED, 1, [STOP]),
    ],
)
def test_modes_are_masks_over_rows(mode, exit_masked, kept):
    out = row_array()
    for n, role in enumerate([QUOTE, LAYER, EXIT, STOP, REBALANCE]):
        out[n + 1] = want(n, BUY, 9_900 + n, 10, role=role)
    used = mask(out, 6, Limits(mode=mode, exit_masked=exit_masked))
    assert [r.role for r in out[1:used]] == kept
    assert [r.slot for r in out[1:used]] == kept
