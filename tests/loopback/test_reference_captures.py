"""What was captured of the exchange (API reference, the marked examples) beside what the sandbox says of the same: keys, types and padding."""

import json

import pytest
from tests.loopback.sandbox_kit import PERP, SPOT, Client, Sandbox

ETH_PERP = "ETH_USDC_PERP"

CAPTURED = {
    "bookTicker": """{"A":"2.01178","B":"1.94230","E":1790134357267285,"T":1790134357267074,"a":"86656.0","b":"86655.9","e":"bookTicker",
        "s":"BTC_USDC_PERP","u":6730019258}""",
    "depth": """{"E":1790134357267289,"T":1790134357267074,"U":6730019258,"a":[],"b":[["86655.9","1.94230"]],"e":"depth",
        "s":"BTC_USDC_PERP","u":6730019258}""",
    "trade": """{"E":1754601477746429,"T":1754601477744000,"a":"5121860761","b":"5121861755","e":"trade","m":false,"p":"3870.25",
        "q":"0.0008","s":"ETH_USDC_PERP","t":10782547}""",
    "ticker": """{"E":1790134358087727,"V":"154927125.41812","c":"86625","e":"ticker","h":"86812.4","l":"85075.4","n":32259,"o":"85486.3",
        "s":"BTC_USDC_PERP","v":"1801.83549"}""",
    "markPrice": """{"E":1747291031914525,"T":1747291031910025,"e":"markPrice","f":"-0.0000039641039274236048482914","i":"173.44031179",
        "n":1747296000000,"p":"173.35998175","s":"SOL_USDC_PERP"}""",
    "kline": """{"E":1754519557526056,"T":"2025-08-07T00:00:00","X":false,"c":"3680.520000000","e":"kline","h":"3681.370000000",
        "l":"3667.650000000","n":255,"o":"3670.150000000","s":"ETH_USDC","t":"2025-08-06T22:00:00","v":"62.2621000"}""",
}
STREAMS = {
    "bookTicker": f"bookTicker.{PERP}", "depth": f"depth.{PERP}", "trade": f"trade.{PERP}", "ticker": f"ticker.{PERP}",
    "markPrice": f"markPrice.{PERP}", "kline": f"kline.1m.{PERP}",
}  # fmt: skip
ACCEPTED = """{"E":1748288615134547,"O":"USER","Q":"3568.3445","S":"Ask","T":1748288615133255,"V":"RejectTaker","X":"New","Z":"0",
    "e":"orderAccepted","f":"GTC","i":"114575842681290753","o":"LIMIT","p":"178.15","q":"20.03","r":false,"s":"SOL_USDC","t":null,"z":"0"}"""
FILLED = """{"E":1754939110175879,"L":"4299.16","N":"ETH","O":"USER","Q":"4.30","S":"Bid","T":1754939110174705,"V":"RejectTaker",
    "X":"Filled","Z":"4.299160","e":"orderFill","f":"GTC","i":"5406825793","l":"0.0010","m":false,"n":"0.000001","o":"MARKET","q":"0.0010",
    "r":false,"s":"ETH_USDC","t":2888471,"z":"0.0010"}"""
TRIGGER_PLACED = """{"E":1748288167010366,"O":"USER","P":"178.05","Q":"0","S":"Ask","T":1748288167009460,"V":"RejectTaker",
    "X":"TriggerPending","Y":"20.03","Z":"0","e":"triggerPlaced","f":"GTC","i":"114575813313101824","o":"LIMIT","p":"178.15","q":"0",
    "r":false,"s":"SOL_USDC","t":null,"z":"0"}"""
TRIGGER_CANCELLED = """{"B":"LastPrice","E":1748289564405220,"O":"USER","P":"178.55","S":"Ask","T":1748289564404373,"V":"RejectTaker",
    "X":"Cancelled","Y":"80%","Z":"0","e":"orderCancelled","f":"GTC","i":"114575904705282048","o":"MARKET","q":"0","r":false,"s":"SOL_USDC",
    "t":null,"z":"0"}"""
POSITION = """{"B":"4236.36","E":1754943862040486,"M":"4235.88650933","P":"-0.000473","Q":"0.0010","T":1754943862040487,"b":"4238.479",
    "e":"positionOpened","f":"0.02","i":5411399049,"l":"0","m":"0.0125","n":"4.23588650933","p":"0","q":"0.0010","s":"ETH_USDC_PERP"}"""
FILL_ROW = """{"clientId":null,"fee":"0.004974","feeSymbol":"USDC","isMaker":false,"orderId":"4238907375","price":"3826.15",
    "quantity":"0.0026","side":"Bid","symbol":"ETH_USDC_PERP","systemOrderType":null,"timestamp":"2025-07-27T17:39:00.092",
    "tradeId":9748827}"""
ORDER_ROW = """{"clientId":123456789,"createdAt":1753626206762,"executedQuantity":"0","executedQuoteQuantity":"0","id":"4228978331",
    "orderType":"Limit","postOnly":true,"price":"3000","quantity":"0.001","reduceOnly":null,"relatedOrderId":null,
    "selfTradePrevention":"RejectTaker","side":"Bid","status":"New","stopLossLimitPrice":null,"stopLossTriggerBy":null,
    "stopLossTriggerPrice":null,"strategyId":null,"symbol":"ETH_USDC","takeProfitLimitPrice":null,"takeProfitTriggerBy":null,
    "takeProfitTriggerPrice":null,"timeInForce":"GTC","triggerBy":null,"triggerPrice":null,"triggerQuantity":null,"triggeredAt":null}"""
LATER = {"y"}  # keys that the documents have and the older captures have not


@pytest.fixture
def box():
    box = Sandbox()
    for symbol in (SPOT, PERP):
        box.quote(symbol)
    box.mark(15_005)
    return box


