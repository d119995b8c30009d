"""The outside world after a market's filters have changed: it still speaks in the grid it began with, the exchange counts in another.

Where the new steps are coarser, several of its prices fall on one; what it has at each of them is kept here, so that their sum stands in
the book.
"""

from lemon_trader.core.units import BUY
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.filters import Regrid


class Scale:
    """How one market of the outside world is translated.

    Attributes:
        ticks_by, lots_by: the exchange's units in one of the outside's.
    """

    def __init__(self) -> None:
        self.ticks_by = self.lots_by = 1
        self.price_step = self.lot_step = 1
        self.levels: dict[tuple[int, int], int] = {}  # (side, outside's ticks in the exchange's units) -> lots, while steps are coarser

    def change(self, way: Regrid, before: list[tuple[int, int, int]]) -> None:
        """Follow a change of filters; `before`: the outside's levels in the units of before."""
        fine = dict(self.levels) if self.levels else {(side, ticks): lots for side, ticks, lots in before}
        self.ticks_by *= way.ticks_by
        self.lots_by *= way.lots_by
        self.price_step, self.lot_step = way.price_step, way.lot_step
        is_coarse = way.price_step > 1 or way.lot_step > 1
        self.levels = {(side, ticks * way.ticks_by): lots * way.lots_by for (side, ticks), lots in fine.items()} if is_coarse else {}

    def price(self, side: int, ticks: int) -> int:
        """The price of the book that a bid (BUY) or ask falls on, away from the other side."""
        step = self.price_step
        return ticks // step * step if side == BUY else -(-ticks // step) * step

    def level(self, side: int, ticks: int, lots: int) -> tuple[int, int]:
        """(price, quantity) of the book after the outside has `lots` at `ticks`."""
        if self.price_step == 1 and self.lot_step == 1:
            return ticks, lots
        if lots:
            self.levels[side, ticks] = lots
        else:
            self.levels.pop((side, ticks), None)
        price = self.price(side, ticks)
        first = price if side == BUY else price - self.price_step + 1
        total = sum(self.levels.get((side, t), 0) for t in range(first, first + self.price_step))
        return price, total - total % self.lot_step


class Outside:
    """The exchange's outside doors for markets whose filters may have changed."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._scales: dict[str, Scale] = {}

    def change(self, symbol: str, way: Regrid, before: list[tuple[int, int, int]]) -> None:
        """Follow a change of filters; `before`: the outside's levels just before it."""
        self._scales.setdefault(symbol, Scale()).change(way, before)

    def set_outside(self, symbol: str, side: int, ticks: int, lots: int, now_us: int) -> None:
        """Make `lots` the quantity of others at this price."""
        scale = self._scales.get(symbol)
        if scale is not None:
            ticks, lots = scale.level(side, ticks * scale.ticks_by, lots * scale.lots_by)
            if ticks < 1:
                return
        self._exchange.set_outside(symbol, side, ticks, lots, now_us)

    def outside_take(self, symbol: str, side: int, lots: int, limit_ticks: int, now_us: int) -> None:
        """Trade against everything that rests, in price-time order, up to the limit."""
        scale = self._scales.get(symbol)
        if scale is not None:
            limit_ticks *= scale.ticks_by
            lots = max(lots * scale.lots_by // scale.lot_step, 1) * scale.lot_step
        self._exchange.outside_take(symbol, side, lots, limit_ticks, now_us)

    def set_reference(self, symbol: str, mark_ticks: int, index_ticks: int, funding_ppb: int, now_us: int) -> None:
        """Set the mark and index price and the running funding rate of a perpetual."""
        scale = self._scales.get(symbol)
        by = scale.ticks_by if scale is not None else 1
        self._exchange.set_reference(symbol, mark_ticks * by, index_ticks * by, funding_ppb, now_us)

    def levels(self, symbol: str) -> dict[tuple[int, int], int]:
        """What others have in the book, lots by (side, ticks), in the outside world's own units."""
        scale = self._scales.get(symbol)
        if scale is None:
            return {(side, ticks): lots for side, ticks, lots in self._exchange.outside_levels(symbol)}
        there = scale.levels or {(side, ticks): lots for side, ticks, lots in self._exchange.outside_levels(symbol)}
        return {(side, ticks // scale.ticks_by): -(-lots // scale.lots_by) for (side, ticks), lots in there.items()}

    def reference(self, symbol: str) -> tuple[int, int, int, int]:
        """(mark, index, funding rate in ppb, last trade) of a market, prices in ticks of the outside world; 0 = none."""
        scale = self._scales.get(symbol)
        by = scale.ticks_by if scale is not None else 1
        mark_ticks, index_ticks, funding_ppb = self._exchange.reference(symbol)
        return mark_ticks // by, index_ticks // by, funding_ppb, self._exchange.last_ticks(symbol) // by
