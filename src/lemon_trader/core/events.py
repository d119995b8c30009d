"""Facts: everything that can happen to a decision, as frozen records. An engine's life is a fold over these.

`ts_us` is engine time: stamped once per network read by the shell, the only time that decisions read. `venue_us` is the
exchange's own time (0 = it gave none). Prices are ticks and quantities lots of the symbol's instrument; cash is atoms.
A client id of `NO_CLIENT_ID` and a trade id of `NO_TRADE_ID` mean that the exchange gave none.
"""

from typing import Final

import msgspec

from lemon_trader.core.instrument import Instrument

NO_CLIENT_ID: Final = -1
NO_TRADE_ID: Final = -1

Levels = tuple[tuple[int, int], ...]  # (price_ticks, qty_lots), quantity 0 deletes the level


class Event(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A fact. `ts_us`: engine time, µs UTC."""

    ts_us: int


# ---- market facts: coalesced when needed, never journalled alone ----


class BookSnapshot(Event, frozen=True, gc=False, tag=True):
    """The whole book at `last_id`; replaces what was known. Levels in any order."""

    venue_us: int
    symbol: str
    last_id: int
    bids: Levels
    asks: Levels


class BookDelta(Event, frozen=True, gc=False, tag=True):
    """Absolute quantities of some levels; valid only when `first_id` follows the book's last id."""

    venue_us: int
    symbol: str
    first_id: int
    last_id: int
    bids: Levels
    asks: Levels


class Touch(Event, frozen=True, gc=False, tag=True):
    """Best bid and ask; 0 ticks when that side is empty. `update_id` shares the counter of the book deltas."""

    venue_us: int
    symbol: str
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int
    update_id: int


class PublicTrade(Event, frozen=True, gc=False, tag=True):
    """A public print."""

    venue_us: int
    symbol: str
    price_ticks: int
    qty_lots: int
    buyer_is_maker: bool
    trade_id: int


class LastPrice(Event, frozen=True, gc=False, tag=True):
    """The last price as the ticker states it each second; also the sign of life of a quiet market. 0 = no trade yet."""

    venue_us: int
    symbol: str
    last_ticks: int


class MarkPrice(Event, frozen=True, gc=False, tag=True):
    """Mark and index of a perpetual, rounded half up to ticks; the funding rate of the running interval in parts per 10⁹."""

    venue_us: int
    symbol: str
    mark_ticks: int
    index_ticks: int
    funding_ppb: int
    next_funding_us: int


class BookState(Event, frozen=True, gc=False, tag=True):
    """What the venue lets one do in a market: `Open`, `PostOnly`, `LimitOnly`, `CancelOnly`, `Closed`; unknown words kept raw."""

    symbol: str
    state: str


class GridChanged(Event, frozen=True, gc=False, tag=True):
    """The grid and bounds of a market from here on; what stands in ticks and lots before it means the grid of the one before.

    The first of a market makes it. Steps of the instrument divide those of the one before (`instrument.refine`), so nothing is rounded.
    """

    symbol: str
    instrument: Instrument


class VenueStatus(Event, frozen=True, gc=False, tag=True):
    """`Ok` or `Maintenance` for the whole exchange; unknown words kept raw and read as not Ok."""

    status: str


class FeedState(Event, frozen=True, gc=False, tag=True):
    """A connection came up, or went down with a reason. `feed`: "public" or "private". A book starts empty on every connection."""

    feed: str
    up: bool
    reason: str = ""


class BadFact(Event, frozen=True, gc=False, tag=True):
    """Something that could not be read: kept raw (capped) and counted. `symbol` may be empty. `account` facts need a reconcile."""

    source: str
    symbol: str
    reason: str
    raw: str
    account: bool = False


# ---- answers to our commands ----


class PlaceAccepted(Event, frozen=True, gc=False, tag=True):
    """The venue accepted an attempt. `filled_lots` is cumulative.

    `status` at that moment is one of the core's words, the same for every venue: "working", "armed", "filled", "cancelled", "expired",
    "trigger_failed", "triggered" (a trigger that fired; its child carries on); a word that the dialect does not know is the venue's own.
    """

    venue_us: int
    symbol: str
    client_id: int
    order_id: str
    status: str
    filled_lots: int


class PlaceRefused(Event, frozen=True, gc=False, tag=True):
    """The venue said a definite no: this attempt was not and will not be accepted.

    `code` is the venue's, with three of the dialect's own: "EXPIRED" (the edge judged the signing time: resynchronise the clock),
    "UNPARSED" (never read as an order) and "CLIENT_ID_EXISTS", which is no refusal: an order with this id is there and is to be found.
    """

    symbol: str
    client_id: int
    code: str
    message: str


class PlaceUnknown(Event, frozen=True, gc=False, tag=True):
    """Time-out, 5xx, garbage, a lost connection: the attempt may or may not have been accepted."""

    symbol: str
    client_id: int
    reason: str


class CancelAnswered(Event, frozen=True, gc=False, tag=True):
    """`outcome`: "cancelled", "accepted" (202: not executed yet), "not_found" (definite) or "unknown" (anything else)."""

    venue_us: int
    symbol: str
    client_id: int
    outcome: str
    filled_lots: int = -1  # cumulative, when the venue gave the order; else -1
    reason: str = ""


# ---- account facts from the private stream and from reads; never dropped ----


class OrderUpdate(Event, frozen=True, gc=False, tag=True):
    """The private stream, or an order's row in a read, says what became of an order.

    Attributes:
        kind: "accepted", "cancelled", "expired", "modified", "trigger_placed", "trigger_failed", or raw when unknown.
        related_id: of a triggered child, the order id of the trigger; "" = none.
        qty_lots: ordered (of a pending trigger its trigger quantity, 0 when that is a percentage).
        filled_lots: cumulative.
        reason: the venue's expiry reason, raw.
        origin: "USER" or the venue's word for its own orders, raw.
    """

    venue_us: int
    symbol: str
    kind: str
    order_id: str
    client_id: int
    related_id: str
    side: int
    price_ticks: int
    trigger_ticks: int
    qty_lots: int
    filled_lots: int
    reason: str
    origin: str


class Fill(Event, frozen=True, gc=False, tag=True):
    """One execution, from the stream or from the fill history.

    Attributes:
        fee_atoms: paid > 0, earned < 0, atoms of `fee_asset`, towards zero when the venue states it finer.
        fee_text: the fee as the venue wrote it.
        filled_lots: cumulative quantity of the order after this fill, -1 when the source does not say.
        origin: "USER" or the venue's word for its own orders.
        done: True when the venue says with it that the order is filled whole.
    """

    venue_us: int
    symbol: str
    order_id: str
    client_id: int
    related_id: str
    trade_id: int
    side: int
    price_ticks: int
    qty_lots: int
    fee_atoms: int
    fee_asset: str
    fee_text: str
    is_maker: bool
    filled_lots: int
    origin: str
    done: bool = False


class Balance(Event, frozen=True, gc=False, tag=True):
    """Absolute balance of one asset, atoms."""

    venue_us: int
    asset: str
    available_atoms: int
    locked_atoms: int


class VenuePosition(Event, frozen=True, gc=False, tag=True):
    """The venue's own view of a perpetual's position: signed lots. Compared with the ledger, never booked."""

    venue_us: int
    symbol: str
    lots: int


class CashMove(Event, frozen=True, gc=False, tag=True):
    """Funding, interest, settlement, deposit or withdrawal as the venue states it; `key` makes it count once.

    Attributes:
        kind: "funding", "interest", "settlement", "transfer".
        quantity_atoms: received > 0, paid < 0, atoms of `asset`.
    """

    venue_us: int
    symbol: str
    kind: str
    asset: str
    quantity_atoms: int
    text: str
    key: str


class AccountTerms(Event, frozen=True, gc=False, tag=True):
    """The account's own rates (ppm, negative = rebate) and switches, from the account read."""

    spot_maker_ppm: int
    spot_taker_ppm: int
    perp_maker_ppm: int
    perp_taker_ppm: int
    leverage_limit: str
    auto_lend: bool
    liquidating: bool


class OrderRow(msgspec.Struct, frozen=True, gc=False):
    """An order as a read lists it. `status` as `PlaceAccepted`, the rest as `OrderUpdate`. `is_open`: from the list of open orders."""

    symbol: str
    order_id: str
    client_id: int
    related_id: str
    side: int
    status: str
    price_ticks: int
    trigger_ticks: int
    qty_lots: int
    filled_lots: int
    created_us: int
    is_open: bool
    is_trigger: bool = False
    reason: str = ""
    origin: str = ""


class AccountRead(Event, frozen=True, gc=False, tag=True):
    """One reconciliation: reads of the whole scope, all successful, each begun no earlier than `begun_us` (engine time).

    Attributes:
        symbols: the markets that were read.
        open_orders / history: rows of those markets (history: newest first, back to `since_us`).
        fills / moves: of those markets since `since_us`, oldest first.
        balances / positions: as the venue stated them; an absent position is flat.
    """

    begun_us: int
    venue_us: int
    since_us: int
    symbols: tuple[str, ...]
    open_orders: tuple[OrderRow, ...]
    history: tuple[OrderRow, ...]
    fills: tuple[Fill, ...]
    moves: tuple[CashMove, ...]
    balances: tuple[Balance, ...]
    positions: tuple[VenuePosition, ...]


# ---- our own ----


class Wake(Event, frozen=True, gc=False, tag=True):
    """A time that was asked for has come, or the engine's second has passed."""


class IdsReserved(Event, frozen=True, gc=False, tag=True):
    """Client ids lo … hi-1 are ours from now on; synced before the first of them is used."""

    lo: int
    hi: int


class Started(Event, frozen=True, gc=False, tag=True):
    """A strategy was bound to a market with these parameters (text by name, as the user sees them)."""

    strategy: str
    symbol: str
    budget_atoms: int
    inventory_lots: int
    inventory_cost_atoms: int
    params: dict[str, str]
    mode: str  # live, paper, sandbox, replay


class UserCommand(Event, frozen=True, gc=False, tag=True):
    """`action`: "stop", "kill", "flatten", "resume", "cancel", "edit"; `origin`: the door it came through.

    `symbol`: of an "edit", and of a "stop" that ends one pair alone; "" = the whole account.
    `params`: of an "edit", everything that holds in this market from now on, as `Started` has it; `detail` says what is new.
    """

    action: str
    symbol: str
    origin: str
    detail: str = ""
    params: dict[str, str] = {}


class Told(Event, frozen=True, gc=False, tag=True):
    """The operator was told: a message id with its values, and how grave it is. Changes nothing but what a banner shows."""

    key: str
    grade: str  # info, warn, grave
    values: dict[str, str]


class Latched(Event, frozen=True, gc=False, tag=True):
    """The account's mode changed; durable. `reason` is a code, `detail` its figures."""

    mode: int
    reason: str
    detail: str


class MarketClosing(Event, frozen=True, gc=False, tag=True):
    """One market is given up and sold, durable until `resume`; `reason` is a code, `seconds` how long it had lasted."""

    symbol: str
    reason: str
    seconds: int


class Anchor(Event, frozen=True, gc=False, tag=True):
    """A durable risk anchor: `name` is "day" (start of the UTC day) or "peak"; equity in quote atoms."""

    name: str
    equity_atoms: int
    day: int  # days since the epoch, UTC


class Attempted(Event, frozen=True, gc=False, tag=True):
    """An order is about to be sent; part of the turn's `Decided` record."""

    symbol: str
    client_id: int
    slot: int
    generation: int
    role: int
    side: int
    kind: int
    flags: int
    price_ticks: int
    trigger_ticks: int
    qty_lots: int
    total_lots: int
    expires_us: int  # exchange time after which the edge refuses it


class CancelAttempted(Event, frozen=True, gc=False, tag=True):
    """A cancel is about to be sent; part of the turn's `Decided` record. `reason`: code of the diff, or "FENCE"."""

    symbol: str
    client_id: int
    reason: str


class Decided(Event, frozen=True, gc=False, tag=True):
    """A turn of one market that changed memory or issued a command, as one record: it is there whole or not at all.

    Attributes:
        view, position: packed (`core/records.py`) as `targets` got them; empty when strategies were not asked.
        memory: packed, after; empty when unchanged.
        attempts / cancels: what is sent now; written before any byte of it leaves.
    """

    symbol: str
    view: bytes
    position: bytes
    memory: bytes
    attempts: tuple[Attempted, ...]
    cancels: tuple[CancelAttempted, ...]


MARKET_FACTS: Final = (BookSnapshot, BookDelta, Touch, PublicTrade, LastPrice, MarkPrice)

AnyEvent = (
    BookSnapshot
    | BookDelta
    | Touch
    | PublicTrade
    | LastPrice
    | MarkPrice
    | BookState
    | GridChanged
    | VenueStatus
    | FeedState
    | BadFact
    | PlaceAccepted
    | PlaceRefused
    | PlaceUnknown
    | CancelAnswered
    | OrderUpdate
    | Fill
    | Balance
    | VenuePosition
    | CashMove
    | AccountTerms
    | AccountRead
    | Wake
    | IdsReserved
    | Started
    | UserCommand
    | Told
    | Latched
    | MarketClosing
    | Anchor
    | Decided
)
