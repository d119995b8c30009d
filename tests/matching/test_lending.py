"""Coins that are lent and borrowed: pools, rates, flags, orders that redeem and borrow, interest, and debts that cannot be carried."""

import pytest
from msgspec.structs import replace
from tests.matching.worlds import FEELESS, HOUR, PERP, SPOT, UNIT, T, limit, market, perp, refusal, spot

from lemon_trader.core.units import BUY, SELL, US_PER_S
from lemon_trader.matching.effects import InterestPaid, LoanChange, LoanMoved
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import Origin, Refused, Status
from lemon_trader.matching.rules import Loan

USDC = Loan(weight_ppm=1_000_000, supply_atoms=100_000 * UNIT, demand_atoms=50_000 * UNIT)
SOL = Loan(weight_ppm=900_000, supply_atoms=1_000 * UNIT, demand_atoms=500 * UNIT)
RULES = replace(FEELESS, loans={"USDC": USDC, "SOL": SOL})


def bank(**changed):
    """Ann has 1,000 USDC, bob 10 SOL, cid 10,000 USDC; SOL trades at 100.00."""
    exchange = Exchange([spot(), perp()], replace(RULES, **changed))
    for name, balances in {"ann": {"USDC": 1_000 * UNIT}, "bob": {"SOL": 10 * UNIT}, "cid": {"USDC": 10_000 * UNIT}}.items():
        exchange.open_account(name, balances)
    exchange.set_reference(PERP, 10_000, 10_000, 0, T)
    for symbol in (SPOT, PERP):
        exchange.set_outside(symbol, BUY, 9_990, 1_000_000, T)
        exchange.set_outside(symbol, SELL, 10_010, 1_000_000, T)
    exchange.take_effects()
    return exchange


def have(exchange, name, asset="USDC"):
    account = exchange.accounts[name]
    return account.available(asset) // UNIT, account.lent.get(asset, 0) // UNIT


