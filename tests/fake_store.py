"""A store in memory that can be killed, lose power, run full and rot: what a disk may do, exactly when a test says so.

`Disk` is what lies on the platter, `disk.store()` what a running process sees of it. `disk.kill()` ends the process: what was handed to
the operating system stays. `disk.lose_power(kept)` keeps of each file what was synced and as much of the rest as `kept` says.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Image:
    """One file: all that was written, and how much of it survives a loss of power."""

    data: bytearray = field(default_factory=bytearray)
    synced: int = 0


@dataclass
class Disk:
    """What outlives the process.

    Attributes:
        files: by name.
        free_bytes: room left; None = plenty. An append that does not fit writes what fits and fails, as disks do.
        fail: called with ("append" | "sync" | "replace" | "truncate" | "remove" | "read" | "open", name) before each act; what it returns is raised.
        locks: names of locks held by the living process.
        life: counts processes; handles of a dead one may not write.
        calls: how often each act was asked for.
    """

    files: dict[str, Image] = field(default_factory=dict)
    free_bytes: int | None = None
    fail: Callable[[str, str], OSError | None] = lambda _act, _name: None
    locks: set[str] = field(default_factory=set)
    life: int = 0
    calls: dict[str, int] = field(default_factory=dict)

    def store(self) -> "FakeStore":
        """The store as a process started now sees it."""
        return FakeStore(self, self.life)

    def kill(self) -> None:
        """End the process; what was written stays."""
        self.life += 1
        self.locks.clear()

    def lose_power(self, kept: Callable[[str, bytes], bytes] = lambda _name, _unsynced: b"") -> None:
        """End the process and the machine: of what was not synced, `kept(name, those bytes)` is found afterwards."""
        self.kill()
        for name, image in self.files.items():
            image.data[image.synced :] = kept(name, bytes(image.data[image.synced :]))
            image.synced = len(image.data)

    def flip(self, name: str, offset: int, mask: int = 0xFF) -> None:
        """Rot: change one byte."""
        self.files[name].data[offset] ^= mask

    def copy(self) -> "Disk":
        """Another disk with the same bytes, all of them synced and no process alive."""
        return Disk({name: Image(bytearray(image.data), len(image.data)) for name, image in self.files.items()})

    def act(self, act: str, name: str, life: int) -> None:
        """Count an act, refuse the dead, and raise what the test planned."""
        assert life == self.life, f"a dead process tried to {act} {name}"
        self.calls[act] = self.calls.get(act, 0) + 1
        error = self.fail(act, name)
        if error is not None:
            raise error

    def room(self, wanted: int) -> int:
        """How much of `wanted` bytes there is room for; takes it."""
        if self.free_bytes is None:
            return wanted
        fits = min(wanted, self.free_bytes)
        self.free_bytes -= fits
        return fits


@dataclass
class FakeFile:
    """An open file of one process."""

    disk: Disk
    name: str
    life: int

    def append(self, data: bytes) -> None:
        """Write, or as much as fits before failing."""
        self.disk.act("append", self.name, self.life)
        fits = self.disk.room(len(data))
        self.disk.files[self.name].data += data[:fits]
        if fits < len(data):
            raise full()

    def sync(self) -> None:
        """Everything written survives from now on."""
        self.disk.act("sync", self.name, self.life)
        image = self.disk.files[self.name]
        image.synced = len(image.data)

    def close(self) -> None:
        """Nothing is lost or gained by it."""


@dataclass
class FakeStore:
    """`lemon_trader.env.Store` over a `Disk`."""

    disk: Disk = field(default_factory=Disk)
    life: int = 0

    def read(self, name: str) -> bytes:
        """All bytes; b"" when there is no such file."""
        self.disk.act("read", name, self.life)
        image = self.disk.files.get(name)
        return bytes(image.data) if image else b""

    def open_append(self, name: str) -> FakeFile:
        """A file to append to."""
        self.disk.act("open", name, self.life)
        self.disk.files.setdefault(name, Image())
        return FakeFile(self.disk, name, self.life)

    def replace(self, name: str, data: bytes) -> None:
        """Whole and synced, or not at all."""
        self.disk.act("replace", name, self.life)
        old = self.disk.files.get(name, Image())
        if self.disk.free_bytes is not None:
            if len(data) > self.disk.free_bytes:
                raise full()
            self.disk.free_bytes += len(old.data) - len(data)
        self.disk.files[name] = Image(bytearray(data), len(data))

    def truncate(self, name: str, length: int) -> None:
        """Cut, durably."""
        self.disk.act("truncate", name, self.life)
        image = self.disk.files[name]
        if self.disk.free_bytes is not None:
            self.disk.free_bytes += max(0, len(image.data) - length)
        del image.data[length:]
        image.synced = min(image.synced, length)

    def remove(self, name: str) -> None:
        """Take it away, durably."""
        self.disk.act("remove", name, self.life)
        image = self.disk.files.pop(name, Image())
        if self.disk.free_bytes is not None:
            self.disk.free_bytes += len(image.data)

    def names(self) -> list[str]:
        """Sorted."""
        return sorted(self.disk.files)

    def lock(self, name: str) -> bool:
        """True once per life."""
        if name in self.disk.locks:
            return False
        self.disk.locks.add(name)
        return True

    def unlock(self, name: str) -> None:
        """Give it back."""
        self.disk.locks.discard(name)


def full() -> OSError:
    """What a full disk says."""
    return OSError(errno.ENOSPC, "No space left on device")
