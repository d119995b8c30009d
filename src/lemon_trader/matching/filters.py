"""What becomes of a market when its filters change while it trades.

Inside, a market counts in a grid that only ever becomes finer: the greatest common steps of all filters it has had. So every price and
quantity that was ever booked keeps its value exactly. What is published, and asked of new orders, are the filters; where those are coarser
than the grid, `Listing.price_step` and `lot_step` say by how much.
"""

from math import gcd

import msgspec

from lemon_trader.core.instrument import Instrument, instrument
from lemon_trader.matching.effects import Position
from lemon_trader.matching.orders import Attached, Fill, Leg, OrderState


class Regrid(msgspec.Struct, frozen=True):
    """How a market goes over to new filters.

    Attributes:
        grid: what it counts in from now on, with the bounds of the new filters.
        ticks_by, lots_by: what a tick and a lot of before are in it.
        price_step, lot_step: the new filters' steps in it.
    """

    grid: Instrument
    ticks_by: int
    lots_by: int
    price_step: int
    lot_step: int


def regrid(grid: Instrument, filters: Instrument, *, step_multiples: bool = True) -> Regrid:
    """The way from a grid to new filters; without `step_multiples` their decimals are all that counts of their steps.

    Raises:
        GateError: the common steps are so fine that a market could not be counted in whole atoms.
        ValueError: the filters are of another market.
    """
    if (grid.symbol, grid.base, grid.quote, grid.kind) != (filters.symbol, filters.base, filters.quote, filters.kind):
        raise ValueError(f"filters of {filters.symbol} cannot be those of {grid.symbol}; give the same market")
    tick_scale, lot_scale = (filters.tick_scale, filters.lot_scale) if step_multiples else (1, 1)
    tick, ticks_by, price_step = _common(grid.price_decimals, grid.tick_scale, filters.price_decimals, tick_scale)
    lot, lots_by, lot_step = _common(grid.qty_decimals, grid.lot_scale, filters.qty_decimals, lot_scale)
    tick_steps, lot_steps = filters.tick_scale // tick_scale * price_step, filters.lot_scale // lot_scale * lot_step
    common = instrument(grid.symbol, grid.base, grid.quote, is_perp=grid.is_perp, tick=tick, lot=lot)
    bounds = {
        name: getattr(filters, name)
        for name in (
            "low_ppm", "high_ppm", "impact_low_ppm", "impact_high_ppm", "band_low_ppm", "band_high_ppm", "imf_ppm", "mmf_ppm", "book_state",
        )
    }  # fmt: skip
    common = msgspec.structs.replace(
        common, min_lots=filters.min_lots * lot_steps, max_lots=filters.max_lots * lot_steps, min_ticks=filters.min_ticks * tick_steps,
        max_ticks=filters.max_ticks * tick_steps, **bounds,
    )  # fmt: skip
    return Regrid(common, ticks_by, lots_by, price_step, lot_step)


def refine_order(order: OrderState, ticks_by: int, lots_by: int) -> None:
    """Express an order in a finer grid."""
    order.ticks *= ticks_by
    order.trigger_ticks *= ticks_by
    order.lots *= lots_by
    order.executed_lots *= lots_by
    order.exposed_lots *= lots_by
    order.trigger_lots *= lots_by
    order.covered_lots *= lots_by
    if order.slippage_ticks is not None:
        order.slippage_ticks *= ticks_by
    if order.attached is not None:
        order.attached = Attached(_leg(order.attached.take_profit, ticks_by), _leg(order.attached.stop_loss, ticks_by))


def refine_position(position: Position, lots_by: int) -> None:
    """Express a position in a finer grid."""
    position.lots *= lots_by
    position.closed_lots *= lots_by


def refined_fill(fill: Fill, ticks_by: int, lots_by: int) -> Fill:
    """A row of before in a finer grid."""
    return msgspec.structs.replace(fill, ticks=fill.ticks * ticks_by, lots=fill.lots * lots_by)


def is_off_grid(order: OrderState, price_step: int, lot_step: int) -> bool:
    """True when the order's price or quantity is no multiple of these steps."""
    prices = order.ticks % price_step or order.trigger_ticks % price_step
    return bool(prices or order.lots % lot_step or order.trigger_lots % lot_step)


def _leg(leg: Leg | None, ticks_by: int) -> Leg | None:
    return None if leg is None else Leg(leg.trigger_ticks * ticks_by, leg.limit_ticks * ticks_by, leg.trigger_by)


def _common(decimals: int, scale: int, new_decimals: int, new_scale: int) -> tuple[str, int, int]:
    """(the greatest common step as text, the old step in it, the new step in it)."""
    places = max(decimals, new_decimals)
    old, new = scale * 10 ** (places - decimals), new_scale * 10 ** (places - new_decimals)
    step = gcd(old, new)
    whole, rest = divmod(step, 10**places)
    return (f"{whole}.{rest:0{places}d}" if places else str(whole)), old // step, new // step
