"""Bars played through the real engine, point by point: open, first extreme, second extreme, close, a quarter of the bar's length apart.

At each point: what rests and was reached is filled; funding is due, and the margin is looked at; commands that have arrived are carried
out; the engine gets all of it, with touch, last and mark, as the facts of one read and decides; what it sends without delay is carried out
at once and told, until nothing is unanswered.
"""

from collections.abc import Callable, Sequence
from typing import Final

from lemon_trader.backtest.bar_exchange import BarExchange
from lemon_trader.core.events import Event, Wake
from lemon_trader.core.market import ACCOUNT_AGE_US
from lemon_trader.core.units import BUY, SELL, TRIGGER, US_PER_S
from lemon_trader.formulas.fill import POINTS, low_comes_first
from lemon_trader.market.tables import BarTable, FundingTable

Turn = Callable[[Sequence[Event]], None]
WAKE_EVERY_US: Final = 3_600 * US_PER_S


class BarPlayer:
    """Plays bars into an engine's `turn`.

    Attributes:
        played: bars so far; bars without volume are passed over, nothing is known to have traded in them.
        after_bar: called with the index of each bar played, when everything of it is answered.
    """

    def __init__(self, exchange: BarExchange, turn: Turn, table: BarTable, funding: FundingTable | None = None) -> None:
        self.exchange = exchange
        self.played = 0
        self.after_bar: Callable[[int], None] = _nothing
        self._turn = turn
        self._table = table
        self._fund_at = funding.at_us.tolist() if funding is not None else []
        self._fund_rate = funding.rate_ppb.tolist() if funding is not None else []
        self._next_fund = 0
        self._read_us = 0
        self._next_wake = 0

    def play(self) -> int:
        """Play every bar; how many there were."""
        t = self._table
        step = t.every_us // POINTS
        rows = zip(t.at_us.tolist(), t.open.tolist(), t.high.tolist(), t.low.tolist(), t.close.tolist(), t.lots.tolist(), strict=True)
        for index, (at_us, first, high, low, last, lots) in enumerate(rows):
            if not lots:
                continue
            if not self.played:
                while self._next_fund < len(self._fund_at) and self._fund_at[self._next_fund] < at_us:
                    self._next_fund += 1  # what ended before the play began is nobody's
            self._point(at_us, first, lots, jumped=True)
            ways = (low, high) if self._is_low_first(first, last) else (high, low)
            self._point(at_us + step, ways[0], lots)
            self._point(at_us + 2 * step, ways[1], lots)
            self._point(at_us + 3 * step, last, lots)
            self.played += 1
            self.after_bar(index)
        return self.played

    def _is_low_first(self, first: int, last: int) -> bool:
        exchange = self.exchange
        buys = sum(1 for o in exchange.orders if o.side == BUY and o.kind != TRIGGER)
        sells = sum(1 for o in exchange.orders if o.side == SELL and o.kind != TRIGGER)
        return bool(low_comes_first(exchange.rules.model, first, last, exchange.lots, buys, sells))

    def _point(self, now_us: int, price: int, lots: int, *, jumped: bool = False) -> None:
        exchange, turn = self.exchange, self._turn
        facts: list[Event] = []
        if now_us >= self._next_wake:
            self._next_wake = now_us - now_us % WAKE_EVERY_US + WAKE_EVERY_US
            facts.append(Wake(now_us))
        facts += exchange.move(now_us, price, lots, jumped=jumped)
        while self._next_fund < len(self._fund_at) and self._fund_at[self._next_fund] <= now_us:
            facts += exchange.fund(now_us, self._fund_at[self._next_fund], self._fund_rate[self._next_fund])
            self._next_fund += 1
        facts += exchange.check_margin(now_us)
        facts += exchange.answer(now_us)
        facts += exchange.touch(now_us)
        if now_us - self._read_us > ACCOUNT_AGE_US:  # on an older account nothing opens; a younger one is not read again
            self._read_us = now_us
            facts.append(exchange.read(now_us))
        turn(facts)
        while exchange.is_due(now_us):
            turn(exchange.answer(now_us))


def _nothing(_: int) -> None:
    """Nobody listens."""
