"""An asyncio event loop in which nothing waits: when nothing is ready, time moves to the next timer.

A day of timers passes in the time that its callbacks take. Nothing ready and nothing scheduled is a deadlock, reported with the names of
the tasks that wait. The same callbacks in the same order give the same run. With `shuffle`, task steps that are ready together run in an
order drawn from its seed, which finds code that relies on the order of tasks.
"""

import asyncio
import heapq
import itertools
import random
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

EXECUTOR_DELAY_S = 0.001


class Deadlock(RuntimeError):
    """Tasks wait and nothing will ever wake them."""


class _NoSelector(selectors.BaseSelector):
    """A selector that never waits: asked to, it moves the time."""

    def __init__(self) -> None:
        self.loop: VirtualLoop
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            self.loop.report_deadlock()
        elif timeout > 0:
            self.loop.advance(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise AssertionError(f"a real file or socket under virtual time: {fileobj!r}")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise AssertionError(f"a real file or socket under virtual time: {fileobj!r}")

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop. `now_us` is its time, µs from 0."""

    def __init__(self, *, shuffle: random.Random | None = None) -> None:
        self.now_us = 0
        self._shuffle = shuffle
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, asyncio.TimerHandle]] = []
        selector = _NoSelector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-7  # below a microsecond: two timers a microsecond apart are not ready together

    def time(self) -> float:
        return self.now_us / 1e6

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        # The number keeps the place among timers of the same instant: a heap alone would mix them.
        heapq.heappush(self._due, (when, next(self._numbers), timer))
        return timer

    def advance(self, seconds: float) -> None:
        self.now_us += max(1, round(seconds * 1e6))

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Inline, after a little virtual time: a thread would bring the machine's own order into the run."""
        done: asyncio.Future[Any] = self.create_future()

        def run() -> None:
            if done.cancelled():
                return
            try:
                result = func(*args)
            except Exception as fault:  # noqa: BLE001  it is handed to whoever waits
                done.set_exception(fault)
            else:
                done.set_result(result)

        self.call_later(EXECUTOR_DELAY_S, run)
        return done

    def report_deadlock(self) -> None:
        waiting = sorted(task.get_name() for task in asyncio.all_tasks(self) if not task.done())
        raise Deadlock(f"nothing is ready and no timer is set; waiting: {', '.join(waiting) or 'nobody'}")

    def _run_once(self) -> None:
        """As asyncio does it, without a selector to ask: cancelled timers go, time moves when nothing is ready, what is due runs."""
        due, ready = self._due, self._ready
        while due and due[0][2]._cancelled:
            heapq.heappop(due)
        if not ready and not self._stopping:
            if not due:
                self.report_deadlock()
            if due[0][0] > self.now_us / 1e6:
                self.advance(due[0][0] - self.now_us / 1e6)
        end = self.now_us / 1e6 + self._clock_resolution
        while due and due[0][0] < end:
            timer = heapq.heappop(due)[2]
            if not timer._cancelled:
                ready.append(timer)
        if self._shuffle is not None and len(ready) > 1:
            ready = self._ready = self._permuted(ready, self._shuffle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """A cancelled timer goes when its time has come."""

    @staticmethod
    def _permuted(ready: Any, shuffle: random.Random) -> Any:
        """Task steps change places among themselves; plain callbacks keep theirs, because asyncio promises their order."""
        handles = list(ready)
        places = [
            i for i, handle in enumerate(handles) if type(handle._callback).__name__ in {"TaskStepMethWrapper", "TaskWakeupMethWrapper"}
        ]
        steps = [handles[i] for i in places]
        shuffle.shuffle(steps)
        for place, step in zip(places, steps, strict=True):
            handles[place] = step
        return deque(handles)

    # No pair of sockets to wake the loop from other threads: there are none.

    def _make_self_pipe(self) -> None:
        pass

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def run(main: Callable[[], Coroutine[Any, Any, Any]], *, shuffle: random.Random | None = None) -> Any:
    """Run one coroutine under virtual time until it ends; tasks left over are cancelled."""
    loop = VirtualLoop(shuffle=shuffle)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
