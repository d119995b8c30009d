"""The turn: the facts of one network read in, journalled commands out. Plain, synchronous, without mode, clock or `await`.

Live, the socket's callback calls it; replay is `for facts in tape: engine.turn(facts)`. Every fact is with the operating system before
anything reacts to it, every attempt before any byte of it leaves.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

import msgspec

from lemon_trader.core.commands import Cancel, Command
from lemon_trader.core.decide import decide, fence, prepare, risk
from lemon_trader.core.events import MARKET_FACTS, AnyEvent, Decided, Event, IdsReserved, Told, Wake
from lemon_trader.core.limits import is_closing
from lemon_trader.core.state import IDS_BLOCK, AccountState, Alert, Recorded
from lemon_trader.core.step import step
from lemon_trader.database.journal import JournalUnwritable

_UNWRITTEN: Final = frozenset(MARKET_FACTS)  # public data goes to a tape if somebody wants one; a turn's record holds the view it used
_NOTHING_BOOKED: Final = ()  # never the state's own list, which the next fill grows
_IDS_LOW: Final = 256  # a new block is reserved when fewer are left: a turn sends at most one order a slot


class Writer(Protocol):
    """The journal as a turn needs it; it raises JournalUnwritable for what is only in memory. `sequence` counts what was appended."""

    sequence: int

    def append(self, event: AnyEvent) -> None:
        """Write one event through to the operating system."""

    def checkpoint(self, ts_us: int, state: bytes) -> None:
        """Write the whole state, so that the next start need not read what came before."""


class Sender(Protocol):
    """The venue as a turn needs it."""

    def send(self, commands: Sequence[Command]) -> None:
        """Send the commands of one turn; never calls back before it returns."""

    def expires_us(self, now_us: int) -> int:
        """Exchange time after which a command signed now is refused."""


class Engine:
    """One account's engine. `turn` is the only way in.

    Attributes:
        state: the fold of everything so far; read it, never write it.
        turns, sent: counters for the status line and the benchmarks.
        on_alert: what is told to people, after the commands have left.
        on_fact: (number in the journal, event, fills it booked) for the records, after the commands have left.
        deciding: False while a start recovers: facts are folded and nothing is sent.
        unwritten: the error that keeps the journal from the disk; None = it is written.
    """

    def __init__(self, state: AccountState, journal: Writer, venue: Sender) -> None:
        self.state = state
        self.turns = 0
        self.sent = 0
        self.deciding = False
        self.unwritten: Exception | None = None
        self.on_alert: Callable[[Alert], None] = _ignore
        self.on_fact: Callable[[int, Event, Sequence[Recorded]], None] | None = None
        self.on_wish: Callable[[], None] = _nothing  # a read of the account is wanted now
        self._journal = journal
        self._venue = venue
        self._booked = False
        self._told: list[tuple[int, Event, Sequence[Recorded]]] = []

    def turn(self, facts: Sequence[Event]) -> None:
        """Take the facts of one read: fold all of them, decide once, send what was decided."""
        state = self.state
        self.turns += 1
        now_us = 0
        weigh = False
        for fact in facts:
            kind = type(fact)
            if kind not in _UNWRITTEN:
                self._write(fact)
                weigh = weigh or kind is Wake
            now_us = max(now_us, fact.ts_us)
            self._fold(fact)
        if self._booked or weigh:
            self._booked = False
            for event in risk(state, now_us):
                self.record(event)
        if weigh:
            self._keep_house(now_us)
        if self.deciding:
            self._decide(now_us)
        if self._told or state.alerts or state.want_read:
            self.hand_out()

    def _decide(self, now_us: int) -> None:
        """Every market that must be asked: decide, journal; then send everything at once.

        What a market decided is folded before the next one is asked, and the last one's while its bytes are on their way: `send`
        never calls back, so nobody sees the difference but the clock.
        """
        state = self.state
        commands: list[Command] = []
        written: Decided | None = None
        for market in state.markets.values():
            touched = market.book_us == now_us and not market.in_band()
            if market.asked or touched or 0 < market.wake_us <= now_us:
                if written is not None:
                    self._fold(written)
                    written = None
                if state.ids_end - state.next_id < _IDS_LOW:
                    self._reserve(now_us)
                decided, wanted = decide(state, market, now_us, self._venue.expires_us(now_us))
                if decided is None:
                    continue
                if not self._write(decided) and decided.attempts:
                    decided, wanted = self._without_exposure(decided, wanted)
                written = decided
                commands += wanted
        if commands:
            self.sent += len(commands)
            self._venue.send(commands)
        if written is not None:
            self._fold(written)

    def _without_exposure(self, decided: Decided, wanted: list[Command]) -> tuple[Decided, list[Command]]:
        """No durable journal, no new exposure: cancels and protection go on from memory."""
        state = self.state
        state.next_id = max(state.next_id, decided.attempts[-1].client_id + 1)  # the spooled record holds all of these ids
        closing = tuple(a for a in decided.attempts if is_closing(a.role))
        kept = {a.client_id for a in closing}
        return msgspec.structs.replace(decided, attempts=closing), [c for c in wanted if type(c) is Cancel or c.client_id in kept]

    def fence(self, now_us: int) -> None:
        """Ask the venue's queue about orders of unknown outcome whose lease is over: all that is sent before strategies are asked."""
        for market in self.state.markets.values():
            decided, commands = fence(self.state, market, now_us)
            if decided is not None:
                self.record(decided)
                self.sent += len(commands)
                self._venue.send(commands)

    def look(self, now_us: int) -> None:
        """Bring every market's view and position to this moment without deciding: for snapshots."""
        for market in self.state.markets.values():
            prepare(self.state, market, now_us)

    def checkpoint(self, now_us: int) -> None:
        """Write the whole state into the journal; where the disk refuses, the next one will do."""
        if self.unwritten is None:
            try:
                self._journal.checkpoint(now_us, msgspec.msgpack.encode(self.state.image()))
            except JournalUnwritable as error:
                self._refused(now_us, error)

    def record(self, event: Event) -> None:
        """Write an event of our own and fold it."""
        self._write(event)
        self._fold(event)

    def _fold(self, event: Event) -> None:
        state = self.state
        step(state, event)
        recorded = state.recorded
        if recorded:
            state.recorded = []
            self._booked = True
        if self.on_fact is not None:
            number = self._journal.sequence + (1 if type(event) in _UNWRITTEN else 0)
            self._told.append((number, event, recorded or _NOTHING_BOOKED))

    def _reserve(self, now_us: int) -> None:
        state = self.state
        self.record(IdsReserved(now_us, state.next_id, max(state.ids_end, state.next_id) + IDS_BLOCK))

    def _write(self, event: Event) -> bool:
        try:
            self._journal.append(cast("AnyEvent", event))
        except JournalUnwritable as error:
            self._refused(event.ts_us, error)
            return False
        if self.unwritten is not None:
            self.unwritten = None
            self.state.store_ok = True
            self.state.tell(event.ts_us, "alert.journal_writable", "warn")
        return True

    def _refused(self, now_us: int, error: JournalUnwritable) -> None:
        """The disk does not take the journal: from now on nothing opens."""
        if self.unwritten is None:
            self.unwritten = error
            self.state.store_ok = False
            self.state.tell(now_us, "alert.journal_unwritable", "grave", error=error)

    def _keep_house(self, now_us: int) -> None:
        for market in self.state.markets.values():
            market.orders.forget(now_us)

    def hand_out(self) -> None:
        """Journal and hand out what is to be told. A turn does it by itself; outside one it is for the last words of a life."""
        state = self.state
        alerts, state.alerts = state.alerts, []
        for alert in alerts:
            self.record(Told(alert.ts_us, alert.key, alert.grade, alert.values))
        if self._told and self.on_fact is not None:
            told, self._told = self._told, []
            for number, event, recorded in told:
                self.on_fact(number, event, recorded)
        for alert in alerts:
            self.on_alert(alert)
        if state.want_read:
            self.on_wish()


def _ignore(_: object) -> None:
    """Nobody listens."""


def _nothing() -> None:
    """Nobody listens."""
