"""An account of a simulated exchange in the engine's words: commands are carried out, reads answered, effects said as facts.

Replay and paper differ in where the market comes from. What an order becomes, and how it is told, is this for both.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from lemon_trader.core.commands import Command, Place
from lemon_trader.core.events import (
    NO_CLIENT_ID,
    AccountRead,
    AccountTerms,
    Balance,
    CancelAnswered,
    CashMove,
    Event,
    Fill,
    OrderRow,
    OrderUpdate,
    PlaceAccepted,
    PlaceRefused,
    VenuePosition,
)
from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import POST_ONLY, PPM, REDUCE_ONLY, TAKE, TRIGGER, WHOLE_POSITION
from lemon_trader.matching.effects import (
    BalanceChanged,
    Change,
    Effect,
    Funded,
    OrderChanged,
    PositionChanged,
)
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import Fill as VenueFill
from lemon_trader.matching.orders import NewOrder, OrderState, OrderType, Refused, SelfTrade, Status, TimeInForce, TriggerBy

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


class SimulatedAccount:
    """One account, asked and told by its engine.

    Attributes:
        exchange: where it is; its time is engine time plus `offset_us`.
    """

    def __init__(self, exchange: Exchange, account: str) -> None:
        self.exchange = exchange
        self.account = account
        self.offset_us = 0

    def carry_out(self, command: Command, now_us: int, heard_us: int = 0) -> Event:
        """Do what a command says, now; the one answer to it, stamped with when it is heard (0 = now)."""
        heard_us = heard_us or now_us
        if isinstance(command, Place):
            return self._place(command, now_us, heard_us)
        return self._cancel(command.symbol, command, now_us, heard_us)

    def terms(self, now_us: int) -> AccountTerms:
        """The account's rates."""
        rules = self.exchange.rules
        return AccountTerms(
            now_us, rules.spot_maker_ppm, rules.spot_taker_ppm, rules.perp_maker_ppm, rules.perp_taker_ppm, "1",
            auto_lend=False, liquidating=self.exchange.accounts[self.account].is_liquidating,
        )  # fmt: skip

    def read(self, symbols: Sequence[str], since_us: int, now_us: int, heard_us: int = 0) -> AccountRead:
        """A complete read of the account at this moment, stamped with when it is heard (0 = now)."""
        heard_us = heard_us or now_us
        account = self.exchange.accounts[self.account]
        wanted = set(symbols)
        at_us, from_us = now_us + self.offset_us, since_us + self.offset_us
        assets = account.assets
        # Rows are appended as things happen, so the youngest are the last: a long life is not read through for its last minute.
        ended = list(takewhile(lambda o: o.updated_us >= from_us, reversed(account.order_history)))
        fills = list(takewhile(lambda f: f.at_us >= from_us, reversed(account.fills)))
        funding = list(takewhile(lambda f: f.at_us >= from_us, reversed(account.funding)))
        return AccountRead(
            heard_us, now_us, at_us, since_us, tuple(symbols),
            tuple(order_row(o, is_open=True) for o in self.exchange.open_orders(self.account) if o.symbol in wanted),
            tuple(order_row(o, is_open=False) for o in ended if o.symbol in wanted),
            tuple(_fill(f, heard_us) for f in reversed(fills) if f.symbol in wanted),
            tuple(self._funding(f, heard_us) for f in reversed(funding) if f.symbol in wanted),
            tuple(Balance(heard_us, at_us, a, account.available(a), account.locked(a)) for a in assets),
            tuple(VenuePosition(heard_us, at_us, s, p.lots) for s, p in account.positions.items() if s in wanted),
        )  # fmt: skip

    def _place(self, c: Place, now_us: int, heard_us: int) -> Event:
        at_us = now_us + self.offset_us
        try:
            order = self.exchange.place(self.account, new_order(c, self.exchange.instrument(c.symbol)), at_us)
        except Refused as refused:
            return PlaceRefused(heard_us, c.symbol, c.client_id, refused.code.value, refused.message)
        return PlaceAccepted(heard_us, at_us, c.symbol, c.client_id, str(order.order_id), STATUS[order.status], order.executed_lots)

    def _cancel(self, symbol: str, c: Command, now_us: int, heard_us: int) -> Event:
        at_us, order_id = now_us + self.offset_us, getattr(c, "order_id", "")
        try:
            if c.client_id < 0 or order_id:
                order = self.exchange.cancel(self.account, symbol, at_us, order_id=int(order_id))
            else:
                order = self.exchange.cancel(self.account, symbol, at_us, client_id=c.client_id)
        except Refused:
            return CancelAnswered(heard_us, at_us, symbol, c.client_id, "not_found")
        return CancelAnswered(heard_us, at_us, symbol, c.client_id, "cancelled", order.executed_lots)

    def fact(self, e: Effect, now_us: int) -> Event | None:
        """What an effect says to this account; None when it is somebody else's, or public."""
        match e:
            case OrderChanged() if e.account == self.account:
                if e.fill is not None:
                    return _fill(e.fill, now_us, e.order)
                return _update(e.order, KIND[e.kind], now_us, e.at_us) if e.kind in KIND else None
            case BalanceChanged() if e.account == self.account:
                return Balance(now_us, e.at_us, e.asset, e.available_atoms, e.locked_atoms)
            case PositionChanged() if e.account == self.account:
                return VenuePosition(now_us, e.at_us, e.position.symbol, e.position.lots)
            case Funded() if e.account == self.account:
                return self._funding(e, now_us)
            case _:
                return None

    def _funding(self, e: Funded, now_us: int) -> CashMove:
        quote = self.exchange.instrument(e.symbol).quote
        key = f"funding:{e.symbol}:{e.interval_end_us}"
        return CashMove(now_us, e.at_us, e.symbol, "funding", quote, e.amount_atoms, atoms_text(e.amount_atoms), key)


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
