"""The journal folded into rows that people ask about: fills, sessions, cash moves, activity, minutes of the market.

A `Recorder` is told every fact after the core has folded it, with what the core booked by it. It gathers rows in memory and writes them in
one transaction every few seconds, together with the number of the last fact they hold: a start goes on from there, and builds everything
anew where it cannot (`resume`). A disk that refuses costs nothing but freshness.
"""

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lemon_trader.core.events import (
    MARKET_FACTS,
    NO_CLIENT_ID,
    AccountRead,
    AccountTerms,
    AnyEvent,
    CancelAnswered,
    CashMove,
    Decided,
    GridChanged,
    IdsReserved,
    OrderUpdate,
    PlaceAccepted,
    PlaceRefused,
    PlaceUnknown,
    PublicTrade,
    Started,
    Touch,
    Wake,
)
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.records import View, unpack
from lemon_trader.core.state import AccountState, Recorded
from lemon_trader.core.step import step
from lemon_trader.core.units import EXIT, LAYER, PPM, REBALANCE, STOP, US_PER_S
from lemon_trader.database.db import Database
from lemon_trader.database.journal import Opened

COMMIT_US: Final = 5 * US_PER_S
PENDING_MAX: Final = 100_000  # rows that wait for a disk; beyond it they are dropped and the file is built anew at the next start
ENDED_MAX: Final = 8_192  # ends that are remembered, so that stream and answer count one cancel once
MINUTE_US: Final = 60 * US_PER_S
DAY_US: Final = 86_400 * US_PER_S
DAY_MINUTES: Final = 1_440
_COUNTS: Final = ("placed", "accepted", "refused", "unknown", "cancelled", "expired")
_MARKET: Final = frozenset(MARKET_FACTS)

_SYMBOL: Final = "INSERT OR REPLACE INTO symbols VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FILL: Final = "INSERT INTO fills VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_MOVE: Final = "INSERT OR IGNORE INTO moves VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SESSION: Final = "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TERMS: Final = "INSERT OR REPLACE INTO terms VALUES (1, ?, ?, ?, ?)"
_REBALANCE: Final = "INSERT OR IGNORE INTO rebalances VALUES (?, ?, ?, ?, ?, ?, ?, '')"
_REBALANCE_ORDER: Final = "UPDATE rebalances SET order_id = ? WHERE client_id = ?"
_PROGRESS: Final = "UPDATE progress SET applied = ?, as_of_us = ?, mode = ?, ids_lo = ?, ids_hi = ?"
_ACTIVITY: Final = (
    "INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET placed = placed + excluded.placed, "
    "accepted = accepted + excluded.accepted, refused = refused + excluded.refused, unknown = unknown + excluded.unknown, "
    "cancelled = cancelled + excluded.cancelled, expired = expired + excluded.expired"
)
_MINUTE: Final = (
    "INSERT INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET bid_ticks = excluded.bid_ticks, "
    "ask_ticks = excluded.ask_ticks, touch_lots = excluded.touch_lots, samples = samples + excluded.samples, "
    "spread_ticks_sum = spread_ticks_sum + excluded.spread_ticks_sum, returns = returns + excluded.returns, "
    "return_squares = return_squares + excluded.return_squares, traded_lots = traded_lots + excluded.traded_lots"
)
_DAY: Final = (
    "INSERT OR REPLACE INTO days SELECT symbol, minute / 1440, isqrt(sum(return_squares) / sum(returns)) FROM minutes "
    "WHERE symbol = ? AND minute >= ? AND minute < ? GROUP BY 1, 2 HAVING sum(returns) > 0"
)
# Given (ticks, lots, symbol): how many of the new grid are one of the old.
_REGRID: Final = (
    "UPDATE fills SET price_ticks = price_ticks * ?1, mid_ticks = mid_ticks * ?1, qty_lots = qty_lots * ?2 WHERE symbol = ?3",
    "UPDATE rebalances SET price_ticks = price_ticks * ?1, qty_lots = qty_lots * ?2 WHERE symbol = ?3",
    "UPDATE sessions SET inventory_lots = inventory_lots * ?2 WHERE symbol = ?3",
)
_REGRID_MINUTES: Final = (
    "UPDATE minutes SET bid_ticks = bid_ticks * ?1, ask_ticks = ask_ticks * ?1, spread_ticks_sum = spread_ticks_sum * ?1, "
    "touch_lots = touch_lots * ?2, traded_lots = traded_lots * ?2 WHERE symbol = ?3"
)


