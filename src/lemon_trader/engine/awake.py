"""Whether the machine stood still: a laptop that slept, a virtual machine that was paused, a clock that somebody set.

While it stands still nothing is watched, and what the program believes is old when it goes on.
"""

from typing import Final

from lemon_trader.core.units import US_PER_S

LOOK_US: Final = 5 * US_PER_S
STILL_US: Final = 30 * US_PER_S


class Awake:
    """Compares two clocks from look to look: the steady one, which on most systems counts a sleep, and the wall's, which may be set."""

    def __init__(self, steady_us: int, wall_us: int) -> None:
        self._steady_us = steady_us
        self._wall_us = wall_us

    def look(self, steady_us: int, wall_us: int) -> tuple[str, int] | None:
        """What happened since the last look, as (message id, seconds); None = time passed as it should. Look every `LOOK_US`."""
        steady, wall = steady_us - self._steady_us, wall_us - self._wall_us
        self._steady_us, self._wall_us = steady_us, wall_us
        if steady >= LOOK_US + STILL_US:
            return "alert.woke", steady // US_PER_S
        if abs(wall - steady) >= STILL_US:
            return "alert.clock_jumped", (wall - steady) // US_PER_S
        return None
