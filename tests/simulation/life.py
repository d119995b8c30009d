"""One simulated run: a seed draws market, strategy, faults and crashes; the bot lives, dies, recovers; then the quiet tail and the checks.

The bot is `run.session.Session`, the composition that trades: the real engine, journal, client and protocol, over wires and a disk in memory.
"""

import asyncio
import hashlib
import random
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.fake_env import START_US, FakeEnv
from tests.fake_store import Disk
from tests.invariants.books import fills_equality, ledger_equality, one_live_order, totals, unprotected, within_budget, write_ahead
from tests.invariants.wire import WireWitness
from tests.simulation.exchange import REST, STREAM, Edge
from tests.simulation.plan import Drawn
from tests.virtual_time import VirtualLoop

from lemon_trader.config.settings import SANDBOX, PairSettings, RunSettings
from lemon_trader.core.events import Decided, UserCommand
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.records import STOP_SLOT, TRIGGER_SLOT
from lemon_trader.core.units import BUY, EXIT, STATE_NAMES, STOP, TRIGGER, UNKNOWN, US_PER_S
from lemon_trader.engine.startup import StartRefused
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import OrderState
from lemon_trader.run.acts import carry_out
from lemon_trader.run.parts import default_values, make_signer
from lemon_trader.run.session import Session
from lemon_trader.sandbox.faults import Faults, Kind
from lemon_trader.sandbox.world import WorldOptions, make_world
from lemon_trader.venues.venue import VenueLost

TICK_US = 100_000
END_US = 15 * US_PER_S  # longest time until what opens is gone after a pair's end
G_S = 5  # longest time without a resting stop
BUDGET = Decimal(500)


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


