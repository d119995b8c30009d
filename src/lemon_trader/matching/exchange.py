"""The whole exchange behind one door: places, cancels, the outside world and the passing of time come in, effects go out.

No clock: every call takes `now_us`, engine time in microseconds UTC. Time never runs backwards here: an earlier `now_us` counts as the latest seen.
Every mutating call first lets everything happen that was due by then (`advance`), then acts, then fires what the act has triggered.
"""

from collections.abc import Mapping, Sequence

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.effects import Effect
from lemon_trader.matching.orders import NewOrder, OrderState, Rules


class Depth(msgspec.Struct, frozen=True, gc=False):
    """A snapshot of a book: (ticks, lots) per level, best first on both sides; `update_id` is that of the last BookChanged."""

    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    update_id: int
    at_us: int


class Margin(msgspec.Struct, frozen=True, gc=False):
    """An account's standing on perpetuals, quote atoms.

    Attributes:
        equity_atoms: quote balance without what spot orders lock, plus unrealised profit.
        initial_atoms / maintenance_atoms: required for positions and risk-increasing orders / for positions.
        notional_atoms: unsigned, positions and risk-increasing orders at mark.
    """

    equity_atoms: int
    unrealised_atoms: int
    initial_atoms: int
    maintenance_atoms: int
    notional_atoms: int


class Exchange:
    """An exchange as pure state. Its effects wait in `effects` until `take_effects` drains them."""

    def __init__(self, instruments: Sequence[Instrument], rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.accounts: dict[str, Account] = {}
        self.effects: list[Effect] = []
        self.now_us = 0

    # The caller's side.

    def take_effects(self) -> list[Effect]:
        """All effects since the last call, in engine order; the exchange keeps none of them."""
        raise NotImplementedError

    @property
    def next_due_us(self) -> int | None:
        """When `advance` has something to do at the earliest: funding, or a taker that waits out its delay. None before the first call."""
        raise NotImplementedError

    def instrument(self, symbol: str) -> Instrument:
        """The market's grid and bounds, with its present book_state. Raises Refused INVALID_MARKET."""
        raise NotImplementedError

    def open_account(self, name: str, balances: Mapping[str, int]) -> Account:
        """A new account with these balances, atoms by asset. Raises ValueError when the name is taken or a balance is negative."""
        raise NotImplementedError

    def place(self, account: str, new: NewOrder, now_us: int) -> OrderState:
        """Place an order and give back what became of it, immediate fills included. Raises Refused, and then nothing has changed."""
        raise NotImplementedError

    def cancel(self, account: str, symbol: str, now_us: int, *, order_id: int | None = None, client_id: int | None = None) -> OrderState:
        """Cancel one live order, by exactly one of the ids. Raises Refused RESOURCE_NOT_FOUND, or INVALID_CLIENT_REQUEST for none or both."""
        raise NotImplementedError

    def cancel_all(self, account: str, symbol: str, now_us: int, *, is_trigger: bool | None = None) -> list[OrderState]:
        """Cancel the account's live orders in a market: all, only pending triggers (True) or only the others (False)."""
        raise NotImplementedError

    def open_order(self, account: str, symbol: str, *, order_id: int | None = None, client_id: int | None = None) -> OrderState:
        """One live order. Raises Refused RESOURCE_NOT_FOUND when it has ended or never was."""
        raise NotImplementedError

    def open_orders(self, account: str, symbol: str | None = None) -> list[OrderState]:
        """All live orders of an account, oldest first, pending triggers and waiting takers included."""
        raise NotImplementedError

    def due_us(self, order_id: int) -> int | None:
        """When an order that waits out the taker delay reaches the book; None when it does not wait."""
        raise NotImplementedError

    def depth(self, symbol: str, limit: int | None = None) -> Depth:
        """The book, at most `limit` levels a side. Raises Refused INVALID_MARKET."""
        raise NotImplementedError

    def touch(self, symbol: str) -> tuple[int, int, int, int]:
        """(bid_ticks, bid_lots, ask_ticks, ask_lots), 0 where a side is empty."""
        raise NotImplementedError

    def last_ticks(self, symbol: str) -> int:
        """The price of the last trade; 0 before the first."""
        raise NotImplementedError

    def reference(self, symbol: str) -> tuple[int, int, int]:
        """(mark_ticks, index_ticks, funding_ppb), 0 where never stated."""
        raise NotImplementedError

    def next_funding_us(self, now_us: int) -> int:
        """The end of the funding interval that contains `now_us`."""
        raise NotImplementedError

    def open_interest_lots(self, symbol: str) -> int:
        """Σ of all long positions of accounts."""
        raise NotImplementedError

    def margin(self, account: str) -> Margin:
        """The account's equity and margin at the present marks."""
        raise NotImplementedError

    def max_order_lots(self, account: str, symbol: str, side: int, ticks: int = 0, *, reduce_only: bool = False) -> int:
        """The largest quantity the account could place now; `ticks` 0 = at the touch."""
        raise NotImplementedError

    def check_closed(self) -> None:
        """Assert that the books close: nothing of any asset or position has appeared or vanished, to the atom and lot."""
        raise NotImplementedError

    # The outside world: everything that is not an account.

    def set_outside(self, symbol: str, side: int, ticks: int, lots: int, now_us: int) -> None:
        """State the anonymous quantity of a level, absolute; BUY = bid level, SELL = ask level, 0 lots = none.

        An increase queues behind what is there; a decrease takes from the queue's back. Account orders keep their place. A level that reaches
        account orders on the other side trades with them first, as taker up to `ticks`; only the rest rests. Outside levels on the other side
        that it crosses are older and wrong by now: they go.
        """
        raise NotImplementedError

    def outside_take(self, symbol: str, side: int, lots: int, limit_ticks: int, now_us: int) -> int:
        """Anonymous taker flow: BUY lifts asks. Trades in price-time order up to `limit_ticks` (0 = none); gives the lots executed, the rest vanishes."""
        raise NotImplementedError

    def set_reference(self, symbol: str, mark_ticks: int, index_ticks: int, funding_ppb: int, now_us: int) -> None:
        """State mark and index (0 = unknown) and the running interval's funding rate; triggers fire and margins are checked by it at once."""
        raise NotImplementedError

    def set_book_state(self, symbol: str, book_state: str, now_us: int) -> None:
        """Open, Closed, CancelOnly, LimitOnly or PostOnly; resting orders stay. Raises ValueError for another word."""
        raise NotImplementedError

    def restate(self, symbol: str, now_us: int) -> None:
        """Publish the touch's levels again, unchanged, under a new update id: a heartbeat for readers that count deltas."""
        raise NotImplementedError

    def advance(self, now_us: int) -> None:
        """Let time pass: takers whose delay is over, funding that fell due, in time order, with the triggers and liquidations they cause."""
        raise NotImplementedError
