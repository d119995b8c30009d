"""What a market or an account may not grow beyond, what large collateral counts, and what an account of a better tier pays."""

import pytest
from msgspec.structs import replace
from tests.matching.worlds import FEELESS, PERP, SPOT, UNIT, Exchange, T, limit, market, perp, refusal, spot

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.margin import weight_ppm
from lemon_trader.matching.orders import Refused, TimeInForce
from lemon_trader.matching.rules import Loan, Rules, Terms

DEEP = {"USDC": 1_000_000 * UNIT, "SOL": 100 * UNIT}


def opened(rules=FEELESS, *, finer=False, **terms):
    exchange = Exchange([spot(), perp()], rules, {PERP: Terms(**terms)})
    for name in ("ann", "bob"):
        exchange.open_account(name, DEEP)
    exchange.set_reference(PERP, 10_000, 10_000, 0, T)
    if finer:
        exchange.change_filters(replace(perp(), qty_decimals=3, lot="0.001", lot_atoms=10**6, tick_lot_atoms=10**4), T)
    return exchange


@pytest.mark.parametrize("by", [1, 10])
def test_no_order_brings_open_interest_above_its_limit_and_reducing_is_free(by):
    exchange = opened(open_interest_lots=1_000, finer=by == 10)
    exchange.set_outside(PERP, SELL, 10_000, 5_000 * by, T)
    exchange.place("ann", market(PERP, BUY, 600 * by), T)
    assert refusal(exchange, "bob", market(PERP, BUY, 500 * by))[0] == "POSITION_LIMIT"
    exchange.place("bob", market(PERP, BUY, 400 * by), T)
    assert exchange.open_interest_lots(PERP) == 1_000 * by
    exchange.set_outside(PERP, BUY, 9_990, 5_000 * by, T)
    exchange.place("bob", market(PERP, SELL, 800 * by), T)  # through zero: open interest falls on the long side
    assert exchange.open_interest_lots(PERP) == 600 * by
    assert refusal(exchange, "ann", limit(PERP, BUY, 401 * by, 9_000)) == ("POSITION_LIMIT", "Open interest limit exceeded")
    exchange.place("ann", limit(PERP, BUY, 300 * by, 9_000), T)
    assert refusal(exchange, "ann", limit(PERP, BUY, 101 * by, 9_000))[0] == "POSITION_LIMIT"  # what rests counts as filled
    exchange.place("ann", market(PERP, SELL, 600 * by, reduce_only=True), T)
    exchange.check_closed()


def test_an_accounts_positions_and_orders_together_keep_to_its_limit():
    exchange = opened(replace(FEELESS, position_limit_atoms=1_000 * UNIT), position_weight_ppm=2_000_000)
    exchange.set_outside(PERP, SELL, 10_000, 5_000, T)
    exchange.place("ann", market(PERP, BUY, 300), T)  # 300 USDC, weighted twice
    exchange.place("ann", limit(PERP, BUY, 200, 9_900), T)
    assert refusal(exchange, "ann", limit(PERP, BUY, 1, 9_900)) == ("POSITION_LIMIT", "Position limit exceeded")
    exchange.place("ann", limit(PERP, SELL, 300, 10_100), T)  # enlarges nothing
    exchange.place("bob", limit(PERP, SELL, 500, 10_100), T)  # another account has its own
    assert refusal(exchange, "bob", limit(PERP, SELL, 1, 10_100))[0] == "POSITION_LIMIT"


@pytest.mark.parametrize(
    ("sides", "bids", "asks"),
    [("taking", [10_551, 10_600], [9_400, 9_549]), ("both", [9_400, 9_549, 10_551, 10_600], [9_400, 9_549, 10_551, 10_600])],
    ids=["only what takes", "every price"],
)
def test_a_limit_price_keeps_to_the_premium_band(sides, bids, asks):
    def refused(side):
        found = []
        for ticks in (9_400, 9_549, 9_550, 10_550, 10_551, 10_600):
            try:
                exchange.place("ann" if side == BUY else "bob", limit(PERP, side, 1, ticks, time_in_force=TimeInForce.IOC), T)
            except Refused as answer:
                found.append((ticks, answer.message))
        return found

    exchange = opened(replace(FEELESS, premium_band_sides=sides), premium_band_ppm=50_000)
    exchange.set_reference(PERP, 10_050, 10_000, 0, T)  # the mark's premium is the middle of the band
    says = "Price is too far from the mean premium"
    assert (refused(BUY), refused(SELL)) == ([(ticks, says) for ticks in bids], [(ticks, says) for ticks in asks])


