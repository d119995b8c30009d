"""The compiled loop by itself: many sets against single runs, blocks against every bar, and what is kept compiled."""

import random
import types
from dataclasses import replace

import numpy as np
import pytest
from tests.agreement.bar_rig import draw_of, walk

from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.fill import FillRules
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.tables import BarTable
from lemon_trader.optimize import building, loop
from lemon_trader.optimize.kernel import BarSettings, run_bars, run_many
from lemon_trader.optimize.sets import play_sets
from lemon_trader.run.parts import default_values
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market

INSTRUMENT = default_instrument("SOL_USDC")
MARTINGALE = STRATEGIES["martingale"]
QUOTE = 10**9


def ladders(count: int) -> list:
    chance = random.Random("ladders")
    built = []
    for _ in range(count):
        draw = draw_of(chance, "martingale", INSTRUMENT, BarTable("SOL_USDC", 1, *(np.ones(1, np.int64) for _ in range(6))))
        built.append(MARTINGALE.build(default_values("martingale", **draw.changed), Market(INSTRUMENT, 800, 1_000, 15_000)))
    return built


def bars(count: int) -> BarTable:
    """A market that drifts so slowly that positions rest through many blocks of bars, and comes back."""
    table = walk(random.Random("slow"), INSTRUMENT, count, 15_000)
    calm = 15_000 + (table.close - 15_000) // 8
    shift = calm - table.close
    moved = [np.maximum(c + shift, 10) for c in (table.open, table.high, table.low, table.close)]
    high, low = np.maximum.reduce(moved), np.minimum.reduce(moved)
    return BarTable(table.symbol, table.every_us, table.at_us, moved[0], high, low, moved[3], table.lots)


SETTINGS = BarSettings(FillRules(maker_fee_ppm=800, taker_fee_ppm=1_000), 400 * QUOTE, 1_200 * QUOTE)


@pytest.mark.slow
def test_many_sets_give_the_figures_of_single_runs_to_the_atom():
    table, many = bars(12_000), ladders(6)
    summary = run_many(MARTINGALE, many, INSTRUMENT, table, SETTINGS, workers=2)
    for params, row in zip(many, summary, strict=True):
        alone = run_bars(MARTINGALE, params, INSTRUMENT, table, SETTINGS)
        equity = alone.equity["equity_atoms"]
        assert row["equity_atoms"] == equity[-1] == 400 * QUOTE + alone.totals.net_atoms
        assert row["drawdown_atoms"] == (np.maximum.accumulate(equity) - equity).max()
        assert row["lowest_atoms"] == equity.min()
        assert row["fills"] == len(alone.fills)
        assert row["fees_atoms"] == alone.totals.fees_atoms
        assert row["turnover_atoms"] == alone.fills["quote_atoms"].sum()
        assert row["status"] == 0
    assert summary["fills"].min() > 0


@pytest.mark.slow
def test_blocks_that_are_passed_over_change_no_figure():
    table, many = bars(12_000), ladders(6)
    assert (run_many(MARTINGALE, many, INSTRUMENT, table, SETTINGS) == run_many(
        MARTINGALE, many, INSTRUMENT, table, replace(SETTINGS, indexed=False), workers=1
    )).all()  # fmt: skip


@pytest.mark.slow
def test_marks_that_lie_farther_apart_are_some_of_those_at_every_bar():
    table, params = bars(3_000), ladders(1)[0]
    fine = run_bars(MARTINGALE, params, INSTRUMENT, table, SETTINGS).equity
    coarse = run_bars(MARTINGALE, params, INSTRUMENT, table, replace(SETTINGS, mark_every=64)).equity
    rows = {row.tobytes() for row in fine}
    assert len(coarse) < len(fine) / 50
    assert all(row.tobytes() in rows for row in coarse)
    assert coarse[-1] == fine[-1]


def test_no_set_gives_no_line():
    assert len(run_many(MARTINGALE, [], INSTRUMENT, bars(50), SETTINGS)) == 0


def test_a_table_in_which_nothing_traded_is_refused():
    table = bars(50)
    table = BarTable(table.symbol, table.every_us, table.at_us, table.open, table.high, table.low, table.close, table.lots * 0)
    with pytest.raises(ValueError, match="no bar of these 50 traded"):
        run_bars(MARTINGALE, ladders(1)[0], INSTRUMENT, table, SETTINGS)


def module(step: int) -> tuple:
    """An outer function that calls an inner one of another file."""
    inner_of, outer_of = types.ModuleType("inner_of"), types.ModuleType("outer_of")
    exec(f"STEP = {step}\ndef inner(x):\n    return x + STEP", inner_of.__dict__)
    outer_of.inner = compilable(inner_of.inner)
    exec("def stand(x):\n    return 0\ndef outer(x):\n    return inner(x) + stand(x)", outer_of.__dict__)
    return compilable(outer_of.outer), compilable(outer_of.stand), inner_of.inner


def test_what_is_kept_compiled_has_another_name_when_a_function_that_it_calls_changes():
    outer, stand, inner = module(10)
    again, again_stand, again_inner = module(10)
    other, other_stand, other_inner = module(20)
    name = building.fingerprint(outer, {stand: inner})
    assert building.fingerprint(again, {again_stand: again_inner}) == name
    assert building.fingerprint(other, {other_stand: other_inner}) != name


def test_the_fingerprint_reaches_every_function_that_decides():
    names = {f.__qualname__ for f in building.functions_of(play_sets, {loop.targets: MARTINGALE.targets})}
    assert names >= {"play", "diff", "review", "mask", "advance", "check_stop_loss", "scaled_floor", "is_reached", "update_features"}
    assert loop.targets not in building.functions_of(play_sets, {loop.targets: MARTINGALE.targets})


def test_features_are_followed_only_for_a_strategy_that_reads_them():
    assert "volatility_ppm" in building.names_of(STRATEGIES["market-maker"].targets)
    assert "volatility_ppm" not in building.names_of(MARTINGALE.targets)
