"""What a backtest gives back, whoever played it: columns of integers, and the ledger's own totals.

Replay and kernel fill the same record, so that two runs can be compared row by row, and every figure, table and chart is made by one piece
of code. Nothing here is computed from prices twice: `check` holds fills, equity and totals against one another to the atom.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from lemon_trader.core.instrument import Instrument

REPLAY: Final = "replay"
KERNEL: Final = "kernel"

Columns = np.ndarray[Any, np.dtype[Any]]  # one-dimensional, of one of the types below


def _columns(*names: str) -> np.dtype[Any]:
    return np.dtype([(name, np.int64) for name in names])


FILL: Final = _columns(
    "at_us",  # engine time, µs UTC
    "side",  # BUY or SELL
    "role",  # QUOTE, LAYER, EXIT, STOP, REBALANCE; -1 = the exchange's own (liquidation)
    "slot",
    "generation",
    "ticks",
    "lots",
    "quote_atoms",  # ticks x lots x tick_lot_atoms
    "fee_atoms",  # paid > 0, earned < 0, atoms of base or quote
    "fee_is_base",  # 1 when the fee was taken in coins
    "is_maker",
    "mid_half_ticks",  # bid + ask just before the fill: twice the mid, so that no half tick is lost; 0 = not known
)
EQUITY: Final = _columns(
    "at_us",
    "equity_atoms",  # budget + realised + unrealised - fees + funding + interest, valued at the mark (perpetuals) or mid
    "base_atoms",  # held, signed
    "cost_atoms",  # paid or received for it, >= 0
)
PRICE: Final = _columns("at_us", "open_ticks", "high_ticks", "low_ticks", "close_ticks")
MID: Final = _columns("at_us", "mid_half_ticks")
ORDER: Final = _columns(
    "at_us",
    "what",  # PLACED or CANCELLED
    "side",
    "role",
    "slot",
    "generation",
    "ticks",  # limit price, of a TRIGGER its trigger price
    "lots",
)
MOVE: Final = _columns("at_us", "kind", "quote_atoms")  # received > 0

PLACED: Final = 1
CANCELLED: Final = 2
FUNDING: Final = 1
INTEREST: Final = 2
SETTLEMENT: Final = 3


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of the whole run in quote atoms, equal to the ledger's.

    Attributes:
        realised_atoms: by reductions, before fees.
        unrealised_atoms: value less cost of what is held at the end, at `Result.mark_ticks`.
        fees_atoms: paid > 0, base fees valued at their fill's price.
        funding_atoms / interest_atoms: received > 0, paid < 0.
    """

    realised_atoms: int = 0
    unrealised_atoms: int = 0
    fees_atoms: int = 0
    funding_atoms: int = 0
    interest_atoms: int = 0

    @property
    def net_atoms(self) -> int:
        """Realised + unrealised - fees + funding + interest."""
        return self.realised_atoms + self.unrealised_atoms - self.fees_atoms + self.funding_atoms + self.interest_atoms


@dataclass(frozen=True, slots=True)
class Counters:
    """What fills do not tell. None = the engine that played did not count it.

    Attributes:
        placed / cancelled: commands carried out.
        refused: refusals by the exchange's code.
        liquidations: times that the exchange closed the position.
    """

    placed: int | None = None
    cancelled: int | None = None
    refused: Mapping[str, int] = field(default_factory=dict)
    liquidations: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a reader of the figures must know: a message id with its values."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)


def empty(kind: np.dtype[Any]) -> Columns:
    """No row of this type."""
    return np.zeros(0, kind)


