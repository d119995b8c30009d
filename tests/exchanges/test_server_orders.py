"""Order bodies as the server reads them: the phrases that clients know by heart, and what is taken."""

import pytest
from tests.exchanges.kit import MARKETS

from lemon_trader.core.units import BUY, SELL
from lemon_trader.exchanges.backpack.server import Refusal, parse_body
from lemon_trader.exchanges.backpack.server_orders import OrderName, read_cancel_all, read_name, read_order

LIMIT = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "price": "141.05", "quantity": "12.5"}
MARKET = {"symbol": "SOL_USDC", "side": "Ask", "orderType": "Market", "quantity": "1"}
TRIGGER = {"symbol": "SOL_USDC_PERP", "side": "Ask", "orderType": "Market", "triggerPrice": "120", "triggerQuantity": "1"}
PARSE = 'parse request payload error: failed to parse "'


def body_of(base, **changes):
    return {name: value for name, value in {**base, **changes}.items() if value is not ...}


@pytest.mark.parametrize(
    ("name", "body", "code", "message"),
    [
        ("price with three decimals", body_of(LIMIT, price="141.051"), "INVALID_CLIENT_REQUEST", "Price decimal too long"),
        ("a trailing zero counts", body_of(LIMIT, price="141.050"), "INVALID_CLIENT_REQUEST", "Price decimal too long"),
        ("quantity with three decimals", body_of(LIMIT, quantity="1.001"), "INVALID_CLIENT_REQUEST", "Quantity decimal too long"),
        ("a decimal on a whole step", body_of(LIMIT, symbol="USDT_USDC", price="1", quantity="4810.0"), "INVALID_CLIENT_REQUEST",
         "Quantity decimal too long"),
        ("nothing", body_of(LIMIT, quantity="0"), "INVALID_CLIENT_REQUEST", "Quantity is below the minimum allowed value"),
        ("less than nothing", body_of(LIMIT, quantity="-1"), "INVALID_CLIENT_REQUEST", "Quantity is below the minimum allowed value"),
        ("a price of nothing", body_of(LIMIT, price="0"), "INVALID_CLIENT_REQUEST", "Price is below the minimum allowed value"),
        ("trigger price alone", body_of(TRIGGER, triggerQuantity=...), "INVALID_CLIENT_REQUEST",
         "Must specify both `triggerPrice` and `triggerQuantity` or neither"),
        ("trigger quantity alone", body_of(TRIGGER, triggerPrice=...), "INVALID_CLIENT_REQUEST",
         "Must specify both `triggerPrice` and `triggerQuantity` or neither"),
        ("market without any quantity", body_of(MARKET, quantity=...), "INVALID_CLIENT_REQUEST",
         "Market orders must specify a positive `quantity` or `quoteQuantity`"),
        ("market with both quantities", body_of(MARKET, quoteQuantity="5"), "INVALID_CLIENT_REQUEST",
         "Market orders must specify a positive `quantity` or `quoteQuantity`"),
        ("limit without a price", body_of(LIMIT, price=...), "INVALID_CLIENT_REQUEST", "Limit orders must specify a `price`"),
        ("reduce only on spot", body_of(LIMIT, reduceOnly=True), "INVALID_CLIENT_REQUEST", "Reduce only is for futures markets"),
        ("more than the whole position", body_of(TRIGGER, triggerQuantity="101%"), "INVALID_QUANTITY",
         "Trigger quantity must be above 0% and at most 100%"),
        ("a price beyond counting", body_of(LIMIT, price="9" * 18), "INVALID_PRICE", "Value is out of range"),
        ("a take-profit limit without its trigger", body_of(LIMIT, takeProfitLimitPrice="150"), "INVALID_CLIENT_REQUEST",
         "Must specify `takeProfitTriggerPrice` with `takeProfitLimitPrice` or `takeProfitTriggerBy`"),
        ("a stop-loss price to watch without its trigger", body_of(LIMIT, stopLossTriggerBy="LastPrice"), "INVALID_CLIENT_REQUEST",
         "Must specify `stopLossTriggerPrice` with `stopLossLimitPrice` or `stopLossTriggerBy`"),
        ("a stop-loss off the grid", body_of(LIMIT, stopLossTriggerPrice="120.001"), "INVALID_CLIENT_REQUEST", "Price decimal too long"),
        ("an unknown symbol", body_of(LIMIT, symbol="NO_USDC"), "",
         PARSE + 'MarketSymbol": Invalid market symbol (occurred while parsing "OrderExecutePayload")'),
        ("an unknown side", body_of(LIMIT, side="Buy"), "",
         PARSE + 'Side": Expect a valid enumeration value. (occurred while parsing "OrderExecutePayload")'),
        ("no side", body_of(LIMIT, side=...), "",
         PARSE + 'Side": Type "Side" expects an input value. (occurred while parsing "OrderExecutePayload")'),
        ("a price that is no number", body_of(LIMIT, price="1e3"), "",
         PARSE + 'string(decimal)": Invalid decimal: unknown character (occurred while parsing "OrderExecutePayload")'),
        ("a flag in quotes", body_of(LIMIT, postOnly="true"), "",
         PARSE + "boolean\": Expected input type \"boolean\", found 'true'. (occurred while parsing \"OrderExecutePayload\")"),
        ("a client id with letters", body_of(LIMIT, clientId="abc"), "",
         PARSE + 'integer(uint32)": invalid digit found in string (occurred while parsing "OrderExecutePayload")'),
        ("a client id of 64 bits", body_of(LIMIT, clientId="4294967296"), "",
         PARSE + 'integer(uint32)": invalid digit found in string (occurred while parsing "OrderExecutePayload")'),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
)  # fmt: skip
def test_what_is_wrong_is_refused_in_the_venues_words(name, body, code, message):
    with pytest.raises(Refusal) as refused:
        read_order(body, MARKETS)
    assert (refused.value.status, refused.value.code, refused.value.message) == (400, code, message)


@pytest.mark.parametrize(("client_id", "expected"), [(b"7", 7), (b'"7"', 7), (b"0", 0), (b"4294967295", 4_294_967_295), (b"null", None)])
def test_a_client_id_may_be_a_number_or_its_text(client_id, expected):
    body = parse_body(b'{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit","price":"1","quantity":"1","clientId":' + client_id + b"}")
    assert read_order(body, MARKETS).client_id == expected


def test_a_limit_order_is_read_onto_the_grid():
    words = read_order(body_of(LIMIT, timeInForce="IOC", selfTradePrevention="RejectBoth"), MARKETS)
    assert (words.side, words.kind, words.price_ticks, words.qty_lots) == (BUY, "Limit", 14_105, 1_250)
    assert (words.time_in_force, words.self_trade, words.post_only, words.reduce_only) == ("IOC", "RejectBoth", False, False)


def test_numbers_are_taken_as_well_as_strings_and_unknown_fields_are_ignored():
    body = parse_body(
        b'{"symbol":"SOL_USDC","side":"Ask","orderType":"Market","quoteQuantity":12.5,"brokerId":5,"triggeredBy":"x","autoLend":false}'
    )
    words = read_order(body, MARKETS)
    assert (words.side, words.quote_atoms, words.qty_lots) == (SELL, 12_500_000_000, 0)


def test_a_trigger_order_takes_a_quantity_or_a_share():
    fixed = read_order(body_of(TRIGGER, triggerBy="IndexPrice", quantity="1"), MARKETS)
    assert (fixed.trigger_ticks, fixed.trigger_lots, fixed.trigger_ppm, fixed.trigger_by, fixed.qty_lots) == (
        12_000,
        100,
        0,
        "IndexPrice",
        0,
    )
    share = read_order(body_of(TRIGGER, triggerQuantity="80%"), MARKETS)
    assert (share.trigger_lots, share.trigger_ppm, share.trigger_by) == (0, 800_000, "")


@pytest.mark.parametrize(("kind", "value", "ticks", "ppm"), [("TickSize", "5", 5, None), ("Percent", "0.5", None, 5_000)])
def test_a_market_order_may_name_its_slippage(kind, value, ticks, ppm):
    words = read_order(body_of(MARKET, slippageTolerance=value, slippageToleranceType=kind), MARKETS)
    assert (words.slippage_ticks, words.slippage_ppm) == (ticks, ppm)


def test_a_cancel_names_exactly_one_id():
    assert read_name({"symbol": "SOL_USDC", "orderId": "12"}, MARKETS) == OrderName("SOL_USDC", "12", None)
    assert read_name({"symbol": "SOL_USDC", "clientId": "0"}, MARKETS) == OrderName("SOL_USDC", "", 0)
    for params in ({"symbol": "SOL_USDC"}, {"symbol": "SOL_USDC", "orderId": "1", "clientId": "1"}):
        with pytest.raises(Refusal, match="exactly one"):
            read_name(params, MARKETS)


def test_cancel_all_needs_a_symbol_and_may_name_a_kind():
    assert read_cancel_all({"symbol": "SOL_USDC", "orderType": "ConditionalOrder"}, MARKETS) == ("SOL_USDC", "ConditionalOrder")
    for params in ({}, {"symbol": "SOL_USDC", "orderType": "Limit"}):
        with pytest.raises(Refusal, match="parse request payload error"):
            read_cancel_all(params, MARKETS)
