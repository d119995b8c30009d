"""How a strategy writes its answer: rows, and the header that says how long they hold. Compiled and plain alike."""

from typing import Final

from lemon_trader.core.records import Row
from lemon_trader.formulas.compilable import compilable

ANY_PRICE: Final = 2**60  # above every price: a band that ends nowhere


@compilable
def put(
    out: list[Row], used: int, slot: int, generation: int, role: int, side: int, kind: int, flags: int, price: int, qty: int
) -> int:  # fmt: skip
    """Write one row without tolerance; the number of rows."""
    row = out[used]
    row.slot = slot
    row.generation = generation
    row.role = role
    row.side = side
    row.kind = kind
    row.flags = flags
    row.price_ticks = price
    row.trigger_ticks = 0
    row.qty_lots = qty
    row.tolerance_ticks = 0
    row.tolerance_ppm = 0
    return used + 1


@compilable
def hold(out: list[Row], low_ticks: int, high_ticks: int, wake_us: int) -> None:
    """Write the header: the rows hold while bid and ask lie between the prices, until the time (0 = no end). (0, 0) = always ask."""
    head = out[0]
    head.price_ticks = low_ticks
    head.trigger_ticks = high_ticks
    head.qty_lots = wake_us


@compilable
def wake(out: list[Row], now_us: int, at_us: int) -> None:
    """Ask again at `at_us` at the latest, where that lies ahead."""
    head = out[0]
    if at_us > now_us and (head.qty_lots == 0 or at_us < head.qty_lots):
        head.qty_lots = at_us


@compilable
def narrow(out: list[Row], low_ticks: int, high_ticks: int) -> None:
    """Let the answer hold between these prices at most; a header that always asks stays so."""
    head = out[0]
    if head.price_ticks == 0:
        return
    head.price_ticks = max(head.price_ticks, low_ticks)
    head.trigger_ticks = min(head.trigger_ticks, high_ticks)
    if head.price_ticks > head.trigger_ticks:
        head.price_ticks = 0
        head.trigger_ticks = 0
