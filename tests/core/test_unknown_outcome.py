"""An order that may or may not have been accepted: never sent again, resolved by lease, fence and ledger (fault matrix §1)."""

import pytest
from tests.core.make import T0, USDC, account, fill, perp, read, row

from lemon_trader.core.decide import _fences as fences
from lemon_trader.core.events import (
    NO_CLIENT_ID,
    Attempted,
    CancelAnswered,
    CancelAttempted,
    Decided,
    LastPrice,
    OrderUpdate,
    PlaceAccepted,
    PlaceRefused,
    PlaceUnknown,
)
from lemon_trader.core.reconcile import news
from lemon_trader.core.state import HIST_LAG_US, SKEW_MARGIN_US
from lemon_trader.core.step import recover, step
from lemon_trader.core.units import BUY, CANCELLED, CANCELLING, FILLED, IN_FLIGHT, PROVEN_ABSENT, REJECTED, UNKNOWN, US_PER_S, WORKING

WINDOW = 5 * US_PER_S
S = US_PER_S


def attempt(client=1, *, lots=10, at=T0, slot=0, side=BUY):
    a = Attempted(at, "SOL_USDC", client, slot, 0, 1, side, 1, 0, 9_900, 0, lots, lots, at + WINDOW)
    return Decided(at, "SOL_USDC", b"", b"", b"", (a,), ())


def cancel(client=1, *, at):
    return Decided(at, "SOL_USDC", b"", b"", b"", (), (CancelAttempted(at, "SOL_USDC", client, "FENCE"),))


def sent(client=1):
    state = account()
    step(state, attempt(client))
    market = state.markets["SOL_USDC"]
    order = market.orders.find(client, "")
    assert order.state == IN_FLIGHT
    return state, market, order


def lost(client=1):
    state, market, order = sent(client)
    step(state, PlaceUnknown(T0 + S, "SOL_USDC", client, "timeout"))
    assert order.state == UNKNOWN
    return state, market, order


def venue_time(state, at):
    step(state, LastPrice(at, at, "SOL_USDC", 10_001))


def test_an_unknown_order_stays_live_in_every_sum_and_its_slot_stays_taken():
    _, market, order = lost()
    assert order in market.orders.live
    assert order.open_lots == 10


def test_absence_before_the_lease_ends_proves_nothing():
    state, _, order = lost()
    step(state, read(at_us=T0 + 2 * S))
    assert order.state == UNKNOWN
    assert state.want_read


def test_no_fence_is_sent_before_the_edge_refuses_the_attempt():
    state, market, _ = lost()
    venue_time(state, T0 + WINDOW + SKEW_MARGIN_US)
    assert fences(state, market, T0 + WINDOW + SKEW_MARGIN_US) == []
    venue_time(state, T0 + WINDOW + SKEW_MARGIN_US + 1)
    assert len(fences(state, market, T0 + WINDOW + SKEW_MARGIN_US + 1)) == 1


def fenced(outcome="not_found"):
    state, market, order = lost()
    at = T0 + WINDOW + SKEW_MARGIN_US + S
    venue_time(state, at)
    step(state, cancel(at=at))
    step(state, CancelAnswered(at + 1, at + 1, "SOL_USDC", 1, outcome))
    return state, market, order, at


def test_proven_absent_after_lease_fence_and_a_read_that_begun_late_enough():
    state, _, order, at = fenced()
    step(state, read(at_us=at + HIST_LAG_US, begun_us=at + HIST_LAG_US - 1))
    assert order.state == UNKNOWN, "this read began before the histories could know"
    step(state, read(at_us=at + HIST_LAG_US + 2, begun_us=at + HIST_LAG_US + 1))
    assert order.state == PROVEN_ABSENT


def test_cash_that_nobody_explains_means_not_yet():
    state, _, order, at = fenced()
    late = at + HIST_LAG_US + S
    step(state, read(at_us=late, quote=9_990 * USDC))
    assert order.state == UNKNOWN
    step(state, read(at_us=late + S))
    assert order.state == PROVEN_ABSENT, "once everything is explained again"


@pytest.mark.parametrize("outcome", ["unknown", "accepted"])
def test_an_error_or_a_202_is_no_fence(outcome):
    state, market, order, at = fenced(outcome)
    step(state, read(at_us=at + HIST_LAG_US + S))
    assert order.state == UNKNOWN
    assert fences(state, market, at + 10 * S) == [order], "it is asked again"


def test_found_resting_is_adopted():
    state, _, order = lost()
    step(state, read(at_us=T0 + 2 * S, orders=(row(1),)))
    assert order.state == WORKING
    assert order.order_id == "77"


