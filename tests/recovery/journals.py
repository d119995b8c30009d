"""Facts, and journals of them on disks that a test may break."""

from tests.fake_store import Disk

from lemon_trader.core.events import (
    AnyEvent,
    Attempted,
    Balance,
    Decided,
    Fill,
    IdsReserved,
    PlaceAccepted,
    Touch,
    Wake,
)
from lemon_trader.database.chain import HEAD_BYTES
from lemon_trader.database.journal import (
    Journal,
)

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
