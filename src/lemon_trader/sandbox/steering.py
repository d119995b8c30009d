"""An operator's hand on markets that live by themselves: moved to another price, held still, or led through a story.

What a market's own source does goes on in the background, in a shadow of its book: a market that is let go again stands where its source
has it, moved by what the operator moved it. Times are exchange time, µs UTC; prices and quantities those of the source's grid.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, INT64_MAX, SELL
from lemon_trader.market.acts import SWEEP, Act, Level, Reference, Source, Take
from lemon_trader.market.scenarios import SCENARIOS, play_scenario
from lemon_trader.sandbox.regrid import Outside

STORIES: Final = tuple(SCENARIOS)

Book = dict[tuple[int, int], int]  # (side, ticks) -> lots


class Hand:
    """One market that an operator has touched.

    Attributes:
        shadow: the book as its source has it, in the source's prices.
        delta_ticks: how far the market stands from there.
        is_held: nothing of the source is shown.
        story: the name of what it is led through; "" = nothing.
    """

    def __init__(self, shadow: Book) -> None:
        self.shadow = shadow
        self.delta_ticks = 0
        self.is_held = False
        self.story = ""
        self.acts: Iterator[Act] = iter(())
        self.next: Act | None = None

    def follow(self, act: Act) -> None:
        """Keep the shadow as the act leaves it."""
        if type(act) is Level:
            if act.lots:
                self.shadow[act.side, act.ticks] = act.lots
            else:
                self.shadow.pop((act.side, act.ticks), None)
        elif type(act) is Take:
            left = act.lots
            met = sorted(
                (t for side, t in self.shadow if side == -act.side and act.side * (t - act.limit_ticks) <= 0), key=lambda t: act.side * t
            )
            for ticks in met:
                lots = self.shadow[-act.side, ticks]
                if lots > left:
                    self.shadow[-act.side, ticks] = lots - left
                    return
                del self.shadow[-act.side, ticks]
                left -= lots

    def moved(self, act: Act) -> Act | None:
        """The act where the market stands; None when there is no such price."""
        delta = self.delta_ticks
        if not delta:
            return act
        if type(act) is Reference:
            mark, index = (ticks and max(1, ticks + delta) for ticks in (act.mark_ticks, act.index_ticks))
            return msgspec.structs.replace(act, mark_ticks=mark, index_ticks=index)
        if type(act) is Level:
            return msgspec.structs.replace(act, ticks=act.ticks + delta) if act.ticks + delta > 0 else None
        assert type(act) is Take
        return msgspec.structs.replace(act, limit_ticks=act.limit_ticks + delta) if act.limit_ticks + delta > 0 else None


class Steering:
    """Stands between a sandbox's source and its exchange; `take` gives what is due."""

    def __init__(self, source: Source, outside: Outside, seed: int = 0) -> None:
        self._source = source
        self._outside = outside
        self._seed = seed
        self._next: Act | None = next(source, None)
        self._hands: dict[str, Hand] = {}
        self._sudden: list[Act] = []

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The grid in which the outside world speaks of each market."""
        return self._source.instruments

    @property
    def due_us(self) -> int:
        """When there is something to take; INT64_MAX = never."""
        if self._sudden:
            return 0
        due = [act.at_us for act in (self._next, *(hand.next for hand in self._hands.values())) if act is not None]
        return min(due, default=INT64_MAX)

    def take(self, now_us: int) -> Act | None:
        """The next act that is due by now, for the exchange; None when there is none."""
        while True:
            if self._sudden:
                return self._sudden.pop(0)
            if self._hands and (told := self._of_story(now_us)) is not None:
                return told
            if self._sudden:
                continue  # a story has just ended and left its market to its source
            act = self._next
            if act is None or act.at_us > now_us:
                return None
            self._next = next(self._source, None)
            hand = self._hands.get(act.symbol)
            if hand is None:
                return act
            hand.follow(act)
            if not hand.is_held and not hand.story and (moved := hand.moved(act)) is not None:
                return moved

    def hand(self, symbol: str) -> Hand | None:
        """The market's hand; None when nobody has touched it."""
        return self._hands.get(symbol)

    def price_ticks(self, symbol: str) -> int:
        """Where the market stands: the middle of what others show, else the last trade; 0 when there is neither."""
        return _middle(self._outside.levels(symbol)) or self._outside.reference(symbol)[3]

    def move(self, symbol: str, ticks: int, now_us: int) -> None:
        """Bring the market to this price at once; its source goes on from there. Whatever rests on the way is traded away."""
        hand = self._touched(symbol)
        self._end_story(hand)
        before = self.price_ticks(symbol)
        sign = BUY if ticks >= before else SELL
        shadow = _middle(hand.shadow)
        moved_by = ticks - before
        hand.delta_ticks = ticks - shadow if shadow else hand.delta_ticks + moved_by
        acts = self._sudden
        acts += [Level(now_us, symbol, side, t, 0) for side, t in self._outside.levels(symbol)]
        acts.append(Take(now_us, symbol, sign, SWEEP, ticks))
        acts.append(Level(now_us, symbol, -sign, ticks, 1))  # a print at the price itself, so that it is the last one
        acts.append(Take(now_us, symbol, sign, 1, ticks))
        acts.append(Level(now_us, symbol, -sign, ticks, 0))
        acts += self._shown(symbol, hand, now_us)
        mark, index, funding_ppb, _ = self._outside.reference(symbol)
        if index:
            acts.append(Reference(now_us, symbol, mark and max(1, mark + moved_by), max(1, index + moved_by), funding_ppb))

    def hold(self, symbol: str, now_us: int, *, held: bool) -> None:
        """Let the book stand as it is, or go on where the source is by now."""
        hand = self._touched(symbol)
        hand.is_held = held
        if not held and not hand.story:
            self._restate(symbol, hand, now_us)

    def tell(self, symbol: str, story: str, now_us: int) -> None:
        """Lead the market through a story that begins at its present price; at its end the source goes on from there. Raises KeyError."""
        scenario = SCENARIOS[story]
        hand = self._touched(symbol)
        begin_ticks = self.price_ticks(symbol)
        self._end_story(hand)
        self._sudden += [Level(now_us, symbol, side, t, 0) for side, t in self._outside.levels(symbol)]
        hand.story = story
        hand.acts = play_scenario(
            scenario, self._source.instruments[symbol], start_us=now_us, seed=self._seed, price_ticks=begin_ticks or None
        )  # fmt: skip
        hand.next = next(hand.acts, None)

    # -- inside --

    def _touched(self, symbol: str) -> Hand:
        hand = self._hands.get(symbol)
        if hand is None:
            hand = self._hands[symbol] = Hand(self._outside.levels(symbol))
        return hand

    def _of_story(self, now_us: int) -> Act | None:
        """The earliest act of a story that is due and not later than the source's next. What has been told to its end is let go."""
        first: tuple[int, str] | None = None
        for symbol, hand in self._hands.items():
            if hand.next is not None:
                first = min(first or (INT64_MAX, ""), (hand.next.at_us, symbol))
            elif hand.story:
                end_ticks, shadow = self.price_ticks(symbol), _middle(hand.shadow)
                hand.delta_ticks = end_ticks - shadow if shadow and end_ticks else hand.delta_ticks
                self._end_story(hand)
                if not hand.is_held:
                    self._restate(symbol, hand, now_us)
        if first is None or first[0] > now_us or (self._next is not None and self._next.at_us < first[0]):
            return None
        hand = self._hands[first[1]]
        act, hand.next = hand.next, next(hand.acts, None)
        return act

    def _end_story(self, hand: Hand) -> None:
        hand.story, hand.acts, hand.next = "", iter(()), None

    def _restate(self, symbol: str, hand: Hand, now_us: int) -> None:
        """Make the book what the source has, where the market stands."""
        there = self._outside.levels(symbol)
        wanted = {(side, t + hand.delta_ticks) for side, t in hand.shadow}
        self._sudden += [Level(now_us, symbol, side, t, 0) for side, t in there if (side, t) not in wanted]
        self._sudden += self._shown(symbol, hand, now_us)

    def _shown(self, symbol: str, hand: Hand, now_us: int) -> list[Act]:
        moved = (hand.moved(Level(now_us, symbol, side, t, lots)) for (side, t), lots in hand.shadow.items())
        return [act for act in moved if act is not None]


def _middle(book: Book) -> int:
    bids, asks = ([t for side, t in book if side == wanted] for wanted in (BUY, SELL))
    return (max(bids) + min(asks)) // 2 if bids and asks else 0
