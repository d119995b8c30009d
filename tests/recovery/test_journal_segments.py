"""A start needs nothing older than the last checkpoint, and many files read as one."""

import contextlib
import errno

import pytest
from tests.fake_store import Disk, FakeStore, full
from tests.recovery.journals import NOW, fill, journal, several_segments, started, touch

from lemon_trader.database.journal import (
    JournalCorrupt,
    JournalUnwritable,
    read_events,
)
from lemon_trader.database.journal_care import repair, verify


def test_a_start_begins_at_the_last_checkpoint():
    disk = Disk()
    made = started(disk)
    made.append(fill(1))
    made.checkpoint(NOW, b"one")
    made.append(fill(2))
    made.append(touch(3))
    made.checkpoint(NOW, b"two")
    made.append(fill(4))
    disk.kill()
    opened = journal(disk).open(NOW)
    assert (opened.state, opened.events, opened.sequence) == (b"two", [fill(4)], 3)
    assert list(read_events(disk.store())) == [fill(1), fill(2), touch(3), fill(4)]


def test_a_checkpoint_survives_a_loss_of_power_with_all_before_it():
    disk = Disk()
    made = started(disk)
    made.append(fill(1))
    made.append(touch(2))
    made.checkpoint(NOW, b"one")
    disk.lose_power()
    assert journal(disk).open(NOW).state == b"one"
    assert list(read_events(disk.store())) == [fill(1), touch(2)]


def test_facts_are_counted_through_checkpoints_segments_starts_and_repairs():
    disk = several_segments()
    made = journal(disk)
    opened = made.open(NOW)
    assert (opened.sequence, made.sequence) == (12, 14)
    made.append(touch(15))
    made.append(fill(16))
    assert made.sequence == 16
    disk.kill()
    disk.flip("journal-000004", 60)
    repair(disk.store(), mode="sandbox", account="demo", now_us=NOW)
    made = journal(disk)
    opened = made.open(NOW)
    assert (opened.sequence, made.sequence) == (8, 12)


def test_a_long_journal_goes_on_in_segments_and_reads_as_one():
    disk = several_segments()
    assert sorted(disk.files) == [f"journal-00000{n}" for n in (1, 2, 3, 4)]
    assert list(read_events(disk.store())) == [fill(n) for n in range(1, 15)]
    opened = journal(disk).open(NOW)
    assert (opened.state, opened.events) == (b"state 12", [fill(13), fill(14)])
    assert verify(disk.store()).segments == 4


def test_a_start_reads_no_older_segment():
    disk = several_segments()
    disk.fail = lambda act, name: OSError(errno.EIO, "bad sector") if act == "read" and name != "journal-000004" else None
    assert journal(disk).open(NOW).events == [fill(13), fill(14)]


def test_damage_in_an_older_segment_is_found_even_at_its_end():
    disk = several_segments()
    disk.flip("journal-000002", len(disk.files["journal-000002"].data) - 1)
    assert "journal-000002 is damaged at byte" in verify(disk.store()).damage
    with pytest.raises(JournalCorrupt):
        list(read_events(disk.store()))


def test_a_missing_segment_is_found():
    disk = several_segments()
    del disk.files["journal-000003"]
    assert "a file is missing" in verify(disk.store()).damage


@pytest.mark.parametrize("act", ["replace", "open", "sync", "append"])
def test_a_new_segment_that_fails_at_any_point_costs_nothing(act):
    disk = Disk()
    made = started(disk, segment_bytes=300)
    for n in range(4):
        made.append(fill(n))
    refusing = [True]
    disk.fail = lambda what, _name: full() if what == act and refusing[0] else None
    facts = [fill(n) for n in range(4)]
    for n in (4, 5):
        with contextlib.suppress(JournalUnwritable):
            made.checkpoint(NOW, b"state")
        try:
            made.append(fill(n))
        except JournalUnwritable:
            assert made.held_bytes or act == "sync"
        facts.append(fill(n))
    refusing[0] = False
    made.append(fill(6))
    made.checkpoint(NOW, b"state")
    made.append(fill(7))
    disk.kill()
    assert list(read_events(disk.store())) == [*facts, fill(6), fill(7)]
    assert verify(disk.store()).damage == ""


def test_a_replacement_that_reports_failure_but_stands_is_used():
    disk = Disk()
    made = started(disk, segment_bytes=1)
    made.append(fill(1))
    real = FakeStore.replace

    class Lying(FakeStore):
        def replace(self, name, data):
            real(self, name, data)
            raise OSError(errno.EIO, "the folder could not be synced")

    made._store = Lying(disk, disk.life)
    made.checkpoint(NOW, b"state")
    made.append(fill(2))
    disk.kill()
    assert verify(disk.store()).damage == ""
    assert journal(disk).open(NOW).events == [fill(2)]
