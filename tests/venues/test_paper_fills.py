"""When a paper order fills: only by what the public market proves, and each doubt is decided against us."""

import pytest
from tests.matching.worlds import PERP, SPOT, T, limit, spot, world

from lemon_trader.core.events import BookDelta, BookSnapshot, BookState, FeedState, LastPrice, MarkPrice, PublicTrade
from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import NewOrder, OrderType, Refused, TimeInForce
from lemon_trader.matching.rules import Rules
from lemon_trader.venues.paper_account import image_of
from lemon_trader.venues.paper_market import BLIND_US, PaperMarket

NAME = "ann"
S = 1_000_000


class Market:
    """A public market of 50 lots at 99.00 and 101.00 in front of one account; the test says what happens in it."""

    def __init__(self, symbol=SPOT, exchange=None):
        self.exchange = exchange or world()
        self.symbol = symbol
        self.paper = PaperMarket(self.exchange, NAME, symbol)
        self.now_us = T
        self.last_id = 1
        self.see(BookSnapshot(T, T, symbol, 1, ((9_900, 50), (9_800, 50)), ((10_100, 50), (10_200, 50))))

    def see(self, fact):
        self.paper.see(fact, self.now_us)
        self.exchange.check_closed()

    def place(self, side, lots, ticks, **more):
        order = self.exchange.place(NAME, limit(self.symbol, side, lots, ticks, **more), self.now_us)
        self.paper.settle()
        return order.order_id

    def book(self, *rows):
        """Rows (side, ticks, lots) change."""
        self.now_us += 1_000
        self.last_id += 1
        bids, asks = (tuple((t, n) for s, t, n in rows if s == side) for side in (BUY, SELL))
        self.see(BookDelta(self.now_us, self.now_us, self.symbol, self.last_id, self.last_id, bids, asks))

    def trade(self, taker, ticks, lots, venue_us=None):
        self.now_us += 1_000
        self.see(PublicTrade(self.now_us, self.now_us if venue_us is None else venue_us, self.symbol, ticks, lots, taker == SELL, 0))

    def filled(self, order_id):
        return sum(f.lots for f in self.exchange.accounts[NAME].fills if f.order_id == order_id)


# (what the case says, steps after a BUY of 10 at 99.00 behind 50, lots filled)
CASES = [
    ("a trade at its price goes to those before it", [("trade", SELL, 9_900, 50)], 0),
    ("one lot more than stood before it reaches it", [("trade", SELL, 9_900, 51)], 1),
    ("it fills in parts as the trades come", [("trade", SELL, 9_900, 30), ("trade", SELL, 9_900, 24)], 4),
    ("never by more than it is", [("trade", SELL, 9_900, 500)], 10),
    ("quantity withdrawn before it does not bring it forward", [("book", BUY, 9_900, 1), ("trade", SELL, 9_900, 49)], 0),
    ("nor does the whole level going", [("book", BUY, 9_900, 0), ("trade", SELL, 9_900, 50)], 0),
    ("quantity that joins later stands behind it", [("book", BUY, 9_900, 90), ("trade", SELL, 9_900, 55)], 5),
    ("trade before book or book before trade, it is the same trade", [("book", BUY, 9_900, 20), ("trade", SELL, 9_900, 30)], 0),
    ("a trade of buyers at its price takes nothing from the buyers' queue", [("trade", BUY, 9_900, 500)], 0),
    ("a trade beyond its price fills as much as was traded", [("trade", SELL, 9_899, 4)], 4),
    ("also one of buyers: they would have met us first", [("trade", BUY, 9_899, 4)], 4),
    ("a trade above its price is none of its business", [("trade", SELL, 9_901, 500)], 0),
    ("an offer at its very price fills nothing", [("book", SELL, 9_900, 500)], 0),
    ("an offer beyond its price fills as much as is offered", [("book", SELL, 9_899, 3)], 3),
    ("the same offer stated again fills nothing more", [("book", SELL, 9_899, 3), ("book", SELL, 9_899, 3), ("book", SELL, 10_300, 5)], 3),
    ("an offer that grows fills by what it grew", [("book", SELL, 9_899, 3), ("book", SELL, 9_899, 5)], 5),
    ("one that went and came again is a new one", [("book", SELL, 9_899, 3), ("book", SELL, 9_899, 0), ("book", SELL, 9_898, 2)], 5),
    ("a trade stamped before the book it joined was in that book", [("late", SELL, 9_899, 500)], 0),
]  # fmt: skip


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize(("says", "steps", "lots"), CASES, ids=[case[0] for case in CASES])
def test_a_resting_order(says, steps, lots, side):
    m = Market()
    order = m.place(side, 10, 10_000 - side * 100)
    for what, who, ticks, quantity in steps:
        there = ticks if side == BUY else 20_000 - ticks  # the case in a mirror
        if what == "book":
            m.book((side * who, there, quantity))
        else:
            m.trade(side * who, there, quantity, T if what == "late" else None)
    assert m.filled(order) == lots, says
    fills = m.exchange.accounts[NAME].fills
    assert all(f.is_maker and f.ticks == 10_000 - side * 100 for f in fills), "at its own price, as maker"


