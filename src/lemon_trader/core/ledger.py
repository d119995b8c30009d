"""What our own fills made of our money in one market, to the atom.

Position = (base atoms, cost in quote atoms). A reduction takes floor(cost x q / Q) of the cost with it, the rest stays, so nothing is
ever lost to rounding. Net = realised + unrealised - fees + funding equals the cash difference exactly: every fee taken in base is
booked as base sold at the fill's price for exactly the fee, which adds and takes away the same number.
"""

from collections import deque
from typing import Any, Final

import msgspec

from lemon_trader.core.events import Fill
from lemon_trader.core.instrument import Instrument

_KEEP_US: Final = 48 * 3600 * 1_000_000  # fill keys are remembered longer than any read looks back


class Booked(msgspec.Struct, frozen=True, gc=False):
    """What one fill changed; the record of statistics.

    Attributes:
        realised_atoms: of this fill, before fees.
        fee_quote_atoms: the fee valued in quote at the fill's price; 0 for an asset that is neither base nor quote.
        cash_atoms: change of quote held (spot: paid and received; perpetuals: realised less fee).
        base_atoms / cost_atoms: position after it.
    """

    realised_atoms: int
    fee_quote_atoms: int
    cash_atoms: int
    base_atoms: int
    cost_atoms: int


class Ledger:
    """Books fills once each. Its figures are public to read and written nowhere else.

    Attributes:
        base_atoms: held, signed; cost_atoms: paid (long) or received (short) for it, >= 0.
        realised_atoms, fees_atoms, funding_atoms: running sums, quote atoms.
        other_fees: fees in assets that are neither base nor quote, atoms by asset; shown apart, not part of net.
        cash_atoms: quote received less paid.
        bought_atoms / sold_atoms: turnover, quote atoms.
        fees_base_atoms: fees taken in base. given_atoms: coins that were given to the program.
        forgotten_us: exchange time up to which the keys of booked fills were dropped: what is older counts as booked.
    """

    __slots__ = (
        "_keys", "_named", "_order_counts", "_queue", "base_atoms", "bought_atoms", "cash_atoms", "cost_atoms",
        "fees_atoms", "fees_base_atoms", "forgotten_us", "funding_atoms", "given_atoms", "instrument", "moves", "other_fees",
        "realised_atoms", "sold_atoms",
    )  # fmt: skip

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.base_atoms = 0
        self.cost_atoms = 0
        self.realised_atoms = 0
        self.fees_atoms = 0
        self.fees_base_atoms = 0
        self.funding_atoms = 0
        self.given_atoms = 0
        self.cash_atoms = 0
        self.bought_atoms = 0
        self.sold_atoms = 0
        self.forgotten_us = 0
        self.other_fees: dict[str, int] = {}
        self.moves: dict[str, int] = {}  # keys of cash moves, so that each counts once
        self._keys: set[tuple[str, int]] = set()
        self._named: dict[tuple[str, int, int, int], int] = {}  # fallback key -> how many were booked with a trade id
        self._order_counts: dict[tuple[str, int, int, int], int] = {}  # fallback key -> how many were booked without one
        self._queue: deque[tuple[int, tuple[str, int] | None, tuple[str, int, int, int]]] = deque()

    @property
    def lots(self) -> int:
        """Whole lots held; floored towards zero for a short as for a long."""
        lots = abs(self.base_atoms) // self.instrument.lot_atoms
        return lots if self.base_atoms >= 0 else -lots

    def value_atoms(self, price_ticks: int) -> int:
        """What is held at this price, quote atoms, floored towards zero; signed."""
        value = abs(self.base_atoms) * price_ticks * self.instrument.tick_lot_atoms // self.instrument.lot_atoms
        return value if self.base_atoms >= 0 else -value

    def unrealised_atoms(self, price_ticks: int) -> int:
        """Value less cost at this price (of a short: received less the cost of buying back)."""
        value = self.value_atoms(price_ticks)
        return value - self.cost_atoms if self.base_atoms >= 0 else value + self.cost_atoms

    def flow_atoms(self) -> int:
        """Quote received less paid by fills, fees and funding, whatever the order in which they were told.

        How a perpetual's profit splits into realised and unrealised depends on the order in which its fills are booked, and after a gap in
        the stream they are told late; this sum and the net do not.
        """
        held = self.cost_atoms if self.base_atoms >= 0 else -self.cost_atoms
        return self.realised_atoms - self.fees_atoms + self.funding_atoms - held

    def net_atoms(self, price_ticks: int) -> int:
        """Realised + unrealised - fees + funding, quote atoms."""
        return self.realised_atoms + self.unrealised_atoms(price_ticks) - self.fees_atoms + self.funding_atoms

    def give(self, base_atoms: int, cost_atoms: int) -> None:
        """Take over coins held before (`--inventory`) at a stated cost; once in the life of a journal, a repeat changes nothing."""
        if not self.given_atoms:
            self.given_atoms = base_atoms
            self._move(base_atoms, cost_atoms)

    def seen(self, fill: Fill, ordinal: int = 0) -> bool:
        """Whether this fill is booked already; see `fault-matrix` §1 for the key.

        Args:
            fill: from any source.
            ordinal: of a fill without a trade id, how many equal ones came before it in the same read.
        """
        fallback = self._fallback(fill)
        if fallback[3] <= self.forgotten_us // 1_000:
            return True
        if fill.trade_id > 0:
            return (fill.order_id, fill.trade_id) in self._keys
        return self._named.get(fallback, 0) + self._order_counts.get(fallback, 0) > ordinal

    def renamed(self, fill: Fill) -> bool:
        """True when an equal fill was booked without a trade id and this one names it: the same fill, told again."""
        fallback = self._fallback(fill)
        waiting = self._order_counts.get(fallback, 0)
        if fill.trade_id <= 0 or not waiting:
            return False
        self._order_counts[fallback] = waiting - 1
        self._remember(fill)
        return True

    def book(self, fill: Fill) -> Booked:
        """Book a fill that `seen` does not know."""
        self._remember(fill)
        i = self.instrument
        size = fill.qty_lots * i.lot_atoms
        notional = fill.price_ticks * fill.qty_lots * i.tick_lot_atoms
        realised = self._move(fill.side * size, notional)
        cash = -fill.side * notional
        if fill.side > 0:
            self.bought_atoms += notional
        else:
            self.sold_atoms += notional
        fee_quote = 0
        if fill.fee_asset == i.quote or not fill.fee_atoms:
            fee_quote = fill.fee_atoms
            cash -= fee_quote
        elif fill.fee_asset == i.base:
            # Base taken as fee is base sold for exactly the fee's worth: the sums stay equal to the cash.
            fee_quote = fill.fee_atoms * fill.price_ticks * i.tick_lot_atoms // i.lot_atoms
            realised += self._move(-fill.fee_atoms, fee_quote) if fill.fee_atoms > 0 else self._move(-fill.fee_atoms, -fee_quote)
            self.fees_base_atoms += fill.fee_atoms
        else:
            self.other_fees[fill.fee_asset] = self.other_fees.get(fill.fee_asset, 0) + fill.fee_atoms
        if i.is_perp:
            cash = realised - fee_quote
        self.realised_atoms += realised
        self.fees_atoms += fee_quote
        self.cash_atoms += cash
        return Booked(realised, fee_quote, cash, self.base_atoms, self.cost_atoms)

    def fund(self, key: str, quantity_atoms: int) -> bool:
        """Book funding or interest once; False when the key is known."""
        if key in self.moves:
            return False
        self.moves[key] = quantity_atoms
        if len(self.moves) > 5_000:
            del self.moves[next(iter(self.moves))]
        self.funding_atoms += quantity_atoms
        self.cash_atoms += quantity_atoms
        return True

    def image(self) -> dict[str, Any]:
        """Everything, for a checkpoint."""
        return {
            "sums": [
                self.base_atoms, self.cost_atoms, self.realised_atoms, self.fees_atoms, self.fees_base_atoms,
                self.funding_atoms, self.cash_atoms, self.bought_atoms, self.sold_atoms, self.given_atoms,
            ],
            "other": self.other_fees,
            "moves": self.moves,
            "queue": [[at, key, fallback] for at, key, fallback in self._queue],
            "anonymous": [[list(k), v] for k, v in self._order_counts.items() if v],
            "forgotten": self.forgotten_us,
        }  # fmt: skip

    def restore(self, image: dict[str, Any]) -> None:
        """Become what `image` was taken of."""
        (
            self.base_atoms, self.cost_atoms, self.realised_atoms, self.fees_atoms, self.fees_base_atoms,
            self.funding_atoms, self.cash_atoms, self.bought_atoms, self.sold_atoms, self.given_atoms,
        ) = image["sums"]  # fmt: skip
        self.other_fees = dict(image["other"])
        self.moves = dict(image["moves"])
        for at, key, fallback in image["queue"]:
            named = tuple(key) if key is not None else None
            back = tuple(fallback)
            self._queue.append((at, named, back))
            if named is not None:
                self._keys.add(named)
                self._named[back] = self._named.get(back, 0) + 1
        self._order_counts = {tuple(k): v for k, v in image["anonymous"]}
        self.forgotten_us = image.get("forgotten", 0)

    def _move(self, change: int, notional: int) -> int:
        """Change the position by `change` base atoms worth `notional` > 0; what was realised by it."""
        held = self.base_atoms
        if held == 0 or (held > 0) == (change > 0):
            self.base_atoms += change
            self.cost_atoms += notional
            return 0
        closing = min(abs(held), abs(change))
        worth = notional * closing // abs(change)
        part = self.cost_atoms * closing // abs(held)
        realised = worth - part if held > 0 else part - worth
        self.base_atoms += change
        self.cost_atoms -= part
        if closing < abs(change):  # it went through flat: the rest opens the other side
            self.cost_atoms += notional - worth
        return realised

    def _remember(self, fill: Fill) -> None:
        fallback = self._fallback(fill)
        key = (fill.order_id, fill.trade_id) if fill.trade_id > 0 else None
        if key is not None:
            self._keys.add(key)
            self._named[fallback] = self._named.get(fallback, 0) + 1
        else:
            self._order_counts[fallback] = self._order_counts.get(fallback, 0) + 1
        self._queue.append((fill.venue_us, key, fallback))
        while self._queue and self._queue[0][0] < fill.venue_us - _KEEP_US:
            at_us, old, back = self._queue.popleft()
            self.forgotten_us = max(self.forgotten_us, at_us)
            if old is not None:
                self._keys.discard(old)
                left = self._named.get(back, 1) - 1
                if left:
                    self._named[back] = left
                else:
                    self._named.pop(back, None)
            else:
                self._order_counts.pop(back, None)

    def _fallback(self, fill: Fill) -> tuple[str, int, int, int]:
        # In atoms, which no change of the grid touches: worth and quantity say the price too. The history's times end at milliseconds while
        # the stream's carry microseconds: compared floored.
        i, lots = self.instrument, fill.qty_lots
        return (fill.order_id, fill.price_ticks * lots * i.tick_lot_atoms, lots * i.lot_atoms, fill.venue_us // 1_000)
