"""Whatever a client sends is answered: never an exception, never a 5xx, and the exchange's books still close."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.loopback.sandbox_kit import PERP, SPOT, Client, Sandbox

from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.routes import ROUTES

FIELDS = (
    "symbol", "side", "orderType", "price", "quantity", "quoteQuantity", "timeInForce", "postOnly", "reduceOnly", "clientId", "orderId",
    "selfTradePrevention", "triggerPrice", "triggerQuantity", "triggerBy", "slippageTolerance", "slippageToleranceType", "limit", "offset",
    "from", "to", "interval", "startTime", "endTime", "marketType", "sortDirection", "fillType", "leverageLimit", "autoLend", "priceType",
)  # fmt: skip
WORDS = (
    SPOT, PERP, "NO_USDC", "Bid", "Ask", "Limit", "Market", "GTC", "IOC", "FOK", "150", "150.1", "0.5", "0", "-1", "1e5", "NaN", "80%",
    "-5%", "%", "RejectMaker", "RejectBoth", "MarkPrice", "LastPrice", "TickSize", "Percent", "SPOT", "PERP", "1m", "1month", "Asc", "User",
    "Mark", "9" * 30, "0." + "1" * 40, "", "é", "²", "1000", "true",
)  # fmt: skip
VALUES = st.one_of(st.sampled_from(WORDS), st.booleans(), st.integers(-(2**70), 2**70), st.none(), st.lists(st.integers(), max_size=2))
PARAMS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8)
LIKELY = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "150.1", "quantity": "0.5"}


def ask(client, method, path, params):
    route = ROUTES[method, path]
    plain = {name: value for name, value in params.items() if value is not None and not isinstance(value, list)}
    if method == "GET":
        query = "&".join(f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in plain.items())
        headers = client.headers(route.instruction, plain) if route.instruction else {}
        return client.sandbox.send(method, f"{path}?{query}", headers)
    rows = [{**LIKELY, **params}, params] if path == "/api/v1/orders" and method == "POST" else {**LIKELY, **params}
    signed = [[(n, v) for n, v in row.items() if v is not None] for row in (rows if isinstance(rows, list) else [rows])]
    texts = [{n: json.dumps(v, separators=(",", ":")) if isinstance(v, list) else v for n, v in row} for row in signed]
    headers = client.headers(route.instruction, texts if isinstance(rows, list) else texts[0])
    return client.sandbox.send(method, path, headers, json.dumps(rows).encode())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(sorted(ROUTES)), PARAMS), min_size=5, max_size=40))
def test_no_request_is_answered_with_an_error_of_ours(requests):
    box = Sandbox(switches=Switches(requests_per_minute=0, history_per_minute=0))
    for symbol in (SPOT, PERP):
        box.quote(symbol)
    box.mark(15_005)
    client = Client(box)
    client.subscribe("account.orderUpdate", "account.positionUpdate", "depth.SOL_USDC", "kline.1m.SOL_USDC")
    for (method, path), params in requests:
        response = ask(client, method, path, params)
        assert response.status in {200, 202, 204, 400, 404}, (method, path, params, response.body)
        is_signable = not any(isinstance(value, list) for value in params.values())  # how a list is signed is not established
        assert not is_signable or b"Invalid signature" not in response.body, (method, path, params)
        if dict(response.headers).get("Content-Type", "").startswith("application/json"):
            json.loads(response.body)
        box.wait(300_000)
    box.app.desk.exchange.check_closed()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.text(max_size=60),
        st.binary(max_size=60),
        st.dictionaries(st.sampled_from(["method", "params", "signature"]), VALUES).map(json.dumps),
    )
)
def test_no_stream_message_ends_a_session(message):
    box = Sandbox()
    client = Client(box)
    client.session.receive(message, box.now_us)
    assert client.ended == []
    assert all(frame["error"]["code"] in {4002, 4006, 4008, 4010} for frame in client.frames)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.text(max_size=80), st.dictionaries(st.sampled_from(["X-API-Key", "X-Signature", "X-Timestamp", "X-Window"]), st.text(max_size=30))
)
def test_no_target_and_no_header_raises(target, headers):
    box = Sandbox()
    assert 200 <= box.send("GET", f"/{target}", headers).status < 500
    assert 400 <= box.send("POST", "/api/v1/order", headers, target.encode("utf-8", "surrogatepass")).status < 500
