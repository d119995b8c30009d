"""Placing and cancelling: orders as signed requests, and what the answers prove.

Only a proper refusal is a refusal. Whatever leaves open whether the engine has the order (time-outs, 5xx, pages, redirects, empty or
foreign bodies, codes nobody knows) is unknown, and is resolved by asking, never by sending again.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import NO_CLIENT_ID, CancelAnswered, Event, PlaceAccepted, PlaceRefused, PlaceUnknown
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import LIMIT, POST_ONLY, REDUCE_ONLY, TAKE, TRIGGER, WHOLE_POSITION
from lemon_trader.exchanges.backpack import untrusted, words
from lemon_trader.exchanges.backpack.grid import Grid, Grids
from lemon_trader.exchanges.backpack.times import TimeError, us_of_any
from lemon_trader.exchanges.backpack.untrusted import Row
from lemon_trader.exchanges.dialect import Request, Signer, WireError

CLIENT_ID_EXISTS: Final = "CLIENT_ID_EXISTS"  # not a refusal of the order: one with this id is there
EXPIRED: Final = "EXPIRED"  # the edge judged our clock wrong: resynchronise it
UNPARSED: Final = "UNPARSED"  # the edge could not read the request as an order

_EXECUTE: Final = words.INSTRUCTIONS["POST", words.ORDER_PATH]
_CANCEL: Final = words.INSTRUCTIONS["DELETE", words.ORDER_PATH]
_HAS_JSON: Final = (words.TYPE_HEADER, words.JSON_TYPE)
_ID_EXISTS: Final = re.compile(r"client.{0,8}id\b.{0,60}(?:already|exists|duplicat|in use)|duplicat.{0,60}client.{0,8}id\b", re.IGNORECASE)
_TEMPLATES_MAX: Final = 4_096

# Codes that say the order was judged and not taken. Left out, because they leave it open: TIMEOUT, SERVER_ERROR, MAINTENANCE,
# PRECONDITION_FAILED, TOO_EARLY, RESOURCE_NOT_FOUND (of which resource?), and every code that is not in the table.
_DEFINITE: Final = words.ERROR_CODES - {
    "TIMEOUT",
    "SERVER_ERROR",
    "MAINTENANCE",
    "PRECONDITION_FAILED",
    "TOO_EARLY",
    words.RESOURCE_NOT_FOUND,
}
# Codes that are decided before any element of a batch is looked at.
_WHOLE_REQUEST: Final = frozenset({
    words.INVALID_CLIENT_REQUEST, "INVALID_SIGNATURE", "UNAUTHORIZED", "FORBIDDEN", "ACCOUNT_DEACTIVATED", words.TOO_MANY_REQUESTS,
})  # fmt: skip
_KIND_FIELDS: Final[Mapping[int, dict[str, object]]] = {
    POST_ONLY: {"timeInForce": words.GTC, "postOnly": True},
    LIMIT: {"timeInForce": words.GTC},
    TAKE: {"timeInForce": words.IOC, "selfTradePrevention": words.REJECT_MAKER},
}


class OrderWords:
    """The order path of the dialect. Texts that differ only in price, quantity and client id are made once."""

    window_ms: int
    _grids: Grids
    _templates: dict[tuple[str, int, int, int], tuple[str, str]]

    def place(self, orders: Sequence[Place], instruments: Mapping[str, Instrument], signer: Signer, venue_ms: int) -> Request:
        """One order or a batch, signed once.

        Raises:
            ValueError: no order at all, or a TRIGGER on spot, which could sell coins that are not ours.
            WireError: an order in a market that is not among `instruments`.
        """
        texts = [self._texts(order, self._grids.of(order.symbol, instruments)) for order in orders]
        if not texts:
            raise ValueError("a batch without orders is not sent")
        signed = "&".join([signed for signed, _ in texts])
        if len(texts) == 1:
            return self._request("POST", words.ORDER_PATH, signed, texts[0][1], signer, venue_ms)
        return self._request("POST", words.ORDERS_PATH, signed, f"[{','.join([body for _, body in texts])}]", signer, venue_ms)

    def cancel(self, order: Cancel, signer: Signer, venue_ms: int) -> Request:
        """One cancel, by order id where given, else by client id; never both, which the exchange refuses."""
        fields: dict[str, object] = {"symbol": order.symbol}
        if order.order_id:
            fields["orderId"] = order.order_id
        else:
            fields["clientId"] = order.client_id
        return self._request("DELETE", words.ORDER_PATH, words.params_text(_CANCEL, fields), _json(fields), signer, venue_ms)

    def place_answer(
        self, orders: Sequence[Place], status: int, body: bytes, instruments: Mapping[str, Instrument], ts_us: int
    ) -> list[Event]:
        """One PlaceAccepted, PlaceRefused or PlaceUnknown for each of `orders`, in order; never raises."""
        if status == 429:
            return [PlaceRefused(ts_us, o.symbol, o.client_id, words.TOO_MANY_REQUESTS, "too many requests") for o in orders]
        if status == 200:
            try:
                value = untrusted.decode(body)
            except WireError as fault:
                return _all_unknown(orders, f"HTTP 200, {fault}", ts_us)
            if len(orders) == 1:
                return [_element(orders[0], value, instruments, ts_us)]
            return _batch(orders, value, instruments, ts_us)
        refusal = _refusal(status, body)
        if refusal is None:
            return _all_unknown(orders, _unclear(status, body), ts_us)
        code, message = refusal
        if len(orders) > 1 and code not in _WHOLE_REQUEST | {EXPIRED, UNPARSED}:
            return _all_unknown(orders, f"HTTP {status} {code} for a whole batch", ts_us)
        return [PlaceRefused(ts_us, o.symbol, o.client_id, code, message) for o in orders]

    def cancel_answer(self, order: Cancel, status: int, body: bytes, instruments: Mapping[str, Instrument], ts_us: int) -> list[Event]:
        """One CancelAnswered; never raises."""
        if status == 200:
            return [_cancelled(order, body, instruments, ts_us)]
        outcome, reason = "unknown", ""
        if status == 202:
            outcome = "accepted"
        elif status == 429:
            reason = words.TOO_MANY_REQUESTS
        else:
            code, message = _error(body)
            if code == words.RESOURCE_NOT_FOUND and status in {400, 404}:
                outcome, reason = "not_found", message
            else:
                refusal = _refusal(status, body)
                reason = refusal[0] if refusal is not None else _unclear(status, body)
        return [CancelAnswered(ts_us, 0, order.symbol, order.client_id, outcome, reason=reason)]

    def _texts(self, order: Place, grid: Grid) -> tuple[str, str]:
        """(what is signed, the body) of one order."""
        key = (order.symbol, order.side, order.kind, order.flags)
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) >= _TEMPLATES_MAX:
                self._templates.clear()
            template = self._templates[key] = _template(order, grid.instrument)
        signed, body = template
        if order.kind == TRIGGER:
            price = grid.price_text[order.trigger_ticks]
            quantity = words.WHOLE if order.flags & WHOLE_POSITION else grid.qty_text[order.qty_lots]
        else:
            price = grid.price_text[order.price_ticks]
            quantity = grid.qty_text[order.qty_lots]
        return signed % (order.client_id, price, quantity), body % (price, quantity, order.client_id)

    def _request(self, method: str, path: str, signed: str, body: str, signer: Signer, venue_ms: int) -> Request:
        return Request(method, path, signed_headers(signed, signer, venue_ms, self.window_ms, has_body=True), body.encode())


def signed_headers(signed: str, signer: Signer, venue_ms: int, window_ms: int, *, has_body: bool = False) -> tuple[tuple[str, str], ...]:
    """The headers that prove a request; `signed` is the text without its time."""
    signature = signer.sign(f"{signed}&timestamp={venue_ms}&window={window_ms}".encode())
    key, proof = (words.KEY_HEADER, signer.api_key), (words.SIGNATURE_HEADER, signature)
    time, window = (words.TIMESTAMP_HEADER, str(venue_ms)), (words.WINDOW_HEADER, str(window_ms))
    return (key, proof, time, window, _HAS_JSON) if has_body else (key, proof, time, window)


def order_status(row: Row) -> str:
    """Core's word for the state of an order object, the exchange's own when it is a new one. Raises WireError."""
    status = untrusted.text(row, "status")
    if status == words.PARTIALLY_FILLED and (row.get("orderType") == words.MARKET or row.get("timeInForce") in {words.IOC, words.FOK}):
        return words.STATUS_WORDS[words.EXPIRED]  # it was matched and cannot rest: the remainder is gone, whatever the word
    return words.STATUS_WORDS.get(status, status)


def _template(order: Place, instrument: Instrument) -> tuple[str, str]:
    """(what is signed, the body) with holes for price, quantity and client id; one table of fields makes both."""
    fields: dict[str, object] = {"symbol": order.symbol, "side": words.SIDE_WORDS[order.side]}
    if order.kind == TRIGGER:
        if not instrument.is_perp:
            raise ValueError(f"a TRIGGER on {order.symbol} is refused: on spot nothing keeps it from selling coins that are not ours")
        fields |= {"orderType": words.MARKET, "triggerPrice": "%s", "triggerQuantity": "%s", "triggerBy": words.BY_MARK}
    else:
        fields |= {"orderType": words.LIMIT, "price": "%s", "quantity": "%s"}
        fields |= _KIND_FIELDS[order.kind]
    if instrument.is_perp and (order.kind == TRIGGER or order.flags & REDUCE_ONLY):
        fields["reduceOnly"] = True
    fields["clientId"] = "%d"
    return words.params_text(_EXECUTE, fields), _json(fields).replace('"%d"', "%d")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


# ---- answers ----


def _element(order: Place, value: Any, instruments: Mapping[str, Instrument], ts_us: int) -> Event:
    """What one order object, or one element of a batch's answer, says of `order`."""
    try:
        row = untrusted.as_row(value)
        if row.get("operation") == "Err" or ("code" in row and "id" not in row):
            code, message = _code_and_message(row)
            if row.get("operation") == "Err" and _is_definite(code, message):
                return PlaceRefused(ts_us, order.symbol, order.client_id, _named(code, message), message)
            return PlaceUnknown(ts_us, order.symbol, order.client_id, f"HTTP 200, error {code}: {message}")
        return _accepted(order, row, instruments[order.symbol], ts_us)
    except (ValueError, KeyError) as fault:
        return PlaceUnknown(ts_us, order.symbol, order.client_id, f"HTTP 200, {str(fault)[:200]}")


