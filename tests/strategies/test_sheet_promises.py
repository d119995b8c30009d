"""What the sheet promises, held against the simulated exchange: it shares the grid with the sheet and nothing else."""

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as draw
from tests.matching.worlds import PERP, SPOT, UNIT, T, limit, perp, spot

from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.formulas.cost import active_stop_ppm, average_atoms, beyond_ticks, cap_ticks, stop_loss_ticks
from lemon_trader.formulas.ladder import layer_ticks
from lemon_trader.matching.effects import LiquidationChanged
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import TimeInForce
from lemon_trader.matching.rules import Rules
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market, StrategyRefused
from lemon_trader.strategies.sheet import anchors, sheet

RULES = Rules()
BUDGET = 400 * UNIT
SELL_AT_MOST = 10**6


def market_of(symbol: str, price_ticks: int) -> Market:
    if symbol == PERP:
        return Market(perp(), RULES.perp_maker_ppm, RULES.perp_taker_ppm, price_ticks)
    return Market(spot(), RULES.spot_maker_ppm, RULES.spot_taker_ppm, price_ticks)


ladders = draw.fixed_dictionaries(
    {
        "layers": draw.integers(1, 6), "step_pct": draw.sampled_from([Decimal("0.3"), Decimal(1), Decimal(2)]),
        "multiplier": draw.sampled_from([Decimal(1), Decimal("1.4"), Decimal(2)]), "stop_by_layer": draw.booleans(),
        "stop_loss_pct": draw.sampled_from([Decimal(6), Decimal(15)]), "entry": draw.sampled_from(["offset", "market"]),
        "stop_slippage_pct": draw.sampled_from([Decimal("0.1"), Decimal(2)]), "protect_beyond_pct": draw.sampled_from([Decimal("0.5"), Decimal(5)]),
    }
)  # fmt: skip


def bought(exchange: Exchange, symbol: str, prices: list[int], lots: list[int], *, taking: bool) -> None:
    """The ladder fills: layer 0 takes where the entry is by market, all others make."""
    for layer, (price, size) in enumerate(zip(prices, lots, strict=True)):
        if taking and layer == 0:
            exchange.set_outside(symbol, SELL, price, size, T)
            exchange.place("tiny", limit(symbol, BUY, size, price), T)
        else:
            exchange.place("tiny", limit(symbol, BUY, size, price, post_only=True), T)
            exchange.outside_take(symbol, SELL, size, price, T)


