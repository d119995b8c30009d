"""Features over other windows: what was measured is not forgotten, and leaves in its time."""

from lemon_trader.core.units import US_PER_S
from lemon_trader.strategies.features import MarketFeatures

START_US = 1_700_000_000 * US_PER_S


def fed(features, from_s, to_s, price):
    for second in range(from_s, to_s):
        ticks = price(second)
        features(START_US + second * US_PER_S, ticks - 1, ticks + 1)
    return features.state.volatility_ppm, features.state.fall_ppm


def wild(second):
    return 10_000 + 40 * (second % 2)


def test_another_window_begins_with_what_was_measured_and_then_measures_by_itself():
    resized, fresh = MarketFeatures(300 * US_PER_S, 60 * US_PER_S), MarketFeatures(30 * US_PER_S, 60 * US_PER_S)
    before, _ = fed(resized, 0, 400, wild)
    assert before > 1_000
    resized.resize(30 * US_PER_S, 60 * US_PER_S)
    assert resized.windows_us == fresh.windows_us
    at_once, _ = fed(resized, 400, 401, wild)
    assert at_once * 10 > before * 9, "the market still trembles"
    calm, _ = fed(resized, 401, 600, lambda _: 10_000)
    fed(fresh, 0, 401, wild)
    assert calm < before // 10, "by the shorter window"
    assert abs(calm - fed(fresh, 401, 600, lambda _: 10_000)[0]) <= before // 100


def test_a_fall_is_remembered_over_the_new_window_and_no_longer():
    features = MarketFeatures(300 * US_PER_S, 60 * US_PER_S)
    fed(features, 0, 30, lambda _: 10_000)
    _, fallen = fed(features, 30, 31, lambda _: 9_800)
    assert fallen > 19_000
    features.resize(300 * US_PER_S, 20 * US_PER_S)
    assert fed(features, 31, 45, lambda _: 9_800)[1] == fallen
    assert fed(features, 45, 60, lambda _: 9_800)[1] == 0


def test_before_the_first_touch_there_is_nothing_to_go_on_from():
    features = MarketFeatures(300 * US_PER_S, 60 * US_PER_S)
    features.resize(30 * US_PER_S, 20 * US_PER_S)
    assert fed(features, 0, 5, lambda _: 10_000) == (0, 0)
