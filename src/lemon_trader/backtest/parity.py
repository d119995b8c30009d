"""Every decision of a session, made again: from the view, position and memory that its journal kept, by today's program.

The journal holds for each turn what the strategy saw and what was sent. Each is judged by itself, so one difference does not make the next.
What cannot be known here are the session's own limits, which stand in no journal: those of the settings at hand are taken.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

import msgspec

from lemon_trader.backtest.result import CANCELLED as CANCELLED_ROW
from lemon_trader.backtest.result import PLACED as PLACED_ROW
from lemon_trader.core.decide import weigh
from lemon_trader.core.events import AccountTerms, AnyEvent, Attempted, Decided, GridChanged, IdsReserved, Started
from lemon_trader.core.grid import unpacked
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.market import Binding, MarketState
from lemon_trader.core.reasons import FENCE, NAMES, NONE, PLACED
from lemon_trader.core.records import Position, View, unpack
from lemon_trader.core.state import AccountState, Recorded
from lemon_trader.core.step import step
from lemon_trader.core.units import KIND_NAMES, ROLE_NAMES, TRIGGER, side_name

Message = tuple[str, Mapping[str, object]]
Order = tuple[int, ...]  # slot, generation, role, side, kind, flags, price, trigger, quantity, total

ORDER: Final = "order"
CANCEL: Final = "cancel"
MEMORY: Final = "memory"

STRATEGY: Final = "parity.cause-strategy"  # the same view, another wish
WITHHELD: Final = "parity.cause-withheld"  # the same wish, held back today
LET_THROUGH: Final = "parity.cause-let-through"  # the same wish, held back then
OTHERWISE: Final = "parity.cause-otherwise"  # the same wish, compared otherwise with what rested
FAILED: Final = "parity.cause-failed"
UNREADABLE: Final = "parity.cause-unreadable"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a session decided and today's program would decide otherwise.

    Attributes:
        at_us, symbol: when and where; number: of the decision, from 1.
        what: ORDER, CANCEL or MEMORY.
        then / now: in words, "" = nothing.
        cause: a message.
    """

    at_us: int
    symbol: str
    number: int
    what: str
    then: str
    now: str
    cause: Message


@dataclass(slots=True)
class Session:
    """What a journal tells about one market's trading.

    Attributes:
        started: the last start of it, with what was edited since; instrument: its grid.
        begin_us / end_us: of that start and of the market's last fact; held_lots: what was held when it began.
        decisions: made again; orders, cancels: sent by them; differing: decisions with a difference.
        unasked: records of cancels alone that no strategy was asked for (fences).
        differences: all of them.
        fills, orders_sent: since that start, as FILL and ORDER rows.
        terms: the account's rates as last told; None = never.
    """

    started: Started
    instrument: Instrument
    begin_us: int = 0
    end_us: int = 0
    decisions: int = 0
    orders: int = 0
    cancels: int = 0
    differing: int = 0
    unasked: int = 0
    differences: list[Difference] = field(default_factory=list)
    held_lots: int = 0
    fills: list[tuple[int, ...]] = field(default_factory=list)
    orders_sent: list[tuple[int, ...]] = field(default_factory=list)
    terms: AccountTerms | None = None


Bind = Callable[[Started, AccountState], Binding]
Limit = Callable[[AccountState, Started], None]


