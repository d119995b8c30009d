"""The life of our orders in one market, as a table.

An order is in one of eleven states (`architecture.md` §2). A terminal state is entered only on the venue's positive word, and only
when every fill that the venue says it had is booked: an end that runs ahead of its fills would look like room for another order. What
the venue says outside the table is kept raw and makes the order UNKNOWN; what we may not do ourselves raises `IllegalTransition`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lemon_trader.core.records import SLOTS, Working, as_row, pack, unpack
from lemon_trader.core.units import (
    ARMED,
    CANCELLED,
    CANCELLING,
    EXPIRED,
    FILLED,
    FIRST_TERMINAL,
    IN_FLIGHT,
    PROVEN_ABSENT,
    REJECTED,
    STATE_NAMES,
    TRIGGER,
    UNKNOWN,
    WORKING,
)

TOMBSTONE_US: Final = 24 * 3600 * 1_000_000  # so long the exchange may surprise us with an order that has ended
WHOLE_US: Final = 10 * 60 * 1_000_000  # after so long it is packed: most of a day's orders are never asked for again
_ANY: Final = frozenset(range(IN_FLIGHT, PROVEN_ABSENT + 1))

# From each state, where the next fact may take an order. IN_FLIGHT may go anywhere; every non-terminal state may go UNKNOWN.
TRANSITIONS: Final[dict[int, frozenset[int]]] = {
    IN_FLIGHT: _ANY,
    WORKING: _ANY - {PROVEN_ABSENT, ARMED, IN_FLIGHT},
    ARMED: _ANY - {PROVEN_ABSENT, IN_FLIGHT},
    CANCELLING: _ANY - {PROVEN_ABSENT, IN_FLIGHT},
    UNKNOWN: _ANY - {IN_FLIGHT},
    PROVEN_ABSENT: frozenset({WORKING, FILLED, ARMED, CANCELLED, EXPIRED}),  # the venue surprises us: the tombstone catches it
    FILLED: frozenset({FILLED}),
    CANCELLED: frozenset({WORKING, FILLED, CANCELLED, EXPIRED}),  # a live order under this id proves the end wrong
    EXPIRED: frozenset({WORKING, FILLED, CANCELLED, EXPIRED}),
    REJECTED: frozenset({WORKING, FILLED, ARMED, CANCELLED, EXPIRED}),
}


class IllegalTransition(AssertionError):
    """A change of our own making that the table does not know: a fault of the program."""


@dataclass(slots=True)
class Order(Working):
    """One attempt and what became of it; the first fields are what the diff sees (`records.Working`).

    Attributes:
        client_id: ours; negative for a child that a trigger made, which carries none.
        order_id: the venue's; "" until known.
        qty_lots: of this attempt; filled_lots: booked; stated_lots: what the venue says is filled, >= filled_lots.
        ending: terminal state that the venue told while fills were missing; 0 = none.
        expires_us: exchange time after which the edge refuses the attempt.
        lease: 1 when "not found" proves nothing before the lease ends (UNKNOWN, or cancelled before acknowledged).
        unknown_us: engine time since when it is UNKNOWN; 0 = it is not.
        fence_us: engine time of a definite "not found" after the lease; 0 = none yet.
        ended_us: engine time of the end; 0 = lives.
        missing: reads in a row that did not find it where it should be.
        ending_us: engine time since when an end waits for its fills; 0 = none waits.
        fence_venue_us: exchange time known when `fence_us` was set; it counts on through lives of the program, however short they are.
        told: 1 once the operator was told that it stays without an end.
    """

    client_id: int = 0
    order_id: str = ""
    qty_lots: int = 0
    filled_lots: int = 0
    stated_lots: int = 0
    ending: int = 0
    expires_us: int = 0
    lease: int = 0
    unknown_us: int = 0
    fence_us: int = 0
    fence_sent_us: int = 0
    ended_us: int = 0
    missing: int = 0
    venue_reason: str = ""
    ending_us: int = 0
    told: int = 0
    fence_venue_us: int = 0

    @property
    def is_live(self) -> bool:
        """Not known to have ended."""
        return self.state < FIRST_TERMINAL


class OrderTable:
    """Orders of one market by client id and by the venue's id; sums per slot that outlive the orders.

    Attributes:
        live: orders that are not known to have ended, oldest first.
        generation / filled / filled_ever / sent_us: per slot, as `View` names them.
        changes: counts whatever a view by slot depends on; who keeps such a view compares it.

    An order that has ended stays for a day: whole at first, then as a *stone*, packed. Asked for by either name it is whole again.
    """

    __slots__ = (
        "_by_client", "_by_order", "_stone_ids", "_stones", "_tombs", "changes", "filled", "filled_ever", "generation", "live", "sent_us",
    )  # fmt: skip

    def __init__(self) -> None:
        self.live: list[Order] = []
        self.changes = 1
        self.generation = [-1] * SLOTS
        self.filled = [0] * SLOTS
        self.filled_ever = [0] * SLOTS
        self.sent_us = [0] * SLOTS
        self._by_client: dict[int, Order] = {}
        self._by_order: dict[str, Order] = {}
        self._tombs: dict[int, Order] = {}  # insertion order is the order of ending, here and of the stones
        self._stones: dict[int, bytes] = {}
        self._stone_ids: dict[str, int] = {}

    def __iter__(self) -> Iterator[Order]:
        """Every order that is whole: the live ones, and those that ended lately."""
        return iter(self._by_client.values())

    def find(self, client_id: int, order_id: str) -> Order | None:
        """The order by either name; the venue's id decides where both are given, because a client id may be echoed late."""
        if order_id:
            order = self._by_order.get(order_id)
            if order is not None:
                return order
            if order_id in self._stone_ids:
                return self._unpacked(self._stone_ids[order_id])
        order = self._by_client.get(client_id)
        return self._unpacked(client_id) if order is None and client_id in self._stones else order

    def add(self, order: Order) -> None:
        """Take in a new attempt or an adopted order."""
        if order.client_id in self._by_client or order.client_id in self._stones:
            raise IllegalTransition(f"client id {order.client_id} is used twice")
        self.changes += 1
        self._by_client[order.client_id] = order
        self.live.append(order)
        if order.order_id:
            self._by_order[order.order_id] = order
        slot = order.slot
        if 0 <= slot < SLOTS:
            if order.generation > self.generation[slot]:
                self.generation[slot] = order.generation
                self.filled[slot] = 0
            self.sent_us[slot] = max(self.sent_us[slot], order.sent_us)

    def name(self, order: Order, order_id: str) -> None:
        """Note the venue's id of an order."""
        if order_id and order.order_id != order_id:
            order.order_id = order_id
            self._by_order[order_id] = order

    def move(self, order: Order, state: int, ts_us: int) -> None:
        """Change an order's state by a fact of the venue's. A terminal state waits in `ending` for the fills that belong to it."""
        if state >= FIRST_TERMINAL and state not in (PROVEN_ABSENT, REJECTED) and order.filled_lots < order.stated_lots:
            order.ending = state
            order.ending_us = order.ending_us or ts_us
            return
        if state == order.state:
            return
        if state not in TRANSITIONS[order.state]:
            if order.state >= FIRST_TERMINAL:
                return  # old news about an order that has ended
            state = UNKNOWN
        if order.state >= FIRST_TERMINAL and state < FIRST_TERMINAL:
            order.ended_us = 0
            self._tombs.pop(order.client_id, None)
            self.live.append(order)
        if state == UNKNOWN:
            order.unknown_us = order.unknown_us or ts_us
            order.lease = 1
        elif state in (WORKING, ARMED):
            order.unknown_us = 0
            order.lease = 0
            order.fence_us = order.fence_venue_us = 0
            order.acked = 1
            order.missing = 0
            if order.cancel_us and order.state == CANCELLING:
                state = CANCELLING  # a cancel once sent is never taken back
        ended = state >= FIRST_TERMINAL
        was_live = order.state < FIRST_TERMINAL
        order.state = state
        self.changes += 1
        if ended:
            order.unknown_us = 0
            order.open_lots = 0 if state == FILLED else max(0, order.qty_lots - order.filled_lots)
            order.ended_us = ts_us
            if was_live:
                self.live.remove(order)
                self._tombs[order.client_id] = order

    def sent_cancel(self, order: Order, ts_us: int, *, fence: bool) -> None:
        """A cancel leaves for it."""
        if order.state >= FIRST_TERMINAL:
            raise IllegalTransition(f"cancel of order {order.client_id}, which is {STATE_NAMES[order.state]}")
        order.cancel_us = ts_us
        if fence or order.state == UNKNOWN:
            order.fence_sent_us = ts_us
            return
        if not order.acked:
            order.lease = 1  # "not found" may only mean "not yet": it keeps the lease of an UNKNOWN
        order.state = CANCELLING
        self.changes += 1

    def book(self, order: Order, qty_lots: int, ts_us: int) -> None:
        """Count an execution of it."""
        order.filled_lots += qty_lots
        order.stated_lots = max(order.stated_lots, order.filled_lots)
        order.open_lots = max(0, order.qty_lots - order.filled_lots)
        self.changes += 1
        slot = order.slot
        if 0 <= slot < SLOTS:
            self.filled_ever[slot] += qty_lots
            if order.generation == self.generation[slot]:
                self.filled[slot] += qty_lots
        if order.state in (IN_FLIGHT, UNKNOWN) or order.state in (PROVEN_ABSENT, REJECTED):
            self.move(order, WORKING, ts_us)
        if order.ending and order.filled_lots >= order.stated_lots:
            ending, order.ending = order.ending, 0
            self.move(order, ending, ts_us)
        elif order.qty_lots and order.filled_lots >= order.qty_lots and order.kind != TRIGGER:
            self.move(order, FILLED, ts_us)

    def resize(self, order: Order, qty_lots: int) -> None:
        """The venue shrank it (reduce-only)."""
        order.qty_lots = qty_lots
        order.open_lots = max(0, qty_lots - order.filled_lots)
        self.changes += 1

    def rescale(self, tick_factor: int, lot_factor: int) -> None:
        """Say the same on a grid whose steps are smaller by these factors; exact."""
        for order in self._by_client.values():
            order.price_ticks *= tick_factor
            order.trigger_ticks *= tick_factor
            order.open_lots *= lot_factor
            order.qty_lots *= lot_factor
            order.filled_lots *= lot_factor
            order.stated_lots *= lot_factor
        self.filled = [lots * lot_factor for lots in self.filled]
        self.filled_ever = [lots * lot_factor for lots in self.filled_ever]
        self.changes += 1

    def forget(self, now_us: int) -> None:
        """Pack what ended a while ago, drop what ended longer ago than the tombstone."""
        while self._tombs:
            client_id, order = next(iter(self._tombs.items()))
            if order.ended_us >= now_us - WHOLE_US:
                break
            del self._tombs[client_id], self._by_client[client_id]
            self._by_order.pop(order.order_id, None)
            self._lay(order)
        while self._stones:
            client_id, stone = next(iter(self._stones.items()))
            order = unpack(Order, stone)
            if order.ended_us >= now_us - TOMBSTONE_US:
                break
            del self._stones[client_id]
            self._stone_ids.pop(order.order_id, None)

    def _lay(self, order: Order) -> None:
        self._stones[order.client_id] = pack(order)
        if order.order_id:
            self._stone_ids[order.order_id] = order.client_id

    def _unpacked(self, client_id: int) -> Order:
        order = unpack(Order, self._stones.pop(client_id))
        self._stone_ids.pop(order.order_id, None)
        self._take(order)
        return order

    def _take(self, order: Order) -> None:
        self._by_client[order.client_id] = order
        if order.order_id:
            self._by_order[order.order_id] = order
        if order.is_live:
            self.live.append(order)
        else:
            self._tombs[order.client_id] = order

    def image(self) -> dict[str, Any]:
        """Everything, for a checkpoint."""
        return {
            "orders": [list(as_row(o)) for o in self._by_client.values()],
            "stones": list(self._stones.values()),
            "slots": [self.generation, self.filled, self.filled_ever, self.sent_us],
        }

    def restore(self, image: dict[str, Any]) -> None:
        """Become what `image` was taken of."""
        self.changes += 1
        for values in image["orders"]:
            self._take(Order(*values))
        for stone in image.get("stones", ()):
            self._lay(unpack(Order, stone))
        self.generation, self.filled, self.filled_ever, self.sent_us = (list(x) for x in image["slots"])
