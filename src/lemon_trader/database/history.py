"""Market data on the disk: Parquet files by market, kind and UTC day, whole numbers on the market's grid, each with the grid it is on.

A day's file is written whole under another name and then renamed, so there is the old one or the new one. It says which spans of its day
were asked for to the end: a minute that is missing inside them did not trade, one outside was never asked. Nothing is repaired here. Rows
that contradict stored ones are refused, unless the caller says that the new ones are right.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from lemon_trader.core.instrument import GateError, Instrument, refine, steps_between
from lemon_trader.core.units import US_PER_S

SCHEMA: Final = 1
DAY_US: Final = 86_400 * US_PER_S
HEAD: Final = b"lemon_trader"
SUFFIX: Final = ".parquet"

Ints = npt.NDArray[np.int64]
Columns = Mapping[str, Ints]
Span = tuple[int, int]  # half open, µs UTC


class HistoryError(ValueError):
    """Stored data that cannot be read or added to; the text names the file and the way out."""


class Kind(msgspec.Struct, frozen=True):
    """What sort of rows.

    Attributes:
        columns: every column, `at_us` first.
        ticks / lots: which of them are prices in ticks and quantities in lots.
        key: rows that agree in these are the same row.
        number: the column that alone says which row it is, where every row has one (`NO_ID` = it has none); "" = there is no such column.
            Without it equal rows may be several: the first of them is another than the second.
    """

    name: str
    columns: tuple[str, ...]
    ticks: tuple[str, ...]
    lots: tuple[str, ...]
    key: tuple[str, ...]
    number: str = ""


NO_ID: Final = -1
BARS: Final = Kind("bars", ("at_us", "open", "high", "low", "close", "lots"), ("open", "high", "low", "close"), ("lots",), ("at_us",))
TRADES: Final = Kind("trades", ("at_us", "id", "side", "ticks", "lots"), ("ticks",), ("lots",), ("at_us", "side", "ticks", "lots"), "id")
FUNDING: Final = Kind("funding", ("at_us", "rate_ppb"), (), (), ("at_us",))
KINDS: Final = {kind.name: kind for kind in (BARS, TRADES, FUNDING)}


class Series(msgspec.Struct, frozen=True, order=True):
    """One kind of one market; `every_us` is the length of its bars, 0 for everything else."""

    symbol: str
    kind: str
    every_us: int = 0

    @property
    def folder(self) -> str:
        """Its folder under the store's: `SOL_USDC/bars-60`."""
        return f"{self.symbol}/{self.kind}-{self.every_us // US_PER_S}" if self.every_us else f"{self.symbol}/{self.kind}"


class Head(msgspec.Struct, frozen=True):
    """What a file says of itself beside its rows."""

    schema: int
    instrument: Instrument
    covered: tuple[Span, ...]


class Added(msgspec.Struct, frozen=True):
    """What became of rows that were added: new ones, those that were there already, those that took the place of others."""

    new: int
    repeated: int
    replaced: int


class Listed(msgspec.Struct, frozen=True):
    """What there is of one series: days with a file, rows, the first and the last row's time (µs UTC), bytes on the disk."""

    series: Series
    days: int
    rows: int
    first_us: int
    last_us: int
    bytes: int


