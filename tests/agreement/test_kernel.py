"""The compiled loop against the real engine on the same bars: the same fills, books and equity, for parameters and bars that are drawn.

`LEMON_TRADER_DRAWS=1000 pytest tests/agreement/test_kernel.py` draws as many of each kind; a failure names the draw and how to repeat it.
"""

import os
import random
import re

import numpy as np
import pytest
from tests import recordings
from tests.agreement.bar_rig import Draw, both, difference, draw_of, walk

from lemon_trader.engine.startup import StartRefused
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.tables import BarTable, read_bars
from lemon_trader.strategies.parameter import StrategyRefused

DRAWS = int(os.environ.get("LEMON_TRADER_DRAWS", "0"))
ONE = os.environ.get("LEMON_TRADER_DRAW", "")  # play this draw alone
WINDOW = 2_000
MARKETS = ("SOL_USDC", "BTC_USDC", "DOGE_USDC", "SOL_USDC_PERP", "ETH_USDC_PERP")


def play_draws(kind: str, usual: int, make) -> list[tuple[Draw, int]]:
    """Hold the carriers equal on every draw of a kind; (draw, fills) of those that were settings at all."""
    played = []
    count = DRAWS or usual
    for number in [int(ONE)] if ONE else range(count):
        chance = random.Random(f"{kind} {number}")
        draw = make(chance, number)
        try:
            quick, slow = both(draw)
        except (StrategyRefused, StartRefused):
            continue
        found = difference(quick, slow)
        again = f"LEMON_TRADER_DRAW={number} pytest 'tests/agreement/test_kernel.py' -k {kind}"
        assert not found, f"{draw.strategy} in {draw.instrument.symbol}, {draw.rules}, {draw.changed}: {found}\nagain: {again}"
        played.append((draw, len(slow.fills)))
    return played


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["martingale", "market-maker"])
def test_kernel_and_engine_fill_the_same_on_bars_that_are_drawn(strategy):
    def make(chance, number):
        instrument = default_instrument(chance.choice(MARKETS))
        start = chance.choice((2_000, 15_000, 90_000))
        return draw_of(chance, strategy, instrument, walk(chance, instrument, 150, start, chance.choice((60, 300, 3_600)) * 1_000_000))

    played = play_draws("drawn", 40, make)
    if not ONE:
        assert sum(fills for _, fills in played) > 20 * len(played), "most draws must trade"
        assert {d.rules.model for d, _ in played} == {0, 1, 2}
        assert {d.instrument.is_perp for d, _ in played} == {True, False}


@pytest.mark.slow
@pytest.mark.data
def test_kernel_and_engine_fill_the_same_on_recorded_bars():
    files = recordings.names("bars")
    tables: dict[str, BarTable] = {}

    def make(chance, number):
        name = files[number % len(files)]
        if name not in tables:
            tables.clear()
            tables[name] = read_bars(recordings.path(name))
        table = tables[name]
        first = chance.randrange(len(table) - WINDOW)
        part = table.part(int(table.at_us[first]), int(table.at_us[first + WINDOW]))
        return draw_of(chance, chance.choice(("martingale", "martingale", "market-maker")), default_instrument(table.symbol), part)

    played = play_draws("recorded", len(files) if DRAWS else 4, make)
    if not ONE:
        assert sum(fills for _, fills in played) > 10 * len(played)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(
    not os.environ.get("LEMON_TRADER_WHOLE"), reason="LEMON_TRADER_WHOLE=1 plays every recording of bars once whole; it takes half an hour"
)
@pytest.mark.parametrize("name", recordings.names("bars"))
def test_kernel_and_engine_fill_the_same_on_a_whole_recording(name):
    table = read_bars(recordings.path(name))
    chance = random.Random(name)
    quick, slow = both(draw_of(chance, "martingale", default_instrument(table.symbol), table))
    assert not difference(quick, slow)


def test_a_difference_is_told_with_both_fills():
    chance = random.Random("told 1")
    instrument = default_instrument("SOL_USDC")
    draw = draw_of(chance, "martingale", instrument, walk(chance, instrument, 60, 15_000))
    quick, slow = both(draw)
    assert not difference(quick, slow)
    slow.fills["lots"][3] += 1
    assert re.match(r"fill 4 of \d+ / \d+:\n  kernel .*\n  replay ", difference(quick, slow))


def test_equity_is_compared_bar_by_bar():
    chance = random.Random("told 1")
    instrument = default_instrument("SOL_USDC")
    draw = draw_of(chance, "martingale", instrument, walk(chance, instrument, 60, 15_000))
    quick, slow = both(draw)
    slow.equity["equity_atoms"][17] += 1
    assert difference(quick, slow).startswith("equity, row 18 of")
    assert len(np.unique(slow.equity["at_us"])) == len(quick.equity) - 1
