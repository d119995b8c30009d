"""The parts of a tape on the disk: opened, grown, flushed once a second, followed by the next."""

import gzip
from pathlib import Path
from typing import IO, Final

from lemon_trader.core.units import US_PER_S
from lemon_trader.market.tape import SUFFIXES, mark_line

FLUSH_US: Final = US_PER_S  # a killed recorder loses no more than this
FRAGMENT: Final = 1 << 16


class TapeWriter:
    """Writes one part after the other. Every call may raise OSError: the disk is full, or the folder gone.

    Attributes:
        parts: the files so far.
        written: bytes of lines, before they were packed.
    """

    def __init__(self, first: Path) -> None:
        """Open the first part. Raises OSError when it is there already."""
        self.parts = [first]
        self.written = 0
        self._flushed_us = 0
        self._file: IO[bytes] | None = None
        self._packed: gzip.GzipFile | None = None
        self._open(first)

    def write(self, line: bytes, now_us: int) -> None:
        """Append one line."""
        target = self._packed or self._file
        assert target is not None
        target.write(line)
        self.written += len(line)
        if now_us - self._flushed_us >= FLUSH_US:
            self.flush(now_us)

    def flush(self, now_us: int) -> None:
        """Hand everything to the operating system."""
        assert self._file is not None
        if self._packed is not None:
            self._packed.flush()
        self._file.flush()
        self._flushed_us = now_us

    @property
    def part_bytes(self) -> int:
        """What this part has on the disk, as of the last flush."""
        return 0 if self._file is None else self._file.tell()

    def next_part(self, now_us: int) -> int:
        """End this part, naming the next one; its number. The caller writes its head and books."""
        number = len(self.parts) + 1
        path = self.parts[0].with_name(part_name(self.parts[0].name, number))
        self.write(mark_line(now_us, "next", path.name), now_us)
        self._close()
        self._open(path)
        self.parts.append(path)
        return number

    def end(self, now_us: int, why: str) -> None:
        """End the tape in order; harmless when it has ended."""
        if self._file is not None:
            self.write(mark_line(now_us, "end", why), now_us)
            self._close()

    def _open(self, path: Path) -> None:
        file = path.open("xb")
        self._file = file
        self._packed = gzip.GzipFile("", "wb", 6, file, 0) if path.suffix == ".gz" else None
        self._flushed_us = 0

    def _close(self) -> None:
        file, packed = self._file, self._packed
        self._file = self._packed = None
        try:
            if packed is not None:
                packed.close()
        finally:
            if file is not None:
                file.close()


def part_name(first: str, number: int) -> str:
    """The name of a further part: `tape.jsonl.gz` goes on as `tape.2.jsonl.gz`."""
    ending = next(e for e in sorted(SUFFIXES, key=len, reverse=True) if first.endswith(e))
    return f"{first.removesuffix(ending)}.{number}{ending}"
