"""A running sandbox under anything at all: no 5xx, no error in its log, no shape that the exchange's documents do not know.

Every request goes over a real socket. Half of them are nearly right, because nonsense alone never gets past the first check.
"""

import asyncio
import base64
import json
import time

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey
from tests.loopback.sandbox_kit import PERP, SPOT, pairs

from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.acts import Level, Reference
from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.routes import ROUTES
from lemon_trader.sandbox.server import ServerOptions, start_sandbox
from lemon_trader.sandbox.world import EMPTY, WorldOptions

# The documents' error codes (API reference §4.2).
CODES = frozenset(
    [
        "ACCOUNT_DEACTIVATED",
        "ACCOUNT_LIQUIDATING",
        "BORROW_LIMIT",
        "BORROW_REQUIRES_LEND_REDEEM",
        "FORBIDDEN",
        "INSUFFICIENT_FUNDS",
        "INSUFFICIENT_MARGIN",
        "INSUFFICIENT_SUPPLY",
        "INVALID_ASSET",
        "INVALID_CLIENT_REQUEST",
        "INVALID_MARKET",
        "INVALID_ORDER",
        "INVALID_PRICE",
        "INVALID_POSITION_ID",
        "INVALID_QUANTITY",
        "INVALID_RANGE",
        "INVALID_SIGNATURE",
        "INVALID_SOURCE",
        "INVALID_SYMBOL",
        "INVALID_TWO_FACTOR_CODE",
        "LEND_LIMIT",
        "LEND_REQUIRES_BORROW_REPAY",
        "MAINTENANCE",
        "MAX_LEVERAGE_REACHED",
        "NOT_IMPLEMENTED",
        "ORDER_LIMIT",
        "POSITION_LIMIT",
        "PRECONDITION_FAILED",
        "RESOURCE_NOT_FOUND",
        "SERVER_ERROR",
        "TIMEOUT",
        "TOO_EARLY",
        "TOO_MANY_REQUESTS",
        "TRADING_PAUSED",
        "UNAUTHORIZED",
    ]
)
ORDER = frozenset(
    [
        "clientId",
        "createdAt",
        "executedQuantity",
        "executedQuoteQuantity",
        "id",
        "orderType",
        "quantity",
        "reduceOnly",
        "relatedOrderId",
        "selfTradePrevention",
        "side",
        "status",
        "stopLossLimitPrice",
        "stopLossTriggerBy",
        "stopLossTriggerPrice",
        "strategyId",
        "symbol",
        "takeProfitLimitPrice",
        "takeProfitTriggerBy",
        "takeProfitTriggerPrice",
        "timeInForce",
        "triggerBy",
        "triggerPrice",
        "triggerQuantity",
        "triggeredAt",
    ]
)
# What the documents list for an answer's object, or for each row of a list; limit orders have two more keys, market orders others.
SHAPES = {
    ("GET", "/api/v1/status"): frozenset({"status", "message"}),
    ("GET", "/api/v1/depth"): frozenset({"asks", "bids", "lastUpdateId", "timestamp"}),
    ("GET", "/api/v1/klines"): frozenset({"start", "end", "open", "high", "low", "close", "volume", "quoteVolume", "trades"}),
    ("GET", "/api/v1/trades"): frozenset({"id", "isBuyerMaker", "price", "quantity", "quoteQuantity", "timestamp"}),
    ("GET", "/api/v1/markPrices"): frozenset({"fundingRate", "indexPrice", "markPrice", "nextFundingTimestamp", "symbol"}),
    ("GET", "/api/v1/openInterest"): frozenset({"openInterest", "symbol", "timestamp"}),
    ("GET", "/api/v1/fundingRates"): frozenset({"fundingRate", "intervalEndTimestamp", "symbol"}),
    ("GET", "/api/v1/ticker"): frozenset(
        {"firstPrice", "lastPrice", "priceChange", "priceChangePercent", "high", "low", "volume", "quoteVolume", "trades", "symbol"}
    ),
    ("GET", "/api/v1/account"): frozenset(
        [
            "autoBorrowSettlements",
            "autoLend",
            "autoRealizePnl",
            "autoRepayBorrows",
            "borrowLimit",
            "futuresMakerFee",
            "futuresTakerFee",
            "leverageLimit",
            "limitOrders",
            "liquidating",
            "positionLimit",
            "spotMakerFee",
            "spotTakerFee",
            "triggerOrders",
        ]
    ),
    ("GET", "/api/v1/capital/collateral"): frozenset(
        [
            "assetsValue",
            "borrowLiability",
            "collateral",
            "imf",
            "liabilitiesValue",
            "marginFraction",
            "mmf",
            "netEquity",
            "netEquityAvailable",
            "netEquityLocked",
            "netExposureFutures",
            "pnlUnrealized",
            "unsettledEquity",
        ]
    ),
    ("GET", "/api/v1/position"): frozenset(
        [
            "breakEvenPrice",
            "cumulativeFundingPayment",
            "cumulativeInterest",
            "entryPrice",
            "estLiquidationPrice",
            "imf",
            "imfFunction",
            "markPrice",
            "mmf",
            "mmfFunction",
            "netCost",
            "netExposureNotional",
            "netExposureQuantity",
            "netQuantity",
            "pnlRealized",
            "pnlUnrealized",
            "positionId",
            "subaccountId",
            "symbol",
            "userId",
        ]
    ),
    ("GET", "/wapi/v1/history/fills"): frozenset(
        [
            "clientId",
            "fee",
            "feeSymbol",
            "isMaker",
            "orderId",
            "price",
            "quantity",
            "side",
            "symbol",
            "systemOrderType",
            "timestamp",
            "tradeId",
        ]
    ),
    ("POST", "/api/v1/order"): ORDER,
    ("GET", "/api/v1/order"): ORDER,
    ("DELETE", "/api/v1/order"): ORDER,
    ("GET", "/api/v1/orders"): ORDER,
    ("DELETE", "/api/v1/orders"): ORDER,
}
OF_SOME_ORDERS = frozenset({"price", "postOnly", "quoteQuantity", "slippageTolerance", "slippageToleranceType"})

