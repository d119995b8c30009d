"""Where the reference could not say what the venue does, a switch tries the other answer."""

from tests.loopback.sandbox_kit import SPOT, Client, Sandbox

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
