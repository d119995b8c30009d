"""Faults of the process that carries the program: lives that are too short, an ordered end, a slow disk (fault matrix F)."""

import asyncio
import sqlite3
from functools import partial

import pytest
from tests.simulation.day import wake_up
from tests.simulation.directed import MAKER, MARTINGALE, PERP, SPOT, WORLDS, S, Stage, has_trigger, play
from tests.simulation.watch import JOURNAL, STORE

from lemon_trader.core.units import BUY, HALTED, PROVEN_ABSENT, UNKNOWN
from lemon_trader.database.chain import JournalCorrupt, JournalTooNew
from lemon_trader.database.db import SCHEMA, Database, DatabaseError
from lemon_trader.database.journal import Journal
from lemon_trader.database.journal_care import repair, verify
from lemon_trader.database.packing import Packer
from lemon_trader.engine.watchdog import KILL_FILE, LATCH_FILE
from lemon_trader.sandbox.faults import Kind


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F53_lives_that_never_come_to_decide_prove_an_unknown_order_absent_all_the_same(symbol):
    async def script(s: Stage):
        s.fault(Kind.LOSE_REQUEST)
        await s.begin()
        await s.until(lambda: s.happened and bool(s.ours(UNKNOWN)), "an order is unknown")
        lost = s.ours(UNKNOWN)[0].client_id
        s.life.die(power=False)
        s.life.faults.silence("", s.now_us + 120 * S)  # no start sees its market: each of them waits five seconds before it decides
        for _ in range(3):
            await s.wait(11)
            birth = asyncio.get_running_loop().create_task(s.life.be_born())
            await s.wait(3)
            assert s.life.session is None, "it has not begun to trade"
            birth.cancel()
            s.life.die(power=False)
        s.life.faults._silent.clear()
        await s.begin()
        assert s.order(lost).state == PROVEN_ABSENT

    play(script, MAKER, symbol)


def opening(s: Stage) -> list:
    """What rests at the exchange under our ids and can open something."""
    return [o for o in s.live if not o.is_trigger and not o.reduce_only and (o.side == BUY or s.symbol == PERP)]


@pytest.mark.parametrize("file", [KILL_FILE, LATCH_FILE])
@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F76_what_lies_in_the_folder_halts_a_running_engine_and_its_next_life(file, strategy, symbol):
    async def script(s: Stage):
        await s.begin()
        await (s.holding() if strategy == MARTINGALE else s.quoting())
        s.life.watch.authority.laid[file] += 1
        s.life.watch.quits.kill(s.life.loop.now_us)
        s.life.disks[STORE].store().replace(file, b"")
        await s.until(lambda: opening(s) == [], "what opens is cancelled", 3)
        assert s.session.state.mode == HALTED
        assert file not in s.life.disks[STORE].files, "taken, once it is journalled"
        if (strategy, symbol) == (MARTINGALE, PERP):
            assert has_trigger(s)
        await s.again()
        assert s.session.state.mode == HALTED

    play(script, strategy, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, PERP), (MARTINGALE, SPOT)])
def test_F64_closed_parts_of_the_journal_are_packed_while_it_trades_and_the_next_life_reads_them(strategy, symbol, monkeypatch):
    monkeypatch.setattr("lemon_trader.run.session.Journal", partial(Journal, segment_bytes=4_000))
    monkeypatch.setattr("lemon_trader.run.session.Packer", lambda store, days: Packer(store, days=days - 7))
    monkeypatch.setattr("lemon_trader.database.packing.LOOK_US", S)

    async def script(s: Stage):
        files = lambda: sorted(name for name in s.life.disks[STORE].files if name.startswith("journal-"))  # noqa: E731  asked again and again
        await s.begin()
        await s.quoting()
        for _ in range(3):
            await s.wait(30)
            s.session.engine.checkpoint(s.now_us)
        await s.until(lambda: len(files()) > 1 and all(n.endswith(".gz") for n in files()[:-1]), "all but the one that is written", 60)
        s.life.records.clear()  # lost: the next start builds them anew out of all of it
        await s.again()
        await s.quoting()

    play(script, strategy, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F56_a_locked_database_and_a_slow_disk_skip_nothing(strategy, symbol):
    async def script(s: Stage):
        await s.begin()
        await (s.holding() if strategy == MARTINGALE else s.quoting())
        write, refused = s.life.records.write, 0

        def locked(statements):
            nonlocal refused
            refused += 1
            raise sqlite3.OperationalError("database is locked")

        s.life.records.write = locked
        waited = 0

        def slow(what, _name):
            nonlocal waited
            if what in {"append", "sync"}:
                waited += 1
                s.life.loop.now_us += 300_000  # the whole process waits for the disk

        s.life.disks[STORE].fail = slow
        mine = next(o for o in s.live if not o.is_trigger)
        s.nibble(mine, 2)
        await s.wait(25)
        assert refused >= 2, "it was tried"
        assert waited >= 15, "the disk has made everybody wait"
        assert s.session._recorder.error
        assert s.order(mine.client_id).filled_lots >= 2, "what was filled is known all the same"
        sent = s.sent()
        s.life.records.write = write
        for disk in s.life.disks.values():
            disk.fail = lambda _act, _name: None
        await s.until(lambda: not s.session._recorder.error, "written", 20)
        assert s.sent() >= sent

    play(script, strategy, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, PERP), (MARTINGALE, SPOT), (MARTINGALE, PERP)])
