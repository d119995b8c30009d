"""The journal comes back whole after a kill, torn but clean after a loss of power, and loud after rot."""

import contextlib
import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fake_store import Disk, FakeStore, full

from lemon_trader.core.events import (
    Anchor,
    AnyEvent,
    Attempted,
    Balance,
    Decided,
    Fill,
    IdsReserved,
    Latched,
    PlaceAccepted,
    Touch,
    Wake,
)
from lemon_trader.core.units import HALTED
from lemon_trader.database.chain import HEAD_BYTES, Header, JournalTooNew, record
from lemon_trader.database.journal import (
    MARKET_BUFFER_BYTES,
    Journal,
    JournalCorrupt,
    JournalForeign,
    JournalLost,
    JournalUnwritable,
    read_events,
)
from lemon_trader.database.journal_care import repair, verify

NOW = 1_790_000_000_000_000
FIRST = "journal-000001"


def touch(n: int) -> Touch:
    return Touch(NOW + n, NOW + n, "SOL_USDC", 10_000 + n, 5, 10_001 + n, 6, n)


def fill(n: int) -> Fill:
    return Fill(NOW + n, NOW + n, "SOL_USDC", f"1{n}", n, "", n, 1, 10_000, 3, 24_000, "USDC", "0.000024", True, 3, "USER")


def turn(n: int) -> Decided:
    attempt = Attempted(NOW + n, "SOL_USDC", n, 0, 0, 0, 1, 0, 0, 10_000, 0, 3, 3, NOW + n + 5_000_000)
    return Decided(NOW + n, "SOL_USDC", b"view", b"position", b"memory", (attempt,), ())


FACTS: list[AnyEvent] = [
    IdsReserved(NOW, 1, 1001),
    touch(1),
    touch(2),
    turn(3),
    PlaceAccepted(NOW + 4, NOW + 4, "SOL_USDC", 3, "99", "New", 0),
    fill(5),
    Balance(NOW + 6, NOW + 6, "USDC", 10**12, 0),
    Wake(NOW + 7),
    turn(8),
    fill(9),
]


def journal(disk: Disk, **options) -> Journal:
    return Journal(disk.store(), mode=options.pop("mode", "sandbox"), account=options.pop("account", "demo"), **options)


def started(disk: Disk, **options) -> Journal:
    made = journal(disk, **options)
    made.open(NOW)
    return made


def written(facts: list[AnyEvent] = FACTS, **options) -> Disk:
    disk = Disk()
    made = started(disk, **options)
    for fact in facts:
        made.append(fact)
    return disk


def recovered(disk: Disk, **options) -> list[AnyEvent]:
    return journal(disk, **options).open(NOW + 100).events


def ends(disk: Disk, name: str = FIRST) -> list[int]:
    """Where each record of a segment ends."""
    data = bytes(disk.files[name].data)
    found, at = [], 0
    while at < len(data):
        at += HEAD_BYTES + int.from_bytes(data[at : at + 4], "little")
        found.append(at)
    return found


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
    disk.store().replace(FIRST, record(bytes(16), [Header(7, "sandbox", "demo", 1, bytes(16), NOW)])[0])
    with pytest.raises(JournalTooNew, match="version 7"):
        journal(disk).open(NOW)


@pytest.mark.parametrize(("mode", "account"), [("live", "demo"), ("sandbox", "other")])
def test_a_journal_of_another_mode_or_account_is_never_opened(mode, account):
    disk = written()
    with pytest.raises(JournalForeign, match="sandbox for account 'demo'"):
        journal(disk, mode=mode, account=account).open(NOW)


# ---- checkpoints and segments ----


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
    assert (opened.state, opened.events) == (b"two", [fill(4)])
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


def several_segments() -> Disk:
    disk = Disk()
    made = started(disk, segment_bytes=500)
    for n in range(1, 13):
        made.append(fill(n))
        if n % 4 == 0:
            made.checkpoint(NOW + n, b"state %d" % n)
    made.append(fill(13))
    made.append(fill(14))
    made.close()
    disk.kill()
    return disk


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


# ---- a disk that refuses ----


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


# ---- care ----


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
