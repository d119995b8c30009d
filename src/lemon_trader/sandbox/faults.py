"""Faults on order: what tests let the exchange's edge do wrong. All of it is off by default.

A fault waits for a request that it fits and is used up by it. Faults may also be drawn: `odds` says how often each kind comes, and the
random numbers are the caller's, so that a seed replays the run.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from lemon_trader.core.units import PPM

OUTAGE: Final = '{"code":"SERVER_ERROR","message":"Unknown error, please check your request or try again later."}'


class Kind(StrEnum):
    """What goes wrong with one request."""

    LOSE_REQUEST = "lose_request"  # never arrives: not executed, not answered
    LOSE_REPLY = "lose_reply"  # executed, not answered
    ERROR_BEFORE = "error_before"  # answered with `status`, not executed
    ERROR_AFTER = "error_after"  # executed, answered with `status`
    DELAY_REPLY = "delay_reply"  # executed now, answered after `delay_us`
    EXECUTE_LATE = "execute_late"  # passed the edge, executed after `delay_us`, never answered
    ACCEPT_LATE = "accept_late"  # answered 202, executed after `delay_us`
    ACCEPT_NEVER = "accept_never"  # answered 202, never executed


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One fault. An empty method or path fits every request; `times` is how many requests it takes."""

    kind: Kind
    method: str = ""
    path: str = ""
    times: int = 1
    status: int = 503
    body: str = OUTAGE
    delay_us: int = 0

    def fits(self, method: str, path: str) -> bool:
        """Whether the request is one that this fault waits for."""
        return self.method in {"", method} and self.path in {"", path}


class Faults:
    """The faults that wait, and those that last.

    Attributes:
        history_lag_us: rows younger than this are not in any history yet.
        omit_trade_ids: fills come without a trade id, in history and stream.
        maintenance: every private request is refused with MAINTENANCE, and the status says so.
    """

    def __init__(self, draw: Callable[[int], int] | None = None, odds: Mapping[Kind, int] | None = None) -> None:
        """Take the dice in. `draw(n)` gives 0 … n-1; `odds` is ppm of the private requests by kind."""
        self._waiting: list[Fault] = []
        self._draw = draw
        self._odds = dict(odds or {})
        self._silent: dict[str, int] = {}
        self._drops: dict[str, int] = {}
        self.history_lag_us = 0
        self.omit_trade_ids = False
        self.maintenance = False

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """The ordered faults that have not met their requests yet."""
        return tuple(self._waiting)

    @property
    def odds(self) -> dict[Kind, int]:
        """How often each kind is drawn, ppm of the private requests."""
        return dict(self._odds) if self._draw is not None else {}

    def set_odds(self, draw: Callable[[int], int], odds: Mapping[Kind, int]) -> None:
        """Draw faults from now on with these odds, or, with none, no more. Raises ValueError when they are no share of a million."""
        if any(ppm < 0 for ppm in odds.values()) or sum(odds.values()) > PPM:
            raise ValueError(f"odds of {sum(odds.values())} ppm in all; give each 0 or more, and {PPM} at most together")
        self._draw, self._odds = draw, dict(odds)

    def clear(self) -> None:
        """Let everything go right again."""
        self._waiting.clear()
        self._odds.clear()
        self._silent.clear()
        self._drops.clear()
        self.history_lag_us = 0
        self.omit_trade_ids = self.maintenance = False

    def order(self, fault: Fault) -> None:
        """Let this fault wait for its requests, behind those that wait already."""
        self._waiting.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, if any; an ordered one goes before a drawn one."""
        for place, fault in enumerate(self._waiting):
            if fault.fits(method, path):
                if fault.times > 1:
                    self._waiting[place] = msgspec.structs.replace(fault, times=fault.times - 1)
                else:
                    del self._waiting[place]
                return fault
        if self._draw is not None and self._odds:
            roll = self._draw(PPM)
            for kind, odds_ppm in self._odds.items():
                if roll < odds_ppm:
                    return Fault(kind, delay_us=self._draw(10_000_000))
                roll -= odds_ppm
        return None

    def silence(self, prefix: str, until_us: int) -> None:
        """Send no frame of the streams whose names begin so, until then; their sockets stay open."""
        self._silent[prefix] = until_us

    def drop(self, prefix: str, frames: int) -> None:
        """Lose the next `frames` frames of the streams whose names begin so."""
        self._drops[prefix] = frames

    def swallows(self, stream: str, now_us: int) -> bool:
        """Whether this frame is lost."""
        if not self._silent and not self._drops:
            return False
        if any(stream.startswith(prefix) and now_us < until for prefix, until in self._silent.items()):
            return True
        for prefix, left in self._drops.items():
            if left > 0 and stream.startswith(prefix):
                self._drops[prefix] = left - 1
                return True
        return False
