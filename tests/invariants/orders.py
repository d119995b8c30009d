"""I2 (one live order per want), I3 (no orphan), I16 (kill) and the end of a pair, from the exchange's own list of orders. Plain values only.

An order is a mapping: `id`, `client_id`, `side` (1 or -1), `price`, `open`, `is_trigger`, `reduce_only`. Imports nothing of the program.
"""

from collections import Counter
from collections.abc import Container, Mapping
from decimal import Decimal
from typing import Any

SECOND = 1_000_000
Live = list[Mapping[str, Any]]


class OneOrder:
    """I2: at most one live order for a key, and never more filled than the largest total written for it.

    A key is (era, symbol, slot, generation): a loss of power may take the record of a key, and it may be written anew after it.
    """

    def __init__(self, within_us: int = 15 * SECOND) -> None:
        self._within_us = within_us
        self._since: dict[object, int] = {}
        self.surprises: set[int] = set()  # client ids that the exchange took twice, or long after it had said that it never would
        self.found: list[str] = []

    def step(self, live: Live, keys: Mapping[int, object], now_us: int, *, clear: bool) -> None:
        """Look at what rests. `clear`: nothing keeps the program from the exchange."""
        wanted = [o["client_id"] for o in live if not o["is_trigger"] and o["client_id"] in keys]
        counted = Counter(keys[c] for c in wanted)
        for key, count in counted.items():
            if count < 2:
                self._since.pop(key, None)
            elif not any(keys[c] == key and c in self.surprises for c in wanted):
                self.found.append(f"I2: {count} live orders of {key}")
            elif not clear:
                self._since[key] = now_us
            elif now_us - self._since.setdefault(key, now_us) > self._within_us:
                self.found.append(f"I2: {count} live orders of {key}, one of them a surprise, for {self._within_us // SECOND} s")

    def end(self, filled: Mapping[object, Decimal], written: Mapping[object, Decimal], forgiven: set[object]) -> None:
        """Compare what every key has filled with what was written for it."""
        self.found += [
            f"I2: {key} filled {quantity}, at most {written.get(key)} was written"
            for key, quantity in filled.items()
            if quantity > written.get(key, Decimal(0)) and key not in forgiven
        ]


class NoOrphan:
    """I3: what rests under one of our client ids is managed within 15 s (30 s after a start) of time in which the exchange can be reached."""

    def __init__(self, within_us: int = 15 * SECOND, after_start_us: int = 30 * SECOND) -> None:
        self._within_us, self._after_start_us = within_us, after_start_us
        self._seen: dict[str, int] = {}  # order id -> clear time so far in which nobody managed it
        self._began_us = self._last_us = 0
        self.found: list[str] = []

    def born(self, now_us: int) -> None:
        """A life of the program begins."""
        self._began_us = now_us
        self._seen.clear()

    def step(self, live: Live, ours: Container[int], managed: set[str], now_us: int, *, clear: bool) -> None:
        """Look; `managed`: the exchange's ids of the orders that the program says it manages."""
        span = now_us - self._last_us if clear else 0
        self._last_us = now_us
        allowed = max(self._within_us, self._began_us + self._after_start_us - now_us)
        rest = {o["id"] for o in live if o["client_id"] in ours} - managed
        self._seen = {i: self._seen.get(i, -span) + span for i in rest}
        self.found += [f"I3: order {i} rests for {t // SECOND} s and nobody manages it" for i, t in self._seen.items() if t > allowed]

    def strangers(self, live: Live, ours: Container[int], counted: int) -> None:
        """Every other live order is reported."""
        there = sum(o["client_id"] not in ours for o in live)
        if there != counted:
            self.found.append(f"I3: {there} orders of others rest, {counted} are reported")

    def end(self, live: Live, ours: Container[int], managed: set[str]) -> None:
        """On the finished run both lists are equal."""
        there = {o["id"] for o in live if o["client_id"] in ours}
        self.found += [f"I3: order {i} rests and is not managed" for i in sorted(there - managed)]
        self.found += [f"I3: order {i} is managed and does not rest" for i in sorted(managed - there)]


class Quits:
    """I16: after a kill nothing that opens leaves, and all but protection is gone within K and one request; the halt survives restarts."""

    def __init__(self, within_us: int = 2 * SECOND, request_us: int = 5 * SECOND, back_us: int = 15 * SECOND) -> None:
        self._within_us, self._request_us, self._back_us = within_us, request_us, back_us
        self.killed_us = 0  # 0 = no halt is latched
        self._clear_us = self._last_us = self._unclear_us = 0
        self.found: list[str] = []

    def kill(self, now_us: int) -> None:
        """Somebody killed."""
        self.killed_us = self.killed_us or now_us
        self._clear_us = 0

    def resume(self) -> None:
        """Somebody lifted it."""
        self.killed_us = 0

    def leaves(self, client_id: int, now_us: int, *, opens: bool) -> None:
        """A submission leaves."""
        if opens and self.killed_us and now_us - self.killed_us > self._within_us:
            self.found.append(f"I16: client id {client_id} opens {(now_us - self.killed_us) // SECOND} s after a kill")

    def step(self, live: Live, protective: set[int], ours: Container[int], now_us: int, *, clear: bool) -> None:
        """Look; time counts while the program lives and can reach the exchange, from when its connections had time to come back."""
        self._unclear_us = self._unclear_us if clear else now_us
        span = now_us - self._last_us if now_us - self._unclear_us >= self._back_us else 0
        self._last_us = now_us
        left = [o["id"] for o in live if o["client_id"] in ours and not o["is_trigger"] and o["client_id"] not in protective]
        if not self.killed_us or not left:
            self._clear_us = 0
            return
        self._clear_us += span
        if self._clear_us > self._within_us + self._request_us:
            self.found.append(f"I16: orders {left} rest {self._clear_us // SECOND} s after a kill")
            self._clear_us = 0


class Ended:
    """A pair whose own duration is over has nothing resting that opens; counted like I6."""

    def __init__(self, within_us: int = 15 * SECOND) -> None:
        self._within_us = within_us
        self._since_us = 0
        self.found: list[str] = []

    def step(self, *, ended: bool, opening: list[str], now_us: int, clear: bool) -> None:
        """Look."""
        if not (ended and opening and clear):
            self._since_us = now_us
        elif now_us - self._since_us > self._within_us:
            self.found.append(f"I16: orders {opening} open something {(now_us - self._since_us) // SECOND} s after the end of their pair")
