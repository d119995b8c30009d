"""Replay: the engine against a tape. A simulated exchange takes the tape's acts and our orders, and its effects come back as facts.

There is no network and no loop: `play` is a plain function, and the market moves on only when no command is unanswered. Everything that the
engine sees it would have seen live, in the same words.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Final

from lemon_trader.core.commands import Command, Place
from lemon_trader.core.events import (
    NO_CLIENT_ID,
    AccountRead,
    AccountTerms,
    Balance,
    BookDelta,
    BookSnapshot,
    BookState,
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
    PublicTrade,
    VenuePosition,
    Wake,
)
from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import BUY, POST_ONLY, PPM, REDUCE_ONLY, TAKE, TRIGGER, US_PER_S, WHOLE_POSITION
from lemon_trader.market.acts import Act, apply
from lemon_trader.matching.effects import (
    BalanceChanged,
    BookChanged,
    Change,
    Effect,
    Funded,
    OrderChanged,
    PositionChanged,
    StateChanged,
    Traded,
)
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import Fill as VenueFill
from lemon_trader.matching.orders import NewOrder, OrderState, OrderType, Refused, SelfTrade, Status, TimeInForce, TriggerBy

WINDOW_US: Final = 5 * US_PER_S
STATUS: Final = {
    Status.NEW: "working",
    Status.PARTIALLY_FILLED: "working",
    Status.FILLED: "filled",
    Status.CANCELLED: "cancelled",
    Status.EXPIRED: "expired",
    Status.TRIGGER_PENDING: "armed",
    Status.TRIGGER_FAILED: "trigger_failed",
    Status.TRIGGERED: "triggered",
}
KIND: Final = {
    Change.ACCEPTED: "accepted",
    Change.CANCELLED: "cancelled",
    Change.EXPIRED: "expired",
    Change.MODIFIED: "modified",
    Change.TRIGGER_PLACED: "trigger_placed",
    Change.TRIGGER_FAILED: "trigger_failed",
}


class ReplayVenue:
    """The engine's venue over an exchange of its own; commands wait in a queue until `answer` carries them out."""

    def __init__(self, exchange: Exchange, account: str) -> None:
        self.exchange = exchange
        self.account = account
        self.commands: list[Command] = []  # everything ever sent, in order: what agreement tests compare
        self._waiting: deque[Command] = deque()

    def send(self, commands: Sequence[Command]) -> None:
        """Take the commands of one turn; they are carried out by `answer`, never before this returns."""
        self.commands.extend(commands)
        self._waiting.extend(commands)

    def expires_us(self, now_us: int) -> int:
        """Exchange time is engine time here."""
        return now_us + WINDOW_US

    @property
    def waiting(self) -> bool:
        """Whether a command is unanswered."""
        return bool(self._waiting)

    def answer(self, now_us: int) -> list[Event]:
        """Carry out all waiting commands at this moment; the stream's facts and the answers, in the exchange's order."""
        facts: list[Event] = []
        while self._waiting:
            command = self._waiting.popleft()
            answer = self._place(command, now_us) if isinstance(command, Place) else self._cancel(command.symbol, command, now_us)
            facts += self.facts(now_us)
            facts.append(answer)
        return facts

    def facts(self, now_us: int) -> list[Event]:
        """What the exchange's effects say to this account, as facts of one read."""
        facts: list[Event] = []
        for effect in self.exchange.take_effects():
            self._fact(effect, now_us, facts)
        return facts

    def terms(self, now_us: int) -> AccountTerms:
        """The account's rates."""
        rules = self.exchange.rules
        return AccountTerms(
            now_us, rules.spot_maker_ppm, rules.spot_taker_ppm, rules.perp_maker_ppm, rules.perp_taker_ppm, "1",
            auto_lend=False, liquidating=False,
        )  # fmt: skip

    def read(self, symbols: Sequence[str], since_us: int, now_us: int) -> AccountRead:
        """A complete read of the account at this moment."""
        account = self.exchange.accounts[self.account]
        wanted = set(symbols)
        assets = account.assets
        # Rows are appended as things happen, so the youngest are the last: a long life is not read through for its last minute.
        ended = list(takewhile(lambda o: o.updated_us >= since_us, reversed(account.order_history)))
        fills = list(takewhile(lambda f: f.at_us >= since_us, reversed(account.fills)))
        funding = list(takewhile(lambda f: f.at_us >= since_us, reversed(account.funding)))
        return AccountRead(
            now_us, now_us, now_us, since_us, tuple(symbols),
            tuple(order_row(o, is_open=True) for o in self.exchange.open_orders(self.account) if o.symbol in wanted),
            tuple(order_row(o, is_open=False) for o in ended if o.symbol in wanted),
            tuple(_fill(f, now_us) for f in reversed(fills) if f.symbol in wanted),
            tuple(self._funding(f, now_us) for f in reversed(funding) if f.symbol in wanted),
            tuple(Balance(now_us, now_us, a, account.available(a), account.locked(a)) for a in assets),
            tuple(VenuePosition(now_us, now_us, s, p.lots) for s, p in account.positions.items() if s in wanted),
        )  # fmt: skip

    def opening(self, symbols: Sequence[str], now_us: int) -> list[Event]:
        """What connecting says: streams up, and the books whole."""
        facts: list[Event] = [FeedState(now_us, "public", up=True), FeedState(now_us, "private", up=True)]
        for symbol in symbols:
            depth = self.exchange.depth(symbol)
            facts.append(BookSnapshot(now_us, now_us, symbol, depth.update_id, depth.bids, depth.asks))
        return facts + self.second(symbols, now_us)

    def second(self, symbols: Sequence[str], now_us: int) -> list[Event]:
        """What the streams say each second: the last price of every market, mark and index of perpetuals."""
        facts: list[Event] = []
        for symbol in symbols:
            facts.append(LastPrice(now_us, now_us, symbol, self.exchange.last_ticks(symbol)))
            mark, index, funding = self.exchange.reference(symbol)
            if mark:
                facts.append(MarkPrice(now_us, now_us, symbol, mark, index, funding, 0))
        return facts

    def _place(self, c: Place, now_us: int) -> Event:
        try:
            order = self.exchange.place(self.account, new_order(c, self.exchange.instrument(c.symbol)), now_us)
        except Refused as refused:
            return PlaceRefused(now_us, c.symbol, c.client_id, refused.code.value, refused.message)
        return PlaceAccepted(now_us, now_us, c.symbol, c.client_id, str(order.order_id), STATUS[order.status], order.executed_lots)

    def _cancel(self, symbol: str, c: Command, now_us: int) -> Event:
        order_id = getattr(c, "order_id", "")
        try:
            if c.client_id < 0 or order_id:
                order = self.exchange.cancel(self.account, symbol, now_us, order_id=int(order_id))
            else:
                order = self.exchange.cancel(self.account, symbol, now_us, client_id=c.client_id)
        except Refused:
            return CancelAnswered(now_us, now_us, symbol, c.client_id, "not_found")
        return CancelAnswered(now_us, now_us, symbol, c.client_id, "cancelled", order.executed_lots)

    def _fact(self, e: Effect, now_us: int, facts: list[Event]) -> None:
        match e:
            case BookChanged():
                bids = tuple((t, q) for side, t, q in e.levels if side == BUY)
                asks = tuple((t, q) for side, t, q in e.levels if side != BUY)
                facts.append(BookDelta(now_us, e.at_us, e.symbol, e.first_id, e.last_id, bids, asks))
            case Traded():
                facts.append(PublicTrade(now_us, e.at_us, e.symbol, e.ticks, e.lots, e.buyer_is_maker, e.trade_id))
            case StateChanged():
                facts.append(BookState(now_us, e.symbol, e.book_state))
            case OrderChanged() if e.account == self.account:
                if e.fill is not None:
                    facts.append(_fill(e.fill, now_us, e.order))
                elif e.kind in KIND:
                    facts.append(_update(e.order, KIND[e.kind], now_us, e.at_us))
            case BalanceChanged() if e.account == self.account:
                facts.append(Balance(now_us, e.at_us, e.asset, e.available_atoms, e.locked_atoms))
            case PositionChanged() if e.account == self.account:
                facts.append(VenuePosition(now_us, e.at_us, e.position.symbol, e.position.lots))
            case Funded() if e.account == self.account:
                facts.append(self._funding(e, now_us))
            case _:
                pass  # somebody else's, or said by another fact: the streams say mark and index once a second

    def _funding(self, e: Funded, now_us: int) -> CashMove:
        quote = self.exchange.instrument(e.symbol).quote
        key = f"funding:{e.symbol}:{e.interval_end_us}"
        return CashMove(now_us, e.at_us, e.symbol, "funding", quote, e.amount_atoms, atoms_text(e.amount_atoms), key)


