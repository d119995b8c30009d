"""The smallest book that carries out acts: others' levels and nothing else. It refuses what no real book can show."""

from lemon_trader.core.units import BUY, SELL
from lemon_trader.market.acts import apply


class TinyBook:
    def __init__(self):
        self.books = {}
        self._best = {}
        self.prints = []  # (at_us, symbol, side of the taker, ticks, lots)
        self.references = []
        self.now_us = 0

    def set_outside(self, symbol, side, ticks, lots, now_us):
        self._time(now_us)
        assert ticks > 0
        assert lots >= 0
        levels = self.books.setdefault(symbol, {BUY: {}, SELL: {}})[side]
        best, other = self.best(symbol, side), self.best(symbol, -side)
        if lots:
            assert not other or side * (ticks - other) < 0, f"{symbol}: a level at {ticks} crosses {other}"
            levels[ticks] = lots
            if not best or side * (ticks - best) > 0:
                self._best[symbol, side] = ticks
        elif levels.pop(ticks, None) and ticks == best:
            self._best[symbol, side] = None

    def outside_take(self, symbol, side, lots, limit_ticks, now_us):
        self._time(now_us)
        assert lots > 0
        assert limit_ticks > 0
        levels = self.books.setdefault(symbol, {BUY: {}, SELL: {}})[-side]
        while lots and (ticks := self.best(symbol, -side)) and side * (ticks - limit_ticks) <= 0:
            traded = min(lots, levels[ticks])
            self.prints.append((now_us, symbol, side, ticks, traded))
            lots -= traded
            levels[ticks] -= traded
            if not levels[ticks]:
                del levels[ticks]
                self._best[symbol, -side] = None

    def set_reference(self, symbol, mark_ticks, index_ticks, funding_ppb, now_us):
        self._time(now_us)
        self.references.append((now_us, symbol, mark_ticks, index_ticks, funding_ppb))

    def best(self, symbol, side):
        """The best price of a side, 0 when it is empty."""
        known = self._best.get((symbol, side))
        if known is None:
            levels = self.books.get(symbol, {BUY: {}, SELL: {}})[side]
            known = self._best[symbol, side] = (max if side == BUY else min)(levels, default=0)
        return known

    def touch(self, symbol):
        return self.best(symbol, BUY), self.best(symbol, SELL)

    def play(self, acts):
        for act in acts:
            apply(act, self)
        return self

    def _time(self, now_us):
        assert now_us >= self.now_us, "time went back"
        self.now_us = now_us
