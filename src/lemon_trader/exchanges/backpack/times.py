"""Backpack's ways to write a moment, to and from µs UTC: integers in ms or µs, and ISO text without a zone, which means UTC.

Calendar arithmetic is spelled out, because no clock module may be imported here.
"""

import re
from functools import lru_cache
from typing import Final

from lemon_trader.core.units import US_PER_MS, US_PER_S

_ISO: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)?\Z", re.ASCII)
_MS_LOW: Final = 10**11  # 1973; a plain number below it is not in ms
_MS_HIGH: Final = 10**14
_US_HIGH: Final = _MS_HIGH * US_PER_MS
_TEXT_MAX: Final = 40
_DAY_S: Final = 86_400
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class TimeError(ValueError):
    """A moment that cannot be read; the text names it."""


def us_of_ms(value: object) -> int:
    """A moment given in ms, as a whole number or its digits, in µs. Raises TimeError."""
    ms = _whole(value)
    if not _MS_LOW <= ms < _MS_HIGH:
        raise TimeError(f"{str(value)[:40]} is not a moment in ms")
    return ms * US_PER_MS


def us_of_us(value: object) -> int:
    """A moment given in µs, checked. Raises TimeError."""
    us = _whole(value)
    if not _MS_LOW * US_PER_MS <= us < _US_HIGH:
        raise TimeError(f"{str(value)[:40]} is not a moment in µs")
    return us


def us_of_iso(text: object) -> int:
    """`2025-07-27T17:39:00.092` (or with a space) in µs; digits finer than a µs are cut. Raises TimeError."""
    if type(text) is not str or len(text) > _TEXT_MAX:
        raise TimeError(f"{str(text)[:_TEXT_MAX]!r} is not a moment like 2025-07-27T17:39:00.092")
    return _us_of_text(text)


@lru_cache(maxsize=4_096)  # a history is read again and again, with the same moments in it
def _us_of_text(text: str) -> int:
    found = _ISO.match(text)
    if found is None:
        raise TimeError(f"{text!r} is not a moment like 2025-07-27T17:39:00.092")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days_of_month = _MONTH_DAYS[month - 1] + (leap and month == 2) if 1 <= month <= 12 else 0
    if year < 1970 or not 1 <= day <= days_of_month or hour > 23 or minute > 59 or second > 59:
        raise TimeError(f"{text} is not in the calendar")
    seconds = (_days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second
    return seconds * US_PER_S + int((found[7] or "0").ljust(6, "0")[:6])


def us_of_any(value: object) -> int:
    """A moment as orders carry it: whole ms from the order endpoints, ISO text from the histories. Raises TimeError."""
    if type(value) is str and not value.isdigit():
        return us_of_iso(value)
    return us_of_ms(value)


@lru_cache(maxsize=4_096)
def iso_of_us(us: int, *, separator: str = "T", digits: int = 3) -> str:
    """The moment as the histories write it, cut to `digits` behind the second's point (0 = none)."""
    seconds, fraction = divmod(us, US_PER_S)
    days, second = divmod(seconds, _DAY_S)
    year, month, day = _civil(days)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    tail = f".{fraction:06d}"[: digits + 1] if digits else ""
    return f"{year:04d}-{month:02d}-{day:02d}{separator}{clock}{tail}"


def _whole(value: object) -> int:
    if type(value) is int:
        return value
    if type(value) is str and len(value) <= 18 and value.isascii() and value.isdigit():
        return int(value)
    raise TimeError(f"{str(value)[:40]!r} is not a whole number")


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date of the Gregorian calendar, counting years from March so that the leap day comes last."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _civil(days: int) -> tuple[int, int, int]:
    """The date of a day count; the inverse of `_days`."""
    era, of_era = divmod(days + 719_468, 146_097)
    years = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * years + years // 4 - years // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return years + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1
