"""The sheet shows what will be traded: the same prices and lots, and figures that add up."""

from decimal import Decimal

import pytest
from tests.strategies.venue import brief, spot_view

from lemon_trader.core.instrument import instrument
from lemon_trader.core.records import Position, row_array
from lemon_trader.core.units import BUY, SELL
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market
from lemon_trader.strategies.sheet import sheet

SPOT = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01", min_qty="0.01")
PERP = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01", min_qty="0.01")
BUDGET = 400 * 10**9


def traded(strategy, params, market, bid, ask):
    out = row_array()
    view = spot_view(
        market.instrument, bid_ticks=bid, ask_ticks=ask, maker_fee_ppm=market.maker_fee_ppm, taker_fee_ppm=market.taker_fee_ppm
    )
    used = strategy.targets(params, view, Position(budget_atoms=BUDGET), strategy.memory_type(), out)
    return [brief(row) for row in out[1:used]]


@pytest.mark.parametrize("market", [Market(SPOT, 800, 1_000, 15_000), Market(PERP, 200, 500, 15_000)], ids=["spot", "perpetual"])
def test_the_ladder_of_the_sheet_is_the_ladder_that_rests(market):
    strategy = STRATEGIES["martingale"]
    params = strategy.build({"resting": 6}, market)
    plan = sheet(params, market, BUDGET)
    assert traded(strategy, params, market, 15_000, 15_001) == [(line.layer, BUY, line.price_ticks, line.lots) for line in plan.lines]
    assert plan.spent_atoms + plan.unspent_atoms == BUDGET
    assert plan.spent_atoms == sum(line.cost_atoms for line in plan.lines) == plan.lines[-1].spent_atoms <= BUDGET


def test_the_quotes_of_the_sheet_are_the_quotes_that_rest():
    strategy, market = STRATEGIES["market-maker"], Market(PERP, 200, 500, 15_000)
    params = strategy.build({"spread": Decimal("0.5")}, market)
    plan = sheet(params, market, BUDGET)
    rest = traded(strategy, params, market, 14_999, 15_001)
    assert [(line.side, line.price_ticks, line.lots) for line in plan.lines] == [(side, price, lots) for _, side, price, lots in rest]
    assert plan.bids_atoms == sum(line.cost_atoms for line in plan.lines if line.side == BUY)
    assert plan.asks_atoms == sum(line.cost_atoms for line in plan.lines if line.side == SELL)


def test_averages_fall_exits_follow_and_losses_grow():
    market = Market(SPOT, 800, 1_000, 15_000)
    plan = sheet(STRATEGIES["martingale"].build({}, market), market, BUDGET)
    averages = [line.average_ticks for line in plan.lines]
    assert averages == sorted(averages, reverse=True)
    assert all(line.price_ticks <= line.average_ticks < line.break_even_ticks < line.exit_ticks for line in plan.lines)
    assert all(line.stop_ticks < deeper.price_ticks for line, deeper in zip(plan.lines, plan.lines[1:], strict=False))
    assert [line.loss_atoms for line in plan.lines] == sorted(line.loss_atoms for line in plan.lines)
    assert plan.worst_loss_atoms == plan.lines[-1].loss_atoms < BUDGET


def test_the_first_cycles_profit_is_the_cash_difference_of_the_exchange():
    market = Market(SPOT, 800, 1_000, 15_000)
    plan = sheet(STRATEGIES["martingale"].build({"entry_offset_pct": Decimal(0)}, market), market, BUDGET)
    first = plan.lines[0]
    paid = Decimal(first.price_ticks * first.lots) / 10_000
    coins = Decimal(first.lots) / 100 * Decimal("0.9992")
    got = coins * Decimal(first.exit_ticks) / 100 * Decimal("0.9992")
    assert Decimal(plan.profit_atoms) / 10**9 == pytest.approx(got - paid, abs=Decimal("0.00000001"))


def test_a_spread_at_break_even_earns_nothing_and_below_it_loses():
    market = Market(SPOT, 800, 1_000, 1_000_000)
    maker = STRATEGIES["market-maker"]
    earns = {
        spread: sheet(maker.build({"spread": Decimal(spread), "quantity": Decimal(1)}, market), market, 10**15).round_atoms
        for spread in ("0.1", "0.16", "0.2")
    }
    assert earns["0.1"] < 0 < earns["0.2"]
    assert abs(earns["0.16"]) < 10_000 * 10**9 * 3 // 10**6  # within the ppm that the rule of thumb leaves out


def test_a_market_entry_is_planned_at_the_price_and_sized_for_its_cap():
    market = Market(SPOT, 800, 1_000, 15_000)
    plan = sheet(STRATEGIES["martingale"].build({"entry": "market"}, market), market, BUDGET)
    assert plan.anchor_ticks == 15_000
    assert plan.lines[0].lots * 15_030 * SPOT.tick_lot_atoms <= BUDGET
