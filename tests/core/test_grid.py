"""A grid that changes while things are held, rest and are remembered: nothing is rounded, and new orders keep to the new steps."""

from dataclasses import fields
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.make import T0, USDC, account, fill, spot

from lemon_trader.core.diff import PLACE, Action
from lemon_trader.core.events import Attempted, Decided, GridChanged
from lemon_trader.core.grid import snap, snap_actions
from lemon_trader.core.instrument import GateError, instrument, refine, steps_between
from lemon_trader.core.records import Row, View, pack, rescale, row_array
from lemon_trader.core.state import AccountState
from lemon_trader.core.step import step
from lemon_trader.core.units import BUY, LIMIT, POST_ONLY, REDUCE_ONLY, SELL, STOP, TRIGGER
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.martingale_records import MartingaleMemory

SYMBOL = "SOL_USDC"


def listed(tick: str, lot: str = "0.01", minimum: str | None = None):
    return instrument(SYMBOL, "SOL", "USDC", is_perp=False, tick=tick, lot=lot, min_qty=minimum or lot, min_price=tick)


@pytest.mark.parametrize(
    ("tick", "lot", "grid", "says"),
    [
        ("0.001", "0.01", ("0.001", "0.01", 1, 1), "a finer tick is taken as it is"),
        ("0.1", "0.01", ("0.01", "0.01", 10, 1), "a coarser tick is a step of the old one"),
        ("0.01", "0.05", ("0.01", "0.01", 1, 5), "so is a coarser lot"),
        ("0.005", "0.1", ("0.005", "0.01", 1, 10), "one finer, one coarser"),
        ("0.025", "0.01", ("0.005", "0.01", 5, 1), "neither divides the other: both are multiples of a third"),
    ],
)
def test_a_changed_listing_is_put_on_a_grid_that_both_stand_on(tick, lot, grid, says):
    fine = refine(spot(), listed(tick, lot))
    assert (fine.tick, fine.lot, fine.tick_step, fine.lot_step) == grid, says
    assert (fine.order_tick, fine.order_lot) == (tick, lot)
    assert fine.price_text(fine.min_ticks) == tick
    assert fine.qty_text(fine.min_lots) == lot
    assert refine(fine, listed(tick, lot)) == fine, "once is enough"


def test_going_back_to_the_old_grid_is_the_old_grid():
    assert refine(refine(spot(), listed("0.1")), listed("0.01")) == listed("0.01")


def test_another_asset_under_the_same_name_is_no_change_of_the_grid():
    other = instrument(SYMBOL, "SOL", "USDT", is_perp=False, tick="0.01", lot="0.01")
    with pytest.raises(GateError, match="another market"):
        refine(spot(), other)


def state_with_everything() -> AccountState:
    """A position with dust, an order that rests, one that has ended, a memory."""
    state = account()
    memory = MartingaleMemory(anchor_ticks=9_900, cycle=3, bought=7, price=[9_900, 9_800] + [0] * 30, total=[7, 9] + [0] * 30)
    for client, price in ((1, 9_900), (2, 9_800)):
        attempt = Attempted(T0, SYMBOL, client, client, 3, 1, BUY, LIMIT, 0, price, 0, 10, 10, T0)
        step(state, Decided(T0, SYMBOL, b"", b"", pack(memory), (attempt,), ()))
    step(state, fill(BUY, 9_900, 10, order="a", client=1, fee=3_333_333, fee_asset="SOL", done=True))
    return state


def worth(state: AccountState) -> object:
    """Everything that the state says, as decimals: no grid in it."""
    market = state.markets[SYMBOL]
    i, ledger = market.instrument, market.ledger
    orders = [
        (
            o.client_id,
            o.state,
            Decimal(o.price_ticks) * Decimal(i.tick),
            *(Decimal(n) * Decimal(i.lot) for n in (o.open_lots, o.qty_lots, o.filled_lots)),
        )
        for o in market.orders
    ]
    sums = [Decimal(n) * Decimal(i.lot) for n in (*market.orders.filled, *market.orders.filled_ever)]
    return orders, sums, ledger.image()


@pytest.mark.parametrize("tick", ["0.001", "0.1", "0.025"])
def test_a_changed_grid_changes_no_price_no_quantity_and_no_money(tick):
    state = state_with_everything()
    before = worth(state)
    step(state, GridChanged(T0, SYMBOL, refine(spot(), listed(tick))))
    assert worth(state) == before
    market = state.markets[SYMBOL]
    assert not market.book.valid, "levels of the old grid are not believed"
    assert market.ledger.seen(fill(BUY, 9_900 * market.view.min_ticks, 10, order="a")) is True
    assert "alert.grid_changed" in [a.key for a in state.alerts]