@dataclass(slots=True)
class _Minute:
    """What a minute of a market added since the last commit; prices are of its last sample."""

    bid_ticks: int = 0
    ask_ticks: int = 0
    touch_lots: int = 0
    samples: int = 0
    spread_ticks_sum: int = 0
    returns: int = 0
    return_squares: int = 0
    traded_lots: int = 0


class Recorder:
    """Gathers rows and writes them.

    Attributes:
        applied: number of the last fact whose rows are gathered; facts up to it are skipped.
        error: why the last commit failed; "" = it did not.
        dropped: True when rows were dropped: only a rebuild makes the file whole.
        rebuilds: the journal is folded anew. The minutes of the market are not in it and stand on their last grid all the while.
    """

    def __init__(self, db: Database) -> None:
        self.error = ""
        self.dropped = False
        self.rebuilds = False
        self._db = db
        self._pending: list[tuple[str, Sequence[Any]]] = []
        self._sessions: dict[str, int] = {}
        self._cycles: dict[str, int | None] = {}
        self._counts: dict[tuple[int, str, int], list[int]] = {}
        self._minutes: dict[tuple[str, int], _Minute] = {}
        self._touches: dict[str, Touch] = {}
        self._views: dict[str, bytes] = {}  # packed, of the last turn that changed something
        self._mids: dict[str, tuple[int, int]] = {}  # (ts_us, bid + ask) of the last sample
        self._ended: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._instruments: dict[str, Instrument] = {}
        self._grids: dict[str, tuple[int, int]] = {}  # (tick_lot_atoms, lot_atoms) that the market's rows stand on
        self._committed_us = 0
        self._rebalances: set[int] = {
            r[0] for r in db.query("SELECT client_id FROM rebalances WHERE order_id = '' ORDER BY ts_us DESC LIMIT 9")
        }
        row = db.query("SELECT * FROM progress")[0]
        self.applied: int = row["applied"]
        self._as_of_us: int = row["as_of_us"]
        self._mode: str = row["mode"]
        self._ids: tuple[int, int] = (row["ids_lo"], row["ids_hi"])
        self._handlers: dict[type, Callable[[int, Any], None]] = {
            AccountRead: self._read, AccountTerms: self._terms, CancelAnswered: self._cancelled, CashMove: self._move,
            Decided: self._decided, GridChanged: self._grid_changed, IdsReserved: self._reserved, OrderUpdate: self._update,
            PlaceAccepted: self._accepted, PlaceRefused: self._refused, PlaceUnknown: self._unknown, PublicTrade: self._trade,
            Started: self._started, Touch: self._touch, Wake: self._wake,
        }  # fmt: skip

    def define(self, instrument: Instrument) -> None:
        """Write down a market's grid; before its first fact, and again when it changed: rows of before are said again on the new one."""
        i = self._instruments[instrument.symbol] = instrument
        self._regrid(i)
        grid = (i.tick_scale, 10**i.price_decimals, i.price_decimals, i.lot_scale, 10**i.qty_decimals, i.qty_decimals)
        values = (i.symbol, i.base, i.quote, int(i.is_perp), i.tick, i.lot, *grid, i.tick_lot_atoms, i.lot_atoms, i.min_lots)
        self._pending.append((_SYMBOL, values))

    def apply(self, sequence: int, event: AnyEvent, recorded: Sequence[Recorded]) -> None:
        """Take one fact and what the core booked by it. Cheap, and never raises for a disk.

        Args:
            sequence: the fact's number in the journal, from 1 (`Journal.sequence` after it was appended); for a market fact that is not
                written there, the number that the next one will have.
            event: the fact.
            recorded: `AccountState.recorded` that folding this fact left.
        """
        kind = type(event)
        if sequence <= self.applied:
            return
        handler = self._handlers.get(kind)
        if handler is not None:
            handler(sequence, event)
        for entry in recorded:
            self._fill(entry)
        if kind not in _MARKET:
            self.applied = sequence
            self._as_of_us = event.ts_us
            if kind is Wake and event.ts_us - self._committed_us >= COMMIT_US:
                self._committed_us = event.ts_us
                self.commit()

    def remember(self, sequence: int, event: AnyEvent, recorded: Sequence[Recorded]) -> None:
        """Take a fact whose rows are in the file already, for what later facts need to know of it; no row comes of it."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(sequence, event)
        for entry in recorded:
            self._fill(entry)
        self._pending.clear()
        self._counts.clear()
        self._minutes.clear()

    def commit(self) -> bool:
        """Write what was gathered; False when the disk refused (`error` says why) and it is kept for the next time."""
        self._gather()
        progress = (self.applied, self._as_of_us, self._mode, *self._ids)
        try:
            if not self.dropped:
                self._db.write([*self._pending, (_PROGRESS, progress)])
        except sqlite3.Error as error:
            self.error = str(error)
            if len(self._pending) > PENDING_MAX:
                self.dropped = True
                self._pending.clear()
            return False
        self._pending.clear()
        self.error = "rows were dropped while the disk refused; the next start builds them anew" if self.dropped else ""
        return not self.dropped

    def keep_minutes(self, before: dict[str, tuple[int, int]]) -> None:
        """Bring the minutes, which a rebuild left alone, from these grids to the ones of now."""
        for symbol, known in before.items():
            grid = self._grids.get(symbol, known)
            if grid != known:
                self._pending.append((_REGRID_MINUTES, (*_factors(known, grid), symbol)))

    def jump(self, sequence: int) -> None:
        """Say that everything up to `sequence` is in: a rebuild over a repaired journal counts fewer facts than were written."""
        self.applied = sequence

    # ---- facts ----

    def _started(self, sequence: int, e: Started) -> None:
        self._sessions[e.symbol] = sequence
        self._mode = e.mode
        params = json.dumps(e.params, sort_keys=True, ensure_ascii=False)
        values = (sequence, e.symbol, e.strategy, e.mode, e.ts_us, e.budget_atoms, e.inventory_lots, e.inventory_cost_atoms, params)
        self._pending.append((_SESSION, values))

    def _grid_changed(self, _sequence: int, e: GridChanged) -> None:
        self.define(e.instrument)

    def _terms(self, _sequence: int, e: AccountTerms) -> None:
        self._pending.append((_TERMS, (e.spot_maker_ppm, e.spot_taker_ppm, e.perp_maker_ppm, e.perp_taker_ppm)))

    def _reserved(self, _sequence: int, e: IdsReserved) -> None:
        lo, hi = self._ids
        self._ids = (min(lo, e.lo) if hi else e.lo, max(hi, e.hi))

    def _decided(self, _sequence: int, e: Decided) -> None:
        if e.view:
            self._views[e.symbol] = e.view
        for a in e.attempts:
            self._count(e.symbol, e.ts_us, "placed")
            if a.role == REBALANCE:
                values = (a.client_id, self._session(a.symbol), a.symbol, a.ts_us, a.side, a.price_ticks, a.qty_lots)
                self._pending.append((_REBALANCE, values))
                self._rebalances.add(a.client_id)

    def _accepted(self, _sequence: int, e: PlaceAccepted) -> None:
        self._count(e.symbol, e.ts_us, "accepted")
        if e.client_id in self._rebalances:
            self._rebalances.discard(e.client_id)
            self._pending.append((_REBALANCE_ORDER, (e.order_id, e.client_id)))

    def _refused(self, _sequence: int, e: PlaceRefused) -> None:
        self._count(e.symbol, e.ts_us, "refused")

    def _unknown(self, _sequence: int, e: PlaceUnknown) -> None:
        self._count(e.symbol, e.ts_us, "unknown")

    def _cancelled(self, _sequence: int, e: CancelAnswered) -> None:
        if e.outcome == "cancelled":
            self._end(e.symbol, e.client_id, e.ts_us, "cancelled")

    def _update(self, _sequence: int, e: OrderUpdate) -> None:
        if e.kind in {"cancelled", "expired"}:
            self._end(e.symbol, e.client_id, e.ts_us, e.kind)

    def _move(self, _sequence: int, e: CashMove) -> None:
        values = (e.key, e.symbol, self._session(e.symbol), e.venue_us or e.ts_us, e.kind, e.asset, e.quantity_atoms, e.text)
        self._pending.append((_MOVE, values))

    def _read(self, sequence: int, e: AccountRead) -> None:
        for move in e.moves:
            self._move(sequence, move)

    def _touch(self, _sequence: int, e: Touch) -> None:
        self._touches[e.symbol] = e

    def _trade(self, _sequence: int, e: PublicTrade) -> None:
        self._minute(e.symbol, e.ts_us).traded_lots += e.qty_lots

    def _wake(self, _sequence: int, e: Wake) -> None:
        for symbol, touch in self._touches.items():
            if 0 < touch.bid_ticks < touch.ask_ticks:
                self._sample(symbol, e.ts_us, touch)

    def _fill(self, entry: Recorded) -> None:
        f, b = entry.fill, entry.booked
        at_us = f.venue_us or f.ts_us
        cycle, mid_ticks = self._cycle(f.symbol, entry.role, entry.generation), self._decided_mid(f.symbol)
        self._pending.append((_FILL, (
            self._session(f.symbol), at_us, f.ts_us, f.symbol, f.order_id, f.client_id, f.trade_id, f.side, f.price_ticks, f.qty_lots,
            int(f.is_maker), f.fee_atoms, f.fee_asset, f.fee_text, b.fee_quote_atoms, entry.role, entry.generation, cycle, mid_ticks,
            b.realised_atoms, b.cash_atoms, b.base_atoms, b.cost_atoms, f.origin,
        )))  # fmt: skip

    # ---- helpers ----

    def _regrid(self, i: Instrument) -> None:
        known = self._grids.get(i.symbol)
        if known is None:
            known = _grids_in(self._db).get(i.symbol, (i.tick_lot_atoms, i.lot_atoms))
        grid = self._grids[i.symbol] = (i.tick_lot_atoms, i.lot_atoms)
        if known == grid:
            return
        self._gather()
        statements = _REGRID if self.rebuilds else (*_REGRID, _REGRID_MINUTES)
        self._pending += [(sql, (*_factors(known, grid), i.symbol)) for sql in statements]
        self._touches.pop(i.symbol, None)
        self._views.pop(i.symbol, None)
        self._mids.pop(i.symbol, None)

    def _session(self, symbol: str) -> int:
        """The id of the market's running session; 0 before the first."""
        known = self._sessions.get(symbol)
        if known is None:
            known = self._sessions[symbol] = self._db.query("SELECT coalesce(max(id), 0) FROM sessions WHERE symbol = ?", (symbol,))[0][0]
        return known

    def _cycle(self, symbol: str, role: int, generation: int) -> int | None:
        """The martingale's cycle that a fill belongs to: a layer and an exit name it, a stop ends the one that runs."""
        if role in {LAYER, EXIT}:
            self._cycles[symbol] = generation
            return generation
        if role != STOP:
            return None
        if symbol not in self._cycles:
            found = self._db.query("SELECT cycle FROM fills WHERE symbol = ? AND cycle IS NOT NULL ORDER BY id DESC LIMIT 1", (symbol,))
            self._cycles[symbol] = found[0][0] if found else None
        return self._cycles[symbol]

    def _decided_mid(self, symbol: str) -> int:
        """The mid that the last turn saw, because the journal has it and a rebuild finds it again; 0 before the first."""
        packed = self._views.get(symbol)
        if packed is None:
            return 0
        view = unpack(View, packed)
        return (view.bid_ticks + view.ask_ticks) // 2 if view.bid_ticks and view.ask_ticks else 0

    def _count(self, symbol: str, ts_us: int, what: str) -> None:
        counts = self._counts.setdefault((self._session(symbol), symbol, ts_us // DAY_US), [0] * len(_COUNTS))
        counts[_COUNTS.index(what)] += 1

    def _end(self, symbol: str, client_id: int, ts_us: int, what: str) -> None:
        lo, hi = self._ids
        key = (symbol, client_id)
        if client_id == NO_CLIENT_ID or not lo <= client_id < hi or key in self._ended:
            return
        self._ended[key] = None
        if len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)
        self._count(symbol, ts_us, what)

    def _minute(self, symbol: str, ts_us: int) -> _Minute:
        key = (symbol, ts_us // MINUTE_US)
        known = self._minutes.get(key)
        if known is None:
            known = self._minutes[key] = _Minute()
            touch = self._touches.get(symbol)
            if touch is not None:
                known.bid_ticks, known.ask_ticks, known.touch_lots = touch.bid_ticks, touch.ask_ticks, touch.bid_lots + touch.ask_lots
        return known

    def _sample(self, symbol: str, ts_us: int, touch: Touch) -> None:
        m = self._minute(symbol, ts_us)
        m.bid_ticks, m.ask_ticks, m.touch_lots = touch.bid_ticks, touch.ask_ticks, touch.bid_lots + touch.ask_lots
        m.samples += 1
        m.spread_ticks_sum += touch.ask_ticks - touch.bid_ticks
        mid = touch.bid_ticks + touch.ask_ticks
        before_us, before = self._mids.get(symbol, (0, 0))
        if ts_us - before_us < US_PER_S * 9 // 10:
            return  # wakes that a strategy asked for come between the engine's seconds
        if before and ts_us - before_us < 2 * US_PER_S:
            change_ppm = (mid - before) * PPM // before
            m.returns += 1
            m.return_squares += change_ppm * change_ppm
        self._mids[symbol] = (ts_us, mid)

    def _gather(self) -> None:
        for (session, symbol, day), counts in self._counts.items():
            self._pending.append((_ACTIVITY, (session, symbol, day, *counts)))
        self._counts.clear()
        for (symbol, minute), m in self._minutes.items():
            sums = (m.samples, m.spread_ticks_sum, m.returns, m.return_squares, m.traded_lots)
            self._pending.append((_MINUTE, (symbol, minute, m.bid_ticks, m.ask_ticks, m.touch_lots, *sums)))
        for symbol, day in sorted({(symbol, minute // DAY_MINUTES) for symbol, minute in self._minutes}):
            self._pending.append((_DAY, (symbol, day * DAY_MINUTES, (day + 1) * DAY_MINUTES)))
        self._minutes.clear()


def resume(
    db: Database, sequence: int, facts: Callable[[], Iterable[AnyEvent]], instruments: Iterable[Instrument], *, since: Opened | None = None
) -> Recorder:
    """A recorder that goes on where the journal stands.

    After a kill the file lacks the last seconds: what it lacks is folded again from the last checkpoint, so that a start does not take
    longer the older the journal is. Where that does not reach, or the file holds more than the journal, it is built anew.

    Args:
        db: where to.
        sequence: how many facts the opened journal has counted (`Journal.sequence`).
        facts: reads the journal from its beginning (`read_events`).
        instruments: every market that the journal speaks of, and those to come.
        since: what opening the journal gave; None = the file is whole or it is built anew.

    Raises:
        JournalCorrupt, JournalCutOff: history is damaged or not there where no start reads it.
        sqlite3.Error: the disk refuses.
    """
    recorder = Recorder(db)
    if recorder.applied == sequence:
        for instrument in instruments:
            recorder.define(instrument)
        return recorder
    if since is not None and since.sequence <= recorder.applied < sequence == since.sequence + len(since.events):
        return _catch_up(recorder, since, instruments)
    return rebuild(db, sequence, facts(), instruments)


def _catch_up(recorder: Recorder, since: Opened, instruments: Iterable[Instrument]) -> Recorder:
    """Fold what stands behind the last checkpoint; rows come only of what the file lacks."""
    state = AccountState()
    if since.state is not None:
        state.restore(msgspec.msgpack.decode(since.state))
    known = {instrument.symbol: instrument for instrument in instruments}
    there = recorder.applied
    for number, fact in enumerate(since.events, since.sequence + 1):
        symbol = getattr(fact, "symbol", "")
        if symbol in known and symbol not in state.markets and not isinstance(fact, GridChanged):
            state.add_market(known[symbol])
        step(state, fact)
        if number <= there:
            recorder.remember(number, fact, state.recorded)
        else:
            recorder.apply(number, fact, state.recorded)
        state.recorded.clear()
        state.alerts.clear()
    for instrument in known.values():
        recorder.define(instrument)
    recorder.commit()
    return recorder


def rebuild(db: Database, sequence: int, facts: Iterable[AnyEvent], instruments: Iterable[Instrument]) -> Recorder:
    """Empty `db` and fold the whole journal into it; arguments and errors as of `resume`."""
    before = _grids_in(db)
    db.clear()
    recorder = Recorder(db)
    recorder.rebuilds = True
    state = AccountState()
    waiting = {instrument.symbol: instrument for instrument in instruments}
    for number, fact in enumerate(facts, 1):
        symbol = getattr(fact, "symbol", "")
        if symbol in waiting:
            first = waiting.pop(symbol)
            if not isinstance(fact, GridChanged):  # a journal that names no grid was written on the one of now
                recorder.define(first)
                state.add_market(first)
        step(state, fact)
        recorder.apply(number, fact, state.recorded)
        state.recorded.clear()
        state.alerts.clear()
    for instrument in waiting.values():
        recorder.define(instrument)
    recorder.rebuilds = False
    recorder.keep_minutes(before)
    recorder.jump(sequence)
    recorder.commit()
    return recorder


def _grids_in(db: Database) -> dict[str, tuple[int, int]]:
    """(tick_lot_atoms, lot_atoms) of each market as the file has it."""
    return {
        row["symbol"]: (row["tick_lot_atoms"], row["lot_atoms"])
        for row in db.query("SELECT symbol, tick_lot_atoms, lot_atoms FROM symbols")
    }


def _factors(old: tuple[int, int], new: tuple[int, int]) -> tuple[int, int]:
    """How many ticks and lots of the new grid are one of the old."""
    return old[0] * new[1] // (new[0] * old[1]), old[1] // new[1]
