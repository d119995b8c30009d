"""Where the eighteen checkers of `tests/invariants` are fed: bytes at the program's ends, bytes on its disk, and the exchange's own ledger.

This file knows both sides and turns the exchange's records into plain values; the checkers know neither.
"""

import gzip
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec
from tests.fake_env import End, FakeEnv
from tests.fake_store import Disk, Image
from tests.invariants.ends import Bounded, Display, Liveness, Restart
from tests.invariants.fills import Ledger
from tests.invariants.journal import EXIT, STOP, Anchors, Authority, Chain, History, WriteAhead
from tests.invariants.limits import Account, Bounds, Limits
from tests.invariants.orders import Ended, NoOrphan, OneOrder, Quits
from tests.invariants.protection import Protection
from tests.invariants.secrets import Canary
from tests.invariants.sight import Responsive, Sight
from tests.invariants.wire import WireWitness
from tests.simulation.truth import Truth

from lemon_trader.core.units import US_PER_S
from lemon_trader.sandbox.faults import Fault, Kind

if TYPE_CHECKING:
    from tests.simulation.life import Bot, Life

JOURNAL: Final = "journal-000001"
JOURNAL_FILES: Final = re.compile(r"journal-(\d{6})(?:\.r(\d+))?(\.gz)?\b")
STORE: Final = "sandbox"
LOOK_US: Final = 5 * US_PER_S  # between pictures
HEARD_US: Final = US_PER_S  # until a fill that was heard must be in the journal
UNHEARD_US: Final = 20 * US_PER_S
UNHEARD_MAX: Final = 3
SILENT_US: Final = 3 * US_PER_S
LATE_US: Final = 12 * US_PER_S  # the exchange takes what it had to refuse since long: the end of its lease and some
POSTS: Final = ("/api/v1/order", "/api/v1/orders")
FURTHEST: Final = Decimal("0.25")  # ladder, stop and what lies beyond it, together