COARSE = {  # a grid of half a per mille: an entry under the worst one is rounded worse
    "layers": 4, "step_pct": Decimal(2), "multiplier": Decimal(1), "stop_by_layer": False, "stop_loss_pct": Decimal(6), "entry": "market",
    "stop_slippage_pct": Decimal("0.1"), "protect_beyond_pct": Decimal("0.5"),
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@example(values=COARSE, symbol=SPOT, price=2_000, chase_ppm=0)
@given(values=ladders, symbol=draw.sampled_from([SPOT, PERP]), price=draw.integers(2_000, 60_000), chase_ppm=draw.integers(0, PPM))
def test_a_stop_without_a_gap_never_loses_more_than_the_sheet_says(values, symbol: str, price: int, chase_ppm: int):
    market = market_of(symbol, price)
    strategy = STRATEGIES["martingale"]
    try:
        params = strategy.build(values, market)
    except StrategyRefused:
        return
    plan = sheet(params, market, BUDGET)
    first, most = anchors(params, price)
    entry = first + (most - first) * chase_ppm // PPM  # anywhere between the expected and the worst entry
    prices = [layer_ticks(entry, params.depth_ppm[n], params.side) for n in range(params.layers)]
    lots = [line.lots for line in plan.lines]
    i = market.instrument
    exchange = Exchange((i,), RULES)
    exchange.open_account("tiny", {"USDC": BUDGET})
    if symbol == PERP:
        exchange.set_reference(PERP, entry, entry, 0, T)
    bought(exchange, symbol, prices, lots, taking=values["entry"] == "market")
    spent = sum(p * n * i.tick_lot_atoms for p, n in zip(prices, lots, strict=True))
    average = average_atoms(spent, sum(lots), 1)
    stop = stop_loss_ticks(
        average, active_stop_ppm(params.stop_ppm, params.stop_by_layer, params.layers - 1), i.tick_lot_atoms, params.side
    )
    worst = cap_ticks(stop, params.stop_slippage_ppm, -params.side)
    if symbol == PERP:  # where the program is dead, the resting stop sells instead
        worst = min(worst, beyond_ticks(stop, params.protect_ppm, params.side))
    exchange.set_outside(symbol, BUY, worst, SELL_AT_MOST, T)
    account = exchange.accounts["tiny"]
    held = account.position_lots(symbol) if symbol == PERP else account.total("SOL") // i.lot_atoms
    exchange.place(
        "tiny", limit(symbol, SELL, held, worst, time_in_force=TimeInForce.IOC, **({"reduce_only": True} if symbol == PERP else {})), T
    )
    dust = 0 if symbol == PERP else account.total("SOL") * worst * i.tick_lot_atoms // i.lot_atoms
    lost = BUDGET - account.total("USDC") - dust
    assert lost <= plan.worst_loss_atoms + 10 * len(lots), "but for the exchange's rounding of each fee"
    assert lost >= plan.worst_loss_atoms * 9 // 10 - UNIT // 10, "and the sheet does not cry wolf"


@settings(max_examples=40, deadline=None)
@given(values=ladders, price=draw.integers(5_000, 60_000), equity_pct=draw.integers(15, 60))
def test_the_liquidation_price_is_the_exchanges_own(values, price: int, equity_pct: int):
    market = market_of(PERP, price)
    try:
        params = STRATEGIES["martingale"].build(values, market)
    except StrategyRefused:
        return
    equity = BUDGET * equity_pct // 100
    plan = sheet(params, market, BUDGET, equity)
    at = plan.lines[-1].liquidation_ticks
    if not 0 < at < plan.lines[-1].price_ticks:
        return  # never, or the ladder would not even be carried to its end
    exchange = Exchange((perp(),), RULES)
    exchange.open_account("tiny", {"USDC": equity})
    for line in plan.lines:
        exchange.set_reference(PERP, line.price_ticks, line.price_ticks, 0, T)
        exchange.place("tiny", limit(PERP, BUY, line.lots, line.price_ticks, post_only=True), T)
        exchange.outside_take(PERP, SELL, line.lots, line.price_ticks, T)
    exchange.take_effects()
    exchange.set_reference(PERP, at + 1, at + 1, 0, T + 1)
    assert not [e for e in exchange.take_effects() if isinstance(e, LiquidationChanged)]
    exchange.set_reference(PERP, at, at, 0, T + 2)
    assert [e for e in exchange.take_effects() if isinstance(e, LiquidationChanged)]


def test_what_a_fall_leaves_adds_up():
    market = market_of(SPOT, 15_000)
    plan = sheet(STRATEGIES["martingale"].build({}, market), market, BUDGET, 4 * BUDGET)
    spent = plan.spent_atoms
    for fall in plan.falls:
        assert fall.spent_atoms == spent, "every layer stands above -20 %"
        value = fall.lots * fall.price_ticks * market.instrument.tick_lot_atoms
        assert fall.left_atoms < BUDGET - spent + value, "fees are counted"
        assert fall.left_atoms > BUDGET - spent + value * 997 // 1_000
        assert fall.stopped_atoms == BUDGET - plan.worst_loss_atoms
    assert [f.left_atoms for f in plan.falls] == sorted((f.left_atoms for f in plan.falls), reverse=True)


FIRST = [
    ("half of the budget is bought at the touch", {}, 0, (133, 15_000)),
    ("what is held counts", {}, 100, (0, 0)),
    ("a taking rebalance names the price it may pay", {"rebalance": "take"}, 0, (133, 15_015)),
    ("without a rebalance nothing is bought", {"rebalance": "off"}, 0, (0, 0)),
    ("too many coins are sold", {}, 300, (-166, 15_000)),
]


@pytest.mark.parametrize(("values", "held", "expected"), [c[1:] for c in FIRST], ids=[c[0] for c in FIRST])
def test_the_first_purchase_of_a_maker(values, held: int, expected: tuple[int, int]):
    market = market_of(SPOT, 15_000)
    plan = sheet(STRATEGIES["market-maker"].build(values, market), market, BUDGET, 0, held)
    assert (plan.first_lots, plan.first_ticks) == expected
    assert plan.first_cost_atoms == abs(expected[0]) * expected[1] * market.instrument.tick_lot_atoms
