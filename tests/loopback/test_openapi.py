"""Requests drawn from the exchange's own document: no answer is a 5xx, and none has a shape that is not in the document."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.loopback.sandbox_kit import PERP, SPOT, Client, Sandbox, sign, text

from lemon_trader.sandbox.openapi import document
from lemon_trader.sandbox.routes import ROUTES, refused

DOCUMENT = document("http://127.0.0.1:1", "ws://127.0.0.1:1/")
OPERATIONS = [(method.upper(), path, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()]
KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "null": type(None)}


def faults(value, schema, where="$"):
    """What of `value` is not as the schema has it. Reads the part of JSON schema that the document uses, and refuses any other."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return faults(value, DOCUMENT["components"]["schemas"][name], f"{where}:{name}")
    known = {"type", "properties", "required", "additionalProperties", "items", "pattern", "enum", "anyOf", "oneOf", "minItems", "maxItems"}
    assert set(schema) <= known, f"{where}: {set(schema) - known} is not understood here"
    if "anyOf" in schema or "oneOf" in schema:
        fits = [s for s in schema.get("anyOf", schema.get("oneOf")) if not faults(value, s, where)]
        return [] if fits and ("anyOf" in schema or len(fits) == 1) else [f"{where}: {str(value)[:80]} is none of the choices"]
    if "type" in schema and (not isinstance(value, KINDS[schema["type"]]) or (schema["type"] == "integer" and isinstance(value, bool))):
        return [f"{where}: {str(value)[:80]!r} is no {schema['type']}"]
    found = []
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{where}: {value[:80]!r} is not like {schema['pattern']}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append(f"{where}: {len(value)} items")
        found += [f for n, item in enumerate(value[:50]) for f in faults(item, schema.get("items", {}), f"{where}[{n}]")]
    if isinstance(value, dict):
        properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        found += [f"{where}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, inner in value.items():
            if name in properties:
                found += faults(inner, properties[name], f"{where}.{name}")
            elif more is False:
                found.append(f"{where}: {name} is not in the document")
            elif isinstance(more, dict):
                found += faults(inner, more, f"{where}.{name}")
    return found


def judged(operation, response, where):
    """What of an answer is not documented."""
    documented = operation["responses"].get(str(response.status))
    if documented is None:
        return [f"{where}: status {response.status} is not in the document: {response.body[:200]!r}"]
    kind = dict(response.headers).get("Content-Type", "").split(";")[0]
    content = documented.get("content", {})
    if not response.body and not content:
        return []
    if kind not in content:
        return [f"{where}: {kind!r} with {response.body[:200]!r} is not in the document"]
    return faults(json.loads(response.body), content[kind]["schema"], where) if kind == "application/json" else []


class Exchange:
    """A sandbox with business of every kind, and a client that signs whatever it is told to."""

    def __init__(self):
        self.sandbox = Sandbox()
        ann, bob = Client(self.sandbox), Client(self.sandbox, 1)
        self.client = ann
        self.sandbox.app.desk.switches = type(self.sandbox.app.desk.switches)(requests_per_minute=0, history_per_minute=0)
        self.sandbox.quote()
        self.sandbox.quote(PERP)
        self.sandbox.mark(15_005)
        ann.place(price="150.2", quantity="1", timeInForce="IOC", clientId=2)
        ann.place(price="149.5", quantity="1", takeProfitTriggerPrice="160", stopLossTriggerPrice="140", stopLossLimitPrice="139")
        bob.place(side="Ask", price="149.5", quantity="0.5")
        ann.place(PERP, price="150.2", quantity="2")
        ann.ok("POST", "/api/v1/order", {
            "symbol": PERP, "side": "Ask", "orderType": "Market", "triggerPrice": "140", "triggerQuantity": "100%", "triggerBy": "MarkPrice",
        })  # fmt: skip
        bob.place(PERP, side="Ask", price="150", quantity="1")
        bob.place(PERP, price="150.2", quantity="1", reduceOnly=True)
        self.send("POST", "/api/v1/borrowLend", body={"side": "Lend", "symbol": "USDC", "quantity": "100"}, instruction="borrowLendExecute")
        self.sandbox.wait(3_700_000_000)

    def send(self, method, path, *, query=(), body=None, instruction=None):
        headers = {}
        if instruction is not None:
            rows = body if isinstance(body, list) else [{**dict(query), **(body or {})}]
            stamp = self.sandbox.now_us // 1000
            lines = [
                "&".join([f"instruction={instruction}", *(f"{k}={text(row[k])}" for k in sorted(row) if row[k] is not None)])
                for row in rows
            ]
            signed = f"{'&'.join(lines)}&timestamp={stamp}&window=5000"
            headers = {
                "X-API-Key": self.client.key.api_key, "X-Signature": sign(self.client.key.secret, signed), "X-Timestamp": str(stamp),
                "X-Window": "5000",
            }  # fmt: skip
        target = path + ("?" + "&".join(f"{quote(k)}={quote(text(v))}" for k, v in query) if query else "")
        return self.sandbox.send(method, target, headers, b"" if body is None else json.dumps(body).encode())


@pytest.fixture(scope="module")
def exchange():
    return Exchange()


@pytest.fixture(scope="module")
def fresh():
    """One that no drawn request has touched, so that every read has something to tell."""
    return Exchange()


ODD = st.one_of(
    st.text(max_size=12), st.integers(-(10**20), 10**20).map(str), st.sampled_from(["", "0", "-1", "1e5", "NaN", "null", "\0", "9" * 40, "１"]),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
)  # fmt: skip
SYMBOLS = st.sampled_from([SPOT, PERP, "USDC", "SOL", "BTC_USDC", "NO_SUCH"])
NUMBERS = st.sampled_from(["0.01", "1", "149.5", "150.25", "150", "0", "99999999", "0.000000001", "3"])


def values(name, schema):
    """Values for a parameter: mostly of its kind, sometimes odd."""
    if name == "symbol":
        likely = SYMBOLS
    elif "enum" in schema:
        likely = st.sampled_from(schema["enum"])
    elif schema["type"] == "boolean":
        likely = st.booleans()
    elif schema["type"] == "integer":
        likely = st.integers(schema.get("minimum", 0), schema.get("maximum", 2**40))
    elif "pattern" in schema:
        likely = NUMBERS if "%" not in schema["pattern"] else st.sampled_from(["100%", "50%", "1", "0%", "101%"])
    else:
        likely = st.sampled_from(["1", "8000000001", "9000000000000"])
    return st.one_of(likely, likely, likely, likely, likely, likely, ODD)


@st.composite
def bodies(draw, schema):
    if schema["type"] == "array":
        return draw(st.lists(bodies(schema["items"]), min_size=0, max_size=3))
    required = schema.get("required", ())
    found = {}
    for name, inner in schema["properties"].items():
        if name in required:
            if draw(st.integers(0, 20)):
                found[name] = draw(values(name, inner))
        elif not draw(st.integers(0, 5)):
            found[name] = draw(st.one_of(values(name, inner), values(name, inner), st.none()))
    return found


@st.composite
def requests(draw):
    method, path, operation = draw(st.sampled_from(OPERATIONS))
    query = [
        (parameter["name"], draw(values(parameter["name"], parameter["schema"])))
        for parameter in operation["parameters"]
        if parameter["in"] == "query" and (draw(st.integers(0, 20)) if parameter["required"] else draw(st.booleans()))
    ]
    body = None
    if "requestBody" in operation:
        body = draw(bodies(operation["requestBody"]["content"]["application/json"]["schema"]))
    return method, path, operation, tuple(query), body


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True
)
@given(asked=requests())
def test_no_answer_is_a_5xx_or_has_a_shape_outside_the_document(exchange, asked):
    method, path, operation, query, body = asked
    response = exchange.send(method, path, query=query, body=body, instruction=operation.get("x-instruction"))
    assert response.status < 500, response.body
    assert not judged(operation, response, f"{method} {path}")


