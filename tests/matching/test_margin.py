"""Perpetuals carried: margin, funding on the hour, and what happens to those who cannot carry any more."""

import msgspec
import pytest
from tests.matching.worlds import FEELESS, HOUR, PERP, SPOT, UNIT, T, booked, limit, market, perp, refusal, spot, world

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import Funded, FundingSettled, LiquidationChanged, OrderChanged, ReferenceChanged, Traded
from lemon_trader.matching.orders import Origin, Reason, Status
from lemon_trader.matching.rules import Rules

NEXT_HOUR = (T // HOUR + 1) * HOUR
WHOLE = msgspec.structs.replace(  # positions go at once and to the book alone; how they go otherwise: test_liquidation
    FEELESS, liquidation_chunk_ppm=1_000_000, liquidation_pause_us=0, auto_close_ppm=0, settlement_interval_us=0
)


def opened(lots: int, rules: Rules | None = WHOLE):
    """Ann holds a position opened at 100.00 against the outside world; the book is empty afterwards."""
    exchange = world(rules)
    side = BUY if lots > 0 else SELL
    exchange.set_outside(PERP, -side, 10_000, abs(lots), T)
    exchange.place("ann", limit(PERP, side, abs(lots), 10_000), T)
    exchange.take_effects()
    return exchange


def test_equity_follows_the_mark_and_margin_the_notional():
    exchange = opened(1_000)
    exchange.set_reference(PERP, 10_500, 10_500, 0, T)
    standing = exchange.margin("ann")
    assert standing.unrealised_atoms == 50 * UNIT
    assert standing.equity_atoms == 10_050 * UNIT
    assert standing.notional_atoms == 1_050 * UNIT
    assert standing.initial_atoms == 21 * UNIT
    assert standing.maintenance_atoms == 1_050 * UNIT // 80


def test_open_orders_count_where_they_would_enlarge_the_position():
    exchange = opened(1_000)
    exchange.place("ann", limit(PERP, SELL, 1_500, 10_100), T)
    assert exchange.margin("ann").notional_atoms == 1_000 * UNIT  # turned it would be 500 short
    exchange.place("ann", limit(PERP, BUY, 500, 9_900), T)
    assert exchange.margin("ann").notional_atoms == 1_500 * UNIT
    exchange.place("ann", limit(PERP, SELL, 1_500, 10_100), T)
    assert exchange.margin("ann").notional_atoms == 2_000 * UNIT


def test_without_a_mark_the_last_trade_counts_and_before_it_the_book():
    exchange = booked()
    exchange.set_reference(PERP, 0, 0, 0, T)
    exchange.place("ann", limit(PERP, BUY, 100, 9_950), T)
    assert exchange.margin("ann").notional_atoms == (9_950 + 10_100) // 2 * 100 * 10**5
    exchange.outside_take(PERP, BUY, 1, 0, T)
    assert exchange.margin("ann").notional_atoms == 101 * UNIT


def test_what_spot_orders_lock_is_no_margin_and_what_margin_needs_is_not_for_spot():
    exchange = opened(100_000)  # 100,000 USDC notional ask 2,000 of 10,000
    assert refusal(exchange, "ann", limit(SPOT, BUY, 8_001, 10_000))[0] == "INSUFFICIENT_FUNDS"
    exchange.place("ann", limit(SPOT, BUY, 8_000, 10_000), T)
    assert refusal(exchange, "ann", limit(PERP, BUY, 1, 9_999))[0] == "INSUFFICIENT_MARGIN"
    assert exchange.max_order_lots("ann", SPOT, BUY, 10_000) == 0
    assert exchange.max_order_lots("ann", PERP, SELL, 10_000) == 200_000  # close it, and as much again


@pytest.mark.parametrize(("lots", "rate_ppb", "amount"), [(1_000, 12_500, -12_500_000), (-1_000, 12_500, 12_500_000), (1_000, -7, 7_000)])
def test_a_positive_rate_is_paid_by_longs_on_the_hour_at_the_mark(lots, rate_ppb, amount):
    exchange = opened(lots)
    exchange.set_reference(PERP, 10_000, 10_000, rate_ppb, T)
    exchange.advance(NEXT_HOUR - 1)
    assert exchange.accounts["ann"].total("USDC") == 10_000 * UNIT
    exchange.take_effects()
    exchange.advance(NEXT_HOUR + 5)
    ann = exchange.accounts["ann"]
    assert ann.total("USDC") == 10_000 * UNIT + amount
    assert ann.position(PERP).funding_atoms == amount
    settled, funded = [e for e in exchange.take_effects() if isinstance(e, Funded | FundingSettled)]
    assert settled == FundingSettled(PERP, rate_ppb, 10_000, NEXT_HOUR, NEXT_HOUR)
    assert funded == Funded("ann", PERP, rate_ppb, 10_000, lots, amount, NEXT_HOUR, NEXT_HOUR)
    assert ann.funding == [funded]
    exchange.check_closed()


def test_funding_that_is_no_whole_atom_is_rounded_against_the_account():
    for lots, amount in ((3, -4), (-3, 3)):
        exchange = opened(lots)
        exchange.set_reference(PERP, 11_667, 11_667, 1, T)  # 1 ppb of 3 lots at 116.67 is 3.5001 atoms
        exchange.advance(NEXT_HOUR)
        assert exchange.accounts["ann"].funding[0].amount_atoms == amount
        exchange.check_closed()


def test_three_hours_are_funded_three_times_and_what_was_closed_before_pays_nothing():
    exchange = opened(1_000)
    exchange.set_reference(PERP, 10_000, 10_000, 1_000, T)
    exchange.advance(NEXT_HOUR + 2 * HOUR)
    assert [row.interval_end_us for row in exchange.accounts["ann"].funding] == [NEXT_HOUR, NEXT_HOUR + HOUR, NEXT_HOUR + 2 * HOUR]
    assert exchange.next_due_us == NEXT_HOUR + 3 * HOUR == exchange.next_funding_us(NEXT_HOUR + 2 * HOUR)
    exchange.set_outside(PERP, BUY, 10_000, 1_000, NEXT_HOUR + 2 * HOUR + 1)
    exchange.place("ann", market(PERP, SELL, 1_000), NEXT_HOUR + 2 * HOUR + 1)
    exchange.advance(NEXT_HOUR + 9 * HOUR)
    assert len(exchange.accounts["ann"].funding) == 3


def test_a_market_whose_mark_is_unknown_is_not_funded():
    exchange = opened(1_000)
    exchange.set_reference(PERP, 0, 0, 1_000, T)
    exchange.advance(NEXT_HOUR)
    assert exchange.accounts["ann"].funding == []


def test_an_exchange_without_perpetuals_has_nothing_due():
    exchange = world(None, spot())
    exchange.advance(NEXT_HOUR * 2)
    assert exchange.next_due_us is None
    assert exchange.margin("ann").equity_atoms == 10_000 * UNIT


def test_a_statement_of_the_reference_is_told():
    exchange = world()
    exchange.set_reference(PERP, 10_001, 10_002, -5, T)
    assert exchange.take_effects() == [ReferenceChanged(PERP, 10_001, 10_002, -5, T)]
    assert exchange.reference(PERP) == (10_001, 10_002, -5)


def test_open_interest_is_what_accounts_hold_on_the_heavier_side():
    exchange = world()
    exchange.place("ann", limit(PERP, BUY, 10, 10_000), T)
    exchange.place("bob", limit(PERP, SELL, 10, 10_000), T)
    assert exchange.open_interest_lots(PERP) == 10
    exchange.set_outside(PERP, BUY, 10_000, 5, T)
    exchange.place("cid", limit(PERP, SELL, 5, 10_000), T)
    assert exchange.open_interest_lots(PERP) == 15


# Liquidation: ann is long 400,000 lots at 100.00 (400,000 USDC) with 10,000 USDC; maintenance is 1.25 %.
# Equity meets it where 10,000 - 400,000 (1 - m) = 5,000 m: at a mark of 98.7342.


def called(mark: int, bids: tuple[tuple[int, int], ...] = (), rules: Rules | None = WHOLE):
    exchange = opened(400_000, rules)
    for ticks, lots in bids:
        exchange.set_outside(PERP, BUY, ticks, lots, T)
    exchange.take_effects()
    exchange.set_reference(PERP, mark, mark, 0, T + 1)
    return exchange


def test_an_account_stands_while_its_equity_is_no_less_than_maintenance():
    exchange = called(9_874, ((9_870, 400_000),))
    assert exchange.accounts["ann"].position_lots(PERP) == 400_000
    assert not exchange.accounts["ann"].is_liquidating


def test_a_margin_call_closes_the_position_by_an_order_of_the_exchange_at_the_liquidation_fee():
    rules = msgspec.structs.replace(WHOLE, liquidation_fee_ppm=10_000)
    exchange = called(9_873, ((9_870, 400_000),), rules)
    ann = exchange.accounts["ann"]
    assert ann.position(PERP) is None
    fill = ann.fills[-1]
    assert (fill.origin, fill.fee_atoms) == (Origin.LIQUIDATION_AUTOCLOSE, fill.quote_atoms // 100)
    assert ann.closed_positions[0].liquidation_fee_atoms == fill.fee_atoms
    told = exchange.take_effects()
    assert [e.is_liquidating for e in told if isinstance(e, LiquidationChanged)] == [True, False]
    assert [e.origin for e in told if isinstance(e, Traded)] == [Origin.LIQUIDATION_AUTOCLOSE]
    accepted = next(e for e in told if isinstance(e, OrderChanged))
    assert (accepted.order.reduce_only, accepted.order.origin) == (True, Origin.LIQUIDATION_AUTOCLOSE)
    exchange.check_closed()


def test_a_margin_call_cancels_every_open_order_first_and_that_may_be_enough():
    exchange = opened(400_000)
    bid = exchange.place("ann", limit(SPOT, BUY, 2_000, 9_000), T)  # locks 1,800 of the 2,000 that margin leaves free
    trigger = exchange.place("ann", market(PERP, SELL, trigger_ticks=5_000, trigger_ppm=1_000_000), T)
    exchange.set_reference(PERP, 9_900, 9_900, 0, T)  # equity 4,200 of 4,950 without what is locked, 6,000 with it
    ann = exchange.accounts["ann"]
    assert [(row.order_id, row.status, row.reason) for row in ann.order_history[-2:]] == [
        (bid.order_id, Status.EXPIRED, Reason.LIQUIDATION), (trigger.order_id, Status.EXPIRED, Reason.LIQUIDATION),
    ]  # fmt: skip
    assert (ann.position_lots(PERP), ann.is_liquidating) == (400_000, False)


def test_what_the_book_cannot_take_is_tried_again_with_the_next_act_and_no_order_is_taken_meanwhile():
    exchange = called(9_800, ((9_790, 100_000),))
    ann = exchange.accounts["ann"]
    assert (ann.position_lots(PERP), ann.is_liquidating) == (300_000, True)
    assert refusal(exchange, "ann", limit(PERP, SELL, 1, 9_900))[0] == "ACCOUNT_LIQUIDATING"
    orders = len(ann.order_history)
    exchange.advance(T + 2)
    assert len(ann.order_history) == orders  # nobody to trade with, no order
    exchange.set_outside(PERP, BUY, 9_780, 300_000, T + 3)
    assert (ann.position(PERP), ann.is_liquidating) == (None, False)
    exchange.check_closed()


def test_a_position_that_recovers_in_time_is_kept():
    exchange = called(9_800)
    assert exchange.accounts["ann"].is_liquidating
    exchange.set_reference(PERP, 10_000, 10_000, 0, T + 2)
    assert not exchange.accounts["ann"].is_liquidating
    assert exchange.accounts["ann"].position_lots(PERP) == 400_000


def test_what_a_flat_account_still_owes_the_insurance_fund_pays():
    exchange = called(9_500, ((9_500, 400_000),))
    ann = exchange.accounts["ann"]
    assert ann.closed_positions[0].realised_atoms == -20_000 * UNIT
    assert ann.total("USDC") == 0
    exchange.check_closed()


def test_a_short_is_called_when_the_mark_rises():
    exchange = opened(-400_000)
    exchange.set_outside(PERP, SELL, 10_200, 400_000, T)
    exchange.set_reference(PERP, 10_126, 10_126, 0, T)
    assert exchange.accounts["ann"].position(PERP) is None


def test_without_a_mark_a_trade_calls():
    exchange = opened(400_000)
    exchange.set_reference(PERP, 0, 0, 0, T)
    exchange.set_outside(PERP, BUY, 9_800, 400_001, T)
    assert exchange.accounts["ann"].position_lots(PERP) == 400_000
    exchange.outside_take(PERP, SELL, 1, 0, T)
    assert exchange.accounts["ann"].position(PERP) is None


def test_funding_can_call():
    exchange = opened(400_000)
    exchange.set_outside(PERP, BUY, 9_990, 400_000, T)
    exchange.set_reference(PERP, 10_000, 10_000, 15_000_000, T)  # 1.5 % of 400,000 are 6,000; 4,000 are less than 5,000
    exchange.advance(NEXT_HOUR)
    assert exchange.accounts["ann"].position(PERP) is None


def test_one_liquidation_may_cause_another():
    """Ann's forced sale goes through cid's bid; cid ends long at a price far from the mark and is called as well."""
    exchange = opened(400_000)
    exchange.accounts["cid"].add("USDC", -9_000 * UNIT)
    exchange.accounts["bob"].add("USDC", 9_000 * UNIT)
    exchange.set_reference(PERP, 9_880, 9_880, 0, T)
    exchange.place("cid", limit(PERP, BUY, 50_000, 9_870), T)
    exchange.set_outside(PERP, BUY, 9_500, 1_000_000, T)
    exchange.set_reference(PERP, 9_780, 9_780, 0, T)
    assert exchange.accounts["ann"].position(PERP) is None
    assert exchange.accounts["cid"].position(PERP) is None
    assert exchange.accounts["cid"].fills[0].is_maker
    exchange.check_closed()


def test_a_market_without_maintenance_margin_calls_only_below_nothing():
    exchange = world(WHOLE, perp(mmf_ppm=0, imf_ppm=0))
    exchange.set_outside(PERP, SELL, 10_000, 400_000, T)
    exchange.place("ann", limit(PERP, BUY, 400_000, 10_000), T)
    exchange.set_reference(PERP, 9_750, 9_750, 0, T)
    assert not exchange.accounts["ann"].is_liquidating
    exchange.set_reference(PERP, 9_749, 9_749, 0, T)
    assert exchange.accounts["ann"].is_liquidating


def test_an_account_that_closes_at_a_loss_beyond_its_balance_loses_its_open_orders_and_owes_nothing():
    exchange = opened(400_000)
    bid = exchange.place("ann", limit(SPOT, BUY, 1_000, 9_000), T)
    exchange.set_outside(PERP, BUY, 9_700, 400_000, T)
    exchange.place("ann", market(PERP, SELL, 400_000), T)  # 12,000 lost of 10,000
    ann = exchange.accounts["ann"]
    assert (ann.total("USDC"), ann.locked("USDC"), ann.is_liquidating) == (0, 0, False)
    assert (ann.order_history[-1].order_id, ann.order_history[-1].reason) == (bid.order_id, Reason.LIQUIDATION)
    exchange.check_closed()
