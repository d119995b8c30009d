"""Backpack's vocabulary, said once for both roles: what the client asks with and what a server answers with.

Sources are the exchange's API reference (instruction names, signing, enumerations) and messages seen on its wire. Nothing here has state.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from lemon_trader.core.units import BUY, SELL

NAME: Final = "backpack"

# ---- headers of a signed request ----
KEY_HEADER: Final = "X-API-Key"
SIGNATURE_HEADER: Final = "X-Signature"
TIMESTAMP_HEADER: Final = "X-Timestamp"
WINDOW_HEADER: Final = "X-Window"
TYPE_HEADER: Final = "Content-Type"
JSON_TYPE: Final = "application/json; charset=utf-8"
TEXT_TYPE: Final = "text/plain; charset=utf-8"
WINDOW_MS: Final = 5_000  # when the header is absent this very number is still signed
WINDOW_MS_MAX: Final = 60_000
PLAUSIBLE_MS: Final = 600_000  # a timestamp further off than this is refused whatever the window

# ---- paths ----
ORDER_PATH: Final = "/api/v1/order"
ORDERS_PATH: Final = "/api/v1/orders"

# ---- the instruction that binds a signature to an operation ----
INSTRUCTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "/api/v1/account"): "accountQuery",
    ("PATCH", "/api/v1/account"): "accountUpdate",
    ("POST", "/api/v1/account/convertDust"): "convertDust",
    ("GET", "/api/v1/account/limits/borrow"): "maxBorrowQuantity",
    ("GET", "/api/v1/account/limits/order"): "maxOrderQuantity",
    ("GET", "/api/v1/account/limits/withdrawal"): "maxWithdrawalQuantity",
    ("GET", "/api/v1/capital"): "balanceQuery",
    ("GET", "/api/v1/capital/collateral"): "collateralQuery",
    ("GET", "/wapi/v1/capital/deposits"): "depositQueryAll",
    ("GET", "/wapi/v1/capital/deposit/address"): "depositAddressQuery",
    ("GET", "/wapi/v1/capital/withdrawals"): "withdrawalQueryAll",
    ("POST", "/wapi/v1/capital/withdrawals"): "withdraw",
    ("GET", "/api/v1/borrowLend/positions"): "borrowLendPositionQuery",
    ("POST", "/api/v1/borrowLend"): "borrowLendExecute",
    ("GET", ORDER_PATH): "orderQuery",
    ("POST", ORDER_PATH): "orderExecute",
    ("POST", ORDERS_PATH): "orderExecute",
    ("DELETE", ORDER_PATH): "orderCancel",
    ("GET", ORDERS_PATH): "orderQueryAll",
    ("DELETE", ORDERS_PATH): "orderCancelAll",
    ("GET", "/api/v1/position"): "positionQuery",
    ("GET", "/wapi/v1/history/orders"): "orderHistoryQueryAll",
    ("GET", "/wapi/v1/history/fills"): "fillHistoryQueryAll",
    ("GET", "/wapi/v1/history/funding"): "fundingHistoryQueryAll",
    ("GET", "/wapi/v1/history/position"): "positionHistoryQueryAll",
    ("GET", "/wapi/v1/history/settlement"): "settlementHistoryQueryAll",
    ("GET", "/wapi/v1/history/borrowLend"): "borrowHistoryQueryAll",
    ("GET", "/wapi/v1/history/borrowLend/positions"): "borrowPositionHistoryQueryAll",
    ("GET", "/wapi/v1/history/interest"): "interestHistoryQueryAll",
    ("GET", "/wapi/v1/history/dust"): "dustHistoryQueryAll",
    ("GET", "/wapi/v1/history/pnl"): "pnlHistoryQueryAll",
    ("GET", "/api/v1/strategy"): "strategyQuery",
    ("POST", "/api/v1/strategy"): "strategyCreate",
    ("DELETE", "/api/v1/strategy"): "strategyCancel",
    ("GET", "/api/v1/strategies"): "strategyQueryAll",
    ("DELETE", "/api/v1/strategies"): "strategyCancelAll",
    ("GET", "/wapi/v1/history/strategies"): "strategyHistoryQueryAll",
    ("POST", "/api/v1/rfq"): "rfqSubmit",
    ("POST", "/api/v1/rfq/quote"): "quoteSubmit",
    ("POST", "/api/v1/rfq/accept"): "quoteAccept",
    ("POST", "/api/v1/rfq/refresh"): "rfqRefresh",
    ("POST", "/api/v1/rfq/cancel"): "rfqCancel",
    ("GET", "/api/v1/rfqs"): "rfqQuery",
    ("GET", "/wapi/v1/history/rfq"): "rfqHistoryQueryAll",
    ("GET", "/wapi/v1/history/quote"): "quoteHistoryQueryAll",
    ("GET", "/wapi/v1/history/rfq/fill"): "rfqFillHistoryQueryAll",
    ("GET", "/wapi/v1/history/quote/fill"): "quoteFillHistoryQueryAll",
    ("POST", "/api/v1/vault/redeem"): "vaultRedeemRequest",
    ("DELETE", "/api/v1/vault/redeem"): "vaultRedeemCancel",
    ("POST", "/api/v1/vault/mint"): "vaultMint",
}
SUBSCRIBE: Final = "subscribe"

# What a signer of ours may sign: reads, single orders and their cancels, the account's switches, and streams. Everything that moves,
# lends, borrows or converts money is left out, and so is cancel-all, because it hits orders that are not ours.
SIGNABLE: Final = frozenset({
    "accountQuery", "accountUpdate", "maxOrderQuantity", "balanceQuery", "collateralQuery", "depositQueryAll", "depositAddressQuery",
    "withdrawalQueryAll", "borrowLendPositionQuery", "orderQuery", "orderExecute", "orderCancel", "orderQueryAll", "positionQuery",
    "orderHistoryQueryAll", "fillHistoryQueryAll", "fundingHistoryQueryAll", "positionHistoryQueryAll", "settlementHistoryQueryAll",
    "borrowHistoryQueryAll", "borrowPositionHistoryQueryAll", "interestHistoryQueryAll", "dustHistoryQueryAll", SUBSCRIBE,
})  # fmt: skip

# ---- sides ----
BID: Final = "Bid"
ASK: Final = "Ask"
SIDE_WORDS: Final[Mapping[int, str]] = {BUY: BID, SELL: ASK}
SIDES: Final[Mapping[str, int]] = {BID: BUY, ASK: SELL}

# ---- orders ----
LIMIT: Final = "Limit"
MARKET: Final = "Market"
ORDER_TYPES: Final = (LIMIT, MARKET)
GTC: Final = "GTC"
IOC: Final = "IOC"
FOK: Final = "FOK"
TIMES_IN_FORCE: Final = (GTC, IOC, FOK)
REJECT_TAKER: Final = "RejectTaker"  # the default
REJECT_MAKER: Final = "RejectMaker"
REJECT_BOTH: Final = "RejectBoth"
SELF_TRADE_RULES: Final = (REJECT_TAKER, REJECT_MAKER, REJECT_BOTH)
BY_MARK: Final = "MarkPrice"
BY_LAST: Final = "LastPrice"
BY_INDEX: Final = "IndexPrice"
TRIGGERS_BY: Final = (BY_MARK, BY_LAST, BY_INDEX)
WHOLE: Final = "100%"  # a trigger quantity
CANCEL_ALL_KINDS: Final = ("RestingLimitOrder", "ConditionalOrder")
CLIENT_ID_MAX: Final = 2**32 - 1

NEW: Final = "New"
PARTIALLY_FILLED: Final = "PartiallyFilled"
FILLED: Final = "Filled"
CANCELLED: Final = "Cancelled"
EXPIRED: Final = "Expired"
TRIGGER_PENDING: Final = "TriggerPending"
TRIGGER_FAILED: Final = "TriggerFailed"
TRIGGERED: Final = "Triggered"  # the official client lists it and no capture shows it: a trigger that fired; its child carries on
STATUSES: Final = (NEW, PARTIALLY_FILLED, FILLED, CANCELLED, EXPIRED, TRIGGER_PENDING, TRIGGER_FAILED, TRIGGERED)
# The words that core reads.
STATUS_WORDS: Final[Mapping[str, str]] = {
    NEW: "working",
    PARTIALLY_FILLED: "working",
    FILLED: "filled",
    CANCELLED: "cancelled",
    EXPIRED: "expired",
    TRIGGER_PENDING: "armed",
    TRIGGER_FAILED: "trigger_failed",
    TRIGGERED: "triggered",
}

EXPIRY_REASONS: Final = (
    "AccountTradingSuspended", "BorrowRequiresLendRedeem", "FillOrKill", "InsufficientBorrowableQuantity", "InsufficientFunds",
    "InsufficientLiquidity", "InvalidPrice", "InvalidQuantity", "ImmediateOrCancel", "InsufficientMargin", "Liquidation",
    "NegativeEquity", "PostOnlyMode", "PostOnlyTaker", "PriceOutOfBounds", "ReduceOnlyNotReduced", "SelfTradePrevention",
    "StopWithoutPosition", "PriceImpact", "Unknown", "UserPermissions", "MaxStopOrdersPerPosition", "PositionLimit",
    "SlippageToleranceExceeded",
)  # fmt: skip
SYSTEM_ORDERS: Final = (
    "CollateralConversion", "FutureExpiry", "LiquidatePositionOnAdl", "LiquidatePositionOnBook", "LiquidatePositionOnBackstop",
    "OrderBookClosed",
)  # fmt: skip
FILL_TYPES: Final = (
    "User", "BookLiquidation", "Adl", "Backstop", "Liquidation", "AllLiquidation", "CollateralConversion",
    "CollateralConversionAndSpotLiquidation",
)  # fmt: skip
BOOK_STATES: Final = ("Open", "Closed", "CancelOnly", "LimitOnly", "PostOnly")
MARKET_TYPES: Final = ("SPOT", "PERP", "IPERP", "DATED", "PREDICTION", "RFQ")
DEPTH_LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000)
USER: Final = "USER"  # origin of an order that its account sent

# ---- errors ----
ERROR_CODES: Final = frozenset({
    "ACCOUNT_DEACTIVATED", "ACCOUNT_LIQUIDATING", "BORROW_LIMIT", "BORROW_REQUIRES_LEND_REDEEM", "FORBIDDEN", "INSUFFICIENT_FUNDS",
    "INSUFFICIENT_MARGIN", "INSUFFICIENT_SUPPLY", "INVALID_ASSET", "INVALID_CLIENT_REQUEST", "INVALID_MARKET", "INVALID_ORDER",
    "INVALID_PRICE", "INVALID_POSITION_ID", "INVALID_QUANTITY", "INVALID_RANGE", "INVALID_SIGNATURE", "INVALID_SOURCE", "INVALID_SYMBOL",
    "INVALID_TWO_FACTOR_CODE", "LEND_LIMIT", "LEND_REQUIRES_BORROW_REPAY", "MAINTENANCE", "MAX_LEVERAGE_REACHED", "NOT_IMPLEMENTED",
    "ORDER_LIMIT", "POSITION_LIMIT", "PRECONDITION_FAILED", "RESOURCE_NOT_FOUND", "SERVER_ERROR", "TIMEOUT", "TOO_EARLY",
    "TOO_MANY_REQUESTS", "TRADING_PAUSED", "UNAUTHORIZED",
})  # fmt: skip
INVALID_CLIENT_REQUEST: Final = "INVALID_CLIENT_REQUEST"
INVALID_ORDER: Final = "INVALID_ORDER"
INVALID_PRICE: Final = "INVALID_PRICE"
RESOURCE_NOT_FOUND: Final = "RESOURCE_NOT_FOUND"
TOO_MANY_REQUESTS: Final = "TOO_MANY_REQUESTS"
SAYS_EXPIRED: Final = "Request has expired"
SAYS_BAD_TIME: Final = "Invalid timestamp: must be within 10 minutes of current time"
SAYS_BAD_SIGNATURE: Final = "Invalid signature"
SAYS_BAD_SIGNATURE_HEADER: Final = "Invalid X-Signature header"
SAYS_WOULD_TAKE: Final = "Order would immediately match and take liquidity"
SAYS_TOO_FAR: Final = "Price is too far from the last active price"
SAYS_PRICE_DECIMALS: Final = "Price decimal too long"
SAYS_QUANTITY_DECIMALS: Final = "Quantity decimal too long"
SAYS_BELOW_MINIMUM: Final = "Quantity is below the minimum allowed value"
SAYS_TRIGGER_PAIR: Final = "Must specify both `triggerPrice` and `triggerQuantity` or neither"
SAYS_BAD_SYMBOL: Final = "Invalid market symbol"
SAYS_NO_SYMBOL: Final = "Symbol not found"
SAYS_NOT_FOUND: Final = "Not Found"
SAYS_CLIENT_ID_EXISTS: Final = "Order with client ID already exists"
SAYS_PARSE: Final = "failed to parse"  # plain text, status 400: the request was never read as an order

# ---- streams ----
WS_SUBSCRIBE: Final = "SUBSCRIBE"
WS_UNSUBSCRIBE: Final = "UNSUBSCRIBE"
ACCOUNT_PREFIX: Final = "account."
ORDER_UPDATES: Final = "account.orderUpdate"
POSITION_UPDATES: Final = "account.positionUpdate"
BALANCE_UPDATES: Final = "account.balanceUpdate"
RFQ_UPDATES: Final = "account.rfqUpdate"
ORDER_FILL: Final = "orderFill"
# Event of an order on the private stream -> the word that core reads.
ORDER_EVENTS: Final[Mapping[str, str]] = {
    "orderAccepted": "accepted",
    "orderCancelled": "cancelled",
    "orderExpired": "expired",
    "orderModified": "modified",
    "triggerPlaced": "trigger_placed",
    "triggerFailed": "trigger_failed",
}
WS_PARSE_ERROR: Final = (4002, "Parse error")
WS_INVALID_STREAM: Final = (4006, "Invalid stream")
WS_INVALID_WINDOW: Final = (4008, "Invalid depth window")


def value_text(value: object) -> str:
    """A parameter's value as it is signed and as it stands in a query before percent-encoding.

    Raises:
        ValueError: for what is never signed: null, floats (their text is not the text that was sent), lists and objects.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | str():
            return str(value)
    raise ValueError(f"a signed value is text, a whole number or a boolean, not {type(value).__name__}; leave out what is not sent")


def params_text(instruction: str, params: Mapping[str, object]) -> str:
    """`instruction=<name>&k1=v1&...`, keys by plain byte order, values raw; API reference 1.5."""
    pairs = "".join(f"&{key}={value_text(params[key])}" for key in sorted(params))
    return f"instruction={instruction}{pairs}"


def signed_text(instruction: str, params: Mapping[str, object], timestamp: int | str, window: int | str = WINDOW_MS) -> bytes:
    """What is signed for one operation. `timestamp` and `window` are ms, as in their headers."""
    return f"{params_text(instruction, params)}&timestamp={timestamp}&window={window}".encode()


def batch_text(instruction: str, batch: Iterable[Mapping[str, object]], timestamp: int | str, window: int | str = WINDOW_MS) -> bytes:
    """What is signed for a batch: every element with its own instruction, one timestamp at the end."""
    joined = "&".join(params_text(instruction, params) for params in batch)
    return f"{joined}&timestamp={timestamp}&window={window}".encode()
