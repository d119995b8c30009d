"""The martingale: single decisions of each phase. Whole cycles stand in `test_martingale_cycles.py`."""

from decimal import Decimal

import pytest
from tests.strategies.venue import START_US, brief, copied, row_of, spot_view

from lemon_trader.core.instrument import instrument
from lemon_trader.core.records import EXIT_SLOT, STOP_SLOT, TRIGGER_SLOT, Position, row_array
from lemon_trader.core.units import BUY, EXIT, LAYER, LIMIT, REDUCE_ONLY, SELL, STOP, TAKE, TRIGGER, WHOLE_POSITION
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.martingale import waiting
from lemon_trader.strategies.martingale_records import CLOSE, IDLE, LADDER, STOPPED, WAIT_NAMES
from lemon_trader.strategies.parameter import Market

SPOT = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01", min_qty="0.05")
PERP = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01", min_qty="0.01")
STRATEGY = STRATEGIES["martingale"]
BUDGET = 400 * 10**9
PLAIN = {
    "layers": 3, "multiplier": Decimal(2), "step_pct": Decimal(1), "step_scale": Decimal(1), "resting": 2, "entry_offset_pct": Decimal(0),
    "entry_chase_pct": Decimal(0), "take_profit_pct": Decimal(2), "stop_loss_pct": Decimal(10), "stop_by_layer": False,
}  # fmt: skip


def build(grid=SPOT, **values):
    return STRATEGY.build(PLAIN | values, Market(grid, 800, 1000, 10_000))


def view(bid=10_000, grid=SPOT, **changes):
    return spot_view(grid, bid_ticks=bid, ask_ticks=bid + 1, confirmed_ticks=bid, **changes)


def coins(lots=0, ticks=10_000, grid=SPOT):
    return Position(
        lots=lots, base_atoms=lots * grid.lot_atoms, cost_atoms=lots * ticks * grid.tick_lot_atoms, sellable_lots=lots,
        budget_atoms=BUDGET, free_quote_atoms=BUDGET,
    )  # fmt: skip


def ask(params, seen, position=None, memory=None):
    """(rows, memory after, header) of one question."""
    memory = copied(memory) if memory else STRATEGY.memory_type()
    out = row_array()
    used = STRATEGY.targets(params, seen, position or coins(), memory, out)
    return [copied(row) for row in out[1:used]], memory, copied(out[0])


def sent(seen, slot, generation, *, filled=0, alive=0):
    """The view after an order was sent for a key."""
    seen.generation[slot], seen.filled[slot] = generation, filled
    seen.filled_ever[slot] += filled
    seen.live[slot], seen.live_orders[slot] = alive, int(alive > 0)
    seen.ended[slot] = int(alive == 0)
    return seen


def bought(params, lots=57, **changes):
    """(view, position, memory) with layer 0 filled and the two others resting or wanted."""
    _, memory, _ = ask(params, view(**changes))
    return sent(view(**changes), 0, 1, filled=lots), coins(lots), memory


