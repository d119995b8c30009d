"""How orders meet: price before time, and what each kind does with what it does not get."""

import pytest
from tests.matching.worlds import PERP, SPOT, T, booked, changes, ended, limit, market, spot, world

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.effects import BookChanged, OrderChanged, TouchChanged, Traded
from lemon_trader.matching.orders import Reason, SelfTrade, Status, TimeInForce
from lemon_trader.matching.rules import Rules

IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
SLIPPED = Reason.SLIPPAGE_TOLERANCE_EXCEEDED


def test_a_limit_order_takes_up_to_its_price_at_the_makers_prices_and_rests_with_what_is_left():
    exchange = booked()
    order = exchange.place("ann", limit(SPOT, BUY, 1_200, 10_200), T)
    assert (order.status, order.executed_lots) == (Status.PARTIALLY_FILLED, 1_000)
    assert order.executed_quote_atoms == (500 * 10_100 + 500 * 10_200) * 10**5
    assert exchange.depth(SPOT).bids[0] == (10_200, 200)
    assert exchange.depth(SPOT).asks == ()


def test_of_two_orders_at_a_price_the_older_is_filled_first_and_a_better_price_before_both():
    exchange = world()
    first = exchange.place("ann", limit(SPOT, BUY, 5, 9_900), T)
    second = exchange.place("bob", limit(SPOT, BUY, 5, 9_900), T)
    better = exchange.place("cid", limit(SPOT, BUY, 5, 9_901), T)
    exchange.outside_take(SPOT, SELL, 12, 0, T)
    assert ended(exchange, better).status is Status.FILLED
    assert ended(exchange, first).status is Status.FILLED
    assert exchange.open_order("bob", SPOT, order_id=second.order_id).executed_lots == 2


ENDS = [
    ("an IOC keeps what it got, the rest expires", limit(SPOT, BUY, 700, 10_100, time_in_force=IOC), 500, Reason.IMMEDIATE_OR_CANCEL),
    ("an IOC that meets nobody expires whole", limit(SPOT, BUY, 700, 10_000, time_in_force=IOC), 0, Reason.IMMEDIATE_OR_CANCEL),
    ("a FOK that is one lot too large gets nothing", limit(SPOT, BUY, 501, 10_100, time_in_force=FOK), 0, Reason.FILL_OR_KILL),
    ("a FOK that fits is filled over several levels", limit(SPOT, BUY, 1_000, 10_200, time_in_force=FOK), 1_000, None),
    ("a market order takes all there is and expires", market(SPOT, SELL, 1_500), 1_000, Reason.INSUFFICIENT_LIQUIDITY),
    ("a market FOK too large gets nothing", market(SPOT, SELL, 1_500, time_in_force=FOK), 0, Reason.FILL_OR_KILL),
    ("a market order keeps to its tolerance in ticks", market(SPOT, BUY, 700, slippage_ticks=99), 500, SLIPPED),
    ("a tolerance that just reaches the next level", market(SPOT, BUY, 700, slippage_ticks=100), 700, None),
    ("a tolerance in ppm is rounded towards the touch", market(SPOT, BUY, 700, slippage_ppm=9_900), 500, SLIPPED),
    ("a tolerance in ppm that reaches", market(SPOT, SELL, 700, slippage_ppm=10_102), 700, None),
    ("a tolerance in ppm on the sell side that does not", market(SPOT, SELL, 700, slippage_ppm=10_100), 500, SLIPPED),
]  # fmt: skip


@pytest.mark.parametrize(("new", "executed", "reason"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS])
def test_an_order_that_does_not_rest(new, executed, reason):
    exchange = booked()
    order = exchange.place("ann", new, T)
    assert (order.executed_lots, order.reason) == (executed, reason)
    assert order.status is (Status.EXPIRED if reason else Status.FILLED)
    assert ended(exchange, order) == order
    assert exchange.open_orders("ann") == []
    assert exchange.accounts["ann"].locked("USDC") == exchange.accounts["ann"].locked("SOL") == 0
    exchange.check_closed()


def test_a_market_order_stops_at_the_impact_bound():
    exchange = booked(None, spot(impact_low_ppm=995_000, impact_high_ppm=1_005_000))
    order = exchange.place("ann", market(SPOT, BUY, 700), T)
    assert (order.executed_lots, order.reason) == (500, Reason.PRICE_IMPACT)
    order = exchange.place("ann", market(SPOT, SELL, 700), T)
    assert (order.executed_lots, order.reason) == (500, Reason.PRICE_IMPACT)


