"""The market maker: where its quotes stand, when they move, and what holds them back."""

from decimal import Decimal

import pytest
from tests.strategies.venue import START_US, Venue, brief, copied, row_of, spot_view

from lemon_trader.core.instrument import instrument
from lemon_trader.core.records import ASK_SLOT, REBALANCE_SLOT, Position, row_array
from lemon_trader.core.units import BUY, POST_ONLY, QUOTE, REBALANCE, SELL, TAKE
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market

SPOT = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01", min_qty="0.01")
PERP = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01", min_qty="0.01")
MAKER = STRATEGIES["market-maker"]
QUOTE_UNIT = 10**9
CALM = {"volatility_factor": Decimal(0), "rebalance": "off"}


def build(grid=PERP, **values):
    return MAKER.build(CALM | {"spread": Decimal(1), "max_orders": 2, "quantity": Decimal("0.1")} | values, Market(grid, 800, 1000, 10_000))


def view(bid=9_999, ask=10_001, grid=PERP, **changes):
    return spot_view(grid, bid_ticks=bid, ask_ticks=ask, **changes)


def coins(lots, ticks=10_000, budget=400, grid=SPOT):
    """A position of so many lots bought at this price."""
    return Position(
        lots=lots, base_atoms=lots * grid.lot_atoms, cost_atoms=abs(lots) * ticks * grid.tick_lot_atoms, sellable_lots=abs(lots),
        budget_atoms=budget * QUOTE_UNIT, free_quote_atoms=budget * QUOTE_UNIT,
    )  # fmt: skip


def ask(params, seen, position=None, memory=None):
    """(rows, memory after) of one question."""
    memory = copied(memory) if memory else MAKER.memory_type()
    out = row_array()
    used = MAKER.targets(params, seen, position or coins(0, grid=PERP), memory, out)
    return [copied(row) for row in out[1:used]], memory, copied(out[0])


def test_one_percent_is_the_full_width_between_first_bid_and_first_ask():
    rows, _, _ = ask(build(), view())
    assert [brief(row) for row in rows] == [
        (0, BUY, 9_950, 10),
        (1, BUY, 9_900, 10),
        (ASK_SLOT, SELL, 10_050, 10),
        (ASK_SLOT + 1, SELL, 10_100, 10),
    ]
    assert {(row.role, row.kind, row.flags) for row in rows} == {(QUOTE, POST_ONLY, 0)}


@pytest.mark.parametrize(
    ("sentence", "values", "bids"),
    [
        ("levels are half the spread apart unless told otherwise", {}, [9_950, 9_900]),
        ("or as far as told", {"level_step_pct": Decimal("0.1")}, [9_950, 9_940]),
        ("one order a side is one", {"max_orders": 1}, [9_950]),
        ("a spread off the grid is rounded away from the mid", {"spread": Decimal("0.13"), "max_orders": 1}, [9_993]),
    ],
)
def test_levels(sentence, values, bids):
    rows, _, _ = ask(build(**values), view())
    assert [row.price_ticks for row in rows if row.side == BUY] == bids, sentence


def test_without_a_quantity_half_the_budget_is_shared_by_the_bids():
    rows, _, _ = ask(build(quantity=None, max_orders=2), view())
    assert [row.qty_lots for row in rows if row.side == BUY] == [100, 100]  # 400 quote / 2 sides / 2 levels / 100.00 = 1.00


@pytest.mark.parametrize(
    ("sentence", "changes"),
    [
        ("book or account too old", {"fresh": 0}),
        ("masked by the mode", {"may_open": 0}),
        ("no bid", {"bid_ticks": 0}),
        ("no ask", {"ask_ticks": 0}),
        ("a crossed book", {"bid_ticks": 10_001, "ask_ticks": 10_001}),
    ],
)
def test_nothing_is_quoted_when(sentence, changes):
    seen = view()
    for name, value in changes.items():
        setattr(seen, name, value)
    rows, memory, head = ask(build(), seen)
    assert rows == [], sentence
    assert (head.price_ticks, head.trigger_ticks) == (0, 0), "it must be asked again with every fact"
    assert memory == MAKER.memory_type()