FIELDS = (
    "symbol", "side", "orderType", "price", "quantity", "quoteQuantity", "timeInForce", "postOnly", "reduceOnly", "clientId", "orderId",
    "triggerPrice", "triggerQuantity", "triggerBy", "limit", "offset", "from", "to", "interval", "startTime", "endTime", "leverageLimit",
    "autoLend", "takeProfitTriggerPrice", "stopLossTriggerPrice", "stopLossLimitPrice", "sortDirection", "fillType", "autoBorrow", "blockchain",
)  # fmt: skip
WORDS = (
    SPOT,
    PERP,
    "Bid",
    "Ask",
    "Limit",
    "Market",
    "IOC",
    "150",
    "150.5",
    "0.5",
    "0",
    "-1",
    "1e5",
    "80%",
    "1m",
    "Asc",
    "é水",
    "9" * 40,
    "",
    "true",
    "1e999",
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text(max_size=12) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=6,
)
PARAMS = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(WORDS) | st.integers(-(2**66), 2**66) | st.booleans(), max_size=2)
NEARLY_RIGHT = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "150", "quantity": "0.5"}
SOMEWHERE = {"symbol": SPOT, "side": "Bid", "interval": "1m", "startTime": 1_790_000_000}
HEADERS = st.dictionaries(
    st.sampled_from(["X-API-Key", "X-Signature", "X-Timestamp", "X-Window", "Content-Type", "X-Broker-Id"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    max_size=2,
)
TRADING = [where for where in sorted(ROUTES) if where[1] in {"/api/v1/order", "/api/v1/orders", "/api/v1/borrowLend", "/api/v1/position"}]
KNOWN = st.sampled_from(sorted(ROUTES)) | st.sampled_from(TRADING)
UNKNOWN = st.tuples(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "NO"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"), max_size=20).map(lambda text: f"/api/v1/{text}"),
)
BODIES = st.just(NEARLY_RIGHT) | st.one_of(
    PARAMS.map(lambda params: {**NEARLY_RIGHT, **params}), st.lists(PARAMS.map(lambda p: {**NEARLY_RIGHT, **p}), max_size=3), ANY_JSON,
    st.binary(max_size=40), st.just(b"[" * 3_000), st.just(b'{"a":' * 3_000), st.just(b"0" * 3_000),
)  # fmt: skip
REQUESTS = st.lists(
    st.tuples(KNOWN | UNKNOWN, PARAMS, BODIES, HEADERS, st.sampled_from(["signed", "signed", "forged", "unsigned"])), max_size=12
)


class Server:
    """A sandbox with a price, whose loop runs while a test waits for an answer; what its loop complained of."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.complaints = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self.loop.run_until_complete(self._begin())

    async def _begin(self):
        switches = Switches(requests_per_minute=0, history_per_minute=0, heartbeat_us=20_000)
        self.running = await start_sandbox(ServerOptions(world=WorldOptions(market=EMPTY, symbols=(SPOT, PERP), switches=switches)))
        now_us = self.running.clock.now_us()
        for symbol in (SPOT, PERP):
            for side, ticks in ((BUY, 15_000), (SELL, 15_010)):
                self.running.app.act(Level(now_us, symbol, side, ticks, 100_000))
        self.running.app.act(Reference(now_us, PERP, 15_005, 15_005, 12_500))
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10))

    def end(self):
        self.loop.run_until_complete(self._end())
        self.loop.close()

    async def _end(self):
        await self.session.close()
        await self.running.stop()

    def headers(self, instruction, rows, window="5000"):
        key, stamp = self.running.accounts[0], time.time_ns() // 1_000_000
        text = "&".join(pairs(instruction, row) for row in rows) + f"&timestamp={stamp}&window={window}"
        signature = base64.b64encode(SigningKey(base64.b64decode(key.secret)).sign(text.encode()).signature).decode()
        return {"X-API-Key": key.api_key, "X-Signature": signature, "X-Timestamp": str(stamp), "X-Window": window}

    async def ask(self, where, params, body, headers, how):
        (method, path), route = where, ROUTES.get(where)
        is_get = method == "GET"
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        if route is not None and route.instruction is not None and how != "unsigned":
            rows = [params] if is_get else body if isinstance(body, list) else [body]
            signable = all(isinstance(row, dict) and all(isinstance(v, str | int) for v in row.values()) for row in rows)
            headers = {
                **(self.headers(route.instruction, rows) if signable else self.headers("x", [{}])),
                **(headers if how == "forged" else {}),
            }
        query = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in params.items()} if is_get else None
        url = f"{self.running.rest_url}{path}"
        async with self.session.request(method, url, params=query, data=None if is_get else sent, headers=headers) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), await answer.read()


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.end()
    assert made.complaints == []


def misshapen(method, path, status, kind, body):
    """What is wrong with an answer, by the documents; "" when nothing is."""
    if not 200 <= status < 500:
        return f"status {status}"
    if not kind.startswith("application/json"):
        return "" if not body or kind.startswith("text/plain") else f"a body of type {kind!r}"
    said = json.loads(body)
    if status >= 400:
        return "" if set(said) == {"code", "message"} and said["code"] in CODES else f"an error like {said}"
    keys = SHAPES.get((method, path))
    if keys is None:
        return ""
    strange = [set(row) ^ keys for row in (said if isinstance(said, list) else [said])]
    wrong = [keys_ - (OF_SOME_ORDERS if keys is ORDER else set()) for keys_ in strange]
    return f"keys {wrong}" if any(wrong) else ""


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(requests=REQUESTS)
def test_whatever_is_asked_over_a_socket_is_answered_in_the_documents_shapes(server, requests):
    for where, params, body, headers, how in requests:
        status, kind, answer = server.loop.run_until_complete(server.ask(where, params, body, headers, how))
        assert not misshapen(*where, status, kind, answer), (where, params, body, how, status, answer[:300])
    assert server.complaints == []
    server.running.app.desk.exchange.check_closed()


STREAMS = (
    "depth",
    "depth.200ms",
    "depth.7ms",
    "trade",
    "kline.1m",
    "kline.7m",
    "ticker",
    "account.orderUpdate",
    "account.no",
    "no",
    "",
    "é",
)
NAMES = st.tuples(st.sampled_from(STREAMS), st.sampled_from([SPOT, PERP, "NO", "", "x.y"])).map(".".join)
FRAMES = st.fixed_dictionaries(
    {"method": st.sampled_from(["SUBSCRIBE", "UNSUBSCRIBE", "PING", 1]), "params": st.lists(NAMES | ANY_JSON, max_size=3) | ANY_JSON},
    optional={"signature": st.lists(st.text(max_size=8), max_size=5) | ANY_JSON, "id": ANY_JSON},
)
MESSAGES = st.lists(FRAMES.map(json.dumps) | ANY_JSON.map(json.dumps) | st.text(max_size=30) | st.binary(max_size=30), max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(messages=MESSAGES)
def test_a_stream_survives_whatever_is_said_to_it(server, messages):
    async def talk():
        async with server.session.ws_connect(server.running.ws_url) as socket:
            for message in messages:
                await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_str(message))
            await socket.send_str(json.dumps({"method": "UNSUBSCRIBE", "params": [f"bookTicker.{SPOT}", f"depth.{SPOT}"]}))
            await socket.send_str(json.dumps({"method": "SUBSCRIBE", "params": [f"depth.{SPOT}"]}))
            while True:
                frame = json.loads(await socket.receive_str(timeout=5))
                if "error" in frame:
                    assert frame["id"] is None
                    assert frame["error"]["code"] in {4002, 4006, 4008, 4010}
                else:
                    assert frame.keys() == {"stream", "data"}
                    if frame["stream"] == f"depth.{SPOT}":
                        return

    server.loop.run_until_complete(talk())
    assert server.complaints == []


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
        ("a body that is longer than announced", b"POST /api/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}{}{}{}\r\n\r\n"),
        ("two lengths", b"POST /api/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}"),
        ("a head without end", b"GET /api/v1/ping HTTP/1.1\r\nX: " + b"a" * 70_000),
        ("bytes that are no text in the path", b"GET /api/v1/depth?symbol=\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        ("a percent sign alone", b"GET /api/v1/depth?symbol=%%%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        ("half a handshake", b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    ],
)
def test_bytes_that_no_client_sends_get_no_error_of_ours(server, what, said):
    async def talk():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.running.port)
        writer.write(said)
        writer.write_eof()
        try:
            answer = await asyncio.wait_for(reader.read(), 5)
        except ConnectionResetError:
            answer = b""
        writer.close()
        return answer

    answer = server.loop.run_until_complete(talk())
    assert b" 5" not in answer.partition(b"\r\n")[0], (what, answer)
    assert server.complaints == []


def test_a_body_beyond_the_limit_is_refused_and_the_next_request_is_answered(server):
    async def talk():
        async with server.session.post(f"{server.running.rest_url}/api/v1/order", data=b" " * (1 << 21)) as answer:
            too_large = answer.status
        async with server.session.get(f"{server.running.rest_url}/api/v1/ping") as answer:
            return too_large, await answer.text()

    assert server.loop.run_until_complete(talk()) == (413, "pong")
