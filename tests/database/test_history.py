"""The store of market data: what was written is read, to the number; what contradicts is refused; what was asked for is remembered."""

import itertools

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemon_trader.core.instrument import instrument
from lemon_trader.database.history import DAY_US, History, HistoryError, Series, merged

MINUTE_US = 60_000_000
DAY0 = 19_940 * DAY_US  # 2024-08-05
BARS = Series("SOL_USDC", "bars", MINUTE_US)
TRADES = Series("SOL_USDC", "trades")
SOL = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01")
FINER = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.001", lot="0.001")


def bars(*minutes, close=100, day=DAY0):
    at_us = np.array([day + m * MINUTE_US for m in minutes], np.int64)
    same = np.full(len(minutes), close, np.int64)
    return {"at_us": at_us, "open": same, "high": same, "low": same, "close": same, "lots": same * 3}


def trades(*rows):
    names = ("at_us", "id", "side", "ticks", "lots")
    return {name: np.array(column, np.int64) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


@pytest.fixture
def store(tmp_path):
    return History(tmp_path / "history")


def test_what_was_added_is_read_again_over_days_and_in_time_order(store):
    store.add(BARS, SOL, bars(1438, 1439, 1440, 1441))
    store.add(BARS, SOL, bars(1437))
    grid, rows = store.read(BARS)
    assert grid == SOL
    assert ((rows["at_us"] - DAY0) // MINUTE_US).tolist() == [1437, 1438, 1439, 1440, 1441]
    assert sorted(path.name for path in (store.folder / "SOL_USDC" / "bars-60").iterdir()) == ["2024-08-05.parquet", "2024-08-06.parquet"]
    _, part = store.read(BARS, DAY0 + 1439 * MINUTE_US, DAY0 + 1441 * MINUTE_US)
    assert ((part["at_us"] - DAY0) // MINUTE_US).tolist() == [1439, 1440]


def test_adding_the_same_again_changes_nothing_on_the_disk(store):
    store.add(BARS, SOL, bars(1, 2), (DAY0, DAY0 + DAY_US))
    file = store.folder / "SOL_USDC/bars-60/2024-08-05.parquet"
    before = file.stat().st_mtime_ns
    added = store.add(BARS, SOL, bars(1, 2), (DAY0, DAY0 + DAY_US))
    assert (added.new, added.repeated, added.replaced) == (0, 2, 0)
    assert file.stat().st_mtime_ns == before


def test_a_row_that_contradicts_a_stored_one_is_refused_until_it_may_replace_it(store):
    store.add(BARS, SOL, bars(1, 2))
    with pytest.raises(HistoryError, match=r"1 rows differ .* 2024-08-05T00:02:00 UTC; nothing of that day was written.*--replace"):
        store.add(BARS, SOL, bars(2, close=101) | {"lots": np.array([303])})
    assert store.read(BARS)[1]["close"].tolist() == [100, 100]
    assert store.add(BARS, SOL, bars(2, close=101), replace=True).replaced == 1
    assert store.read(BARS)[1]["close"].tolist() == [100, 101]


def test_a_finer_grid_multiplies_what_is_stored_and_rounds_nothing(store):
    store.add(BARS, SOL, bars(1, close=100))
    store.add(BARS, FINER, bars(2, close=1005))
    grid, rows = store.read(BARS)
    assert (grid.tick, grid.lot) == ("0.001", "0.001")
    assert rows["close"].tolist() == [1000, 1005]
    assert rows["lots"].tolist() == [3000, 3015]


def test_days_of_two_grids_are_read_on_one_that_both_divide(store):
    store.add(BARS, FINER, bars(1, close=1005))
    store.add(BARS, SOL, bars(1441, close=100))
    grid, rows = store.read(BARS)
    assert grid.tick == "0.001"
    assert rows["close"].tolist() == [1005, 1000]


def test_another_market_under_the_same_name_is_refused(store):
    store.add(BARS, SOL, bars(1))
    with pytest.raises(HistoryError, match="another market now"):
        store.add(BARS, instrument("SOL_USDC", "SOL", "EUR", is_perp=False, tick="0.01", lot="0.01"), bars(2))


def test_trades_with_numbers_are_told_apart_by_them_and_others_by_how_many_are_equal(store):
    store.add(TRADES, SOL, trades((DAY0, 7, 1, 100, 5), (DAY0, 8, 1, 100, 5)))
    again = store.add(TRADES, SOL, trades((DAY0, 8, 1, 100, 5), (DAY0, 9, 1, 100, 5)))
    assert (again.new, again.repeated) == (1, 1)
    bare = {name: column for name, column in trades(*[(DAY0, 0, 1, 100, 5)] * 4).items() if name != "id"}
    added = store.add(TRADES, SOL, bare)
    assert (added.new, added.repeated) == (1, 3), "a fourth equal trade is one more than the three that are stored"
    assert store.read(TRADES)[1]["id"].tolist() == [7, 8, 9, -1]


@pytest.mark.parametrize(
    ("why", "spans", "missing"),
    [
        ("nothing was asked", [], [(0, 3)]),
        ("the middle is there", [(1, 2)], [(0, 1), (2, 3)]),
        ("spans that touch are one", [(0, 1), (1, 2)], [(2, 3)]),
        ("all is there", [(0, 2), (1, 5)], []),
    ],
)
def test_what_was_asked_for_is_remembered_even_where_nothing_traded(store, why, spans, missing):
    for begin, end in spans:
        store.add(BARS, SOL, bars(), (DAY0 + begin * DAY_US // 2, DAY0 + end * DAY_US // 2))
    found = store.missing(BARS, DAY0, DAY0 + 3 * DAY_US // 2)
    assert found == [(DAY0 + begin * DAY_US // 2, DAY0 + end * DAY_US // 2) for begin, end in missing]


def test_the_list_says_what_there_is(store):
    store.add(BARS, SOL, bars(1, 1440))
    store.add(TRADES, SOL, trades((DAY0 + 5, 1, -1, 100, 5)))
    found = store.listed()
    assert [(x.series, x.days, x.rows, x.first_us, x.last_us) for x in found] == [
        (BARS, 2, 2, DAY0 + MINUTE_US, DAY0 + DAY_US),
        (TRADES, 1, 1, DAY0 + 5, DAY0 + 5),
    ]


def test_what_is_not_stored_is_not_an_empty_market(store):
    with pytest.raises(HistoryError, match=r"nothing is stored of SOL_USDC/bars-60 .*data fetch"):
        store.read(BARS)
    store.add(BARS, SOL, bars(1))
    with pytest.raises(HistoryError, match="nothing is stored"):
        store.read(BARS, DAY0 + DAY_US)


def test_a_day_whose_bytes_rotted_is_named_and_not_read(store):
    store.add(BARS, SOL, bars(*range(1000)))
    file = store.folder / "SOL_USDC/bars-60/2024-08-05.parquet"
    raw = bytearray(file.read_bytes())
    raw[120] ^= 0xFF
    file.write_bytes(raw)
    with pytest.raises(HistoryError, match=r"2024-08-05.parquet cannot be read .*remove it and fetch"):
        store.read(BARS)


def test_a_day_of_a_later_version_is_refused_and_left_alone(store):
    store.add(BARS, SOL, bars(1))
    file = store.folder / "SOL_USDC/bars-60/2024-08-05.parquet"
    table = pq.read_table(file)
    head = msgspec.json.decode(table.schema.metadata[b"lemon_trader"]) | {"schema": 2}
    pq.write_table(table.replace_schema_metadata({b"lemon_trader": msgspec.json.encode(head)}), file)
    with pytest.raises(HistoryError, match="version 2 of the store, and this program reads version 1"):
        store.read(BARS)
    with pytest.raises(HistoryError, match="version 2"):
        store.add(BARS, SOL, bars(2))


def test_a_parquet_file_of_somebody_else_in_the_folder_is_named(store):
    store.add(BARS, SOL, bars(1))
    pq.write_table(pa.table({"a": [1]}), store.folder / "SOL_USDC/bars-60/mine.parquet")
    with pytest.raises(HistoryError, match="not a day of market data"):
        store.read(BARS)


def test_a_write_that_breaks_off_leaves_the_old_day(store, monkeypatch):
    store.add(BARS, SOL, bars(1))

    def broken(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", broken)
    with pytest.raises(OSError, match="No space"):
        store.add(BARS, SOL, bars(2))
    monkeypatch.undo()
    assert [p.name for p in (store.folder / "SOL_USDC/bars-60").iterdir()] == ["2024-08-05.parquet"]
    assert len(store.read(BARS)[1]["at_us"]) == 1


@settings(max_examples=60, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30))))
def test_merged_spans_hold_the_same_minutes_once(pairs):
    spans = merged([(min(p), max(p)) for p in pairs])
    held = {m for a, b in ((min(p), max(p)) for p in pairs) for m in range(a, b)}
    assert [m for a, b in spans for m in range(a, b)] == sorted(held)
    assert all(x[1] < y[0] for x, y in itertools.pairwise(spans))
