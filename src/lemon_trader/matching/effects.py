"""What the exchange says has happened, in engine order: the caller drains them and turns them into frames, rows or facts.

Every effect carries `at_us`, engine time in microseconds UTC. Orders and positions inside are copies: they show the state at that moment.
"""

from enum import StrEnum

import msgspec

from lemon_trader.matching.orders import Fill, OrderState


class Change(StrEnum):
    """What happened to an order."""

    ACCEPTED = "accepted"
    FILLED = "filled"  # in part or whole: `order.status` says which
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    MODIFIED = "modified"  # a reduce-only quantity shrank
    TRIGGER_PLACED = "trigger_placed"
    TRIGGERED = "triggered"  # the venue has no event for it; the child's `accepted` follows
    TRIGGER_FAILED = "trigger_failed"


class PositionChange(StrEnum):
    """What happened to a position."""

    OPENED = "opened"
    ADJUSTED = "adjusted"
    CLOSED = "closed"


class Position(msgspec.Struct, kw_only=True, gc=False):
    """A one-way perpetual position.

    Attributes:
        position_id: new whenever a position opens from flat or flips.
        lots: signed; 0 once closed.
        cost_atoms: signed entry cost in quote atoms: average entry price = cost / (lots x tick_lot_atoms).
        realised_atoms: profit booked by reductions, fees and funding apart.
        fee_atoms: fees paid, all fills of the position.
        liquidation_fee_atoms: the part of `fee_atoms` that liquidation charged.
        funding_atoms: received (> 0) or paid (< 0).
        settled_atoms: profit of the open part that has moved into the balance already.
        closed_quote_atoms / closed_lots: quote and quantity of all reductions, from which the closing price is read.
    """

    position_id: int
    symbol: str
    lots: int
    cost_atoms: int
    opened_us: int
    updated_us: int
    closed_us: int | None = None
    realised_atoms: int = 0
    fee_atoms: int = 0
    liquidation_fee_atoms: int = 0
    funding_atoms: int = 0
    closed_quote_atoms: int = 0
    closed_lots: int = 0
    settled_atoms: int = 0


class OrderChanged(msgspec.Struct, frozen=True, gc=False):
    """An account's order changed. `fill` is set with kind FILLED and only then."""

    account: str
    kind: Change
    order: OrderState
    at_us: int
    fill: Fill | None = None


class Traded(msgspec.Struct, frozen=True, gc=False):
    """A public print. The outside world has account None and an order id drawn for the occasion.

    Attributes:
        trade_id: sequential per market.
        quote_atoms: ticks x lots in quote atoms.
        buyer_is_maker: True when a seller took.
    """

    symbol: str
    trade_id: int
    ticks: int
    lots: int
    quote_atoms: int
    buyer_is_maker: bool
    buy_order_id: int
    sell_order_id: int
    buyer: str | None
    seller: str | None
    origin: str
    at_us: int


class BookChanged(msgspec.Struct, frozen=True, gc=False):
    """Levels of a book have new totals. Ids of a market are contiguous: `first_id` is the previous effect's `last_id` + 1.

    Attributes:
        levels: (side, ticks, lots): the absolute quantity now, accounts and outside together; 0 = the level is gone.
    """

    symbol: str
    first_id: int
    last_id: int
    levels: tuple[tuple[int, int, int], ...]
    at_us: int


class TouchChanged(msgspec.Struct, frozen=True, gc=False):
    """Best price or its quantity changed; ticks and lots are 0 where a side is empty. Follows the BookChanged with the same id."""

    symbol: str
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int
    update_id: int
    at_us: int


class BalanceChanged(msgspec.Struct, frozen=True, gc=False):
    """An account's balance of an asset, absolute, in atoms."""

    account: str
    asset: str
    available_atoms: int
    locked_atoms: int
    at_us: int


class PositionChanged(msgspec.Struct, frozen=True, gc=False):
    """An account's perpetual position after a fill."""

    account: str
    kind: PositionChange
    position: Position
    at_us: int


class Funded(msgspec.Struct, frozen=True, gc=False):
    """A position was paid (> 0) or paid (< 0) funding; also a row of the account's own ledger.

    Attributes:
        rate_ppb: of the interval that ended at `interval_end_us`, parts per 10⁹; positive: longs pay.
        lots: signed position at that moment.
    """

    account: str
    symbol: str
    rate_ppb: int
    mark_ticks: int
    lots: int
    amount_atoms: int
    interval_end_us: int
    at_us: int


class Settled(msgspec.Struct, frozen=True, gc=False):
    """Profit (> 0) or loss of an open position moved into the balance; also a row of the account's own ledger."""

    account: str
    symbol: str
    position_id: int
    amount_atoms: int
    sequence: int
    at_us: int


class LoanChange(StrEnum):
    """What happened to a claim or a debt."""

    LEND = "Lend"
    REDEEM = "LendRedeem"
    BORROW = "Borrow"
    REPAY = "BorrowRepay"


class LoanMoved(msgspec.Struct, frozen=True, gc=False):
    """Coins moved between a balance and a pool; also a row of the account's own ledger. `by_itself`: a flag did it, not a request."""

    account: str
    change: LoanChange
    asset: str
    atoms: int
    by_itself: bool
    at_us: int


class InterestPaid(msgspec.Struct, frozen=True, gc=False):
    """Interest of an interval, earned (> 0) or owed (< 0), added to claim or debt; also a row of the account's own ledger."""

    account: str
    asset: str
    rate_ppm: int
    amount_atoms: int
    interval_end_us: int
    at_us: int


class Converted(msgspec.Struct, frozen=True, gc=False):
    """A rest too small to sell became quote; also a row of the account's own ledger."""

    account: str
    asset: str
    atoms: int
    quote: str
    quote_atoms: int
    at_us: int


class Liquidated(msgspec.Struct, frozen=True, gc=False):
    """A position was taken away off the book: by the backstop or by deleveraging. `side` is of the order that closed it."""

    symbol: str
    side: int
    ticks: int
    lots: int
    origin: str
    at_us: int


class FundingSettled(msgspec.Struct, frozen=True, gc=False):
    """The public row of a market's funding interval."""

    symbol: str
    rate_ppb: int
    mark_ticks: int
    interval_end_us: int
    at_us: int


class ReferenceChanged(msgspec.Struct, frozen=True, gc=False):
    """A market's mark, index or running funding rate was stated."""

    symbol: str
    mark_ticks: int
    index_ticks: int
    funding_ppb: int
    at_us: int


class StateChanged(msgspec.Struct, frozen=True, gc=False):
    """A market's order book state: Open, Closed, CancelOnly, LimitOnly or PostOnly."""

    symbol: str
    book_state: str
    at_us: int


class FiltersChanged(msgspec.Struct, frozen=True, gc=False):
    """A market's filters are others from now on, and so may be what its ticks and lots are; the exchange tells both."""

    symbol: str
    at_us: int


class LiquidationChanged(msgspec.Struct, frozen=True, gc=False):
    """An account came under liquidation, or left it."""

    account: str
    is_liquidating: bool
    at_us: int


Effect = (
    OrderChanged | Traded | BookChanged | TouchChanged | BalanceChanged | PositionChanged | Funded | FundingSettled | ReferenceChanged
    | StateChanged | FiltersChanged | LiquidationChanged | Settled | LoanMoved | InterestPaid | Converted | Liquidated
)  # fmt: skip
