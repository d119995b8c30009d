"""Orders out, answers in: only a proper refusal is one, and everything unclear is unknown."""

import json

import pytest
from tests.exchanges.kit import MARKETS, NOW_MS, PERP, SPOT, TS_US, signer

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import CancelAnswered, PlaceAccepted, PlaceRefused, PlaceUnknown
from lemon_trader.core.units import BUY, LIMIT, POST_ONLY, REDUCE_ONLY, SELL, TAKE, TRIGGER, WHOLE_POSITION
from lemon_trader.exchanges.backpack import words
from lemon_trader.exchanges.backpack.client import Backpack
from lemon_trader.exchanges.dialect import WireError

BACKPACK = Backpack()


def order(symbol="SOL_USDC_PERP", client_id=7, side=BUY, kind=POST_ONLY, flags=0, price=14105, trigger=0, lots=1250):
    return Place(symbol, client_id, side, kind, flags, price, trigger, lots)


# (what it is, the order, the fields that leave)
BODIES = [
    (
        "POST_ONLY rests or is refused",
        order(),
        {"orderType": "Limit", "price": "141.05", "quantity": "12.5", "timeInForce": "GTC", "postOnly": True},
    ),
    ("LIMIT rests", order(kind=LIMIT), {"orderType": "Limit", "price": "141.05", "quantity": "12.5", "timeInForce": "GTC"}),
    (
        "TAKE never rests, and removes our own order in its way",
        order(kind=TAKE, side=SELL),
        {
            "orderType": "Limit",
            "price": "141.05",
            "quantity": "12.5",
            "timeInForce": "IOC",
            "selfTradePrevention": "RejectMaker",
            "side": "Ask",
        },
    ),
    (
        "an EXIT on a perpetual reduces only",
        order(kind=LIMIT, flags=REDUCE_ONLY, side=SELL),
        {"orderType": "Limit", "price": "141.05", "quantity": "12.5", "timeInForce": "GTC", "reduceOnly": True, "side": "Ask"},
    ),
    (
        "reduce-only is not said on spot, where the exchange refuses it",
        order("SOL_USDC", kind=LIMIT, flags=REDUCE_ONLY),
        {"symbol": "SOL_USDC", "orderType": "Limit", "price": "141.05", "quantity": "12.5", "timeInForce": "GTC"},
    ),
    (
        "TRIGGER is a reduce-only market order by mark price",
        order(kind=TRIGGER, side=SELL, price=0, trigger=13000, flags=REDUCE_ONLY),
        {
            "orderType": "Market",
            "triggerPrice": "130",
            "triggerQuantity": "12.5",
            "triggerBy": "MarkPrice",
            "reduceOnly": True,
            "side": "Ask",
        },
    ),
    (
        "a TRIGGER for the whole position asks for 100 %",
        order(kind=TRIGGER, side=SELL, price=0, trigger=13001, flags=REDUCE_ONLY | WHOLE_POSITION),
        {
            "orderType": "Market",
            "triggerPrice": "130.01",
            "triggerQuantity": "100%",
            "triggerBy": "MarkPrice",
            "reduceOnly": True,
            "side": "Ask",
        },
    ),
]


