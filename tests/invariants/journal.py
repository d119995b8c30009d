"""The journal read from the disk's own bytes: length (4, little endian) | 16 bytes of SHA-256(hash before | body) | msgpack body.

I4 (write-ahead), I14 (authority) and I15 (history). Imports nothing of the program.
"""

from collections import Counter
from hashlib import sha256
from typing import Any

import msgspec

HEAD = 20
ACTIVE, REDUCING, HALTED = 0, 1, 2
LIMITS = frozenset({"DAILY_LOSS", "DRAWDOWN"})
WATCHDOG = "WATCHDOG"
# Doors that need no login: what lies in the folder that only its owner can write, and a signal, which only its owner can send.
FILES = {"KILL": ("file", "kill"), "SIGUSR1": ("signal", "kill")}
LATCH = "watchdog.json"
EXIT, STOP = 2, 3


class Chain:
    """One journal file as it grows, is torn and is cut; decoded once, as far as it verifies.

    Attributes:
        entries: (end of its record in the file, entry) in order; market facts and wakes are left out.
        records: (end, hash) of every record that verifies.
        attempts: client id -> (end, the attempt).
        blocks: (end, first, behind the last) of reserved client ids.
        found: records that do not verify although they are whole.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[int, dict[str, Any]]] = []
        self.records: list[tuple[int, bytes]] = []
        self.attempts: dict[int, tuple[int, dict[str, Any]]] = {}
        self.blocks: list[tuple[int, int, int]] = []
        self.ever: list[dict[str, Any]] = []  # entries that were read at some time, also those that a loss of power took
        self.found: list[str] = []

    @property
    def end(self) -> int:
        """Up to where it was read."""
        return self.records[-1][0] if self.records else 0

    def read(self, data: bytes | bytearray) -> None:
        """Read on; a file that has become shorter is read anew from its last whole record."""
        if len(data) < self.end:
            self._rewind(len(data))
        at = self.end
        while at + HEAD <= len(data):
            length = int.from_bytes(data[at : at + 4], "little")
            end = at + HEAD + length
            if end > len(data):
                break  # a torn tail, or a record that is being written
            stored, body = bytes(data[at + 4 : at + HEAD]), bytes(data[at + HEAD : end])
            rows = msgspec.msgpack.decode(body)
            before = self.records[-1][1] if self.records else rows[0]["previous"]
            if sha256(before + body).digest()[:16] != stored:
                self.found.append(f"I15: the record at byte {at} does not continue the one before it")
                break
            self.records.append((end, stored))
            for row in rows:
                self._take(end, row)
            at = end

    def _take(self, end: int, row: dict[str, Any]) -> None:
        kind = row["type"]
        if kind in {"Wake", "Checkpoint", "Told"}:
            return
        self.entries.append((end, row))
        self.ever.append(row)
        if kind == "Decided":
            for attempt in row["attempts"]:
                self.attempts[attempt["client_id"]] = (end, attempt)
        elif kind == "IdsReserved":
            self.blocks.append((end, row["lo"], row["hi"]))

    def _rewind(self, length: int) -> None:
        self.records = [r for r in self.records if r[0] <= length]
        end = self.end
        self.entries = [e for e in self.entries if e[0] <= end]
        self.attempts = {c: a for c, a in self.attempts.items() if a[0] <= end}
        self.blocks = [b for b in self.blocks if b[0] <= end]


class WriteAhead:
    """I4: what leaves was written before, and survives a loss of power at least as a reserved id; so was every fill that was heard."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._heard: list[tuple[int, tuple[str, int]]] = []  # (until when it must be written, (order id, trade id))
        self._read = 0
        self._fills: set[tuple[str, int]] = set()
        self.found: list[str] = []

    def leaves(self, client_id: int, synced: int, *, closes: bool, refuses: bool) -> None:
        """A submission leaves the program. `synced`: bytes of the journal that survive; `refuses`: the disk takes nothing just now."""
        if refuses and closes:
            return  # protection goes on from memory
        written = self._chain.attempts.get(client_id)
        if written is None:
            self.found.append(f"I4: client id {client_id} leaves and is not in the journal")
        elif written[0] > synced and not any(end <= synced and lo <= client_id < hi for end, lo, hi in self._chain.blocks):
            self.found.append(f"I4: client id {client_id} leaves, and neither its record nor its block survives a loss of power")

    def hears(self, order_id: str, trade_id: int, until_us: int) -> None:
        """A fill has reached the program on a stream that it believes."""
        self._heard.append((until_us, (order_id, trade_id)))

    def forget(self) -> None:
        """The program has died: what it heard last is read again from the exchange."""
        self._heard.clear()

    def step(self, now_us: int) -> None:
        """Time has passed."""
        if not self._heard or self._heard[0][0] > now_us:
            return
        ever = self._chain.ever
        for row in ever[self._read :]:
            fills = row["fills"] if row["type"] == "AccountRead" else [row] if row["type"] == "Fill" else ()
            self._fills.update((fill["order_id"], fill["trade_id"]) for fill in fills)
        self._read = len(ever)
        while self._heard and self._heard[0][0] <= now_us:
            _, key = self._heard.pop(0)
            if key not in self._fills:
                self.found.append(f"I4: fill {key} was heard and is not in the journal")


