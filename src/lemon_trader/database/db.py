"""SQLite for records that people ask about. All but the market's minutes is derived from the journal: losing it costs a rebuild.

One connection writes, in write-ahead mode and without `mmap`; readers open their own, read-only. Money and quantities are integers (ticks,
lots, atoms) beside each symbol's grid; the views print them as exact decimals under the names that the first program's four tables had.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from math import isqrt
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

SCHEMA: Final = 1
APPLICATION: Final = 0x4C454D4E  # SQLite's application id of our files: another program's database is never emptied
BUSY_MS: Final = 20  # a reader never blocks the writer; whoever else does is not waited for

_TABLES: Final = """
CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1), applied INTEGER NOT NULL, as_of_us INTEGER NOT NULL, mode TEXT NOT NULL,
    ids_lo INTEGER NOT NULL, ids_hi INTEGER NOT NULL
);
CREATE TABLE symbols (
    symbol TEXT PRIMARY KEY, base TEXT NOT NULL, quote TEXT NOT NULL, is_perp INTEGER NOT NULL, tick TEXT NOT NULL, lot TEXT NOT NULL,
    tick_scale INTEGER NOT NULL, price_unit INTEGER NOT NULL, price_decimals INTEGER NOT NULL,
    lot_scale INTEGER NOT NULL, qty_unit INTEGER NOT NULL, qty_decimals INTEGER NOT NULL,
    tick_lot_atoms INTEGER NOT NULL, lot_atoms INTEGER NOT NULL, min_lots INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE terms (
    one INTEGER PRIMARY KEY CHECK (one = 1), spot_maker_ppm INTEGER NOT NULL, spot_taker_ppm INTEGER NOT NULL,
    perp_maker_ppm INTEGER NOT NULL, perp_taker_ppm INTEGER NOT NULL
);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, symbol TEXT NOT NULL, strategy TEXT NOT NULL, mode TEXT NOT NULL, started_us INTEGER NOT NULL,
    budget_atoms INTEGER NOT NULL, inventory_lots INTEGER NOT NULL, inventory_cost_atoms INTEGER NOT NULL, params TEXT NOT NULL
);
CREATE INDEX sessions_symbol ON sessions (symbol, id);
CREATE TABLE fills (
    id INTEGER PRIMARY KEY, session_id INTEGER NOT NULL, at_us INTEGER NOT NULL, ts_us INTEGER NOT NULL, symbol TEXT NOT NULL,
    order_id TEXT NOT NULL, client_id INTEGER NOT NULL, trade_id INTEGER NOT NULL, side INTEGER NOT NULL,
    price_ticks INTEGER NOT NULL, qty_lots INTEGER NOT NULL, is_maker INTEGER NOT NULL,
    fee_atoms INTEGER NOT NULL, fee_asset TEXT NOT NULL, fee_text TEXT NOT NULL, fee_quote_atoms INTEGER NOT NULL,
    role INTEGER NOT NULL, generation INTEGER NOT NULL, cycle INTEGER, mid_ticks INTEGER NOT NULL,
    realised_atoms INTEGER NOT NULL, cash_atoms INTEGER NOT NULL, base_atoms INTEGER NOT NULL, cost_atoms INTEGER NOT NULL,
    origin TEXT NOT NULL
);
CREATE INDEX fills_symbol ON fills (symbol, at_us);
CREATE INDEX fills_session ON fills (session_id);
CREATE TABLE moves (
    key TEXT NOT NULL, symbol TEXT NOT NULL, session_id INTEGER NOT NULL, at_us INTEGER NOT NULL, kind TEXT NOT NULL, asset TEXT NOT NULL,
    quantity_atoms INTEGER NOT NULL, quantity_text TEXT NOT NULL, PRIMARY KEY (symbol, key)
) WITHOUT ROWID;
CREATE TABLE activity (
    session_id INTEGER NOT NULL, symbol TEXT NOT NULL, day INTEGER NOT NULL, placed INTEGER NOT NULL, accepted INTEGER NOT NULL,
    refused INTEGER NOT NULL, unknown INTEGER NOT NULL, cancelled INTEGER NOT NULL, expired INTEGER NOT NULL,
    PRIMARY KEY (session_id, symbol, day)
) WITHOUT ROWID;
CREATE TABLE rebalances (
    client_id INTEGER PRIMARY KEY, session_id INTEGER NOT NULL, symbol TEXT NOT NULL, ts_us INTEGER NOT NULL, side INTEGER NOT NULL,
    price_ticks INTEGER NOT NULL, qty_lots INTEGER NOT NULL, order_id TEXT NOT NULL
);
CREATE TABLE minutes (
    symbol TEXT NOT NULL, minute INTEGER NOT NULL, bid_ticks INTEGER NOT NULL, ask_ticks INTEGER NOT NULL, touch_lots INTEGER NOT NULL,
    samples INTEGER NOT NULL, spread_ticks_sum INTEGER NOT NULL, returns INTEGER NOT NULL, return_squares INTEGER NOT NULL,
    traded_lots INTEGER NOT NULL, PRIMARY KEY (symbol, minute)
) WITHOUT ROWID;
CREATE TABLE days (symbol TEXT NOT NULL, day INTEGER NOT NULL, volatility_ppm INTEGER NOT NULL, PRIMARY KEY (symbol, day)) WITHOUT ROWID;
"""


_REBUILT: Final = ("progress", "terms", "sessions", "fills", "moves", "activity", "rebalances")
_EMPTYING: Final = [(f"DELETE FROM {table}", ()) for table in _REBUILT]  # noqa: S608  made of the constants above
_DROPPING: Final = "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY type DESC"
_NO_PROGRESS: Final = ("INSERT INTO progress VALUES (1, 0, 0, '', 0, 0)", ())


def _decimal(units: str, unit: str, decimals: str) -> str:
    """SQL for `units` / 10^`decimals` as text without padding: exact, no float. `unit` is 10^decimals."""
    text = f"printf('%s%d.%0*d', CASE WHEN {units} < 0 THEN '-' ELSE '' END, abs({units}) / {unit}, {decimals}, abs({units}) % {unit})"
    return f"CASE WHEN {decimals} = 0 THEN printf('%d', {units}) ELSE rtrim(rtrim({text}, '0'), '.') END"


def _price(ticks: str) -> str:
    return _decimal(f"({ticks}) * s.tick_scale", "s.price_unit", "s.price_decimals")


def _qty(lots: str) -> str:
    return _decimal(f"({lots}) * s.lot_scale", "s.qty_unit", "s.qty_decimals")


def _atoms(atoms: str) -> str:
    return _decimal(f"({atoms})", "1000000000", "9")


_DAY: Final = "strftime('%Y-%m-%d', {} / 1000000, 'unixepoch')"
_TIME: Final = "strftime('%Y-%m-%d %H:%M:%S', {} / 1000000, 'unixepoch')"

# S608: these texts are made of the constants above and of nothing that anybody types.
_VIEWS: Final = f"""
CREATE VIEW completed_orders AS
    SELECT f.id, f.order_id, f.symbol, CASE f.side WHEN 1 THEN 'BUY' ELSE 'SELL' END AS side, {_qty("f.qty_lots")} AS quantity,
        {_price("f.price_ticks")} AS price, f.is_maker AS maker, f.fee_text AS fee, f.fee_asset,
        CASE f.role WHEN 0 THEN 'market_making' WHEN 4 THEN 'rebalance' WHEN -1 THEN 'system' ELSE 'martingale' END AS trade_type,
        {_TIME.format("f.at_us")} AS timestamp
    FROM fills f JOIN symbols s USING (symbol) ORDER BY f.id;
