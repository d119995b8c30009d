"""The account's flags, lending and its histories over REST: shapes, units, and what the flags do."""

from decimal import Decimal

import pytest
from tests.loopback.sandbox_kit import INSTRUCTIONS, PERP, SPOT, Client, Sandbox

INSTRUCTIONS |= {
    ("GET", "/api/v1/borrowLend/positions"): "borrowLendPositionQuery",
    ("POST", "/api/v1/borrowLend"): "borrowLendExecute",
    ("POST", "/api/v1/account/convertDust"): "convertDust",
    ("GET", "/api/v1/account/limits/borrow"): "maxBorrowQuantity",
    ("GET", "/api/v1/account/limits/withdrawal"): "maxWithdrawalQuantity",
    ("GET", "/wapi/v1/history/settlement"): "settlementHistoryQueryAll",
    ("GET", "/wapi/v1/history/borrowLend"): "borrowHistoryQueryAll",
    ("GET", "/wapi/v1/history/borrowLend/positions"): "borrowPositionHistoryQueryAll",
    ("GET", "/wapi/v1/history/interest"): "interestHistoryQueryAll",
    ("GET", "/wapi/v1/history/dust"): "dustHistoryQueryAll",
}
HOUR_US = 3_600_000_000


@pytest.fixture
def box():
    box = Sandbox(balances={"USDC": "10000", "SOL": "20.001"})
    box.quote()
    box.quote(PERP)
    box.mark(15_005)
    return box


def test_auto_lend_moves_idle_coins_out_of_the_balance_and_perpetuals_trade_on(box):
    me = Client(box)
    me.subscribe("account.balanceUpdate")
    response = me.response("PATCH", "/api/v1/account", {"autoLend": True, "autoRepayBorrows": True})
    assert (response.status, response.body) == (200, b"")
    row = me.ok("GET", "/api/v1/account")
    assert (row["autoLend"], row["autoRepayBorrows"], row["autoBorrowSettlements"]) == (True, True, False)
    assert me.ok("GET", "/api/v1/capital")["USDC"] == {"available": "0", "locked": "0", "staked": "0"}
    claims = {row["symbol"]: row["netQuantity"] for row in me.ok("GET", "/api/v1/borrowLend/positions")}
    assert claims == {"USDC": "10000", "SOL": "20.001"}
    assert {frame["a"]: frame["A"] for frame in me.data("account.balanceUpdate")} == {"USDC": "0", "SOL": "0"}
    line = me.ok("GET", "/api/v1/capital/collateral")["collateral"][0]
    assert (line["symbol"], line["lendQuantity"], line["totalQuantity"], line["availableQuantity"]) == ("USDC", "10000", "10000", "0")
    assert (
        me.call("POST", "/api/v1/order", {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "149", "quantity": "1"})[1]["code"]
        == "INSUFFICIENT_FUNDS"
    )
    me.place(price="149", quantity="1", autoLendRedeem=True)
    assert me.ok("GET", "/api/v1/capital")["USDC"]["locked"] == "149"
    assert me.place(PERP, price="150.1", quantity="1")["status"] == "Filled"
    box.app.desk.exchange.check_closed()


def test_lending_and_borrowing_by_request_and_their_history(box):
    me = Client(box)
    for side, quantity in (("Lend", "100"), ("Borrow", "250")):
        response = me.response("POST", "/api/v1/borrowLend", {"symbol": "USDC", "side": side, "quantity": quantity})
        assert (response.status, response.body) == (200, b"")
    (row,) = me.ok("GET", "/api/v1/borrowLend/positions")
    assert (row["netQuantity"], row["netExposureQuantity"], row["markPrice"]) == ("-150", "150", "1")
    rows = me.ok("GET", "/wapi/v1/history/borrowLend")
    assert [(r["eventType"], r["quantity"]) for r in rows] == [("Borrow", "150"), ("LendRedeem", "100"), ("Lend", "100")]
    assert me.ok("GET", "/wapi/v1/history/borrowLend", {"limit": 1, "offset": 1}) == rows[1:2]
    assert Decimal(me.ok("GET", "/api/v1/capital/collateral")["borrowLiability"]) == 150
    box.wait(HOUR_US)
    (paid,) = me.ok("GET", "/wapi/v1/history/interest")
    assert (paid["symbol"], paid["paymentType"]) == ("USDC", "Borrow")
    assert len(me.ok("GET", "/wapi/v1/history/borrowLend/positions")) == 1
    box.app.desk.exchange.check_closed()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"symbol": "USDC", "side": "Bend", "quantity": "1"}, ""),
        ({"symbol": "USDC", "side": "Lend", "quantity": "much"}, ""),
        ({"symbol": "USDC", "side": "Lend", "quantity": "0"}, "INVALID_QUANTITY"),
        ({"symbol": "NO", "side": "Lend", "quantity": "1"}, "INVALID_ASSET"),
        ({"symbol": "USDC", "side": "Lend", "quantity": "10001"}, "INSUFFICIENT_FUNDS"),
    ],
)
def test_what_cannot_be_lent_is_refused(box, body, code):
    status, answer = Client(box).call("POST", "/api/v1/borrowLend", body)
    assert status == 400
    assert answer["code"] == code if code else answer.startswith("parse request payload error")


