"""Backpack's stream messages from the server's side: what a client asks for, and the frames it is sent.

Prices and quantities are padded to tick and step here, times are microseconds, candles carry naive ISO times. A subscription is never
acknowledged; an error does not close the socket (API reference 6.1).
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import BUY, US_PER_MS
from lemon_trader.exchanges.backpack.server import Claim, to_json
from lemon_trader.exchanges.backpack.server_account import PositionFigures, trigger_quantity_text
from lemon_trader.exchanges.backpack.server_facts import Execution, Held, Order
from lemon_trader.exchanges.backpack.server_public import INTERVALS
from lemon_trader.exchanges.backpack.times import iso_of_us
from lemon_trader.exchanges.backpack.words import (
    LIMIT,
    ORDER_EVENTS,
    ORDER_FILL,
    SAYS_BAD_SIGNATURE,
    SIDE_WORDS,
    WS_INVALID_STREAM,
    WS_INVALID_WINDOW,
    WS_PARSE_ERROR,
    WS_SUBSCRIBE,
    WS_UNSUBSCRIBE,
)

WS_INVALID_SIGNATURE: Final = (4010, SAYS_BAD_SIGNATURE)  # code and text are not established

DEPTH_WINDOWS: Final = {"200ms": 200_000, "600ms": 600_000, "1000ms": 1_000_000}
PUBLIC_KINDS: Final = frozenset({"bookTicker", "depth", "kline", "trade", "ticker", "markPrice", "openInterest", "liquidation"})
PRIVATE_KINDS: Final = frozenset({"orderUpdate", "positionUpdate", "balanceUpdate", "rfqUpdate"})
ALL_SYMBOLS: Final = frozenset({"liquidation"})  # public streams that may come without a symbol

EVENT_WORDS: Final = {"filled": ORDER_FILL} | {word: event for event, word in ORDER_EVENTS.items()}
POSITION_EVENTS: Final = {"opened": "positionOpened", "adjusted": "positionAdjusted", "closed": "positionClosed"}

_WINDOW: Final = re.compile(r"(\d+ms)\.(.+)", re.ASCII)
_CAPITALS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


class StreamName(NamedTuple):
    """A stream's name taken apart. `detail` is the interval of a candle stream or the window of a depth stream; "" = none."""

    kind: str
    symbol: str
    is_private: bool = False
    detail: str = ""


class StreamRequest(msgspec.Struct, frozen=True, gc=False):
    """A SUBSCRIBE (or, with `is_on` False, an UNSUBSCRIBE) of the streams named."""

    is_on: bool
    streams: tuple[str, ...]
    claim: Claim | None


class StreamRefusal(Exception):
    """What the venue answers with an error envelope."""

    def __init__(self, error: tuple[int, str]) -> None:
        super().__init__(error[1])
        self.code, self.message = error

    def encode(self) -> bytes:
        """The error envelope."""
        return to_json({"id": None, "error": {"code": self.code, "message": self.message}})