def test_of_impact_bound_and_tolerance_the_tighter_stops_the_order_and_gives_the_reason():
    exchange = booked(None, spot(impact_high_ppm=1_005_000))
    order = exchange.place("ann", market(SPOT, BUY, 700, slippage_ticks=5_000), T)
    assert (order.executed_lots, order.reason) == (500, Reason.PRICE_IMPACT)


def test_a_market_order_on_an_empty_book_expires_at_once():
    exchange = world()
    order = exchange.place("ann", market(SPOT, BUY, 5), T)
    assert (order.status, order.reason) == (Status.EXPIRED, Reason.INSUFFICIENT_LIQUIDITY)
    order = exchange.place("ann", market(SPOT, BUY, quote_atoms=10**9), T)
    assert (order.status, order.reason) == (Status.EXPIRED, Reason.INSUFFICIENT_LIQUIDITY)


@pytest.mark.parametrize(
    ("side", "lots", "spent"), [(BUY, 594, (500 * 101 + 94 * 102) * 10**7), (SELL, 607, (500 * 99 + 107 * 98) * 10**7)]
)
def test_a_market_order_by_quote_gets_the_most_lots_that_its_quote_covers(side, lots, spent):
    exchange = booked()
    order = exchange.place("ann", market(SPOT, side, quote_atoms=600_900_000_000 if side == BUY else 600_000_000_000), T)
    assert (order.status, order.lots, order.executed_lots, order.executed_quote_atoms) == (Status.FILLED, lots, lots, spent)
    price = 102 if side == BUY else 98
    assert spent <= order.quote_atoms < spent + price * 10**7


def test_a_market_order_says_an_upper_estimate_of_its_quote():
    order = booked().place("ann", market(SPOT, BUY, 600), T)
    assert order.quote_atoms == order.executed_quote_atoms == (500 * 101 + 100 * 102) * 10**7


def test_how_a_partly_filled_market_order_ends_is_a_switch():
    exchange = booked(Rules(partial_market_status=Status.PARTIALLY_FILLED))
    order = exchange.place("ann", market(SPOT, SELL, 1_500), T)
    assert (order.status, order.reason, order.is_live) == (Status.PARTIALLY_FILLED, Reason.INSUFFICIENT_LIQUIDITY, False)
    untouched = exchange.place("ann", market(SPOT, SELL, 1), T)
    assert untouched.status is Status.EXPIRED


SELF = [
    (SelfTrade.REJECT_TAKER, (Status.EXPIRED, 3), (Status.NEW, 0), 0),
    (SelfTrade.REJECT_MAKER, (Status.FILLED, 8), (Status.EXPIRED, 0), 5),
    (SelfTrade.REJECT_BOTH, (Status.EXPIRED, 3), (Status.EXPIRED, 0), 0),
]


@pytest.mark.parametrize(("mode", "taker_end", "maker_end", "behind"), SELF, ids=[str(row[0]) for row in SELF])
def test_an_account_does_not_trade_with_itself(mode, taker_end, maker_end, behind):
    exchange = world()
    exchange.set_outside(SPOT, SELL, 10_000, 3, T)
    own = exchange.place("ann", limit(SPOT, SELL, 4, 10_000), T)
    other = exchange.place("bob", limit(SPOT, SELL, 9, 10_000), T)
    taker = exchange.place("ann", limit(SPOT, BUY, 8, 10_000, self_trade=mode), T)
    assert (taker.status, taker.executed_lots) == taker_end
    assert taker.reason is (Reason.SELF_TRADE_PREVENTION if taker.status is Status.EXPIRED else None)
    maker = exchange.open_order("ann", SPOT, order_id=own.order_id) if maker_end[0] is Status.NEW else ended(exchange, own)
    assert (maker.status, maker.executed_lots) == maker_end
    assert exchange.open_order("bob", SPOT, order_id=other.order_id).executed_lots == behind


FOK_SELF = [(SelfTrade.REJECT_TAKER, 0), (SelfTrade.REJECT_MAKER, 5), (SelfTrade.REJECT_BOTH, 0)]


@pytest.mark.parametrize(("mode", "executed"), FOK_SELF, ids=[str(row[0]) for row in FOK_SELF])
def test_a_fok_counts_its_own_accounts_makers_as_nobody(mode, executed):
    exchange = world()
    exchange.place("ann", limit(SPOT, SELL, 4, 10_000), T)
    exchange.set_outside(SPOT, SELL, 10_000, 5, T)
    order = exchange.place("ann", limit(SPOT, BUY, 5, 10_000, time_in_force=FOK, self_trade=mode), T)
    assert order.executed_lots == executed


