"""Replay: the engine against a tape. A simulated exchange takes the tape's acts and our orders, and its effects come back as facts.

There is no network and no loop: `play` is a plain function. Without delays the market moves on only when no command is unanswered; with
delays a command is under way for a while, and so is every fact that comes back. Everything that the engine sees it would have seen live,
in the same words.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from lemon_trader.core.commands import Command
from lemon_trader.core.events import (
    BookDelta,
    BookSnapshot,
    BookState,
    Event,
    FeedState,
    LastPrice,
    MarkPrice,
    PublicTrade,
    Wake,
)
from lemon_trader.core.units import BUY, US_PER_S
from lemon_trader.market.acts import Act, Level, apply
from lemon_trader.matching.effects import (
    BookChanged,
    Effect,
    StateChanged,
    TouchChanged,
    Traded,
)
from lemon_trader.matching.exchange import Exchange
from lemon_trader.venues.simulated_account import SimulatedAccount

WINDOW_US: Final = 5 * US_PER_S
NEVER_US: Final = 2**63 - 1


class Delays(Protocol):
    """How long things are under way, µs, >= 0; each is asked once for each message."""

    def entry_us(self) -> int:
        """From our decision to the exchange's hand, of one command."""

    def answer_us(self) -> int:
        """From the exchange to us, of an answer or of a fact about the account."""

    def feed_us(self) -> int:
        """From the exchange to us, of a public fact."""


class _Line:
    """Messages under way in one direction: none overtakes another."""

    __slots__ = ("_last_us", "_way")

    def __init__(self) -> None:
        self._way: deque[tuple[int, Event]] = deque()
        self._last_us = 0

    def put(self, fact: Event, due_us: int) -> None:
        self._way.append((due_us, fact))

    def due(self, sent_us: int, delay_us: int) -> int:
        """When a message sent now arrives."""
        self._last_us = max(self._last_us, sent_us + delay_us)
        return self._last_us

    @property
    def next_us(self) -> int:
        return self._way[0][0] if self._way else NEVER_US

    def take(self, now_us: int, into: list[Event]) -> None:
        """Everything that has arrived by now."""
        way = self._way
        while way and way[0][0] <= now_us:
            into.append(way.popleft()[1])