def test_without_an_index_there_is_no_premium_band():
    exchange = opened(premium_band_ppm=50_000)
    exchange.set_reference(PERP, 10_000, 0, 0, T)
    exchange.place("ann", limit(PERP, BUY, 1, 20_000), T)


@pytest.mark.parametrize(
    ("loan", "units", "weight"),
    [
        (Loan(weight_ppm=900_000), 10**9, 900_000),
        (Loan(weight_ppm=900_000, curve_base_ppm=1_100_000, curve_ppb=10_000_000), 0, 900_000),
        (Loan(weight_ppm=900_000, curve_base_ppm=1_100_000, curve_ppb=10_000_000), 100, 900_000),  # 1.1 / 1.1 is above the weight
        (Loan(weight_ppm=900_000, curve_base_ppm=1_100_000, curve_ppb=10_000_000), 10_000, 550_000),  # 1.1 / (1 + 0.01 x 100)
        (Loan(weight_ppm=900_000, curve_base_ppm=1_100_000, curve_ppb=10_000_000), 1_000_000, 100_000),
    ],
)
def test_much_of_a_coin_counts_less_by_its_curve(loan, units, weight):
    assert weight_ppm(loan, units * UNIT) == weight


def test_the_curve_is_what_margin_counts():
    loans = {"USDC": Loan(weight_ppm=10**6), "SOL": Loan(weight_ppm=900_000, curve_base_ppm=1_100_000, curve_ppb=120_000_000)}
    exchange = Exchange([spot(), perp()], replace(FEELESS, loans=loans))
    exchange.open_account("ann", {"SOL": 100 * UNIT})
    exchange.set_reference(PERP, 10_000, 10_000, 0, T)
    assert exchange.margin("ann").equity_atoms == 10_000 * UNIT * 500_000 // 10**6  # 1.1 / (1 + 0.12 x 10) = 0.5


def test_an_accounts_debts_keep_to_its_borrow_limit():
    loans = {name: Loan(weight_ppm=900_000, supply_atoms=10**6 * UNIT) for name in ("USDC", "SOL")}
    exchange = opened(replace(FEELESS, loans=loans, borrow_limit_atoms=1_000 * UNIT))
    exchange.borrow_lend("ann", "SOL", -6 * UNIT, T)
    with pytest.raises(Refused, match="BORROW_LIMIT"):
        exchange.borrow_lend("ann", "USDC", -401 * UNIT, T)
    assert exchange.lending.borrowable_atoms(exchange.accounts["ann"], "USDC") == 400 * UNIT
    exchange.borrow_lend("ann", "USDC", -400 * UNIT, T)
    exchange.borrow_lend("ann", "USDC", 100 * UNIT, T)
    exchange.check_closed()


def test_an_account_pays_by_its_own_tier_and_the_others_by_theirs():
    exchange = opened(Rules())
    exchange.set_fees("ann", (0, 250, -50, 180))
    exchange.place("ann", limit(PERP, SELL, 100, 10_000), T)
    exchange.place("bob", market(PERP, BUY, 100), T)
    assert exchange.accounts["ann"].fills[0].fee_atoms == -5_000_000  # a rebate of 0.005 % of 100
    assert exchange.accounts["bob"].fills[0].fee_atoms == 50_000_000
    exchange.set_outside(SPOT, SELL, 10_000, 100, T)
    exchange.place("ann", market(SPOT, BUY, 100), T)
    assert exchange.accounts["ann"].fills[1].fee_atoms == UNIT * 250 // 10**6
    exchange.check_closed()