class Authority:
    """I14: nothing changes what the program may do but a command that was given, or one of its own limits, and the journal says which.

    Attributes:
        given: action -> how often somebody gave it at a door that asks who he is.
        laid: `KILL`, `watchdog.json` or `SIGUSR1` -> how often somebody put that file there, or sent that signal.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.given: Counter[str] = Counter()
        self.laid: Counter[str] = Counter()
        self.found: list[str] = []

    def check(self, shown: str | None = None) -> None:
        """Compare the journal's commands with those that were given, and what is shown now with what they make of it."""
        mode, said, read = ACTIVE, Counter[str](), Counter[str]()
        for _, row in self._chain.entries:
            match row["type"]:
                case "UserCommand":
                    action, door = row["action"], row.get("origin", "")
                    for file, (opens, speaks) in FILES.items():
                        if door == opens:
                            read[file] += 1
                            if action != speaks:
                                self.found.append(f"I14: {action} came by {door}, which says {speaks} and nothing else")
                            break
                    else:
                        said[action] += 1
                    if action in {"kill", "flatten"}:
                        mode = HALTED
                    elif action == "resume":
                        mode = ACTIVE
                    elif action in {"stop", "cancel"} and not row["symbol"] and mode == ACTIVE:
                        mode = REDUCING
                case "Latched":
                    mode = row["mode"]
                    if row["reason"] == WATCHDOG:
                        read[LATCH] += 1
                    elif row["reason"] not in LIMITS:
                        self.found.append(f"I14: latched for {row['reason']}, which is no limit")
                    if mode != HALTED:
                        self.found.append(f"I14: a latch for {row['reason']} that halts nothing")
                case "Started" if mode == REDUCING:
                    mode = ACTIVE
        for what, counted, there in ((said, self.given, "given"), (read, self.laid, "laid down")):
            self.found += [
                f"I14: {n} times {name} in the journal, {there} {counted[name]} times" for name, n in what.items() if n > counted[name]
            ]
        names = ("ACTIVE", "REDUCING", "HALTED")
        if shown is not None and shown != names[mode]:
            self.found.append(f"I14: it is {shown}, and by its commands it must be {names[mode]}")


class History:
    """I15: append-only, chained, and nothing that was once durable is ever gone or another."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._durable: list[bytes] = []
        self._at = 0
        self.found: list[str] = []

    def step(self, synced: int) -> None:
        """Remember what survives from now on."""
        records = self._chain.records
        while self._at < len(records) and records[self._at][0] <= synced:
            self._durable.append(records[self._at][1])
            self._at += 1

    def end(self, data: bytes) -> None:
        """Read the whole file once more and compare."""
        whole = Chain()
        whole.read(data)
        self.found += whole.found + self._chain.found
        hashes = [digest for _, digest in whole.records]
        if hashes[: len(self._durable)] != self._durable:
            self.found.append("I15: a record that was durable is gone or another")
        if whole.end != len(data):
            self.found.append(f"I15: {len(data) - whole.end} bytes at the end are no record")


class Anchors:
    """I5, F44, F77: a day's anchor is set once; only a person's `resume` sets it anew."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.found: list[str] = []

    def end(self) -> None:
        """Over the whole journal."""
        day = -1
        for _, row in self._chain.entries:
            if row["type"] == "UserCommand" and row["action"] == "resume":
                day = -1
            elif row["type"] == "Anchor" and row["name"] == "day":
                if row["day"] <= day:
                    self.found.append(f"I5: the anchor of day {row['day']} is set again after that of day {day}")
                if row["day"] != row["ts_us"] // 86_400_000_000:
                    self.found.append(f"I5: at {row['ts_us']} µs an anchor is set for day {row['day']}")
                day = row["day"]