class TestArming:
    """A cycle begins with prices and totals of all layers frozen."""

    def test_layers_share_the_budget_and_two_rest_at_once(self):
        rows, memory, _ = ask(build(), view())
        # 400 less 0.1 % fee in parts of 1, 2 and 4 out of 7, at 100, 99 and 98.
        assert memory.total[:3] == [57, 115, 233]
        assert [brief(row) for row in rows] == [(0, BUY, 10_000, 57), (1, BUY, 9_900, 115)]
        assert {(row.role, row.kind, row.generation, row.flags) for row in rows} == {(LAYER, LIMIT, 1, 0)}
        assert memory.phase == LADDER

    def test_the_cost_of_dust_still_held_is_not_spent_again(self):
        dust = Position(lots=4, base_atoms=4 * SPOT.lot_atoms, cost_atoms=40 * 10**9, sellable_lots=4, budget_atoms=BUDGET)
        _, memory, _ = ask(build(), view(), dust)
        assert memory.total[:3] == [51, 103, 209]

    @pytest.mark.parametrize(
        ("why", "changes"),
        [
            ("MASKED", {"may_open": 0}),
            ("FRESH", {"fresh": 0}),
            ("SIGNAL", {"start_signal": 0}),
            ("PRICE", {"bid_ticks": 0}),
            ("PRICE", {"ask_ticks": 10_000}),
        ],
    )
    def test_no_cycle_begins_without_a_healthy_market(self, why, changes):
        seen = view()
        for name, value in changes.items():
            setattr(seen, name, value)
        rows, memory, head = ask(build(), seen)
        assert (rows, memory.phase) == ([], IDLE)
        assert WAIT_NAMES[waiting(build(), seen, coins(), memory)] == why
        assert (head.price_ticks, head.qty_lots) == (0, 0)

    def test_no_cycle_begins_while_an_order_of_an_older_one_lives(self):
        seen = sent(view(), 3, 7, alive=5)
        rows, memory, _ = ask(build(), seen)
        assert (rows, WAIT_NAMES[waiting(build(), seen, coins(), memory)]) == ([], "ORDERS")
        sent(seen, 3, 7)
        assert ask(build(), seen)[1].cycle == 8, "keys of a forgotten past are not used again"

    def test_no_cycle_begins_when_the_first_layer_is_below_the_minimum(self):
        poor = coins()
        poor.budget_atoms = 30 * 10**9
        rows, memory, _ = ask(build(), view(), poor)
        assert (rows, WAIT_NAMES[waiting(build(), view(), poor, memory)]) == ([], "BUDGET")

    def test_winding_down_and_a_number_of_cycles_end_it(self):
        params = build(cycles=2)
        memory = STRATEGY.memory_type()
        memory.cycles_done = 2
        rows, _, head = ask(params, view(), memory=memory)
        assert rows == []
        assert head.price_ticks == 1, "no price will change that"
        params = build(wind_down=True)
        assert ask(params, view())[0] == []

    def test_a_ladder_that_has_bought_keeps_its_plan_when_other_parameters_come(self):
        seen, held, memory = bought(build())
        other = build(layers=5, step_pct=Decimal(2), multiplier=Decimal("1.5"), resting=2)
        rows, after, _ = ask(other, sent(seen, 1, 1, alive=115), held, memory)
        assert [brief(row) for row in rows if row.role == LAYER] == [(1, BUY, 9_900, 115), (2, BUY, 9_800, 233)]
        assert (after.layers, after.giving_up) == (3, 0)

    @pytest.mark.parametrize("changed", [{"layers": 5}, {"step_pct": Decimal(2)}, {"entry": "manual", "entry_price": Decimal(97)}])
    def test_a_ladder_that_has_bought_nothing_is_taken_back_and_planned_anew(self, changed):
        _, memory, _ = ask(build(entry_fallback="market"), view())
        other = build(entry_fallback="market", **changed)
        seen = sent(sent(view(), 0, 1, alive=57), 1, 1, alive=115)
        rows, memory, _ = ask(other, seen, memory=memory)
        assert (rows, memory.phase) == ([], LADDER), "the old ladder is cancelled first"
        gone = sent(sent(view(), 0, 1), 1, 1)
        rows, memory, _ = ask(other, gone, memory=memory)
        assert (rows, memory.phase) == ([], IDLE)
        gone.now_us += 1_000_000
        rows, memory, _ = ask(other, gone, memory=memory)
        assert [(row.slot, row.generation, row.kind) for row in rows] == [(0, 2, LIMIT), (1, 2, LIMIT)], "and not by the market"
        assert [brief(row) for row in rows] == [brief(row) for row in ask(other, view())[0]]

    def test_parameters_that_plan_nothing_take_no_ladder_back(self):
        first, memory, _ = ask(build(), view())
        assert (
            ask(build(cooldown=5, entry_wait=7, take_profit_pct=Decimal(3), stop_slippage_pct=Decimal(1)), view(), memory=memory)[0]
            == first
        )


