"""From a snapshot and a stream of deltas to one unbroken chain: which facts of a market's depth may be believed, and when. Pure.

The exchange sends no snapshot on its stream: deltas are kept until the book has been read by REST, those that the snapshot contains already
are dropped, and the rest follows (API reference, depth and the local book).
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from lemon_trader.core.events import BookDelta, BookSnapshot, Event

BUFFER_MAX: Final = 5_000
NOTHING: Final[Sequence[Event]] = ()


class DepthSync:
    """The depth of one market on one connection.

    Attributes:
        wants_snapshot: the book must be read; set at the start and whenever the chain broke.
        fault: why the connection itself cannot be believed any more and must be replaced, "" = it can.
        last_id: the id up to which the book was told; -1 = none was.
    """

    __slots__ = ("_ahead_id", "_buffer", "fault", "last_id", "wants_snapshot")

    def __init__(self) -> None:
        self._buffer: deque[BookDelta] = deque()
        self.restart()

    def restart(self) -> None:
        """A new connection: nothing of the old one counts."""
        self._buffer.clear()
        self._ahead_id = -1
        self.last_id = -1
        self.wants_snapshot = True
        self.fault = ""

    @property
    def is_live(self) -> bool:
        """A book was told and its chain holds."""
        return self.last_id >= 0

    @property
    def is_ahead(self) -> bool:
        """A book read by REST went further than the stream has; it shall catch up."""
        return self._ahead_id > self.last_id >= 0

    def delta(self, event: BookDelta) -> Sequence[Event]:
        """Take a delta of the stream; what may be told now.

        A delta that leaves a gap is told as it is: whoever keeps the book drops it by that. One that goes back makes the connection
        worthless, because nothing says where its numbers stand.
        """
        if not self.is_live:
            self._keep(event)
            return NOTHING
        if event.first_id > self.last_id + 1:
            self._buffer.clear()
            self._keep(event)
            self.last_id = -1
            self.wants_snapshot = True
            return (event,)
        if event.last_id <= self.last_id:
            if self._ahead_id == -1 and event.last_id < self.last_id:
                self.fault = f"depth went back from {self.last_id} to {event.last_id}"
            return NOTHING
        self.last_id = event.last_id
        self._ahead_id = -1
        return (event,)

    def snapshot(self, event: BookSnapshot) -> Sequence[Event]:
        """Take a book read by REST on this connection; what may be told now.

        Wanted, it starts the chain when it meets the deltas kept. Unasked, it checks: a book of the very same id is told again, as a second
        source; one ahead of the stream is remembered, and when the stream has not passed it by the next check, it lost something.
        """
        if self.is_live:
            return self._check(event)
        buffer = self._buffer
        while buffer and buffer[0].last_id <= event.last_id:
            buffer.popleft()
        if buffer and buffer[0].first_id > event.last_id + 1:
            return NOTHING  # older than what the stream began with: it is read again
        told: list[Event] = [event, *buffer]
        self.last_id = buffer[-1].last_id if buffer else event.last_id
        # Deltas that the snapshot contains may still be on their way; until one passes it, going back is no fault.
        self._ahead_id = -1 if buffer else event.last_id
        self.wants_snapshot = False
        buffer.clear()
        return told

    def _check(self, event: BookSnapshot) -> Sequence[Event]:
        if self._ahead_id > self.last_id:
            self.fault = f"depth stopped at {self.last_id} while the book went on to {self._ahead_id}"
            return NOTHING
        if event.last_id > self.last_id:
            self._ahead_id = event.last_id
            return NOTHING
        return (event,) if event.last_id == self.last_id else NOTHING

    def _keep(self, event: BookDelta) -> None:
        buffer = self._buffer
        if buffer and event.first_id != buffer[-1].last_id + 1:
            buffer.clear()  # what stood before a gap leads nowhere
        buffer.append(event)
        if len(buffer) > BUFFER_MAX:
            buffer.popleft()
