"""A study on the disk: what was asked, by which code over which data, and every trial with its figures, as Parquet.

Batches are kept as parts as soon as they are played; a study that is done has all of them in one file. It goes on only where code, data
and space are what they were: figures of two programs in one table would be compared as if they were of one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lemon_trader.market.tables import BarTable
from lemon_trader.optimize.figures import FIGURES, Floats, reduced
from lemon_trader.optimize.space import Point, Space
from lemon_trader.optimize.study import Goal, Trials

SCHEMA: Final = 1
HEAD_FILE: Final = "study.json"
RESULTS_FILE: Final = "trials.parquet"
PART: Final = "part-"
CODE: Final = "code"
DATA: Final = "data"
SPACE: Final = "space"
PACKAGE: Final = Path(__file__).parents[1]
ROOMS: Final = ("formulas", "core", "strategies", "backtest", "optimize")


class StudyError(ValueError):
    """A study that cannot be read; the text names the file and the way out."""


class Head(msgspec.Struct, frozen=True):
    """What a study is.

    Attributes:
        schema: of these files.
        asked: everything that was asked, for people and for going on.
        fingerprints: of code, data and space (what is varied, what is fixed, what is wanted), sixteen digits each.
        scenarios: their names.
    """

    schema: int
    asked: dict[str, Any]
    fingerprints: dict[str, str]
    scenarios: tuple[str, ...]


class StudyStore:
    """One study in one folder."""

    def __init__(self, folder: Path, space: Space) -> None:
        """Know where; nothing is read or written yet."""
        self.folder = folder
        self._space = space
        self._parts = 0

    def head(self) -> Head | None:
        """What the folder's study is; None where there is none. Raises StudyError."""
        path = self.folder / HEAD_FILE
        if not path.is_file():
            return None
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Head)
        except msgspec.DecodeError as error:
            raise StudyError(f"{path} is not the head of a study ({str(error)[:120]}); choose another folder") from None
        if found.schema != SCHEMA:
            raise StudyError(f"{path} is of version {found.schema}, and this program reads version {SCHEMA}; begin a new study")
        return found

    def begin(self, head: Head) -> None:
        """Write what the study is. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self.folder / f".{HEAD_FILE}"
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(head)))
        beside.replace(self.folder / HEAD_FILE)

    def trials(self, scenarios: int) -> Trials:
        """Every trial that was kept, in order. Raises StudyError."""
        trials = Trials(scenarios)
        whole = self.folder / RESULTS_FILE
        parts = sorted(self.folder.glob(f"{PART}*.parquet"))
        self._parts = len(parts)
        for path in [*([whole] if whole.is_file() else []), *parts]:
            try:
                table = parquet.read_table(path, page_checksum_verification=True)
                levels = [table.column(f"level.{d.name}").to_pylist() for d in self._space.dimensions]
                columns = [[table.column(f"{s}.{name}").to_numpy() for name in FIGURES] for s in range(scenarios)]
            except (pa.ArrowException, OSError, KeyError) as error:
                raise StudyError(f"{path} cannot be read ({str(error).splitlines()[0][:120]}); begin a new study") from None
            points: list[Point] = list(zip(*levels, strict=True))
            numbers = table.column("trial").to_numpy()
            fresh = numbers >= len(trials)  # parts that were put together before, and could not be removed
            trials.add([p for p, is_new in zip(points, fresh, strict=True) if is_new], np.array(columns).transpose(0, 2, 1)[:, fresh])
        return trials

    def keep(self, begin: int, points: Sequence[Point], figures: Floats) -> None:
        """Write a batch whose first trial has the number `begin`. Raises OSError."""
        self._parts += 1
        self._write(self.folder / f"{PART}{self._parts:06d}.parquet", self._columns(begin, points, figures))

    def finish(self, trials: Trials, goal: Goal) -> Path:
        """Put all trials into one file, with their ranks and what all scenarios say together. Raises OSError."""
        columns = self._columns(0, trials.points, trials.figures)
        rank = np.zeros(len(trials), np.int64)
        for place, k in enumerate(trials.ranked(goal), 1):
            rank[k] = place  # 0 = the same point was tried before
        whole = reduced(trials.figures, goal.reducer)
        columns |= {"rank": rank} | {f"all.{name}": whole[:, n] for n, name in enumerate(FIGURES)}
        path = self.folder / RESULTS_FILE
        self._write(path, columns)
        for part in self.folder.glob(f"{PART}*.parquet"):
            part.unlink()
        self._parts = 0
        return path

    def _columns(self, begin: int, points: Sequence[Point], figures: Floats) -> dict[str, Any]:
        columns: dict[str, Any] = {"trial": np.arange(begin, begin + len(points))}
        for axis, d in enumerate(self._space.dimensions):
            columns[f"level.{d.name}"] = np.array([p[axis] for p in points], np.int64)
            columns[f"value.{d.name}"] = pa.array([d.levels[p[axis]] for p in points], pa.string())
        for s, rows in enumerate(figures):
            columns |= {f"{s}.{name}": rows[:, n] for n, name in enumerate(FIGURES)}
        return columns

    def _write(self, path: Path, columns: Mapping[str, Any]) -> None:
        beside = path.with_name(f".{path.name}")
        parquet.write_table(pa.table(dict(columns)), beside, compression="zstd", write_page_checksum=True)
        beside.replace(path)


def code_fingerprint(package: Path = PACKAGE) -> str:
    """What the sources that decide figures under `package` amount to, sixteen hexadecimal digits."""
    digest = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((package / room).rglob("*.py")):
            digest.update(str(path.relative_to(package)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def data_fingerprint(tables: Sequence[tuple[str, BarTable]]) -> str:
    """What names and bars amount to, sixteen hexadecimal digits."""
    digest = hashlib.sha256()
    for name, t in tables:
        digest.update(f"{name} {t.symbol} {t.every_us} {len(t)}".encode())
        for column in (t.at_us, t.open, t.high, t.low, t.close, t.lots):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:16]


def asked_fingerprint(asked: Mapping[str, Any]) -> str:
    """What a declaration amounts to, sixteen hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(dict(asked), order="sorted")).hexdigest()[:16]
