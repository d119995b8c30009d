"""Start is recovery: the journal is folded, the venue asked, and what differs becomes events. A fresh start recovers an empty journal."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from lemon_trader.core.decide import is_fresh
from lemon_trader.core.events import AnyEvent, BookState, GridChanged, IdsReserved, Started, Wake
from lemon_trader.core.grid import unpacked
from lemon_trader.core.instrument import GateError, Instrument, atoms_text, refine
from lemon_trader.core.market import DELISTED, Binding, MarketState
from lemon_trader.core.orders import Order
from lemon_trader.core.reconcile import ADOPTED_SLOT
from lemon_trader.core.records import unpack
from lemon_trader.core.state import IDS_BLOCK, AccountState
from lemon_trader.core.step import step
from lemon_trader.engine.turn import Engine
from lemon_trader.venues.venue import Venue

SEEN_WAIT_US: Final = 5_000_000  # a start waits no longer for its markets: what protects must be watched
SEEN_STEP_US: Final = 100_000
OVERLAP_US: Final = 10 * 60 * 1_000_000  # histories lag: what was read is read again this far back
ADOPTED_REACH: Final = 8  # doublings: ten minutes become some forty hours
ADOPTED_AGAIN: Final = 32  # reads: looking so far back costs pages of history, and is not done for ever


class StartRefused(Exception):
    """The start cannot go on.

    Attributes:
        key: message id.
        values: of its placeholders.
    """

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(f"{key}: " + ", ".join(f"{k}={v}" for k, v in values.items()))
        self.key = key
        self.values = values


class Plan(msgspec.Struct, frozen=True):
    """One strategy that shall trade.

    Attributes:
        symbol, strategy: where and what.
        params: as text by name, for the journal and for comparing with an open cycle's.
        budget_atoms: quote reserved for it.
        inventory_lots / inventory_cost_atoms: coins given to it.
        built: the strategy's params record, for sheets.
        bind: makes its binding once the market is known; `StrategyRefused` passes through.
    """

    symbol: str
    strategy: str
    params: dict[str, str]
    budget_atoms: int
    inventory_lots: int
    inventory_cost_atoms: int
    built: Any
    bind: Callable[[MarketState], Binding]


def fold(state: AccountState, image: bytes | None, events: Sequence[AnyEvent], instruments: dict[str, Instrument]) -> None:
    """Fold a journal into a fresh state.

    Facts in ticks and lots mean the grid that the journal names before them (`GridChanged`). `instruments` make the markets of a journal
    that names none.
    """
    if image is not None:
        state.restore(msgspec.msgpack.decode(image))
    for event in events:
        symbol = getattr(event, "symbol", "")
        if symbol and symbol not in state.markets and symbol in instruments and not isinstance(event, GridChanged):
            state.add_market(instruments[symbol])
        step(state, event)
    state.alerts.clear()  # told in that life
    state.recorded.clear()


def relist(engine: Engine, listed: Mapping[str, Instrument], symbols: Iterable[str], now_us: int) -> None:
    """Bring the markets that the state knows, and `symbols`, to what the exchange lists now: new ones, changed grids, delisted ones.

    A market that is listed no more, or on a grid that has none in common with ours, stays as it was: told, and nothing opens there.
    """
    state = engine.state
    for symbol in sorted({*state.markets, *symbols}):
        known, new = state.markets.get(symbol), listed.get(symbol)
        if known is None:
            assert new is not None, symbol
            engine.record(GridChanged(now_us, symbol, new))
        elif new is None:
            engine.record(BookState(now_us, symbol, DELISTED))
        else:
            try:
                fine = refine(known.instrument, new)
            except GateError as error:
                engine.record(BookState(now_us, symbol, f"GridChanged: {error}"))
                continue
            if fine != known.instrument:
                engine.record(GridChanged(now_us, symbol, fine))


def bind(state: AccountState, plan: Plan) -> None:
    """Bind a strategy to its market, with the memory that the journal left."""
    market = state.markets[plan.symbol]
    binding = plan.bind(market)
    if market.memory_bytes:
        try:
            binding.memory = unpacked(unpack(type(binding.memory), market.memory_bytes), market)
        except (msgspec.DecodeError, TypeError) as error:
            raise StartRefused("start.memory_unreadable", symbol=plan.symbol, strategy=plan.strategy, error=error) from error
    market.binding = binding
    market.limits.budget_atoms = binding.budget_atoms


async def start(
    engine: Engine, venue: Venue, plans: Sequence[Plan], *, mode: str, now_us: Callable[[], int], last_us: int,
    sleep: Callable[[int], Awaitable[None]] | None = None,
) -> None:  # fmt: skip
    """Bring a folded state and the venue together; when this returns, streams are connected and the engine decides.

    Args:
        engine: over the state after `fold`, with the plans' markets added; the venue's sink is its `turn`.
        venue: not connected yet.
        plans: what shall trade; budgets are checked against what is available.
        mode: for the journal.
        now_us: engine time.
        last_us: engine time of the last event in the journal; 0 = it is empty.
        sleep: lets µs pass, so that the markets may be seen first; None = nothing comes meanwhile, as on a tape.

    Raises:
        VenueLost: the venue cannot be read; nothing was sent.
        StartRefused: budgets exceed what is there.
    """
    state = engine.state
    lo = max(state.ids_end, state.next_id)
    engine.record(IdsReserved(now_us(), lo, lo + IDS_BLOCK))  # behind the old block: with it `step` recovers
    terms = await venue.terms()
    engine.record(terms)
    if terms.auto_lend:
        state.tell(now_us(), "alert.auto_lend", "warn")
    symbols = sorted(state.markets)
    await venue.connect(symbols)
    since = _since_us(state, last_us, now_us())
    read = await venue.read_account(symbols, since)
    engine.record(read)
    engine.fence(now_us())  # the lease of what the last life left unknown is over mostly, and this life may be short
    _check_budgets(state, plans)
    for plan in plans:
        engine.record(
            Started(
                now_us(), plan.strategy, plan.symbol, plan.budget_atoms, plan.inventory_lots, plan.inventory_cost_atoms, plan.params, mode
            )
        )
        bind(state, plan)
    bound = {plan.symbol for plan in plans}
    for symbol, market in state.markets.items():
        if symbol not in bound and (market.ledger.base_atoms or market.orders.live):
            state.tell(now_us(), "alert.unbound_market", "grave", symbol=symbol, lots=market.ledger.lots, orders=len(market.orders.live))
    if sleep is not None:
        await _seen(engine, bound, now_us, sleep)
    engine.deciding = True


async def _seen(engine: Engine, symbols: set[str], now_us: Callable[[], int], sleep: Callable[[int], Awaitable[None]]) -> None:
    """Wait a moment for books and marks: deciding without them would cancel what rests, only to place it again behind everybody else."""
    state = engine.state
    until_us = now_us() + SEEN_WAIT_US
    while now_us() < until_us and not all(is_fresh(state, state.markets[symbol], now_us()) for symbol in symbols):
        await sleep(SEEN_STEP_US)
        engine.turn([Wake(now_us())])  # a price that stands is confirmed by time as well


def reach_us(order: Order) -> int:
    """From when on histories are read to find how this order ended, µs.

    An adopted order was met, not sent: it may be older than that moment, and nobody knows by how much. Each read that does not find it
    looks back twice as far, and after some of them only now and then.
    """
    doublings = 0
    if order.slot == ADOPTED_SLOT and (order.missing <= ADOPTED_REACH or order.missing % ADOPTED_AGAIN == 0):
        doublings = min(order.missing, ADOPTED_REACH)
    return order.sent_us - (OVERLAP_US << doublings)


def _since_us(state: AccountState, last_us: int, now_us: int) -> int:
    """How far the first read looks back: before the last life ended, and before the oldest order was sent whose end is not known."""
    if not last_us:
        return now_us
    return max(0, min([last_us - OVERLAP_US, *(reach_us(o) for m in state.markets.values() for o in m.orders.live)]))


def _check_budgets(state: AccountState, plans: Sequence[Plan]) -> None:
    """Budgets are reserved at start, and their sum may not exceed what is there.

    A pair with an open cycle goes on in any case: its budget was reserved when the cycle began, part of it is spent on what is held, and
    what a loss took is gone. What it has not spent yet is set aside first; new pairs share what is left.
    """
    free = {asset: sum(balance) for asset, balance in state.balances.items()}
    wanted: dict[str, int] = {}
    leverage = 1
    if state.terms is not None and state.terms.leverage_limit.replace(".", "", 1).isdigit():
        leverage = max(1, int(state.terms.leverage_limit.split(".")[0]))
    for plan in plans:
        market = state.markets[plan.symbol]
        i, ledger, before = market.instrument, market.ledger, state.started.get(plan.symbol)
        share = -(-plan.budget_atoms // leverage) if i.is_perp else plan.budget_atoms
        is_open = bool(ledger.base_atoms or market.orders.live)
        if is_open and before is not None and before.strategy == plan.strategy and plan.budget_atoms <= before.budget_atoms:
            held = 0 if i.is_perp else ledger.cost_atoms  # a perpetual's margin is still in the balance
            free[i.quote] = max(0, free.get(i.quote, 0) - max(0, share - held))
        else:
            wanted[i.quote] = wanted.get(i.quote, 0) + share - (0 if i.is_perp else min(share, ledger.cost_atoms))
    for asset, sum_atoms in wanted.items():
        available = free.get(asset, 0)
        if sum_atoms > available:
            raise StartRefused("start.budget_too_large", asset=asset, wanted=atoms_text(sum_atoms), available=atoms_text(available))
