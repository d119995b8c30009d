"""A scripted market is where it was told to be, when it was told to be there."""

import pytest
from tests.market.tiny_book import TinyBook

from lemon_trader.market.acts import Reference
from lemon_trader.market.instruments import INSTRUMENTS
from lemon_trader.market.scenarios import SCENARIOS, Scenario, play_scenario

SOL, PERP = INSTRUMENTS["SOL_USDC"], INSTRUMENTS["SOL_USDC_PERP"]
T = 1_722_859_200_000_000
S = 1_000_000


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_scenario_trades_at_each_waypoint_at_its_time(name, seed):
    scenario = SCENARIOS[name]
    book = TinyBook().play(play_scenario(scenario, SOL, start_us=T, seed=seed, price_ticks=14_321))
    last = {at_us: ticks for at_us, _, _, ticks, _ in book.prints}
    for seconds, relative_ppm in scenario.waypoints:
        assert last[T + seconds * S] == 14_321 * relative_ppm // 1_000_000
    assert book.now_us == T + scenario.seconds * S


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_between_waypoints_the_price_goes_straight_but_for_its_wobble(name):
    scenario = SCENARIOS[name]
    book = TinyBook().play(play_scenario(scenario, SOL, start_us=T, price_ticks=15_000))
    way = [(0, 1_000_000), *scenario.waypoints]
    for at_us, _, _, ticks, _ in book.prints:
        k = next(k for k, (seconds, _) in enumerate(way) if at_us <= T + seconds * S)
        (from_s, from_ppm), (to_s, to_ppm) = way[max(0, k - 1)], way[max(1, k)]
        straight = from_ppm + (to_ppm - from_ppm) * (at_us - T - from_s * S) / max(1, (to_s - from_s) * S)
        slope = abs(to_ppm - from_ppm) / (4 * (to_s - from_s))  # what one step may be behind
        assert abs(ticks / 15_000 * 1_000_000 - straight) < 2_500 + slope


def test_a_maker_at_a_tenth_of_a_percent_meets_trades_on_both_sides_of_a_calm_market():
    book = TinyBook().play(play_scenario(SCENARIOS["calm"], SOL, start_us=T, price_ticks=15_000))
    prices = [ticks for *_, ticks, _ in book.prints]
    assert min(prices) < 15_000 * 0.9995 < 15_000 * 1.0005 < max(prices)
    assert len(prices) > 200


def test_the_same_seed_gives_the_same_market_and_another_seed_another():
    first, again, other = (list(play_scenario(SCENARIOS["demo"], SOL, start_us=T, seed=s)) for s in (4, 4, 5))
    assert first == again
    assert first != other


def test_a_perpetual_scenario_moves_its_mark():
    marks = [a for a in play_scenario(SCENARIOS["crash"], PERP, start_us=T, price_ticks=15_000) if isinstance(a, Reference)]
    assert [m.at_us for m in marks] == list(range(T, T + 61 * S, S))
    assert min(m.mark_ticks for m in marks) == pytest.approx(15_000 * 0.88, rel=0.002)


@pytest.mark.parametrize(
    ("waypoints", "said"),
    [
        ((), "at least one waypoint"),
        (((10, 1_000_000), (10, 900_000)), r"waypoint \(10, 900000\) must come later than 10 s"),
        (((0, 1_000_000),), r"waypoint \(0, 1000000\) must come later than 0 s"),
        (((10, 0),), "have a price above 0"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(waypoints, said):
    with pytest.raises(ValueError, match=said):
        play_scenario(Scenario(waypoints), SOL, start_us=T)
