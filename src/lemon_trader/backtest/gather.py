"""What a replay leaves, written down while it runs: fills, equity, prices, orders and moves as the columns of a `Result`.

Everything comes from the engine's own books. Rows are kept as tuples and become arrays once, at the end.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from lemon_trader.backtest.program import Program
from lemon_trader.backtest.result import (
    CANCELLED,
    EQUITY,
    FILL,
    FUNDING,
    INTEREST,
    MID,
    MOVE,
    ORDER,
    PLACED,
    PRICE,
    REPLAY,
    SETTLEMENT,
    Columns,
    Counters,
    Note,
    Result,
    Totals,
)
from lemon_trader.core.events import CashMove, Decided, Event, PlaceRefused
from lemon_trader.core.state import Recorded
from lemon_trader.core.units import HALTED, TRIGGER, US_PER_S

KINDS: Final[Mapping[str, int]] = {"funding": FUNDING, "interest": INTEREST, "settlement": SETTLEMENT}
# Grave where somebody watches; here bars are farther apart than a live feed may be silent, and the others have notes of their own.
USUAL: Final = frozenset({"alert.feed_lost", "alert.latched", "alert.system_order"})
MID_EVERY_US: Final = US_PER_S // 10  # between two mids that are kept: markouts look seconds ahead


class Gathered:
    """Watches a program's turns.

    Attributes:
        fills: FILL rows so far, as tuples.
        liquidations: fills that the exchange made by itself.
        halted_us: when a limit stopped the program for good; 0 = it did not.
    """

    def __init__(self, program: Program, every_us: int, *, has_mids: bool, keep_orders: bool = True) -> None:
        """Watch from now on.

        Args:
            program: not yet played.
            every_us: length of a row of prices, and how often equity is written down beside every fill.
            has_mids: the data knows the touch well enough for markouts.
            keep_orders: keep what was placed and cancelled.
        """
        self.fills: list[tuple[int, ...]] = []
        self.liquidations = 0
        self.halted_us = 0
        self._program = program
        self._every_us = every_us
        self._has_mids = has_mids
        self._keep_orders = keep_orders
        self._equity: list[tuple[int, int, int, int]] = []
        self._prices: list[list[int]] = []
        self._mids: list[tuple[int, int]] = []
        self._orders: list[tuple[int, ...]] = []
        self._moves: list[tuple[int, int, int]] = []
        self._refused: Counter[str] = Counter()
        self._placed = self._cancelled = 0
        self._mid_half = 0  # before the turn that runs
        self._next_us = 0
        self._mid_us = 0
        self._interest = 0
        program.engine.on_fact = self._fact

    def _fact(self, _number: int, event: Event, recorded: Sequence[Recorded]) -> None:
        for booked in recorded:
            self._fill(booked)
        kind = type(event)
        if kind is Decided:
            self._decided(event)  # type: ignore[arg-type]  # just looked at
        elif kind is CashMove:
            self._move(event)  # type: ignore[arg-type]  # just looked at
        elif kind is PlaceRefused:
            self._refused[event.code] += 1  # type: ignore[attr-defined]  # just looked at

    def _fill(self, booked: Recorded) -> None:
        fill, market = booked.fill, self._program.market
        i = market.instrument
        order = market.orders.find(fill.client_id, fill.order_id)
        if booked.role < 0:
            self.liquidations += 1
        row = (
            fill.ts_us, fill.side, booked.role, order.slot if order is not None else -1, booked.generation, fill.price_ticks, fill.qty_lots,
            i.notional_atoms(fill.price_ticks, fill.qty_lots), fill.fee_atoms, int(fill.fee_asset == i.base and bool(fill.fee_atoms)),
            int(fill.is_maker), self._mid_half,
        )  # fmt: skip
        self.fills.append(row)

    def _decided(self, event: Decided) -> None:
        self._placed += len(event.attempts)
        self._cancelled += len(event.cancels)
        if not self._keep_orders:
            return
        orders = self._program.market.orders
        for a in event.attempts:
            price = a.trigger_ticks if a.kind == TRIGGER else a.price_ticks
            self._orders.append((event.ts_us, PLACED, a.side, a.role, a.slot, a.generation, price, a.qty_lots))
        for c in event.cancels:
            o = orders.find(c.client_id, "")
            if o is not None:
                price = o.trigger_ticks if o.kind == TRIGGER else o.price_ticks
                self._orders.append((event.ts_us, CANCELLED, o.side, o.role, o.slot, o.generation, price, o.open_lots))

    def _move(self, event: CashMove) -> None:
        kind = KINDS.get(event.kind)
        if kind is None or event.symbol != self._program.market.instrument.symbol:
            return
        self._moves.append((event.ts_us, kind, event.quantity_atoms))
        if kind == INTEREST:
            self._interest += event.quantity_atoms

    def turn(self, facts: Sequence[Event]) -> None:
        """The program's turn, and then a look: prices each time, equity where its time has come or something was filled."""
        program = self._program
        program.turn(facts)
        market = program.market
        view, now_us = market.view, program.now_us
        bid, ask = view.bid_ticks, view.ask_ticks
        mid_half = bid + ask if 0 < bid < ask else 0
        if mid_half and self._has_mids and (now_us >= self._mid_us + MID_EVERY_US or self._is_news()):
            if mid_half != (self._mids[-1][1] if self._mids else 0):
                self._mids.append((now_us, mid_half))
            self._mid_us = now_us
        self._mid_half = mid_half
        price = market.reference_ticks()
        if price <= 0:
            return
        prices = self._prices
        begun_us = now_us - now_us % self._every_us
        if prices and prices[-1][0] == begun_us:
            row = prices[-1]
            row[2] = max(row[2], price)
            row[3] = min(row[3], price)
            row[4] = price
        else:
            prices.append([begun_us, price, price, price, price])
        if program.plan is None:
            return
        if self._is_news() or now_us >= self._next_us:
            self._next_us = begun_us + self._every_us
            self._write_equity(now_us, price)
        if program.state.mode == HALTED and not self.halted_us:
            self.halted_us = now_us

    def _is_news(self) -> bool:
        """Whether position or money is not what the last row of equity says."""
        ledger = self._program.market.ledger
        if not self._equity:
            return True
        _, _, base, cost = self._equity[-1]
        return base != ledger.base_atoms or cost != ledger.cost_atoms

    def _write_equity(self, now_us: int, price: int) -> None:
        ledger, plan = self._program.market.ledger, self._program.plan
        assert plan is not None, "equity begins with the plan's budget"
        self._equity.append((now_us, plan.budget_atoms + ledger.net_atoms(price), ledger.base_atoms, ledger.cost_atoms))

    def notes(self) -> list[Note]:
        """What the program told that changes how its figures must be read."""
        found = []
        if self.halted_us:
            state = self._program.state
            found.append(Note("backtest.note.halted", {"reason": state.mode_reason, "at": utc(self.halted_us)}))
        told = next((a for a in self._program.alerts if a.grade == "grave" and a.key not in USUAL), None)
        if told is not None:
            found.append(Note("backtest.note.told", {"what": (told.key, told.values), "at": utc(told.ts_us)}))
        if self.liquidations:
            found.append(Note("backtest.note.liquidated", {"count": self.liquidations}))
        return found

    def result(self, *, end_us: int, prices: Columns | None = None, notes: Sequence[Note] = (), **said: Any) -> Result:
        """The whole, once the tape is over. `said`: what only the caller knows, as fields of `Result`."""
        market = self._program.market
        ledger = market.ledger
        mark = market.reference_ticks()
        self._write_equity(max(end_us, self._program.now_us), mark)
        plan = self._program.plan
        assert plan is not None, "a result needs a program that has begun"
        totals = Totals(
            realised_atoms=ledger.realised_atoms,
            unrealised_atoms=ledger.unrealised_atoms(mark),
            fees_atoms=ledger.fees_atoms,
            funding_atoms=ledger.funding_atoms - self._interest,
            interest_atoms=self._interest,
        )
        rows = np.array([tuple(row) for row in self._prices], PRICE)
        return Result(
            strategy=plan.strategy,
            symbol=plan.symbol,
            instrument=market.instrument,
            params=plan.params,
            engine=REPLAY,
            end_us=end_us,
            budget_atoms=plan.budget_atoms,
            mark_ticks=mark,
            totals=totals,
            fills=np.array(self.fills, FILL),
            equity=np.array(self._equity, EQUITY),
            prices=rows if prices is None else prices,
            counters=Counters(self._placed, self._cancelled, dict(self._refused), self.liquidations),
            mids=np.array(self._mids, MID),
            orders=np.array(self._orders, ORDER),
            moves=np.array(self._moves, MOVE),
            notes=(*notes, *self.notes()),
            **said,
        )


def utc(at_us: int) -> str:
    """A time for people, UTC, to the second."""
    return f"{np.datetime64(at_us, 'us')!s:.19}".replace("T", " ") + " UTC"
