"""The journal comes back whole after a kill, torn but clean after a loss of power, and loud after rot."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fake_store import Disk
from tests.recovery.journals import FACTS, FIRST, NOW, ends, fill, journal, recovered, started, touch, turn, written

from lemon_trader.core.events import (
    Anchor,
    Decided,
    IdsReserved,
    Latched,
    Touch,
)
from lemon_trader.core.units import HALTED
from lemon_trader.database.chain import Header, JournalTooNew, record
from lemon_trader.database.journal import (
    MARKET_BUFFER_BYTES,
    JournalCorrupt,
    JournalForeign,
    read_events,
)
from lemon_trader.database.journal_care import verify

# ---- a kill ----


def test_a_killed_process_loses_only_market_facts_that_caused_nothing():
    disk = written([*FACTS, touch(10), touch(11)])
    disk.kill()
    assert recovered(disk) == FACTS


def test_an_ordered_end_loses_nothing_even_without_power():
    disk = Disk()
    made = started(disk)
    for fact in (*FACTS, touch(10)):
        made.append(fact)
    made.close()
    disk.lose_power()
    assert recovered(disk) == [*FACTS, touch(10)]


def test_an_account_fact_is_with_the_operating_system_when_append_returns():
    disk = Disk()
    made = started(disk)
    for count, fact in enumerate(FACTS, 1):
        made.append(fact)
        if type(fact) is not Touch:
            assert list(read_events(disk.copy().store())) == FACTS[:count], fact


def test_the_chain_goes_on_over_many_starts():
    disk = Disk()
    for fact in FACTS:
        made = started(disk)
        made.append(fact)
        made.close()
        disk.kill()
    assert recovered(disk) == FACTS
    assert verify(disk.store()).damage == ""


def test_a_second_start_writes_nothing():
    disk = written()
    disk.kill()
    before = disk.copy()
    started(disk)
    disk.kill()
    started(disk)
    assert {n: i.data for n, i in disk.files.items()} == {n: i.data for n, i in before.files.items()}


def test_many_market_facts_do_not_wait_for_an_account_fact():
    disk = Disk()
    made = started(disk)
    for n in range(2_000):
        made.append(touch(n))
    kept = list(read_events(disk.copy().store()))
    assert kept == [touch(n) for n in range(len(kept))]
    assert 0 < 2_000 - len(kept) < MARKET_BUFFER_BYTES // 100


# ---- a loss of power ----


def test_a_tail_torn_at_any_byte_is_cut_back_to_whole_records():
    whole = written()
    bounds = ends(whole)
    data = bytes(whole.files[FIRST].data)
    record_of = [[], *[[*FACTS[:n]] for n in (1, 4, 5, 6, 7, 8, 9, 10)]]  # what each record ends with: two touches ride with a turn
    assert len(bounds) == len(record_of)
    for length in range(bounds[0], len(data)):
        torn = Disk()
        torn.store().replace(FIRST, data[:length])
        opened = journal(torn).open(NOW)
        clean = max(end for end in bounds if end <= length)
        assert opened.cut_bytes == length - clean, f"torn at byte {length}"
        assert opened.events == record_of[bounds.index(clean)], f"torn at byte {length}"
        assert bytes(torn.files[FIRST].data) == data[:clean]
        if opened.cut_bytes:
            assert bytes(torn.files[opened.cut_file].data) == data[clean:length], "what was cut is kept beside"
    assert journal(whole).open(NOW).cut_bytes == 0


@pytest.mark.parametrize(
    "tail", [b"\x00" * 300, b"\xff" * 300, b"\xdd" * 300, bytes(range(256)) * 2], ids=["zeros", "ones", "array heads", "all"]
)
def test_garbage_where_the_tail_should_be_is_cut(tail):
    disk = written()
    disk.files[FIRST].data += tail
    opened = journal(disk).open(NOW)
    assert (opened.events, opened.cut_bytes) == (FACTS, len(tail))


def test_writing_goes_on_behind_the_cut():
    disk = written()
    del disk.files[FIRST].data[-7:]
    made = started(disk)
    made.append(fill(20))
    disk.kill()
    assert recovered(disk) == [*FACTS[:-1], fill(20)]


def test_what_must_be_durable_survives_a_loss_of_power():
    for fact in (IdsReserved(NOW, 1, 9), Latched(NOW, HALTED, "kill", ""), Anchor(NOW, "day", 5, 20_000)):
        disk = written([fill(1), fact, fill(2)])
        disk.lose_power()
        assert recovered(disk) == [fill(1), fact], fact


def test_strict_syncs_each_turn_that_sends_and_no_other():
    quiet = Decided(NOW, "SOL_USDC", b"", b"", b"m", (), ())
    for durability, expected in (("normal", 0), ("strict", 2)):
        disk = Disk()
        made = started(disk, durability=durability)
        for fact in (turn(1), fill(2), quiet, turn(3), touch(4)):
            made.append(fact)
        assert (made.syncs, disk.calls.get("sync", 0)) == (expected, expected), durability


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*FACTS, Latched(NOW, HALTED, "kill", "")]), max_size=25), st.integers(0, 10**6), st.booleans())
def test_after_any_loss_of_power_the_journal_is_a_prefix_that_holds_all_that_was_synced(facts, cut, strict):
    disk = written(facts, durability="strict" if strict else "normal")
    disk.lose_power(lambda _name, unsynced: unsynced[: cut % (len(unsynced) + 1)])
    events = recovered(disk)
    assert events == facts[: len(events)]
    synced = [i for i, f in enumerate(facts) if type(f) in {IdsReserved, Latched} or (strict and type(f) is Decided)]
    assert len(events) > max(synced, default=-1)


# ---- rot ----


@pytest.mark.parametrize("mask", [0xFF, 0x01, 0x80])
def test_no_flipped_byte_gives_other_facts_than_were_written(mask):
    whole = written()
    last = ends(whole)[-2]
    for offset in range(len(whole.files[FIRST].data)):
        disk = whole.copy()
        disk.flip(FIRST, offset, mask)
        before = bytes(disk.files[FIRST].data)
        if offset < last:  # whole records stand behind it: this is no torn tail
            with pytest.raises(JournalCorrupt) as caught:
                journal(disk).open(NOW)
            assert caught.value.offset <= offset
            assert "journal repair" in str(caught.value)
            assert bytes(disk.files[FIRST].data) == before
        else:
            opened = journal(disk).open(NOW)
            assert opened.events == FACTS[:-1]
            assert opened.cut_bytes


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 400), st.integers(0, 255))
def test_a_destroyed_stretch_is_a_prefix_or_an_error_and_never_a_hole(start, length, value):
    disk = written()
    image = disk.files[FIRST]
    start %= len(image.data)
    intact = bytes(image.data)
    image.data[start : start + length] = bytes((value,)) * len(image.data[start : start + length])
    try:
        events = recovered(disk)
    except JournalCorrupt:
        return
    assert events == FACTS[: len(events)]
    assert len(events) < len(FACTS) or intact == bytes(image.data)


def test_a_file_that_is_no_journal_is_refused():
    disk = Disk()
    disk.store().replace(FIRST, b"SQLite format 3\x00" + bytes(200))
    with pytest.raises(JournalCorrupt, match="does not begin as a journal"):
        journal(disk).open(NOW)


def test_a_newer_journal_is_refused_with_its_version():
    disk = Disk()
    disk.store().replace(FIRST, record(bytes(16), [Header(7, "sandbox", "demo", 1, bytes(16), NOW, 0)])[0])
    with pytest.raises(JournalTooNew, match="version 7"):
        journal(disk).open(NOW)


@pytest.mark.parametrize(("mode", "account"), [("live", "demo"), ("sandbox", "other")])
def test_a_journal_of_another_mode_or_account_is_never_opened(mode, account):
    disk = written()
    with pytest.raises(JournalForeign, match="sandbox for account 'demo'"):
        journal(disk, mode=mode, account=account).open(NOW)
