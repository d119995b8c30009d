"""What the fills of a run add up to: what each realised, when something was held, and the cycles of a martingale.

Fills are booked again by the program's own ledger, so no figure here has rounding of its own. A cycle begins with the first fill of a new
generation of LAYERs and owns every fill until the next one begins.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from lemon_trader.backtest.curve import Ints
from lemon_trader.backtest.result import Columns, Result
from lemon_trader.core.events import Fill
from lemon_trader.core.ledger import Booked, Ledger
from lemon_trader.core.units import EXIT, LAYER, REBALANCE, STOP

ENDED_BY_EXIT: Final = "exit"
ENDED_BY_STOP: Final = "stop"
ENDED_BY_EXCHANGE: Final = "exchange"
STILL_OPEN: Final = "open"
_ENDS: Final = {EXIT: ENDED_BY_EXIT, STOP: ENDED_BY_STOP, REBALANCE: ENDED_BY_EXIT, LAYER: ENDED_BY_EXIT, -1: ENDED_BY_EXCHANGE}


@dataclass(frozen=True, slots=True)
class Cycle:
    """One ladder from its first fill to its last.

    Attributes:
        generation: the strategy's number of it.
        start_us / end_us: first and last fill; of one still open, the end of the run.
        layers: how many different layers had a fill. deepest: the highest of them, 0 is the first entry.
        bought_atoms: quote worth of what opened it (of a short: sold).
        average_in / average_out: mean price of what opened and closed it, quote atoms per lot; 0 = none.
        realised_atoms, fees_atoms, funding_atoms: as the ledger booked them; net = realised - fees + funding.
        ended: by what: "exit", "stop", "exchange" or "open".
        side: BUY of a long ladder, SELL of a short one.
    """

    generation: int
    start_us: int
    end_us: int
    layers: int
    deepest: int
    bought_atoms: int
    average_in: int
    average_out: int
    realised_atoms: int
    fees_atoms: int
    funding_atoms: int
    ended: str
    side: int

    @property
    def net_atoms(self) -> int:
        """Realised - fees + funding."""
        return self.realised_atoms - self.fees_atoms + self.funding_atoms


def booked(result: Result) -> list[Booked]:
    """What each fill changed, as the program's ledger books it."""
    i = result.instrument
    ledger = Ledger(i)
    f = result.fills
    columns = (f[name].tolist() for name in ("at_us", "side", "ticks", "lots", "fee_atoms", "fee_is_base", "is_maker"))
    return [
        ledger.book(
            Fill(at, at, i.symbol, "", -1, "", n, side, ticks, lots, fee, i.base if in_base else i.quote, "", bool(is_maker), -1, "")
        )
        for n, (at, side, ticks, lots, fee, in_base, is_maker) in enumerate(zip(*columns, strict=True), start=1)
    ]  # fmt: skip


def held_spans(result: Result, books: list[Booked]) -> Ints:
    """How long something was held each time, µs: from the fill that opened to the one that left less than the smallest order."""
    i = result.instrument
    least = i.min_lots * i.lot_atoms
    base = np.array([b.base_atoms for b in books], np.int64)
    is_held = np.abs(base) >= least
    before = np.concatenate(([False], is_held[:-1])) if len(is_held) else is_held
    opened = result.fills["at_us"][is_held & ~before]
    closed = result.fills["at_us"][~is_held & before]
    if len(opened) > len(closed):
        closed = np.append(closed, result.end_us)
    spans: Ints = closed - opened
    return spans


def cycles(result: Result, books: list[Booked]) -> list[Cycle]:
    """The cycles of a martingale, in order; none of any other strategy."""
    f = result.fills
    starts, generation = [], -1
    for n, (role, of) in enumerate(zip(f["role"].tolist(), f["generation"].tolist(), strict=True)):
        if role == LAYER and of != generation:
            generation = of
            starts.append(n)
    return [_cycle(result, books, first, last, is_last=last == len(f)) for first, last in pairwise([*starts, len(f)])]


def _cycle(result: Result, books: list[Booked], first: int, last: int, *, is_last: bool) -> Cycle:
    i, f = result.instrument, result.fills[first:last]
    own = books[first:last]
    side = int(f["side"][0])
    opening, closing = f[f["side"] == side], f[f["side"] == -side]
    held = abs(own[-1].base_atoms) >= i.min_lots * i.lot_atoms
    is_open = held and is_last
    slots = np.unique(f["slot"][f["role"] == LAYER])
    start_us = int(f["at_us"][0])
    end_us = result.end_us if is_open else int(f["at_us"][-1])
    moves = result.moves
    paid = moves["quote_atoms"][(moves["at_us"] > start_us) & (moves["at_us"] <= end_us)]
    return Cycle(
        generation=int(f["generation"][0]),
        start_us=start_us,
        end_us=end_us,
        layers=len(slots),
        deepest=int(slots[-1]),
        bought_atoms=int(opening["quote_atoms"].sum()),
        average_in=_average(opening),
        average_out=_average(closing),
        realised_atoms=sum(b.realised_atoms for b in own),
        fees_atoms=sum(b.fee_quote_atoms for b in own),
        funding_atoms=int(paid.sum()),
        ended=STILL_OPEN if is_open else _ended(closing),
        side=side,
    )


def _ended(closing: Columns) -> str:
    """By what: a stop or the exchange, where any of its fills is of one."""
    roles = set(closing["role"].tolist())
    return next((_ENDS[role] for role in (-1, STOP, EXIT) if role in roles), ENDED_BY_EXIT)


def _average(fills: Columns) -> int:
    lots = int(fills["lots"].sum())
    return int(fills["quote_atoms"].sum()) // lots if lots else 0
