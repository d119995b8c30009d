"""What a session has traded so far, in memory for the faces: the last fills of each market, and sums over all of them.

The journal and its records are the lasting account; this one costs a few hundred bytes and no disk.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lemon_trader.core.market import MarketState
from lemon_trader.core.state import Recorded
from lemon_trader.core.units import BUY, ROLE_NAMES, side_name

FILLS_KEPT: Final = 20


@dataclass(slots=True)
class Traded:
    """One market's session.

    Attributes:
        net_start_atoms: net profit when it began, quote atoms; None = what was held could not be valued then.
        bought_lots, sold_lots: by fills; maker_buy_lots, maker_sell_lots: of them as maker.
        fills: the newest last.
    """

    net_start_atoms: int | None = 0
    bought_lots: int = 0
    sold_lots: int = 0
    maker_buy_lots: int = 0
    maker_sell_lots: int = 0
    fills: deque[Recorded] = field(default_factory=lambda: deque(maxlen=FILLS_KEPT))


class Recent:
    """Told of every fill that was booked since the session began."""

    def __init__(self) -> None:
        self.markets: dict[str, Traded] = {}

    def begin(self, markets: Mapping[str, MarketState]) -> None:
        """The session begins: profit is counted from what the books show now."""
        for symbol, m in markets.items():
            price = m.reference_ticks()
            known = price > 0 or not m.ledger.base_atoms
            self.of(symbol).net_start_atoms = m.ledger.net_atoms(price) if known else None

    def take(self, recorded: Sequence[Recorded]) -> None:
        """Count what was booked."""
        for entry in recorded:
            fill, traded = entry.fill, self.of(entry.fill.symbol)
            traded.fills.append(entry)
            if fill.side == BUY:
                traded.bought_lots += fill.qty_lots
                traded.maker_buy_lots += fill.qty_lots if fill.is_maker else 0
            else:
                traded.sold_lots += fill.qty_lots
                traded.maker_sell_lots += fill.qty_lots if fill.is_maker else 0

    def of(self, symbol: str) -> Traded:
        """The session of this market."""
        return self.markets.setdefault(symbol, Traded())


def fill_rows(m: MarketState, traded: Traded) -> list[dict[str, Any]]:
    """The last fills as plain values, the newest first."""
    i = m.instrument
    return [
        {
            "at_us": entry.fill.venue_us,
            "side": side_name(entry.fill.side),
            "role": ROLE_NAMES[entry.role] if entry.role >= 0 else "SYSTEM",
            "price": i.price_text(entry.fill.price_ticks),
            "quantity": i.qty_text(entry.fill.qty_lots),
            "maker": entry.fill.is_maker,
            "fee": entry.fill.fee_text,
            "fee_asset": entry.fill.fee_asset,
        }
        for entry in reversed(traded.fills)
    ]
