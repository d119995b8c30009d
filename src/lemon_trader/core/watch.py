"""What must not go on in silence: a source of facts that is lost, a position without its stop, an outcome that stays unknown.

Looked at with every wake of a life. It decides nothing; it tells the operator once when something begins to last, and once when it is over.
"""

from datetime import UTC, datetime
from typing import Final

from lemon_trader.core.events import Anchor
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.market import ACCOUNT_AGE_US, FEED_AGE_US, MarketState
from lemon_trader.core.state import UNKNOWN_TOLD_US, AccountState
from lemon_trader.core.units import ARMED, CANCELLING, TRIGGER, UNKNOWN, US_PER_S

LOST_TOLD_US: Final = 120 * US_PER_S
BARE_TOLD_US: Final = 5 * US_PER_S  # `G` of the fault matrix: the longest time without protection


def watch(state: AccountState, now_us: int) -> None:
    """Look at everything that may last too long."""
    _sources(state, now_us)
    for market in state.markets.values():
        _protection(state, market, now_us)
        _outcomes(state, market, now_us)


def digest(state: AccountState, e: Anchor) -> None:
    """A day has ended: what it made, and how things stand; `e` is the anchor of the new one."""
    day = datetime.fromtimestamp(state.day * 86_400, UTC).date().isoformat()
    markets = state.markets.values()
    state.tell(
        e.ts_us, "alert.digest", "info", day=day, made=atoms_text(e.equity_atoms - state.day_pnl), net=atoms_text(e.equity_atoms),
        fees=atoms_text(sum(m.ledger.fees_atoms for m in markets)), held=held_text(state),
    )  # fmt: skip


def held_text(state: AccountState) -> str:
    """What is held, market by market: `SOL_USDC 1.2, ETH_USDC_PERP -0.5`; a dash when nothing is."""
    held = [f"{symbol} {atoms_text(m.ledger.base_atoms)}" for symbol, m in sorted(state.markets.items()) if m.ledger.base_atoms]
    return ", ".join(held) or "-"


def _sources(state: AccountState, now_us: int) -> None:
    lost = {
        "public": not state.public_up or now_us - state.public_us > FEED_AGE_US,
        "private": not state.private_up,
        "account": now_us - state.account_us > ACCOUNT_AGE_US,
    }
    for source, is_lost in lost.items():
        since = state.lost_us.get(source, 0)
        if is_lost:
            if not since:
                state.lost_us[source] = now_us
            elif since > 0 and now_us - since >= LOST_TOLD_US:
                state.lost_us[source] = -since
                state.tell(now_us, "alert.feed_lost", "grave", source=source, seconds=(now_us - since) // US_PER_S, held=held_text(state))
        elif since:
            state.lost_us[source] = 0
            if since < 0:
                state.tell(now_us, "alert.feed_back", "info", source=source, seconds=(now_us + since) // US_PER_S)


def _protection(state: AccountState, market: MarketState, now_us: int) -> None:
    """A perpetual's position whose strategy wants a resting stop, and none rests."""
    lots = market.ledger.lots
    wanted = lots and market.instrument.is_perp and any(row.kind == TRIGGER for row in market.out[1 : market.rows_used])
    rests = wanted and any(
        o.kind == TRIGGER and o.side * lots < 0 and (o.state == ARMED or (o.state == CANCELLING and o.acked)) for o in market.orders.live
    )
    if not wanted or rests or not (state.public_up and state.private_up and state.venue_status == "Ok"):
        market.exposed_us = 0
    else:
        market.exposed_us = market.exposed_us or now_us
    since = market.bare_us
    if wanted and not rests:
        if not since:
            market.bare_us = now_us
        elif since > 0 and now_us - since >= BARE_TOLD_US:
            market.bare_us = -since
            state.tell(
                now_us, "alert.unprotected", "grave", symbol=market.instrument.symbol, seconds=(now_us - since) // US_PER_S,
                held=atoms_text(market.ledger.base_atoms), base=market.instrument.base,
            )  # fmt: skip
    elif since:
        market.bare_us = 0
        if since < 0:
            state.tell(now_us, "alert.protected", "info", symbol=market.instrument.symbol, seconds=(now_us + since) // US_PER_S)


def _outcomes(state: AccountState, market: MarketState, now_us: int) -> None:
    for order in market.orders.live:
        since = order.ending_us if order.ending else order.unknown_us if order.state == UNKNOWN else 0
        if since and not order.told and now_us - since > UNKNOWN_TOLD_US:
            order.told = 1
            state.tell(
                now_us, "alert.unknown_long", "warn", symbol=market.instrument.symbol, client_id=order.client_id,
                seconds=(now_us - since) // US_PER_S, quantity=market.instrument.qty_text(order.open_lots),
                price=market.instrument.price_text(order.trigger_ticks or order.price_ticks),
            )  # fmt: skip
