"""Endless made-up markets: the same seed gives the same one, it stays a book, and it moves as markets do."""

from itertools import islice, takewhile

import pytest
from tests.market.tiny_book import TinyBook

from lemon_trader.core.units import PPM
from lemon_trader.market.acts import Reference, apply
from lemon_trader.market.calibration import STRESS_PPM
from lemon_trader.market.chance import Chance
from lemon_trader.market.instruments import INSTRUMENTS, usual_price_ticks
from lemon_trader.market.price import HIGHEST, LOWEST, PAR, Price
from lemon_trader.market.synthetic import synthetic
from lemon_trader.matching.exchange import Exchange

T = 1_722_859_200_000_000
S = 1_000_000
ALL = tuple(INSTRUMENTS.values())
SOL, PERP = INSTRUMENTS["SOL_USDC"], INSTRUMENTS["SOL_USDC_PERP"]


def flow(instruments=(SOL,), seed=1, seconds=600, **more):
    source = synthetic(instruments, seed=seed, start_us=T, **more)
    return takewhile(lambda a: a.at_us < T + seconds * S, source)


def correlation(values, lag):
    mean = sum(values) / len(values)
    spread = [v - mean for v in values]
    return sum(a * b for a, b in zip(spread, spread[lag:], strict=False)) / sum(a * a for a in spread)


def test_the_same_seed_gives_the_same_market_and_another_seed_another():
    first, again, other = (list(islice(synthetic(ALL, seed=s, start_us=T), 5_000)) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_market_does_not_depend_on_which_others_are_open_beside_it():
    alone = list(flow((SOL,), seconds=60))
    among = [a for a in flow(ALL, seconds=60) if a.symbol == "SOL_USDC"]
    assert alone == among


def test_another_start_gives_the_same_market_later():
    early = list(islice(synthetic((SOL,), seed=3, start_us=T), 2_000))
    late = list(islice(synthetic((SOL,), seed=3, start_us=T + 7 * S), 2_000))
    assert [a.at_us + 7 * S for a in early] == [a.at_us for a in late]


def test_every_market_stays_a_book_with_two_sides_near_where_it_began():
    book = TinyBook()
    for act in flow(ALL, seconds=300):
        book.play([act])
        if act.at_us >= T + S:
            bid, ask = book.touch(act.symbol)
            assert 0 < bid < ask, act
    for i in ALL:
        bid, ask = book.touch(i.symbol)
        assert 0.8 < bid / usual_price_ticks(i) < ask / usual_price_ticks(i) < 1.25
        assert ask - bid < 0.004 * bid


@pytest.mark.parametrize("instrument", ALL, ids=lambda i: i.symbol)
def test_a_usual_market_takes_a_few_acts_a_second(instrument):
    acts = [a for a in flow((instrument,), seconds=900) if not isinstance(a, Reference)]
    assert 2 < len(acts) / 900 < 30


def test_activity_scales_the_number_of_acts():
    slow, usual, fast = (sum(1 for _ in flow(activity_pct=pct)) for pct in (20, 100, 500))
    assert slow < 0.6 * usual
    assert fast > 2.5 * usual


def test_spot_and_perpetual_of_one_coin_stay_together():
    book = TinyBook()
    for act in flow((SOL, PERP), seconds=900, seed=5):
        book.play([act])
    spot, perp = book.touch("SOL_USDC"), book.touch("SOL_USDC_PERP")
    assert sum(spot) == pytest.approx(sum(perp), rel=0.003)


def test_a_perpetual_has_a_mark_each_second_near_its_mid():
    book = TinyBook().play(flow((PERP,), seconds=120))
    times = [at for at, *_ in book.references]
    assert times == list(range(T, T + 120 * S, S))
    assert sum(book.touch("SOL_USDC_PERP")) / 2 == pytest.approx(book.references[-1][2], rel=0.003)
    assert all(abs(rate) <= 15_000_000 for *_, rate in book.references)


def test_the_exchange_itself_takes_it_and_stays_uncrossed():
    exchange = Exchange(list(ALL))
    for act in flow(ALL, seconds=40, activity_pct=200):
        apply(act, exchange)
        bid, _, ask, _ = exchange.touch(act.symbol)
        assert not (bid and ask) or bid < ask
    exchange.check_closed()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_takers_come_in_runs_of_one_side(seed):
    book = TinyBook().play(flow(seconds=2_400, seed=seed))
    signs = list({at_us: side for at_us, _, side, _, _ in book.prints}.values())  # one a trade, however many levels it met
    assert len(signs) > 1_500
    assert 0.2 < correlation(signs, 1) < 0.8
    assert 0.15 < correlation(signs, 2) < 0.8
    assert abs(sum(signs)) < 0.7 * len(signs)


@pytest.mark.parametrize("beginning", [LOWEST, HIGHEST])
def test_the_price_never_leaves_its_bounds_and_is_pulled_back_from_them(beginning):
    price = Price(Chance("bounds", beginning))
    price.value = beginning
    values = [price.step() for _ in range(20_000)]
    assert all(LOWEST <= v <= HIGHEST for v in values)
    price.value, price._chance = beginning, Still()
    assert abs(price.step() - PAR) < abs(beginning - PAR)


class Still:
    """Chance that does nothing."""

    def bell(self):
        return 0

    def happens(self, ppm):
        return False

    def below(self, bound):
        return 1

    def wait(self, mean):
        return mean


def test_calm_and_storm_come_and_stress_stays_within_its_bounds():
    price = Price(Chance("storm"))
    seen = [(price.volatility_ppm, price.stress_ppm) for _ in range(200_000) if price.step()]
    assert min(v for v, _ in seen) < PPM // 2
    assert max(v for v, _ in seen) > 2 * PPM
    assert (min(s for _, s in seen), max(s for _, s in seen)) <= STRESS_PPM


@pytest.mark.parametrize(
    ("instruments", "activity_pct", "said"),
    [
        ((), 100, "at least one symbol"),
        ((SOL, SOL), 100, "each only once; given: SOL_USDC, SOL_USDC"),
        ((SOL,), 0, "an activity of 0 % is too little"),
    ],
)
def test_what_cannot_be_made_is_refused(instruments, activity_pct, said):
    with pytest.raises(ValueError, match=said):
        synthetic(instruments, seed=1, start_us=T, activity_pct=activity_pct)


def test_it_begins_where_it_is_told_to():
    book = TinyBook().play(flow(seconds=20, prices={"SOL_USDC": 12_345}))
    assert book.prints[0][3] == pytest.approx(12_345, rel=0.001)
