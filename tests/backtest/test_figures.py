"""Every figure against a number worked out by hand, and laws that hold whatever was traded."""

from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backtest.made import DAY, PERP, SECOND, START, USDC, fill, result

from lemon_trader.backtest.curve import (
    curve_figures,
    daily_gain,
    drawdowns,
    longest_recovery,
    mean_of_worst,
    sampled,
    step_of,
)
from lemon_trader.backtest.metrics import SECTIONS, UNITS, hold_equity, metrics
from lemon_trader.backtest.months import months
from lemon_trader.backtest.result import FUNDING, Counters


def curve(*values: int, step: int = DAY):
    """A curve that begins at the first value and has the others at the ends of its steps."""
    at = START + np.arange(len(values)) * step
    return curve_figures(at, np.array(values, np.int64), START, int(at[-1]))


# -- gain --


def test_gain_is_the_end_over_the_start():
    assert curve(1_000, 1_250).gain == pytest.approx(0.25)


def test_a_daily_gain_compounds_to_the_whole():
    assert daily_gain(1_000, 1_210, 2 * DAY) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("first", "last", "lasted", "expected"),
    [
        (1_000, 1_100, DAY - 1, None),  # less than a day would be a wild guess
        (1_000, 0, DAY, -1.0),  # nothing is left
        (1_000, -5, DAY, -1.0),  # more than everything was lost
        (0, 5, DAY, None),
    ],
)
def test_a_daily_gain_at_its_edges(first, last, lasted, expected):
    assert daily_gain(first, last, lasted) == expected


def test_the_weighted_gain_is_the_mean_over_ten_windows_that_end_now():
    values = [1_000, 1_010, 1_030, 1_020, 1_040, 1_050, 1_080, 1_070, 1_090, 1_100, 1_210]
    windows = []
    for part in range(1, 11):
        since = 10 - 10 / part
        before = values[int(since)]  # the value that stood when the window began
        windows.append((1_210 / before) ** (1 / (10 - since)) - 1)
    assert curve(*values).adg_weighted == pytest.approx(sum(windows) / 10)


# -- drawdown --


def test_drawdown_is_measured_from_the_highest_so_far():
    assert drawdowns(np.array([100, 120, 90, 130, 117])).tolist() == pytest.approx([0, 0, 0.25, 0, 0.1])


def test_the_worst_of_a_percent_is_at_least_one_value():
    assert mean_of_worst(np.array([0.1, 0.3, 0.2])) == pytest.approx(0.3)
    assert mean_of_worst(np.arange(200) / 200) == pytest.approx((199 + 198) / 2 / 200)


def test_the_longest_recovery_lasts_from_high_to_high():
    at = np.array([0, 10, 25, 40, 50, 60])
    assert longest_recovery(at, np.array([5, 4, 5, 3, 4, 6]), 60) == (35, True)
    assert longest_recovery(at, np.array([5, 4, 5, 3, 4, 4]), 70) == (45, False)
    assert longest_recovery(at, np.array([1, 2, 3, 4, 5, 6]), 60) == (0, True)


