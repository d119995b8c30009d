"""A market's grid while it lives: state said again on a finer one, and what is wanted kept to the steps that the venue takes.

Numbers of the past are never rounded: the new grid divides the old one (`instrument.refine`). Where the venue takes only multiples of our
tick and lot, the rows of a turn are moved to them here, always towards the safe side, and the rest stays as dust.
"""

from typing import Any

import msgspec

from lemon_trader.core.diff import PLACE, Action
from lemon_trader.core.events import GridChanged
from lemon_trader.core.instrument import Instrument, atoms_text, steps_between
from lemon_trader.core.market import MarketState
from lemon_trader.core.reasons import BELOW_MIN
from lemon_trader.core.records import Row, View, rescale
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import BUY, TRIGGER


def change_grid(state: AccountState, e: GridChanged) -> None:
    """Fold a changed grid, changed bounds, or the birth of a market."""
    market = state.markets.get(e.symbol)
    if market is None:
        state.add_market(e.instrument)
        return
    old, new = market.instrument, e.instrument
    ticks, lots = steps_between(old, new)
    market.instrument = market.ledger.instrument = new
    if (ticks, lots) != (1, 1):
        _rescale(market, ticks, lots)
    market.show_bounds()
    market.refusals.clear()  # what was refused for its price or size is asked anew
    market.retry_us = [0] * len(market.retry_us)
    market.retrying = True
    market.asked = True
    if (old.order_tick, old.order_lot) == (new.order_tick, new.order_lot):
        state.tell(e.ts_us, "alert.bounds_changed", "info", symbol=e.symbol)
    else:
        market.book.drop()
        market.touch(e.ts_us)
        market.band_low = market.band_high = 0
        dust = abs(market.ledger.base_atoms) % (new.lot_atoms * new.lot_step)
        state.tell(
            e.ts_us,
            "alert.grid_changed",
            "warn",
            symbol=e.symbol,
            tick=new.order_tick,
            lot=new.order_lot,
            dust=atoms_text(dust),
            base=new.base,
        )
    if old.book_state != new.book_state:
        state.tell(e.ts_us, "alert.book_state", "warn", symbol=e.symbol, state=new.book_state)


def is_same_listing(known: Instrument, listed: Instrument) -> bool:
    """Whether the two differ in nothing but what one may do there just now."""
    return msgspec.structs.replace(known, book_state=listed.book_state) == listed


def snap(out: list[Row], used: int, view: View, tick_step: int, lot_step: int) -> None:
    """Keep rows to the steps of orders: a limit price moves away from the other side, a trigger farther from the market, a rest shrinks."""
    for n in range(1, used):
        row = out[n]
        row.price_ticks -= row.price_ticks % tick_step if row.side == BUY else -(-row.price_ticks % tick_step)
        if row.kind == TRIGGER:
            # A sell fires below the market and a buy above it: never before the program's own stop.
            row.trigger_ticks += -row.trigger_ticks % tick_step if row.side == BUY else -(row.trigger_ticks % tick_step)
            continue
        filled = view.filled[row.slot] if view.generation[row.slot] == row.generation else 0
        row.qty_lots -= max(0, row.qty_lots - filled) % lot_step


def snap_actions(actions: list[Action], done: int, out: list[Row], view: View, lot_step: int) -> None:
    """Keep what is placed to whole steps: coins that are claimed may leave less than one of them free."""
    for n in range(done):
        action = actions[n]
        if action.what != PLACE or out[action.index].kind == TRIGGER:
            continue
        action.qty_lots -= action.qty_lots % lot_step
        if action.qty_lots < max(view.min_lots, 1):
            action.what, action.reason, action.figure = 0, BELOW_MIN, action.qty_lots
            out[action.index].reason, out[action.index].figure = BELOW_MIN, action.qty_lots


def _rescale(market: MarketState, ticks: int, lots: int) -> None:
    m, v = market, market.view
    m.orders.rescale(ticks, lots)
    for name in ("last_ticks", "mark_ticks", "index_ticks", "confirmed_ticks"):
        setattr(m, name, getattr(m, name) * ticks)
    v.last_ticks, v.mark_ticks, v.index_ticks = m.last_ticks, m.mark_ticks, m.index_ticks
    if m.venue_lots is not None:
        m.venue_lots *= lots
    m.limits.order_lots_max *= lots
    m.foreign = tuple(
        msgspec.structs.replace(
            row, price_ticks=row.price_ticks * ticks, trigger_ticks=row.trigger_ticks * ticks, qty_lots=row.qty_lots * lots,
            filled_lots=row.filled_lots * lots,
        )
        for row in m.foreign
    )  # fmt: skip
    m.count_foreign()
    m.strangers = [msgspec.structs.replace(f, price_ticks=f.price_ticks * ticks, qty_lots=f.qty_lots * lots) for f in m.strangers]
    m.memory_ticks *= ticks
    m.memory_lots *= lots
    if m.binding is not None:
        rescale(m.binding.memory, ticks, lots)
        m.binding.packed = b""
        rescale(m.binding.params, ticks, lots)
        m.binding.regrid(ticks)


def unpacked(memory: Any, market: MarketState) -> Any:
    """A memory just read from `market.memory_bytes`, on today's grid."""
    rescale(memory, market.memory_ticks, market.memory_lots)
    return memory
