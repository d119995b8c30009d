"""What a sweep is asked: ranges that become levels, scenarios, goals and bounds, from flags and from a study file."""

from decimal import Decimal
from pathlib import Path

import pytest

from lemon_trader.cli.declared import declarations
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.resolve import Request
from lemon_trader.config.sweep import levels_of, resolve_sweep
from lemon_trader.strategies.parameter import Parameter

PCT = Parameter("take_profit_pct", "--take-profit-pct", "pct", "1", "help.x", low="0.1", high="50")
LAYERS = Parameter("layers", "--layers", "int", "6", "help.x", low="1", high="32")
WAIT = Parameter("cooldown", "--cooldown", "duration", "30", "help.x")
ENTRY = Parameter("entry", "--entry", "choice", "market", "help.x", choices=("market", "offset"))
SWITCH = Parameter("stop", "--stop", "bool", "true", "help.x")
DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("why", "parameter", "text", "levels"),
    [
        ("a step reaches both ends", PCT, "0.5..1.5..0.5", ("0.5", "1", "1.5")),
        ("a step that does not fit stays below the end", PCT, "0.5..1.4..0.5", ("0.5", "1")),
        ("a step may be smaller than the parameter", PCT, "1..1.1..0.05", ("1", "1.05", "1.1")),
        ("named values keep their order", LAYERS, "8:4:6", ("8", "4", "6")),
        ("a value twice is one", LAYERS, "4:4:6", ("4", "6")),
        ("whole numbers stay whole", LAYERS, "4..7", ("4", "5", "6", "7")),
        ("durations are seconds", WAIT, "30s..2m..30", ("30", "60", "90", "120")),
        ("words", ENTRY, "market:offset", ("market", "offset")),
        ("switches", SWITCH, "on:off", ("true", "false")),
    ],
)
def test_each_way_to_write_values_becomes_levels(why, parameter, text, levels):
    assert levels_of(parameter, text) == levels


def test_a_range_without_a_step_is_cut_into_a_hundred_even_or_in_proportion():
    even = [Decimal(x) for x in levels_of(PCT, "0.5..3")]
    assert (len(even), even[0], even[-1], even[1]) == (101, Decimal("0.5"), Decimal(3), Decimal("0.525"))
    log = [Decimal(x) for x in levels_of(PCT, "0.1..10..log")]
    assert (len(log), log[0], log[-1]) == (101, Decimal("0.1"), Decimal(10))
    assert abs(log[50] - 1) < Decimal("0.001"), "the middle of a proportional range is its geometric mean"


@pytest.mark.parametrize(
    ("why", "parameter", "text", "key"),
    [
        ("the upper end first", PCT, "3..1", "sweep.range"),
        ("three ends", PCT, "1..2..3..4", "sweep.range"),
        ("a step of 0", PCT, "1..2..0", "sweep.range"),
        ("steps without number", PCT, "1..2..0.00001", "sweep.range"),
        ("words have no range", ENTRY, "market..offset", "sweep.no-range"),
        ("beyond the parameter's bounds", PCT, "1..60", "setting.above"),
        ("no number", LAYERS, "4:many", "setting.not-number"),
    ],
)
def test_values_that_cannot_be_are_refused_as_a_flag_would_be(why, parameter, text, key):
    with pytest.raises(BadSetting) as refused:
        levels_of(parameter, text)
    assert refused.value.key.split(".")[0] == key.split(".")[0]
    if key.startswith("sweep"):
        assert refused.value.key == key


def asked(*words, **flags):
    given = {"vary": "take_profit_pct=1..2..0.5", "budget": "500"} | {name: str(value) for name, value in flags.items()}
    return resolve_sweep(Request(flags=given, pairs=words or ("martingale", "SOL_USDC")), declarations())


def test_without_a_scenario_the_words_and_flags_of_a_backtest_make_one():
    settings = asked(data="bars.parquet", start="2024-01-01")
    assert [(s.symbol, s.data, s.end_us) for s in settings.scenarios] == [("SOL_USDC", Path("bars.parquet"), None)]
    assert [a.levels for a in settings.axes] == [("1", "1.5", "2")]
    assert settings.objectives == (("gain_pct", ""),)


