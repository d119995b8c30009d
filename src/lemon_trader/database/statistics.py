"""What a session, a day and all time have made: volumes, spread, profit, fees, wear, from the records, exact.

Net = gross (realised) - fees + funding. Over any period it equals the cash that came in plus what the position's cost grew by, to the atom;
with the unrealised it equals the cash difference at today's price. Wear rate = net / turnover x 100, so that a loss wears and shows as
negative. A number that is not known is None, never 0.

The report is a plain structure that can be printed as JSON. `LINES` names, for each figure, the message id of its label and its unit, so
that every face shows the same lines in the reader's language.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import isqrt
from typing import Any, Final, NamedTuple, Protocol

from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.units import BUY, PERP, PPM, REBALANCE, ROLE_NAMES, side_name
from lemon_trader.database.fifo import Execution, Fifo

DAY_US: Final = 86_400_000_000
MINUTE_US: Final = 60_000_000
LAST_FILLS: Final = 10
_RETURNS: Final = "SELECT sum(returns) AS n, sum(return_squares) AS squares FROM minutes WHERE symbol = ? AND minute >= ?"
_LAST_TOUCH: Final = "SELECT bid_ticks, ask_ticks FROM minutes WHERE symbol = ? AND bid_ticks > 0 ORDER BY minute DESC LIMIT 1"
_OTHER_FEES: Final = (
    "SELECT fee_asset, sum(fee_atoms) AS fee FROM fills WHERE symbol = ? AND fee_asset NOT IN (?, ?) GROUP BY fee_asset HAVING fee <> 0"
)
_FILLS: Final = (
    "SELECT session_id, at_us, side, price_ticks, qty_lots, is_maker, fee_atoms, fee_asset, fee_quote_atoms, role, mid_ticks, "
    "realised_atoms, cash_atoms, base_atoms, cost_atoms FROM fills WHERE symbol = ? ORDER BY id"
)
_MOVES: Final = "SELECT session_id, at_us, quantity_atoms FROM moves WHERE symbol = ? AND asset = ? AND kind IN ('funding', 'interest')"

# (figure of a period, message id of its label, unit: base, quote, pct, count, seconds)
LINES: Final[tuple[tuple[str, str, str], ...]] = (
    ("maker_buy_volume", "report.maker_buy_volume", "base"),
    ("maker_sell_volume", "report.maker_sell_volume", "base"),
    ("taker_buy_volume", "report.taker_buy_volume", "base"),
    ("taker_sell_volume", "report.taker_sell_volume", "base"),
    ("turnover", "report.turnover", "quote"),
    ("maker_share_pct", "report.maker_share", "pct"),
    ("average_spread_pct", "report.average_spread", "pct"),
    ("volatility_pct", "report.volatility", "pct"),
    ("gross", "report.gross", "quote"),
    ("fees", "report.fees", "quote"),
    ("funding", "report.funding", "quote"),
    ("net", "report.net", "quote"),
    ("wear_rate_pct", "report.wear_rate", "pct"),
    ("gross_fifo", "report.gross_fifo", "quote"),
    ("rebalance_cost", "report.rebalance_cost", "quote"),
    ("trades", "report.trades", "count"),
    ("placed", "report.placed", "count"),
    ("cancelled", "report.cancelled", "count"),
    ("refused", "report.refused", "count"),
)
PERIODS: Final = ("session", "day", "all")


class Records(Protocol):
    """A `Database` or a `Reader`."""

    def query(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Any]:
        """Rows of a question, by column name."""


@dataclass(slots=True)
class Sums:
    """One period of one market, integers; what `figures` makes text of.

    Attributes:
        cash_atoms: quote received less paid by fills and moves.
        cost_atoms: growth of the position's signed cost (what a long cost, less what was received for a short); 0 on perpetuals.
        spread_ppm_sum / spreads: width of the quotes that were filled (twice their distance from the mid that they were decided by), of
            how many.
    """

    maker_buy_lots: int = 0
    maker_sell_lots: int = 0
    taker_buy_lots: int = 0
    taker_sell_lots: int = 0
    turnover_atoms: int = 0
    maker_turnover_atoms: int = 0
    gross_atoms: int = 0
    fees_atoms: int = 0
    funding_atoms: int = 0
    fifo_atoms: int = 0
    cash_atoms: int = 0
    cost_atoms: int = 0
    rebalance_cost_atoms: int = 0
    spread_ppm_sum: int = 0
    spreads: int = 0
    trades: int = 0
    placed: int = 0
    cancelled: int = 0
    refused: int = 0
    volatility_ppm: int | None = None

    @property
    def net_atoms(self) -> int:
        """Gross - fees + funding."""
        return self.gross_atoms - self.fees_atoms + self.funding_atoms


_SUMMED: Final = tuple(field.name for field in fields(Sums) if field.name != "volatility_ppm")


def report(records: Records, now_us: int, prices: Mapping[str, int] | None = None, symbols: Sequence[str] = ()) -> dict[str, Any]:
    """The whole report, JSON-able: every number is exact decimal text, a count, or None.

    Args:
        records: where from.
        now_us: decides which UTC day is "day".
        prices: ticks by symbol to value what is held at; the last recorded mid where there is none.
        symbols: only these; empty = all that were traded.
    """
    progress = records.query("SELECT * FROM progress")[0]
    traded = records.query(
        "SELECT * FROM symbols WHERE symbol IN (SELECT symbol FROM sessions UNION SELECT symbol FROM fills) ORDER BY symbol"
    )
    terms = records.query("SELECT * FROM terms")
    markets = []
    for row in traded:
        if not symbols or row["symbol"] in symbols:
            market = _market(records, row, now_us, (prices or {}).get(row["symbol"], 0))
            maker_ppm = terms[0]["perp_maker_ppm" if row["is_perp"] else "spot_maker_ppm"] if terms else None
            market["break_even_spread_pct"] = None if maker_ppm is None else percent(2 * maker_ppm)
            markets.append(market)
    return {"mode": progress["mode"], "as_of_us": progress["as_of_us"], "markets": markets}


class _Fill(NamedTuple):
    """The columns of a fill that a sum needs, in the order of `_FILLS`."""

    session_id: int
    at_us: int
    side: int
    price_ticks: int
    qty_lots: int
    is_maker: int
    fee_atoms: int
    fee_asset: str
    fee_quote_atoms: int
    role: int
    mid_ticks: int
    realised_atoms: int
    cash_atoms: int
    base_atoms: int
    cost_atoms: int


class History:
    """One market's fills walked through once, oldest first.

    Attributes:
        periods: the sums of each of PERIODS.
        base_atoms / cost_atoms: position after the last fill, or as it was given.
    """

    def __init__(self, records: Records, row: Any, now_us: int) -> None:
        symbol = row["symbol"]
        sessions = records.query("SELECT * FROM sessions WHERE symbol = ? ORDER BY id", (symbol,))
        self.base_atoms = self.cost_atoms = 0
        self._buckets: dict[tuple[bool, bool], Sums] = {}  # by (in the session, in the day): each fill is added once
        self._lot_atoms: int = row["lot_atoms"]
        self._tick_lot_atoms: int = row["tick_lot_atoms"]
        self._base: str = row["base"]
        self._is_perp = bool(row["is_perp"])
        self._session = sessions[-1]["id"] if sessions else 0
        self._day_us = now_us // DAY_US * DAY_US
        self._fifo = Fifo(row["tick_lot_atoms"], row["lot_atoms"])
        gifts = [session for session in reversed(sessions) if session["inventory_lots"]]
        for fill in map(_Fill._make, records.query(_FILLS, (symbol,))):
            while gifts and gifts[-1]["id"] <= fill.session_id:
                self._give(gifts.pop())
            self._fill(fill)
        while gifts:
            self._give(gifts.pop())
        for move in records.query(_MOVES, (symbol, row["quote"])):
            bucket = self._bucket(move["session_id"], move["at_us"])
            bucket.funding_atoms += move["quantity_atoms"]
            bucket.cash_atoms += move["quantity_atoms"]
        for counts in records.query("SELECT * FROM activity WHERE symbol = ?", (symbol,)):
            bucket = self._bucket(counts["session_id"], counts["day"] * DAY_US)
            bucket.placed += counts["placed"]
            bucket.cancelled += counts["cancelled"]
            bucket.refused += counts["refused"]
        self.periods = {
            "session": _together(b for (in_session, _), b in self._buckets.items() if in_session),
            "day": _together(b for (_, in_day), b in self._buckets.items() if in_day),
            "all": _together(self._buckets.values()),
        }
        starts = {"session": sessions[-1]["started_us"] if sessions else 0, "day": self._day_us, "all": 0}
        for period, total in self.periods.items():
            total.volatility_ppm = _volatility(records, symbol, starts[period])

    def _bucket(self, session_id: int, at_us: int) -> Sums:
        key = (session_id == self._session, self._day_us <= at_us < self._day_us + DAY_US)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Sums()
        return bucket

    def _give(self, session: Any) -> None:
        """Coins held before are taken over into an empty position only, as the ledger does."""
        if not self.base_atoms:
            self.base_atoms = session["inventory_lots"] * self._lot_atoms
            self.cost_atoms = session["inventory_cost_atoms"]
            self._fifo.give(self.base_atoms, self.cost_atoms)

    def _fill(self, fill: _Fill) -> None:
        fee_base = fill.fee_atoms if fill.fee_asset == self._base else 0
        paired = self._fifo.execute(Execution(fill.at_us, fill.side, fill.price_ticks, fill.qty_lots, fee_base))
        before = self.cost_atoms if self.base_atoms >= 0 else -self.cost_atoms
        self.base_atoms, self.cost_atoms = fill.base_atoms, fill.cost_atoms
        after = self.cost_atoms if self.base_atoms >= 0 else -self.cost_atoms
        bucket = self._bucket(fill.session_id, fill.at_us)
        _add(bucket, fill, self._tick_lot_atoms)
        bucket.fifo_atoms += paired
        if not self._is_perp:
            bucket.cost_atoms += after - before


def figures(total: Sums, row: Any) -> dict[str, Any]:
    """A period's figures as text: volumes in base, money in quote, rates in percent."""
    return {
        "maker_buy_volume": quantity(total.maker_buy_lots, row),
        "maker_sell_volume": quantity(total.maker_sell_lots, row),
        "taker_buy_volume": quantity(total.taker_buy_lots, row),
        "taker_sell_volume": quantity(total.taker_sell_lots, row),
        "turnover": atoms_text(total.turnover_atoms),
        "maker_share_pct": _ratio(total.maker_turnover_atoms, total.turnover_atoms),
        "average_spread_pct": percent(_rounded(total.spread_ppm_sum, total.spreads)) if total.spreads else None,
        "volatility_pct": None if total.volatility_ppm is None else percent(total.volatility_ppm),
        "gross": atoms_text(total.gross_atoms),
        "fees": atoms_text(total.fees_atoms),
        "funding": atoms_text(total.funding_atoms),
        "net": atoms_text(total.net_atoms),
        "wear_rate_pct": _ratio(total.net_atoms, total.turnover_atoms),
        "gross_fifo": atoms_text(total.fifo_atoms),
        "rebalance_cost": atoms_text(total.rebalance_cost_atoms),
        "trades": total.trades,
        "placed": total.placed,
        "cancelled": total.cancelled,
        "refused": total.refused,
        "cash_change": atoms_text(total.cash_atoms),
        "cost_change": atoms_text(total.cost_atoms),
    }


