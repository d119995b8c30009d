"""Closed segments of the journal are packed: the same bytes at a fraction of the size. Nothing is ever removed but what stands packed.

A segment is packed some days after it began, and only when another one follows. The work is done in slices between two wakes, because it
shares the loop with the engine. Until the packed file is whole, synced and read back, the plain one stays and is the one that counts; so
wherever the program dies, one of both is there, and the next life begins the packing anew.
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from lemon_trader.database.chain import GZIP, PACKED, SLICE_BYTES, began_us, segment_files
from lemon_trader.env import Store

DAY_US: Final = 86_400 * 1_000_000
LOOK_US: Final = 3_600 * 1_000_000  # between two looks for something to pack, and after a disk that refused


class Packer:
    """Packs what is old enough, one slice a step.

    Attributes:
        packed: files that it has packed, in order.
        error: why the last try failed; "" = it did not.
    """

    def __init__(self, store: Store, *, days: int, name: str = "journal") -> None:
        """Pack what began more than `days` ago, >= 0. The caller holds the store's lock."""
        self.packed: list[str] = []
        self.error = ""
        self._store = store
        self._name = name
        self._days_us = days * DAY_US
        self._next_us = 0
        self._work: Iterator[None] | None = None
        self._began: dict[str, int] = {}  # what was read of closed segments, so that each is read once

    def step(self, now_us: int) -> bool:
        """Do one slice; False when there is nothing to do just now. A disk that refuses is left alone for an hour."""
        try:
            if self._work is None:
                if now_us < self._next_us:
                    return False
                self._next_us = now_us + LOOK_US
                file = self._due(now_us)
                if not file:
                    return False
                self._work, self.error = self._pack(file), ""
            next(self._work)
        except StopIteration:
            self._work = None
            self._next_us = now_us  # there may be another one
        except OSError as error:
            self.error = str(error)
            self._work = None
        return True

    def _due(self, now_us: int) -> str:
        """The oldest closed segment that is old enough and stands plain."""
        for file, _, _ in segment_files(self._store, self._name)[:-1]:
            if file.endswith(PACKED):
                continue
            if file not in self._began:
                self._began[file] = began_us(self._store.read(file))
            if self._began[file] <= now_us - self._days_us:
                return file
        return ""

    def _pack(self, file: str) -> Iterator[None]:
        """Write the packed file, read it back, and take the plain one away. Raises OSError, and then the plain one stands."""
        store, target = self._store, file + PACKED
        data = memoryview(store.read(file))
        store.remove(target)  # what a packing that died has left
        yield
        try:
            yield from self._write(target, data)
            yield from self._compare(target, data)
        except OSError:
            with suppress(OSError):  # the first error is the one to tell
                store.remove(target)
            raise
        store.remove(file)
        self.packed.append(file)

    def _write(self, target: str, data: memoryview) -> Iterator[None]:
        squeeze = zlib.compressobj(wbits=GZIP)
        out = self._store.open_append(target)
        try:
            for at in range(0, len(data), SLICE_BYTES):
                out.append(squeeze.compress(data[at : at + SLICE_BYTES]))
                yield
            out.append(squeeze.flush())
            out.sync()
        finally:
            out.close()

    def _compare(self, target: str, data: memoryview) -> Iterator[None]:
        """Read back what was written: the disk's word is not taken for it."""
        unpack, at = zlib.decompressobj(GZIP), 0
        rest = self._store.read(target)
        while not unpack.eof:
            try:
                part = unpack.decompress(rest, SLICE_BYTES)
            except zlib.error as error:
                raise OSError(f"{target} does not read back as it was written ({error})") from error
            if part != data[at : at + len(part)] or not (part or unpack.eof):
                break
            at += len(part)
            rest = unpack.unconsumed_tail
            yield
        if not unpack.eof or at != len(data):
            raise OSError(f"{target} does not read back as it was written; {at} of {len(data)} bytes agree")
