"""Where the reference could not say what the venue does, a switch tries the other answer."""

import json

import pytest
from msgspec.structs import replace
from tests.loopback.sandbox_kit import PERP, SPOT, STATED_MARKS, Client, Sandbox

from lemon_trader.sandbox.desk import Switches


def with_switches(**changed):
    box = Sandbox(switches=Switches(**changed))
    box.quote()
    return box, Client(box)


def test_a_cancel_of_an_unknown_order_is_404_or_400_and_says_the_same():
    for status, (_, me) in ((404, with_switches()), (400, with_switches(cancel_unknown_status=400))):
        got, body = me.call("DELETE", "/api/v1/order", {"symbol": SPOT, "orderId": "77"})
        assert (got, body) == (status, {"code": "RESOURCE_NOT_FOUND", "message": "Not Found"})


def test_unknown_keys_and_missing_headers_are_401_or_another():
    box, _ = with_switches(unauthorized_status=400)
    assert box.send("GET", "/api/v1/capital").status == 400
    assert Sandbox().send("GET", "/api/v1/capital").status == 401


def test_a_batch_may_be_shorter():
    order = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "149", "quantity": "1"}
    _, me = with_switches(batch_max=2)
    assert me.call("POST", "/api/v1/orders", [order] * 2)[0] == 200
    assert me.call("POST", "/api/v1/orders", [order] * 3)[0] == 400


def test_a_signature_may_count_once():
    for times, (box, me) in ((2, with_switches()), (1, with_switches(forbids_replay=True))):
        headers = me.headers("balanceQuery", {})
        answers = [box.send("GET", "/api/v1/capital", headers).status for _ in range(2)]
        assert answers.count(200) == times
        box.wait(1_000_000)
        assert me.response("GET", "/api/v1/capital").status == 200


def test_the_private_histories_may_have_a_limit_of_their_own():
    _, me = with_switches(wapi_per_minute=2)
    codes = [me.response("GET", "/wapi/v1/history/fills").status for _ in range(3)]
    assert codes == [200, 200, 429]
    assert me.response("GET", "/api/v1/capital").status == 200


def test_a_bad_stream_signature_may_end_the_connection():
    for closes, ended in ((False, []), (True, [4010])):
        _, me = with_switches(signature_closes=closes)
        me.session.receive('{"method":"SUBSCRIBE","params":["account.orderUpdate"],"signature":["x","y","1","5000"]}', 0)
        assert me.frames[-1]["error"]["code"] == 4010
        assert me.ended == ended


def test_candles_may_come_newest_first_and_fewer():
    for newest_first in (False, True):
        box, me = with_switches(klines_newest_first=newest_first, klines_max=2)
        for _ in range(3):
            me.place(price="150.1", quantity="0.1")
            box.wait(60_000_000)
        rows = box.public(f"/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime={box.now_us // 10**6 - 600}")[1]
        starts = [row["start"] for row in rows]
        assert len(starts) == 2
        assert (starts == sorted(starts)) != newest_first


def test_a_cancel_of_a_finished_order_may_be_answered_unlike_that_of_an_unknown_one():
    for finished, (_, me) in ((404, with_switches()), (400, with_switches(cancel_finished_status=400))):
        gone = me.place(price="150.1", quantity="1", clientId=7)
        for name in ({"orderId": gone["id"]}, {"clientId": 7}):
            assert me.call("DELETE", "/api/v1/order", {"symbol": SPOT, **name})[0] == finished
            assert me.call("GET", "/api/v1/order", {"symbol": SPOT, **name})[0] == 404
        assert me.call("DELETE", "/api/v1/order", {"symbol": SPOT, "orderId": "77"})[0] == 404


def test_what_is_said_without_authentication_may_have_another_code():
    for code, switches in (("UNAUTHORIZED", {}), ("INVALID_CLIENT_REQUEST", {"unauthorized_code": "INVALID_CLIENT_REQUEST"})):
        box, me = with_switches(**switches)
        assert json.loads(box.send("GET", "/api/v1/capital").body)["code"] == code
        strange = {**me.headers("balanceQuery", {}), "X-API-Key": "nobody"}
        assert json.loads(box.send("GET", "/api/v1/capital", strange).body)["code"] == code


