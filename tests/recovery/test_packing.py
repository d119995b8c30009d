"""Closed segments are packed: nothing of them is lost, wherever the program dies, and everybody reads them as before."""

import errno
import gzip

import pytest
from tests.fake_store import Disk, FakeStore
from tests.recovery.journals import NOW, ends, fill, journal, several_segments

from lemon_trader.core.events import IdsReserved
from lemon_trader.database.chain import JournalCorrupt, JournalCutOff
from lemon_trader.database.journal import read_events
from lemon_trader.database.journal_care import repair, verify
from lemon_trader.database.packing import DAY_US, LOOK_US, Packer

ALL = [fill(n) for n in range(1, 15)]
LATER = NOW + 8 * DAY_US
FILES = [f"journal-00000{n}" for n in (1, 2, 3, 4)]
FULL = OSError(errno.ENOSPC, "No space left on device")


def pack(disk: Disk, now_us: int = LATER, days: int = 7) -> Packer:
    """Pack until there is nothing more to do now."""
    packer = Packer(disk.store(), days=days)
    for _ in range(200):
        if not packer.step(now_us):
            return packer
    raise AssertionError("it never ends")


def is_whole(disk: Disk) -> None:
    """Recovery, records and verification find what they found before."""
    disk = disk.copy()
    assert list(read_events(disk.store())) == ALL
    found = verify(disk.store())
    assert (found.segments, found.damage, found.torn_bytes) == (4, "", 0)
    opened = journal(disk).open(NOW)
    assert (opened.state, opened.events, opened.sequence) == (b"state 12", ALL[12:], 12)


def test_what_is_packed_reads_as_before_and_takes_less_room():
    disk = several_segments()
    before = {name: bytes(image.data) for name, image in disk.files.items()}
    end_hash = verify(disk.store()).end_hash
    assert pack(disk).packed == FILES[:3]
    assert sorted(disk.files) == [f"{name}.gz" for name in FILES[:3]] + FILES[3:]
    assert all(gzip.decompress(disk.files[f"{name}.gz"].data) == before[name] for name in FILES[:3])
    assert verify(disk.store()).end_hash == end_hash
    is_whole(disk)


@pytest.mark.parametrize(
    ("says", "now_us", "days", "packed"),
    [
        ("a week has not passed", NOW + 7 * DAY_US - 1, 7, 0),
        ("the first is a week old, the others were begun a moment later", NOW + 7 * DAY_US, 7, 1),
        ("all that are closed are old", LATER, 7, 3),
        ("with 0 days what is closed is packed at once", NOW + 20, 0, 3),
        ("a clock that went back packs nothing", NOW - DAY_US, 0, 0),
    ],
)
def test_only_what_is_old_and_closed_is_packed(says, now_us, days, packed):
    disk = several_segments()
    assert len(pack(disk, now_us, days).packed) == packed, says
    is_whole(disk)


def test_the_journal_goes_on_behind_packed_segments_in_this_life_and_the_next():
    disk = several_segments()
    made = journal(disk, segment_bytes=500)
    made.open(NOW)
    pack(disk)
    made.append(fill(15))
    made.checkpoint(NOW + 15, b"state 15")
    made.append(fill(16))
    disk.kill()
    assert journal(disk).open(NOW).state == b"state 15"
    assert list(read_events(disk.store())) == [*ALL, fill(15), fill(16)]
    assert verify(disk.store()).damage == ""


def acts_of_a_packing() -> int:
    disk = several_segments()
    disk.calls.clear()
    pack(disk)
    return sum(disk.calls.values())


ACTS = acts_of_a_packing()


class Died(BaseException):
    """kill -9, in the middle of an act on the disk."""


