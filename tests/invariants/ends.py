"""What must hold when all is quiet or over: I9, I10, I11, I12 and I17. Plain values, snapshots as JSON. Imports nothing of the program."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

SECOND = 1_000_000


class Restart:
    """I9: a second start at once sends no order, cancels nothing, and finds the same facts."""

    def __init__(self) -> None:
        self._before: Mapping[str, Any] = {}
        self.found: list[str] = []

    def before(self, facts: Mapping[str, Any]) -> None:
        """What holds before it: live orders, fills, submissions, cancels."""
        self._before = dict(facts)

    def after(self, facts: Mapping[str, Any]) -> None:
        """What holds after it."""
        self.found += [
            f"I9: {what} was {was} before a restart and is {facts.get(what)} after it"
            for what, was in self._before.items()
            if facts.get(what) != was
        ]


class Liveness:
    """I10: nothing stays unknown for a minute, and strategies act again within two unless a halt says why not."""

    def __init__(self, unknown_us: int = 60 * SECOND) -> None:
        self._unknown_us = unknown_us
        self._since: dict[int, int] = {}
        self.found: list[str] = []

    def step(self, unknown: list[int], now_us: int, *, clear: bool) -> None:
        """Look at the orders that the program calls UNKNOWN; time counts while the exchange can be reached."""
        if not clear:
            self._since = dict.fromkeys(unknown, now_us)
            return
        self._since = {client_id: self._since.get(client_id, now_us) for client_id in unknown}
        self.found += [
            f"I10: client id {c} is UNKNOWN for {(now_us - s) // SECOND} s" for c, s in self._since.items() if now_us - s > self._unknown_us
        ]

    def acts(self, picture: Mapping[str, Any], symbol: str, live: int) -> None:
        """At the end of the quiet: something rests, or the picture says why nothing does."""
        market = next(m for m in picture["markets"] if m["symbol"] == symbol)
        reasons = [picture["reason"], market["frozen"], market["ended"], market["withheld"], market["waiting"]]
        if not live and not any(reasons):
            self.found.append("I10: nothing rests two minutes after the last fault, and nothing says why")


class Bounded:
    """I11: tasks, connections, timers, files and requests stay under their caps, however long it lives."""

    CAPS: Mapping[str, int] = {
        "tasks": 60,
        "connections": 16,
        "timers": 200,
        "log bytes": 1 << 20,
        "journal bytes": 24 << 20,
        "requests a minute": 2_000,
        "cancels of one order in ten seconds": 12,
    }

    def __init__(self) -> None:
        self.most: dict[str, int] = {}
        self._minute: dict[int, int] = {}
        self._cancels: dict[str, list[int]] = {}
        self.found: list[str] = []

    def count(self, what: str, number: int) -> None:
        """So many there are now."""
        if number > self.most.get(what, 0):
            self.most[what] = number

    def request(self, now_us: int) -> None:
        """A request has left."""
        minute = now_us // (60 * SECOND)
        self._minute[minute] = self._minute.get(minute, 0) + 1
        self.count("requests a minute", self._minute[minute])

    def cancel(self, asked: str, now_us: int) -> None:
        """A cancel of this order has left."""
        recent = self._cancels.setdefault(asked, [])
        recent.append(now_us)
        while recent[0] < now_us - 10 * SECOND:
            recent.pop(0)
        self.count("cancels of one order in ten seconds", len(recent))

    def end(self) -> None:
        """On the finished run."""
        self.found += [f"I11: {n} {what}, the cap is {self.CAPS[what]}" for what, n in self.most.items() if n > self.CAPS[what]]


class Equal:
    """I12: the same seed gives the same bytes at the same times."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def compare(self, first: str, second: str) -> None:
        """The hashes of two runs."""
        if first != second:
            self.found.append(f"I12: one seed gave the traces {first[:16]} and {second[:16]}")


class Display:
    """I17: what is shown equals what is, at the time that it names, and is marked old when it is."""

    def __init__(self, most_us: int = 2 * SECOND) -> None:
        self._most_us = most_us
        self.found: list[str] = []

    def check(self, picture: Mapping[str, Any], symbol: str, truth: Mapping[str, Any], now_us: int) -> None:
        """Compare a snapshot with the exchange: `position`, `cash` (None = not compared), `orders` (ids)."""
        if abs(now_us - picture["as_of_us"]) > self._most_us:
            self.found.append(f"I17: a picture of {picture['as_of_us']} is shown at {now_us}")
        market = next(m for m in picture["markets"] if m["symbol"] == symbol)
        position, orders = Decimal(market["position"]), {o["order_id"] for o in market["orders"] if o["state"] != "UNKNOWN"}
        if position != truth["position"]:
            self.found.append(f"I17: a position of {position} is shown, it is {truth['position']}")
        if truth.get("cash") is not None and Decimal(market["cash"]) != truth["cash"]:
            self.found.append(f"I17: cash of {market['cash']} is shown, it is {truth['cash']}")
        if orders != truth["orders"]:
            self.found.append(f"I17: orders {sorted(orders)} are shown, {sorted(truth['orders'])} rest")

    def left(self, action: str, resting: list[str], held: Decimal, smallest: Decimal) -> None:
        """After an act on a dead engine that calls itself done: nothing rests that it says is gone, and a flatten leaves nothing to sell."""
        self.found += [f"I17: order {i} rests after {action} on a dead engine" for i in resting]
        if action == "flatten" and abs(held) >= smallest:
            self.found.append(f"I17: {held} is held after flatten on a dead engine")
