"""A folder of the program's own: append-only files, whole replacements, one lock; nothing in it is readable by others."""

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z", re.ASCII)
FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

# A link under one of our names would let somebody else choose what we overwrite.
_FLAGS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class BadName(ValueError):
    """A name that could leave the folder, or that some file system cannot carry."""


def checked(name: str) -> str:
    """The name itself when it is plain. Raises BadName."""
    if not NAME.match(name) or name.endswith("."):
        raise BadName(f"{name[:60]!r} is not a plain file name; use up to 100 of A-Z a-z 0-9 . _ - and begin with a letter or a digit")
    return name


class FolderStore:
    """One folder, made when missing."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, readable by its owner alone. Raises OSError."""
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        if os.name == "posix":
            folder.chmod(FOLDER_MODE)
        self._folder = folder
        self._locks: dict[str, int] = {}

    def read(self, name: str) -> bytes:
        """The content of `name`; b"" when there is none. Raises OSError."""
        try:
            handle = os.open(self._path(name), os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            return b""
        with os.fdopen(handle, "rb") as file:
            return file.read()

    def open_append(self, name: str) -> "AppendFile":
        """Open for appending. Raises OSError."""
        path = self._path(name)
        is_new = not path.exists()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _FLAGS, FILE_MODE)
        try:
            _tighten(handle)
            if is_new:
                self._sync_folder()  # else the name itself may vanish with the power
        except OSError:
            os.close(handle)
            raise
        return AppendFile(handle)

    def replace(self, name: str, data: bytes) -> None:
        """Write whole and synced under `name`, or leave the old content. Raises OSError."""
        path = self._path(name)
        draft = self._folder / f".{name}.new"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, FILE_MODE)
        try:
            try:
                _tighten(handle)
                _write_all(handle, data)
                _sync(handle)
            finally:
                os.close(handle)
            draft.replace(path)
        except OSError:
            with suppress(OSError):  # the first error is the one to tell
                draft.unlink()
            raise
        self._sync_folder()

    def truncate(self, name: str, length: int) -> None:
        """Cut `name` to its first `length` bytes, durably. Raises OSError."""
        handle = os.open(self._path(name), os.O_WRONLY | _FLAGS)
        try:
            os.ftruncate(handle, length)
            _sync(handle)
        finally:
            os.close(handle)

    def remove(self, name: str) -> None:
        """Take `name` away, durably; harmless when there is none. Raises OSError."""
        self._path(name).unlink(missing_ok=True)
        self._sync_folder()

    def names(self) -> list[str]:
        """Names present, sorted; drafts of an interrupted replacement are not among them."""
        return sorted(entry.name for entry in self._folder.iterdir() if NAME.match(entry.name) and entry.is_file())

    def lock(self, name: str) -> bool:
        """Take an exclusive lock that ends with the process; True again when this store holds it already. Raises OSError."""
        if name in self._locks:
            return True
        handle = os.open(self._path(name), os.O_RDWR | os.O_CREAT | _FLAGS, FILE_MODE)
        if not _try_lock(handle):
            os.close(handle)
            return False
        self._locks[name] = handle
        return True

    def unlock(self, name: str) -> None:
        """Give a lock of ours back; harmless when we do not hold it."""
        handle = self._locks.pop(name, -1)
        if handle >= 0:
            os.close(handle)

    def close(self) -> None:
        """Give the locks back; the process's end does the same."""
        for handle in self._locks.values():
            os.close(handle)
        self._locks.clear()

    def _path(self, name: str) -> Path:
        return self._folder / checked(name)

    def _sync_folder(self) -> None:
        if os.name != "posix":
            return  # Windows offers no handle of a folder to sync
        handle = os.open(self._folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class AppendFile:
    """An append-only file whose records are there whole or not at all, as far as a full disk lets us keep that."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._length = os.fstat(handle).st_size
        self._torn = False

    def append(self, data: bytes) -> None:
        """Hand `data` to the operating system. Raises OSError; then nothing of `data` stays in the file."""
        if self._torn:
            self._heal()
        try:
            written = os.write(self._handle, data)
            if written != len(data):
                self._torn = True
                _write_all(self._handle, data[written:])
                self._torn = False
        except OSError:
            if self._torn:
                with suppress(OSError):  # tried again before the next append; the first error is the one to tell
                    self._heal()
            raise
        self._length += len(data)

    def sync(self) -> None:
        """Make all that was appended survive a loss of power. Raises OSError."""
        _sync(self._handle)

    def close(self) -> None:
        """Give the file back; harmless when it was given back."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _heal(self) -> None:
        os.ftruncate(self._handle, self._length)
        self._torn = False


def _write_all(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _tighten(handle: int) -> None:
    if os.name == "posix" and os.fstat(handle).st_mode & 0o077:
        os.fchmod(handle, FILE_MODE)


if sys.platform == "darwin":
    import fcntl

    def _sync(handle: int) -> None:
        # macOS's fsync stops at the drive's cache; only this reaches the medium.
        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)

else:
    _sync = getattr(os, "fdatasync", os.fsync)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
