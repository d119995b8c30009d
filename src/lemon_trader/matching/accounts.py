"""An account: balances to the atom, locks, one-way positions, live orders, and its own exact ledger."""

from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

from lemon_trader.core.units import BUY
from lemon_trader.matching.effects import Converted, Funded, InterestPaid, LoanMoved, Position, Settled
from lemon_trader.matching.filters import refine_order, refine_position, refined_fill
from lemon_trader.matching.orders import Code, Fill, OrderState, Refused
from lemon_trader.matching.rules import Loan, Rules

_ROWS_MAX: Final = 10_000  # of a kind that comes by itself every few seconds


class Account:
    """One customer of the exchange. Read it; only the exchange writes it.

    Attributes:
        live: orders that may still be filled, fired or cancelled, by id, oldest first.
        fills, order_history, funding, closed_positions: ledger rows, oldest first; `order_history` holds ended orders.
        fees_ppm: spot maker, spot taker, perpetual maker, perpetual taker.
        imf_floor_ppm: initial margin fraction is at least this: 1 / the account's leverage limit; 0 = the market's own alone.
        lent: claims (> 0) and debts (< 0) in the lending pools, atoms by asset; `interest` is what came of them so far.
        loans: the assets that are collateral or lent.
        settlements, loan_rows, interest_rows, dust: further ledger rows, oldest first; what comes by itself all day is kept for a while.
        auto_lend, auto_borrow_settlements, auto_repay_borrows: what the exchange does by itself.
        is_liquidating: True from a margin call until the account stands again.
    """

    def __init__(self, name: str, balances: Mapping[str, int], rules: Rules) -> None:
        self.name = name
        self.live: dict[int, OrderState] = {}
        self.positions: dict[str, Position] = {}
        self.fills: list[Fill] = []
        self.order_history: list[OrderState] = []
        self.funding: list[Funded] = []
        self.closed_positions: list[Position] = []
        self.fees_ppm = (rules.spot_maker_ppm, rules.spot_taker_ppm, rules.perp_maker_ppm, rules.perp_taker_ppm)
        self.imf_floor_ppm = rules.imf_floor_ppm
        self.is_liquidating = False
        self.loans: Mapping[str, Loan] = rules.loans
        self.lent: dict[str, int] = {}
        self.interest: dict[str, int] = {}
        self.settlements: deque[Settled] = deque(maxlen=_ROWS_MAX)
        self.loan_rows: deque[LoanMoved] = deque(maxlen=_ROWS_MAX)
        self.interest_rows: deque[InterestPaid] = deque(maxlen=_ROWS_MAX)
        self.dust: list[Converted] = []
        self.auto_lend = rules.auto_lend
        self.auto_borrow_settlements = rules.auto_borrow_settlements
        self.auto_repay_borrows = rules.auto_repay_borrows
        self._totals: dict[str, int] = dict(balances)
        self._locks: dict[str, int] = {}
        self._exposed: dict[str, list[int]] = {}  # symbol -> lots of risk-taking open orders, [buys, sells]
        self._reducing: dict[str, dict[int, OrderState]] = {}  # symbol -> resting reduce-only orders
        self._client_ids: dict[int, int] = {}  # client id -> order id
        self._forgets_client_ids = rules.client_id_rule != "forever"
        self._shares_client_ids = rules.client_id_rule == "none"

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

    def position_lots(self, symbol: str) -> int:
        """The signed position, 0 when flat."""
        position = self.positions.get(symbol)
        return position.lots if position else 0

    def exposed_lots(self, symbol: str) -> tuple[int, int]:
        """Open lots of orders that may add to the position: (buys, sells)."""
        buys, sells = self._exposed.get(symbol, (0, 0))
        return buys, sells

    @property
    def owes(self) -> bool:
        """True with a debt in any pool."""
        return bool(self.lent) and any(atoms < 0 for atoms in self.lent.values())

    @property
    def perpetuals(self) -> set[str]:
        """Symbols in which margin is needed: a position, or an order that may open one."""
        return self.positions.keys() | {symbol for symbol, lots in self._exposed.items() if lots[0] or lots[1]}

    def find(self, symbol: str, order_id: int | None, client_id: int | None) -> OrderState:
        """The live order with exactly one of these ids. Raises Refused."""
        if (order_id is None) == (client_id is None):
            raise Refused(Code.INVALID_CLIENT_REQUEST, "Must specify exactly one of `orderId` and `clientId`")
        order = self.live.get(self._client_ids.get(client_id, 0) if client_id is not None else order_id or 0)
        if order is None or order.symbol != symbol:
            raise Refused(Code.RESOURCE_NOT_FOUND, "Not Found")
        return order

    def knows_client_id(self, client_id: int) -> bool:
        """True when the exchange's rule forbids this client id for a new order."""
        return client_id in self._client_ids and not self._shares_client_ids

    def forget_orders(self, before_us: int) -> None:
        """Drop rows of orders that ended before this moment: a life of weeks does not keep each of them."""
        self.order_history[:] = [order for order in self.order_history if order.updated_us >= before_us]

    # What follows is called by the exchange's clearing alone.

    def add(self, asset: str, change: int) -> None:
        """Change a balance by atoms."""
        self._totals[asset] = self._totals.get(asset, 0) + change

    def begin(self, order: OrderState) -> None:
        """An order becomes live."""
        self.live[order.order_id] = order
        if order.client_id is not None:
            self._client_ids[order.client_id] = order.order_id

    def end(self, order: OrderState) -> None:
        """An order is over."""
        del self.live[order.order_id]
        if order.client_id is not None and self._forgets_client_ids and self._client_ids.get(order.client_id) == order.order_id:
            del self._client_ids[order.client_id]
            if self._shares_client_ids:
                same = (other for other in self.live.values() if other.client_id == order.client_id)
                self._client_ids |= {other.client_id: other.order_id for other in same if other.client_id is not None}
        if order.reduce_only:
            self._reducing.get(order.symbol, {}).pop(order.order_id, None)
        self.order_history.append(order)

    def rests_reducing(self, order: OrderState) -> None:
        """A reduce-only order rests from now on."""
        self._reducing.setdefault(order.symbol, {})[order.order_id] = order

    def reducing(self, symbol: str) -> tuple[OrderState, ...]:
        """Resting reduce-only orders of a market, oldest first."""
        return tuple(self._reducing.get(symbol, {}).values())

    def refine(self, symbol: str, ticks_by: int, lots_by: int) -> None:
        """Express everything of one market in a finer grid."""
        for order in (*self.live.values(), *self.order_history):
            if order.symbol == symbol:
                refine_order(order, ticks_by, lots_by)
        for position in (*self.positions.values(), *self.closed_positions):
            if position.symbol == symbol:
                refine_position(position, lots_by)
        self.fills = [refined_fill(f, ticks_by, lots_by) if f.symbol == symbol else f for f in self.fills]
        self.funding = [
            msgspec.structs.replace(f, mark_ticks=f.mark_ticks * ticks_by, lots=f.lots * lots_by) if f.symbol == symbol else f
            for f in self.funding
        ]
        if symbol in self._exposed:
            self._exposed[symbol] = [lots * lots_by for lots in self._exposed[symbol]]

    def lock(self, order: OrderState, asset: str, atoms: int) -> bool:
        """Hold `atoms` for a spot order from now on; True when that is a change."""
        if atoms == order.locked_atoms:
            return False
        self._locks[asset] = self._locks.get(asset, 0) + atoms - order.locked_atoms
        order.locked_atoms = atoms
        return True

    def expose(self, order: OrderState, lots: int) -> None:
        """Count `lots` of a perpetual order as risk from now on."""
        both = self._exposed.setdefault(order.symbol, [0, 0])
        both[order.side != BUY] += lots - order.exposed_lots
        order.exposed_lots = lots
