"""The book of the others follows the trades, stays small, and never contradicts itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.market.tiny_book import TinyBook

from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.acts import SWEEP, Level, Take
from lemon_trader.market.chance import Chance
from lemon_trader.market.crowd import LADDER, Crowd
from lemon_trader.market.instruments import INSTRUMENTS

SOL = INSTRUMENTS["SOL_USDC"]
TRADES = st.lists(
    st.tuples(st.sampled_from([BUY, SELL]), st.integers(-30, 30), st.integers(1, 900), st.booleans()), min_size=1, max_size=60
)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40_000), TRADES, st.integers(50, 3_000))
def test_whatever_trades_come_the_book_follows_and_only_a_touch_stands_off_the_ladder(begin, trades, spread_ppm):
    crowd, book = Crowd(SOL, Chance("crowd"), 100, spread_ppm), TinyBook()
    ticks = begin
    for k, (side, move, lots, is_jump) in enumerate(trades):
        ticks = max(1, ticks + move)
        book.play(crowd.trade(k, side, ticks, lots, is_jump=is_jump))
        assert book.prints[-1][2:] == (side, ticks, lots)
        assert crowd.last_ticks == ticks
        assert (crowd.ask_ticks if side == BUY else crowd.bid_ticks) == ticks
        levels = book.books["SOL_USDC"]
        for book_side, touch in ((BUY, crowd.bid_ticks), (SELL, crowd.ask_ticks)):
            assert book.best(SOL.symbol, book_side) == touch
            assert len(levels[book_side]) <= LADDER + 4
            assert sum(1 for t in levels[book_side] if t % crowd._gap) <= 1 + (crowd._gap_base != begin) * LADDER


def test_a_zigzag_leaves_no_former_touches_behind():
    crowd, book = Crowd(SOL, Chance("zigzag"), 100), TinyBook()
    for k in range(400):
        book.play(crowd.walk(k, 20_000 - k // 2 * 3 + k % 2 * 2, 10))
        assert all(len([t for t in levels if t % 20]) <= 1 for levels in book.books["SOL_USDC"].values())


def test_a_move_trades_what_stands_between_and_a_jump_does_not():
    for is_jump in (False, True):
        crowd, book = Crowd(SOL, Chance("move"), 100), TinyBook()
        book.play(crowd.trade(1, BUY, 10_000, 5))
        before = len(book.prints)
        book.play(crowd.trade(2, BUY, 10_035, 5, is_jump=is_jump))
        printed = [ticks for *_, ticks, _ in book.prints[before:]]
        assert printed == ([10_035] if is_jump else [10_000, 10_010, 10_020, 10_030, 10_035])


def test_both_ways_an_order_of_an_account_on_the_way_is_taken_whole():
    crowd = Crowd(SOL, Chance("own"), 100)
    crowd.trade(1, BUY, 10_000, 5)
    for is_jump in (False, True):
        ticks = crowd.last_ticks + 7
        assert Take(2, "SOL_USDC", BUY, SWEEP, ticks - 1) in crowd.trade(2, BUY, ticks, 5, is_jump=is_jump)


def test_an_offer_that_comes_down_meets_the_bids_of_accounts_first():
    crowd = Crowd(SOL, Chance("down"), 100, 2_000)
    crowd.trade(1, SELL, 10_000, 5)
    assert crowd.ask_ticks == 10_020
    acts = crowd.trade(2, BUY, 10_004, 5)
    assert acts[0] == Take(2, "SOL_USDC", SELL, SWEEP, 10_004)


def test_a_change_of_mind_changes_one_quantity_and_no_price():
    crowd, book = Crowd(SOL, Chance("mind"), 1_000), TinyBook()
    assert crowd.refresh(0) == []
    book.play(crowd.trade(1, BUY, 10_000, 5))
    prices = {side: set(levels) for side, levels in book.books["SOL_USDC"].items()}
    seen = set()
    for k in range(200):
        (act,) = crowd.refresh(2 + k)
        assert isinstance(act, Level)
        assert act.ticks in prices[act.side]
        assert 500 <= act.lots <= 1_500
        seen.add((act.side, act.ticks))
    assert len(seen) == sum(map(len, prices.values()))


@pytest.mark.parametrize("ticks", [1, 2, 9])
def test_near_nothing_there_may_be_no_bids_but_never_a_price_of_0(ticks):
    crowd, book = Crowd(SOL, Chance("least"), 10), TinyBook()
    for side in (BUY, SELL, BUY, SELL):
        book.play(crowd.trade(1, side, ticks, 3))
    assert crowd.bid_ticks >= 0
    assert all(t > 0 for levels in book.books["SOL_USDC"].values() for t in levels)
