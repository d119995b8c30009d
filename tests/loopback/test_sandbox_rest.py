"""The sandbox's REST answers, judged by their JSON alone: keys, types, units, phrases."""

import json
from decimal import Decimal

import pytest
from tests.loopback.sandbox_kit import PERP, SPOT, START_US, Client, Sandbox

from lemon_trader.sandbox.desk import Switches

ORDER_KEYS = {
    "clientId", "createdAt", "executedQuantity", "executedQuoteQuantity", "id", "orderType", "quantity", "reduceOnly", "relatedOrderId",
    "selfTradePrevention", "side", "status", "stopLossLimitPrice", "stopLossTriggerBy", "stopLossTriggerPrice", "strategyId", "symbol",
    "takeProfitLimitPrice", "takeProfitTriggerBy", "takeProfitTriggerPrice", "timeInForce", "triggerBy", "triggerPrice",
    "triggerQuantity", "triggeredAt",
}  # fmt: skip
FILL_KEYS = {
    "clientId", "fee", "feeSymbol", "isMaker", "orderId", "price", "quantity", "side", "symbol", "systemOrderType", "timestamp", "tradeId",
}  # fmt: skip
POSITION_KEYS = {
    "breakEvenPrice", "cumulativeFundingPayment", "cumulativeInterest", "entryPrice", "estLiquidationPrice", "imf", "imfFunction",
    "markPrice", "mmf", "mmfFunction", "netCost", "netExposureNotional", "netExposureQuantity", "netQuantity", "pnlRealized",
    "pnlUnrealized", "positionId", "subaccountId", "symbol", "userId",
}  # fmt: skip
NOT_FOUND = (404, {"code": "RESOURCE_NOT_FOUND", "message": "Not Found"})


@pytest.fixture
def sandbox():
    box = Sandbox()
    box.quote()
    box.quote(PERP)
    box.mark(15_005)
    return box


@pytest.fixture
def client(sandbox):
    return Client(sandbox)


# ---- public ----


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/api/v1/ping", "text/plain", b"pong"),
        ("/api/v1/time", "text/plain", str(START_US // 1000).encode()),
        ("/api/v1/status", "application/json", b'{"message":null,"status":"Ok"}'),
        ("/api/v1/securities", "application/json", b"[]"),
        ("/api/v1/nothing", "text/plain", b"not found"),
        ("/api/v1/markets/SOL_USDC", "text/plain", b"not found"),
    ],
)
def test_the_small_answers_are_exact_to_the_byte(sandbox, path, content_type, body):
    response = sandbox.send("GET", path)
    assert dict(response.headers)["Content-Type"].startswith(content_type)
    assert response.body == body


def test_json_keys_come_in_alphabetical_order(sandbox):
    keys = list(json.loads(sandbox.send("GET", "/api/v1/market?symbol=SOL_USDC").body))
    assert keys == sorted(keys)


def test_markets_carry_the_filters_that_clients_read(sandbox):
    rows = {row["symbol"]: row for row in sandbox.public("/api/v1/markets")[1]}
    assert set(rows) == {f"{base}_USDC{end}" for base in ("SOL", "BTC", "ETH") for end in ("", "_PERP")}
    spot, perp = rows[SPOT], rows[PERP]
    assert spot["marketType"] == "SPOT"
    assert perp["marketType"] == "PERP"
    for row in rows.values():
        assert Decimal(row["filters"]["price"]["tickSize"]) > 0
        assert Decimal(row["filters"]["quantity"]["stepSize"]) > 0
        assert Decimal(row["filters"]["quantity"]["minQuantity"]) > 0
        assert row["orderBookState"] == "Open"
        assert row["visible"] is True
    assert [spot[name] for name in ("imfFunction", "mmfFunction", "fundingInterval", "fundingRateUpperBound")] == [None] * 4
    assert spot["openInterestLimit"] == "0"
    assert perp["fundingInterval"] == 3_600_000
    assert perp["imfFunction"]["type"] == "sqrt"
    assert sandbox.public("/api/v1/markets?marketType=PERP")[1] == [rows[s] for s in rows if s.endswith("_PERP")]
    both = sandbox.public("/api/v1/markets?marketType=PERP&marketType=SPOT")[1]
    assert len(both) == 6


