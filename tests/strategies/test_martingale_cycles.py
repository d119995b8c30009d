"""Whole cycles of the martingale on a small venue: what it does from the first entry to the money at the end."""

from decimal import Decimal

import pytest
from tests.strategies.venue import Venue, spot_view

from lemon_trader.core.instrument import instrument
from lemon_trader.core.records import Position
from lemon_trader.core.units import ARMED, BUY, CANCELLING, EXIT, LAYER, SELL, STOP, TRIGGER
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.martingale_records import IDLE, LADDER
from lemon_trader.strategies.parameter import Market
from lemon_trader.strategies.sheet import sheet

SPOT = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01", min_qty="0.01")
PERP = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01", min_qty="0.01")
STRATEGY = STRATEGIES["martingale"]
BUDGET = 400 * 10**9


def venue(grid=SPOT, price=15_000, **values):
    maker, taker = (200, 500) if grid.is_perp else (800, 1_000)
    params = STRATEGY.build({"entry_offset_pct": Decimal(0), **values}, Market(grid, maker, taker, price))
    view = spot_view(grid, maker_fee_ppm=maker, taker_fee_ppm=taker)
    return Venue(STRATEGY, params, view, Position(budget_atoms=BUDGET, free_quote_atoms=BUDGET), maker, taker)


def fills(found, role):
    return [(side, ticks) for r, side, ticks, _ in found.taken if r == role]


def net_atoms(found):
    """Cash and, at the last bid, what is still held."""
    v, p = found.view, found.position
    return found.quote_atoms + p.base_atoms * v.bid_ticks * v.tick_lot_atoms // v.lot_atoms


def test_enter_dip_and_exit_earn_the_take_profit_less_fees():
    found = venue()
    found.walk(15_000, 14_999, 14_900, 14_770, 14_600)
    assert fills(found, LAYER) == [(BUY, 15_000), (BUY, 14_775)]
    assert found.memory.phase == LADDER
    exit_ticks = found.memory.exit_ticks
    found.walk(14_900, exit_ticks - 1)
    assert not fills(found, EXIT)
    found.walk(exit_ticks)
    assert fills(found, EXIT) == [(SELL, exit_ticks)]
    assert found.memory.phase == IDLE
    assert found.memory.cycles_done == 1
    spent = sum(ticks * lots for role, _, ticks, lots in found.taken if role == LAYER) * SPOT.tick_lot_atoms
    # 1.2 % over the average, less the break-even of 0.16 %, and the last lot that the fee in coins leaves as dust.
    assert net_atoms(found) / spent == pytest.approx(0.012 - 0.0016, abs=0.0008)


def test_after_the_cooldown_the_next_cycle_begins_with_other_keys():
    found = venue(cooldown=10)
    found.walk(15_000, 14_999)
    found.walk(found.memory.exit_ticks)
    assert not found.rows
    found.walk(15_300, seconds=9)
    assert not found.rows
    found.walk(15_300, seconds=1)
    assert {row.generation for row in found.wanted(LAYER)} == {2}


def test_a_crash_fills_layers_on_the_way_and_loses_no_more_than_the_sheet_says():
    found = venue()
    found.walk(15_000, *range(14_990, 11_000, -40))
    assert found.memory.phase == IDLE
    assert len(fills(found, LAYER)) == 6
    assert [side for side, _ in fills(found, STOP)] == [SELL]
    assert found.held() == 0
    worst = sheet(found.params, Market(SPOT, 800, 1_000, 15_000), BUDGET).worst_loss_atoms
    assert -worst <= net_atoms(found) < 0


def test_a_fall_through_the_whole_ladder_at_once_buys_nothing_below_the_stop_again():
    found = venue()
    found.walk(15_000, 14_999, 12_000, 11_990, 11_980)
    # The two layers that rested fill as the price passes; the stop sells everything, and no deeper layer is bought meanwhile.
    assert [ticks for _, ticks in fills(found, LAYER)] == [15_000, 14_775, 14_493]
    # What the exit had not claimed is sold at once, the rest when the exit's end is proven.
    assert fills(found, STOP) == [(SELL, 12_000), (SELL, 12_000)]
    assert found.memory.phase == IDLE


def test_after_a_stop_it_pauses_before_it_buys_again():
    found = venue(pause_after_stop=100)
    found.walk(15_000, 14_999, 12_000)
    found.walk(12_000, seconds=99)
    assert not found.rows
    found.walk(12_000, seconds=2)
    assert found.wanted(LAYER)


def test_a_number_of_cycles_ends_it():
    found = venue(cycles=2, cooldown=0)
    found.move(15_000)
    for _ in range(6):
        found.move(found.view.bid_ticks - 1)
        found.move(found.memory.exit_ticks or 15_000)
    assert found.memory.cycles_done == 2
    assert not found.orders


def test_winding_down_finishes_the_cycle_and_begins_no_other():
    found = venue(cooldown=0)
    found.walk(15_000, 14_999)
    found.params.winding_down = 1
    found.walk(14_770)
    assert len(fills(found, LAYER)) == 2, "a cycle that has begun is finished with all its layers"
    found.walk(found.memory.exit_ticks, 15_000, 14_999)
    assert (found.memory.phase, found.held(), found.orders) == (IDLE, 0, [])


def test_on_a_perpetual_the_venues_own_stop_closes_what_the_program_could_not():
    found = venue(PERP)
    found.walk(15_000, 14_999)
    (trigger,) = [order for order in found.orders if order.kind == TRIGGER]
    assert trigger.trigger_ticks < found.memory.stop_ticks
    # The program is blind: nothing is confirmed, while the mark falls through both stops.
    v = found.view
    found.decide = lambda: None
    found.move(trigger.trigger_ticks - 5)
    del found.decide
    v.confirmed_ticks = 0
    found.decide()
    assert found.held() == 0
    assert found.memory.phase == IDLE
    assert found.memory.next_us == v.now_us + 3_600_000_000, "it counts as a stop"


def test_a_perpetual_cycle_earns_too():
    found = venue(PERP, take_profit_pct=Decimal("0.5"))
    found.walk(15_000, 14_999)
    found.walk(found.memory.exit_ticks)
    assert found.held() == 0
    assert net_atoms(found) > 0
    assert not [order for order in found.orders if order.kind == TRIGGER]


def test_a_hundred_swings_make_money_and_forget_no_coin():
    found = venue(cooldown=0)
    for _ in range(100):
        found.walk(15_000, 14_999, 14_770, 14_500, 15_200, 15_250)
    assert found.memory.cycles_done >= 100
    assert net_atoms(found) > 0
    dust = found.position.base_atoms - found.held() * SPOT.lot_atoms
    assert 0 <= dust < SPOT.lot_atoms
    assert found.held() == 0


def test_a_resting_stop_outlives_the_position_until_the_last_layer_is_proven_to_be_over():
    found = venue(PERP, take_profit_pct=Decimal("0.5"))
    found.walk(15_000, 14_999)
    found.chaos = 1_000  # no cancel is answered
    found._some = lambda lots: lots
    found.walk(found.memory.exit_ticks)
    assert found.held() == 0
    stops = [order for order in found.orders if order.kind == TRIGGER]
    assert [order.state for order in stops] == [ARMED], "a layer may have filled unheard"
    assert all(order.state == CANCELLING for order in found.orders if order.kind != TRIGGER)
    found.chaos = 0
    found.move(found.view.bid_ticks)
    assert not [order for order in found.orders if order.kind == TRIGGER]
    assert found.memory.phase == IDLE
