"""A paper program's consecutive lives under virtual time: streams cut, an exchange out of reach, kill -9, power lost, disks that refuse.

The market is the sandbox's public side, where nobody knows of us. The account is on the program's own disk, so what is checked after each
death is that the disk holds everything that was ever told.
"""

import asyncio
import random
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.fake_env import START_US, FakeEnv
from tests.fake_store import Disk, full
from tests.invariants.books import ledger_equality, one_live_order, totals
from tests.simulation.exchange import REST, STREAM, Edge
from tests.simulation.plan import Drawn, draw
from tests.virtual_time import VirtualLoop

from lemon_trader.config.settings import PAPER, PairSettings, RunSettings
from lemon_trader.core.events import Balance, Decided, Fill, PlaceAccepted
from lemon_trader.core.units import EXIT, STOP, TRIGGER, US_PER_S
from lemon_trader.matching.image import AccountImage
from lemon_trader.run.parts import default_values
from lemon_trader.run.session import Session
from lemon_trader.sandbox.faults import Faults
from lemon_trader.sandbox.world import WorldOptions, make_world
from lemon_trader.venues.paper_account import FILE, PaperAccount, image_of
from lemon_trader.venues.venue import VenueLost

TICK_US = 100_000
BUDGET = Decimal(500)
ACTS = ("kill", "power", "restart", "cut", "down", "silence", "drop", "disk", "late")


@dataclass
class Outcome:
    """What a seed did."""

    violations: list[str] = field(default_factory=list)
    fills: int = 0
    lives: int = 0
    deaths: int = 0
    refused_writes: int = 0
    requests: int = 0


