"""Between which prices nothing happens: what the loop compares bars with instead of looking at them point by point."""

from typing import Any

from lemon_trader.core.units import BUY, TRIGGER
from lemon_trader.formulas.compilable import compilable
from lemon_trader.formulas.fill import bar_ask, bar_bid, margin_atoms
from lemon_trader.optimize.books import account_atoms, held_lots
from lemon_trader.optimize.desk import NEVER
from lemon_trader.optimize.guard import calm_high, calm_low, is_guarded


@compilable
def need(room: Any) -> None:
    """Reckon between which prices nothing happens until the next wake."""
    desk = room.desk
    half = room.rules.half_spread_ppm
    if desk.band_low <= 0 or desk.band_high <= 0:
        desk.need_low = NEVER
        desk.need_high = 0
        return
    low = desk.band_low
    high = desk.band_high - 1
    if half:
        low, high = prices_in_band(desk.price, desk.band_low, desk.band_high, half)
    for k in range(desk.orders):
        order = room.orders[k]
        level = order.trigger_ticks if order.kind == TRIGGER else order.price_ticks
        if (order.side == BUY) == (order.kind != TRIGGER):  # reached from above: buys, and stops that sell
            low = max(low, level + 1)
        else:
            high = min(high, level - 1)
    if room.grid.is_perp and room.rules.mmf_ppm and desk.base_atoms != 0:
        safe = safe_price(room)
        if desk.base_atoms > 0:
            low = max(low, safe)
        else:
            high = min(high, safe)
    if desk.base_atoms != 0 and is_guarded(room):
        low = max(low, calm_low(room, 1, desk.price))
        high = min(high, calm_high(room, desk.price, desk.price * 2))
    desk.need_low = low
    desk.need_high = high


@compilable
def prices_in_band(price: int, band_low: int, band_high: int, half: int) -> tuple[int, int]:
    """The lowest and the highest price whose touch lies within a band, from a price within it outwards."""
    low = 1
    high = price
    if bar_bid(price, half) < band_low or bar_ask(price, half) > band_high:
        return NEVER, 0
    while low < high:
        middle = (low + high) // 2
        if bar_bid(middle, half) >= band_low:
            high = middle
        else:
            low = middle + 1
    lowest = low
    low = price
    high = min(band_high, price * 4)
    while low < high:
        middle = (low + high + 1) // 2
        if bar_ask(middle, half) <= band_high:
            low = middle
        else:
            high = middle - 1
    return lowest, low


@compilable
def safe_price(room: Any) -> int:
    """The price nearest to a liquidation at which there is none yet: the lowest such price of a long, the highest of a short."""
    desk = room.desk
    tick_lot = room.grid.tick_lot_atoms
    mmf = room.rules.mmf_ppm
    lots = held_lots(desk, room.grid)
    size = lots if lots > 0 else -lots
    low = 1
    high: int = desk.price
    if lots > 0:
        while low < high:
            middle = (low + high) // 2
            if account_atoms(room, middle) >= margin_atoms(size, middle, tick_lot, mmf):
                high = middle
            else:
                low = middle + 1
        return low
    low = high
    high *= 4
    while low < high:
        middle = (low + high + 1) // 2
        if account_atoms(room, middle) >= margin_atoms(size, middle, tick_lot, mmf):
            low = middle
        else:
            high = middle - 1
    return low
