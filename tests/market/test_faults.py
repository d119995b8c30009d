"""Everything that is wrong with market data is named, with its place; what is right is not."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lemon_trader.market import faults
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.faults import bar_faults, file_faults, gaps_that_were_not_asked, trade_faults
from lemon_trader.market.instruments import default_instrument

MINUTE_US = 60_000_000
T_US = 1_722_859_200_000_000


def bars(minutes, **by):
    at_us = np.array([T_US + int(m * MINUTE_US) for m in minutes], np.int64)
    columns = {name: np.full(len(minutes), 100.0) for name in ("open", "high", "low", "close", "volume")}
    for name, (row, value) in by.items():
        columns[name][row] = value
    return at_us, {name: columns[name] for name in ("open", "high", "low", "close")}, columns["volume"], MINUTE_US


@pytest.mark.parametrize(
    ("why", "minutes", "by", "expected"),
    [
        ("a whole hour has no faults", range(60), {}, []),
        ("three minutes are missing", [0, 1, 5], {}, [("gap", 2, 3, 3)]),
        ("a minute is there twice", [0, 1, 1, 2], {}, [("duplicate", 1, 1, 3)]),
        ("time goes back", [0, 2, 1, 3], {}, [("gap", 1, 1, 2), ("backwards", 1, 1, 3), ("gap", 2, 1, 4)]),
        ("half a minute later is an overlap, and off the minute", [0, 1, 1.5], {}, [("overlap", 1.5, 1, 3), ("misaligned", 1.5, 1, 3)]),
        ("the high is under the close", range(3), {"high": (1, 99.0)}, [("impossible", 1, 1, 2)]),
        ("the low is over the open", range(3), {"low": (2, 101.0)}, [("impossible", 2, 1, 3)]),
        ("a price of 0", range(3), {"low": (0, 0.0)}, [("impossible", 0, 1, 1)]),
        ("a price that is no number", range(3), {"open": (0, np.nan)}, [("impossible", 0, 1, 1)]),
        ("a volume below 0", range(3), {"volume": (1, -1.0)}, [("impossible", 1, 1, 2)]),
        ("two minutes without a trade are one run", range(4), {"volume": (slice(1, 3), 0.0)}, [("no-volume", 1, 2, 2)]),
    ],
)
def test_each_fault_of_bars_is_named_with_its_row_and_length(why, minutes, by, expected):
    found = bar_faults(*bars(minutes, **by))
    assert [(f.kind, (f.at_us - T_US) / MINUTE_US, f.rows, f.row) for f in found] == expected


def test_bars_of_tomorrow_have_not_happened():
    found = bar_faults(*bars(range(3)), now_us=T_US + MINUTE_US)
    assert [(f.kind, f.rows, f.row) for f in found] == [("future", 1, 3)]


def test_a_gap_that_nobody_asked_about_is_told_from_one_that_did_not_trade():
    found = bar_faults(*bars([0, 3, 6]))
    told = gaps_that_were_not_asked(found, [(T_US, T_US + 4 * MINUTE_US)], MINUTE_US)
    assert [f.kind for f in told] == ["gap", "not-asked"]


@pytest.mark.parametrize(
    ("why", "at", "price", "ids", "expected"),
    [
        ("trades of one microsecond are no fault", [1, 1, 2], [5, 5, 5], [1, 2, 3], []),
        ("time goes back", [1, 3, 2], [5, 5, 5], [1, 2, 3], [("backwards", 3, 1)]),
        ("numbers are missing", [1, 2, 3], [5, 5, 5], [1, 2, 7], [("gap", 3, 4)]),
        ("a number is there twice", [1, 2, 3], [5, 5, 5], [1, 2, 2], [("duplicate", 3, 1)]),
        ("a price of 0", [1, 2, 3], [5, 0, 5], [1, 2, 3], [("impossible", 2, 1)]),
    ],
)
def test_each_fault_of_trades_is_named(why, at, price, ids, expected):
    ints = (np.array(column, np.int64) for column in (at, price, [1] * len(at), ids))
    assert [(f.kind, f.row, f.rows) for f in trade_faults(*ints)] == expected


def write(folder, columns):
    pq.write_table(pa.table(columns), folder / "mine.parquet")
    return folder / "mine.parquet"


def test_a_file_is_looked_at_as_it_came_and_its_prices_are_held_against_the_grid(tmp_path):
    rows = {
        "ts_ms": [T_US // 1000, T_US // 1000 + 60_000],
        "open": [1.0, 1.001],
        "high": [2.0, 2.0],
        "low": [1.0, 1.0],
        "close": [1.0, 1.0],
    }
    path = write(tmp_path, rows | {"volume": [1.0, 1.0]})
    found, count, kind = file_faults(path, default_instrument("SOL_USDC"))
    assert (count, kind) == (2, "bars")
    assert [(f.kind, f.rows, f.row, f.note) for f in found] == [("off-grid", 1, 2, "tick 0.01")]
    assert file_faults(path, None)[0] == []


def test_a_file_of_something_else_is_refused_with_its_columns(tmp_path):
    with pytest.raises(RecordingError, match="its columns are apples"):
        file_faults(write(tmp_path, {"apples": [1]}), None)


def test_funding_rates_may_change_their_interval_but_not_repeat(tmp_path):
    path = write(tmp_path, {"ts_ms": [0, 28_800_000, 43_200_000, 43_200_000], "funding_rate": [0.0001, 0.0001, 0.5, 1.5]})
    found, _, kind = file_faults(path, None)
    assert kind == "funding"
    assert [(f.kind, f.row) for f in found] == [("duplicate", 4), ("impossible", 4)]


def test_every_kind_has_its_words():
    assert len(set(faults.FAULTS)) == 10