def _accepted(order: Place, row: Row, instrument: Instrument, ts_us: int) -> PlaceAccepted:
    """The order as accepted. Raises ValueError when it is not plainly the one we sent."""
    if untrusted.text(row, "symbol") != order.symbol or untrusted.text(row, "side") != words.SIDE_WORDS[order.side]:
        raise WireError("the answer is about another market or side")
    if untrusted.client_id(row, "clientId") not in {NO_CLIENT_ID, order.client_id}:
        raise WireError(f"the answer is about client id {row['clientId']}")
    try:
        venue_us = us_of_any(row.get("createdAt"))
    except TimeError:
        venue_us = 0
    filled = instrument.qty_lots(untrusted.number_or(row, "executedQuantity", "0"))
    return PlaceAccepted(ts_us, venue_us, order.symbol, order.client_id, untrusted.text(row, "id"), order_status(row), filled)


def _batch(orders: Sequence[Place], value: Any, instruments: Mapping[str, Instrument], ts_us: int) -> list[Event]:
    """Elements stand in the order of the request; where an element names another client id, only what names ours counts."""
    if type(value) is not list:
        return _all_unknown(orders, "HTTP 200, not a list", ts_us)
    ids = [_id_of(row) for row in value]
    ours = [order.client_id for order in orders]
    if len(ids) == len(ours) and all(there in {NO_CLIENT_ID, here} for there, here in zip(ids, ours, strict=True)):
        return [_element(order, row, instruments, ts_us) for order, row in zip(orders, value, strict=True)]
    named = dict(zip(ids, value, strict=True))
    return [_element(order, named.get(order.client_id), instruments, ts_us) for order in orders]


