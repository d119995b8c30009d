"""The commands of market data: fetch it from the exchange, import files, list what is stored, check it."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from lemon_trader.api.client import ReadLost
from lemon_trader.config.data import TRADES, FetchSettings, ImportSettings, LookSettings
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.periods import moment_text
from lemon_trader.config.settings import Face
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.database import history
from lemon_trader.database.history import Added, History, HistoryError, Ints, Series
from lemon_trader.env_live import FolderStore, LiveEnv, Proxies
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.market import faults
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.faults import Fault, file_faults
from lemon_trader.market.files import played, refuse_inverse
from lemon_trader.market.instruments import UnknownMarket, default_instrument
from lemon_trader.market.tables import read_bars, read_funding, read_trades
from lemon_trader.run.data_fetch import Fetcher
from lemon_trader.run.parts import EXCHANGE
from lemon_trader.run.stored import stored_bars, stored_trades
from lemon_trader.run.trading import FAILED, OK, REFUSED, carry

LOCK: Final = "write.lock"
SAY_S: Final = 5
SHOWN_MAX: Final = 10  # faults of one kind that a screen shows; `--json` has all
NEVER_IMPORTED: Final = frozenset({faults.BACKWARDS, faults.DUPLICATE, faults.OVERLAP, faults.IMPOSSIBLE, faults.FUTURE})


def run_fetch(settings: FetchSettings, face: Face) -> int:
    """Fetch until everything is there; the exit code: 0 done, 1 broken off (what came is kept), 2 refused before anything was asked."""
    with _Writing(settings.folder):
        return carry(_fetch(settings, face), face)


def run_import(settings: ImportSettings, face: Face) -> int:
    """Import every file, or none of those that follow a refused one; the exit code: 0 done, 2 refused."""
    told = []
    with _Writing(settings.folder):
        for path in settings.files:
            try:
                told.append(_import(path, settings, face))
            except (RecordingError, HistoryError, UnknownMarket) as error:
                face.say("data.refused", reason=str(error))
                return REFUSED
    face.result({"imported": told})
    return OK


def run_list(settings: LookSettings, face: Face) -> int:
    """Show what is stored; the exit code."""
    try:
        listed = History(settings.folder).listed()
    except HistoryError as error:
        face.say("data.refused", reason=str(error))
        return FAILED
    if not listed:
        face.say("data.nothing", folder=settings.folder)
    else:
        columns = ("column.symbol", "column.data", "column.days", "column.rows", "column.first", "column.last", "column.mib")
        rows = []
        for x in listed:
            mib = f"{x.bytes / (1 << 20):.1f}"
            rows.append((x.series.symbol, _name(x.series), x.days, x.rows, moment_text(x.first_us), moment_text(x.last_us), mib))
        face.table("data.listed", columns, rows)
    face.result({"folder": str(settings.folder), "series": [msgspec.to_builtins(x) for x in listed]})
    return OK


def run_check(settings: LookSettings, face: Face) -> int:
    """Look at files or at what is stored, and report what is wrong; the exit code: 0 nothing is, 1 something is, 2 unreadable."""
    now_us = time.time_ns() // 1_000
    told: list[Mapping[str, object]] = []
    try:
        looks = _file_looks(settings, now_us) if settings.files else _stored_looks(settings, now_us)
        for name, rows, found in looks:
            told.append({"name": name, "rows": rows, "faults": [msgspec.to_builtins(f) for f in found]})
            _show_faults(face, name, rows, found)
    except (RecordingError, HistoryError, UnknownMarket) as error:
        face.say("data.refused", reason=str(error))
        return REFUSED
    if not told:
        face.say("data.nothing", folder=settings.folder)
    face.result({"checked": told})
    return FAILED if any(look["faults"] for look in told) else OK


async def _fetch(settings: FetchSettings, face: Face) -> int:
    trouble: list[str] = []
    env = LiveEnv(settings.folder, lambda part, error: trouble.append(f"{part}: {error!r}"), proxies=Proxies(environ=os.environ))
    known = exchange(EXCHANGE)
    fetcher = Fetcher(env, settings.rest_url or known.rest_url, known.dialect(), History(settings.folder), told=_teller(face))
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows has no handlers on a loop: Ctrl-C raises there
            asyncio.get_running_loop().add_signal_handler(number, setattr, fetcher, "is_stopping", True)
    try:
        listed = await fetcher.markets()
        missing = [symbol for symbol in settings.symbols if symbol not in listed]
        if missing:
            face.say("data.unknown-market", symbol=", ".join(missing))
            return REFUSED
        for symbol in settings.symbols:
            face.say("data.fetching", symbol=symbol, what=settings.what, start=moment_text(settings.start_us))
            if settings.what == TRADES:
                await fetcher.trades(listed[symbol], settings.start_us)
            else:
                end_us = settings.end_us if settings.end_us is not None else await fetcher.now_us()
                await fetcher.bars(listed[symbol], settings.interval, settings.every_s * US_PER_S, settings.start_us, end_us)
    except ReadLost as error:
        face.say("data.broken-off", reason=str(error), rows=fetcher.done.new)
        return FAILED
    except HistoryError as error:
        face.say("data.refused", reason=str(error))
        return FAILED
    finally:
        fetcher.close()
        await env.close()
        face.result(msgspec.to_builtins(fetcher.done) | {"stopped": fetcher.is_stopping})
    done = fetcher.done
    face.say("data.stopped" if fetcher.is_stopping else "data.fetched", rows=done.new, repeated=done.repeated, requests=done.requests)
    return FAILED if trouble else OK


def _teller(face: Face) -> Callable[[str, int], None]:
    """Says how far a fetch has come, at most every few seconds."""
    said_s = time.monotonic()

    def told(symbol: str, at_us: int) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= SAY_S:
            said_s = time.monotonic()
            face.say("data.so-far", symbol=symbol, at=moment_text(at_us))

    return told


def _import(path: Path, settings: ImportSettings, face: Face) -> Mapping[str, object]:
    """One file into the store. Raises RecordingError, HistoryError, UnknownMarket."""
    refuse_inverse(path)
    symbol = settings.symbol or played(path, None).symbol
    store = History(settings.folder)
    instrument = _grid_of(store, symbol)
    found, rows, kind = file_faults(path, instrument, time.time_ns() // 1_000 + settings.offset_us)
    refused = [f for f in found if f.kind in NEVER_IMPORTED or (f.kind == faults.OFF_GRID and not settings.to_nearest)]
    if refused:
        _show_faults(face, str(path), rows, found)
        only_grid = all(f.kind == faults.OFF_GRID for f in refused)
        wrong = sum(f.rows for f in refused)
        raise RecordingError(
            "recording.not-on-grid" if only_grid else "recording.not-imported", file=path.name, rows=wrong, tick=instrument.tick
        )
    series, columns, off_grid = _columns_of(path, kind, instrument, is_quote_volume=settings.is_quote_volume)
    columns["at_us"] = columns["at_us"] - settings.offset_us
    added = store.add(series, instrument, columns, replace=settings.replace)
    _show_faults(face, str(path), rows, found)
    _tell_added(face, path, series, added, off_grid)
    return {"file": str(path), "series": series.folder, "off_grid": off_grid, **msgspec.to_builtins(added)}


def _columns_of(path: Path, kind: str, instrument: Instrument, *, is_quote_volume: bool) -> tuple[Series, dict[str, Ints], int]:
    """The series that a file belongs to, its columns as they are stored, and how many of its prices were put on the nearest tick."""
    symbol = instrument.symbol
    if kind == history.BARS.name:
        # A recording that is played at another scale is stored as it was.
        bars = read_bars(path, instrument, scale=1, is_quote_volume=is_quote_volume or None)
        columns = {name: getattr(bars, name) for name in history.BARS.columns}
        return Series(symbol, kind, bars.every_us), columns, bars.off_grid
    if kind == history.TRADES.name:
        trades = read_trades(path, instrument)
        columns = {"at_us": trades.at_us, "side": trades.side, "ticks": trades.ticks, "lots": trades.lots}
        return Series(symbol, kind), columns if trades.ids is None else columns | {"id": trades.ids}, trades.off_grid
    funding = read_funding(path, symbol)
    return Series(symbol, kind), {"at_us": funding.at_us, "rate_ppb": funding.rate_ppb}, 0


def _grid_of(store: History, symbol: str) -> Instrument:
    """The market's grid: that of what is stored, else the default one. Raises UnknownMarket, HistoryError."""
    for listed in store.listed():
        if listed.series.symbol == symbol:
            return store.read(listed.series, listed.last_us)[0]
    return default_instrument(symbol)


