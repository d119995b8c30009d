"""One simulated run: a seed draws market, strategy, faults and crashes; the bot lives, dies, recovers; then the quiet tail and the checks.

The bot is `run.session.Session`, the composition that trades: the real engine, journal, client, protocol, log and records, over wires, a disk
and a database in memory. Only the control channel and the messengers, which belong to people, are left out.
"""

import asyncio
import hashlib
import random
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec
from tests.fake_env import START_US, FakeEnv
from tests.fake_store import Disk
from tests.simulation import mishaps
from tests.simulation.day import wake_up
from tests.simulation.exchange import REST, STREAM, Edge
from tests.simulation.mishaps import take
from tests.simulation.plan import DAY_US, TAIL_AWAKE, Drawn
from tests.simulation.watch import Watch
from tests.virtual_time import VirtualLoop

from lemon_trader.config.settings import SANDBOX, LimitSettings, PairSettings, RunSettings
from lemon_trader.core.events import UserCommand
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.records import STOP_SLOT, TRIGGER_SLOT
from lemon_trader.core.units import ACTIVE, ARMED, US_PER_S, WORKING
from lemon_trader.database.db import Database
from lemon_trader.database.journal import JournalUnwritable, read_events
from lemon_trader.database.records import resume
from lemon_trader.engine.startup import StartRefused
from lemon_trader.matching.orders import OrderState
from lemon_trader.run.acts import LATCHING
from lemon_trader.run.errand import ORIGIN, carry_out
from lemon_trader.run.parts import default_values, make_signer
from lemon_trader.run.session import Session
from lemon_trader.sandbox.faults import Fault, Faults, Kind
from lemon_trader.sandbox.terms import sandbox_rules
from lemon_trader.sandbox.world import WorldOptions, make_world
from lemon_trader.venues.venue import VenueLost

TICK_US = 100_000
STILL_US = 15 * US_PER_S
TWICE_BORN_EVERY = 4  # of so many seeds one ends with two starts in a row
BUDGET = Decimal(500)
TRACE_LINES = 200
LEASE_US = 8 * US_PER_S
LATE_US = 10 * US_PER_S  # the longest stall of the exchange's engine
EVENTS_MIN, ORDERS_MIN, FILLS_MIN = 3_000, 50, 10  # the density of a day
MORE_MAX = 24  # further quarters of a minute that a thin day may have
MORE_US = 15 * US_PER_S
MORE_VISITS = 4
SETTLE_MAX = 20
TAIL_EVENTS = 300  # so many market events the tail has at least; where it has had fewer, its last minute is a busy one
MORE_PCT, QUIET_PCT = 200, 30  # how busy the market is then, and in the quiet tail

__all__ = ["BUDGET", "TICK_US", "Life", "Outcome", "take"]


@dataclass
class Outcome:
    """What one seed did."""

    seed: int
    drawn: Drawn
    violations: list[str] = field(default_factory=list)
    trace: str = ""
    simulated_us: int = 0
    commands: int = 0
    fills: int = 0
    lives: int = 0
    market_acts: int = 0
    faults_met: int = 0
    errands: int = 0  # acts on a dead engine that were done
    notes: list[str] = field(default_factory=list)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=TRACE_LINES))


class Found(Exception):
    """A checker has found something: the day ends here, with its trace as it is."""


