"""A whole sweep over two small markets: the best is the best, the engine that trades agrees, a study goes on or is refused with reasons."""

from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lemon_trader.cli.declared import declarations
from lemon_trader.cli.sweep import show
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request
from lemon_trader.config.sweep import resolve_sweep
from lemon_trader.optimize import memory
from lemon_trader.optimize.figures import FIGURES
from lemon_trader.optimize.forward import folds
from lemon_trader.run.sweep import run_sweep

MINUTE_MS = 60_000
T_MS = 1_722_859_200_000
BARS = 600
SEEDS = {"one.parquet": 1, "two.parquet": 2}


class Heard:
    """A face that remembers."""

    def __init__(self):
        self.lines = []

    def say(self, key, **values):
        self.lines.append((key, values))


def market(folder, name, seed):
    rng = np.random.default_rng(seed)
    close = np.round(150 * np.exp(np.cumsum(rng.normal(scale=0.002, size=BARS))), 2)
    start = np.concatenate([[150.0], close[:-1]])
    reach = np.round(np.abs(rng.normal(scale=0.2, size=BARS)), 2)
    columns = {
        "ts_ms": T_MS + np.arange(BARS) * MINUTE_MS,
        "open": start,
        "high": np.round(np.maximum(start, close) + reach, 2),
        "low": np.round(np.minimum(start, close) - reach, 2),
        "close": close,
        "volume": np.full(BARS, 5_000.0),
    }
    pq.write_table(pa.table(columns), folder / name)
    return folder / name


def settings_of(tmp_path, **flags):
    files = [market(tmp_path, name, seed) for name, seed in SEEDS.items()]
    base = {
        "vary": "take_profit_pct=0.5:1:2\nlayers=3:4", "budget": "1000", "scenario": "\n".join(f"SOL_USDC={f}" for f in files),
        "out": str(tmp_path / "study"), "best": "1", "step_pct": "0.4", "stop_loss_pct": "30",
    }  # fmt: skip
    return resolve_sweep(Request(flags=base | flags, pairs=("martingale", "SOL_USDC")), declarations())


def swept(tmp_path, **flags):
    face = Heard()
    return run_sweep(settings_of(tmp_path, **flags), face), face


def test_the_best_is_the_best_and_the_engine_that_trades_agrees_fill_by_fill(tmp_path, capsys):
    found, _ = swept(tmp_path)
    rows = pq.read_table(found.results_file).to_pylist()
    assert (found.trials, len(rows), len(found.scenarios)) == (6, 6, 2)
    worst = {(r["value.take_profit_pct"], r["value.layers"]): min(r["0.gain_pct"], r["1.gain_pct"]) for r in rows}
    best = max(worst, key=worst.get)
    chosen = found.best[0]
    assert tuple(chosen.texts.values()) == best
    assert chosen.together[FIGURES.index("gain_pct")] == worst[best]
    assert chosen.agrees == (True, True)
    assert all(len(r.fills) > 4 for r in chosen.replayed), "it traded in both markets"
    net = [100 * r.totals.net_atoms / r.budget_atoms for r in chosen.replayed]
    assert net == pytest.approx(chosen.figures[:, FIGURES.index("gain_pct")])
    assert 0 <= found.overfitted <= 1
    assert found.compared == 6
    facts = show(found)
    shown = capsys.readouterr().out
    assert "The best 1, played again by the engine that trades" in shown
    assert facts["best"][0]["values"] == chosen.texts
    assert msgspec.json.encode(facts)


def test_a_file_that_names_no_market_is_of_the_one_that_the_words_name(tmp_path):
    bare = {"scenario": "\n".join(str(market(tmp_path, name, seed)) for name, seed in SEEDS.items())}
    found, _ = swept(tmp_path, **bare)
    named, _ = swept(tmp_path, out=str(tmp_path / "named"))
    assert found.best[0].texts == named.best[0].texts
    assert np.array_equal(found.best[0].figures, named.best[0].figures, equal_nan=True)
    settings = replace(settings_of(tmp_path, **bare), symbol="")
    with pytest.raises(BadSetting, match=r"backtest\.data"):
        run_sweep(settings, Heard())


def test_a_set_that_the_strategy_refuses_is_never_among_the_best_that_were_played_again(tmp_path):
    found, face = swept(tmp_path, vary="layers=3:4:31", step_pct="3", stop_loss_pct="16", best="3")
    assert sorted(c.texts["layers"] for c in found.best) == ["3", "4"]
    assert [len(c.replayed) for c in found.best] == [2, 2], "two sets in both markets, although three were wanted"
    assert any(key == "sweep.refused" for key, _ in face.lines)


