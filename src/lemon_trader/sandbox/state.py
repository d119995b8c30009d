"""The exchange's memory: accounts, orders, positions, histories and its own books in one file, so that it can outlive its process.

The file is an SQLite database. Whatever an act changed is in it before anybody is told of the act, one transaction for each; a killed
process loses nothing that it told. A loss of power may take the last moments, and leaves a file that is whole. Numbers that the exchange
hands out are reserved ahead, so that none is given twice. The market itself is not kept: it begins anew where its prices stood.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.effects import (
    Converted,
    Effect,
    FiltersChanged,
    Funded,
    FundingSettled,
    InterestPaid,
    LoanMoved,
    OrderChanged,
    Position,
    PositionChange,
    PositionChanged,
    Settled,
    StateChanged,
    Traded,
)
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.filters import Regrid, regrid
from lemon_trader.matching.image import AccountImage, Books, Prices
from lemon_trader.matching.orders import Fill, OrderState
from lemon_trader.sandbox.desk import Desk

VERSION: Final = 1
RESERVED: Final = 100_000  # numbers that are taken ahead at once
PRINTS: Final = 1_000  # public trades of each market
PRINTS_US: Final = 30 * US_PER_S  # between two writings of them
ROWS: Final[dict[str, type]] = {
    "fill": Fill, "funding": Funded, "settlement": Settled, "loan": LoanMoved, "interest": InterestPaid, "dust": Converted,
    "closed": Position,
}  # fmt: skip
_KIND_OF: Final[dict[type, str]] = {
    Funded: "funding",
    Settled: "settlement",
    LoanMoved: "loan",
    InterestPaid: "interest",
    Converted: "dust",
}
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, is_live INTEGER NOT NULL, seq INTEGER NOT NULL, value BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS rows (seq INTEGER PRIMARY KEY, account TEXT NOT NULL, kind TEXT NOT NULL, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS market (symbol TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prints (symbol TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class StateError(OSError):
    """The file cannot be gone on with; the text names it and the way out."""


class Head(msgspec.Struct, kw_only=True):
    """What an account is at present, beside its orders and rows."""

    totals: dict[str, int]
    positions: dict[str, Position]
    lent: dict[str, int]
    interest: dict[str, int]
    flags: tuple[bool, bool, bool]
    imf_floor_ppm: int
    leverage: str | None


class Market(msgspec.Struct, kw_only=True):
    """What a market is beside its book. `filters`: every change since the exchange was opened, oldest first: the grid follows from them."""

    book_state: str = "Open"
    filters: list[Instrument] = msgspec.field(default_factory=list)
    funding: list[FundingSettled] = msgspec.field(default_factory=list)


class Meta(msgspec.Struct, kw_only=True):
    """The exchange's own: its books with reserved numbers, and when they were written."""

    at_us: int
    books: Books
    prices: dict[str, Prices]


class Kept(msgspec.Struct):
    """An exchange as the file holds it; `meta` None = it has never lived."""

    meta: Meta | None
    heads: dict[str, Head]
    orders: dict[str, list[OrderState]]
    rows: dict[str, dict[str, list[Any]]]
    markets: dict[str, Market]
    prints: dict[str, list[Traded]]

    @property
    def at_us(self) -> int:
        """Exchange time that it has come to; 0 = never lived."""
        return self.meta.at_us if self.meta is not None else 0

    def image(self, name: str) -> AccountImage:
        """One account, for `Exchange.restore_account`."""
        head, rows, orders = self.heads[name], self.rows.get(name, {}), self.orders.get(name, [])
        assert self.meta is not None
        return AccountImage(
            totals=head.totals, positions=head.positions, lent=head.lent, interest=head.interest, flags=head.flags,
            imf_floor_ppm=head.imf_floor_ppm, live={o.order_id: o for o in orders if o.is_live},
            order_history=[o for o in orders if not o.is_live], fills=rows.get("fill", []), funding=rows.get("funding", []),
            settlements=rows.get("settlement", []), loan_rows=rows.get("loan", []), interest_rows=rows.get("interest", []),
            dust=rows.get("dust", []), closed_positions=rows.get("closed", []), prices=self.meta.prices,
            last_order_id=max((o.order_id for o in orders), default=0),
        )  # fmt: skip


