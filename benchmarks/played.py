"""The program on a tape: engine, journal on disk and market maker over a simulated exchange, in one process and without a network."""

import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from lemon_trader.config.settings import LimitSettings, PairSettings
from lemon_trader.core.events import Event, IdsReserved
from lemon_trader.core.state import IDS_BLOCK, AccountState
from lemon_trader.core.units import ATOMS_PER_UNIT, US_PER_S
from lemon_trader.database.journal import Journal
from lemon_trader.engine.startup import bind
from lemon_trader.engine.turn import Engine
from lemon_trader.env_live.store import FolderStore
from lemon_trader.market.acts import Act, Source
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.rules import Rules
from lemon_trader.run.parts import apply_limits, default_values, make_plan
from lemon_trader.venues.replay import ReplayVenue, play

ACCOUNT = "account-1"
CASH = {"USDC": 1_000_000 * ATOMS_PER_UNIT}
WARM_UP_US = 3 * US_PER_S


class Played:
    """A market maker on a tape.

    Attributes:
        facts, inside_s: what the engine was told, and how long it took over it.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self.instrument = next(iter(source.instruments.values()))
        self.symbol = self.instrument.symbol
        self.source = source
        self.exchange = Exchange([self.instrument], Rules())
        self.exchange.open_account(ACCOUNT, CASH)
        self.venue = ReplayVenue(self.exchange, ACCOUNT)
        self.state = AccountState()
        self.state.add_market(self.instrument)
        journal = Journal(FolderStore(folder), mode="replay", account=ACCOUNT)
        journal.open(source.start_us)
        self.engine = Engine(self.state, journal, self.venue)
        self.facts = 0
        self.inside_s = 0.0

    def open(self) -> None:
        """Read account and book, as a start does."""
        now = self.source.start_us
        self.exchange.advance(now)
        self.engine.record(self.venue.terms(now))
        self.engine.record(IdsReserved(now, 1, 1 + IDS_BLOCK))
        self.engine.turn(self.venue.opening([self.symbol], now))
        self.engine.turn([self.venue.read([self.symbol], 0, now)])

    def play(self, acts: Iterable[Act]) -> int:
        """The tape or a part of it; the number of acts."""
        return play(acts, self.venue, self.turn, [self.symbol])

    def turn(self, facts: Sequence[Event]) -> None:
        """The engine's turn under a stopwatch."""
        if not self.engine.deciding and facts[-1].ts_us >= self.source.start_us + WARM_UP_US:
            self._bind()
        begun = time.perf_counter()
        self.engine.turn(facts)
        self.inside_s += time.perf_counter() - begun
        self.facts += len(facts)

    def _bind(self) -> None:
        values = default_values("market-maker")
        pair = PairSettings("market-maker", self.symbol, values, frozenset(), Decimal(10_000))
        plan = make_plan(pair, self.state, self.instrument, CASH["USDC"])
        apply_limits(self.state, LimitSettings(), [plan])
        bind(self.state, plan)
        self.engine.deciding = True
