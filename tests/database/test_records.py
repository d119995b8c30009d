"""Records are derived: they go on where they stood, are rebuilt at will, and a disk that refuses costs freshness only."""

import sqlite3

import msgspec
import pytest
from tests.database.tellers import NOW, SPOT_SOL, Teller, fill, placed
from tests.fake_store import Disk

from lemon_trader.core.events import (
    MARKET_FACTS,
    NO_CLIENT_ID,
    CancelAnswered,
    IdsReserved,
    OrderUpdate,
    PlaceAccepted,
    PlaceRefused,
    PlaceUnknown,
    PublicTrade,
    Started,
    Touch,
    Wake,
)
from lemon_trader.core.state import AccountState
from lemon_trader.core.step import step
from lemon_trader.core.units import BUY, REBALANCE, SELL
from lemon_trader.database.db import SCHEMA, Database, DatabaseError, Reader
from lemon_trader.database.journal import Journal, read_events
from lemon_trader.database.records import Recorder, rebuild, resume

DERIVED = ("symbols", "terms", "sessions", "fills", "moves", "activity", "rebalances", "progress")
WITNESSED = ("minutes", "days")
SYMBOL = SPOT_SOL.symbol


def dump(db: Database, tables=DERIVED + WITNESSED) -> dict[str, list[tuple]]:
    return {table: [tuple(row) for row in db.query(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in tables}


def life():
    """Facts of a short session: two orders, a fill, a rebalance, a cancel, a market that moves."""
    yield IdsReserved(NOW, 1, 1001)
    yield Started(NOW, "market-maker", SYMBOL, 400 * 10**9, 0, 0, {"spread_pct": "0.2"}, "sandbox")
    for n in range(40):
        at = NOW + n * 1_000_000
        yield Touch(at, at, SYMBOL, 9_999 + n, 5, 10_001 + n, 6, n)
        yield PublicTrade(at, at, SYMBOL, 10_000 + n, 3, False, n)
        yield Wake(at + 10)
        if n % 8 == 0:
            yield placed(n + 1, SPOT_SOL, role=REBALANCE if n == 16 else 0, at_us=at + 20)
            yield PlaceAccepted(at + 30, at, SYMBOL, n + 1, f"order-{n + 1}", "New", 0)
            yield fill(SPOT_SOL, n + 1, BUY, 10_000, 3, at_us=at + 40, trade_id=n + 1)
    yield placed(50, SPOT_SOL, at_us=NOW + 50_000_000)
    yield CancelAnswered(NOW + 51_000_000, NOW, SYMBOL, 50, "cancelled")
    yield Wake(NOW + 52_000_000)


built: list[int] = []  # how often a file was built anew


def engine(journal: Journal, db: Database, facts, *, since=True, checkpoint_at=()) -> Recorder:
    """What an engine does with the two: write what is not public, fold, tell."""
    opened = journal.open(NOW)
    whole_again = lambda: built.append(1) or read_events(journal._store)  # noqa: E731  counted
    recorder = resume(db, journal.sequence, whole_again, [SPOT_SOL], since=opened if since else None)
    state = AccountState()
    if opened.state is not None:
        state.restore(msgspec.msgpack.decode(opened.state))
    else:
        state.add_market(SPOT_SOL)
    for fact in opened.events:
        step(state, fact)
    state.recorded.clear()
    for n, fact in enumerate(facts):
        if n in checkpoint_at:
            journal.checkpoint(NOW, msgspec.msgpack.encode(state.image()))
        public = type(fact) in MARKET_FACTS
        if not public:
            journal.append(fact)
        step(state, fact)
        recorder.apply(journal.sequence + public, fact, state.recorded)
        state.recorded.clear()
    return recorder


def journal(disk: Disk) -> Journal:
    return Journal(disk.store(), mode="sandbox", account="demo")


def whole() -> tuple[Disk, Database]:
    disk, db = Disk(), Database(":memory:")
    engine(journal(disk), db, life()).commit()
    disk.kill()
    return disk, db


def test_the_core_and_the_recorder_agree_on_what_was_filled():
    _, db = whole()
    assert db.query("SELECT count(*) AS n FROM fills")[0]["n"] == 5
    assert [row["quantity"] for row in db.query("SELECT * FROM completed_orders")] == ["0.03"] * 5
    assert {row["trade_type"] for row in db.query("SELECT * FROM completed_orders")} == {"market_making", "rebalance"}


def test_a_rebuild_from_the_journal_gives_the_same_rows():
    disk, db = whole()
    before = dump(db)
    assert all(before[table] for table in (*DERIVED, *WITNESSED) if table not in {"terms", "moves"})
    rebuild(db, db.query("SELECT applied FROM progress")[0]["applied"], read_events(disk.store()), [SPOT_SOL])
    assert dump(db) == before  # what was seen of the market stays


def test_a_lost_file_is_built_anew_but_for_what_was_seen_of_the_market():
    disk, db = whole()
    again = Database(":memory:")
    engine(journal(disk), again, []).commit()
    assert dump(again, DERIVED) == dump(db, DERIVED)
    assert dump(again, WITNESSED) == {"minutes": [], "days": []}


def test_killed_after_any_fact_and_started_again_the_rows_are_the_same():
    facts = list(life())
    _, expected = whole()
    for cut in range(1, len(facts), 7):
        disk, db = Disk(), Database(":memory:")
        engine(journal(disk), db, facts[:cut])  # killed: what was not committed is gone
        disk.kill()
        engine(journal(disk), db, facts[cut:]).commit()
        assert dump(db, DERIVED) == dump(expected, DERIVED), cut


@pytest.mark.parametrize("checkpoint", ["none", "before what the file holds ends", "behind it"])
def test_after_a_kill_what_the_file_lacks_is_folded_from_the_checkpoint_and_the_rows_are_those_of_a_rebuild(checkpoint):
    facts = list(life())
    _, expected = whole()
    too_late = 0
    for cut in range(9, len(facts), 5):
        disk, db, held = Disk(), Database(":memory:"), cut * 2 // 3
        engine(journal(disk), db, facts[:held], checkpoint_at=(held // 2,) if checkpoint.startswith("before") else ()).commit()
        disk.kill()
        other = Database(":memory:")  # from here on nothing reached the file
        engine(journal(disk), other, facts[held:cut], checkpoint_at=(2,) if checkpoint.startswith("behind") else ())
        disk.kill()
        built.clear()
        reaches = journal(disk.copy()).open(NOW).sequence <= db.query("SELECT applied FROM progress")[0]["applied"]
        assert reaches or checkpoint.startswith("behind")
        too_late += not reaches
        engine(journal(disk), db, facts[cut:]).commit()
        assert dump(db, DERIVED) == dump(expected, DERIVED), cut
        assert bool(built) != reaches, cut
    assert bool(too_late) == checkpoint.startswith("behind")


def test_records_ahead_of_the_journal_are_built_anew():
    disk, db = whole()
    store = disk.store()
    store.truncate("journal-000001", len(store.read("journal-000001")) // 2)
    disk.kill()
    engine(journal(disk), db, []).commit()
    assert db.query("SELECT applied FROM progress")[0]["applied"] == len(list(read_events(disk.store())))
    assert db.query("SELECT count(*) AS n FROM fills")[0]["n"] < 5


def test_a_rebuild_reads_behind_the_checkpoint():
    disk, db = Disk(), Database(":memory:")
    facts = list(life())
    made = journal(disk)
    engine(made, db, facts, checkpoint_at=(40,)).commit()
    disk.kill()
    again = Database(":memory:")
    engine(journal(disk), again, []).commit()
    assert dump(again, DERIVED) == dump(db, DERIVED)


def test_a_second_start_adds_nothing():
    disk, db = whole()
    before = dump(db)
    engine(journal(disk), db, []).commit()
    assert dump(db) == before


def test_what_is_placed_ends_once_however_often_it_is_told():
    made = Teller(Database(":memory:"), SPOT_SOL)
    made.tell(IdsReserved(NOW, 1, 100))
    for n in range(1, 7):
        made.tell(placed(n, SPOT_SOL))
    made.tell(PlaceAccepted(NOW, NOW, SYMBOL, 1, "a", "New", 0))
    made.tell(PlaceRefused(NOW, SYMBOL, 2, "INSUFFICIENT_FUNDS", "no"))
    made.tell(PlaceUnknown(NOW, SYMBOL, 3, "timeout"))
    ended = OrderUpdate(NOW, NOW, SYMBOL, "cancelled", "a", 1, "", BUY, 1, 0, 1, 0, "", "USER")
    for event in (CancelAnswered(NOW, NOW, SYMBOL, 1, "cancelled"), ended, ended):
        made.tell(event)
    made.tell(OrderUpdate(NOW, NOW, SYMBOL, "expired", "d", 4, "", BUY, 1, 0, 1, 0, "", "USER"))
    made.tell(CancelAnswered(NOW, NOW, SYMBOL, 5, "accepted"))
    made.tell(OrderUpdate(NOW, NOW, SYMBOL, "cancelled", "x", 777, "", BUY, 1, 0, 1, 0, "", "USER"))  # somebody else's
    made.tell(OrderUpdate(NOW, NOW, SYMBOL, "cancelled", "y", NO_CLIENT_ID, "", BUY, 1, 0, 1, 0, "", "USER"))
    row = made.commit().query("SELECT placed, accepted, refused, unknown, cancelled, expired FROM activity")[0]
    assert tuple(row) == (6, 1, 1, 1, 1, 1)


def test_a_rebalance_order_is_listed_with_the_venues_id_over_a_restart():
    db = Database(":memory:")
    made = Teller(db, SPOT_SOL)
    made.tell(placed(7, SPOT_SOL, role=REBALANCE, side=SELL))
    made.commit()
    again = Teller(db, SPOT_SOL)
    again.tell(PlaceAccepted(NOW, NOW, SYMBOL, 7, "9001", "New", 0))
    again.commit()
    assert [(r["order_id"], r["symbol"]) for r in db.query("SELECT * FROM rebalance_orders")] == [("9001", SYMBOL)]


def test_market_data_prints_the_mid_between_ticks_exactly():
    made = Teller(Database(":memory:"), SPOT_SOL)
    made.tell(Touch(NOW, NOW, SYMBOL, 10_000, 5, 10_001, 6, 1))
    made.tell(PublicTrade(NOW, NOW, SYMBOL, 10_000, 7, False, 1))
    made.tell(Wake(NOW + 1))
    row = made.commit().query("SELECT price, volume, bid_ask_spread, liquidity_score, timestamp FROM market_data")[0]
    assert tuple(row) == ("100.005", "0.07", "0.01", "0.11", "2026-09-04 12:00:00")


class Refusing(Database):
    """A database whose disk refuses while it is told to."""

    refuses = False

    def write(self, statements):
        if self.refuses:
            raise sqlite3.OperationalError("database or disk is full")
        super().write(statements)


def test_a_disk_that_refuses_costs_freshness_only():
    db = Refusing(":memory:")
    made = Teller(db, SPOT_SOL)
    db.refuses = True
    for n in range(5):
        made.fill(fill(SPOT_SOL, n, BUY, 10_000, 10))
        assert not made.recorder.commit()
    assert "disk is full" in made.recorder.error
    db.refuses = False
    assert made.recorder.commit()
    assert db.query("SELECT count(*) AS n FROM fills")[0]["n"] == 5


def test_when_too_much_waits_it_is_dropped_and_said(monkeypatch):
    monkeypatch.setattr("lemon_trader.database.records.PENDING_MAX", 3)
    db = Refusing(":memory:")
    made = Teller(db, SPOT_SOL)
    db.refuses = True
    for n in range(5):
        made.fill(fill(SPOT_SOL, n, BUY, 10_000, 10))
        made.recorder.commit()
    db.refuses = False
    assert not made.recorder.commit()
    assert "builds them anew" in made.recorder.error
    assert db.query("SELECT applied FROM progress")[0]["applied"] == 0  # so the next start does not take the file for whole
    assert Recorder(db).applied == 0


def test_half_a_transaction_is_never_seen():
    made = Teller(Database(":memory:"), SPOT_SOL)
    made.commit()
    with pytest.raises(sqlite3.Error):
        made.db.write([("UPDATE progress SET applied = 99", ()), ("INSERT INTO nowhere VALUES (1)", ())])
    assert made.db.query("SELECT applied FROM progress")[0]["applied"] == 0


def test_readers_see_what_is_committed_and_cannot_write(tmp_path):
    path = str(tmp_path / "records #1.db")
    made = Teller(Database(path), SPOT_SOL)
    made.fill(fill(SPOT_SOL, 1, BUY, 10_000, 10))
    made.commit()
    reader = Reader(path)
    assert reader.query("SELECT price FROM completed_orders")[0]["price"] == "100"
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.query("DELETE FROM fills")
    assert (tmp_path / "records #1.db").stat().st_mode & 0o077 == 0
    reader.close()
    made.db.close()


def test_files_that_cannot_be_used_say_the_way_out(tmp_path):
    foreign = tmp_path / "records.db"
    foreign.write_bytes(b"not a database, but long enough to be looked at" * 30)
    with pytest.raises(DatabaseError, match="built anew from the journal"):
        Database(str(foreign))
    newer = tmp_path / "newer.db"
    made = Database(str(newer))
    made.query(f"PRAGMA user_version = {SCHEMA + 1}")
    made.close()
    with pytest.raises(DatabaseError, match="use the newer program"):
        Database(str(newer))
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE precious (thing)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(DatabaseError, match="another program's database"):
        Database(str(other))
    assert other.read_bytes() == before
    with pytest.raises(DatabaseError, match="once the program has traded"):
        Reader(str(tmp_path / "missing.db"))


def test_records_of_an_older_schema_are_made_anew(tmp_path):
    path = str(tmp_path / "records.db")
    made = Teller(Database(path), SPOT_SOL)
    made.fill(fill(SPOT_SOL, 1, BUY, 10_000, 10))
    made.commit().query("PRAGMA user_version = 0")
    made.db.close()
    assert Recorder(Database(path)).applied == 0  # which no journal with facts agrees with: the next start builds it