def test_found_filled_in_the_history_waits_for_its_fills_and_then_ends():
    state, market, order = lost()
    done = row(1, status="filled", is_open=False, filled=10)
    step(state, read(at_us=T0 + 2 * S, history=(done,)))
    assert order.state < FILLED, "the end is told, the fills are not there yet: it still blocks its slot"
    step(state, read(at_us=T0 + 3 * S, history=(done,), fills=(fill(BUY, 9_900, 10, order="77", client=1),)))
    assert order.state == FILLED
    assert market.ledger.lots == 10


def test_found_by_a_fill_alone():
    state, market, order = lost()
    step(state, fill(BUY, 9_900, 4, order="77", client=1))
    assert (order.state, order.filled_lots, order.open_lots) == (WORKING, 4, 6)
    assert market.ledger.lots == 4


def test_a_reply_later_than_our_timeout_is_matched():
    state, _, order = lost()
    step(state, PlaceAccepted(T0 + 9 * S, T0, "SOL_USDC", 1, "77", "working", 0))
    assert order.state == WORKING


def test_client_id_exists_means_found():
    state, _, order = sent()
    step(state, PlaceRefused(T0 + S, "SOL_USDC", 1, "CLIENT_ID_EXISTS", "Order with client ID already exists: 1"))
    assert order.state == UNKNOWN
    assert state.want_read


def test_a_definite_refusal_ends_it_and_the_slot_waits():
    state, market, order = sent()
    step(state, PlaceRefused(T0 + S, "SOL_USDC", 1, "INVALID_ORDER", "Order would immediately match and take liquidity"))
    assert order.state == REJECTED
    assert market.retry_us[0] == T0 + S + 200_000


def test_three_identical_refusals_leave_one_probe_a_minute_and_are_told():
    state, market, _ = sent()
    for n in range(1, 4):
        if n > 1:
            step(state, attempt(n))
        step(state, PlaceRefused(T0 + n * S, "SOL_USDC", n, "INVALID_QUANTITY", "too small"))
    assert market.retry_us[0] == T0 + 3 * S + 60 * S
    assert [a.key for a in state.alerts if a.key == "alert.refused_again"]


def test_a_tombstone_catches_what_was_proven_absent():
    state, market, order, at = fenced()
    step(state, read(at_us=at + HIST_LAG_US + 2, begun_us=at + HIST_LAG_US + 1))
    assert order.state == PROVEN_ABSENT
    step(state, PlaceAccepted(at + 60 * S, at, "SOL_USDC", 1, "77", "working", 0))
    assert order.state == WORKING
    assert order in market.orders.live


def test_cancelled_before_it_was_acknowledged_keeps_the_lease():
    state, _, order = sent()
    step(state, cancel(at=T0 + S))
    assert order.state == CANCELLING
    step(state, CancelAnswered(T0 + S, T0 + S, "SOL_USDC", 1, "not_found"))
    assert order.state == UNKNOWN, "not found may only mean not yet"
    step(state, read(at_us=T0 + 30 * S))
    assert order.state == UNKNOWN


def test_not_found_on_cancel_of_an_acknowledged_order_is_settled_by_the_history():
    state, market, order = sent()
    step(state, PlaceAccepted(T0, T0, "SOL_USDC", 1, "77", "working", 0))
    step(state, cancel(at=T0 + S))
    step(state, CancelAnswered(T0 + S, T0 + S, "SOL_USDC", 1, "not_found"))
    assert order.state == CANCELLING
    done = row(1, status="filled", is_open=False, filled=10)
    step(state, read(at_us=T0 + 9 * S, history=(done,), fills=(fill(BUY, 9_900, 10, order="77", client=1),)))
    assert order.state == FILLED
    assert market.ledger.lots == 10


def test_a_cancel_that_lost_the_race_tells_how_much_was_filled_and_waits_for_it():
    state, _, order = sent()
    step(state, PlaceAccepted(T0, T0, "SOL_USDC", 1, "77", "working", 0))
    step(state, cancel(at=T0 + S))
    step(state, CancelAnswered(T0 + S, T0 + S, "SOL_USDC", 1, "cancelled", 4))
    assert order.state == CANCELLING, "four lots are filled and not booked"
    step(state, fill(BUY, 9_900, 4, order="77", client=1))
    assert (order.state, order.filled_lots) == (CANCELLED, 4)


def updates(kind, **more):
    return OrderUpdate(T0 + S, T0, "SOL_USDC", kind, "77", 1, "", BUY, 9_900, 0, 10, more.get("filled", 0), "", "USER")


