"""I5: every order that leaves keeps to the limits, judged by the exchange's truth of this moment and by a copy of the limits of our own.

What is in the air counts as live and as filled. Plain values only; imports nothing of the program.
"""

from collections import deque
from collections.abc import Container, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

SECOND = 1_000_000
WINDOW = 8 * SECOND  # the exchange's edge refuses what was signed five seconds ago, by a clock that may differ


@dataclass(frozen=True)
class Bounds:
    """A copy of the limits: quote units, parts of a price, numbers."""

    budget: Decimal
    order: Decimal
    collar: Decimal
    closing_collar: Decimal
    orders: int
    burst: int = 150
    a_second: int = 15


@dataclass(frozen=True)
class Account:
    """What the exchange holds for us in one market now.

    Attributes:
        position: signed base.
        cost: of it, quote units, >= 0.
        live: orders that are not over (`side`, `price`, `open`, `is_trigger`, `client_id`).
    """

    position: Decimal
    cost: Decimal
    live: list[Mapping[str, Any]]


class Limits:
    """I5."""

    def __init__(self, bounds: Bounds, *, is_perp: bool) -> None:
        self._bounds, self._is_perp = bounds, is_perp
        self._air: dict[int, Mapping[str, Any]] = {}  # left, and not known to the exchange yet
        self._tokens, self._tokens_us = Decimal(bounds.burst), 0
        self.touches: deque[tuple[int, Decimal, Decimal]] = deque()  # what was shown in the last seconds: (when, bid, ask)
        self.halted = ""
        self.found: list[str] = []

    def born(self) -> None:
        """A new life has its own bucket, and nothing of it is in the air."""
        self._tokens = Decimal(self._bounds.burst)
        self._air.clear()

    def arrived(self, client_ids: list[int], now_us: int, late: Container[int] = ()) -> None:
        """These have reached the exchange, or never will; `late`: it holds these and takes them yet. Bytes that broke off are nobody's any more."""
        for client_id in client_ids:
            self._air.pop(client_id, None)
        self._air = {c: o for c, o in self._air.items() if c in late or now_us - o["left_us"] <= WINDOW}

    def shown(self, now_us: int, bid: Decimal, ask: Decimal) -> None:
        """A touch has reached the program."""
        self.touches.append((now_us, bid, ask))
        while self.touches[0][0] < now_us - 3 * SECOND and len(self.touches) > 1:
            self.touches.popleft()

    def leaves(self, order: Mapping[str, Any], account: Account, now_us: int, *, closes: bool, takes: bool) -> None:
        """An order leaves: `client_id`, `side`, `price`, `quantity`, `is_trigger`; `takes`: at once or not at all."""
        b, side, price, quantity = self._bounds, order["side"], order["price"], order["quantity"]
        who = f"I5: client id {order['client_id']}"
        self._spend(who, now_us)
        rest = [o for o in account.live if o["client_id"] not in self._air] + list(self._air.values())
        self._air[order["client_id"]] = {**order, "open": quantity, "left_us": now_us}
        if order["is_trigger"]:
            return
        if self.touches and (takes or not closes):  # an exit that rests names the price that it wants
            edge = max(ask for _, _, ask in self.touches) if side > 0 else min(bid for _, bid, _ in self.touches)
            reach = (price - edge) / edge * side
            most = b.closing_collar if closes else b.collar
            if reach > most + Decimal("0.005"):
                self.found.append(f"{who} reaches {reach:.4f} through the touch of {edge}, at most {most} may be")
        if closes:
            return
        worth = price * quantity
        if worth > b.order:
            self.found.append(f"{who} is worth {worth}, at most {b.order} may be")
        if len(rest) + 1 > b.orders:
            self.found.append(f"{who} makes {len(rest) + 1} orders, at most {b.orders} may be")
        same = [o for o in rest if o["side"] == side and not o["is_trigger"] and not o.get("foreign")]  # the budget is ours alone
        after = account.position * side + quantity + sum((o["open"] for o in same), Decimal(0))
        if after <= 0 or (side < 0 and not self._is_perp):
            return
        held = account.cost if account.position * side > 0 else Decimal(0)
        spent = held + worth + sum((o["open"] * o["price"] for o in same), Decimal(0))
        if account.position * side < 0 and self._is_perp:
            spent -= abs(account.position) * price  # what is held the other way round is closed first
        if spent > b.budget * Decimal("1.0005"):
            self.found.append(f"{who} brings {spent} at risk, the budget is {b.budget}")

    def _spend(self, who: str, now_us: int) -> None:
        b = self._bounds
        passed = Decimal(max(0, now_us - self._tokens_us)) / SECOND
        self._tokens = min(Decimal(b.burst), self._tokens + passed * b.a_second) - 1
        self._tokens_us = now_us
        if self._tokens < -1:
            self.found.append(f"{who} is one too many for {b.a_second} a second with a burst of {b.burst}")
            self._tokens = Decimal(0)