def test_depth_has_the_best_bid_last_and_bare_prices(sandbox):
    sandbox.level(SPOT, 1, 14_990, 50)
    sandbox.level(SPOT, -1, 15_100, 50)
    status, book = sandbox.public("/api/v1/depth?symbol=SOL_USDC&limit=5")
    assert status == 200
    assert book["bids"] == [["149.9", "0.5"], ["150", "10"]]
    assert book["asks"] == [["150.1", "10"], ["151", "0.5"]]
    assert book["lastUpdateId"].isdigit()
    assert book["timestamp"] == START_US


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("/api/v1/depth?symbol=NO_USDC", 400, {"code": "INVALID_CLIENT_REQUEST", "message": "Invalid market symbol"}),
        ("/api/v1/market?symbol=NO_USDC", 400, {"code": "INVALID_CLIENT_REQUEST", "message": "Invalid market symbol"}),
        ("/api/v1/markPrices?symbol=SOL_USDC", 400, {"code": "INVALID_CLIENT_REQUEST", "message": "Symbol not found"}),
        (
            "/api/v1/depth?symbol=SOL_USDC&limit=7",
            400,
            'failed to parse parameter `limit`: failed to parse "DepthLimit": Expect a valid enumeration value.',
        ),
        ("/api/v1/ticker?symbol=SOL_USDC", 204, ""),
        (
            "/api/v1/klines?symbol=SOL_USDC&interval=1m",
            400,
            'failed to parse parameter `startTime`: Type "integer(int64)" expects an input value.',
        ),
    ],
)  # fmt: skip
def test_bad_questions_are_answered_in_the_venues_words(sandbox, target, status, body):
    assert sandbox.public(target) == (status, body)


def test_a_closed_market_has_no_depth_and_no_mark(sandbox):
    sandbox.app.desk.exchange.set_book_state(PERP, "Closed", sandbox.now_us)
    assert sandbox.public(f"/api/v1/depth?symbol={PERP}") == NOT_FOUND
    assert sandbox.public("/api/v1/markPrices") == (200, [])
    assert sandbox.public(f"/api/v1/market?symbol={PERP}")[1]["orderBookState"] == "Closed"


def test_prints_tickers_and_candles_tell_the_same_trades(sandbox, client):
    client.place(price="150.1", quantity="2")
    sandbox.wait(61_000_000)
    client.place(side="Ask", price="150", quantity="1")
    rows = sandbox.public("/api/v1/trades?symbol=SOL_USDC")[1]
    assert [(row["price"], row["quantity"], row["isBuyerMaker"]) for row in rows] == [("150", "1", True), ("150.1", "2", False)]
    assert rows[0]["id"] == rows[1]["id"] + 1
    assert rows[1]["quoteQuantity"] == "300.2"
    assert rows[1]["timestamp"] == START_US // 1000
    ticker = sandbox.public("/api/v1/ticker?symbol=SOL_USDC")[1]
    assert ticker == {
        "symbol": SPOT, "firstPrice": "150.1", "lastPrice": "150", "high": "150.1", "low": "150", "priceChange": "-0.1",
        "priceChangePercent": "-0.000666", "volume": "3", "quoteVolume": "450.2", "trades": "2",
    }  # fmt: skip
    start_s = START_US // 1_000_000
    candles = sandbox.public(f"/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime={start_s - 60}")[1]
    assert [(c["open"], c["close"], c["volume"], c["trades"]) for c in candles] == [("150.1", "150.1", "2", "1"), ("150", "150", "1", "1")]
    assert candles[0]["start"] == "2026-09-21 14:13:00"
    assert candles[0]["end"] == "2026-09-21 14:14:00"
    (hour,) = sandbox.public(f"/api/v1/klines?symbol=SOL_USDC&interval=1h&startTime={start_s - 3600}")[1]
    assert [hour[k] for k in ("open", "high", "low", "close", "volume", "quoteVolume")] == ["150.1", "150.1", "150", "150", "3", "450.2"]


def test_funding_rates_begin_with_the_interval_in_progress(sandbox, client):
    client.place(PERP, price="150.1", quantity="2")
    assert sandbox.public(f"/api/v1/fundingRates?symbol={PERP}")[1] == [
        {"fundingRate": "0.0000125", "intervalEndTimestamp": "2026-09-21T15:00:00", "symbol": PERP}
    ]
    sandbox.wait(3_600_000_000)
    rows = sandbox.public(f"/api/v1/fundingRates?symbol={PERP}")[1]
    assert [row["intervalEndTimestamp"] for row in rows] == ["2026-09-21T16:00:00", "2026-09-21T15:00:00"]
    (paid,) = client.ok("GET", "/wapi/v1/history/funding")
    assert Decimal(paid["quantity"]) == -Decimal("0.0000125") * 2 * Decimal("150.05")
    (mark,) = sandbox.public(f"/api/v1/markPrices?symbol={PERP}")[1]
    assert mark["nextFundingTimestamp"] % 3_600_000 == 0
    assert sandbox.public(f"/api/v1/openInterest?symbol={PERP}")[1][0]["openInterest"] == "2"


