"""The journal: every fact in order, written before anything reacts to it. The engine's state is a fold of it.

Account facts, user commands, wakes and turns are handed to the operating system at once and survive a killed process; market facts wait in
a buffer and go with the next of those, so a kill loses only market facts that caused nothing. What must survive a loss of power is synced:
reserved ids, latches, user commands and risk anchors always, each turn that sends an order under `durability="strict"`. `chain.py`
has the bytes.

When the disk refuses, the record is held in memory, `JournalUnwritable` is raised, and every later append tries again; nothing that was
appended is lost while the spool has room.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from lemon_trader.core.events import MARKET_FACTS, Anchor, AnyEvent, Decided, IdsReserved, Latched, MarketClosing, UserCommand
from lemon_trader.database.chain import (
    NO_HASH,
    VERSION,
    Checkpoint,
    Entry,
    Header,
    JournalCorrupt,
    JournalError,
    JournalTooNew,
    Segment,
    load,
    record,
    seal,
    segment_file,
    segment_files,
    segments,
    whole_files,
)
from lemon_trader.env import File, Store

__all__ = [
    "Durability", "Journal", "JournalBeside", "JournalCorrupt", "JournalError", "JournalForeign", "JournalLost", "JournalTooNew",
    "JournalUnwritable", "Opened", "peek", "read_events",
]  # fmt: skip

Durability = Literal["normal", "strict"]

MARKET_BUFFER_BYTES: Final = 8 * 1024  # more than this is written without waiting for an account fact
SEGMENT_BYTES: Final = 16 * 1024 * 1024  # a checkpoint beyond this begins a new file; so much is read at once to be packed
SPOOL_BYTES: Final = 16 * 1024 * 1024
_MARKET: Final = frozenset(MARKET_FACTS)
_SYNCED: Final = frozenset((IdsReserved, Latched, MarketClosing, Anchor, UserCommand))


class JournalUnwritable(JournalError):
    """The disk refused. What was appended is held in memory and written when the disk takes it; no new exposure until then."""


class JournalLost(JournalUnwritable):
    """The spool is full and a fact was not kept: this journal takes no more, and only a restart (which asks the venue) helps."""


class JournalForeign(JournalError):
    """The journal belongs to another mode or account."""


class Opened(msgspec.Struct, frozen=True):
    """What a start recovers from.

    Attributes:
        state: of the last checkpoint; None = there is none, `events` begin at the beginning.
        events: everything after it, in order.
        sequence: how many facts the journal holds before `events`.
        cut_bytes: torn tail that was cut off; 0 = the journal ended clean.
        cut_file: where those bytes were kept; "" = nothing was cut.
    """

    state: bytes | None
    events: list[AnyEvent]
    sequence: int
    cut_bytes: int
    cut_file: str


class Journal:
    """One writer's journal in `store`. The caller holds the store's lock: two writers would break the chain.

    Attributes:
        sequence: facts appended since the journal's very beginning, those in the buffer included.
        writable: False while the disk refuses.
        held_bytes: in the spool.
        dropped_facts: market facts that were not kept because the disk refused.
        syncs: how often the disk was asked to make everything durable.
    """

    def __init__(
        self, store: Store, name: str = "journal", *, mode: str, account: str, durability: Durability = "normal",
        segment_bytes: int = SEGMENT_BYTES, spool_bytes: int = SPOOL_BYTES,
    ) -> None:  # fmt: skip
        self.sequence = 0
        self.writable = True
        self.held_bytes = 0
        self.dropped_facts = 0
        self.syncs = 0
        self._store = store
        self._name = name
        self._mode = mode
        self._account = account
        self._strict = durability == "strict"
        self._segment_bytes = segment_bytes
        self._spool_bytes = spool_bytes
        self._spool: deque[bytes] = deque()
        self._lost = False
        self._torn = False  # an append failed: bytes beyond `_length` are not ours
        self._sync_owed = False
        self._file: File | None = None
        self._file_name = ""
        self._length = 0  # bytes of the segment that are whole records
        self._number = 1
        self._hash = NO_HASH  # of the last record
        self._waiting: list[bytes] = []  # entries of the next one
        self._waiting_bytes = 0
        self._encode = msgspec.msgpack.Encoder().encode

    def open(self, now_us: int) -> Opened:
        """Verify what counts since the last checkpoint, cut a torn tail, and go on writing behind it. Called once.

        Older segments are `journal verify`'s: a start that reads a month of market facts would leave a position unwatched for minutes.

        Raises:
            JournalCorrupt: damage in the middle; nothing was changed.
            JournalTooNew, JournalForeign: not for this program, mode or account.
            JournalUnwritable: it cannot be read or written.
        """
        try:
            return self._open(now_us)
        except OSError as error:
            raise JournalUnwritable(f"the journal cannot be opened ({error}); make the data directory writable and start again") from error

    def append(self, event: AnyEvent) -> None:
        """Remember a fact. Whatever is not a market fact has been handed to the operating system when this returns.

        Raises:
            JournalUnwritable: the disk refuses; the fact is held and must not be appended again. Market facts are dropped from then on.
            JournalLost: the spool is full; this fact is not remembered.
        """
        kind = type(event)
        if kind in _MARKET:
            if not self.writable:
                self.dropped_facts += 1
                return
            data = self._encode(event)
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            self.sequence += 1
            if self._waiting_bytes > MARKET_BUFFER_BYTES:
                self._write()
            return
        if self._lost:
            raise JournalLost(
                f"the journal lost facts while the disk refused ({self._spool_bytes} bytes were not enough); stop and start again"
            )
        self._waiting.append(self._encode(event))
        self.sequence += 1
        if kind in _SYNCED or (self._strict and isinstance(event, Decided) and event.attempts):
            self._sync_owed = True  # should the disk refuse now, it is paid when it takes the record
            self._write()
            self.sync()
        else:
            self._write()

    def sync(self) -> None:
        """Make everything appended survive a loss of power. Raises JournalUnwritable."""
        if self._waiting:
            self._write()
        if self._spool:
            self.retry()
        try:
            self._handle().sync()
        except OSError as error:
            self._sync_owed = True
            self.writable = False
            raise JournalUnwritable(
                f"{self._file_name} could not be synced ({error}); free or repair the disk, the next write tries again"
            ) from error
        self._sync_owed = False
        self.writable = not self._lost
        self.syncs += 1

    def retry(self) -> None:
        """Write what is held, if the disk takes it now. Appends do so by themselves. Raises JournalUnwritable."""
        try:
            while self._spool:
                self._put(self._spool[0])
                self.held_bytes -= len(self._spool.popleft())
        except OSError as error:
            self.writable = False
            raise self._unwritable(error) from error
        if self._sync_owed:
            self.sync()
        self.writable = not self._lost

    def checkpoint(self, ts_us: int, state: bytes) -> None:
        """Remember the whole state, synced; in a new segment when this one is long enough.

        Raises:
            JournalUnwritable: it may not be kept; the next one will do. Nothing that was appended is lost by it.
        """
        self.sync()  # a segment that is followed by another is durable to its last byte
        if self._lost:
            raise JournalLost("the journal lost facts while the disk refused; stop and start again")
        checkpoint = Checkpoint(ts_us, self.sequence, state)
        try:
            if self._length >= self._segment_bytes:
                header = Header(VERSION, self._mode, self._account, self._number + 1, self._hash, ts_us, self.sequence)
                self._begin(header, checkpoint)
                return
            data, digest = record(self._hash, (checkpoint,))
            self._put(data)
        except OSError as error:
            raise JournalUnwritable(f"no checkpoint in {self._file_name} ({error}); free space, the next one tries again") from error
        self._hash = digest
        self.sync()

    def close(self) -> None:
        """Write and sync what is left, and give the file back. Raises JournalUnwritable."""
        if not self._file_name:
            return
        try:
            self.sync()
        finally:
            if self._file is not None:
                self._file.close()
            self._file, self._file_name = None, ""

    def _open(self, now_us: int) -> Opened:
        files = segment_files(self._store, self._name)
        if not files:
            self._begin(Header(VERSION, self._mode, self._account, 1, NO_HASH, now_us, 0), None)
            return Opened(None, [], 0, 0, "")
        file, _, revision = files.pop()
        last = load(self._store, file, revision, None, is_last=True)
        self._check_ours(last)
        sequence, state, events = _since_checkpoint(last)
        while state is None and files:  # only behind a repair: a segment that a checkpoint did not begin
            file, _, revision = files.pop()
            sequence, state, earlier = _since_checkpoint(load(self._store, file, revision, None, is_last=False))
            events = earlier + events
        self.sequence = sequence + len(events)
        self._file_name, self._number, self._length = last.file, last.header.number, last.clean
        self._hash = last.end_hash
        cut_bytes, cut_file = len(last.data) - last.clean, ""
        if cut_bytes:
            cut_file = f"torn-{last.file}-{last.clean}"
            self._store.replace(cut_file, last.data[last.clean :])
            self._store.truncate(last.file, last.clean)
        self._handle()
        return Opened(state, events, sequence, cut_bytes, cut_file)

    def _check_ours(self, segment: Segment) -> None:
        theirs = (segment.header.mode, segment.header.account)
        if theirs != (self._mode, self._account):
            raise JournalForeign(
                f"{segment.file} is the journal of {theirs[0]} for account {theirs[1]!r}, not of {self._mode} for {self._account!r}; "
                f"each mode and account has a data directory of its own: name another one"
            )

    def _begin(self, header: Header, checkpoint: Checkpoint | None) -> None:
        """Make a segment, synced, and write to it from now on. Raises OSError, and then nothing has changed."""
        data, digest = record(header.previous, (header, checkpoint) if checkpoint else (header,))
        name = segment_file(self._name, header.number, 0)
        try:
            self._store.replace(name, data)
        except OSError:
            if (
                self._store.read(name) != data
            ):  # else only the last sync failed: it stands, and writing on behind the old one would part the chain
                raise
        if self._file is not None:
            self._file.close()
        self._file = None
        self._file_name, self._number, self._length = name, header.number, len(data)
        self._hash = digest

    def _write(self) -> None:
        """Seal the buffered record and hand it over, or hold it."""
        data, self._hash = seal(self._hash, self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        if self.writable and not self._torn:
            try:
                (self._file or self._handle()).append(data)
            except OSError as error:
                self._torn = True
                self._hold(data)
                raise self._unwritable(error) from error
            self._length += len(data)
            return
        self._hold(data)
        self.retry()

    def _hold(self, data: bytes) -> None:
        self.writable = False
        if self._lost or self.held_bytes + len(data) > self._spool_bytes:
            self._lost = True
            raise JournalLost(f"the disk refuses and the journal's {self._spool_bytes} bytes of memory are full; stop and start again")
        self._spool.append(data)
        self.held_bytes += len(data)

    def _put(self, data: bytes) -> None:
        """Append behind the last whole record, clearing away first what a failed append left. Raises OSError."""
        if self._torn:
            self._store.truncate(self._file_name, self._length)
            self._torn = False
        try:
            self._handle().append(data)
        except OSError:
            self._torn = True
            raise
        self._length += len(data)

    def _unwritable(self, error: OSError) -> JournalUnwritable:
        return JournalUnwritable(
            f"{self._file_name} cannot be written ({error}); {self.held_bytes} bytes are held in memory, no new exposure is taken. "
            f"Free space or make it writable: the next write tries again"
        )

    def _handle(self) -> File:
        """The segment's file. Raises OSError."""
        assert self._file_name, "Journal.open comes first"
        if self._file is None:
            self._file = self._store.open_append(self._file_name)
        return self._file


