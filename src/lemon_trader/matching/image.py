"""An account as it can be kept outside its exchange, and how an exchange takes it back.

What it owns, what rests, and its rows are enough: locks, exposures, queues and trigger books follow from them.
"""

from collections.abc import Mapping

import msgspec

from lemon_trader.matching.accounts import Account
from lemon_trader.matching.clearing import Clearing
from lemon_trader.matching.effects import Change, Funded, Position
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.matcher import Matcher
from lemon_trader.matching.orders import Fill, OrderState, OrderType, Reason, Status, TimeInForce


class Prices(msgspec.Struct, frozen=True, gc=False):
    """A market's own prices, ticks, and its running funding rate; 0 = never stated. A trigger remembers by them where it stood."""

    mark_ticks: int = 0
    index_ticks: int = 0
    funding_ppb: int = 0
    last_ticks: int = 0


class AccountImage(msgspec.Struct, kw_only=True):
    """One account.

    Attributes:
        totals: balances, atoms by asset, locks included.
        live: orders that may still be filled, fired or cancelled, by id, oldest first.
        positions: perpetual positions by symbol.
        fills, order_history, funding: its rows, oldest first.
        prices: of the markets in which it has something.
        last_order_id: the highest order id that the exchange gave.
    """

    totals: dict[str, int] = msgspec.field(default_factory=dict)
    live: dict[int, OrderState] = msgspec.field(default_factory=dict)
    positions: dict[str, Position] = msgspec.field(default_factory=dict)
    fills: list[Fill] = msgspec.field(default_factory=list)
    order_history: list[OrderState] = msgspec.field(default_factory=list)
    funding: list[Funded] = msgspec.field(default_factory=list)
    prices: dict[str, Prices] = msgspec.field(default_factory=dict)
    last_order_id: int = 0


def restore(image: AccountImage, name: str, clearing: Clearing, matcher: Matcher, listings: Mapping[str, Listing], now: int) -> Account:
    """Open the account and put everything in its place; a market of the image that is not listed is a fault of the caller's."""
    account = clearing.open_account(name, image.totals)
    account.fills += image.fills
    account.order_history += image.order_history
    account.funding += image.funding
    matcher.draw_after(image.last_order_id)
    for symbol, prices in image.prices.items():
        listing = listings[symbol]
        listing.stated(prices.mark_ticks, prices.index_ticks, prices.funding_ppb)
        if prices.last_ticks:
            listing.printed(prices.last_ticks)
    for fill in image.fills:
        if fill.symbol in listings:
            listing = listings[fill.symbol]
            listing.next_trade_id = max(listing.next_trade_id, fill.trade_id + 1)
    for symbol, position in image.positions.items():
        clearing.restore_position(account, listings[symbol], position)
        clearing.unsettled[name] = None
    for order in image.live.values():
        _rest(order, account, listings[order.symbol], clearing, now)
    return account


def _rest(order: OrderState, account: Account, listing: Listing, clearing: Clearing, now: int) -> None:
    order.locked_atoms = order.exposed_lots = 0
    account.begin(order)
    if order.status is Status.TRIGGER_PENDING:
        listing.armed(order)
    elif order.order_type is OrderType.LIMIT and order.time_in_force is TimeInForce.GTC:
        clearing.hold(order, listing.instrument)
        listing.resting(order.side).join(order)
        if order.reduce_only:
            account.rests_reducing(order)
    else:
        clearing.end(order, Status.EXPIRED, Change.EXPIRED, now, Reason.IMMEDIATE_OR_CANCEL)