@pytest.mark.parametrize(("placed", "fields"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_the_body_of_an_order(placed, fields):
    expected = {"symbol": "SOL_USDC_PERP", "side": "Bid", "clientId": 7} | fields
    for _ in range(2):  # the second time from the template
        request = BACKPACK.place([placed], MARKETS, signer(), NOW_MS)
        assert json.loads(request.body) == expected
    assert not any(word in request.body.decode() for word in ("autoBorrow", "autoLend", "quoteQuantity", "brokerId"))


def test_one_template_serves_other_prices_and_ids():
    first = BACKPACK.place([order(client_id=1, price=100)], MARKETS, signer(), NOW_MS)
    second = BACKPACK.place([order(client_id=2, price=123456, lots=1)], MARKETS, signer(), NOW_MS)
    assert json.loads(first.body) | {"clientId": 2, "price": "1234.56", "quantity": "0.01"} == json.loads(second.body)


def test_a_trigger_on_spot_is_refused_because_it_could_sell_what_is_not_ours():
    with pytest.raises(ValueError, match="on spot"):
        BACKPACK.place([order("SOL_USDC", kind=TRIGGER, price=0, trigger=1, flags=WHOLE_POSITION)], MARKETS, signer(), NOW_MS)


def test_an_empty_batch_or_an_unknown_market_is_not_sent():
    with pytest.raises(ValueError, match="without orders"):
        BACKPACK.place([], MARKETS, signer(), NOW_MS)
    with pytest.raises(WireError, match="no market we know"):
        BACKPACK.place([order("X_Y")], MARKETS, signer(), NOW_MS)


def test_the_largest_client_id_is_written_out():
    body = json.loads(BACKPACK.place([order(client_id=2**32 - 1)], MARKETS, signer(), NOW_MS).body)
    assert body["clientId"] == 4294967295


def test_a_cancel_names_the_order_one_way_only():
    by_client = BACKPACK.cancel(Cancel("SOL_USDC", 5), signer(), NOW_MS)
    by_order = BACKPACK.cancel(Cancel("SOL_USDC", 5, "99"), signer(), NOW_MS)
    assert (by_client.method, by_client.path) == ("DELETE", "/api/v1/order")
    assert json.loads(by_client.body) == {"symbol": "SOL_USDC", "clientId": 5}
    assert json.loads(by_order.body) == {"symbol": "SOL_USDC", "orderId": "99"}


# ---- answers to a place ----

OK = {
    "clientId": 7, "createdAt": 1753626206762, "executedQuantity": "0", "id": "4228978331", "orderType": "Limit",
    "postOnly": True, "price": "141.05", "quantity": "12.5", "reduceOnly": None, "selfTradePrevention": "RejectTaker",
    "side": "Bid", "status": "New", "symbol": "SOL_USDC_PERP", "timeInForce": "GTC", "triggerPrice": None,
}  # fmt: skip


def answer(status, body, orders=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return BACKPACK.place_answer(orders or [order()], status, raw, MARKETS, TS_US)


def err(code, message=""):
    return {"code": code, "message": message}


@pytest.mark.parametrize(
    ("change", "status", "filled"),
    [
        ({}, "working", 0),
        ({"status": "PartiallyFilled", "executedQuantity": "1.5"}, "working", 150),
        ({"status": "Filled", "executedQuantity": "12.5"}, "filled", 1250),
        ({"status": "PartiallyFilled", "executedQuantity": "1.5", "timeInForce": "IOC"}, "expired", 150),
        ({"status": "Expired", "timeInForce": "IOC"}, "expired", 0),
        ({"status": "TriggerPending"}, "armed", 0),
        ({"status": "Cancelled"}, "cancelled", 0),
        ({"status": "TriggerFailed"}, "trigger_failed", 0),
        ({"status": "Hibernating"}, "Hibernating", 0),
        ({"clientId": "7"}, "working", 0),
        ({"clientId": None}, "working", 0),
        ({"operation": "Ok"}, "working", 0),
    ],
    ids=[
        "new", "partly filled and resting", "filled at once", "partly filled and unable to rest", "expired", "trigger pending", "cancelled",
        "trigger failed", "a status nobody knows stays raw", "client id as text", "client id left out", "batch element form",
    ],
)  # fmt: skip
def test_an_accepted_order(change, status, filled):
    assert answer(200, OK | change) == [PlaceAccepted(TS_US, 1753626206762000, "SOL_USDC_PERP", 7, "4228978331", status, filled)]


REFUSALS = [
    (400, err("INVALID_ORDER", "Order would immediately match and take liquidity"), "INVALID_ORDER"),
    (400, err("INSUFFICIENT_FUNDS", "Insufficient funds"), "INSUFFICIENT_FUNDS"),
    (400, err("INVALID_CLIENT_REQUEST", "Price decimal too long"), "INVALID_CLIENT_REQUEST"),
    (400, err("INVALID_CLIENT_REQUEST", "Request has expired"), "EXPIRED"),
    (400, err("INVALID_CLIENT_REQUEST", "Invalid timestamp: must be within 10 minutes of current time"), "EXPIRED"),
    (400, err("INVALID_CLIENT_REQUEST", "Order with client ID already exists"), "CLIENT_ID_EXISTS"),
    (409, err("ALREADY_THERE", "duplicate clientId"), "CLIENT_ID_EXISTS"),
    (401, err("UNAUTHORIZED"), "UNAUTHORIZED"),
    (403, err("FORBIDDEN"), "FORBIDDEN"),
    (429, err("TOO_MANY_REQUESTS"), "TOO_MANY_REQUESTS"),
    (429, b"", "TOO_MANY_REQUESTS"),
    (400, b'parse request payload error: failed to parse "MarketSymbol": Invalid market symbol', "UNPARSED"),
]


@pytest.mark.parametrize(("status", "body", "code"), REFUSALS, ids=[f"{s} {c}" for s, _, c in REFUSALS])
def test_a_proper_refusal_is_definite(status, body, code):
    (told,) = answer(status, body)
    assert isinstance(told, PlaceRefused)
    assert (told.symbol, told.client_id, told.code) == ("SOL_USDC_PERP", 7, code)
    if isinstance(body, dict) and status != 429:
        assert told.message == body["message"]


UNKNOWN = [
    ("a server error, even with a code", 500, err("INVALID_ORDER", "x")),
    ("a gateway's page", 502, b"<html>Bad gateway</html>"),
    ("maintenance", 503, err("MAINTENANCE", "x")),
    ("a time-out of the engine", 504, b""),
    ("the same with a client's status", 400, err("TIMEOUT")),
    ("a server's error with a client's status", 400, err("SERVER_ERROR")),
    ("not found, which says not what", 404, err("RESOURCE_NOT_FOUND", "Not Found")),
    ("a code nobody knows", 400, err("PHASE_OF_THE_MOON")),
    ("an error without a code", 400, {"message": "no"}),
    ("plain text", 400, b"Unknown error, please check your request or try again later."),
    ("a page that quotes the parser", 400, b"<html>failed to parse</html>"),
    ("a firewall's page", 403, b"<!DOCTYPE html>"),
    ("a redirect", 302, b""),
    ("an empty success", 200, b""),
    ("a page as success", 200, b"<html></html>"),
    ("a truncated success", 200, json.dumps(OK).encode()[:-9]),
    ("a list as success", 200, [OK]),
    ("null as success", 200, None),
    ("an error as success", 200, err("INVALID_ORDER")),
    ("an order without id", 200, {k: v for k, v in OK.items() if k != "id"}),
    ("an order without status", 200, {k: v for k, v in OK.items() if k != "status"}),
    ("an order of another market", 200, OK | {"symbol": "SOL_USDC"}),
    ("an order of the other side", 200, OK | {"side": "Ask"}),
    ("an order under another client id", 200, OK | {"clientId": 8}),
    ("a filled quantity off the grid", 200, OK | {"executedQuantity": "0.001"}),
    ("a filled quantity that is no number", 200, OK | {"executedQuantity": "NaN"}),
    ("created without content", 201, OK),
    ("accepted for later", 202, b""),
    ("no content", 204, b""),
]


@pytest.mark.parametrize(("status", "body"), [row[1:] for row in UNKNOWN], ids=[row[0] for row in UNKNOWN])
def test_what_leaves_it_open_is_unknown(status, body):
    (told,) = answer(status, body)
    assert isinstance(told, PlaceUnknown), told
    assert (told.symbol, told.client_id) == ("SOL_USDC_PERP", 7)
    assert told.reason


THREE = [order(client_id=n) for n in (7, 8, 9)]


def test_each_element_of_a_batch_is_answered_alone():
    body = [
        OK | {"operation": "Ok"},
        {"operation": "Err", "code": "INSUFFICIENT_FUNDS", "message": "Insufficient funds"},
        {"operation": "?"},
    ]
    first, second, third = answer(200, body, THREE)
    assert isinstance(first, PlaceAccepted)
    assert second == PlaceRefused(TS_US, "SOL_USDC_PERP", 8, "INSUFFICIENT_FUNDS", "Insufficient funds")
    assert isinstance(third, PlaceUnknown)
    assert third.client_id == 9


def test_an_element_that_timed_out_is_unknown_and_one_that_is_there_already_says_so():
    body = [
        {"operation": "Err", "code": "TIMEOUT", "message": ""},
        {"operation": "Err", "code": "INVALID_CLIENT_REQUEST", "message": "Order with client ID already exists"},
        {"operation": "Err", "code": "SERVER_ERROR", "message": ""},
    ]
    first, second, third = answer(200, body, THREE)
    assert isinstance(first, PlaceUnknown)
    assert second.code == "CLIENT_ID_EXISTS"
    assert isinstance(third, PlaceUnknown)


@pytest.mark.parametrize(
    "body",
    [
        [OK | {"clientId": 9}, OK | {"clientId": 8}, OK | {"clientId": 7}],
        [OK | {"clientId": 9}, OK | {"clientId": 8}, OK | {"clientId": 7}, {"operation": "Err", "code": "INVALID_ORDER", "message": ""}],
    ],
    ids=["in another order", "with one too many"],
)
def test_elements_that_stand_elsewhere_are_found_by_their_client_id(body):
    told = answer(200, body, THREE)
    assert [type(t) for t in told] == [PlaceAccepted] * 3
    assert [t.client_id for t in told] == [7, 8, 9]


def test_an_error_that_cannot_be_given_to_an_order_leaves_it_unknown():
    told = answer(200, [OK, {"operation": "Err", "code": "INVALID_ORDER", "message": ""}], THREE)
    assert [type(t) for t in told] == [PlaceAccepted, PlaceUnknown, PlaceUnknown]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, err("INVALID_CLIENT_REQUEST", "Request has expired"), PlaceRefused),
        (429, b"", PlaceRefused),
        (400, err("INVALID_SIGNATURE"), PlaceRefused),
        (400, err("INSUFFICIENT_FUNDS"), PlaceUnknown),
        (400, err("INVALID_CLIENT_REQUEST", "Order with client ID already exists"), PlaceUnknown),
        (500, b"", PlaceUnknown),
        (200, b"", PlaceUnknown),
        (200, {"code": "INVALID_ORDER"}, PlaceUnknown),
    ],
    ids=["expired", "throttled", "bad signature", "of which order?", "of which id?", "5xx", "empty", "an object"],
)
def test_a_batch_is_refused_whole_only_by_what_is_judged_before_its_elements(status, body, kind):
    told = answer(status, body, THREE)
    assert [type(t) for t in told] == [kind] * 3
    assert [t.client_id for t in told] == [7, 8, 9]


