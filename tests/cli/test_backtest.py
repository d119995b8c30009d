"""`backtest` at its door: what it shows, and what it refuses with the value and the way out."""

import json
from dataclasses import replace

import pytest
from tests.cli.typed import run
from tests.market.test_record import recorded

from lemon_trader.backtest.result import ORDER, empty
from lemon_trader.cli.app import main
from lemon_trader.messages.catalogue import speak
from lemon_trader.optimize import memory
from lemon_trader.run import backtest as program

MINUTE = 60_000
BEGIN = 1_700_006_400_000  # 2023-11-15 00:00 UTC, ms
QUICK = ["--engine", "replay", "--no-bounds"]


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """In a folder of its own, in English."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEMON_TRADER_LANG", raising=False)
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    yield
    speak("en")


def wave(count=240, price=100.0, step_ms=MINUTE):
    """Bars that swing by four percent within forty bars, on a grid of 0.01."""
    rows = []
    for k in range(count):
        first, last = (price + 0.2 * abs((n % 40) - 20) - 2 for n in (k, k + 1))
        rows.append((BEGIN + k * step_ms, first, max(first, last) + 0.03, min(first, last) - 0.03, last, 50.0))
    return rows


def csv(path, rows, head="ts_ms,open,high,low,close,volume"):
    path.write_text("\n".join([head, *(",".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row) for row in rows)]) + "\n")
    return str(path)


def prints(count=400):
    return [(BEGIN + k * 500, round(100 + 0.05 * ((k // 20) % 9), 2), 1.0, "sell" if k % 2 else "buy") for k in range(count)]


def backtest(capsys, *arguments):
    return run(capsys, main, ["backtest", *arguments])


def test_bars_through_the_engine_that_trades_and_the_same_figures_as_json(capsys, tmp_path):
    file = csv(tmp_path / "wave.csv", wave())
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", file, *QUICK, "--json")
    assert printed.code == 0, printed.err
    (only,) = json.loads(printed.out.splitlines()[-1])["runs"]
    assert (only["engine"], only["fill_model"], only["symbol"], only["events"]) == ("replay", "pessimistic", "SOL_USDC", 240)
    assert only["figures"]["fills"] > 2
    assert only["totals"]["fees"] not in {"0", "-0"}
    assert "Gain" in printed.out
    flagged = backtest(capsys, "martingale", "--symbol", "SOL_USDC", "--data", file, *QUICK, "--json")
    assert flagged.out == printed.out
    again = backtest(capsys, "martingale:SOL_USDC", "--data", file, *QUICK, "--json")
    assert again.out == printed.out, "the same words give the same figures"


def test_both_ends_of_the_fill_models_stand_side_by_side(capsys, tmp_path):
    file = csv(tmp_path / "wave.csv", wave())
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", file, "--engine", "replay", "--fill-model", "probabilistic", "--json")
    assert printed.code == 0, printed.err
    runs = json.loads(printed.out.splitlines()[-1])["runs"]
    assert [r["fill_model"] for r in runs] == ["probabilistic", "pessimistic", "touch"]


def test_trades_go_through_the_simulated_exchange_with_latency(capsys, tmp_path):
    file = csv(tmp_path / "prints.csv", prints(), "ts_ms,price,qty,side")
    printed = backtest(capsys, "market-maker", "SOL_USDC", "--data", file, "--spread", "0.05", "--budget", "500", "--json", "--no-bounds")
    assert printed.code == 0, printed.err
    (only,) = json.loads(printed.out.splitlines()[-1])["runs"]
    assert only["settings"]["latency"] == "25 + 25 + 25 ms"
    assert only["settings"]["taker_delay_ms"] == "100"
    assert only["figures"]["placed"] > 2


def test_a_tier_and_own_rates_decide_what_is_paid(capsys, tmp_path):
    file = csv(tmp_path / "wave.csv", wave())

    def fees(*more):
        printed = backtest(capsys, "martingale", "SOL_USDC", "--data", file, *QUICK, "--json", *more)
        assert printed.code == 0, printed.err
        (only,) = json.loads(printed.out.splitlines()[-1])["runs"]
        return float(only["totals"]["fees"]), only["settings"]["maker_fee_pct"]

    first, vip, rebate = fees(), fees("--fee-tier", "VIP3"), fees("--maker-fee-pct", "-0.01", "--taker-fee-pct", "0")
    assert (first[1], vip[1], rebate[1]) == ("0.08", "0", "-0.01")
    assert first[0] > vip[0] >= 0 > rebate[0]


def test_measured_times_may_come_from_a_file(capsys, tmp_path):
    times = tmp_path / "times.json"
    times.write_text('{"entry_us": [5000], "answer_us": [[7000, 3]]}')
    file = csv(tmp_path / "prints.csv", prints(), "ts_ms,price,qty,side")
    words = ("--spread", "0.05", "--budget", "500", "--json", "--no-bounds", "--latency-from", str(times))
    printed = backtest(capsys, "market-maker", "SOL_USDC", "--data", file, *words)
    assert printed.code == 0, printed.err
    assert "(5 + 7 ms)" in json.loads(printed.out.splitlines()[-1])["runs"][0]["settings"]["latency"]


def test_memory_that_may_not_suffice_is_told_before_the_run(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 9 << 20)
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", csv(tmp_path / "wave.csv", wave()), *QUICK)
    assert printed.code == 0, printed.err
    first = printed.out.splitlines()[0]
    assert "9 MiB are free" in first
    assert "--no-bounds" in first


def test_a_gap_is_told_and_not_filled(capsys, tmp_path):
    rows = wave()
    file = csv(tmp_path / "gapped.csv", rows[:100] + rows[130:])
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", file, *QUICK)
    assert printed.code == 0, printed.err
    assert "30 rows are missing in 1 gaps, the longest 30 at" in printed.out


def test_prices_off_the_grid_are_put_on_it_when_that_is_said(capsys, tmp_path):
    rows = wave()
    rows[7] = (*rows[7][:5], 50.0)
    file = tmp_path / "fine.csv"
    csv(file, rows)
    file.write_text(file.read_text().replace(f"{rows[7][2]:.2f},", f"{rows[7][2]:.2f}3,", 1))
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", str(file), *QUICK, "--off-grid", "nearest")
    assert printed.code == 0, printed.err
    assert "1 prices of the data were not on the market's grid of 0.01" in printed.out


def shifted(rows, at, column, value):
    row = list(rows[at])
    row[column] = value
    return [*rows[:at], tuple(row), *rows[at + 1 :]]


ROWS = wave(60)
# (what the case says, rows, head, more flags, words of the refusal)
FILES = [
    ("rows out of order", [*ROWS[:5], ROWS[6], ROWS[5], *ROWS[7:]], None, (), ["row 7", "time goes back", "data check"]),
    ("a row twice", [*ROWS[:5], ROWS[4], *ROWS[5:]], None, (), ["row 6", "there twice"]),
    (
        "a bar inside the one before",
        [*ROWS[:5], (ROWS[4][0] + 20_000, *ROWS[4][1:]), *ROWS[5:]],
        None,
        (),
        ["row 6", "before the last one"],
    ),
    ("a low above the open", shifted(ROWS, 9, 3, 105.0), None, (), ["row 10", "cannot be"]),
    ("a price of nothing", shifted(ROWS, 9, 3, 0.0), None, (), ["row 10", "cannot be"]),
    (
        "a clock that is ahead of ours",
        [(at + 10**11 * 20, *rest) for at, *rest in ROWS],
        None,
        (),
        ["has not happened yet", "--utc-offset"],
    ),
    ("cents instead of dollars", [(r[0], *(v * 1e8 for v in r[1:5]), r[5]) for r in ROWS], None, (), ["10200000000"]),
    ("columns of another kind", ROWS, "a,b,c,d,e,f", (), ["a, b, c, d, e, f"]),
    ("no time column", ROWS, "row,open,high,low,close,volume", (), ["no time column", "ts_ms"]),
    ("no row at all", [], None, (), ["no rows"]),
    ("a period before the data", ROWS, None, ("--end", "2020-01-01"), ["2023-11-15T00:00:00 UTC", "choose one within it"]),
    ("a period behind the data", ROWS, None, ("--start", "2024-01-01"), ["2023-11-15T00:59:00 UTC", "choose one within it"]),
    ("a period that ends before it starts", ROWS, None, ("--start", "2024-01-01", "--end", "2023-01-01"), ["2024-01-01", "2023-01-01"]),
    ("a start that is no time", ROWS, None, ("--start", "yesterday"), ["--start", "yesterday"]),
    ("bars without volume", [(*r[:5], 0.0) for r in ROWS], None, (), ["no bar with volume"]),
]


@pytest.mark.parametrize(("rows", "head", "more", "words"), [c[1:] for c in FILES], ids=[c[0] for c in FILES])
def test_data_that_cannot_be_played_is_refused_with_its_value_and_the_way_out(capsys, tmp_path, rows, head, more, words):
    file = csv(tmp_path / "bars.csv", rows, head or "ts_ms,open,high,low,close,volume")
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", file, *QUICK, *more)
    assert printed.code == 2, printed.out
    for word in words:
        assert word in printed.err
    assert len(printed.err.splitlines()) == 1, "one clear message"


def test_prices_off_the_grid_are_refused_with_the_first_of_them(capsys, tmp_path):
    file = tmp_path / "fine.csv"
    csv(file, ROWS)
    file.write_text(file.read_text().replace(f"{ROWS[7][2]:.2f},", f"{ROWS[7][2]:.2f}3,", 1))
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", str(file), *QUICK)
    assert printed.code == 2
    for word in ("SOL_USDC's grid of 0.01", "3 is not on", "--off-grid nearest", "1 rows"):
        assert word in printed.err


# (what the case says, words behind `backtest`, words of the refusal)
WORDS = [
    ("no strategy", [], ["backtest market-maker SOL_USDC", "--data"]),
    ("a strategy that is none", ["martingal", "SOL_USDC", "--data", "F"], ["martingal", "martingale"]),
    ("a symbol that is none", ["martingale", "SOLUSDC", "--data", "F"], ["SOLUSDC"]),
    ("a market without filters", ["martingale", "PEPE_USDC", "--data", "F"], ["PEPE_USDC", "SOL_USDC"]),
    ("no market and no file", ["martingale"], ["No market is named"]),
    ("a file that is not there", ["martingale", "SOL_USDC", "--data", "nowhere.csv"], ["nowhere.csv"]),
    ("a file that is none", ["martingale", "SOL_USDC", "--data", "notes.txt"], ["notes.txt", ".parquet"]),
    ("a stranger without a market", ["martingale", "--data", "F"], ["--symbol", "bars.csv"]),
    ("a file that nobody stored", ["martingale", "SOL_USDC"], ["nothing is stored", "data fetch"]),
    ("a parameter below its bound", ["martingale", "SOL_USDC", "--data", "F", "--layers", "0"], ["--layers", "0"]),
    ("a parameter above its bound", ["martingale", "SOL_USDC", "--data", "F", "--stop-loss-pct", "120"], ["--stop-loss-pct", "99"]),
    ("a budget too small for the ladder", ["martingale", "SOL_USDC", "--data", "F", "--budget", "1"], ["1"]),
    ("a flag of another strategy", ["martingale", "SOL_USDC", "--data", "F", "--spread", "1"], ["--spread", "market-maker"]),
    ("a flag that is none", ["martingale", "SOL_USDC", "--data", "F", "--lag-ms", "1"], ["--lag-ms"]),
    ("a latency below nothing", ["martingale", "SOL_USDC", "--data", "F", "--latency-ms", "-1"], ["--latency-ms", "-1"]),
    ("a share of more than all", ["martingale", "SOL_USDC", "--data", "F", "--volume-share-pct", "101"], ["--volume-share-pct", "100"]),
    ("a fill model that is none", ["martingale", "SOL_USDC", "--data", "F", "--fill-model", "hope"], ["hope", "pessimistic"]),
    ("a tier that is none", ["martingale", "SOL_USDC", "--data", "F", "--fee-tier", "Gold"], ["Gold", "Tier 1"]),
    ("fees said twice", ["martingale", "SOL_USDC", "--data", "F", "--fee-tier", "VIP1", "--maker-fee-pct", "0", "--taker-fee-pct", "0"], ["--fee-tier"]),
    ("latency said twice", ["martingale", "SOL_USDC", "--data", "F", "--latency-from", "x", "--latency-ms", "5"], ["--latency-from", "--latency-ms"]),
    ("times that nobody measured", ["martingale", "SOL_USDC", "--data", "F", "--latency-from", "none.json"], ["none.json"]),
    ("a store without a journal", ["martingale", "SOL_USDC", "--data", "F", "--latency-from", "."], ["0 answered orders"]),
    ("a kernel with latency", ["martingale", "SOL_USDC", "--data", "F", "--latency-ms", "5", "--engine", "kernel"], ["--engine replay"]),
    ("funding on a spot market", ["martingale", "SOL_USDC", "--data", "F", "--funding", "rates.csv"], ["rates.csv", "SOL_USDC"]),
    ("a capital below the budget", ["martingale", "SOL_USDC", "--data", "F", "--capital", "100"], ["100", "400"]),
    ("two markets at once", ["martingale", "SOL_USDC", "--symbol", "BTC_USDC", "--data", "F"], ["SOL_USDC", "BTC_USDC", "--symbol"]),
    ("a stranger's stray word", ["martingale", "SOL_USDC", "BTC_USDC", "--data", "F"], ["--data"]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), [c[1:] for c in WORDS], ids=[c[0] for c in WORDS])
def test_what_cannot_be_is_refused_before_anything_is_played(capsys, tmp_path, words, said):
    file = csv(tmp_path / "bars.csv", ROWS)
    (tmp_path / "notes.txt").write_text("hello")
    engine = [] if "--engine" in words or "--data" not in words else ["--engine", "replay"]
    printed = backtest(capsys, *[file if word == "F" else word for word in words], *engine)
    assert printed.code == 2, printed.out
    for word in said:
        assert word in printed.err
    assert "Gain" not in printed.out


def test_coins_from_before_are_refused_wherever_they_were_set(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("LEMON_TRADER_INVENTORY", "3")
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", csv(tmp_path / "bars.csv", ROWS), *QUICK)
    assert printed.code == 2
    assert "inventory is 3" in printed.err


def test_the_kernel_is_not_taken_for_what_it_cannot_play(capsys, tmp_path):
    file = csv(tmp_path / "prints.csv", prints(), "ts_ms,price,qty,side")
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", file, "--engine", "kernel")
    assert printed.code == 2
    assert "plays bars" in printed.err


def imported(capsys, *words):
    printed = run(capsys, main, ["data", "import", *words])
    assert printed.code == 0, printed.err + printed.out


def test_stored_bars_are_played_where_no_file_is_named(capsys, tmp_path):
    file = csv(tmp_path / "wave.csv", wave())
    imported(capsys, file, "--symbol", "SOL_USDC")
    words = ("martingale", "SOL_USDC", *QUICK, "--json")
    stored, direct = backtest(capsys, *words), backtest(capsys, *words, "--data", file)
    assert stored.code == 0, stored.err
    first, second = (json.loads(p.out.splitlines()[-1])["runs"][0] for p in (stored, direct))
    assert first["totals"] == second["totals"]
    assert first["source"] == "SOL_USDC bars 60 s"


def test_stored_trades_are_played_when_that_is_said_and_a_period_cuts_them(capsys, tmp_path):
    imported(capsys, csv(tmp_path / "prints.csv", prints(), "ts_ms,price,qty,side"), "--symbol", "SOL_USDC")
    words = ("market-maker", "SOL_USDC", "--data", "trades", "--spread", "0.05", "--budget", "500", "--no-bounds", "--json")
    whole, half = backtest(capsys, *words), backtest(capsys, *words, "--end", "2023-11-15T00:01:40")
    assert (whole.code, half.code) == (0, 0), whole.err + half.err
    ends = [json.loads(p.out.splitlines()[-1])["runs"][0]["end_us"] for p in (whole, half)]
    assert ends[1] <= (BEGIN + 100_000) * 1_000 + 1_000_001 < ends[0]


def test_stored_rates_are_paid_on_a_perpetual(capsys, tmp_path):
    rates = tmp_path / "rates.csv"
    rates.write_text("ts_ms,funding_rate\n" + "".join(f"{BEGIN + k * 3_600_000},0.001\n" for k in range(6)))
    imported(capsys, str(rates), "--symbol", "SOL_USDC_PERP")
    file = csv(tmp_path / "wave.csv", wave())
    words = ("martingale", "SOL_USDC_PERP", "--data", file, *QUICK, "--json")
    paid = {}
    for funding in ("store", str(rates), "published", "none"):
        printed = backtest(capsys, *words, "--funding", funding)
        assert printed.code == 0, printed.err
        paid[funding] = float(json.loads(printed.out.splitlines()[-1])["runs"][0]["totals"]["funding"])
    assert paid["store"] == paid[str(rates)] < paid["published"] < paid["none"] == 0


def test_a_book_on_a_tape_of_the_exchange_is_played(capsys, tmp_path):
    tape, *_ = recorded(tmp_path)
    words = ("--data", str(tape), "--spread", "0.1", "--budget", "500", "--json")
    printed = backtest(capsys, "market-maker", "SOL_USDC", *words)
    assert printed.code == 0, printed.err
    runs = json.loads(printed.out.splitlines()[-1])["runs"]
    assert [r["fill_model"] for r in runs] == ["pessimistic", "optimistic"]
    assert all(r["settings"]["data"] == "tape" and r["events"] for r in runs)
    unnamed = backtest(capsys, "market-maker", *words)
    assert unnamed.code == 2
    assert "SOL_USDC, SOL_USDC_PERP" in unnamed.err


@pytest.fixture
def kernel(monkeypatch):
    """In the compiled loop's place, whose compilation takes long: what it must give is what the replay gives; the test may spoil it."""
    spoil = []

    def run_kernel(settings, data, model, fees):
        result = replace(program.replay_bars(settings, data, model, fees), engine="kernel", orders=empty(ORDER))
        for change in spoil:
            result = change(result)
        return result

    monkeypatch.setattr(program, "run_kernel", run_kernel)
    return spoil