CREATE VIEW trading_days AS
    SELECT symbol, day,
        sum(CASE WHEN side = 1 AND is_maker THEN qty_lots ELSE 0 END) AS maker_buy_lots,
        sum(CASE WHEN side = -1 AND is_maker THEN qty_lots ELSE 0 END) AS maker_sell_lots,
        sum(CASE WHEN side = 1 AND NOT is_maker THEN qty_lots ELSE 0 END) AS taker_buy_lots,
        sum(CASE WHEN side = -1 AND NOT is_maker THEN qty_lots ELSE 0 END) AS taker_sell_lots,
        sum(realised_atoms) AS realised_atoms, sum(fee_quote_atoms) AS fees_atoms, sum(funding_atoms) AS funding_atoms,
        sum(trades) AS trades,
        -- Spread earned in ppm of the mid, mean over maker fills: twice the distance from the mid, > 0 on the good side.
        sum(CASE WHEN is_maker AND mid_ticks > 0 THEN 2 * side * (mid_ticks - price_ticks) * 1000000 / mid_ticks END) AS spread_ppm_sum,
        sum(CASE WHEN is_maker AND mid_ticks > 0 THEN 1 ELSE 0 END) AS spreads
    FROM (
        SELECT symbol, at_us / 86400000000 AS day, side, is_maker, qty_lots, realised_atoms, fee_quote_atoms, 0 AS funding_atoms,
            1 AS trades, mid_ticks, price_ticks
        FROM fills
        UNION ALL
        SELECT m.symbol, m.at_us / 86400000000, 0, 0, 0, 0, 0, m.quantity_atoms, 0, 0, 0
        FROM moves m JOIN symbols s USING (symbol) WHERE m.kind IN ('funding', 'interest') AND m.asset = s.quote
    ) GROUP BY symbol, day;
