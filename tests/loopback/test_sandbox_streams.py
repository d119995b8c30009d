"""The sandbox's stream frames, judged by their JSON alone."""

import json
from decimal import Decimal
from itertools import pairwise

import pytest
from tests.loopback.sandbox_kit import PERP, SPOT, START_US, Client, Sandbox

from lemon_trader.sandbox.desk import Switches


@pytest.fixture
def sandbox():
    box = Sandbox(switches=Switches(heartbeat_us=0))
    box.quote()
    box.quote(PERP)
    box.mark(15_005)
    return box


@pytest.fixture
def client(sandbox):
    return Client(sandbox)


class Book:
    """The local book of the venue's own algorithm: a snapshot, then deltas whose ids follow on."""

    def __init__(self, snapshot):
        self.last = int(snapshot["lastUpdateId"])
        self.sides = {"b": self.levels(snapshot["bids"]), "a": self.levels(snapshot["asks"])}

    @staticmethod
    def levels(rows):
        return {Decimal(price): Decimal(qty) for price, qty in rows}

    def apply(self, delta):
        if delta["u"] <= self.last:
            return
        assert delta["U"] <= self.last + 1 <= delta["u"], "a gap"
        self.last = delta["u"]
        for side, levels in self.sides.items():
            for price, qty in self.levels(delta[side]).items():
                if qty:
                    levels[price] = qty
                else:
                    levels.pop(price, None)


def test_a_book_built_from_deltas_equals_the_snapshot(sandbox, client):
    client.subscribe("depth.SOL_USDC", "depth.200ms.SOL_USDC", "bookTicker.SOL_USDC")
    before = sandbox.public("/api/v1/depth?symbol=SOL_USDC")[1]
    for step in range(40):
        sandbox.level(SPOT, 1, 14_980 + step % 7, step % 5 * 10)
        sandbox.level(SPOT, -1, 15_020 - step % 7, (step + 2) % 5 * 10)
        if step % 4 == 0:
            client.place(side="Ask" if step % 8 else "Bid", price="150" if step % 8 else "150.1", quantity="0.5")
        sandbox.wait(50_000)
    sandbox.wait(200_000)
    after = sandbox.public("/api/v1/depth?symbol=SOL_USDC")[1]
    for stream in ("depth.SOL_USDC", "depth.200ms.SOL_USDC"):
        book = Book(before)
        for delta in client.data(stream):
            book.apply(delta)
        assert book.last == int(after["lastUpdateId"])
        assert book.sides == {"b": Book.levels(after["bids"]), "a": Book.levels(after["asks"])}
    deltas, windows = client.data("depth.SOL_USDC"), client.data("depth.200ms.SOL_USDC")
    assert all(later["U"] == earlier["u"] + 1 for earlier, later in pairwise(deltas))
    assert len(windows) < len(deltas) / 3
    assert any(window["U"] < window["u"] for window in windows)
    touch = client.data("bookTicker.SOL_USDC")[-1]
    assert touch["u"] <= int(after["lastUpdateId"])
    assert (Decimal(touch["b"]), Decimal(touch["a"])) == (Decimal(after["bids"][-1][0]), Decimal(after["asks"][0][0]))


def test_frames_pad_prices_and_count_microseconds(sandbox, client):
    client.subscribe("depth.SOL_USDC", "bookTicker.SOL_USDC", "trade.SOL_USDC")
    sandbox.level(SPOT, 1, 14_990, 100)
    sandbox.level(SPOT, 1, 15_000, 0)
    deltas = client.data("depth.SOL_USDC")
    assert deltas[0] | {"U": 0, "u": 0} == {
        "e": "depth", "E": START_US, "T": START_US, "s": SPOT, "a": [], "b": [["149.90", "1.00"]], "U": 0, "u": 0,
    }  # fmt: skip
    assert deltas[1]["b"] == [["150.00", "0.00"]]
    assert client.data("bookTicker.SOL_USDC")[-1]["b"] == "149.90"
    sandbox.level(SPOT, 1, 14_990, 0)
    empty = client.data("bookTicker.SOL_USDC")[-1]
    assert (empty["b"], empty["B"]) == (None, None)
    client.place(price="150.1", quantity="1")
    (trade,) = client.data("trade.SOL_USDC")
    assert (trade["p"], trade["q"], trade["m"], type(trade["t"]), type(trade["a"]), type(trade["b"])) == (
        "150.10", "1.00", False, int, str, str,
    )  # fmt: skip


