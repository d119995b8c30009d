"""The live venue in steps: the very client, protocol and sandbox that trade over sockets, over wires in memory, with the market held still.

`SteppedVenue` has the surface that `venues.replay.play` works with, so one schedule plays a tape through either carrier. Behind it stands a
real `LiveVenue` and a real `SandboxApp`; every command and every fact crosses the wire as bytes. Exchange time stands still while a command
is unanswered, and what the streams say until then is one read, in the order in which the exchange said it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.fake_env import START_US, FakeEnv
from tests.simulation.exchange import REST, STREAM, Edge
from tests.virtual_time import VirtualLoop

from lemon_trader.core.commands import Command
from lemon_trader.core.events import AccountRead, AccountTerms, CancelAnswered, Event, PlaceAccepted, PlaceRefused, PlaceUnknown
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.market.acts import Level, Reference, Take
from lemon_trader.matching.rules import Rules
from lemon_trader.run.parts import EXCHANGE, make_signer, make_venue
from lemon_trader.sandbox.accounts import DemoAccount
from lemon_trader.sandbox.world import World
from lemon_trader.venues.paper import PaperVenue

ANSWERS = (PlaceAccepted, PlaceRefused, PlaceUnknown, CancelAnswered)
ROUNDS = 12  # of the loop without news before everything is taken to be delivered


class StandingEdge(Edge):
    """The sandbox's edge whose market moves only when the tape says so."""

    def advance(self) -> int:
        return 0


class SteppedVenue:
    """`LiveVenue` behind the surface of `ReplayVenue`.

    Attributes:
        commands: everything ever sent.
        live: the venue that sends it.
    """

    def __init__(self, world: World, account: int = 0) -> None:
        assert world.start_us == START_US
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.env = FakeEnv(self.loop)
        self.env.delay_us = 0
        self.env.reads_alone = True
        self.world = world
        StandingEdge(world, self.env.now_us).serve(self.env)
        self.live: Any = self._venue(world.accounts[account])
        self.commands: list[Command] = []
        self.exchange = _Outside(self)
        self._facts: list[Event] = []
        self._unanswered = 0

    def _venue(self, key: DemoAccount) -> Any:
        return make_venue(self.env, make_signer(key.api_key, key.secret, scheme=key.scheme), self._collect, rest_url=REST, ws_url=STREAM)

    # -- the engine's side --

    def send(self, commands: Sequence[Command]) -> None:
        self.commands.extend(commands)
        self._unanswered += len(commands)
        self.live.send(commands)

    def expires_us(self, now_us: int) -> int:
        return self.live.expires_us(now_us)

    # -- the schedule's side --

    @property
    def waiting(self) -> bool:
        return self._unanswered > 0

    def answer(self, now_us: int) -> list[Event]:
        """Everything until the last command is answered, as one read."""
        self._settle()
        assert not self._unanswered, f"{self._unanswered} commands have no answer"
        assert self.env.now_us() == now_us, "time went on while a command was unanswered"
        return self.facts(now_us)

    def facts(self, now_us: int) -> list[Event]:
        self._settle()
        facts, self._facts = self._facts, []
        return facts

    def second(self, symbols: Sequence[str], now_us: int) -> list[Event]:
        """Nothing: the streams say it themselves."""
        return []

    def read(self, symbols: Sequence[str], since_us: int, now_us: int) -> AccountRead:
        read = self._run(self.live.read_account(symbols, since_us))
        assert read.begun_us == read.ts_us == now_us
        return read

    def asked(self, symbols: Sequence[str], since_us: int, now_us: int) -> list[Event]:
        return [self.read(symbols, since_us, now_us)]

    def terms(self, now_us: int) -> AccountTerms:
        return self._run(self.live.terms())

    def opening(self, symbols: Sequence[str], now_us: int) -> list[Event]:
        """Connect; the first messages come with the market's first acts."""
        self._run(self.live.connect(symbols))
        return self.facts(now_us)

    def close(self) -> None:
        """End the connections and the loop; raises what a task of the program raised."""
        try:
            self._run(self.live.close())
            self._settle()
            self.env.check()
        finally:
            self.env.kill()
            self._run(asyncio.sleep(0))
            asyncio.set_event_loop(None)
            self.loop.close()

    def move(self, now_us: int) -> None:
        """Let time pass, with everything of the program's own that falls due in it."""
        rest = now_us - self.env.now_us()
        if rest > 0:
            self._run(self.env.sleep(rest))
        assert self.env.now_us() == now_us

    # -- inside --

    def _collect(self, facts: Sequence[Event]) -> None:
        self._facts.extend(facts)
        self._unanswered -= sum(isinstance(fact, ANSWERS) for fact in facts)

    def _settle(self) -> None:
        self._run(self._deliver())

    async def _deliver(self) -> None:
        """Let the loop turn until nothing is on its way in this instant."""
        quiet = 0
        while quiet < ROUNDS:
            before = len(self._facts), self._unanswered
            await asyncio.sleep(0)
            quiet = quiet + 1 if (len(self._facts), self._unanswered) == before else 0

    def _run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)


class SteppedPaper(SteppedVenue):
    """The paper venue in the live one's place: its orders meet the market at once, and nobody at the sandbox knows of them."""

    def _venue(self, key: DemoAccount) -> Any:
        return PaperVenue(
            self.env, exchange(EXCHANGE).dialect(), self.env.store("paper"), self._collect, rest_url=REST, ws_url=STREAM,
            balances=key.balances, rules=Rules(), transit_us=0,
        )  # fmt: skip


class _Outside:
    """The exchange as the schedule knows it: time, and the doors of the outside world, both through the sandbox."""

    def __init__(self, venue: SteppedVenue) -> None:
        self._venue = venue

    def advance(self, now_us: int) -> None:
        self._venue.move(now_us)
        self._venue.world.app.advance(now_us)

    def set_outside(self, symbol: str, side: int, ticks: int, lots: int, now_us: int) -> None:
        self._act(Level(now_us, symbol, side, ticks, lots))

    def outside_take(self, symbol: str, side: int, lots: int, limit_ticks: int, now_us: int) -> None:
        self._act(Take(now_us, symbol, side, lots, limit_ticks))

    def set_reference(self, symbol: str, mark_ticks: int, index_ticks: int, funding_ppb: int, now_us: int) -> None:
        self._act(Reference(now_us, symbol, mark_ticks, index_ticks, funding_ppb))

    def _act(self, act: Level | Take | Reference) -> None:
        self._venue.move(act.at_us)
        self._venue.world.app.act(act)