class TestEntry:
    """How layer 0 gets in."""

    def test_an_offset_entry_stands_under_the_bid(self):
        rows, _, head = ask(build(entry_offset_pct=Decimal("0.5"), entry_wait=60), view())
        assert rows[0].price_ticks == 9_950
        assert head.qty_lots == START_US + 60_000_000

    def test_it_follows_a_rising_market_a_few_times_under_the_same_keys(self):
        params = build(entry_wait=10, entry_chase_pct=Decimal(1), entry_attempts=2)
        rows, memory, _ = ask(params, view())
        totals = [row.qty_lots for row in rows]
        for step, (bid, expected) in enumerate([(10_050, 10_050), (10_300, 10_100)], start=1):
            seen = view(bid, now_us=START_US + step * 10_000_000)
            rows, memory, _ = ask(params, seen, memory=memory)
            assert rows[0].price_ticks == expected, "never beyond what its sizes leave budget for"
            assert [row.qty_lots for row in rows] == totals
            assert memory.cycle == 1
        seen = view(10_300, now_us=START_US + 30_000_000)
        rows, memory, _ = ask(params, sent(seen, 0, 1, alive=50), memory=memory)
        assert (rows, memory.giving_up, memory.phase) == ([], 1, LADDER)

    def test_it_lets_a_falling_market_come(self):
        params = build(entry_wait=10, entry_offset_pct=Decimal(1))
        _, memory, _ = ask(params, view())
        rows, _, _ = ask(params, view(9_950, now_us=START_US + 10_000_000), memory=memory)
        assert rows[0].price_ticks == 9_900

    @pytest.mark.parametrize(("fallback", "wait_us", "kind"), [("skip", 30_000_000, LIMIT), ("market", 1_000_000, TAKE)])
    def test_a_given_up_entry_is_skipped_or_taken_by_market(self, fallback, wait_us, kind):
        params = build(entry_wait=10, entry_attempts=0, entry_fallback=fallback, entry_slippage_pct=Decimal("0.2"))
        _, memory, _ = ask(params, view())
        rows, memory, head = ask(params, view(10_200, now_us=START_US + 10_000_000), memory=memory)
        assert (rows, memory.phase, head.qty_lots) == ([], IDLE, START_US + 10_000_000 + wait_us)
        rows, memory, _ = ask(params, view(10_200, now_us=head.qty_lots), memory=memory)
        assert rows[0].kind == kind
        assert memory.cycle == 2

    def test_a_fill_that_overtakes_giving_up_goes_on_with_the_ladder(self):
        params = build(entry_wait=10, entry_attempts=0)
        _, memory, _ = ask(params, view())
        seen = sent(view(10_200, now_us=START_US + 10_000_000), 0, 1, alive=57)
        _, memory, _ = ask(params, seen, memory=memory)
        assert memory.giving_up
        rows, memory, _ = ask(params, sent(seen, 0, 1, filled=57), coins(57), memory)
        assert [row.slot for row in rows] == [1, 2, EXIT_SLOT]
        assert memory.giving_up == 0

    def test_a_market_entry_takes_with_a_cap_and_hangs_the_ladder_on_its_fills(self):
        params = build(entry="market", entry_slippage_pct=Decimal("0.2"))
        (take,), memory, head = ask(params, view())
        assert (take.kind, take.price_ticks, take.qty_lots) == (TAKE, 10_021, 56)
        assert head.price_ticks == 0
        partly = sent(view(), 0, 1, filled=20, alive=36)
        rows, memory, _ = ask(params, partly, coins(20, 10_001), memory)
        assert [row.kind for row in rows] == [TAKE, LIMIT], "while it is under way nothing hangs on it: layer 0 and the exit"
        done = sent(view(), 0, 1, filled=50)
        position = Position(
            lots=50, base_atoms=50 * SPOT.lot_atoms, cost_atoms=(20 * 10_001 + 30 * 10_010) * SPOT.tick_lot_atoms, sellable_lots=50,
            budget_atoms=BUDGET,
        )  # fmt: skip
        rows, memory, _ = ask(params, done, position, memory)
        assert memory.anchor_ticks == 10_006
        assert [brief(row) for row in rows if row.role == LAYER] == [(0, BUY, 10_006, 56), (1, BUY, 9_905, memory.total[1])]

    def test_a_market_that_leaves_the_cap_behind_gets_another_cycle(self):
        params = build(entry="market")
        _, memory, _ = ask(params, view())
        _, memory, _ = ask(params, view(10_100), memory=memory)
        assert memory.phase == IDLE
        rows, memory, _ = ask(params, view(10_100, now_us=memory.next_us), memory=memory)
        assert (rows[0].price_ticks, memory.cycle) == (10_121, 2)

    def test_a_manual_entry_waits_at_its_price_for_ever(self):
        params = build(entry="manual", entry_price=Decimal("95.5"), entry_wait=1, entry_attempts=0)
        rows, memory, head = ask(params, view())
        assert rows[0].price_ticks == 9_550
        assert head.qty_lots == 0
        assert ask(params, view(now_us=START_US + 10**12), memory=memory)[0] == rows

    def test_a_layer_the_market_has_jumped_over_buys_no_further_through_the_touch_than_its_cap(self):
        params = build(entry_slippage_pct=Decimal("0.2"))
        seen, position, memory = bought(params)
        seen.bid_ticks, seen.ask_ticks, seen.confirmed_ticks = 9_500, 9_501, 9_500
        rows, _, head = ask(params, seen, position, memory)
        assert [brief(row) for row in rows if row.role == LAYER] == [(1, BUY, 9_520, 115), (2, BUY, 9_520, 233)]
        assert head.price_ticks == 0


