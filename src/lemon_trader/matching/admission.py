"""What is asked of an order before it is taken: its terms, its market's bounds, and its account's means.

Whether a price or quantity is on the grid was decided where its text was read.
"""

from collections.abc import Mapping

from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.brackets import triggers_of
from lemon_trader.matching.lending import Lending
from lemon_trader.matching.limits import leaves_premium_band
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.margin import missing_atoms, spendable_atoms
from lemon_trader.matching.matcher import cost_atoms, reducible_lots
from lemon_trader.matching.orders import GTC, LIMIT, MARKET, Attached, Code, NewOrder, Reason, Refused
from lemon_trader.matching.rules import Rules


def check_terms(new: NewOrder, account: Account, listing: Listing, rules: Rules, *, is_child: bool = False) -> None:
    """Refuse an order whose terms contradict themselves, its market or its account's standing. Raises Refused.

    A fired trigger's child takes the place of its trigger: neither its client id nor its number is asked about again.
    """
    if account.is_liquidating:
        raise Refused(Code.ACCOUNT_LIQUIDATING, "Account is being liquidated", Reason.LIQUIDATION)
    if new.side not in {BUY, SELL}:
        raise Refused(Code.INVALID_CLIENT_REQUEST, f"Invalid side {new.side}")
    _check_state(new, listing)
    if new.post_only and (new.order_type is not LIMIT or new.time_in_force is not GTC):
        raise Refused(Code.INVALID_ORDER, "Post only orders must be limit orders that are good till cancelled")
    if new.reduce_only and not listing.instrument.is_perp:
        raise Refused(Code.INVALID_ORDER, "Reduce only orders exist on futures markets only")
    _check_quantity(new, listing)
    _check_price(new, listing, rules)
    if new.attached is not None:
        _check_attached(new.attached, listing)
    if is_child:
        return
    if new.trigger_ticks and rules.max_triggers and triggers_of(account, new.symbol) >= rules.max_triggers:
        text = f"Too many stop orders per position: the limit of {rules.max_triggers} is reached"
        raise Refused(Code.ORDER_LIMIT, text, Reason.MAX_STOP_ORDERS_PER_POSITION)
    if new.client_id is not None and account.knows_client_id(new.client_id):
        raise Refused(Code.INVALID_ORDER, f"Order with client ID already exists: {new.client_id}")
    if rules.max_open_orders:
        count = sum(order.symbol == new.symbol for order in account.live.values())
        if count >= rules.max_open_orders:
            raise Refused(Code.ORDER_LIMIT, f"Too many open orders: the limit of {rules.max_open_orders} is reached")


def check_reduces(new: NewOrder, account: Account) -> None:
    """Refuse a reduce-only order that would not reduce. Raises Refused."""
    if new.reduce_only and not reducible_lots(account, new.symbol, new.side):
        raise Refused(Code.INVALID_ORDER, "Reduce only order would not reduce the position", Reason.REDUCE_ONLY_NOT_REDUCED)


def check_maker(new: NewOrder, listing: Listing) -> None:
    """Refuse a post-only order that would take. Raises Refused."""
    if new.post_only and listing.facing(new.side).is_reached(new.ticks):
        raise Refused(Code.INVALID_ORDER, "Order would immediately match and take liquidity", Reason.POST_ONLY_TAKER)


def check_means(
    new: NewOrder, account: Account, listing: Listing, listings: Mapping[str, Listing], settlement: str | None, lending: Lending,
    lots: int, limit_ticks: int,
) -> int:  # fmt: skip
    """Refuse an order that its account cannot pay for or carry.

    Args:
        new: the order.
        account: whose it is.
        listing: its market.
        listings: all markets, for cross margin.
        settlement: the asset perpetuals settle in, or None.
        lending: the pools, for orders that redeem or borrow.
        lots: its quantity, estimated from the book when it is by quote.
        limit_ticks: how far a market order may reach; 0 = any price.

    Returns:
        Its quote in atoms: exact at the limit price, estimated from the book for a market order.

    Raises:
        Refused: INSUFFICIENT_FUNDS on spot, INSUFFICIENT_MARGIN on perpetuals and for debts, INSUFFICIENT_SUPPLY of a pool.
    """
    instrument = listing.instrument
    is_limit = new.order_type is LIMIT
    quote = instrument.notional_atoms(new.ticks, lots) if is_limit else cost_atoms(listing, new.side, lots, limit_ticks)
    if instrument.is_perp:
        if not new.reduce_only:
            price = new.ticks or limit_ticks
            missing = missing_atoms(account, listings, instrument.quote, listing, new.side, lots, price, quote)
            if missing > 0:
                raise Refused(Code.INSUFFICIENT_MARGIN, "Insufficient margin", Reason.INSUFFICIENT_MARGIN)
        return quote
    asset, needed = (instrument.quote, new.quote_atoms or quote) if new.side == BUY else (instrument.base, lots * instrument.lot_atoms)
    spendable = spendable_atoms(account, listings, settlement, asset, redeems=new.auto_lend_redeem)
    if needed > spendable:
        if not new.auto_borrow:
            raise Refused(Code.INSUFFICIENT_FUNDS, "Insufficient funds", Reason.INSUFFICIENT_FUNDS)
        if account.lent.get(asset, 0) > 0 and not new.auto_lend_redeem:
            text = "Borrowing requires the lent quantity to be redeemed first"
            raise Refused(Code.BORROW_REQUIRES_LEND_REDEEM, text, Reason.BORROW_REQUIRES_LEND_REDEEM)
        lending.check_borrow(account, asset, needed - spendable)
    return quote


