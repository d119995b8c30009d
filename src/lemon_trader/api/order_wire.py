"""The order path's own connections: places of a turn as one batch, cancels each alone, nothing ever sent twice.

Every command is answered by exactly one fact. What may have left and was not answered is unknown; what never left is a definite refusal
with the code `NOT_SENT`. Cancels and protective orders may use every connection; ordinary places use the first alone, so that a flood of
quotes never stands before a cancel.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from lemon_trader.api.http_wire import TIMEOUT_US, Headers, HttpWire, OnAnswer, OnLost, note_status
from lemon_trader.core.commands import Cancel, Command, Place
from lemon_trader.core.events import CancelAnswered, Event, PlaceRefused, PlaceUnknown
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import REDUCE_ONLY, TAKE, TRIGGER, US_PER_S
from lemon_trader.env import Env
from lemon_trader.exchanges.dialect import EXPIRED, Dialect, Request, Signer, WireError
from lemon_trader.utils.backoff import Backoff
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import PLACE, PROTECT, READ, RateBudget

NOT_SENT: Final = "NOT_SENT"
BATCH_MAX: Final = 20  # the largest batch that a client is known to send everywhere
WAIT_US: Final = US_PER_S // 2  # a command that waited this long for a connection is answered instead of sent
IDLE_US: Final = 20 * US_PER_S  # a connection silent for this long is asked the time, so that a dead one is found before an order does
SETTLED_US: Final = 10 * US_PER_S  # a connection that lived this long was a good one: the next is opened at once
ANSWER_BYTES_MAX: Final = 1 << 20

# Why a command did not leave.
NO_WAY: Final = "no connection"
TOO_LATE: Final = "no connection was free in time"
NO_BUDGET: Final = "the budget of requests keeps its rest for cancels and protection"

Sink = Callable[[Sequence[Event]], None]
_PROTECTIVE: Final = frozenset((TAKE, TRIGGER))


class OrderWire:
    """Where commands leave.

    Attributes:
        lanes: the connections; the first is the one for ordinary places.
    """

    def __init__(
        self,
        env: Env,
        url: str,
        dialect: Dialect,
        signer: Signer,
        clock: VenueClock,
        rate: RateBudget,
        instruments: Mapping[str, Instrument],
        sink: Sink,
        *,
        connections: int = 3,
        timeout_us: int = TIMEOUT_US,
    ) -> None:
        """Know the parts; `start()` connects.

        Args:
            env: the world.
            url: scheme://host[:port] of the exchange.
            dialect: its words.
            signer: who signs.
            clock: the exchange's time; a place is signed with the time at which it was given.
            rate: the account's requests.
            instruments: the markets by symbol; may grow and change.
            sink: where answers go, all of one read in one call, never during `send`.
            connections: how many; cancels of one turn leave together over as many as are idle.
            timeout_us: after which a request without an answer is unknown.
        """
        assert connections >= 2
        self._env = env
        self._dialect = dialect
        self._signer = signer
        self._clock = clock
        self._rate = rate
        self._instruments = instruments
        self._sink = sink
        self._timeout_us = timeout_us
        self._urgent: deque[_Job] = deque()
        self._ordinary: deque[_Job] = deque()
        self._unanswered: dict[int, list[Cancel]] = {}  # client id of a place without answer: cancels that wait for it
        self._facts: list[Event] = []
        self._is_waiting = False
        self._is_saving = False
        self._is_closed = False
        self.lanes = [_Lane(env, url, self) for _ in range(connections)]

    def start(self) -> None:
        """Connect, and keep connected."""
        for lane in self.lanes:
            lane.connect()
        self._env.call_later(IDLE_US // 4, self._look_after)

    def close(self) -> None:
        """End the connections. Nothing is told any more: what is in the air is unknown, as after a crash."""
        self._is_closed = True
        for lane in self.lanes:
            lane.close()

    @property
    def is_up(self) -> bool:
        """Whether at least one connection is open."""
        return any(lane.is_open for lane in self.lanes)

    def send(self, commands: Sequence[Command]) -> None:
        """Send the commands of one turn: protective places, then cancels, then the other places."""
        now_us = self._env.now_us()
        protective: list[Place] = []
        ordinary: list[Place] = []
        cancels: list[Cancel] = []
        for command in commands:
            if isinstance(command, Cancel):
                cancels.append(command)
            elif command.kind in _PROTECTIVE or command.flags & REDUCE_ONLY:
                protective.append(command)
            else:
                ordinary.append(command)
        if protective:
            self._queue_places(protective, self._urgent, now_us)
        if ordinary:
            self._queue_places(ordinary, self._ordinary, now_us)
        for cancel in cancels:
            waiting = self._unanswered.get(cancel.client_id)
            if waiting is not None and not cancel.order_id:
                waiting.append(cancel)  # it must not overtake its own place
            else:
                self._urgent.append(_Job(now_us, (), cancel, None))
        self._pump(now_us)

    # -- what lanes tell --

    def lane_changed(self) -> None:
        """A connection opened, or could not be."""
        self._pump()

    # -- inside --

    def _queue_places(self, places: list[Place], queue: "deque[_Job]", now_us: int) -> None:
        for start in range(0, len(places), BATCH_MAX):
            batch = tuple(places[start : start + BATCH_MAX])
            try:
                # Signed now, not when it leaves: the attempt's journalled end of validity counts from this moment.
                request = self._dialect.place(batch, self._instruments, self._signer, self._clock.venue_ms(now_us))
            except (ValueError, KeyError) as fault:
                self._tell_later(_not_sent(batch, f"it cannot be written: {fault}", now_us))
                continue
            for place in batch:
                self._unanswered[place.client_id] = []
            queue.append(_Job(now_us, batch, None, request))

    def _pump(self, now_us: int = 0) -> None:
        """Give waiting jobs to idle connections; answer those that waited too long or wait for nothing. `now_us`: 0 = the clock is read."""
        if self._is_closed:
            return
        now_us = now_us or self._env.now_us()
        if self._urgent:
            self._pump_urgent(now_us)
        if self._ordinary:
            self._pump_ordinary(now_us)
        if (self._urgent or self._ordinary) and not self._is_waiting:
            self._is_waiting = True
            oldest_us = min(queue[0].at_us for queue in (self._urgent, self._ordinary) if queue)
            self._env.call_later(oldest_us + WAIT_US - now_us, self._waited)

    def _waited(self) -> None:
        self._is_waiting = False
        self._pump()

    def _saved(self) -> None:
        self._is_saving = False
        self._pump()

    def _pump_urgent(self, now_us: int) -> None:
        queue = self._urgent
        while queue:
            if now_us - queue[0].at_us >= WAIT_US:
                self._refuse(queue.popleft(), TOO_LATE, now_us)
                continue
            for lane in reversed(self.lanes):
                if lane.is_idle:
                    break
            else:
                if not all(lane.is_down for lane in self.lanes):
                    return
                self._refuse(queue.popleft(), NO_WAY, now_us)
                continue
            if not self._rate.take(PROTECT, now_us):
                if not self._is_saving:  # one timer, however often the queue is looked at meanwhile
                    self._is_saving = True
                    self._env.call_later(self._rate.wait_us(PROTECT, now_us), self._saved)
                return
            self._leave(lane, queue.popleft(), now_us)

    def _pump_ordinary(self, now_us: int) -> None:
        queue, lane = self._ordinary, self.lanes[0]
        while queue:
            if now_us - queue[0].at_us >= WAIT_US:
                self._refuse(queue.popleft(), TOO_LATE, now_us)
            elif lane.is_down:
                self._refuse(queue.popleft(), NO_WAY, now_us)
            elif not lane.is_idle:
                return
            elif self._rate.take(PLACE, now_us):
                self._leave(lane, queue.popleft(), now_us)
            else:
                self._refuse(queue.popleft(), NO_BUDGET, now_us)

    def _leave(self, lane: "_Lane", job: "_Job", now_us: int) -> None:
        request = job.request
        if request is None:
            assert job.cancel is not None
            request = self._dialect.cancel(job.cancel, self._signer, self._clock.venue_ms(now_us))

        def answered(status: int, headers: Headers, body: bytes) -> None:
            self._answered(job, status, headers, body)

        def lost(reason: str) -> None:
            self._settle(job, self._unknown(job, reason))

        lane.send(request, answered, lost, self._timeout_us, now_us)

    def _answered(self, job: "_Job", status: int, headers: Headers, body: bytes) -> None:
        now_us = self._env.now_us()
        note_status(self._rate, status, headers, now_us)
        if job.cancel is not None:
            facts = self._dialect.cancel_answer(job.cancel, status, body, self._instruments, now_us)
        else:
            facts = self._dialect.place_answer(job.places, status, body, self._instruments, now_us)
        if any(_blames_clock(fact) for fact in facts):
            self._clock.doubt()
        self._settle(job, facts)

    def _settle(self, job: "_Job", facts: Sequence[Event]) -> None:
        """A job has its answer: what waited for it and what waited for its connection leaves before anybody thinks."""
        if self._is_closed:
            return
        self._release(job)
        self._pump()
        self._sink(facts)

    def _release(self, job: "_Job") -> None:
        now_us = self._env.now_us()
        for place in job.places:
            self._urgent.extend(_Job(now_us, (), cancel, None) for cancel in self._unanswered.pop(place.client_id, ()))

    def _refuse(self, job: "_Job", reason: str, now_us: int) -> None:
        """Answer a job of which no byte left."""
        self._release(job)
        self._tell_later(self._unknown(job, reason) if job.cancel is not None else _not_sent(job.places, reason, now_us))

    def _unknown(self, job: "_Job", reason: str) -> list[Event]:
        now_us = self._env.now_us()
        if job.cancel is not None:
            return [CancelAnswered(now_us, 0, job.cancel.symbol, job.cancel.client_id, "unknown", reason=reason)]
        return [PlaceUnknown(now_us, place.symbol, place.client_id, reason) for place in job.places]

    def _tell_later(self, facts: Sequence[Event]) -> None:
        """Facts that no callback carries: `send` must have returned before they are told."""
        if not self._facts:
            self._env.call_later(0, self._tell)
        self._facts.extend(facts)

    def _tell(self) -> None:
        facts, self._facts = self._facts, []
        if not self._is_closed:
            self._pump()
            self._sink(facts)

    def _look_after(self) -> None:
        """Find dead connections while nothing depends on them; their answers also tell the exchange's time."""
        if self._is_closed:
            return
        now_us = self._env.now_us()
        for lane in self.lanes:
            if lane.is_idle and now_us - lane.used_us >= IDLE_US and self._rate.take(READ, now_us):
                self._ask_time(lane, now_us)
        self._env.call_later(IDLE_US // 4, self._look_after)

    def _ask_time(self, lane: "_Lane", sent_us: int) -> None:
        def answered(status: int, headers: Headers, body: bytes) -> None:
            now_us = self._env.now_us()
            note_status(self._rate, status, headers, now_us)
            try:
                if status == 200:
                    self._clock.sample(sent_us, now_us, self._dialect.time_ms(body))
            except WireError:
                self._clock.ignored += 1
            self._pump()

        lane.send(self._dialect.read("time", None, 0), answered, lambda _: self._pump(), self._timeout_us, sent_us)


class _Job:
    """One request: a batch of places, or a cancel. `request` is signed already where that is due."""

    __slots__ = ("at_us", "cancel", "places", "request")

    def __init__(self, at_us: int, places: tuple[Place, ...], cancel: Cancel | None, request: Request | None) -> None:
        self.at_us = at_us
        self.places = places
        self.cancel = cancel
        self.request = request


class _Lane:
    """One connection that comes back.

    Attributes:
        used_us: when a request was last sent, or the connection opened.
        is_down: the last attempt to connect failed, and none has succeeded since.
    """

    def __init__(self, env: Env, url: str, orders: OrderWire) -> None:
        self._env = env
        self._url = url
        self._orders = orders
        self._backoff = Backoff(lambda n: int(env.random() * n), first_us=US_PER_S // 4, cap_us=15 * US_PER_S)
        self._wire: HttpWire | None = None
        self._opened_us = 0
        self._is_closed = False
        self.used_us = 0
        self.is_down = False

    @property
    def is_open(self) -> bool:
        return self._wire is not None and self._wire.is_open

    @property
    def is_idle(self) -> bool:
        return self._wire is not None and self._wire.is_idle

    def connect(self) -> None:
        self._env.spawn(self._connect(), "order connection")

    def send(self, request: Request, answered: OnAnswer, lost: OnLost, timeout_us: int, now_us: int) -> None:
        assert self._wire is not None
        self.used_us = now_us
        self._wire.send(request, answered, lost, timeout_us)

    def close(self) -> None:
        self._is_closed = True
        if self._wire is not None:
            self._wire.close()

    def wire_ended(self, wire: HttpWire, reason: str) -> None:
        """The connection is gone: open another, at once when this one had been a good one."""
        del reason
        if wire is not self._wire:
            return
        self._wire = None
        if self._is_closed:
            return
        if self._env.now_us() - self._opened_us >= SETTLED_US:
            self._backoff.reset()
            self.connect()
        else:
            self._env.call_later(self._backoff.next_us(), self.connect)

    async def _connect(self) -> None:
        while not self._is_closed:
            wire = HttpWire(self._env, self._url, self, body_max=ANSWER_BYTES_MAX)
            self._wire = wire
            try:
                await wire.open()
            except OSError:
                self._wire = None
                self.is_down = True
                self._orders.lane_changed()  # what waits for a connection is answered now
                await self._env.sleep(self._backoff.next_us())
                continue
            self._opened_us = self.used_us = self._env.now_us()
            self.is_down = False
            self._orders.lane_changed()
            return


def _not_sent(places: Sequence[Place], reason: str, now_us: int) -> list[Event]:
    return [PlaceRefused(now_us, place.symbol, place.client_id, NOT_SENT, reason) for place in places]


def _blames_clock(fact: Event) -> bool:
    match fact:
        case PlaceRefused(code=code):
            return code == EXPIRED
        case CancelAnswered(reason=reason):
            return reason == EXPIRED
    return False