class PaperLife:
    """The lives of one seed."""

    def __init__(self, seed: int, loop: VirtualLoop, *, only: tuple[str, ...] = ACTS, active_us: int = 90 * US_PER_S) -> None:
        self.seed = seed
        self.loop = loop
        self.chance = random.Random(f"paper {seed}")
        self.drawn: Drawn = draw(seed, only=[])
        if self.drawn.strategy == "market-maker":
            self.drawn.values["spread"] = Decimal("0.04")  # near enough that the market passes it often
        self.acts = sorted((self.chance.randint(5 * US_PER_S, active_us), self.chance.choice(only)) for _ in range(6))
        self.active_us = active_us
        self.out = Outcome()
        self.disks: dict[str, Disk] = {}
        self.faults = Faults(self.chance.randrange, {})
        world = make_world(
            WorldOptions(
                market="synthetic", symbols=(self.drawn.symbol,), seed=seed, activity_pct=400, stories={self.drawn.symbol: "ripple"}
            ),
            START_US, faults=self.faults,
        )  # fmt: skip
        self.edge = Edge(world, lambda: START_US + loop.now_us)
        self.edge.on_request.append(self._asked)
        self.session: Session | None = None
        self.env: FakeEnv | None = None
        self.told_fills: dict[tuple[str, int], int] = {}
        self.keys: dict[int, object] = {}
        self.written_totals: dict[object, Decimal] = {}
        self.era = 0

    # -- lives --

    async def be_born(self) -> None:
        """Start on what the last life left; tried again while the market cannot be reached."""
        while True:
            self.out.lives += 1
            env = self.env = FakeEnv(self.loop, seed=self.seed * 1_000 + self.out.lives, disks=self.disks)
            env.delay_us = self.drawn.delay_us
            if self.edge.down:
                env.refused |= {REST, STREAM}
            self.edge.serve(env)
            pair = PairSettings(
                self.drawn.strategy, self.drawn.symbol, default_values(self.drawn.strategy, **self.drawn.values), budget=BUDGET
            )
            settings = RunSettings(mode=PAPER, pairs=(pair,), data_dir=Path("nowhere"), paper_balances={"USDC": Decimal(2_000)})
            session = Session(settings, env, None, rest_url=REST, ws_url=STREAM, alone=True)
            self._witness(session)
            try:
                await session.recover()
                await session.plan()
                await session.trade()
            except VenueLost:
                env.kill()
                await asyncio.sleep(5)
                continue
            self.session = session
            return

    def die(self, *, power: bool) -> None:
        """Kill -9, or the plug: the disk must hold the account as it was last told."""
        assert self.env is not None
        session, self.session = self.session, None
        alive = image_of(session.venue.account_exchange, "paper") if session is not None else None
        untold = session is not None and bool(session.venue._untold)
        self.env.kill()
        self.out.deaths += 1
        if power:
            self.era += 1
            for disk in self.disks.values():
                disk.lose_power(lambda _name, tail: tail[: self.chance.randint(0, len(tail))])
        if alive is not None and not untold:
            kept = PaperAccount(self.disks[PAPER].copy().store(), {}).open(0)
            self.out.violations += [f"P1 after a {'loss of power' if power else 'kill'}: {text}" for text in differences(alive, kept)]

    async def _act(self, act: str) -> None:
        assert self.env is not None
        match act:
            case "kill" | "power":
                self.die(power=act == "power")
                await self._pass(self.chance.randint(0, 10 * US_PER_S))
                await self._reborn()
            case "restart":
                assert self.session is not None
                session = self.session
                await session.stop("simulation")
                await session.close()
                self.die(power=False)
                await self._pass(self.chance.randint(0, 10 * US_PER_S))
                await self._reborn()
            case "cut":
                self.edge.cut_all()
            case "down":
                self.edge.down = True
                self.edge.cut_all()
                self.env.refused |= {REST, STREAM}
                await self._pass(self.chance.randint(1, 15) * US_PER_S)
                self.edge.down = False
                self.env.refused.clear()
            case "silence":
                self.faults.silence("depth", self.edge.clock() + 12 * US_PER_S)
            case "drop":
                self.faults.drop("depth", 3)
            case "disk":
                disk = self.disks[PAPER]
                disk.fail = lambda what, name: self._refuse() if name == FILE and what in ("append", "sync") else None
                await self._pass(self.chance.randint(1, 8) * US_PER_S)
                disk.fail = lambda _what, _name: None
            case "late":
                self.env.delay_us = (50_000, 900_000)
                await self._pass(5 * US_PER_S)
                self.env.delay_us = self.drawn.delay_us
            case _:
                raise AssertionError(act)

    def _refuse(self) -> OSError:
        self.out.refused_writes += 1
        return full()

    async def _reborn(self) -> None:
        birth = self.loop.create_task(self.be_born())
        while not birth.done():
            await self._pass(TICK_US)
        birth.result()

    # -- time --

    async def run(self) -> Outcome:
        """The whole seed."""
        await self.be_born()
        for at_us, act in self.acts:
            await self._pass(at_us - self.loop.now_us)
            await self._act(act)
        await self._pass(max(0, self.active_us - self.loop.now_us) + 40 * US_PER_S)
        assert self.session is not None
        await self.session.stop("simulation")
        await self._pass(2 * US_PER_S)
        self._finally(self.session)
        return self.out

    async def _pass(self, span_us: int) -> None:
        until = self.loop.now_us + span_us
        while self.loop.now_us < until:
            await asyncio.sleep(min(TICK_US, until - self.loop.now_us) / US_PER_S)
            self.edge.advance()
            if self.env is not None and not self.env.is_dead:
                self.env.check()
            if self.session is not None and not self.out.violations:
                live = [(self.keys.get(o.client_id, "?"), o.order_id, o.is_trigger) for o in self.session.venue.account.live.values()]
                self.out.violations += one_live_order("P2", live)
                self.session.venue.account_exchange.check_closed()

    # -- what is checked --

    def _asked(self, method: str, path: str, _body: bytes, _status: int, _answer: bytes) -> None:
        self.out.requests += 1
        if method != "GET" or "account" in path or "orders" in path or "capital" in path:
            self.out.violations.append(f"P3: a paper program asked {method} {path}")

    def _witness(self, session: Session) -> None:
        """What is told must be on the disk already, and what is ordered must be in the journal."""
        append, sink = session.journal.append, session.venue._sink

        def written(event: Any) -> None:
            append(event)
            if isinstance(event, Decided):
                for a in event.attempts:
                    key = self.keys[a.client_id] = (self.era, a.symbol, a.slot, a.generation)
                    self.written_totals[key] = max(self.written_totals.get(key, Decimal(0)), Decimal(a.total_lots))

        def told(facts: Any) -> None:
            if any(isinstance(fact, (Fill, Balance, PlaceAccepted)) for fact in facts):
                image = self.disks[PAPER].files[FILE]
                if image.synced != len(image.data):
                    self.out.violations.append("P4: something of the account was told before it was on the disk")
            for fact in facts:
                if isinstance(fact, Fill):
                    self.told_fills[fact.symbol, fact.trade_id] = fact.qty_lots
            sink(facts)

        session.journal.append = written  # type: ignore[method-assign]
        session.venue._sink = told

    def _finally(self, session: Session) -> None:
        account, market = session.venue.account, session.state.markets[self.drawn.symbol]
        i = market.instrument
        fills = [f for f in account.fills if f.symbol == i.symbol]
        cash = sum(-f.side * f.quote_atoms for f in fills) - sum(f.fee_atoms for f in fills if f.fee_asset == i.quote)
        cash += sum(f.amount_atoms for f in account.funding if f.symbol == i.symbol)
        base = sum(f.side * f.lots for f in fills) * i.lot_atoms - sum(f.fee_atoms for f in fills if f.fee_asset == i.base)
        ledger = market.ledger
        ours = {"base": Decimal(ledger.base_atoms), "cash": Decimal(ledger.flow_atoms() if i.is_perp else ledger.cash_atoms)}
        self.out.violations += ledger_equality("P5", ours, {"base": Decimal(base), "cash": Decimal(cash)})
        kept = {(f.symbol, f.trade_id): f.lots for f in fills}
        self.out.violations += [f"P6: fill {key} was told and is not in the account" for key in self.told_fills.keys() - kept.keys()]
        per_key: dict[object, Decimal] = {}
        for f in fills:
            if f.client_id in self.keys:
                per_key[self.keys[f.client_id]] = per_key.get(self.keys[f.client_id], Decimal(0)) + f.lots
        self.out.violations += totals("P7", per_key, self.written_totals)
        known = {o.order_id: o for o in market.orders.live}
        for order in account.live.values():
            mine = known.pop(str(order.order_id), None)
            if mine is None:
                self.out.violations.append(f"P8: order {order.order_id} rests and is not managed")
            elif mine.role not in (EXIT, STOP) and mine.kind != TRIGGER:
                self.out.violations.append(f"P8: order {order.order_id} can open and rests after an ordered stop")
        self.out.violations += [f"P8: order {order_id} is managed and does not rest" for order_id in known if order_id]
        self.out.fills = len(fills)


def differences(alive: AccountImage, kept: AccountImage) -> list[str]:
    """Where an account on the disk is not the one that was in memory."""
    pairs = {
        "balances": (alive.totals, kept.totals),
        "orders": ({k: (o.status, o.lots, o.executed_lots) for k, o in alive.live.items()},
                   {k: (o.status, o.lots, o.executed_lots) for k, o in kept.live.items()}),
        "positions": ({s: (p.lots, p.cost_atoms) for s, p in alive.positions.items()},
                      {s: (p.lots, p.cost_atoms) for s, p in kept.positions.items()}),
        "fills": (alive.fills, kept.fills),
        "funding": (alive.funding, kept.funding),
        "ended orders": ({o.order_id: o.status for o in alive.order_history}, {o.order_id: o.status for o in kept.order_history}),
    }  # fmt: skip
    return [f"{name}: {a} in memory, {b} on the disk" for name, (a, b) in pairs.items() if a != b]