class ReplayVenue(SimulatedAccount):
    """The engine's venue over an exchange of its own; commands wait in a queue until `answer` carries them out.

    Attributes:
        commands: everything ever sent, in order: what agreement tests compare.
        now_us: engine time of the turn that runs; `play` keeps it.
    """

    def __init__(self, exchange: Exchange, account: str, delays: Delays | None = None) -> None:
        super().__init__(exchange, account)
        self.commands: list[Command] = []
        self.now_us = 0
        self._waiting: deque[tuple[int, Command]] = deque()  # (when it reaches the exchange, what)
        self._delays = delays
        self._out = _Line()
        self._account = _Line()
        self._public = _Line()

    def send(self, commands: Sequence[Command]) -> None:
        """Take the commands of one turn; they are carried out by `answer`, never before this returns."""
        self.commands.extend(commands)
        delays, now_us = self._delays, self.now_us
        if delays is None:
            self._waiting.extend([(now_us, command) for command in commands])
        else:  # the places and cancels of a turn leave together
            due_us = self._out.due(now_us, delays.entry_us())
            self._waiting.extend([(due_us, command) for command in commands])

    def expires_us(self, now_us: int) -> int:
        """Exchange time is engine time here."""
        return now_us + WINDOW_US

    @property
    def waiting(self) -> bool:
        """Whether a command is unanswered that has reached the exchange by now."""
        return bool(self._waiting) and self._waiting[0][0] <= self.now_us

    @property
    def due_us(self) -> int:
        """When the next message of either direction arrives; NEVER_US = none is under way."""
        command_us = self._waiting[0][0] if self._waiting else NEVER_US
        return min(command_us, self._account.next_us, self._public.next_us)

    def answer(self, now_us: int) -> list[Event]:
        """Carry out what has reached the exchange; the stream's facts and the answers that are here by now, in the exchange's order."""
        facts: list[Event] = []
        delays = self._delays
        while self._waiting and self._waiting[0][0] <= now_us:
            due_us, command = self._waiting.popleft()
            if delays is None:
                answer = self.carry_out(command, now_us)
                facts += self.facts(now_us)
                facts.append(answer)
            else:
                # What follows is stamped with the time at which the engine will hear of it.
                heard_us = self._account.due(due_us, delays.answer_us())
                answer = self.carry_out(command, due_us, heard_us)
                self._under_way(due_us)
                self._account.put(answer, heard_us)
        return facts + self.arrived(now_us) if delays is not None else facts

    def facts(self, now_us: int) -> list[Event]:
        """What the exchange's effects say to this account, as facts of one read; with delays what has come through by now."""
        if self._delays is not None:
            self._under_way(now_us)
            return self.arrived(now_us)
        facts: list[Event] = []
        for effect in self.exchange.take_effects():
            self._fact(effect, now_us, facts)
        return facts

    def arrived(self, now_us: int) -> list[Event]:
        """The facts that are here by now: public ones first, as the streams are read."""
        facts: list[Event] = []
        self._public.take(now_us, facts)
        self._account.take(now_us, facts)
        return facts

    def opening(self, symbols: Sequence[str], now_us: int) -> list[Event]:
        """What connecting says: streams up, and the books whole."""
        facts: list[Event] = [FeedState(now_us, "public", up=True), FeedState(now_us, "private", up=True)]
        for symbol in symbols:
            depth = self.exchange.depth(symbol)
            facts.append(BookSnapshot(now_us, now_us, symbol, depth.update_id, depth.bids, depth.asks))
        return facts + self._second(symbols, now_us, now_us)

    def second(self, symbols: Sequence[str], now_us: int) -> list[Event]:
        """What the streams say each second: the last price of every market, mark and index of perpetuals."""
        if self._delays is None:
            return self._second(symbols, now_us, now_us)
        due_us = self._public.due(now_us, self._delays.feed_us())
        for fact in self._second(symbols, now_us, due_us):
            self._public.put(fact, due_us)
        return self.arrived(now_us)

    def asked(self, symbols: Sequence[str], since_us: int, now_us: int) -> list[Event]:
        """A complete read of the account, begun now; with delays it is here later."""
        if self._delays is None:
            return [self.read(symbols, since_us, now_us)]
        heard_us = self._account.due(now_us, self._delays.entry_us() + self._delays.answer_us())
        self._account.put(self.read(symbols, since_us, now_us, heard_us), heard_us)
        return []

    def _second(self, symbols: Sequence[str], now_us: int, heard_us: int) -> list[Event]:
        facts: list[Event] = []
        for symbol in symbols:
            facts.append(LastPrice(heard_us, now_us, symbol, self.exchange.last_ticks(symbol)))
            mark, index, funding = self.exchange.reference(symbol)
            if mark:
                facts.append(MarkPrice(heard_us, now_us, symbol, mark, index, funding, 0))
        return facts

    def _under_way(self, now_us: int) -> None:
        """Send what the exchange has just said on its way; changes of a book that stand together are one message, as streams tell them."""
        delays = self._delays
        assert delays is not None
        effects = self.exchange.take_effects()
        if not effects:
            return
        public, account = self._public, self._account
        public_us, account_us = public.due(now_us, delays.feed_us()), account.due(now_us, delays.answer_us())
        facts: list[Event] = []
        together: list[BookChanged] = []

        def tell_book() -> None:
            if together:
                public.put(_one_delta(together, public_us), public_us)
                together.clear()

        for effect in effects:
            if isinstance(effect, BookChanged):
                if together and together[-1].symbol != effect.symbol:
                    tell_book()
                together.append(effect)
            elif type(effect) in _PUBLIC:
                tell_book()
                self._fact(effect, public_us, facts)
                public.put(facts.pop(), public_us)
            elif type(effect) is not TouchChanged:  # the book says it
                said = self.fact(effect, account_us)
                if said is not None:
                    account.put(said, account_us)
        tell_book()

    def _fact(self, e: Effect, now_us: int, facts: list[Event]) -> None:
        match e:
            case BookChanged():
                facts.append(_one_delta((e,), now_us))
            case Traded():
                facts.append(PublicTrade(now_us, e.at_us, e.symbol, e.ticks, e.lots, e.buyer_is_maker, e.trade_id))
            case StateChanged():
                facts.append(BookState(now_us, e.symbol, e.book_state))
            case _:
                said = self.fact(e, now_us)
                if said is not None:  # else somebody else's, or said by another fact: the streams say mark and index once a second
                    facts.append(said)


