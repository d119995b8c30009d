"""First in, first out: the second view of the same fills. What is sold is what was bought first, at what it cost then."""

from collections import deque
from typing import NamedTuple


class Execution(NamedTuple):
    """What pairing needs of a fill; `fee_base_atoms` was taken in base (0 on perpetuals and for fees in other assets)."""

    at_us: int
    side: int
    price_ticks: int
    qty_lots: int
    fee_base_atoms: int


class Fifo:
    """Open lots, oldest first, as (base atoms > 0, cost in quote atoms); all on one side.

    Attributes:
        side: 1 while long, -1 while short, 0 while flat.
        realised_atoms: of all executions so far, before fees.
    """

    def __init__(self, tick_lot_atoms: int, lot_atoms: int) -> None:
        self.side = 0
        self.realised_atoms = 0
        self._tick_lot_atoms = tick_lot_atoms
        self._lot_atoms = lot_atoms
        self._open: deque[tuple[int, int]] = deque()

    @property
    def cost_atoms(self) -> int:
        """What is held cost (of a short: what was received for it), quote atoms."""
        return sum(cost for _, cost in self._open)

    @property
    def base_atoms(self) -> int:
        """What is held, signed."""
        return self.side * sum(size for size, _ in self._open)

    def give(self, base_atoms: int, cost_atoms: int) -> None:
        """Take over coins held before, at a stated cost."""
        if base_atoms:
            self.side = 1
            self._open.append((base_atoms, cost_atoms))

    def execute(self, e: Execution) -> int:
        """Take one execution; what it realised, quote atoms."""
        notional = e.price_ticks * e.qty_lots * self._tick_lot_atoms
        realised = self._move(e.side, e.qty_lots * self._lot_atoms, notional)
        if e.fee_base_atoms:  # as in the ledger: a fee in base is base sold for exactly the fee's worth
            worth = abs(e.fee_base_atoms) * e.price_ticks * self._tick_lot_atoms // self._lot_atoms
            if e.fee_base_atoms < 0:
                worth = -(e.fee_base_atoms * e.price_ticks * self._tick_lot_atoms // self._lot_atoms)
            realised += self._move(-1 if e.fee_base_atoms > 0 else 1, abs(e.fee_base_atoms), worth)
        self.realised_atoms += realised
        return realised

    def _move(self, side: int, size: int, worth: int) -> int:
        realised = 0
        while size and self.side == -side:
            held, cost = self._open[0]
            closing = min(held, size)
            proceeds = worth * closing // size
            part = cost * closing // held
            realised += proceeds - part if self.side > 0 else part - proceeds
            size -= closing
            worth -= proceeds
            if closing == held:
                self._open.popleft()
                self.side = self.side if self._open else 0
            else:
                self._open[0] = (held - closing, cost - part)
        if size:
            self.side = side
            self._open.append((size, worth))
        return realised