def test_a_study_goes_on_with_more_trials_and_gives_what_one_piece_would_have(tmp_path):
    vary = {"vary": "take_profit_pct=0.5..3..0.25", "sampler": "random", "constraint": "fills>=1"}
    swept(tmp_path, trials="5", **vary)
    found, face = swept(tmp_path, trials="9", resume="true", **vary)
    assert ("sweep.goes-on", 5) in [(key, values.get("trials")) for key, values in face.lines]
    whole, _ = swept(tmp_path, trials="9", out=str(tmp_path / "whole"), **vary)
    one, other = (pq.read_table(f.results_file) for f in (found, whole))
    assert one.column_names == other.column_names
    assert [str(row) for row in one.to_pylist()] == [str(row) for row in other.to_pylist()], "nan for nan"


@pytest.mark.parametrize(
    ("why", "change", "flags", "key"),
    [
        ("nobody said to go on", None, {}, "sweep.exists"),
        ("another question", None, {"resume": "true", "fill_model": "touch"}, "sweep.other-space"),
        ("other data", None, {"resume": "true"}, "sweep.other-data"),
        ("other code", {"code": "0" * 16}, {"resume": "true"}, "sweep.other-code"),
    ],
)
def test_a_study_of_something_else_is_refused_with_both_fingerprints(tmp_path, monkeypatch, why, change, flags, key):
    base = {"vary": "take_profit_pct=1:2"}
    swept(tmp_path, **base)
    head = tmp_path / "study" / "study.json"
    if change:
        text = msgspec.json.decode(head.read_bytes())
        head.write_bytes(msgspec.json.encode(text | {"fingerprints": text["fingerprints"] | change}))
    if key == "sweep.other-data":
        for name in ("one.parquet", "two.parquet"):
            monkeypatch.setitem(SEEDS, name, 9)
    before = msgspec.json.decode(head.read_bytes())["fingerprints"]
    with pytest.raises(BadSetting) as refused:
        swept(tmp_path, **base, **flags)
    assert refused.value.key == key
    if "before" in refused.value.values:
        assert refused.value.values["before"] in before.values()
        assert refused.value.values["now"] != refused.value.values["before"]


@pytest.mark.parametrize(
    ("why", "flags", "key"),
    [
        ("more points than trials", {"trials": "5"}, "sweep.grid-too-large"),
        ("a figure that there is not", {"objective": "luck"}, "sweep.unknown-figure"),
        ("memory that does not suffice", {"memory_mib": "64"}, "sweep.memory"),
        ("no set that a strategy takes", {"vary": "layers=31:32", "step_pct": "3", "stop_loss_pct": "5"}, ""),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_played(tmp_path, why, flags, key):
    with pytest.raises(BadSetting) as refused:
        swept(tmp_path, **flags)
    assert refused.value.key == key or not key
    assert not (tmp_path / "study").exists()


def test_walking_forward_trades_only_what_was_not_seen_and_stitches_it(tmp_path):
    found, _ = swept(tmp_path, vary="take_profit_pct=0.5:2", walk_forward="rolling", folds="2", train_parts="2", objective="gain_pct")
    first, second = found.forward.folds
    assert first["end_us"] == second["test_us"], "one test lies behind the other"
    assert second["train_us"] > first["train_us"]
    assert {*first["chosen"].values(), *second["chosen"].values()} <= {"0.5", "2"}
    for curve, s in zip(found.forward.curves, range(2), strict=True):
        parts = [fold["outside"]["gain_pct"] for fold in found.forward.folds]
        assert curve["end_us"] - curve["start_us"] <= second["end_us"] - first["test_us"]
        assert curve["gain_pct"] > -100, f"scenario {s} of {parts}"


def test_folds_lie_in_the_period_and_on_whole_bars():
    for how, trains in (("rolling", [100, 300, 500]), ("anchored", [100, 100, 100])):
        found = folds(100, 1_105, 3, 2, how, 50)
        assert [f.test_us for f in found] == [505, 705, 905]
        assert [f.end_us for f in found] == [705, 905, 1_105]
        assert [f.train_us for f in found] == ([105, 305, 505] if how == "rolling" else trains)


def test_memory_grows_with_bars_trials_and_curves():
    class Table:
        def __len__(self):
            return 1_000_000

    small = memory.needed([Table()], 100, curved=False, compared=0, steps=0)
    assert memory.needed([Table()] * 3, 100, curved=False, compared=0, steps=0) > small
    assert memory.needed([Table()], 1_000_000, curved=False, compared=0, steps=0) > small + (300 << 20)
    assert memory.needed([Table()], 100, curved=True, compared=0, steps=0) > small + (100 << 20)
    assert memory.available() > 0
