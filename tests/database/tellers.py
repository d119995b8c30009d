"""A core that books fills as the real one does, and a recorder that is told of it: what the tests of records and statistics share."""

from lemon_trader.core.events import AnyEvent, Attempted, Decided, Fill
from lemon_trader.core.instrument import instrument
from lemon_trader.core.ledger import Ledger
from lemon_trader.core.records import View, pack
from lemon_trader.core.state import Recorded
from lemon_trader.core.units import BUY, QUOTE
from lemon_trader.database.db import Database
from lemon_trader.database.records import Recorder

DAY_US = 86_400_000_000
NOW = 20_700 * DAY_US + 43_200_000_000  # noon of 2026-09-04, UTC
SPOT_SOL = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01", min_qty="0.02")
PERP_SOL = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01")


def fill(market, n, side, price_ticks, qty_lots, *, fee_atoms=0, fee_asset="USDC", maker=True, at_us=None, trade_id=None) -> Fill:
    at_us = NOW + n if at_us is None else at_us
    return Fill(
        at_us, at_us, market.symbol, f"order-{n}", n, "", n + 1 if trade_id is None else trade_id, side, price_ticks, qty_lots,
        fee_atoms, fee_asset, str(fee_atoms), maker, qty_lots, "USER",
    )  # fmt: skip


def seen(market, mid_ticks: int, at_us: int = NOW) -> Decided:
    """A turn that saw this mid."""
    view = View(bid_ticks=mid_ticks - 1, ask_ticks=mid_ticks + 1) if mid_ticks else View()
    return Decided(at_us, market.symbol, pack(view), b"", b"", (), ())


def placed(n: int, market, role: int = QUOTE, side: int = BUY, at_us: int = NOW) -> Decided:
    attempt = Attempted(at_us, market.symbol, n, 0, 0, role, side, 0, 0, 10_000, 0, 3, 3, at_us + 5_000_000)
    return Decided(at_us, market.symbol, b"", b"", b"", (attempt,), ())


class Teller:
    """Books fills in a `Ledger` per market and tells a `Recorder` of everything."""

    def __init__(self, db: Database, *markets) -> None:
        self.db = db
        self.ledgers = {m.symbol: Ledger(m) for m in markets}
        self.recorder = Recorder(db)
        self.sequence = self.recorder.applied
        for market in markets:
            self.recorder.define(market)

    def tell(self, event: AnyEvent, *recorded: Recorded) -> None:
        self.sequence += 1
        self.recorder.apply(self.sequence, event, recorded)

    def fill(self, event: Fill, *, role: int = QUOTE, generation: int = 0, mid_ticks: int = 0) -> None:
        ledger = self.ledgers[event.symbol]
        self.tell(seen(ledger.instrument, mid_ticks))
        self.tell(event, Recorded(event, ledger.book(event), role, generation, 0))

    def commit(self) -> Database:
        assert self.recorder.commit(), self.recorder.error
        return self.db
