"""Records that a decision reads and writes, declared once and carried two ways.

Live they are slots objects, made once and changed in place; a sweep carries them as rows of numpy arrays (`dtype_of`).
Every field is an int64 or a fixed-length list of int64, so that the same function reads both.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

VERSION: Final = 1

SLOTS: Final = 40
FIRST_SLOT: Final = 0  # layers: 0 … 31; quotes: bids 0 … 15, asks 16 … 31
LEVELS_MAX: Final = 16
LAYERS_MAX: Final = 32
ASK_SLOT: Final = 16
EXIT_SLOT: Final = 32
STOP_SLOT: Final = 33
TRIGGER_SLOT: Final = 34
REBALANCE_SLOT: Final = 35
ROWS_MAX: Final = 41  # one header row and one row a slot
ORDERS_MAX: Final = 128  # non-terminal orders of one market that a diff looks at

R = TypeVar("R")


def in_ticks() -> Any:
    """A field that holds a price, or a sum of prices: it is re-expressed when the market's grid changes."""
    return field(default=0, metadata={"unit": "ticks"})


def in_lots() -> Any:
    """A field that holds a quantity: it is re-expressed when the market's grid changes."""
    return field(default=0, metadata={"unit": "lots"})


def slots_of_int() -> Any:
    """A field that holds one int64 for each slot."""
    return field(default_factory=lambda: [0] * SLOTS, metadata={"length": SLOTS})


def ints(length: int, unit: str = "") -> Any:
    """A field that holds `length` int64; `unit` is "ticks", "lots", or "" for what no grid changes."""
    return field(default_factory=lambda: [0] * length, metadata={"length": length, "unit": unit})


@dataclass(slots=True)
class View:
    """What a strategy sees of its market at one moment. It never says what is held: `Position` does.

    Attributes:
        version: of this declaration.
        now_us: engine time of the fact that asks, µs UTC.
        bid_ticks / ask_ticks: the touch of the public book without our own orders' effect, ticks; 0 = that side is empty.
        bid_lots / ask_lots: quantity at the touch, lots.
        last_ticks: price of the last public trade; 0 = none seen yet.
        mark_ticks / index_ticks: of a perpetual, rounded half up to ticks; 0 = none, and always 0 on spot.
        confirmed_ticks: price by which stops are judged: on spot the best bid (long) as confirmed by a second source or by
            persistence, on perpetuals the same by mark; 0 = nothing confirmed since the last doubt. A stop is judged only by it.
        fresh: 1 when book, account and (perpetuals) mark are young enough for new exposure.
        may_open: 1 when no mode masks opening rows; no cycle arms while it is 0.
        is_perp: 1 on a perpetual.
        tick_lot_atoms: quote atoms of one lot at a price of one tick.
        lot_atoms: base atoms of one lot.
        min_lots / max_lots: the venue's smallest and largest order (max 0 = none).
        min_ticks / max_ticks: the venue's absolute price bounds (max 0 = none).
        low_ticks / high_ticks: where a limit price may rest now by the venue's bands, ticks (0 = unbounded).
        maker_fee_ppm / taker_fee_ppm: the account's own rates in this market.
        volatility_ppm: feature: standard deviation of one-second mid returns over `volatility_window_us`, ppm a second.
        fall_ppm: feature: how far the mid stands under its highest of the fall window, ppm, >= 0.
        start_signal: feature: 1 when the start condition of a cycle holds.
        generation: per slot, the highest generation attempted; -1 = none.
        filled: per slot, lots filled for that highest generation.
        filled_ever: per slot, lots filled for any generation since the strategy began.
        live: per slot, the unfilled rest of every non-terminal order in any generation, UNKNOWN included.
        live_orders: per slot, how many such orders.
        armed / in_flight / unknown: per slot, how many orders of the highest generation are so.
        ended: per slot, 1 when the highest generation was attempted and nothing of it lives any more.
        sent_us: per slot, when the youngest attempt was sent.
        retry_us: per slot, before when nothing is sent again (after a refusal); 0 = free.
    """

    version: int = VERSION
    now_us: int = 0
    bid_ticks: int = 0
    bid_lots: int = 0
    ask_ticks: int = 0
    ask_lots: int = 0
    last_ticks: int = 0
    mark_ticks: int = 0
    index_ticks: int = 0
    confirmed_ticks: int = 0
    fresh: int = 0
    may_open: int = 0
    is_perp: int = 0
    tick_lot_atoms: int = 0
    lot_atoms: int = 0
    min_lots: int = 0
    max_lots: int = 0
    min_ticks: int = 0
    max_ticks: int = 0
    low_ticks: int = 0
    high_ticks: int = 0
    maker_fee_ppm: int = 0
    taker_fee_ppm: int = 0
    volatility_ppm: int = 0
    fall_ppm: int = 0
    start_signal: int = 1
    generation: list[int] = field(default_factory=lambda: [-1] * SLOTS, metadata={"length": SLOTS})
    filled: list[int] = slots_of_int()
    filled_ever: list[int] = slots_of_int()
    live: list[int] = slots_of_int()
    live_orders: list[int] = slots_of_int()
    armed: list[int] = slots_of_int()
    in_flight: list[int] = slots_of_int()
    unknown: list[int] = slots_of_int()
    ended: list[int] = slots_of_int()
    sent_us: list[int] = slots_of_int()
    retry_us: list[int] = slots_of_int()


