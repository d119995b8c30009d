"""What an account sends to the exchange and what it becomes: the vocabulary of orders, refusals and the exchange's switches.

The words are the venue's own spelling (API reference §3.4, §5.1), so that a door prints them as they stand. Numbers are integers: ticks,
lots, atoms (10⁻⁹ of the asset), ppm, microseconds UTC.
"""

from enum import StrEnum
from typing import Final

import msgspec


class OrderType(StrEnum):
    """LIMIT rests or takes up to its price; MARKET takes up to the impact bound and never rests."""

    LIMIT = "Limit"
    MARKET = "Market"


class TimeInForce(StrEnum):
    """What happens to the part that finds no match at once."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class SelfTrade(StrEnum):
    """Who goes when a taker meets a resting order of its own account."""

    REJECT_TAKER = "RejectTaker"
    REJECT_MAKER = "RejectMaker"
    REJECT_BOTH = "RejectBoth"


class TriggerBy(StrEnum):
    """The price a trigger watches."""

    MARK = "MarkPrice"
    LAST = "LastPrice"
    INDEX = "IndexPrice"

    __hash__ = str.__hash__  # the enumeration's own hash is written in Python, and every trade asks for it


class Status(StrEnum):
    """Where an order stands. TRIGGERED is the end of a trigger order that fired; the child order carries on under an id of its own."""

    NEW = "New"
    PARTIALLY_FILLED = "PartiallyFilled"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    EXPIRED = "Expired"
    TRIGGER_PENDING = "TriggerPending"
    TRIGGER_FAILED = "TriggerFailed"
    TRIGGERED = "Triggered"


LIVE: Final = frozenset({Status.NEW, Status.PARTIALLY_FILLED, Status.TRIGGER_PENDING})


class Reason(StrEnum):
    """Why an order expired or a trigger failed; the subset of the venue's `expiryReason` that this exchange can produce."""

    BORROW_REQUIRES_LEND_REDEEM = "BorrowRequiresLendRedeem"
    FILL_OR_KILL = "FillOrKill"
    IMMEDIATE_OR_CANCEL = "ImmediateOrCancel"
    INSUFFICIENT_BORROWABLE_QUANTITY = "InsufficientBorrowableQuantity"
    INSUFFICIENT_FUNDS = "InsufficientFunds"
    INSUFFICIENT_LIQUIDITY = "InsufficientLiquidity"
    INSUFFICIENT_MARGIN = "InsufficientMargin"
    INVALID_PRICE = "InvalidPrice"
    INVALID_QUANTITY = "InvalidQuantity"
    LIQUIDATION = "Liquidation"
    MAX_STOP_ORDERS_PER_POSITION = "MaxStopOrdersPerPosition"
    POSITION_LIMIT = "PositionLimit"
    POST_ONLY_MODE = "PostOnlyMode"
    POST_ONLY_TAKER = "PostOnlyTaker"
    PRICE_IMPACT = "PriceImpact"
    PRICE_OUT_OF_BOUNDS = "PriceOutOfBounds"
    REDUCE_ONLY_NOT_REDUCED = "ReduceOnlyNotReduced"
    SELF_TRADE_PREVENTION = "SelfTradePrevention"
    SLIPPAGE_TOLERANCE_EXCEEDED = "SlippageToleranceExceeded"
    STOP_WITHOUT_POSITION = "StopWithoutPosition"
    UNKNOWN = "Unknown"


class Origin(StrEnum):
    """Who gave the order: its account, or the exchange in a liquidation, a deleveraging, or to turn collateral into what is owed."""

    USER = "USER"
    LIQUIDATION_AUTOCLOSE = "LIQUIDATION_AUTOCLOSE"
    ADL_AUTOCLOSE = "ADL_AUTOCLOSE"
    BACKSTOP_LIQUIDITY_PROVIDER = "BACKSTOP_LIQUIDITY_PROVIDER"
    COLLATERAL_CONVERSION = "COLLATERAL_CONVERSION"