def test_the_books_close_after_all_of_it(exchange):
    exchange.sandbox.app.desk.exchange.check_closed()


PLAIN = {"symbol": SPOT, "interval": "1m", "startTime": 0, "side": "Bid", "blockchain": "Solana"}


@pytest.mark.parametrize(
    ("method", "path", "operation"), [o for o in OPERATIONS if o[0] == "GET"], ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_read_has_rows_of_the_documented_shape(fresh, method, path, operation):
    exchange = fresh
    query = tuple(
        (p["name"], PLAIN[p["name"]]) for p in operation["parameters"] if p["in"] == "query" and p["required"] and p["name"] in PLAIN
    )
    for symbol in (SPOT, PERP):
        asked = tuple((k, symbol if k == "symbol" else v) for k, v in query)
        response = exchange.send(method, path, query=asked, instruction=operation.get("x-instruction"))
        assert not judged(operation, response, path)


def test_the_document_holds_every_route_and_no_other():
    assert {(method, path) for method, path, _ in OPERATIONS} == set(ROUTES)
    for (method, path), route in ROUTES.items():
        operation = DOCUMENT["paths"][path][method.lower()]
        assert operation.get("x-instruction") == route.instruction
        assert ("200" in operation["responses"]) is (route.handler is not refused)
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(names) == len(set(names))


def test_every_shape_that_is_referred_to_is_there_and_every_one_there_is_used():
    written = json.dumps(DOCUMENT)
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', written))
    assert referred == set(DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize(
    ("value", "schema", "is_fault"),
    [
        ({"code": "A", "message": "b"}, {"$ref": "#/components/schemas/Error"}, False),
        ({"code": "A"}, {"$ref": "#/components/schemas/Error"}, True),
        ({"code": "A", "message": "b", "c": 1}, {"$ref": "#/components/schemas/Error"}, True),
        ({"code": 1, "message": "b"}, {"$ref": "#/components/schemas/Error"}, True),
        ([["1", "2"]], {"type": "array", "items": {"$ref": "#/components/schemas/Level"}}, False),
        ([["1"]], {"type": "array", "items": {"$ref": "#/components/schemas/Level"}}, True),
        ([["1", "x"]], {"type": "array", "items": {"$ref": "#/components/schemas/Level"}}, True),
        (True, {"type": "integer"}, True),
    ],
)
def test_the_judge_itself_tells_right_from_wrong(value, schema, is_fault):
    assert bool(faults(value, schema)) is is_fault
