"""Compiled against plain: the same rows, the same memory, on a hundred thousand random states of each strategy.

Half of what is drawn could come about and half could not: a carrier must not care. Fields are drawn around the same few prices and
quantities, so that every comparison in the strategies goes both ways.
"""

from dataclasses import fields

import numpy as np
import pytest

from lemon_trader.core.instrument import instrument
from lemon_trader.core.records import ROWS_MAX, SLOTS, Position, Row, View, as_row, dtype_of, row_array
from lemon_trader.formulas.compilable import compiled
from lemon_trader.formulas.volatility import Features, update_features
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market

STATES = 100_000
CHUNK = 5_000
NOW_US = 1_700_000_000_000_000
SPOT = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01", min_qty="0.05")
LOT, TICK_LOT = SPOT.lot_atoms, SPOT.tick_lot_atoms
BUDGET = 400 * 10**9
WRITTEN = [f.name for f in fields(Row)][:11]  # the diff adds a reason and a figure
LADDERS = ({}, {"entry": "market", "stop_by_layer": False, "resting": 6}, {"entry_fallback": "skip", "entry_attempts": 1, "cycles": 2})
MAKERS = (
    {},
    {"max_orders": 6, "rebalance": "take", "requote_pct": "0.3"},
    {"quantity": "0.2", "volatility_factor": "0", "skew_pct": "100"},
)


def draw_slots(rng, count):
    """What a view says of its slots: drawn once, and combined with everything else a hundred thousand times."""
    shape = (count, SLOTS)
    busy = rng.random(shape) > 0.6
    slots = {"generation": rng.integers(-1, 3, shape), "filled": rng.integers(0, 60, shape) * (rng.random(shape) > 0.7)}
    slots["filled_ever"] = slots["filled"]
    slots["live_orders"] = busy.astype(int)
    slots["armed"] = rng.integers(0, 2, shape)
    slots["ended"] = (~busy & (slots["generation"] >= 0)).astype(int)
    slots["sent_us"] = NOW_US - rng.integers(0, 3_000_000, shape)
    return slots


def draw_views(rng, count):
    views = np.zeros(count, dtype_of(View))
    views["now_us"] = NOW_US + rng.integers(0, 4, count) * 700_000
    views["bid_ticks"] = rng.integers(14_000, 15_100, count) * (rng.random(count) > 0.02)
    views["ask_ticks"] = views["bid_ticks"] + rng.integers(-1, 30, count)
    views["confirmed_ticks"] = views["bid_ticks"] * (rng.random(count) > 0.2)
    views["fresh"] = rng.random(count) > 0.1
    views["may_open"] = rng.random(count) > 0.1
    views["start_signal"] = rng.random(count) > 0.1
    views["is_perp"] = rng.random(count) > 0.5
    views["tick_lot_atoms"], views["lot_atoms"] = TICK_LOT, LOT
    views["min_lots"] = rng.integers(0, 6, count)
    views["min_ticks"] = 1
    views["maker_fee_ppm"], views["taker_fee_ppm"] = 800, 1_000
    views["volatility_ppm"] = rng.integers(0, 400, count)
    views["fall_ppm"] = rng.integers(0, 20_000, count)
    return views


def draw_positions(rng, count):
    positions = np.zeros(count, dtype_of(Position))
    lots = rng.integers(-40, 200, count) * (rng.random(count) > 0.3)
    positions["lots"] = lots
    positions["base_atoms"] = lots * LOT + np.sign(lots) * rng.integers(0, LOT, count)
    positions["cost_atoms"] = abs(lots) * rng.integers(14_000, 15_100, count) * TICK_LOT
    positions["sellable_lots"] = abs(lots)
    positions["budget_atoms"] = BUDGET * (rng.random(count) > 0.02)
    return positions


def draw_ladder_memory(rng, count):
    memory = np.zeros(count, dtype_of(STRATEGIES["martingale"].memory_type))
    for name, most in (("phase", 4), ("cycle", 3), ("cycles_done", 3), ("layers", 7), ("attempts", 3), ("depth", 6)):
        memory[name] = rng.integers(0, most, count)
    for name in ("by_market", "anchored", "enter_by_market", "giving_up", "reached"):
        memory[name] = rng.random(count) > 0.5
    for name in ("next_us", "entry_us", "trigger_us"):
        memory[name] = NOW_US + rng.integers(-90, 4, count) * 700_000
    for name in ("anchor_ticks", "anchor_most", "exit_ticks", "stop_ticks", "trigger_ticks"):
        memory[name] = rng.integers(13_500, 15_500, count) * (rng.random(count) > 0.2)
    memory["bought"] = rng.integers(0, 100, count)
    memory["base_atoms"] = rng.integers(0, 200, count) * LOT
    memory["dust_atoms"] = rng.integers(0, 5, count) * LOT
    memory["dust_cost"] = memory["dust_atoms"] // LOT * 14_500 * TICK_LOT
    memory["cycle_lots"] = rng.integers(0, 400, count)
    memory["trigger_generation"] = rng.integers(0, 3, count)
    memory["trigger_fills"] = rng.integers(0, 60, count)
    memory["price"] = rng.integers(13_000, 15_100, memory["price"].shape)
    memory["total"] = rng.integers(0, 70, memory["total"].shape)
    memory["depth_ppm"] = rng.integers(0, 200_000, memory["depth_ppm"].shape)
    return memory