class StateFile:
    """The open file of one exchange."""

    def __init__(self, path: Path) -> None:
        """Open it, made when missing, for this process alone. Raises StateError."""
        self._path = path
        self._desk: Desk | None = None
        self._heads: dict[str, bytes] = {}
        self._markets: dict[str, Market] = {}
        self._books: Books | None = None  # as the file has them, numbers reserved
        self._seq = 0
        self._prints_us = 0
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
        except sqlite3.Error as error:
            raise StateError(_why(path, error)) from error
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_TABLES)
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (VERSION,))
            self._db.execute("COMMIT")
            version = self._db.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()[0]
        except sqlite3.Error as error:
            self._db.close()
            raise StateError(_why(path, error)) from error
        if version != VERSION:
            self._db.close()
            raise StateError(f"{path} was written by another version of this program ({version}, not {VERSION}); name another file")

    def load(self) -> Kept:
        """What the file holds. Raises StateError."""
        try:
            return self._load()
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise StateError(_why(self._path, error)) from error

    def attach(self, desk: Desk, kept: Kept) -> None:
        """Keep this exchange from now on; it was restored from `kept`. Raises StateError."""
        self._desk = desk
        self._markets = kept.markets
        self._transact(self._whole)

    def note(self, effects: Sequence[Effect]) -> None:
        """Write down what these effects say, before anybody is told. Raises StateError."""
        desk = self._desk
        if desk is None:
            return
        names = dict.fromkeys(name for e in effects if (name := getattr(e, "account", None)) is not None)
        own = [e for e in effects if isinstance(e, (StateChanged, FiltersChanged, FundingSettled))]
        if names or own or self._is_used_up(desk.exchange, effects):
            self._transact(lambda: self._changes(effects, names))
        elif desk.exchange.now_us - self._prints_us >= PRINTS_US:
            self._transact(self._moment)

    def touch(self, account: str) -> None:
        """An account's settings may have changed without an effect. Raises StateError."""
        assert self._desk is not None
        if _pack(self._head(account)) != self._heads.get(account):
            self._transact(lambda: self._write_head(account))

    def close(self) -> None:
        """Write what is worth keeping of the market, with exact numbers, and give the file back. Raises StateError."""
        desk = self._desk
        if desk is not None:
            self._transact(lambda: self._last(desk))
            self._desk = None
        self._db.close()

    # -- reading --

    def _load(self) -> Kept:
        meta = self._db.execute("SELECT value FROM meta WHERE name = 'exchange'").fetchone()
        kept = Kept(None if meta is None else msgspec.msgpack.decode(meta[0], type=Meta), {}, {}, {}, {}, {})
        for name, value in self._db.execute("SELECT name, value FROM account"):
            kept.heads[name] = msgspec.msgpack.decode(value, type=Head)
        for account, value in self._db.execute(
            "SELECT account, value FROM orders ORDER BY is_live, CASE is_live WHEN 1 THEN id ELSE seq END"
        ):
            kept.orders.setdefault(account, []).append(msgspec.msgpack.decode(value, type=OrderState))
        for account, kind, value in self._db.execute("SELECT account, kind, value FROM rows ORDER BY seq"):
            kept.rows.setdefault(account, {}).setdefault(kind, []).append(msgspec.msgpack.decode(value, type=ROWS[kind]))
        for symbol, value in self._db.execute("SELECT symbol, value FROM market"):
            kept.markets[symbol] = msgspec.msgpack.decode(value, type=Market)
        for symbol, value in self._db.execute("SELECT symbol, value FROM prints"):
            kept.prints[symbol] = msgspec.msgpack.decode(value, type=list[Traded])
        self._seq = max(self._db.execute("SELECT coalesce(max(seq), 0) FROM rows UNION SELECT coalesce(max(seq), 0) FROM orders"))[0]
        return kept

    # -- writing --

    def _transact(self, write: Any) -> None:
        try:
            self._db.execute("BEGIN")
            write()
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StateError(_why(self._path, error)) from error

    def _whole(self) -> None:
        desk = self._desk
        assert desk is not None
        for name in desk.exchange.accounts:
            self._write_head(name)
            for order in desk.exchange.accounts[name].live.values():
                self._write_order(order)
        self._write_books(reserve=RESERVED)
        for symbol in desk.markets:
            self._write_market(symbol)

    def _changes(self, effects: Iterable[Effect], names: Iterable[str]) -> None:
        desk = self._desk
        assert desk is not None
        for e in effects:
            if isinstance(e, OrderChanged):
                self._write_order(e.order)
                if e.fill is not None:
                    self._write_row(e.account, "fill", e.fill)
            elif isinstance(e, PositionChanged):
                if e.kind is PositionChange.CLOSED:
                    self._write_row(e.account, "closed", e.position)
            elif type(e) in _KIND_OF:
                self._write_row(e.account, _KIND_OF[type(e)], e)  # type: ignore[union-attr]  # each of these kinds has an account
            elif isinstance(e, FundingSettled):
                self._market(e.symbol).funding.append(e)
                self._write_market(e.symbol)
            elif isinstance(e, StateChanged):
                self._market(e.symbol).book_state = e.book_state
                self._write_market(e.symbol)
            elif isinstance(e, FiltersChanged):
                self._market(e.symbol).filters.append(desk.exchange.filters(e.symbol))
                self._regrid(e.symbol)
        for name in names:
            self._write_head(name)
            for order in desk.exchange.accounts[name].live.values():
                if order.attached is not None:  # how much of it is covered changes without a word
                    self._write_order(order)
        self._write_books(reserve=RESERVED)

    def _regrid(self, symbol: str) -> None:
        """Everything of a market is counted in another grid now: its rows are written anew."""
        desk = self._desk
        assert desk is not None
        for name, account in desk.exchange.accounts.items():
            for order in (*account.order_history, *account.live.values()):
                if order.symbol == symbol:
                    self._write_order(order)
            for kind, rows in _rows_of(account).items():
                if kind in {"fill", "funding", "closed"}:
                    self._db.execute("DELETE FROM rows WHERE account = ? AND kind = ?", (name, kind))
                    for row in rows:
                        self._write_row(name, kind, row)
        self._write_market(symbol)
        self._write_prints(desk)

    def _moment(self) -> None:
        assert self._desk is not None
        self._write_books(reserve=RESERVED)
        self._write_prints(self._desk)

    def _last(self, desk: Desk) -> None:
        for name in desk.exchange.accounts:
            self._write_head(name)
        self._write_books(reserve=0)
        self._write_prints(desk)

    def _write_order(self, order: OrderState) -> None:
        self._seq += 1
        # An order's place in its history is that of its end; a row that comes again keeps the first one.
        self._db.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET value = excluded.value, "
            "seq = CASE WHEN orders.is_live THEN excluded.seq ELSE orders.seq END, is_live = excluded.is_live",
            (order.order_id, order.account, order.is_live, self._seq, _pack(order)),
        )

    def _write_row(self, account: str, kind: str, row: Any) -> None:
        self._seq += 1
        self._db.execute("INSERT INTO rows VALUES (?, ?, ?, ?)", (self._seq, account, kind, _pack(row)))

    def _write_head(self, name: str) -> None:
        value = _pack(self._head(name))
        if self._heads.get(name) != value:
            self._db.execute("INSERT OR REPLACE INTO account VALUES (?, ?)", (name, value))
            self._heads[name] = value

    def _write_books(self, *, reserve: int) -> None:
        desk = self._desk
        assert desk is not None
        exchange = desk.exchange
        books = exchange.books()
        kept = self._books
        if reserve:
            books.order_id = _ahead(books.order_id, kept.order_id if kept else 0, reserve)
            for now, before in ((books.update_ids, kept.update_ids if kept else {}), (books.trade_ids, kept.trade_ids if kept else {})):
                now.update({symbol: _ahead(number, before.get(symbol, 0), reserve) for symbol, number in now.items()})
        prices = {symbol: Prices(*exchange.reference(symbol), exchange.last_ticks(symbol)) for symbol in desk.markets}
        self._db.execute(
            "INSERT OR REPLACE INTO meta VALUES ('exchange', ?)", (_pack(Meta(at_us=exchange.now_us, books=books, prices=prices)),)
        )
        self._books = books

    def _write_market(self, symbol: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO market VALUES (?, ?)", (symbol, _pack(self._market(symbol))))

    def _write_prints(self, desk: Desk) -> None:
        self._prints_us = desk.exchange.now_us
        for symbol, tape in desk.tapes.items():
            newest = [tape.prints[n] for n in range(max(0, len(tape.prints) - PRINTS), len(tape.prints))]
            self._db.execute("INSERT OR REPLACE INTO prints VALUES (?, ?)", (symbol, _pack(newest)))

    def _head(self, name: str) -> Head:
        desk = self._desk
        assert desk is not None
        account = desk.exchange.accounts[name]
        return Head(
            totals={asset: account.total(asset) for asset in account.assets}, positions=account.positions, lent=account.lent,
            interest=account.interest, flags=(account.auto_lend, account.auto_borrow_settlements, account.auto_repay_borrows),
            imf_floor_ppm=account.imf_floor_ppm, leverage=desk.leverage.get(name),
        )  # fmt: skip

    def _market(self, symbol: str) -> Market:
        return self._markets.setdefault(symbol, Market())

    def _is_used_up(self, exchange: Exchange, effects: Sequence[Effect]) -> bool:
        """Whether reserved numbers come to their end: looked at as trades happen, which use them up."""
        kept = self._books
        if kept is None or not any(isinstance(e, Traded) for e in effects):
            return False
        now = exchange.books()
        near = RESERVED // 2
        return (
            now.order_id + near > kept.order_id
            or any(number + near > kept.trade_ids.get(symbol, 0) for symbol, number in now.trade_ids.items())
            or any(number + near > kept.update_ids.get(symbol, 0) for symbol, number in now.update_ids.items())
        )


def begin_ticks(kept: Kept, markets: Iterable[Instrument]) -> dict[str, int]:
    """By symbol, the price at which a market begins anew, in ticks of these grids."""
    found = {}
    for of in markets:
        prices = kept.meta.prices.get(of.symbol) if kept.meta is not None else None
        by, grid = 1, of
        for filters in kept.markets.get(of.symbol, Market()).filters:
            way = regrid(grid, filters)
            by, grid = by * way.ticks_by, way.grid
        if prices is not None and (prices.last_ticks or prices.mark_ticks):
            found[of.symbol] = max(1, (prices.last_ticks or prices.mark_ticks) // by)
    return found


def restore(kept: Kept, exchange: Exchange, now_us: int) -> list[tuple[str, Regrid]]:
    """Bring filters, accounts and books into a new exchange, before its desk is made; gives the changes of grids on the way.

    Raises:
        StateError: something of an account is in a market that is not listed any more.
    """
    ways: list[tuple[str, Regrid]] = []
    if kept.meta is None:
        return ways
    listed = frozenset(exchange.symbols)
    for symbol, market in kept.markets.items():
        if symbol in listed:
            ways += [(symbol, exchange.change_filters(filters, now_us)) for filters in market.filters]
            if market.book_state != "Open":
                exchange.set_book_state(symbol, market.book_state, now_us)
    for name in kept.heads:
        image = kept.image(name)
        image.prices = {symbol: prices for symbol, prices in image.prices.items() if symbol in listed}
        named = (*(o.symbol for o in image.live.values()), *(f.symbol for f in image.fills), *image.positions)
        missing = sorted(set(named) - listed)
        if missing:
            raise StateError(f"the memory holds business in {missing[0]}, which this sandbox does not list; play a market that lists it")
        exchange.restore_account(name, image, now_us)
    exchange.restore_books(kept.meta.books)
    exchange.check_closed()
    exchange.take_effects()  # nobody listens yet
    return ways


def restore_desk(kept: Kept, desk: Desk, ways: Iterable[tuple[str, Regrid]]) -> None:
    """Bring what stands at the edge back: filters, leverage, public trades, funding rates. `ways` are those of `restore`."""
    for symbol, way in ways:
        desk.publish_filters(symbol, desk.exchange.filters(symbol), way)
    for name, head in kept.heads.items():
        if head.leverage is not None:
            desk.leverage[name] = head.leverage
    for symbol, prints in kept.prints.items():
        for print_ in prints if symbol in desk.tapes else ():
            desk.tapes[symbol].add(print_)
    for symbol, market in kept.markets.items():
        if symbol in desk.funding_rates:
            desk.funding_rates[symbol].extend(market.funding)


def _rows_of(account: Account) -> dict[str, Iterable[Any]]:
    return {"fill": account.fills, "funding": account.funding, "closed": account.closed_positions}


def _ahead(number: int, kept: int, reserve: int) -> int:
    """The reserved number: as it was while enough of it is left."""
    return kept if kept - number > reserve // 2 else number + reserve


def _why(path: Path, error: Exception) -> str:
    if "locked" in str(error):
        return f"{path} is in use by another sandbox; stop that one, or name another file with --state"
    return f"{path} cannot be used as the sandbox's memory ({str(error)[:120]}); name another file with --state, or make room"


_pack: Final = msgspec.msgpack.Encoder().encode