def test_lent_coins_leave_the_balance_and_come_back():
    exchange = bank()
    exchange.borrow_lend("ann", "USDC", 600 * UNIT, T)
    assert have(exchange, "ann") == (400, 600)
    exchange.borrow_lend("ann", "USDC", -100 * UNIT, T)
    assert have(exchange, "ann") == (500, 500)
    told = [(e.change, e.atoms // UNIT) for e in exchange.take_effects() if isinstance(e, LoanMoved)]
    assert told == [(LoanChange.LEND, 600), (LoanChange.REDEEM, 100)]
    exchange.check_closed()


def test_more_than_is_lent_becomes_a_debt_and_more_than_is_owed_a_claim():
    exchange = bank()
    exchange.borrow_lend("ann", "USDC", 100 * UNIT, T)
    exchange.borrow_lend("ann", "USDC", -300 * UNIT, T)
    assert have(exchange, "ann") == (1_200, -200)
    exchange.borrow_lend("ann", "USDC", 1_000 * UNIT, T)
    assert have(exchange, "ann") == (200, 800)
    assert [row.change for row in exchange.accounts["ann"].loan_rows] == [
        LoanChange.LEND, LoanChange.REDEEM, LoanChange.BORROW, LoanChange.REPAY, LoanChange.LEND,
    ]  # fmt: skip
    exchange.check_closed()


@pytest.mark.parametrize(
    ("asset", "atoms", "code"),
    [
        ("USDC", 1_001 * UNIT, "INSUFFICIENT_FUNDS"),
        ("USDC", -45_001 * UNIT, "INSUFFICIENT_SUPPLY"),  # 95 % of 100,000 less 50,000
        ("SOL", -440 * UNIT, "INSUFFICIENT_MARGIN"),  # 44,000 of debt ask 2 %, of 1,000 the debt's spread is no matter but 880 + fee are
        ("DOGE", UNIT, "INVALID_ASSET"),
    ],
)
def test_what_pool_balance_or_margin_do_not_allow_is_refused_and_changes_nothing(asset, atoms, code):
    exchange = bank(imf_floor_ppm=100_000)
    with pytest.raises(Refused) as refused:
        exchange.borrow_lend("ann", asset, atoms, T)
    assert refused.value.code == code
    assert have(exchange, "ann") == (1_000, 0)
    assert exchange.take_effects() == []


def test_rates_rise_with_use_and_bend_at_the_optimum():
    exchange = bank(loans={"USDC": replace(USDC, supply_atoms=1_000 * UNIT, demand_atoms=400 * UNIT)})
    lending = exchange.lending
    assert lending.rates_ppm("USDC") == (25_000, 9_000)  # half the optimal rate at 40 %; lenders get 40 % of it less a tenth
    exchange.borrow_lend("cid", "USDC", -400 * UNIT, T)
    assert lending.rates_ppm("USDC")[0] == 50_000
    exchange.borrow_lend("cid", "USDC", -100 * UNIT, T)
    assert lending.rates_ppm("USDC")[0] == 275_000
    assert lending.pool("USDC") == (1_000 * UNIT, 900 * UNIT)


def test_interest_is_paid_on_the_hour_against_whoever_it_is_rounded():
    exchange = bank()
    exchange.borrow_lend("ann", "USDC", 1_000 * UNIT, T)
    exchange.borrow_lend("cid", "USDC", -5_000 * UNIT, T)
    lent, owed = exchange.accounts["ann"].lent["USDC"], exchange.accounts["cid"].lent["USDC"]
    borrow, lend = exchange.lending.rates_ppm("USDC")
    exchange.take_effects()
    hour = (T // HOUR + 1) * HOUR
    exchange.advance(hour)
    rows = [e for e in exchange.take_effects() if isinstance(e, InterestPaid)]
    year = 365 * 24 * 10**6
    assert [(e.account, e.amount_atoms) for e in rows] == [("ann", lent * lend // year), ("cid", owed * borrow // year)]
    assert exchange.accounts["ann"].interest["USDC"] > 0 > exchange.accounts["cid"].interest["USDC"]
    exchange.advance(hour + 30 * HOUR)
    exchange.check_closed()


def test_auto_lend_empties_the_balance_and_perpetuals_are_carried_all_the_same():
    exchange = bank()
    exchange.set_flags("cid", T, auto_lend=True)
    assert have(exchange, "cid") == (0, 10_000)
    assert exchange.margin("cid").equity_atoms == 10_000 * UNIT
    exchange.place("cid", market(PERP, BUY, 1_000), T)
    exchange.set_reference(PERP, 9_800, 9_800, 0, T)
    exchange.advance(T + 10 * US_PER_S)  # the loss is settled out of what is lent
    assert have(exchange, "cid")[0] == 0
    assert exchange.accounts["cid"].lent["USDC"] == 10_000 * UNIT - 21 * UNIT
    exchange.deposit("cid", "SOL", 3 * UNIT, T + 10 * US_PER_S)
    assert have(exchange, "cid", "SOL") == (0, 3)
    exchange.set_flags("cid", T, auto_lend=False)
    exchange.check_closed()


def test_lent_coins_buy_on_spot_only_with_the_orders_own_leave():
    exchange = bank(auto_lend=True)
    exchange.set_flags("ann", T)
    assert have(exchange, "ann") == (0, 1_000)
    assert refusal(exchange, "ann", limit(SPOT, BUY, 100, 9_000))[0] == "INSUFFICIENT_FUNDS"
    order = exchange.place("ann", limit(SPOT, BUY, 100, 9_000, auto_lend_redeem=True), T)
    assert (exchange.accounts["ann"].locked("USDC") // UNIT, have(exchange, "ann")) == (90, (0, 910))
    exchange.cancel("ann", SPOT, T, order_id=order.order_id)
    assert have(exchange, "ann") == (0, 1_000)  # idle again, lent again
    exchange.check_closed()


def test_an_order_may_borrow_and_another_repays_with_its_proceeds():
    exchange = bank()
    assert refusal(exchange, "ann", market(SPOT, SELL, 500))[0] == "INSUFFICIENT_FUNDS"
    sold = exchange.place("ann", market(SPOT, SELL, 500, auto_borrow=True), T)
    assert (sold.status, have(exchange, "ann", "SOL")) == (Status.FILLED, (0, -5))
    exchange.place("ann", market(SPOT, BUY, 300, auto_borrow_repay=True), T)
    assert have(exchange, "ann", "SOL") == (0, -2)
    exchange.place("ann", market(SPOT, BUY, 300, auto_borrow_repay=True, auto_lend=True), T)
    assert have(exchange, "ann", "SOL") == (0, 1)
    exchange.check_closed()


def test_borrowing_what_is_lent_asks_to_redeem_it_first():
    exchange = bank()
    exchange.borrow_lend("ann", "USDC", 1_000 * UNIT, T)
    assert refusal(exchange, "ann", limit(SPOT, BUY, 1_500, 9_000, auto_borrow=True))[0] == "BORROW_REQUIRES_LEND_REDEEM"
    exchange.place("ann", limit(SPOT, BUY, 1_500, 9_000, auto_borrow=True, auto_lend_redeem=True), T)
    assert have(exchange, "ann") == (0, -350)
    exchange.check_closed()


def test_debts_are_repaid_by_themselves_when_the_flag_says_so():
    exchange = bank(auto_repay_borrows=True)
    exchange.place("ann", market(SPOT, SELL, 500, auto_borrow=True), T)
    exchange.place("ann", market(SPOT, BUY, 800), T)
    assert have(exchange, "ann", "SOL") == (3, 0)
    exchange.check_closed()


def test_other_coins_carry_perpetuals_at_their_weight():
    exchange = bank()
    assert exchange.margin("bob").equity_atoms == 900 * UNIT
    exchange.place("bob", market(PERP, BUY, 3_000), T)
    assert exchange.accounts["bob"].position_lots(PERP) == 3_000
    exchange.check_closed()


def test_a_settled_loss_is_borrowed_by_flag_and_else_paid_in_coins_once_the_account_is_flat():
    for flag, debt in ((True, -1), (False, 0)):
        exchange = bank(auto_borrow_settlements=flag)
        exchange.set_flags("bob", T, auto_borrow_settlements=flag)
        exchange.place("bob", market(PERP, BUY, 1_000), T)
        exchange.set_reference(PERP, 10_000, 10_000, 0, T)
        exchange.advance(T + 10 * US_PER_S)  # 0.10 x 10 are lost
        assert have(exchange, "bob")[1] == debt
        exchange.place("bob", market(PERP, SELL, 1_000), T + 10 * US_PER_S)
        if not flag:
            sale = exchange.accounts["bob"].fills[-1]
            assert (sale.symbol, sale.side, sale.origin) == (SPOT, SELL, Origin.COLLATERAL_CONVERSION)
        assert exchange.accounts["bob"].available("USDC") >= 0
        exchange.check_closed()


def test_a_debt_that_cannot_be_carried_is_bought_back():
    exchange = bank()
    exchange.place("ann", market(SPOT, SELL, 9_000, auto_borrow=True), T)  # owes 90 SOL, has 9,991 USDC
    exchange.set_outside(SPOT, SELL, 10_010, 0, T)
    exchange.set_outside(SPOT, SELL, 11_000, 100_000, T)
    exchange.set_reference(PERP, 11_000, 11_000, 0, T)
    ann = exchange.accounts["ann"]
    assert ann.lent["SOL"] == 0
    assert ann.fills[-1].origin is Origin.COLLATERAL_CONVERSION
    assert ann.is_liquidating is False
    exchange.check_closed()


def test_a_debt_that_nothing_pays_is_paid_by_the_insurance():
    exchange = bank()
    exchange.place("ann", market(SPOT, SELL, 9_000, auto_borrow=True), T)
    exchange.set_outside(SPOT, SELL, 10_010, 0, T)
    exchange.set_outside(SPOT, SELL, 15_000, 100_000, T)
    exchange.set_reference(PERP, 15_000, 15_000, 0, T)
    ann = exchange.accounts["ann"]
    assert (ann.owes, ann.total("USDC") < 150 * UNIT) == (False, True)
    exchange.check_closed()


def test_rests_too_small_to_sell_become_quote():
    exchange = bank()
    exchange.deposit("ann", "SOL", 7_654_321, T)  # less than a lot of 0.01
    exchange.outside_take(SPOT, BUY, 1, 0, T)
    assert exchange.convert_dust("ann", T) == 1
    assert exchange.accounts["ann"].total("SOL") == 0
    assert exchange.accounts["ann"].dust[0].quote_atoms == 7_654_321 * 10_010 // 100
    assert exchange.convert_dust("bob", T) == 0
    exchange.check_closed()