def test_a_bad_stream_signature_may_have_another_code():
    _, me = with_switches(signature_error=4003, signature_closes=True)
    me.session.receive('{"method":"SUBSCRIBE","params":["account.orderUpdate"]}', 0)
    assert (me.frames[-1]["error"]["code"], me.ended) == (4003, [4003])


@pytest.mark.parametrize(("spelling", "word"), [("upper_snake", "IMMEDIATE_OR_CANCEL"), ("rest", "ImmediateOrCancel")])
def test_why_an_order_expired_may_be_spelled_as_rest_spells_it(spelling, word):
    _, me = with_switches(reason_spelling=spelling)
    me.subscribe("account.orderUpdate")
    me.place(price="149", quantity="1", timeInForce="IOC")
    assert me.data("account.orderUpdate")[-1]["R"] == word


def test_another_spelling_than_these_is_refused():
    with pytest.raises(ValueError, match="must be upper_snake or rest"):
        Switches(reason_spelling="camel")


@pytest.mark.parametrize("carries", [True, False])
def test_an_expiry_may_come_without_a_trade_id(carries):
    _, me = with_switches(expired_has_trade_id=carries)
    me.subscribe("account.orderUpdate")
    me.place(price="149", quantity="1", timeInForce="IOC")
    accepted, expired = me.data("account.orderUpdate")
    assert accepted["t"] is None
    assert ("t" in expired, expired.get("t")) == (carries, None)


@pytest.mark.parametrize("tif", ["IOC", "FOK"])
@pytest.mark.parametrize("told", [True, False])
def test_an_order_that_fails_at_once_may_be_silent_on_the_stream(tif, told):
    _, me = with_switches(failed_taker_events=told)
    me.subscribe("account.orderUpdate")
    row = me.place(price="149", quantity="1", timeInForce=tif)
    assert row["status"] == "Expired"
    assert [event["e"] for event in me.data("account.orderUpdate")] == (["orderAccepted", "orderExpired"] if told else [])
    assert me.ok("GET", "/wapi/v1/history/orders")[0]["id"] == row["id"]
    me.place(price="150.1", quantity="20", timeInForce="IOC")  # one that fills in part is always told
    events = [event["e"] for event in me.data("account.orderUpdate")][2 if told else 0 :]
    assert events == ["orderAccepted", "orderFill", "orderExpired"]


def test_a_post_only_order_that_is_refused_may_be_told_all_the_same():
    for told in (False, True):
        box = Sandbox(rules=replace(STATED_MARKS, post_only_rejection_events=told))
        box.quote()
        me = Client(box)
        me.subscribe("account.orderUpdate")
        order = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "150.1", "quantity": "1", "postOnly": True}
        assert me.call("POST", "/api/v1/order", order)[0] == 400
        assert [event["e"] for event in me.data("account.orderUpdate")] == (["orderAccepted", "orderExpired"] if told else [])


def test_a_field_that_nobody_knows_is_ignored_or_refused():
    order = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "149", "quantity": "1", "triggeredBy": "MarkPrice"}
    _, me = with_switches()
    assert me.call("POST", "/api/v1/order", order)[0] == 200
    _, me = with_switches(refuses_unknown_fields=True)
    status, text = me.call("POST", "/api/v1/order", order)
    assert (status, "unknown field `triggeredBy`" in text) == (400, True)
    del order["triggeredBy"]
    assert me.call("POST", "/api/v1/order", {**order, "brokerId": 1})[0] == 200


def test_a_range_of_too_many_candles_may_be_refused():
    for refuses, status in ((False, 200), (True, 400)):
        box, me = with_switches(klines_refuses_more=refuses, klines_max=2)
        for _ in range(3):
            me.place(price="150.1", quantity="0.1")
            box.wait(60_000_000)
        assert box.public(f"/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime={box.now_us // 10**6 - 600}")[0] == status
        assert box.public(f"/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime={box.now_us // 10**6 - 90}")[0] == 200


