"""A market out of bars goes through every bar's high and low, never leaves them, and stays a book."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.market.tiny_book import TinyBook

from lemon_trader.core.units import SPOT
from lemon_trader.market.bars import STEPS_MAX, Bars, path, play_bars
from lemon_trader.market.instruments import INSTRUMENTS

SOL, PERP = INSTRUMENTS["SOL_USDC"], INSTRUMENTS["SOL_USDC_PERP"]
MINUTE = 60_000_000


ANYWHERE = st.integers(1, 60_000)


@st.composite
def bar(draw, near=ANYWHERE):
    low = draw(near)
    high = low + draw(st.integers(0, max(1, low // draw(st.sampled_from([1, 10, 100, 1000, 10_000])))))
    first, last = (draw(st.integers(low, high)) for _ in range(2))
    return first, high, low, last


def bars_of(rows, lots=None, every_us=MINUTE):
    first, high, low, last = (list(c) for c in zip(*rows, strict=True))
    return Bars([1_000_000_000_000 + k * every_us for k in range(len(rows))], every_us, first, high, low, last, lots or [500] * len(rows))


@given(bar(), st.booleans())
def test_a_path_begins_at_the_open_touches_both_extremes_stays_within_and_ends_at_the_close(prices, low_first):
    first, high, low, last = prices
    way = path(first, high, low, last, low_first=low_first)
    assert way[0] == first
    assert way[-1] == last
    assert max(way) == high
    assert min(way) == low
    assert len(way) <= STEPS_MAX + 4
    step = max(1, first // 1000, -(-2 * (high - low) // STEPS_MAX) + (high - low) // STEPS_MAX + 1)
    assert all(0 < abs(b - a) <= step for a, b in pairwise(way))


@pytest.mark.parametrize(
    ("low_first", "expected"),
    [
        (True, [100, 99, 98, 99, 100, 101, 102, 103, 102]),
        (False, [100, 101, 102, 103, 102, 101, 100, 99, 98, 99, 100, 101, 102]),
    ],
)
def test_a_small_path_goes_tick_by_tick(low_first, expected):
    assert path(100, 103, 98, 102, low_first=low_first) == expected


def test_a_bar_that_did_not_move_is_one_trade():
    assert path(50, 50, 50, 50, low_first=True) == [50]


def prints_by_bar(bars, instrument, seed=1):
    book = TinyBook()
    got = [[] for _ in bars.at_us]
    for act in play_bars(bars, instrument, seed, 1_000_000):
        before = len(book.prints)
        book.play([act])
        got[(act.at_us - bars.at_us[0]) // bars.every_us].extend(ticks for _, _, _, ticks, _ in book.prints[before:])
    return got, book


@settings(max_examples=60, deadline=None)
@given(st.lists(bar(), min_size=1, max_size=12), st.integers(0, 5))
def test_what_is_printed_in_a_bar_touches_its_extremes_and_never_leaves_them(rows, seed):
    got, _ = prints_by_bar(bars_of(rows), SOL, seed)
    for (_, high, low, _), ticks in zip(rows, got, strict=True):
        assert max(ticks) == high
        assert min(ticks) == low


@settings(max_examples=40, deadline=None)
@given(st.lists(bar(st.integers(9_000, 11_000)), min_size=2, max_size=10))
def test_the_last_print_of_a_bar_is_its_close(rows):
    got, _ = prints_by_bar(bars_of(rows), SOL)
    assert [ticks[-1] for ticks in got] == [last for *_, last in rows]


def test_the_book_stays_small_and_has_both_sides():
    rows = [(10_000 + 37 * k % 400, 10_450, 9_990, 10_000 + 53 * k % 400) for k in range(200)]
    _, book = prints_by_bar(bars_of(rows), SOL)
    for levels in book.books["SOL_USDC"].values():
        assert 6 <= len(levels) <= 12
    bid, ask = book.touch("SOL_USDC")
    assert 0 < ask - bid <= 4


def test_the_same_seed_gives_the_same_market_and_another_seed_another():
    rows = [(10_000, 10_100, 9_900, 10_000), (10_020, 10_050, 10_000, 10_040)] * 5
    first, again, other = (list(play_bars(bars_of(rows), PERP, seed, 1_000_000)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_bar_without_volume_is_passed_over():
    rows = [(100, 110, 90, 105), (200, 210, 190, 205), (106, 111, 101, 107)]
    got, _ = prints_by_bar(bars_of(rows, [500, 0, 500]), SOL)
    assert got[0]
    assert got[2]
    assert not got[1]


def test_the_volume_of_a_bar_sets_how_much_is_traded_and_rests():
    rows = [(10_000, 10_020, 9_980, 10_010)] * 50
    thin, thick = (prints_by_bar(bars_of(rows, [v] * 50), SOL)[1] for v in (400, 40_000))
    traded = [sum(lots for *_, lots in book.prints) for book in (thin, thick)]
    assert 0.3 * 400 * 50 < traded[0] < 3 * 400 * 50
    assert 60 < traded[1] / traded[0] < 140


def test_an_ordinary_minute_takes_few_acts():
    rows = [(10_000, 10_006, 9_996, 10_003), (10_003, 10_008, 9_999, 10_001)] * 100
    assert SOL.kind == SPOT
    assert 8 * 200 < sum(1 for _ in play_bars(bars_of(rows), SOL, 1, 1_000_000)) < 30 * 200


def test_a_perpetual_has_a_mark_from_its_first_moment_and_one_each_second():
    rows = [(10_000, 10_006, 9_996, 10_003)] * 3
    acts = list(play_bars(bars_of(rows), PERP, 1, 1_000_000))
    _, book = prints_by_bar(bars_of(rows), PERP)
    times = [at for at, *_ in book.references]
    assert times[0] == acts[0].at_us
    assert [b - a for a, b in pairwise(times)] == [1_000_000] * (len(times) - 1)
    assert 160 < len(times) <= 180
    assert all(9_990 <= mark <= 10_010 for _, _, mark, _, _ in book.references)