def play(
    acts: Iterable[Act],
    venue: ReplayVenue,
    turn: Callable[[Sequence[Event]], None],
    symbols: Sequence[str],
    *,
    read_every_us: int = 15 * US_PER_S,
    ticker: bool = True,
) -> int:
    """Play a tape to its end through `turn`; the number of acts.

    Acts of one time are one read. Each second of the tape brings a wake and, before it, what the exchange's streams say each second.
    A gap in the tape is a gap in time: the wakes of the quiet stretch are given as one, at its end.
    """
    exchange = venue.exchange
    next_wake = next_read = 0
    played = 0

    def settle(now_us: int) -> None:
        while venue.waiting:
            turn(venue.answer(now_us))

    batch: list[Act] = []
    at_us = 0

    def flush() -> None:
        nonlocal next_wake, next_read
        if at_us >= next_wake:
            # What the exchange says each second, and our own wake; a longer gap in the tape is one of them.
            next_wake = at_us - at_us % US_PER_S + US_PER_S
            exchange.advance(at_us)
            said = venue.facts(at_us)
            if ticker:
                said += venue.second(symbols, at_us)
            if at_us >= next_read:
                next_read = at_us + read_every_us
                said.append(venue.read(symbols, at_us - 4 * read_every_us, at_us))
            turn([*said, Wake(at_us)])
            settle(at_us)
        for act in batch:
            apply(act, exchange)
        batch.clear()
        exchange.advance(at_us)
        facts = venue.facts(at_us)
        if facts:
            turn(facts)
            settle(at_us)

    for act in acts:
        played += 1
        if act.at_us != at_us and batch:
            flush()
        at_us = act.at_us
        batch.append(act)
    if batch:
        flush()
    return played


