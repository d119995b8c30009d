"""Order bodies as Backpack's clients send them, read into integers; every refusal in the venue's own words.

Text that is no value of its type is answered by the venue's parser in plain text; a value that the market does not take is answered with a
code. What needs the book (bands, funds, crossing) is the exchange's business and not judged here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from lemon_trader.core.instrument import NUMBER, GateError, Instrument, atoms
from lemon_trader.core.units import ATOMS_PER_UNIT, PPM
from lemon_trader.exchanges.backpack.server import Number, Params, Refusal
from lemon_trader.exchanges.backpack.words import (
    CANCEL_ALL_KINDS,
    CLIENT_ID_MAX,
    GTC,
    INVALID_CLIENT_REQUEST,
    INVALID_PRICE,
    LIMIT,
    ORDER_TYPES,
    SAYS_BAD_SYMBOL,
    SAYS_BELOW_MINIMUM,
    SAYS_PRICE_DECIMALS,
    SAYS_QUANTITY_DECIMALS,
    SAYS_TRIGGER_PAIR,
    SELF_TRADE_RULES,
    SIDES,
    TIMES_IN_FORCE,
    TRIGGERS_BY,
)

ORDER_FIELDS: Final = frozenset({
    "autoBorrow", "autoBorrowRepay", "autoLend", "autoLendRedeem", "brokerId", "clientId", "orderType", "postOnly", "price", "quantity",
    "quoteQuantity", "reduceOnly", "selfTradePrevention", "side", "slippageTolerance", "slippageToleranceType", "stopLossLimitPrice",
    "stopLossTriggerBy", "stopLossTriggerPrice", "symbol", "takeProfitLimitPrice", "takeProfitTriggerBy", "takeProfitTriggerPrice",
    "timeInForce", "triggerBy", "triggerPrice", "triggerQuantity",
})  # fmt: skip

_PLACE: Final = "OrderExecutePayload"
_CANCEL: Final = "OrderCancelPayload"
_CANCEL_ALL: Final = "OrderCancelAllPayload"


class LegWords(msgspec.Struct, frozen=True, gc=False):
    """A take-profit or stop-loss that an order brings along; `limit_ticks` 0 = a market order, `by` "" = none was named."""

    trigger_ticks: int
    limit_ticks: int
    by: str


class OrderWords(msgspec.Struct, frozen=True, gc=False):
    """One order as asked for.

    Attributes:
        kind: "Limit" or "Market".
        price_ticks: limit price; 0 on a market order.
        qty_lots: ordered; 0 when `quote_atoms` or the trigger quantity says how much.
        quote_atoms: of a market order by quote, the most to spend or the amount to receive; else 0.
        client_id: None when the client gave none.
        trigger_ticks: 0 when the order is not a trigger order.
        trigger_lots: quantity of a trigger order; 0 when it is a percentage.
        trigger_ppm: quantity of a trigger order as a share of the position, ppm; else 0.
        trigger_by: "" when the client named no price to watch.
        slippage_ticks / slippage_ppm: of a market order, how far from the touch it may reach; at most one is given.
        take_profit, stop_loss: what the order brings along.
        auto_lend .. auto_borrow_repay: what a spot order may do with lent and borrowed coins.
    """

    symbol: str
    side: int
    kind: str
    time_in_force: str
    price_ticks: int = 0
    qty_lots: int = 0
    quote_atoms: int = 0
    post_only: bool = False
    reduce_only: bool = False
    client_id: int | None = None
    self_trade: str = ""
    trigger_ticks: int = 0
    trigger_lots: int = 0
    trigger_ppm: int = 0
    trigger_by: str = ""
    slippage_ticks: int | None = None
    slippage_ppm: int | None = None
    take_profit: LegWords | None = None
    stop_loss: LegWords | None = None
    auto_lend: bool = False
    auto_lend_redeem: bool = False
    auto_borrow: bool = False
    auto_borrow_repay: bool = False


class OrderName(msgspec.Struct, frozen=True, gc=False):
    """Which order is meant: exactly one of the ids is given."""

    symbol: str
    order_id: str = ""
    client_id: int | None = None


def read_order(body: Params, markets: Mapping[str, Instrument]) -> OrderWords:
    """The order that a body asks for.

    Raises:
        Refusal: with the venue's phrase.
    """
    fields = _Fields(body, _PLACE)
    market = fields.market(markets)
    side = SIDES[fields.word("side", "Side", tuple(SIDES))]
    kind = fields.word("orderType", "OrderType", ORDER_TYPES)
    tif = fields.word("timeInForce", "TimeInForce", TIMES_IN_FORCE, GTC)
    self_trade = fields.word("selfTradePrevention", "SelfTradePrevention", SELF_TRADE_RULES, "")
    post_only, reduce_only = fields.flag("postOnly"), fields.flag("reduceOnly")
    client_id = fields.client_id()
    price, quantity, quote = (fields.number(name) for name in ("price", "quantity", "quoteQuantity"))
    trigger_price, trigger_quantity = fields.number("triggerPrice"), fields.trigger_quantity()
    trigger_by = fields.word("triggerBy", "TriggerBy", TRIGGERS_BY, "")
    auto = [fields.flag(name) for name in ("autoLend", "autoLendRedeem", "autoBorrow", "autoBorrowRepay")]
    take_profit, stop_loss = _leg(fields, "takeProfit", market), _leg(fields, "stopLoss", market)
    slippage_ticks, slippage_ppm = _slippage(fields, is_market=kind != LIMIT)
    if (trigger_price is None) != (trigger_quantity is None):
        raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_TRIGGER_PAIR)
    is_trigger = trigger_price is not None
    if kind == LIMIT:
        if price is None:
            raise Refusal(400, INVALID_CLIENT_REQUEST, "Limit orders must specify a `price`")
        if quote is not None:
            raise Refusal(400, INVALID_CLIENT_REQUEST, "Limit orders cannot specify a `quoteQuantity`")
        if quantity is None and not is_trigger:
            raise Refusal(400, INVALID_CLIENT_REQUEST, "Limit orders must specify a `quantity`")
    else:
        if price is not None:
            raise Refusal(400, INVALID_CLIENT_REQUEST, "Market orders cannot specify a `price`")
        if post_only:
            raise Refusal(400, INVALID_CLIENT_REQUEST, "Market orders cannot be post only")
        if not is_trigger and (quantity is None) == (quote is None):
            raise Refusal(400, INVALID_CLIENT_REQUEST, "Market orders must specify a positive `quantity` or `quoteQuantity`")
    if is_trigger:
        quantity = quote = None  # the trigger's own quantity counts; bpx-py cannot send a trigger order without the other
    if post_only and tif != GTC:
        raise Refusal(400, INVALID_CLIENT_REQUEST, "Post only orders must be good till cancelled")
    if reduce_only and not market.is_perp:
        raise Refusal(400, INVALID_CLIENT_REQUEST, "Reduce only is for futures markets")
    lots, share_ppm = _trigger_size(trigger_quantity, market)
    return OrderWords(
        symbol=market.symbol,
        side=side,
        kind=kind,
        time_in_force=tif,
        price_ticks=0 if price is None else ticks_of(price, market),
        qty_lots=0 if quantity is None else lots_of(quantity, market),
        quote_atoms=0 if quote is None else _quote_atoms(quote),
        post_only=post_only,
        reduce_only=reduce_only,
        client_id=client_id,
        self_trade=self_trade,
        trigger_ticks=0 if trigger_price is None else ticks_of(trigger_price, market),
        trigger_lots=lots,
        trigger_ppm=share_ppm,
        trigger_by=trigger_by if is_trigger else "",
        slippage_ticks=slippage_ticks,
        slippage_ppm=slippage_ppm,
        take_profit=take_profit,
        stop_loss=stop_loss,
        auto_lend=auto[0],
        auto_lend_redeem=auto[1],
        auto_borrow=auto[2],
        auto_borrow_repay=auto[3],
    )


def read_name(params: Params, markets: Mapping[str, Instrument]) -> OrderName:
    """The order that a cancel or a query names. Raises Refusal unless exactly one id was given."""
    fields = _Fields(params, _CANCEL)
    market = fields.market(markets)
    order_id, client_id = fields.text("orderId"), fields.client_id()
    if (order_id is None) == (client_id is None):
        raise Refusal(400, INVALID_CLIENT_REQUEST, "Must specify exactly one of `orderId` and `clientId`")
    return OrderName(market.symbol, order_id or "", client_id)


def read_cancel_all(params: Params, markets: Mapping[str, Instrument]) -> tuple[str, str]:
    """(symbol, kind) of a cancel-all; kind is "RestingLimitOrder", "ConditionalOrder" or "" for both. Raises Refusal."""
    fields = _Fields(params, _CANCEL_ALL)
    return fields.market(markets).symbol, fields.word("orderType", "CancelOrderType", CANCEL_ALL_KINDS, "")


def ticks_of(text: str, market: Instrument) -> int:
    """The price in ticks. Raises Refusal when it has too many decimals, is not a multiple of the tick, or is not above 0."""
    if _decimals(text) > market.price_decimals:
        raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_PRICE_DECIMALS)
    ticks = _on_grid(text, market.price_ticks, INVALID_PRICE, f"Price must be a multiple of the tick size {market.tick}")
    if ticks <= 0:
        raise Refusal(400, INVALID_CLIENT_REQUEST, "Price is below the minimum allowed value")
    return ticks


def lots_of(text: str, market: Instrument) -> int:
    """The quantity in lots. Raises Refusal when it has too many decimals, is not a multiple of the step, or is below the minimum."""
    if _decimals(text) > market.qty_decimals:
        raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_QUANTITY_DECIMALS)
    lots = _on_grid(text, market.qty_lots, "INVALID_QUANTITY", f"Quantity must be a multiple of the step size {market.lot}")
    if lots < market.min_lots:
        raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_BELOW_MINIMUM)
    if market.max_lots and lots > market.max_lots:
        raise Refusal(400, INVALID_CLIENT_REQUEST, "Quantity is above the maximum allowed value")
    return lots


def _on_grid(text: str, to_steps: Callable[[str], int], code: str, off_grid: str) -> int:
    if text.startswith("-"):
        return 0
    try:
        return to_steps(text)
    except GateError as error:
        raise Refusal(400, code, off_grid if "grid" in str(error) else "Value is out of range") from None


def _quote_atoms(text: str) -> int:
    value = atoms_of(text)
    if value <= 0:
        raise Refusal(400, INVALID_CLIENT_REQUEST, "Market orders must specify a positive `quantity` or `quoteQuantity`")
    return value


def atoms_of(text: str) -> int:
    """The number in atoms. Raises Refusal when it is beyond counting."""
    try:
        return atoms(text)
    except GateError:
        raise Refusal(400, "INVALID_QUANTITY", "Value is out of range") from None


def _trigger_size(text: str | None, market: Instrument) -> tuple[int, int]:
    """(lots, share of the position in ppm) of a trigger quantity; one of them is 0."""
    if text is None:
        return 0, 0
    if not text.endswith("%"):
        return lots_of(text, market), 0
    share_ppm = atoms_of(text[:-1]) * (PPM // 100) // ATOMS_PER_UNIT
    if not 0 < share_ppm <= PPM:
        raise Refusal(400, "INVALID_QUANTITY", "Trigger quantity must be above 0% and at most 100%")
    return 0, share_ppm


def _leg(fields: "_Fields", name: str, market: Instrument) -> LegWords | None:
    """One of the attached pair; `name` is the beginning of its three fields."""
    trigger, limit = fields.number(f"{name}TriggerPrice"), fields.number(f"{name}LimitPrice")
    by = fields.word(f"{name}TriggerBy", "TriggerBy", TRIGGERS_BY, "")
    if trigger is None:
        if limit is not None or by:
            raise Refusal(400, INVALID_CLIENT_REQUEST, f"Must specify `{name}TriggerPrice` with `{name}LimitPrice` or `{name}TriggerBy`")
        return None
    return LegWords(ticks_of(trigger, market), 0 if limit is None else ticks_of(limit, market), by)


def _slippage(fields: "_Fields", *, is_market: bool) -> tuple[int | None, int | None]:
    """(ticks, ppm) of a slippage tolerance, at most one of them given; a percentage is in percent."""
    text = fields.number("slippageTolerance")
    kind = fields.word("slippageToleranceType", "SlippageToleranceType", ("TickSize", "Percent"), "")
    if text is None and not kind:
        return None, None
    if text is None or not kind or not is_market:
        reason = "Must specify both `slippageTolerance` and `slippageToleranceType` or neither, on market orders only"
        raise Refusal(400, INVALID_CLIENT_REQUEST, reason)
    value = atoms_of(text)
    if value < 0 or (kind == "TickSize" and value % ATOMS_PER_UNIT):
        raise Refusal(400, INVALID_CLIENT_REQUEST, "Invalid slippage tolerance")
    return (value // ATOMS_PER_UNIT, None) if kind == "TickSize" else (None, value * (PPM // 100) // ATOMS_PER_UNIT)


def _decimals(text: str) -> int:
    """Decimal places as written: the venue counts trailing zeros too."""
    return len(text) - text.find(".") - 1 if "." in text else 0


class _Fields:
    """The fields of one body, read by type; a value of another type is the venue's plain-text parse error."""

    def __init__(self, body: Params, payload: str) -> None:
        self._body = body
        self._payload = payload

    def bad(self, kind: str, reason: str) -> Refusal:
        return Refusal(
            400, "", f'parse request payload error: failed to parse "{kind}": {reason} (occurred while parsing "{self._payload}")'
        )

    def text(self, name: str) -> str | None:
        value = self._body.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.bad("string", f'Expected input type "string", found {value!r:.40}.')
        return str(value)

    def market(self, markets: Mapping[str, Instrument]) -> Instrument:
        symbol = self.text("symbol")
        if symbol is None:
            raise self.bad("MarketSymbol", 'Type "MarketSymbol" expects an input value.')
        market = markets.get(symbol)
        if market is None:
            raise self.bad("MarketSymbol", SAYS_BAD_SYMBOL)
        return market

    def word(self, name: str, kind: str, allowed: Sequence[str], default: str | None = None) -> str:
        value = self._body.get(name)
        if value is None:
            if default is None:
                raise self.bad(kind, f'Type "{kind}" expects an input value.')
            return default
        if not isinstance(value, str) or value not in allowed:
            raise self.bad(kind, "Expect a valid enumeration value.")
        return value

    def flag(self, name: str) -> bool:
        value = self._body.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.bad("boolean", f'Expected input type "boolean", found {value!r:.40}.')
        return value

    def number(self, name: str) -> str | None:
        """The decimal's text. JSON numbers are taken as well as strings, exponents are not."""
        value = self._body.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not NUMBER.match(value):
            raise self.bad("string(decimal)", "Invalid decimal: unknown character")
        return str(value)

    def trigger_quantity(self) -> str | None:
        value = self._body.get("triggerQuantity")
        if not isinstance(value, str) or not value.endswith("%"):
            return self.number("triggerQuantity")
        if not NUMBER.match(value[:-1]):
            raise self.bad("TriggerQuantity", "Invalid percentage")
        return value

    def client_id(self) -> int | None:
        value: Any = self._body.get("clientId")
        if value is None:
            return None
        is_digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10
        if not is_digits or int(value) > CLIENT_ID_MAX:
            reason = "number too large to fit in target type" if isinstance(value, Number) else "invalid digit found in string"
            raise self.bad("integer(uint32)", reason)
        return int(value)
