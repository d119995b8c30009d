"""Columns line up whatever script they are written in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemon_trader.messages.width import cut, pad, width, wrap

TEXT = st.text(alphabet=st.characters(categories=["Lu", "Ll", "Lo", "Nd", "Po", "Zs"]), max_size=60)


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("價格", 4), ("a價", 3), ("ｱ", 1), ("Ａ", 2), ("é", 1), ("e\u0301", 1), ("", 0)])
def test_columns_of_a_text(text, columns):
    assert width(text) == columns


@given(TEXT, st.integers(min_value=0, max_value=40), st.booleans())
def test_padding_fills_the_column_exactly(text, columns, right):
    assert width(pad(text, columns, right=right)) == columns


@given(TEXT, st.integers(min_value=0, max_value=40))
def test_cutting_fits_and_keeps_what_fits_already(text, columns):
    assert width(cut(text, columns)) <= columns
    if width(text) <= columns:
        assert cut(text, columns) == text


def test_a_cut_text_says_so():
    assert cut("price", 4) == "pri…"
    assert cut("價格表", 4) == "價…"


def test_numbers_stand_to_the_right():
    assert pad("1", 3, right=True) == "  1"


@given(st.lists(st.text(alphabet="abc價格，。", min_size=1, max_size=8), min_size=1, max_size=20), st.integers(min_value=20, max_value=60))
def test_wrapping_loses_no_character_and_fits(words, columns):
    text = " ".join(words)
    lines = wrap(text, columns)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    # Punctuation that may not begin a line hangs over its end.
    assert all(width(line.rstrip("，。")) <= columns for line in lines)


def test_east_asian_text_wraps_between_its_characters():
    assert wrap("價格價格價格", 4) == ["價格", "價格", "價格"]
    assert wrap("one two three", 7) == ["one two", "three"]
