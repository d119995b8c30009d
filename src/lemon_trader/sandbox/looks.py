"""What an operator sees: the markets, one of them closely, every account, and the exchange's own books with sums that close."""

from collections.abc import Mapping
from typing import Any, Final

from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import BUY, PPM, US_PER_MS, US_PER_S
from lemon_trader.exchanges.backpack.server_public import INTERVALS
from lemon_trader.matching.orders import Fill, OrderState
from lemon_trader.sandbox.app import SandboxApp
from lemon_trader.sandbox.desk import Desk
from lemon_trader.sandbox.steering import STORIES, Steering

Json = dict[str, Any]

LEVELS: Final = 14
PRINTS: Final = 40
CANDLES: Final = 160
ORDERS: Final = 50
ROWS_MAX: Final = 1_000


def picture(app: SandboxApp, steering: Steering, speed_ppm: int, symbol: str, interval: str) -> Json:
    """Everything that one look shows; `symbol` and `interval` that do not exist become the first market and minutes."""
    desk = app.desk
    symbol = symbol if symbol in desk.markets else next(iter(desk.markets))
    interval = interval if interval in INTERVALS else "1m"
    of, now_us = desk.markets[symbol], desk.exchange.now_us
    return {
        "now_ms": now_us // US_PER_MS,
        "speed": atoms_text(speed_ppm * 1_000),
        "sessions": len(app.hub.sessions),
        "markets": [_market(desk, steering, other) for other in desk.markets.values()],
        "stories": list(STORIES),
        "symbol": symbol,
        "interval": interval,
        "book": _book(desk, of),
        "prints": _prints(desk, of),
        "candles": _candles(desk, of, interval, now_us),
        "accounts": accounts(desk),
        "faults": faults(app),
    }


def accounts(desk: Desk) -> list[Json]:
    """Every account with what it owns, holds and has resting."""
    keys = {account.name: account.api_key for account in desk.accounts.values()}
    return [_account(desk, name, keys.get(name)) for name in desk.exchange.accounts]


def ledger(desk: Desk) -> Json:
    """The exchange's own books: by asset, what everybody has, and what was ever brought in; by market, what everybody holds.

    A position counts as the cash that is tied up in it: minus entry cost and minus settled profit. `difference` is 0 at every moment.
    """
    books, accounts_ = desk.exchange.books(), desk.exchange.accounts.values()
    columns: dict[str, dict[str, int]] = {"accounts": {}, "lent": {}, "positions": {}}
    for account in accounts_:
        for asset in account.assets:
            _add(columns["accounts"], asset, account.total(asset))
        for asset, atoms in account.lent.items():
            _add(columns["lent"], asset, atoms)
        for held in account.positions.values():
            _add(columns["positions"], desk.markets[held.symbol].quote, -held.cost_atoms - held.settled_atoms)
    columns |= {name: dict(getattr(books, name)) for name in ("outside", "fees", "funding", "insurance", "interest")}
    assets = sorted({asset for column in (*columns.values(), books.deposits) for asset in column})
    rows = []
    for asset in assets:
        row = {name: column.get(asset, 0) for name, column in columns.items()}
        deposits = books.deposits.get(asset, 0)
        row |= {"deposits": deposits, "difference": sum(row.values()) - deposits}
        rows.append({"asset": asset} | {name: atoms_text(atoms) for name, atoms in row.items()})
    held_lots = {symbol: sum(a.position_lots(symbol) for a in accounts_) for symbol, of in desk.markets.items() if of.is_perp}
    positions = {symbol: desk.markets[symbol].qty_text(lots) for symbol, lots in held_lots.items()}
    return {"assets": rows, "closes": all(row["difference"] == "0" for row in rows), "positions": positions}


def fills(desk: Desk, account: str, limit: int) -> list[Json]:
    """The newest executions of one account, or of all ("")."""
    chosen = [a for a in desk.exchange.accounts.values() if account in {"", a.name}]
    rows = sorted((fill for a in chosen for fill in a.fills[-limit:]), key=lambda fill: fill.at_us, reverse=True)[:limit]
    return [_fill(fill, desk.markets[fill.symbol]) for fill in rows]


def faults(app: SandboxApp) -> Json:
    """What is ordered to go wrong."""
    f = app.faults
    return {
        "maintenance": f.maintenance,
        "omit_trade_ids": f.omit_trade_ids,
        "history_lag_ms": f.history_lag_us // US_PER_MS,
        "odds_ppm": {str(kind): ppm for kind, ppm in f.odds.items()},
        "waiting": [{"kind": str(w.kind), "method": w.method, "path": w.path, "times": w.times} for w in f.waiting],
    }


def _market(desk: Desk, steering: Steering, of: Instrument) -> Json:
    exchange = desk.exchange
    bid, _, ask, _ = exchange.touch(of.symbol)
    mark, index, funding_ppb = exchange.reference(of.symbol)
    hand = steering.hand(of.symbol)
    outside = steering.instruments.get(of.symbol, of)
    return {
        "symbol": of.symbol,
        "state": exchange.instrument(of.symbol).book_state,
        "last": _price(of, exchange.last_ticks(of.symbol)),
        "bid": _price(of, bid),
        "ask": _price(of, ask),
        "mark": _price(of, mark),
        "index": _price(of, index),
        "funding": atoms_text(funding_ppb) if of.is_perp else None,
        "held": hand is not None and hand.is_held,
        "story": hand.story if hand is not None else "",
        "moved_by": outside.price_text(hand.delta_ticks) if hand is not None else "0",
    }


