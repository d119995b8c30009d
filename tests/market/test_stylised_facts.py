"""Made-up markets behave as recorded ones do: the facts of both lie in the bands that `benchmarks/stylised.py` states."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks import stylised
from tests import recordings

from lemon_trader.market.chance import Chance
from lemon_trader.market.marks import funding_ppb
from lemon_trader.market.price import Premium

HOUR_STEPS = 4 * 3_600


def test_minutes_of_a_synthetic_price_come_in_calm_and_storm_as_recorded_ones_do():
    assert not stylised.outside(stylised.synthetic_minutes(1, days=5))


@pytest.mark.parametrize(("symbol", "minutes"), [("SOL_USDC", 180), ("BTC_USDC_PERP", 45), ("ETH_USDC", 45)])
def test_book_and_takes_of_a_synthetic_market_are_made_as_recorded_ones(symbol, minutes):
    facts = stylised.synthetic_market(symbol, 4, minutes)
    assert len(facts) > 12
    assert not stylised.outside(facts)


def test_a_plain_random_walk_and_a_coin_for_each_side_lie_outside_the_bands():
    """The bands would notice a market without clusters and memory."""
    draws = np.random.default_rng(1)
    minutes = stylised.minute_facts(100 * np.exp(np.cumsum(draws.normal(0, 1e-3, 8_000))))
    assert {"minutes: kurtosis", "minutes: |return| after 1", "minutes: |return| after 60"} <= stylised.outside(minutes).keys()
    at_us = np.floor(np.cumsum(draws.exponential(1e6, 12_000)))
    takes = stylised.take_facts(at_us, draws.choice([-1.0, 1.0], 12_000), draws.exponential(1, 12_000))
    assert len(stylised.outside(takes)) >= 7


def test_the_documents_table_has_the_bands_that_are_held(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    rows = [row.strip("| ").split(" | ") for row in page.partition(stylised.TOLD_HEAD)[2].partition("\n\n")[0].splitlines()[2:]]
    assert [row[0] for row in rows] == list(stylised.TOLD.values())
    assert [row[-1].replace(",", "").split(" to ") for row in rows] == [
        [f"{end:g}" for end in stylised.BANDS[fact]] for fact in stylised.TOLD
    ]
    copy = tmp_path / "sandbox.md"
    copy.write_text(page, encoding="utf-8")
    columns = {"synthetic": [dict.fromkeys(stylised.TOLD, 0.5)], "recorded": [dict.fromkeys(stylised.TOLD, 7.0)], "held out": [{}]}
    stylised.write(copy, columns)
    written = copy.read_text(encoding="utf-8")
    assert written.count("| 0.50 | 7 |  | ") == len(rows)
    assert page.partition(stylised.TOLD_HEAD)[0] == written.partition(stylised.TOLD_HEAD)[0]
    assert written.endswith(page.partition("\n\n**What the bands are worth**")[2])


@pytest.mark.data
def test_of_what_was_held_out_the_market_of_today_lies_within_and_that_of_2013_without():
    """The bands tell the two apart, and neither was looked at when they were drawn."""
    today, long_ago = stylised.HELD_OUT_BARS
    recordings.path(f"bars/{today}.parquet")
    assert not stylised.outside(stylised.recorded_minutes(today))
    assert len(stylised.outside(stylised.recorded_minutes(long_ago))) == 8
    assert stylised.outside(stylised.recorded_takes(stylised.HELD_OUT_TAKES)).keys() == {"takes: size, a tenth below, of median"}


@pytest.mark.data
@pytest.mark.parametrize("name", stylised.BARS)
def test_recorded_minutes_lie_in_the_same_bands(name):
    recordings.path(f"bars/{name}.parquet")
    assert not stylised.outside(stylised.recorded_minutes(name))


@pytest.mark.data
@pytest.mark.parametrize("path", [stylised.DAY_OF_TRADES, *(f"l2/{name}_trades.parquet" for name in stylised.BOOKS)])
def test_recorded_takes_lie_in_the_same_bands(path):
    recordings.path(path)
    assert not stylised.outside(stylised.recorded_takes(path))


@pytest.mark.data
@pytest.mark.parametrize("name", stylised.BOOKS)
def test_recorded_books_lie_in_the_same_bands(name):
    recordings.path(f"l2/{name}_depth.parquet")
    assert not stylised.outside(stylised.recorded_book(name, 1_500))


def test_a_premium_returns_and_funding_has_its_sign_when_it_is_large():
    premium = Premium(Chance("premium", 7))
    hours = [sum(premium.step() for _ in range(HOUR_STEPS)) // HOUR_STEPS for _ in range(24)]
    assert max(map(abs, hours)) < 3_000_000, "0.3 %: it never walks away"
    assert min(hours) < -100_000 < 100_000 < max(hours)
    rates = [funding_ppb(p) for p in hours]
    assert sum(rate == 12_500 for rate in rates) > len(rates) // 2, "in most hours funding is the interest alone"
    assert all((rate > 12_500) == (p > 512_500) and (rate < 0) == (p < -500_000) for p, rate in zip(hours, rates, strict=True))