def _id_of(value: Any) -> int:
    try:
        return untrusted.client_id(untrusted.as_row(value), "clientId")
    except WireError:
        return NO_CLIENT_ID


def _cancelled(order: Cancel, body: bytes, instruments: Mapping[str, Instrument], ts_us: int) -> CancelAnswered:
    """What a 200 says: the order as it is now, if it is ours."""
    try:
        row = untrusted.one(body)
        instrument = instruments[order.symbol]
        foreign = untrusted.text(row, "symbol") != order.symbol
        if order.order_id:
            foreign |= untrusted.text(row, "id") != order.order_id
        else:
            foreign |= untrusted.client_id(row, "clientId") not in {NO_CLIENT_ID, order.client_id}
        if foreign:
            raise WireError("the answer is about another order")
        status = order_status(row)
        filled = instrument.qty_lots(untrusted.number_or(row, "executedQuantity", "0"))
    except (ValueError, KeyError) as fault:
        return CancelAnswered(ts_us, 0, order.symbol, order.client_id, "unknown", reason=f"HTTP 200, {str(fault)[:200]}")
    outcome = {"cancelled": "cancelled", "working": "accepted", "armed": "accepted"}.get(status, "unknown")
    return CancelAnswered(ts_us, 0, order.symbol, order.client_id, outcome, filled, "" if outcome != "unknown" else f"status {status}")


