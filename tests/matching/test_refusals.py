"""What the exchange does not take: the venue's code and text, and nothing changed."""

import pytest
from tests.matching.worlds import PERP, SPOT, T, booked, limit, market, perp, refusal, spot, world

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.orders import NewOrder, OrderType, Refused, TimeInForce
from lemon_trader.matching.rules import Rules

BOUNDED = {
    "low_ppm": 750_000, "high_ppm": 1_250_000, "band_low_ppm": 900_000, "band_high_ppm": 1_100_000,
}  # fmt: skip

TAKES = "Order would immediately match and take liquidity"
PAIR = "Must specify both `triggerPrice` and `triggerQuantity` or neither"
CASES = [
    ("a post-only bid at the best ask would take", limit(SPOT, BUY, 2, 10_100, post_only=True), "INVALID_ORDER", TAKES),
    ("a post-only ask through the best bid would take", limit(SPOT, SELL, 2, 9_900, post_only=True), "INVALID_ORDER", TAKES),
    ("a market order rests never, so it cannot be post-only", market(SPOT, BUY, 1, post_only=True), "INVALID_ORDER", "Post only"),
    (
        "IOC and post-only contradict each other",
        limit(SPOT, BUY, 1, 9_000, post_only=True, time_in_force=TimeInForce.IOC),
        "INVALID_ORDER",
        "",
    ),
    ("spot has no positions to reduce", limit(SPOT, SELL, 1, 10_500, reduce_only=True), "INVALID_ORDER", "Reduce only"),
    ("without a position nothing is reduced", limit(PERP, SELL, 2, 10_500, reduce_only=True), "INVALID_ORDER", "Reduce only"),
    ("less than the minimum", limit(SPOT, BUY, 1, 9_000), "INVALID_CLIENT_REQUEST", "Quantity is below the minimum allowed value"),
    ("more than the maximum", limit(SPOT, BUY, 5_001, 9_000), "INVALID_QUANTITY", "above the maximum"),
    (
        "a trigger's quantity has the same minimum",
        market(SPOT, BUY, trigger_ticks=10_500, trigger_lots=1),
        "INVALID_CLIENT_REQUEST",
        "below",
    ),
    ("a market order of nothing", market(SPOT, BUY), "INVALID_CLIENT_REQUEST", "Market orders must specify a positive `quantity`"),
    ("a market order by both quantities", market(SPOT, BUY, 2, quote_atoms=10**9), "INVALID_CLIENT_REQUEST", "not both"),
    ("a market order with a price", market(SPOT, BUY, 2, ticks=10_000), "INVALID_CLIENT_REQUEST", "`price`"),
    (
        "a market order whose quote buys less than the minimum",
        market(SPOT, BUY, quote_atoms=10**8),
        "INVALID_CLIENT_REQUEST",
        "below the minimum",
    ),
    ("a trigger price without quantity", limit(SPOT, BUY, 2, 9_000, trigger_ticks=9_000), "INVALID_CLIENT_REQUEST", PAIR),
    ("a trigger quantity without price", limit(SPOT, BUY, 2, 9_000, trigger_lots=2), "INVALID_CLIENT_REQUEST", PAIR),
    (
        "a trigger with two quantities",
        limit(SPOT, BUY, 2, 9_000, trigger_ticks=1, trigger_lots=2),
        "INVALID_CLIENT_REQUEST",
        "triggerQuantity",
    ),
    ("more than all of a position", market(PERP, SELL, trigger_ticks=9, trigger_ppm=1_000_001), "INVALID_CLIENT_REQUEST", "100%"),
    ("below the price floor", limit(SPOT, BUY, 2, 99), "INVALID_PRICE", "below the minimum"),
    ("above the price ceiling", limit(SPOT, SELL, 2, 100_001), "INVALID_PRICE", "above the maximum"),
    ("below the band around the last price", limit(SPOT, BUY, 2, 7_424), "INVALID_PRICE", "Price is too far from the last active price"),
    ("above the band around the last price", limit(SPOT, SELL, 2, 12_376), "INVALID_PRICE", "Price is too far from the last active price"),
    ("a perpetual outside the band around its mark", limit(PERP, SELL, 2, 11_001), "INVALID_PRICE", "mark"),
    ("a bid at twice the price", limit(SPOT, BUY, 5_000, 12_375 * 2), "INVALID_PRICE", "last active"),
    ("a market nobody lists", limit("DOGE_USDC", BUY, 2, 9_900), "INVALID_MARKET", "DOGE_USDC"),
    ("a side that is none", limit(SPOT, 0, 2, 9_900), "INVALID_CLIENT_REQUEST", "side"),
]