def draw_maker_memory(rng, count):
    memory = np.zeros(count, dtype_of(STRATEGIES["market-maker"].memory_type))
    memory["anchor2"] = rng.integers(28_000, 30_300, count) * (rng.random(count) > 0.1)
    memory["base_atoms"] = rng.integers(0, 200, count) * LOT
    memory["budget_atoms"] = BUDGET
    memory["half_ppm"] = rng.integers(0, 4_000, count)
    memory["skew_ppm"] = rng.integers(-1, 2, count) * (memory["half_ppm"] // 2)
    memory["size_lots"] = rng.integers(0, 60, count)
    for name in ("look_us", "calm_us", "rebalance_us"):
        memory[name] = NOW_US + rng.integers(-3, 6, count) * 700_000
    memory["pulled_side"] = rng.integers(-1, 2, count)
    memory["bids_paused"] = rng.random(count) > 0.8
    memory["rebalance_side"] = rng.integers(-1, 2, count)
    memory["rebalance_ticks"] = rng.integers(14_000, 15_100, count)
    memory["rebalance_lots"] = rng.integers(0, 100, count)
    memory["rebalance_generation"] = rng.integers(0, 3, count)
    memory["generation"] = rng.integers(0, 3, memory["generation"].shape)
    memory["total"] = rng.integers(0, 60, memory["total"].shape)
    return memory


def load(record, columns, i):
    for name, column in columns:
        value = column[i]
        setattr(record, name, value.copy() if type(value) is list else value)


def columns_of(array, names):
    return [(name, array[name].tolist()) for name in names]


def as_array(record):
    array = np.zeros(1, dtype_of(type(record)))
    array[0] = as_row(record)
    return array


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings", "draw_memory"),
    [("market-maker", MAKERS, draw_maker_memory), ("martingale", LADDERS, draw_ladder_memory)],
)
def test_compiled_and_plain_decide_the_same(name, settings, draw_memory):
    strategy = STRATEGIES[name]
    run = compiled(strategy.targets)
    every = [strategy.build(values, Market(SPOT, 800, 1_000, 15_000)) for values in settings]
    compiled_params = [as_array(params) for params in every]
    rng = np.random.default_rng(20_251_122)
    slots = draw_slots(rng, CHUNK)
    slot_lists = [(name, values.tolist()) for name, values in slots.items()]
    scalars = [field.name for field in fields(View) if field.name not in slots and not field.metadata]
    rows = np.zeros((CHUNK, ROWS_MAX), dtype_of(Row))
    out = row_array()
    view, position, memory = View(), Position(), strategy.memory_type()
    sizes = set()
    for _ in range(STATES // CHUNK):
        views, positions, memories = draw_views(rng, CHUNK), draw_positions(rng, CHUNK), draw_memory(rng, CHUNK)
        of_slots = rng.integers(0, CHUNK, CHUNK).tolist()
        for field, values in slots.items():
            views[field] = values[of_slots]
        which = rng.integers(0, len(every), CHUNK).tolist()
        if "stamp" in memories.dtype.names:
            memories["stamp"] = [every[n].stamp if fits else 0 for n, fits in zip(which, rng.random(CHUNK) > 0.3, strict=True)]
        view_columns, position_columns = columns_of(views, scalars), columns_of(positions, positions.dtype.names)
        before = columns_of(memories, memories.dtype.names)
        used = [run(compiled_params[which[i]][0], views[i], positions[i], memories[i], rows[i]) for i in range(CHUNK)]
        after = columns_of(memories, memories.dtype.names)
        written = [rows[field][:, : max(used)].tolist() for field in WRITTEN]
        for i in range(CHUNK):
            load(view, view_columns, i)
            load(position, position_columns, i)
            load(memory, before, i)
            for field, lists in slot_lists:
                setattr(view, field, lists[of_slots[i]])
            assert strategy.targets(every[which[i]], view, position, memory, out) == used[i], f"state {i}"
            for k in range(used[i]):
                plain = [getattr(out[k], field) for field in WRITTEN]
                assert [column[i][k] for column in written] == plain, f"state {i}, row {k}"
            for field, column in after:
                assert column[i] == getattr(memory, field), f"state {i}, memory.{field}"
        sizes.update(used)
    assert len(sizes) >= 5, "the draw reaches answers of every size"


def test_features_are_the_same_compiled():
    run = compiled(update_features)
    rng = np.random.default_rng(7)
    plain = Features(60_000_000, 30_000_000)
    array = as_array(Features(60_000_000, 30_000_000))
    now, mid = NOW_US, 30_000
    for _ in range(5_000):
        now += int(rng.integers(0, 3_000_000)) if rng.random() > 0.01 else 400_000_000
        mid = max(mid + int(rng.integers(-50, 51)), 100)
        update_features(plain, now, mid // 2, mid - mid // 2)
        run(array[0], now, mid // 2, mid - mid // 2)
        assert tuple(tuple(v) if isinstance(v, np.ndarray) else v for v in array[0].item()) == as_row(plain)
    assert plain.volatility_ppm > 0
