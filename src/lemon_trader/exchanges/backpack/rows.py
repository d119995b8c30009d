"""Rows of Backpack's lists as records: a market, an order, a fill. Each raises `WireError` or `GateError` for what it cannot read whole."""

import math
import re
from typing import Final

import msgspec

from lemon_trader.core.events import Fill, Levels, OrderRow
from lemon_trader.core.instrument import Instrument, atoms, decimal, instrument, ppm
from lemon_trader.core.units import INT64_MAX
from lemon_trader.exchanges.backpack import untrusted, words
from lemon_trader.exchanges.backpack.orders import order_status
from lemon_trader.exchanges.backpack.times import us_of_any
from lemon_trader.exchanges.backpack.untrusted import Row
from lemon_trader.exchanges.dialect import Token, WireError

SYMBOL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z", re.ASCII)
LEVELS_MAX: Final = 10_000
_PPM_MAX: Final = 10**12
_KINDS: Final = {"SPOT": False, "PERP": True}


def market_of(row: Row, symbol: str) -> Instrument:
    """A market's grid and bounds. Raises WireError, GateError."""
    kind = untrusted.text(row, "marketType")
    if kind not in _KINDS:
        raise WireError(f"market type {kind} is not traded by this program")
    if not SYMBOL.match(symbol):
        raise WireError("its symbol holds characters that cannot stand in a request")
    filters = untrusted.as_row(row.get("filters"))
    price, quantity = untrusted.as_row(filters.get("price")), untrusted.as_row(filters.get("quantity"))
    band = price.get("meanMarkPriceBand") or {}
    impact = {"impact_low_ppm": _ppm(price, "minImpactMultiplier"), "impact_high_ppm": _ppm(price, "maxImpactMultiplier")}
    made = instrument(
        symbol,
        untrusted.text(row, "baseSymbol"),
        untrusted.text(row, "quoteSymbol"),
        is_perp=_KINDS[kind],
        tick=untrusted.number(price, "tickSize"),
        lot=untrusted.number(quantity, "stepSize"),
        min_qty=_bound(quantity, "minQuantity"),
        max_qty=_bound(quantity, "maxQuantity"),
        min_price=_bound(price, "minPrice"),
        max_price=_bound(price, "maxPrice"),
        low_ppm=_ppm(price, "minMultiplier"),
        high_ppm=_ppm(price, "maxMultiplier"),
        band_low_ppm=_ppm(untrusted.as_row(band), "minMultiplier"),
        band_high_ppm=_ppm(untrusted.as_row(band), "maxMultiplier"),
        imf_ppm=_ppm(untrusted.as_row(row.get("imfFunction") or {}), "base"),
        mmf_ppm=_ppm(untrusted.as_row(row.get("mmfFunction") or {}), "base"),
        **impact,
    )
    if max(made.tick_lot_atoms, made.lot_atoms, made.min_lots, made.max_lots, made.min_ticks, made.max_ticks) > INT64_MAX:
        raise WireError("its bounds are more than this program counts")
    return msgspec.structs.replace(made, book_state=untrusted.text_or(row, "orderBookState", "Open"))


def _bound(row: Row, key: str) -> str | None:
    return None if row.get(key) is None else untrusted.number(row, key)


def _ppm(row: Row, key: str) -> int:
    value = ppm(untrusted.number_or(row, key, "0"))
    if not 0 <= value <= _PPM_MAX:
        raise WireError(f"{key} {row[key]} is no factor")
    return value


def fee_ppm(row: Row, key: str) -> int:
    """A rate in basis points as ppm, rounded against us."""
    return math.ceil(decimal(untrusted.number(row, key)) * 100)


def levels(row: Row, key: str, instrument: Instrument) -> Levels:
    """One side of a book, in the order of the body. Raises WireError, GateError."""
    value = row.get(key)
    if type(value) is not list or len(value) > LEVELS_MAX:
        raise WireError(f"{key} is not a list of at most {LEVELS_MAX} levels")
    levels = []
    for pair in value:
        if type(pair) is not list or len(pair) != 2:
            raise WireError(f"{key}: a level is a price and a quantity")
        level = {"price": pair[0], "quantity": pair[1]}
        levels.append((untrusted.price(level, "price", instrument), instrument.qty_lots(untrusted.number(level, "quantity"))))
    return tuple(levels)


def order_of(row: Row, symbol: str, market: Instrument, *, is_open: bool) -> OrderRow:
    """An order as a list shows it; of a trigger that waits, the quantity is the trigger's. Raises WireError, GateError."""
    quantity = untrusted.lots_or_none(row, "quantity", market) or untrusted.lots_or_none(row, "triggerQuantity", market)
    return OrderRow(
        symbol,
        untrusted.text(row, "id"),
        untrusted.client_id(row, "clientId"),
        untrusted.text_or(row, "relatedOrderId", ""),
        untrusted.side(row, "side"),
        order_status(row),
        untrusted.price_or_none(row, "price", market),
        untrusted.price_or_none(row, "triggerPrice", market),
        quantity,
        untrusted.lots_or_none(row, "executedQuantity", market),
        us_of_any(row.get("createdAt")),
        is_open,
        row.get("triggerPrice") is not None,
        untrusted.text_or(row, "expiryReason", ""),
        untrusted.text_or(row, "systemOrderType", words.USER),
    )


def fill_of(row: Row, symbol: str, market: Instrument, ts_us: int) -> Fill:
    """One execution of the history. Raises WireError, GateError."""
    fee = untrusted.number(row, "fee")
    quantity = market.qty_lots(untrusted.number(row, "quantity"))
    if quantity <= 0:
        raise WireError("a fill of nothing")
    return Fill(
        ts_us,
        us_of_any(row.get("timestamp")),
        symbol,
        untrusted.text(row, "orderId"),
        untrusted.client_id(row, "clientId"),
        "",
        untrusted.trade_id(row, "tradeId"),
        untrusted.side(row, "side"),
        untrusted.price(row, "price", market),
        quantity,
        atoms(fee),
        untrusted.text(row, "feeSymbol"),
        fee,
        untrusted.flag(row, "isMaker"),
        -1,
        untrusted.text_or(row, "systemOrderType", words.USER),
    )


def token_of(row: Row) -> Token:
    """One chain of an asset. Raises WireError."""
    return Token(
        untrusted.text(row, "blockchain"),
        untrusted.flag(row, "depositEnabled", default=False),
        untrusted.number_or(row, "minimumDeposit", "0"),
        untrusted.flag(row, "withdrawEnabled", default=False),
        untrusted.number_or(row, "minimumWithdrawal", "0"),
        untrusted.number_or(row, "withdrawalFee", "0"),
    )