# ---- orders ----


def test_a_limit_order_has_every_key_and_explicit_nulls(client):
    row = client.place(price="149.5", quantity="0.5", clientId=123_456_789, postOnly=True)
    assert set(row) == ORDER_KEYS | {"price", "postOnly"}
    assert row["clientId"] == 123_456_789
    assert row["createdAt"] == START_US // 1000
    assert row["id"].isdigit()
    assert (row["status"], row["price"], row["quantity"], row["executedQuantity"]) == ("New", "149.5", "0.5", "0")
    assert (row["timeInForce"], row["selfTradePrevention"], row["reduceOnly"], row["postOnly"]) == ("GTC", "RejectTaker", None, True)
    assert client.ok("GET", "/api/v1/orders", {"symbol": SPOT}) == [row]
    assert client.ok("GET", "/api/v1/order", {"symbol": SPOT, "clientId": 123_456_789}) == row
    assert client.ok("GET", "/api/v1/capital")["USDC"] == {"available": "9925.25", "locked": "74.75", "staked": "0"}
    gone = client.ok("DELETE", "/api/v1/order", {"symbol": SPOT, "orderId": row["id"]})
    assert gone == {**row, "status": "Cancelled"}
    for method in ("GET", "DELETE"):
        assert client.call(method, "/api/v1/order", {"symbol": SPOT, "orderId": row["id"]}) == NOT_FOUND


def test_a_market_order_has_no_price_and_says_what_it_spent(client):
    row = client.ok("POST", "/api/v1/order", {"symbol": SPOT, "side": "Bid", "orderType": "Market", "quoteQuantity": "301"})
    assert set(row) == ORDER_KEYS | {"quoteQuantity"}
    assert (row["status"], row["executedQuantity"], row["executedQuoteQuantity"]) == ("Filled", "2", "300.2")
    (fill,) = client.ok("GET", "/wapi/v1/history/fills", {"symbol": SPOT})
    assert set(fill) == FILL_KEYS
    assert (fill["fee"], fill["feeSymbol"], fill["isMaker"], fill["clientId"]) == ("0.002", "SOL", False, None)
    assert (fill["timestamp"], type(fill["tradeId"])) == ("2026-09-21T14:13:20.000", int)
    assert client.ok("GET", "/api/v1/capital")["SOL"]["available"] == "21.998"


def test_a_sell_pays_its_fee_in_quote(client):
    client.place(side="Ask", price="150", quantity="2", clientId=7)
    (fill,) = client.ok("GET", "/wapi/v1/history/fills", {"fillType": "User"})
    assert (fill["fee"], fill["feeSymbol"], fill["clientId"]) == ("0.3", "USDC", "7")


def test_a_pending_trigger_shows_its_size_in_trigger_quantity(client):
    client.place(PERP, price="150.1", quantity="2")
    trigger = {"symbol": PERP, "side": "Ask", "orderType": "Market", "triggerPrice": "140", "triggerQuantity": "80%", "reduceOnly": True}
    row = client.ok("POST", "/api/v1/order", {**trigger, "triggerBy": "MarkPrice"})
    assert [row[name] for name in ("status", "quantity", "triggerQuantity", "triggerPrice", "triggerBy", "reduceOnly")] == [
        "TriggerPending", "0", "80%", "140", "MarkPrice", True,
    ]  # fmt: skip
    client.sandbox.mark(13_999)
    child, parent = client.ok("GET", "/wapi/v1/history/orders", {"symbol": PERP})[:2]
    assert (child["relatedOrderId"], child["executedQuantity"]) == (row["id"], "1.6")
    assert parent["id"] == row["id"]


