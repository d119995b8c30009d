"""What the exchange's edge saw, read from bytes alone: which orders were asked for, and how often under one client id."""

import json
from collections import Counter
from decimal import Decimal


class WireWitness:
    """Listens at the edge. Imports nothing of the program."""

    def __init__(self) -> None:
        self.submissions: Counter[int] = Counter()  # client id -> how often a submission with it reached the edge
        self.accepted: dict[int, list[str]] = {}  # client id -> order ids that the exchange gave for it
        self.cancel_all = 0
        self.forbidden: list[str] = []

    def __call__(self, method: str, path: str, body: bytes, status: int, answer: bytes) -> None:
        where = path.split("?", maxsplit=1)[0]
        if "withdrawals" in where and method == "POST":
            self.forbidden.append(path)
        if where == "/api/v1/orders" and method == "DELETE":
            self.cancel_all += 1
        if method != "POST" or where not in {"/api/v1/order", "/api/v1/orders"}:
            return
        asked = json.loads(body, parse_float=Decimal)
        for order in asked if isinstance(asked, list) else [asked]:
            self.submissions[int(order["clientId"])] += 1
            for key in ("autoBorrow", "autoBorrowRepay"):
                if order.get(key):
                    self.forbidden.append(key)
        if status == 200:
            said = json.loads(answer, parse_float=Decimal)
            for order in said if isinstance(said, list) else [said]:
                if order.get("id") and order.get("clientId") is not None:
                    self.accepted.setdefault(int(order["clientId"]), []).append(order["id"])

    def violations(self) -> list[str]:
        """What may never happen on the wire."""
        found = [f"client id {c} was submitted {n} times" for c, n in self.submissions.items() if n > 1]
        found += [f"client id {c} became {len(set(ids))} orders" for c, ids in self.accepted.items() if len(set(ids)) > 1]
        if self.cancel_all:
            found.append(f"the cancel-all endpoint was called {self.cancel_all} times")
        return found + [f"forbidden: {what}" for what in self.forbidden]
