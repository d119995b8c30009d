"""What a market shows of its book: our own orders do not lift the touch, a doubtful price decides no stop, an emptied side ends the band."""

from tests.core.make import T0, account
from tests.core.test_unknown_outcome import attempt

from lemon_trader.core.events import BookDelta, LastPrice, PlaceAccepted
from lemon_trader.core.step import step
from lemon_trader.core.units import US_PER_S


def delta(state, n, *, bids=(), asks=(), at=T0):
    step(state, BookDelta(at, at, "SOL_USDC", 10 + n, 10 + n, bids, asks))


def market_of(state):
    return state.markets["SOL_USDC"]


def test_the_touch_is_what_others_make_of_it():
    state = account()
    step(state, attempt(1, lots=10))
    step(state, PlaceAccepted(T0, T0, "SOL_USDC", 1, "77", "working", 0))
    market_of(state).orders.live[0].price_ticks = 10_001
    delta(state, 1, bids=((10_001, 10),))
    assert market_of(state).view.bid_ticks == 10_000, "the best bid is our own alone"
    delta(state, 2, bids=((10_001, 11),))
    assert market_of(state).view.bid_ticks == 10_001, "somebody stands beside us"


def test_an_emptied_side_ends_the_band():
    state = account()
    market = market_of(state)
    market.band_low, market.band_high = 9_000, 11_000
    assert market.in_band()
    delta(state, 1, asks=((10_002, 0), (10_010, 0)))
    assert not market.in_band()


def test_one_source_alone_confirms_nothing_at_once():
    state = account()
    market = market_of(state)
    step(state, LastPrice(T0, T0, "SOL_USDC", 10_001))
    delta(state, 1, bids=((10_000, 500),))
    assert market.confirmed_ticks == 10_000
    delta(state, 2, bids=((10_000, 0), (9_990, 0), (8_000, 5)), at=T0 + US_PER_S)
    assert market.confirmed_ticks == 0, "20 % in one print, and the last trade says otherwise"
    step(state, LastPrice(T0 + US_PER_S, T0, "SOL_USDC", 8_001))
    assert market.confirmed_ticks == 8_000, "a second source agrees"


def test_one_source_that_stands_for_a_second_is_believed():
    state = account()
    market = market_of(state)
    step(state, LastPrice(T0, T0, "SOL_USDC", 10_001))
    for n in range(1, 5):
        delta(state, n, bids=((10_000, 0), (9_990, 0), (8_000, 5 + n)), at=T0 + n * US_PER_S // 2)
    assert market.confirmed_ticks == 8_000


def test_a_gap_in_the_chain_drops_the_book():
    state = account()
    delta(state, 5, bids=((10_000, 1),))
    assert not market_of(state).book.valid
    assert market_of(state).view.bid_ticks == 0
