"""What a person types becomes a checked value, or a refusal that names the value and the way out."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.config.declared import BY_NAME

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.values import default, doubt, duration_text, nearest, parse, show
from lemon_trader.messages.catalogue import say

GOOD = [
    ("a percentage is a decimal", "spread", "0.4", Decimal("0.4")),
    ("a percentage may carry its sign", "spread", "0.4 %", Decimal("0.4")),
    ("blanks around a value do not matter", "spread", " 0.4 ", Decimal("0.4")),
    ("a file's number is taken as written", "spread", Decimal("0.10"), Decimal("0.1")),
    ("a bare number is seconds", "duration", "3600", 3600),
    ("a file's whole number is seconds too", "duration", 90, 90),
    ("seconds", "duration", "90s", 90),
    ("minutes", "duration", "5m", 300),
    ("hours", "duration", "12h", 43_200),
    ("hours and minutes together", "duration", "1h30m", 5_400),
    ("a choice in capitals is the same choice", "style", "BOLD", "bold"),
    ("a switch", "watch", "off", False),
    ("a switch out of a file", "watch", True, True),
    ("auto is derived where the default is derived", "quantity", "auto", None),
    ("a whole number may be written with a fraction of zero", "layers", "4.0", 4),
]


@pytest.mark.parametrize(("name", "raw", "expected"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_values_that_are_accepted(name, raw, expected):
    assert parse(BY_NAME[name], raw) == expected


BAD = [
    ("a negative spread, with what was probably meant", "spread", "-0.4", "setting.below.meant", {"likely": "0.4", "value": "-0.4"}),
    ("a spread of nothing", "spread", "0", "setting.below", {"low": "0.0001"}),
    ("basis points for percent", "spread", "60", "setting.above.meant", {"likely": "0.6", "high": "50"}),
    ("the seed's negative fraction of a stop", "stop_loss_pct", "-0.33", "setting.below.meant", {"likely": "33"}),
    ("a negative stop in percent", "stop_loss_pct", "-33", "setting.below.meant", {"likely": "33"}),
    ("a decimal comma", "spread", "0,4", "setting.comma", {"likely": "0.4"}),
    ("no number at all", "spread", "wide", "setting.not-a-number", {"value": "wide"}),
    ("not a number, the other way", "spread", "nan", "setting.not-a-number", {}),
    ("infinity", "spread", "inf", "setting.not-a-number", {}),
    ("thousands of digits are not computed with", "spread", "9" * 900, "setting.not-a-number", {}),
    ("half a layer", "layers", "2.5", "setting.not-whole", {}),
    ("too many layers", "layers", "33", "setting.above", {"high": "32"}),
    ("a duration of nothing", "duration", "0", "setting.below", {}),
    ("a duration in words", "duration", "1 hour", "setting.not-a-duration", {}),
    ("an empty duration", "duration", "", "setting.not-a-duration", {}),
    ("a negative duration", "duration", "-5m", "setting.below", {}),
    ("an unknown choice", "style", "wild", "setting.not-a-choice", {"choices": "calm, bold"}),
    ("a switch that is neither", "watch", "maybe", "setting.not-a-switch", {}),
    ("a list where a value belongs", "spread", [1], "setting.not-readable", {}),
    ("a terminal's escape in a value", "style", "calm\x1b[2J", "setting.not-readable", {}),
]


@pytest.mark.parametrize(("name", "raw", "key", "values"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_values_that_are_refused(name, raw, key, values):
    with pytest.raises(BadSetting) as refused:
        parse(BY_NAME[name], raw)
    assert refused.value.key == key
    assert {k: refused.value.values[k] for k in values} == values
    assert "{" not in say(key, **refused.value.values), "every placeholder has its value"


DOUBTS = [
    ("a hundredth of what is usual", "spread", "0.004", "doubt.meant", "0.4"),
    ("basis points within the hard bounds", "spread", "40", "doubt.meant", "0.4"),
    ("a stop as a fraction", "stop_loss_pct", "0.33", "doubt.meant", "33"),
    ("a stop that nothing explains", "stop_loss_pct", "70", "doubt.unusual", None),
]


@pytest.mark.parametrize(("name", "raw", "key", "likely"), [case[1:] for case in DOUBTS], ids=[case[0] for case in DOUBTS])
def test_values_that_are_asked(name, raw, key, likely):
    found = doubt(BY_NAME[name], parse(BY_NAME[name], raw))
    assert found is not None
    assert found.key == key
    assert found.values.get("likely") == likely


def test_the_sane_ends_themselves_are_not_asked():
    p = BY_NAME["spread"]
    assert doubt(p, Decimal(p.sane_low)) is None
    assert doubt(p, Decimal(p.sane_high)) is None
    assert doubt(p, None) is None


@pytest.mark.parametrize("parameter", BY_NAME.values(), ids=lambda p: p.name)
def test_what_is_shown_can_be_typed_again(parameter):
    value = default(parameter)
    assert parse(parameter, show(parameter, value)) == value


@given(st.integers(min_value=0, max_value=10**9 - 1))
def test_every_duration_is_shown_so_that_it_reads_back(seconds):
    p = BY_NAME["duration"]
    if seconds:
        assert parse(p, duration_text(seconds)) == seconds


@given(st.text(max_size=40))
def test_any_text_is_refused_or_parses_to_what_shows_and_reads_back(text):
    for parameter in BY_NAME.values():
        with suppress(BadSetting):
            assert parse(parameter, show(parameter, parse(parameter, text))) == parse(parameter, text)


def test_the_nearest_known_word_is_found_whatever_its_case():
    assert nearest("SPRED", ["spread", "quantity"]) == "spread"
    assert nearest("xyz", ["spread", "quantity"]) is None
