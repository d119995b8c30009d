"""How positions that cannot be carried go: chunk by chunk on the book, over to the backstop, and against the winners."""

import pytest
from msgspec.structs import replace
from tests.matching.worlds import FEELESS, PERP, UNIT, T, limit, perp, world

from lemon_trader.core.units import BUY, SELL, US_PER_S
from lemon_trader.matching.effects import Liquidated, OrderChanged, Traded
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.margin import fraction_ppb, share
from lemon_trader.matching.orders import Origin
from lemon_trader.matching.rules import Rules, Terms

RULES = replace(FEELESS, settlement_interval_us=0)


def long(lots: int = 400_000, rules: Rules = RULES, against: str | None = None):
    """Ann is long at 100.00 with 10,000 USDC, against the outside world or a named account; the book is empty afterwards."""
    exchange = world(rules)
    if against is None:
        exchange.set_outside(PERP, SELL, 10_000, lots, T)
    else:
        exchange.place(against, limit(PERP, SELL, lots, 10_000), T)
    exchange.place("ann", limit(PERP, BUY, lots, 10_000), T)
    exchange.take_effects()
    return exchange


def held(exchange, name="ann"):
    return exchange.accounts[name].position_lots(PERP)


def test_a_call_takes_one_chunk_at_a_time_until_the_account_stands_again():
    exchange = long()
    exchange.set_outside(PERP, BUY, 9_870, 400_000, T)
    exchange.set_reference(PERP, 9_870, 9_870, 0, T)  # equity 4,800 of 4,935
    assert (held(exchange), exchange.accounts["ann"].is_liquidating) == (360_000, False)  # 4,800 of 4,441.5
    exchange.set_reference(PERP, 9_850, 9_850, 0, T)
    assert held(exchange) == 324_000  # a tenth of what there was when the second call came
    exchange.check_closed()


def test_the_next_chunk_waits_for_its_time_and_comes_by_itself():
    exchange = long()
    exchange.set_outside(PERP, BUY, 9_840, 400_000, T)
    exchange.set_reference(PERP, 9_840, 9_840, 0, T)  # equity 3,600 of 4,920
    assert (held(exchange), exchange.accounts["ann"].is_liquidating) == (360_000, True)
    assert exchange.next_due_us == T + US_PER_S
    exchange.advance(T + US_PER_S - 1)
    assert held(exchange) == 360_000
    exchange.advance(T + US_PER_S)
    assert held(exchange) == 320_000
    exchange.advance(T + 10 * US_PER_S)
    assert (held(exchange), exchange.accounts["ann"].is_liquidating) == (280_000, False)
    fills = [f for f in exchange.accounts["ann"].fills if f.origin is Origin.LIQUIDATION_AUTOCLOSE]
    assert [f.at_us for f in fills] == [T, T + US_PER_S, T + 2 * US_PER_S]
    exchange.check_closed()


def test_below_the_auto_close_share_the_backstop_takes_the_rest_at_the_mark_off_the_book():
    exchange = long()
    exchange.set_outside(PERP, BUY, 9_000, 400_000, T)
    exchange.take_effects()
    exchange.set_reference(PERP, 9_810, 9_810, 0, T)  # equity 2,400: less than half of 4,905
    ann = exchange.accounts["ann"]
    assert (held(exchange), ann.is_liquidating, ann.total("USDC")) == (0, False, 2_400 * UNIT)
    told = exchange.take_effects()
    assert [e for e in told if isinstance(e, Traded)] == []
    assert [e for e in told if isinstance(e, Liquidated)] == [Liquidated(PERP, SELL, 9_810, 400_000, Origin.BACKSTOP_LIQUIDITY_PROVIDER, T)]
    assert (ann.fills[-1].trade_id, ann.fills[-1].origin) == (0, Origin.BACKSTOP_LIQUIDITY_PROVIDER)
    assert exchange.last_ticks(PERP) == 10_000
    exchange.check_closed()


