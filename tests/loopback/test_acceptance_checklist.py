"""The reference's acceptance checklist (§11), a test for each of its ten lines: what strangers' clients rely on."""

import json
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.loopback.sandbox_kit import PERP, SPOT, START_US, STATED_MARKS, Client, Sandbox, sign

from lemon_trader.sandbox.desk import Switches

LIMIT = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "149", "quantity": "1"}


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


def headers_of(response):
    return dict(response.headers)


# ---- 1 ----

PUBLIC_JSON = {
    "status": dict, "markets": list, "assets": list, "securities": list, "tickers": list, f"ticker?symbol={SPOT}": dict,
    f"depth?symbol={SPOT}": dict, f"klines?symbol={SPOT}&interval=1m&startTime=1789999000": list, f"trades?symbol={SPOT}": list,
    f"trades/history?symbol={SPOT}": list, "markPrices": list, "openInterest": list, f"fundingRates?symbol={PERP}": list,
}  # fmt: skip


@pytest.mark.parametrize("path", PUBLIC_JSON)
def test_1_public_endpoints_answer_json(box, me, path):
    me.place(price="150.1", quantity="1")
    response = box.send("GET", f"/api/v1/{path}")
    assert response.status == 200
    assert headers_of(response)["Content-Type"].startswith("application/json")
    body = json.loads(response.body)
    assert type(body) is PUBLIC_JSON[path]
    assert body or path == "securities"
    if path == "securities":
        assert body == []
    rows = body if isinstance(body, list) else [body]
    assert all(list(row) == sorted(row) for row in rows), "keys come in alphabetical order"