def _book(desk: Desk, of: Instrument) -> Json:
    book = desk.exchange.depth(of.symbol, LEVELS)
    ours: dict[tuple[int, int], int] = {}
    for account in desk.exchange.accounts.values():
        for order in account.live.values():
            if order.symbol == of.symbol and not order.is_trigger:
                ours[order.side, order.ticks] = ours.get((order.side, order.ticks), 0) + order.open_lots

    def rows(side: int, levels: tuple[tuple[int, int], ...]) -> list[list[str]]:
        return [[of.price_padded(t), of.qty_padded(q), of.qty_text(ours[side, t]) if (side, t) in ours else ""] for t, q in levels]

    return {"bids": rows(BUY, book.bids), "asks": rows(-BUY, book.asks)}


def _prints(desk: Desk, of: Instrument) -> list[list[Any]]:
    prints = desk.tapes[of.symbol].prints
    newest = (prints[-n] for n in range(1, min(PRINTS, len(prints)) + 1))
    return [[p.at_us // US_PER_MS, of.price_padded(p.ticks), of.qty_padded(p.lots), "Ask" if p.buyer_is_maker else "Bid"] for p in newest]


def _candles(desk: Desk, of: Instrument, interval: str, now_us: int) -> list[list[Any]]:
    span_us = INTERVALS[interval] * US_PER_S * CANDLES
    found = desk.tapes[of.symbol].trades.candles(interval, now_us - span_us, now_us)
    return [[c.start_us // US_PER_S, *(of.price_text(ticks) for ticks in c.prices), of.qty_text(c.lots)] for c in found]


def _account(desk: Desk, name: str, api_key: str | None) -> Json:
    account, margin = desk.exchange.accounts[name], desk.exchange.margin(name)
    live = list(account.live.values())
    return {
        "name": name,
        "api_key": api_key,
        "equity": atoms_text(margin.equity_atoms),
        "margin_share": atoms_text(margin.maintenance_atoms * PPM // margin.equity_atoms * 1_000) if margin.equity_atoms > 0 else None,
        "is_liquidating": account.is_liquidating,
        "balances": {
            asset: {"total": atoms_text(account.total(asset)), "locked": atoms_text(account.locked(asset))}
            | ({"lent": atoms_text(account.lent[asset])} if account.lent.get(asset) else {})
            for asset in account.assets
        },
        "positions": [
            {
                "symbol": held.symbol,
                "quantity": desk.markets[held.symbol].qty_text(held.lots),
                "entry": _price(desk.markets[held.symbol], _entry(held.cost_atoms, held.lots, desk.markets[held.symbol])),
                "unrealised": atoms_text(_unrealised(desk, held.symbol, held.lots, held.cost_atoms)),
            }
            for held in account.positions.values()
        ],
        "orders": [_order(order, desk.markets) for order in live[-ORDERS:]],
        "orders_open": len(live),
        "fills": len(account.fills),
    }


def _order(order: OrderState, markets: Mapping[str, Instrument]) -> Json:
    of = markets[order.symbol]
    return {
        "id": str(order.order_id),
        "symbol": order.symbol,
        "side": "Bid" if order.side == BUY else "Ask",
        "price": _price(of, order.ticks),
        "trigger": _price(of, order.trigger_ticks),
        "quantity": of.qty_text(order.lots or order.trigger_lots),
        "filled": of.qty_text(order.executed_lots),
        "status": str(order.status),
    }


def _fill(fill: Fill, of: Instrument) -> Json:
    return {
        "account": fill.account,
        "at_ms": fill.at_us // US_PER_MS,
        "symbol": fill.symbol,
        "side": "Bid" if fill.side == BUY else "Ask",
        "price": of.price_text(fill.ticks),
        "quantity": of.qty_text(fill.lots),
        "fee": atoms_text(fill.fee_atoms),
        "fee_asset": fill.fee_asset,
        "is_maker": fill.is_maker,
        "order_id": str(fill.order_id),
        "trade_id": fill.trade_id,
        "origin": str(fill.origin),
    }


def _entry(cost_atoms: int, lots: int, of: Instrument) -> int:
    """The average entry price in ticks, rounded to the nearest."""
    unit = of.tick_lot_atoms * lots
    return (2 * cost_atoms + unit) // (2 * unit) if unit else 0


def _unrealised(desk: Desk, symbol: str, lots: int, cost_atoms: int) -> int:
    return desk.markets[symbol].notional_atoms(desk.mark_ticks(symbol), lots) - cost_atoms


def _price(of: Instrument, ticks: int) -> str | None:
    return of.price_text(ticks) if ticks else None


def _add(column: dict[str, int], asset: str, atoms: int) -> None:
    column[asset] = column.get(asset, 0) + atoms