FACTS = [
    PlaceAccepted(T0 + S, T0, "SOL_USDC", 1, "77", "working", 0),
    updates("accepted"),
    fill(BUY, 9_900, 10, order="77", client=1, filled=10, done=True),
]


@pytest.mark.parametrize("sequence", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1), (2, 2, 0, 1), (1, 1, 2, 2)])
def test_the_same_facts_in_any_order_and_told_twice_lead_to_the_same_state(sequence):
    state, market, order = sent()
    for n in sequence:
        step(state, FACTS[n])
    assert (order.state, order.filled_lots, market.ledger.lots) == (FILLED, 10, 10)
    assert market.orders.live == []


def test_a_late_acceptance_does_not_wake_a_cancelled_order():
    state, market, order = sent()
    step(state, updates("cancelled"))
    step(state, updates("accepted"))
    assert order.state == CANCELLED
    assert market.orders.live == []


def test_a_second_order_under_one_client_id_is_ours_too():
    state, market, _ = sent()
    step(state, PlaceAccepted(T0, T0, "SOL_USDC", 1, "77", "working", 0))
    step(state, read(at_us=T0 + S, orders=(row(1), row(1, order="78"))))
    assert [o.order_id for o in market.orders.live] == ["77", "78"]
    assert market.orders.live[1].slot == 0


def test_an_id_that_an_earlier_life_reserved_is_ours():
    state = account()
    state.orphans = [(500, 600)]
    step(state, read(at_us=T0 + S, orders=(row(555), row(NO_CLIENT_ID, order="88"))))
    market = state.markets["SOL_USDC"]
    assert [o.client_id for o in market.orders.live] == [555]
    assert [r.order_id for r in market.foreign] == ["88"], "a stranger's order is counted and left alone"


def test_a_strangers_fill_moves_no_ledger_and_is_explained():
    state = account()
    market = state.markets["SOL_USDC"]
    strange = fill(BUY, 10_000, 10, order="999", trade=4)
    step(state, read(at_us=T0 + S, fills=(strange,), quote=10_000 * USDC - 10 * USDC, base=10**8))
    assert market.ledger.lots == 0
    assert state.unexplained == 0


def test_after_a_crash_what_was_in_the_air_is_unknown():
    state, _, order = sent()
    recover(state, T0 + S)
    assert order.state == UNKNOWN


def test_a_read_without_what_is_known_leads_to_the_same_state():
    def lived():
        state = account()
        for n in (1, 2, 3):
            step(state, attempt(n, slot=n))
            step(state, PlaceAccepted(T0, T0, "SOL_USDC", n, str(70 + n), "working", 0))
        step(state, fill(BUY, 9_900, 10, order="71", client=1, trade=1, done=True))
        return state

    whole = read(
        at_us=T0 + 9 * S,
        orders=(row(3, order="73"), row(NO_CLIENT_ID, order="99")),
        history=(
            row(1, order="71", status="filled", is_open=False, filled=10),
            row(2, order="72", status="cancelled", is_open=False, filled=4),
        ),
        fills=(
            fill(BUY, 9_900, 10, order="71", client=1, trade=1),
            fill(BUY, 9_900, 4, order="72", client=2, trade=2),
            fill(BUY, 9_900, 1, trade=3, order="98"),
        ),
    )
    one, other = lived(), lived()
    slim = news(other, whole)
    assert [r.order_id for r in slim.history] == ["72"]
    assert [f.trade_id for f in slim.fills] == [2, 3]
    step(one, whole)
    step(other, slim)
    assert one.image() == other.image()
    assert one.expected == other.expected


def test_a_perpetuals_profit_that_is_settled_after_the_close_is_no_transfer():
    state = account(perp())
    step(state, read("SOL_USDC_PERP", at_us=T0))
    step(state, fill(BUY, 10_000, 10, symbol="SOL_USDC_PERP", order="a", client=NO_CLIENT_ID, origin="LIQUIDATION_AUTOCLOSE"))
    step(state, fill(-BUY, 10_100, 10, symbol="SOL_USDC_PERP", order="b", trade=2, origin="LIQUIDATION_AUTOCLOSE"))
    state.alerts.clear()
    for n in range(5):  # flat, and the balance says something else than the fills
        at = T0 + (1 + n) * US_PER_S
        step(state, read("SOL_USDC_PERP", at_us=at, quote=9_999 * USDC))
    assert "alert.transfer" not in [a.key for a in state.alerts]
    for n in range(5):
        at = T0 + (60 + n) * US_PER_S
        step(state, read("SOL_USDC_PERP", at_us=at, quote=9_000 * USDC))
    assert "alert.transfer" in [a.key for a in state.alerts], "what comes later is somebody's hand"