def _file_looks(settings: LookSettings, now_us: int) -> Sequence[tuple[str, int, list[Fault]]]:
    instrument = None if settings.symbol is None else _grid_of(History(settings.folder), settings.symbol)
    looks = []
    for path in settings.files:
        found, rows, _ = file_faults(path, instrument, now_us)
        looks.append((str(path), rows, found))
    return looks


def _stored_looks(settings: LookSettings, now_us: int) -> Sequence[tuple[str, int, list[Fault]]]:
    store = History(settings.folder)
    looks = []
    for listed in store.listed():
        series = listed.series
        if settings.symbol not in {None, series.symbol}:
            continue
        if series.kind == history.BARS.name:
            _, bars = stored_bars(settings.folder, series.symbol, series.every_us)
            prices = {name: getattr(bars, name) for name in ("open", "high", "low", "close")}
            found = faults.bar_faults(bars.at_us, prices, bars.lots, series.every_us, now_us)
            asked = store.covered(series, listed.first_us, listed.last_us + series.every_us)
            found = faults.gaps_that_were_not_asked(found, asked, series.every_us) if asked else found
        elif series.kind == history.TRADES.name:
            _, trades = stored_trades(settings.folder, series.symbol)
            ids = trades.ids if trades.ids is not None and not np.any(trades.ids == history.NO_ID) else None
            found = faults.trade_faults(trades.at_us, trades.ticks, trades.lots, ids, now_us)
        else:
            found = []
        looks.append((series.folder, listed.rows, found))
    return looks