@pytest.mark.parametrize(
    ("name", "fields", "code", "message"),
    [
        ("post-only that would take", {"price": "150.1", "quantity": "1", "postOnly": True}, "INVALID_ORDER",
         "Order would immediately match and take liquidity"),
        ("too many decimals", {"price": "150.001", "quantity": "1"}, "INVALID_CLIENT_REQUEST", "Price decimal too long"),
        ("no money", {"price": "149", "quantity": "1000"}, "INSUFFICIENT_FUNDS", None),
        ("far from the last price", {"price": "20", "quantity": "1"}, "INVALID_PRICE", "Price is too far from the last active price"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_refusals_are_400_with_the_code_and_the_phrase(client, name, fields, code, message):
    client.place(price="150.1", quantity="1")  # a last price
    status, body = client.call("POST", "/api/v1/order", {"symbol": SPOT, "side": "Bid", "orderType": "Limit", **fields})
    assert (status, body["code"]) == (400, code)
    assert message is None or body["message"] == message


def test_parse_errors_are_plain_text(client):
    response = client.response("POST", "/api/v1/order", {"symbol": "NO_USDC", "side": "Bid", "orderType": "Limit"})
    assert response.status == 400
    assert dict(response.headers)["Content-Type"].startswith("text/plain")
    assert b"Invalid market symbol" in response.body


def test_a_batch_answers_each_order_in_its_place(client):
    good = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "149", "quantity": "1"}
    rows = client.ok("POST", "/api/v1/orders", [
        {**good, "clientId": 1}, {**good, "price": "150.1", "postOnly": True}, {**good, "price": "1.001"}, {**good, "clientId": 2},
    ])  # fmt: skip
    assert [row["operation"] for row in rows] == ["Ok", "Err", "Err", "Ok"]
    assert set(rows[0]) == ORDER_KEYS | {"price", "postOnly", "operation"}
    assert rows[1] == {
        "operation": "Err", "code": "INVALID_ORDER", "message": "Order would immediately match and take liquidity",
    }  # fmt: skip
    assert rows[2]["message"] == "Price decimal too long"
    assert [row["clientId"] for row in client.ok("GET", "/api/v1/orders")] == [1, 2]


def test_a_batch_that_cannot_be_read_fails_whole(client):
    good = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "149", "quantity": "1"}
    assert client.call("POST", "/api/v1/orders", [good, {**good, "side": "Buy"}])[0] == 400
    assert client.ok("GET", "/api/v1/orders") == []


def test_cancel_all_is_of_one_market_and_one_kind(client):
    resting = client.place(price="149", quantity="1")
    trigger = {"symbol": SPOT, "side": "Ask", "orderType": "Limit", "price": "139", "triggerPrice": "140", "triggerQuantity": "1"}
    pending = client.ok("POST", "/api/v1/order", trigger)
    elsewhere = client.place(PERP, price="149", quantity="1")
    gone = client.ok("DELETE", "/api/v1/orders", {"symbol": SPOT, "orderType": "RestingLimitOrder"})
    assert [row["id"] for row in gone] == [resting["id"]]
    assert [row["id"] for row in client.ok("DELETE", "/api/v1/orders", {"symbol": SPOT})] == [pending["id"]]
    assert client.ok("DELETE", "/api/v1/orders", {"symbol": SPOT}) == []
    assert [row["id"] for row in client.ok("GET", "/api/v1/orders")] == [elsewhere["id"]]


# ---- the account ----


def test_a_position_has_every_key_and_the_fees_in_its_break_even(sandbox, client):
    assert client.ok("GET", "/api/v1/position") == []
    assert client.call("GET", "/api/v1/position", {"symbol": PERP}) == NOT_FOUND
    client.place(PERP, price="150.1", quantity="2")
    (row,) = client.ok("GET", "/api/v1/position")
    assert set(row) == POSITION_KEYS
    assert (row["netQuantity"], row["netCost"], row["entryPrice"], row["markPrice"]) == ("2", "300.2", "150.1", "150.05")
    assert Decimal(row["breakEvenPrice"]) == (Decimal("300.2") + Decimal("300.2") * Decimal("0.0005")) / 2
    assert (row["pnlUnrealized"], row["estLiquidationPrice"], row["positionId"].isdigit()) == ("-0.1", "0", True)
    client.place(PERP, price="140", quantity="3")
    assert client.ok("GET", "/api/v1/position")[0]["netExposureQuantity"] == "5"
    client.place(PERP, "Ask", price="149", quantity="2", reduceOnly=True)
    assert client.ok("GET", "/api/v1/position") == []
    (closed,) = client.ok("GET", "/wapi/v1/history/position", {"state": "Closed"})
    assert (closed["state"], closed["closingPrice"], closed["cumulativePnlRealized"]) == ("Closed", "150", "-0.2")


def test_the_liquidation_price_of_one_symbol_is_where_equity_meets_maintenance():
    box = Sandbox(balances={"USDC": "1000"})
    box.quote(PERP, lots=100_000)
    box.mark(15_010)
    client = Client(box)
    client.place(PERP, price="150.1", quantity="60")
    (row,) = client.ok("GET", "/api/v1/position", {"symbol": PERP})
    equity = Decimal(1000) - 60 * Decimal("150.1") * Decimal("0.0005")
    price = Decimal(row["estLiquidationPrice"])
    assert abs(equity + 60 * (price - Decimal("150.1")) - 60 * price * Decimal("0.0135")) < 2


def test_account_tells_tier_one_and_counts_open_orders(client):
    client.place(price="149", quantity="1")
    row = client.ok("GET", "/api/v1/account")
    assert [row[name] for name in ("spotMakerFee", "spotTakerFee", "futuresMakerFee", "futuresTakerFee")] == ["8", "10", "2", "5"]
    assert (row["limitOrders"], row["triggerOrders"], row["liquidating"], row["autoLend"]) == (1, 0, False, False)
    response = client.response("PATCH", "/api/v1/account", {"leverageLimit": "5", "autoLend": False})
    assert (response.status, response.body) == (200, b"")
    assert client.ok("GET", "/api/v1/account")["leverageLimit"] == "5"
    assert client.call("PATCH", "/api/v1/account", {"leverageLimit": "51"})[1]["code"] == "MAX_LEVERAGE_REACHED"
    assert client.call("PATCH", "/api/v1/account", {"leverageLimit": "9" * 18})[0] == 400
    assert client.call("PATCH", "/api/v1/account", {"autoLend": "yes"})[0] == 400


def test_collateral_adds_up(client):
    client.place(PERP, price="150.1", quantity="2")
    body = client.ok("GET", "/api/v1/capital/collateral")
    usdc = Decimal(10_000) - Decimal("300.2") * Decimal("0.0005")
    sol = 20 * Decimal(body["collateral"][1]["assetMarkPrice"]) * Decimal("0.9")
    assert [Decimal(row["collateralValue"]) for row in body["collateral"][:2]] == [usdc, sol]
    assert Decimal(body["netEquity"]) == usdc + sol - Decimal("0.1")
    assert Decimal(body["netEquityAvailable"]) == Decimal(body["netEquity"]) - Decimal(body["netEquityLocked"])
    assert body["netExposureFutures"] == "300.1"
    assert {row["symbol"] for row in body["collateral"]} == {"USDC", "SOL", "BTC", "ETH"}


def test_the_largest_order_can_be_placed_and_no_larger_one(client):
    question = {"symbol": SPOT, "side": "Bid", "price": "149", "reduceOnly": False}
    answer = client.ok("GET", "/api/v1/account/limits/order", question)
    most = Decimal(answer["maxOrderQuantity"])
    order = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "149"}
    assert client.call("POST", "/api/v1/order", {**order, "quantity": str(most + Decimal("0.01"))})[1]["code"] == "INSUFFICIENT_FUNDS"
    assert client.ok("POST", "/api/v1/order", {**order, "quantity": str(most)})["status"] == "New"


