"""Small makers for tests of the core: a market on a plain grid, orders, rows and facts, without a strategy."""

from typing import Any

from lemon_trader.core.events import (
    NO_CLIENT_ID,
    AccountRead,
    AccountTerms,
    Balance,
    BookSnapshot,
    FeedState,
    Fill,
    OrderRow,
    VenuePosition,
)
from lemon_trader.core.instrument import Instrument, instrument
from lemon_trader.core.records import Position, Row, View
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import BUY, US_PER_S

T0 = 1_700_000_000 * US_PER_S
USDC = 10**9


def spot() -> Instrument:
    return instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01", min_qty="0.01")


def perp() -> Instrument:
    return instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01", min_qty="0.01", imf_ppm=20_000, mmf_ppm=12_500)


def fill(side: int, ticks: int, lots: int, *, trade: int = 1, order: str = "1", client: int = NO_CLIENT_ID, fee: int = 0, fee_asset: str = "USDC",
         symbol: str = "SOL_USDC", at_us: int = T0, **more: Any) -> Fill:  # fmt: skip
    return Fill(
        ts_us=at_us, venue_us=at_us, symbol=symbol, order_id=order, client_id=client, related_id=more.get("related", ""), trade_id=trade,
        side=side, price_ticks=ticks, qty_lots=lots, fee_atoms=fee, fee_asset=fee_asset, fee_text=str(fee), is_maker=True,
        filled_lots=more.get("filled", -1), origin=more.get("origin", "USER"), done=more.get("done", False),
    )  # fmt: skip


def account(instrument_: Instrument | None = None, *, quote: int = 10_000 * USDC, base: int = 0) -> AccountState:
    """An account whose streams are up and whose account was read, with one market and an even book at 100.00 / 100.02."""
    from lemon_trader.core.step import step

    state = AccountState()
    i = instrument_ or spot()
    state.add_market(i)
    step(state, AccountTerms(T0, 800, 1_000, 200, 500, "1", auto_lend=False, liquidating=False))
    step(state, FeedState(T0, "public", up=True))
    step(state, FeedState(T0, "private", up=True))
    step(state, BookSnapshot(T0, T0, i.symbol, 10, ((10_000, 500), (9_990, 500)), ((10_002, 500), (10_010, 500))))
    step(state, read(i.symbol, quote=quote, base=base))
    state.has_anchor = True
    state.next_id, state.ids_end = 1, 1_000
    return state


def read(symbol: str = "SOL_USDC", *, at_us: int = T0, begun_us: int | None = None, orders: tuple[OrderRow, ...] = (), history: tuple[OrderRow, ...] = (),
         fills: tuple[Fill, ...] = (), quote: int = 10_000 * USDC, base: int = 0, positions: tuple[VenuePosition, ...] = ()) -> AccountRead:  # fmt: skip
    return AccountRead(
        at_us, at_us if begun_us is None else begun_us, at_us, 0, (symbol,), orders, history, fills, (),
        (Balance(at_us, at_us, "USDC", quote, 0), Balance(at_us, at_us, "SOL", base, 0)), positions,
    )  # fmt: skip


def row(client: int, *, order: str = "77", status: str = "working", is_open: bool = True, filled: int = 0, side: int = BUY, lots: int = 10,
        ticks: int = 9_900, symbol: str = "SOL_USDC", related: str = "") -> OrderRow:  # fmt: skip
    return OrderRow(symbol, order, client, related, side, status, ticks, 0, lots, filled, T0, is_open)


def want(slot: int, side: int, ticks: int, lots: int, **more: int) -> Row:
    made = Row(slot=slot, side=side, price_ticks=ticks, qty_lots=lots)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def empty_view(**more: Any) -> View:
    view = View(now_us=T0, bid_ticks=10_000, ask_ticks=10_002, fresh=1, may_open=1, tick_lot_atoms=100_000, lot_atoms=10**7, min_lots=1)
    for name, value in more.items():
        setattr(view, name, value)
    return view


def holding(lots: int = 0, *, quote: int = 1_000 * USDC) -> Position:
    return Position(
        lots=lots, base_atoms=lots * 10**7, cost_atoms=abs(lots) * 10_000 * 100_000, sellable_lots=abs(lots), free_quote_atoms=quote
    )