def test_a_fill_without_an_id_is_known_again_on_the_new_grid():
    state = account()
    step(state, fill(BUY, 9_900, 10, order="a", trade=-1))
    market = state.markets[SYMBOL]
    market.ledger.book(fill(BUY, 9_900, 10, order="a", trade=-1))
    fine = refine(spot(), listed("0.001", "0.001"))
    step(state, GridChanged(T0, SYMBOL, fine))
    assert market.ledger.seen(fill(BUY, 99_000, 100, order="a", trade=-1))


def test_a_checkpoint_keeps_the_grid_of_a_memory_that_nobody_has_taken_yet():
    state = state_with_everything()
    step(state, GridChanged(T0, SYMBOL, refine(spot(), listed("0.001", "0.001"))))
    again = AccountState()
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(state.image())))
    market = again.markets[SYMBOL]
    assert (market.memory_ticks, market.memory_lots) == (10, 10)
    assert again.image() == state.image()


def test_only_bounds_that_changed_leave_the_book_alone():
    state = account()
    step(state, GridChanged(T0, SYMBOL, listed("0.01", minimum="0.5")))
    market = state.markets[SYMBOL]
    assert market.book.valid
    assert market.view.min_lots == 50
    assert [a.key for a in state.alerts] == ["alert.bounds_changed"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_price_and_quantity_that_a_strategy_keeps_is_declared(strategy):
    for record in (STRATEGIES[strategy].memory_type, STRATEGIES[strategy].params_type):
        for f in fields(record):
            unit = f.metadata.get("unit", "")
            for ending in ("ticks", "lots"):
                assert not f.name.endswith(f"_{ending}") or unit == ending, f.name
    memory = STRATEGIES[strategy].memory_type()
    told = [f.name for f in fields(memory) if f.metadata.get("unit")]
    assert told, "a memory without a price would remember nothing"
    for name in told:
        value = getattr(memory, name)
        setattr(memory, name, [1] * len(value) if type(value) is list else 1)
    rescale(memory, 10, 100)
    for f in fields(memory):
        value = getattr(memory, f.name)
        factor = {"ticks": 10, "lots": 100}.get(f.metadata.get("unit", ""))
        assert value == ([factor] * len(value) if type(value) is list else factor) if factor else True, f.name


@settings(max_examples=60)
@given(
    st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from([BUY, SELL]), st.integers(1, 50), st.integers(1, 50), st.integers(0, 40)
)
def test_rows_keep_to_the_steps_and_never_towards_more_risk(price, qty, side, tick_step, lot_step, filled):
    out, view = row_array(), View()
    view.generation[5], view.filled[5] = 1, filled
    out[1] = Row(slot=5, generation=1, side=side, kind=POST_ONLY, price_ticks=price, qty_lots=filled + qty)
    out[2] = Row(slot=6, generation=1, role=STOP, side=side, kind=TRIGGER, flags=REDUCE_ONLY, trigger_ticks=price, qty_lots=qty)
    snap(out, 3, view, tick_step, lot_step)
    assert out[1].price_ticks % tick_step == 0
    assert 0 <= (price - out[1].price_ticks) * side < tick_step, "away from the other side"
    assert (out[1].qty_lots - filled) % lot_step == 0
    assert 0 <= filled + qty - out[1].qty_lots < lot_step
    assert 0 <= (out[2].trigger_ticks - price) * side < tick_step, "never before the program's own stop"
    before = [Row(**{f.name: getattr(r, f.name) for f in fields(r)}) for r in out[1:3]]
    snap(out, 3, view, tick_step, lot_step)
    assert out[1:3] == before


def test_coins_that_leave_less_than_a_step_free_are_not_ordered():
    out, view = row_array(), View(min_lots=10)
    actions = [Action(what=PLACE, index=1, qty_lots=23), Action(what=PLACE, index=2, qty_lots=9)]
    snap_actions(actions, 2, out, view, 10)
    assert [(a.what, a.qty_lots) for a in actions] == [(PLACE, 20), (0, 0)]


def test_steps_between_grids_are_whole_or_refused():
    assert steps_between(listed("0.1", "1"), spot()) == (10, 100)
    with pytest.raises(GateError, match="not whole"):
        steps_between(listed("0.01"), listed("0.1"))
    assert USDC == 10**9
