"""Reduce-only orders can never turn a position round, whatever happens to it."""

import pytest
from tests.matching.worlds import PERP, T, booked, changes, ended, limit, market, refusal

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import OrderChanged
from lemon_trader.matching.orders import Reason, Status


def holding(lots: int):
    """An exchange on which ann holds a position."""
    exchange = booked()
    exchange.place("ann", market(PERP, BUY if lots > 0 else SELL, abs(lots)), T)
    exchange.take_effects()
    return exchange


def test_one_that_is_too_large_enters_and_shrinks_to_the_position():
    exchange = holding(100)
    order = exchange.place("ann", limit(PERP, SELL, 150, 10_500, reduce_only=True), T)
    told = [e for e in exchange.take_effects() if isinstance(e, OrderChanged)]
    assert [(str(e.kind), e.order.lots) for e in told] == [("accepted", 150), ("modified", 100)]
    assert order.lots == 100


@pytest.mark.parametrize("new", [limit(PERP, BUY, 5, 9_000, reduce_only=True), market(PERP, BUY, 5, reduce_only=True)])
def test_one_on_the_positions_own_side_is_refused(new):
    code, text = refusal(holding(100), "ann", new)
    assert code == "INVALID_ORDER"
    assert "Reduce only" in text


def test_a_market_one_closes_the_position_and_no_more():
    exchange = holding(-100)
    order = exchange.place("ann", market(PERP, BUY, 400, reduce_only=True), T)
    assert (order.status, order.lots, order.executed_lots) == (Status.FILLED, 100, 100)
    assert exchange.accounts["ann"].position(PERP) is None


def test_resting_ones_shrink_as_the_position_does_and_keep_their_place():
    exchange = holding(100)
    first = exchange.place("ann", limit(PERP, SELL, 80, 10_500, reduce_only=True), T)
    behind = exchange.place("bob", limit(PERP, SELL, 5, 10_500), T)
    exchange.take_effects()
    exchange.place("ann", market(PERP, SELL, 70), T)
    assert exchange.open_order("ann", PERP, order_id=first.order_id).lots == 30
    assert ("modified", first.order_id) in changes(exchange.take_effects())
    assert exchange.depth(PERP).asks[-1] == (10_500, 35)
    exchange.outside_take(PERP, BUY, 2_000, 10_200, T)
    exchange.outside_take(PERP, BUY, 31, 0, T)
    assert ended(exchange, first).executed_lots == 30
    assert exchange.open_order("bob", PERP, order_id=behind.order_id).executed_lots == 1


def test_a_partly_filled_one_shrinks_by_its_open_rest():
    exchange = holding(100)
    order = exchange.place("ann", limit(PERP, SELL, 100, 10_050, reduce_only=True), T)
    exchange.outside_take(PERP, BUY, 40, 0, T)
    exchange.place("ann", market(PERP, SELL, 50), T)
    row = exchange.open_order("ann", PERP, order_id=order.order_id)
    assert (row.lots, row.executed_lots, row.open_lots) == (50, 40, 10)


@pytest.mark.parametrize("lots", [100, 150])
def test_resting_ones_expire_when_the_position_is_gone_or_turned(lots):
    exchange = holding(100)
    order = exchange.place("ann", limit(PERP, SELL, 80, 10_500, reduce_only=True), T)
    exchange.place("ann", market(PERP, SELL, lots), T)
    assert (ended(exchange, order).status, ended(exchange, order).reason) == (Status.EXPIRED, Reason.REDUCE_ONLY_NOT_REDUCED)


def test_two_in_one_sweep_take_no_more_than_the_position():
    exchange = holding(100)
    first = exchange.place("ann", limit(PERP, SELL, 100, 10_050, reduce_only=True), T)
    second = exchange.place("ann", limit(PERP, SELL, 100, 10_051, reduce_only=True), T)
    assert exchange.outside_take(PERP, BUY, 170, 10_060, T) == 100
    assert ended(exchange, first).executed_lots == 100
    assert ended(exchange, second).reason is Reason.REDUCE_ONLY_NOT_REDUCED
    assert exchange.accounts["ann"].position(PERP) is None


def test_growth_of_the_position_does_not_grow_the_order():
    exchange = holding(50)
    order = exchange.place("ann", limit(PERP, SELL, 80, 10_500, reduce_only=True), T)
    exchange.place("ann", market(PERP, BUY, 50), T)
    assert exchange.open_order("ann", PERP, order_id=order.order_id).lots == 50


def test_one_needs_no_margin():
    exchange = holding(100)
    exchange.set_imf_floor("ann", 1_000_000)
    exchange.accounts["ann"].imf_floor_ppm = 10**9  # nothing more may be opened
    assert refusal(exchange, "ann", limit(PERP, BUY, 1, 9_000))[0] == "INSUFFICIENT_MARGIN"
    exchange.place("ann", limit(PERP, SELL, 100, 10_500, reduce_only=True), T)
    assert exchange.accounts["ann"].exposed_lots(PERP) == (0, 0)
