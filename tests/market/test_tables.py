"""Files of bars, trades and funding rates as columns of integers: nothing is changed but what is counted."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv, feather
from tests import recordings

from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.files import RECORDINGS
from lemon_trader.market.instruments import default_instrument
from lemon_trader.market.tables import read_bars, read_funding, read_trades

T_MS = 1_722_859_200_000
MINUTE_MS = 60_000
BARS = {
    "ts_ms": [T_MS, T_MS + MINUTE_MS, T_MS + 3 * MINUTE_MS],
    "open": [150.0, 151.0, 152.0],
    "high": [151.5, 152.505, 153.0],
    "low": [149.5, 150.5, 151.0],
    "close": [151.0, 152.0, 151.5],
    "volume": [10.0, 0.0, 0.019],
}
SOL = default_instrument("SOL_USDC")


def write(folder, columns, name="mine.parquet"):
    table = pa.table(columns)
    writer = {".parquet": pq.write_table, ".feather": feather.write_feather, ".csv": csv.write_csv}["." + name.split(".")[1]]
    writer(table, folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["mine.parquet", "mine.feather", "mine.csv"])
def test_a_file_of_bars_becomes_ticks_lots_and_microseconds_whatever_its_kind(tmp_path, name):
    bars = read_bars(write(tmp_path, BARS, name), SOL)
    assert (bars.symbol, bars.every_us, len(bars)) == ("SOL_USDC", 60_000_000, 3)
    assert bars.at_us.tolist() == [t * 1000 for t in BARS["ts_ms"]]
    assert bars.open.tolist() == [15_000, 15_100, 15_200]
    assert bars.high.tolist() == [15_150, 15_251, 15_300], "152.505 lies between two ticks and goes half up"
    assert bars.lots.tolist() == [1_000, 0, 1], "less than a lot's step is dropped, and what did not trade stays 0"
    assert bars.off_grid == 1


@pytest.mark.parametrize(
    ("start", "end", "rows"),
    [
        (None, None, [0, 1, 2]),
        (T_MS, T_MS + MINUTE_MS, [0]),
        (T_MS + 1, None, [1, 2]),
        (None, T_MS + 3 * MINUTE_MS, [0, 1]),
    ],
)
def test_a_period_holds_its_start_and_not_its_end(tmp_path, start, end, rows):
    path = write(tmp_path, BARS)
    bars = read_bars(path, SOL, start_us=start and start * 1000, end_us=end and end * 1000)
    assert bars.at_us.tolist() == [BARS["ts_ms"][k] * 1000 for k in rows]


@pytest.mark.parametrize(
    ("why", "by", "said"),
    [
        ("rows out of order", {"ts_ms": [T_MS, T_MS - 1, T_MS + 1]}, "sort the file"),
        ("a market that the price is not of", {"high": [2_000_000.0] * 3, "open": [1.9e6] * 3, "close": [1.9e6] * 3}, "outside what"),
        ("no rows", {k: [] for k in BARS}, "holds no rows"),
    ],
)
def test_bars_that_cannot_be_are_refused(tmp_path, why, by, said):
    with pytest.raises(RecordingError, match=said):
        read_bars(write(tmp_path, {**BARS, **by}), default_instrument("SOL_USDC_PERP"))


def test_bars_of_two_lengths_in_one_file_are_refused(tmp_path):
    times = [T_MS, T_MS + MINUTE_MS, T_MS + 2 * MINUTE_MS, T_MS + 2 * MINUTE_MS + 1_000]
    columns = {name: [*values, values[-1]] for name, values in BARS.items()} | {"ts_ms": times}
    with pytest.raises(RecordingError, match="row 4: it opens before the bar of 60 s ahead of it has ended"):
        read_bars(write(tmp_path, columns), SOL)


def test_a_period_outside_the_file_is_refused_with_what_the_file_has(tmp_path):
    with pytest.raises(RecordingError, match="runs from 2024-08-05T12:00:00 UTC to 2024-08-05T12:03:00 UTC"):
        read_bars(write(tmp_path, BARS), SOL, end_us=T_MS * 1000)


def test_a_stranger_needs_a_market(tmp_path):
    with pytest.raises(RecordingError, match="name the market"):
        read_bars(write(tmp_path, BARS))


def test_volume_in_quote_and_an_old_price_are_scaled(tmp_path):
    bars = read_bars(write(tmp_path, {**BARS, "volume": [1510.0, 0.0, 151.0]}), SOL, is_quote_volume=True)
    assert bars.lots.tolist() == [1_000, 0, 100]
    scaled = read_bars(write(tmp_path, BARS), SOL, scale=10)
    assert scaled.open.tolist() == [150_000, 151_000, 152_000]
    assert scaled.lots.tolist() == [100, 0, 1]


def test_trades_between_two_ticks_go_where_their_taker_went(tmp_path):
    columns = {"ts_us": [5, 5, 9], "price": [150.004, 150.006, 150.01], "qty": [0.001, 1.0, 2.5], "side": ["buy", "sell", "buy"]}
    trades = read_trades(write(tmp_path, columns), SOL)
    assert trades.side.tolist() == [BUY, SELL, BUY]
    assert trades.ticks.tolist() == [15_001, 15_000, 15_001]
    assert trades.lots.tolist() == [1, 100, 250]
    assert trades.off_grid == 2


def test_funding_rates_are_exact_in_billionths_and_a_percentage_is_refused(tmp_path):
    path = write(tmp_path, {"ts_ms": [T_MS, T_MS + 1], "funding_rate": [0.00016351, -0.0000001]})
    assert read_funding(path, "SOL_USDC_PERP").rate_ppb.tolist() == [163_510, -100]
    with pytest.raises(RecordingError, match="must be a fraction"):
        read_funding(write(tmp_path, {"ts_ms": [T_MS], "funding_rate": [1.5]}), "SOL_USDC_PERP")


@pytest.mark.data
@pytest.mark.parametrize("name", recordings.names("bars"))
def test_every_recording_of_bars_is_read_within_half_a_tick(name):
    path = recordings.path(name)
    bars = read_bars(path)
    raw = pq.read_table(path)
    assert len(bars) == raw.num_rows
    steps = raw.column("close").to_numpy() * RECORDINGS[path.stem].scale / float(default_instrument(bars.symbol).tick)
    assert np.abs(bars.close - steps).max() <= 0.5 + 1e-6, "every close is within half a tick of what the file says"
    assert np.all(np.diff(bars.at_us) >= bars.every_us)
    assert np.all((bars.low <= np.minimum(bars.open, bars.close)) & (bars.high >= np.maximum(bars.open, bars.close)))