def test_on_spot_asks_reach_as_far_as_the_coins_and_bids_as_far_as_the_budget():
    params = build(
        SPOT, quantity=Decimal(1), max_orders=4, level_step_pct=Decimal("0.5"), target_share_pct=Decimal(50), skew_pct=Decimal(0)
    )
    rows, _, _ = ask(params, view(grid=SPOT), coins(250))
    # 400 of budget less 250 paid leave 150: one whole level and half of the next; 2.50 coins are two levels and a half.
    assert [brief(row) for row in rows] == [
        (0, BUY, 9_950, 100),
        (1, BUY, 9_900, 51),
        (ASK_SLOT, SELL, 10_050, 100),
        (ASK_SLOT + 1, SELL, 10_100, 100),
        (ASK_SLOT + 2, SELL, 10_150, 50),
    ]


def test_a_perpetual_quotes_short_within_its_budget_and_never_reduce_only():
    params = build(quantity=Decimal(1), max_orders=6, skew_pct=Decimal(0), level_step_pct=Decimal("0.1"))
    rows, _, _ = ask(params, view(), coins(-250, grid=PERP))
    assert [row.qty_lots for row in rows if row.side == SELL] == [100, 49]
    assert [row.qty_lots for row in rows if row.side == BUY] == [100, 100, 100, 100, 2]
    assert all(row.flags == 0 for row in rows)


def test_a_small_move_of_the_mid_moves_no_quote_and_a_larger_one_all():
    params = build(requote_pct=Decimal("0.1"))
    first, memory, head = ask(params, view())
    assert (head.price_ticks, head.trigger_ticks) == (9_990, 10_010)
    near, same, _ = ask(params, view(10_008, 10_010), memory=memory)
    assert (near, same) == (first, memory)
    far, moved, _ = ask(params, view(10_010, 10_012), memory=memory)
    assert [row.price_ticks - old.price_ticks for row, old in zip(far, first, strict=True)] == [10, 10, 12, 12]
    assert moved.anchor2 == 20_022


def test_after_the_interval_it_looks_again_and_takes_volatility_in():
    params = build(volatility_factor=Decimal(2), interval=60, volatility_horizon=4)
    first, memory, head = ask(params, view())
    assert head.qty_lots == START_US + 60_000_000
    wild = view(volatility_ppm=500)
    wild.now_us += 59_999_999
    assert ask(params, wild, memory=memory)[0] == first
    wild.now_us += 1
    wider, _, _ = ask(params, wild, memory=memory)
    # Two standard deviations over four seconds: 2 x 500 ppm x 2 on each side.
    assert [row.price_ticks for row in wider if row.slot in {0, ASK_SLOT}] == [9_930, 10_070]


def test_a_long_position_shifts_both_sides_down_and_a_short_one_up():
    params = build(max_orders=1, skew_pct=Decimal(50))
    level = {lots: [row.price_ticks for row in ask(params, view(), coins(lots, grid=PERP))[0]] for lots in (-200, 0, 200)}
    assert level == {-200: [9_962, 10_063], 0: [9_950, 10_050], 200: [9_937, 10_038]}


def test_even_a_full_skew_keeps_quotes_on_their_side_of_the_touch():
    params = build(max_orders=1, skew_pct=Decimal(100))
    (bid,), _, head = ask(params, view(), coins(-500, grid=PERP))
    assert (bid.side, bid.price_ticks) == (BUY, 10_000)  # the mid itself: one tick inside the ask
    assert head.price_ticks == 0, "a price held back by the touch follows every touch"
    (lower,), _, _ = ask(params, view(9_996, 10_000), coins(-500, grid=PERP))
    assert lower.price_ticks == 9_998