@dataclass(slots=True)
class Position:
    """What our own fills have left us with in one market.

    Attributes:
        lots: whole lots held; < 0 is short (perpetuals only). On spot floor(base_atoms / lot_atoms).
        base_atoms: exact base held, atoms, net of fees taken in base.
        cost_atoms: quote atoms paid for what is held, > 0; of a short, quote atoms received for it, > 0.
        sellable_lots: what may be sold now: min(position, available) floored to lots on spot; |lots| on perpetuals.
        free_quote_atoms: quote that the account has available for new orders.
        budget_atoms: quote reserved for this strategy.
    """

    lots: int = 0
    base_atoms: int = 0
    cost_atoms: int = 0
    sellable_lots: int = 0
    free_quote_atoms: int = 0
    budget_atoms: int = 0


@dataclass(slots=True)
class Row:
    """One row of `targets`: an order that shall rest now. Row 0 is the header, see `Band`.

    Attributes:
        slot, generation: with strategy and market the key of the want.
        role, side, kind, flags: codes of `core/units.py`.
        price_ticks: limit price; for TAKE the price it may not go through (the slippage cap); 0 for a TRIGGER that sells at market.
        trigger_ticks: of a TRIGGER, mark price at which it fires; else 0.
        qty_lots: the total for the life of the key, not the rest.
        tolerance_ticks: how far the price of a working order may differ and be kept; 0 for EXIT, STOP and TAKE.
        tolerance_ppm: the same for its quantity, ppm of the wanted.
        reason / figure: written by the diff and the limits: why it was placed, kept or withheld, and by how much.
    """

    slot: int = 0
    generation: int = 0
    role: int = 0
    side: int = 0
    kind: int = 0
    flags: int = 0
    price_ticks: int = 0
    trigger_ticks: int = 0
    qty_lots: int = 0
    tolerance_ticks: int = 0
    tolerance_ppm: int = 0
    reason: int = 0
    figure: int = 0


@dataclass(slots=True)
class Working:
    """One order that is not known to have ended, as a diff and the limits see it; the order table's rows carry the same names.

    Attributes:
        slot … trigger_ticks: as the row that asked for it.
        open_lots: ordered and not yet filled, lots.
        state: code of `core/units.py`.
        sent_us: when its attempt was sent, engine time.
        acked: 1 once the venue has accepted it.
        cancel_us: when a cancel was last sent; 0 = never.
        reason / figure: written by the diff: why it is kept, moved or cancelled, and by how much.
    """

    slot: int = 0
    generation: int = 0
    role: int = 0
    side: int = 0
    kind: int = 0
    flags: int = 0
    price_ticks: int = 0
    trigger_ticks: int = 0
    open_lots: int = 0
    state: int = 0
    sent_us: int = 0
    acked: int = 0
    cancel_us: int = 0
    reason: int = 0
    figure: int = 0


def row_array() -> list[Row]:
    """Rows for one strategy's answers, made once."""
    return [Row() for _ in range(ROWS_MAX)]


def write_band(out: list[Row], low_ticks: int, high_ticks: int, wake_us: int) -> None:
    """Write the header row: between the two prices and until the time, the same view and position give the same rows.

    Compiled callers write the three fields themselves; (0, 0, 0) means "always ask".
    """
    head = out[0]
    head.price_ticks = low_ticks
    head.trigger_ticks = high_ticks
    head.qty_lots = wake_us


def dtype_of(record: type) -> Any:
    """The numpy dtype that carries `record` in arrays: one int64, or a fixed-length run of them, for each field in order."""
    import numpy as np  # noqa: PLC0415  live trading carries no arrays and does not pay for the import

    def shape(length: int | None) -> Any:
        return np.int64 if length is None else (np.int64, (length,))

    return np.dtype([(f.name, shape(f.metadata.get("length"))) for f in fields(record)], align=True)


def rescale(record: Any, tick_factor: int, lot_factor: int) -> None:
    """Say the same on a grid whose steps are smaller by these factors: fields declared as ticks or lots are multiplied, exactly."""
    factors = {"ticks": tick_factor, "lots": lot_factor}
    for f in fields(record):
        factor = factors.get(f.metadata.get("unit", ""), 1)
        if factor != 1:
            value = getattr(record, f.name)
            setattr(record, f.name, [v * factor for v in value] if type(value) is list else value * factor)


def as_row(record: Any) -> tuple[Any, ...]:
    """The record's values in field order, lists as tuples: what is compared."""
    return tuple(tuple(v) if type(v) is list else v for v in _getter(type(record))(record))


def pack(record: Any) -> bytes:
    """The record as bytes for the journal."""
    return _encode(_getter(type(record))(record))


def unpack(kind: type[R], data: bytes) -> R:
    """The record that `pack` gave. Raises msgspec.DecodeError or TypeError when the bytes are of another declaration."""
    return kind(*_decode(data))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode
_GETTERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {}


def _getter(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    getter = _GETTERS.get(kind)
    if getter is None:
        names = tuple(f.name for f in fields(kind))
        # attrgetter wants at least one name, and gives no tuple for one.
        getter = attrgetter(*names) if len(names) > 1 else lambda record: tuple(getattr(record, name) for name in names)
        _GETTERS[kind] = getter
    return getter
