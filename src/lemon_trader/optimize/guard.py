"""The account's loss limits in the compiled loop, judged when the engine judges them: at its hourly wake over bars, and after every fill.

`core/decide.py` has them as `risk`: a day's and a peak's anchor, and the latch when the loss since one of them is too large. Between two
such moments a price does nothing, so here is also between which prices nothing can come of one.
"""

from typing import Any, Final

from lemon_trader.core.units import ACTIVE, HALTED
from lemon_trader.formulas.compilable import compilable
from lemon_trader.optimize.books import net_atoms
from lemon_trader.optimize.desk import NEVER

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
DAILY_LOSS: Final = 1
DRAWDOWN: Final = 2
REASONS: Final = ("", "DAILY_LOSS", "DRAWDOWN")


@compilable
def is_guarded(room: Any) -> int:
    """1 while a loss limit may still stop the strategy."""
    desk = room.desk
    return 1 if room.limits.mode == ACTIVE and (desk.day_loss_atoms > 0 or desk.drawdown_limit > 0) else 0


@compilable
def judge(room: Any, now_us: int) -> int:
    """Set anchors that are due, or latch; 1 when it latched."""
    if is_guarded(room) == 0:
        return 0
    desk = room.desk
    net = net_atoms(room, desk.price)
    day = now_us // DAY_US
    if day != desk.day:
        if desk.day < 0:
            desk.top_atoms = net
        desk.day = day
        desk.day_atoms = net
        return 0
    fallen = desk.top_atoms - net
    reason = 0
    if desk.day_loss_atoms > 0 and desk.day_atoms - net >= desk.day_loss_atoms:
        reason = DAILY_LOSS
    elif desk.drawdown_limit > 0 and fallen >= desk.drawdown_limit:
        reason = DRAWDOWN
    if fallen < 0 and (desk.drawdown_limit == 0 or -fallen * 100 >= desk.drawdown_limit):
        desk.top_atoms = net
    if reason == 0:
        return 0
    room.limits.mode = HALTED
    desk.halted = reason
    desk.halted_us = now_us
    return 1


@compilable
def is_calm(room: Any, ticks: int) -> int:
    """1 when neither a latch nor a new peak would come of this price."""
    desk = room.desk
    net = net_atoms(room, ticks)
    if desk.day_loss_atoms > 0 and desk.day_atoms - net >= desk.day_loss_atoms:
        return 0
    if desk.drawdown_limit == 0:
        return 1
    fallen = desk.top_atoms - net
    return 0 if fallen >= desk.drawdown_limit or (fallen < 0 and -fallen * 100 >= desk.drawdown_limit) else 1


@compilable
def calm_low(room: Any, low: int, high: int) -> int:
    """The lowest price from `low` on from which up to `high` all are calm; NEVER when `high` is not."""
    if is_calm(room, high) == 0:
        return NEVER
    while low < high:
        middle = (low + high) // 2
        if is_calm(room, middle):
            high = middle
        else:
            low = middle + 1
    return low


@compilable
def calm_high(room: Any, low: int, high: int) -> int:
    """The highest price up to `high` down from which to `low` all are calm; 0 when `low` is not."""
    if is_calm(room, low) == 0:
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        if is_calm(room, middle):
            low = middle
        else:
            high = middle - 1
    return low
