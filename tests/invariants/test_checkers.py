"""The checkers share nothing with what they check, and each of them can fail."""

import ast
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from tests.invariants.ends import Bounded, Display, Equal, Liveness, Restart
from tests.invariants.fills import Ledger
from tests.invariants.journal import Anchors, Authority, Chain, History, WriteAhead
from tests.invariants.limits import Account, Bounds, Limits
from tests.invariants.orders import Ended, NoOrphan, OneOrder, Quits
from tests.invariants.protection import Protection
from tests.invariants.secrets import Canary
from tests.invariants.sight import Responsive, Sight

S = 1_000_000
D = Decimal
FILES = sorted(file for file in Path(__file__).parent.glob("*.py") if not file.name.startswith("test_"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_checker_imports_nothing_of_the_program(file):
    names = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    assert not [name for name in names if name.startswith(("lemon_trader", "tests"))]


def chain(*bodies, previous=bytes(16)):
    data, last = b"", previous
    for entries in bodies:
        body = msgspec.msgpack.encode(entries)
        last = sha256(last + body).digest()[:16]
        data += len(body).to_bytes(4, "little") + last + body
    return data


HEAD = [{"type": "Header", "previous": bytes(16)}]
IDS = [{"type": "IdsReserved", "lo": 1, "hi": 5, "ts_us": 0}]


def decided(client_id):
    return [{"type": "Decided", "attempts": [{"client_id": client_id, "role": 0}]}]


def read(*bodies):
    found = Chain()
    found.read(chain(HEAD, *bodies))
    return found


def test_a_byte_that_rots_breaks_the_chain_and_a_torn_tail_does_not():
    data = bytearray(chain(HEAD, IDS, decided(1)))
    torn, rotten = Chain(), Chain()
    torn.read(data[:-3])
    assert torn.found == []
    data[-1] ^= 1
    try:
        rotten.read(data)
    except msgspec.DecodeError:
        return
    assert rotten.found


def test_a_journal_that_a_loss_of_power_made_shorter_is_read_from_where_it_ends():
    whole = chain(HEAD, IDS, decided(1))
    found = Chain()
    found.read(whole)
    found.read(chain(HEAD, IDS))
    assert found.attempts == {}
    found.read(chain(HEAD, IDS, decided(2)))
    assert list(found.attempts) == [2]
    assert found.found == []


@pytest.mark.parametrize(
    ("client_id", "synced", "says"),
    [(1, 0, "survives"), (9, 10_000, "not in the journal"), (1, 10_000, "")],
)
def test_write_ahead(client_id, synced, says):
    checker = WriteAhead(read(IDS, decided(1)))
    checker.leaves(client_id, synced, closes=False, refuses=False)
    assert (says in checker.found[0]) if says else not checker.found


def test_a_fill_that_was_heard_must_be_written():
    checker = WriteAhead(read(IDS))
    checker.hears("7", 1, 10)
    checker.step(9)
    assert not checker.found
    checker.step(10)
    assert checker.found


def test_durable_history_may_not_change():
    found = read(IDS, decided(1))
    checker = History(found)
    checker.step(found.end)
    checker.end(chain(HEAD, IDS, decided(1)))
    assert not checker.found
    checker.end(chain(HEAD, IDS, decided(2)))
    assert checker.found


def test_a_command_that_nobody_gave():
    found = read([{"type": "UserCommand", "action": "kill", "symbol": ""}])
    checker = Authority(found)
    checker.check("HALTED")
    assert checker.found
    checker.found.clear()
    checker.given["kill"] = 1
    checker.check("HALTED")
    assert not checker.found
    checker.check("ACTIVE")
    assert checker.found, "a kill that is not shown"


def by(door, action="kill"):
    return {"type": "UserCommand", "action": action, "symbol": "", "origin": door}


def latch(reason, mode=2):
    return {"type": "Latched", "reason": reason, "mode": mode}


@pytest.mark.parametrize(
    ("says", "rows", "laid", "is_wrong"),
    [
        ("a limit of its own", [latch("DAILY_LOSS")], {}, False),
        ("a reason that nobody knows", [latch("MOOD")], {}, True),
        ("a latch that halts nothing", [latch("DRAWDOWN", 0)], {}, True),
        ("the watchdog's file", [latch("WATCHDOG")], {"watchdog.json": 1}, False),
        ("a watchdog that left no file", [latch("WATCHDOG")], {}, True),
        ("one file that is read twice", [latch("WATCHDOG"), latch("WATCHDOG")], {"watchdog.json": 1}, True),
        ("a file named KILL", [by("file")], {"KILL": 1}, False),
        ("a file that nobody put there", [by("file")], {}, True),
        ("a signal", [by("signal")], {"SIGUSR1": 1}, False),
        ("a signal that nobody sent", [by("signal")], {"KILL": 1}, True),
        ("a file that resumes", [by("file"), by("file", "resume")], {"KILL": 2}, True),
        ("a signal that sells", [by("signal", "flatten")], {"SIGUSR1": 1}, True),
    ],
)
def test_what_halts_without_a_login(says, rows, laid, is_wrong):
    checker = Authority(read(*[[row] for row in rows]))
    checker.laid.update(laid)
    checker.check()
    assert bool(checker.found) == is_wrong, (says, checker.found)


@pytest.mark.parametrize("row", [latch("WATCHDOG"), by("file"), by("signal")])
def test_a_halt_that_is_not_shown(row):
    checker = Authority(read([row]))
    checker.laid.update({"watchdog.json": 1, "KILL": 1, "SIGUSR1": 1})
    checker.check("HALTED")
    assert not checker.found
    checker.check("ACTIVE")
    assert checker.found


def test_an_anchor_that_is_set_twice():
    anchor = [{"type": "Anchor", "name": "day", "day": 0, "ts_us": 5}]
    resume = [{"type": "UserCommand", "action": "resume", "symbol": ""}]
    fine, wrong = Anchors(read(anchor, resume, anchor)), Anchors(read(anchor, anchor))
    fine.end()
    wrong.end()
    assert not fine.found
    assert wrong.found


def order(client_id, *, side=1, price="10", quantity="1", trigger=False):
    return {
        "id": str(100 + client_id), "client_id": client_id, "side": side, "price": D(price), "open": D(quantity), "is_trigger": trigger,
        "reduce_only": trigger,
    }  # fmt: skip


def test_two_live_orders_of_one_key():
    checker = OneOrder()
    checker.step([order(1), order(2)], {1: "a", 2: "b"}, 0, clear=True)
    assert not checker.found
    checker.step([order(1), order(2)], {1: "a", 2: "a"}, 0, clear=True)
    assert checker.found


def test_a_surprise_of_the_exchange_may_live_for_a_quarter_of_a_minute():
    checker = OneOrder()
    checker.surprises.add(2)
    for at in (0, 15):
        checker.step([order(1), order(2)], {1: "a", 2: "a"}, at * S, clear=True)
    assert not checker.found
    checker.step([order(1), order(2)], {1: "a", 2: "a"}, 16 * S, clear=True)
    assert checker.found


def test_more_filled_than_was_ever_written():
    checker = OneOrder()
    checker.end({"a": D(2)}, {"a": D(1)}, set())
    assert checker.found


def test_an_orphan_and_a_ghost():
    checker = NoOrphan(after_start_us=0)
    for at in range(0, 30, 5):
        checker.step([order(1)], {1: 0}, set(), at * S, clear=True)
    assert checker.found
    checker.found.clear()
    checker.end([order(1)], {1: 0}, {"7"})
    assert len(checker.found) == 2
    checker.strangers([order(9)], {1: 0}, 0)
    assert len(checker.found) == 3


def test_a_kill_that_is_not_obeyed():
    checker = Quits()
    checker.kill(1)
    checker.leaves(1, 3 * S, opens=False)
    assert not checker.found
    checker.leaves(1, 3 * S, opens=True)
    assert checker.found
    checker.found.clear()
    for at in range(40):
        checker.step([order(1)], set(), {1: 0}, at * S, clear=True)
    assert checker.found


def test_a_pair_that_has_ended_and_opens():
    checker = Ended()
    for at in (0, 14, 16):
        checker.step(ended=True, opening=["1"], now_us=at * S, clear=True)
    assert checker.found


def test_fills_one_to_one():
    a, b = ("1", 5, 1, D(10), D(1), 0, "USDC"), ("1", -1, 1, D(10), D(1), 0, "USDC")
    checker = Ledger()
    checker.equal([b], [a])
    assert not checker.found, "a fill whose trade was never named here is the same fill"
    checker.equal([a, a], [a])
    assert checker.found
    checker.found.clear()
    checker.equal([a], [a, b])
    assert checker.found
    checker.found.clear()
    checker.sums({"cash": D("1.000000001")}, {"cash": D(1)})
    assert checker.found


def test_a_position_without_its_stop():
    stop = {"id": "1", "side": -1, "covers": None, "trigger": D(9), "reduce_only": True}
    checker = Protection(D("0.25"))
    for at in (0, 4, 8):
        checker.step(D(1), D(10), [stop], at * S, clear=True)
    assert not checker.found
    for wrong in ({**stop, "side": 1}, {**stop, "covers": D("0.5")}, {**stop, "trigger": D(5)}, {**stop, "reduce_only": False}):
        checker = Protection(D("0.25"))
        for at in (0, 4, 8):
            checker.step(D(1), D(10), [wrong], at * S, clear=True)
        assert checker.found, wrong
    checker = Protection(D("0.25"))
    checker.cancels("1", D(1), [stop, {**stop, "id": "2"}], 2 * S)
    assert not checker.found
    checker.cancels("2", D(1), [{**stop, "id": "2"}], 2 * S)
    assert checker.found


BOUNDS = Bounds(D(100), D(50), D("0.01"), D("0.03"), 3)


@pytest.mark.parametrize(
    ("says", "asked", "account", "closes"),
    [
        ("at risk", order(9, quantity="4") | {"quantity": D(4)}, Account(D(7), D(70), []), False),
        ("is worth", {"client_id": 9, "side": 1, "price": D(10), "quantity": D(6), "is_trigger": False}, Account(D(0), D(0), []), False),
        ("orders", {"client_id": 9, "side": 1, "price": D(10), "quantity": D(1), "is_trigger": False}, Account(D(0), D(0), [order(n) for n in range(3)]), False),
        ("through", {"client_id": 9, "side": 1, "price": D(11), "quantity": D(1), "is_trigger": False}, Account(D(0), D(0), []), False),
        ("", {"client_id": 9, "side": -1, "price": D(10), "quantity": D(9), "is_trigger": False}, Account(D(9), D(90), []), True),
    ],
)  # fmt: skip
def test_a_limit_that_is_passed(says, asked, account, closes):
    checker = Limits(BOUNDS, is_perp=False)
    checker.shown(0, D("9.9"), D(10))
    checker.leaves(asked, account, S, closes=closes, takes=False)
    assert (says in checker.found[0]) if says else not checker.found


def test_what_is_in_the_air_counts_and_orders_come_no_faster_than_allowed():
    asked = {"client_id": 1, "side": 1, "price": D(10), "quantity": D(4), "is_trigger": False}
    checker = Limits(BOUNDS, is_perp=True)
    for client_id in (1, 2):
        checker.leaves({**asked, "client_id": client_id}, Account(D(0), D(0), []), S, closes=False, takes=False)
    assert not checker.found
    checker.leaves({**asked, "client_id": 3}, Account(D(0), D(0), []), S, closes=False, takes=False)
    assert checker.found
    checker = Limits(BOUNDS, is_perp=True)
    for client_id in (1, 2):
        checker.leaves({**asked, "client_id": client_id}, Account(D(0), D(0), []), S, closes=False, takes=False)
    checker.arrived([], 10 * S, {2})  # of the first, whose connection broke, nothing comes any more; the exchange holds the second
    checker.leaves({**asked, "client_id": 3}, Account(D(0), D(0), []), 10 * S, closes=False, takes=False)
    assert not checker.found
    checker.leaves({**asked, "client_id": 4}, Account(D(0), D(0), []), 10 * S, closes=False, takes=False)
    assert checker.found
    checker = Limits(BOUNDS, is_perp=True)
    for client_id in range(200):
        checker.leaves({**asked, "client_id": client_id}, Account(D(0), D(0), []), S, closes=True, takes=False)
    assert checker.found


def frame(first, last):
    return {"data": {"e": "depth", "s": "X", "U": first, "u": last}}


def test_who_sees_nothing_may_open_nothing():
    checker, end = Sight("X", is_perp=False), object()
    checker.subscribes(end, b'{"method":"SUBSCRIBE","params":["depth.X"]}')
    checker.answered("GET", "/api/v1/orders", 200, b"[]", S)
    checker.frames(end, [frame(5, 6)], S)
    checker.leaves(1, S, opens=True, refuses=False)
    assert "no whole book" in checker.found.pop()
    checker.answered("GET", "/api/v1/depth", 200, b'{"lastUpdateId":"5"}', S)
    checker.leaves(1, S, opens=True, refuses=False)
    assert not checker.found
    checker.leaves(1, S, opens=True, refuses=True)
    assert "journal" in checker.found.pop()
    checker.leaves(1, 5 * S, opens=True, refuses=False)
    assert "silent" in checker.found.pop()
    checker.frames(end, [frame(8, 9)], 5 * S)
    checker.leaves(1, 5 * S, opens=True, refuses=False)
    assert "no whole book" in checker.found.pop()
    checker.leaves(1, 5 * S, opens=False, refuses=False)
    assert not checker.found


def test_a_callback_that_is_given_too_much():
    checker = Responsive()
    checker.handles(1_000, 10)
    assert not checker.found
    checker.handles(1_001)
    assert checker.found


@pytest.mark.parametrize(
    "leak", [b"key c2VjcmV0", b"c2VjcmV0LXNlZWQtb2YtMzItYnl0ZXMtb2YtYS1rZXk=".hex().encode(), b"secret-seed-of-32-bytes-of-a-key"]
)
def test_a_secret_in_any_spelling(leak):
    checker = Canary("c2VjcmV0LXNlZWQtb2YtMzItYnl0ZXMtb2YtYS1rZXk=")
    checker.look("a log", b"nothing at all is in here, or there")
    assert not checker.found
    checker.look("a log", b"x" * 40 + leak + b"y" * 40)
    assert checker.found


def test_what_holds_when_all_is_quiet():
    picture = {
        "as_of_us": 0, "reason": "", "markets": [
            {"symbol": "X", "frozen": "", "ended": False, "withheld": [], "waiting": "", "position": "1", "cash": "0",
             "orders": [{"order_id": "7", "state": "WORKING"}]},
        ],
    }  # fmt: skip
    display, liveness, restart, equal, bounded = Display(), Liveness(), Restart(), Equal(), Bounded()
    display.check(picture, "X", {"position": D(1), "orders": {"7"}}, 0)
    liveness.acts(picture, "X", 1)
    equal.compare("a", "a")
    restart.before({"orders": 1})
    restart.after({"orders": 1})
    bounded.end()
    assert not (display.found)
    assert not (liveness.found)
    assert not (restart.found)
    assert not (equal.found)
    assert not (bounded.found)
    display.check(picture, "X", {"position": D(2), "cash": D(1), "orders": set()}, 3 * S)
    assert len(display.found) == 4
    display.left("flatten", ["7"], D(1), D(1))
    assert len(display.found) == 6
    liveness.acts(picture, "X", 0)
    liveness.step([1], 0, clear=True)
    liveness.step([1], 61 * S, clear=True)
    assert len(liveness.found) == 2
    equal.compare("a", "b")
    restart.after({"orders": 2})
    for _ in range(20):
        bounded.cancel("one", 0)
    bounded.end()
    assert equal.found
    assert restart.found
    assert bounded.found
