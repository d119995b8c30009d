"""I7 (no blind order) and I13 (responsive): what was delivered to the program, read from the frames and answers themselves.

The checker follows the depth stream's update ids by itself and judges ages by itself. Imports nothing of the program.
"""

import json
from typing import Any

SECOND = 1_000_000
FEED_AGE, MARK_AGE, ACCOUNT_AGE = 3 * SECOND, 10 * SECOND, 30 * SECOND


class Depth:
    """The chain of one market's update ids on the connection that brings it."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new connection."""
        self.last = -1
        self._waiting: list[tuple[int, int]] = []

    @property
    def holds(self) -> bool:
        """Whether a snapshot was read and every delta since then followed it."""
        return self.last >= 0

    def delta(self, first: int, last: int) -> None:
        """A delta was delivered."""
        if not self.holds:
            if self._waiting and first != self._waiting[-1][1] + 1:
                self._waiting.clear()
            self._waiting.append((first, last))
        elif first > self.last + 1:
            self.last = -1
            self._waiting = [(first, last)]
        else:
            self.last = max(self.last, last)

    def snapshot(self, last: int) -> None:
        """A book read by REST was delivered."""
        if self.holds:
            return
        later = [pair for pair in self._waiting if pair[1] > last]
        if later and later[0][0] > last + 1:
            return
        self.last = max(last, later[-1][1] if later else -1)
        self._waiting.clear()


class Sight:
    """I7: whoever sends an order that opens has a whole book, a living stream, a mark, a read account and a journal that is written."""

    def __init__(self, symbol: str, *, is_perp: bool) -> None:
        self._symbol, self._is_perp = symbol, is_perp
        self.found: list[str] = []
        self.born()

    def born(self) -> None:
        """A life begins: it has seen nothing."""
        self._depth = Depth()
        self._public: object = None
        self.public_us = self.mark_us = self.read_us = 0

    def subscribes(self, end: object, message: bytes) -> bool:
        """A message left on a stream's end; True when it makes it the public one."""
        asked = json.loads(message)
        if asked.get("method") == "SUBSCRIBE" and f"depth.{self._symbol}" in asked.get("params", ()):
            self._public = end
            self._depth.restart()
            return True
        return False

    def frames(self, end: object, rows: list[Any], now_us: int) -> None:
        """Frames were delivered on a stream's end, decoded."""
        if end is not self._public:
            return
        if self.public_us and now_us - self.public_us > FEED_AGE and self._depth.holds:
            pass  # whoever comes after a silence may be of the old connection; the program replaces it, and so a new end comes
        self.public_us = now_us
        for row in rows:
            data = row.get("data") if isinstance(row, dict) else None
            if not isinstance(data, dict) or data.get("s") != self._symbol:
                continue
            if data.get("e") == "depth" and isinstance(data.get("U"), int) and isinstance(data.get("u"), int):
                self._depth.delta(data["U"], data["u"])
            elif data.get("e") == "markPrice":
                self.mark_us = now_us

    def answered(self, method: str, path: str, status: int, body: bytes, asked_us: int) -> None:
        """An answer was delivered."""
        if status != 200 or method != "GET":
            return
        if path == "/api/v1/depth":
            try:
                last = int(json.loads(body)["lastUpdateId"])
            except (ValueError, KeyError, TypeError):
                return
            self._depth.snapshot(last)
        elif path == "/api/v1/orders":
            self.read_us = max(self.read_us, asked_us)

    def leaves(self, client_id: int, now_us: int, *, opens: bool, refuses: bool) -> None:
        """A submission leaves. `refuses`: the disk takes nothing just now."""
        if not opens:
            return
        blind = []
        if not self._depth.holds:
            blind.append("no whole book")
        if now_us - self.public_us > FEED_AGE:
            blind.append(f"the stream is silent for {(now_us - self.public_us) // SECOND} s")
        if now_us - self.read_us > ACCOUNT_AGE:
            blind.append(f"the account was read {(now_us - self.read_us) // SECOND} s ago")
        if self._is_perp and now_us - self.mark_us > MARK_AGE:
            blind.append(f"the mark is {(now_us - self.mark_us) // SECOND} s old")
        if refuses:
            blind.append("the journal cannot be written")
        if blind:
            self.found.append(f"I7: client id {client_id} opens although {', '.join(blind)}")


class Responsive:
    """I13: no callback handles more than 1,000 items, and nothing beyond a frame's cap."""

    def __init__(self, items: int = 1_000, frame_bytes: int = 16 << 20) -> None:
        self._items, self._bytes = items, frame_bytes
        self.most = 0
        self.found: list[str] = []

    def handles(self, items: int, size: int = 0) -> None:
        """A callback was given so much."""
        self.most = max(self.most, items)
        if items > self._items:
            self.found.append(f"I13: {items} items in one callback")
        if size > self._bytes:
            self.found.append(f"I13: a message of {size} bytes")