def _error(body: bytes) -> tuple[str, str]:
    """(code, message) of an error body, ("", "") when it is none."""
    try:
        return _code_and_message(untrusted.one(body))
    except WireError:
        return "", ""


def _code_and_message(row: Row) -> tuple[str, str]:
    code, message = row.get("code"), row.get("message")
    return (
        code if isinstance(code, str) and untrusted.is_text(code) else "",
        message[: untrusted.TEXT_MAX].encode(errors="replace").decode() if isinstance(message, str) else "",
    )


def _refusal(status: int, body: bytes) -> tuple[str, str] | None:
    """(code, message) when the answer as a whole is a definite no."""
    if not 400 <= status < 500:
        return None
    code, message = _error(body)
    if _is_definite(code, message):
        return _named(code, message), message
    start = body[: untrusted.TEXT_MAX].decode(errors="replace")
    if status == 400 and not code and words.SAYS_PARSE in start and "<" not in start[:1] and start.isprintable():
        return UNPARSED, start  # the reference quotes these as plain text; a request that was not parsed was not executed
    return None


def _is_definite(code: str, message: str) -> bool:
    return code in _DEFINITE or (bool(code) and _ID_EXISTS.search(message) is not None)


def _named(code: str, message: str) -> str:
    """The code, made more exact where the exchange hides a meaning of its own in the message."""
    if _ID_EXISTS.search(message):
        return CLIENT_ID_EXISTS
    if code == words.INVALID_CLIENT_REQUEST and (words.SAYS_EXPIRED in message or "timestamp" in message.lower()):
        return EXPIRED
    return code


def _unclear(status: int, body: bytes) -> str:
    code, message = _error(body)
    return f"HTTP {status} {code} {message}".strip() if code else f"HTTP {status}, {len(body)} bytes that are no answer"


def _all_unknown(orders: Sequence[Place], reason: str, ts_us: int) -> list[Event]:
    return [PlaceUnknown(ts_us, order.symbol, order.client_id, reason) for order in orders]
