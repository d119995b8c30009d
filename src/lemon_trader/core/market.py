"""One market as the core knows it: book, orders, ledger, and the strategy bound to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lemon_trader.core.book import Book
from lemon_trader.core.diff import Action, Scratch, action_array
from lemon_trader.core.events import Fill, OrderRow
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.ledger import Ledger
from lemon_trader.core.limits import Limits
from lemon_trader.core.orders import OrderTable
from lemon_trader.core.records import SLOTS, Position, Row, View, row_array
from lemon_trader.core.units import BUY, PPM, TRIGGER, US_PER_S

FEED_AGE_US: Final = 3 * US_PER_S
MARK_AGE_US: Final = 10 * US_PER_S
ACCOUNT_AGE_US: Final = 30 * US_PER_S
SECOND_SOURCE_AGE_US: Final = 10 * US_PER_S
AGREE_PPM: Final = 10_000  # two sources within 1 % confirm each other
APART_PPM: Final = 50_000  # a perpetual's mark farther than 5 % from its book or its index: one of them is wrong, and nobody knows which
PERSIST_US: Final = 1 * US_PER_S  # or one source that stands for a second
PERSIST_COUNT: Final = 3  # over at least three updates
OPEN_STATES: Final = ("Open", "PostOnly", "LimitOnly")
IDENTICAL_MAX: Final = 3  # so many identical refusals of a slot in a row slow it to one attempt a minute
DELISTED: Final = "Delisted"  # our own word for a market that the catalogue no longer names


@dataclass(slots=True)
class Binding:
    """A strategy bound to a market.

    Attributes:
        name: of the strategy, as the catalogue has it.
        targets: its decision.
        params / memory: its records. Memory is what the last turn left; a call that fails leaves it as it was.
        packed: memory as of the last call, as the journal has it; empty before the first.
        features: `(now_us, bid_ticks, ask_ticks) -> (volatility_ppm, fall_ppm)`; the incremental function that every carrier calls.
        regrid: tells `features` that a tick has become so many.
        waiting: `(params, view, position, memory) -> message id` of what makes the strategy want less than usual; for faces.
        edit: gives this binding other parameters, as a person writes them; they were checked before they became a fact.
    """

    name: str
    targets: Callable[[Any, View, Position, Any, list[Row]], int]
    params: Any
    memory: Any
    features: Callable[[int, int, int], tuple[int, int]]
    budget_atoms: int
    packed: bytes = b""
    regrid: Callable[[int], None] = lambda _: None
    waiting: Callable[[Any, View, Position, Any], str] = lambda *_: ""
    edit: "Callable[[Binding, Mapping[str, str]], None]" = lambda *_: None


@dataclass(slots=True)
class MarketState:
    """Everything of one market. Made by `AccountState.add_market`; written by `core/step.py` and `core/decide.py` only.

    Attributes:
        memory_bytes: the strategy's memory as journalled, until a binding takes it.
        memory_ticks / memory_lots: how many ticks and lots of today's grid are one of the grid that those bytes stand on.
        slots_seen: `orders.changes` as of which the view's slots were filled.
        bounded: last price, mark and instrument by which the view's price bounds were reckoned.
        retry_book: per slot, the book's update id that a retry must be newer than.
        asked: 1 when something happened that a decision must look at.
        band_low / band_high / wake_us: where and until when the last answer holds.
        frozen: why nothing new is opened here; "" = it may be.
        ended: the pair was stopped alone (its own duration is over): what only opens is masked here until a start.
        confirmed_ticks: price by which stops are judged; 0 in doubt.
        foreign: live orders that are not ours, from the last read.
        venue_lots: a perpetual's position as the venue last stated it; None = not read.
        mismatch: reads in a row in which position and ledger differed.
        retrying: a slot waits, or the view still shows one that did.
        refusals: (slot, code) -> how many in a row, for the breaker of identical refusals.
        closing: what is held is sold, whatever the strategy wants, because it could not be protected; until `resume`.
        exposed_us: since when something is held without its resting stop although the exchange could be asked; 0 = it is not.
        strangers: a perpetual's fills that were not ours, since position and books last agreed; `resume` may take them over.
        bare_us: since when something is held without the resting stop that is wanted; 0 = it is there. Negative: told.
        stop_atoms: what the running stop has realised so far, quote atoms; None = no stop is selling.
    """

    instrument: Instrument
    view: View = field(default_factory=View)
    position: Position = field(default_factory=Position)
    limits: Limits = field(default_factory=Limits)
    book: Book = field(default_factory=Book)
    orders: OrderTable = field(default_factory=OrderTable)
    out: list[Row] = field(default_factory=row_array)
    actions: list[Action] = field(default_factory=action_array)
    scratch: Scratch = field(default_factory=Scratch)
    ledger: Ledger = field(init=False)
    binding: Binding | None = None
    memory_bytes: bytes = b""
    memory_ticks: int = 1
    memory_lots: int = 1
    rows_used: int = 1
    slots_seen: int = 0
    bounded: tuple[int, int, Instrument] | None = None
    asked: bool = True
    band_low: int = 0
    band_high: int = 0
    wake_us: int = 0
    retry_us: list[int] = field(default_factory=lambda: [0] * SLOTS)
    retry_book: list[int] = field(default_factory=lambda: [-1] * SLOTS)
    retrying: bool = False
    refusals: dict[tuple[int, str], int] = field(default_factory=dict)
    frozen: str = ""
    ended: bool = False
    closing: bool = False
    exposed_us: int = 0
    strangers: list[Fill] = field(default_factory=list)
    bare_us: int = 0
    stop_atoms: int | None = None
    book_us: int = 0
    last_ticks: int = 0
    last_us: int = 0
    mark_ticks: int = 0
    index_ticks: int = 0
    mark_us: int = 0
    funding_ppb: int = 0
    confirmed_ticks: int = 0
    doubt_us: int = 0
    doubt_count: int = 0
    foreign: tuple[OrderRow, ...] = ()
    venue_lots: int | None = None
    mismatch: int = 0
    next_child: int = -2
    fell_ppm: int = 0
    sigma_ppm: int = 0

    def __post_init__(self) -> None:
        """Make what needs the instrument."""
        self.ledger = Ledger(self.instrument)
        self.show_bounds()

    def show_bounds(self) -> None:
        """Write the instrument's units and bounds into the view."""
        i, v = self.instrument, self.view
        v.is_perp = int(i.is_perp)
        v.tick_lot_atoms, v.lot_atoms = i.tick_lot_atoms, i.lot_atoms
        v.min_lots, v.max_lots, v.min_ticks, v.max_ticks = i.min_lots, i.max_lots, i.min_ticks, i.max_ticks

    def touch(self, now_us: int) -> None:
        """Take the book's touch into the view, less our own orders, and judge it; call after every change of the book."""
        bid, ask = self._touch_without_own()
        v = self.view
        v.bid_ticks, v.ask_ticks = bid, ask
        v.bid_lots = self.book.bids.get(bid, 0)
        v.ask_lots = self.book.asks.get(ask, 0)
        self.book_us = now_us
        if bid <= 0 or ask <= 0 or bid >= ask:
            self.confirmed_ticks = 0
            return
        if self.binding is not None:
            self.sigma_ppm, self.fell_ppm = self.binding.features(now_us, bid, ask)
        self.confirm(now_us)

    def confirm(self, now_us: int) -> None:
        """Judge the price that stops are decided by: a second source within 1 %, or one source that stands for a second."""
        v = self.view
        if self.instrument.is_perp:
            # A book that is quiet is not old while the ticker of its stream speaks each second.
            price, second, age = self.mark_ticks, (v.bid_ticks + v.ask_ticks) // 2, now_us - max(self.book_us, self.last_us)
        else:
            price, second, age = v.bid_ticks, self.last_ticks, now_us - self.last_us
        if price <= 0:
            self.confirmed_ticks = 0
            return
        if second > 0 and age <= SECOND_SOURCE_AGE_US and abs(price - second) * PPM <= AGREE_PPM * price:
            self.doubt_us = 0
            self.doubt_count = 0
            self.confirmed_ticks = price
            return
        if self.doubt_us == 0:
            self.doubt_us, self.doubt_count = now_us, 0
        self.doubt_count += 1
        stands = now_us - self.doubt_us >= PERSIST_US and self.doubt_count >= PERSIST_COUNT
        self.confirmed_ticks = price if stands else 0

    def count_foreign(self) -> None:
        """Bring orders that are not ours into the limits: the account carries them, and what they fill, as it carries ours."""
        limits = self.limits
        limits.foreign_orders = len(self.foreign)
        limits.foreign_buys = sum(r.qty_lots - r.filled_lots for r in self.foreign if r.side == BUY and not r.is_trigger)
        limits.foreign_sells = sum(r.qty_lots - r.filled_lots for r in self.foreign if r.side != BUY and not r.is_trigger)

    def reference_ticks(self) -> int:
        """The price by which what is held is valued: mark on perpetuals, else mid, else last; 0 = unknown."""
        if self.instrument.is_perp and self.mark_ticks > 0:
            return self.mark_ticks
        v = self.view
        if v.bid_ticks > 0 and v.ask_ticks > v.bid_ticks:
            return (v.bid_ticks + v.ask_ticks) // 2
        return self.last_ticks

    def is_apart(self) -> bool:
        """Whether a perpetual's mark disagrees widely with its book or its index."""
        mark, v = self.mark_ticks, self.view
        others = [(v.bid_ticks + v.ask_ticks) // 2, self.index_ticks]
        return self.instrument.is_perp and any(other > 0 and abs(mark - other) * PPM > APART_PPM * mark for other in others)

    def in_band(self) -> bool:
        """Whether the last answer still holds at this touch; never at a book with one side empty or crossed."""
        v = self.view
        return 0 < self.band_low <= v.bid_ticks < v.ask_ticks <= self.band_high

    def _touch_without_own(self) -> tuple[int, int]:
        book = self.book
        if not book.valid:
            return 0, 0
        bid, ask = book.bid_ticks, book.ask_ticks
        for order in self.orders.live:
            if order.kind != TRIGGER and (order.price_ticks == bid if order.side == BUY else order.price_ticks == ask):
                break
        else:
            return bid, ask
        own: dict[int, int] = {}
        for order in self.orders.live:
            if order.kind != TRIGGER and order.acked:
                own[order.price_ticks * order.side] = own.get(order.price_ticks * order.side, 0) + order.open_lots
        if book.bids.get(bid, 0) <= own.get(bid, 0):
            bid = max((p for p, q in book.bids.items() if q > own.get(p, 0)), default=0)
        if book.asks.get(ask, 0) <= own.get(-ask, 0):
            ask = min((p for p, q in book.asks.items() if q > own.get(-p, 0)), default=0)
        return bid, ask
