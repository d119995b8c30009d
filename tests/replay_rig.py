"""Strategies on tapes: a market source played through the engine against an exchange of its own, and what the exchange says afterwards.

`Rig` is a program that trades without a network: engine, replay venue, journal in memory, one strategy. `bare()` makes its parts with
another venue in the replay's place, which is how the carriers are compared. The figures of the exchange are taken from its own rows of
fills and funding alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import msgspec

from lemon_trader.backtest.program import Program
from lemon_trader.config.settings import LimitSettings, PairSettings
from lemon_trader.core.commands import Command, Place
from lemon_trader.core.events import AnyEvent, Decided, Event
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.orders import Order
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import BUY, TRIGGER
from lemon_trader.engine.startup import Plan
from lemon_trader.market.acts import Act, Source
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.rules import Rules
from lemon_trader.run.parts import apply_limits, default_values, make_plan
from lemon_trader.venues.replay import ReplayVenue, play

NAME = "account-1"
USDC = 10**9
BALANCES = {"USDC": 10_000 * USDC}


class MemoryJournal:
    """A journal that keeps its events as they are, and its checkpoints with the number of events before each."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.checkpoints: list[tuple[int, bytes]] = []

    @property
    def sequence(self) -> int:
        return len(self.events)

    def append(self, event: AnyEvent) -> None:
        self.events.append(event)

    def checkpoint(self, ts_us: int, state: bytes) -> None:
        self.checkpoints.append((len(self.events), state))


class Bot(Program):
    """A program whose limits and pair are known to its tests."""

    def __init__(self, pair: PairSettings, instrument: Instrument, venue: Any, journal: Any, limits: LimitSettings) -> None:
        super().__init__(instrument, venue, self._plan, journal=journal)
        self.pair = pair
        self.instrument = instrument
        self.journal = journal
        self.limits = limits

    def _plan(self, state: AccountState) -> Plan:
        available, _ = state.balances[self.instrument.quote]
        plan = make_plan(self.pair, state, self.instrument, available)
        apply_limits(state, self.limits, [plan])
        return plan

    def decided(self) -> list[Decided]:
        return [e for e in self.journal.events if isinstance(e, Decided)]


def pair_of(strategy: str, symbol: str, *, budget: int = 400, **changed: Any) -> PairSettings:
    """A strategy at its defaults, except what is named."""
    return PairSettings(strategy, symbol, default_values(strategy, **changed), budget=Decimal(budget))


def bare(pair: PairSettings, instrument: Instrument, venue: Any, *, journal: Any = None, limits: LimitSettings | None = None) -> Bot:
    """A program over `venue` that has read nothing yet."""
    return Bot(pair, instrument, venue, MemoryJournal() if journal is None else journal, limits or LimitSettings())


@dataclass
class Rig:
    """A program and its exchange on one tape.

    Attributes:
        after: called with the rig after every turn: where invariants are checked.
    """

    bot: Bot
    venue: ReplayVenue
    exchange: Exchange
    start_us: int
    after: Callable[["Rig"], None] | None = None

    @property
    def begun(self) -> bool:
        """The warm-up is over and the strategy decides."""
        return self.bot.plan is not None

    @property
    def now_us(self) -> int:
        return self.bot.now_us

    @property
    def account(self) -> Any:
        return self.exchange.accounts[NAME]

    def turn(self, facts: Sequence[Event]) -> None:
        """The program's turn, and the checks behind it."""
        self.bot.turn(facts)
        if self.after is not None:
            self.after(self)

    def open(self) -> None:
        """Read the account and the book, as a start does."""
        symbol, now = self.bot.pair.symbol, self.start_us
        self.bot.open(now, self.venue.terms(now), lambda: self.venue.opening([symbol], now), lambda: self.venue.read([symbol], 0, now))

    def play(self, acts: Iterable[Act], **options: Any) -> int:
        """The tape, or a part of it; the number of acts."""
        return play(acts, self.venue, self.turn, [self.bot.pair.symbol], **options)


