"""The watchdog: it hears the engine's pulse, and where that stops it cancels what opens, never what protects.

It is a process of its own and writes one file, the latch. The latch is also the token: whoever starts an engine on the store takes it
away, and from then on the watchdog does nothing any more. While it lies there no engine decides, so nobody fights over an order.

How it cancels is not told here: `Hands` is a short life of the same engine that trades (`run/watchdog.py`), so there is no second way to
an order.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Final

from lemon_trader.config.settings import LOCK_FILE
from lemon_trader.core.authority import WATCHDOG
from lemon_trader.core.events import Latched, UserCommand
from lemon_trader.core.units import HALTED, US_PER_S
from lemon_trader.env import Env, Store
from lemon_trader.utils.backoff import Backoff

LATCH_FILE: Final = "watchdog.json"
KILL_FILE: Final = "KILL"  # an empty file of this name in the store is a `kill`
LOOK_US: Final = US_PER_S // 4
AGAIN_US: Final = 60 * US_PER_S  # so often it is told that the end of an order is not proven yet
HUNG: Final = "hung"
DEAD: Final = "dead"

TELLS: Final = {HUNG: "alert.watchdog_hung", DEAD: "alert.watchdog_dead"}

Hands = Callable[[Callable[[], bool]], Awaitable[str]]  # "" = only what protects rests; else why that is not certain
Tell = Callable[..., None]  # message id, grade, and the values by name


class Watchdog:
    """Watches one engine until that says goodbye, or is dead and everything is done.

    Attributes:
        has_acted: the engine's silence has been answered; a beat forgets it.
    """

    def __init__(self, env: Env, store: Store, hands: Hands, tell: Tell, *, hung_us: int) -> None:
        """Know the parts; `run` begins.

        Args:
            env: the machine's own time.
            store: of the engine.
            hands: cancels what opens, while the function that it is given says True.
            tell: the operator.
            hung_us: an engine silent for so long is hung, > 0.
        """
        self.has_acted = False
        self._env = env
        self._store = store
        self._hands = hands
        self._tell = tell
        self._hung_us = hung_us
        self._silent_us = -1  # counted from the first beat on: a start may take its time
        self._is_dead = False
        self._has_left = False
        self._is_blind = False  # the disk refused the latch

    def beat(self) -> None:
        """The engine's loop has turned."""
        self._silent_us = 0
        self.has_acted = False

    def left(self) -> None:
        """The engine has ended in order: there is nothing to do."""
        self._has_left = True

    def lost(self) -> None:
        """The engine's process is gone."""
        self._is_dead = True

    async def run(self) -> None:
        """Watch; comes back when there is nothing to watch any more."""
        while not self._has_left:
            await self._env.sleep(LOOK_US)
            if self._is_dead:
                await self._after_death()
                return
            if self._silent_us >= 0:
                # Counted by looks and not by the clock: a machine that slept made both of us wait.
                self._silent_us += LOOK_US
            if self._silent_us >= self._hung_us and not self.has_acted:
                self.has_acted = True
                self._latch(HUNG)
                await self._clear(HUNG)

    async def _after_death(self) -> None:
        """Latch and cancel, unless another engine has started meanwhile: that one has asked the exchange and knows better."""
        if not self._store.lock(LOCK_FILE):
            return
        try:
            if not self._still_ours():
                self._latch(DEAD)  # under the lock: no engine starts between the question and the answer
        finally:
            self._store.unlock(LOCK_FILE)
        await self._clear(DEAD)

    def _latch(self, why: str) -> None:
        silent_s = max(0, self._silent_us) // US_PER_S
        body = {"reason": why, "silent_s": silent_s, "at_us": self._env.wall_us()}
        self._tell(TELLS[why], "grave", seconds=silent_s)
        try:
            self._store.replace(LATCH_FILE, json.dumps(body).encode())
        except OSError as error:
            # What rests is cancelled all the same; the next engine starts unlatched and converges as after any other death.
            self._is_blind = True
            self._tell("alert.watchdog_no_latch", "grave", reason=error)
        else:
            self._is_blind = False

    async def _clear(self, why: str) -> None:
        """Cancel until the end of everything that opens is proven, or an engine has taken the latch."""
        backoff = Backoff(lambda n: int(self._env.random() * n), first_us=US_PER_S, cap_us=10 * US_PER_S)
        told_us = self._env.now_us()
        while self._go_on(why):
            reason = await self._hands(lambda: self._go_on(why))
            if not reason:
                self._tell("alert.watchdog_done", "warn")
                return
            if self._go_on(why) and self._env.now_us() - told_us >= AGAIN_US:
                told_us = self._env.now_us()
                self._tell("alert.watchdog_not_done", "grave", reason=reason)
            await self._env.sleep(backoff.next_us())

    def _go_on(self, why: str) -> bool:
        """Whether nobody has taken over: the latch lies there still, or, where it could not be written, the engine is still gone."""
        if self._has_left or (why == HUNG and self._is_dead):
            return False
        if not self._is_blind:
            return self._still_ours()
        return self._silent_us >= self._hung_us if why == HUNG else self._is_unlocked()

    def _still_ours(self) -> bool:
        return LATCH_FILE in self._store.names()

    def _is_unlocked(self) -> bool:
        free = self._store.lock(LOCK_FILE)
        if free:
            self._store.unlock(LOCK_FILE)
        return free


def latches(store: Store, now_us: int) -> list[tuple[str, Latched | UserCommand]]:
    """What lies in the store and halts the engine, by the name of its file; `taken` comes when it stands in the journal. Raises OSError."""
    names = store.names()
    found: list[tuple[str, Latched | UserCommand]] = []
    if LATCH_FILE in names:
        found.append((LATCH_FILE, Latched(now_us, HALTED, WATCHDOG, _why(store.read(LATCH_FILE)))))
    if KILL_FILE in names:
        found.append((KILL_FILE, UserCommand(now_us, "kill", "", "file")))
    return found


def _why(body: bytes) -> str:
    """The words of a latch; one that cannot be read halts as well as any other."""
    try:
        said = json.loads(body)
        return f"{str(said['reason'])[:10]} {int(said['silent_s'])} s"
    except (ValueError, TypeError, KeyError):
        return "-"
