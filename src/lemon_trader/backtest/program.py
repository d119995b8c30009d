"""The program on a tape: the engine as it trades, with one strategy, over a venue that somebody plays. No network, no clock, no disk."""

from collections.abc import Callable, Sequence
from typing import Final

from lemon_trader.core.events import AccountRead, AccountTerms, AnyEvent, Event, IdsReserved, Started
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.market import MarketState
from lemon_trader.core.state import IDS_BLOCK, AccountState, Alert
from lemon_trader.core.units import US_PER_S
from lemon_trader.engine.startup import Plan, bind
from lemon_trader.engine.turn import Engine, Sender, Writer

WARM_UP_US: Final = 3 * US_PER_S  # streams come up and prices are seen before anything is decided, as live


class NoJournal:
    """A journal that only counts: what a backtest must know afterwards is gathered, and nobody recovers it."""

    def __init__(self) -> None:
        self.sequence = 0

    def append(self, event: AnyEvent) -> None:
        """Count it."""
        del event
        self.sequence += 1

    def checkpoint(self, ts_us: int, state: bytes) -> None:
        """Nothing is kept."""


class Program:
    """An engine with one strategy in one market.

    Attributes:
        engine: its `on_fact` is free for whoever gathers results.
        plan: what it does; None until the warm-up is over.
        alerts: everything it told.
        now_us: engine time of the latest turn.
    """

    def __init__(
        self, instrument: Instrument, venue: Sender, make_plan: Callable[[AccountState], Plan], *, journal: Writer | None = None,
        warm_up_us: int = WARM_UP_US,
    ) -> None:  # fmt: skip
        """Know the parts. `make_plan` is asked once, with the state that knows balances and the first prices; it applies the limits."""
        state = AccountState()
        state.add_market(instrument)
        self.engine = Engine(state, NoJournal() if journal is None else journal, venue)
        self.plan: Plan | None = None
        self.alerts: list[Alert] = []
        self.now_us = 0
        self._symbol = instrument.symbol
        self._make_plan = make_plan
        self._warm_up_us = warm_up_us
        self._begin_us = 0
        self.engine.on_alert = self.alerts.append

    @property
    def state(self) -> AccountState:
        """What the engine knows."""
        return self.engine.state

    @property
    def market(self) -> MarketState:
        """Its market."""
        return self.engine.state.markets[self._symbol]

    def open(
        self, now_us: int, terms: AccountTerms, opening: Callable[[], Sequence[Event]], read: Callable[[], AccountRead]
    ) -> None:  # fmt: skip
        """Connect and read the account, as a start does; nothing is decided before the warm-up is over."""
        self.start(now_us, terms)
        self.engine.turn(opening())
        self.engine.turn([read()])

    def start(self, now_us: int, terms: AccountTerms) -> None:
        """Know the account's rates and the first ids; the warm-up begins."""
        self._begin_us = now_us + self._warm_up_us
        self.engine.record(terms)
        self.engine.record(IdsReserved(now_us, 1, 1 + IDS_BLOCK))

    def turn(self, facts: Sequence[Event]) -> None:
        """Take the facts of one read. Raises StrategyRefused, StartRefused when the plan is made."""
        self.now_us = max(self.now_us, facts[-1].ts_us)
        if self.plan is None and self.now_us >= self._begin_us:
            self.begin()
        self.engine.turn(facts)

    def wake_us(self) -> int:
        """When the strategy wants to be woken; 0 = not by itself."""
        return self.market.wake_us

    def begin(self) -> None:
        """Bind the strategy to the market as it is, and decide from now on. Raises StrategyRefused, StartRefused."""
        plan = self.plan = self._make_plan(self.state)
        self.engine.record(
            Started(
                self.now_us, plan.strategy, plan.symbol, plan.budget_atoms, plan.inventory_lots, plan.inventory_cost_atoms, plan.params,
                "replay",
            )
        )  # fmt: skip
        bind(self.state, plan)
        self.engine.deciding = True
