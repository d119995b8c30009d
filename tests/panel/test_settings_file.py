"""`panel_settings.json`: what is set is saved at once, what is somebody else's is kept, what cannot be believed is left alone."""

import json
import os
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from tests.panel.kit import settings_in

from lemon_trader.cli.declared import declarations
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import PAIR
from lemon_trader.panel.settings import FILE, GENERAL
from lemon_trader.strategies.parameter import StrategyRefused

MAKER, MARTINGALE = declarations()


def written(place):
    return json.loads((place / FILE).read_text(encoding="utf-8"))


def put(place, text):
    (place / FILE).write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return settings_in(place)


def do(settings, *words):
    settings.keep(settings.change(words))


def value(settings, name):
    return next(v for place, v, _ in settings.rows() if place.parameter.name == name)


# The first README's five names, and the spellings that its text uses for two of them.
NAMES = [
    ("base_spread_percentage", "0.25", "base_spread_percentage", 0.25),
    ("base_spread", "0.25", "base_spread_percentage", 0.25),
    ("spread", "0.25", "base_spread_percentage", 0.25),
    ("--spread", "0.25", "base_spread_percentage", 0.25),
    ("order_quantity", "0.5", "order_quantity", 0.5),
    ("quantity", "0.5", "order_quantity", 0.5),
    ("quantity", "auto", "order_quantity", None),
    ("quantity", "none", "order_quantity", None),
    ("quantity", "null", "order_quantity", None),
    ("max_orders", "5", "max_orders", 5),
    ("max-orders", "5", "max_orders", 5),
    ("duration", "2h", "duration", 7200),
    ("interval", "30", "interval", 30),
]


@pytest.mark.parametrize(("name", "text", "key", "expected"), NAMES)
def test_each_name_of_the_first_panel_sets_its_key_of_the_file_at_once(tmp_path, name, text, key, expected):
    do(settings_in(tmp_path), name, text)
    assert written(tmp_path)[key] == expected
    assert type(written(tmp_path)[key]) is type(expected)
    again = settings_in(tmp_path)
    assert again.problem is None
    assert [p for p, _, origin in again.rows() if origin], "it is loaded at the next start"


@pytest.mark.parametrize("strategy", [MAKER, MARTINGALE])
def test_every_parameter_of_every_strategy_can_be_set_and_comes_back(tmp_path, strategy):
    settings = settings_in(tmp_path)
    settings.choose(strategy=strategy)
    own = {p.name: p for p in (*PAIR, *GENERAL, *declarations()[strategy])}
    tried = 0
    for name, p in own.items():
        text = p.choices[-1] if p.choices else p.default or {"duration": "2h", "text": "words"}.get(p.kind, "1")
        if name in {"entry", "entry_price", "target_share_pct"}:
            continue  # they are tried together below
        do(settings, name, text)
        tried += 1
    assert tried > 20
    settings_again = settings_in(tmp_path)
    assert settings_again.problem is None
    assert settings_again.strategy == strategy
    assert settings_again.arguments() == settings.arguments()


def test_values_that_only_work_together_are_set_together(tmp_path):
    settings = settings_in(tmp_path)
    settings.choose(strategy=MARTINGALE)
    with pytest.raises(StrategyRefused):
        do(settings, "entry", "manual")
    do(settings, "entry", "manual", "entry_price", "123.45")
    assert value(settings, "entry_price") == Decimal("123.45")
    with pytest.raises(StrategyRefused):
        do(settings, "layers", "12", "stop_loss_pct", "1")
    assert value(settings, "layers") == 6, "nothing of it was done"


def test_the_file_is_the_owners_alone_and_written_whole(tmp_path):
    do(settings_in(tmp_path), "interval", "30")
    if os.name == "posix":
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE], "no draft is left"


def test_what_is_somebody_elses_is_kept_to_the_last_digit(tmp_path):
    theirs = (
        '{"market_type": "spot", "target_position": 0.10, "inventory_skew": 0.25, "max_orders": 4, "other": {"deep": [1, null, "é 中"]},'
        ' "huge": 123456789012345678901234567890, "strategies": {"somebody": {"x": 1}, "martingale": {"layers": 5, "unheard": true}}}'
    )
    settings = put(tmp_path, theirs)
    assert settings.problem is None
    assert set(settings.strangers) >= {"market_type", "other", "somebody.x", "martingale.unheard"}
    do(settings, "max_orders", "6")
    before, after = json.loads(theirs, parse_float=Decimal), json.loads((tmp_path / FILE).read_text(), parse_float=Decimal)
    assert {k: v for k, v in after.items() if k not in {"max_orders", "version"}} == {k: v for k, v in before.items() if k != "max_orders"}
    assert after["max_orders"] == 6


def test_default_takes_a_setting_back_and_out_of_the_file(tmp_path):
    settings = settings_in(tmp_path)
    do(settings, "spread", "0.3")
    do(settings, "spread", "default")
    assert "base_spread_percentage" not in written(tmp_path)
    assert value(settings, "spread") == Decimal("0.4")


def test_a_setting_equal_to_its_default_is_saved_all_the_same(tmp_path):
    do(settings_in(tmp_path), "interval", "60")
    assert written(tmp_path)["interval"] == 60


def test_two_panels_change_one_file_without_losing_each_others_change(tmp_path):
    one, two = settings_in(tmp_path), settings_in(tmp_path)
    do(one, "spread", "0.3")
    do(two, "max_orders", "5")
    assert (written(tmp_path)["base_spread_percentage"], written(tmp_path)["max_orders"]) == (0.3, 5)