def test_a_move_of_half_the_spread_pulls_the_threatened_side_first():
    params = build(max_orders=1, pull_pause=1)
    _, memory, _ = ask(params, view())
    fallen = view(9_949, 9_951)
    rows, pulled, head = ask(params, fallen, memory=memory)
    assert [brief(row) for row in rows] == [(ASK_SLOT, SELL, 10_000, 10)]
    assert head.qty_lots == fallen.now_us + 1_000_000
    fallen.now_us += 1_000_000
    rows, _, _ = ask(params, fallen, memory=pulled)
    assert [brief(row) for row in rows] == [(0, BUY, 9_900, 10), (ASK_SLOT, SELL, 10_000, 10)]
    rows, _, _ = ask(params, view(10_049, 10_051), memory=memory)
    assert [row.side for row in rows] == [BUY], "a rise threatens the asks"


def test_bids_pause_while_the_market_falls_fast():
    params = build(max_orders=1, fall_limit_pct=Decimal("0.5"))
    _, memory, _ = ask(params, view())
    falling = view(9_979, 9_981, fall_ppm=5_001)
    rows, paused, _ = ask(params, falling, memory=memory)
    assert [row.side for row in rows] == [SELL]
    settled = view(9_979, 9_981, fall_ppm=0)
    settled.now_us = paused.look_us
    rows, _, _ = ask(params, settled, memory=paused)
    assert [row.side for row in rows] == [BUY, SELL]
    assert len(ask(build(max_orders=1, fall_limit_pct=Decimal(0)), falling)[0]) == 2, "0 switches it off"


def test_a_key_ends_when_it_has_filled_and_nothing_of_it_lives():
    params = build(max_orders=1)
    seen = view()
    rows, memory, _ = ask(params, seen)
    assert rows[0].generation == 0
    seen.generation[0], seen.live[0], seen.live_orders[0] = 0, 10, 1
    assert ask(params, seen, memory=memory)[0][0].generation == 0
    seen.filled[0], seen.live[0] = 4, 6
    partly = ask(params, seen, coins(4, grid=PERP), memory)[0][0]
    assert (partly.generation, partly.qty_lots) == (0, 10), "a part filled is the same key with the same total"
    seen.live[0] = seen.live_orders[0] = 0
    renewed = ask(params, seen, coins(4, grid=PERP), memory)[0][0]
    assert (renewed.generation, renewed.qty_lots) == (1, 10)
    seen.filled[0] = 0
    assert ask(params, seen, memory=memory)[0][0].generation == 0, "an order that ended unfilled is placed again under its key"


def test_a_slot_whose_order_is_older_than_memory_waits_for_its_end():
    params = build(max_orders=1)
    seen = view()
    seen.generation[0], seen.live[0], seen.live_orders[0] = 5, 10, 1
    assert [row.slot for row in ask(params, seen)[0]] == [ASK_SLOT]
    seen.live[0] = seen.live_orders[0] = 0
    assert row_of(ask(params, seen)[0], 0).generation == 6


def test_other_parameters_are_a_look():
    _, memory, _ = ask(build(max_orders=1), view())
    rows, _, _ = ask(build(max_orders=1, spread=Decimal(2)), view(), memory=memory)
    assert [row.price_ticks for row in rows] == [9_900, 10_100]


