"""Small exchanges to test on: one spot and one perpetual market, a few accounts, a book to trade against."""

from msgspec.structs import replace

from lemon_trader.core.instrument import Instrument, instrument
from lemon_trader.core.units import ATOMS_PER_UNIT, BUY, SELL
from lemon_trader.matching.effects import Effect, OrderChanged
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import NewOrder, OrderState, OrderType, Refused
from lemon_trader.matching.rules import Rules

UNIT = ATOMS_PER_UNIT
SPOT = "SOL_USDC"
PERP = "SOL_USDC_PERP"
T = 1_700_000_000_000_000  # not on the hour
HOUR = 3_600_000_000
FEELESS = Rules(spot_maker_ppm=0, spot_taker_ppm=0, perp_maker_ppm=0, perp_taker_ppm=0, liquidation_fee_ppm=0)


def spot(**bounds: int) -> Instrument:
    """SOL_USDC, tick 0.01, lot 0.01: one lot at one tick is 10**5 atoms, one lot is 10**7 atoms of SOL."""
    return replace(instrument(SPOT, "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01"), **bounds)


def perp(**bounds: int) -> Instrument:
    """SOL_USDC_PERP on the same grid, initial margin 2 %, maintenance 1.25 %."""
    bare = instrument(PERP, "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01")
    return replace(bare, **{"imf_ppm": 20_000, "mmf_ppm": 12_500, **bounds})


def world(rules: Rules | None = None, *instruments: Instrument) -> Exchange:
    """Accounts ann, bob and cid with 10,000 USDC and 100 SOL each; empty books; the perpetual's mark is 100.00."""
    exchange = Exchange(instruments or (spot(), perp()), rules)
    for name in ("ann", "bob", "cid"):
        exchange.open_account(name, {"USDC": 10_000 * UNIT, "SOL": 100 * UNIT})
    if PERP in exchange.symbols:
        exchange.set_reference(PERP, 10_000, 10_000, 0, T)
    exchange.take_effects()
    return exchange


def booked(rules: Rules | None = None, *instruments: Instrument) -> Exchange:
    """The same with outside levels on every market: 500 lots at 99.00 and 98.00, 500 at 101.00 and 102.00."""
    exchange = world(rules, *instruments)
    for symbol in exchange.symbols:
        for side, prices in ((BUY, (9_900, 9_800)), (SELL, (10_100, 10_200))):
            for ticks in prices:
                exchange.set_outside(symbol, side, ticks, 500, T)
    exchange.take_effects()
    return exchange


def limit(symbol: str, side: int, lots: int, ticks: int, **more: object) -> NewOrder:
    return NewOrder(symbol=symbol, side=side, lots=lots, ticks=ticks, **more)


def market(symbol: str, side: int, lots: int = 0, **more: object) -> NewOrder:
    return NewOrder(symbol=symbol, side=side, order_type=OrderType.MARKET, lots=lots, **more)


def refusal(exchange: Exchange, account: str, new: NewOrder, at_us: int = T) -> tuple[str, str]:
    """(code, message) of a place that must be refused and must change nothing."""
    exchange.take_effects()
    before = exchange.depth(new.symbol) if new.symbol in exchange.symbols else None
    try:
        exchange.place(account, new, at_us)
    except Refused as answer:
        assert exchange.take_effects() == []
        assert before is None or exchange.depth(new.symbol) == before
        exchange.check_closed()
        return str(answer.code), answer.message
    raise AssertionError(f"{new} was taken")


def changes(effects: list[Effect], account: str | None = None) -> list[tuple[str, int]]:
    """(kind, order id) of all order changes."""
    return [(str(e.kind), e.order.order_id) for e in effects if isinstance(e, OrderChanged) and account in {None, e.account}]


def ended(exchange: Exchange, order: OrderState) -> OrderState:
    """The order as its account's history shows it."""
    rows = [row for row in exchange.accounts[order.account].order_history if row.order_id == order.order_id]
    assert len(rows) == 1, f"order {order.order_id} ended {len(rows)} times"
    return rows[0]
