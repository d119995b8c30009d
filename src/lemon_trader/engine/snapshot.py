"""What faces see: one frozen picture of the engine at a stated time, as plain values. Made at most four times a second, never by a turn."""

from typing import Any

from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.market import MarketState
from lemon_trader.core.reasons import NAMES, PLACED
from lemon_trader.core.units import ATOMS_PER_UNIT, FIRST_TERMINAL, KIND_NAMES, MODE_NAMES, ROLE_NAMES, STATE_NAMES, side_name
from lemon_trader.engine.turn import Engine

ATOMS_PER_PCT_PPM = ATOMS_PER_UNIT // 10_000  # a ppm is a ten-thousandth of a percent


def snapshot(engine: Engine, now_us: int, mode: str) -> dict[str, Any]:
    """The engine as of `now_us`; every number as text in the market's own units, times in µs."""
    state = engine.state
    engine.look(now_us)
    pnl = state.net_pnl()
    return {
        "as_of_us": now_us,
        "mode": mode,
        "state": MODE_NAMES[state.mode],
        "reason": state.mode_reason,
        "detail": state.mode_detail,
        "net": atoms_text(pnl) if pnl is not None else None,
        "public_up": state.public_up,
        "private_up": state.private_up,
        "feed_age_us": now_us - state.public_us if state.public_us else None,
        "account_age_us": now_us - state.account_us if state.account_us else None,
        "venue_status": state.venue_status,
        "turns": engine.turns,
        "sent": engine.sent,
        "journal": "written" if engine.unwritten is None else str(engine.unwritten),
        "bad_facts": state.bad_facts,
        "markets": [_market(m) for _, m in sorted(state.markets.items())],
    }


def _market(m: MarketState) -> dict[str, Any]:
    i, v, p, ledger = m.instrument, m.view, m.position, m.ledger
    price = m.reference_ticks()
    average = ledger.cost_atoms * i.lot_atoms // (abs(ledger.base_atoms) * i.tick_lot_atoms) if ledger.base_atoms else 0
    rows = m.out[1 : m.rows_used]
    return {
        "symbol": i.symbol,
        "strategy": m.binding.name if m.binding is not None else None,
        "budget": atoms_text(p.budget_atoms),
        "fresh": bool(v.fresh),
        "may_open": bool(v.may_open),
        "frozen": m.frozen,
        "bid": i.price_text(v.bid_ticks),
        "ask": i.price_text(v.ask_ticks),
        "last": i.price_text(m.last_ticks),
        "mark": i.price_text(m.mark_ticks) if i.is_perp else None,
        "position": _base_text(m),
        "sellable": i.qty_text(p.sellable_lots),
        "average": i.price_text(average),
        "cost": atoms_text(ledger.cost_atoms),
        "realised": atoms_text(ledger.realised_atoms),
        "unrealised": atoms_text(ledger.unrealised_atoms(price)) if price else None,
        "fees": atoms_text(ledger.fees_atoms),
        "funding": atoms_text(ledger.funding_atoms),
        "net": atoms_text(ledger.net_atoms(price)) if price or not ledger.base_atoms else None,
        "cash": atoms_text(ledger.cash_atoms),
        "volatility_pct": atoms_text(v.volatility_ppm * ATOMS_PER_PCT_PPM),
        "orders": [
            {
                "client_id": o.client_id,
                "order_id": o.order_id,
                "role": ROLE_NAMES[o.role],
                "kind": KIND_NAMES[o.kind],
                "side": side_name(o.side),
                "state": STATE_NAMES[o.state],
                "price": i.price_text(o.trigger_ticks or o.price_ticks),
                "open": i.qty_text(o.open_lots),
                "filled": i.qty_text(o.filled_lots),
                "reason": NAMES[o.reason],
                "figure": o.figure,
            }
            for o in m.orders.live
            if o.state < FIRST_TERMINAL
        ],
        "wants": [
            {
                "slot": r.slot,
                "role": ROLE_NAMES[r.role],
                "side": side_name(r.side),
                "price": i.price_text(r.trigger_ticks or r.price_ticks),
                "total": i.qty_text(r.qty_lots),
                "reason": NAMES[r.reason],
                "figure": r.figure,
            }
            for r in rows
        ],
        "withheld": sorted({NAMES[r.reason] for r in rows if r.reason > PLACED and r.reason in WITHHELD}),
        "foreign_orders": len(m.foreign),
        "strategy_state": _memory(m),
    }


WITHHELD = frozenset(range(NAMES.index("WAIT_RETRY"), len(NAMES))) - {NAMES.index("DONE"), NAMES.index("SURPLUS")}


def _base_text(m: MarketState) -> str:
    return atoms_text(m.ledger.base_atoms)


def _memory(m: MarketState) -> dict[str, int]:
    """The scalar fields of the strategy's memory, for `why` and the screens."""
    if m.binding is None:
        return {}
    memory = m.binding.memory
    return {name: value for name in type(memory).__dataclass_fields__ if isinstance(value := getattr(memory, name), int)}
