"""What happens to an account that cannot carry its positions any more.

Margin call when equity falls below maintenance margin: all its orders expire, which may be enough; then its positions are closed against
the book, whole and at any price, for the liquidation fee. What finds nobody to close against is tried again with the next act. An account
that is flat and still owes is made whole by the insurance fund.
"""

from collections.abc import Mapping

from lemon_trader.core.units import BUY, SELL
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.clearing import Clearing
from lemon_trader.matching.desk import Desk
from lemon_trader.matching.effects import Change, Effect, LiquidationChanged
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.margin import margin
from lemon_trader.matching.orders import Reason, Status


class Liquidator:
    """The margin calls of an exchange whose perpetuals settle in one asset.

    Attributes:
        troubled: accounts under liquidation.
    """

    def __init__(self, listings: Mapping[str, Listing], settlement: str, clearing: Clearing, desk: Desk, effects: list[Effect]) -> None:
        self.troubled: dict[str, None] = {}
        self._listings = listings
        self._settlement = settlement
        self._clearing = clearing
        self._desk = desk
        self._effects = effects

    def check(self, account: Account, now: int) -> None:
        """Look at an account's margin and act on it."""
        if not account.positions:
            if account.available(self._settlement) < 0:  # lost more than there was: its orders are not backed any more
                self._expire_all(account, now)
                self._clearing.cover(account, self._settlement)
            self._set(account, now, is_liquidating=False)
        elif self._stands(account):
            self._set(account, now, is_liquidating=False)
        else:
            self._set(account, now, is_liquidating=True)
            self._expire_all(account, now)
            if self._stands(account):  # what its spot orders held was enough
                self._set(account, now, is_liquidating=False)
            else:
                self._close_all(account, now)

    def _stands(self, account: Account) -> bool:
        standing = margin(account, self._listings, self._settlement)
        return standing.equity_atoms >= standing.maintenance_atoms

    def _close_all(self, account: Account, now: int) -> None:
        for symbol, position in tuple(account.positions.items()):
            listing = self._listings[symbol]
            if len(listing.resting(BUY if position.lots > 0 else SELL)):
                self._desk.close_out(account, listing, now)

    def _expire_all(self, account: Account, now: int) -> None:
        for order in tuple(account.live.values()):
            self._desk.withdraw(order, self._listings[order.symbol], Status.EXPIRED, Change.EXPIRED, Reason.LIQUIDATION, now)

    def _set(self, account: Account, now: int, *, is_liquidating: bool) -> None:
        if account.is_liquidating == is_liquidating:
            return
        account.is_liquidating = is_liquidating
        if is_liquidating:
            self.troubled[account.name] = None
        else:
            del self.troubled[account.name]
        self._effects.append(LiquidationChanged(account.name, is_liquidating, now))
