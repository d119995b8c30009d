"""Balances, locks, fees and positions, to the atom."""

import pytest
from tests.matching.worlds import FEELESS, PERP, SPOT, UNIT, T, booked, limit, market, perp, spot, world

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import BalanceChanged, PositionChange, PositionChanged
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.rules import Rules

GRAIN = 10**5  # quote atoms of one lot at one tick
LOT = 10**7  # base atoms of one lot


def test_a_spot_buy_pays_its_fee_in_base_and_a_sell_in_quote():
    exchange = booked()
    exchange.place("ann", limit(SPOT, BUY, 100, 10_100), T)
    ann = exchange.accounts["ann"]
    assert ann.total("SOL") == 101 * UNIT - UNIT // 1_000  # taker, 0.10 %
    assert ann.total("USDC") == 10_000 * UNIT - 101 * UNIT
    exchange.place("bob", limit(SPOT, SELL, 100, 9_900), T)
    bob = exchange.accounts["bob"]
    assert bob.total("SOL") == 99 * UNIT
    assert bob.total("USDC") == 10_000 * UNIT + 99 * UNIT - 99 * UNIT // 1_000
    assert (ann.fills[0].fee_asset, ann.fills[0].fee_atoms) == ("SOL", UNIT // 1_000)
    assert (bob.fills[0].fee_asset, bob.fills[0].fee_atoms) == ("USDC", 99 * UNIT // 1_000)
    exchange.check_closed()


def test_maker_and_taker_of_one_trade_pay_their_own_rates():
    exchange = world()
    for symbol, maker_ppm, taker_ppm in ((SPOT, 800, 1_000), (PERP, 200, 500)):
        exchange.place("ann", limit(symbol, SELL, 100, 10_000), T)
        exchange.place("bob", limit(symbol, BUY, 100, 10_000), T)
        maker, taker = exchange.accounts["ann"].fills[-1], exchange.accounts["bob"].fills[-1]
        assert (maker.is_maker, taker.is_maker) == (True, False)
        assert maker.fee_atoms == 100 * UNIT * maker_ppm // 10**6
        assert taker.fee_atoms == (UNIT if symbol == SPOT else 100 * UNIT) * taker_ppm // 10**6
        assert maker.trade_id == taker.trade_id
    exchange.check_closed()


@pytest.mark.parametrize(("ppm", "fee"), [(1, 1), (0, 0), (999_999, LOT - 10), (-1, -10), (-3, -30)])
def test_a_fee_is_exact_where_it_can_be(ppm, fee):
    exchange = world(Rules(spot_taker_ppm=ppm))
    exchange.set_outside(SPOT, SELL, 10_000, 1, T)
    exchange.place("ann", limit(SPOT, BUY, 1, 10_000), T)
    assert exchange.accounts["ann"].fills[0].fee_atoms == (10 if ppm == 1 else fee)


@pytest.mark.parametrize(("ppm", "fee"), [(1, 1), (33, 4), (100, 10), (-33, -3), (-1, 0)])
def test_a_fee_that_is_no_whole_atom_is_rounded_up_against_the_payer(ppm, fee):
    """One lot of 10^-4 at one tick of 10^-1 is 10^4 atoms; at 10.1 ticks' worth the fee gets a fraction."""
    from lemon_trader.core.instrument import instrument

    tiny = instrument("X_USDC_PERP", "X", "USDC", is_perp=True, tick="0.0001", lot="0.1", imf_ppm=1)
    exchange = Exchange([tiny], Rules(perp_taker_ppm=ppm, perp_fee_step_atoms=1))
    exchange.open_account("ann", {"USDC": UNIT})
    exchange.set_outside("X_USDC_PERP", SELL, 10, 1, T)  # 10 ticks x 10^4 atoms = 10^5 atoms
    exchange.place("ann", limit("X_USDC_PERP", BUY, 1, 10), T)
    assert exchange.accounts["ann"].fills[0].fee_atoms == fee
    exchange.check_closed()


@pytest.mark.parametrize(("ppm", "fee"), [(10, 1_000), (0, 0), (1_234, 1_000), (-9, 0), (-11, -1_000)])
def test_a_perpetuals_fee_is_a_whole_number_of_steps(ppm, fee):
    """At 10⁸ atoms' worth 10 ppm are exactly one step of 1,000 atoms; whatever is between two steps goes up to the next."""
    from lemon_trader.core.instrument import instrument

    tiny = instrument("X_USDC_PERP", "X", "USDC", is_perp=True, tick="0.0001", lot="0.1", imf_ppm=1)
    exchange = Exchange([tiny], Rules(perp_taker_ppm=ppm))
    exchange.open_account("ann", {"USDC": UNIT})
    lots = 1_000 if ppm != 1_234 else 1
    exchange.set_outside("X_USDC_PERP", SELL, 10, lots, T)
    exchange.place("ann", limit("X_USDC_PERP", BUY, lots, 10), T)
    assert exchange.accounts["ann"].fills[0].fee_atoms == fee
    exchange.check_closed()


def test_a_bid_locks_quote_an_ask_locks_base_and_a_fill_unlocks_its_part():
    exchange = world()
    ann = exchange.accounts["ann"]
    bid = exchange.place("ann", limit(SPOT, BUY, 10, 9_900), T)
    exchange.place("ann", limit(SPOT, SELL, 7, 10_100), T)
    assert ann.locked("USDC") == 10 * 9_900 * GRAIN
    assert ann.locked("SOL") == 7 * LOT
    assert ann.available("USDC") == 10_000 * UNIT - ann.locked("USDC")
    exchange.outside_take(SPOT, SELL, 4, 0, T)
    assert ann.locked("USDC") == 6 * 9_900 * GRAIN
    exchange.cancel("ann", SPOT, T, order_id=bid.order_id)
    assert ann.locked("USDC") == 0
    assert ann.total("USDC") == 10_000 * UNIT - 4 * 9_900 * GRAIN


def test_a_taker_that_is_filled_better_than_its_limit_locks_nothing_of_the_difference():
    exchange = booked()
    order = exchange.place("ann", limit(SPOT, BUY, 501, 10_199), T)
    assert order.executed_lots == 500
    assert exchange.accounts["ann"].locked("USDC") == 10_199 * GRAIN


def test_each_changed_balance_is_told_once_an_act_and_absolutely():
    exchange = booked()
    exchange.place("ann", limit(SPOT, BUY, 600, 10_200), T)
    told = [e for e in exchange.take_effects() if isinstance(e, BalanceChanged)]
    ann = exchange.accounts["ann"]
    assert {(e.asset, e.available_atoms, e.locked_atoms) for e in told} == {
        ("USDC", ann.available("USDC"), 0), ("SOL", ann.available("SOL"), 0),
    }  # fmt: skip
    assert len(told) == 2


def test_a_market_buy_that_can_pay_only_a_part_of_a_dearer_book_stops_there():
    exchange = booked(Rules(taker_delay_us=100))
    exchange.accounts["ann"].add("USDC", -9_505 * UNIT)
    exchange.accounts["cid"].add("USDC", 9_505 * UNIT)  # a gift, so that the books still close
    order = exchange.place("ann", market(SPOT, BUY, 490), T)
    exchange.outside_take(SPOT, BUY, 400, 0, T + 50)  # the cheap level shrinks to 100 while the order waits
    exchange.advance(T + 100)
    row = exchange.accounts["ann"].order_history[-1]
    assert (row.order_id, row.reason) == (order.order_id, "InsufficientFunds")
    assert row.executed_lots == 100 + (495 - 101) * UNIT // (10_200 * GRAIN) == 486
    assert exchange.accounts["ann"].available("USDC") >= 0
    exchange.check_closed()


def walk(exchange, *trades):
    """Trade ann's perpetual position through (signed lots, ticks) against the outside world."""
    for signed, ticks in trades:
        side = BUY if signed > 0 else SELL
        for level, _ in exchange.depth(PERP).bids + exchange.depth(PERP).asks:
            exchange.set_outside(PERP, BUY, level, 0, T)
            exchange.set_outside(PERP, SELL, level, 0, T)
        exchange.set_outside(PERP, -side, ticks, abs(signed), T)
        exchange.place("ann", limit(PERP, side, abs(signed), ticks), T)
        exchange.check_closed()
    return exchange.accounts["ann"]


WALKS = [
    ("growing keeps the sum of costs", [(10, 10_000), (20, 10_003)], 30, (100_000 + 200_060) * GRAIN, 0),
    ("a part sold leaves the average where it was", [(10, 10_000), (10, 10_100), (-5, 10_200)], 15, 150_750 * GRAIN, 750 * GRAIN),
    ("a short gains when it buys lower", [(-10, 10_000), (4, 9_900)], -6, -60_000 * GRAIN, 400 * GRAIN),
    ("a short loses when it buys higher", [(-10, 10_000), (10, 10_100)], 0, 0, -1_000 * GRAIN),
    ("through zero one position ends and another begins at the price", [(10, 10_000), (-25, 10_100)], -15, -151_500 * GRAIN, 1_000 * GRAIN),
]


@pytest.mark.parametrize(("trades", "lots", "cost", "realised"), [case[1:] for case in WALKS], ids=[case[0] for case in WALKS])
def test_a_position_counts_lots_cost_and_realised_profit(trades, lots, cost, realised):
    exchange = world(FEELESS)
    ann = walk(exchange, *trades)
    held = ann.position(PERP)
    assert (held.lots, held.cost_atoms) == (lots, cost) if lots else held is None
    assert ann.total("USDC") - 10_000 * UNIT == realised
    assert sum(fill.realised_atoms for fill in ann.fills) == realised


def test_a_reduction_takes_the_floor_of_its_share_of_the_cost():
    """Three lots of unequal price cost 30,001 grains: one of three takes 10,000.33 grains, in atoms the floor."""
    ann = walk(world(FEELESS), (2, 10_000), (1, 10_001), (-1, 10_000))
    cost = 30_001 * GRAIN
    assert ann.position(PERP).cost_atoms == cost - cost // 3
    assert ann.total("USDC") - 10_000 * UNIT == 10_000 * GRAIN - cost // 3


def test_a_position_that_flips_closes_with_its_own_part_of_the_fee():
    exchange = world()
    ann = walk(exchange, (10, 10_000), (-25, 10_000))
    closed, held = ann.closed_positions[0], ann.position(PERP)
    assert closed.position_id != held.position_id
    fee = ann.fills[-1].fee_atoms
    assert closed.fee_atoms == ann.fills[0].fee_atoms + fee * 10 // 25
    assert held.fee_atoms == fee - fee * 10 // 25
    assert (closed.lots, closed.closed_lots, closed.closed_quote_atoms) == (0, 10, 100_000 * GRAIN)
    kinds = [(e.kind, e.position.lots) for e in exchange.take_effects() if isinstance(e, PositionChanged)]
    assert kinds == [(PositionChange.OPENED, 10), (PositionChange.CLOSED, 0), (PositionChange.OPENED, -15)]


def test_profit_less_fees_is_the_cash_difference():
    exchange = world()
    ann = walk(exchange, (7, 10_007), (13, 9_991), (-9, 10_020), (-30, 9_970), (19, 10_001))
    assert ann.position(PERP) is None
    cash = sum(-fill.side * fill.quote_atoms - fill.fee_atoms for fill in ann.fills)
    assert ann.total("USDC") - 10_000 * UNIT == cash
    assert sum(p.realised_atoms - p.fee_atoms for p in ann.closed_positions) == cash


def test_a_deposit_is_counted_as_one():
    exchange = world()
    exchange.deposit("ann", "USDC", 5, T)
    assert exchange.accounts["ann"].total("USDC") == 10_000 * UNIT + 5
    exchange.check_closed()
    with pytest.raises(ValueError, match="more than 0"):
        exchange.deposit("ann", "USDC", 0, T)


def test_books_that_do_not_close_are_noticed():
    exchange = world()
    exchange.accounts["ann"].add("SOL", 1)
    with pytest.raises(AssertionError, match="do not close"):
        exchange.check_closed()


def test_an_account_is_opened_once_and_with_no_debt():
    exchange = world()
    with pytest.raises(ValueError, match="ann"):
        exchange.open_account("ann", {})
    with pytest.raises(ValueError, match="USDC"):
        exchange.open_account("dan", {"USDC": -1})


def test_an_exchange_settles_in_one_asset_and_lists_a_market_once():
    from lemon_trader.core.instrument import instrument

    other = instrument("SOL_EUR_PERP", "SOL", "EUR", is_perp=True, tick="0.01", lot="0.01")
    with pytest.raises(ValueError, match="EUR"):
        Exchange([perp(), other])
    with pytest.raises(ValueError, match="twice"):
        Exchange([spot(), spot()])


@pytest.mark.parametrize(
    ("symbol", "side", "ticks", "lots"),
    [
        (SPOT, BUY, 10_000, 10_000),
        (SPOT, BUY, 0, 9_900),
        (SPOT, SELL, 0, 10_000),
        (PERP, BUY, 10_000, 500_000),
        (PERP, SELL, 10_000, 500_000),
    ],
)
def test_the_largest_order_is_one_that_is_taken_and_one_lot_more_is_not(symbol, side, ticks, lots):
    from tests.matching.worlds import refusal

    exchange = booked()
    assert exchange.max_order_lots("ann", symbol, side, ticks) == lots
    price = ticks or 10_100
    assert refusal(exchange, "ann", limit(symbol, side, lots + 1, price))[0].startswith("INSUFFICIENT")
    exchange.place("ann", limit(symbol, side, lots, price), T)


def test_the_largest_order_counts_positions_bounds_and_what_is_unknown():
    exchange = booked(None, spot(max_lots=77), perp())
    assert exchange.max_order_lots("ann", SPOT, SELL) == 77
    exchange.place("ann", limit(PERP, BUY, 100, 10_100), T)
    assert exchange.max_order_lots("ann", PERP, SELL, reduce_only=True) == 100
    assert exchange.max_order_lots("ann", PERP, BUY, reduce_only=True) == 0
    empty = world()
    assert empty.max_order_lots("ann", SPOT, BUY) == 0
