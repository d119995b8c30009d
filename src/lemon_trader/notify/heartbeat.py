"""A sign of life to somewhere else, given only while all is well, so that silence is noticed where this program cannot speak."""

from collections.abc import Callable
from typing import Final

from lemon_trader.config.settings import Secret
from lemon_trader.core.units import US_PER_S
from lemon_trader.env import Env
from lemon_trader.notify.web import Undelivered, fetch

LOOK_AGAIN_US: Final = US_PER_S  # while something is not well
TOLD_AFTER: Final = 3  # signs in a row that did not arrive


class Heartbeat:
    """Asks an address again and again while `healthy` says so.

    Attributes:
        beats: signs that arrived.
        withheld: how often there was none to give, because something was not well.
    """

    def __init__(
        self, env: Env, address: Secret, every_us: int, healthy: Callable[[], bool], on_trouble: Callable[[str, str, dict[str, str]], None]
    ) -> None:
        self.beats = 0
        self.withheld = 0
        self._env = env
        self._address = address
        self._every_us = every_us
        self._healthy = healthy
        self._on_trouble = on_trouble
        self._missed = 0
        self._task = env.spawn(self._beat(), "heartbeat")

    def close(self) -> None:
        """Give no more signs."""
        self._task.cancel()

    async def _beat(self) -> None:
        while True:
            if self._healthy():
                await self._once()
                await self._env.sleep(self._every_us)
            else:
                self.withheld += 1
                await self._env.sleep(min(LOOK_AGAIN_US, self._every_us))

    async def _once(self) -> None:
        try:
            await fetch(self._env, self._address, "GET")
        except Undelivered as error:
            self._missed += 1
            if self._missed == TOLD_AFTER:
                self._on_trouble("alert.heartbeat_lost", "warn", {"reason": str(error), "count": str(self._missed)})
            return
        self.beats += 1
        self._missed = 0