def read_request(text: str | bytes) -> StreamRequest:
    """What a client's message asks for; keys that are not known (an `id`) are ignored.

    Raises:
        StreamRefusal: bad JSON, an unknown method, or parameters of another shape.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise StreamRefusal(WS_PARSE_ERROR) from None
    if not isinstance(value, dict) or value.get("method") not in (WS_SUBSCRIBE, WS_UNSUBSCRIBE):
        raise StreamRefusal(WS_PARSE_ERROR)
    streams, signature = value.get("params"), value.get("signature")
    if not isinstance(streams, list) or not all(isinstance(name, str) for name in streams):
        raise StreamRefusal(WS_PARSE_ERROR)
    claim = None
    if signature is not None:
        if not isinstance(signature, list) or len(signature) != 4 or not all(isinstance(part, (str, int)) for part in signature):
            raise StreamRefusal(WS_PARSE_ERROR)
        claim = Claim(*(str(part) for part in signature))
    return StreamRequest(value["method"] == WS_SUBSCRIBE, tuple(streams), claim)


def parse_stream(name: str) -> StreamName:
    """The stream's name, taken apart; symbols may hold dots, so only the known front is split off.

    Raises:
        StreamRefusal: an unknown kind of stream, interval or depth window.
    """
    kind, _, rest = name.partition(".")
    if kind == "account":
        what, _, symbol = rest.partition(".")
        if what not in PRIVATE_KINDS:
            raise StreamRefusal(WS_INVALID_STREAM)
        return StreamName(what, symbol, is_private=True)
    if kind not in PUBLIC_KINDS or not (rest or kind in ALL_SYMBOLS):
        raise StreamRefusal(WS_INVALID_STREAM)
    if kind == "kline":
        interval, _, symbol = rest.partition(".")
        if interval not in INTERVALS or not symbol:
            raise StreamRefusal(WS_INVALID_STREAM)
        return StreamName(kind, symbol, detail=interval)
    window = _WINDOW.fullmatch(rest) if kind == "depth" else None
    if window:
        if window[1] not in DEPTH_WINDOWS:
            raise StreamRefusal(WS_INVALID_WINDOW)
        return StreamName(kind, window[2], detail=window[1])
    return StreamName(kind, rest)


def envelope(stream: str, data: dict[str, Any]) -> bytes:
    """A data frame."""
    return to_json({"stream": stream, "data": data})


# ---- public ----


def depth_data(
    market: Instrument, levels: Iterable[tuple[int, int, int]], first_id: int, last_id: int, at_us: int, sent_us: int
) -> dict[str, Any]:
    """A depth delta from (side, ticks, lots) rows: absolute quantities, 0 deletes."""
    bids: list[list[str]] = []
    asks: list[list[str]] = []
    for side, ticks, lots in levels:
        (bids if side == BUY else asks).append([market.price_padded(ticks), market.qty_padded(lots)])
    return {"e": "depth", "E": sent_us, "T": at_us, "s": market.symbol, "a": asks, "b": bids, "U": first_id, "u": last_id}


def book_ticker_data(
    market: Instrument, bid: tuple[int, int], ask: tuple[int, int], update_id: int, at_us: int, sent_us: int
) -> dict[str, Any]:
    """Best bid and ask as (ticks, lots); ticks of 0 say that the side is empty."""
    return {
        "e": "bookTicker", "E": sent_us, "T": at_us, "s": market.symbol, "u": update_id,
        "a": market.price_padded(ask[0]) if ask[0] else None, "A": market.qty_padded(ask[1]) if ask[0] else None,
        "b": market.price_padded(bid[0]) if bid[0] else None, "B": market.qty_padded(bid[1]) if bid[0] else None,
    }  # fmt: skip


def trade_data(
    market: Instrument, *, trade_id: int, ticks: int, lots: int, buy_order_id: int, sell_order_id: int, buyer_is_maker: bool,
    at_us: int, sent_us: int,
) -> dict[str, Any]:  # fmt: skip
    """A public print."""
    return {
        "e": "trade", "E": sent_us, "T": at_us, "s": market.symbol, "p": market.price_padded(ticks), "q": market.qty_padded(lots),
        "b": str(buy_order_id), "a": str(sell_order_id), "t": trade_id, "m": buyer_is_maker,
    }  # fmt: skip


def ticker_data(
    market: Instrument, *, first_ticks: int, last_ticks: int, high_ticks: int, low_ticks: int, lots: int, quote_atoms: int, trades: int,
    sent_us: int,
) -> dict[str, Any]:  # fmt: skip
    """The rolling 24 hours; there is no engine time in it."""
    return {
        "e": "ticker", "E": sent_us, "s": market.symbol, "o": market.price_text(first_ticks), "c": market.price_text(last_ticks),
        "h": market.price_text(high_ticks), "l": market.price_text(low_ticks), "v": market.qty_text(lots), "V": atoms_text(quote_atoms),
        "n": trades,
    }  # fmt: skip


def kline_data(
    market: Instrument, *, start_us: int, end_us: int, prices: tuple[int, int, int, int] | None, lots: int, trades: int, is_closed: bool,
    sent_us: int,
) -> dict[str, Any]:  # fmt: skip
    """A candle; `prices` are open, high, low, close in ticks."""
    texts = [None] * 4 if prices is None else [market.price_padded(ticks) for ticks in prices]
    return {
        "e": "kline", "E": sent_us, "s": market.symbol, "t": iso_of_us(start_us, digits=0), "T": iso_of_us(end_us, digits=0),
        "o": texts[0], "h": texts[1], "l": texts[2], "c": texts[3], "v": market.qty_padded(lots), "n": trades, "X": is_closed,
    }  # fmt: skip


def mark_price_data(
    market: Instrument, *, mark_ticks: int, index_ticks: int, funding_ppb: int, next_funding_us: int, at_us: int, sent_us: int
) -> dict[str, Any]:
    """Mark and index price, the running interval's funding rate and its end in milliseconds."""
    return {
        "e": "markPrice", "E": sent_us, "T": at_us, "s": market.symbol, "p": market.price_text(mark_ticks),
        "i": market.price_text(index_ticks), "f": atoms_text(funding_ppb), "n": next_funding_us // US_PER_MS,
    }  # fmt: skip


