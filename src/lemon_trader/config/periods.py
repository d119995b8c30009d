"""Points in time and periods as people write them."""

from datetime import UTC, datetime, timedelta
from typing import Final

from lemon_trader.config.errors import BadSetting

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
US: Final = timedelta(microseconds=1)


def moment_us(name: str, text: str) -> int:
    """The time that `text` says, µs UTC: `2026-01-31`, `2026-01-31T12:30`, with an offset such as `+08:00` where it is not UTC.

    Raises:
        BadSetting: it says none; `name` is what the reader calls the setting.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadSetting("period.moment", name=name, value=text[:60]) from None
    return ((at if at.tzinfo is not None else at.replace(tzinfo=UTC)) - EPOCH) // US


def period_us(start: str | None, end: str | None, *, names: tuple[str, str] = ("--start", "--end")) -> tuple[int | None, int | None]:
    """[start, end) in µs UTC; None = no bound. Raises BadSetting when it holds nothing."""
    first = None if start is None else moment_us(names[0], start)
    last = None if end is None else moment_us(names[1], end)
    if first is not None and last is not None and first >= last:
        raise BadSetting("period.empty", start=start, end=end)
    return first, last


def moment_text(at_us: int) -> str:
    """A time as `moment_us` takes it, to the second: 2026-01-31T12:30:00."""
    return (EPOCH + at_us * US).strftime("%Y-%m-%dT%H:%M:%S")
