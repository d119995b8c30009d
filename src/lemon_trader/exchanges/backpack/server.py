"""The server's half of Backpack's protocol: what a request says, and whether its signature proves who says it.

Nothing here knows a market or an order: parameters come out as text, refusals as the venue words them. `server_orders`, `server_rest` and
`server_stream` speak the rest. Tolerances are those of API reference 1.5; each names the client that needs it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus

import msgspec

from lemon_trader.exchanges.backpack.words import (
    INVALID_CLIENT_REQUEST,
    JSON_TYPE,
    KEY_HEADER,
    PLAUSIBLE_MS,
    SAYS_BAD_SIGNATURE,
    SAYS_BAD_TIME,
    SAYS_EXPIRED,
    SIGNATURE_HEADER,
    TEXT_TYPE,
    TIMESTAMP_HEADER,
    WINDOW_HEADER,
    WINDOW_MS,
    WINDOW_MS_MAX,
)

BODY_BYTES_MAX: Final = 1 << 20
QUERY_FIELDS_MAX: Final = 100
BATCH_MAX: Final = 50  # the real limit is not established; the largest client batch known is 50

Params = Mapping[str, Any]
Verifier = Callable[[bytes, str], bool]  # (signed text, signature as sent) -> is it theirs?


class Refusal(Exception):
    """A definite no, as the venue words it: a JSON body with a code, or plain text when `code` is empty."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code} {message}".replace("  ", " "))
        self.status = status
        self.code = code
        self.message = message

    def encode(self) -> tuple[str, bytes]:
        """(content type, body)."""
        if not self.code:
            return TEXT_TYPE, self.message.encode()
        return JSON_TYPE, to_json({"code": self.code, "message": self.message})


class Number(str):
    """A JSON number, kept as the text that was sent: that text is what was signed."""

    __slots__ = ()


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The authentication headers of one request, or the four signature entries of one stream message."""

    api_key: str
    signature: str
    timestamp: str
    window: str


def to_json(value: Any) -> bytes:
    """JSON with keys in alphabetical order, as the venue sends it."""
    return msgspec.json.encode(value, order="sorted")


def split_target(target: str) -> tuple[str, list[tuple[str, str]]]:
    """(path, query pairs percent-decoded, in the order sent) of a request target. Raises Refusal when there are too many pairs."""
    path, _, query = target.partition("?")
    try:
        return path, parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise Refusal(400, "", "failed to parse the query: too many parameters") from None


def parse_body(body: bytes, *, many: bool = False, most: int = BATCH_MAX) -> Any:
    """The JSON object (or, with `many`, the array of 1 to `most` objects) of a body; numbers stay text. An absent body is an empty object.

    Raises:
        Refusal: plain-text 400, when it is not JSON of that shape.
    """
    if not body.strip():
        if many:
            raise Refusal(400, "", "parse request payload error: failed to parse JSON: EOF while parsing a value at line 1 column 0")
        return {}
    if len(body) > BODY_BYTES_MAX:
        raise Refusal(413, "", "payload too large")
    try:
        value = json.loads(body, parse_float=Number, parse_int=Number, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Refusal(400, "", f"parse request payload error: failed to parse JSON: {reason[:200]}") from None
    if many:
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise Refusal(400, "", 'parse request payload error: failed to parse "[OrderExecutePayload]": expected an array of objects')
        if not 0 < len(value) <= most:
            raise Refusal(400, INVALID_CLIENT_REQUEST, f"A batch holds between 1 and {most} orders")
    elif not isinstance(value, dict):
        raise Refusal(400, "", "parse request payload error: failed to parse JSON: expected an object")
    return value


def claim_of(headers: Mapping[str, str]) -> Claim:
    """The claim in a request's headers, whose names are compared without case.

    A missing window is the literal 5000, which is signed as well.

    Raises:
        Refusal: a header is missing. The venue's body for that is not established; 401 UNAUTHORIZED is assumed.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    for name in (KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER):
        if not lower.get(name.lower()):
            raise Refusal(401, "UNAUTHORIZED", f"Missing {name} header")
    key, signature, stamp = (lower[name.lower()] for name in (KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER))
    return Claim(key, signature, stamp, lower.get(WINDOW_HEADER.lower(), str(WINDOW_MS)))


