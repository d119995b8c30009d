"""I6: a perpetual's position has a resting reduce-only stop over all of it, on the right side and not too far away. Plain values only."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

SECOND = 1_000_000


class Protection:
    """I6, counted over time in which the program lives and can reach the exchange.

    Args:
        within_us: longest time without.
        furthest: of the trigger from the average price of what is held, as a part of it.
    """

    def __init__(self, furthest: Decimal, within_us: int = 5 * SECOND) -> None:
        self._within_us, self._furthest = within_us, furthest
        self._since_us = 0
        self._cancelled: set[str] = set()
        self.found: list[str] = []

    def idle(self, now_us: int) -> None:
        """Nobody is there who could protect."""
        self._since_us = now_us

    def cancels(self, order_id: str, position: Decimal, stops: list[Mapping[str, Any]], held_us: int) -> None:
        """A cancel leaves; `held_us`: how long the position has not been flat. A stop goes only where another one covers what is held."""
        if order_id in self._cancelled:
            return  # a cancel that was sent is repeated until its end is known
        self._cancelled.add(order_id)
        mine = [stop for stop in stops if stop["id"] == order_id]
        others = [stop for stop in stops if stop["id"] != order_id and self._covers(position, stop)]
        if mine and position and held_us > SECOND and not others:
            self.found.append(f"I6: the stop {order_id} over {position} is cancelled and no other one is there")

    def step(self, position: Decimal, average: Decimal, stops: list[Mapping[str, Any]], now_us: int, *, clear: bool) -> None:
        """Look; a stop is `side`, `covers` (None = everything), `trigger`, `reduce_only`."""
        if not clear or not position or any(self._fits(position, average, stop) for stop in stops):
            self._since_us = now_us
        elif now_us - self._since_us > self._within_us:
            self.found.append(f"I6: {position} held and no stop over it for {(now_us - self._since_us) / SECOND} s")
            self._since_us = now_us

    def _fits(self, position: Decimal, average: Decimal, stop: Mapping[str, Any]) -> bool:
        near = not average or abs(stop["trigger"] - average) <= self._furthest * average
        return near and self._covers(position, stop)

    def _covers(self, position: Decimal, stop: Mapping[str, Any]) -> bool:
        side = stop["side"] * position < 0
        whole = stop["covers"] is None or stop["covers"] >= abs(position)
        return bool(side and whole and stop["reduce_only"])
