"""Orders that wait for a price, kept so that a price that moves touches only those that fire.

A trigger fires when its price is reached from the side on which the price stood at placement: one above the price then waits for a rise,
one below for a fall, whatever side it would trade; so a stop and a take-profit are the same thing. One that stands exactly at the price
fires at once. Where the price is not known yet, the first statement of it counts as the price at placement.
"""

from heapq import heapify, heappop, heappush
from typing import Final

from lemon_trader.matching.orders import TRIGGER_PENDING, OrderState, TriggerBy

_SLACK: Final = 64  # ended triggers a heap may carry before it is rebuilt

_Heap = list[tuple[int, int, OrderState]]


class TriggerBook:
    """The pending triggers of one market that watch one of its prices."""

    __slots__ = ("_falling", "_live", "_rising", "_waiting")

    def __init__(self) -> None:
        self._rising: _Heap = []  # (ticks, id, order): fires when the price is at or above
        self._falling: _Heap = []  # (-ticks, id, order): fires when the price is at or below
        self._waiting: list[OrderState] = []  # no price known yet
        self._live = 0

    def add(self, order: OrderState, price_ticks: int) -> None:
        """Arm a trigger while the watched price is `price_ticks`; 0 = unknown."""
        self._live += 1
        if not price_ticks:
            self._waiting.append(order)
        elif order.trigger_ticks >= price_ticks:
            heappush(self._rising, (order.trigger_ticks, order.order_id, order))
        else:
            heappush(self._falling, (-order.trigger_ticks, order.order_id, order))
        if len(self._rising) + len(self._falling) > 2 * self._live + _SLACK:
            self._rising = [entry for entry in self._rising if entry[2].status is TRIGGER_PENDING]
            self._falling = [entry for entry in self._falling if entry[2].status is TRIGGER_PENDING]
            heapify(self._rising)
            heapify(self._falling)

    def ended(self) -> None:
        """Count one trigger that fired or was cancelled; the latter's entry goes when it surfaces or the heaps are rebuilt."""
        self._live -= 1

    def refine(self, ticks_by: int) -> None:
        """Express the prices in a finer grid; the orders are expressed already."""
        self._rising = [(ticks * ticks_by, order_id, order) for ticks, order_id, order in self._rising]
        self._falling = [(ticks * ticks_by, order_id, order) for ticks, order_id, order in self._falling]

    def due(self, low_ticks: int, high_ticks: int) -> list[OrderState]:
        """Take out the triggers that fire on a price that has moved between `low_ticks` and `high_ticks`, oldest order first."""
        if not self._live:
            return []
        fired: list[OrderState] = []
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for order in waiting:
                if order.status is TRIGGER_PENDING:
                    self._live -= 1
                    self.add(order, high_ticks)
        while self._rising and self._rising[0][0] <= high_ticks:
            fired.append(heappop(self._rising)[2])
        while self._falling and -self._falling[0][0] >= low_ticks:
            fired.append(heappop(self._falling)[2])
        fired = [order for order in fired if order.status is TRIGGER_PENDING]
        fired.sort(key=_age)
        return fired


def watched_prices() -> dict[TriggerBy, TriggerBook]:
    """A market's three empty trigger books."""
    return {by: TriggerBook() for by in TriggerBy}


def _age(order: OrderState) -> int:
    return order.order_id
