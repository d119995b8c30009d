"""What a test may order to go wrong, and what has really happened then."""

import random

import pytest
from tests.loopback.sandbox_kit import PERP, SPOT, Client, Sandbox

from lemon_trader.sandbox.faults import Fault, Faults, Kind
from lemon_trader.sandbox.world import EMPTY, WorldOptions, make_world

ORDER = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "149", "quantity": "1", "clientId": 5}
PLACE = ("POST", "/api/v1/order")
CANCEL = ("DELETE", "/api/v1/order")
NAME = {"symbol": SPOT, "clientId": 5}


@pytest.fixture
def client():
    box = Sandbox()
    box.quote()
    box.quote(PERP)
    return Client(box)


def rests(client):
    return len(client.ok("GET", "/api/v1/orders"))


@pytest.mark.parametrize(
    ("kind", "is_lost", "status", "rests_now"),
    [
        (Kind.LOSE_REQUEST, True, 200, 0),
        (Kind.LOSE_REPLY, True, 200, 1),
        (Kind.ERROR_BEFORE, False, 503, 0),
        (Kind.ERROR_AFTER, False, 503, 1),
        (Kind.DELAY_REPLY, False, 200, 1),
        (Kind.EXECUTE_LATE, True, 200, 0),
    ],
)
def test_a_fault_acts_once_on_the_request_it_waits_for(client, kind, is_lost, status, rests_now):
    client.sandbox.app.faults.order(Fault(kind, *PLACE, delay_us=2_000_000))
    assert client.call("GET", "/api/v1/orders") == (200, [])
    response = client.response(*PLACE, ORDER)
    assert (response.is_lost, response.status) == (is_lost, status)
    assert response.delay_us == (2_000_000 if kind is Kind.DELAY_REPLY else 0)
    assert rests(client) == rests_now
    client.sandbox.wait(2_000_000)
    assert rests(client) == (1 if kind is Kind.EXECUTE_LATE else rests_now)
    assert client.response(*PLACE, {**ORDER, "clientId": 6}).status == 200


def test_a_cancel_may_be_accepted_and_executed_late_or_never(client):
    client.ok(*PLACE, ORDER)
    client.sandbox.app.faults.order(Fault(Kind.ACCEPT_NEVER, *CANCEL))
    client.sandbox.app.faults.order(Fault(Kind.ACCEPT_LATE, *CANCEL, delay_us=1_000_000))
    for _ in range(2):
        response = client.response(*CANCEL, NAME)
        assert (response.status, response.body) == (202, b"")
        assert rests(client) == 1
    client.sandbox.wait(1_000_000)
    assert rests(client) == 0


def test_a_fault_may_come_several_times(client):
    client.sandbox.app.faults.order(Fault(Kind.ERROR_BEFORE, *PLACE, times=2, status=502, body="bad gateway"))
    answers = [client.response(*PLACE, {**ORDER, "clientId": n}) for n in range(3)]
    assert [answer.status for answer in answers] == [502, 502, 200]
    assert dict(answers[0].headers)["Content-Type"].startswith("text/plain")


def test_a_history_that_lags_shows_a_fill_later(client):
    client.sandbox.app.faults.history_lag_us = 3_000_000
    client.ok(*PLACE, {**ORDER, "price": "150.1"})
    assert client.ok("GET", "/wapi/v1/history/fills") == []
    assert client.ok("GET", "/wapi/v1/history/orders") == []
    client.sandbox.wait(3_000_000)
    assert len(client.ok("GET", "/wapi/v1/history/fills")) == 1


def test_trade_ids_can_be_left_out(client):
    client.sandbox.app.faults.omit_trade_ids = True
    client.subscribe("account.orderUpdate")
    client.ok(*PLACE, {**ORDER, "price": "150.1"})
    assert client.ok("GET", "/wapi/v1/history/fills")[0]["tradeId"] is None
    assert client.data("account.orderUpdate")[-1]["t"] is None


def test_a_stream_can_fall_silent_lose_frames_or_be_closed(client):
    box = client.sandbox
    client.subscribe("depth.SOL_USDC", "account.orderUpdate")
    box.app.faults.silence("account.", box.now_us + 1_000_000)
    client.ok(*PLACE, ORDER)
    assert client.data("account.orderUpdate") == []
    assert len(client.data("depth.SOL_USDC")) == 1
    box.wait(1_000_000)
    client.frames.clear()
    box.app.faults.drop("depth.", 1)
    client.ok(*CANCEL, NAME)
    box.level(SPOT, 1, 14_000, 5)
    assert len(client.data("account.orderUpdate")) == 1
    assert len(client.data("depth.SOL_USDC")) == 1
    box.app.hub.close_all(1012, "restart")
    assert client.ended == [1012]


def test_under_maintenance_private_requests_are_refused_and_the_status_says_so(client):
    client.sandbox.app.faults.maintenance = True
    assert client.call(*PLACE, ORDER)[1]["code"] == "MAINTENANCE"
    assert client.sandbox.public("/api/v1/status")[1]["status"] == "Maintenance"


def test_drawn_faults_come_as_often_as_the_odds_say_and_replay_with_their_seed():
    def kinds(seed):
        dice = random.Random(seed)
        faults = Faults(dice.randrange, {Kind.LOSE_REPLY: 100_000, Kind.ERROR_AFTER: 50_000})
        return [fault and fault.kind for fault in (faults.take(*PLACE) for _ in range(2_000))]

    assert kinds(1) == kinds(1) != kinds(2)
    drawn = kinds(1)
    assert 150 <= drawn.count(Kind.LOSE_REPLY) <= 250
    assert 60 <= drawn.count(Kind.ERROR_AFTER) <= 140


def test_faults_are_off_unless_asked_for():
    world = make_world(WorldOptions(market=EMPTY), 1)
    assert world.app.faults.take(*PLACE) is None
    assert not world.app.faults.swallows("depth.SOL_USDC", 1)
