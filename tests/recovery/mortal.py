"""A program that can be killed between any two records of its journal, and an exchange that goes on without it.

Kill means: the object graph is gone, the disk keeps what was written, and of the commands that had left some were carried out and some were
not. The next life folds the journal, asks the exchange and goes on; `start` is the start that trades.
"""

import random
from collections.abc import Coroutine, Sequence
from typing import Any

from tests.agreement.tapes import Case
from tests.fake_store import Disk
from tests.replay_rig import BALANCES, NAME, doubled_keys, resting_buys_atoms

from lemon_trader.config.settings import LimitSettings
from lemon_trader.core.commands import Command, Place
from lemon_trader.core.events import AccountRead, AccountTerms, BookSnapshot, Decided, Event
from lemon_trader.core.state import AccountState, Alert
from lemon_trader.core.units import INT64_MAX, US_PER_S
from lemon_trader.database.journal import Journal, read_events
from lemon_trader.engine.startup import fold, start
from lemon_trader.engine.turn import Engine
from lemon_trader.market.acts import Act, apply
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.rules import Rules
from lemon_trader.run.parts import apply_limits, make_plan
from lemon_trader.venues.replay import ReplayVenue, play

READ_EVERY_US = 5 * US_PER_S
NEVER = INT64_MAX


class Killed(BaseException):
    """kill -9: nothing in the program may catch it."""


class MortalJournal(Journal):
    """A journal that ends the program after so many records."""

    left = NEVER
    witness: "World"

    def append(self, event: Any) -> None:
        super().append(event)
        self.witness.written(event)
        self.left -= 1
        if self.left <= 0:
            raise Killed


class CountingExchange(Exchange):
    """Knows how many acts of the outside world have reached it, so that none is lost with the program that was playing them."""

    acts = 0

    def set_outside(self, symbol: str, side: int, ticks: int, lots: int, now_us: int) -> None:
        self.acts += 1
        super().set_outside(symbol, side, ticks, lots, now_us)

    def outside_take(self, symbol: str, side: int, lots: int, limit_ticks: int, now_us: int) -> int:
        self.acts += 1
        return super().outside_take(symbol, side, lots, limit_ticks, now_us)

    def set_reference(self, symbol: str, mark_ticks: int, index_ticks: int, funding_ppb: int, now_us: int) -> None:
        self.acts += 1
        super().set_reference(symbol, mark_ticks, index_ticks, funding_ppb, now_us)


class Door:
    """The replay's venue as a start uses one."""

    def __init__(self, life: "Life") -> None:
        self._life = life

    async def terms(self) -> AccountTerms:
        return self._life.venue.terms(self._life.now_us)

    async def connect(self, symbols: Sequence[str]) -> None:
        self._life.engine.turn(self._life.venue.opening(symbols, self._life.now_us))

    async def read_account(self, symbols: Sequence[str], since_us: int) -> AccountRead:
        return self._life.venue.read(symbols, since_us, self._life.now_us)


class World:
    """The exchange, the disk and the tape, which outlive the program; and what may never happen.

    Attributes:
        keys: client id -> (slot, generation, kind) of every attempt ever written.
        sent: client ids of every place that ever left, in order.
    """

    def __init__(self, case: Case, seed: int) -> None:
        self.case = case
        self.chance = random.Random(f"{case.name} {seed}")
        source = case.source()
        self.instrument = source.instruments[case.symbol]
        self.exchange = CountingExchange([self.instrument], Rules())
        self.exchange.advance(source.start_us)
        self.exchange.open_account(NAME, BALANCES)
        self.tape: list[Act] = list(source)
        self.disk = Disk()
        self.keys: dict[int, tuple[int, int, int]] = {}
        self.sent: list[int] = []
        self.records = 0
        for act in self.tape[:30]:
            apply(act, self.exchange)
        self.exchange.take_effects()

    @property
    def account(self) -> Any:
        return self.exchange.accounts[NAME]

    @property
    def left(self) -> list[Act]:
        return self.tape[self.exchange.acts :]

    def written(self, event: Event) -> None:
        self.records += 1
        if isinstance(event, Decided):
            for a in event.attempts:
                assert a.client_id not in self.keys, f"client id {a.client_id} is used twice"
                self.keys[a.client_id] = (a.slot, a.generation, a.kind)

    def pass_alone(self, span_us: int) -> None:
        """The market goes on while nobody is there."""
        until = self.exchange.now_us + span_us
        for act in self.left:
            if act.at_us > until:
                break
            apply(act, self.exchange)
        self.exchange.take_effects()


