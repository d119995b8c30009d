"""An exchange that outlives its process: whatever it told is there at the next start, wherever the process was killed."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys

import msgspec
import pytest
from tests.loopback.sandbox_kit import PERP, SPOT, START_US, Client, Sandbox

from lemon_trader.core.units import US_PER_S
from lemon_trader.matching.rules import STATED
from lemon_trader.sandbox.state import StateError, StateFile
from lemon_trader.sandbox.terms import sandbox_rules
from lemon_trader.sandbox.world import EMPTY, SYNTHETIC, WorldOptions, make_world

RULES = msgspec.structs.replace(sandbox_rules(), mark_rule=STATED)


class Life(Sandbox):
    """One life of an exchange that is kept in a file."""

    def __init__(self, path, **options):
        self.file = StateFile(path)
        self.kept = self.file.load()
        self.now_us = max(START_US, self.kept.at_us)
        options = {"market": EMPTY, "rules": RULES} | options
        self.world = make_world(WorldOptions(**options), self.now_us, kept=self.kept)
        self.app = self.world.app
        self.file.attach(self.app.desk, self.kept)
        self.app.memory = self.file
        self.exchange = self.app.desk.exchange
        self.exchange.check_closed()

    def end(self):
        self.app.memory = None
        self.file.close()

    def die(self):
        """As a killed process: nothing more is written."""
        self.file._db.close()


def everything(client):
    """What an account can be told of itself, by any door."""
    paths = [
        "/api/v1/account", "/api/v1/capital", "/api/v1/capital/collateral", "/api/v1/orders", "/api/v1/position",
        "/wapi/v1/history/orders", "/wapi/v1/history/fills", "/wapi/v1/history/funding", "/wapi/v1/history/position",
    ]  # fmt: skip
    return {path: client.ok("GET", path) for path in paths}


def busy(life, clients):
    """Trade on spot and perpetual, leave orders, triggers and a position behind."""
    ann, bob = clients
    life.quote()
    life.quote(PERP)
    life.mark(15_005)
    ann.place(price="149.9", quantity="2", clientId=1)
    ann.place(price="150.2", quantity="1", timeInForce="IOC", clientId=2)
    bob.place(side="Ask", price="149.9", quantity="0.5")
    ann.place(PERP, price="150.2", quantity="3")
    ann.place(PERP, side="Ask", price="160", quantity="1", reduceOnly=True)
    ann.place(PERP, side="Ask", orderType="Market", triggerPrice="140", triggerQuantity="100%", triggerBy="MarkPrice")
    bob.place(PERP, side="Ask", price="150", quantity="1")
    bob.place(PERP, price="150.2", quantity="1", reduceOnly=True)
    ann.ok("DELETE", "/api/v1/order", {"symbol": SPOT, "clientId": 1})
    ann.place(price="149.8", quantity="2", clientId=7)
    ann.ok("PATCH", "/api/v1/account", {"leverageLimit": "5", "autoLend": False})
    life.wait(3_700 * US_PER_S)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "exchange.db"


@pytest.mark.parametrize("ending", ["end", "die"])
def test_every_account_is_told_the_same_after_a_restart(path, ending):
    life = Life(path)
    clients = [Client(life, n) for n in (0, 1)]
    busy(life, clients)
    before, books = [everything(client) for client in clients], life.exchange.books()
    getattr(life, ending)()
    again = Life(path)
    assert again.now_us == life.exchange.now_us or ending == "die"
    again.now_us = life.now_us
    again.quote()
    again.quote(PERP)
    again.mark(15_005)
    assert [everything(Client(again, n)) for n in (0, 1)] == before
    after = again.exchange.books()
    for pool in ("deposits", "outside", "fees", "funding", "insurance", "interest"):
        assert getattr(after, pool) == getattr(books, pool), pool
    assert after.order_id >= books.order_id
    again.end()


def test_life_goes_on_orders_fill_and_triggers_fire_and_no_number_comes_twice(path):
    life = Life(path)
    ann, bob = Client(life, 0), Client(life, 1)
    busy(life, [ann, bob])
    seen = {row["tradeId"] for row in ann.ok("GET", "/wapi/v1/history/fills", {"symbol": SPOT})}
    ids = {row["id"] for c in (ann, bob) for row in c.ok("GET", "/wapi/v1/history/orders")}
    life.die()
    again = Life(path)
    again.now_us = life.now_us
    ann, bob = Client(again, 0), Client(again, 1)
    again.quote(lots=10)
    status, _ = ann.call(
        "POST", "/api/v1/order", {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "100", "quantity": "1", "clientId": 7}
    )
    assert status == 400, "the client id of a resting order is still taken"
    bob.place(side="Ask", price="149.8", quantity="2")
    newest = ann.ok("GET", "/wapi/v1/history/fills", {"symbol": SPOT})[0]
    assert (newest["price"], newest["quantity"]) == ("149.8", "1.9")
    assert newest["tradeId"] not in seen
    assert bob.ok("GET", "/wapi/v1/history/orders")[0]["id"] not in ids
    again.quote(PERP, bid=13_900, ask=13_910)
    again.mark(13_905)
    assert ann.call("GET", "/api/v1/position", {"symbol": PERP})[0] == 404, "the trigger fired and closed the position"
    again.exchange.check_closed()
    again.end()


def test_what_happens_after_a_restart_is_kept_too(path):
    for price in ("140", "141", "142"):
        life = Life(path)
        Client(life).place(price=price, quantity="1")
        life.die()
    last = Life(path)
    assert sorted(row["price"] for row in Client(last).ok("GET", "/api/v1/orders")) == ["140", "141", "142"]
    last.end()


def test_balances_of_the_flags_are_for_new_accounts_alone(path):
    life = Life(path, accounts=1, balances={"USDC": "5"})
    life.end()
    again = Life(path, accounts=2, balances={"USDC": "9"})
    assert [Client(again, n).ok("GET", "/api/v1/capital")["USDC"]["available"] for n in (0, 1)] == ["5", "9"]
    again.end()


def test_market_states_filters_and_public_trades_are_kept(path):
    life = Life(path)
    ann = Client(life)
    life.quote()
    ann.place(price="150.2", quantity="1")
    ann.place(price="149", quantity="1")
    life.app.change_filters(SPOT, life.now_us, tick="0.001")
    ann.place(price="149.001", quantity="1")
    life.app.change_filters(SPOT, life.now_us, tick="0.05", min_qty="0.5")
    life.app.change_state(SPOT, "PostOnly", life.now_us)
    market = life.public(f"/api/v1/market?symbol={SPOT}")[1]
    orders = ann.ok("GET", "/api/v1/orders")
    trades = life.public(f"/api/v1/trades?symbol={SPOT}")[1]
    life.end()
    again = Life(path)
    assert again.public(f"/api/v1/market?symbol={SPOT}")[1] | {"createdAt": ""} == market | {"createdAt": ""}
    assert Client(again).ok("GET", "/api/v1/orders") == orders
    assert again.public(f"/api/v1/trades?symbol={SPOT}")[1] == trades
    again.quote(bid=14_900, ask=15_010)
    again.end()


def test_a_synthetic_market_goes_on_at_its_price(path):
    life = Life(path, market=SYNTHETIC, symbols=(SPOT, PERP))
    for _ in range(50):
        life.app.act(next(life.world.source))
    life.level(SPOT, 1, 1, 0)
    from lemon_trader.market.acts import SWEEP, Level, Take

    for side, t, _ in life.exchange.outside_levels(SPOT):
        life.app.act(Level(life.now_us, SPOT, side, t, 0))
    life.app.act(Level(life.now_us, SPOT, -1, 16_666, 5))
    life.app.act(Take(life.now_us, SPOT, 1, SWEEP, 16_666))
    life.end()
    again = Life(path, market=SYNTHETIC, symbols=(SPOT, PERP))
    for _ in range(200):
        again.app.act(next(again.world.source))
    assert abs(again.exchange.last_ticks(SPOT) - 16_666) < 100
    again.end()


def test_a_file_in_use_a_strange_file_and_one_of_another_version_are_refused_with_their_name(path):
    life = Life(path)
    with pytest.raises(StateError, match=r"exchange\.db is in use"):
        StateFile(path)
    life.end()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = 99 WHERE name = 'version'")
    db.close()
    with pytest.raises(StateError, match=r"another version .*99"):
        StateFile(path)
    path.write_bytes(b"this is no database at all, it is a letter" * 30)
    with pytest.raises(StateError, match=r"exchange\.db cannot be used"):
        StateFile(path)
    with pytest.raises(StateError):
        StateFile(path.parent / "no" / "such" / "folder.db")


def test_business_in_a_market_that_is_gone_is_not_lost_in_silence(path):
    life = Life(path)
    Client(life).place(price="140", quantity="1")
    life.end()
    file = StateFile(path)
    with pytest.raises(StateError, match=SPOT):
        make_world(WorldOptions(market=EMPTY, symbols=("BTC_USDC",)), START_US, kept=file.load())
    file.close()


def test_each_moment_at_which_the_file_may_be_cut_is_a_whole_exchange(path, tmp_path):
    life = Life(path)
    ann, bob = Client(life, 0), Client(life, 1)
    told = []

    def snapshot():
        copy = tmp_path / f"cut-{len(told)}.db"
        for suffix in ("", "-wal"):
            source = path.with_name(path.name + suffix)
            if source.exists():
                shutil.copy(source, copy.with_name(copy.name + suffix))
        told.append((copy, everything(ann), everything(bob), life.now_us))

    life.quote()
    for n in range(12):
        ann.place(price=f"{149 + n * 0.1:.2f}", quantity="0.5")
        snapshot()
        bob.place(side="Ask", price=f"{149 + n * 0.1:.2f}", quantity="0.3")
        snapshot()
    life.die()
    for copy, of_ann, of_bob, now_us in told:
        again = Life(copy)
        again.now_us = now_us
        again.quote()
        assert (everything(Client(again, 0)), everything(Client(again, 1))) == (of_ann, of_bob)
        again.end()


@pytest.mark.process
def test_a_killed_program_goes_on_where_it_was(path):
    def start():
        environment = os.environ | {"PYTHONPATH": "src"}
        command = [sys.executable, "-m", "lemon_trader.main", "sandbox", "--json", "--market", "empty", "--state", str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        return process, json.loads(process.stdout.readline())

    import time
    import urllib.request

    from tests.loopback.sandbox_kit import pairs, sign

    def call(ready, method, path_, instruction, body=None):
        stamp, key = str(time.time_ns() // 1_000_000), ready["accounts"][0]
        text = f"{pairs(instruction, body or {})}&timestamp={stamp}&window=5000"
        headers = {
            "X-API-Key": key["api_key"],
            "X-Timestamp": stamp,
            "X-Signature": sign(key["secret"], text),
            "Content-Type": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(ready["rest_url"] + path_, data, headers, method=method)
        return json.loads(urllib.request.urlopen(request).read())

    process, ready = start()
    order = {"symbol": SPOT, "side": "Bid", "orderType": "Limit", "price": "140", "quantity": "1"}
    placed = call(ready, "POST", "/api/v1/order", "orderExecute", order)
    process.kill()
    process.wait()
    process, ready = start()
    try:
        assert [row["id"] for row in call(ready, "GET", "/api/v1/orders", "orderQueryAll")] == [placed["id"]]
    finally:
        process.terminate()
        assert process.wait(20) == 0
