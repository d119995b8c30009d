"""Take-profit and stop-loss over REST and stream: the fields that clients send are the fields that come back."""

from tests.loopback.sandbox_kit import PERP, Client, Sandbox

PAIR = {
    "takeProfitTriggerPrice": "160", "takeProfitLimitPrice": "159.5", "takeProfitTriggerBy": "LastPrice",
    "stopLossTriggerPrice": "140", "stopLossTriggerBy": "MarkPrice",
}  # fmt: skip


def entered():
    box = Sandbox()
    box.mark(15_005)
    box.quote(PERP)
    me = Client(box)
    me.subscribe("account.orderUpdate")
    body = {"symbol": PERP, "side": "Bid", "orderType": "Market", "quantity": "2", **PAIR}
    return box, me, me.ok("POST", "/api/v1/order", body)


def test_what_was_attached_is_told_in_the_answer_and_the_stream():
    _, me, parent = entered()
    assert {name: parent[name] for name in PAIR} == PAIR
    assert parent["stopLossLimitPrice"] is None
    accepted = me.data("account.orderUpdate")[0]
    assert {key: accepted.get(key) for key in "abdgjk"} == {
        "a": "160.00", "b": "140.00", "d": "LastPrice", "g": "MarkPrice", "j": "159.50", "k": None,
    }  # fmt: skip


def test_both_wait_as_triggers_over_the_whole_position_and_conditional_orders_are_cancelled_alone():
    box, me, parent = entered()
    rows = me.ok("GET", "/api/v1/orders")
    assert [(r["status"], r["triggerQuantity"], r["relatedOrderId"], r["orderType"]) for r in rows] == [
        ("TriggerPending", "100%", parent["id"], "Limit"), ("TriggerPending", "100%", parent["id"], "Market"),
    ]  # fmt: skip
    assert [d["e"] for d in me.data("account.orderUpdate")] == ["orderAccepted", "orderFill", "triggerPlaced", "triggerPlaced"]
    me.place(PERP, price="149", quantity="1")
    assert me.ok("GET", "/api/v1/account")["triggerOrders"] == 2
    gone = me.ok("DELETE", "/api/v1/orders", {"symbol": PERP, "orderType": "ConditionalOrder"})
    assert [r["id"] for r in gone] == [r["id"] for r in rows]
    assert [r["orderType"] for r in me.ok("GET", "/api/v1/orders")] == ["Limit"]
    assert [r["price"] for r in me.ok("DELETE", "/api/v1/orders", {"symbol": PERP, "orderType": "RestingLimitOrder"})] == ["149"]
    box.app.desk.exchange.check_closed()


def test_a_slippage_tolerance_is_echoed():
    box = Sandbox()
    box.quote()
    me = Client(box)
    body = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Market", "quantity": "1", "slippageTolerance": "0.5"}
    row = me.ok("POST", "/api/v1/order", {**body, "slippageToleranceType": "Percent"})
    assert (row["slippageTolerance"], row["slippageToleranceType"]) == ("0.5", "Percent")