def test_every_code_of_the_exchange_is_either_definite_or_left_open():
    definite = {code for code in words.ERROR_CODES if isinstance(answer(400, err(code))[0], PlaceRefused)}
    assert words.ERROR_CODES - definite == {
        "TIMEOUT",
        "SERVER_ERROR",
        "MAINTENANCE",
        "PRECONDITION_FAILED",
        "TOO_EARLY",
        "RESOURCE_NOT_FOUND",
    }
    assert not any(isinstance(answer(503, err(code))[0], PlaceRefused) for code in words.ERROR_CODES)


# ---- answers to a cancel ----


@pytest.mark.parametrize(
    ("status", "body", "outcome", "filled"),
    [
        (200, OK | {"status": "Cancelled", "executedQuantity": "2"}, "cancelled", 200),
        (200, OK, "accepted", 0),
        (200, OK | {"status": "TriggerPending"}, "accepted", 0),
        (200, OK | {"status": "Filled", "executedQuantity": "12.5"}, "unknown", 1250),
        (200, OK | {"clientId": 8}, "unknown", -1),
        (200, OK | {"symbol": "SOL_USDC"}, "unknown", -1),
        (200, b"", "unknown", -1),
        (200, b"<html>", "unknown", -1),
        (202, b"", "accepted", -1),
        (404, err("RESOURCE_NOT_FOUND", "Not Found"), "not_found", -1),
        (400, err("RESOURCE_NOT_FOUND", "Order not found"), "not_found", -1),
        (404, b"not found", "unknown", -1),
        (500, err("RESOURCE_NOT_FOUND"), "unknown", -1),
        (503, err("MAINTENANCE"), "unknown", -1),
        (429, b"", "unknown", -1),
        (400, err("INVALID_CLIENT_REQUEST", "Request has expired"), "unknown", -1),
        (302, b"", "unknown", -1),
    ],
    ids=[
        "cancelled, with what it had filled", "still resting", "still armed", "filled before", "another order", "another market", "empty",
        "a page", "202", "not found", "not found as 400", "a wrong path is not a missing order", "5xx is never an answer", "maintenance",
        "throttled",
        "expired", "redirect",
    ],
)  # fmt: skip
def test_what_a_cancel_proves(status, body, outcome, filled):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    (told,) = BACKPACK.cancel_answer(Cancel("SOL_USDC_PERP", 7), status, raw, MARKETS, TS_US)
    assert isinstance(told, CancelAnswered)
    assert (told.symbol, told.client_id, told.outcome, told.filled_lots) == ("SOL_USDC_PERP", 7, outcome, filled)
    assert outcome != "unknown" or told.reason


