"""Several recordings at once, each as its own market, and files that the program does not know."""

import msgspec
import pytest

from lemon_trader.market.errors import RecordingError
from lemon_trader.market.played import named_recordings
from lemon_trader.sandbox.world import WorldOptions, make_world

START_US = 1_722_859_200_000_000


def bars(place, name, price):
    path = place / name
    rows = "".join(f"{1_600_000_000_000 + k * 60_000},{price},{price * 1.01},{price * 0.99},{price},500\n" for k in range(5))
    path.write_text("ts_ms,open,high,low,close,volume\n" + rows)
    return path


def world_of(market, **more):
    return make_world(WorldOptions(market=market, **more), START_US)


def first_prices(world, minutes=2):
    for act in world.source:
        if act.at_us > START_US + minutes * 60_000_000:
            break
        world.app.act(act)
    exchange = world.app.desk.exchange
    exchange.check_closed()
    return {s: sum(exchange.touch(s)[::2]) / 2 for s in world.source.instruments}


def test_two_recordings_play_two_markets_beside_synthetic_ones(tmp_path):
    one, two = bars(tmp_path, "one.csv", 40), bars(tmp_path, "two.csv", 2_000)
    world = world_of(f"SOL_USDC={one}, ETH_USDC_PERP={two}")
    prices = first_prices(world)
    assert prices["SOL_USDC"] == pytest.approx(4_000, rel=0.02)
    assert prices["ETH_USDC_PERP"] == pytest.approx(200_000, rel=0.02)
    assert len(prices) == 6
    assert prices["BTC_USDC"] == pytest.approx(900_000, rel=0.05), "the others stay synthetic"


def test_an_unknown_file_plays_the_market_that_is_named_for_it(tmp_path):
    path = bars(tmp_path, "mine.csv", 40)
    assert first_prices(world_of(str(path), symbol="SOL_USDC_PERP"))["SOL_USDC_PERP"] == pytest.approx(4_000, rel=0.02)
    with pytest.raises(RecordingError, match=r"mine\.csv is not a recording this program knows; name the market"):
        world_of(str(path))


def test_a_file_name_with_a_comma_is_one_file(tmp_path):
    path = bars(tmp_path, "a,b=c.csv", 40)
    assert named_recordings(str(path), "SOL_USDC") == [("SOL_USDC", path)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SOL_USDC=", "SOL_USDC= of --market SOL_USDC= names no recording; write FILE or SYMBOL=FILE"),
        ("a.csv,,b.csv", "an empty part of --market"),
        ("=a.csv", "=a.csv of --market"),
        ("SOL_USDC=a.csv,SOL_USDC=b.csv", "plays two recordings as SOL_USDC; a market can have only one"),
    ],
)
def test_what_names_no_recording_is_refused(text, said):
    with pytest.raises(RecordingError, match=said):
        named_recordings(text)


def test_a_market_that_is_played_twice_is_refused_by_name(tmp_path):
    options = WorldOptions(market=f"SOL_USDC={bars(tmp_path, 'one.csv', 40)}")
    with pytest.raises(RecordingError, match="play SOL_USDC; name another market for one"):
        make_world(msgspec.structs.replace(options, twins=("SOL_USDC",)), START_US)