class Life:
    """One process: from the start to the end of the tape, or to its death."""

    def __init__(self, world: World, *, records: int = NEVER) -> None:
        self.world = world
        self.venue = _Witnessed(world)
        self.state = AccountState()
        self.journal = MortalJournal(world.disk.store(), mode="sandbox", account="demo")
        self.journal.witness = world
        self.journal.left = records
        self.engine = Engine(self.state, self.journal, self.venue)
        self.alerts: list[Alert] = []
        self.engine.on_alert = self.alerts.append
        self.now_us = world.exchange.now_us

    @property
    def market(self) -> Any:
        return self.state.markets[self.world.case.symbol]

    def begin(self) -> None:
        """Recover as a session does. Raises Killed."""
        world, case = self.world, self.world.case
        opened = self.journal.open(self.now_us)
        fold(self.state, opened.state, opened.events, {case.symbol: world.instrument})
        last_us = opened.events[-1].ts_us if opened.events else 0
        self.state.add_market(world.instrument)
        self.engine.record(self.venue.terms(self.now_us))
        self.engine.turn([e for e in self.venue.opening([case.symbol], self.now_us) if isinstance(e, BookSnapshot)])
        plan = make_plan(case.pair, self.state, world.instrument, world.account.available("USDC"))
        apply_limits(self.state, LimitSettings(), [plan])
        finish(start(self.engine, Door(self), [plan], mode="sandbox", now_us=lambda: self.now_us, last_us=last_us))  # type: ignore[arg-type]

    def trade(self, until_us: int = INT64_MAX) -> None:
        """Go on with the tape. Raises Killed."""
        acts = (act for act in self.world.left if act.at_us < until_us)
        play(acts, self.venue, self._turn, [self.world.case.symbol], read_every_us=READ_EVERY_US)

    def decided(self) -> list[Decided]:
        return [e for e in read_events(self.world.disk.store()) if isinstance(e, Decided)]

    def die(self) -> None:
        """The exchange carries out some of what had left; nobody hears of it."""
        waiting = self.venue._waiting
        for _ in range(self.world.chance.randint(0, len(waiting))):
            command = waiting.popleft()
            if isinstance(command, Place):
                self.venue._place(command, self.world.exchange.now_us)
            else:
                self.venue._cancel(command.symbol, command, self.world.exchange.now_us)
        self.world.exchange.take_effects()
        self.world.disk.kill()

    def _turn(self, facts: Sequence[Event]) -> None:
        self.now_us = max(self.now_us, facts[-1].ts_us)
        self.engine.turn(facts)
        doubled = doubled_keys(self.world.exchange, NAME, self.world.keys)
        assert not doubled, doubled
        if not self.world.instrument.is_perp:
            spent = max(0, self.market.ledger.cost_atoms) + resting_buys_atoms(self.world.exchange, NAME, self.world.instrument)
            assert spent <= self.market.binding.budget_atoms, f"{spent} held and resting, budget {self.market.binding.budget_atoms}"


class _Witnessed(ReplayVenue):
    """Notes what leaves: only what was written before, and each id once."""

    def __init__(self, world: World) -> None:
        super().__init__(world.exchange, NAME)
        self._world = world

    def send(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, Place):
                assert command.client_id in self._world.keys, f"client id {command.client_id} leaves before it is written"
                assert command.client_id not in self._world.sent, f"client id {command.client_id} leaves twice"
                self._world.sent.append(command.client_id)
        super().send(commands)


def finish(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for something")