def test_ticker_and_mark_come_each_second_and_open_interest_each_minute(sandbox, client):
    client.place(price="150.1", quantity="2")
    client.subscribe(
        "ticker.SOL_USDC", "ticker.SOL_USDC_PERP", "markPrice.SOL_USDC_PERP", "openInterest.SOL_USDC_PERP", "markPrice.SOL_USDC"
    )
    for _ in range(600):
        sandbox.wait(100_000)
    ticks = client.data("ticker.SOL_USDC")
    assert len(ticks) == 60
    assert {name: ticks[-1][name] for name in "ochlvVn"} == {
        "o": "150.1", "c": "150.1", "h": "150.1", "l": "150.1", "v": "2", "V": "300.2", "n": 1,
    }  # fmt: skip
    assert "T" not in ticks[-1]
    assert len(client.data("ticker.SOL_USDC_PERP")) == 60  # a market that has not traded yet is alive as well
    marks = client.data("markPrice.SOL_USDC_PERP")
    assert len(marks) == 60
    assert (marks[0]["p"], marks[0]["i"], marks[0]["f"]) == ("150.05", "150.05", "0.0000125")
    assert marks[0]["n"] % 3_600_000 == 0
    assert len(client.data("openInterest.SOL_USDC_PERP")) == 2  # at once, and on the minute
    assert client.data("markPrice.SOL_USDC") == []


def test_candles_come_at_most_once_a_second_and_close_once(sandbox, client):
    sandbox.wait(60_000_000 - sandbox.now_us % 60_000_000)
    client.subscribe("kline.1m.SOL_USDC")
    for step in range(1_300):
        if step % 3 == 0 and step < 1_190:
            sandbox.app.desk.exchange.outside_take(SPOT, 1 if step % 2 else -1, 1, 0, sandbox.now_us)
        sandbox.wait(100_000)
    frames = client.data("kline.1m.SOL_USDC")
    closed = [frame for frame in frames if frame["X"]]
    assert [frame["t"] for frame in closed] == ["2026-09-21T14:14:00", "2026-09-21T14:15:00"]
    assert [frame["T"] for frame in closed] == ["2026-09-21T14:15:00", "2026-09-21T14:16:00"]
    assert 100 <= len(frames) <= 122
    assert {type(frame["n"]) for frame in frames} == {int}
    assert sum(frame["n"] for frame in closed) == 397


def test_an_order_is_accepted_before_it_is_filled_and_t_is_null_until_then(client):
    client.subscribe("account.orderUpdate", "account.orderUpdate.SOL_USDC", "account.balanceUpdate")
    placed = client.place(price="150.1", quantity="0.1", clientId=77)
    events = client.data("account.orderUpdate")
    assert events == client.data("account.orderUpdate.SOL_USDC")
    accepted, filled = events
    common = {"s": SPOT, "S": "Bid", "i": placed["id"], "c": 77, "o": "LIMIT", "f": "GTC", "V": "RejectTaker", "O": "USER", "r": False}
    assert accepted | common == accepted
    assert (accepted["e"], accepted["X"], accepted["t"], accepted["z"], accepted["Z"]) == ("orderAccepted", "New", None, "0", "0")
    assert "l" not in accepted
    assert filled | common == filled
    assert {name: filled[name] for name in ("e", "X", "l", "L", "m", "n", "N", "z", "Z", "q", "p", "Q")} == {
        "e": "orderFill", "X": "Filled", "l": "0.10", "L": "150.10", "m": False, "n": "0.0001", "N": "SOL", "z": "0.10", "Z": "15.01",
        "q": "0.10", "p": "150.10", "Q": "15.01",
    }  # fmt: skip
    assert type(filled["t"]) is int
    (fill,) = client.ok("GET", "/wapi/v1/history/fills")
    assert fill["tradeId"] == filled["t"]
    balances = {row["a"]: row for row in client.data("account.balanceUpdate")}
    assert {name: balances["SOL"][name] for name in ("e", "A", "L", "S")} == {"e": "balanceUpdate", "A": "20.0999", "L": "0", "S": "0"}


def test_ends_are_told_with_their_reason(client):
    client.subscribe("account.orderUpdate")
    client.place(price="149", quantity="1", timeInForce="FOK")
    placed = client.place(price="149", quantity="1")
    client.ok("DELETE", "/api/v1/order", {"symbol": SPOT, "orderId": placed["id"]})
    expired, accepted, cancelled = [e for e in client.data("account.orderUpdate") if e["i"] == placed["id"] or e["e"] == "orderExpired"]
    assert (expired["X"], expired["R"], expired["t"]) == ("Expired", "FILL_OR_KILL", None)
    assert (accepted["e"], cancelled["e"], cancelled["X"]) == ("orderAccepted", "orderCancelled", "Cancelled")


