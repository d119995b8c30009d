"""An order of an account, resting in a simulated market, is filled by a trade that reached it and by nothing else."""

import pytest

from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.acts import Level, apply
from lemon_trader.market.bars import Bars, play_bars
from lemon_trader.market.depth import Batches, play_depth
from lemon_trader.market.instruments import INSTRUMENTS
from lemon_trader.market.prints import Prints, play_prints
from lemon_trader.market.scenarios import SCENARIOS, play_scenario
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import NewOrder

SOL = INSTRUMENTS["SOL_USDC"]
ATOMS = 10**9
T = 1_722_859_200_000_000
MINUTE = 60_000_000


def trader():
    exchange = Exchange([SOL])
    exchange.open_account("a", {"USDC": 10**7 * ATOMS, "SOL": 10**5 * ATOMS})
    return exchange


def filled(exchange, order):
    return sum(f.lots for f in exchange.accounts["a"].fills if f.order_id == order.order_id)


def first_then(exchange, acts, orders, now_us):
    """Let the first bar pass, place the orders, let the rest happen."""
    acts = list(acts)
    for act in acts:
        if act.at_us < now_us:
            apply(act, exchange)
    placed = [exchange.place("a", NewOrder(symbol="SOL_USDC", side=s, ticks=t, lots=n, post_only=True), now_us) for s, t, n in orders]
    for act in acts:
        if act.at_us >= now_us:
            apply(act, exchange)
    exchange.check_closed()
    return placed


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_bar_fills_what_its_price_passes_wholly_its_extreme_in_part_and_nothing_beyond(side):
    quiet, wide = (10_000, 10_001, 9_999, 10_000), (10_000, 10_200, 9_800, 10_000)
    first, high, low, last = (list(c) for c in zip(quiet, wide, quiet, strict=True))
    bars = Bars([T, T + MINUTE, T + 2 * MINUTE], MINUTE, first, high, low, last, [600] * 3)
    exchange = trader()
    passed, at, beyond = (10_000 - side * d for d in (150, 200, 201))
    orders = [(side, passed, 5_000), (side, at, 5_000), (side, beyond, 5_000)]
    placed = first_then(exchange, play_bars(bars, SOL, 3, MINUTE), orders, T + MINUTE)
    assert filled(exchange, placed[0]) == 5_000
    assert 0 < filled(exchange, placed[1]) < 600
    assert filled(exchange, placed[2]) == 0


def test_a_jump_between_two_bars_fills_what_it_passed_at_the_orders_own_price():
    rows = [(10_000, 10_001, 9_999, 10_000), (9_700, 9_702, 9_699, 9_701)]
    first, high, low, last = (list(c) for c in zip(*rows, strict=True))
    bars = Bars([T, T + MINUTE], MINUTE, first, high, low, last, [600] * 2)
    exchange = trader()
    (order, below) = first_then(exchange, play_bars(bars, SOL, 3, MINUTE), [(BUY, 9_850, 900), (BUY, 9_650, 900)], T + MINUTE)
    assert filled(exchange, order) == 900
    assert {f.ticks for f in exchange.accounts["a"].fills} == {9_850}
    assert filled(exchange, below) == 0


def book(first, *batches):
    at_us, rows = [t for t, _ in batches], [r for _, r in batches]
    ends = [sum(map(len, rows[: k + 1])) for k in range(len(rows))]
    flat = [r for batch in rows for r in batch]
    return Batches(1, T, first, at_us, ends, *(list(c) for c in zip(*flat, strict=True)))


def test_in_a_recorded_book_an_order_waits_behind_what_stood_there_before_it():
    recorded = book(
        [(BUY, 100, 50), (SELL, 102, 50)],
        (T + 10, [(BUY, 100, 20)]),  # of the same moment as the trade that it has in it
        (T + 40, [(BUY, 100, 0), (BUY, 99, 10)]),
    )
    exchange = trader()
    trades = Prints([T + 10, T + 30], [SELL, SELL], [100, 100], [30, 25])
    acts = list(play_depth(recorded, trades, SOL, MINUTE))
    for act in [a for a in acts if a.at_us == T]:
        apply(act, exchange)
    order = exchange.place("a", NewOrder(symbol="SOL_USDC", side=BUY, ticks=100, lots=8, post_only=True), T)
    seen = {}
    for act in [a for a in acts if a.at_us > T]:
        apply(act, exchange)
        seen[act.at_us] = filled(exchange, order)
    assert seen[T + 10] == 0, "30 of the 50 before us were sold to: 20 still stand there"
    assert seen[T + 30] == 5, "of 25 sold, 20 went to those before us"
    assert seen[T + 40] == 5
    assert exchange.depth("SOL_USDC").bids == ((100, 3), (99, 10))
    exchange.check_closed()


def test_a_recorded_book_that_comes_to_a_resting_order_trades_with_it():
    recorded = book([(BUY, 100, 50), (SELL, 110, 50)], (T + 20, [(SELL, 110, 0), (SELL, 104, 7)]))
    exchange = trader()
    acts = list(play_depth(recorded, Prints([], [], [], []), SOL, MINUTE))
    for act in [a for a in acts if a.at_us == T]:
        apply(act, exchange)
    order = exchange.place("a", NewOrder(symbol="SOL_USDC", side=BUY, ticks=105, lots=10, post_only=True), T + 1)
    for act in [a for a in acts if a.at_us > T]:
        apply(act, exchange)
    assert filled(exchange, order) == 7
    exchange.check_closed()


def test_recorded_trades_fill_what_they_passed_and_leave_what_they_did_not_reach():
    prices = [10_000, 9_990, 9_980, 10_000]
    trades = Prints([T + k for k in range(4)], [SELL, SELL, SELL, BUY], prices, [40] * 4)
    exchange = trader()
    placed = first_then(exchange, play_prints(trades, SOL, 1, MINUTE), [(BUY, 9_985, 500), (BUY, 9_979, 500)], T + 1)
    assert [filled(exchange, o) for o in placed] == [500, 0]


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_scenario_fills_a_ladder_down_to_its_lowest_waypoint(name):
    scenario = SCENARIOS[name]
    exchange = trader()
    lowest_ppm = min(ppm for _, ppm in scenario.waypoints)
    offsets = [0, 15_000, 35_000, 65_000, 110_000, 190_000]
    source = play_scenario(scenario, SOL, start_us=T, price_ticks=15_000)
    orders = [(BUY, 15_000 * (1_000_000 - 2_000 - o) // 1_000_000, 100) for o in offsets]
    placed = first_then(exchange, source, orders, T + 1_000_000)
    for order, (_, ticks, _) in zip(placed, orders, strict=True):
        if ticks > 15_000 * (lowest_ppm + 2_000) // 1_000_000:
            assert filled(exchange, order) == 100
        if ticks < 15_000 * (lowest_ppm - 6_000) // 1_000_000:
            assert filled(exchange, order) == 0


def test_a_level_that_meets_an_accounts_order_is_the_exchanges_business_and_never_leaves_it_crossed():
    exchange = trader()
    order = exchange.place("a", NewOrder(symbol="SOL_USDC", side=SELL, ticks=10_000, lots=10), T)
    apply(Level(T + 1, "SOL_USDC", BUY, 10_005, 4), exchange)
    assert filled(exchange, order) == 4
    bid, _, ask, _ = exchange.touch("SOL_USDC")
    assert (bid, ask) == (0, 10_000)