def new_order(c: Place, instrument: Instrument) -> NewOrder:
    """Our command as the exchange takes it; the same meaning that the wire's words have."""
    if c.kind == TRIGGER:
        whole = bool(c.flags & WHOLE_POSITION)
        return NewOrder(
            symbol=c.symbol, side=c.side, order_type=OrderType.MARKET, trigger_ticks=c.trigger_ticks,
            trigger_lots=0 if whole else c.qty_lots, trigger_ppm=PPM if whole else 0,
            trigger_by=TriggerBy.MARK if instrument.is_perp else TriggerBy.LAST,
            reduce_only=bool(c.flags & REDUCE_ONLY), client_id=c.client_id,
        )  # fmt: skip
    return NewOrder(
        symbol=c.symbol, side=c.side, lots=c.qty_lots, ticks=c.price_ticks, post_only=c.kind == POST_ONLY,
        time_in_force=TimeInForce.IOC if c.kind == TAKE else TimeInForce.GTC,
        reduce_only=bool(c.flags & REDUCE_ONLY) and instrument.is_perp, client_id=c.client_id,
        self_trade=SelfTrade.REJECT_MAKER if c.kind == TAKE else None,
    )  # fmt: skip


def order_row(o: OrderState, *, is_open: bool) -> OrderRow:
    """An order as a read lists it."""
    return OrderRow(
        o.symbol, str(o.order_id), o.client_id if o.client_id is not None else NO_CLIENT_ID, str(o.related_id or ""), o.side,
        STATUS[o.status], o.ticks, o.trigger_ticks, o.lots or o.trigger_lots, o.executed_lots, o.created_us, is_open,
        is_trigger=o.is_trigger, reason=o.reason.value if o.reason else "", origin=o.origin.value,
    )  # fmt: skip


def _update(o: OrderState, kind: str, now_us: int, at_us: int) -> OrderUpdate:
    return OrderUpdate(
        now_us, at_us, o.symbol, kind, str(o.order_id), o.client_id if o.client_id is not None else NO_CLIENT_ID, str(o.related_id or ""),
        o.side, o.ticks, o.trigger_ticks, o.lots or o.trigger_lots, o.executed_lots, o.reason.value if o.reason else "", o.origin.value,
    )  # fmt: skip


def _fill(f: VenueFill, now_us: int, order: OrderState | None = None) -> Fill:
    return Fill(
        now_us, f.at_us, f.symbol, str(f.order_id), f.client_id if f.client_id is not None else NO_CLIENT_ID,
        str(order.related_id or "") if order is not None else "", f.trade_id, f.side, f.ticks, f.lots, f.fee_atoms, f.fee_asset,
        atoms_text(f.fee_atoms), f.is_maker, order.executed_lots if order is not None else -1, f.origin.value,
        done=order is not None and order.status == Status.FILLED,
    )  # fmt: skip