@pytest.mark.parametrize(("path", "text"), [("time", str(START_US // 1000)), ("ping", "pong")])
def test_1_time_and_ping_are_plain_text(box, path, text):
    response = box.send("GET", f"/api/v1/{path}")
    assert (response.body.decode(), headers_of(response)["Content-Type"].split(";")[0]) == (text, "text/plain")


def test_1_a_ticker_without_trades_has_no_body(box):
    response = box.send("GET", f"/api/v1/ticker?symbol={SPOT}")
    assert (response.status, response.body) == (204, b"")


@pytest.mark.parametrize(
    ("path", "cache"),
    [
        ("markets", "s-maxage=300, stale-while-revalidate=600"),
        ("markPrices", "s-maxage=1, stale-while-revalidate=3, stale-if-error=3600"),
        (f"depth?symbol={SPOT}", None),
    ],
)
def test_1_caches_are_told_what_the_exchange_tells_them(box, path, cache):
    assert headers_of(box.send("GET", f"/api/v1/{path}")).get("Cache-Control") == cache


def test_1_units_and_order_of_public_rows(box, me):
    me.place(price="150.1", quantity="1")
    box.wait(1_000)
    me.place(price="150.1", quantity="2")
    box.level(SPOT, 1, 14_990, 5)
    depth = box.public(f"/api/v1/depth?symbol={SPOT}")[1]
    assert [price for price, _ in depth["bids"]] == ["149.9", "150"], "bids ascend: the best is the last; prices are not padded"
    assert (type(depth["lastUpdateId"]), depth["timestamp"] // 10**15) == (str, 1), "microseconds"
    new, old = box.public(f"/api/v1/trades?symbol={SPOT}")[1]
    assert (new["id"], new["timestamp"] - old["timestamp"], new["quantity"]) == (old["id"] + 1, 1, "2")
    (candle,) = box.public(f"/api/v1/klines?symbol={SPOT}&interval=1m&startTime={START_US // 10**6 - 60}")[1]
    assert (candle["start"], candle["trades"], candle["volume"], candle["quoteVolume"]) == ("2026-09-21 14:13:00", "2", "3", "450.3")
    assert box.public("/api/v1/markets")[1][0]["createdAt"].startswith("2026-09-21T14:13:20")
    (mark,) = box.public(f"/api/v1/markPrices?symbol={PERP}")[1]
    assert set(mark) == {"fundingRate", "indexPrice", "markPrice", "nextFundingTimestamp", "symbol"}
    assert mark["nextFundingTimestamp"] % 3_600_000 == 0
    assert box.public(f"/api/v1/fundingRates?symbol={PERP}")[1][0]["intervalEndTimestamp"] == "2026-09-21T15:00:00"


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("depth?symbol=NO_USDC", 400, {"code": "INVALID_CLIENT_REQUEST", "message": "Invalid market symbol"}),
        ("market?symbol=NO_USDC", 400, {"code": "INVALID_CLIENT_REQUEST", "message": "Invalid market symbol"}),
        ("markPrices?symbol=NO_USDC", 400, {"code": "INVALID_CLIENT_REQUEST", "message": "Symbol not found"}),
        (f"depth?symbol={SPOT}&limit=7", 400,
         'failed to parse parameter `limit`: failed to parse "DepthLimit": Expect a valid enumeration value.'),
        ("markets/SOL_USDC", 404, "not found"),
    ],
)  # fmt: skip
def test_1_errors_of_public_endpoints_have_the_exact_text(box, path, status, said):
    assert box.public(f"/api/v1/{path}") == (status, said)


def test_1_a_closed_market_has_no_depth_and_no_mark(box):
    box.app.desk.exchange.set_book_state(PERP, "Closed", box.now_us)
    assert box.public(f"/api/v1/depth?symbol={PERP}") == (404, {"code": "RESOURCE_NOT_FOUND", "message": "Not Found"})
    assert box.public(f"/api/v1/markPrices?symbol={PERP}")[1]["message"] == "Symbol not found"
    assert PERP not in {row["symbol"] for row in box.public("/api/v1/markPrices")[1]}
    assert {row["symbol"]: row["orderBookState"] for row in box.public("/api/v1/markets")[1]}[PERP] == "Closed"


def test_1_maintenance_is_announced_by_the_status_and_refuses_private_requests(box, me):
    assert box.public("/api/v1/status")[1] == {"message": None, "status": "Ok"}
    box.app.faults.maintenance = True
    assert box.public("/api/v1/status")[1]["status"] == "Maintenance"
    status, body = me.call("GET", "/api/v1/capital")
    assert (status, body["code"]) == (503, "MAINTENANCE")
    assert box.public("/api/v1/markets")[0] == 200


# ---- 2 ----


def signed(box, me, message, method="GET", target="/api/v1/capital", body=b"", window="5000", at_ms=None, **more):
    stamp = str(box.now_us // 1000 if at_ms is None else at_ms)
    full = f"{message}&timestamp={stamp}&window={window}"
    headers = {"x-api-key": me.key.api_key, "X-SIGNATURE": sign(me.key.secret, full), "X-Timestamp": stamp, **more}
    if window != "5000":
        headers["X-Window"] = window
    return box.send(method, target, headers, body)


def test_2_a_window_that_is_not_sent_is_5000_and_header_names_have_no_case(box, me):
    assert signed(box, me, "instruction=balanceQuery").status == 200


@pytest.mark.parametrize(
    ("age_ms", "window", "said"),
    [
        (0, "60000", None),
        (59_000, "60000", None),
        (5_001, "5000", "Request has expired"),
        (0, "60001", "Invalid window: must be between 1 and 60000"),
        (700_000, "60000", "Invalid timestamp: must be within 10 minutes of current time"),
        (-700_000, "60000", "Invalid timestamp: must be within 10 minutes of current time"),
    ],
)
def test_2_windows_and_expiry_are_enforced(box, me, age_ms, window, said):
    response = signed(box, me, "instruction=balanceQuery", window=window, at_ms=box.now_us // 1000 - age_ms)
    if said is None:
        assert response.status == 200
    else:
        assert (response.status, json.loads(response.body)) == (400, {"code": "INVALID_CLIENT_REQUEST", "message": said})


DELETE_TEXT = f"instruction=orderCancelAll&symbol={SPOT}"


@pytest.mark.parametrize(
    ("name", "message", "target", "body"),
    [
        ("body alone", DELETE_TEXT, "/api/v1/orders", {"symbol": SPOT}),
        ("the same in query and body, signed once", DELETE_TEXT, f"/api/v1/orders?symbol={SPOT}", {"symbol": SPOT}),
        ("query, then body", f"instruction=orderCancelAll&a=1&symbol={SPOT}", "/api/v1/orders?a=1", {"symbol": SPOT}),
        ("a null is not signed", DELETE_TEXT, "/api/v1/orders", {"symbol": SPOT, "orderType": None}),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_2_clients_sign_in_ways_of_their_own(box, me, name, message, target, body):
    assert signed(box, me, message, "DELETE", target, json.dumps(body).encode()).status == 200


def test_2_a_percentage_may_be_signed_percent_encoded_and_keys_in_any_order(box, me):
    me.place(PERP, price="150.1", quantity="1")
    order = {"symbol": PERP, "side": "Ask", "orderType": "Market", "triggerQuantity": "80%", "triggerPrice": "140"}
    for quantity in ("80%", "80%25"):
        pairs = sorted({**order, "triggerQuantity": quantity}.items())
        text = "&".join(["instruction=orderExecute", *(f"{name}={value}" for name, value in pairs)])
        assert signed(box, me, text, "POST", "/api/v1/order", json.dumps(order).encode()).status == 200


def test_2_a_wrong_signature_is_400_with_json(box, me):
    response = signed(box, me, "instruction=accountQuery")
    assert (response.status, json.loads(response.body)) == (400, {"code": "INVALID_CLIENT_REQUEST", "message": "Invalid signature"})


# ---- 3 ----


@pytest.mark.parametrize("client_id", [7, "7"])
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded"])
def test_3_bodies_of_deletes_numeric_client_ids_and_strange_headers_are_taken(box, me, client_id, content_type):
    me.place(price="149", quantity="1", clientId=client_id)
    params = {"symbol": SPOT, "clientId": client_id}
    headers = {**me.headers("orderCancel", params), "Content-Type": content_type, "X-Broker-Id": "1500", "X-Nobody-Knows": "this"}
    response = box.send("DELETE", "/api/v1/order", headers, json.dumps(params).encode())
    assert (response.status, json.loads(response.body)["clientId"]) == (200, 7)
    text = {"symbol": SPOT}
    got = box.send("GET", f"/api/v1/orders?symbol={SPOT}", {**me.headers("orderQueryAll", text), "Content-Type": content_type})
    assert got.status == 200
    patch = {"autoLend": False}
    assert box.send("PATCH", "/api/v1/account", me.headers("accountUpdate", patch), json.dumps(patch).encode()).status == 200


@pytest.mark.parametrize("client_id", [2**32, -1, "abc", "1.5"])
def test_3_a_client_id_is_a_u32(box, me, client_id):
    assert me.call("POST", "/api/v1/order", {**LIMIT, "clientId": client_id})[0] == 400


# ---- 4 ----


def test_4_numbers_strings_and_nulls_stand_where_clients_expect_them(box, me):
    row = me.place(price="149", quantity="1", clientId=7)
    assert [type(row[name]) for name in ("createdAt", "clientId", "id", "price", "quantity")] == [int, int, str, str, str]
    assert {"triggerPrice", "triggeredAt", "relatedOrderId", "strategyId", "reduceOnly", "stopLossTriggerBy"} <= {
        name for name, value in row.items() if value is None
    }
    assert "quoteQuantity" not in row
    market = me.ok("POST", "/api/v1/order", {"symbol": SPOT, "side": "Bid", "orderType": "Market", "quantity": "1"})
    assert ("price" in market, "postOnly" in market, type(market["quoteQuantity"]), market["timeInForce"]) == (False, False, str, "GTC")
    (fill,) = me.ok("GET", "/wapi/v1/history/fills")
    assert [type(fill[name]) for name in ("tradeId", "orderId", "price", "timestamp")] == [int, str, str, str]
    (history,) = me.ok("GET", "/wapi/v1/history/orders", {"orderId": market["id"]})
    assert history["createdAt"] == "2026-09-21T14:13:20.000"


# ---- 5 ----


def test_5_a_cancel_gives_the_order_back_a_cancel_all_a_list_and_a_patch_nothing(box, me):
    first, second = (me.place(price="149", quantity="1") for _ in range(2))
    assert me.ok("DELETE", "/api/v1/order", {"symbol": SPOT, "orderId": first["id"]}) == {**first, "status": "Cancelled"}
    assert me.ok("DELETE", "/api/v1/orders", {"symbol": SPOT}) == [{**second, "status": "Cancelled"}]
    assert me.ok("DELETE", "/api/v1/orders", {"symbol": SPOT}) == []
    response = me.response("PATCH", "/api/v1/account", {"leverageLimit": "10"})
    assert (response.status, response.body) == (200, b"")


# ---- 6 ----


def test_6_a_batch_answers_in_order_with_an_operation_each(box, me):
    rows = me.ok("POST", "/api/v1/orders", [LIMIT, {**LIMIT, "price": "150.1", "postOnly": True}, {**LIMIT, "price": "148"}])
    assert [(row["operation"], row.get("price"), row.get("code")) for row in rows] == [
        ("Ok", "149", None), ("Err", None, "INVALID_ORDER"), ("Ok", "148", None),
    ]  # fmt: skip


# ---- 7 ----


def test_7_one_counter_for_deltas_touch_and_snapshot_and_eleven_frames_of_a_quiet_book(box, me):
    me.subscribe(f"depth.{SPOT}", f"bookTicker.{SPOT}")
    for _ in range(30):
        box.wait(100_000)
    me.place(price="150.05", quantity="1")
    frames = me.data(f"depth.{SPOT}")
    assert len(frames) >= 11
    assert all(frame["U"] == frame["u"] for frame in frames)
    assert [frame["u"] for frame in frames] == list(range(frames[0]["u"], frames[0]["u"] + len(frames)))
    assert me.data(f"bookTicker.{SPOT}")[-1]["u"] == frames[-1]["u"] == int(box.public(f"/api/v1/depth?symbol={SPOT}")[1]["lastUpdateId"])


# ---- 8 ----


def test_8_subscriptions_are_not_acknowledged_and_repeated_ones_are_one(box, me):
    me.subscribe(f"trade.{SPOT}")
    me.session.receive(json.dumps({"method": "SUBSCRIBE", "params": [f"trade.{SPOT}"], "id": 5}), box.now_us)
    me.subscribe("trade.NO_USDC", "depth.NO_USDC", "account.orderUpdate.NO_USDC", "account.rfqUpdate")
    assert me.frames == []
    me.place(price="150.1", quantity="1")
    assert len(me.frames) == 1
    me.subscribe(f"trade.{SPOT}", method="UNSUBSCRIBE")
    me.place(price="150.1", quantity="1")
    assert len(me.frames) == 1


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        ("{", 4002, "Parse error"),
        ('{"method":"PING","params":[]}', 4002, "Parse error"),
        ('{"method":"SUBSCRIBE","params":["weather.SOL_USDC"]}', 4006, "Invalid stream"),
        ('{"method":"SUBSCRIBE","params":["depth.300ms.SOL_USDC"]}', 4008, "Invalid depth window"),
    ],
)
def test_8_errors_have_their_codes_and_leave_the_socket_open(box, me, message, code, text):
    me.session.receive(message, box.now_us)
    assert me.frames == [{"id": None, "error": {"code": code, "message": text}}]
    assert me.ended == []


def test_8_orders_are_accepted_before_they_fill_and_times_are_microseconds(box, me):
    me.subscribe("account.orderUpdate", f"account.orderUpdate.{SPOT}")
    me.place(price="150.1", quantity="1", clientId=3)
    accepted, fill = me.data("account.orderUpdate")
    assert me.data(f"account.orderUpdate.{SPOT}") == [accepted, fill]
    assert [(event["e"], event["X"]) for event in (accepted, fill)] == [("orderAccepted", "New"), ("orderFill", "Filled")]
    assert (accepted["t"], type(fill["t"]), fill["o"], fill["c"], fill["r"], fill["O"]) == (None, int, "LIMIT", 3, False, "USER")
    assert (fill["E"], fill["T"]) == (START_US, START_US)
    assert (fill["p"], fill["q"], fill["L"], fill["l"]) == ("150.10", "1.00", "150.10", "1.00"), "padded"


def test_8_positions_are_told_on_subscription_without_e(box, me):
    me.place(PERP, price="150.1", quantity="2")
    me.subscribe("account.positionUpdate")
    (snapshot,) = me.data("account.positionUpdate")
    assert ("e" in snapshot, snapshot["q"], snapshot["l"], type(snapshot["i"])) == (False, "2.00", "0", int)
    assert all(isinstance(snapshot[name], str) for name in "qQnBbMfmpPl")
    me.place(PERP, "Ask", price="150", quantity="2", reduceOnly=True)
    assert me.data("account.positionUpdate")[-1]["e"] == "positionClosed"


def test_8_candles_carry_naive_times_and_no_quote_volume(box, me):
    me.subscribe(f"kline.1m.{SPOT}")
    me.place(price="150.1", quantity="1")
    box.wait(1_000_000)
    (candle,) = me.data(f"kline.1m.{SPOT}")
    assert (candle["t"], candle["T"], candle["X"], candle["n"]) == ("2026-09-21T14:13:00", "2026-09-21T14:14:00", False, 1)
    assert "V" not in candle


# ---- 9 ----


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"price": "150.1", "postOnly": True}, "INVALID_ORDER", "Order would immediately match and take liquidity"),
        ({"price": "149.001"}, "INVALID_CLIENT_REQUEST", "Price decimal too long"),
        ({"quantity": "1.001"}, "INVALID_CLIENT_REQUEST", "Quantity decimal too long"),
        ({"quantity": "0"}, "INVALID_CLIENT_REQUEST", "Quantity is below the minimum allowed value"),
        ({"triggerPrice": "150"}, "INVALID_CLIENT_REQUEST", "Must specify both `triggerPrice` and `triggerQuantity` or neither"),
    ],
)
def test_9_refusals_have_the_phrases_that_clients_look_for(box, me, fields, code, message):
    assert me.call("POST", "/api/v1/order", {**LIMIT, **fields}) == (400, {"code": code, "message": message})


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_9_what_is_not_there_is_not_found(me, method):
    assert me.call(method, "/api/v1/order", {"symbol": SPOT, "orderId": "1"}) == (
        404, {"code": "RESOURCE_NOT_FOUND", "message": "Not Found"},
    )  # fmt: skip
    assert me.call(method, "/api/v1/order", {"symbol": SPOT, "orderId": "1", "clientId": 1})[0] == 400


def test_9_an_order_of_no_market_is_a_plain_text_parse_error(me):
    said = (
        'parse request payload error: failed to parse "MarketSymbol": Invalid market symbol (occurred while parsing "OrderExecutePayload")'
    )
    assert me.call("POST", "/api/v1/order", {**LIMIT, "symbol": "NO_USDC"}) == (400, said)


def test_9_reduce_only_that_reduces_nothing_says_so(me):
    status, body = me.call("POST", "/api/v1/order", {**LIMIT, "symbol": PERP, "reduceOnly": True})
    assert (status, "Reduce only" in body["message"]) == (400, True)


# ---- 10 ----


def test_10_fees_are_paid_in_the_coin_received_and_perpetuals_in_quote(box, me):
    me.place(price="150.1", quantity="1")
    me.place(SPOT, "Ask", price="150", quantity="1")
    me.place(PERP, price="150.1", quantity="1")
    perp, sell, buy = me.ok("GET", "/wapi/v1/history/fills")
    assert [(fill["fee"], fill["feeSymbol"]) for fill in (buy, sell, perp)] == [("0.001", "SOL"), ("0.15", "USDC"), ("0.07505", "USDC")]
    row = me.ok("GET", "/api/v1/account")
    assert [row[name] for name in ("spotMakerFee", "spotTakerFee", "futuresMakerFee", "futuresTakerFee")] == ["8", "10", "2", "5"]


def test_10_funding_is_paid_on_the_hour(box, me):
    me.place(PERP, price="150.1", quantity="2")
    box.wait(3_600_000_000)
    (paid,) = me.ok("GET", "/wapi/v1/history/funding")
    assert paid["intervalEndTimestamp"] == "2026-09-21T15:00:00"
    assert Decimal(paid["quantity"]) == -2 * Decimal("150.05") * Decimal(paid["fundingRate"])


@pytest.mark.parametrize("delay_us", [0, 100_000])
def test_10_takers_may_be_made_to_wait(delay_us):
    box = Sandbox(rules=replace(STATED_MARKS, taker_delay_us=delay_us), switches=Switches(heartbeat_us=0))
    box.quote()
    me = Client(box)
    row = me.place(price="150.1", quantity="1")
    assert row["status"] == ("New" if delay_us else "Filled")
    box.wait(99_999)
    assert bool(me.ok("GET", "/wapi/v1/history/fills")) == (not delay_us)
    box.wait(1)
    assert me.ok("GET", "/wapi/v1/history/fills")[0]["orderId"] == row["id"]