def test_below_zero_the_winners_on_the_other_side_give_their_gain_up_and_the_insurance_pays_nothing():
    exchange = long(against="bob")
    exchange.set_reference(PERP, 9_700, 9_700, 0, T)  # 12,000 lost of 10,000: worth nothing at 97.50
    ann, bob = exchange.accounts["ann"], exchange.accounts["bob"]
    assert (held(exchange), held(exchange, "bob")) == (0, 0)
    assert (ann.total("USDC"), bob.total("USDC")) == (0, 20_000 * UNIT)
    assert {f.origin for f in (ann.fills[-1], bob.fills[-1])} == {Origin.ADL_AUTOCLOSE}
    assert ann.fills[-1].ticks == 9_750
    exchange.check_closed()


def test_the_winner_with_most_profit_and_leverage_goes_first_and_the_rest_keep_theirs():
    exchange = world(RULES)
    exchange.deposit("cid", "USDC", 90_000 * UNIT, T)  # the same gain on ten times the money
    for name in ("cid", "bob"):
        exchange.place(name, limit(PERP, SELL, 200_000, 10_000), T)
    exchange.place("ann", limit(PERP, BUY, 200_000, 10_000), T)  # cid's came first
    exchange.set_outside(PERP, BUY, 10_000, 100_000, T)  # bob sells to the outside world
    exchange.place("ann", limit(PERP, BUY, 100_000, 10_000), T)
    exchange.take_effects()
    exchange.set_reference(PERP, 9_600, 9_600, 0, T)  # ann: 12,000 lost of 10,000 on 300,000
    assert (held(exchange), held(exchange, "bob"), held(exchange, "cid")) == (0, 0, -100_000)
    exchange.check_closed()


def test_without_a_backstop_even_a_solvent_account_is_deleveraged():
    exchange = long(rules=replace(RULES, has_backstop=False), against="bob")
    exchange.set_reference(PERP, 9_810, 9_810, 0, T)
    assert (held(exchange), held(exchange, "bob")) == (0, 0)
    exchange.check_closed()


def test_a_deleveraged_winner_loses_his_reduce_only_orders():
    exchange = long(against="bob")
    exchange.place("bob", limit(PERP, BUY, 400_000, 9_000, reduce_only=True), T)
    exchange.set_reference(PERP, 9_700, 9_700, 0, T)
    assert exchange.open_orders("bob") == []
    exchange.check_closed()


@pytest.mark.parametrize(
    ("units", "base_ppm", "factor_ppb", "ppb"),
    [
        (1_000, 20_000, 60_000, 20_000_000),  # 0.00006 x 31.6 is less than 2 %
        (1_000_000, 20_000, 60_000, 60_000_000),  # 0.00006 x 1,000
        (111_111, 20_000, 60_000, 20_000_000),
        (111_112, 20_000, 60_000, 20_000_080),  # just past the bend, rounded up
        (5, 20_000, 0, 20_000_000),
    ],
)
def test_a_margin_fraction_grows_with_the_root_of_the_notional(units, base_ppm, factor_ppb, ppb):
    assert fraction_ppb(units * UNIT, base_ppm, factor_ppb) == ppb
    assert share(units * UNIT, base_ppm, factor_ppb) == -(-units * UNIT * ppb // 10**9)


def test_large_positions_need_more_and_leverage_is_a_floor():
    exchange = Exchange([perp()], FEELESS, {PERP: Terms(imf_factor_ppb=60_000, mmf_factor_ppb=36_000)})
    exchange.open_account("ann", {"USDC": 100_000 * UNIT})
    exchange.set_reference(PERP, 10_000, 10_000, 0, T)
    exchange.place("ann", limit(PERP, BUY, 1_000_000, 10_000), T)
    assert exchange.margin("ann").initial_atoms == 60_000 * UNIT
    exchange.set_outside(PERP, SELL, 10_000, 1_000_000, T)
    assert exchange.margin("ann").maintenance_atoms == 36_000 * UNIT
    exchange.set_imf_floor("ann", 100_000)
    assert exchange.margin("ann").initial_atoms == 100_000 * UNIT


def test_every_system_order_is_accepted_before_it_fills():
    exchange = long(against="bob")
    exchange.set_reference(PERP, 9_700, 9_700, 0, T)
    told = [(e.account, str(e.kind)) for e in exchange.take_effects() if isinstance(e, OrderChanged) and e.order.origin is not Origin.USER]
    assert told == [("ann", "accepted"), ("ann", "filled"), ("bob", "accepted"), ("bob", "filled")]
