"""A file that cannot be played is refused with one sentence that names it, what is wrong, and the way out."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.market.tiny_book import TinyBook

from lemon_trader.market.acts import Take
from lemon_trader.market.recordings import RecordingError, open_recording

NAN = float("nan")
T_MS = 1_722_859_200_000
GOOD = {
    "ts_ms": [T_MS, T_MS + 60_000, T_MS + 120_000],
    "open": [150.0, 151.0, 152.0],
    "high": [151.5, 152.5, 153.0],
    "low": [149.5, 150.5, 151.0],
    "close": [151.0, 152.0, 151.5],
    "volume": [10.0, 20.0, 30.0],
}
BOOK = {
    "recv_ns": [1, 2, 3, 4],
    "kind": ["update", "snapshot", "update", "update"],
    "event_ms": [T_MS, 0, T_MS + 1, T_MS + 2],
    "trans_ms": [0, 0, 0, 0],
    "first_id": [8, 0, 11, 13],
    "last_id": [9, 10, 12, 14],
    "prev_last_id": [0, 0, 0, 0],
    "side": ["bid", "bid", "ask", "ask"],
    "price": [149.0, 150.0, 151.0, 152.0],
    "qty": [1.0, 1.0, 1.0, 1.0],
}
TRADES = {"ts_us": [T_MS * 1000, T_MS * 1000 + 1], "price": [150.0, 150.1], "qty": [1.0, 2.0], "side": ["buy", "sell"]}


def file(folder, columns, name="mine.parquet"):
    pq.write_table(pa.table(columns), folder / name)
    return folder / name


def changed(columns, **by):
    return {**columns, **by}


@pytest.mark.parametrize(
    ("why", "columns", "said"),
    [
        ("a price that is not a number", changed(GOOD, high=[151.5, NAN, 153.0]), "row 2: high is nan.*repair or drop"),
        ("a price of 0", changed(GOOD, low=[149.5, 150.5, 0.0]), "row 3: low is 0.0, which is not a price above 0"),
        ("a negative volume", changed(GOOD, volume=[10.0, -1.0, 1.0]), "row 2: volume is -1.0, which is not a size of 0 or more"),
        ("a price beyond all sense", changed(GOOD, high=[1e12, 152.5, 153.0]), "row 1: high is 1000000000000.0"),
        ("a close above the high", changed(GOOD, close=[151.0, 152.6, 151.5]), "row 2: open or close lies outside low and high"),
        ("an open below the low", changed(GOOD, open=[149.0, 151.0, 152.0]), "row 1: open or close lies outside"),
        ("a time twice", changed(GOOD, ts_ms=[T_MS, T_MS, T_MS + 60_000]), "row 2: its time is not later.*sort the file"),
        ("times that go back", changed(GOOD, ts_ms=[T_MS, T_MS + 60_000, T_MS + 1]), "row 3: its time is not later"),
        ("prices as text", changed(GOOD, open=["150", "151", "152"]), "column open holds text; it must hold numbers"),
        ("times as prose", changed(GOOD, ts_ms=["noon", "one", "two"]), "column ts_ms holds no times"),
        ("no time at all", {k: v for k, v in GOOD.items() if k != "ts_ms"}, "has no time column; it needs one of ts_us"),
        ("nothing traded", changed(GOOD, volume=[0.0, 0.0, 0.0]), "no bar of the chosen part has a volume"),
        ("no rows", {k: v[:0] for k, v in GOOD.items()}, "holds no rows"),
        ("a price that the market cannot show", changed(GOOD, low=[149.5, 150.5, 0.004]), "row 3: the price 0.004 lies outside.*--symbol"),
        ("strange columns", {"when": [1], "what": [2]}, "neither bars.*trades.*nor a book; its columns are what, when"),
        ("funding rates", {"ts_ms": [T_MS], "funding_rate": [0.0001]}, "history of funding rates"),
        ("a side that is none", changed(TRADES, side=["buy", "hold"]), "row 2: side is 'hold'; it must be buy or sell"),
        ("trades that go back", changed(TRADES, ts_us=[5_000_000, 4_000_000]), "row 2: its time is not later"),
        ("a book without a snapshot", changed(BOOK, kind=["update"] * 4), "holds no snapshot"),
        ("a book with a hole", changed(BOOK, first_id=[8, 0, 11, 20]), "updates are missing after id 12"),
        ("a chain with a hole", changed(BOOK, prev_last_id=[7, 0, 9, 11]), "updates are missing after id 12"),
        ("a snapshot newer than all updates", changed(BOOK, last_id=[9, 99, 12, 14]), "no update newer than its snapshot"),
        ("a book side that is none", changed(BOOK, side=["bid", "buy", "ask", "ask"]), "row 2: side is 'buy'; it must be bid or ask"),
    ],
)
def test_a_corrupted_or_foreign_file(tmp_path, why, columns, said):
    with pytest.raises(RecordingError, match=f"mine.parquet.*{said}"):
        open_recording(file(tmp_path, columns), symbol="SOL_USDC")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("torn.parquet", b"PAR1 and then nothing", "torn.parquet cannot be read as parquet .*fetch it again"),
        ("empty.parquet", b"", "empty.parquet cannot be read as parquet"),
        ("empty.csv", b"", "empty.csv cannot be read as csv"),
        ("noise.csv", bytes(range(128, 256)) * 3, "noise.csv"),
        ("ragged.csv", b"ts_ms,open,high,low,close,volume\n1,2,3\n", "ragged.csv cannot be read as csv"),
        ("notes.txt", b"hello", "notes.txt is not a recording this program reads; it reads .parquet, .feather, .csv"),
        ("raw.gz", b"\x1f\x8b", "raw.gz is not a recording this program reads"),
    ],
)
def test_an_unreadable_file(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=said):
        open_recording(tmp_path / name, symbol="SOL_USDC")


def test_a_missing_file_and_a_folder_are_refused_by_their_path(tmp_path):
    for path in (tmp_path / "none.parquet", tmp_path):
        with pytest.raises(RecordingError, match=f"there is no recording {path}; check the path"):
            open_recording(path)


def test_a_stranger_needs_a_symbol_and_the_symbol_must_be_listed(tmp_path):
    path = file(tmp_path, GOOD)
    with pytest.raises(RecordingError, match=r"mine\.parquet is not a recording this program knows.*--symbol SOL_USDC"):
        open_recording(path)
    with pytest.raises(RecordingError, match="PEPE_USDC is not a market of the simulated exchange; it lists AVAX_USDC"):
        open_recording(path, symbol="PEPE_USDC")


def test_a_start_after_the_end_and_a_limit_of_nothing_are_refused(tmp_path):
    path = file(tmp_path, GOOD)
    with pytest.raises(RecordingError, match=r"runs from 2024-08-05T12:00:00 UTC to 2024-08-05T12:02:00 UTC.*start is 2024-08-05T12:02:00"):
        open_recording(path, symbol="SOL_USDC", start=T_MS * 1000 + 120_000_001)
    with pytest.raises(RecordingError, match="a limit of 0 rows leaves nothing to play"):
        open_recording(path, symbol="SOL_USDC", limit=0)


@pytest.mark.parametrize(
    ("header", "times"),
    [
        ("date", ["2024-08-05 12:00:00", "2024-08-05 12:01:00", "2024-08-05 12:02:00"]),
        ("timestamp", ["2024-08-05T12:00:00", "2024-08-05T12:01:00", "2024-08-05T12:02:00"]),
        ("time", ["1722859200", "1722859260", "1722859320"]),
        ("open_time", ["1722859200000", "1722859260000", "1722859320000"]),
        ("ts", ["1722859200000000", "1722859260000000", "1722859320000000"]),
        ("ts", ["1722859200000000000", "1722859260000000000", "1722859320000000000"]),
    ],
)
def test_bars_of_ones_own_are_played_whatever_their_clock(tmp_path, header, times):
    lines = [f"{header},Open,High,Low,Close,Volume"]
    lines += [f"{t},{','.join(str(GOOD[c][k]) for c in ('open', 'high', 'low', 'close', 'volume'))}" for k, t in enumerate(times)]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    source = open_recording(tmp_path / "mine.csv", symbol="SOL_USDC")
    assert source.start_us == T_MS * 1000
    book = TinyBook().play(source)
    printed = [ticks for *_, ticks, _ in book.prints]
    assert (min(printed), max(printed)) == (14_950, 15_300)
    assert T_MS * 1000 + 120_000_000 <= book.now_us < T_MS * 1000 + 180_000_000


def test_prices_finer_than_the_grid_go_to_the_nearest_tick_and_halves_go_up(tmp_path):
    flat = [150.0044, 150.0049999, 150.005, 150.015, 150.0251]
    columns = {"ts_ms": [T_MS + 60_000 * k for k in range(5)], **dict.fromkeys(("open", "high", "low", "close"), flat), "volume": [5.0] * 5}
    source = open_recording(file(tmp_path, columns), symbol="SOL_USDC")
    takes = [a for a in source if isinstance(a, Take) and a.lots < 10**9]
    assert [t.limit_ticks for t in takes] == [15_000, 15_000, 15_001, 15_002, 15_003]


def test_trades_of_ones_own_are_played_and_a_size_under_a_lot_counts_as_one(tmp_path):
    source = open_recording(file(tmp_path, changed(TRADES, qty=[0.0001, 2.019])), symbol="SOL_USDC")
    book = TinyBook().play(source)
    assert [(ticks, lots) for *_, ticks, lots in book.prints] == [(15_000, 1), (15_010, 201)]


def test_a_book_without_trades_beside_it_still_plays(tmp_path):
    source = open_recording(file(tmp_path, BOOK), symbol="SOL_USDC")
    assert source.start_us == T_MS * 1000
    book = TinyBook().play(source)
    assert book.books["SOL_USDC"] == {1: {15_000: 100}, -1: {15_100: 100, 15_200: 100}}
    assert not book.prints
