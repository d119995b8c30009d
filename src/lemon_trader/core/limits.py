"""Limits in the send path: every place passes here, counted with everything that may still fill.

UNKNOWN counts as live and as filled, whichever is worse: its open rest stays in the sums until its end is proven. A missing input
means no new exposure. Orders that reduce may pass the loss limits, never the collar.
"""

from dataclasses import dataclass
from typing import Any, Final

from lemon_trader.core.diff import PLACE
from lemon_trader.core.reasons import (
    LIMIT_BUDGET,
    LIMIT_COLLAR,
    LIMIT_NOTIONAL,
    LIMIT_ORDERS,
    LIMIT_POSITION,
    LIMIT_QTY,
    LIMIT_RATE,
    MASKED,
    MISSING_INPUT,
    NONE,
    OUT_OF_BAND,
    WAIT_FUNDS,
)
from lemon_trader.core.units import ACTIVE, BUY, EXIT, LAYER, PPM, QUOTE, REBALANCE, STOP, TAKE, TRIGGER
from lemon_trader.formulas.compilable import compilable

RATE_UNIT: Final = 1_000_000  # one order in the rate bucket's own units


@dataclass(slots=True)
class Limits:
    """Limits of one market, and what they are counted against.

    Attributes:
        order_lots_max / order_notional_max: of one order; 0 = none. Notional in quote atoms.
        collar_ppm: how far through the touch an opening order may reach; exit_collar_ppm: an EXIT or STOP.
        orders_max: resting at once in this market, triggers included.
        position_notional_max: worst-case position at the order's price, quote atoms; 0 = none.
        budget_atoms: what is held at cost + working + next never exceeds it.
        rate_tokens: orders that may be sent now, in RATE_UNIT; rate_reserve: kept back for closing orders.
        mode: what the account may do.
        foreign_orders / foreign_buys / foreign_sells: orders of the account that are not ours, and the lots that they may still fill. They
            count in the number of orders and in the worst-case position, not in the budget, which is ours.
        exit_masked: 1 when the mode cancels the EXIT too (kill, flatten).
    """

    order_lots_max: int = 0
    order_notional_max: int = 0
    collar_ppm: int = 10_000
    exit_collar_ppm: int = 30_000
    orders_max: int = 64
    position_notional_max: int = 0
    budget_atoms: int = 0
    rate_tokens: int = 0
    rate_reserve: int = 0
    mode: int = ACTIVE
    exit_masked: int = 0
    foreign_orders: int = 0
    foreign_buys: int = 0
    foreign_sells: int = 0


@compilable
def is_closing(role: int) -> int:
    """1 for roles that only reduce what is held."""
    return 1 if role in (EXIT, STOP) else 0


@compilable
def is_masked(role: int, mode: int, exit_masked: int) -> int:
    """1 when the mode lets no order of this role rest; `architecture.md` §4."""
    if role in (QUOTE, LAYER, REBALANCE):
        return 1 if mode != ACTIVE else 0
    if role == EXIT:
        return exit_masked
    return 0


@compilable
def mask(out: Any, used: int, limits: Any) -> int:
    """Drop the rows that the mode forbids; the number of rows left, header included. Order is kept."""
    if limits.mode == ACTIVE and limits.exit_masked == 0:
        return used
    left = 1
    for i in range(1, used):
        row = out[i]
        if is_masked(row.role, limits.mode, limits.exit_masked):
            continue
        if left != i:
            to = out[left]
            to.slot = row.slot
            to.generation = row.generation
            to.role = row.role
            to.side = row.side
            to.kind = row.kind
            to.flags = row.flags
            to.price_ticks = row.price_ticks
            to.trigger_ticks = row.trigger_ticks
            to.qty_lots = row.qty_lots
            to.tolerance_ticks = row.tolerance_ticks
            to.tolerance_ppm = row.tolerance_ppm
        left += 1
    return left


