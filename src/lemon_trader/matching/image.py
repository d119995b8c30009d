"""An account as it can be kept outside its exchange, and how an exchange takes it back; and the exchange's own books beside them.

What it owns, what rests, and its rows are enough: locks, exposures, queues and trigger books follow from them.
"""

from collections.abc import Mapping

import msgspec

from lemon_trader.matching.accounts import Account
from lemon_trader.matching.clearing import Clearing
from lemon_trader.matching.effects import Change, Converted, Funded, InterestPaid, LoanMoved, Position, Settled
from lemon_trader.matching.lending import Lending
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
        closed_positions, settlements, loan_rows, interest_rows, dust: further rows, oldest first.
        lent, interest: claims and debts in the pools, and what came of them, atoms by asset.
        flags: auto_lend, auto_borrow_settlements, auto_repay_borrows; None = the exchange's usual ones.
        imf_floor_ppm: what its leverage limit asks for; None = the exchange's usual one.
    """

    totals: dict[str, int] = msgspec.field(default_factory=dict)
    live: dict[int, OrderState] = msgspec.field(default_factory=dict)
    positions: dict[str, Position] = msgspec.field(default_factory=dict)
    fills: list[Fill] = msgspec.field(default_factory=list)
    order_history: list[OrderState] = msgspec.field(default_factory=list)
    funding: list[Funded] = msgspec.field(default_factory=list)
    prices: dict[str, Prices] = msgspec.field(default_factory=dict)
    last_order_id: int = 0
    closed_positions: list[Position] = msgspec.field(default_factory=list)
    settlements: list[Settled] = msgspec.field(default_factory=list)
    loan_rows: list[LoanMoved] = msgspec.field(default_factory=list)
    interest_rows: list[InterestPaid] = msgspec.field(default_factory=list)
    dust: list[Converted] = msgspec.field(default_factory=list)
    lent: dict[str, int] = msgspec.field(default_factory=dict)
    interest: dict[str, int] = msgspec.field(default_factory=dict)
    flags: tuple[bool, bool, bool] | None = None
    imf_floor_ppm: int | None = None


class Books(msgspec.Struct, kw_only=True):
    """The exchange's own side of everything, and the numbers that it gives next.

    Attributes:
        deposits: what was ever brought in, atoms by asset: balances, claims, position cash and the five below add up to it.
        outside, fees, funding, insurance, interest: what the outside world, the exchange, its funding pool, its insurance fund and its
            lending pools hold, atoms by asset; all but `fees` may be negative.
        order_id, position_id, settlement: the next order's and position's id, and how many settlements there were.
        update_ids, trade_ids: the last update of each book, and each market's next trade.
    """

    deposits: dict[str, int]
    outside: dict[str, int]
    fees: dict[str, int]
    funding: dict[str, int]
    insurance: dict[str, int]
    interest: dict[str, int]
    order_id: int
    position_id: int
    settlement: int
    update_ids: dict[str, int]
    trade_ids: dict[str, int]


def books_of(clearing: Clearing, matcher: Matcher, listings: Mapping[str, Listing]) -> Books:
    """The books as they stand."""
    return Books(
        deposits=dict(clearing.deposits), outside=dict(clearing.outside), fees=dict(clearing.fees), funding=dict(clearing.funding),
        insurance=dict(clearing.insurance), interest=dict(clearing.interest), order_id=matcher.next_order_id,
        position_id=clearing.next_position_id, settlement=clearing.settled,
        update_ids={symbol: listing.update_id for symbol, listing in listings.items()},
        trade_ids={symbol: listing.next_trade_id for symbol, listing in listings.items()},
    )  # fmt: skip


def restore_books(books: Books, clearing: Clearing, matcher: Matcher, listings: Mapping[str, Listing]) -> None:
    """Go on with these books, after all accounts have been restored; markets that are not listed any more are passed over."""
    clearing.deposits.clear()
    clearing.deposits.update(books.deposits)
    for pool, kept in (
        (clearing.outside, books.outside), (clearing.fees, books.fees), (clearing.funding, books.funding),
        (clearing.insurance, books.insurance), (clearing.interest, books.interest),
    ):  # fmt: skip
        pool.update(kept)
    matcher.draw_after(books.order_id - 1)
    clearing.next_position_id = max(clearing.next_position_id, books.position_id)
    clearing.settled = books.settlement
    for symbol, listing in listings.items():
        listing.update_id = max(listing.update_id, books.update_ids.get(symbol, 0))
        listing.next_trade_id = max(listing.next_trade_id, books.trade_ids.get(symbol, 0))


def restore(
    image: AccountImage, name: str, clearing: Clearing, matcher: Matcher, lending: Lending, listings: Mapping[str, Listing], now: int
) -> Account:
    """Open the account and put everything in its place; a market of the image that is not listed is a fault of the caller's."""
    below = {asset: atoms for asset, atoms in image.totals.items() if atoms < 0}
    account = clearing.open_account(name, image.totals | dict.fromkeys(below, 0))
    for asset, atoms in below.items():  # a perpetual's loss that was larger than the balance
        clearing.deposit(account, asset, atoms)
    account.fills += image.fills
    account.order_history += image.order_history
    account.funding += image.funding
    account.closed_positions += image.closed_positions
    account.settlements += image.settlements
    account.loan_rows += image.loan_rows
    account.interest_rows += image.interest_rows
    account.dust += image.dust
    account.interest.update(image.interest)
    lending.restore(account, image.lent)
    if image.flags is not None:
        account.auto_lend, account.auto_borrow_settlements, account.auto_repay_borrows = image.flags
    if image.imf_floor_ppm is not None:
        account.imf_floor_ppm = image.imf_floor_ppm
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