class TestLadder:
    """Which layers rest, and what a fill changes."""

    def test_a_fill_brings_exit_and_stop_from_the_average_at_once(self):
        params = build()
        rows, memory, head = ask(params, *bought(params))
        assert [brief(row) for row in rows] == [(1, BUY, 9_900, 115), (2, BUY, 9_800, 233), (EXIT_SLOT, SELL, 10_200, 57)]
        assert memory.stop_ticks == 9_000
        assert head.price_ticks > 9_000

    def test_the_exit_follows_the_average_down(self):
        params = build()
        seen, _, memory = bought(params)
        _, memory, _ = ask(params, seen, coins(57), memory)
        sent(seen, 1, 1, filled=115)
        position = coins(172)
        position.cost_atoms = (57 * 10_000 + 115 * 9_900) * SPOT.tick_lot_atoms
        rows, memory, _ = ask(params, seen, position, memory)
        assert [brief(row) for row in rows] == [(2, BUY, 9_800, 233), (EXIT_SLOT, SELL, 10_132, 172)]
        assert memory.stop_ticks == 8_939

    def test_a_partial_exit_changes_neither_price_nor_total(self):
        params = build()
        seen, position, memory = bought(params)
        before, memory, _ = ask(params, seen, position, memory)
        sent(seen, EXIT_SLOT, 1, filled=20, alive=37)
        after, _, _ = ask(params, seen, coins(37), memory)
        assert [brief(row) for row in after] == [brief(row) for row in before]

    def test_the_stop_widens_with_each_layer_until_the_configured_one(self):
        params = build(stop_by_layer=True, stop_loss_pct=Decimal(6))
        seen, position, memory = bought(params)
        _, memory, _ = ask(params, seen, position, memory)
        assert memory.stop_ticks == 9_600
        _, memory, _ = ask(params, sent(seen, 1, 1, filled=100), coins(157), memory)
        assert memory.stop_ticks == 9_400

    def test_a_layer_shallower_than_the_deepest_fill_is_wanted_only_while_its_order_lives(self):
        params = build()
        seen, _, memory = bought(params, lots=30)
        sent(seen, 1, 1, filled=10, alive=105)
        rows, _, _ = ask(params, seen, coins(40), memory)
        assert [row.slot for row in rows if row.role == LAYER] == [1, 2], "layer 0 ended half filled and is left behind"
        sent(seen, 0, 1, alive=27)
        seen.filled[0] = 30
        rows, _, _ = ask(params, seen, coins(40), memory)
        assert [row.slot for row in rows if row.role == LAYER] == [0, 1]

    def test_an_order_of_unknown_fate_keeps_its_place_among_the_resting(self):
        params = build()
        _, memory, _ = ask(params, view())
        seen = sent(view(), 0, 1, alive=57)
        seen.unknown[0] = 1
        assert [row.slot for row in ask(params, seen, memory=memory)[0]] == [0, 1]

    def test_a_rest_below_the_minimum_is_not_sent_again(self):
        params = build()
        seen, position, memory = bought(params, lots=54)
        rows, _, _ = ask(params, seen, position, memory)
        assert [row.slot for row in rows if row.role == LAYER] == [1, 2]

    @pytest.mark.parametrize("masked", ["fresh", "may_open"])
    def test_without_leave_to_open_only_exit_and_stop_remain(self, masked):
        params = build()
        seen, position, memory = bought(params)
        setattr(seen, masked, 0)
        rows, _, _ = ask(params, seen, position, memory)
        assert [row.role for row in rows] == [EXIT]
        seen.confirmed_ticks = 9_000
        rows, _, _ = ask(params, seen, position, memory)
        assert [row.role for row in rows] == [STOP]