def percent(value_ppm: int) -> str:
    """A rate as percent: 1600 ppm is "0.16"."""
    return _plain(value_ppm, 4)


def quantity(lots: int, row: Any) -> str:
    """Lots as base units, exact."""
    return _plain(lots * row["lot_scale"], row["qty_decimals"])


def price(ticks: int, row: Any) -> str:
    """Ticks as a price, exact."""
    return _plain(ticks * row["tick_scale"], row["price_decimals"])


def _market(records: Records, row: Any, now_us: int, price_ticks: int) -> dict[str, Any]:
    symbol = row["symbol"]
    session = records.query("SELECT * FROM sessions WHERE symbol = ? ORDER BY id DESC LIMIT 1", (symbol,))
    if price_ticks <= 0:
        last = records.query(_LAST_TOUCH, (symbol,))
        price_ticks = (last[0]["bid_ticks"] + last[0]["ask_ticks"]) // 2 if last else 0
    history = History(records, row, now_us)
    fills = records.query("SELECT * FROM fills WHERE symbol = ? ORDER BY id DESC LIMIT ?", (symbol, LAST_FILLS))
    others = records.query(_OTHER_FEES, (symbol, row["base"], row["quote"]))
    return {
        "symbol": symbol, "base": row["base"], "quote": row["quote"], "kind": "perp" if row["is_perp"] == PERP else "spot",
        "strategy": session[0]["strategy"] if session else None, "session_started_us": session[0]["started_us"] if session else None,
        "periods": {period: figures(total, row) for period, total in history.periods.items()},
        "position": _position(history, row, price_ticks),
        "other_fees": {other["fee_asset"]: atoms_text(other["fee"]) for other in others},
        "last_fills": [_last_fill(fill, row) for fill in fills],
    }  # fmt: skip


