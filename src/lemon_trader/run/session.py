"""One trading session from lock to last line: store, journal, venue, engine, records and control channel put together and taken apart."""

import asyncio
import hashlib
import json
import signal
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import msgspec

from lemon_trader.config.alerts import secrets_of
from lemon_trader.config.settings import GRIDS_FILE, LOCK_FILE, PAPER, STATUS_FILE, RunSettings
from lemon_trader.core.events import Event
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.market import DELISTED
from lemon_trader.core.state import AccountState, Alert, Recorded
from lemon_trader.core.units import ATOMS_PER_UNIT, HALTED, MODE_NAMES, US_PER_S
from lemon_trader.core.watch import held_text
from lemon_trader.database.db import Database, DatabaseError
from lemon_trader.database.journal import Journal, JournalBeside, JournalError, Opened, read_events
from lemon_trader.database.packing import Packer
from lemon_trader.database.records import Recorder, resume
from lemon_trader.database.statistics import report
from lemon_trader.engine.control import ControlServer
from lemon_trader.engine.preview import preview
from lemon_trader.engine.recent import Recent
from lemon_trader.engine.runner import Runner
from lemon_trader.engine.snapshot import snapshot
from lemon_trader.engine.startup import Plan, StartRefused, bind, fold, relist, start
from lemon_trader.engine.turn import Engine
from lemon_trader.engine.watchdog import latches
from lemon_trader.env import Env, Store
from lemon_trader.exchanges.dialect import Signer
from lemon_trader.logger import Log, Redactor
from lemon_trader.run.editing import answer
from lemon_trader.run.parts import apply_limits, make_paper, make_plan, make_venue
from lemon_trader.run.telling import Telling
from lemon_trader.venues.live import LiveVenue
from lemon_trader.venues.paper import PaperVenue

GRADES: Final = {"info": "info", "warn": "warning", "grave": "error"}
LOCK_TRIES: Final = 6  # looks and the watchdog hold the engine's lock for an instant, to learn whether somebody else does
LOCK_STEP_US: Final = 100_000
FOLDED_MAX: Final = 5_000  # a start that had to fold more facts writes a checkpoint, so that the next one, however soon it comes, need not
STOOD_US: Final = 2 * US_PER_S  # an engine that has not woken for so long looks for latches before anything else
PICTURE_US: Final = 15 * US_PER_S  # what a face finds when no engine answers; a synced write, so not often