class Life:
    """The bot's consecutive lives against one exchange."""

    def __init__(self, seed: int, drawn: Drawn, loop: VirtualLoop) -> None:
        self.drawn = drawn
        self.loop = loop
        self.chance = random.Random(f"faults {seed}")
        self.out = Outcome(seed, drawn)
        self.disks: dict[str, Disk] = {}
        self.faults = Faults(self.chance.randrange, {})
        world = make_world(
            WorldOptions(
                market="synthetic",
                symbols=(drawn.symbol, *drawn.besides),
                seed=seed,
                activity_pct=drawn.activity_pct,
                stories=drawn.stories,
                scheme=drawn.scheme,
            ),
            START_US,
            faults=self.faults,
        )
        self.edge = Edge(world, lambda: START_US + loop.now_us)
        self.edge.breaks = lambda: self.chance.random() < 0.5
        self.wire = WireWitness()
        self.edge.on_request.append(self.wire)
        self.edge.on_request.append(self._hash)
        self.account = world.accounts[0]
        self.exchange = world.app.desk.exchange
        self.written: set[int] = set()
        self.written_totals: dict[object, Decimal] = {}
        self.keys: dict[int, tuple[int, str, int, int]] = {}  # client id -> (era, symbol, slot, generation)
        self.hash = hashlib.sha256()
        self.session: Session | None = None
        self.env: FakeEnv | None = None
        self.birth: asyncio.Task[None] | None = None
        self.forgiven: tuple[str, ...] = ()  # beginnings of violations that a directed fault itself makes
        self.ruined = 0  # atoms taken out of the account
        self.bare_us = 0  # since when something is held without a stop at the exchange
        self.ended_us = 0  # since when something rests that opens although the pair has ended
        self.era = 0  # losses of power so far: what was not synced is gone, and keys may be written anew

    @property
    def instrument(self) -> Instrument:
        """The grid that the exchange counts in now: it becomes finer when filters change."""
        return self.exchange.instrument(self.drawn.symbol)

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
            await session.recover()
            if await carry_out(session, action):
                self._note(self._left_by(action))
                self.out.errands += 1
            else:
                self.out.notes.append(f"{action} on a dead engine was not done in time")
        except VenueLost as lost:
            self.out.notes.append(f"{action} on a dead engine: {lost}")
        await session.close()  # not where it was cancelled: then this life was killed in the middle of its act
        env.kill()

    def _left_by(self, action: str) -> list[str]:
        """I17: after an act nothing of ours rests but stops, and after `flatten` nothing at all, and nothing sellable is held."""
        account, i = self.exchange.accounts[self.account.name], self.instrument
        ours = [o for o in account.live.values() if o.client_id in self.keys]
        wrong = [o for o in ours if action == "flatten" or self.keys[o.client_id][2] not in (STOP_SLOT, TRIGGER_SLOT)]
        found = [f"I17: order {o.order_id} of key {self.keys[o.client_id]} rests after {action} on a dead engine" for o in wrong]
        if action == "flatten":
            fills = [f for f in account.fills if f.symbol == i.symbol]
            base = sum(f.side * f.lots for f in fills) * i.lot_atoms - sum(f.fee_atoms for f in fills if f.fee_asset == i.base)
            if abs(base) // i.lot_atoms >= max(1, i.min_lots):
                found.append(f"I17: {base} atoms are held after flatten on a dead engine")
        return found

    def _new_life(self) -> tuple[Session, FakeEnv]:
        self.out.lives += 1
        env = self.env = FakeEnv(self.loop, seed=self.out.seed * 1_000 + self.out.lives, disks=self.disks)
        env.delay_us = self.drawn.delay_us
        if self.edge.down:
            env.refused |= {REST, STREAM}
        self.edge.serve(env)
        signer = make_signer(self.account.api_key, self.account.secret, scheme=self.account.scheme)
        settings = RunSettings(mode=SANDBOX, pairs=(self._pair(),), data_dir=Path("nowhere"), yes=True, strict=self.drawn.strict)
        session = Session(settings, env, signer, rest_url=REST, ws_url=STREAM, alone=True)
        self._witness_journal(session)
        return session, env

    async def be_born(self) -> None:
        """Start the program on what its last life left on the disk; tried again while the exchange cannot be reached."""
        while True:
            session, env = self._new_life()
            try:
                await session.recover()
                await session.plan()
                await session.trade()
            except VenueLost:
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
        self.env.kill()
        if power:
            for disk in self.disks.values():
                disk.lose_power(lambda _name, tail: tail[: self.chance.randint(0, len(tail))])
        self.session = None

    def _pair(self) -> PairSettings:
        values = default_values(self.drawn.strategy, **self.drawn.values)
        return PairSettings(self.drawn.strategy, self.drawn.symbol, values, budget=BUDGET)

    def _witness_journal(self, session: Session) -> None:
        append = session.journal.append

        def written(event: Any) -> None:
            append(event)
            if isinstance(event, Decided):
                for a in event.attempts:
                    key = (self.era, a.symbol, a.slot, a.generation)
                    self.written.add(a.client_id)
                    self.keys[a.client_id] = key
                    total = Decimal(a.total_lots * session.state.markets[a.symbol].instrument.lot_atoms)  # no grid is in it
                    self.written_totals[key] = max(self.written_totals.get(key, Decimal(0)), total)

        session.journal.append = written  # type: ignore[method-assign]

    # -- time --

    async def run(self) -> Outcome:
        """The whole run."""
        await self.be_born()
        drawn = self.drawn
        for at_us, act in drawn.acts:
            await self._until(at_us)
            await self._act(act)
        await self._until(drawn.active_us)
        await self._quiet()
        self._final_checks()
        self.out.trace = self.hash.hexdigest()
        self.out.simulated_us = self.loop.now_us
        return self.out

    async def _act(self, act: str) -> None:
        self.out.faults_met += 1
        name, _, rest = act.partition(":")
        env = self.env
        assert env is not None
        match name:
            case "odds":
                kind, ppm = rest.split("=")
                self.faults._odds[Kind(kind)] = int(ppm)
            case "calm":
                self.faults._odds.clear()
            case "kill" | "power":
                if self.birth is not None and not self.birth.done():
                    self.birth.cancel()
                self.die(power=name == "power")
                self.era += name == "power"
                self.birth = self.loop.create_task(self._be_born_after(self.chance.randint(0, 20 * US_PER_S)))
            case "errand":
                if self.birth is not None and not self.birth.done():
                    self.birth.cancel()
                self.die(power=False)
                self.birth = self.loop.create_task(self._errand_and_be_born(rest, self.chance.randint(0, 5 * US_PER_S)))
            case "restart":
                if self.session is not None:
                    session, self.session = self.session, None
                    await session.stop("simulation")
                    await session.close()
                    self.die(power=False)
                    self.birth = self.loop.create_task(self._be_born_after(self.chance.randint(0, 30 * US_PER_S)))
            case "cut":
                self.edge.cut_all()
            case "down":
                self.edge.down = True
                self.edge.cut_all()
                env.refused |= {REST, STREAM}
            case "up":
                self.edge.down = False
                env.refused.clear()
            case "lag":
                self.faults.history_lag_us = int(rest)
            case "nameless":
                self.faults.omit_trade_ids = rest == "on"
            case "ruin":
                self.ruin()
            case "mend":
                self.exchange.accounts[self.account.name].add("USDC", self.ruined)
                self.ruined = 0
                if self.session is not None and self.session.runner is not None:
                    self.session.runner.command("resume", "simulation")
            case "nibble":
                self._nibble()
            case "silence":
                self.faults.silence(rest, self.edge.clock() + 20 * US_PER_S)
            case "drop":
                self.faults.drop(rest, 3)
            case "maintenance":
                self.faults.maintenance = rest == "on"
            case "filters":
                tick, lot = rest.split(",")
                self.edge.world.app.change_filters(self.drawn.symbol, self.edge.clock(), tick=tick, lot=lot)
            case "wall":
                env.wall_skew_us += int(rest)
            case "pair":
                if self.session is not None:
                    self.session.engine.turn([UserCommand(self.edge.clock(), "stop", self.drawn.symbol, "duration")])
            case "command":
                if self.session is not None and self.session.runner is not None:
                    self.session.runner.command(rest, "simulation")
            case _:
                raise AssertionError(f"unknown act {act}")

    def ruin(self) -> None:
        """Take so much out of the account that it cannot carry its positions: the next mark price liquidates it."""
        account = self.exchange.accounts[self.account.name]
        if account.positions:
            standing = self.exchange.margin(self.account.name)
            taken = max(0, standing.equity_atoms - standing.maintenance_atoms // 2)
            account.add("USDC", -taken)
            self.ruined += taken

    def _nibble(self) -> None:
        """Somebody trades two lots with an order of ours, one at a time in one instant."""
        account = self.exchange.accounts[self.account.name]
        order = next((o for o in account.live.values() if o.client_id in self.keys and not o.is_trigger and o.open_lots > 3), None)
        if order is not None:
            take(self.exchange, order, 2, self.edge.clock())

    async def _until(self, at_us: int) -> None:
        while self.loop.now_us < at_us:
            await self._pass(min(TICK_US, at_us - self.loop.now_us))

    async def _pass(self, span_us: int) -> None:
        until = self.loop.now_us + span_us
        while self.loop.now_us < until:
            await asyncio.sleep(min(TICK_US, until - self.loop.now_us) / US_PER_S)
            if self.edge.down:
                self.bare_us = self.loop.now_us  # nothing can be protected through a line that is cut
                continue
            self.out.market_acts += self.edge.advance()
            self._always()
            if self.env is not None:
                self.env.check()

    async def _quiet(self) -> None:
        """All faults off: everything must converge."""
        self.faults._odds.clear()
        self.faults.history_lag_us = 0
        self.faults.omit_trade_ids = False
        self.faults.maintenance = False
        self.faults._silent.clear()
        self.faults._drops.clear()
        if self.edge.down:
            await self._act("up")
        if self.birth is not None:
            while not self.birth.done():
                await self._pass(TICK_US)
            self.birth.result()
        await self._pass(self.drawn.quiet_us)
        session = self.session
        assert session is not None
        late = [
            f"I10: order {o.client_id} is UNKNOWN for {(self.edge.clock() - o.unknown_us) // US_PER_S} s"
            for m in session.state.markets.values()
            for o in m.orders.live
            if o.state == UNKNOWN and self.edge.clock() - o.unknown_us > 60 * US_PER_S
        ]
        self.out.violations += late
        await session.stop("simulation")
        await self._pass(2 * US_PER_S)

    # -- checks --

    def _always(self) -> None:
        session = self.session
        if session is None:
            self.bare_us = self.loop.now_us  # a program that is dead protects nothing; its time begins with its next life
            return
        if self.out.violations:
            return
        found = list(self.wire.violations())
        found += write_ahead("I4", set(self.wire.submissions), self.written)
        account = self.exchange.accounts[self.account.name]
        live = [(self.keys.get(o.client_id, "?"), o.order_id, o.is_trigger) for o in account.live.values() if o.client_id in self.keys]
        found += one_live_order("I2", live)
        if not self.instrument.is_perp:
            market = session.state.markets[self.drawn.symbol]
            open_buys = sum(
                (Decimal(o.ticks * o.open_lots) for o in account.live.values() if o.side == BUY and o.client_id in self.keys), Decimal(0)
            )
            atoms = self.instrument.tick_lot_atoms
            held = Decimal(max(0, market.ledger.cost_atoms))
            found += within_budget("I5", held, open_buys * atoms, BUDGET * 10**9)
        if self.instrument.is_perp and self.drawn.strategy == "martingale":
            found += self._unprotected(G_S)
        found += self._opening_after_its_end()
        self._note(found)

    def _opening_after_its_end(self) -> list[str]:
        """I18, counted like I6: a pair whose own duration is over has nothing resting that opens."""
        assert self.session is not None
        market = self.session.state.markets[self.drawn.symbol]
        account = self.exchange.accounts[self.account.name]
        roles = {o.client_id: o.role for o in market.orders}
        opens = [o.order_id for o in account.live.values() if o.client_id in self.keys and roles.get(o.client_id) not in (EXIT, STOP)]
        clear = not (self.edge.down or self.faults._odds or self.faults._waiting or self.faults.maintenance or self.faults._silent)
        if not (market.ended and opens and clear):
            self.ended_us = self.loop.now_us
        lasts_us = self.loop.now_us - self.ended_us
        return [f"I18: orders {opens} open something {lasts_us // US_PER_S} s after the end of their pair"] if lasts_us > END_US else []

    def _unprotected(self, most_s: float) -> list[str]:
        """I6, counted while the program lives and nothing keeps it from the exchange."""
        account = self.exchange.accounts[self.account.name]
        lots = account.position_lots(self.drawn.symbol)
        held = Decimal(
            lots if abs(lots) >= self.instrument.min_lots else 0
        )  # no order is small enough for what a coarser grid left as dust
        stops = [
            (o.side, abs(held) if o.trigger_ppm == 1_000_000 else Decimal(o.trigger_lots)) for o in account.live.values() if o.is_trigger
        ]
        clear = not (self.edge.down or self.faults._odds or self.faults._waiting or self.faults.maintenance or self.faults._silent)
        if not clear or not unprotected("I6", held, stops, 1, 0):
            self.bare_us = self.loop.now_us
        return unprotected("I6", held, stops, (self.loop.now_us - self.bare_us) / US_PER_S, most_s)

    def _note(self, found: list[str]) -> None:
        self.out.violations += [violation for violation in found if not violation.startswith(self.forgiven)]

    def _final_checks(self) -> None:
        session = self.session
        assert session is not None
        market = session.state.markets[self.drawn.symbol]
        account = self.exchange.accounts[self.account.name]
        i = self.instrument
        fills = [f for f in account.fills if f.symbol == i.symbol]
        cash = sum(-f.side * f.quote_atoms for f in fills)
        cash -= sum(f.fee_atoms for f in fills if f.fee_asset == i.quote)
        cash += sum(f.amount_atoms for f in account.funding if f.symbol == i.symbol)
        base = sum(f.side * f.lots for f in fills) * i.lot_atoms
        base -= sum(f.fee_atoms for f in fills if f.fee_asset == i.base)
        ours = {
            "base": Decimal(market.ledger.base_atoms),
            "cash": Decimal(market.ledger.flow_atoms() if i.is_perp else market.ledger.cash_atoms),
        }
        theirs = {"base": Decimal(base), "cash": Decimal(cash)}
        self._note(ledger_equality("I1", ours, theirs))
        per_key: dict[object, Decimal] = {}
        for f in fills:
            key = self.keys.get(f.client_id) if f.client_id is not None else None
            if key is not None:
                per_key[key] = per_key.get(key, Decimal(0)) + f.lots * i.lot_atoms
        self._note(totals("I2", per_key, self.written_totals))
        left = [o for o in account.live.values() if o.client_id in self.keys]
        known = {o.order_id for o in market.orders.live}
        for order in left:
            role = "EXIT or STOP" if str(order.order_id) in known else "orphan"
            ours_too = next((o for o in market.orders.live if o.order_id == str(order.order_id)), None)
            if ours_too is None:
                self.out.violations.append(f"I3: order {order.order_id} of client id {order.client_id} rests and is not managed ({role})")
            elif ours_too.role not in (EXIT, STOP) and ours_too.kind != TRIGGER:
                self.out.violations.append(f"I16: order {order.order_id} can open and rests after an ordered stop")
        ghosts = [o for o in market.orders.live if o.order_id and int(o.order_id) not in account.live]
        self.out.violations += [f"I3: {STATE_NAMES[o.state]} order {o.order_id} is managed here and not at the exchange" for o in ghosts]
        self.out.fills = len(fills)
        self.out.commands = sum(self.wire.submissions.values())
        if session.engine.unwritten is not None:
            self.out.violations.append(f"I4: the journal is not on the disk: {session.engine.unwritten}")
        _ = fills_equality

    def _hash(self, method: str, path: str, body: bytes, status: int, answer: bytes) -> None:
        self.hash.update(f"{self.loop.now_us} {method} {path} {status}\n".encode())
        self.hash.update(body)
        self.hash.update(answer)


def take(exchange: Exchange, order: OrderState, lots: int, now_us: int) -> None:
    """Let the outside world trade with a resting order until `lots` of it are filled, one at a time; what stands before it goes first."""
    before = order.executed_lots
    while order.executed_lots - before < lots:
        bid, bid_lots, ask, ask_lots = exchange.touch(order.symbol)
        best, there = (bid, bid_lots) if order.side == BUY else (ask, ask_lots)
        if not exchange.outside_take(order.symbol, -order.side, 1 if best == order.ticks else there, order.ticks, now_us):
            return
