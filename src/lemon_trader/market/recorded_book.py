"""From the columns of a recorded book to the batches that are played: the snapshot in its right place, no hole in the updates."""

import numpy as np

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, SELL
from lemon_trader.market import columns
from lemon_trader.market.columns import Ints, Part, Table
from lemon_trader.market.depth import Batches
from lemon_trader.market.errors import RecordingError


def depth_batches(table: Table, name: str, instrument: Instrument, part: Part) -> tuple[Batches, int]:
    """A book of snapshot and updates, and by how much its time was moved.

    The snapshot was asked for while updates came in already, so it is placed by its id and not by its row: updates that it contains are
    left out, and newer ones are applied although some of them stand before it. What lies before the wanted start is folded into the
    state the book starts from.
    """
    is_snapshot = table["kind"] == "snapshot"
    if not is_snapshot.any():
        raise RecordingError("recording.no-snapshot", file=name)
    side = columns.sides(table, "side", columns.BOOK, name)
    price = columns.units(table, "price", name, is_price=True)
    lots = columns.lots(columns.units(table, "qty", name, is_price=False), instrument)
    at_us = columns.event_us(table, name)
    ids = table["last_id"]
    snapshot_id = int(ids[is_snapshot][0])
    newer = np.flatnonzero(~is_snapshot & (ids > snapshot_id))
    older = np.flatnonzero(~is_snapshot & (ids <= snapshot_id))
    if not len(newer):
        raise RecordingError("recording.no-update", file=name)
    _check_chain(table, newer, name)
    columns.check_rising(at_us[newer], name, strictly=False)
    ends = np.append(np.flatnonzero(np.diff(ids[newer])) + 1, len(newer))
    batch_us = at_us[newer][ends - 1]
    rows = part.rows(batch_us, name)
    begin = int(ends[rows.start - 1]) if rows.start else 0
    last_known = newer[begin - 1] if begin else older[-1] if len(older) else newer[0]
    start_us = int(at_us[last_known])
    shift = part.shift(start_us)
    state = np.append(np.flatnonzero(is_snapshot), newer[:begin])
    played = newer[begin:]
    book = Batches(
        columns.tick_units(instrument),
        start_us + shift,
        list(zip(side[state].tolist(), price[state].tolist(), lots[state].tolist(), strict=True)),
        (batch_us[rows] + shift).tolist(),
        (ends[rows] - begin).tolist(),
        side[played].tolist(),
        price[played].tolist(),
        lots[played].tolist(),
    )
    return book, shift


def touch_batches(table: Table, name: str, instrument: Instrument, part: Part) -> tuple[Batches, int]:
    """A book of which only the touch was recorded, each row replacing the one before, and by how much its time was moved."""
    at_us = columns.event_us(table, name)
    columns.check_rising(at_us, name, strictly=False)
    rows = part.rows(at_us, name)
    shift = part.shift(int(at_us[rows.start]))
    quotes = []
    for side, word in ((BUY, "bid"), (SELL, "ask")):
        price = columns.units(table, f"{word}_px", name, is_price=True)[rows].tolist()
        lots = columns.lots(columns.units(table, f"{word}_qty", name, is_price=False)[rows], instrument).tolist()
        quotes.append((side, price, lots))
    times = (at_us[rows] + shift).tolist()
    first = [(side, price[0], lots[0]) for side, price, lots in quotes]
    flat: list[tuple[int, int, int]] = []
    ends = []
    for k in range(1, len(times)):
        for side, price, lots in quotes:
            if price[k - 1] != price[k]:
                flat.append((side, price[k - 1], 0))
            flat.append((side, price[k], lots[k]))
        ends.append(len(flat))
    sides, prices, sizes = ([row[c] for row in flat] for c in range(3))
    return Batches(columns.tick_units(instrument), times[0], first, times[1:], ends, sides, prices, sizes), shift


def _check_chain(table: Table, newer: Ints, name: str) -> None:
    """Refuse a book with a hole in its updates: from there on it would be wrong without a sign."""
    ids = table["last_id"][newer]
    starts = np.flatnonzero(np.diff(ids)) + 1  # of every batch but the first
    heads, before = newer[starts], ids[starts - 1]
    if "prev_last_id" in table and (table["prev_last_id"][heads] > 0).any():
        broken = np.flatnonzero(table["prev_last_id"][heads] != before)
    elif "first_id" in table and (table["first_id"][heads] > 0).any():
        broken = np.flatnonzero(table["first_id"][heads] != before + 1)
    else:
        return
    if len(broken):
        raise RecordingError("recording.hole", file=name, id=int(before[broken[0]]))