def test_histories_page_filter_and_turn_around(sandbox, client):
    for number in range(5):
        client.place(price="150.1", quantity="0.1", clientId=number)
        sandbox.wait(1_000_000)
    client.place(PERP, price="150.1", quantity="1")
    every = client.ok("GET", "/wapi/v1/history/fills")
    assert [row["clientId"] for row in every] == [None, "4", "3", "2", "1", "0"]
    assert client.ok("GET", "/wapi/v1/history/fills", {"sortDirection": "Asc"}) == every[::-1]
    assert client.ok("GET", "/wapi/v1/history/fills", {"limit": 2, "offset": 3}) == every[3:5]
    assert client.ok("GET", "/wapi/v1/history/fills", {"marketType": "PERP"}) == every[:1]
    assert client.ok("GET", "/wapi/v1/history/fills", {"orderId": every[2]["orderId"]}) == [every[2]]
    start_ms = START_US // 1000
    within = client.ok("GET", "/wapi/v1/history/fills", {"from": start_ms + 1_000, "to": start_ms + 2_000})
    assert [row["clientId"] for row in within] == ["2", "1"]
    assert client.ok("GET", "/wapi/v1/history/fills", {"fillType": "Liquidation"}) == []
    assert client.call("GET", "/wapi/v1/history/fills", {"limit": 1_001})[0] == 400
    orders = client.ok("GET", "/wapi/v1/history/orders", {"symbol": SPOT})
    assert set(orders[0]) == ORDER_KEYS | {"price", "postOnly", "expiryReason", "systemOrderType"}
    assert orders[0]["createdAt"] == "2026-09-21T14:13:24.000"