def test_pools_and_rates_are_public(box):
    status, rows = box.public("/api/v1/borrowLend/markets")
    assert status == 200
    assert [row["symbol"] for row in rows] == ["USDC", "SOL", "BTC", "ETH"]
    assert Decimal(rows[0]["utilization"]) == Decimal(rows[0]["borrowedQuantity"]) / Decimal(rows[0]["lentQuantity"])
    assert Decimal(rows[0]["borrowInterestRate"]) > Decimal(rows[0]["lendInterestRate"]) > 0
    assert [row["symbol"] for row in box.public("/api/v1/borrowLend/apy")[1]["borrowLend"]] == ["USDC", "SOL", "BTC", "ETH"]
    assert len(box.public("/api/v1/borrowLend/markets/history?interval=1d&symbol=SOL")[1]) == 1
    assert box.public("/api/v1/borrowLend/markets/history?interval=1h")[0] == 400


def test_settlements_are_told_and_profit_counts_as_realised(box):
    me = Client(box)
    me.place(PERP, price="150.1", quantity="2")
    box.mark(15_110)
    box.wait(10_000_000)
    (row,) = me.ok("GET", "/wapi/v1/history/settlement", {"source": "RealizePnl"})
    assert (row["quantity"], row["source"]) == ("2", "RealizePnl")
    (held,) = me.ok("GET", "/api/v1/position")
    assert (held["pnlRealized"], held["pnlUnrealized"], held["entryPrice"]) == ("2", "0", "150.1")
    assert me.call("GET", "/wapi/v1/history/settlement", {"source": "Luck"})[0] == 400


def test_limits_tell_what_could_be_borrowed_and_what_is_free(box):
    me = Client(box)
    assert Decimal(me.ok("GET", "/api/v1/account/limits/borrow", {"symbol": "USDC"})["maxBorrowQuantity"]) > 10_000
    assert me.ok("GET", "/api/v1/account/limits/withdrawal", {"symbol": "USDC"})["maxWithdrawalQuantity"] == "10000"
    assert me.ok("GET", "/api/v1/account/limits/borrow", {"symbol": "NO"})["maxBorrowQuantity"] == "0"


def test_leverage_is_asked_of_every_position(box):
    me = Client(box)
    question = {"symbol": PERP, "side": "Bid", "price": "150"}
    before = Decimal(me.ok("GET", "/api/v1/account/limits/order", question)["maxOrderQuantity"])
    me.response("PATCH", "/api/v1/account", {"leverageLimit": "2"})
    after = Decimal(me.ok("GET", "/api/v1/account/limits/order", question)["maxOrderQuantity"])
    assert after < before / 5
    me.place(PERP, price="150.1", quantity="1")
    assert me.ok("GET", "/api/v1/position")[0]["imf"] == "0.5"


def test_dust_becomes_quote(box):
    me = Client(box)
    me.place(side="Ask", price="150", quantity="20")
    response = me.response("POST", "/api/v1/account/convertDust", {"symbol": "SOL"})
    assert (response.status, response.body) == (200, b"")
    assert me.ok("GET", "/api/v1/capital")["SOL"]["available"] == "0"
    assert me.ok("GET", "/wapi/v1/history/dust")[0]["quantity"] == "0.001"


def test_a_position_taken_over_off_the_book_has_no_trade_id_and_is_told_as_a_liquidation():
    box = Sandbox(balances={"USDC": "1000"})
    box.quote(PERP, lots=100_000)
    box.mark(15_010)
    me = Client(box)
    me.subscribe("liquidation", "account.orderUpdate")
    me.place(PERP, price="150.1", quantity="100")
    box.mark(14_080)  # less than half of the maintenance margin is left
    fill = me.data("account.orderUpdate")[-1]
    assert (fill["e"], fill["O"], fill["t"], fill["X"]) == ("orderFill", "BACKSTOP_LIQUIDITY_PROVIDER", None, "Filled")
    assert [d["q"] for d in me.data("liquidation")] == ["100.00"]
    row = me.ok("GET", "/wapi/v1/history/fills", {"fillType": "Backstop"})[0]
    assert (row["systemOrderType"], row["tradeId"]) == ("LiquidatePositionOnBackstop", None)
    box.app.desk.exchange.check_closed()


def test_the_pools_past_is_told_by_hours_and_by_days(box):
    for _ in range(50):
        box.wait(HOUR_US)
    asked = {i: box.public(f"/api/v1/borrowLend/markets/history?interval={i}&symbol=SOL")[1] for i in ("1d", "1w", "1month", "1year")}
    assert [len(asked[interval]) for interval in asked] == [25, 51, 3, 3]  # and the present
    stamps = [row["timestamp"] for row in asked["1w"]]
    assert stamps == sorted(stamps)
    now = {row["symbol"]: row for row in box.public("/api/v1/borrowLend/markets")[1]}["SOL"]
    names = ("borrowInterestRate", "borrowedQuantity", "lendInterestRate", "lentQuantity", "timestamp", "utilization")
    assert asked["1d"][-1] == {name: now[name] for name in names}
    assert len(box.public("/api/v1/borrowLend/markets/history?interval=1d")[1]) == 4 * 25, "every pool, where none is named"