def _position(history: History, row: Any, price_ticks: int) -> dict[str, Any]:
    """What is held now, and what everything comes to at this price."""
    base, cost = history.base_atoms, history.cost_atoms
    value = abs(base) * price_ticks * row["tick_lot_atoms"] // row["lot_atoms"]
    unrealised = (value - cost if base >= 0 else cost - value) if price_ticks > 0 or not base else None
    return {
        "quantity": atoms_text(base),
        "average_price": _plain(cost * 10**9 // abs(base), 9) if base else None,
        "cost": atoms_text(cost),
        "price": price(price_ticks, row) if price_ticks > 0 else None,
        "unrealised": None if unrealised is None else atoms_text(unrealised),
        "net_with_unrealised": None if unrealised is None else atoms_text(history.periods["all"].net_atoms + unrealised),
    }


def _last_fill(fill: Any, row: Any) -> dict[str, Any]:
    return {
        "at_us": fill["at_us"], "side": side_name(fill["side"]), "price": price(fill["price_ticks"], row),
        "quantity": quantity(fill["qty_lots"], row), "maker": bool(fill["is_maker"]),
        "role": ROLE_NAMES[fill["role"]] if fill["role"] >= 0 else "SYSTEM", "fee": fill["fee_text"], "fee_asset": fill["fee_asset"],
        "realised": atoms_text(fill["realised_atoms"]), "order_id": fill["order_id"],
    }  # fmt: skip


def _add(total: Sums, fill: _Fill, tick_lot_atoms: int) -> None:
    lots, notional = fill.qty_lots, fill.price_ticks * fill.qty_lots * tick_lot_atoms
    if fill.is_maker and fill.side == BUY:
        total.maker_buy_lots += lots
    elif fill.is_maker:
        total.maker_sell_lots += lots
    elif fill.side == BUY:
        total.taker_buy_lots += lots
    else:
        total.taker_sell_lots += lots
    total.turnover_atoms += notional
    total.gross_atoms += fill.realised_atoms
    total.fees_atoms += fill.fee_quote_atoms
    total.cash_atoms += fill.cash_atoms
    total.trades += 1
    mid = fill.mid_ticks
    away = fill.side * (mid - fill.price_ticks)  # > 0: better than the mid
    if fill.is_maker:
        total.maker_turnover_atoms += notional
        if mid > 0:
            total.spread_ppm_sum += 2 * away * PPM // mid
            total.spreads += 1
    if fill.role == REBALANCE:
        total.rebalance_cost_atoms += fill.fee_quote_atoms - (away * lots * tick_lot_atoms if mid > 0 else 0)


def _together(parts: Iterable[Sums]) -> Sums:
    total = Sums()
    for part in parts:
        for name in _SUMMED:
            setattr(total, name, getattr(total, name) + getattr(part, name))
    return total


def _volatility(records: Records, symbol: str, start_us: int) -> int | None:
    """Root mean square of one-second returns of the mid since then, ppm; None without a sample."""
    found = records.query(_RETURNS, (symbol, start_us // MINUTE_US))[0]
    return isqrt(found["squares"] // found["n"]) if found["n"] else None


def _ratio(part: int, whole: int) -> str | None:
    """Part / whole in percent, four decimals, towards zero; None when there is no whole."""
    if not whole:
        return None
    share = abs(part) * PPM // whole
    return percent(share if part >= 0 else -share)


def _rounded(total: int, count: int) -> int:
    """Total / count towards zero."""
    return total // count if total >= 0 else -(-total // count)


def _plain(units: int, decimals: int) -> str:
    sign, rest = ("-", -units) if units < 0 else ("", units)
    if not decimals:
        return f"{sign}{rest}"
    whole, fraction = divmod(rest, 10**decimals)
    tail = f"{fraction:0{decimals}d}".rstrip("0")
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"
