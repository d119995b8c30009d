"""An event loop in a thread of its own, for faces that wait for a person: the exchange beside them lives on while nobody types."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from lemon_trader.env_live import new_loop

T = TypeVar("T")


class SideLoop:
    """Carries coroutines for a caller that blocks. Made, used and closed by the same thread."""

    def __init__(self) -> None:
        """Begin; the thread is a daemon, so that a second Ctrl-C can leave whatever hangs."""
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._carry, name="exchange beside a face", daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives back, or raises. Ctrl-C cancels it, waits for its end and is raised; a second one does not wait."""
        begun: Future[asyncio.Task[T]] = Future()
        done: Future[T] = Future()

        def begin() -> None:
            task = self._loop.create_task(work)
            task.add_done_callback(lambda ended: _hand_over(ended, done))
            begun.set_result(task)

        self._loop.call_soon_threadsafe(begin)
        try:
            return done.result()
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(begun.result().cancel)
            done.exception()
            raise

    def close(self) -> None:
        """End the loop and what still runs on it; harmless when called again."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _carry(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        rest = asyncio.all_tasks(self._loop)
        for task in rest:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))


def _hand_over(ended: "asyncio.Task[T]", done: "Future[T]") -> None:
    if ended.cancelled():
        done.set_exception(InterruptedError("cancelled"))
        return
    fault = ended.exception()
    if fault is not None:
        done.set_exception(fault)
    else:
        done.set_result(ended.result())