def test_an_expired_cancel_says_so_for_the_clock():
    body = json.dumps(err("INVALID_CLIENT_REQUEST", "Request has expired")).encode()
    (told,) = BACKPACK.cancel_answer(Cancel("SOL_USDC_PERP", 7), 400, body, MARKETS, TS_US)
    assert told.reason == "EXPIRED"


def test_a_cancel_by_order_id_is_proven_by_that_id():
    child = OK | {"clientId": None, "status": "Cancelled"}
    mine, other = Cancel("SOL_USDC_PERP", -1, "4228978331"), Cancel("SOL_USDC_PERP", -1, "5")
    assert BACKPACK.cancel_answer(mine, 200, json.dumps(child).encode(), MARKETS, TS_US)[0].outcome == "cancelled"
    assert BACKPACK.cancel_answer(other, 200, json.dumps(child).encode(), MARKETS, TS_US)[0].outcome == "unknown"


def test_a_market_with_a_new_grid_is_written_on_the_new_one():
    dialect = Backpack()
    before = dialect.place([order("SOL_USDC", price=100, lots=100)], {"SOL_USDC": SPOT}, signer(), NOW_MS)
    coarse = type(SPOT)(**{f: getattr(SPOT, f) for f in SPOT.__struct_fields__} | {"tick": "0.1", "price_decimals": 1})
    after = dialect.place([order("SOL_USDC", price=100, lots=100)], {"SOL_USDC": coarse}, signer(), NOW_MS)
    assert (json.loads(before.body)["price"], json.loads(after.body)["price"]) == ("1", "10")
    assert PERP.symbol in MARKETS
