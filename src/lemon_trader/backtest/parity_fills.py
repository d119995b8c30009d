"""What a session got against what a replay of the same hours got: fill by fill, with why one of them had none.

Fills of one order at one price that follow one another closely are one. A session's fill is matched with the nearest one of the replay that
has its side and role, within a window; what is left over on either side is judged by what rested on the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lemon_trader.backtest.charts import resting
from lemon_trader.backtest.result import Columns, Result

Message = tuple[str, Mapping[str, object]]
Rest = tuple[int, int, int, int]  # from, until, side, ticks

QUEUE_NOW: Final = "parity.cause-queue-now"  # the replay's order rested there and was not reached
NO_ORDER_NOW: Final = "parity.cause-no-order-now"
QUEUE_THEN: Final = "parity.cause-queue-then"
NO_ORDER_THEN: Final = "parity.cause-no-order-then"
OTHER_PRICE: Final = "parity.cause-price"
OTHER_QUANTITY: Final = "parity.cause-quantity"


@dataclass(frozen=True, slots=True)
class Got:
    """One fill, or several of one order at one price in a row.

    Attributes:
        at_us: of the first. side, role, slot, ticks, lots: as everywhere.
    """

    at_us: int
    side: int
    role: int
    slot: int
    generation: int
    ticks: int
    lots: int


@dataclass(frozen=True, slots=True)
class FillDifference:
    """A fill that only one of them has, or that they have at another price or of another size.

    Attributes:
        then / now: of the session and of the replay; None = it had none.
        cause: a message.
    """

    then: Got | None
    now: Got | None
    cause: Message

    @property
    def at_us(self) -> int:
        """When, by the one that has it."""
        got = self.then or self.now
        assert got is not None
        return got.at_us


@dataclass(frozen=True, slots=True)
class FillParity:
    """How two runs of the same hours agree.

    Attributes:
        then / now: fills of the session and of the replay, gathered.
        matched: pairs that agree in side, role, price and quantity.
        later_us: mean time by which the replay's fill came after the session's, of the matched; 0 = none matched.
        differences: in order of time.
    """

    then: int
    now: int
    matched: int
    later_us: int
    differences: tuple[FillDifference, ...]


def compare_fills(fills: Columns, orders: Columns, replay: Result, window_us: int) -> FillParity:
    """Match a session's fills (FILL and ORDER rows) with those of a replay over the same hours."""
    mine, theirs = gathered(fills, window_us), gathered(replay.fills, window_us)
    rested_then = resting(orders, fills, replay.end_us)
    rested_now = resting(replay.orders, replay.fills, replay.end_us)
    free = list(range(len(theirs)))
    differences: list[FillDifference] = []
    lags: list[int] = []
    for got in mine:
        near = [
            n for n in free if (theirs[n].side, theirs[n].role) == (got.side, got.role) and abs(theirs[n].at_us - got.at_us) <= window_us
        ]
        if not near:
            rests = _rested(rested_now, got, window_us)
            differences.append(FillDifference(got, None, (QUEUE_NOW if rests else NO_ORDER_NOW, {})))
            continue
        best = min(near, key=lambda n: (theirs[n].ticks != got.ticks, abs(theirs[n].at_us - got.at_us)))
        free.remove(best)
        other = theirs[best]
        if other.ticks != got.ticks:
            differences.append(FillDifference(got, other, (OTHER_PRICE, {"ticks": (other.ticks - got.ticks) * got.side})))
        elif other.lots != got.lots:
            differences.append(FillDifference(got, other, (OTHER_QUANTITY, {})))
        else:
            lags.append(other.at_us - got.at_us)
    for n in free:
        rests = _rested(rested_then, theirs[n], window_us)
        differences.append(FillDifference(None, theirs[n], (QUEUE_THEN if rests else NO_ORDER_THEN, {})))
    differences.sort(key=lambda d: d.at_us)
    return FillParity(len(mine), len(theirs), len(lags), sum(lags) // len(lags) if lags else 0, tuple(differences))


def gathered(fills: Columns, window_us: int) -> list[Got]:
    """Fills of one order at one price, each within the window of the first, as one."""
    found: list[Got] = []
    last: dict[tuple[int, ...], int] = {}
    names = ("at_us", "side", "role", "slot", "generation", "ticks", "lots")
    for row in zip(*(fills[name].tolist() for name in names), strict=True):
        key = row[1:6]
        n = last.get(key, -1)
        if n >= 0 and row[0] - found[n].at_us <= window_us:
            found[n] = replace(found[n], lots=found[n].lots + row[6])
        else:
            last[key] = len(found)
            found.append(Got(*row))
    return found


def _rested(rests: Sequence[Rest], got: Got, window_us: int) -> bool:
    """Whether an order of this side and price rested at that time."""
    return any(side == got.side and ticks == got.ticks and a - window_us <= got.at_us <= b + window_us for a, b, side, ticks in rests)