class Session:
    """A session of one account.

    Attributes:
        state, engine, venue, runner: its parts, for the demonstration and for tests.
        cut_bytes: torn tail of the journal that this start cut off.
        funds: what the account had of each asset when the plans were made, atoms.
    """

    def __init__(
        self, settings: RunSettings, env: Env, signer: Signer | None, *, rest_url: str = "", ws_url: str = "", alone: bool = False,
        locks: Store | None = None, secrets: Sequence[str] = (), world: Env | None = None, beside: bool = False,
    ) -> None:  # fmt: skip
        """Put the parts together; nothing connects yet.

        Args:
            settings: what trades, and in which mode.
            env: the world.
            signer: whose account; None = a paper account, and nothing is ever signed.
            rest_url: of a sandbox; "" = the exchange's own.
            ws_url: the same for streams.
            alone: without records and control channel, which belong to people: a simulation has neither files nor sockets.
            secrets: what no line of the log may show, in whatever spelling.
            locks: where an account's engine is known machine-wide; None = the store's own lock is enough.
            world: the machine's own time, where `env` has a sandbox's; None = they are the same.
            beside: the engine of this store may still live: its journal is read and not written, and no lock is taken.
        """
        self.settings = settings
        self.env = env
        self._world = world or env
        self._redactor = Redactor([*secrets, *secrets_of(settings.alerts)])
        self._telling: Telling | None = None
        self._alone = alone
        self._api_key = signer.api_key if signer is not None else PAPER
        self._locks = locks
        self.store = env.store(settings.mode)
        self.state = AccountState()
        self.plans: list[Plan] = []
        self.funds: dict[str, int] = {}
        self.cut_bytes = 0
        self.on_alert: Callable[[Alert], None] = lambda _: None
        assert (signer is None) == (settings.mode == PAPER), "paper, and paper alone, has no signer"
        self.venue: LiveVenue | PaperVenue = (
            make_venue(env, signer, self._sink, rest_url=rest_url, ws_url=ws_url)
            if signer is not None
            else make_paper(env, self.store, self._sink, settings.paper_balances, rest_url=rest_url, ws_url=ws_url)
        )
        self._is_beside = beside
        self.journal: Journal | JournalBeside = (
            JournalBeside(self.store)
            if beside
            else Journal(self.store, mode=settings.mode, account=self._api_key, durability="strict" if settings.strict else "normal")
        )
        self.engine = Engine(self.state, self.journal, self.venue)
        self.log = Log(None if alone else self.store, mode=settings.mode, wall_us=env.wall_us, redactor=self._redactor)
        self.runner: Runner | None = None
        self.recent = Recent()
        self._packer = Packer(self.store, days=settings.journal_days)
        self._db: Database | None = None
        self._recorder: Recorder | None = None
        self._control: ControlServer | None = None
        self._opened: Opened | None = None
        self._last_us = 0
        self._picture_us = 0
        self._woke_us = 0
        self._latched: set[str] = set()  # files that are folded and still lie there

    async def recover(self) -> None:
        """Take the lock, fold the journal, read the market's grid and state. Nothing is sent and no strategy is bound.

        Raises:
            StartRefused: another engine runs on this store, or a market is not listed.
            VenueLost, JournalCorrupt and its kin: as they say.
        """
        if not self._is_beside and not (await self._lock() and self._lock_account()):
            raise StartRefused("start.second_engine", place=str(self.settings.store_dir))
        opened = self._opened = self.journal.open(self.env.now_us())
        self.cut_bytes = opened.cut_bytes
        instruments = await self.venue.instruments()
        fold(self.state, opened.state, opened.events, instruments)
        # Not the last event: a start that died before it had read the account would hide everything that happened before it.
        self._last_us = self.state.read_us or (opened.events[0].ts_us if opened.events else self.state.venue_us)
        for pair in self.settings.pairs:
            if pair.symbol not in instruments:
                near = [s for s in sorted(instruments) if s.split("_", maxsplit=1)[0] == pair.symbol.split("_", maxsplit=1)[0]]
                raise StartRefused("start.unknown_symbol", symbol=pair.symbol, near=", ".join((near or sorted(instruments))[:6]))
        if not self._alone:
            self._open_records()  # before a grid changes: the records hold the old one's numbers
        self.engine.on_alert = self._alert  # what a start finds changed is told like everything else
        if not self._is_beside:
            self._take_latches(self.env.now_us())
        relist(self.engine, instruments, [pair.symbol for pair in self.settings.pairs], self.env.now_us())
        self.venue.use({symbol: market.instrument for symbol, market in self.state.markets.items()})
        if not self._alone:
            self._keep_grids()

    async def plan(self) -> Sequence[Plan]:
        """Read the account and the prices once and make the plans. Raises VenueLost, StrategyRefused, StartRefused."""
        self.engine.record(await self.venue.terms())
        symbols = sorted(self.state.markets)
        for symbol in symbols:
            if self.state.markets[symbol].instrument.book_state != DELISTED:
                self.engine.turn([await self.venue.depth(symbol)])
        self.recent.begin(self.state.markets)
        read = await self.venue.read_account(symbols, self.env.now_us())
        free: dict[str, int] = {b.asset: b.available_atoms for b in read.balances}
        self.funds = {b.asset: b.available_atoms + b.locked_atoms for b in read.balances}
        sharers = max(1, sum(pair.budget is None for pair in self.settings.pairs))
        for pair in self.settings.pairs:
            instrument = self.state.markets[pair.symbol].instrument
            before = self.state.started.get(pair.symbol)
            if pair.budget is None and before is not None and before.strategy == pair.strategy:
                # A derived budget is derived once: what is held now is part of it.
                pair = replace(pair, budget=Decimal(before.budget_atoms) / ATOMS_PER_UNIT)  # noqa: PLW2901
            self.plans.append(make_plan(pair, self.state, instrument, free.get(instrument.quote, 0) // sharers))
        apply_limits(self.state, self.settings.limits, self.plans)
        return self.plans

    def equity_atoms(self, quote: str) -> int:
        """What the account was worth in this quote when the plans were made: its funds, and what the program holds at the price of now."""
        worth = self.funds.get(quote, 0)
        for m in self.state.markets.values():
            if m.instrument.quote == quote and (price := m.reference_ticks()) > 0:
                worth += m.ledger.unrealised_atoms(price) if m.instrument.is_perp else m.ledger.value_atoms(price)
        return worth

    def changed(self) -> list[tuple[str, str, str, str]]:
        """(symbol, parameter, old, new) of every open cycle whose parameters would change by this start."""
        found = []
        for plan in self.plans:
            before = self.state.started.get(plan.symbol)
            market = self.state.markets[plan.symbol]
            if before is None or before.strategy != plan.strategy or not (market.ledger.base_atoms or market.orders.live):
                continue
            names = sorted(before.params.keys() | plan.params.keys())
            values = [(n, before.params.get(n, "-"), plan.params.get(n, "-")) for n in names]
            found += [(plan.symbol, *v) for v in values if v[1] != v[2]]
        return found

    async def trade(self) -> None:
        """Connect, recover what the venue knows, and let the engine decide from now on."""
        self.engine.on_alert = self._alert
        self._tell_others()
        await start(
            self.engine, self.venue, self.plans, mode=self.settings.mode, now_us=self.env.now_us, last_us=self._last_us,
            sleep=self.env.sleep,
        )  # fmt: skip
        if self._opened is not None and len(self._opened.events) > FOLDED_MAX:
            self.engine.checkpoint(self.env.now_us())
        self._opened = None
        durations_us = {p.symbol: (p.duration_s or 0) * US_PER_S for p in self.settings.pairs}
        self.runner = Runner(self.engine, self.env, self.venue, durations_us=durations_us)
        pairs = ", ".join(f"{p.strategy}:{p.symbol} {atoms_text(p.budget_atoms)}" for p in self.plans)
        self.state.tell(self.env.now_us(), "alert.started", "info", pairs=pairs, held=held_text(self.state))
        for plan in self.plans:
            self.log.note("info", "start", {"strategy": plan.strategy, "symbol": plan.symbol, **plan.params})
        if self.state.mode == HALTED:  # it was told in an earlier life, and whoever looks at this one must see it
            reason, detail = self.state.mode_reason, self.state.mode_detail
            self.state.tell(self.env.now_us(), "alert.latched", "grave", mode=MODE_NAMES[HALTED], reason=reason, detail=detail)
        self.runner.before_wake = self._wakes
        self.runner.on_tick(self._tick)
        self.runner.run()
        if not self._alone:
            await self._open_control()

    async def attend(self) -> None:
        """Live without strategies, for one errand of the user's: streams and reads, and an engine that does what the account's mode says.

        Nothing is opened in such a life: what rests stays or goes as the mode has it, and `flatten` sells. Raises VenueLost.
        """
        await start(self.engine, self.venue, (), mode=self.settings.mode, now_us=self.env.now_us, last_us=self._last_us)
        self.runner = Runner(self.engine, self.env, self.venue)
        self.runner.on_tick(self._tick)
        self.runner.run()
        if not self._alone:
            await self._open_control()

    def bind(self) -> None:
        """Bind the plans to their markets without trading them, so that a preview can ask. Raises StartRefused."""
        for plan in self.plans:
            bind(self.state, plan)

    def preview(self) -> list[dict[str, Any]]:
        """What would rest now if nothing were latched."""
        return preview(self.engine, self.env.now_us())

    def edit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Change a pair's parameters, or say what that would change: `run/editing.answer`."""
        return answer(self.engine, self.env.now_us(), request)

    def picture(self) -> dict[str, Any]:
        """A snapshot now."""
        return snapshot(self.engine, self.env.now_us(), self.settings.mode, self.recent)

    def report(self) -> dict[str, Any]:
        """The statistics as of now; empty where the records could not be opened."""
        if self._recorder is None or self._db is None:
            return {"mode": self.settings.mode, "as_of_us": self.env.now_us(), "markets": []}
        self._recorder.commit()
        prices = {s: m.reference_ticks() for s, m in self.state.markets.items()}
        return report(self._db, self.env.now_us(), {s: p for s, p in prices.items() if p})

    def leave(self) -> None:
        """End a life in which nothing is to be cancelled any more: the journal's last words and a last picture."""
        if self.runner is not None:
            self.runner.leave()
        else:
            self.engine.checkpoint(self.env.now_us())
        if not self._alone:
            self._save_picture()

    async def stop(self, origin: str) -> bool:
        """Stop in order; True when nothing that opens rests any more."""
        clean = await self.runner.stop(origin) if self.runner is not None else True
        if self.runner is not None:
            self._save_picture()
        return clean

    async def close(self) -> None:
        """Give everything back; harmless at any point of a start."""
        if self._control is not None:
            await self._control.stop()
        if self._telling is not None:
            await self._telling.close()
            if self.runner is not None:
                self.engine.hand_out()  # what could not be told elsewhere is told here
        await self.venue.close()
        if self._recorder is not None:
            self._recorder.commit()
        if self._db is not None:
            self._db.close()
        self.journal.close()
        self.log.close()

    # -- inside --

    async def _open_control(self) -> None:
        self._control = ControlServer(self.store, self.picture, self._command, self.preview, self.edit)
        await self._control.start()

    def _keep_grids(self) -> None:
        """Write down what a tick and a lot mean in the markets of the journal, for whoever reads it when the exchange cannot be asked."""
        grids = {symbol: msgspec.to_builtins(m.instrument) for symbol, m in self.state.markets.items()}
        with suppress(OSError):  # who cannot read it then, reads the last picture
            self.store.replace(GRIDS_FILE, json.dumps(grids).encode())

    def _tell_others(self) -> None:
        """From now on alerts leave the program as well. A simulation tells nobody."""
        if not self._alone:
            self._telling = Telling(
                self._world, self.settings.alerts, self.state, self.env.now_us, mode=self.settings.mode, api_key=self._api_key,
                redactor=self._redactor,
            )  # fmt: skip

    def _lock_account(self) -> bool:
        """One account, one engine, whatever folder the other one was started in; only this user's engines on this machine are seen."""
        if self._locks is None:
            return True
        name = hashlib.sha256(self._api_key.encode()).hexdigest()[:16]
        return self._locks.lock(f"{name}.lock")

    def _sink(self, facts: Sequence[Event]) -> None:
        if self._woke_us and facts[-1].ts_us - self._woke_us > STOOD_US:
            self._wakes(facts[-1].ts_us)  # it stood still: whoever watched it may have halted it meanwhile
        self.engine.turn(facts)

    async def _lock(self) -> bool:
        """Take the engine's lock; False when another engine holds it."""
        for _ in range(LOCK_TRIES):
            if self.store.lock(LOCK_FILE):
                return True
            await self.env.sleep(LOCK_STEP_US)
        return False

    def _wakes(self, now_us: int) -> None:
        self._woke_us = now_us
        self._take_latches(now_us)

    def _take_latches(self, now_us: int) -> None:
        """Journal what halts this engine, then take its file away, but not before the journal is on the disk."""
        with suppress(OSError):  # the next wake tries again
            for name, event in latches(self.store, now_us):
                if name not in self._latched:
                    self._latched.add(name)
                    self.engine.record(event)
                if self.engine.unwritten is None:
                    self.store.remove(name)
                    self._latched.discard(name)

    def _command(self, action: str, origin: str, detail: str, symbol: str) -> dict[str, Any]:
        """Do what somebody commands; a `stop` of the last pair that trades is the run's."""
        assert self.runner is not None
        traded = {s: m for s, m in sorted(self.state.markets.items()) if m.binding is not None}
        if symbol and action != "stop":
            return {"refused": [["running.whole-account", {"symbol": symbol, "action": action}]]}
        if symbol and symbol not in traded:
            return {"refused": [["running.not-traded", {"symbol": symbol, "traded": ", ".join(traded)}]]}
        if symbol and not all(m.ended for s, m in traded.items() if s != symbol):
            self.runner.command(action, origin, detail, symbol)
            return {"done": action, "symbol": symbol}
        self.runner.command(action, origin, detail)
        if action == "stop":
            self.runner.end()
        return {"done": action}

    def _alert(self, alert: Alert) -> None:
        self.log.note(GRADES[alert.grade], alert.key, alert.values)
        self.on_alert(alert)
        if self._telling is not None:
            self._telling.alert(alert)

    def _tick(self, now_us: int) -> None:
        self.log.flush()
        if self._telling is not None:
            self._telling.ticked()
        if not self._is_beside and self._packer.step(now_us) and self._packer.error:
            self.log.note("warning", "journal not packed", {"reason": self._packer.error})
        if now_us >= self._picture_us:
            self._picture_us = now_us + PICTURE_US
            self._save_picture()

    def _save_picture(self) -> None:
        with suppress(OSError):  # a picture that could not be written is only late
            self.store.replace(STATUS_FILE, json.dumps(self.picture()).encode())

    def _open_records(self) -> None:
        """Records are for people: without them trading goes on, and the operator is told."""
        self.engine.on_fact = self._fact
        path = self.settings.database_path
        instruments = [m.instrument for m in self.state.markets.values()]
        try:
            self._db = Database(str(path))
            self._recorder = resume(self._db, self.journal.sequence, lambda: read_events(self.store), instruments, since=self._opened)
        except (DatabaseError, JournalError, sqlite3.Error) as error:
            self.state.tell(self.env.now_us(), "alert.records_unusable", "warn", path=path, reason=error)

    def _fact(self, number: int, event: Event, recorded: Sequence[Recorded]) -> None:
        self.recent.take(recorded)
        if self._telling is not None:
            self._telling.fills(recorded)
        if self._recorder is not None:
            self._recorder.apply(number, event, recorded)  # type: ignore[arg-type]


async def until_told(session: Session, *, first: Callable[[], None], second: Callable[[], None]) -> str:
    """Wait for the end of the run, and say what it was: "duration", "command" or "signal".

    `first` is told of the first signal, `second` of the next.

    SIGUSR1 is no end: it says `kill`, and the run goes on, halted.
    """
    assert session.runner is not None
    loop = asyncio.get_running_loop()
    runner = session.runner
    count = 0

    def signalled() -> None:
        nonlocal count
        count += 1
        (first if count == 1 else second)()
        runner.end()

    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        with suppress(NotImplementedError):  # Windows has no handlers on a loop: Ctrl-C raises there
            loop.add_signal_handler(number, signalled)
    if hasattr(signal, "SIGUSR1"):
        with suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGUSR1, runner.command, "kill", "signal")
    await runner.until_ended()
    return "signal" if count else "duration" if runner.is_winding_down else "command"