def test_F57_rot_in_the_journal_stops_a_start_before_it_trades_and_a_repair_rebuilds_from_the_exchange(strategy, symbol):
    async def script(s: Stage):
        await s.begin()
        await (s.holding() if strategy == MARTINGALE else s.quoting())
        await s.wait(10)
        s.life.die(power=False)
        disk = s.life.disks[STORE]
        whole = len(disk.files[JOURNAL].data)
        disk.flip(JOURNAL, whole * 9 // 10)
        before, sent = bytes(disk.files[JOURNAL].data), s.sent()
        session, env = s.life._new_life()
        with pytest.raises(JournalCorrupt):
            await session.recover()
        await session.close()
        env.kill()
        assert s.sent() == sent, "nothing is traded"
        assert bytes(disk.files[JOURNAL].data) == before, "nothing is changed"
        (done,) = repair(disk.store(), mode="sandbox", account=s.life.account.api_key, now_us=s.now_us)
        assert bytes(disk.files[JOURNAL].data) == before, "the damaged file is kept"
        s.life.era += 1  # what stood behind the damage may be written again
        await s.wait(1)
        await s.begin()
        await s.until(lambda: s.calm and s.market.ledger.lots == s.session.state.markets[symbol].ledger.lots, "whole again", 60)
        assert done.file in disk.files
        if symbol == PERP:
            assert s.market.ledger.lots == s.held_lots()

    # What lay behind the damage is gone from the journal, and the checkers see it: the orders of then are adopted, not remembered.
    play(script, strategy, symbol, forgiven=("I15", "I14", "I2: key", "I3"))


def test_F57_another_programs_database_is_left_alone(tmp_path):
    path = tmp_path / "records.db"
    other = sqlite3.connect(path)
    other.executescript("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1);")
    other.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="another program's"):
        Database(str(path))
    assert path.read_bytes() == before
    path.write_bytes(b"SQLite format 3\0" + bytes(200))
    with pytest.raises(DatabaseError, match="built anew from the journal"):
        Database(str(path))


def at_schema(path, schema: int) -> None:
    """Records of this program as an older or newer version would leave them, with a minute of the market that no journal knows."""
    Database(str(path)).close()
    raw = sqlite3.connect(path)
    raw.execute("INSERT INTO minutes VALUES ('SOL_USDC', 1, 1, 2, 3, 4, 5, 6, 7, 8)")
    raw.execute(f"PRAGMA user_version = {schema}")
    raw.commit()
    raw.close()


def minutes_in(path) -> int:
    raw = sqlite3.connect(path)
    try:
        return raw.execute("SELECT count(*) FROM minutes").fetchone()[0]
    finally:
        raw.close()


def test_F59_an_upgrade_keeps_the_old_records_beside_and_a_backward_step_is_refused(tmp_path):
    path = tmp_path / "records.db"
    at_schema(path, SCHEMA - 1)
    made = Database(str(path))
    assert made.query("PRAGMA user_version")[0][0] == SCHEMA
    made.close()
    kept = tmp_path / f"records.db.schema-{SCHEMA - 1}"
    assert minutes_in(kept) == 1
    assert kept.stat().st_mode & 0o077 == 0
    at_schema(tmp_path / "newer.db", SCHEMA + 1)
    before = (tmp_path / "newer.db").read_bytes()
    with pytest.raises(DatabaseError, match="use the newer program"):
        Database(str(tmp_path / "newer.db"))
    assert (tmp_path / "newer.db").read_bytes() == before


@pytest.mark.parametrize("dies_in", ["the copy", "the making"])
def test_F59_an_upgrade_that_dies_is_begun_anew(tmp_path, monkeypatch, dies_in):
    path = tmp_path / "records.db"
    at_schema(path, SCHEMA - 1)

    class Died(BaseException):
        """kill -9."""

    if dies_in == "the copy":
        monkeypatch.setattr("lemon_trader.database.db.Path.replace", lambda *_: (_ for _ in ()).throw(Died))
    else:
        monkeypatch.setattr("lemon_trader.database.db._TABLES", "CREATE TABLE half (a); SELECT nothing FROM nowhere;")
    with pytest.raises(Died if dies_in == "the copy" else DatabaseError):
        Database(str(path))
    monkeypatch.undo()
    assert minutes_in(path) == 1, "the old one is whole"
    Database(str(path)).close()
    assert minutes_in(tmp_path / f"records.db.schema-{SCHEMA - 1}") == 1