class Noted(Faults):
    """Faults that remember which one the last request met."""

    met: Fault | None = None

    def take(self, method: str, path: str) -> Fault | None:
        """As ever."""
        self.met = super().take(method, path)
        if self.met is not None and self.met.kind is Kind.EXECUTE_LATE and self.met.delay_us < LATE_US and self.met.delay_us % 3:
            # Just behind the end of the lease is where it matters.
            self.met = msgspec.structs.replace(self.met, delay_us=LEASE_US + self.met.delay_us * 4 // 10)
        return self.met


class Kept(Database):
    """A database that lies in memory and outlives the process that wrote it."""

    def __init__(self) -> None:
        super().__init__(":memory:")

    def close(self) -> None:
        """The process gives it back; the bytes stay."""


class Bot(Session):
    """The session with its records in memory and without what belongs to people."""

    kept: Kept

    def _open_records(self) -> None:
        self.engine.on_fact = self._fact
        self._db = self.kept
        self._recorder = resume(
            self.kept, self.journal.sequence, lambda: read_events(self.store), [m.instrument for m in self.state.markets.values()]
        )

    async def _open_control(self) -> None:
        pass

    def _tell_others(self) -> None:
        pass


class Life:
    """The bot's consecutive lives against one exchange."""

    def __init__(self, seed: int, drawn: Drawn, loop: VirtualLoop) -> None:
        self.drawn = drawn
        self.loop = loop
        self.chance = random.Random(f"faults {seed}")
        self.out = Outcome(seed, drawn)
        self.disks: dict[str, Disk] = {}
        self.faults = Noted(self.chance.randrange, {})
        self.faults.omit_trade_ids = drawn.nameless
        rules = sandbox_rules()
        world = make_world(
            WorldOptions(
                market="synthetic",
                symbols=(drawn.symbol, *drawn.besides),
                seed=seed,
                activity_pct=drawn.activity_pct,
                stories=drawn.stories,
                scheme=drawn.scheme,
                rules=type(rules)(
                    **{name: getattr(rules, name) for name in rules.__struct_fields__}
                    | {"client_id_rule": drawn.client_ids, "mark_rule": drawn.marks}
                ),
            ),
            START_US,
            faults=self.faults,
        )
        self.skipped_us = 0  # nights so far
        self.mornings = 0
        self.edge = Edge(world, lambda: START_US + self.skipped_us + loop.now_us)
        self.edge.breaks = lambda: self.chance.random() < 0.5
        self.account = world.accounts[0]
        self.exchange = world.app.desk.exchange
        self.keys: dict[int, tuple[int, str, int, int]] = {}  # client id -> (era, symbol, slot, generation)
        self.hash = hashlib.sha256()
        self.session: Bot | None = None
        self.env: FakeEnv | None = None
        self.birth: asyncio.Task[None] | None = None
        self.forgiven: tuple[str, ...] = ()  # beginnings of violations that a directed fault itself makes
        self.ruined = 0  # atoms taken out of the account
        self.hand = 0  # an order that somebody placed by hand
        self.fills_next = False  # the next order that is accepted is filled at once
        self.coarse = Decimal(0)  # smallest order of a grid that the program may believe in, and how long it may
        self.coarse_until_us = 0
        self.era = 0  # losses of power so far: what was not synced is gone, and keys may be written anew
        self.records = Kept()
        self.watch = Watch(self)
        self.wire = self.watch.wire
        self.edge.on_request += [self.watch.met, self._hash]

    @property
    def instrument(self) -> Instrument:
        """The grid that the exchange counts in now: it becomes finer when filters change."""
        return self.exchange.instrument(self.drawn.symbol)

    def ours(self) -> list[OrderState]:
        """What rests of ours in the book, oldest first."""
        account = self.exchange.accounts[self.account.name]
        return [o for o in account.live.values() if o.client_id in self.keys and not o.is_trigger]

    def foreign(self) -> set[int]:
        """Orders that were placed by hand."""
        return {self.hand} if self.hand else set()

    def fill_all(self, client_ids: list[int]) -> None:
        """Somebody trades with these orders at once."""
        for order in [o for o in self.ours() if o.client_id in client_ids and o.open_lots]:
            self.exchange.trade_with(self.account.name, order.order_id, order.open_lots, self.edge.clock())

    # -- the bot --

    async def _be_born_after(self, pause_us: int) -> None:
        await asyncio.sleep(pause_us / US_PER_S)
        await self.be_born()

    async def _errand_and_be_born(self, action: str, pause_us: int) -> None:
        await asyncio.sleep(pause_us / US_PER_S)
        await self._errand(action)
        await asyncio.sleep(pause_us / US_PER_S)
        await self.be_born()

    async def _errand(self, action: str) -> None:
        """The user acts on the dead engine, as `run/acts.py` does it; what it calls done must be so at the exchange."""
        session, env = self._new_life()
        try:
            try:
                await session.recover()
            except VenueLost:
                if action in LATCHING:  # the exchange cannot be reached: the latch is written all the same
                    session.journal.append(UserCommand(env.now_us(), action, "", ORIGIN))
                    self.watch.gives(action)
                raise
            self.watch.gives(action)
            if await carry_out(session, action):
                self.watch.left_by(action, (STOP_SLOT, TRIGGER_SLOT))
                self.out.errands += 1
            else:
                self.out.notes.append(f"{action} on a dead engine was not done in time")
        except (VenueLost, JournalUnwritable) as lost:
            self.out.notes.append(f"{action} on a dead engine: {lost}")
        await session.close()  # not where it was cancelled: then this life was killed in the middle of its act
        env.kill()

    def _new_life(self) -> tuple[Bot, FakeEnv]:
        self.out.lives += 1
        self.line(f"life {self.out.lives} begins")
        env = self.env = FakeEnv(self.loop, seed=self.out.seed * 1_000 + self.out.lives, disks=self.disks)
        env.asleep_us = self.skipped_us
        env.delay_us = self.drawn.delay_us
        if self.edge.down:
            env.refused |= {REST, STREAM}
        self.edge.serve(env)
        signer = make_signer(self.account.api_key, self.account.secret, scheme=self.account.scheme)
        settings = RunSettings(
            mode=SANDBOX, pairs=(self._pair(),), data_dir=Path("nowhere"), yes=True, strict=self.drawn.strict,
            limits=LimitSettings(**self.drawn.limits),
        )  # fmt: skip
        session = Bot(settings, env, signer, rest_url=REST, ws_url=STREAM, secrets=(self.account.secret,))
        session.kept = self.records
        self.watch.born(session, env)
        return session, env

    async def be_born(self) -> None:
        """Start the program on what its last life left on the disk; tried again while the exchange cannot be reached or the disk is full."""
        while True:
            session, env = self._new_life()
            try:
                await session.recover()
                await session.plan()
                await session.trade()
            except (VenueLost, JournalUnwritable) as lost:
                if isinstance(lost, JournalUnwritable) and all(disk.free_bytes is None for disk in self.disks.values()):
                    raise
                self.watch.canary.look("the program's last words", str(lost).encode())
                env.kill()
                await asyncio.sleep(5)
                continue
            except StartRefused as refused:
                self.out.notes.append(f"start refused: {refused}")
                env.kill()
                await asyncio.sleep(15)
                if self.out.lives > 60:
                    raise
                continue
            self.session = session
            return

    def die(self, *, power: bool) -> None:
        """Kill -9, or the plug."""
        assert self.env is not None
        self.line("power is lost" if power else "killed")
        self.env.kill()
        if power:
            for disk in self.disks.values():
                disk.lose_power(lambda _name, tail: tail[: self.chance.randint(0, len(tail))])
        self.session = None
        self.watch.died()

    def stop_birth(self) -> None:
        """A start that is under way ends with the process."""
        if self.birth is not None and not self.birth.done():
            self.birth.cancel()

    def killed(self, *, power: bool, within_us: int = 20 * US_PER_S) -> None:
        """Die, and come back within a while."""
        self.stop_birth()
        self.die(power=power)
        self.era += power
        self.birth = self.loop.create_task(self._be_born_after(self.chance.randint(0, within_us)))

    async def restart(self, within_us: int) -> None:
        """An ordered stop, and a new start within a while."""
        if self.session is not None:
            session, self.session = self.session, None
            self.watch.gives("stop")
            await session.stop("simulation")
            try:
                await session.close()
            except JournalUnwritable as full:  # the process ends with this as its last word
                self.out.notes.append(f"an ordered stop: {full}")
            self.die(power=False)
            self.birth = self.loop.create_task(self._be_born_after(self.chance.randint(0, within_us)))

    def command(self, action: str) -> None:
        """A command of the user's, if somebody is there to take it."""
        if self.session is not None and self.session.runner is not None:
            self.watch.gives(action)
            self.session.runner.command(action, "simulation")

    def _pair(self) -> PairSettings:
        values = default_values(self.drawn.strategy, **self.drawn.values)
        return PairSettings(self.drawn.strategy, self.drawn.symbol, values, budget=BUDGET)

    def ruin(self) -> None:
        """Take so much out of the account that it cannot carry its positions: the next mark price liquidates it."""
        account = self.exchange.accounts[self.account.name]
        if account.positions:
            standing = self.exchange.margin(self.account.name)
            taken = max(0, standing.equity_atoms - standing.maintenance_atoms // 2)
            account.add("USDC", -taken)
            self.ruined += taken

    # -- time --

    async def run(self) -> Outcome:
        """The whole run."""
        drawn = self.drawn
        if drawn.is_day:
            wake_up(self, 0)
        await self.be_born()
        for at_us, act in drawn.acts:
            await self._until(at_us)
            await self._act(act)
        await self._until(drawn.active_us)
        if drawn.is_day:
            await self._thicken()
        await self._quiet()
        self._final_checks()
        if drawn.is_day and self._density():
            self.note([f"density: {self._density()}"])
        self.out.trace = self.hash.hexdigest()
        return self.out

    async def _act(self, act: str) -> None:
        self.out.faults_met += act != "visit"
        self.line(f"act {act}")
        await mishaps.act(self, act)

    async def _thicken(self) -> None:
        """A day that its faults have left thin goes on for a while without any."""
        self._calm()
        await self._live_again()
        if self._density(TAIL_EVENTS):
            await self._set_right()
        for _ in range(MORE_MAX):
            if not self._density(TAIL_EVENTS):
                break
            wake_up(self, US_PER_S, pace=MORE_PCT)
            for _ in range(MORE_VISITS):
                await self._until(self.loop.now_us + MORE_US // MORE_VISITS)
                await mishaps.act(self, "visit")

    async def _set_right(self) -> None:
        """The operator lifts what the faults have latched, and starts a pair again that has ended."""
        assert self.session is not None
        state = self.session.state
        market = state.markets[self.drawn.symbol]
        if market.ended:
            await self.restart(US_PER_S)
            await self._live_again()
        if state.mode != ACTIVE or market.frozen or market.closing:
            self.command("resume")

    def _density(self, tail: int = 0) -> str:
        """What is missing of a day's density; "" when nothing is. `tail`: market events that are still to come."""
        orders, fills = sum(self.wire.submissions.values()), len(self.exchange.accounts[self.account.name].fills)
        there = {"market events": (self.out.market_acts + tail, EVENTS_MIN), "orders": (orders, ORDERS_MIN), "fills": (fills, FILLS_MIN)}
        return ", ".join(f"{n} {what} of {least}" for what, (n, least) in there.items() if n < least)

    async def _until(self, at_us: int) -> None:
        await self._pass(at_us - self.loop.now_us)

    async def _pass(self, span_us: int) -> None:
        until = self.loop.now_us + span_us
        passed = self.loop.create_future()

        def tick() -> None:
            if passed.done():
                return
            try:
                self._tick()
            except Exception as fault:  # noqa: BLE001  it is handed to whoever waits
                passed.set_exception(fault)
                return
            if self.loop.now_us < until:
                self.loop.call_at(min(self.loop.now_us + TICK_US, until) / US_PER_S, tick)
            else:
                passed.set_result(None)

        if self.loop.now_us < until:
            self.loop.call_at(min(self.loop.now_us + TICK_US, until) / US_PER_S, tick)
            await passed

    def _tick(self) -> None:
        """The market lives up to now, and everybody looks."""
        if self.edge.down:
            return
        self.out.market_acts += self.edge.advance()
        if not self.out.violations:
            self.watch.step()
        if self.env is not None:
            self.env.check()
        if self.out.violations and self.drawn.is_day:
            raise Found

    def _calm(self) -> None:
        """All faults off."""
        self.faults._odds.clear()
        self.faults._waiting.clear()
        self.faults.history_lag_us = 0
        self.faults.omit_trade_ids = self.drawn.nameless
        self.faults.maintenance = False
        self.faults._silent.clear()
        self.faults._drops.clear()
        self.edge.held_us = self.edge.doubles = 0
        for twists in (self.edge.before, self.edge.after, self.edge.frames):
            twists.clear()
        for disk in self.disks.values():
            disk.free_bytes, disk.fail = None, lambda _act, _name: None
        if self.exchange.instrument(self.drawn.symbol).book_state != "Open":
            self.exchange.set_book_state(self.drawn.symbol, "Open", self.edge.clock())
        if self.edge.down:
            self.edge.down = False
            if self.env is not None:
                self.env.refused.clear()

    async def _live_again(self) -> None:
        """Wait for a start that is under way."""
        if self.birth is not None:
            while not self.birth.done():
                await self._pass(TICK_US)
            self.birth.result()

    async def _quiet(self) -> None:
        """All faults off: everything must converge."""
        self._calm()
        await self._live_again()
        if self.drawn.is_day:
            wake_up(self, US_PER_S, pace=QUIET_PCT)
            await self._pass(TAIL_AWAKE[0])
            left_us = DAY_US - self.skipped_us - self.loop.now_us - TAIL_AWAKE[1]
            assert left_us > 0, "the day is longer than a day"
            wake_up(self, left_us, pace=MORE_PCT if self._density() else QUIET_PCT)
            await self._pass(TAIL_AWAKE[1])
        else:
            await self._pass(self.drawn.quiet_us)
        session = self.session
        assert session is not None
        for _ in range(SETTLE_MAX):
            if all(o.state in (WORKING, ARMED) for m in session.state.markets.values() for o in m.orders.live):
                break  # nothing is on its way: the picture can be compared
            await self._pass(TICK_US)
        self.watch.quiet()
        if self.drawn.is_day and self.out.seed % TWICE_BORN_EVERY == 0:
            await self._born_twice()
            session = self.session
        self.watch.gives("stop")
        await session.stop("simulation")
        await self._pass(2 * US_PER_S)

    async def _born_twice(self) -> None:
        """Two starts in a row in a market that stands still: the second one finds nothing to do."""
        self.edge.follow(iter(()))
        await self._pass(STILL_US)
        for look in (self.watch.restart.before, self.watch.restart.after):
            self.killed(power=False, within_us=0)
            await self._live_again()
            await self._pass(STILL_US)
            look(self.watch.facts())

    # -- checks --

    def count(self) -> None:
        """Write down how far it has come, also where it did not come to its end."""
        self.out.fills = len([f for f in self.exchange.accounts[self.account.name].fills if f.symbol == self.drawn.symbol])
        self.out.commands = sum(self.wire.submissions.values())
        self.out.simulated_us = self.loop.now_us + self.skipped_us

    def line(self, text: str) -> None:
        """One line of the trace that a failure prints."""
        self.out.lines.append(f"{(self.loop.now_us + self.skipped_us) / US_PER_S:.3f} {text}")

    def note(self, found: list[str]) -> None:
        """Keep what a checker found, but for what a directed fault itself makes."""
        found = [violation for violation in found if not violation.startswith(self.forgiven)]
        for violation in found:
            self.line(f"VIOLATION {violation}")
        self.out.violations += found

    def _final_checks(self) -> None:
        session = self.session
        assert session is not None
        self.watch.end()
        self.count()
        if session.engine.unwritten is not None:
            self.out.violations.append(f"I4: the journal is not on the disk: {session.engine.unwritten}")

    def _hash(self, method: str, path: str, body: bytes, status: int, answer: bytes) -> None:
        self.line(f"{method} {path.split('?', maxsplit=1)[0]} {status} {body[:160].decode(errors='replace')}")
        self.hash.update(f"{self.loop.now_us + self.skipped_us} {method} {path} {status}\n".encode())
        self.hash.update(body)
        self.hash.update(answer)
