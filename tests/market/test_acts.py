"""Acts reach the right door of an exchange, and several sources become one in time order."""

import pytest

from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.acts import Level, Reference, Source, Take, apply, merge
from lemon_trader.market.instruments import INSTRUMENTS, QUOTE, UnknownMarket, default_instrument

SOL, BTC = INSTRUMENTS["SOL_USDC"], INSTRUMENTS["BTC_USDC_PERP"]


class Recorder:
    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments))


@pytest.mark.parametrize(
    ("act", "call"),
    [
        (Level(5, "SOL_USDC", SELL, 101, 7), ("set_outside", "SOL_USDC", SELL, 101, 7, 5)),
        (Take(6, "SOL_USDC", BUY, 3, 102), ("outside_take", "SOL_USDC", BUY, 3, 102, 6)),
        (Reference(7, "BTC_USDC_PERP", 11, 12, -13), ("set_reference", "BTC_USDC_PERP", 11, 12, -13, 7)),
    ],
)
def test_each_act_is_one_call(act, call):
    recorder = Recorder()
    apply(act, recorder)
    assert recorder.calls == [call]


def source(instrument, *times):
    return Source({instrument.symbol: instrument}, times[0], iter([Take(t, instrument.symbol, BUY, 1, 1) for t in times]))


def test_sources_are_merged_by_time_and_the_first_named_goes_first_at_the_same_time():
    merged = merge([source(SOL, 2, 4, 4), source(BTC, 1, 4, 9)])
    assert merged.start_us == 1
    assert set(merged.instruments) == {"SOL_USDC", "BTC_USDC_PERP"}
    assert [(a.at_us, a.symbol[:3]) for a in merged] == [(1, "BTC"), (2, "SOL"), (4, "SOL"), (4, "SOL"), (4, "BTC"), (9, "BTC")]


def test_merging_is_lazy_so_that_endless_sources_can_be_merged():
    def endless():
        at_us = 0
        while True:
            yield Take(at_us, "SOL_USDC", BUY, 1, 1)
            at_us += 10

    merged = merge([Source({"SOL_USDC": SOL}, 0, endless()), source(BTC, 5)])
    assert [next(merged).at_us for _ in range(4)] == [0, 5, 10, 20]


def test_two_sources_of_one_market_are_refused():
    with pytest.raises(ValueError, match="two sources play SOL_USDC"):
        merge([source(SOL, 1), source(SOL, 2)])


def test_nothing_to_merge_is_refused():
    with pytest.raises(ValueError, match="at least one source"):
        merge([])


@pytest.mark.parametrize("symbol", sorted(INSTRUMENTS))
def test_a_default_market_is_whole_and_named_by_its_assets(symbol):
    found = default_instrument(symbol)
    assert found.symbol == symbol == f"{found.base}_{QUOTE}" + ("_PERP" if found.is_perp else "")
    assert found.tick_lot_atoms > 0
    assert (found.imf_ppm > found.mmf_ppm > 0) is found.is_perp
    assert 0 < found.impact_low_ppm < 1_000_000 < found.impact_high_ppm


def test_a_market_that_is_not_listed_is_refused_with_those_that_are():
    with pytest.raises(UnknownMarket, match=r"PEPE_USDC is not a market.*AVAX_USDC, .*XRP_USDC_PERP"):
        default_instrument("PEPE_USDC")