def redecide(events: Iterable[AnyEvent], instruments: Mapping[str, Instrument], bind: Bind, limit: Limit) -> dict[str, Session]:
    """Fold a journal from its beginning and decide again at every turn; by symbol.

    Args:
        events: all of them, as `database.journal.read_events` gives them.
        instruments: grids of markets that the journal names none of.
        bind: makes the strategy of a start, with an empty memory.
        limit: writes the limits of the settings at hand into the market of a start.
    """
    state = AccountState()
    sessions: dict[str, Session] = {}
    bound: set[str] = set()
    for event in events:
        symbol = getattr(event, "symbol", "")
        if symbol in instruments and symbol not in state.markets and not isinstance(event, GridChanged):
            state.add_market(instruments[symbol])
        if isinstance(event, IdsReserved) and event.lo > state.next_id:
            bound.clear()  # a new life: nothing is bound before it starts
        market = state.markets.get(symbol)
        if isinstance(event, Decided) and market is not None and symbol in sessions:
            _again(state, market, event, sessions[symbol], bind if symbol in bound else None)
        step(state, event)
        state.alerts.clear()
        recorded, state.recorded = state.recorded, []
        if isinstance(event, Started):
            bound.add(symbol)
            limit(state, event)
            sessions[symbol] = _begun(state.markets[symbol], event, sessions.get(symbol))
        for each in recorded:
            if each.fill.symbol in sessions:
                sessions[each.fill.symbol].fills.append(_fill_row(state.markets[each.fill.symbol], each))
        if symbol in sessions:
            session = sessions[symbol]
            session.started, session.instrument, session.terms = state.started[symbol], state.markets[symbol].instrument, state.terms
            session.end_us = max(session.end_us, event.ts_us)
            if isinstance(event, Decided):
                session.orders_sent += _order_rows(state.markets[symbol], event)
    return sessions


def _begun(market: MarketState, started: Started, before: Session | None) -> Session:
    """A session that goes on after a start: its counts stay, its fills and orders begin anew."""
    session = before if before is not None else Session(started, market.instrument)
    session.begin_us, session.held_lots = started.ts_us, market.ledger.lots
    session.fills, session.orders_sent = [], []
    return session


def _fill_row(market: MarketState, recorded: Recorded) -> tuple[int, ...]:
    fill, i = recorded.fill, market.instrument
    order = market.orders.find(fill.client_id, fill.order_id)
    return (
        fill.ts_us, fill.side, recorded.role, order.slot if order is not None else -1, recorded.generation, fill.price_ticks, fill.qty_lots,
        i.notional_atoms(fill.price_ticks, fill.qty_lots), fill.fee_atoms, int(fill.fee_asset == i.base and bool(fill.fee_atoms)),
        int(fill.is_maker), 2 * recorded.mid_ticks,
    )  # fmt: skip


def _order_rows(market: MarketState, decided: Decided) -> list[tuple[int, ...]]:
    """What a turn sent, as ORDER rows."""
    sent: list[tuple[int, ...]] = [
        (a.ts_us, PLACED_ROW, a.side, a.role, a.slot, a.generation, a.trigger_ticks if a.kind == TRIGGER else a.price_ticks, a.qty_lots)
        for a in decided.attempts
    ]
    for c in decided.cancels:
        o = market.orders.find(c.client_id, "")
        if o is not None:
            price = o.trigger_ticks if o.kind == TRIGGER else o.price_ticks
            sent.append((c.ts_us, CANCELLED_ROW, o.side, o.role, o.slot, o.generation, price, o.open_lots))
    return sent


def _again(state: AccountState, market: MarketState, then: Decided, session: Session, bind: Bind | None) -> None:
    """Decide once more what `then` decided, and note what differs."""
    if not then.view:
        session.unasked += 1
        return
    session.decisions += 1
    session.orders += len(then.attempts)
    session.cancels += len(then.cancels)
    before = len(session.differences)
    _compare(state, market, then, session, bind)
    session.differing += len(session.differences) > before