def test_a_trigger_is_placed_and_its_child_points_back(sandbox, client):
    client.place(PERP, price="150.1", quantity="2")
    client.subscribe("account.orderUpdate")
    order = {"symbol": PERP, "side": "Ask", "orderType": "Market", "triggerPrice": "140", "triggerQuantity": "100%", "reduceOnly": True}
    placed = client.ok("POST", "/api/v1/order", {**order, "triggerBy": "MarkPrice", "clientId": 9})
    sandbox.mark(14_000)
    first, *rest = client.data("account.orderUpdate")
    assert {name: first[name] for name in ("e", "X", "q", "P", "B", "Y", "c", "r", "t")} == {
        "e": "triggerPlaced", "X": "TriggerPending", "q": "0", "P": "140.00", "B": "MarkPrice", "Y": "100%", "c": 9, "r": True, "t": None,
    }  # fmt: skip
    child = [event for event in rest if event.get("I") == placed["id"]]
    assert [event["e"] for event in child] == ["orderAccepted", "orderFill"]
    assert child[-1]["z"] == "2.00"


def test_positions_are_told_on_subscription_without_e_and_then_by_event(client):
    client.place(PERP, price="150.1", quantity="2")
    client.subscribe("account.positionUpdate")
    client.place(PERP, price="150.1", quantity="1")
    client.place(PERP, "Ask", price="150", quantity="3")
    snapshot, adjusted, closed = client.data("account.positionUpdate")
    assert "e" not in snapshot
    assert (snapshot["q"], snapshot["B"], snapshot["M"], type(snapshot["i"])) == ("2.00", "150.1", "150.05", int)
    assert (adjusted["e"], adjusted["q"]) == ("positionAdjusted", "3.00")
    assert (closed["e"], closed["q"]) == ("positionClosed", "0")


def test_one_account_hears_nothing_of_another(sandbox, client):
    other = Client(sandbox, 1)
    other.subscribe("account.orderUpdate", "account.positionUpdate", "account.balanceUpdate", "account.rfqUpdate")
    client.place(PERP, price="150.1", quantity="2")
    assert other.frames == []


def test_nothing_is_acknowledged_and_a_repeated_subscription_sends_nothing_twice(sandbox, client):
    for _ in range(2):
        client.subscribe("trade.SOL_USDC", "depth.NO_USDC", "account.rfqUpdate")
    assert client.frames == []
    client.place(price="150.1", quantity="1")
    assert len(client.data("trade.SOL_USDC")) == 1
    client.subscribe("trade.SOL_USDC", method="UNSUBSCRIBE")
    client.place(price="150.1", quantity="1")
    assert len(client.data("trade.SOL_USDC")) == 1


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"method": "SUBSCRIBE", "params": ["account.orderUpdate"]}, 4010),
        ({"method": "SUBSCRIBE", "params": ["account.orderUpdate"], "signature": ["nobody", "x", "1", "5000"]}, 4010),
        ({"method": "SUBSCRIBE", "params": ["nonsense.X"]}, 4006),
        ({"method": "HELLO"}, 4002),
    ],
)
def test_a_bad_request_is_answered_and_the_session_lives_on(sandbox, client, frame, code):
    client.session.receive(json.dumps(frame), sandbox.now_us)
    assert [answer["error"]["code"] for answer in client.frames] == [code]
    client.subscribe("trade.SOL_USDC")
    client.place(price="150.1", quantity="1")
    assert len(client.data("trade.SOL_USDC")) == 1


def test_one_signature_serves_several_subscriptions_until_it_expires(sandbox, client):
    headers = client.headers("subscribe", {})
    signature = [headers[name] for name in ("X-API-Key", "X-Signature", "X-Timestamp", "X-Window")]
    for stream in ("account.orderUpdate", "account.positionUpdate"):
        client.session.receive(json.dumps({"method": "SUBSCRIBE", "params": [stream], "signature": signature}), sandbox.now_us)
        sandbox.wait(4_000_000)
    assert client.frames == []
    client.session.receive(json.dumps({"method": "SUBSCRIBE", "params": ["account.rfqUpdate"], "signature": signature}), sandbox.now_us)
    assert client.frames[0]["error"]["code"] == 4010


def test_a_quiet_book_beats_so_that_a_reader_gets_its_eleven_deltas():
    box = Sandbox()
    box.quote()
    client = Client(box)
    client.subscribe("depth.SOL_USDC")
    for _ in range(60):
        box.wait(50_000)
    deltas = client.data("depth.SOL_USDC")
    assert len(deltas) >= 11
    assert all(later["U"] == earlier["u"] + 1 for earlier, later in pairwise(deltas))
    assert deltas[-1]["b"] == [["150.00", "10.00"]]


def test_a_quiet_book_is_silent_when_the_heartbeat_is_off(sandbox, client):
    client.subscribe("depth.SOL_USDC")
    sandbox.wait(10_000_000)
    assert client.data("depth.SOL_USDC") == []


def test_a_session_that_is_gone_is_forgotten(sandbox, client):
    client.subscribe("trade.SOL_USDC")
    client.session.gone()
    client.place(price="150.1", quantity="1")
    assert client.frames == []
    assert not sandbox.app.hub.has("trade.SOL_USDC")