def _show_faults(face: Face, name: str, rows: int, found: Sequence[Fault]) -> None:
    if not found:
        face.say("data.clean", name=name, rows=rows)
        return
    face.say("data.faults", name=name, rows=rows, count=len(found))
    counts = Counter(f.kind for f in found)
    shown = [f for kind in counts for f in [f for f in found if f.kind == kind][:SHOWN_MAX]]
    columns = ("column.fault", "column.at", "column.row", "column.rows", "column.note")
    face.table("data.fault-table", columns, [((f"fault.{f.kind}", {}), moment_text(f.at_us), f.row, f.rows, f.note) for f in shown])
    for kind, count in counts.items():
        if count > SHOWN_MAX:
            face.say("data.more-faults", count=count - SHOWN_MAX, kind=(f"fault.{kind}", {}))


def _tell_added(face: Face, path: Path, series: Series, added: Added, off_grid: int) -> None:
    face.say(
        "data.imported", file=path.name, series=series.folder, new=added.new, repeated=added.repeated, replaced=added.replaced
    )  # fmt: skip
    if off_grid:
        face.say("data.off-grid", count=off_grid)


def _name(series: Series) -> str:
    return series.folder.partition("/")[2]


class _Writing:
    """Nobody else writes into the store meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        try:
            self._store = FolderStore(self._folder)
        except OSError as error:
            raise BadSetting("place.unwritable", place=self._folder, reason=error.strerror or type(error).__name__) from error
        if not self._store.lock(LOCK):
            raise BadSetting("data.busy", folder=self._folder)

    def __exit__(self, *_: object) -> None:
        self._store.unlock(LOCK)