class Watch:
    """All checkers of one run."""

    def __init__(self, life: "Life") -> None:
        self._life = life
        symbol, is_perp = life.drawn.symbol, life.instrument.is_perp
        self._symbol = symbol
        self.wire = WireWitness()
        self.truth = Truth(life.exchange, life.account.name, symbol)
        self.chain = Chain()
        self.ahead = WriteAhead(self.chain)
        self.authority = Authority(self.chain)
        self.history = History(self.chain)
        self.anchors = Anchors(self.chain)
        self.orders = OneOrder()
        self.orphans = NoOrphan()
        self.quits = Quits()
        self.ended = Ended()
        self.ledger = Ledger()
        self.protection = Protection(FURTHEST)
        self.sight = Sight(symbol, is_perp=is_perp)
        self.responsive = Responsive()
        self.canary = Canary(life.account.secret)
        self.restart = Restart()
        self.liveness = Liveness()
        self.bounded = Bounded()
        self.display = Display()
        budget = Decimal(500)
        orders = life.drawn.limits.get("open_orders", 40)
        self.limits = Limits(Bounds(budget, budget, Decimal("0.01"), Decimal("0.03"), orders), is_perp=is_perp)
        self.written: dict[object, Decimal] = {}
        self.cancels = 0
        self._asked: dict[End, tuple[str, str, int]] = {}  # what is in the air on a wire
        self._heard_us: dict[End, int] = {}
        self._roles: dict[int, int] = {}
        self._stops: set[int] = set()
        self._read = 0  # entries of the chain that were looked at
        self._lots = Decimal(0)
        self._late: list[tuple[int, list[int]]] = []  # when the exchange has taken what reached its edge
        self._is_guarded = is_perp and life.drawn.strategy == "martingale"
        self._flat_us = 0
        self._stop_sent_us = -US_PER_S
        self._unheard: list[int] = []  # when a stop was sent and not answered
        self._next_us = 0
        self._env: FakeEnv | None = None
        self._session: Bot | None = None
        self._fills_seen = 0

        self._taken: tuple[object, int, int] = (None, 0, 0)  # of the journal: which disk's, how long, how much of it synced
        self.checkers: list[Any] = [
            self.ahead, self.authority, self.history, self.anchors, self.orders, self.orphans, self.quits, self.ended, self.ledger,
            self.protection, self.sight, self.responsive, self.canary, self.restart, self.liveness, self.bounded, self.display, self.limits,
        ]  # fmt: skip

    # -- lives --

    def born(self, session: "Bot", env: FakeEnv) -> None:
        """A life begins."""
        self._take_in()
        env.tap = self
        self._session, self._env = session, env
        self._asked.clear()
        self._heard_us.clear()
        self.sight.born()
        self.limits.born()
        self.orphans.born(self._awake_us)
        self._next_us = 0
        turn = session.engine.turn

        def counted(facts: Any) -> None:
            self.responsive.handles(len(facts))
            turn(facts)

        session.engine.turn = counted  # type: ignore[method-assign]

    def died(self) -> None:
        """A life has ended, and perhaps the power with it."""
        self.ahead.forget()
        self._session = None
        self._take_in()

    def gives(self, action: str) -> None:
        """Somebody gives this command."""
        self.authority.given[action] += 1
        if action in {"kill", "flatten"}:
            self.quits.kill(self._awake_us)
        elif action == "resume":
            self.quits.resume()

    # -- at the program's ends --

    def left(self, end: End, data: bytes) -> None:
        """Bytes have left the program."""
        self.canary.sent(data)
        now = self._now_us
        if end._is_feed:
            self.sight.subscribes(end, data)
            return
        head, _, body = data.partition(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", maxsplit=1)[0].decode().split(" ", maxsplit=2)
        path = target.split("?", maxsplit=1)[0]
        self._asked[end] = (method, path, now)
        self.bounded.request(now)
        if method == "DELETE":
            self.cancels += 1
            self.bounded.cancel(body.decode(), now)
            if self._is_guarded:
                position, stops = self._held()
                if self._awake_us - self._stop_sent_us > US_PER_S:  # else another one is on its way, before this cancel
                    self.protection.cancels(str(json.loads(body).get("orderId")), position, stops, self._awake_us - self._flat_us)
        if method == "POST" and path in POSTS:
            asked = json.loads(body, parse_float=Decimal)
            for order in asked if isinstance(asked, list) else [asked]:
                if order["symbol"] == self._symbol:
                    self._leaves(order, now)

    def arrived(self, end: End, payloads: list[bytes]) -> None:
        """Bytes are about to reach the program."""
        now = self._now_us
        self.responsive.handles(len(payloads), max(len(payload) for payload in payloads))
        if not end._is_feed:
            self._answered(end, b"".join(payloads))
            return
        rows = [row for row in map(_decoded, payloads) if row is not None]
        self.sight.frames(end, rows, now)
        believed = now - self._heard_us.get(end, now) < SILENT_US
        self._heard_us[end] = now
        for row in rows:
            data = row.get("data") if isinstance(row, dict) else None
            if not isinstance(data, dict):
                continue
            match data.get("e"):
                case "bookTicker" if data.get("s") == self._symbol:
                    self._touch(data, now)
                case "orderFill" if believed and data.get("t") and data.get("s") == self._symbol and data.get("i"):
                    self.ahead.hears(str(data["i"]), int(data["t"]), self._awake_us + HEARD_US)

    def met(self, method: str, path: str, body: bytes, status: int, answer: bytes) -> None:
        """A request has reached the exchange and was answered, or not (status 0)."""
        self.wire(method, path, body, status, answer)
        self.orders.step(self.truth.live(), self._life.keys, self._awake_us, clear=self.clear)  # two may live for milliseconds only
        where = path.split("?", maxsplit=1)[0]
        if method != "POST" or where not in POSTS:
            return
        asked = json.loads(body)
        rows = asked if isinstance(asked, list) else [asked]
        ids = [int(order["clientId"]) for order in rows]
        if status == 0 or status >= 500:
            self._unheard += [self._awake_us for order in rows if order.get("triggerPrice") is not None]
        fault = self._life.faults.met
        if _surprises(fault) or self._life.edge.doubled:
            self.orders.surprises.update(ids)
        late_us = fault.delay_us if fault is not None and fault.kind is Kind.EXECUTE_LATE else 0
        self._late.append((self._now_us + late_us, ids))
        if self._life.fills_next:
            self._life.fills_next = False
            self._life.fill_all(ids)

    def _leaves(self, order: dict[str, Any], now: int) -> None:
        life = self._life
        client_id, side = int(order["clientId"]), 1 if order["side"] == "Bid" else -1
        trigger = order.get("triggerPrice")
        if trigger is not None:
            self._stop_sent_us = self._awake_us
        reduces = bool(order.get("reduceOnly")) or trigger is not None
        closes = reduces or (side < 0 and not life.instrument.is_perp)
        disk = life.disks[STORE]
        self._take_in()
        refuses = disk.free_bytes is not None and disk.free_bytes < 1
        image = _journal(disk)
        self.ahead.leaves(client_id, image.synced, closes=closes, refuses=refuses)
        self.sight.leaves(client_id, now, opens=not closes, refuses=refuses)
        self.quits.leaves(client_id, self._awake_us, opens=not closes)
        price = Decimal(str(order.get("price") or trigger or 0))
        plain = {
            "client_id": client_id, "side": side, "price": price, "quantity": Decimal(str(order.get("quantity") or 0)),
            "is_trigger": trigger is not None,
        }  # fmt: skip
        here = [c for at, ids in self._late if at <= now for c in ids]
        self._late = [(at, ids) for at, ids in self._late if at > now]
        self.limits.arrived(here, now, {c for _, ids in self._late for c in ids})
        if life.faults._silent:
            self.limits.touches.clear()  # it cannot know the touch
        if price and not self.orders.surprises:
            self.truth.catch_up()
            live = [{**o, "foreign": o["client_id"] not in life.keys} for o in self.truth.live()]
            self.limits.leaves(
                plain,
                Account(self.truth.position, self.truth.cost, live),
                now,
                closes=closes,
                takes=order.get("timeInForce") in {"IOC", "FOK"},
            )

    def _answered(self, end: End, data: bytes) -> None:
        method, path, asked_us = self._asked.get(end, ("", "", 0))
        head, _, body = data.partition(b"\r\n\r\n")
        if method and head.startswith(b"HTTP/1.1 "):
            status = int(head[9:12])
            self.sight.answered(method, path, status, body, asked_us)
            if path == "/api/v1/depth" and status == 200:
                self._book(body)

    def _book(self, body: bytes) -> None:
        book = _decoded(body)
        try:
            bid, ask = max(Decimal(row[0]) for row in book["bids"]), min(Decimal(row[0]) for row in book["asks"])
        except (TypeError, KeyError, ArithmeticError, ValueError):
            return
        self._shown(bid, ask, self._now_us)

    def _touch(self, data: dict[str, Any], now: int) -> None:
        try:
            bid, ask = Decimal(data["b"]), Decimal(data["a"])
        except (TypeError, ArithmeticError, ValueError):
            return
        self._shown(bid, ask, now)

    def _shown(self, bid: Decimal, ask: Decimal, now: int) -> None:
        if bid.is_finite() and ask.is_finite() and 0 < bid < ask:
            self.limits.shown(now, bid, ask)

    # -- as time passes --

    @property
    def _now_us(self) -> int:
        return self._life.edge.clock()

    @property
    def _awake_us(self) -> int:
        """Time in which the machine does not sleep: nobody can do anything in a night."""
        return self._life.loop.now_us

    @property
    def clear(self) -> bool:
        """Nothing keeps the program from the exchange, and nobody tells it lies."""
        life = self._life
        edge, faults = life.edge, life.faults
        meddled = edge.down or edge.before or edge.after or edge.frames or edge.held_us or edge.doubles
        lies = faults._odds or faults._waiting or faults.maintenance or faults._silent or faults.history_lag_us
        disk = life.disks.get(STORE)
        return not (meddled or lies or (disk is not None and disk.free_bytes is not None) or life.instrument.book_state != "Open")

    def catch_up(self) -> None:
        """Read what was filled, in the grid of now."""
        self.truth.catch_up()
        self._take_in()

    def step(self) -> None:
        """A tenth of a second has passed."""
        life = self._life
        session = life.session
        now = self._awake_us
        clear = self.clear and session is not None
        live = self.truth.live()
        self.orders.step(live, life.keys, now, clear=clear)
        self.quits.step(live, self._stops, life.keys, now, clear=clear)
        if session is not None:
            self._take_in()
            if life.disks[STORE].free_bytes is not None:
                self.ahead.forget()  # the disk is full: what is heard waits in memory
            self.ahead.step(now)
            self._protection(now, clear=clear)
            market = session.state.markets[self._symbol]
            opening = [o["id"] for o in live if o["client_id"] in life.keys and not self._protects(o)]
            self.ended.step(ended=market.ended, opening=opening, now_us=now, clear=clear)
            if now >= self._next_us:
                self._next_us = now + LOOK_US
                self._look(session, live, now, clear=clear)
        else:
            self.protection.idle(now)
            self.ended.step(ended=False, opening=[], now_us=now, clear=False)
            self.liveness.step([], now, clear=False)
        self._collect()

    def _look(self, session: "Bot", live: list[dict[str, Any]], now: int, *, clear: bool) -> None:
        life = self._life
        picture = msgspec.json.decode(msgspec.json.encode(session.picture()))
        orders = [o for market in picture["markets"] for o in market["orders"]]
        self.orphans.step(live, life.keys, {o["order_id"] for o in orders}, now, clear=clear)
        self.liveness.step([o["client_id"] for o in orders if o["state"] == "UNKNOWN"], now, clear=clear)
        self.ledger.invented(self._rows(), self.truth.rows(life.foreign()))
        assert self._env is not None
        self.bounded.count("tasks", self._env.tasks)
        self.bounded.count("timers", self._env.timers)
        self.bounded.count("connections", len(self._env.connections))

    def _protection(self, now: int, *, clear: bool) -> None:
        if not self._is_guarded:
            return
        position, stops = self._held()
        if not position:
            self._flat_us = now
        # Three stops of unknown outcome at once are the most that may be (architecture §3, rule 10): until one is resolved nobody may send more.
        self._unheard = [at for at in self._unheard if at > now - UNHEARD_US]
        clear = clear and len(self._unheard) < UNHEARD_MAX
        self.protection.step(position, self.truth.average, stops, now, clear=clear)

    def _held(self) -> tuple[Decimal, list[dict[str, Any]]]:
        """A perpetual's position and its stops, as they are at the exchange."""
        life = self._life
        self.truth.catch_up()
        account = life.exchange.accounts[life.account.name]
        lots = account.position_lots(self._symbol)
        coarse = life.coarse if self._awake_us < life.coarse_until_us else Decimal(0)
        if abs(lots) < life.instrument.min_lots or abs(self.truth.quantity(lots)) < coarse:
            lots = 0  # no order is small enough for what a coarser grid left as dust
        stops = [
            {
                "id": str(o.order_id), "side": o.side, "covers": None if o.trigger_ppm == 1_000_000 else self.truth.quantity(o.trigger_lots),
                "trigger": self.truth.price(o.trigger_ticks), "reduce_only": o.reduce_only,
            }
            for o in account.live.values() if o.is_trigger
        ]  # fmt: skip
        return self.truth.quantity(lots), stops

    def _protects(self, order: dict[str, Any]) -> bool:
        return bool(order["is_trigger"]) or self._roles.get(order["client_id"]) in {EXIT, STOP}

    def _take_in(self) -> None:
        """Read the journal on: keys, totals and roles of what is attempted."""
        disk = self._life.disks.get(STORE)
        if disk is None or not disk.files.keys() & {JOURNAL, f"{JOURNAL}.gz"}:
            return
        image = _journal(disk)
        there = (self._life.era, len(image.data), image.synced)
        if there == self._taken:
            return
        self._taken = there
        self.chain.read(image.data)
        self.history.step(image.synced)
        self._read = min(self._read, len(self.chain.entries))
        for _, row in self.chain.entries[self._read :]:
            if row["type"] == "GridChanged" and row["symbol"] == self._symbol:
                self._lots = Decimal(row["instrument"]["lot_atoms"]) / 10**9
            for a in row["attempts"] if row["type"] == "Decided" else ():
                key = (self._life.era, a["symbol"], a["slot"], a["generation"])
                self._life.keys[a["client_id"]] = key
                self._roles[a["client_id"]] = a["role"]
                if a["role"] == STOP:
                    self._stops.add(a["client_id"])
                self.written[key] = max(self.written.get(key, Decimal(0)), a["total_lots"] * self._lots)
        self._read = len(self.chain.entries)

    def _rows(self) -> list[tuple[object, ...]]:
        """The fills of the database."""
        rows = self._life.records.query(
            "SELECT f.order_id, f.trade_id, f.side, f.price_ticks, f.qty_lots, f.fee_atoms, f.fee_asset, s.tick_scale, s.price_unit, s.lot_atoms"
            " FROM fills f JOIN symbols s USING (symbol) WHERE f.symbol = ?",
            (self._symbol,),
        )
        return [
            (
                r["order_id"], r["trade_id"], r["side"], (Decimal(r["price_ticks"]) * r["tick_scale"] / r["price_unit"]).normalize(),
                (Decimal(r["qty_lots"]) * r["lot_atoms"] / 10**9).normalize(), r["fee_atoms"], r["fee_asset"],
            )
            for r in rows
        ]  # fmt: skip

    def _collect(self) -> None:
        life = self._life
        for checker in self.checkers:
            if checker.found:
                life.note(checker.found)
                checker.found = []
        if self.wire.found:
            life.note(self.wire.violations(self.orders.surprises))
            self.wire.found = []

    def facts(self) -> dict[str, Any]:
        """What a second start at once must leave as it is."""
        live = sorted(o["id"] for o in self.truth.live() if o["client_id"] in self._life.keys)
        return {
            "live orders": live, "orders sent": sum(self.wire.submissions.values()), "cancels sent": self.cancels, "fills": len(self._rows()),
            "position": self.truth.position,
        }  # fmt: skip

    # -- quiet and end --

    def quiet(self) -> None:
        """In the quiet tail, before the program is stopped."""
        life = self._life
        session = life.session
        assert session is not None
        session.report()
        picture = msgspec.json.decode(msgspec.json.encode(session.picture()))
        self.truth.catch_up()
        live = self.truth.live()
        mine = {o["id"] for o in live if o["client_id"] in life.keys}
        cash = None if life.instrument.is_perp else self.truth.cash
        truth = {"position": self.truth.position, "cash": cash, "orders": mine}
        self.display.check(picture, self._symbol, truth, self._now_us)
        self.liveness.acts(picture, self._symbol, len(mine))
        self.orphans.strangers(live, life.keys, sum(m["foreign_orders"] for m in picture["markets"]))
        self._take_in()
        self.authority.check(picture["state"])
        self._collect()

    def end(self) -> None:
        """On the finished run."""
        life = self._life
        session = life.session
        assert session is not None
        self.truth.catch_up()
        self._take_in()
        session.report()
        market = session.state.markets[self._symbol]
        flow = market.ledger.flow_atoms() if life.instrument.is_perp else market.ledger.cash_atoms
        ours = {"base": Decimal(market.ledger.base_atoms) / 10**9, "cash": Decimal(flow) / 10**9}
        self.ledger.sums(ours, {"base": self.truth.position, "cash": self.truth.flow})
        self.ledger.equal(self._rows(), self.truth.rows(life.foreign()))
        surprised = {key for client_id, key in life.keys.items() if client_id in self.orders.surprises}
        self.orders.end(self.truth.filled(life.keys), self.written, surprised)
        live = self.truth.live()
        managed = {o.order_id for o in market.orders.live if o.order_id}
        self.orphans.end(live, life.keys, managed)
        opening = [o["id"] for o in live if o["client_id"] in life.keys and not self._protects(o)]
        if opening:
            self.quits.found.append(f"I16: orders {opening} open something and rest after an ordered stop")
        self.authority.check()
        self.anchors.end()
        disk = life.disks[STORE]
        journal = _journal(disk)
        self.history.end(bytes(journal.data))
        self.bounded.count("journal bytes", len(journal.data))
        self.bounded.count("log bytes", sum(len(f.data) for name, f in disk.files.items() if "log" in name))
        self.bounded.end()
        self.canary.end((name, bytes(image.data)) for name, image in disk.files.items())
        self._collect()

    def left_by(self, action: str, stops: tuple[int, ...]) -> None:
        """After an act on a dead engine that calls itself done."""
        life = self._life
        self.catch_up()
        resting = [
            o["id"]
            for o in self.truth.live()
            if o["client_id"] in life.keys and (action == "flatten" or life.keys[o["client_id"]][2] not in stops)
        ]
        i = life.instrument
        self.display.left(action, resting, self.truth.position, self.truth.quantity(max(1, i.min_lots)))
        self._collect()


def _journal(disk: Disk) -> Image:
    """The journal's files as one: each continues the one before it; some are packed, and a repair has written another revision of some."""
    if JOURNAL_FILES.findall(" ".join(disk.files)) == [("000001", "", "")]:
        return disk.files[JOURNAL]
    best: dict[str, tuple[int, bool, str]] = {}
    for name in disk.files:
        match = JOURNAL_FILES.fullmatch(name)
        if match is not None:
            found = (int(match[2] or 0), not match[3], name)
            best[match[1]] = max(found, best.get(match[1], found))
    names = [best[number][2] for number in sorted(best)]
    images = [disk.files[name] for name in names]
    parts = [gzip.decompress(i.data) if name.endswith(".gz") else bytes(i.data) for name, i in zip(names, images, strict=True)]
    whole = b"".join(parts)
    return Image(bytearray(whole), len(whole) - (len(images[-1].data) - images[-1].synced))


def _decoded(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


def _surprises(fault: Fault | None) -> bool:
    """Whether the exchange takes what meets this fault although it has let everybody believe that it never would."""
    return fault is not None and fault.kind is Kind.EXECUTE_LATE and fault.delay_us > LATE_US