@pytest.mark.parametrize(("new", "code", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_order_is_refused_and_leaves_no_trace(new, code, text):
    bounds = {**BOUNDED, "min_lots": 2, "max_lots": 5_000, "min_ticks": 100, "max_ticks": 100_000}
    exchange = booked(None, spot(**bounds), perp(**bounds))
    exchange.outside_take(SPOT, BUY, 1, 0, T)
    exchange.set_outside(SPOT, SELL, 10_100, 500, T)
    exchange.outside_take(SPOT, SELL, 1, 0, T)
    assert exchange.last_ticks(SPOT) == 9_900
    got = refusal(exchange, "ann", new)
    assert got[0] == code
    assert text in got[1]


def test_what_costs_more_than_is_there_is_refused():
    exchange = booked()
    assert refusal(exchange, "ann", limit(SPOT, BUY, 10_102, 9_900))[0] == "INSUFFICIENT_FUNDS"  # 10,000.98 USDC
    assert refusal(exchange, "ann", limit(SPOT, SELL, 10_001, 10_500))[0] == "INSUFFICIENT_FUNDS"
    assert refusal(exchange, "ann", market(SPOT, SELL, 10_001))[0] == "INSUFFICIENT_FUNDS"
    assert refusal(exchange, "ann", market(SPOT, BUY, quote_atoms=10_001 * 10**9))[0] == "INSUFFICIENT_FUNDS"


def test_the_same_coins_are_not_offered_twice():
    exchange = booked()
    exchange.place("ann", limit(SPOT, SELL, 6_000, 10_500), T)
    assert refusal(exchange, "ann", limit(SPOT, SELL, 4_001, 10_500))[0] == "INSUFFICIENT_FUNDS"
    exchange.place("ann", limit(SPOT, SELL, 4_000, 10_500), T)


def test_a_perpetual_order_beyond_the_margin_is_refused_and_one_lot_less_is_taken():
    exchange = world()
    exchange.set_outside(PERP, SELL, 10_000, 10, T)
    most = 10_000 * 50  # 10,000 USDC at 2 % carry 500,000 USDC, 50,000 units of 0.01 x 100.00
    assert refusal(exchange, "ann", limit(PERP, BUY, most + 1, 9_999))[0] == "INSUFFICIENT_MARGIN"
    exchange.place("ann", limit(PERP, BUY, most, 9_999), T)
    assert refusal(exchange, "ann", limit(PERP, BUY, 1, 9_999))[0] == "INSUFFICIENT_MARGIN"
    exchange.place("ann", limit(PERP, SELL, most, 10_001), T)  # the other direction does not add up


def test_what_a_perpetual_order_pays_beyond_the_mark_is_lost_at_once_and_counts():
    exchange = world()
    most = 500_000
    assert refusal(exchange, "ann", limit(PERP, BUY, most, 10_001))[0] == "INSUFFICIENT_MARGIN"
    exchange.place("ann", limit(PERP, BUY, most * 200 // 201, 10_001), T)  # 2.00 % + 0.01 %


def test_a_leverage_limit_raises_the_margin_fraction():
    exchange = world()
    exchange.set_imf_floor("ann", 200_000)
    assert refusal(exchange, "ann", limit(PERP, BUY, 50_001, 9_999))[0] == "INSUFFICIENT_MARGIN"
    exchange.place("ann", limit(PERP, BUY, 50_000, 9_999), T)
    with pytest.raises(ValueError, match="floor"):
        exchange.set_imf_floor("ann", 1_000_001)


def test_a_client_id_is_refused_while_its_order_lives_and_free_afterwards():
    exchange = booked()
    exchange.place("ann", limit(SPOT, BUY, 1, 9_000, client_id=7), T)
    assert refusal(exchange, "ann", limit(PERP, BUY, 1, 9_000, client_id=7)) == ("INVALID_ORDER", "Order with client ID already exists: 7")
    exchange.place("bob", limit(SPOT, BUY, 1, 9_000, client_id=7), T)  # ids are an account's own
    exchange.cancel("ann", SPOT, T, client_id=7)
    exchange.place("ann", limit(SPOT, BUY, 1, 9_000, client_id=7), T)


def test_by_the_other_rule_a_client_id_is_used_up_for_ever():
    exchange = booked(Rules(client_id_rule="forever"))
    exchange.place("ann", limit(SPOT, BUY, 1, 9_000, client_id=7), T)
    exchange.cancel("ann", SPOT, T, client_id=7)
    assert refusal(exchange, "ann", limit(SPOT, BUY, 1, 9_000, client_id=7))[0] == "INVALID_ORDER"
    with pytest.raises(Refused, match="Not Found"):
        exchange.cancel("ann", SPOT, T, client_id=7)


def test_the_number_of_open_orders_may_be_limited():
    exchange = booked(Rules(max_open_orders=2))
    for _ in range(2):
        exchange.place("ann", limit(SPOT, BUY, 1, 9_000), T)
    assert refusal(exchange, "ann", limit(SPOT, BUY, 1, 9_000))[0] == "ORDER_LIMIT"
    exchange.place("ann", limit(PERP, BUY, 1, 9_000), T)


@pytest.mark.parametrize(
    ("state", "new", "code"),
    [
        ("Closed", limit(SPOT, BUY, 1, 9_000), "TRADING_PAUSED"),
        ("CancelOnly", limit(SPOT, BUY, 1, 9_000, post_only=True), "TRADING_PAUSED"),
        ("PostOnly", limit(SPOT, BUY, 1, 9_000), "INVALID_ORDER"),
        ("LimitOnly", market(SPOT, BUY, 1), "TRADING_PAUSED"),
    ],
)
def test_a_market_that_is_not_open_refuses_by_its_state(state, new, code):
    exchange = booked()
    resting = exchange.place("ann", limit(SPOT, BUY, 1, 9_000), T)
    exchange.set_book_state(SPOT, state, T)
    assert exchange.instrument(SPOT).book_state == state
    assert refusal(exchange, "ann", new)[0] == code
    exchange.cancel("ann", SPOT, T, order_id=resting.order_id)
    exchange.set_book_state(SPOT, "Open", T)
    exchange.place("ann", new, T)


@pytest.mark.parametrize("ids", [{}, {"order_id": 1, "client_id": 1}])
def test_a_cancel_names_exactly_one_id(ids):
    with pytest.raises(Refused, match="exactly one"):
        booked().cancel("ann", SPOT, T, **ids)


@pytest.mark.parametrize("how", ["unknown", "of another account", "in another market", "cancelled", "filled"])
def test_what_does_not_rest_is_not_found(how):
    exchange = booked()
    order = exchange.place("ann", limit(SPOT, BUY, 1, 10_100 if how == "filled" else 9_000), T)
    if how == "cancelled":
        exchange.cancel("ann", SPOT, T, order_id=order.order_id)
    account = "bob" if how == "of another account" else "ann"
    symbol = PERP if how == "in another market" else SPOT
    order_id = 1 if how == "unknown" else order.order_id
    for call in (exchange.open_order, lambda a, s, **ids: exchange.cancel(a, s, T, **ids)):
        with pytest.raises(Refused) as refused:
            call(account, symbol, order_id=order_id)
        assert (refused.value.code, refused.value.message) == ("RESOURCE_NOT_FOUND", "Not Found")


def test_rules_that_name_nothing_are_refused():
    for wrong in ({"client_id_rule": "sometimes"}, {"partial_market_status": "New"}, {"taker_delay_us": -1}, {"funding_interval_us": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Rules(**wrong)


def test_an_order_type_is_limit_unless_said():
    assert NewOrder(symbol=SPOT, side=BUY).order_type is OrderType.LIMIT
