"""What the live checks leave in the account's store: their results, and while they run the orders that they have out.

`live-checks.json` is the record that lifts the cap of an unproven account. `live-checks-out.json` names every client id before its order is
sent and goes when all of them have ended: whatever dies in between, the next look knows what to clean up.
"""

import hashlib
import json
from typing import Any, Final

import msgspec

from lemon_trader.env import Store

RECORD_FILE: Final = "live-checks.json"
OUT_FILE: Final = "live-checks-out.json"
VERSION: Final = 1  # raised when the checks ask something new: an older record proves no more
FIRST_ID: Final = 4_200_000_000  # the engine counts up from 1 and never comes here
NAMES: Final = (
    "client-ids", "not-found", "history-lag", "history-limit", "triggers", "expired", "trigger-events", "cancels", "trade-ids",
    "cancel-all",
)  # fmt: skip


class Result(msgspec.Struct):
    """One check's outcome: a message id with its values for the reader, and findings as the exchange gave them."""

    passed: bool
    at_us: int
    key: str
    values: dict[str, str]
    findings: dict[str, Any]


class Record(msgspec.Struct):
    """The results of one account's checks, by name."""

    account: str
    version: int = VERSION
    results: dict[str, Result] = msgspec.field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Every check there is has passed."""
        return all(name in self.results and self.results[name].passed for name in NAMES)


class Out(msgspec.Struct):
    """Orders of ours that may rest, and how much of a perpetual the checks may hold.

    Attributes:
        next_id: the last client id taken; the next one is above it.
        sent_ms: exchange time at which the last of them was signed.
        orders: (symbol, client id) of every order that may not have ended.
        perp: market in which something may be held; the account was flat there when the checks began. "" = none.
        lots_max: the most that they may hold there, lots, long.
    """

    account: str
    next_id: int = FIRST_ID
    orders: list[tuple[str, int]] = msgspec.field(default_factory=list)
    perp: str = ""
    lots_max: int = 0
    sent_ms: int = 0


def fingerprint(api_key: str) -> str:
    """A name for the account that gives nothing away."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


def read_record(store: Store, api_key: str) -> Record:
    """This account's results so far; empty where there are none, of another account, of other checks, or unreadable. Raises OSError."""
    name = fingerprint(api_key)
    found = _decode(store.read(RECORD_FILE), Record)
    return found if found is not None and (found.account, found.version) == (name, VERSION) else Record(name)


def write_record(store: Store, record: Record) -> None:
    """Write the results, durably. Raises OSError."""
    store.replace(RECORD_FILE, json.dumps(msgspec.to_builtins(record) | {"passed": record.passed}, indent=1).encode())


def is_proven(store: Store, api_key: str) -> bool:
    """True when this account has passed every check of this version."""
    return read_record(store, api_key).passed


def read_out(store: Store, api_key: str) -> Out:
    """What earlier checks of this account may have out; the count of ids goes on. Raises OSError, ValueError for what cannot be read."""
    data = store.read(OUT_FILE)
    if not data:
        return Out(fingerprint(api_key))
    found: Out | None = _decode(data, Out)
    if found is None:
        raise ValueError(f"{OUT_FILE} cannot be read: look at the account's open orders by hand, then delete the file")
    if found.account != fingerprint(api_key):
        # Another key of the same store: what it has out is not ours to touch, and its ids are not known here.
        return Out(fingerprint(api_key))
    return found


def write_out(store: Store, out: Out) -> None:
    """Write what is out, durably, before anything of it is sent. Raises OSError."""
    store.replace(OUT_FILE, json.dumps(msgspec.to_builtins(out)).encode())


def _decode(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind) if data else None
    except msgspec.DecodeError:
        return None
