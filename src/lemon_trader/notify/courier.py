"""Carries alerts out: `tell` only takes a note, everything that waits is done by a task for each target.

A target that is slow or gone delays nobody else. Its queue is bounded; what fails is tried again, ever later, and given up after an hour.
Alerts that differ in nothing but their figures are told once and then counted for a minute. That something could not be delivered is itself
an alert, for the log, the screens and the other targets.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from lemon_trader.config.settings import AlertSettings
from lemon_trader.core.state import Alert
from lemon_trader.core.units import US_PER_S
from lemon_trader.env import Env
from lemon_trader.logger import Redactor
from lemon_trader.notify.notice import Notice, event_of, likeness, notice_of
from lemon_trader.notify.web import Undelivered
from lemon_trader.utils.backoff import Backoff

WAITING_MAX: Final = 100  # notices that wait for one target
LIKE_US: Final = 60 * US_PER_S  # alerts like one that was told are counted for so long
AGE_US: Final = 3_600 * US_PER_S  # what is older is news no more
FIRST_US: Final = 2 * US_PER_S
CAP_US: Final = 300 * US_PER_S
OFF: Final = "off"
SILENT: Final = "silent"

OnTrouble = Callable[[str, str, dict[str, str]], None]  # message id, grade, values


class Target(Protocol):
    """Somewhere that takes a notice."""

    async def deliver(self, notice: Notice) -> None:
        """Deliver it once. Raises Undelivered."""


class _Waiting(msgspec.Struct, frozen=True):
    notice: Notice
    since_us: int


class Courier:
    """Tells alerts to every target.

    Attributes:
        channels: one for each target.
    """

    def __init__(
        self, env: Env, settings: AlertSettings, targets: Sequence[tuple[str, Target]], *, mode: str, account: str, redactor: Redactor,
        on_trouble: OnTrouble,
    ) -> None:  # fmt: skip
        """Begin to carry.

        Args:
            env: by whose time is waited: the machine's, whatever speed a sandbox has.
            settings: how loud each event is.
            targets: with their labels.
            mode: of the engine; stands in every notice.
            account: its name or fingerprint; the same.
            redactor: knows the secrets.
            on_trouble: is told what could not be delivered, and that it can again.
        """
        self._env = env
        self._levels = settings.levels
        self._mode = mode
        self._account = account
        self._redactor = redactor
        self._told: dict[tuple[object, ...], int] = {}  # what was told lately -> how many like it since then
        self._latest: dict[tuple[object, ...], Alert] = {}
        self._is_closed = False
        self.channels = [Channel(env, label, target, on_trouble) for label, target in targets]

    def tell(self, alert: Alert) -> None:
        """Take an alert; never waits and never raises."""
        level = self._levels.get(event_of(alert.key), "on")
        if level == OFF or self._is_closed or not self.channels:
            return
        like = likeness(alert)
        if like in self._told:
            self._told[like] += 1
            self._latest[like] = alert
            return
        self._told[like] = 0
        self._env.call_later(LIKE_US, lambda: self._count(like))
        self._send(alert, 0)

    async def close(self, wait_us: int) -> None:
        """Tell what was only counted, give every channel this long for what still waits, and end."""
        for like in list(self._told):
            self._count(like)
        self._is_closed = True
        await asyncio.gather(*(channel.close(wait_us) for channel in self.channels))

    def _count(self, like: tuple[object, ...]) -> None:
        count, latest = self._told.pop(like, 0), self._latest.pop(like, None)
        if count and latest is not None and not self._is_closed:
            self._send(latest, count - 1)

    def _send(self, alert: Alert, repeats: int) -> None:
        silent = self._levels.get(event_of(alert.key)) == SILENT
        notice = notice_of(alert, mode=self._mode, account=self._account, redactor=self._redactor, silent=silent, repeats=repeats)
        for channel in self.channels:
            if alert.values.get("target") != channel.label:  # a target is not told of its own trouble: that would never end
                channel.put(notice)


class Channel:
    """The queue of one target and the task that empties it.

    Attributes:
        label: of the target.
        lost: notices that were given up since the last one that arrived.
    """

    def __init__(self, env: Env, label: str, target: Target, on_trouble: OnTrouble) -> None:
        self.label = label
        self.lost = 0
        self._env = env
        self._target = target
        self._on_trouble = on_trouble
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._in_trouble = False
        self._backoff = Backoff(lambda n: int(env.random() * n), first_us=FIRST_US, cap_us=CAP_US)
        self._task = env.spawn(self._run(), f"notify {label}")

    def put(self, notice: Notice) -> None:
        """Queue it; when the queue is full the oldest that is not grave makes room."""
        if len(self._waiting) >= WAITING_MAX:
            oldest = next((n for n, w in enumerate(self._waiting) if n and w.notice.grade != "grave"), 1)
            del self._waiting[oldest]  # the first one is being delivered
            self.lost += 1
        self._waiting.append(_Waiting(notice, self._env.now_us()))
        self._empty.clear()
        self._arrived.set()

    async def close(self, wait_us: int) -> None:
        """Wait at most so long until nothing waits any more, then end."""
        timer = self._env.call_later(wait_us, self._empty.set)
        await self._empty.wait()
        timer.cancel()
        self._task.cancel()
        if self._waiting and not self._in_trouble:
            self._on_trouble("alert.undelivered", "warn", {"target": self.label, "reason": "still on its way when the program ended"})

    async def _run(self) -> None:
        while True:
            while not self._waiting:
                self._empty.set()
                self._arrived.clear()
                await self._arrived.wait()
            await self._deliver(self._waiting[0])

    async def _deliver(self, first: _Waiting) -> None:
        try:
            await self._target.deliver(first.notice)
        except Undelivered as error:
            if not self._in_trouble:
                self._in_trouble = True
                self._on_trouble("alert.undelivered", "warn", {"target": self.label, "reason": str(error)})
            if not error.for_good and self._env.now_us() - first.since_us < AGE_US:
                await self._env.sleep(self._backoff.next_us())
                return
            self.lost += 1
        else:
            self._backoff.reset()
            if self._in_trouble:
                self._in_trouble = False
                lost, self.lost = self.lost, 0
                self._on_trouble("alert.delivered", "info", {"target": self.label, "lost": str(lost)})
        self._waiting.popleft()