_PUBLIC: Final = frozenset({Traded, StateChanged})


def _one_delta(changes: Sequence[BookChanged], now_us: int) -> BookDelta:
    """Changes of one book that follow one another, as one message: of each level the last word."""
    last = changes[-1]
    if len(changes) == 1:
        levels = last.levels
    else:
        levels = tuple((side, t, q) for (side, t), q in {(side, t): q for c in changes for side, t, q in c.levels}.items())
    bids = tuple([(t, q) for side, t, q in levels if side == BUY])
    asks = tuple([(t, q) for side, t, q in levels if side != BUY])
    return BookDelta(now_us, last.at_us, last.symbol, changes[0].first_id, last.last_id, bids, asks)


def play(
    acts: Iterable[Act],
    venue: ReplayVenue,
    turn: Callable[[Sequence[Event]], None],
    symbols: Sequence[str],
    *,
    read_every_us: int = 15 * US_PER_S,
    ticker: bool = True,
    quiet_us: int = 0,
    wake_us: Callable[[], int] | None = None,
) -> int:
    """Play a tape to its end through `turn`; the number of acts.

    Acts of one time are one read. Each second of the tape brings a wake and, before it, what the exchange's streams say each second.

    Args:
        acts: times never falling.
        venue: whose exchange the acts happen to.
        turn: takes the facts of one read.
        symbols: the markets that are followed.
        read_every_us: between two reads of the account.
        ticker: whether the streams speak each second.
        quiet_us: 0 = time is where the acts are, and a quiet stretch is one wake at its end. Else wakes go on each second, and messages
            under way arrive, for so long after an act; what lies beyond is a hole in the recording, and time jumps over it.
        wake_us: when the engine wants to be woken, at the earliest; 0 = not at all. Asked where `quiet_us` is set.
    """
    player = _Player(venue, turn, symbols, read_every_us, ticker=ticker, at_once=quiet_us > 0)
    batch: list[Act] = []
    at_us = 0
    played = 0
    for act in acts:
        if act.at_us != at_us and batch:
            played += len(batch)
            player.flush(batch, at_us)
            if quiet_us:
                player.pass_time(at_us, act.at_us, quiet_us, wake_us)
            batch.clear()
        at_us = act.at_us
        batch.append(act)
    if batch:
        played += len(batch)
        player.flush(batch, at_us)
        if quiet_us:
            player.pass_time(at_us, at_us + US_PER_S, quiet_us, None)  # what is under way arrives
    return played