def test_F59_a_journal_of_a_newer_program_is_refused_before_anything_is_traded(monkeypatch):
    async def script(s: Stage):
        monkeypatch.setattr("lemon_trader.database.journal.VERSION", 2)
        await s.begin()
        await s.quoting()
        s.life.die(power=False)
        before, sent = bytes(s.life.disks[STORE].files[JOURNAL].data), s.sent()
        session, env = s.life._new_life()
        with pytest.raises(JournalTooNew):
            await session.recover()
        await session.close()
        env.kill()
        assert s.sent() == sent
        assert bytes(s.life.disks[STORE].files[JOURNAL].data) == before
        monkeypatch.setattr("lemon_trader.database.chain.VERSION", 2)
        await s.wait(1)
        await s.begin()

    play(script, MAKER, SPOT)


@pytest.mark.parametrize("reachable", [True, False])
@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, SPOT), (MAKER, PERP), (MARTINGALE, PERP)])
def test_F63_a_stop_that_is_told_twice_ends_once_and_in_bounded_time(strategy, symbol, reachable):
    async def script(s: Stage):
        await s.begin()
        await (s.holding() if strategy == MARTINGALE else s.quoting())
        if not reachable:
            await s.life._act("down")
        session, began_us = s.session, s.life.loop.now_us
        loop = asyncio.get_running_loop()
        s.life.watch.gives("stop")
        s.life.watch.gives("stop")
        stops = [loop.create_task(session.stop("door")), loop.create_task(session.stop("door again"))]
        while not all(stop.done() for stop in stops):
            assert s.life.loop.now_us - began_us < 20 * S, "a service manager would kill it"
            await s.life._pass(S // 10)
        assert [stop.result() for stop in stops] == [reachable] * 2, "whether nothing that opens rests is said as it is"
        await session.close()
        s.life.session = None
        if reachable:
            assert opening(s) == []
        if strategy == MARTINGALE:
            assert s.triggers, "what protects stays"
        assert verify(s.life.disks[STORE].store()).torn_bytes == 0
        if not reachable:
            await s.life._act("up")
        s.life.die(power=False)
        await s.wait(1)
        await s.begin()
        await s.until(lambda: bool(opening(s)) and s.calm, "a start goes on", 60)

    play(script, strategy, symbol)


@pytest.mark.parametrize("strategy", [MAKER, MARTINGALE])  # on spot: a perpetual's exchange costs a second of work for each of its days
def test_F64_thirty_days_leave_tasks_timers_and_memory_of_orders_as_they_were(strategy):
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        sizes: list[tuple[int, int, int, int]] = []
        for _ in range(30):
            wake_up(s.life, 24 * 3_600 * S - 8 * S, pace=50)
            await s.wait(8)
            env, table = s.life.env, s.market.orders
            sizes.append((env.tasks, env.timers, len(env.connections), len(list(table)) + len(table._stones)))
        early, late = sizes[1:10], sizes[20:]
        for what, a, b in zip(("tasks", "timers", "connections", "orders"), zip(*early, strict=True), zip(*late, strict=True), strict=True):
            assert max(b) <= max(a) * 3 // 2 + 2, (what, a, b)
        assert s.life.skipped_us > 29 * 24 * 3_600 * S

    play(script, strategy, SPOT)


@pytest.mark.parametrize(("strategy", "symbol"), [(MAKER, SPOT), (MARTINGALE, PERP)])
def test_F55_a_disk_that_is_full_just_when_a_checkpoint_is_due_ends_new_exposure_and_not_the_program(strategy, symbol):
    async def script(s: Stage):
        await s.begin()
        await (s.holding() if strategy == MARTINGALE else s.quoting())
        disk = s.life.disks[STORE]
        disk.fail = lambda act, name: OSError(28, "No space left on device") if act == "sync" and name.startswith("journal") else None
        s.session.engine.checkpoint(s.now_us)
        assert s.session.engine.unwritten is not None
        disk.free_bytes = 0
        await s.until(lambda: opening(s) == [], "what opens is pulled", 10)
        await s.wait(5)
        if strategy == MARTINGALE:
            assert has_trigger(s)
        disk.free_bytes, disk.fail = None, lambda _act, _name: None
        await s.until(lambda: s.session.engine.unwritten is None and bool(opening(s)), "space is back", 60)
        s.session.engine.checkpoint(s.now_us)
        assert s.session.engine.unwritten is None

    play(script, strategy, symbol)


def test_F53_a_start_that_had_much_to_fold_leaves_a_checkpoint_for_the_next(monkeypatch):
    monkeypatch.setattr("lemon_trader.run.session.FOLDED_MAX", 20)

    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        await s.wait(30)
        folded = []
        for _ in range(3):
            s.life.die(power=False)
            folded.append(
                len(Journal(s.life.disks[STORE].copy().store(), mode="sandbox", account=s.life.account.api_key).open(s.now_us).events)
            )
            await s.wait(2)
            await s.begin()
        assert folded[0] > 20
        assert folded[1] < folded[0]
        assert folded[2] < folded[0]

    play(script, MAKER, SPOT)