def check_time(claim: Claim, clocks_ms: Sequence[int]) -> None:
    """Refuse a claim that is outside its window by every one of the clocks.

    A sandbox at another speed than the wall's has two honest clocks, and a client knows only one of them.

    Raises:
        Refusal: with the venue's phrase; clients tell a clock problem by these words.
    """
    window = claim.window
    if not window.isascii() or not window.isdigit() or len(window) > 9 or not 0 < int(window) <= WINDOW_MS_MAX:
        raise Refusal(400, INVALID_CLIENT_REQUEST, f"Invalid window: must be between 1 and {WINDOW_MS_MAX}")
    stamp = claim.timestamp
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 18:
        raise Refusal(400, INVALID_CLIENT_REQUEST, "Invalid timestamp: must be a number of milliseconds")
    ages = [clock - int(stamp) for clock in clocks_ms]
    if any(-PLAUSIBLE_MS <= age <= int(window) for age in ages):
        return
    if any(-PLAUSIBLE_MS <= age <= PLAUSIBLE_MS for age in ages):
        raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_EXPIRED)
    raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_BAD_TIME)


def check_signature(
    claim: Claim, verify: Verifier, instruction: str, query: Sequence[tuple[str, str]], body: Params | Sequence[Params]
) -> None:
    """Refuse a claim whose signature fits none of the texts that clients are known to sign. A batch's body is the sequence of its orders.

    Raises:
        Refusal: 400 INVALID_CLIENT_REQUEST "Invalid signature".
    """
    tail = f"timestamp={claim.timestamp}&window={claim.window}"
    tried: set[str] = set()
    for pairs in _signed_texts(instruction, query, body):
        if pairs not in tried and verify(f"{pairs}&{tail}".encode(), claim.signature):
            return
        tried.add(pairs)
    raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_BAD_SIGNATURE)


def _signed_texts(instruction: str, query: Sequence[tuple[str, str]], body: Params | Sequence[Params]) -> Iterator[str]:
    """Every text before the time that the signature may cover, likeliest first, made only as far as it is asked for."""
    head = f"instruction={instruction}"
    changes: tuple[Callable[[str], str], ...] = (str, _lower_booleans, quote_plus)
    if not isinstance(body, Mapping):
        rows = [_sent(row) for row in body]
        for change in changes:
            yield "&".join(_join(head, [row], change) for row in rows)
        return
    sent = _sent(body)
    # MMS puts the same parameters in query and body and signs them once; RUST signs query, then body, each sorted alone.
    groups: list[list[Sequence[tuple[str, str]]]] = [[sent], [query], [query, sent]] if sent and query else [[sent or query]]
    # A query may say True where true was signed (bpx-py); ccxt percent-encodes what it signs.
    for change in changes:
        for group in groups:
            yield _join(head, group, change)


def _sent(body: Params) -> list[tuple[str, str]]:
    """The pairs of a body as they are signed; a null is not."""
    return [(name, signed_value(value)) for name, value in body.items() if value is not None]


def signed_value(value: Any) -> str:
    """The text of a JSON value as it stands in a signed string."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _join(head: str, groups: Sequence[Sequence[tuple[str, str]]], change: Callable[[str], str] = str) -> str:
    pairs = [f"{name}={change(value)}" for group in groups for name, value in sorted(group)]
    return "&".join([head, *pairs])


def _lower_booleans(value: str) -> str:
    return value.lower() if value in {"True", "False"} else value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# ---- parameters of a query, by type; the phrases are those of the venue's framework ----


def parameter_error(name: str, kind: str, reason: str) -> Refusal:
    """The plain-text 400 for a query parameter that cannot be read."""
    return Refusal(400, "", f'failed to parse parameter `{name}`: failed to parse "{kind}": {reason}')


def required(query: Mapping[str, str], name: str, kind: str = "string") -> str:
    """The parameter's text. Raises Refusal when it was not sent."""
    value = query.get(name)
    if value is None:
        raise Refusal(400, "", f'failed to parse parameter `{name}`: Type "{kind}" expects an input value.')
    return value


def whole(query: Mapping[str, str], name: str, default: int, *, low: int = 0, high: int = 2**63 - 1) -> int:
    """The parameter as a whole number within the bounds. Raises Refusal when it is none, or outside them."""
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise parameter_error(name, "integer(uint64)", "invalid digit found in string")
    value = int(text)
    if not low <= value <= high:
        raise Refusal(400, INVALID_CLIENT_REQUEST, f"Invalid {name}: must be between {low} and {high}")
    return value


def choice(query: Mapping[str, str], name: str, kind: str, allowed: Sequence[str], default: str | None = None) -> str | None:
    """The parameter, which must be one of `allowed`. Raises Refusal when it is another word."""
    value = query.get(name)
    if value is None:
        return default
    if value not in allowed:
        raise parameter_error(name, kind, "Expect a valid enumeration value.")
    return value