def test_why_an_order_expired_stands_in_its_history(client):
    row = client.place(price="149", quantity="1", timeInForce="IOC")
    assert row["status"] == "Expired"
    assert client.ok("GET", "/wapi/v1/history/orders")[0]["expiryReason"] == "ImmediateOrCancel"


# ---- the edge ----


def test_what_is_not_offered_is_refused_by_name_and_only_to_those_who_signed(sandbox, client):
    for method, path in (("POST", "/wapi/v1/capital/withdrawals"), ("POST", "/api/v1/rfq")):
        assert client.call(method, path, {"quantity": "1"})[1]["code"] == "NOT_IMPLEMENTED"
        assert sandbox.send(method, path, {}, b"{}").status == 401
    assert sandbox.send("PUT", "/api/v1/order").status == 405


def test_a_key_that_nobody_knows_and_a_wrong_key_are_refused(sandbox, client):
    headers = client.headers("balanceQuery", {})
    assert sandbox.send("GET", "/api/v1/capital", headers).status == 200
    other = {**headers, "X-API-Key": Client(sandbox, 1).key.api_key}
    assert json.loads(sandbox.send("GET", "/api/v1/capital", other).body)["message"] == "Invalid signature"
    assert sandbox.send("GET", "/api/v1/capital", {**headers, "X-API-Key": "nobody"}).status == 401


def test_a_signed_time_of_the_wall_is_as_good_as_the_exchanges(sandbox, client):
    wall_us = sandbox.now_us - 90_000_000_000
    headers = client.headers("balanceQuery", {}, timestamp=wall_us // 1000)
    args = ("GET", "/api/v1/capital", headers, b"", sandbox.now_us)
    assert sandbox.app.handle(*args, wall_us=wall_us).status == 200
    assert b"within 10 minutes" in sandbox.app.handle(*args).body


def test_too_many_requests_of_one_account_leave_the_other_alone():
    box = Sandbox(switches=Switches(requests_per_minute=3))
    box.wait(60_000_000 - box.now_us % 60_000_000)
    first, second = Client(box), Client(box, 1)
    assert [first.call("GET", "/api/v1/capital")[0] for _ in range(4)] == [200, 200, 200, 429]
    assert first.call("GET", "/api/v1/capital")[1]["code"] == "TOO_MANY_REQUESTS"
    assert second.call("GET", "/api/v1/capital")[0] == 200
    box.wait(60_000_000)
    assert first.call("GET", "/api/v1/capital")[0] == 200


def test_candles_have_a_limit_of_their_own(sandbox):
    answers = [sandbox.public("/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime=0")[0] for _ in range(31)]
    assert answers == [200] * 30 + [429]
    assert sandbox.public("/api/v1/trades?symbol=SOL_USDC")[0] == 200


def test_hmac_accounts_trade_as_well():
    import base64
    import hmac

    box = Sandbox(scheme="hmac-sha256")
    key = box.world.accounts[0]
    stamp = box.now_us // 1000
    message = f"instruction=balanceQuery&timestamp={stamp}&window=5000".encode()
    signature = base64.b64encode(hmac.digest(key.secret.encode(), message, "sha256")).decode()
    headers = {"X-API-Key": key.api_key, "X-Signature": signature, "X-Timestamp": str(stamp), "X-Window": "5000"}
    assert box.send("GET", "/api/v1/capital", headers).status == 200
    assert box.send("GET", "/api/v1/capital", {**headers, "X-Signature": signature[::-1]}).status == 400


def test_the_same_seed_gives_the_same_keys_and_another_seed_others():
    keys = [[account.api_key for account in Sandbox(seed=seed).world.accounts] for seed in (1, 1, 2)]
    assert keys[0] == keys[1]
    assert not set(keys[0]) & set(keys[2])