def test_a_dip_within_a_step_counts_although_the_step_ends_high():
    at = START + np.array([0, DAY // 2, DAY, 2 * DAY])
    ends, dips = sampled(at, np.array([100, 60, 100, 100]), START, START + 2 * DAY, DAY)
    assert ends.tolist() == [100, 100, 100]
    assert dips.tolist() == pytest.approx([0.4, 0])


def test_a_step_without_rows_stands_as_deep_as_it_was_left():
    at = START + np.array([0, DAY // 2])
    _, dips = sampled(at, np.array([100, 80]), START, START + 3 * DAY, DAY)
    assert dips.tolist() == pytest.approx([0.2, 0.2, 0.2])


# -- return for risk --


@pytest.mark.parametrize(("days", "step"), [(30, DAY), (29, 3_600 * SECOND), (1, 60 * SECOND), (0.02, 0)])
def test_returns_are_taken_over_the_longest_step_of_which_there_are_enough(days, step):
    assert step_of(int(days * DAY)) == (step if days != 1 else 60 * SECOND)


def test_ratios_equal_their_definitions():
    values = [1_000_000]
    for n in range(40):
        values.append(values[-1] + (7_000 if n % 4 else -9_000))
    found = curve(*values)
    r = np.array([b / a - 1 for a, b in pairwise(values)])
    assert found.steps == 40
    assert found.sharpe == pytest.approx(r.mean() / r.std(ddof=1) * sqrt(365))
    assert found.sortino == pytest.approx(r.mean() / sqrt((np.minimum(r, 0) ** 2).mean()) * sqrt(365))
    assert found.omega == pytest.approx(r[r > 0].sum() / -r[r < 0].sum())
    assert found.expected_shortfall == pytest.approx(r.min())
    worst = 9_000 / 1_000_000
    assert found.drawdown_worst == pytest.approx(worst)
    assert found.calmar == pytest.approx(365 * ((values[-1] / values[0]) ** (1 / 40) - 1) / worst)


def test_a_curve_that_never_moves_has_no_ratios():
    found = curve(*[1_000] * 40)
    assert (found.sharpe, found.sortino, found.omega, found.calmar, found.sterling) == (None,) * 5
    assert found.drawdown_worst == 0


def test_from_nothing_there_are_no_returns():
    found = curve(*[1_000] * 20, *[-5] * 20, 7)
    assert found.sharpe is None
    assert found.drawdown_worst > 1


@given(st.lists(st.integers(1, 10**6), min_size=31, max_size=60), st.integers(2, 9))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_figures_do_not_know_the_size_of_the_account(values, factor):
    small, large = curve(*values), curve(*(factor * v for v in values))
    for name in ("gain", "adg", "drawdown_worst", "drawdown_mean_worst", "sharpe", "sortino", "calmar", "omega", "expected_shortfall"):
        assert getattr(small, name) == pytest.approx(getattr(large, name)), name
    assert small.drawdown_worst >= small.drawdown_mean_worst >= 0
    assert small.recovery_s == large.recovery_s


# -- trading --

LADDER = [
    fill(10, "layer", "buy", 10_000, 10, generation=1, slot=0, fee=1_000_000),
    fill(70, "layer", "buy", 9_800, 20, generation=1, slot=1, fee=2_000_000),
    fill(190, "exit", "sell", 9_900, 30, generation=1, slot=32, fee=3_000_000),
    fill(200, "layer", "buy", 9_900, 10, generation=2, slot=0, fee=1_000_000),
    fill(260, "layer", "buy", 9_700, 20, generation=2, slot=1, fee=2_000_000),
    fill(320, "layer", "buy", 9_500, 40, generation=2, slot=2, fee=4_000_000),
    fill(390, "stop", "sell", 9_000, 70, generation=7, slot=34, fee=9_000_000, maker=0),
]
CLOSES = [9_900, 9_850, 9_850, 9_900, 9_600, 9_300, 9_100]


def test_cycles_are_told_apart_and_summed_up():
    won, lost = metrics(result(LADDER, CLOSES)).cycles
    assert (won.generation, won.layers, won.deepest, won.ended) == (1, 2, 1, "exit")
    assert won.realised_atoms == (30 * 9_900 - 10 * 10_000 - 20 * 9_800) * 100_000
    assert won.net_atoms == won.realised_atoms - 6_000_000
    assert (lost.generation, lost.layers, lost.ended) == (2, 3, "stop"), "a resting stop's own counter is no cycle"
    assert lost.average_in == (10 * 9_900 + 20 * 9_700 + 40 * 9_500) * 100_000 // 70
    assert lost.average_out == 9_000 * 100_000


def test_figures_of_ladders():
    m = metrics(result(LADDER, CLOSES))
    own = m.own
    assert (own["cycles"], own["stops"], own["ladder_exhausted"], own["layers_max"]) == (2, 1, 1, 3)
    assert own["layers_mean"] == 2.5
    assert own["cycles_won_pct"] == 50
    assert own["cycle_mean_s"] == (180 + 190) / 2
    assert own["cycle_worst"] == m.cycles[1].net_atoms
    assert m.layer_counts == (0, 1, 1)


def test_a_cycle_that_the_data_ended_is_open_and_not_lost():
    own = metrics(result(LADDER[:-1], CLOSES)).own
    assert (own["cycles"], own["cycles_won_pct"], own["stops"]) == (2, 100, 0)


def test_dust_that_is_left_does_not_keep_a_cycle_open():
    fills = [fill(10, "layer", "buy", 10_000, 10, base_fee=10**7, generation=1), fill(70, "exit", "sell", 10_100, 9, generation=1)]
    made = metrics(result(fills, [10_000, 10_100]))
    assert made.cycles[0].ended == "exit"
    assert made.own["position_max_s"] == 60


def test_figures_of_trading():
    own = metrics(result(LADDER, CLOSES, counters=Counters(placed=9, cancelled=2, refused={"POST_ONLY_TAKER": 3}))).own
    bought = (10 * 10_000 + 20 * 9_800 + 10 * 9_900 + 20 * 9_700 + 40 * 9_500) * 100_000
    sold = (30 * 9_900 + 70 * 9_000) * 100_000
    assert own["turnover"] == bought + sold
    assert own["turnover_times"] == pytest.approx((bought + sold) / (1_000 * USDC))
    assert own["maker_share_pct"] == pytest.approx(100 - 100 * 70 * 9_000 * 100_000 / (bought + sold))
    assert own["fees"] == 22_000_000
    assert own["win_rate_pct"] == 50
    assert own["fee_share_pct"] is None, "of a loss nothing is a share"
    assert own["net"] == sold - bought - 22_000_000
    assert (own["placed"], own["cancelled"], own["refused"]) == (9, 2, 3)


def test_fees_and_funding_are_shares_of_a_gross_profit():
    moves = [(START + 100 * SECOND, FUNDING, -500_000)]
    own = metrics(result(LADDER[:3], CLOSES, grid=PERP, moves=moves)).own
    gross = (30 * 9_900 - 10 * 10_000 - 20 * 9_800) * 100_000
    assert own["fee_share_pct"] == pytest.approx(100 * 6_000_000 / gross)
    assert own["funding_share_pct"] == pytest.approx(-100 * 500_000 / gross)


def test_funding_belongs_to_the_cycle_that_paid_it():
    moves = [(START + 100 * SECOND, FUNDING, -500_000), (START + 300 * SECOND, FUNDING, -200_000)]
    won, lost = metrics(result(LADDER, CLOSES, grid=PERP, moves=moves)).cycles
    assert (won.funding_atoms, lost.funding_atoms) == (-500_000, -200_000)


def test_exposure_is_cost_over_budget_by_time():
    fills = [fill(60, "layer", "buy", 10_000, 100, generation=1), fill(180, "exit", "sell", 10_000, 100, generation=1)]
    own = metrics(result(fills, [10_000] * 6)).own  # 100 USDC of 1,000 for two minutes of six
    assert own["exposure_mean_pct"] == pytest.approx(10 / 3)
    assert own["exposure_max_pct"] == pytest.approx(10)
    assert own["in_position_pct"] == pytest.approx(100 / 3)
    assert (own["position_mean_s"], own["position_max_s"]) == (120, 120)


# -- making a market --


def test_gross_profit_is_spread_and_inventory():
    fills = [
        fill(5, "quote", "buy", 9_990, 10, mid_half=20_000),
        fill(65, "quote", "sell", 9_910, 10, slot=16, mid_half=19_800),
    ]
    own = metrics(result(fills, [9_950, 9_900], layers=0, mids=[(START, 20_000)])).own
    assert own["spread_capture"] == (10 + 10) * 10 * 100_000
    assert own["inventory_cost"] == 100 * 10 * 100_000, "the mid fell by a hundred ticks while ten lots were held"
    assert own["net"] == own["spread_capture"] - own["inventory_cost"]
    assert own["cycles"] is None, "no ladder, no cycles"


def test_bars_do_not_know_the_mid_at_a_fill():
    own = metrics(result([fill(5, "quote", "buy", 9_990, 10, mid_half=20_000)], [9_950], layers=0)).own
    assert own["spread_capture"] is None
    assert own["inventory_cost"] is None


def test_markouts_look_at_the_mid_a_while_later():
    mids = [(START + s * SECOND, half) for s, half in ((5, 20_000), (6, 19_960), (10, 19_900), (35, 20_100))]
    fills = [fill(5, "quote", "buy", 9_990, 10, mid_half=20_000), fill(5, "quote", "sell", 10_010, 10, mid_half=20_000, maker=0)]
    own = metrics(result(fills, [9_950], mids=mids, layers=0)).own
    assert own["markout_1s_bp"] == pytest.approx(-10 / 9_990 * 10_000), "only maker fills"
    assert own["markout_5s_bp"] == pytest.approx(-40 / 9_990 * 10_000)
    assert own["markout_30s_bp"] == pytest.approx(60 / 9_990 * 10_000)


def test_a_mid_that_is_old_says_nothing():
    own = metrics(result([fill(5, "quote", "buy", 9_990, 10)], [9_950], mids=[(START + 5 * SECOND, 20_000)], layers=0)).own
    assert own["markout_1s_bp"] is not None
    assert own["markout_5s_bp"] is None
    assert own["spread_capture"] is None, "the fill's own mid is not known"


# -- beside --


def test_holding_buys_at_the_first_price_with_everything():
    at, equity = hold_equity(result((), [10_000, 11_000], bars=[(8_000, 12_000, 7_000, 10_000), (10_000, 11_000, 9_000, 11_000)]))
    assert at.tolist() == [START, START + 60 * SECOND, START + 120 * SECOND]
    assert equity.tolist() == [1_000 * USDC, 1_250 * USDC, 1_375 * USDC]


def test_holding_and_cash_stand_beside_every_run():
    m = metrics(result((), [10_000, 12_000, 9_000]))
    assert m.hold["gain_pct"] == pytest.approx(-10)
    assert m.hold["drawdown_worst_pct"] == pytest.approx(25)
    assert (m.cash["gain_pct"], m.cash["drawdown_worst_pct"], m.cash["equity"]) == (0, 0, 1_000 * USDC)
    assert list(m.own) == list(m.hold) == list(m.cash) == list(UNITS)


def test_a_dip_within_a_bar_is_seen_where_the_closes_hide_it():
    fills = [fill(30, "layer", "buy", 10_000, 1_000, generation=1)]
    own = metrics(result(fills, [10_000, 10_000], bars=[(10_000,) * 4, (10_000, 10_000, 9_000, 10_000)])).own
    assert own["drawdown_worst_pct"] == 0
    assert own["drawdown_in_bars_pct"] == pytest.approx(10)


def test_months_multiply_to_the_whole_gain():
    fills = [fill(100, "layer", "buy", 10_000, 5_000, generation=1)]
    closes = [10_000 + 40 * n for n in range(40)]
    made = result(fills, closes, every_s=86_400)
    found = months(made)
    assert [m.month for m in found] == ["2023-11", "2023-12"]
    whole = 1.0
    for month in found:
        whole *= 1 + month.gain_pct / 100
    assert whole == pytest.approx(1 + metrics(made).own["gain_pct"] / 100)
    assert sum(m.net_atoms for m in found) == made.totals.net_atoms
    assert [m.fills for m in found] == [1, 0]


def test_every_figure_is_named_once():
    names = [name for section in SECTIONS for name, _ in section.figures]
    assert len(names) == len(set(names))


side = st.sampled_from(["buy", "sell"])


@given(st.lists(st.tuples(side, st.integers(9_000, 11_000), st.integers(1, 90)), max_size=12), st.integers(9_000, 11_000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_figures_of_money_equal_the_ledger_whatever_was_traded(trades, close):
    fills = [fill(7 * n, "quote", way, ticks, lots, fee=lots * 10, mid_half=20_001) for n, (way, ticks, lots) in enumerate(trades)]
    made = result(fills, [close] * 3, grid=PERP, layers=0, mids=[(START, 20_001)])
    own = metrics(made).own
    assert own["net"] == made.totals.net_atoms
    assert own["equity"] == made.budget_atoms + made.totals.net_atoms
    if fills:
        assert own["spread_capture"] - own["inventory_cost"] == made.totals.realised_atoms + made.totals.unrealised_atoms
    assert own["drawdown_in_bars_pct"] >= own["drawdown_worst_pct"] >= 0
    assert 0 <= own["in_position_pct"] <= 100
