"""How a taker meets the book: best price first, first come first served, one trade at a time.

Reduce-only orders are held to the position after every single trade, so that none can turn it round even inside one sweep.
"""

from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.book import Level
from lemon_trader.matching.clearing import Clearing
from lemon_trader.matching.effects import Change, Effect, Traded
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.orders import (
    EXPIRED,
    FOK,
    GTC,
    IOC,
    LIMIT,
    MARKET,
    REJECT_MAKER,
    REJECT_TAKER,
    TRIGGER_PENDING,
    USER,
    NewOrder,
    OrderState,
    Reason,
)
from lemon_trader.matching.rules import Rules


class Matcher:
    """The meeting of orders.

    Attributes:
        held: orders that wait out the taker delay: order id -> when they reach the book.
        next_order_id: of the whole exchange.
    """

    def __init__(self, rules: Rules, clearing: Clearing, effects: list[Effect]) -> None:
        self.held: dict[int, int] = {}
        self._rules = rules
        self._clearing = clearing
        self._effects = effects
        self.next_order_id = rules.first_order_id

    def draw_order_id(self) -> int:
        """The next order id of the whole exchange."""
        order_id = self.next_order_id
        self.next_order_id += 1
        return order_id

    def draw_after(self, order_id: int) -> None:
        """Order ids up to this one are taken."""
        self.next_order_id = max(self.next_order_id, order_id + 1)

    def meet(self, order: OrderState, listing: Listing, at_us: int) -> None:
        """Let a live order meet the book: it fills, rests or expires, by its kind."""
        limit_ticks, bound_reason = order.ticks, Reason.IMMEDIATE_OR_CANCEL
        if order.order_type is MARKET:
            limit_ticks, bound_reason = market_bound(order, listing) if order.origin is USER else (0, Reason.PRICE_IMPACT)
            self._clearing.release(order, listing.instrument)  # what a fill may cost is looked at again with every trade
            if not order.lots:
                order.lots = lots_for_quote(listing, order.side, order.quote_atoms, limit_ticks)
            if order.lots < listing.instrument.min_lots and order.origin is USER:
                reason = Reason.INVALID_QUANTITY if len(listing.facing(order.side)) else Reason.INSUFFICIENT_LIQUIDITY
                self._expire(order, at_us, reason)
                return
        if order.reduce_only and not self._fit(order, at_us):
            return
        if order.time_in_force is FOK and not self._is_fillable(order, listing, limit_ticks):
            self._expire(order, at_us, Reason.FILL_OR_KILL)
            return
        left, stop = self.sweep(listing, order.side, order.open_lots, limit_ticks, at_us, order)
        if not left:
            return
        if stop is Reason.SELF_TRADE_PREVENTION or stop is Reason.INSUFFICIENT_FUNDS:
            self._expire(order, at_us, stop)
        elif order.order_type is MARKET:
            self._expire(order, at_us, bound_reason if stop is Reason.PRICE_IMPACT else Reason.INSUFFICIENT_LIQUIDITY)
        elif order.time_in_force is not GTC:
            self._expire(order, at_us, bound_reason)
        else:
            listing.resting(order.side).join(order)
            if order.reduce_only:
                self._clearing.accounts[order.account].rests_reducing(order)

    def sweep(
        self, listing: Listing, side: int, lots: int, limit_ticks: int, at_us: int, order: OrderState | None = None
    ) -> tuple[int, Reason | None]:  # fmt: skip
        """Trade `lots` against the book up to `limit_ticks` (0 = any price); `order` None = the outside world takes.

        Returns:
            What is left, and what stopped it: INSUFFICIENT_LIQUIDITY (the book is empty), PRICE_IMPACT (the limit), SELF_TRADE_PREVENTION,
            INSUFFICIENT_FUNDS, or None when nothing is left.
        """
        facing = listing.facing(side)
        taker_id = order.order_id if order is not None else self.draw_order_id()
        while lots:
            level = facing.best()
            if level is None:
                return lots, Reason.INSUFFICIENT_LIQUIDITY
            if limit_ticks and side * level.ticks > side * limit_ticks:
                return lots, Reason.PRICE_IMPACT
            head = level.head()
            if order is None:
                quantity = min(lots, head if isinstance(head, int) else head.open_lots)
            else:
                if isinstance(head, OrderState) and head.account == order.account:
                    if order.self_trade is not REJECT_TAKER:
                        facing.leave(head)
                        self._expire(head, at_us, Reason.SELF_TRADE_PREVENTION)
                    if order.self_trade is not REJECT_MAKER:
                        return lots, Reason.SELF_TRADE_PREVENTION
                    continue
                quantity = min(lots, head if isinstance(head, int) else head.open_lots, self._affordable(order, listing, level.ticks))
                if not quantity:
                    return lots, Reason.INSUFFICIENT_FUNDS
            self._trade(listing, side, level, head, quantity, order, taker_id, at_us)
            lots -= quantity
        return 0, None

    def trade_with(self, order: OrderState, listing: Listing, lots: int, at_us: int) -> None:
        """Let the outside world trade with one resting order, whatever stands before it."""
        level = listing.resting(order.side).at(order.ticks)
        assert level is not None
        self._trade(listing, -order.side, level, order, lots, None, self.draw_order_id(), at_us)

    def withdraw(self, order: OrderState, listing: Listing) -> None:
        """Take a live order out of wherever it waits: book, trigger book or delay. Its end is the caller's to book."""
        if order.status is TRIGGER_PENDING:
            assert order.trigger_by is not None
            listing.triggers[order.trigger_by].ended()
        elif self.held.pop(order.order_id, None) is None:
            listing.resting(order.side).leave(order)

    def fit_reducing(self, account: Account, listing: Listing, at_us: int) -> None:
        """Hold the account's resting reduce-only orders to its position: they shrink, or expire when there is nothing to reduce."""
        for order in account.reducing(listing.instrument.symbol):
            reducible = reducible_lots(account, order.symbol, order.side)
            surplus = order.open_lots - reducible
            if surplus <= 0:
                continue
            resting = listing.resting(order.side)
            if not reducible:
                resting.leave(order)
                self._expire(order, at_us, Reason.REDUCE_ONLY_NOT_REDUCED)
                continue
            level = resting.at(order.ticks)
            assert level is not None
            level.shrink(surplus)
            resting.touched(level)
            self._shrink(order, reducible, at_us)

    def _trade(
        self, listing: Listing, side: int, level: Level, head: OrderState | int, lots: int, order: OrderState | None, taker_id: int,
        at_us: int,
    ) -> None:  # fmt: skip
        ticks, clearing, symbol = level.ticks, self._clearing, listing.instrument.symbol
        quote = listing.instrument.notional_atoms(ticks, lots)
        trade_id = listing.next_trade_id
        listing.next_trade_id += 1
        maker: OrderState | None = None
        if isinstance(head, int):
            level.take_outside(lots)
            maker_id = self.draw_order_id()
            if order is not None:  # between two of the outside world nothing changes hands here
                clearing.fill_outside(listing, -side, lots, quote)
        else:
            maker, maker_id = head, head.order_id
            clearing.fill(maker, listing, ticks, lots, quote, trade_id, at_us, is_maker=True)
            level.filled(maker, lots)
        listing.facing(side).touched(level)
        if order is not None:
            clearing.fill(order, listing, ticks, lots, quote, trade_id, at_us, is_maker=False)
        elif maker is not None:
            clearing.fill_outside(listing, side, lots, quote)
        taker_name, maker_name = order.account if order else None, maker.account if maker else None
        is_buy = side == BUY
        self._effects.append(
            Traded(
                symbol, trade_id, ticks, lots, quote, not is_buy,
                taker_id if is_buy else maker_id, maker_id if is_buy else taker_id,
                taker_name if is_buy else maker_name, maker_name if is_buy else taker_name,
                order.origin if order else USER, at_us,
            )
        )  # fmt: skip
        listing.printed(ticks)
        for name in (maker_name, taker_name):
            if name is not None:
                self.fit_reducing(clearing.accounts[name], listing, at_us)

    def _affordable(self, order: OrderState, listing: Listing, ticks: int) -> int:
        """How many lots a spot market order can pay for; limit orders have their lock, perpetuals their margin."""
        instrument = listing.instrument
        if order.order_type is LIMIT or instrument.is_perp:
            return order.open_lots
        account = self._clearing.accounts[order.account]
        if order.side == SELL:
            return max(0, account.available(instrument.base)) // instrument.lot_atoms
        return max(0, account.available(instrument.quote)) // instrument.notional_atoms(ticks, 1)

    def _is_fillable(self, order: OrderState, listing: Listing, limit_ticks: int) -> bool:
        """True when the whole order can trade at once. An account's makers count no further than their reduce-only orders may go."""
        accounts, symbol = self._clearing.accounts, order.symbol
        left = order.open_lots
        budget: int | None = None
        if order.order_type is MARKET and order.side == BUY and not listing.instrument.is_perp:
            budget = accounts[order.account].available(listing.instrument.quote)
        taken: dict[str, int] = {}
        for level in listing.facing(order.side):
            if limit_ticks and order.side * level.ticks > order.side * limit_ticks:
                return False
            for entry in level.entries():
                lots = entry if isinstance(entry, int) else entry.open_lots
                if isinstance(entry, OrderState):
                    if entry.account == order.account:
                        if order.self_trade is REJECT_MAKER:
                            continue
                        return False
                    before = taken.get(entry.account, 0)
                    if entry.reduce_only:
                        lots = max(0, min(lots, reducible_lots(accounts[entry.account], symbol, entry.side) - before))
                    taken[entry.account] = before + lots
                lots = min(lots, left)
                left -= lots
                if budget is not None:
                    budget -= listing.instrument.notional_atoms(level.ticks, lots)
                    if budget < 0:
                        return False
                if not left:
                    return True
        return False

    def _fit(self, order: OrderState, at_us: int) -> bool:
        """Hold an entering reduce-only order to the position; False when it has expired of it."""
        reducible = reducible_lots(self._clearing.accounts[order.account], order.symbol, order.side)
        if not reducible:
            self._expire(order, at_us, Reason.REDUCE_ONLY_NOT_REDUCED)
            return False
        if order.open_lots > reducible:
            self._shrink(order, reducible, at_us)
        return True

    def _shrink(self, order: OrderState, open_lots: int, at_us: int) -> None:
        order.lots = order.executed_lots + open_lots
        order.updated_us = at_us
        self._clearing.changed(order, Change.MODIFIED, at_us)

    def _expire(self, order: OrderState, at_us: int, reason: Reason) -> None:
        was_partial = order.executed_lots and (order.order_type is MARKET or order.time_in_force is IOC)
        status = self._rules.partial_market_status if was_partial else EXPIRED
        self._clearing.end(order, status, Change.EXPIRED, at_us, reason)


