"""`journal verify` and `journal repair`: nothing is edited, and what must not be forgotten is not."""

import pytest
from tests.recovery.journals import FACTS, FIRST, NOW, ends, fill, journal, recovered, several_segments, written

from lemon_trader.core.events import (
    IdsReserved,
    Latched,
)
from lemon_trader.core.units import HALTED
from lemon_trader.database.chain import HEAD_BYTES
from lemon_trader.database.journal import (
    JournalCorrupt,
    JournalForeign,
    read_events,
)
from lemon_trader.database.journal_care import repair, verify


def test_verify_counts_what_is_there_and_changes_nothing():
    disk = written()
    del disk.files[FIRST].data[-3:]
    before = bytes(disk.files[FIRST].data)
    found = verify(disk.store())
    assert (found.segments, found.records, found.entries, found.damage) == (1, 8, 10, "")
    assert found.clean_bytes + found.torn_bytes == len(before)
    assert bytes(disk.files[FIRST].data) == before


def test_repair_writes_a_new_file_and_keeps_the_old_one():
    disk = written()
    bounds = ends(disk)
    disk.flip(FIRST, bounds[3] + HEAD_BYTES + 40)
    damaged = bytes(disk.files[FIRST].data)
    done = repair(disk.store(), mode="sandbox", account="demo", now_us=NOW)
    assert [(r.file, r.damaged, r.offset, r.kept_bytes, r.rescued) for r in done] == [(FIRST + ".r1", FIRST, bounds[3], bounds[3], 0)]
    assert bytes(disk.files[FIRST].data) == damaged
    made = journal(disk)
    assert made.open(NOW).events == FACTS[:5]
    made.append(fill(50))
    disk.kill()
    assert recovered(disk) == [*FACTS[:5], fill(50)]
    assert repair(disk.store(), mode="sandbox", account="demo", now_us=NOW) == []


def test_repair_forgets_no_reserved_id_and_no_halt_behind_the_damage():
    ids, halt = IdsReserved(NOW, 1001, 2001), Latched(NOW, HALTED, "kill", "")
    disk = written([fill(1), fill(2), fill(3), ids, fill(4), halt, fill(5)])
    disk.flip(FIRST, ends(disk)[1] + 30)
    (done,) = repair(disk.store(), mode="sandbox", account="demo", now_us=NOW)
    assert done.rescued == 2
    assert recovered(disk) == [fill(1), ids, halt]


def test_repair_of_a_destroyed_first_header_begins_anew_with_what_must_not_be_forgotten():
    disk = written()
    disk.flip(FIRST, 25)
    (done,) = repair(disk.store(), mode="sandbox", account="demo", now_us=NOW)
    assert (done.kept_bytes, done.rescued) == (0, 1)
    assert recovered(disk) == [FACTS[0]]


def test_repair_of_an_older_segment_leaves_the_state_alone():
    disk = several_segments()
    disk.flip("journal-000002", ends(disk, "journal-000002")[1] + 30)
    repair(disk.store(), mode="sandbox", account="demo", now_us=NOW)
    assert verify(disk.store()).damage == ""
    assert list(read_events(disk.store())) == [fill(n) for n in (*range(1, 6), *range(9, 15))]
    assert journal(disk).open(NOW).state == b"state 12"


def test_repair_of_a_lost_checkpoint_falls_back_to_the_one_before():
    disk = several_segments()
    disk.flip("journal-000004", 60)
    with pytest.raises(JournalCorrupt):
        journal(disk).open(NOW)
    repair(disk.store(), mode="sandbox", account="demo", now_us=NOW)
    opened = journal(disk).open(NOW)
    assert (opened.state, opened.events) == (b"state 8", [fill(n) for n in range(9, 13)])


def test_repair_never_touches_a_journal_of_another_account():
    disk = written()
    disk.flip(FIRST, ends(disk)[2] + 30)
    with pytest.raises(JournalForeign):
        repair(disk.store(), mode="live", account="demo", now_us=NOW)
    assert sorted(disk.files) == [FIRST]
