"""A perpetual's mark is confirmed by the book, and a quiet book is not an old one while its stream speaks."""

from tests.core.make import T0, account, perp

from lemon_trader.core.events import LastPrice, MarkPrice
from lemon_trader.core.market import SECOND_SOURCE_AGE_US
from lemon_trader.core.step import step
from lemon_trader.core.units import US_PER_S


def mark(at_us: int, ticks: int = 10_001) -> MarkPrice:
    return MarkPrice(at_us, at_us, "SOL_USDC_PERP", ticks, ticks, 0, 0)


def test_a_book_that_is_quiet_confirms_the_mark_while_its_ticker_speaks():
    state = account(perp())
    market = state.markets["SOL_USDC_PERP"]
    for n in range(1, 60):
        step(state, LastPrice(T0 + n * US_PER_S, 0, "SOL_USDC_PERP", 10_001))
        step(state, mark(T0 + n * US_PER_S))
        assert market.confirmed_ticks == 10_001, f"in second {n}"
    assert not market.doubt_us


def test_a_book_whose_stream_says_nothing_confirms_no_longer():
    state = account(perp())
    market = state.markets["SOL_USDC_PERP"]
    step(state, mark(T0 + SECOND_SOURCE_AGE_US))
    assert market.confirmed_ticks == 10_001
    step(state, mark(T0 + SECOND_SOURCE_AGE_US + 1))
    assert market.confirmed_ticks == 0


def test_a_mark_far_from_the_book_is_doubted_however_alive_the_stream():
    state = account(perp())
    market = state.markets["SOL_USDC_PERP"]
    step(state, LastPrice(T0 + US_PER_S, 0, "SOL_USDC_PERP", 10_001))
    step(state, mark(T0 + US_PER_S, 9_000))
    assert market.confirmed_ticks == 0