def engines(printed):
    return [(r["fill_model"], r["engine"]) for r in json.loads(printed.out.splitlines()[-1])["runs"]]


def test_bars_go_through_the_kernel_and_the_shown_run_is_replayed(capsys, tmp_path, kernel):
    file = csv(tmp_path / "wave.csv", wave())
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", file, "--json")
    assert printed.code == 0, printed.err
    assert engines(printed) == [("pessimistic", "replay"), ("touch", "kernel")]
    assert "Kernel and replay agree in every one of" in printed.out
    alone = backtest(capsys, "martingale", "SOL_USDC", "--data", file, "--json", "--engine", "kernel", "--no-bounds")
    assert engines(alone) == [("pessimistic", "kernel")]
    assert "agree" not in alone.out
    late = backtest(capsys, "martingale", "SOL_USDC", "--data", file, "--json", "--latency-ms", "50")
    assert engines(late) == [("pessimistic", "replay"), ("touch", "replay")]


def test_a_kernel_that_differs_is_told_with_the_first_fill(capsys, tmp_path, kernel):
    def another_slot(result):
        fills = result.fills.copy()
        fills["slot"][2] += 1
        return replace(result, fills=fills)

    kernel.append(another_slot)
    printed = backtest(capsys, "martingale", "SOL_USDC", "--data", csv(tmp_path / "wave.csv", wave()), "--no-bounds")
    assert printed.code == 0, printed.err
    assert "Kernel and replay differ from fill 3 on (2023-11-15" in printed.out
    assert "The replay is shown" in printed.out