def test_the_default_self_trade_rule_is_the_exchanges():
    assert booked().place("ann", limit(SPOT, BUY, 1, 9_000), T).self_trade is SelfTrade.REJECT_TAKER
    rules = Rules(default_self_trade=SelfTrade.REJECT_BOTH)
    assert booked(rules).place("ann", limit(SPOT, BUY, 1, 9_000), T).self_trade is SelfTrade.REJECT_BOTH


def test_effects_tell_a_trade_in_the_venues_order():
    exchange = world()
    maker = exchange.place("bob", limit(SPOT, SELL, 5, 10_000), T)
    exchange.take_effects()
    taker = exchange.place("ann", limit(SPOT, BUY, 8, 10_000), T + 9)
    effects = exchange.take_effects()
    assert changes(effects) == [("accepted", taker.order_id), ("filled", maker.order_id), ("filled", taker.order_id)]
    accepted = next(e for e in effects if isinstance(e, OrderChanged))
    assert (accepted.order.status, accepted.order.executed_lots) == (Status.NEW, 0)  # a copy: later fills do not show in it
    trade = next(e for e in effects if isinstance(e, Traded))
    assert (trade.ticks, trade.lots, trade.buyer_is_maker) == (10_000, 5, False)
    assert (trade.buyer, trade.seller, trade.buy_order_id, trade.sell_order_id) == ("ann", "bob", taker.order_id, maker.order_id)
    book = next(e for e in effects if isinstance(e, BookChanged))
    assert set(book.levels) == {(SELL, 10_000, 0), (BUY, 10_000, 3)}
    touch = next(e for e in effects if isinstance(e, TouchChanged))
    assert (touch.bid_ticks, touch.bid_lots, touch.ask_ticks, touch.ask_lots, touch.update_id) == (10_000, 3, 0, 0, book.last_id)
    assert {e.at_us for e in effects} == {T + 9}


def test_what_was_given_out_does_not_change_afterwards():
    exchange = booked()
    order = exchange.place("ann", limit(SPOT, BUY, 5, 9_950), T)
    exchange.outside_take(SPOT, SELL, 2, 0, T)
    assert order.executed_lots == 0
    assert exchange.open_order("ann", SPOT, order_id=order.order_id).executed_lots == 2


def test_trade_ids_are_a_markets_own_and_order_ids_the_exchanges():
    exchange = booked(Rules(first_trade_id=40, first_order_id=700, first_update_id=90))
    first = exchange.place("ann", limit(SPOT, BUY, 1, 9_000), T)
    second = exchange.place("bob", limit(PERP, BUY, 1, 9_000), T)
    assert (first.order_id, second.order_id) == (700, 701)
    exchange.outside_take(SPOT, BUY, 1, 0, T)
    exchange.outside_take(PERP, BUY, 1, 0, T)
    exchange.outside_take(SPOT, BUY, 1, 0, T)
    prints = [(e.symbol, e.trade_id) for e in exchange.take_effects() if isinstance(e, Traded)]
    assert prints == [(SPOT, 40), (PERP, 40), (SPOT, 41)]
    assert exchange.depth(SPOT).update_id == 90 + 4 + 2  # four levels, an order, two trades, the first id being 90 itself


def test_cancel_all_takes_only_what_it_names():
    exchange = booked()
    resting = exchange.place("ann", limit(SPOT, BUY, 1, 9_000), T)
    trigger = exchange.place("ann", market(SPOT, SELL, trigger_ticks=9_000, trigger_lots=1), T)
    elsewhere = exchange.place("ann", limit(PERP, BUY, 1, 9_000), T)
    stranger = exchange.place("bob", limit(SPOT, BUY, 1, 9_000), T)
    assert [o.order_id for o in exchange.cancel_all("ann", SPOT, T, is_trigger=True)] == [trigger.order_id]
    assert [o.order_id for o in exchange.cancel_all("ann", SPOT, T, is_trigger=False)] == [resting.order_id]
    assert exchange.cancel_all("ann", SPOT, T) == []
    assert [o.order_id for o in exchange.open_orders("ann")] == [elsewhere.order_id]
    assert [o.order_id for o in exchange.open_orders("bob", SPOT)] == [stranger.order_id]
