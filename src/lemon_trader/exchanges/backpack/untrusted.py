"""Untrusted JSON and its fields: what is read is bounded, and money stays text until the gate.

A body or frame may be anything: a page of HTML, a number of five thousand digits, brackets without end. Reading it costs time linear in its
length, and whatever cannot be read raises `WireError` and nothing else.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from lemon_trader.core.events import NO_CLIENT_ID, NO_TRADE_ID, BadFact
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import INT64_MAX
from lemon_trader.exchanges.backpack.words import CLIENT_ID_MAX, SIDES
from lemon_trader.exchanges.dialect import WireError

BYTES_MAX: Final = 1 << 20  # of a frame or a body
NESTING_MAX: Final = 32
ROWS_MAX: Final = 10_000
TEXT_MAX: Final = 200
RAW_MAX: Final = 500
_WHOLE_DIGITS: Final = 19
_BRACKETS: Final = b"[]{}"
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in _BRACKETS)

_quick: Final = msgspec.json.Decoder(float_hook=str)

Row = Mapping[str, Any]
T = TypeVar("T")


def decode(body: bytes) -> Any:
    """The JSON value of `body`; numbers with a point or exponent, and absurdly long ones, stay text. Raises WireError."""
    if len(body) > BYTES_MAX:
        raise WireError(f"{len(body)} bytes are more than the {BYTES_MAX} that are read")
    if _nesting_exceeds(body, NESTING_MAX):
        raise WireError(f"nested deeper than {NESTING_MAX}")
    try:
        return _quick.decode(body)
    except (ValueError, RecursionError):
        pass  # the patient reader below says what is wrong, or keeps one row's absurd number as text and spares the others
    try:
        return json.loads(body.decode(), parse_float=str, parse_int=_whole_or_text, parse_constant=_refuse)
    except RecursionError:
        raise WireError("nested too deep") from None
    except ValueError as fault:
        raise WireError(f"not JSON: {_short(str(fault), 80)}") from None


def raw_text(body: bytes) -> str:
    """The beginning of `body` as text, for the record of what could not be read."""
    return body[:RAW_MAX].decode(errors="replace")


def one(body: bytes) -> Row:
    """The object that `body` is. Raises WireError."""
    return as_row(decode(body))


def many(body: bytes) -> Sequence[Any]:
    """The list that `body` is, its elements unchecked. Raises WireError."""
    value = decode(body)
    if type(value) is not list:
        raise WireError("not a list")
    if len(value) > ROWS_MAX:
        raise WireError(f"{len(value)} rows are more than the {ROWS_MAX} that are read")
    return value


def each(rows: Sequence[Any], make: Callable[[Row], T | None], what: str, bad: list[BadFact] | None) -> Iterator[T]:
    """What `make` makes of each row; None is left out. A row that cannot be read goes to `bad`, or raises when there is none.

    Raises:
        WireError: for the first bad row, when `bad` is None: rows whose absence would be taken for proof must not be lost.
    """
    for number, value in enumerate(rows):
        try:
            made = make(as_row(value))
        except ValueError as fault:
            reason = f"row {number} of {what}: {_short(str(fault), TEXT_MAX)}"
            if bad is None:
                raise WireError(reason) from None
            bad.append(bad_row(value, what, reason))
        else:
            if made is not None:
                yield made


def bad_row(value: object, what: str, reason: str) -> BadFact:
    """The record of one row that could not be read; its symbol where that much is clear."""
    symbol = value.get("symbol") if isinstance(value, dict) else None
    raw = json.dumps(value, separators=(",", ":"))[:RAW_MAX]
    return BadFact(0, what, str(symbol) if is_text(symbol) else "", reason, raw, account=True)


# ---- fields ----


def as_row(value: object) -> Row:
    """`value`, when it is an object. Raises WireError."""
    if isinstance(value, dict):
        return value
    raise WireError(f"an object was expected, not {type(value).__name__}")


def is_text(value: object) -> bool:
    """Whether `value` is text of a sane length that can be written as UTF-8."""
    return type(value) is str and 0 < len(value) <= TEXT_MAX and (value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value))


def text(row: Row, key: str) -> str:
    """A name or id: text, or a whole number's digits. Raises WireError."""
    value = row.get(key)
    if type(value) is int:
        return str(value)
    if is_text(value):
        return str(value)
    raise WireError(f"{key} is {_kind(value)}, not a short text")