@pytest.mark.parametrize("kept_pct", [None, 0, 50, 100], ids=["kill", "nothing unsynced is kept", "half of it is", "all of it is"])
def test_killed_or_without_power_at_any_act_nothing_is_lost_and_the_next_life_packs_on(kept_pct):
    assert ACTS > 20
    for at in range(1, ACTS + 1):
        disk = several_segments()
        count = 0

        def die(_act, _name, at=at):
            nonlocal count
            count += 1
            if count == at:
                raise Died

        disk.fail = die
        with pytest.raises(Died):
            pack(disk)
        disk.fail = lambda _act, _name: None
        if kept_pct is None:
            disk.kill()
        else:
            disk.lose_power(lambda _name, tail: tail[: len(tail) * kept_pct // 100])
        is_whole(disk)
        pack(disk)
        assert sorted(disk.files) == [f"{name}.gz" for name in FILES[:3]] + FILES[3:], at
        is_whole(disk)


@pytest.mark.parametrize("act", ["append", "sync", "remove", "open", "read"])
def test_a_disk_that_refuses_is_left_alone_for_an_hour_and_loses_nothing(act):
    disk = several_segments()
    disk.fail = lambda what, _name: FULL if what == act else None
    packer = pack(disk)
    assert packer.error
    assert packer.packed == []
    disk.fail = lambda _act, _name: None
    is_whole(disk)
    calls = sum(disk.calls.values())
    assert not packer.step(LATER + LOOK_US - 1)
    assert sum(disk.calls.values()) == calls
    while packer.step(LATER + LOOK_US):
        pass
    assert packer.packed == FILES[:3]
    assert packer.error == ""
    is_whole(disk)


def test_a_full_disk_keeps_the_plain_file_and_no_half_packed_one():
    disk = several_segments()
    disk.free_bytes = 40
    packer = pack(disk)
    assert "No space" in packer.error
    assert sorted(disk.files) == FILES
    is_whole(disk)


def test_a_disk_that_says_written_and_is_not_keeps_the_plain_file(monkeypatch):
    disk = several_segments()
    real = FakeStore.read

    def rotten(self, name):
        data = real(self, name)
        return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:] if name.endswith(".gz") else data

    monkeypatch.setattr(FakeStore, "read", rotten)
    packer = pack(disk)
    assert "does not read back" in packer.error
    monkeypatch.undo()
    assert sorted(disk.files) == FILES
    is_whole(disk)


def test_a_reader_that_listed_the_files_before_one_was_packed_finds_it_all_the_same():
    disk = several_segments()
    store = disk.store()
    names = store.names()
    pack(disk)
    store.names = lambda: names  # type: ignore[method-assign]
    assert list(read_events(store)) == ALL


@pytest.mark.parametrize("offset", [30, 250, -6])
def test_rot_in_a_packed_segment_is_found_and_repaired_as_far_as_it_can_be(offset):
    disk = several_segments()
    pack(disk)
    name = f"{FILES[1]}.gz"
    disk.flip(name, offset % len(disk.files[name].data))
    damaged = bytes(disk.files[name].data)
    assert name in verify(disk.store()).damage
    with pytest.raises(JournalCorrupt):
        list(read_events(disk.store()))
    assert journal(disk).open(NOW).events == ALL[12:], "no start needs it"
    repair(disk.store(), mode="sandbox", account="demo", now_us=NOW)
    assert bytes(disk.files[name].data) == damaged, "kept as it is"
    assert verify(disk.store()).damage == ""
    kept = [e for e in read_events(disk.store()) if e in ALL]
    assert kept == [e for e in ALL if e in kept]
    assert [e for e in ALL if e not in kept] == [e for e in ALL[4:8] if e not in kept], "only of this segment"
    assert journal(disk).open(NOW).events == ALL[12:]


def test_ids_behind_the_rot_of_a_packed_segment_are_not_forgotten():
    disk = several_segments()
    made = journal(disk, segment_bytes=1)
    made.open(NOW)
    ids = IdsReserved(NOW, 1, 1001)
    made.append(ids)
    made.append(fill(15))
    made.checkpoint(NOW + 1, b"state 15")
    disk.kill()
    bounds = ends(disk, FILES[3])
    disk.flip(FILES[3], bounds[1] + 30)  # rotten before it was packed
    pack(disk)
    repair(disk.store(), mode="sandbox", account="demo", now_us=NOW)
    assert ids in list(read_events(disk.store()))


def test_a_journal_without_its_oldest_files_starts_and_says_what_it_cannot_do():
    disk = several_segments()
    pack(disk)
    moved = disk.files.pop(f"{FILES[0]}.gz")
    assert journal(disk.copy()).open(NOW).state == b"state 12"
    assert "bring the older ones back" in verify(disk.store()).damage
    with pytest.raises(JournalCutOff, match="rebuild of the records"):
        list(read_events(disk.store()))
    disk.files[f"{FILES[0]}.gz"] = moved
    is_whole(disk)
