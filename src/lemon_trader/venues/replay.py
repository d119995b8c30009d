"""Replay: the engine against a tape. A simulated exchange takes the tape's acts and our orders, and its effects come back as facts.

There is no network and no loop: `play` is a plain function, and the market moves on only when no command is unanswered. Everything that the
engine sees it would have seen live, in the same words.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

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
from lemon_trader.market.acts import Act, apply
from lemon_trader.matching.effects import (
    BookChanged,
    Effect,
    StateChanged,
    Traded,
)
from lemon_trader.matching.exchange import Exchange
from lemon_trader.venues.simulated_account import SimulatedAccount

WINDOW_US: Final = 5 * US_PER_S


class ReplayVenue(SimulatedAccount):
    """The engine's venue over an exchange of its own; commands wait in a queue until `answer` carries them out."""

    def __init__(self, exchange: Exchange, account: str) -> None:
        super().__init__(exchange, account)
        self.commands: list[Command] = []  # everything ever sent, in order: what agreement tests compare
        self._waiting: deque[Command] = deque()

    def send(self, commands: Sequence[Command]) -> None:
        """Take the commands of one turn; they are carried out by `answer`, never before this returns."""
        self.commands.extend(commands)
        self._waiting.extend(commands)

    def expires_us(self, now_us: int) -> int:
        """Exchange time is engine time here."""
        return now_us + WINDOW_US

    @property
    def waiting(self) -> bool:
        """Whether a command is unanswered."""
        return bool(self._waiting)

    def answer(self, now_us: int) -> list[Event]:
        """Carry out all waiting commands at this moment; the stream's facts and the answers, in the exchange's order."""
        facts: list[Event] = []
        while self._waiting:
            command = self._waiting.popleft()
            answer = self.carry_out(command, now_us)
            facts += self.facts(now_us)
            facts.append(answer)
        return facts

    def facts(self, now_us: int) -> list[Event]:
        """What the exchange's effects say to this account, as facts of one read."""
        facts: list[Event] = []
        for effect in self.exchange.take_effects():
            self._fact(effect, now_us, facts)
        return facts

    def opening(self, symbols: Sequence[str], now_us: int) -> list[Event]:
        """What connecting says: streams up, and the books whole."""
        facts: list[Event] = [FeedState(now_us, "public", up=True), FeedState(now_us, "private", up=True)]
        for symbol in symbols:
            depth = self.exchange.depth(symbol)
            facts.append(BookSnapshot(now_us, now_us, symbol, depth.update_id, depth.bids, depth.asks))
        return facts + self.second(symbols, now_us)

    def second(self, symbols: Sequence[str], now_us: int) -> list[Event]:
        """What the streams say each second: the last price of every market, mark and index of perpetuals."""
        facts: list[Event] = []
        for symbol in symbols:
            facts.append(LastPrice(now_us, now_us, symbol, self.exchange.last_ticks(symbol)))
            mark, index, funding = self.exchange.reference(symbol)
            if mark:
                facts.append(MarkPrice(now_us, now_us, symbol, mark, index, funding, 0))
        return facts

    def _fact(self, e: Effect, now_us: int, facts: list[Event]) -> None:
        match e:
            case BookChanged():
                bids = tuple((t, q) for side, t, q in e.levels if side == BUY)
                asks = tuple((t, q) for side, t, q in e.levels if side != BUY)
                facts.append(BookDelta(now_us, e.at_us, e.symbol, e.first_id, e.last_id, bids, asks))
            case Traded():
                facts.append(PublicTrade(now_us, e.at_us, e.symbol, e.ticks, e.lots, e.buyer_is_maker, e.trade_id))
            case StateChanged():
                facts.append(BookState(now_us, e.symbol, e.book_state))
            case _:
                said = self.fact(e, now_us)
                if said is not None:  # else somebody else's, or said by another fact: the streams say mark and index once a second
                    facts.append(said)


def play(
    acts: Iterable[Act],
    venue: ReplayVenue,
    turn: Callable[[Sequence[Event]], None],
    symbols: Sequence[str],
    *,
    read_every_us: int = 15 * US_PER_S,
    ticker: bool = True,
) -> int:
    """Play a tape to its end through `turn`; the number of acts.

    Acts of one time are one read. Each second of the tape brings a wake and, before it, what the exchange's streams say each second.
    A gap in the tape is a gap in time: the wakes of the quiet stretch are given as one, at its end.
    """
    exchange = venue.exchange
    next_wake = next_read = 0
    played = 0

    def settle(now_us: int) -> None:
        while venue.waiting:
            turn(venue.answer(now_us))

    batch: list[Act] = []
    at_us = 0

    def flush() -> None:
        nonlocal next_wake, next_read
        if at_us >= next_wake:
            # What the exchange says each second, and our own wake; a longer gap in the tape is one of them.
            next_wake = at_us - at_us % US_PER_S + US_PER_S
            exchange.advance(at_us)
            said = venue.facts(at_us)
            if ticker:
                said += venue.second(symbols, at_us)
            if at_us >= next_read:
                next_read = at_us + read_every_us
                said.append(venue.read(symbols, at_us - 4 * read_every_us, at_us))
            turn([*said, Wake(at_us)])
            settle(at_us)
        for act in batch:
            apply(act, exchange)
        batch.clear()
        exchange.advance(at_us)
        facts = venue.facts(at_us)
        if facts:
            turn(facts)
            settle(at_us)

    for act in acts:
        played += 1
        if act.at_us != at_us and batch:
            flush()
        at_us = act.at_us
        batch.append(act)
    if batch:
        flush()
    return played
