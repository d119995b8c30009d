"""Order entry: what becomes of a request, from its admission to the book, and of a trigger, from arming to its child.

With a taker delay, an order that would take is admitted and held; it meets the book as it stands when the delay is over.
"""

from collections.abc import Mapping
from heapq import heappop, heappush

from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.admission import check_maker, check_means, check_reduces, check_terms
from lemon_trader.matching.brackets import Brackets
from lemon_trader.matching.clearing import LEND, REPAY, Clearing
from lemon_trader.matching.effects import Change
from lemon_trader.matching.lending import Lending
from lemon_trader.matching.limits import check_limits
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.margin import missing_atoms, spendable_atoms
from lemon_trader.matching.matcher import Matcher, cost_atoms, lots_for_quote, market_bound, reducible_lots
from lemon_trader.matching.orders import (
    EXPIRED,
    IOC,
    LIMIT,
    MARKET,
    NEW,
    REJECT_MAKER,
    TRIGGER_PENDING,
    USER,
    Code,
    NewOrder,
    OrderState,
    Origin,
    Reason,
    Refused,
    Status,
)
from lemon_trader.matching.rules import Rules


class Desk:
    """Where orders come in and are taken back.

    Attributes:
        acted: markets that the present act has touched; the exchange publishes them and looks for what they trigger.
    """

    def __init__(
        self, rules: Rules, listings: Mapping[str, Listing], settlement: str | None, clearing: Clearing, matcher: Matcher, lending: Lending
    ) -> None:  # fmt: skip
        self.acted: dict[str, Listing] = {}
        self._rules = rules
        self._listings = listings
        self._settlement = settlement
        self._clearing = clearing
        self._matcher = matcher
        self._lending = lending
        self._brackets = Brackets(rules, clearing, matcher)
        self._waiting: list[tuple[int, int, OrderState]] = []  # heap of (due, id, order) that wait out the taker delay

    @property
    def due_us(self) -> int:
        """When the next held order meets the book; 0 = none is held. An order cancelled meanwhile may still be named."""
        return self._waiting[0][0] if self._waiting else 0

    def place(self, new: NewOrder, owner: Account, listing: Listing, now: int) -> OrderState:
        """Admit and enter an order, or arm a trigger. Raises Refused, and then no order exists."""
        if new.trigger_ticks:
            check_terms(new, owner, listing, self._rules)
            order = self._arm(new, owner, listing, now)
        else:
            try:
                quote = self._admit(new, owner, listing)
            except Refused as refused:
                if refused.reason is Reason.POST_ONLY_TAKER and self._rules.post_only_rejection_events:
                    self._reject(new, owner, listing, now)
                raise
            order = self._enter(new, owner, listing, quote, now)
        self.act(listing)
        return order

    def _reject(self, new: NewOrder, owner: Account, listing: Listing, now: int) -> None:
        """Let stream and history tell of a post-only order that is refused."""
        order = self.order_of(new, owner, NEW, now)
        owner.begin(order)
        self._clearing.changed(order, Change.ACCEPTED, now)
        self._clearing.end(order, EXPIRED, Change.EXPIRED, now, Reason.POST_ONLY_TAKER)
        self.act(listing)

    def close_out(self, owner: Account, listing: Listing, lots: int, now: int) -> None:
        """Close `lots` of a position against the book by an order of the exchange's own, at any price."""
        side = SELL if owner.position_lots(listing.instrument.symbol) > 0 else BUY
        self.trade_for(owner, listing, side, lots, Origin.LIQUIDATION_AUTOCLOSE, now)

    def trade_for(self, owner: Account, listing: Listing, side: int, lots: int, origin: Origin, now: int) -> None:
        """Trade against the book in an account's name, at any price, reduce-only on perpetuals."""
        new = NewOrder(
            symbol=listing.instrument.symbol, side=side, order_type=MARKET, lots=lots,
            reduce_only=listing.instrument.is_perp, time_in_force=IOC, self_trade=REJECT_MAKER,
        )  # fmt: skip
        order = self.order_of(new, owner, NEW, now, origin)
        owner.begin(order)
        self._clearing.changed(order, Change.ACCEPTED, now)
        self._matcher.meet(order, listing, now)
        self.act(listing)

    def _admit(self, new: NewOrder, owner: Account, listing: Listing, *, is_child: bool = False) -> int:
        """The order's quote in atoms, estimated where it has no limit price. Raises Refused."""
        check_terms(new, owner, listing, self._rules, is_child=is_child)
        check_reduces(new, owner)
        if not is_child:  # a child that would take is entered and expires: nobody waits for an answer
            check_maker(new, listing)
        lots, limit_ticks = new.lots, new.ticks
        if new.order_type is MARKET:
            limit_ticks, _ = market_bound(new, listing)
            if new.quote_atoms:
                lots = lots_for_quote(listing, new.side, new.quote_atoms, limit_ticks)
                if lots < listing.instrument.min_lots and len(listing.facing(new.side)):
                    raise Refused(Code.INVALID_CLIENT_REQUEST, "Quantity is below the minimum allowed value", Reason.INVALID_QUANTITY)
        if listing.instrument.is_perp and not new.reduce_only:
            check_limits(new.side, lots, owner, listing, self._listings, self._rules)
        return check_means(new, owner, listing, self._listings, self._settlement, self._lending, lots, limit_ticks)

    def _enter(
        self, new: NewOrder, owner: Account, listing: Listing, quote_atoms: int, now: int, *, parent: OrderState | None = None
    ) -> OrderState:
        """Take an admitted order in: it meets the book now, or when its delay is over."""
        order = self.order_of(new, owner, NEW, now)
        if order.order_type is MARKET and not order.quote_atoms:
            order.quote_atoms = quote_atoms
        if parent is not None:
            order.related_id, order.triggered_us = parent.order_id, now
        if (new.auto_lend_redeem or new.auto_borrow) and not listing.instrument.is_perp:
            self._bring(new, order, owner, listing, now)
        owner.begin(order)
        would_take = order.order_type is MARKET or listing.facing(order.side).is_reached(order.ticks)
        if order.order_type is LIMIT:
            self._clearing.hold(order, listing.instrument)
        self._clearing.changed(order, Change.ACCEPTED, now)
        if order.post_only and would_take:
            self._clearing.end(order, EXPIRED, Change.EXPIRED, now, Reason.POST_ONLY_TAKER)
        elif would_take and self._rules.taker_delay_us:
            self._clearing.hold(order, listing.instrument, order.quote_atoms)
            due = now + self._rules.taker_delay_us
            self._matcher.held[order.order_id] = due
            heappush(self._waiting, (due, order.order_id, order))
        else:
            self._matcher.meet(order, listing, now)
        return order

    def _bring(self, new: NewOrder, order: OrderState, owner: Account, listing: Listing, now: int) -> None:
        """Redeem, and then borrow, what a spot order needs beyond the balance; its admission has found that both are possible."""
        instrument = listing.instrument
        if order.side == SELL:
            asset, needed = instrument.base, order.lots * instrument.lot_atoms
        else:
            by_limit = order.order_type is LIMIT
            asset, needed = instrument.quote, instrument.notional_atoms(order.ticks, order.lots) if by_limit else order.quote_atoms
        missing = needed - owner.available(asset)
        if missing <= 0:
            return
        redeemed = min(missing, max(0, owner.lent.get(asset, 0))) if new.auto_lend_redeem else 0
        borrowed = missing - redeemed if new.auto_borrow else 0
        if redeemed + borrowed:
            self._lending.move(owner, asset, -redeemed - borrowed, now, by_itself=True)

    def _arm(self, new: NewOrder, owner: Account, listing: Listing, now: int) -> OrderState:
        order = self.order_of(new, owner, TRIGGER_PENDING, now)
        is_perp = listing.instrument.is_perp
        order.trigger_by = new.trigger_by or (self._rules.default_trigger_by_perp if is_perp else self._rules.default_trigger_by_spot)
        owner.begin(order)
        self._clearing.changed(order, Change.TRIGGER_PLACED, now)
        listing.armed(order)
        return order

    def fire(self, trigger: OrderState, listing: Listing, now: int) -> None:
        """Turn a trigger whose price has come into a child order, or fail it."""
        if trigger.status is not TRIGGER_PENDING:
            return  # the other one of its pair fired on the same price
        assert trigger.trigger_by is not None
        listing.triggers[trigger.trigger_by].ended()
        owner = self._clearing.accounts[trigger.account]
        trigger.triggered_us = now
        try:
            new = self._child(trigger, owner, listing)
            quote = self._admit(new, owner, listing, is_child=True)
        except Refused as refusal:
            reason = Reason.STOP_WITHOUT_POSITION if refusal.reason is Reason.REDUCE_ONLY_NOT_REDUCED else refusal.reason
            self._clearing.end(trigger, Status.TRIGGER_FAILED, Change.TRIGGER_FAILED, now, reason)
            return
        self._clearing.end(trigger, Status.TRIGGERED, Change.TRIGGERED, now)
        self._enter(new, owner, listing, quote, now, parent=trigger)
        sibling = owner.live.get(trigger.sibling_id) if trigger.sibling_id is not None else None
        if sibling is not None and sibling.status is TRIGGER_PENDING:
            self.withdraw(sibling, listing, Status.CANCELLED, Change.CANCELLED, None, now)

    def arm_attached(self, now: int) -> None:
        """Arm what orders bring along that have filled since the last call."""
        bracketed = self._clearing.bracketed
        while bracketed:
            _, parent = bracketed.popitem()
            listing = self._listings[parent.symbol]
            self._brackets.follow(parent, self._clearing.accounts[parent.account], listing, now)
            self.act(listing)

    def _child(self, trigger: OrderState, owner: Account, listing: Listing) -> NewOrder:
        """The order that a fired trigger stands for. A share is of the position on perpetuals, of the available balance on spot."""
        instrument = listing.instrument
        lots, quote_atoms, reduce_only = trigger.trigger_lots, 0, trigger.reduce_only
        if trigger.trigger_ppm and instrument.is_perp:
            held = reducible_lots(owner, trigger.symbol, trigger.side)
            if not held:
                raise Refused(Code.INVALID_ORDER, "There is no position to close", Reason.STOP_WITHOUT_POSITION)
            lots, reduce_only = held * trigger.trigger_ppm // PPM, True
        elif trigger.trigger_ppm:
            asset = instrument.quote if trigger.side == BUY else instrument.base
            share = spendable_atoms(owner, self._listings, self._settlement, asset) * trigger.trigger_ppm // PPM
            if trigger.side == SELL:
                lots = share // instrument.lot_atoms
            elif trigger.order_type is LIMIT:
                lots = share // instrument.notional_atoms(trigger.ticks, 1)
            else:
                quote_atoms = share
        elif trigger.related_id is not None and trigger.side == SELL and not instrument.is_perp:
            # What an attached trigger sells was bought less its fee.
            lots = min(lots, spendable_atoms(owner, self._listings, self._settlement, instrument.base) // instrument.lot_atoms)
        lots -= lots % listing.lot_step
        return NewOrder(
            symbol=trigger.symbol, side=trigger.side, order_type=trigger.order_type, lots=lots, quote_atoms=quote_atoms,
            ticks=trigger.ticks, time_in_force=trigger.time_in_force, post_only=trigger.post_only, reduce_only=reduce_only,
            client_id=trigger.client_id if self._rules.child_keeps_client_id else None, self_trade=trigger.self_trade,
            attached=trigger.attached,
            slippage_ticks=trigger.slippage_ticks, slippage_ppm=trigger.slippage_ppm,
        )  # fmt: skip

    def order_of(self, new: NewOrder, owner: Account, status: Status, now: int, origin: Origin = USER) -> OrderState:
        """A new order's state; nobody knows of it yet."""
        return OrderState(
            order_id=self._matcher.draw_order_id(), account=owner.name, symbol=new.symbol, side=new.side, order_type=new.order_type,
            lots=new.lots, quote_atoms=new.quote_atoms, ticks=new.ticks, time_in_force=new.time_in_force, post_only=new.post_only,
            reduce_only=new.reduce_only, client_id=new.client_id, self_trade=new.self_trade or self._rules.default_self_trade,
            trigger_ticks=new.trigger_ticks, trigger_lots=new.trigger_lots, trigger_ppm=new.trigger_ppm, trigger_by=new.trigger_by,
            slippage_ticks=new.slippage_ticks, slippage_ppm=new.slippage_ppm, origin=origin, status=status, created_us=now, updated_us=now,
            attached=new.attached, auto=(REPAY if new.auto_borrow_repay else 0) | (LEND if new.auto_lend else 0),
        )  # fmt: skip

    def withdraw(self, order: OrderState, listing: Listing, status: Status, kind: Change, reason: Reason | None, now: int) -> None:
        """Take a live order out of wherever it waits and end it so."""
        self._matcher.withdraw(order, listing)
        self._clearing.end(order, status, kind, now, reason)
        self.act(listing)

    def act(self, listing: Listing) -> None:
        """Note that a market was touched."""
        self.acted[listing.instrument.symbol] = listing

    def arrive(self, now: int) -> None:
        """The first held order's delay is over."""
        _, order_id, order = heappop(self._waiting)
        if self._matcher.held.pop(order_id, None) is not None:
            self._arrived(order, now)

    def _arrived(self, order: OrderState, now: int) -> None:
        """Let a held order meet the book. One by quote gets its quantity only now, so its margin is looked at only now."""
        listing = self._listings[order.symbol]
        self.act(listing)
        if not listing.is_matching or (listing.book_state == "LimitOnly" and order.order_type is MARKET):
            reason = Reason.POST_ONLY_MODE if listing.book_state == "PostOnly" else Reason.UNKNOWN
            self._clearing.end(order, EXPIRED, Change.EXPIRED, now, reason)
            return
        if listing.instrument.is_perp and not order.lots and not order.reduce_only:
            limit_ticks, _ = market_bound(order, listing)
            lots = lots_for_quote(listing, order.side, order.quote_atoms, limit_ticks)
            cost = cost_atoms(listing, order.side, lots, limit_ticks)
            owner, asset = self._clearing.accounts[order.account], listing.instrument.quote
            if missing_atoms(owner, self._listings, asset, listing, order.side, lots, limit_ticks, cost) > 0:
                self._clearing.end(order, EXPIRED, Change.EXPIRED, now, Reason.INSUFFICIENT_MARGIN)
                return
        self._matcher.meet(order, listing, now)
