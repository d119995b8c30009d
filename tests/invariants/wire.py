"""What the exchange's edge saw, read from bytes alone: which orders were asked for, and how often under one client id."""

import json
from collections import Counter
from collections.abc import Container
from decimal import Decimal


class WireWitness:
    """Listens at the edge. Imports nothing of the program."""

    def __init__(self) -> None:
        self.submissions: Counter[int] = Counter()  # client id -> how often a submission with it reached the edge
        self.accepted: dict[int, list[str]] = {}  # client id -> order ids that the exchange gave for it
        self.found: list[str] = []
        self._second: dict[str, int] = {}  # of what was found, the client id that the exchange took twice

    def __call__(self, method: str, path: str, body: bytes, status: int, answer: bytes) -> None:
        where = path.split("?", maxsplit=1)[0]
        if "withdrawals" in where and method == "POST":
            self.found.append(f"forbidden: {path}")
        if where == "/api/v1/orders" and method == "DELETE":
            self.found.append("the cancel-all endpoint was called")
        if method != "POST" or where not in {"/api/v1/order", "/api/v1/orders"}:
            return
        asked = json.loads(body, parse_float=Decimal)
        for order in asked if isinstance(asked, list) else [asked]:
            client_id = int(order["clientId"])
            self.submissions[client_id] += 1
            if self.submissions[client_id] > 1:
                self.found.append(f"client id {client_id} was submitted {self.submissions[client_id]} times")
            for key in ("autoBorrow", "autoBorrowRepay"):
                if order.get(key):
                    self.found.append(f"forbidden: {key}")
        if status == 200 and answer[:1] in {b"{", b"["}:  # a proxy's page is no answer
            said = json.loads(answer, parse_float=Decimal)
            for order in said if isinstance(said, list) else [said]:
                if order.get("id") and order.get("clientId") is not None:
                    orders = self.accepted.setdefault(int(order["clientId"]), [])
                    if orders and order["id"] not in orders:
                        self._tell(f"client id {order['clientId']} became a second order", int(order["clientId"]))
                    orders.append(order["id"])

    def violations(self, surprises: Container[int] = ()) -> list[str]:
        """What may never happen on the wire, and did; `surprises` are ids that the exchange itself took twice."""
        return [said for said in self.found if self._second.get(said) not in surprises]

    def _tell(self, said: str, client_id: int) -> None:
        self.found.append(said)
        self._second[said] = client_id
