"""A venue in a few lines for the strategies' tests: resting orders fill at the touch, takers take it, answers may be lost.

It keeps its own books from the fills alone and runs the core's diff, so that a strategy meets what it will meet. After every decision it
checks the laws that hold for every strategy in every state.
"""

import random
from dataclasses import dataclass, field

from lemon_trader.core.diff import CANCEL, Scratch, action_array, diff, fill_slots
from lemon_trader.core.records import LAYERS_MAX, Position, Row, View, Working, as_row, pack, row_array, unpack
from lemon_trader.core.units import (
    ARMED,
    BUY,
    CANCELLING,
    EXIT,
    LAYER,
    POST_ONLY,
    PPM,
    QUOTE,
    REBALANCE,
    SELL,
    STOP,
    TAKE,
    TRIGGER,
    UNKNOWN,
    WORKING,
)

OPENING = (QUOTE, LAYER, REBALANCE)
START_US = 1_700_000_000_000_000


@dataclass
class Venue:
    """One market, one strategy, and what they did.

    Attributes:
        seed: of everything random: partial fills, lost answers, slow cancels; `chaos` = how often, per mille.
        taken: fills as (role, side, ticks, lots).
        totals: key of a want -> total it was first sent with.
    """

    strategy: object
    params: object
    view: View
    position: Position
    maker_ppm: int = 800
    taker_ppm: int = 1000
    seed: int = 0
    chaos: int = 0
    memory: object = None
    orders: list = field(default_factory=list)
    taken: list = field(default_factory=list)
    totals: dict = field(default_factory=dict)
    quote_atoms: int = 0
    placed: int = 0
    cancelled: int = 0

    def __post_init__(self):
        self.memory = self.memory or self.strategy.memory_type()
        self.out = row_array()
        self.scratch = Scratch()
        self.actions = action_array()
        self.random = random.Random(self.seed)
        self.features = self.strategy.features(self.params)
        self.rows = []
        self.view.now_us = self.view.now_us or START_US

    # ---- the market moves ----

    def move(self, bid, ask=None, seconds=1):
        """The touch becomes (bid, ask), `seconds` later; what it reaches fills; the strategy decides."""
        v = self.view
        v.now_us += int(seconds * 1_000_000)
        v.bid_ticks, v.ask_ticks = bid, ask or bid + 1
        v.bid_lots = v.ask_lots = 1_000_000
        v.last_ticks = v.confirmed_ticks = bid
        v.mark_ticks = bid if v.is_perp else 0
        v.volatility_ppm, v.fall_ppm = self.features(v.now_us, v.bid_ticks, v.ask_ticks)
        self._resolve()
        for order in list(self.orders):
            self._reach(order)
        return self.decide()

    def walk(self, *bids, seconds=1):
        for bid in bids:
            self.move(bid, seconds=seconds)

    # ---- the strategy decides ----

    def decide(self):
        """Ask, check the laws, bring the venue to the answer; again until nothing moves. The last rows."""
        for _ in range(6):
            if not self._decide_once():
                break
        return self.rows

    def wanted(self, role):
        return [row for row in self.rows if row.role == role]

    def held(self):
        return self.position.lots

    def _decide_once(self):
        self._refresh()
        before = as_row(self.view), as_row(self.position), as_row(self.params)
        used = self.strategy.targets(self.params, self.view, self.position, self.memory, self.out)
        assert (as_row(self.view), as_row(self.position), as_row(self.params)) == before, "targets changed what it may only read"
        self.rows = [copied(row) for row in self.out[1:used]]
        header = as_row(self.out[0])
        self._check_laws(used)
        self._check_fixed_point(used, header)
        self._check_band(used)
        return self._carry_out(used)

    def _carry_out(self, used):
        for i in range(1, used):
            self.out[i] = copied(self.rows[i - 1])
        done = diff(self.out, used, self.orders, len(self.orders), self.view, self.position, self.scratch, self.actions)
        todo = [(self.actions[n].what, self.actions[n].index, self.actions[n].qty_lots) for n in range(done)]
        for what, index, _ in todo:
            if what == CANCEL:
                order = self.orders[index]
                order.state, order.cancel_us = CANCELLING, self.view.now_us
        changed = False
        for order in [o for o in self.orders if o.state == CANCELLING]:
            if not self._mischief():
                self.orders.remove(order)
                self.cancelled += 1
                changed = True
        for what, index, qty in todo:
            if what != CANCEL:
                self._place(self.rows[index - 1], qty)
                changed = True
        return changed

    # ---- orders ----

    def _place(self, row, qty):
        v = self.view
        if v.generation[row.slot] < row.generation:
            v.generation[row.slot], v.filled[row.slot] = row.generation, 0
        assert v.generation[row.slot] == row.generation
        self.placed += 1
        v.sent_us[row.slot] = v.now_us
        order = Working(
            row.slot, row.generation, row.role, row.side, row.kind, row.flags, row.price_ticks, row.trigger_ticks, qty, WORKING, v.now_us, 1
        )
        if row.role in {LAYER, QUOTE}:
            first = self.totals.setdefault((row.slot, row.generation), row.qty_lots)
            assert first == row.qty_lots, "an opening row's total changed after an order was sent for its key"
        if row.kind == TRIGGER:
            order.state = ARMED
            self.orders.append(order)
            return
        touch = v.ask_ticks if row.side == BUY else v.bid_ticks
        crosses = (row.price_ticks - touch) * row.side >= 0
        if row.kind == POST_ONLY and crosses:
            v.retry_us[row.slot] = v.now_us + 200_000
            return
        self.orders.append(order)
        if crosses:
            self._fill(order, touch, self._some(order.open_lots), self.taker_ppm)
        if row.kind == TAKE and order in self.orders:
            self.orders.remove(order)
            v.retry_us[row.slot] = v.now_us + 200_000
        elif order in self.orders and self._mischief():
            order.state = UNKNOWN

    def _resolve(self):
        """Lost answers come to light: the order was accepted, or never was."""
        for order in [o for o in self.orders if o.state in (UNKNOWN, CANCELLING)]:
            if self._mischief():
                continue
            if order.state == UNKNOWN and self.random.random() < 0.7:
                order.state = WORKING
            else:
                self.orders.remove(order)

    def _reach(self, order):
        v = self.view
        if order.kind == TRIGGER:
            if v.mark_ticks * -order.side <= order.trigger_ticks * -order.side and order.state == ARMED:
                lots = min(order.open_lots, abs(self.position.lots))
                if lots:
                    order.open_lots = lots
                    self._fill(order, v.bid_ticks if order.side == SELL else v.ask_ticks, lots, self.taker_ppm)
                if order in self.orders:
                    self.orders.remove(order)
            return
        touch = v.ask_ticks if order.side == BUY else v.bid_ticks
        if (order.price_ticks - touch) * order.side >= 0:
            self._fill(order, order.price_ticks, self._some(order.open_lots), self.maker_ppm)

    def _some(self, lots):
        return self.random.randint(1, lots) if self._mischief() else lots

    def _mischief(self):
        return self.chaos > 0 and self.random.randrange(1000) < self.chaos

    # ---- books ----

    def _fill(self, order, ticks, lots, fee_ppm):
        v, p = self.view, self.position
        assert 0 < lots <= order.open_lots
        order.open_lots -= lots
        if order.open_lots == 0:
            self.orders.remove(order)
        if order.generation == v.generation[order.slot]:
            v.filled[order.slot] += lots
        v.filled_ever[order.slot] += lots
        self.taken.append((order.role, order.side, ticks, lots))
        size, worth = lots * v.lot_atoms, lots * ticks * v.tick_lot_atoms
        self.quote_atoms -= order.side * worth
        self._book(order.side * size, worth)
        if v.is_perp:
            self.quote_atoms -= worth * fee_ppm // PPM
        elif order.side == BUY:
            self._book(-(size * fee_ppm // PPM), worth * fee_ppm // PPM)
        else:
            self.quote_atoms -= worth * fee_ppm // PPM
        lots_held = abs(p.base_atoms) // v.lot_atoms
        p.lots = lots_held if p.base_atoms >= 0 else -lots_held
        p.sellable_lots = lots_held
        assert v.is_perp or p.base_atoms >= 0, "sold what is not held"

    def _book(self, change, worth):
        p = self.position
        if p.base_atoms == 0 or (p.base_atoms > 0) == (change > 0):
            p.base_atoms += change
            p.cost_atoms += worth
            return
        closing = min(abs(p.base_atoms), abs(change))
        p.cost_atoms -= p.cost_atoms * closing // abs(p.base_atoms)
        p.base_atoms += change
        if closing < abs(change):
            p.cost_atoms += worth - worth * closing // abs(change)

    def _refresh(self):
        fill_slots(self.view, self.orders, len(self.orders))

    # ---- laws ----

    def _check_laws(self, used):
        v, p = self.view, self.position
        assert used >= 1
        assert len({row.slot for row in self.rows}) == len(self.rows), "two rows for one slot"
        spent = p.cost_atoms if p.base_atoms > 0 or not v.is_perp else 0
        short = p.cost_atoms if p.base_atoms < 0 else 0
        selling = 0
        for row in self.rows:
            filled = v.filled[row.slot] if v.generation[row.slot] == row.generation else 0
            rest = row.qty_lots - filled
            assert row.qty_lots > 0
            assert row.price_ticks > 0 or row.kind == TRIGGER
            assert row.generation >= v.generation[row.slot], "a row older than what was sent"
            if row.role in OPENING:
                assert v.fresh
                assert v.may_open
            if row.role in (EXIT, STOP):
                # A resting stop outlives the position until no layer can have filled unheard.
                assert row.side * p.base_atoms < 0 or (row.kind == TRIGGER and any(v.live_orders[:LAYERS_MAX]))
                if row.kind != TRIGGER:
                    assert row.qty_lots == filled + p.sellable_lots
                    assert row.tolerance_ticks == 0
            if row.kind == TRIGGER:
                continue
            if row.side == BUY:
                spent += rest * row.price_ticks * v.tick_lot_atoms
            elif v.is_perp and row.role in OPENING:
                short += rest * row.price_ticks * v.tick_lot_atoms
            else:
                selling += rest
        bought = any(row.side == BUY and row.kind != TRIGGER for row in self.rows)
        assert not bought or spent <= p.budget_atoms, "more than the budget"
        assert short <= p.budget_atoms or not any(row.side == SELL and row.role in OPENING for row in self.rows)
        assert selling <= p.sellable_lots, "sells more than is held"

    def _check_fixed_point(self, used, header):
        memory = copied(self.memory)
        again = self.strategy.targets(self.params, self.view, self.position, memory, self.out)
        assert again == used
        assert [want(row) for row in self.out[1:used]] == [want(row) for row in self.rows], "the same view gave other rows"
        assert as_row(self.out[0]) == header
        assert memory == self.memory, "the same view changed the memory again"

    def _check_band(self, used):
        """Wherever the header says so, another price and a later time give the same rows."""
        low, high, wake_us = self.out[0].price_ticks, self.out[0].trigger_ticks, self.out[0].qty_lots
        assert wake_us == 0 or wake_us > self.view.now_us, "it asks to be woken in the past"
        if low == 0:
            return
        high = min(high, 2 * self.view.ask_ticks)
        if high <= low:
            return
        rows = [want(row) for row in self.rows]
        view = copied(self.view)
        for bid in {low, high - 1, self.random.randint(low, high - 1)}:
            view.bid_ticks = view.confirmed_ticks = bid
            view.ask_ticks = self.random.randint(bid + 1, high)
            view.now_us = self.random.randint(self.view.now_us, (wake_us or self.view.now_us + 10**12) - 1)
            other = row_array()
            assert self.strategy.targets(self.params, view, self.position, copied(self.memory), other) == used
            others = [want(row) for row in other[1:used]]
            assert others == rows, f"the rows changed inside their band {low}..{high} at {bid}/{view.ask_ticks}: {set(others) ^ set(rows)}"


def spot_view(instrument, **changes):
    """A view of a healthy spot market on this instrument's grid."""
    view = View(
        fresh=1, may_open=1, is_perp=int(instrument.is_perp), tick_lot_atoms=instrument.tick_lot_atoms, lot_atoms=instrument.lot_atoms,
        min_lots=instrument.min_lots, maker_fee_ppm=800, taker_fee_ppm=1000, now_us=START_US,
    )  # fmt: skip
    for name, value in changes.items():
        setattr(view, name, value)
    return view


def copied(record):
    """A record of its own with the same values."""
    return unpack(type(record), pack(record))


def want(row):
    """What a strategy writes of a row; the diff adds its reason."""
    return as_row(row)[:11]


def row_of(rows, slot):
    """The row of this slot, or None."""
    return next((row for row in rows if row.slot == slot), None)


def brief(row: Row):
    """What a golden table says of a row."""
    return (row.slot, row.side, row.price_ticks, row.qty_lots)