class TestRebalance:
    """The position is brought to its target by an order of its own."""

    def maker(self, **values):
        return build(SPOT, rebalance=values.pop("rebalance", "passive"), max_orders=1, skew_pct=Decimal(0), **values)

    def test_the_first_coins_are_bought_passively_at_the_bid(self):
        rows, memory, _ = ask(self.maker(), view(grid=SPOT), coins(0))
        row = row_of(rows, REBALANCE_SLOT)
        assert (row.role, row.kind, row.side, row.price_ticks, row.qty_lots) == (REBALANCE, POST_ONLY, BUY, 9_999, 200)
        assert memory.rebalance_us == START_US + 3_600_000_000

    def test_what_is_bought_by_the_quotes_meanwhile_does_not_change_its_total(self):
        params = self.maker()
        _, memory, _ = ask(params, view(grid=SPOT), coins(0))
        rows, _, _ = ask(params, view(grid=SPOT), coins(30), memory)
        assert row_of(rows, REBALANCE_SLOT).qty_lots == 200

    def test_it_ends_when_the_target_is_reached(self):
        params = self.maker()
        _, memory, _ = ask(params, view(grid=SPOT), coins(0))
        rows, done, _ = ask(params, view(grid=SPOT), coins(200), memory)
        assert row_of(rows, REBALANCE_SLOT) is None
        assert done.rebalance_side == 0

    def test_no_second_one_starts_within_the_hour(self):
        params = self.maker()
        _, memory, _ = ask(params, view(grid=SPOT), coins(0))
        _, memory, _ = ask(params, view(grid=SPOT), coins(200), memory)
        seen = view(grid=SPOT)
        seen.now_us = START_US + 3_599_999_999
        assert row_of(ask(params, seen, coins(20), memory)[0], REBALANCE_SLOT) is None
        seen.now_us += 1
        row = row_of(ask(params, seen, coins(20), memory)[0], REBALANCE_SLOT)
        assert (row.generation, row.qty_lots) == (2, 180)

    def test_within_the_threshold_nothing_is_done(self):
        assert row_of(ask(self.maker(), view(grid=SPOT), coins(150))[0], REBALANCE_SLOT) is None
        assert row_of(ask(self.maker(), view(grid=SPOT), coins(139))[0], REBALANCE_SLOT) is not None

    def test_too_much_is_sold_at_the_ask(self):
        row = row_of(ask(self.maker(), view(grid=SPOT), coins(300))[0], REBALANCE_SLOT)
        assert (row.side, row.price_ticks, row.qty_lots) == (SELL, 10_001, 100)

    def test_a_taking_one_pays_no_more_than_its_cap(self):
        params = self.maker(rebalance="take", rebalance_slippage_pct=Decimal("0.1"))
        row = row_of(ask(params, view(grid=SPOT), coins(0))[0], REBALANCE_SLOT)
        assert (row.kind, row.price_ticks, row.tolerance_ticks) == (TAKE, 10_011, 0)

    def test_a_perpetual_goes_back_to_nothing_held(self):
        params = build(rebalance="passive", max_orders=1)
        row = row_of(ask(params, view(), coins(-100, grid=PERP))[0], REBALANCE_SLOT)
        assert (row.side, row.price_ticks, row.qty_lots) == (BUY, 9_999, 100)


def test_a_quiet_market_costs_one_order_a_quote():
    venue = Venue(MAKER, build(), view(), coins(0, grid=PERP))
    venue.walk(*[9_999, 10_000, 9_998, 10_001, 9_999] * 40)
    assert (venue.placed, venue.cancelled) == (4, 0)


def test_a_swinging_market_earns_the_spread():
    params = build(SPOT, max_orders=1, interval=10, spread=Decimal("0.6"), requote_pct=Decimal("0.1"))
    venue = Venue(MAKER, params, view(grid=SPOT), coins(200), maker_ppm=800)
    start = venue.quote_atoms + 200 * 9_999 * SPOT.tick_lot_atoms
    for _ in range(60):
        # Half the spread is 30 ticks: steps of 9 stay inside the tolerance, and the swing of 36 reaches a quote.
        venue.walk(9_999, 10_008, 10_036, 10_036, 10_008, 9_999, 9_963, 9_963)
    worth = venue.quote_atoms + venue.position.base_atoms * 9_999 * SPOT.tick_lot_atoms // SPOT.lot_atoms
    assert len(venue.taken) > 100
    assert worth > start