def open_interest_data(market: Instrument, lots: int, sent_us: int) -> dict[str, Any]:
    """Open interest in base units."""
    return {"e": "openInterest", "E": sent_us, "s": market.symbol, "o": market.qty_text(lots)}


def liquidation_data(market: Instrument, side: int, ticks: int, lots: int, at_us: int, sent_us: int) -> dict[str, Any]:
    """A fill of a liquidation order; `side` is that order's."""
    return {
        "e": "liquidation", "E": sent_us, "T": at_us, "s": market.symbol, "S": SIDE_WORDS[side], "p": market.price_padded(ticks),
        "q": market.qty_padded(lots),
    }  # fmt: skip


# ---- private ----


def order_data(order: Order, market: Instrument, kind: str, at_us: int, sent_us: int, fill: Execution | None = None) -> dict[str, Any]:
    """An order event; `kind` is a key of `EVENT_WORDS`. `t` is an explicit null on everything that is no fill."""
    data: dict[str, Any] = {
        "e": EVENT_WORDS[kind], "E": sent_us, "T": at_us, "s": order.symbol, "S": SIDE_WORDS[order.side], "i": str(order.order_id),
        "o": order.order_type.upper(), "f": order.time_in_force, "q": _qty(order.lots, market), "X": order.status, "t": None,
        "z": _qty(order.executed_lots, market), "Z": atoms_text(order.executed_quote_atoms), "V": order.self_trade, "O": order.origin,
        "r": order.reduce_only,
    }  # fmt: skip
    if order.client_id is not None:
        data["c"] = order.client_id
    if order.related_id is not None:
        data["I"] = str(order.related_id)
    if order.order_type == LIMIT:
        data["p"] = market.price_padded(order.ticks)
        data["y"] = order.post_only
    if order.trigger_ticks:
        data["P"] = market.price_padded(order.trigger_ticks)
        data["B"] = order.trigger_by
        data["Y"] = trigger_quantity_text(order, market)
    if order.order_type == LIMIT:
        data["Q"] = atoms_text(market.notional_atoms(order.ticks, order.lots))  # captured as "0" on a pending trigger, which has no lots
    elif order.quote_atoms:
        data["Q"] = atoms_text(order.quote_atoms)
    if order.attached is not None:
        for leg, (trigger, by, limit) in ((order.attached.take_profit, "adj"), (order.attached.stop_loss, "bgk")):
            if leg is not None:
                data[trigger] = market.price_padded(leg.trigger_ticks)
                if leg.trigger_by is not None:
                    data[by] = leg.trigger_by
                if leg.limit_ticks:
                    data[limit] = market.price_padded(leg.limit_ticks)
    if order.reason and kind in {"expired", "trigger_failed"}:
        data["R"] = _CAPITALS.sub("_", order.reason).upper()
    if fill is not None:
        data |= {
            "t": fill.trade_id or None, "l": market.qty_padded(fill.lots), "L": market.price_padded(fill.ticks), "m": fill.is_maker,
            "n": atoms_text(fill.fee_atoms), "N": fill.fee_asset,
        }  # fmt: skip
    return data


def position_data(held: Held, market: Instrument, figures: PositionFigures, kind: str | None, at_us: int, sent_us: int) -> dict[str, Any]:
    """A position event; `kind` is a key of `POSITION_EVENTS`, or None for the snapshot after a subscription, which carries no `e`."""
    data: dict[str, Any] = {
        "E": sent_us, "T": at_us, "s": held.symbol, "i": held.position_id, "l": "0",
        "q": _qty(figures.lots, market), "Q": _qty(figures.exposure_lots, market), "n": figures.exposure_notional,
        "B": figures.entry_price, "b": figures.break_even_price, "M": figures.mark_price, "f": figures.imf, "m": figures.mmf,
        "p": figures.realised, "P": figures.unrealised,
    }  # fmt: skip
    if kind is not None:
        data["e"] = POSITION_EVENTS[kind]
    return data


def balance_data(asset: str, available_atoms: int, locked_atoms: int, sent_us: int) -> dict[str, Any]:
    """An asset's balance, absolute."""
    return {
        "e": "balanceUpdate", "E": sent_us, "a": asset, "A": atoms_text(available_atoms), "L": atoms_text(locked_atoms), "S": "0",
    }  # fmt: skip


def _qty(lots: int, market: Instrument) -> str:
    """Padded, but a bare "0" for none, as captured on the wire."""
    return market.qty_padded(lots) if lots else "0"
