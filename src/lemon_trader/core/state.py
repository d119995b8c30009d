"""The account as the core knows it: markets, mode, ids, anchors and what is owed an answer.

State is the fold of its events (`core/step.py`). Nothing in it reads a clock: time arrives on the events.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from lemon_trader.core.events import AccountTerms, Fill, Started
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.ledger import Booked
from lemon_trader.core.market import DELISTED, MarketState
from lemon_trader.core.units import ACTIVE, US_PER_S

IDS_BLOCK: Final = 1_024
IDS_MAX: Final = 2**32 - 1
SKEW_MARGIN_US: Final = 3 * US_PER_S  # `fault-matrix` §1: SKEW 1 s + MARGIN 2 s
HIST_LAG_US: Final = 5 * US_PER_S
READ_EVERY_US: Final = 15 * US_PER_S
UNKNOWN_TOLD_US: Final = 60 * US_PER_S
TOLD_MAX: Final = 20
ORPHANS_MAX: Final = 64  # lives whose unused ids are remembered: recovery may be interrupted many times


class Alert(msgspec.Struct, frozen=True, gc=False):
    """Something the operator is told: a message id, its values, how grave it is (`info`, `warn`, `grave`)."""

    ts_us: int
    key: str
    grade: str
    values: dict[str, str]


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """A booked fill with what it was for: the input of statistics."""

    fill: Fill
    booked: Booked
    role: int  # code of core/units.py, -1 for a fill of no order of ours (the exchange's own order)
    generation: int
    mid_ticks: int  # mid of the touch when it was booked, 0 = unknown


@dataclass(slots=True)
class AccountState:
    """Everything one engine knows.

    Attributes:
        mode, mode_reason, mode_detail: what the account may do and why; latched when HALTED.
        exit_masked: `kill` and `flatten` cancel the EXIT too; flatten: sell what is held.
        next_id / ids_end: client ids that may be used without a new reservation.
        orphans: blocks (from, to) of ids that earlier lives reserved and whose records may be lost; an order with one of them is ours.
        settling_us: until then (engine time) a perpetual's profit may still be settled into the quote balance.
        balances: asset -> (available, locked), atoms. expected: asset -> total that explains everything we know.
        public_up / private_up: streams; public_us: last public frame, account_us: begin of the last complete read.
        read_us: the same, and it outlives the program: from there on a start must ask what has happened.
        venue_us: highest exchange time seen; proves that a lease has ended.
        want_read: a reconcile is needed now; next_read_us: at the latest then.
        day, day_pnl, peak_pnl: durable anchors of the loss limits, net profit in quote atoms; has_anchor: they are set.
        day_loss_max / drawdown_max: limits, quote atoms, 0 = off.
        started: by symbol, what the last start bound there; shown against the next one.
        store_ok: the journal is on the disk; without it nothing opens.
        alerts, recorded: drained by the shell each turn.
        told: the latest alerts of this life, oldest first, at most `TOLD_MAX`; what a banner shows.
        lost_us: since when a source of facts has been silent, by its name; negative once the operator was told.
    """

    markets: dict[str, MarketState] = field(default_factory=dict)
    mode: int = ACTIVE
    mode_reason: str = ""
    mode_detail: str = ""
    exit_masked: bool = False
    flatten: bool = False
    next_id: int = 1
    ids_end: int = 1
    orphans: list[tuple[int, int]] = field(default_factory=list)
    balances: dict[str, tuple[int, int]] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    unexplained: int = 0
    settling_us: int = 0
    terms: AccountTerms | None = None
    public_up: bool = False
    private_up: bool = False
    public_us: int = 0
    account_us: int = 0
    read_us: int = 0
    venue_us: int = 0
    venue_status: str = "Ok"
    want_read: bool = True
    next_read_us: int = 0
    day: int = 0
    day_pnl: int = 0
    peak_pnl: int = 0
    has_anchor: bool = False
    day_loss_max: int = 0
    drawdown_max: int = 0
    rate_tokens: int = 0
    rate_us: int = 0
    started: dict[str, Started] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    recorded: list[Recorded] = field(default_factory=list)
    told: list[Alert] = field(default_factory=list)
    lost_us: dict[str, int] = field(default_factory=dict)
    bad_facts: int = 0
    store_ok: bool = True

    def add_market(self, instrument: Instrument) -> MarketState:
        """The market of this instrument, made when new."""
        known = self.markets.get(instrument.symbol)
        if known is None:
            known = self.markets[instrument.symbol] = MarketState(instrument)
            self.apply_terms(known)
        return known

    def apply_terms(self, market: MarketState) -> None:
        """Write the account's own rates into a market's view."""
        if self.terms is None:
            return
        perp = market.instrument.is_perp
        market.view.maker_fee_ppm = self.terms.perp_maker_ppm if perp else self.terms.spot_maker_ppm
        market.view.taker_fee_ppm = self.terms.perp_taker_ppm if perp else self.terms.spot_taker_ppm

    def tell(self, ts_us: int, key: str, grade: str = "info", **values: object) -> None:
        """Tell the operator."""
        self.alerts.append(Alert(ts_us, key, grade, {k: str(v) for k, v in values.items()}))

    def net_pnl(self) -> int | None:
        """Net profit of all markets, quote atoms; None when something held cannot be valued now."""
        total = 0
        for market in self.markets.values():
            price, ledger = market.reference_ticks(), market.ledger
            if price <= 0 and ledger.base_atoms:
                if market.instrument.book_state != DELISTED:
                    return None
                # Nothing will ever price it again: it stands at its cost, and the other markets keep their limits.
                total += ledger.realised_atoms - ledger.fees_atoms + ledger.funding_atoms
                continue
            total += ledger.net_atoms(price)
        return total

    def image(self) -> dict[str, Any]:
        """Everything durable, for a checkpoint."""
        return {
            "account": [
                self.mode, self.mode_reason, self.mode_detail, self.exit_masked, self.flatten, self.next_id, self.ids_end,
                self.day, self.day_pnl, self.peak_pnl, self.has_anchor, self.venue_us,
            ],
            "expected": self.expected,
            "settling": self.settling_us,
            "read": self.read_us,
            "orphans": self.orphans,
            "started": {symbol: msgspec.to_builtins(e) for symbol, e in self.started.items()},
            "markets": {
                symbol: {
                    "instrument": msgspec.to_builtins(m.instrument),
                    "orders": m.orders.image(),
                    "ledger": m.ledger.image(),
                    "memory": m.memory_bytes,
                    "memory_grid": [m.memory_ticks, m.memory_lots],
                    "frozen": m.frozen,
                    "ended": m.ended,
                    "closing": m.closing,
                    "strangers": [msgspec.to_builtins(f) for f in m.strangers],
                    "child": m.next_child,
                }
                for symbol, m in self.markets.items()
            },
        }  # fmt: skip

    def restore(self, image: dict[str, Any]) -> None:
        """Become what `image` was taken of; only on a fresh state."""
        (
            self.mode, self.mode_reason, self.mode_detail, self.exit_masked, self.flatten, self.next_id, self.ids_end,
            self.day, self.day_pnl, self.peak_pnl, self.has_anchor, self.venue_us,
        ) = image["account"]  # fmt: skip
        self.expected = dict(image["expected"])
        self.settling_us = image.get("settling", 0)
        self.read_us = image.get("read", 0)  # an image of an older version does not say
        self.orphans = [(lo, hi) for lo, hi in image.get("orphans", ())]
        self.started = {symbol: msgspec.convert(e, Started) for symbol, e in image["started"].items()}
        for symbol, data in image["markets"].items():
            m = self.markets[symbol] = MarketState(msgspec.convert(data["instrument"], Instrument))
            m.orders.restore(data["orders"])
            m.ledger.restore(data["ledger"])
            m.memory_bytes = data["memory"]
            m.memory_ticks, m.memory_lots = data.get("memory_grid", (1, 1))  # an image of an older version knows of one grid
            m.frozen = data["frozen"]
            m.ended = data.get("ended", False)  # an image of an older version knows of no pair that ended alone
            m.closing = data.get("closing", False)
            m.strangers = [msgspec.convert(f, Fill) for f in data.get("strangers", ())]
            m.next_child = data["child"]
