"""The exchange's own ledger of one account in one market, as plain decimals: what the checkers compare with."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import OrderState

ATOMS = Decimal(10**9)


class Truth:
    """Counts fills as they come, each in the grid of its own time.

    Attributes:
        position: signed base, fees in base taken off.
        cost: of it, quote units, >= 0.
        cash: spot: quote received less paid.
    """

    def __init__(self, exchange: Exchange, account: str, symbol: str) -> None:
        self._exchange, self._symbol = exchange, symbol
        self._account = exchange.accounts[account]
        self.position = self.cost = self.cash = Decimal(0)
        self._rows: list[tuple[int | None, tuple[object, ...]]] = []
        self._filled: dict[int, Decimal] = {}
        self._seen = 0
        self._shown: dict[int, tuple[tuple[int, int, int], dict[str, Any]]] = {}  # order id -> what its row was made from, the row

    def price(self, ticks: int) -> Decimal:
        """Ticks of now as a price."""
        i = self._exchange.instrument(self._symbol)
        return Decimal(ticks) * i.tick_lot_atoms / i.lot_atoms

    def quantity(self, lots: int) -> Decimal:
        """Lots of now as a quantity of base."""
        return Decimal(lots) * self._exchange.instrument(self._symbol).lot_atoms / ATOMS

    @property
    def average(self) -> Decimal:
        """Price at which what is held was bought or sold; 0 when nothing is."""
        return self.cost / abs(self.position) if self.position else Decimal(0)

    @property
    def flow(self) -> Decimal:
        """Quote received less paid, funding counted."""
        funding = sum(f.amount_atoms for f in self._account.funding if f.symbol == self._symbol)
        return self.cash + Decimal(funding) / ATOMS

    def catch_up(self) -> None:
        """Count what was filled since the last time."""
        fills = self._account.fills
        if len(fills) == self._seen:
            return
        i = self._exchange.instrument(self._symbol)
        for f in fills[self._seen :]:
            if f.symbol != self._symbol:
                continue
            size, worth, fee = self.quantity(f.lots), Decimal(f.quote_atoms) / ATOMS, Decimal(f.fee_atoms) / ATOMS
            self._move(f.side * size, worth)
            self.cash -= f.side * worth
            if f.fee_asset == i.quote:
                self.cash -= fee
            elif f.fee_asset == i.base and fee:
                self._move(-fee, fee * worth / size)
            row = (str(f.order_id), f.trade_id, f.side, self.price(f.ticks).normalize(), size.normalize(), f.fee_atoms, f.fee_asset)
            self._rows.append((f.client_id, row))
            if f.client_id is not None:
                self._filled[f.client_id] = self._filled.get(f.client_id, Decimal(0)) + size
        self._seen = len(fills)

    def rows(self, without: set[int]) -> list[tuple[object, ...]]:
        """Order id, trade id, side, price, quantity, fee, fee asset of each fill but those of these orders."""
        self.catch_up()
        return [row for _, row in self._rows if int(str(row[0])) not in without]

    def filled(self, keys: Mapping[int, object]) -> dict[object, Decimal]:
        """By key, what its orders were filled."""
        filled: dict[object, Decimal] = {}
        for client_id, quantity in self._filled.items():
            key = keys.get(client_id)
            if key is not None:
                filled[key] = filled.get(key, Decimal(0)) + quantity
        return filled

    def live(self) -> list[dict[str, Any]]:
        """Orders of the account in this market that are not over; rows of what has not changed are the same, and nobody may write to them."""
        tick_lot = self._exchange.instrument(self._symbol).tick_lot_atoms
        shown, self._shown = self._shown, {}
        for o in self._account.live.values():
            if o.symbol != self._symbol:
                continue
            made_from = (o.ticks, o.open_lots, tick_lot)
            known = shown.get(o.order_id)
            self._shown[o.order_id] = known if known is not None and known[0] == made_from else (made_from, self._row(o))
        return [row for _, row in self._shown.values()]

    def _row(self, o: OrderState) -> dict[str, Any]:
        return {
            "id": str(o.order_id), "client_id": o.client_id, "side": o.side, "price": self.price(o.ticks), "open": self.quantity(o.open_lots),
            "is_trigger": o.is_trigger, "reduce_only": o.reduce_only,
        }  # fmt: skip

    def _move(self, change: Decimal, worth: Decimal) -> None:
        held = self.position
        if not held or held * change > 0:
            self.cost += worth
        else:
            closing = min(abs(held), abs(change))
            self.cost -= self.cost * closing / abs(held)
            if abs(change) > closing:
                self.cost = worth * (abs(change) - closing) / abs(change)
        self.position += change
