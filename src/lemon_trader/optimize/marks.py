"""Equity at the ends of bars, and quiet bars gone through as fast as they can be read: whole blocks at once where nothing can happen."""

from typing import Any, Final

import numpy as np

from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.rounding import INT64_MAX
from lemon_trader.optimize.books import net_atoms

BLOCK: Final = 64
MANY: Final = 4_096  # of the second level


@compilable
def wide(value: Any) -> int:
    """A number of a column as 64 bits."""
    return int(np.int64(value))


@compilable
def mark(room: Any, at_us: int) -> None:
    """Reckon the equity now and keep what is worth knowing of it."""
    desk = room.desk
    equity = note_equity(room, desk.price)
    if desk.marks < len(room.equity):
        row = room.equity[desk.marks]
        row.at_us = at_us
        row.equity_atoms = equity
        row.base_atoms = desk.base_atoms
        row.cost_atoms = desk.cost_atoms
    desk.marks += 1


@compilable
def note_equity(room: Any, price: int) -> int:
    """The equity at a price; peak, deepest fall and lowest are kept."""
    desk = room.desk
    equity = net_atoms(room, price)
    desk.equity_atoms = equity
    desk.peak_atoms = max(desk.peak_atoms, equity)
    desk.drawdown_atoms = max(desk.drawdown_atoms, desk.peak_atoms - equity)
    desk.lowest_atoms = min(desk.lowest_atoms, equity)
    return equity


@compilable
def skip_quiet(tape: Any, first: int, stop: int, need_low: int, need_high: int) -> int:
    """The first bar from `first` on that leaves these prices, at most `stop`."""
    blocks = len(tape.block_low)
    i = first
    while i < stop:
        if blocks and i % BLOCK == 0:
            if i % MANY == 0 and i + MANY <= stop:
                k = i // MANY
                if tape.many_low[k] >= need_low and tape.many_high[k] <= need_high:
                    i += MANY
                    continue
            k = i // BLOCK
            if i + BLOCK <= stop and tape.block_low[k] >= need_low and tape.block_high[k] <= need_high:
                i += BLOCK
                continue
        if tape.low[i] < need_low or tape.high[i] > need_high:
            break
        i += 1
    return i


@compilable
def skip_marking(room: Any, tape: Any, first: int, stop: int) -> int:
    """The same while something is held, with the marks that a close beyond all closes since the last peak asks for.

    Equity only rises or only falls with the price while the position stands: between the highest and the lowest close seen nothing is new.
    """
    desk = room.desk
    need_low = desk.need_low
    need_high = desk.need_high
    blocks = len(tape.block_low)
    top = desk.price
    bottom = desk.price
    i = first
    while i < stop:
        if blocks and i % BLOCK == 0:
            low = max(need_low, bottom)
            high = min(need_high, top)
            if i % MANY == 0 and i + MANY <= stop:
                k = i // MANY
                if tape.many_low[k] >= low and tape.many_high[k] <= high:
                    i += MANY
                    continue
            k = i // BLOCK
            if i + BLOCK <= stop and tape.block_low[k] >= low and tape.block_high[k] <= high:
                i += BLOCK
                continue
        if tape.low[i] < need_low or tape.high[i] > need_high:
            break
        close = wide(tape.close[i])
        if close > top or close < bottom:
            peak = desk.peak_atoms
            note_equity(room, close)
            if desk.peak_atoms > peak:
                top = close  # every fall begins anew under a new peak
                bottom = close
            else:
                top = max(top, close)
                bottom = min(bottom, close)
        i += 1
    return i


@compilable
def skip_writing(room: Any, tape: Any, first: int, stop: int) -> int:
    """The same with a row of equity for every bar."""
    desk = room.desk
    need_low = desk.need_low
    need_high = desk.need_high
    base = desk.base_atoms
    flow = desk.budget_atoms + desk.flow_atoms
    cost = desk.cost_atoms
    peak = desk.peak_atoms
    fall = desk.drawdown_atoms
    lowest = desk.lowest_atoms
    # What is held, in whole lots and the rest: lots x price needs no division, and the rest's is short.
    size = base if base >= 0 else -base
    sign = 1 if base >= 0 else -1
    lot = room.grid.lot_atoms
    worth = room.grid.tick_lot_atoms
    lots = size // lot
    rest = size - lots * lot
    short = rest == 0 or min(need_high, 2**40) <= INT64_MAX // worth // rest
    last = 3 * room.grid.step_us
    rows = room.equity
    at = desk.marks
    i = first
    equity = desk.equity_atoms
    while i < stop and tape.low[i] >= need_low and tape.high[i] <= need_high:
        close = wide(tape.close[i]) * worth
        if short:
            value = lots * close
            if rest:
                value += rest * close // lot
            equity = flow + sign * value
        else:
            equity = net_atoms(room, wide(tape.close[i]))
        peak = max(peak, equity)
        fall = max(fall, peak - equity)
        lowest = min(lowest, equity)
        row = rows[at]
        row.at_us = tape.at_us[i] + last
        row.equity_atoms = equity
        row.base_atoms = base
        row.cost_atoms = cost
        at += 1
        i += 1
    desk.marks = at
    desk.equity_atoms = equity
    desk.peak_atoms = peak
    desk.drawdown_atoms = fall
    desk.lowest_atoms = lowest
    return i
