"""Times that messages take: stated, drawn from measured ones, and read out of a session's journal."""

import json

import pytest

from lemon_trader.backtest.from_journal import LEAST, latency_of
from lemon_trader.backtest.latency import MOST_US, Drawn, Fixed, LatencyError, Measured, quantiles, read_measured
from lemon_trader.core.events import Attempted, Decided, PlaceAccepted, PlaceRefused
from lemon_trader.core.units import BUY, LAYER, LIMIT

SYMBOL = "SOL_USDC"
T = 1_700_000_000_000_000


def attempt(client_id, at_us):
    row = Attempted(at_us, SYMBOL, client_id, 0, 0, LAYER, BUY, LIMIT, 0, 100, 0, 1, 1, at_us + 5_000_000)
    return Decided(at_us, SYMBOL, b"", b"", b"", (row,), ())


def accepted(client_id, at_us, stamped_us):
    return PlaceAccepted(at_us, stamped_us, SYMBOL, client_id, str(client_id), "working", 0)


def session(answers):
    """A journal: for each (µs until the answer, µs until the exchange's stamp or None for a refusal) one attempt a second."""
    events = []
    for k, (whole, stamp) in enumerate(answers, 1):
        at_us = T + k * 1_000_000
        events.append(attempt(k, at_us))
        refused = PlaceRefused(at_us + whole, SYMBOL, k, "INVALID_ORDER", "no")
        events.append(refused if stamp is None else accepted(k, at_us + whole, at_us + stamp))
    return events


def test_a_fixed_latency_says_what_it_was_told():
    fixed = Fixed(10, 20, 30)
    assert (fixed.entry_us(), fixed.answer_us(), fixed.feed_us()) == (10, 20, 30)


def test_draws_come_from_the_measured_times_alone_each_about_as_often_and_again_by_the_same_seed():
    drawn = Drawn(Measured([10, 20, 30], [7]), seed=3)
    seen = [drawn.entry_us() for _ in range(3_000)]
    assert {seen.count(us) // 100 for us in (10, 20, 30)} <= {9, 10, 11}
    assert set(seen) == {10, 20, 30}
    assert drawn.answer_us() == drawn.feed_us() == 7
    again = Drawn(Measured([30, 10, 20], [7]), seed=3)
    assert [again.entry_us() for _ in range(3_000)] == seen
    other = Drawn(Measured([10, 20, 30], [7]), seed=4)
    assert [other.entry_us() for _ in range(3_000)] != seen


def test_a_file_may_list_times_or_count_them():
    found = read_measured(json.dumps({"entry_us": [5, 6], "answer_us": [[7, 2], [8, 1]], "feed_us": [1]}).encode())
    assert (list(found.entry), list(found.answer), list(found.feed)) == ([5, 6], [7, 7, 8], [1])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "entry_us"),
        ("{", "cannot be read"),
        ('{"entry_us": ["x"], "answer_us": [1]}', "cannot be read"),
        ('{"answer_us": [1]}', "no entry time"),
        ('{"entry_us": [1], "answer_us": []}', "no answer time"),
        ('{"entry_us": [-1], "answer_us": [1]}', "-1"),
        (f'{{"entry_us": [{MOST_US + 1}], "answer_us": [1]}}', str(MOST_US + 1)),
        ('{"entry_us": [1], "answer_us": [1], "latency": [1]}', "latency"),
        ('{"entry_us": [[1, -3]], "answer_us": [1]}', "-3"),
    ],
)
def test_times_that_cannot_be_are_refused_with_their_value(text, words):
    with pytest.raises(LatencyError, match=words):
        read_measured(text.encode())


def test_a_journal_tells_both_ways_where_the_exchange_stamped_the_order():
    found = latency_of(session([(40_000, 25_000)] * LEAST))
    assert found.entry == [25_000] * LEAST
    assert found.answer == [15_000] * LEAST


@pytest.mark.parametrize("stamp", [None, -5_000, 90_000], ids=["a refusal has no stamp", "a clock ahead of ours", "a clock behind ours"])
def test_a_stamp_that_cannot_be_divides_the_way_in_the_middle(stamp):
    found = latency_of(session([(40_000, stamp)] * LEAST))
    assert found.entry == found.answer == [20_000] * LEAST


def test_answers_that_never_came_or_came_after_a_minute_are_left_out():
    events = session([(40_000, 20_000)] * LEAST)
    lost = [attempt(900, T), attempt(901, T), accepted(901, T + MOST_US + 1, T + 5)]
    assert len(latency_of([*lost, *events]).entry) == LEAST


def test_a_session_with_too_few_answers_says_how_many_there_are():
    with pytest.raises(LatencyError, match=f"{LEAST - 1} answered orders"):
        latency_of(session([(40_000, 20_000)] * (LEAST - 1)))


def test_quantiles_are_times_that_were_measured():
    assert quantiles([5, 1, 9, 7]) == (7, 9, 9)
    assert quantiles([4]) == (4, 4, 4)
