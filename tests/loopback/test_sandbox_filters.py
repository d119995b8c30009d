"""Filters change while the sandbox runs: clients read the new ones, and everything they know keeps its value."""

from tests.loopback.sandbox_kit import PERP, SPOT, Client, Sandbox

from lemon_trader.core.units import BUY, SELL


def changed(tick, lot, symbol=SPOT):
    box = Sandbox()
    box.quote(bid=15_003, ask=15_018, lots=125)
    me = Client(box)
    me.subscribe("depth.SOL_USDC", "depth.200ms.SOL_USDC", "account.orderUpdate")
    kept = me.place(side="Bid", price="149.1", quantity="1")
    me.place(side="Bid", price="150.18", quantity="0.5")
    box.app.change_filters(symbol, box.now_us, tick=tick, lot=lot)
    return box, me, kept


def test_markets_tell_the_new_steps_and_orders_are_read_by_them():
    box, me, kept = changed("0.1", "0.5")
    quantity = box.public("/api/v1/market?symbol=SOL_USDC")[1]["filters"]["quantity"]
    price = box.public("/api/v1/market?symbol=SOL_USDC")[1]["filters"]["price"]
    assert (price["tickSize"], quantity["stepSize"], quantity["minQuantity"]) == ("0.1", "0.5", "0.5")
    assert me.call("POST", "/api/v1/order", {
        "symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "149.01", "quantity": "1"})[1]["message"] == "Price decimal too long"  # fmt: skip
    placed = me.place(side="Bid", price="149.2", quantity="1.5")
    assert (placed["price"], placed["quantity"]) == ("149.2", "1.5")
    assert [o["id"] for o in me.ok("GET", "/api/v1/orders")] == [kept["id"], placed["id"]]


def test_the_book_stands_on_the_new_steps_and_the_outside_world_goes_on_in_its_own():
    box, me, _ = changed("0.1", "0.5")
    depth = box.public("/api/v1/depth?symbol=SOL_USDC")[1]
    assert depth["bids"][-1] == ["150", "1"]
    assert depth["asks"][0] == ["150.2", "0.5"]  # 0.75 are left of the ask: half a step is not shown
    box.level(SPOT, SELL, 15_012, 60)  # its own ticks and lots: 150.12
    box.level(SPOT, BUY, 15_003, 0)
    depth = box.public("/api/v1/depth?symbol=SOL_USDC")[1]
    assert depth["asks"][0] == ["150.2", "1"]  # 0.6 and 0.75 fall on one price
    assert depth["bids"][-1] == ["149.1", "1"]
    me.place(side="Bid", price="150.2", quantity="1")
    assert box.public("/api/v1/trades?symbol=SOL_USDC")[1][0]["price"] == "150.2"
    box.app.desk.exchange.check_closed()


def test_finer_steps_rewrite_nothing_that_was_said():
    box, me, kept = changed("0.001", "0.001")
    before = me.ok("GET", "/wapi/v1/history/fills")
    assert (before[0]["price"], before[0]["quantity"]) == ("150.18", "0.5")
    assert box.public("/api/v1/trades?symbol=SOL_USDC")[1][0]["quantity"] == "0.5"
    assert box.public("/api/v1/ticker?symbol=SOL_USDC")[1]["lastPrice"] == "150.18"
    assert me.ok("GET", "/api/v1/order", {"symbol": SPOT, "orderId": kept["id"]})["price"] == "149.1"
    me.place(side="Bid", price="149.123", quantity="0.001")
    box.wait(200_000)
    assert ["149.123", "0.001"] in me.data("depth.200ms.SOL_USDC")[-1]["b"]
    assert me.data("depth.SOL_USDC")[-1]["u"] == me.data("depth.200ms.SOL_USDC")[-1]["u"]
    rows = box.public(f"/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime={box.now_us // 10**6 - 60}")[1]
    assert (rows[-1]["close"], rows[-1]["volume"]) == ("150.18", "0.5")


def test_an_order_off_the_new_steps_expires_and_says_why():
    box, me, _ = changed("0.01", "0.01")
    odd = me.place(side="Bid", price="149.05", quantity="1")
    box.app.change_filters(SPOT, box.now_us, tick="0.1")
    last = me.data("account.orderUpdate")[-1]
    assert (last["e"], last["i"], last["R"]) == ("orderExpired", odd["id"], "INVALID_PRICE")


def test_limits_are_told_in_whole_steps():
    box, me, _ = changed("0.01", "0.5", PERP)
    box.mark(15_000)
    box.quote(PERP)
    shown = me.ok("GET", "/api/v1/account/limits/order", {"symbol": PERP, "side": "Bid", "price": "150"})["maxOrderQuantity"]
    assert float(shown) % 0.5 == 0
