"""An exchange that knows one account and a market of bars, in the engine's words: what rests is filled by the moves of the price.

It is a venue of the real engine: commands come in by `send` and are carried out by `answer`; `move` takes the price one way and fills what
that reaches. Rules and rounding are `formulas/fill.py`, money is counted in atoms, and everything that happens is told as live streams tell
it. `bars.py` plays a table of bars over it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from lemon_trader.core.commands import Command, Place
from lemon_trader.core.events import (
    NO_CLIENT_ID,
    AccountRead,
    AccountTerms,
    Balance,
    BookSnapshot,
    CancelAnswered,
    CashMove,
    Event,
    FeedState,
    Fill,
    LastPrice,
    MarkPrice,
    OrderRow,
    OrderUpdate,
    PlaceAccepted,
    PlaceRefused,
    VenuePosition,
)
from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import BUY, POST_ONLY, REDUCE_ONLY, SELL, TAKE, TRIGGER, US_PER_S
from lemon_trader.formulas.fill import (
    FillRules,
    bar_ask,
    bar_bid,
    fee_atoms,
    funding_atoms,
    is_reached,
    is_through,
    is_triggered,
    margin_atoms,
    point_lots,
    reduced_cost,
    taker_ticks,
    trigger_level,
    value_atoms,
)

DEEP_LOTS: Final = 2**50  # the touch is never used up by us: our share of what trades bounds us
WINDOW_US: Final = 5 * US_PER_S
LIQUIDATION: Final = "LIQUIDATION_AUTOCLOSE"
FUNDS: Final = "INSUFFICIENT_FUNDS"
MARGIN: Final = "INSUFFICIENT_MARGIN"
WOULD_TAKE: Final = "INVALID_ORDER"


class Resting:
    """An order of ours at the exchange; `trigger` > 0 only for a TRIGGER, which waits beside the book."""

    __slots__ = ("client_id", "done_lots", "flags", "kind", "lots", "order_id", "price", "side", "since_us", "trigger")

    def __init__(self, place: Place, order_id: int, now_us: int) -> None:
        self.client_id = place.client_id
        self.order_id = str(order_id)
        self.side = place.side
        self.kind = place.kind
        self.flags = place.flags
        self.price = place.price_ticks
        self.trigger = place.trigger_ticks
        self.lots = place.qty_lots
        self.done_lots = 0
        self.since_us = now_us

    @property
    def open_lots(self) -> int:
        """What may still be filled."""
        return self.lots - self.done_lots


class BarExchange:
    """One account in one market of bars.

    Attributes:
        price: now, ticks; 0 = nothing has happened yet.
        orders: what rests and waits, oldest first.
        cash_atoms / base_atoms / cost_atoms: quote held, base held (signed) and what was paid or received for it.
        left_lots: what may still be filled of ours at this point.
        commands: everything ever sent, in order.
        delay_us: how long the command sent at `now_us` takes to reach the exchange, µs; asked once a command.
        liquidations: how often the position was closed because the margin did not suffice.
    """

    def __init__(self, instrument: Instrument, rules: FillRules, cash_atoms: int, *, delay_us: Callable[[int], int] = lambda _: 0) -> None:
        self.instrument = instrument
        self.rules = rules
        self.price = 0
        self.orders: list[Resting] = []
        self.cash_atoms = cash_atoms
        self.base_atoms = 0
        self.cost_atoms = 0
        self.left_lots = 0
        self.liquidations = 0
        self.commands: list[Command] = []
        self.delay_us = delay_us
        self._now_us = 0
        self._ids = 0
        self._trades = 0
        self._book = 0
        self._said: dict[str, tuple[int, int]] = {}
        self._waiting: deque[tuple[int, Command]] = deque()
        self._unsent: list[Command] = []

    # -- the engine's side --

    def send(self, commands: Sequence[Command]) -> None:
        """Take the commands of one turn; nothing is carried out before `answer`."""
        self.commands.extend(commands)
        for command in commands:
            due_us = self._now_us + self.delay_us(self._now_us)
            if self._waiting:
                due_us = max(due_us, self._waiting[-1][0])  # one connection: nothing overtakes
            self._waiting.append((due_us, command))

    def expires_us(self, now_us: int) -> int:
        """Exchange time is engine time here, and what is delayed is delayed on our side of the edge."""
        return now_us + WINDOW_US

    def is_due(self, now_us: int) -> bool:
        """Whether a command has reached the exchange by now."""
        return bool(self._waiting) and self._waiting[0][0] <= now_us

    def answer(self, now_us: int) -> list[Event]:
        """Carry out everything that has reached the exchange: what it does, then its answer, one after the other."""
        facts: list[Event] = []
        while self.is_due(now_us):
            command = self._waiting.popleft()[1]
            answer = self._place(command, now_us, facts) if isinstance(command, Place) else self._cancel(command.client_id, now_us)
            facts.append(answer)
        self._balances(now_us, facts)
        return facts

    # -- the market's side --

    def move(self, now_us: int, price: int, bar_lots: int, *, jumped: bool) -> list[Event]:
        """Take the price to a new point; the fills on its way, nearest first.

        Args:
            now_us: when it arrives.
            price: the new point, ticks.
            bar_lots: traded in the bar that the point belongs to.
            jumped: nothing traded on the way: a TRIGGER fires at the new price, not at its own.
        """
        self._now_us = now_us
        start = self.price or price
        self.left_lots = point_lots(bar_lots, self.rules.share_ppm)
        facts: list[Event] = []
        hit = [o for o in self.orders if self._is_hit(o, start, price, now_us)]
        hit.sort(key=lambda o: abs(self._level(o, start, price) - start))  # stable: of one price the oldest is first
        self.price = price
        for order in hit:
            if order.kind == TRIGGER:
                self._fire(order, start, price, now_us, facts, jumped=jumped)
            else:
                lots = min(order.open_lots, self.left_lots)
                if order.flags & REDUCE_ONLY:
                    lots = min(lots, self._reducible(order.side))
                if lots > 0:
                    self._fill(order, order.price, lots, now_us, facts, is_maker=True)
        self._balances(now_us, facts)
        return facts

    def fund(self, now_us: int, end_us: int, rate_ppb: int) -> list[Event]:
        """Pay or charge what is held for the funding interval that ended at `end_us`."""
        i = self.instrument
        lots = self.lots
        if lots == 0:
            return []
        amount = funding_atoms(lots, self.price, i.tick_lot_atoms, rate_ppb)
        self.cash_atoms += amount
        key = f"funding:{i.symbol}:{end_us}"
        facts: list[Event] = [CashMove(now_us, now_us, i.symbol, "funding", i.quote, amount, atoms_text(amount), key)]
        self._balances(now_us, facts)
        return facts

    def check_margin(self, now_us: int) -> list[Event]:
        """Close the position where what is left does not cover the maintenance margin: everything of ours expires, the rest is sold."""
        lots = self.lots
        if lots == 0 or self.rules.mmf_ppm == 0:
            return []
        needed = margin_atoms(abs(lots), self.price, self.instrument.tick_lot_atoms, self.rules.mmf_ppm)
        if self.equity_atoms() >= needed:
            return []
        self.liquidations += 1
        facts: list[Event] = []
        for order in list(self.orders):
            self._end(order, "expired", "LIQUIDATION", now_us, facts)
        side = SELL if lots > 0 else BUY
        ticks = taker_ticks(self.rules, side, self.price)
        fee = fee_atoms(ticks * abs(lots) * self.instrument.tick_lot_atoms, self.rules.liquidation_fee_ppm)
        self._settle(side, ticks, abs(lots), fee)
        facts.append(self._fill_fact(now_us, "", str(self._next_id()), NO_CLIENT_ID, side, ticks, abs(lots), fee, abs(lots), LIQUIDATION))
        self._balances(now_us, facts)
        return facts

    def touch(self, now_us: int) -> list[Event]:
        """What the public streams say of the price as it is."""
        i, half = self.instrument, self.rules.half_spread_ppm
        self._book += 1
        bids, asks = ((bar_bid(self.price, half), DEEP_LOTS),), ((bar_ask(self.price, half), DEEP_LOTS),)
        facts: list[Event] = [
            LastPrice(now_us, now_us, i.symbol, self.price),
            BookSnapshot(now_us, now_us, i.symbol, self._book, bids, asks),
        ]
        if i.is_perp:
            facts.append(MarkPrice(now_us, now_us, i.symbol, self.price, self.price, 0, 0))
        return facts

    # -- reads --

    @property
    def lots(self) -> int:
        """Whole lots held, towards zero; signed."""
        lots = abs(self.base_atoms) // self.instrument.lot_atoms
        return lots if self.base_atoms >= 0 else -lots

    def equity_atoms(self) -> int:
        """Quote held and what is held beside it at the price now, quote atoms."""
        i = self.instrument
        value = value_atoms(self.base_atoms, self.price, i.tick_lot_atoms, i.lot_atoms)
        if not i.is_perp:
            return self.cash_atoms + value
        return self.cash_atoms + value - (self.cost_atoms if self.base_atoms >= 0 else -self.cost_atoms)

    def terms(self, now_us: int) -> AccountTerms:
        """The account's rates."""
        maker, taker = self.rules.maker_fee_ppm, self.rules.taker_fee_ppm
        return AccountTerms(now_us, maker, taker, maker, taker, "50", auto_lend=False, liquidating=False)

    def opening(self, now_us: int, price: int) -> list[Event]:
        """What connecting says: streams up, and the market at its first price."""
        self.price, self._now_us = price, now_us
        return [FeedState(now_us, "public", up=True), FeedState(now_us, "private", up=True), *self.touch(now_us)]

    def read(self, now_us: int) -> AccountRead:
        """A complete read of the account; every end and fill was told by the streams, so its histories say nothing new."""
        i = self.instrument
        rows = tuple(
            OrderRow(
                i.symbol, o.order_id, o.client_id, "", o.side, "armed" if o.kind == TRIGGER else "working", o.price, o.trigger, o.lots,
                o.done_lots, o.since_us, is_open=True, is_trigger=o.kind == TRIGGER, origin="USER",
            )
            for o in self.orders
        )  # fmt: skip
        self._said.clear()
        balances: list[Event] = []
        self._balances(now_us, balances)
        told = tuple(b for b in balances if isinstance(b, Balance))
        positions = (VenuePosition(now_us, now_us, i.symbol, self.lots),) if i.is_perp else ()
        return AccountRead(now_us, now_us, now_us, now_us, (i.symbol,), rows, (), (), (), told, positions)

    # -- inside --

    def _place(self, c: Place, now_us: int, facts: list[Event]) -> Event:
        i, rules = self.instrument, self.rules
        refused = self._refusal(c)
        if refused:
            return PlaceRefused(now_us, i.symbol, c.client_id, *refused)
        order = Resting(c, self._next_id(), now_us)
        if c.kind == TRIGGER:
            self.orders.append(order)
            return PlaceAccepted(now_us, now_us, i.symbol, c.client_id, order.order_id, "armed", 0)
        self.orders.append(order)
        if is_through(rules, c.side, c.price_ticks, self.price):
            lots = min(order.lots, self.left_lots)
            if c.flags & REDUCE_ONLY:
                lots = min(lots, self._reducible(c.side))
            worst = taker_ticks(rules, c.side, self.price)
            ticks = min(worst, c.price_ticks) if c.side == BUY else max(worst, c.price_ticks)
            if lots > 0:
                self._fill(order, ticks, lots, now_us, facts, is_maker=False)
        if not order.open_lots:
            return PlaceAccepted(now_us, now_us, i.symbol, c.client_id, order.order_id, "filled", order.done_lots)
        if c.kind == TAKE:
            self._end(order, "expired", "", now_us, facts)
            return PlaceAccepted(now_us, now_us, i.symbol, c.client_id, order.order_id, "expired", order.done_lots)
        return PlaceAccepted(now_us, now_us, i.symbol, c.client_id, order.order_id, "working", order.done_lots)

    def _refusal(self, c: Place) -> tuple[str, str] | None:
        i = self.instrument
        if c.kind == POST_ONLY and is_through(self.rules, c.side, c.price_ticks, self.price):
            return WOULD_TAKE, "Order would immediately match and take liquidity"
        if c.flags & REDUCE_ONLY:
            return None
        if not i.is_perp:
            quote, base = self._free()
            short = quote < i.notional_atoms(c.price_ticks, c.qty_lots) if c.side == BUY else base < c.qty_lots * i.lot_atoms
            return (FUNDS, "Insufficient funds") if short else None
        if self.rules.imf_ppm:
            exposed = self.exposed_lots(c.side, c.qty_lots)
            needed = margin_atoms(exposed, self.price, i.tick_lot_atoms, self.rules.imf_ppm)
            if exposed > self.exposed_lots(c.side, 0) and self.equity_atoms() < needed:
                return MARGIN, "Insufficient margin"
        return None

    def exposed_lots(self, side: int, more_lots: int) -> int:
        """The largest position that could come about if what rests, and `more_lots` of a side, were filled."""
        bought = sum(o.open_lots for o in self.orders if o.side == BUY and not o.flags & REDUCE_ONLY)
        sold = sum(o.open_lots for o in self.orders if o.side == SELL and not o.flags & REDUCE_ONLY)
        bought += more_lots if side == BUY else 0
        sold += more_lots if side == SELL else 0
        return max(abs(self.lots + bought), abs(self.lots - sold))

    def _cancel(self, client_id: int, now_us: int) -> Event:
        order = next((o for o in self.orders if o.client_id == client_id), None)
        if order is None:
            return CancelAnswered(now_us, now_us, self.instrument.symbol, client_id, "not_found")
        self.orders.remove(order)
        return CancelAnswered(now_us, now_us, self.instrument.symbol, client_id, "cancelled", order.done_lots)

    def _is_hit(self, order: Resting, start: int, end: int, now_us: int) -> bool:
        if order.kind == TRIGGER:
            return bool(is_triggered(order.side, order.trigger, end))
        return bool(is_reached(self.rules, order.side, order.price, start, end, now_us))

    def _level(self, order: Resting, start: int, end: int) -> int:
        """Where on the way from `start` to `end` an order is met."""
        level = order.trigger if order.kind == TRIGGER else order.price
        return min(max(level, min(start, end)), max(start, end))

    def _fire(self, order: Resting, start: int, end: int, now_us: int, facts: list[Event], *, jumped: bool) -> None:
        """A TRIGGER becomes a market order for the whole position; what it sells is not bounded by our share of what trades."""
        i = self.instrument
        lots = self._reducible(order.side)
        if lots == 0:
            self._end(order, "trigger_failed", "REDUCE_ONLY", now_us, facts)
            return
        ticks = taker_ticks(self.rules, order.side, trigger_level(order.side, order.trigger, start, end, int(jumped)))
        self.orders.remove(order)
        worth = i.notional_atoms(ticks, lots)
        fee = fee_atoms(worth, self.rules.taker_fee_ppm)
        self._settle(order.side, ticks, lots, fee)
        child = str(self._next_id())
        facts.append(self._fill_fact(now_us, order.order_id, child, NO_CLIENT_ID, order.side, ticks, lots, fee, lots, "USER"))

    def _fill(self, order: Resting, ticks: int, lots: int, now_us: int, facts: list[Event], *, is_maker: bool) -> None:
        i = self.instrument
        rate = self.rules.maker_fee_ppm if is_maker else self.rules.taker_fee_ppm
        in_base = not i.is_perp and order.side == BUY
        fee = fee_atoms(lots * i.lot_atoms if in_base else i.notional_atoms(ticks, lots), rate)
        order.done_lots += lots
        self.left_lots -= lots
        self._settle(order.side, ticks, lots, fee)
        done = not order.open_lots
        if done:
            self.orders.remove(order)
        facts.append(
            self._fill_fact(
                now_us,
                "",
                order.order_id,
                order.client_id,
                order.side,
                ticks,
                lots,
                fee,
                order.done_lots,
                "USER",
                done=done,
                is_maker=is_maker,
            )
        )

    def _fill_fact(
        self, now_us: int, related: str, order_id: str, client_id: int, side: int, ticks: int, lots: int, fee: int, filled: int,
        origin: str, *, done: bool = True, is_maker: bool = False,
    ) -> Fill:  # fmt: skip
        i = self.instrument
        self._trades += 1
        asset = i.base if side == BUY and not i.is_perp else i.quote
        return Fill(
            now_us, now_us, i.symbol, order_id, client_id, related, self._trades, side, ticks, lots, fee, asset, atoms_text(fee), is_maker,
            filled, origin, done=done,
        )  # fmt: skip

    def _settle(self, side: int, ticks: int, lots: int, fee: int) -> None:
        """Move position and money by one fill, as the ledger does."""
        i = self.instrument
        size, worth = lots * i.lot_atoms, i.notional_atoms(ticks, lots)
        if not i.is_perp:
            self.cash_atoms -= side * worth
            self.base_atoms += side * size
            if side == BUY:
                self.base_atoms -= fee
            else:
                self.cash_atoms -= fee
            return
        held = self.base_atoms
        if held == 0 or (held > 0) == (side > 0):
            self.cost_atoms += worth
        else:
            closing = min(abs(held), size)
            closed_worth = worth if closing == size else worth * closing // size
            part = reduced_cost(self.cost_atoms, closing, abs(held))
            self.cash_atoms += closed_worth - part if held > 0 else part - closed_worth
            self.cost_atoms -= part
            if closing < size:
                self.cost_atoms += worth - closed_worth
        self.base_atoms += side * size
        self.cash_atoms -= fee

    def _end(self, order: Resting, kind: str, reason: str, now_us: int, facts: list[Event]) -> None:
        self.orders.remove(order)
        i = self.instrument
        said = (order.side, order.price, order.trigger, order.lots, order.done_lots, reason, "USER")
        facts.append(OrderUpdate(now_us, now_us, i.symbol, kind, order.order_id, order.client_id, "", *said))

    def _reducible(self, side: int) -> int:
        """How many lots an order of this side may take off what is held."""
        return max(0, -side * self.lots)

    def _free(self) -> tuple[int, int]:
        """Quote and base atoms that no order of ours has locked; spot."""
        i = self.instrument
        quote = sum(i.notional_atoms(o.price, o.open_lots) for o in self.orders if o.side == BUY and o.kind != TRIGGER)
        base = sum(o.open_lots * i.lot_atoms for o in self.orders if o.side == SELL and o.kind != TRIGGER)
        return self.cash_atoms - quote, self.base_atoms - base

    def _balances(self, now_us: int, facts: list[Event]) -> None:
        """Tell the balances that differ from what was told last."""
        i = self.instrument
        if i.is_perp:
            self._say(i.quote, self.cash_atoms, 0, now_us, facts)
            return
        quote, base = self._free()
        self._say(i.quote, quote, self.cash_atoms - quote, now_us, facts)
        self._say(i.base, base, self.base_atoms - base, now_us, facts)

    def _say(self, asset: str, available: int, locked: int, now_us: int, facts: list[Event]) -> None:
        if self._said.get(asset) != (available, locked):
            self._said[asset] = (available, locked)
            facts.append(Balance(now_us, now_us, asset, available, locked))

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids
