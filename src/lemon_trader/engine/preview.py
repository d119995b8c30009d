"""What a `resume` would place: the strategies asked as if nothing were latched. Nothing is decided, sent or remembered by it."""

from typing import Any

from lemon_trader.core.decide import prepare
from lemon_trader.core.market import MarketState
from lemon_trader.core.records import pack, row_array, unpack
from lemon_trader.core.units import EXIT, KIND_NAMES, ROLE_NAMES, STOP, TRIGGER, side_name
from lemon_trader.engine.turn import Engine


def preview(engine: Engine, now_us: int) -> list[dict[str, Any]]:
    """Of every market with a strategy, the rows that it would want to rest now; prices and quantities as text.

    `price` is None where the market cannot be seen: then nobody knows, and `orders` is empty.
    """
    found = []
    for symbol, market in sorted(engine.state.markets.items()):
        if market.binding is None:
            continue
        prepare(engine.state, market, now_us)
        v = market.view
        price = market.reference_ticks()
        found.append(
            {
                "symbol": symbol,
                "strategy": market.binding.name,
                "price": market.instrument.price_text(price) if price else None,
                "orders": _rows(market) if 0 < v.bid_ticks < v.ask_ticks else [],
            }
        )
    return found


def _rows(market: MarketState) -> list[dict[str, Any]]:
    binding, v, i = market.binding, market.view, market.instrument
    assert binding is not None
    memory = unpack(type(binding.memory), pack(binding.memory))
    out = row_array()
    held = v.may_open, v.fresh
    v.may_open = v.fresh = 1
    try:
        used = binding.targets(binding.params, v, market.position, memory, out)
    finally:
        v.may_open, v.fresh = held
    rows = []
    for row in out[1 : max(1, used)]:
        if market.ended and row.role not in (EXIT, STOP):
            continue  # this pair has ended, and a resume does not begin it again
        filled = v.filled[row.slot] if v.generation[row.slot] == row.generation else 0
        rows.append(
            {
                "role": ROLE_NAMES[row.role],
                "kind": KIND_NAMES[row.kind],
                "side": side_name(row.side),
                "price": i.price_text(row.trigger_ticks if row.kind == TRIGGER else row.price_ticks),
                "open": i.qty_text(max(0, row.qty_lots - filled)),
                "rests": v.live[row.slot] > 0,
            }
        )
    return rows