def text_or(row: Row, key: str, default: str) -> str:
    """The same, `default` when absent or null. Raises WireError."""
    return default if row.get(key) is None else text(row, key)


def flag(row: Row, key: str, *, default: bool | None = None) -> bool:
    """A boolean. Raises WireError, also when it is absent or null and there is no default."""
    value = row.get(key)
    if type(value) is bool:
        return value
    if value is None and default is not None:
        return default
    raise WireError(f"{key} is {_kind(value)}, not true or false")


def number(row: Row, key: str) -> str:
    """A number's text, whether it came in quotes or not; the gate judges what it says. Raises WireError."""
    value = row.get(key)
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise WireError(f"{key} is {_kind(value)}, not a number")


def number_or(row: Row, key: str, default: str) -> str:
    """The same, `default` when absent or null. Raises WireError."""
    return default if row.get(key) is None else number(row, key)


def count(row: Row, key: str) -> int:
    """A whole number from 0 to 2⁶³-1, in quotes or not. Raises WireError."""
    value = row.get(key)
    if type(value) is str and len(value) <= _WHOLE_DIGITS and value.isascii() and value.isdigit():
        value = int(value)
    if type(value) is int and 0 <= value <= INT64_MAX:
        return value
    raise WireError(f"{key} is {_kind(value)}, not a whole number")


def client_id(row: Row, key: str) -> int:
    """A client id, NO_CLIENT_ID when there is none; histories write it as text. Raises WireError."""
    if row.get(key) is None:
        return NO_CLIENT_ID
    value = count(row, key)
    if value > CLIENT_ID_MAX:
        raise WireError(f"{key} {value} is beyond 32 bits")
    return value


def trade_id(row: Row, key: str) -> int:
    """A trade id; null, absent and 0 all mean that there is none. Raises WireError."""
    return NO_TRADE_ID if row.get(key) is None else count(row, key) or NO_TRADE_ID


def side(row: Row, key: str) -> int:
    """BUY or SELL. Raises WireError."""
    word = text(row, key)
    found = SIDES.get(word)
    if found is None:
        raise WireError(f"{key} is {_short(repr(word), 60)}, neither Bid nor Ask")
    return found


def price(row: Row, key: str, instrument: Instrument) -> int:
    """A price in ticks, above 0. Raises WireError, GateError."""
    ticks = instrument.price_ticks(number(row, key))
    if ticks <= 0:
        raise WireError(f"{key} is a price of 0")
    return ticks


def price_or_none(row: Row, key: str, instrument: Instrument) -> int:
    """A price in ticks; 0 when absent or null. Raises WireError, GateError."""
    return 0 if row.get(key) is None else instrument.price_ticks(number(row, key))


def lots_or_none(row: Row, key: str, instrument: Instrument) -> int:
    """A quantity in lots; 0 when absent, null, or a percentage of a position. Raises WireError, GateError."""
    value = number_or(row, key, "0")
    return 0 if value.endswith("%") else instrument.qty_lots(value)


def signed_lots(row: Row, key: str, instrument: Instrument) -> int:
    """A position in lots, < 0 is short. Raises WireError, GateError."""
    value = number(row, key)
    if value.startswith("-"):
        return -instrument.qty_lots(value[1:])
    return instrument.qty_lots(value)


def _kind(value: object) -> str:
    return "missing" if value is None else f"{_short(repr(value), 60)}"


def _short(value: str, length: int) -> str:
    return value[:length].encode(errors="replace").decode()


def _whole_or_text(digits: str) -> int | str:
    return int(digits) if len(digits) <= _WHOLE_DIGITS + 1 else digits


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _nesting_exceeds(body: bytes, limit: int) -> bool:
    """Whether brackets may be open deeper than `limit`: pairs are struck out from the inside, each round at the speed of a copy."""
    left = body.translate(None, _OTHERS)
    for struck in range(limit):
        before = len(left)
        if before <= limit - struck:
            return False  # too few are left to be open that deep
        left = left.replace(b"[]", b"").replace(b"{}", b"")
        if len(left) == before:
            return True  # more than a few lone brackets: nothing that the exchange says in a text looks like that
    return bool(left)
