"""Moments as the exchange writes them, held against the standard library's calendar."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemon_trader.exchanges.backpack.times import TimeError, iso_of_us, us_of_any, us_of_iso, us_of_ms, us_of_us

EPOCH = datetime(1970, 1, 1)


@given(st.datetimes(min_value=EPOCH, max_value=datetime(2200, 1, 1)))
@settings(max_examples=300)
def test_iso_text_means_what_the_calendar_says(moment):
    us = (moment - EPOCH) // timedelta(microseconds=1)
    assert us_of_iso(moment.isoformat()) == us
    assert us_of_iso(moment.isoformat(sep=" ")) == us
    assert iso_of_us(us, digits=6) == moment.isoformat(timespec="microseconds")
    assert iso_of_us(us) == moment.isoformat(timespec="milliseconds")
    assert iso_of_us(us, separator=" ", digits=0) == moment.isoformat(sep=" ", timespec="seconds")


def test_text_without_a_zone_is_utc():
    assert us_of_iso("2025-07-27T17:39:00.092") == int(datetime(2025, 7, 27, 17, 39, 0, 92_000, UTC).timestamp() * 1000) * 1000
    assert us_of_iso("2025-07-27T17:39:00.092Z") == us_of_iso("2025-07-27 17:39:00.092")


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-29T00:00:00", "1900-02-29T00:00:00", "2025-13-01T00:00:00", "2025-00-01T00:00:00", "2025-01-01T24:00:00",
        "2025-01-01T00:60:00", "2025-01-01T00:00:60", "2025-01-32T00:00:00", "1969-12-31T23:59:59", "2025-01-01", "", "x" * 500,
        "2025-01-01T00:00:00+08:00", "٢٠٢٥-01-01T00:00:00", None, 5, b"2025-01-01T00:00:00",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(TimeError):
        us_of_iso(text)


def test_a_leap_day_of_a_century_that_has_one():
    assert us_of_iso("2000-02-29T00:00:00") == 951_782_400_000_000


@pytest.mark.parametrize("value", [1753626206762, "1753626206762", "2025-07-27T14:23:26.762", "2025-07-27 14:23:26.762"])
def test_an_order_carries_ms_or_iso_text(value):
    assert us_of_any(value) == 1753626206762000


@pytest.mark.parametrize("value", [None, True, 1.5, -1, 0, 1753626206, 1753626206762000, 10**30, "9" * 5000, "1e12", "１７", [], {}])
def test_a_number_of_another_unit_or_kind_is_no_moment_in_ms(value):
    with pytest.raises(TimeError):
        us_of_ms(value)


@pytest.mark.parametrize("value", [None, True, 1753626206762, 10**30, "", "x"])
def test_a_number_of_another_unit_or_kind_is_no_moment_in_us(value):
    with pytest.raises(TimeError):
        us_of_us(value)