@dataclass(frozen=True, slots=True)
class Result:
    """One strategy in one market over one stretch of the past.

    Attributes:
        strategy, symbol, instrument: what traded where, on which grid.
        params: the strategy's settings as text by name, as a person would type them.
        engine: REPLAY or KERNEL.
        fill_model: how fills were found: "pessimistic", "touch", "probabilistic" on bars; the queue model's name on L2.
        settings: everything else that was assumed (latency, fees, seed …), as text by name.
        source: what was played, for people: file or market, and kind of data.
        start_us / end_us: of the data played, µs UTC; end exclusive.
        events: bars, trades or book updates played.
        budget_atoms: quote that the strategy had; equity starts with it.
        mark_ticks: price at which what is held at the end is valued.
        totals, counters: see there.
        fills: FILL rows in the order in which they were booked.
        equity: EQUITY rows in time order, at least the first and the last moment; of rows with one time the last counts.
        prices: PRICE rows for charts, and for buy-and-hold; each covers the time until the next one.
        price_every_us: length of one row of `prices`.
        mids: MID rows around fills, for markouts; empty = the data is too coarse to know them (bars).
        orders: ORDER rows; empty = not kept.
        moves: MOVE rows; empty = there were none, or not kept.
        layers: of a martingale, the layers of its ladder; else 0.
        notes: what a reader must know.
    """

    strategy: str
    symbol: str
    instrument: Instrument
    params: Mapping[str, str]
    engine: str
    fill_model: str
    settings: Mapping[str, str]
    source: str
    start_us: int
    end_us: int
    events: int
    budget_atoms: int
    mark_ticks: int
    totals: Totals
    fills: Columns
    equity: Columns
    prices: Columns
    price_every_us: int
    counters: Counters = field(default_factory=Counters)
    mids: Columns = field(default_factory=lambda: empty(MID))
    orders: Columns = field(default_factory=lambda: empty(ORDER))
    moves: Columns = field(default_factory=lambda: empty(MOVE))
    layers: int = 0
    notes: tuple[Note, ...] = ()

    @property
    def base_atoms(self) -> int:
        """Held at the end, signed."""
        return int(self.equity["base_atoms"][-1]) if len(self.equity) else 0

    @property
    def cost_atoms(self) -> int:
        """Paid or received for what is held at the end."""
        return int(self.equity["cost_atoms"][-1]) if len(self.equity) else 0


def fee_quote_atoms(fills: Columns, instrument: Instrument) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Each fill's fee in quote atoms; one taken in coins is valued at the fill's price, floored, as the ledger does."""
    worth = fills["fee_atoms"].astype(object) * fills["ticks"] * instrument.tick_lot_atoms // instrument.lot_atoms
    return np.where(fills["fee_is_base"] == 1, worth, fills["fee_atoms"]).astype(np.int64)


def check(result: Result) -> None:
    """Hold the parts of a result against one another. Raises AssertionError: an engine that contradicts itself is a bug of ours."""
    r, i = result, result.instrument
    for name, kind in (("fills", FILL), ("equity", EQUITY), ("prices", PRICE), ("mids", MID), ("orders", ORDER), ("moves", MOVE)):
        rows = getattr(r, name)
        assert rows.dtype == kind, f"{name} holds {rows.dtype.names}"
        assert not len(rows) or bool((np.diff(rows["at_us"]) >= 0).all()), f"{name} goes back in time"
    assert len(r.equity), "equity has no row"
    worth = r.fills["ticks"].astype(object) * r.fills["lots"] * i.tick_lot_atoms
    assert bool((worth == r.fills["quote_atoms"]).all()), "a fill's worth is not its price times its quantity"
    base_fees = sum(int(f) for f in r.fills["fee_atoms"][r.fills["fee_is_base"] == 1])
    base = sum(int(x) for x in r.fills["side"] * r.fills["lots"]) * i.lot_atoms - base_fees
    assert base == r.base_atoms, f"fills add up to {base} base atoms, equity ends with {r.base_atoms}"
    fees = sum(int(x) for x in fee_quote_atoms(r.fills, i))
    assert fees == r.totals.fees_atoms, f"fees of fills are {fees}, of the ledger {r.totals.fees_atoms}"
    value = abs(base) * r.mark_ticks * i.tick_lot_atoms // i.lot_atoms
    unrealised = value - r.cost_atoms if base >= 0 else r.cost_atoms - value
    assert unrealised == r.totals.unrealised_atoms, f"unrealised is {unrealised}, of the ledger {r.totals.unrealised_atoms}"
    end = int(r.equity["equity_atoms"][-1])
    assert end == r.budget_atoms + r.totals.net_atoms, f"equity ends with {end}, totals say {r.budget_atoms + r.totals.net_atoms}"
    # Quote received less paid, with what is held at its cost, is what was realised: to the atom, whatever was rounded on the way.
    cash = sum(int(x) for x in -r.fills["side"] * r.fills["quote_atoms"])
    base_fee_worth = sum(int(x) for x in fee_quote_atoms(r.fills, i)[r.fills["fee_is_base"] == 1])
    cost = r.cost_atoms if base >= 0 else -r.cost_atoms
    realised = cash + base_fee_worth + cost
    assert realised == r.totals.realised_atoms, f"fills realised {realised}, the ledger {r.totals.realised_atoms}"
