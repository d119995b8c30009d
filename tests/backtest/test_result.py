"""A result holds together: its fills, its equity and the ledger's totals say the same to the atom."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backtest.made import PERP, SPOT, fill, result

from lemon_trader.backtest.result import check

ROUND = [fill(5, "layer", "buy", 10_000, 7, fee=700_000), fill(70, "exit", "sell", 10_131, 7, fee=710_000)]


def changed(name: str, column: str, by: int):
    """The round trip with one number of one column wrong."""
    made = result(ROUND, [10_000, 10_150])
    rows = getattr(made, name).copy()
    rows[column][-1] += by
    return replace(made, **{name: rows})


def test_a_round_trip_holds_together():
    check(result(ROUND, [10_000, 10_150]))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: changed("fills", "quote_atoms", 1), "worth"),
        (lambda: changed("fills", "fee_atoms", 1), "fees"),
        (lambda: changed("equity", "equity_atoms", 1), "equity ends"),
        (lambda: changed("equity", "base_atoms", 1), "base atoms"),
        (lambda: changed("equity", "cost_atoms", 1), "unrealised"),
        (lambda: replace(result(ROUND), fills=result(ROUND).fills[::-1]), "back in time"),
        (lambda: replace(result(ROUND), equity=result(ROUND).equity[:0]), "no row"),
        (lambda: replace(result(ROUND), fills=np.zeros(1, np.int64)), "fills holds"),
    ],
)
def test_a_part_that_contradicts_the_others_is_found(wrong, says):
    with pytest.raises(AssertionError, match=says):
        check(wrong())


side = st.sampled_from(["buy", "sell"])
money = st.integers(0, 10**7)


@given(st.lists(st.tuples(side, st.integers(1, 30_000), st.integers(1, 400), money, st.booleans()), max_size=8), st.integers(1, 30_000))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_whatever_was_traded_the_parts_agree(trades, close):
    fills, held = [], 0
    for n, (way, ticks, lots, fee, in_base) in enumerate(trades):
        held += lots if way == "buy" else -lots
        fills.append(fill(n, "quote", way, ticks, lots, **{"base_fee" if in_base and held > 0 else "fee": fee}))
    check(result(fills, [close]))
    check(result([{**f, "fee": f.get("fee", 0), "base_fee": 0} for f in fills], [close], grid=PERP))


def test_a_fee_taken_in_coins_is_worth_what_the_ledger_says():
    made = result([fill(1, "layer", "buy", 10_001, 33, base_fee=264_001)], [10_000])
    assert made.totals.fees_atoms == 264_001 * 10_001 * SPOT.tick_lot_atoms // SPOT.lot_atoms
    check(made)
