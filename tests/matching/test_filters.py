"""Filters that change while a market trades: everything booked keeps its value, and new orders keep to the new steps."""

import pytest
from tests.matching.worlds import PERP, SPOT, UNIT, T, booked, ended, limit, market, perp, refusal, spot, world

from lemon_trader.core.instrument import GateError, instrument
from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import FiltersChanged
from lemon_trader.matching.orders import Reason, Status


def filters(symbol, tick, lot):
    margins = {"imf_ppm": 20_000, "mmf_ppm": 12_500} if symbol == PERP else {}
    return instrument(symbol, "SOL", "USDC", is_perp=symbol == PERP, tick=tick, lot=lot, **margins)


def lived():
    """Ann holds 300 lots long at 100.00 and rests on both sides; her stop is armed."""
    exchange = booked(None, spot(), perp())
    exchange.place("ann", limit(PERP, BUY, 300, 10_100), T)
    exchange.place("ann", limit(PERP, BUY, 115, 9_905), T)
    exchange.place("ann", limit(PERP, SELL, 110, 10_150), T)
    exchange.place("ann", market(PERP, SELL, trigger_ticks=9_450, trigger_lots=300, reduce_only=True), T)
    exchange.take_effects()
    return exchange


def value(exchange):
    """What ann has, in terms that no grid changes."""
    of, ann = exchange.instrument(PERP), exchange.accounts["ann"]
    position, standing = ann.position(PERP), exchange.margin("ann")
    return (
        of.qty_text(position.lots), position.cost_atoms, standing, ann.total("USDC"),
        [(of.price_text(f.ticks), of.qty_text(f.lots), f.quote_atoms) for f in ann.fills],
    )  # fmt: skip


@pytest.mark.parametrize(("tick", "lot"), [("0.001", "0.001"), ("0.005", "0.002"), ("0.05", "0.1"), ("0.1", "0.05"), ("0.03", "0.01")])
def test_whatever_was_booked_keeps_its_value(tick, lot):
    exchange = lived()
    before = value(exchange)
    exchange.change_filters(filters(PERP, tick, lot), T + 1)
    after = value(exchange)
    assert (after[0], after[1], after[3], after[4]) == (before[0], before[1], before[3], before[4])
    assert (after[2].equity_atoms, after[2].maintenance_atoms) == (before[2].equity_atoms, before[2].maintenance_atoms)
    exchange.check_closed()
    exchange.cancel_all("ann", PERP, T + 2)
    exchange.check_closed()


def test_finer_steps_keep_every_order_and_coarser_ones_end_those_that_are_off_them():
    exchange = lived()
    ids = [o.order_id for o in exchange.open_orders("ann")]
    exchange.change_filters(filters(PERP, "0.001", "0.001"), T)
    assert [o.order_id for o in exchange.open_orders("ann")] == ids
    exchange.change_filters(filters(PERP, "0.1", "0.1"), T)
    left = exchange.open_orders("ann")
    of = exchange.instrument(PERP)
    assert [(of.price_text(o.ticks), of.qty_text(o.lots or o.trigger_lots)) for o in left] == [("101.5", "1.1"), ("0", "3")]
    gone = ended(exchange, exchange.accounts["ann"].order_history[-1])
    assert (gone.status, gone.reason) == (Status.EXPIRED, Reason.INVALID_PRICE)
    assert [type(e) for e in exchange.take_effects() if isinstance(e, FiltersChanged)] == [FiltersChanged] * 2


def test_new_orders_are_held_to_the_new_steps():
    exchange = lived()
    way = exchange.change_filters(filters(PERP, "0.05", "0.1"), T)
    assert (way.ticks_by, way.lots_by, way.price_step, way.lot_step) == (1, 1, 5, 10)
    assert refusal(exchange, "ann", limit(PERP, BUY, 100, 9_901))[0] == "INVALID_PRICE"
    assert refusal(exchange, "ann", limit(PERP, BUY, 101, 9_900))[0] == "INVALID_QUANTITY"
    assert exchange.place("ann", limit(PERP, BUY, 100, 9_900), T).status is Status.NEW
    assert exchange.filters(PERP).tick == "0.05"


def test_the_outside_world_keeps_to_the_new_steps_and_away_from_the_touch():
    exchange = world()
    for side, ticks, lots in ((BUY, 9_993, 34), (BUY, 9_996, 30), (SELL, 10_001, 50), (SELL, 10_009, 9)):
        exchange.set_outside(PERP, side, ticks, lots, T)
    exchange.change_filters(filters(PERP, "0.1", "0.1"), T)
    book = exchange.depth(PERP)
    assert (book.bids, book.asks) == (((9_990, 60),), ((10_010, 50),))


def test_a_trigger_still_fires_at_its_price():
    exchange = lived()
    exchange.cancel_all("ann", PERP, T, is_trigger=False)
    exchange.change_filters(filters(PERP, "0.001", "0.01"), T)
    exchange.set_reference(PERP, 94_501, 94_501, 0, T)
    assert exchange.accounts["ann"].position(PERP).lots == 300
    exchange.set_reference(PERP, 94_500, 94_500, 0, T)
    assert exchange.accounts["ann"].position(PERP) is None
    exchange.check_closed()


def test_steps_in_which_the_past_is_no_whole_atom_are_refused_and_change_nothing():
    exchange = lived()
    before = value(exchange)
    with pytest.raises(GateError):
        exchange.change_filters(filters(PERP, "0.00001", "0.00001"), T)
    with pytest.raises(ValueError, match="same market"):
        exchange.change_filters(instrument(SPOT, "SOL", "USDT", is_perp=False, tick="0.01", lot="0.01"), T)
    assert value(exchange) == before
    assert UNIT == 10**9


def test_a_market_order_by_quote_buys_whole_steps():
    exchange = booked()
    exchange.change_filters(filters(SPOT, "0.01", "0.5"), T)
    order = exchange.place("ann", market(SPOT, BUY, quote_atoms=180 * UNIT), T)
    assert (order.lots, order.status) == (150, Status.FILLED)
    exchange.check_closed()