class TestClosing:
    """Exit, stop, and the way back to IDLE."""

    def held(self, params, **changes):
        seen, position, memory = bought(params, **changes)
        _, memory, _ = ask(params, seen, position, memory)
        return seen, position, memory

    def test_an_unconfirmed_price_stops_nothing_and_a_confirmed_one_sells_at_once(self):
        params = build(stop_slippage_pct=Decimal(2))
        seen, position, memory = self.held(params)
        seen.bid_ticks, seen.ask_ticks, seen.confirmed_ticks = 8_990, 8_991, 0
        assert {row.role for row in ask(params, seen, position, memory)[0]} == {LAYER, EXIT}
        seen.confirmed_ticks = 9_001
        assert ask(params, seen, position, memory)[1].phase == LADDER
        seen.confirmed_ticks = 9_000
        rows, memory, head = ask(params, seen, position, memory)
        assert [brief(row) for row in rows] == [(STOP_SLOT, SELL, 8_811, 57)]
        assert (rows[0].kind, rows[0].generation, memory.phase) == (TAKE, 1, STOPPED)
        assert head.price_ticks == 0

    def test_a_stop_never_reverts(self):
        params = build()
        seen, position, memory = self.held(params)
        seen.confirmed_ticks = 9_000
        _, memory, _ = ask(params, seen, position, memory)
        seen.bid_ticks, seen.ask_ticks, seen.confirmed_ticks = 11_000, 11_001, 11_000
        rows, memory, _ = ask(params, seen, position, memory)
        assert [row.role for row in rows] == [STOP]

    def test_a_stop_sells_what_is_free_and_later_the_rest(self):
        params = build()
        seen, position, memory = self.held(params)
        seen.confirmed_ticks = 9_000
        _, memory, _ = ask(params, seen, position, memory)
        sent(seen, STOP_SLOT, 1, filled=30)
        rows, _, _ = ask(params, seen, coins(27), memory)
        assert rows[0].qty_lots == 57, "the total is what was filled and what is left"

    def test_without_a_bid_a_stop_waits_for_one(self):
        params = build()
        seen, position, memory = self.held(params)
        seen.confirmed_ticks = 9_000
        seen.bid_ticks = 0
        rows, memory, head = ask(params, seen, position, memory)
        assert (rows, memory.phase, head.price_ticks) == ([], STOPPED, 0)

    def test_a_cycle_ends_when_all_is_sold_and_nothing_lives(self):
        params = build(cooldown=30)
        seen, _, memory = self.held(params)
        sent(seen, 1, 1, alive=115)
        sent(seen, EXIT_SLOT, 1, filled=57)
        rows, memory, _ = ask(params, seen, coins(0), memory)
        assert (rows, memory.phase) == ([], CLOSE), "the layers go first"
        sent(seen, 1, 1)
        rows, memory, head = ask(params, seen, coins(0), memory)
        assert (rows, memory.phase, memory.cycles_done) == ([], IDLE, 1)
        assert head.qty_lots == seen.now_us + 30_000_000
        seen.now_us = head.qty_lots
        rows, memory, _ = ask(params, seen, coins(0), memory)
        assert {row.generation for row in rows} == {2}

    def test_a_layer_that_fills_while_closing_gets_its_exit_and_its_stop(self):
        params = build()
        seen, _, memory = self.held(params)
        sent(seen, 1, 1, alive=115)
        sent(seen, EXIT_SLOT, 1, filled=57)
        _, memory, _ = ask(params, seen, coins(0), memory)
        sent(seen, 1, 1, filled=115)
        rows, memory, _ = ask(params, seen, coins(115, 9_900), memory)
        assert [brief(row) for row in rows] == [(EXIT_SLOT, SELL, 10_098, 172)]
        assert memory.stop_ticks == 8_910

    def test_after_a_stop_it_pauses(self):
        params = build(pause_after_stop=3600)
        seen, position, memory = self.held(params)
        seen.confirmed_ticks = 9_000
        _, memory, _ = ask(params, seen, position, memory)
        sent(seen, STOP_SLOT, 1, filled=57)
        rows, memory, head = ask(params, seen, coins(0), memory)
        assert (rows, memory.phase) == ([], IDLE)
        assert head.qty_lots == seen.now_us + 3_600_000_000

    def test_dust_below_the_minimum_ends_a_cycle_and_stays(self):
        params = build(cooldown=0)
        seen, _, memory = self.held(params)
        sent(seen, EXIT_SLOT, 1, filled=53)
        dust = coins(4)
        rows, memory, _ = ask(params, seen, dust, memory)
        assert (memory.phase, memory.cycle, memory.dust_cost) == (LADDER, 2, dust.cost_atoms)
        assert [row.role for row in rows] == [LAYER, LAYER]
        assert memory.exit_ticks == 0, "dust alone has neither exit nor stop"

    def test_something_held_in_idle_is_guarded(self):
        params = build()
        rows, memory, _ = ask(params, view(), coins(80))
        assert [brief(row) for row in rows] == [(EXIT_SLOT, SELL, 10_200, 80)]
        assert (memory.phase, memory.stop_ticks) == (CLOSE, 9_000)

    def test_a_single_layer_that_bought_too_little_to_sell_does_not_hang(self):
        params = build(layers=1, budget=Decimal(10), cooldown=0)
        position = coins()
        position.budget_atoms = 10 * 10**9
        _, memory, _ = ask(params, view(), position)
        assert memory.total[0] == 9
        seen = sent(view(), 0, 1, filled=4, alive=5)
        little = coins(4)
        little.budget_atoms = position.budget_atoms
        _, memory, _ = ask(params, seen, little, memory)
        assert memory.phase == LADDER
        sent(seen, 0, 1)
        seen.filled[0] = 5
        seen.filled_ever[0] = 5
        seen.min_lots = 6
        _, memory, _ = ask(params, seen, little, memory)
        assert memory.phase == IDLE


