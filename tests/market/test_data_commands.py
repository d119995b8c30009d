"""`data import`, `list` and `check`: a file goes in whole or not at all, and comes out as it went in."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests import recordings

from lemon_trader.config.data import resolve_check, resolve_fetch, resolve_import, resolve_list
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request
from lemon_trader.env_live import FolderStore
from lemon_trader.market.tables import read_bars
from lemon_trader.run.data import LOCK, run_check, run_import, run_list
from lemon_trader.run.stored import stored_bars, stored_funding, stored_trades

T_MS = 1_722_859_200_000
MINUTE_MS = 60_000
MINUTE_US = 60_000_000
BARS = {
    "ts_ms": [T_MS, T_MS + MINUTE_MS, T_MS + 3 * MINUTE_MS, T_MS + 4 * MINUTE_MS],
    "open": [150.0, 151.0, 152.0, 152.0],
    "high": [151.5, 152.5, 153.0, 153.0],
    "low": [149.5, 150.5, 151.0, 151.0],
    "close": [151.0, 152.0, 151.5, 152.0],
    "volume": [10.0, 0.0, 1.5, 2.0],
}


class Heard:
    """A face that remembers."""

    def __init__(self):
        self.lines, self.tables, self.facts = [], [], {}

    def say(self, key, **values):
        self.lines.append((key, values))

    def table(self, key, columns, rows):
        self.tables.append((key, rows))

    def result(self, facts):
        self.facts = facts


def write(folder, columns, name="mine.parquet"):
    pq.write_table(pa.table(columns), folder / name)
    return folder / name


def settings_of(tmp_path, resolve, *words, **flags):
    given = {"data_dir": str(tmp_path / "store")} | {name: str(value) for name, value in flags.items()}
    return resolve(Request(flags=given, pairs=[str(w) for w in words]))


def imported(tmp_path, *files, **flags):
    face = Heard()
    return run_import(settings_of(tmp_path, resolve_import, *files, **flags), face), face


def folder(tmp_path):
    return tmp_path / "store" / "history"


def test_an_imported_file_is_stored_listed_and_checked(tmp_path):
    code, face = imported(tmp_path, write(tmp_path, BARS), symbol="SOL_USDC")
    assert code == 0
    assert face.facts["imported"][0]["new"] == 4
    _, bars = stored_bars(folder(tmp_path), "SOL_USDC", MINUTE_US)
    assert bars.close.tolist() == [15_100, 15_200, 15_150, 15_200]
    assert bars.lots.tolist() == [1_000, 0, 150, 200]
    look = Heard()
    assert run_list(settings_of(tmp_path, resolve_list), look) == 0
    assert look.tables[0][1][0][:4] == ("SOL_USDC", "bars-60", 1, 4)
    checked = Heard()
    assert run_check(settings_of(tmp_path, resolve_check), checked) == 1, "a gap and a minute without volume"
    assert [f["kind"] for f in checked.facts["checked"][0]["faults"]] == ["gap", "no-volume"]


def test_importing_again_adds_nothing(tmp_path):
    path = write(tmp_path, BARS)
    imported(tmp_path, path, symbol="SOL_USDC")
    _, face = imported(tmp_path, path, symbol="SOL_USDC")
    assert {k: face.facts["imported"][0][k] for k in ("new", "repeated", "replaced")} == {"new": 0, "repeated": 4, "replaced": 0}


@pytest.mark.parametrize(
    ("why", "by", "said"),
    [
        ("rows that are not sorted", {"ts_ms": BARS["ts_ms"][::-1]}, "because of what is listed above"),
        ("an impossible bar", {"high": [151.5, 152.5, 100.0, 153.0]}, "because of what is listed above"),
        ("prices off the grid", {"open": [150.001, 151.0, 152.0, 152.0]}, "1 rows are off the grid of 0.01; say --off-grid nearest"),
        ("a year that has not come", {"ts_ms": [t + 10**12 for t in BARS["ts_ms"]]}, "because of what is listed above"),
    ],
)
def test_a_file_that_cannot_be_right_leaves_the_store_as_it_was(tmp_path, why, by, said):
    code, face = imported(tmp_path, write(tmp_path, {**BARS, **by}), symbol="SOL_USDC")
    assert code == 2
    assert said in face.lines[-1][1]["reason"]
    assert not list(folder(tmp_path).glob("*/*"))


def test_prices_off_the_grid_go_to_the_nearest_tick_when_that_is_asked_for_and_are_counted(tmp_path):
    path = write(tmp_path, {**BARS, "open": [150.004, 151.0, 152.0, 152.0]})
    code, face = imported(tmp_path, path, symbol="SOL_USDC", off_grid="nearest")
    assert code == 0
    assert ("data.off-grid", {"count": 1}) in face.lines
    assert stored_bars(folder(tmp_path), "SOL_USDC", MINUTE_US)[1].open.tolist()[0] == 15_000


def test_a_clock_ahead_of_utc_is_set_right(tmp_path):
    imported(tmp_path, write(tmp_path, BARS), symbol="SOL_USDC", utc_offset="+08:00")
    _, bars = stored_bars(folder(tmp_path), "SOL_USDC", MINUTE_US)
    assert bars.at_us[0] == (T_MS - 8 * 3_600_000) * 1000


def test_a_market_without_known_filters_is_refused_with_those_that_are_known(tmp_path):
    code, face = imported(tmp_path, write(tmp_path, BARS), symbol="PEPE_USDC")
    assert code == 2
    assert "PEPE_USDC is not a market" in face.lines[-1][1]["reason"]


def test_nobody_writes_while_somebody_else_does(tmp_path):
    held = FolderStore(folder(tmp_path))
    assert held.lock(LOCK)
    with pytest.raises(BadSetting, match=r"data\.busy"):
        imported(tmp_path, write(tmp_path, BARS), symbol="SOL_USDC")
    held.unlock(LOCK)


@pytest.mark.parametrize(
    ("resolve", "words", "flags", "key"),
    [
        (resolve_fetch, [], {"start": "2026-01-01"}, "data.no-symbol"),
        (resolve_fetch, ["SOL_USDC"], {}, "data.no-start"),
        (resolve_fetch, ["SOL_USDC"], {"start": "yesterday"}, "period.moment"),
        (resolve_fetch, ["SOL_USDC"], {"start": "2026-01-02", "end": "2026-01-02"}, "period.empty"),
        (resolve_fetch, ["sol-usdc"], {"start": "2026-01-02"}, "pair.symbol-meant"),
        (resolve_fetch, ["SOL_USDC"], {"start": "2026-01-02", "rest_url": "backpack"}, "record.address"),
        (resolve_import, [], {}, "data.no-file"),
        (resolve_import, ["a.csv"], {"utc_offset": "Taipei"}, "data.offset"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_opened(tmp_path, resolve, words, flags, key):
    with pytest.raises(BadSetting) as refused:
        settings_of(tmp_path, resolve, *words, **flags)
    assert refused.value.key == key


def test_times_are_read_with_and_without_their_offset(tmp_path):
    settings = settings_of(tmp_path, resolve_fetch, "SOL_USDC", start="2024-08-05T12:00", end="2024-08-05T21:00+08:00", interval="5m")
    assert (settings.start_us, settings.end_us, settings.every_s) == (T_MS * 1000, (T_MS + 3_600_000) * 1000, 300)


@pytest.mark.data
def test_recordings_come_out_of_the_store_as_they_went_in(tmp_path):
    bars_file = recordings.path("bars/solusdt_binance_spot_1m_202109.parquet")
    funding_file = recordings.path("funding/solusdt_binance_funding_2024.parquet")
    assert imported(tmp_path, bars_file)[0] == 0
    assert imported(tmp_path, funding_file, symbol="SOL_USDC_PERP")[0] == 0
    _, stored = stored_bars(folder(tmp_path), "SOL_USDC", MINUTE_US)
    direct = read_bars(bars_file)
    for name in ("at_us", "open", "high", "low", "close", "lots"):
        assert (getattr(stored, name) == getattr(direct, name)).all()
    assert len(stored_funding(folder(tmp_path), "SOL_USDC_PERP")) == 997


@pytest.mark.data
def test_the_trades_of_a_day_keep_their_numbers(tmp_path):
    path = recordings.path("trades/btcusdc_binance_spot_aggtrades_20251004.parquet")
    assert imported(tmp_path, path, off_grid="nearest")[0] == 0
    _, trades = stored_trades(folder(tmp_path), "BTC_USDC")
    assert len(trades) == 140_489
    assert trades.ids[0] == 184_359_103