@pytest.mark.parametrize(
    ("text", "symbol", "data", "days"),
    [
        ("BTC_USDC", "BTC_USDC", None, None),
        ("bars.parquet", "", "bars.parquet", None),
        ("ETH_USDC=old/bars.csv", "ETH_USDC", "old/bars.csv", None),
        ("BTC_USDC@1970-01-02..1970-01-04", "BTC_USDC", None, (1, 3)),
        ("a@b.parquet@1970-01-02..", "", "a@b.parquet", (1, None)),
    ],
)
def test_each_way_to_name_a_scenario(text, symbol, data, days):
    (found,) = asked(scenario=text).scenarios
    assert (found.symbol, found.data) == (symbol, None if data is None else Path(data))
    first, last = days or (None, None)
    assert (found.start_us, found.end_us) == (first and first * DAY_US, last and last * DAY_US)


def test_goals_and_bounds_are_read():
    settings = asked(objective="sharpe,drawdown_worst_pct:min,fills:max", constraint="drawdown_worst_pct<=20,fills>=30.5")
    assert settings.objectives == (("sharpe", ""), ("drawdown_worst_pct", "min"), ("fills", "max"))
    assert settings.constraints == (("drawdown_worst_pct", False, Decimal(20)), ("fills", True, Decimal("30.5")))


@pytest.mark.parametrize(
    ("why", "flags", "key"),
    [
        ("nothing varies", {"vary": ""}, "sweep.nothing-varies"),
        ("a parameter that there is not", {"vary": "layerz=3:4"}, "sweep.unknown-parameter"),
        ("no values", {"vary": "layers"}, "sweep.vary-form"),
        ("the same twice", {"vary": "layers=3:4,layers=5:6"}, "sweep.varied-twice"),
        ("an objective with a third direction", {"objective": "gain_pct:most"}, "sweep.objective"),
        ("a bound without a number", {"constraint": "fills>=many"}, "sweep.constraint"),
        ("a period that ends before it begins", {"scenario": "BTC_USDC@2024-02-01..2024-01-01"}, "period.empty"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_own_words(why, flags, key):
    with pytest.raises(BadSetting) as refused:
        asked(**flags)
    assert refused.value.key == key


STUDY = """
strategy = "martingale"
symbol = "SOL_USDC"
budget = 700
objective = ["gain_pct", "drawdown_worst_pct:min"]
constraint = "fills>=20"
sampler = "random"
trials = 50
scenario = [{ data = "a.parquet", start = 1970-01-02, end = 1970-01-03 }, "BTC_USDC"]

[vary]
take_profit_pct = { low = 1, high = 2, step = 0.5 }
layers = [4, 6]
step_pct = "1..2..1"
"""


def from_file(tmp_path, text, **flags):
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return resolve_sweep(Request(flags={"study": str(path), **flags}), declarations())


def test_a_study_file_says_what_flags_say_and_flags_are_stronger(tmp_path):
    settings = from_file(tmp_path, STUDY, trials="9")
    assert (settings.sampler, settings.trials, settings.base.pair.budget) == ("random", 9, Decimal(700))
    assert {a.name: a.levels for a in settings.axes} == {
        "take_profit_pct": ("1", "1.5", "2"), "layers": ("4", "6"), "step_pct": ("1", "2"),
    }  # fmt: skip
    assert [(s.symbol, s.data, s.start_us) for s in settings.scenarios] == [("", Path("a.parquet"), DAY_US), ("BTC_USDC", None, None)]
    assert settings.constraints == (("fills", True, Decimal(20)),)


def test_a_word_that_is_not_known_in_a_study_file_is_named_with_the_nearest(tmp_path):
    with pytest.raises(BadSetting) as refused:
        from_file(tmp_path, STUDY.replace("sampler", "samplr"))
    assert (refused.value.key, refused.value.values["likely"]) == ("sweep.file-key", "sampler")


def test_what_decides_the_figures_is_declared_and_how_many_is_not(tmp_path):
    base = from_file(tmp_path, STUDY).declaration
    assert base == from_file(tmp_path, STUDY, trials="9", best="7", out="elsewhere").declaration
    for changed in ({"seed": "5"}, {"fill_model": "touch"}, {"reduce": "mean"}, {"maker_fee_pct": "0.01"}, {"stop_loss_pct": "30"}):
        assert base != from_file(tmp_path, STUDY, **changed).declaration