class TestRestingStop:
    """On perpetuals a reduce-only stop for the whole position rests at the venue."""

    def held(self, **values):
        params = build(PERP, protect_beyond_pct=Decimal("0.5"), **values)
        _, memory, _ = ask(params, view(grid=PERP))
        seen = sent(view(grid=PERP), 0, 1, filled=57)
        _, memory, _ = ask(params, seen, coins(57), memory)
        return params, seen, coins(57), memory

    def row(self, *question):
        return row_of(ask(*question)[0], TRIGGER_SLOT)

    def test_it_stands_beyond_the_programs_own(self):
        params, seen, position, memory = self.held()
        row = self.row(params, seen, position, memory)
        assert (row.kind, row.role, row.side, row.price_ticks, row.trigger_ticks) == (TRIGGER, STOP, SELL, 0, 8_955)
        assert row.flags == REDUCE_ONLY | WHOLE_POSITION
        assert row.qty_lots == sum(memory.total), "the most that this cycle can hold"
        exits = row_of(ask(params, seen, position, memory)[0], EXIT_SLOT)
        assert exits.flags == REDUCE_ONLY

    def test_on_spot_there_is_none(self):
        params = build()
        assert row_of(ask(params, *bought(params))[0], TRIGGER_SLOT) is None

    def test_it_moves_with_the_stop_at_most_once_a_second(self):
        params, seen, _, memory = self.held()
        seen.armed[TRIGGER_SLOT] = 1
        sent(seen, TRIGGER_SLOT, 1, alive=57)
        sent(seen, 1, 1, filled=115)
        seen.now_us += 400_000
        rows, memory, head = ask(params, seen, coins(172, 9_933), memory)
        assert (row_of(rows, TRIGGER_SLOT).generation, row_of(rows, TRIGGER_SLOT).trigger_ticks) == (1, 8_955)
        assert head.qty_lots == START_US + 1_000_000
        seen.now_us = head.qty_lots
        row = self.row(params, seen, coins(172, 9_933), memory)
        assert (row.generation, row.trigger_ticks) == (2, 8_894)

    @pytest.mark.parametrize("fate", ["in_flight", "unknown"])
    def test_an_unanswered_one_is_sent_again_after_a_second(self, fate):
        params, seen, position, memory = self.held()
        sent(seen, TRIGGER_SLOT, 1, alive=57)
        getattr(seen, fate)[TRIGGER_SLOT] = 1
        seen.sent_us[TRIGGER_SLOT] = START_US + 500_000
        seen.now_us = START_US + 1_499_999
        rows, memory, head = ask(params, seen, position, memory)
        assert row_of(rows, TRIGGER_SLOT).generation == 1
        assert head.qty_lots == START_US + 1_500_000
        seen.now_us += 1
        assert self.row(params, seen, position, memory).generation == 2

    def test_one_that_has_ended_is_replaced_while_something_is_held(self):
        params, seen, position, memory = self.held()
        sent(seen, TRIGGER_SLOT, 1)
        seen.now_us += 1_000_000
        assert self.row(params, seen, position, memory).generation == 2

    def test_its_fill_latches_the_stop_and_the_rest_is_sold(self):
        params, seen, _, memory = self.held()
        sent(seen, TRIGGER_SLOT, 1, filled=50)
        seen.now_us += 1_000_000
        rows, memory, _ = ask(params, seen, coins(7), memory)
        assert memory.phase == STOPPED
        assert [(row.slot, row.qty_lots) for row in rows if row.kind == TAKE] == [(STOP_SLOT, 7)]
        assert row_of(rows, TRIGGER_SLOT).generation == 2, "until it is flat something protects"

    def test_with_nothing_held_none_is_wanted(self):
        params, seen, _, memory = self.held()
        sent(seen, EXIT_SLOT, 1, filled=57)
        assert self.row(params, seen, coins(0), memory) is None
