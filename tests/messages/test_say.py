"""A message says its values as they are and lets none of them act on the terminal."""

import unicodedata
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemon_trader.messages import catalogue
from lemon_trader.messages.catalogue import escaped, language_for, match, say, speak, spoken


@pytest.fixture(autouse=True)
def _english():
    before = spoken()
    speak("en")
    yield
    speak(before)


def test_it_speaks_both_languages():
    assert say("word.yes") == "yes"
    speak("zh-TW")
    assert say("word.yes") == "是"


def test_a_language_without_catalogue_is_refused_and_the_old_one_stays():
    with pytest.raises(KeyError):
        speak("eo")
    assert spoken() == "en"


VALUES = [
    (Decimal("1E+2"), "100"),
    (Decimal("0.10"), "0.1"),
    (Decimal(-5), "-5"),
    (7, "7"),
    (Path("a b"), "a b"),
    (("word.no", {}), "no"),
    ("\x1b[2J", "\\x1b[2J"),
    ("two\nlines", "two\\nlines"),
    ("\u202eright to left", "\\u202eright to left"),
    ("zero\u200bwidth", "zero\\u200bwidth"),
    ("\udc80", "\\udc80"),
    ("[bold]{name}", "[bold]{name}"),
    ("交易對", "交易對"),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_a_value_is_shown_plain_and_harmless(value, text):
    assert say("refused", text=value) == f"lemon-trader: {text}"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left_of_any_text(text):
    assert all(c.isprintable() or unicodedata.category(c) == "Zs" for c in escaped(text))


def test_an_unknown_id_and_a_missing_value_are_shown_and_not_raised():
    assert say("no.such.id", a=1) == "no.such.id: a=1"
    assert say("no.such.id") == "no.such.id"
    assert "{name}" in say("setting.not-a-number", value="x")


LANGUAGES = [
    ("the flag is asked first", "zh-TW", {"LEMON_TRADER_LANG": "en", "LANG": "en_US.UTF-8"}, "zh-TW"),
    ("then our own variable", None, {"LEMON_TRADER_LANG": "zh_TW", "LC_ALL": "C"}, "zh-TW"),
    ("then LC_ALL, even where it is C", None, {"LC_ALL": "C.UTF-8", "LANG": "zh_TW.UTF-8"}, "en"),
    ("then LC_MESSAGES", None, {"LC_MESSAGES": "zh_TW", "LANG": "en_US"}, "zh-TW"),
    ("then LANG", None, {"LANG": "zh_HK.UTF-8"}, "zh-TW"),
    ("an empty variable is none", None, {"LC_ALL": "", "LANG": "zh_TW.UTF-8"}, "zh-TW"),
    ("nothing is English", None, {}, "en"),
    ("a language that we do not speak is English", None, {"LANG": "fr_FR.UTF-8"}, "en"),
]


@pytest.mark.parametrize(("asked", "environment", "expected"), [case[1:] for case in LANGUAGES], ids=[case[0] for case in LANGUAGES])
def test_the_readers_language(asked, environment, expected):
    assert language_for(environment, asked) == expected


def test_names_of_locales():
    assert match("zh-Hant-TW") == "zh-TW"
    assert match("en_GB.UTF-8@euro") == "en"
    assert match("zhx") is None


def test_catalogues_are_read_once():
    assert catalogue.texts("en") is catalogue.texts("en")
