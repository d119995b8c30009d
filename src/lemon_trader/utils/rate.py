"""The venue's rate limit as a bucket with a floor: a flood of reads can never take the requests that a cancel or a stop needs.

Whole numbers only. The bucket holds `burst` requests and refills so slowly that no minute, wherever it begins, sees more than the limit.
"""

from typing import Final

from lemon_trader.core.units import US_PER_S

MINUTE_US: Final = 60 * US_PER_S

# Who asks. Each may empty the bucket only down to its own floor.
PROTECT: Final = 0  # cancels, stops, reduce-only orders
PLACE: Final = 1
READ: Final = 2


class RateBudget:
    """One account's requests.

    Times are engine µs and must not go back; a call with an older time refills nothing.
    """

    __slots__ = (
        "_asked_until_us",
        "_at_us",
        "_burst",
        "_floors",
        "_full",
        "_held_until_us",
        "_hold_us",
        "_level",
        "_refill",
        "_refused_us",
    )

    def __init__(self, *, per_minute: int = 2_000, burst: int = 400, place_floor: int = 60, read_floor: int = 160) -> None:
        """A full bucket.

        Args:
            per_minute: requests that any minute may see at most.
            burst: requests that may leave at once, out of `per_minute`.
            place_floor: requests that ordinary places leave to cancels and protection.
            read_floor: requests that reads leave to everybody else.
        """
        assert 0 < place_floor < read_floor < burst < per_minute
        self._burst = burst
        self._refill = per_minute - burst  # a minute that begins with a full bucket sees burst + refill
        self._full = burst * MINUTE_US
        self._level = self._full  # in 1 / MINUTE_US of a request, so that refilling is exact
        self._floors = (0, place_floor * MINUTE_US, read_floor * MINUTE_US)
        self._at_us = 0
        self._held_until_us = 0
        self._hold_us = 0
        self._asked_until_us = 0  # the venue itself said for how long
        self._refused_us = 0

    def take(self, kind: int, now_us: int) -> bool:
        """Take one request of `kind` if it may leave now: where `wait_us` says 0."""
        self._advance(now_us)
        if self._level < self._floors[kind] + MINUTE_US or (kind != PROTECT and now_us < self._held_until_us):
            return False
        self._level -= MINUTE_US
        return True

    def wait_us(self, kind: int, now_us: int) -> int:
        """How long until a request of `kind` may leave, µs; 0 = now. Others may be quicker, so ask again then."""
        self._advance(now_us)
        held_us = 0 if kind == PROTECT else max(0, self._held_until_us - now_us)
        missing = self._floors[kind] + MINUTE_US - self._level
        return max(held_us, -(-missing // self._refill) if missing > 0 else 0)

    def throttled(self, now_us: int, hint_us: int = 0) -> None:
        """The venue said "too many": places and reads pause, twice as long each time it says so after a pause, up to a minute.

        What it says within a pause (to cancels, or to requests that were on their way) begins the same pause anew and does not double it.

        Args:
            now_us: when it said so.
            hint_us: how long it asked us to stay away, 0 = it did not say.
        """
        self._advance(now_us)
        if now_us >= self._held_until_us:
            self._hold_us = min(MINUTE_US, max(US_PER_S, 2 * self._hold_us))
        hint_us = min(MINUTE_US, hint_us)
        self._asked_until_us = max(self._asked_until_us, now_us + hint_us)
        self._held_until_us = max(self._held_until_us, now_us + max(self._hold_us, hint_us))
        self._refused_us = now_us

    def answered(self, now_us: int) -> None:
        """The venue served a request: after a pause that has ended, the next one starts small again.

        A cancel or a stop that is served within a pause, when every answer from before its last refusal has come, ends it: an account that
        nobody reads is one whose fills nobody protects. Should that be too early, the next pause is twice as long all the same.
        """
        if now_us >= self._held_until_us:
            self._hold_us = 0
        elif now_us - self._refused_us >= US_PER_S:
            self._held_until_us = max(now_us, self._asked_until_us)

    def left(self, kind: int, now_us: int) -> int:
        """Requests of `kind` that may leave at once."""
        self._advance(now_us)
        return max(0, (self._level - self._floors[kind]) // MINUTE_US)

    def _advance(self, now_us: int) -> None:
        passed_us = now_us - self._at_us
        if passed_us > 0:
            self._at_us = now_us
            self._level = min(self._full, self._level + passed_us * self._refill)