def _compare(state: AccountState, market: MarketState, then: Decided, session: Session, bind: Bind | None) -> None:
    symbol, number = then.symbol, session.decisions

    def differ(what: str, was: str, would: str, cause: Message) -> None:
        session.differences.append(Difference(then.ts_us, symbol, number, what, was, would, cause))

    frozen = market.frozen
    try:
        market.view, market.position = unpack(View, then.view), unpack(Position, then.position)
        market.binding = None if bind is None else _bound(state, market, bind)
    except (msgspec.DecodeError, TypeError) as error:
        market.view, market.position = View(), Position()
        market.show_bounds()
        differ(MEMORY, "", "", (UNREADABLE, {"reason": error}))
        return
    found, _ = weigh(state, market, then.ts_us, 0)
    state.alerts.clear()
    raised, market.frozen = market.frozen, frozen
    now = found if found is not None else Decided(then.ts_us, symbol, b"", b"", b"", (), ())
    if now.memory != then.memory:
        why: Message = (STRATEGY, {}) if raised == frozen else (FAILED, {"reason": raised})
        differ(MEMORY, *_memories(market, then.memory, now.memory), why)
    wanted = {(row.slot, row.generation): row for row in market.out[1 : market.rows_used]}
    old, new = ({(a.slot, a.generation): a for a in d.attempts} for d in (then, now))
    for key in sorted(old.keys() | new.keys()):
        was, would = old.get(key), new.get(key)
        if was is not None and would is not None and _order(was) == _order(would):
            continue
        differ(ORDER, words(was, market.instrument), words(would, market.instrument), _cause(was, would, wanted.get(key)))
    before, after = ({(c.client_id, c.reason) for c in d.cancels if c.reason != NAMES[FENCE]} for d in (then, now))
    for client_id, reason in sorted(before ^ after):
        side = (reason, "") if (client_id, reason) in before else ("", reason)
        differ(CANCEL, *side, (OTHERWISE, {}))
    market.binding = None


def _bound(state: AccountState, market: MarketState, bind: Bind) -> Binding:
    """The strategy with the memory that this turn began with. Raises msgspec.DecodeError, TypeError."""
    binding = bind(state.started[market.instrument.symbol], state)
    if market.memory_bytes:
        binding.memory = unpacked(unpack(type(binding.memory), market.memory_bytes), market)
    return binding


def _cause(was: Attempted | None, would: Attempted | None, row: Any) -> Message:
    """Why one key was attempted otherwise, or not at all; `row` is what is wanted of it today."""
    asked = would if was is None else was
    assert asked is not None
    same = row is not None and (row.side, row.kind, row.price_ticks, row.trigger_ticks, row.qty_lots) == (
        asked.side, asked.kind, asked.price_ticks, asked.trigger_ticks, asked.total_lots,
    )  # fmt: skip
    if not same:
        return STRATEGY, {}
    if was is None:
        return LET_THROUGH, {}
    if would is None and row.reason not in (NONE, PLACED):
        return WITHHELD, {"reason": (f"reason.{NAMES[row.reason]}", {"figure": row.figure})}
    return OTHERWISE, {}


def _memories(market: MarketState, was: bytes, would: bytes) -> tuple[str, str]:
    """The fields of two memories that differ, as `name value`; bytes that cannot be read are told by their number."""
    assert market.binding is not None
    kind = type(market.binding.memory)
    try:
        old, new = (unpack(kind, data or market.memory_bytes) if data or market.memory_bytes else kind() for data in (was, would))
    except (msgspec.DecodeError, TypeError):
        return f"{len(was)} bytes", f"{len(would)} bytes"
    names = [f.name for f in fields(kind) if getattr(old, f.name) != getattr(new, f.name)]
    return tuple(", ".join(f"{name} {getattr(of, name)}" for name in names[:4]) for of in (old, new))  # type: ignore[return-value]  # two


def _order(a: Attempted) -> Order:
    return (a.slot, a.generation, a.role, a.side, a.kind, a.flags, a.price_ticks, a.trigger_ticks, a.qty_lots, a.total_lots)


def words(a: Attempted | None, i: Instrument) -> str:
    """An attempt as people read it; "" for none."""
    if a is None:
        return ""
    price = i.price_text(a.trigger_ticks if a.kind == TRIGGER else a.price_ticks)
    return f"{ROLE_NAMES[a.role]} {a.slot} {side_name(a.side)} {i.qty_text(a.qty_lots)} @ {price} {KIND_NAMES[a.kind]}"