BROKEN = [
    ("cut in the middle", '{"max_orders": 5', "panel.settings-broken"),
    ("no object", "[1, 2]", "panel.settings-broken"),
    ("a number that is none", '{"interval": NaN}', "panel.settings-broken"),
    ("one key twice", '{"interval": 30, "interval": 40}', "panel.settings-broken"),
    ("half a surrogate", '{"note": "\\ud800"}', "panel.settings-broken"),
    ("deep beyond reason", "[" * 100_000, "panel.settings-broken"),
    ("a table that is none", '{"strategies": 5}', "panel.settings-broken"),
    ("of a later version", '{"version": 2}', "panel.settings-version"),
    ("of a version that is none", '{"version": "one"}', "panel.settings-version"),
    ("two spellings, two values", '{"spread": 0.2, "base_spread_percentage": 0.3}', "panel.settings-contradict"),
    (
        "a spelling below, another value",
        '{"max_orders": 3, "strategies": {"market-maker": {"max_orders": 4}}}',
        "panel.settings-contradict",
    ),
    ("a value that is none", '{"max_orders": "many"}', "setting.not-whole"),
    ("the first panel's sample of 34 digits", '{"duration": 1234567890123456789012345678901234}', "setting.not-a-duration"),
    ("a value out of bounds", '{"max_orders": 5000}', "setting.above"),
    ("a strategy that is none", '{"strategy": "martingal"}', "pair.strategy-meant"),
    ("a symbol that is none", '{"default_symbol": "sol-usdc"}', "pair.symbol-meant"),
]


@pytest.mark.parametrize(("text", "key"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_file_that_cannot_be_believed_is_left_as_it_is_and_the_defaults_count(tmp_path, text, key):
    settings = put(tmp_path, text)
    assert settings.problem.key == key
    assert not [p for p, _, origin in settings.rows() if origin]
    with pytest.raises(BadSetting) as refused:
        do(settings, "interval", "30")
    assert refused.value.key == "panel.only-here"
    assert value(settings, "interval") == 30, "it holds for this panel"
    assert (tmp_path / FILE).read_text(encoding="utf-8") == text


def test_a_file_whose_values_cannot_work_together_is_left_as_it_is(tmp_path):
    settings = put(tmp_path, {"strategies": {MARTINGALE: {"stop_loss_pct": 1, "layers": 12}}})
    assert settings.problem is not None
    assert value(settings, "spread") == Decimal("0.4")


def test_renew_keeps_the_old_file_beside_and_saves_what_was_set_meanwhile(tmp_path):
    settings = put(tmp_path, "{broken")
    with pytest.raises(BadSetting):
        do(settings, "interval", "30")
    kept = settings.renew()
    assert (tmp_path / kept).read_text() == "{broken"
    assert written(tmp_path) == {"version": 1, "interval": 30}
    assert settings_in(tmp_path).problem is None


def test_a_link_in_the_files_place_is_not_followed(tmp_path):
    target = tmp_path / "elsewhere.json"
    target.write_text("{}")
    place = tmp_path / "settings"
    place.mkdir()
    (place / FILE).symlink_to(target)
    settings = settings_in(place)
    assert settings.problem.key == "file.unreadable"
    assert target.read_text() == "{}"


UNKNOWN = [("spraed", "spread"), ("max_ordres", "max_orders"), ("layrs", "layers"), ("stratgy", "strategy")]


@pytest.mark.parametrize(("word", "likely"), UNKNOWN)
def test_a_name_that_does_not_exist_is_answered_with_the_nearest(tmp_path, word, likely):
    with pytest.raises(BadSetting) as refused:
        settings_in(tmp_path).change([word, "1"])
    assert refused.value.values["likely"] == likely


def test_a_setting_of_the_other_strategy_can_be_named(tmp_path):
    settings = settings_in(tmp_path)
    do(settings, "martingale.budget", "300", "layers", "4")
    assert written(tmp_path)["strategies"] == {"martingale": {"budget": 300, "layers": 4}}
    assert "--budget=300" not in settings.arguments(), "the market maker's start does not get it"
    settings.choose(strategy=MARTINGALE)
    assert {"--budget=300", "--layers=4"} <= set(settings.arguments())


def test_what_the_panel_was_opened_with_counts_above_the_file_and_only_the_symbol_is_saved(tmp_path):
    settings = put(tmp_path, {"base_spread_percentage": 0.3})
    settings.give({"spread": "0.7"}, {"spread": "--spread"}, {"symbol": "SOL_USDC"})
    assert "--spread=0.7" in settings.arguments()
    assert written(tmp_path) == {"base_spread_percentage": 0.3, "version": 1, "default_symbol": "SOL_USDC"}


def test_the_environment_counts_below_the_file(tmp_path):
    environment = {"LEMON_TRADER_SPREAD": "0.9", "LEMON_TRADER_MAX_ORDERS": "7"}
    put(tmp_path, {"base_spread_percentage": 0.3})
    settings = settings_in(tmp_path, environment=environment)
    assert (value(settings, "spread"), value(settings, "max_orders")) == (Decimal("0.3"), 7)


@bounds(max_examples=25, suppress_health_check=[HealthCheck.too_slow])  # drawing nested JSON is slow on a busy machine
@given(
    st.dictionaries(
        st.text(max_size=8), st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists), max_size=5
    )
)
def test_whatever_the_file_holds_besides_survives_a_change(tmp_path_factory, theirs):
    place = tmp_path_factory.mktemp("settings")
    ours = {"version", "strategy", "strategies", "program", "default_symbol", "interval", "spread", "quantity"}
    theirs = {k: v for k, v in theirs.items() if k not in ours}
    try:
        settings = put(place, theirs)
    except UnicodeEncodeError:
        return
    if settings.problem is not None:
        return
    do(settings, "interval", "30")
    assert {k: v for k, v in written(place).items() if k in theirs} == theirs