def test_one_traded_lot_fills_one_lot_of_all_our_orders_best_price_first():
    m = Market()
    near, far, behind = m.place(BUY, 10, 9_950), m.place(BUY, 10, 9_900), m.place(BUY, 10, 9_900)
    m.trade(SELL, 9_900, 65)
    assert [m.filled(o) for o in (near, far, behind)] == [10, 5, 0]
    m.trade(SELL, 9_900, 6)
    assert [m.filled(o) for o in (near, far, behind)] == [10, 10, 1], "both waited for the same fifty, the second for the first as well"
    m.book((SELL, 9_890, 4))
    assert m.filled(behind) == 5


def test_a_place_in_the_queue_is_lost_with_the_order():
    m = Market()
    first = m.place(BUY, 10, 9_900)
    m.trade(SELL, 9_900, 45)
    m.exchange.cancel(NAME, SPOT, m.now_us, order_id=first)
    again = m.place(BUY, 10, 9_900)
    m.trade(SELL, 9_900, 40)
    assert m.filled(again) == 0


def test_a_taker_walks_the_book_at_its_depth_and_pays_as_taker():
    m = Market()
    order = m.exchange.place(NAME, limit(SPOT, BUY, 70, 10_200, time_in_force=TimeInForce.IOC), m.now_us)
    assert [(f.ticks, f.lots, f.is_maker) for f in m.exchange.accounts[NAME].fills] == [(10_100, 50, False), (10_200, 20, False)]
    fill = m.exchange.accounts[NAME].fills[0]
    assert (fill.fee_asset, fill.fee_atoms) == ("SOL", 50 * spot().lot_atoms // 1_000), "tier 1: 0.1 % of what was bought, in base"
    assert order.executed_lots == 70


def test_what_a_taker_took_is_gone_until_the_market_states_that_level_again():
    m = Market()
    take = limit(SPOT, BUY, 50, 10_100, time_in_force=TimeInForce.IOC)
    m.exchange.place(NAME, take, m.now_us)
    m.book((BUY, 9_700, 5))
    assert m.exchange.place(NAME, take, m.now_us).executed_lots == 0
    m.book((SELL, 10_100, 30))
    assert m.exchange.place(NAME, take, m.now_us).executed_lots == 30


def test_the_rest_of_a_taker_has_met_what_it_took():
    m = Market()
    order = m.place(BUY, 60, 10_150)
    assert m.filled(order) == 50
    m.book((SELL, 10_300, 5))
    assert m.filled(order) == 50
    m.book((SELL, 10_100, 53))
    assert m.filled(order) == 53


def test_post_only_across_the_true_book_is_refused_in_the_exchanges_words():
    m = Market()
    with pytest.raises(Refused, match="immediately match") as refused:
        m.exchange.place(NAME, limit(SPOT, BUY, 1, 10_100, post_only=True), m.now_us)
    assert refused.value.code == "INVALID_ORDER"


def test_a_stop_by_mark_price_fires_when_the_public_mark_says_so():
    m = Market(PERP)
    m.place(BUY, 10, 10_100)
    stop = NewOrder(symbol=PERP, side=SELL, order_type=OrderType.MARKET, trigger_ticks=9_500, trigger_ppm=1_000_000, reduce_only=True)
    m.exchange.place(NAME, stop, m.now_us)
    m.see(MarkPrice(T, T, PERP, 9_501, 9_501, 10, 0))
    assert m.exchange.accounts[NAME].position_lots(PERP) == 10
    m.see(MarkPrice(T, T, PERP, 9_500, 9_500, 10, 0))
    assert m.exchange.accounts[NAME].position_lots(PERP) == 0
    assert m.exchange.accounts[NAME].fills[-1].ticks == 9_900, "at the bid that is shown"


def test_funding_is_paid_by_the_hour_at_the_public_rate():
    m = Market(PERP)
    m.place(BUY, 10, 10_100)
    m.see(MarkPrice(T, T, PERP, 10_000, 10_000, 12_500, 0))
    m.exchange.advance(T + 3_600 * S)
    (row,) = m.exchange.accounts[NAME].funding
    assert row.amount_atoms == -(10 * 10_000 * 10**5) * 12_500 // 10**9


def test_a_position_that_its_account_cannot_carry_is_closed_by_the_exchange():
    m = Market(PERP)
    m.exchange.accounts[NAME]._totals["USDC"] = 2 * 10**9  # 2 USDC carry a position of 5 at the initial margin
    m.exchange._clearing.deposits["USDC"] -= 9_998 * 10**9
    m.place(BUY, 5, 10_100)
    m.see(MarkPrice(T, T, PERP, 6_000, 6_000, 0, 0))
    account = m.exchange.accounts[NAME]
    assert account.position_lots(PERP) == 0
    assert account.fills[-1].origin == "ADL_AUTOCLOSE", "worth less than nothing: the book is not asked any more"


def test_a_market_is_seen_only_while_its_book_is_whole_and_something_is_heard():
    m = Market()
    assert m.paper.is_seen(T + BLIND_US)
    assert not m.paper.is_seen(T + BLIND_US + 1)
    m.see(LastPrice(T + BLIND_US, T, SPOT, 10_000))
    assert m.paper.is_seen(T + 2 * BLIND_US)
    m.see(FeedState(T + BLIND_US, "public", up=False, reason="cut"))
    assert not m.paper.is_seen(T + BLIND_US)
    m.see(BookSnapshot(T, T, SPOT, 9, ((9_800, 5),), ((10_100, 5),)))
    assert m.paper.is_seen(T + BLIND_US)
    assert m.exchange.depth(SPOT).bids == ((9_800, 5),), "a new book leaves nothing of the old one"


def test_a_book_with_a_hole_is_no_book():
    m = Market()
    m.last_id += 1
    m.book((BUY, 9_950, 5))
    assert not m.paper.is_seen(T)
    assert m.exchange.depth(SPOT).bids == m.exchange.depth(SPOT).asks == ()


def test_while_the_stream_is_away_an_order_keeps_its_place_and_comes_no_nearer():
    m = Market()
    order = m.place(BUY, 10, 9_900)
    m.trade(SELL, 9_900, 20)
    m.see(FeedState(m.now_us, "public", up=False, reason="cut"))
    m.see(BookSnapshot(m.now_us, m.now_us, SPOT, 9, ((9_900, 3),), ((10_100, 5),)))
    m.trade(SELL, 9_900, 30)
    assert m.filled(order) == 0
    m.trade(SELL, 9_900, 1)
    assert m.filled(order) == 1


def test_after_a_restart_an_order_stands_behind_everything_but_what_passed_it_fills_it():
    m = Market()
    at, passed = m.place(BUY, 10, 9_900), m.place(BUY, 10, 9_950)
    m.trade(SELL, 9_940, 4)
    later = Exchange([*(m.exchange.instrument(s) for s in m.exchange.symbols)], Rules())
    image = image_of(m.exchange, NAME)
    account = later.restore_account(NAME, image, T)
    again = Market(exchange=later)
    assert account.live[at].open_lots == 10
    again.trade(SELL, 9_900, 50)
    assert again.filled(at) == 0
    assert again.filled(passed) == 10, "a trade at 99.00 passed 99.50"
    third = Exchange([*(m.exchange.instrument(s) for s in m.exchange.symbols)], Rules())
    third.restore_account(NAME, image_of(m.exchange, NAME), T)
    crossed = PaperMarket(third, NAME, SPOT)
    crossed.see(BookSnapshot(T, T, SPOT, 9, (), ((9_945, 2), (9_949, 90))), T)
    assert passed not in third.accounts[NAME].live, "the market had passed it while nobody looked"
    assert at in third.accounts[NAME].live


def test_a_paused_market_refuses_and_an_unknown_state_counts_as_closed():
    m = Market()
    m.see(BookState(T, SPOT, "GridChanged: tick 0.01 to 0.1"))
    with pytest.raises(Refused, match="paused"):
        m.place(BUY, 1, 9_900)
