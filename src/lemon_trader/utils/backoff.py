"""How long to wait before trying again: exponential, capped, and drawn by chance, so that clients that fell together rise apart."""

from collections.abc import Callable


class Backoff:
    """Waits of one thing that is tried again and again.

    The n-th wait is drawn uniformly between `least_us` and the smaller of `cap_us` and `first_us` x 2ⁿ.
    """

    __slots__ = ("_below", "_cap_us", "_failures", "_first_us", "_least_us")

    def __init__(self, below: Callable[[int], int], *, first_us: int = 500_000, cap_us: int = 30_000_000, least_us: int = 50_000) -> None:
        """Begin without a failure.

        Args:
            below: gives a whole number from 0 to its argument - 1, uniformly: the only chance in it.
            first_us: bound of the first wait, µs.
            cap_us: bound of every wait, µs.
            least_us: no wait is shorter, µs; a broken name service answers at once, and must not be asked in a tight loop.
        """
        assert 0 < least_us <= first_us <= cap_us
        self._below = below
        self._first_us = first_us
        self._cap_us = cap_us
        self._least_us = least_us
        self._failures = 0

    @property
    def failures(self) -> int:
        """Waits drawn since the last reset."""
        return self._failures

    def next_us(self) -> int:
        """The next wait, µs."""
        # The exponent is bounded before it is used: an outage of days must not build huge numbers.
        bound = min(self._cap_us, self._first_us << min(self._failures, 40))
        self._failures += 1
        return self._least_us + self._below(bound - self._least_us + 1)

    def reset(self) -> None:
        """It worked: the next wait is a first one again."""
        self._failures = 0
