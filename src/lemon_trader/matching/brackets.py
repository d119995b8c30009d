"""Take-profit and stop-loss that an order brings along: when they are armed, for how much, and what ends them.

On a perpetual the pair closes the whole position that its parent opened, reduce-only; on spot it sells (or buys back) what the parent has
filled so far and grows with it. What the venue does exactly is not established (reference §5.5); `Rules` names the choices.
"""

from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.clearing import Clearing
from lemon_trader.matching.effects import Change
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.matcher import Matcher
from lemon_trader.matching.orders import Leg, OrderState, OrderType, Origin, Reason, SelfTrade, Status, TimeInForce
from lemon_trader.matching.rules import Rules


class Brackets:
    """Arms what orders bring along."""

    def __init__(self, rules: Rules, clearing: Clearing, matcher: Matcher) -> None:
        self._rules = rules
        self._clearing = clearing
        self._matcher = matcher

    def follow(self, parent: OrderState, owner: Account, listing: Listing, now: int) -> None:
        """Arm or enlarge what a parent that has filled brings along."""
        if parent.is_live and self._rules.attached_arms == "end":
            return
        lots = parent.executed_lots - parent.covered_lots
        if not lots or parent.attached is None:
            return
        armed = [order for order in (owner.live.get(order_id) for order_id in parent.attached_ids) if order is not None]
        if listing.instrument.is_perp:
            # Whole position: one pair is enough, and a parent that has only reduced another position has nothing to guard.
            if armed or parent.side * owner.position_lots(parent.symbol) <= 0:
                return
        elif armed:
            for order in armed:
                order.trigger_lots += lots
                order.updated_us = now
                self._clearing.changed(order, Change.MODIFIED, now)
            parent.covered_lots = parent.executed_lots
            return
        parent.covered_lots = parent.executed_lots
        legs = [leg for leg in (parent.attached.take_profit, parent.attached.stop_loss) if leg is not None]
        pair = [self._arm(parent, leg, lots, owner, listing, now) for leg in legs]
        parent.attached_ids = tuple(order.order_id for order in pair)
        if len(pair) == 2 and self._rules.attached_cancel_one_another:
            pair[0].sibling_id, pair[1].sibling_id = pair[1].order_id, pair[0].order_id

    def _arm(self, parent: OrderState, leg: Leg, lots: int, owner: Account, listing: Listing, now: int) -> OrderState:
        rules, is_perp = self._rules, listing.instrument.is_perp
        count = triggers_of(owner, parent.symbol)
        order = OrderState(
            order_id=self._matcher.draw_order_id(), account=owner.name, symbol=parent.symbol, side=SELL if parent.side == BUY else BUY,
            order_type=OrderType.LIMIT if leg.limit_ticks else OrderType.MARKET, lots=0, quote_atoms=0, ticks=leg.limit_ticks,
            time_in_force=TimeInForce.GTC, post_only=False, reduce_only=is_perp, client_id=None, self_trade=SelfTrade(parent.self_trade),
            trigger_ticks=leg.trigger_ticks, trigger_lots=0 if is_perp else lots, trigger_ppm=PPM if is_perp else 0,
            trigger_by=leg.trigger_by or (rules.default_trigger_by_perp if is_perp else rules.default_trigger_by_spot),
            slippage_ticks=None, slippage_ppm=None, origin=Origin.USER, status=Status.TRIGGER_PENDING, created_us=now, updated_us=now,
            related_id=parent.order_id,
        )  # fmt: skip
        owner.begin(order)
        self._clearing.changed(order, Change.TRIGGER_PLACED, now)
        if rules.max_triggers and count >= rules.max_triggers:
            self._clearing.end(order, Status.TRIGGER_FAILED, Change.TRIGGER_FAILED, now, Reason.MAX_STOP_ORDERS_PER_POSITION)
        else:
            listing.armed(order)
        return order


def triggers_of(owner: Account, symbol: str) -> int:
    """How many triggers of an account wait in a market."""
    return sum(order.symbol == symbol and order.status is Status.TRIGGER_PENDING for order in owner.live.values())