CREATE VIEW trading_stats AS
    SELECT row_number() OVER (ORDER BY d.day, d.symbol) AS id, {_DAY.format("d.day * 86400000000")} AS date, d.symbol,
        {_qty("d.maker_buy_lots")} AS maker_buy_volume, {_qty("d.maker_sell_lots")} AS maker_sell_volume,
        {_qty("d.taker_buy_lots")} AS taker_buy_volume, {_qty("d.taker_sell_lots")} AS taker_sell_volume,
        {_atoms("d.realised_atoms")} AS realized_profit, {_atoms("d.fees_atoms")} AS total_fees,
        {_atoms("d.realised_atoms - d.fees_atoms + d.funding_atoms")} AS net_profit,
        CASE WHEN d.spreads > 0 THEN {_decimal("(d.spread_ppm_sum / d.spreads)", "10000", "4")} END AS avg_spread, d.trades AS trade_count,
        (SELECT {_decimal("v.volatility_ppm", "10000", "4")} FROM days v WHERE v.symbol = d.symbol AND v.day = d.day) AS volatility
    FROM trading_days d JOIN symbols s USING (symbol);
CREATE VIEW rebalance_orders AS
    SELECT client_id AS id, order_id, symbol, {_TIME.format("ts_us")} AS timestamp FROM rebalances WHERE order_id <> '';
CREATE VIEW market_data AS
    SELECT row_number() OVER (ORDER BY m.minute, m.symbol) AS id, m.symbol,
        {_decimal("(m.bid_ticks + m.ask_ticks) * s.tick_scale * 5", "(s.price_unit * 10)", "(s.price_decimals + 1)")} AS price,
        {_qty("m.traded_lots")} AS volume, {_price("m.ask_ticks - m.bid_ticks")} AS bid_ask_spread,
        {_qty("m.touch_lots")} AS liquidity_score, {_TIME.format("m.minute * 60000000")} AS timestamp
    FROM minutes m JOIN symbols s USING (symbol);
