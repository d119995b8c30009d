"""Open, PostOnly, LimitOnly, CancelOnly, Closed: which kind of order each state takes, and what happens meanwhile to what is there."""

import pytest
from msgspec.structs import replace
from tests.matching.worlds import FEELESS, PERP, SPOT, UNIT, T, booked, ended, limit, market

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.exchange import BOOK_STATES
from lemon_trader.matching.orders import NewOrder, OrderType, Reason, Refused, Status, TimeInForce, TriggerBy

STOP = NewOrder(symbol=PERP, side=SELL, order_type=OrderType.MARKET, trigger_ticks=9_000, trigger_lots=10, trigger_by=TriggerBy.MARK)
KINDS = {
    "post-only": limit(PERP, BUY, 10, 9_700, post_only=True),
    "resting limit": limit(PERP, BUY, 10, 9_700),
    "crossing limit": limit(PERP, BUY, 10, 10_100),
    "ioc": limit(PERP, BUY, 10, 10_100, time_in_force=TimeInForce.IOC),
    "fok": limit(PERP, BUY, 10, 10_100, time_in_force=TimeInForce.FOK),
    "market": market(PERP, BUY, 10),
    "market by quote": market(PERP, BUY, quote_atoms=20 * UNIT),
    "trigger": STOP,
}
LIMITS = {"post-only", "resting limit", "crossing limit", "ioc", "fok"}
TAKES = {"Open": set(KINDS), "PostOnly": {"post-only", "trigger"}, "LimitOnly": LIMITS | {"trigger"}, "CancelOnly": set(), "Closed": set()}
SAYS = {"PostOnly": "INVALID_ORDER", "LimitOnly": "TRADING_PAUSED", "CancelOnly": "TRADING_PAUSED", "Closed": "TRADING_PAUSED"}


@pytest.mark.parametrize("state", BOOK_STATES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_state_takes_its_kinds_of_order_and_refuses_the_others(state, kind):
    exchange = booked()
    exchange.set_book_state(PERP, state, T)
    if kind in TAKES[state]:
        order = exchange.place("ann", KINDS[kind], T)
        assert (order.status is Status.FILLED) == (kind in {"crossing limit", "ioc", "fok", "market", "market by quote"})
    else:
        with pytest.raises(Refused, match=SAYS[state]) as answer:
            exchange.place("ann", KINDS[kind], T)
        assert (answer.value.reason is Reason.POST_ONLY_MODE) == (state == "PostOnly")
        assert exchange.open_orders("ann") == []


@pytest.mark.parametrize("state", BOOK_STATES)
def test_in_every_state_orders_can_be_cancelled(state):
    exchange = booked()
    orders = [exchange.place("ann", KINDS[kind], T) for kind in ("resting limit", "trigger", "post-only")]
    exchange.set_book_state(PERP, state, T)
    assert exchange.cancel("ann", PERP, T, order_id=orders[0].order_id).status is Status.CANCELLED
    assert len(exchange.cancel_all("ann", PERP, T)) == 2


@pytest.mark.parametrize("state", BOOK_STATES)
@pytest.mark.parametrize("limit_ticks", [0, 9_600])
def test_a_book_that_is_not_open_does_not_trade_with_the_outside_world_either(state, limit_ticks):
    exchange = booked()
    order = exchange.place("ann", limit(PERP, BUY, 10, 9_950), T)
    exchange.set_book_state(PERP, state, T)
    trades = state == "Open" or (state == "LimitOnly" and limit_ticks > 0)
    assert exchange.outside_take(PERP, SELL, 4, limit_ticks, T) == (4 if trades else 0)
    exchange.set_outside(PERP, SELL, 9_940, 50, T)  # others ask below our bid
    matches = state in {"Open", "LimitOnly"}
    assert (order.order_id not in exchange.accounts["ann"].live) == matches
    bid_ticks, _, ask_ticks, _ = exchange.touch(PERP)
    assert bid_ticks < ask_ticks, "the book is never crossed"
    exchange.check_closed()


@pytest.mark.parametrize(
    ("state", "reason"), [("PostOnly", Reason.POST_ONLY_MODE), ("LimitOnly", None), ("CancelOnly", None), ("Closed", None)]
)
def test_a_trigger_that_fires_into_a_state_that_does_not_take_its_order_fails(state, reason):
    exchange = booked()
    exchange.place("ann", market(PERP, BUY, 10), T)
    placed = exchange.place("ann", replace(STOP, reduce_only=True), T)
    exchange.set_book_state(PERP, state, T)
    exchange.set_reference(PERP, 8_999, 8_999, 0, T)
    row = ended(exchange, placed)
    assert row.status is Status.TRIGGER_FAILED
    assert row.reason is (reason or Reason.UNKNOWN)
    assert exchange.accounts["ann"].position_lots(PERP) == 10


@pytest.mark.parametrize("state", ["PostOnly", "LimitOnly", "CancelOnly", "Closed"])
def test_an_order_that_waits_out_its_delay_expires_when_the_state_does_not_take_it_any_more(state):
    exchange = booked(replace(FEELESS, taker_delay_us=100_000))
    waiting = exchange.place("ann", market(SPOT, BUY, 10), T)
    crossing = exchange.place("ann", limit(SPOT, BUY, 10, 10_100), T)
    exchange.set_book_state(SPOT, state, T + 50_000)
    exchange.advance(T + 100_000)
    assert ended(exchange, waiting).status is Status.EXPIRED
    assert ended(exchange, crossing).status is (Status.FILLED if state == "LimitOnly" else Status.EXPIRED)
    assert exchange.accounts["ann"].locked("USDC") == 0


def test_a_position_is_not_reduced_on_a_book_that_is_closed():
    exchange = booked(replace(FEELESS, auto_close_ppm=0))
    exchange.open_account("poor", {"USDC": 3 * UNIT})
    exchange.place("poor", market(PERP, BUY, 80), T)
    exchange.set_book_state(PERP, "CancelOnly", T)
    exchange.set_reference(PERP, 9_840, 9_840, 0, T)
    exchange.advance(T + 5_000_000)
    assert exchange.accounts["poor"].is_liquidating
    assert exchange.accounts["poor"].position_lots(PERP) == 80
    exchange.set_book_state(PERP, "Open", T + 5_000_000)
    exchange.advance(T + 30_000_000)
    assert exchange.accounts["poor"].position_lots(PERP) < 80


def test_a_market_that_closes_may_let_its_orders_expire():
    for expires in (False, True):
        exchange = booked(replace(FEELESS, close_expires_orders=expires))
        orders = [exchange.place("ann", KINDS[kind], T) for kind in ("resting limit", "trigger")]
        elsewhere = exchange.place("ann", limit(SPOT, BUY, 10, 9_700), T)
        exchange.set_book_state(PERP, "Closed", T)
        left = {order.order_id for order in exchange.open_orders("ann")}
        assert left == {elsewhere.order_id, *(() if expires else (order.order_id for order in orders))}
        exchange.check_closed()


def test_another_word_is_no_state():
    with pytest.raises(ValueError, match="it must be one of Open, Closed, CancelOnly, LimitOnly, PostOnly"):
        booked().set_book_state(PERP, "Halted", T)
