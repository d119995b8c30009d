"""A disk that refuses costs no account fact, and is said at once."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fake_store import Disk
from tests.recovery.journals import FACTS, NOW, fill, journal, recovered, started, touch

from lemon_trader.core.events import (
    AnyEvent,
    IdsReserved,
    Touch,
)
from lemon_trader.database.journal import (
    JournalLost,
    JournalUnwritable,
)
from lemon_trader.database.journal_care import verify


def test_a_full_disk_holds_the_facts_until_there_is_space():
    disk = Disk()
    made = started(disk)
    made.append(fill(0))
    disk.free_bytes = 130  # the first append after this is cut in two
    for n in (1, 2, 3):
        with pytest.raises(JournalUnwritable, match="held in memory"):
            made.append(fill(n))
    made_held = made.held_bytes
    assert made_held > 600
    assert not made.writable
    made.append(touch(4))
    assert made.dropped_facts == 1
    disk.free_bytes = None
    made.append(fill(5))
    assert (made.writable, made.held_bytes) == (True, 0)
    disk.kill()
    assert recovered(disk) == [fill(n) for n in (0, 1, 2, 3, 5)]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FACTS), st.sampled_from([None, None, None, 0, 10, 50, 260])), min_size=1, max_size=25))
def test_however_the_space_comes_and_goes_no_account_fact_is_lost_and_the_chain_verifies(script):
    disk = Disk()
    made = started(disk)
    expected: list[AnyEvent] = []
    for fact, free in script:
        disk.free_bytes = free
        if type(fact) is not Touch:
            expected.append(fact)
        try:
            made.append(fact)
        except JournalUnwritable:
            assert not made.writable
    disk.free_bytes = None
    made.sync()
    disk.lose_power()
    assert [e for e in recovered(disk) if type(e) is not Touch] == expected
    assert verify(disk.store()).damage == ""


def test_a_kill_while_the_disk_is_full_leaves_a_clean_prefix():
    disk = Disk()
    made = started(disk)
    made.append(fill(0))
    disk.free_bytes = 100
    with pytest.raises(JournalUnwritable):
        made.append(fill(1))
    disk.kill()
    disk.free_bytes = None
    opened = journal(disk).open(NOW)
    assert (opened.events, opened.cut_bytes) == ([fill(0)], 100)


def test_ids_reserved_while_the_disk_refuses_are_synced_once_it_takes_them():
    disk = Disk()
    made = started(disk)
    disk.free_bytes = 0
    with pytest.raises(JournalUnwritable):
        made.append(IdsReserved(NOW, 1, 1001))
    disk.free_bytes = None
    made.retry()
    disk.lose_power()
    assert recovered(disk) == [IdsReserved(NOW, 1, 1001)]


def test_a_failed_sync_is_said_and_made_up_for():
    disk = Disk()
    made = started(disk)
    disk.fail = lambda act, _name: OSError(errno.EIO, "Input/output error") if act == "sync" else None
    with pytest.raises(JournalUnwritable, match="could not be synced"):
        made.append(IdsReserved(NOW, 1, 1001))
    assert not made.writable
    disk.fail = lambda _act, _name: None
    made.append(fill(1))
    assert made.writable
    disk.lose_power()
    assert recovered(disk) == [IdsReserved(NOW, 1, 1001), fill(1)]


def test_a_full_spool_says_so_and_never_leaves_a_hole():
    disk = Disk()
    made = started(disk, spool_bytes=700)
    disk.free_bytes = 0
    kept = []
    for n in range(4):
        with pytest.raises(JournalUnwritable) as caught:
            made.append(fill(n))
        if caught.type is JournalUnwritable:
            kept.append(fill(n))
    assert caught.type is JournalLost
    disk.free_bytes = None
    with pytest.raises(JournalLost):
        made.append(fill(9))
    made.retry()
    assert not made.writable
    with pytest.raises(JournalLost):
        made.checkpoint(NOW, b"state")
    disk.kill()
    assert recovered(disk) == kept


def test_a_journal_that_cannot_be_opened_says_what_to_do():
    disk = Disk(fail=lambda act, _name: OSError(errno.EROFS, "Read-only file system") if act == "replace" else None)
    with pytest.raises(JournalUnwritable, match="make the data directory writable"):
        journal(disk).open(NOW)