def make_rig(source: Source, pair: PairSettings, *, balances: Mapping[str, int] | None = None, rules: Rules | None = None,
             limits: LimitSettings | None = None, after: Callable[[Rig], None] | None = None, journal: Any = None) -> Rig:  # fmt: skip
    """A rig before the first act of its tape."""
    exchange = Exchange(list(source.instruments.values()), rules or Rules())
    exchange.advance(source.start_us)
    exchange.open_account(NAME, dict(balances or BALANCES))
    venue = ReplayVenue(exchange, NAME)
    bot = bare(pair, source.instruments[pair.symbol], venue, journal=journal, limits=limits)
    rig = Rig(bot, venue, exchange, source.start_us, after)
    rig.open()
    return rig


def replay(source: Source, pair: PairSettings, **more: Any) -> Rig:
    """Play a whole tape; the rig as it is at the end."""
    rig = make_rig(source, pair, **more)
    rig.play(source)
    return rig


# -- what is compared --


def without_id(command: Command) -> tuple[Any, ...]:
    """A command without the ids, which may differ between carriers: place or cancel, and what is placed."""
    if isinstance(command, Place):
        return (
            "place",
            command.symbol,
            command.side,
            command.kind,
            command.flags,
            command.price_ticks,
            command.trigger_ticks,
            command.qty_lots,
        )
    return ("cancel", command.symbol, command.client_id)


def books_of_exchange(exchange: Exchange, name: str, instrument: Instrument) -> dict[str, int]:
    """Position and cash flow that the exchange's own rows of fills and funding add up to, atoms.

    Of a perpetual what was paid and received, not the profit as it was split at each fill: fills that are told late are split otherwise.
    """
    account = exchange.accounts[name]
    fills = [f for f in account.fills if f.symbol == instrument.symbol]
    base = sum(f.side * f.lots for f in fills) * instrument.lot_atoms - sum(f.fee_atoms for f in fills if f.fee_asset == instrument.base)
    cash = sum(-f.side * f.quote_atoms for f in fills)
    cash -= sum(f.fee_atoms for f in fills if f.fee_asset == instrument.quote)
    cash += sum(f.amount_atoms for f in account.funding if f.symbol == instrument.symbol)
    return {"base": base, "cash": cash}


def books_of_bot(market: Any) -> dict[str, int]:
    """The same of the program's ledger."""
    ledger = market.ledger
    return {"base": ledger.base_atoms, "cash": ledger.flow_atoms() if market.instrument.is_perp else ledger.cash_atoms}


def resting_buys_atoms(exchange: Exchange, name: str, instrument: Instrument) -> int:
    """Quote atoms that the exchange would take if every resting buy filled."""
    live = exchange.accounts[name].live.values()
    return sum(o.ticks * (o.lots - o.executed_lots) * instrument.tick_lot_atoms for o in live if o.side == BUY and not o.is_trigger)


def doubled_keys(exchange: Exchange, name: str, keys: Mapping[int, tuple[int, int, int]]) -> list[str]:
    """Slots with two live orders at the exchange, reduce-only triggers apart. `keys`: client id -> (slot, generation, kind)."""
    seen: dict[int, int] = {}
    found = []
    for order in exchange.accounts[name].live.values():
        slot, generation, kind = keys[order.client_id] if order.client_id is not None else (-1, -1, TRIGGER)
        if kind == TRIGGER:
            continue
        if slot in seen:
            found.append(f"slot {slot}: orders {seen[slot]} and {order.order_id} (generation {generation}) are both live")
        seen[slot] = order.order_id
    return found


def keys_of(events: Iterable[AnyEvent]) -> dict[int, tuple[int, int, int]]:
    """Client id -> (slot, generation, kind) of every attempt in a journal."""
    return {a.client_id: (a.slot, a.generation, a.kind) for e in events if isinstance(e, Decided) for a in e.attempts}


def durable(state: AccountState) -> Any:
    """What a checkpoint would hold, without three things that no decision after a start is made of; packed orders are unpacked.

    The highest exchange time seen: public data tells it too, and is not in the journal; a lease only ends later without it. Reason and
    figure of an order: the last diff's explanation of it.
    """
    image = msgspec.msgpack.decode(msgspec.msgpack.encode(state.image()))
    image["account"].pop()  # the exchange time
    names = [f.name for f in fields(Order)]
    for market in image["markets"].values():
        table = market["orders"]
        table["orders"] += [msgspec.msgpack.decode(stone) for stone in table.pop("stones")]
        table["orders"].sort(key=lambda order: order[names.index("client_id")])
        for order in table["orders"]:
            order[names.index("reason")] = order[names.index("figure")] = 0
    return image