# What every order is compared with, under names of their own: to look a member up on its class takes ten times as long.
LIMIT: Final = OrderType.LIMIT
MARKET: Final = OrderType.MARKET
GTC: Final = TimeInForce.GTC
IOC: Final = TimeInForce.IOC
FOK: Final = TimeInForce.FOK
REJECT_TAKER: Final = SelfTrade.REJECT_TAKER
REJECT_MAKER: Final = SelfTrade.REJECT_MAKER
NEW: Final = Status.NEW
PARTIALLY_FILLED: Final = Status.PARTIALLY_FILLED
FILLED: Final = Status.FILLED
EXPIRED: Final = Status.EXPIRED
TRIGGER_PENDING: Final = Status.TRIGGER_PENDING
BY_MARK: Final = TriggerBy.MARK
BY_LAST: Final = TriggerBy.LAST
BY_INDEX: Final = TriggerBy.INDEX
USER: Final = Origin.USER


class Code(StrEnum):
    """The venue's error codes that this exchange answers with (API reference §4.2)."""

    ACCOUNT_LIQUIDATING = "ACCOUNT_LIQUIDATING"
    BORROW_LIMIT = "BORROW_LIMIT"
    BORROW_REQUIRES_LEND_REDEEM = "BORROW_REQUIRES_LEND_REDEEM"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    INSUFFICIENT_MARGIN = "INSUFFICIENT_MARGIN"
    INSUFFICIENT_SUPPLY = "INSUFFICIENT_SUPPLY"
    INVALID_ASSET = "INVALID_ASSET"
    INVALID_CLIENT_REQUEST = "INVALID_CLIENT_REQUEST"
    INVALID_MARKET = "INVALID_MARKET"
    INVALID_ORDER = "INVALID_ORDER"
    INVALID_PRICE = "INVALID_PRICE"
    INVALID_QUANTITY = "INVALID_QUANTITY"
    ORDER_LIMIT = "ORDER_LIMIT"
    POSITION_LIMIT = "POSITION_LIMIT"
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    TRADING_PAUSED = "TRADING_PAUSED"


class Refused(Exception):
    """The exchange does not take the request and nothing has changed.

    Attributes:
        code: the venue's error code.
        message: the venue's text; exact where the reference knows it.
        reason: what the same finding is called when it meets a triggered order later.
    """

    def __init__(self, code: Code, message: str, reason: Reason = Reason.UNKNOWN) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.reason = reason


class Leg(msgspec.Struct, frozen=True, gc=False):
    """One side of an attached pair. `limit_ticks` 0 = a market order; `trigger_by` None = the exchange's default."""

    trigger_ticks: int
    limit_ticks: int = 0
    trigger_by: TriggerBy | None = None


class Attached(msgspec.Struct, frozen=True, gc=False):
    """Take-profit and stop-loss that an order brings along: they become triggers over what it has bought or sold."""

    take_profit: Leg | None = None
    stop_loss: Leg | None = None


class NewOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to place. Prices and quantities are on the grid already; the door has read the text.

    Attributes:
        side: BUY or SELL.
        lots: quantity; 0 on a market order by quote and on triggers.
        quote_atoms: market orders only: the quote to spend at most (BUY) or to receive about (SELL); 0 = by `lots`.
        ticks: limit price; 0 on market orders.
        client_id: u32 of the account's choice, or None.
        self_trade: None = the exchange's default.
        trigger_ticks: above 0 makes this a trigger order, with exactly one of `trigger_lots` and `trigger_ppm`.
        trigger_ppm: share of the position at firing, 1,000,000 = "100%".
        trigger_by: None = the exchange's default for the kind of market.
        slippage_ticks / slippage_ppm: market orders: how far from the touch it may reach; at most one of them; None = no further bound
            than the market's own.
        attached: take-profit and stop-loss; on a trigger order they go over to its child.
        auto_lend / auto_lend_redeem / auto_borrow / auto_borrow_repay: spot: what the order may do with lent and borrowed coins.
    """

    symbol: str
    side: int
    order_type: OrderType = OrderType.LIMIT
    lots: int = 0
    quote_atoms: int = 0
    ticks: int = 0
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    client_id: int | None = None
    self_trade: SelfTrade | None = None
    trigger_ticks: int = 0
    trigger_lots: int = 0
    trigger_ppm: int = 0
    trigger_by: TriggerBy | None = None
    slippage_ticks: int | None = None
    slippage_ppm: int | None = None
    attached: Attached | None = None
    auto_lend: bool = False
    auto_lend_redeem: bool = False
    auto_borrow: bool = False
    auto_borrow_repay: bool = False


class OrderState(msgspec.Struct, kw_only=True, gc=False):
    """An order as the exchange knows it. What leaves the exchange is a copy, so it does not change under the reader.

    Attributes:
        order_id: unique on the whole exchange; the door prints it as a decimal text.
        lots: quantity; 0 on a pending trigger and on a market order by quote that has not met the book yet.
        quote_atoms: of a market order by quote, what was asked for; of one by lots, an upper estimate at entry; else 0.
        executed_lots / executed_quote_atoms: filled so far, and the quote that changed hands, fees apart.
        locked_atoms: spot: what the account's balance holds back for the open rest, quote on a BUY, base on a SELL; 0 on perpetuals.
        exposed_lots: perpetuals: open lots that margin is asked for; 0 on spot, reduce-only orders and pending triggers.
        created_us / updated_us: entry, and last change.
        triggered_us: when the trigger fired; on the child as well. None otherwise.
        related_id: of a child, its trigger's id; of an attached trigger, its parent's.
        attached: the take-profit and stop-loss it brings along; `attached_ids` are their orders once they are armed, for `covered_lots`
            of what this order has filled.
        auto: what its proceeds do by themselves: bits of `clearing.REPAY` and `clearing.LEND`.
        sibling_id: of one of an armed pair, the other: it ends when this one fires.
        reason: set with EXPIRED and TRIGGER_FAILED.
    """

    order_id: int
    account: str
    symbol: str
    side: int
    order_type: OrderType
    lots: int
    quote_atoms: int
    ticks: int
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    client_id: int | None
    self_trade: SelfTrade
    trigger_ticks: int
    trigger_lots: int
    trigger_ppm: int
    trigger_by: TriggerBy | None
    slippage_ticks: int | None
    slippage_ppm: int | None
    origin: Origin
    status: Status
    created_us: int
    updated_us: int
    executed_lots: int = 0
    executed_quote_atoms: int = 0
    locked_atoms: int = 0
    exposed_lots: int = 0
    triggered_us: int | None = None
    related_id: int | None = None
    reason: Reason | None = None
    attached: Attached | None = None
    attached_ids: tuple[int, ...] = ()
    covered_lots: int = 0
    sibling_id: int | None = None
    auto: int = 0

    def copied(self) -> "OrderState":
        """Itself as it is now."""
        copied: OrderState = self.__copy__()  # type: ignore[attr-defined]  # msgspec's stubs do not name it; `copy` costs as much again
        return copied

    @property
    def open_lots(self) -> int:
        """What is still to be filled, lots."""
        return self.lots - self.executed_lots

    @property
    def is_trigger(self) -> bool:
        """True on an order that waits for a price, fired or not."""
        return self.trigger_ticks > 0

    @property
    def is_live(self) -> bool:
        """True while it can still be filled, fired or cancelled. An order that ended PartiallyFilled (a switch of Rules) has a reason."""
        return self.status in LIVE and self.reason is None


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One execution of one account's order: a row of its own ledger.

    Attributes:
        ticks, lots, quote_atoms: price, quantity (> 0) and their product.
        fee_atoms: paid (> 0) or earned (< 0), in `fee_asset`: base on a spot BUY, else quote.
        realised_atoms: perpetuals: profit booked to the balance by this fill, fee apart; 0 on spot.
        trade_id: shared by both sides and the public print.
    """

    account: str
    symbol: str
    order_id: int
    client_id: int | None
    trade_id: int
    side: int
    ticks: int
    lots: int
    quote_atoms: int
    fee_atoms: int
    fee_asset: str
    realised_atoms: int
    is_maker: bool
    origin: Origin
    at_us: int
