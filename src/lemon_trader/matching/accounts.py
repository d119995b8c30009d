"""An account: balances to the atom, locks, one-way positions, and its own exact ledger."""

from collections.abc import Mapping

from lemon_trader.matching.effects import Funded, Position
from lemon_trader.matching.orders import Fill, OrderState


class Account:
    """One customer of the exchange. Read it; only the exchange writes it.

    Attributes:
        fills, order_history, funding, closed_positions: ledger rows, oldest first; `order_history` holds ended orders.
        is_liquidating: True from a margin call until the account stands again.
    """

    def __init__(self, name: str, balances: Mapping[str, int]) -> None:
        self.name = name
        self._totals: dict[str, int] = dict(balances)
        self._locks: dict[str, int] = {}
        self.positions: dict[str, Position] = {}
        self.fills: list[Fill] = []
        self.order_history: list[OrderState] = []
        self.funding: list[Funded] = []
        self.closed_positions: list[Position] = []
        self.is_liquidating = False

    @property
    def assets(self) -> tuple[str, ...]:
        """Every asset that was ever held, in order of first sight."""
        return tuple(self._totals)

    def total(self, asset: str) -> int:
        """The balance in atoms; below 0 only when a perpetual's loss was larger than it."""
        return self._totals.get(asset, 0)

    def locked(self, asset: str) -> int:
        """What open spot orders hold back, atoms."""
        return self._locks.get(asset, 0)

    def available(self, asset: str) -> int:
        """Total less locked, atoms. Margin of perpetuals is not deducted: see `Exchange.margin`."""
        return self._totals.get(asset, 0) - self._locks.get(asset, 0)

    def position(self, symbol: str) -> Position | None:
        """The open position, or None when flat."""
        return self.positions.get(symbol)
