"""Mark, index and funding of a simulated perpetual."""

import pytest

from lemon_trader.market.instruments import INSTRUMENTS
from lemon_trader.market.marks import HOUR_US, INDEX_LAG_US, Marks, funding_ppb

PERP = INSTRUMENTS["SOL_USDC_PERP"]
S = 1_000_000
NOON = 1_722_859_200 * S  # 2024-08-05 12:00


@pytest.mark.parametrize(
    ("premium_ppb", "rate_ppb", "why"),
    [
        (0, 12_500, "a quiet market pays the interest of 0.00125 % an hour"),
        (500_000, 12_500, "inside the damper the premium does not show"),
        (-480_000, 12_500, "nor a negative one"),
        (600_000, 100_000, "beyond it the rest does: 0.06 % - 0.05 %"),
        (-600_000, -100_000, "in both directions"),
        (40_000_000, 15_000_000, "never more than 1.5 % an hour"),
        (-40_000_000, -15_000_000, "nor less"),
    ],
)
def test_the_rate_follows_the_published_rule(premium_ppb, rate_ppb, why):
    assert funding_ppb(premium_ppb) == rate_ppb, why


def test_a_reference_comes_each_second_and_says_the_mid_rounded_half_up():
    marks = Marks(PERP)
    first = marks.until(NOON + 300_000, 200 + 201)
    later = marks.until(NOON + 3 * S, 200 + 201)
    assert [r.at_us - NOON for r in (*first, *later)] == [300_000, S, 2 * S, 3 * S]
    assert {(r.mark_ticks, r.index_ticks, r.funding_ppb) for r in (*first, *later)} == {(201, 201, 12_500)}
    assert marks.until(NOON + 3 * S, 402) == ()


def test_there_is_no_reference_on_spot_nor_before_there_is_a_mid():
    assert Marks(INSTRUMENTS["SOL_USDC"]).until(NOON, 400) == ()
    assert Marks(PERP).until(NOON, 0) == ()


def test_the_index_follows_a_jump_slowly_and_arrives():
    marks = Marks(PERP)
    marks.until(NOON, 20_000)
    jumped = marks.until(NOON + 200 * S, 22_000)
    assert jumped[0].mark_ticks == 11_000
    assert 10_000 < jumped[0].index_ticks < 10_100
    indices = [r.index_ticks for r in jumped]
    assert indices == sorted(indices)
    assert indices[-1] == 11_000
    lag = next(k for k, i in enumerate(indices) if i > 10_632)
    assert lag * S == pytest.approx(INDEX_LAG_US, rel=0.2)


def test_the_sample_on_the_full_hour_closes_its_hour_and_the_next_begins_afresh():
    every_us = 10 * S
    marks = Marks(PERP, every_us)
    hour = NOON + HOUR_US
    rates = {}
    for at_us in range(NOON + every_us, hour + 100 * every_us, every_us):
        running_away = 20_000 + (at_us - NOON) // every_us * 100
        rates.update((r.at_us, r.funding_ppb) for r in marks.until(at_us, running_away if at_us <= hour else 56_000))
    assert rates[hour] > 500_000
    assert rates[hour + 90 * every_us] == 12_500


def test_prices_are_not_made_up_over_a_long_silence():
    marks = Marks(PERP)
    marks.until(NOON, 20_000)
    assert marks.until(NOON + HOUR_US, 20_000) == ()
    assert [(r.at_us, r.mark_ticks) for r in marks.until(NOON + HOUR_US, 26_000)] == [(NOON + HOUR_US, 13_000)]
