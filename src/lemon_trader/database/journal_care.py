"""Care of a journal that nobody writes just now: `journal verify` and `journal repair`."""

import msgspec

from lemon_trader.core.events import IdsReserved, Latched
from lemon_trader.database.chain import (
    NO_HASH,
    PACKED,
    VERSION,
    Checkpoint,
    Entry,
    Header,
    JournalCorrupt,
    JournalCutOff,
    Segment,
    decode_body,
    examine,
    intact_after,
    record,
    segment_file,
    segment_files,
    segments,
    unpacked,
    whole_files,
)
from lemon_trader.database.journal import JournalForeign
from lemon_trader.env import Store


class Verified(msgspec.Struct, frozen=True):
    """What a look at the whole chain found.

    Attributes:
        segments, records, entries: how many verify (entries: facts, headers and checkpoints).
        clean_bytes: of what verifies.
        torn_bytes: of a torn tail that the next start will cut; 0 = none.
        end_hash: of the last record, hex; two copies of one journal agree in it.
        damage: what is wrong in the middle, with file and byte; "" = nothing.
    """

    segments: int
    records: int
    entries: int
    clean_bytes: int
    torn_bytes: int
    end_hash: str
    damage: str


class Repaired(msgspec.Struct, frozen=True):
    """What a repair did.

    Attributes:
        file: the new file.
        damaged: the file that is not read any more, and is kept.
        offset: where in it the damage begins, bytes.
        kept_bytes: copied from before the damage.
        left_bytes: from the damage on.
        rescued: facts taken over from behind the damage, because forgetting them would be unsafe: reserved ids and latches.
    """

    file: str
    damaged: str
    offset: int
    kept_bytes: int
    left_bytes: int
    rescued: int


def verify(store: Store, name: str = "journal") -> Verified:
    """Read the whole journal and check every hash, link and entry. Changes nothing. Raises JournalTooNew, OSError."""
    files = records = entries = clean = torn = 0
    end_hash, damage = "", ""
    try:
        whole_files(store, name)
        for segment in segments(store, name):
            entries += sum(len(segment.entries(index)) for index in range(len(segment.spans)))
            files += 1
            records += len(segment.spans)
            clean += segment.clean
            torn = len(segment.data) - segment.clean
            end_hash = segment.end_hash.hex()
    except (JournalCorrupt, JournalCutOff) as error:
        damage = str(error)
    return Verified(files, records, entries, clean, torn, end_hash, damage)


def repair(store: Store, name: str = "journal", *, mode: str, account: str, now_us: int) -> list[Repaired]:
    """Write what stands before each damage to a new file that later starts read instead; the damaged files stay as they are.

    What is lost behind the damage the venue is asked for at the next start. Client ids reserved there and latches set there are taken over:
    without them an id could be used twice, or a halt forgotten.

    Raises:
        JournalForeign: the journal is of another mode or account.
        JournalTooNew, OSError: it cannot be read, or the new file not be written.
    """
    done: list[Repaired] = []
    while True:
        before: Segment | None = None
        try:
            for segment in segments(store, name):
                _check_ours(segment.header, segment.file, mode, account)
                for index in range(len(segment.spans)):
                    segment.entries(index)
                before = segment
        except JournalCorrupt as error:
            done.append(_repair(store, name, error, before, Header(VERSION, mode, account, 1, NO_HASH, now_us, 0)))
        else:
            return done


def _repair(store: Store, name: str, error: JournalCorrupt, before: Segment | None, fresh: Header) -> Repaired:
    """Make the next revision of the damaged segment: its clean part, or only a header of its own when not even that is clean."""
    number, revision = next((n, r) for file, n, r in segment_files(store, name) if file == error.file)
    data, offset = store.read(error.file), error.offset
    if error.file.endswith(PACKED):
        data, _ = unpacked(data)
        whole, _ = examine(error.file, revision, data, None)
        offset = min(offset, whole.clean if whole is not None else 0)  # what comes out of it may end within a record
    if offset:
        kept = data[:offset]
        part, _ = examine(error.file, revision, kept, None)
        assert part is not None, "what stands before the damage verifies"
        _check_ours(part.header, error.file, fresh.mode, fresh.account)
        digest = part.end_hash
    else:
        header = (
            fresh
            if before is None
            else msgspec.structs.replace(
                fresh, number=number, previous=before.end_hash, sequence=before.header.sequence + _count_facts(before)
            )
        )
        kept, digest = record(header.previous, (header,))
    rescued = _rescue(data, offset, digest)
    new_file = segment_file(name, number, revision + 1)
    store.replace(new_file, kept + (record(digest, rescued)[0] if rescued else b""))
    return Repaired(new_file, error.file, offset, offset, len(data) - offset, len(rescued))


def _count_facts(segment: Segment) -> int:
    return sum(not isinstance(e, (Header, Checkpoint)) for index in range(len(segment.spans)) for e in segment.entries(index))


def _rescue(data: bytes, damage: int, digest: bytes) -> list[Entry]:
    """Reserved ids and latches in the intact records from byte `damage` on."""
    found: list[Entry] = []
    for begin, end in intact_after(data, damage, digest):
        try:
            entries = decode_body(memoryview(data)[begin:end])
        except msgspec.DecodeError:
            continue  # it verifies but says what this program does not know: nothing of it can be taken over
        found += [e for e in entries if isinstance(e, (IdsReserved, Latched))]
    return found


def _check_ours(header: Header, file: str, mode: str, account: str) -> None:
    if (header.mode, header.account) != (mode, account):
        raise JournalForeign(f"{file} is the journal of {header.mode} for account {header.account!r}, not of {mode} for {account!r}")
