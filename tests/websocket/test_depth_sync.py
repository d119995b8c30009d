"""Depth: what is told is always one unbroken chain, whatever order snapshot and deltas come in."""

from hypothesis import given
from hypothesis import strategies as st

from lemon_trader.core.book import Book
from lemon_trader.core.events import BookDelta, BookSnapshot
from lemon_trader.websocket.depth_sync import BUFFER_MAX, DepthSync


def delta(first, last=None, bids=((100, 1),)):
    return BookDelta(1, 0, "S", first, first if last is None else last, bids, ())


def snapshot(last, bids=((100, 1),)):
    return BookSnapshot(2, 0, "S", last, bids, ((200, 1),))


def ids(facts):
    return [f"s{f.last_id}" if type(f) is BookSnapshot else (f.first_id, f.last_id) for f in facts]


def test_deltas_wait_for_the_snapshot_and_follow_it():
    sync = DepthSync()
    assert sync.wants_snapshot
    assert [*sync.delta(delta(5)), *sync.delta(delta(6)), *sync.delta(delta(7))] == []
    assert ids(sync.snapshot(snapshot(5))) == ["s5", (6, 6), (7, 7)]
    assert not sync.wants_snapshot
    assert ids(sync.delta(delta(8))) == [(8, 8)]


def test_a_delta_that_the_snapshot_contains_in_part_is_told_because_quantities_are_absolute():
    sync = DepthSync()
    sync.delta(delta(4, 9))
    assert ids(sync.snapshot(snapshot(6))) == ["s6", (4, 9)]


def test_a_snapshot_older_than_the_stream_is_read_again():
    sync = DepthSync()
    sync.delta(delta(10))
    assert ids(sync.snapshot(snapshot(8))) == []
    assert sync.wants_snapshot
    assert ids(sync.snapshot(snapshot(9))) == ["s9", (10, 10)]


def test_a_snapshot_ahead_of_a_quiet_stream_is_told_at_once_and_late_deltas_are_dropped():
    sync = DepthSync()
    sync.delta(delta(3))
    assert ids(sync.snapshot(snapshot(7))) == ["s7"]
    assert [*sync.delta(delta(4)), *sync.delta(delta(5, 7))] == []
    assert sync.fault == ""
    assert ids(sync.delta(delta(8))) == [(8, 8)]


def test_a_gap_is_told_as_it_is_and_asks_for_a_new_snapshot():
    sync = DepthSync()
    sync.snapshot(snapshot(5))
    assert ids(sync.delta(delta(8))) == [(8, 8)]
    assert sync.wants_snapshot
    assert sync.delta(delta(9)) == ()
    assert ids(sync.snapshot(snapshot(8))) == ["s8", (9, 9)]
    assert sync.fault == ""


def test_a_gap_among_waiting_deltas_forgets_what_stood_before_it():
    sync = DepthSync()
    for number in (1, 2, 5, 6):
        sync.delta(delta(number))
    assert ids(sync.snapshot(snapshot(2))) == []
    assert ids(sync.snapshot(snapshot(5))) == ["s5", (6, 6)]


def test_a_repeat_changes_nothing_and_a_step_back_makes_the_connection_worthless():
    sync = DepthSync()
    sync.snapshot(snapshot(5))
    sync.delta(delta(6))
    assert sync.delta(delta(6)) == ()
    assert sync.fault == ""
    assert sync.delta(delta(3)) == ()
    assert sync.fault == "depth went back from 6 to 3"
    sync.restart()
    assert (sync.fault, sync.wants_snapshot, sync.is_live) == ("", True, False)


def test_waiting_deltas_are_bounded():
    sync = DepthSync()
    for number in range(1, BUFFER_MAX + 11):
        sync.delta(delta(number))
    assert ids(sync.snapshot(snapshot(5))) == []
    told = ids(sync.snapshot(snapshot(10)))
    assert (told[0], told[1], len(told)) == ("s10", (11, 11), BUFFER_MAX + 1)


def test_a_check_that_finds_the_same_book_tells_it_again_as_a_second_source():
    sync = DepthSync()
    sync.snapshot(snapshot(5))
    assert ids(sync.snapshot(snapshot(5))) == ["s5"]
    assert not sync.is_ahead


def test_a_check_older_than_the_stream_says_nothing():
    sync = DepthSync()
    sync.snapshot(snapshot(5))
    sync.delta(delta(6))
    assert sync.snapshot(snapshot(5)) == ()
    assert not sync.is_ahead


def test_a_check_ahead_of_the_stream_waits_and_a_stream_that_catches_up_is_fine():
    sync = DepthSync()
    sync.snapshot(snapshot(5))
    assert sync.snapshot(snapshot(8)) == ()
    assert sync.is_ahead
    for number in (6, 7, 8):
        assert ids(sync.delta(delta(number))) == [(number, number)]
    assert not sync.is_ahead
    assert ids(sync.snapshot(snapshot(8))) == ["s8"]
    assert sync.fault == ""


def test_a_stream_that_lost_deltas_in_silence_is_found_by_the_second_check():
    sync = DepthSync()
    sync.snapshot(snapshot(5))
    sync.snapshot(snapshot(8))
    assert sync.snapshot(snapshot(9)) == ()
    assert sync.fault == "depth stopped at 5 while the book went on to 8"


@given(st.data())
def test_a_book_kept_from_what_is_told_is_the_exchanges_book_whenever_it_is_valid(data):
    """An exchange with one truth; a stream that loses, repeats and delays; snapshots of any age."""
    truth, history, stream = {}, [{}], []
    for number in range(1, data.draw(st.integers(1, 40)) + 1):
        price, qty = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 3))
        truth = {p: q for p, q in {**truth, price: qty}.items() if q}
        history.append(truth)
        stream.append(BookDelta(1, 0, "S", number, number, ((price, qty),), ()))
    lost = data.draw(st.sets(st.integers(0, len(stream) - 1), max_size=4))
    sync, book, sent = DepthSync(), Book(), -1
    for index, event in enumerate(stream):
        if index in lost:
            continue
        sent = event.last_id
        facts = list(sync.delta(event))
        if data.draw(st.booleans()):
            age = data.draw(st.integers(max(0, sent - 3), len(stream)))
            facts += sync.snapshot(BookSnapshot(2, 0, "S", age, tuple(history[age].items()), ()))
        if sync.fault:
            sync.restart()
            book.drop()
            continue
        for fact in facts:
            book.snapshot(fact) if type(fact) is BookSnapshot else book.delta(fact)
        if book.valid:
            assert book.bids == history[book.last_id]
        if sync.is_live:
            assert book.valid
            assert book.last_id == sync.last_id