def _check_state(new: NewOrder, listing: Listing) -> None:
    state = listing.book_state
    if state in {"Closed", "CancelOnly"}:
        raise Refused(Code.TRADING_PAUSED, f"Trading is paused on {new.symbol}: the order book is {state}")
    if state == "PostOnly" and not new.post_only and not new.trigger_ticks:
        raise Refused(Code.INVALID_ORDER, "The order book takes post only orders only", Reason.POST_ONLY_MODE)
    if state == "LimitOnly" and new.order_type is MARKET and not new.trigger_ticks:
        raise Refused(Code.TRADING_PAUSED, f"Trading is paused on {new.symbol} for market orders: the order book is {state}")


def _check_quantity(new: NewOrder, listing: Listing) -> None:
    instrument = listing.instrument
    if new.trigger_ticks < 0 or bool(new.trigger_ticks) != bool(new.trigger_lots or new.trigger_ppm):
        raise Refused(Code.INVALID_CLIENT_REQUEST, "Must specify both `triggerPrice` and `triggerQuantity` or neither")
    if new.trigger_ticks:
        if new.lots or new.quote_atoms or (new.trigger_lots and new.trigger_ppm):
            raise Refused(Code.INVALID_CLIENT_REQUEST, "A trigger order has `triggerQuantity` and no other quantity")
        if new.trigger_ppm:
            if not 0 < new.trigger_ppm <= PPM:
                raise Refused(Code.INVALID_CLIENT_REQUEST, "A percentage must be above 0% and at most 100%")
            return
        lots = new.trigger_lots
    else:
        lots = new.lots
        if new.order_type is MARKET and new.quote_atoms:
            if lots or new.quote_atoms < 0:
                raise Refused(Code.INVALID_CLIENT_REQUEST, "Must specify one positive `quantity` or `quoteQuantity`, not both")
            return
        if new.order_type is MARKET and lots <= 0:
            text = "Market orders must specify a positive `quantity` or `quoteQuantity`"
            raise Refused(Code.INVALID_CLIENT_REQUEST, text, Reason.INVALID_QUANTITY)
    if lots % listing.lot_step:
        raise Refused(Code.INVALID_QUANTITY, "Quantity is not a multiple of the step size", Reason.INVALID_QUANTITY)
    if lots < instrument.min_lots:
        raise Refused(Code.INVALID_CLIENT_REQUEST, "Quantity is below the minimum allowed value", Reason.INVALID_QUANTITY)
    if instrument.max_lots and lots > instrument.max_lots:
        raise Refused(Code.INVALID_QUANTITY, "Quantity is above the maximum allowed value", Reason.INVALID_QUANTITY)


def _check_price(new: NewOrder, listing: Listing, rules: Rules) -> None:
    """A market order has no price; a limit price keeps to the market's bounds and bands. A trigger's bands are looked at when it fires."""
    instrument = listing.instrument
    if new.order_type is MARKET:
        if new.ticks:
            raise Refused(Code.INVALID_CLIENT_REQUEST, "Market orders must not specify a `price`")
        return
    if new.ticks % listing.price_step:
        raise Refused(Code.INVALID_PRICE, "Price is not a multiple of the tick size", Reason.INVALID_PRICE)
    if new.ticks < instrument.min_ticks:
        raise Refused(Code.INVALID_PRICE, "Price is below the minimum allowed value", Reason.INVALID_PRICE)
    if instrument.max_ticks and new.ticks > instrument.max_ticks:
        raise Refused(Code.INVALID_PRICE, "Price is above the maximum allowed value", Reason.INVALID_PRICE)
    if new.trigger_ticks:
        return
    if _is_outside(new.ticks, listing.active_ticks, instrument.low_ppm, instrument.high_ppm):
        raise Refused(Code.INVALID_PRICE, "Price is too far from the last active price", Reason.PRICE_OUT_OF_BOUNDS)
    if _is_outside(new.ticks, listing.mark_ticks, instrument.band_low_ppm, instrument.band_high_ppm):
        raise Refused(Code.INVALID_PRICE, "Price is too far from the mean mark price", Reason.PRICE_OUT_OF_BOUNDS)
    if listing.terms.premium_band_ppm and leaves_premium_band(new.side, new.ticks, listing, rules):
        raise Refused(Code.INVALID_PRICE, "Price is too far from the mean premium", Reason.PRICE_OUT_OF_BOUNDS)


def _check_attached(attached: Attached, listing: Listing) -> None:
    """What an order brings along keeps to the grid and the market's outer bounds."""
    low, high, step = listing.instrument.min_ticks, listing.instrument.max_ticks, listing.price_step
    for leg in (attached.take_profit, attached.stop_loss):
        if leg is None:
            continue
        for ticks in (leg.trigger_ticks, leg.limit_ticks or leg.trigger_ticks):
            if ticks < low or (high and ticks > high) or ticks % step:
                raise Refused(Code.INVALID_PRICE, "Take profit or stop loss price is out of bounds", Reason.INVALID_PRICE)


def _is_outside(ticks: int, around_ticks: int, low_ppm: int, high_ppm: int) -> bool:
    """True when a price leaves the band; bounds and reference of 0 mean that there is none."""
    if not around_ticks:
        return False
    return bool(low_ppm and ticks * PPM < around_ticks * low_ppm) or bool(high_ppm and ticks * PPM > around_ticks * high_ppm)