CREATE VIEW cycles AS
    SELECT f.symbol, f.cycle, min(f.at_us) AS started_us, max(f.at_us) AS ended_us,
        count(DISTINCT CASE WHEN f.role = 1 THEN f.order_id END) AS layer_orders,
        sum(CASE WHEN f.side = 1 THEN f.qty_lots ELSE 0 END) AS bought_lots,
        sum(CASE WHEN f.side = -1 THEN f.qty_lots ELSE 0 END) AS sold_lots,
        sum(f.realised_atoms) AS realised_atoms, sum(f.fee_quote_atoms) AS fees_atoms, max(f.role = 3) AS stopped,
        abs((SELECT base_atoms FROM fills l WHERE l.symbol = f.symbol AND l.cycle = f.cycle ORDER BY l.id DESC LIMIT 1))
            < s.min_lots * s.lot_atoms AS closed
    FROM fills f JOIN symbols s USING (symbol) WHERE f.cycle IS NOT NULL GROUP BY f.symbol, f.cycle;
"""  # noqa: S608


class DatabaseError(Exception):
    """The records cannot be used; the text names the file and the way out. Trading does not depend on them."""


class Database:
    """The one writing connection.

    Args:
        path: of the file, made with mode 0600 when missing; ":memory:" keeps it in memory.

    Raises:
        DatabaseError: it is not a database, a newer program made it, or it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            if path != ":memory:":
                Path(path).touch(mode=0o600)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:  # raised again: half a transaction of ours must not keep the file from the next one
                self._connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise DatabaseError(f"{path} cannot be used ({error}); move it away: the records are built anew from the journal") from error

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Rows of a question."""
        return self._connection.execute(sql, values).fetchall()

    def write(self, statements: Iterable[tuple[str, Sequence[Any]]]) -> None:
        """Do all of them or none. Raises sqlite3.Error."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements:
                connection.execute(sql, values)
            connection.execute("COMMIT")
        except BaseException:  # whatever ends it, half a transaction may not stay open; raised again
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def clear(self) -> None:
        """Empty it for a rebuild; what was seen of the market stays, because it is not in the journal. Raises sqlite3.Error."""
        self.write([*_EMPTYING, _NO_PROGRESS])

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def _prepare(self) -> None:
        connection = self._connection
        connection.row_factory = sqlite3.Row
        made = connection.execute("PRAGMA user_version").fetchone()[0]
        ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
        if not ours and self.query(_DROPPING):
            raise DatabaseError(f"{self.path} is another program's database; name another file, nothing was changed")
        if made > SCHEMA:
            raise DatabaseError(
                f"{self.path} has schema {made} and this program knows up to {SCHEMA}; use the newer program, or move it away"
            )
        if self.path != ":memory:":
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA mmap_size = 0")
        connection.create_function("isqrt", 1, isqrt, deterministic=True)  # SQLite may be built without its own; views do without
        if made < SCHEMA:
            if ours and self.path != ":memory:":
                self._keep(made)
            self._make()

    def _keep(self, schema: int) -> None:
        """Copy the old file beside, whole or not at all: the market's minutes in it are in no journal. Raises OSError, sqlite3.Error."""
        kept = Path(f"{self.path}.schema-{schema}")
        draft = Path(f"{kept}.new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        copy = sqlite3.connect(draft)
        try:
            self._connection.backup(copy)
        finally:
            copy.close()
        draft.replace(kept)

    def _make(self) -> None:
        """Make the tables; older ones are not migrated but dropped, all in one transaction: the next start builds them anew."""
        drops = "".join(f'DROP {row["type"]} "{row["name"]}"; ' for row in self.query(_DROPPING))
        marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA};"
        self._connection.executescript(f"BEGIN; {drops} {_TABLES} {_VIEWS} {_NO_PROGRESS[0]}; {marks} COMMIT;")


class Reader:
    """A read-only connection of a face; never stalls the writer.

    Raises:
        DatabaseError: there are no records yet, or they cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            made = self._connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise DatabaseError(f"{path} cannot be read ({error}); there are records once the program has traded") from error
        if made != SCHEMA:
            raise DatabaseError(f"{path} has schema {made} and this program reads {SCHEMA}; start the program once to bring it up to date")

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Rows of a question."""
        return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()