@pytest.fixture
def me(box):
    return Client(box)


def shape(value):
    """Keys with the JSON type of each."""
    return {name: type(inner) for name, inner in value.items()}


def ours_beside(captured, ours, may_have=frozenset()):
    theirs = json.loads(captured)
    assert shape({name: value for name, value in ours.items() if name not in may_have}) == shape(theirs)
    return theirs


@pytest.mark.parametrize("kind", CAPTURED)
def test_a_public_frame_has_the_captured_keys_and_types(box, me, kind):
    me.subscribe(STREAMS[kind])
    me.place(PERP, price="150.1", quantity="1")
    box.level(PERP, -1, 15_010, 500)
    box.wait(1_000_000)
    ours = me.data(STREAMS[kind])[-1]
    ours_beside(CAPTURED[kind], ours)
    assert list(ours) == sorted(ours), "keys come in alphabetical order"


def test_an_accepted_limit_order_is_told_as_it_was_captured(me):
    me.subscribe("account.orderUpdate")
    me.place(SPOT, "Ask", price="178.15", quantity="20", selfTradePrevention="RejectTaker")
    (ours,) = me.data("account.orderUpdate")
    ours_beside(ACCEPTED, ours, LATER)
    assert (ours["p"], ours["q"], ours["z"], ours["Z"], ours["Q"]) == ("178.15", "20.00", "0", "0", "3563")


def test_a_filled_market_order_is_told_as_it_was_captured(me):
    me.subscribe("account.orderUpdate")
    me.ok("POST", "/api/v1/order", {"symbol": SPOT, "side": "Bid", "orderType": "Market", "quantity": "1"})
    accepted, ours = me.data("account.orderUpdate")
    ours_beside(FILLED, ours)
    assert (accepted["e"], accepted["X"], accepted["f"], ours["l"], ours["z"], ours["n"]) == (
        "orderAccepted", "New", "GTC", "1.00", "1.00", "0.001",
    )  # fmt: skip


def test_a_waiting_limit_trigger_has_a_quote_quantity_of_nothing(me):
    me.subscribe("account.orderUpdate")
    me.ok(
        "POST", "/api/v1/order",
        {"symbol": SPOT, "side": "Ask", "orderType": "Limit", "price": "140.15", "triggerPrice": "140.05", "triggerQuantity": "2.03"},
    )  # fmt: skip
    (ours,) = me.data("account.orderUpdate")
    ours_beside(TRIGGER_PLACED, ours, LATER | {"B"})  # ours says which price it watches by default, too
    assert (ours["Q"], ours["q"], ours["Y"], ours["P"], ours["p"]) == ("0", "0", "2.03", "140.05", "140.15")


def test_a_cancelled_market_trigger_of_a_share_is_told_as_it_was_captured(me):
    me.subscribe("account.orderUpdate")
    row = me.ok(
        "POST", "/api/v1/order",
        {"symbol": SPOT, "side": "Ask", "orderType": "Market", "triggerPrice": "140.05", "triggerQuantity": "80%", "triggerBy": "LastPrice"},
    )  # fmt: skip
    me.ok("DELETE", "/api/v1/order", {"symbol": SPOT, "orderId": row["id"]})
    ours = me.data("account.orderUpdate")[-1]
    theirs = ours_beside(TRIGGER_CANCELLED, ours)
    same = ("B", "O", "S", "V", "X", "Y", "Z", "e", "f", "o", "q", "r", "t", "z")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


def test_a_position_is_told_padded_as_it_was_captured(me):
    me.subscribe("account.positionUpdate")
    me.place(PERP, price="150.1", quantity="0.1")
    (ours,) = me.data("account.positionUpdate")
    ours_beside(POSITION, ours)
    assert (ours["q"], ours["Q"], ours["l"], ours["p"]) == ("0.10", "0.10", "0", "0")


def test_the_fee_of_a_perpetual_is_rounded_as_it_was_captured(box, me):
    """0.0026 x 3826.15 x 0.05 % = 0.004973995, and the exchange's own row says 0.004974."""
    box.quote(ETH_PERP, bid=382_610, ask=382_615)
    box.mark(382_612, symbol=ETH_PERP)
    me.place(ETH_PERP, price="3826.15", quantity="0.0026")
    (ours,) = me.ok("GET", "/wapi/v1/history/fills")
    theirs = ours_beside(FILL_ROW, ours)
    same = ("clientId", "fee", "feeSymbol", "isMaker", "price", "quantity", "side", "symbol", "systemOrderType")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


def test_a_placed_order_is_answered_as_it_was_captured(me):
    theirs = json.loads(ORDER_ROW)
    asked = {name: theirs[name] for name in ("orderType", "side", "postOnly", "clientId", "selfTradePrevention")}
    ours = me.ok("POST", "/api/v1/order", {**asked, "symbol": SPOT, "price": "140", "quantity": "0.1"})
    ours_beside(ORDER_ROW, ours)
    assert [name for name in theirs if theirs[name] is None] == [name for name in ours if ours[name] is None]


@pytest.mark.parametrize("signature", ["", "x", "AAAA", "=" * 88, "A" * 87])
def test_a_signature_that_is_none_is_called_a_bad_header_and_not_a_bad_signature(box, me, signature):
    headers = {**me.headers("balanceQuery", {}), "X-Signature": signature}
    response = box.send("GET", "/api/v1/capital", headers)
    if not signature:
        assert response.status == 401  # the header is as good as missing
    else:
        said = {"code": "INVALID_CLIENT_REQUEST", "message": "Invalid X-Signature header"}
        assert (response.status, json.loads(response.body)) == (400, said)


def test_no_country_has_rules_of_its_own_here(box):
    assert box.public("/wapi/v1/country/permissions") == (200, [])