@compilable
def collar_ticks(view: Any, side: int, ppm: int) -> int:
    """The farthest price that an order of this side may name: through the touch by `ppm`, rounded inwards. 0 = no touch, no price."""
    if side == BUY:
        return view.ask_ticks * (PPM + ppm) // PPM if view.ask_ticks > 0 else 0
    return -(-view.bid_ticks * (PPM - ppm) // PPM) if view.bid_ticks > 0 else 0


@compilable
def review(out: Any, orders: Any, count: int, view: Any, position: Any, limits: Any, actions: Any, done: int) -> int:
    """Withhold the places that a limit forbids: `what` becomes 0 and the row's reason says which. The number left to send."""
    buys = limits.foreign_buys  # lots that may still be bought, and what ours would cost
    sells = limits.foreign_sells
    buys_cost = 0
    sells_worth = 0
    tick_lot_atoms = view.tick_lot_atoms
    for k in range(count):
        order = orders[k]
        if order.kind == TRIGGER:
            continue  # reduce-only: it can only shrink what is held
        open_lots = order.open_lots
        worth = open_lots * order.price_ticks * tick_lot_atoms
        if order.side == BUY:
            buys += open_lots
            buys_cost += worth
        else:
            sells += open_lots
            sells_worth += worth
    resting = count + limits.foreign_orders
    tokens = limits.rate_tokens
    left = 0
    is_perp = view.is_perp
    lots = position.lots
    masks = limits.mode != ACTIVE or limits.exit_masked != 0
    opens_nothing = view.fresh == 0 or view.may_open == 0
    edge = 0  # of the side and kind of row seen last
    edge_of = 0
    for n in range(done):
        action = actions[n]
        if action.what != PLACE:
            left += 1
            continue
        row = out[action.index]
        side = row.side
        kind = row.kind
        closing = is_closing(row.role)
        qty = action.qty_lots
        price = row.trigger_ticks if kind == TRIGGER else row.price_ticks
        notional = qty * price * tick_lot_atoms
        why = NONE
        figure = 0
        if masks and is_masked(row.role, limits.mode, limits.exit_masked):
            why = MASKED
            figure = limits.mode
        elif closing:
            if tokens < RATE_UNIT:
                why = LIMIT_RATE
        elif opens_nothing:
            why = MISSING_INPUT
        elif 0 < limits.order_lots_max < qty:
            why = LIMIT_QTY
            figure = limits.order_lots_max
        elif 0 < limits.order_notional_max < notional:
            why = LIMIT_NOTIONAL
            figure = notional
        elif resting >= limits.orders_max:
            why = LIMIT_ORDERS
            figure = resting
        elif tokens < RATE_UNIT + limits.rate_reserve:
            why = LIMIT_RATE
            figure = tokens // RATE_UNIT
        if why == NONE and kind != TRIGGER:
            if edge_of != side * (1 + closing):
                edge_of = side * (1 + closing)
                edge = collar_ticks(view, side, limits.exit_collar_ppm if closing else limits.collar_ppm)
            if edge == 0 and kind == TAKE:
                why = MISSING_INPUT
            elif edge > 0 and (price - edge) * side > 0:
                why = LIMIT_COLLAR
                figure = edge
            elif price < view.low_ticks:
                why = OUT_OF_BAND
                figure = view.low_ticks
            elif 0 < view.high_ticks < price:
                why = OUT_OF_BAND
                figure = view.high_ticks
        if why == NONE and not closing:
            if side == BUY:
                long_after = lots + buys + qty
                at_risk = (long_after if is_perp or long_after > 0 else qty) * price * tick_lot_atoms
                held = position.cost_atoms if lots > 0 or not is_perp else 0
                spent = held + buys_cost + notional
                opens = long_after > 0
            else:
                short_after = sells + qty - lots
                at_risk = short_after * price * tick_lot_atoms
                held = position.cost_atoms if lots < 0 else 0
                spent = held + sells_worth + notional
                if lots > 0:  # what is held is sold first: only the rest opens a short
                    spent -= lots * price * tick_lot_atoms
                opens = is_perp == 1 and short_after > 0
            if opens:
                if 0 < limits.position_notional_max < at_risk:
                    why = LIMIT_POSITION
                    figure = at_risk
                elif 0 < limits.budget_atoms < spent:
                    why = LIMIT_BUDGET
                    figure = spent
                elif side == BUY and not is_perp and notional > position.free_quote_atoms:
                    why = WAIT_FUNDS
                    figure = position.free_quote_atoms
        if why != NONE:
            action.what = 0
            action.reason = why
            action.figure = figure
            row.reason = why
            row.figure = figure
            continue
        tokens -= RATE_UNIT
        resting += 1
        left += 1
        if kind != TRIGGER:
            if side == BUY:
                buys += qty
                buys_cost += notional
                position.free_quote_atoms -= notional
            else:
                sells += qty
                sells_worth += notional
    limits.rate_tokens = tokens
    return left
