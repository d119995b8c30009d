"""Reading a journal without being its writer: the same facts as a start would recover from, and not a byte changed."""

from tests.fake_store import Disk, FakeStore

from lemon_trader.core.events import Started, UserCommand
from lemon_trader.database.journal import Journal, peek


def command(at_us: int) -> UserCommand:
    return UserCommand(at_us, "stop", "", "test")


def written(disk: Disk, *, torn: bytes = b"") -> Journal:
    journal = Journal(FakeStore(disk), mode="live", account="label")
    journal.open(1)
    journal.append(Started(2, "martingale", "SOL_USDC", 1, 0, 0, {}, "live"))
    journal.checkpoint(3, b"image")
    journal.append(command(4))
    if torn:
        FakeStore(disk).open_append("journal-000001").append(torn)
    return journal


def test_there_is_nothing_to_see_where_nothing_was_written():
    assert peek(FakeStore(Disk())) is None


def test_it_is_what_a_start_would_recover_from_and_changes_nothing():
    disk = Disk()
    written(disk, torn=b"half a record")
    store = FakeStore(disk)
    before = {name: store.read(name) for name in store.names()}
    seen = peek(store)
    assert seen is not None
    assert (seen.state, seen.events, seen.sequence, seen.cut_bytes) == (b"image", [command(4)], 1, len(b"half a record"))
    assert {name: store.read(name) for name in store.names()} == before
    opened = Journal(FakeStore(disk), mode="live", account="label").open(5)
    assert (opened.state, opened.events, opened.sequence) == (seen.state, seen.events, seen.sequence)