def reducible_lots(account: Account, symbol: str, side: int) -> int:
    """What an order of `side` could take off the account's position, lots."""
    return max(0, -side * account.position_lots(symbol))


def market_bound(order: NewOrder | OrderState, listing: Listing) -> tuple[int, Reason]:
    """(worst price a market order may reach, 0 = any; what stopping there is called): the tighter of the market's bound and its own."""
    best = listing.facing(order.side).best()
    if best is None:
        return 0, Reason.PRICE_IMPACT
    bound, side = listing.impact_ticks(order.side), order.side
    if order.slippage_ticks is not None:
        own = best.ticks + side * order.slippage_ticks
    elif order.slippage_ppm is not None:  # rounded towards the touch: never further than allowed
        reach = best.ticks * (PPM + side * order.slippage_ppm)
        own = reach // PPM if side == BUY else -(-reach // PPM)
    else:
        return bound, Reason.PRICE_IMPACT
    own = max(1, own)
    if bound and side * bound < side * own:
        return bound, Reason.PRICE_IMPACT
    return own, Reason.SLIPPAGE_TOLERANCE_EXCEEDED


def cost_atoms(listing: Listing, side: int, lots: int, limit_ticks: int) -> int:
    """Quote of taking `lots` up to `limit_ticks` (0 = any); what the book lacks is valued at the last price it offers, else at 0."""
    cost, ticks = 0, 0
    for level in listing.facing(side):
        if limit_ticks and side * level.ticks > side * limit_ticks:
            break
        ticks = level.ticks
        taken = min(lots, level.lots)
        cost += listing.instrument.notional_atoms(ticks, taken)
        lots -= taken
        if not lots:
            break
    return cost + listing.instrument.notional_atoms(ticks, lots)


def lots_for_quote(listing: Listing, side: int, quote_atoms: int, limit_ticks: int) -> int:
    """The most lots whose quote, taken from the book as it stands, is at most `quote_atoms`; beyond the book at its last price."""
    found, unit = 0, 0
    for level in listing.facing(side):
        if limit_ticks and side * level.ticks > side * limit_ticks:
            break
        unit = listing.instrument.notional_atoms(level.ticks, 1)
        taken = min(level.lots, quote_atoms // unit)
        found += taken
        quote_atoms -= taken * unit
        if taken < level.lots:
            return found - found % listing.lot_step
    found += quote_atoms // unit if unit else 0
    return found - found % listing.lot_step