def test_a_stretch_without_a_trade_has_a_row_of_nulls_or_none():
    for empty, rows in ((True, ["150.1", None, None, "150.1"]), (False, ["150.1", "150.1"])):
        box, me = with_switches(klines_empty=empty)
        me.place(price="150.1", quantity="0.1")
        box.wait(180_000_000)
        me.place(price="150.1", quantity="0.1")
        box.wait(120_000_000)
        found = box.public(f"/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime={box.now_us // 10**6 - 900}")[1]
        assert [row["close"] for row in found] == rows
        assert [row["end"] for row in found[:-1]] == [row["start"] for row in found[1:]] or not empty
        assert all((row["trades"], row["volume"], row["quoteVolume"]) == ("0", "0", "0") for row in found if row["open"] is None)
        day = box.public(f"/api/v1/klines?symbol=SOL_USDC&interval=1month&startTime={box.now_us // 10**6 - 10**7}")[1]
        assert [row["trades"] for row in day] == ["2"]


def test_a_range_that_ends_before_it_begins_is_empty_or_refused():
    """As of a client that sends milliseconds where seconds are wanted."""
    for refuses, status in ((False, 200), (True, 400)):
        box, _ = with_switches(klines_refuses_backwards=refuses)
        got, body = box.public(f"/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime={box.now_us // 1_000}")
        assert (got, body == []) == (status, not refuses)


def test_the_rows_of_fee_tiers_may_have_other_keys():
    box, _ = with_switches(fee_tier_keys="name:maker:taker:bp:volume")
    ours = box.public("/wapi/v1/feeTiers")[1]["futures"][1]
    assert ours == {"name": "Tier 2", "maker": "1.9", "taker": "4.5", "bp": "350", "volume": "500000"}
    for bad in ("a:b:c:d", "a:a:b:c:d", "a:b:c:d:"):
        with pytest.raises(ValueError, match="must be 5 different names"):
            Switches(fee_tier_keys=bad)


def test_a_book_without_a_limit_asked_for_has_so_many_levels():
    for levels in (5_000, 1_000):
        box, _ = with_switches(depth_levels=levels)
        for n in range(1_500):
            box.level(SPOT, 1, 14_990 - n, 1)
        assert len(box.public("/api/v1/depth?symbol=SOL_USDC")[1]["bids"]) == min(levels, 1_501)


@pytest.mark.parametrize("multiples", [True, False])
def test_steps_that_are_no_powers_of_ten_may_count_by_their_decimals_alone(multiples):
    box = Sandbox(rules=replace(STATED_MARKS, step_multiples=multiples))
    box.quote()
    box.app.change_filters(SPOT, box.now_us, tick="0.05", lot="0.05")
    me = Client(box)
    order = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "quantity": "1"}
    assert me.call("POST", "/api/v1/order", {**order, "price": "149.05"})[0] == 200
    assert me.call("POST", "/api/v1/order", {**order, "price": "149.051"})[1]["message"] == "Price decimal too long"
    for odd, code in (({"price": "149.03"}, "INVALID_PRICE"), ({"price": "149", "quantity": "1.03"}, "INVALID_QUANTITY")):
        status, body = me.call("POST", "/api/v1/order", {**order, **odd})
        assert (status, body.get("code")) == ((400, code) if multiples else (200, None))
        if not multiples:
            assert {name: body[name] for name in odd} == odd
    published = box.public("/api/v1/market?symbol=SOL_USDC")[1]["filters"]
    assert (published["price"]["tickSize"], published["quantity"]["stepSize"]) == ("0.05", "0.05")
    assert published["quantity"]["minQuantity"] == "0.05"


def test_closed_markets_may_let_their_orders_expire_and_say_so():
    box = Sandbox(rules=replace(STATED_MARKS, close_expires_orders=True))
    box.quote(PERP)
    me = Client(box)
    me.subscribe("account.orderUpdate")
    me.place(PERP, price="149", quantity="1")
    box.app.desk.exchange.set_book_state(PERP, "Closed", box.now_us)
    box.wait(1)
    assert [event["e"] for event in me.data("account.orderUpdate")] == ["orderAccepted", "orderExpired"]
