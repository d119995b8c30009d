"""What faces see: one frozen picture of the engine at a stated time, as plain values. Made at most four times a second, never by a turn."""

from typing import Any

from lemon_trader import __version__
from lemon_trader.core.decide import RATE_BURST, RATE_PER_US
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.limits import RATE_UNIT
from lemon_trader.core.market import MarketState
from lemon_trader.core.reasons import NAMES, PLACED
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import (
    ATOMS_PER_UNIT,
    BUY,
    EXIT,
    FIRST_TERMINAL,
    KIND_NAMES,
    MODE_NAMES,
    PPM,
    ROLE_NAMES,
    STATE_NAMES,
    STOP,
    side_name,
)
from lemon_trader.engine.recent import Recent, Traded, fill_rows
from lemon_trader.engine.turn import Engine

ATOMS_PER_PCT_PPM = ATOMS_PER_UNIT // 10_000  # a ppm is a ten-thousandth of a percent


def snapshot(engine: Engine, now_us: int, mode: str, recent: Recent | None = None) -> dict[str, Any]:
    """The engine as of `now_us`; every number as text in the market's own units, times in µs. `recent`: what the session has traded."""
    state = engine.state
    engine.look(now_us)
    pnl = state.net_pnl()
    traded = recent if recent is not None else Recent()
    return {
        "version": __version__,
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
        "alerts": [{"at_us": a.ts_us, "key": a.key, "grade": a.grade, "values": a.values} for a in reversed(state.told)],
        "risk": _risk(state, pnl),
        "rate": {"left": _orders_left(state, now_us), "most": RATE_BURST // RATE_UNIT},
        "balances": {a: {"available": atoms_text(free), "locked": atoms_text(held)} for a, (free, held) in sorted(state.balances.items())},
        "markets": [_market(m) | _traded(m, traded.of(symbol)) for symbol, m in sorted(state.markets.items())],
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
        "ended": m.ended,
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
        "waiting": m.binding.waiting(m.binding.params, v, p, m.binding.memory) if m.binding is not None else "",
        "base": i.base,
        "quote": i.quote,
        **_closing(m, price),
        "limits": _limits(m, price),
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


def _risk(state: AccountState, pnl: int | None) -> dict[str, str | None]:
    """How far the loss limits are used up, quote units; a limit of None is off."""
    known = pnl is not None and state.has_anchor
    day_loss = max(0, state.day_pnl - (pnl or 0))
    drawdown = max(0, state.peak_pnl - (pnl or 0))
    return {
        "day_loss": atoms_text(day_loss) if known else None,
        "day_loss_max": atoms_text(state.day_loss_max) if state.day_loss_max else None,
        "drawdown": atoms_text(drawdown) if known else None,
        "drawdown_max": atoms_text(state.drawdown_max) if state.drawdown_max else None,
    }


def _orders_left(state: AccountState, now_us: int) -> int:
    """Orders that the rate budget would let go now."""
    if not state.rate_us:
        return RATE_BURST // RATE_UNIT
    return min(RATE_BURST, state.rate_tokens + (now_us - state.rate_us) * RATE_PER_US) // RATE_UNIT


def _closing(m: MarketState, price_ticks: int) -> dict[str, str | None]:
    """Where what is held would be sold with a profit and where it would be given up, and how far the price is from there, percent."""
    places = {EXIT: 0, STOP: 0}
    if m.ledger.base_atoms:
        memory = m.binding.memory if m.binding is not None else None
        # A stop that the program watches is no order yet: then only the strategy's memory knows its price.
        places = {EXIT: getattr(memory, "exit_ticks", 0), STOP: getattr(memory, "stop_ticks", 0)}
        for o in m.orders.live:
            if o.role in places and not places[o.role]:
                places[o.role] = o.trigger_ticks or o.price_ticks
    i = m.instrument
    found: dict[str, str | None] = {}
    for name, role in (("take_profit", EXIT), ("stop", STOP)):
        ticks = places[role]
        away = abs(ticks - price_ticks) * PPM // price_ticks if ticks and price_ticks > 0 else None
        found[name] = i.price_text(ticks) if ticks else None
        found[f"to_{name}_pct"] = atoms_text(away * ATOMS_PER_PCT_PPM) if away is not None else None
    return found


def _limits(m: MarketState, price_ticks: int) -> dict[str, Any]:
    """What the limits of this market are counted against: values in quote units; a maximum of None is off."""
    i, buys, sells = m.instrument, 0, 0
    for o in m.orders.live:
        worth = o.open_lots * o.price_ticks * i.tick_lot_atoms
        buys, sells = (buys + worth, sells) if o.side == BUY else (buys, sells + worth)
    of = m.limits
    return {
        "orders": len(m.orders.live),
        "orders_max": of.orders_max,
        "position": atoms_text(abs(m.ledger.value_atoms(price_ticks))),
        "position_max": atoms_text(of.position_notional_max) if of.position_notional_max else None,
        "resting_buys": atoms_text(buys),
        "resting_sells": atoms_text(sells),
    }


def _traded(m: MarketState, traded: Traded) -> dict[str, Any]:
    """What this session has traded here; quantities in base units."""
    i, price = m.instrument, m.reference_ticks()
    known = traded.net_start_atoms is not None and (price > 0 or not m.ledger.base_atoms)
    return {
        "session": {
            "net": atoms_text(m.ledger.net_atoms(price) - (traded.net_start_atoms or 0)) if known else None,
            "bought": i.qty_text(traded.bought_lots),
            "sold": i.qty_text(traded.sold_lots),
            "maker_buy": i.qty_text(traded.maker_buy_lots),
            "maker_sell": i.qty_text(traded.maker_sell_lots),
        },
        "fills": fill_rows(m, traded),
    }