class JournalBeside:
    """The journal of an engine that may still live, for whoever acts beside it: read once, never written.

    What is appended is folded and forgotten; the engine's next start learns of it from the exchange.

    Attributes:
        sequence: facts read and appended.
    """

    def __init__(self, store: Store) -> None:
        self.sequence = 0
        self._store = store

    def open(self, now_us: int) -> Opened:
        """What stands there now. Raises JournalCorrupt, JournalTooNew, OSError."""
        del now_us
        opened = peek(self._store) or Opened(None, [], 0, 0, "")
        self.sequence = opened.sequence + len(opened.events)
        return opened

    def append(self, event: AnyEvent) -> None:
        """Count it."""
        del event
        self.sequence += 1

    def checkpoint(self, ts_us: int, state: bytes) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """There is nothing to give back."""


def peek(store: Store, name: str = "journal") -> Opened | None:
    """What a start would recover from, read without a lock and without changing a byte; None where there is no journal.

    A torn tail is left where it is and told as `cut_bytes`: it may be a record that is being written just now.

    Raises JournalCorrupt, JournalTooNew, OSError.
    """
    files = segment_files(store, name)
    if not files:
        return None
    file, _, revision = files.pop()
    last = load(store, file, revision, None, is_last=True)
    sequence, state, events = _since_checkpoint(last)
    while state is None and files:
        file, _, revision = files.pop()
        sequence, state, earlier = _since_checkpoint(load(store, file, revision, None, is_last=False))
        events = earlier + events
    return Opened(state, events, sequence, len(last.data) - last.clean, "")


def read_events(store: Store, name: str = "journal") -> Iterator[AnyEvent]:
    """Every fact from the very beginning, verified; a torn tail (a record being written just now) ends it. Changes nothing.

    Raises JournalCorrupt, JournalCutOff, JournalTooNew, OSError.
    """
    whole_files(store, name)
    for segment in segments(store, name):
        for index in range(len(segment.spans)):
            yield from _facts([segment.entries(index)])


def _since_checkpoint(segment: Segment) -> tuple[int, bytes | None, list[AnyEvent]]:
    """(facts before, state, facts after); every segment but the first has a checkpoint in its first record."""
    tail: list[list[Entry]] = []
    for index in reversed(range(len(segment.spans))):
        entries = segment.entries(index)
        for entry in entries:
            if type(entry) is Checkpoint:  # it is the last entry of its record
                return entry.sequence, entry.state, _facts(tail)
        tail.append(entries)
    return segment.header.sequence, None, _facts(tail)


def _facts(newest_first: list[list[Entry]]) -> list[AnyEvent]:
    return [e for entries in reversed(newest_first) for e in entries if not isinstance(e, (Header, Checkpoint))]