class History:
    """The store under one folder. One writer at a time; readers see each day as it was before a write, or after it."""

    def __init__(self, folder: Path) -> None:
        """Know where; nothing is read yet."""
        self.folder = folder

    def add(
        self, series: Series, instrument: Instrument, columns: Columns, covered: Span | None = None, *, replace: bool = False
    ) -> Added:  # fmt: skip
        """Write rows into the days that they belong to.

        Args:
            series: where they belong.
            instrument: on whose grid the columns are. A grid other than the stored one puts the days that are written on a grid that both
                divide, so no number is rounded.
            columns: the kind's columns, sorted by `at_us`; trades may come without `id`.
            covered: the span that was asked for to its end, µs UTC; None = the rows say nothing about what is missing.
            replace: a row that differs from the stored one of the same key takes its place.

        Raises:
            HistoryError: a row that differs from a stored one, an unreadable file, another market under the same name.
            OSError: the disk refuses.
        """
        kind = KINDS[series.kind]
        rows = _shaped(kind, columns)
        at_us = rows["at_us"]
        assert not np.any(np.diff(at_us) < (0 if kind.number else 1)), "rows are sorted by time"
        new = repeated = replaced = 0
        for day_us in _days(at_us, covered):
            part = slice(*np.searchsorted(at_us, [day_us, day_us + DAY_US]).tolist())
            span = None if covered is None else (max(covered[0], day_us), min(covered[1], day_us + DAY_US))
            added = self._add_day(series, kind, instrument, day_us, {name: column[part] for name, column in rows.items()}, span, replace)
            new, repeated, replaced = new + added.new, repeated + added.repeated, replaced + added.replaced
        return Added(new, repeated, replaced)

    def read(self, series: Series, start_us: int | None = None, end_us: int | None = None) -> tuple[Instrument, dict[str, Ints]]:
        """Rows in [start_us, end_us), µs UTC (None = no bound), and the grid that they are on: one that every day's divides.

        Raises:
            HistoryError: nothing is stored there, or a file cannot be read.
        """
        kind = KINDS[series.kind]
        days = [
            path for day_us, path in self._files(series)
            if (start_us is None or day_us + DAY_US > start_us) and (end_us is None or day_us < end_us)
        ]  # fmt: skip
        found = [self._load(path, kind) for path in days]
        if not found:
            raise HistoryError(
                f"nothing is stored of {series.folder} in the wanted period; `data list` shows what is, `data fetch` adds to it"
            )
        instrument = _common([head.instrument for head, _ in found], days[-1])
        parts = [_on_grid(kind, rows, head.instrument, instrument) for head, rows in found]
        rows = {name: np.concatenate([part[name] for part in parts]) for name in kind.columns}
        first = 0 if start_us is None else int(np.searchsorted(rows["at_us"], start_us))
        last = len(rows["at_us"]) if end_us is None else int(np.searchsorted(rows["at_us"], end_us))
        return instrument, {name: column[first:last] for name, column in rows.items()}

    def covered(self, series: Series, start_us: int, end_us: int) -> list[Span]:
        """The spans of [start_us, end_us) that were asked for to the end, µs UTC, in order. Raises HistoryError."""
        found: list[Span] = []
        for day_us, path in self._files(series):
            if day_us + DAY_US > start_us and day_us < end_us:
                found += self._head(path).covered
        return [(max(a, start_us), min(b, end_us)) for a, b in merged(found) if b > start_us and a < end_us]

    def missing(self, series: Series, start_us: int, end_us: int) -> list[Span]:
        """The spans of [start_us, end_us) that were not, µs UTC, in order. Raises HistoryError."""
        found = []
        here = start_us
        for begin, end in self.covered(series, start_us, end_us):
            if begin > here:
                found.append((here, begin))
            here = end
        return [*found, (here, end_us)] if here < end_us else found

    def listed(self) -> list[Listed]:
        """Everything that is stored, by market and kind. Raises HistoryError."""
        found = []
        for folder in sorted(self.folder.glob("*/*")):
            series = _series_of(folder)
            files = self._files(series) if series is not None else []
            if series is None or not files:
                continue
            tables = [(path, self._meta(path)) for _, path in files]
            first, last = self._load(files[0][1], KINDS[series.kind])[1], self._load(files[-1][1], KINDS[series.kind])[1]
            ends = [rows["at_us"] for rows in (first, last)]
            found.append(
                Listed(
                    series, len(files), sum(meta.num_rows for _, meta in tables), int(ends[0][0]) if len(ends[0]) else files[0][0],
                    int(ends[1][-1]) if len(ends[1]) else files[-1][0], sum(path.stat().st_size for path, _ in tables),
                )
            )  # fmt: skip
        return found

    def _add_day(
        self, series: Series, kind: Kind, instrument: Instrument, day_us: int, rows: Columns, span: Span | None, replace: bool,
    ) -> Added:  # fmt: skip
        path = self._path(series, day_us)
        if not path.exists():
            self._write(path, kind, Head(SCHEMA, instrument, (span,) if span else ()), rows)
            return Added(len(rows["at_us"]), 0, 0)
        head, old = self._load(path, kind)
        grid = _common([head.instrument, instrument], path)
        old, new = _on_grid(kind, old, head.instrument, grid), _on_grid(kind, rows, instrument, grid)
        both, added = _merged(kind, old, new, path, replace=replace)
        spans = tuple(merged([*head.covered, *([span] if span else [])]))
        if added.new or added.replaced or spans != head.covered or grid != head.instrument:
            self._write(path, kind, Head(SCHEMA, grid, spans), both)
        return added

    def _path(self, series: Series, day_us: int) -> Path:
        return self.folder / series.folder / f"{np.datetime64(day_us, 'us')!s:.10}{SUFFIX}"

    def _files(self, series: Series) -> list[tuple[int, Path]]:
        """(start of the day µs UTC, file) of each stored day, in order. Raises HistoryError for a file that is no day."""
        found = []
        for path in sorted((self.folder / series.folder).glob(f"*{SUFFIX}")):
            try:
                day_us = int(np.datetime64(path.stem, "D").astype("datetime64[us]").astype(np.int64))
            except ValueError:
                raise HistoryError(f"{path} is not a day of market data; take it out of the folder") from None
            found.append((day_us, path))
        return found

    def _meta(self, path: Path) -> Any:
        try:
            return parquet.read_metadata(path)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from None

    def _head(self, path: Path) -> Head:
        return _head_of(path, (self._meta(path).metadata or {}).get(HEAD))

    def _load(self, path: Path, kind: Kind) -> tuple[Head, dict[str, Ints]]:
        try:
            table = parquet.read_table(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from None
        head = _head_of(path, (table.schema.metadata or {}).get(HEAD))
        if tuple(table.column_names) != kind.columns:
            raise HistoryError(f"{path} has other columns than {', '.join(kind.columns)}; fetch or import that day again after removing it")
        return head, {name: table.column(name).to_numpy() for name in kind.columns}

    def _write(self, path: Path, kind: Kind, head: Head, rows: Columns) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        table = pa.table({name: pa.array(rows[name], pa.int64()) for name in kind.columns})
        table = table.replace_schema_metadata({HEAD: msgspec.json.encode(head)})
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                parquet.write_table(table, file, compression="zstd", write_page_checksum=True)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def merged(spans: Sequence[Span]) -> list[Span]:
    """The same time in as few spans as possible, in order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif begin < end:
            found.append((begin, end))
    return found


def _shaped(kind: Kind, columns: Columns) -> dict[str, Ints]:
    """The kind's columns in their order, as int64; trades that were told without a number get none."""
    rows = dict(columns)
    if kind.number and kind.number not in rows:
        rows[kind.number] = np.full(len(rows["at_us"]), NO_ID, np.int64)
    assert set(rows) == set(kind.columns), f"{sorted(rows)} are not the columns of {kind.name}"
    return {name: np.ascontiguousarray(rows[name], np.int64) for name in kind.columns}


def _days(at_us: Ints, covered: Span | None) -> list[int]:
    """The starts of all days that hold a row or a part of the span, µs UTC."""
    days = set(np.unique(at_us // DAY_US).tolist())
    if covered is not None:
        days |= set(range(covered[0] // DAY_US, -(-covered[1] // DAY_US)))
    return [day * DAY_US for day in sorted(days)]


def _merged(kind: Kind, old: Columns, new: Columns, path: Path, *, replace: bool) -> tuple[dict[str, Ints], Added]:
    """Both together, sorted by time. Raises HistoryError when a new row contradicts an old one and may not replace it."""
    is_numbered = bool(kind.number) and not any(np.any(rows[kind.number] == NO_ID) for rows in (old, new))
    compared = [name for name in kind.columns if name != kind.number]
    known = {key: number for number, key in enumerate(_keys(kind, old, is_numbered=is_numbered))}
    fresh, repeated, changed = [], 0, []
    for number, key in enumerate(_keys(kind, new, is_numbered=is_numbered)):
        stored = known.get(key)
        if stored is None:
            fresh.append(number)
        elif all(old[name][stored] == new[name][number] for name in compared):
            repeated += 1
        else:
            changed.append((stored, number))
    if changed and not replace:
        when = f"{np.datetime64(int(new['at_us'][changed[0][1]]), 'us')!s:.19} UTC"
        raise HistoryError(
            f"{len(changed)} rows differ from what {path} holds, the first of {when}; nothing of that day was written. "
            f"Say --replace if the new ones are right"
        )
    kept = {name: column.copy() for name, column in old.items()}
    for stored, number in changed:
        for name in kind.columns:
            kept[name][stored] = new[name][number]
    both = {name: np.concatenate([kept[name], new[name][fresh]]) for name in kind.columns}
    order = np.lexsort((both[kind.number], both["at_us"])) if is_numbered else np.argsort(both["at_us"], kind="stable")
    return {name: column[order] for name, column in both.items()}, Added(len(fresh), repeated, len(changed))


def _keys(kind: Kind, rows: Columns, *, is_numbered: bool) -> list[tuple[int, ...]]:
    """What says of each row which one it is; of equal rows that may be several, with which of them it is."""
    names = (kind.number,) if is_numbered else kind.key
    keys: list[tuple[int, ...]] = list(zip(*(rows[name].tolist() for name in names), strict=True))
    if is_numbered or not kind.number:
        return keys
    seen: dict[tuple[int, ...], int] = {}
    counted = []
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
        counted.append((*key, seen[key]))
    return counted


def _common(grids: Sequence[Instrument], path: Path) -> Instrument:
    """A grid that all of these divide, with the last one's filters."""
    found = grids[0]
    for grid in grids[1:]:
        if grid != found:
            try:
                found = refine(found, grid)
            except GateError as error:
                raise HistoryError(f"{path}: {error}") from None
    return found


def _on_grid(kind: Kind, rows: Columns, of: Instrument, to: Instrument) -> dict[str, Ints]:
    ticks, lots = (1, 1) if of == to else steps_between(of, to)
    factors = dict.fromkeys(kind.ticks, ticks) | dict.fromkeys(kind.lots, lots)
    return {name: column * factors[name] if factors.get(name, 1) != 1 else column for name, column in rows.items()}


def _series_of(folder: Path) -> Series | None:
    """The series whose folder this is; None for any other folder."""
    name, _, every = folder.name.partition("-")
    if name not in KINDS or bool(every) != (name == BARS.name) or (every and not every.isdecimal()):
        return None
    return Series(folder.parent.name, name, int(every or 0) * US_PER_S)


def _head_of(path: Path, text: bytes | None) -> Head:
    try:
        version = msgspec.json.decode(text or b"{}", type=dict[str, Any]).get("schema")
        if version != SCHEMA:
            raise HistoryError(
                f"{path} is written in version {version} of the store, and this program reads version {SCHEMA}; "
                f"use the program that wrote it, or remove the file and fetch or import that day again"
            )
        return msgspec.json.decode(text or b"", type=Head)
    except msgspec.DecodeError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> HistoryError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return HistoryError(f"{path} cannot be read ({reason}); remove it and fetch or import that day again")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows offers no handle of a folder to sync
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
