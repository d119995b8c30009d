"""A sandbox without a socket, and a client that shares nothing with our own: it signs with PyNaCl and reads with `json`."""

import base64
import json

from msgspec.structs import replace
from nacl.signing import SigningKey

from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.acts import Level, Reference
from lemon_trader.matching.rules import STATED
from lemon_trader.sandbox.terms import sandbox_rules
from lemon_trader.sandbox.world import EMPTY, WorldOptions, make_world

START_US = 1_790_000_000_000_000
SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
STATED_MARKS = replace(sandbox_rules(), mark_rule=STATED)  # a test says where the mark is, instead of waiting for an average
INSTRUCTIONS = {
    ("GET", "/api/v1/account"): "accountQuery",
    ("PATCH", "/api/v1/account"): "accountUpdate",
    ("GET", "/api/v1/capital"): "balanceQuery",
    ("GET", "/api/v1/capital/collateral"): "collateralQuery",
    ("GET", "/api/v1/account/limits/order"): "maxOrderQuantity",
    ("GET", "/api/v1/order"): "orderQuery",
    ("POST", "/api/v1/order"): "orderExecute",
    ("POST", "/api/v1/orders"): "orderExecute",
    ("DELETE", "/api/v1/order"): "orderCancel",
    ("GET", "/api/v1/orders"): "orderQueryAll",
    ("DELETE", "/api/v1/orders"): "orderCancelAll",
    ("GET", "/api/v1/position"): "positionQuery",
    ("GET", "/wapi/v1/history/orders"): "orderHistoryQueryAll",
    ("GET", "/wapi/v1/history/fills"): "fillHistoryQueryAll",
    ("GET", "/wapi/v1/history/funding"): "fundingHistoryQueryAll",
    ("GET", "/wapi/v1/history/position"): "positionHistoryQueryAll",
    ("POST", "/wapi/v1/capital/withdrawals"): "withdraw",
    ("POST", "/api/v1/rfq"): "rfqSubmit",
}


def text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def pairs(instruction, params):
    return "&".join([f"instruction={instruction}", *(f"{k}={text(params[k])}" for k in sorted(params))])


def sign(secret, message):
    return base64.b64encode(SigningKey(base64.b64decode(secret)).sign(message.encode()).signature).decode()


class Client:
    """Signs and sends requests of one account to an application, and keeps the frames of one stream session."""

    def __init__(self, sandbox, number=0):
        self.sandbox = sandbox
        self.key = sandbox.world.accounts[number]
        self.frames = []
        self.ended = []
        self.session = sandbox.app.open_stream(
            lambda frame: self.frames.append(json.loads(frame)), lambda code, reason: self.ended.append(code)
        )

    def headers(self, instruction, params, window="5000", timestamp=None):
        stamp = timestamp if timestamp is not None else self.sandbox.now_us // 1000
        rows = params if isinstance(params, list) else [params]
        message = "&".join(pairs(instruction, row) for row in rows) + f"&timestamp={stamp}&window={window}"
        return {
            "X-API-Key": self.key.api_key, "X-Signature": sign(self.key.secret, message), "X-Timestamp": str(stamp), "X-Window": window,
        }  # fmt: skip

    def response(self, method, path, params=None):
        params = {} if params is None else params
        headers = self.headers(INSTRUCTIONS[method, path], params)
        if method == "GET":
            query = "&".join(f"{k}={text(v)}" for k, v in params.items())
            return self.sandbox.send(method, f"{path}?{query}" if query else path, headers)
        return self.sandbox.send(method, path, headers, json.dumps(params).encode())

    def call(self, method, path, params=None):
        response = self.response(method, path, params)
        return response.status, json.loads(response.body) if response.body[:1] in {b"{", b"["} else response.body.decode()

    def ok(self, method, path, params=None):
        status, body = self.call(method, path, params)
        assert status == 200, (status, body)
        return body

    def place(self, symbol=SPOT, side="Bid", **fields):
        return self.ok("POST", "/api/v1/order", {"symbol": symbol, "side": side, "orderType": "Limit", **fields})

    def subscribe(self, *streams, method="SUBSCRIBE"):
        frame = {"method": method, "params": list(streams)}
        if any(name.startswith("account.") for name in streams):
            headers = self.headers("subscribe", {})
            frame["signature"] = [headers[name] for name in ("X-API-Key", "X-Signature", "X-Timestamp", "X-Window")]
        self.session.receive(json.dumps(frame), self.sandbox.now_us)

    def data(self, stream):
        return [frame["data"] for frame in self.frames if frame.get("stream") == stream]


class Sandbox:
    """An application over empty books, whose time, outside world and marks the test moves."""

    def __init__(self, **options):
        options.setdefault("rules", STATED_MARKS)
        self.world = make_world(WorldOptions(market=EMPTY, **options), START_US)
        self.app = self.world.app
        self.now_us = START_US

    def send(self, method, target, headers=None, body=b""):
        return self.app.handle(method, target, headers or {}, body, self.now_us)

    def public(self, target):
        response = self.send("GET", target)
        return response.status, json.loads(response.body) if response.body[:1] in {b"{", b"["} else response.body.decode()

    def wait(self, us):
        self.now_us += us
        self.app.advance(self.now_us)

    def level(self, symbol, side, ticks, lots):
        self.app.act(Level(self.now_us, symbol, side, ticks, lots))

    def quote(self, symbol=SPOT, bid=15_000, ask=15_010, lots=1_000):
        self.level(symbol, BUY, bid, lots)
        self.level(symbol, SELL, ask, lots)

    def mark(self, ticks, symbol=PERP, funding_ppb=12_500):
        self.app.act(Reference(self.now_us, symbol, ticks, ticks, funding_ppb))