def apply_together(acts: Iterable[Act], exchange: Exchange) -> None:
    """Carry out acts of one time; levels that meet nobody are stated in one go, which is the same and four times as quick."""
    levels: list[tuple[int, int, int]] = []
    symbol, at_us, bid, ask = "", 0, 0, 0

    def state() -> None:
        if levels:
            exchange.state_book(symbol, levels, at_us)
            levels.clear()

    for act in acts:
        if type(act) is not Level:
            state()
            apply(act, exchange)
            continue
        if act.symbol != symbol or not levels:
            state()
            symbol, at_us = act.symbol, act.at_us
            bid, _, ask, _ = exchange.touch(symbol)
        # The touch of before and whatever the levels bring: nearer than the true one at most, so nobody is met unseen.
        meets = 0 < ask <= act.ticks if act.side == BUY else act.ticks <= bid
        if act.lots and meets:
            state()
            apply(act, exchange)
            continue
        levels.append((act.side, act.ticks, act.lots))
        if act.lots and act.side == BUY:
            bid = max(bid, act.ticks)
        elif act.lots:
            ask = min(ask or act.ticks, act.ticks)
    state()


class _Player:
    """The clock of a tape: who is told what, in which order."""

    def __init__(
        self, venue: ReplayVenue, turn: Callable[[Sequence[Event]], None], symbols: Sequence[str], read_every_us: int, *, ticker: bool,
        at_once: bool,
    ) -> None:  # fmt: skip
        self._venue = venue
        self._turn = turn
        self._symbols = symbols
        self._read_every_us = read_every_us
        self._ticker = ticker
        self._at_once = at_once
        self._next_wake = 0
        self._next_read = 0

    def flush(self, batch: Iterable[Act], at_us: int) -> None:
        """The acts of one time; before them the wake that is due."""
        if at_us >= self._next_wake:
            self.second(at_us)
        venue = self._venue
        exchange = venue.exchange
        venue.now_us = at_us
        if self._at_once:
            apply_together(batch, exchange)
        else:
            for act in batch:
                apply(act, exchange)
        exchange.advance(at_us)
        facts = venue.facts(at_us)
        if facts:
            self._turn(facts)
        self.settle(at_us)

    def wake(self, at_us: int) -> None:
        """The wake that the engine asked for."""
        venue = self._venue
        venue.now_us = at_us
        venue.exchange.advance(at_us)
        self._turn([*venue.facts(at_us), Wake(at_us)])
        self.settle(at_us)

    def second(self, at_us: int) -> None:
        """What the exchange says each second, and our own wake; a longer gap in the tape is one of them."""
        venue, symbols = self._venue, self._symbols
        venue.now_us = at_us
        self._next_wake = at_us - at_us % US_PER_S + US_PER_S
        venue.exchange.advance(at_us)
        said = venue.facts(at_us)
        if self._ticker:
            said += venue.second(symbols, at_us)
        if at_us >= self._next_read:
            self._next_read = at_us + self._read_every_us
            said += venue.asked(symbols, at_us - 4 * self._read_every_us, at_us)
        self._turn([*said, Wake(at_us)])
        self.settle(at_us)

    def settle(self, now_us: int) -> None:
        """Answer until nothing that has reached the exchange is unanswered."""
        venue = self._venue
        while venue.waiting:
            facts = venue.answer(now_us)
            if facts:
                self._turn(facts)

    def pass_time(self, begun_us: int, until_us: int, quiet_us: int, wake_us: Callable[[], int] | None) -> None:
        """What happens between two acts: messages arrive, held takers meet the book, funding falls due, seconds pass."""
        venue, exchange = self._venue, self._venue.exchange
        until_us = min(until_us, begun_us + quiet_us)
        while True:
            asked_us = wake_us() if wake_us is not None else 0
            second_us = self._next_wake if wake_us is not None else NEVER_US
            wanted_us = asked_us if asked_us > venue.now_us else NEVER_US
            now_us = max(venue.now_us, min(second_us, wanted_us, venue.due_us, exchange.next_due_us or NEVER_US))
            if now_us >= until_us:
                return
            if now_us >= second_us:
                self.second(now_us)
                continue
            if now_us >= wanted_us:
                self.wake(now_us)
                continue
            venue.now_us = now_us
            exchange.advance(now_us)
            facts = venue.facts(now_us) + venue.answer(now_us)
            if facts:
                self._turn(facts)
            self.settle(now_us)
