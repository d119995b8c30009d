"""What happens to an account that cannot carry its positions and debts any more.

Margin call when equity falls below maintenance margin: all its orders expire, which may be enough. Then its positions are reduced on the
book, a chunk at a time and at any price, for the liquidation fee, until the account stands again. When equity has fallen below a share of
the maintenance margin, the rest is taken over off the book. Debts are paid with what is left, other coins are sold for it, and an account
that is flat and still owes is made whole by the insurance fund.
"""

from collections.abc import Mapping
from typing import Final

from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.clearing import Clearing
from lemon_trader.matching.desk import Desk
from lemon_trader.matching.effects import Change, Effect, LiquidationChanged
from lemon_trader.matching.lending import Lending
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.margin import Margin, margin, worth_atoms
from lemon_trader.matching.orders import Origin, Reason, Status
from lemon_trader.matching.rules import Rules
from lemon_trader.matching.takeover import TakeOver

_REST: Final = 100  # an account with less than this part of its debts has nothing left


class Liquidator:
    """The margin calls of an exchange whose perpetuals settle in one asset.

    Attributes:
        troubled: accounts under liquidation, and when the next chunk of each may go.
    """

    def __init__(
        self, rules: Rules, listings: Mapping[str, Listing], settlement: str, clearing: Clearing, desk: Desk, takeover: TakeOver,
        lending: Lending, effects: list[Effect],
    ) -> None:  # fmt: skip
        self.troubled: dict[str, int] = {}
        self._rules = rules
        self._listings = listings
        self._settlement = settlement
        self._clearing = clearing
        self._desk = desk
        self._takeover = takeover
        self._lending = lending
        self._effects = effects
        self._whole: dict[tuple[str, str], int] = {}  # (account, symbol) -> position when the call came

    @property
    def due_us(self) -> int:
        """When somebody's next chunk may go; 0 = nobody waits."""
        return min(self.troubled.values(), default=0)

    def check(self, account: Account, now: int) -> None:
        """Look at an account's margin and act on it."""
        if account.positions or account.owes:
            standing = self._standing(account)
            if standing.equity_atoms >= standing.maintenance_atoms:
                self._set(account, now, is_liquidating=False)
                return
            self._set(account, now, is_liquidating=True)
            self._expire_all(account, now)
            standing = self._standing(account)
            if standing.equity_atoms >= standing.maintenance_atoms:  # what its spot orders held was enough
                self._set(account, now, is_liquidating=False)
                return
            if account.positions:
                self._reduce(account, standing, now)
            else:
                self._pay_debts(account, now)
                self._set(account, now, is_liquidating=self._is_short(account))
            return
        if account.available(self._settlement) < 0:  # lost more than there was: its orders are not backed any more
            self._expire_all(account, now)
            self._lending.relieve(account, now)
            self._sell_collateral(account, now)
            if account.available(self._settlement) < 0:
                self._clearing.cover(account, self._settlement)
        self._set(account, now, is_liquidating=False)

    def _reduce(self, account: Account, standing: Margin, now: int) -> None:
        """Take the next chunk off, or hand over what the book cannot save any more."""
        rules = self._rules
        if rules.auto_close_ppm and standing.equity_atoms * PPM < standing.maintenance_atoms * rules.auto_close_ppm:
            self._takeover.take(account, now)
            return
        if now < self.troubled[account.name]:
            return
        self.troubled[account.name] = now + rules.liquidation_pause_us
        for symbol, position in tuple(account.positions.items()):
            listing = self._listings[symbol]
            whole = self._whole.setdefault((account.name, symbol), abs(position.lots))
            if listing.is_matching and len(listing.resting(BUY if position.lots > 0 else SELL)):
                chunk = max(listing.instrument.min_lots, -(-whole * rules.liquidation_chunk_ppm // PPM))
                self._desk.close_out(account, listing, min(abs(position.lots), -(-chunk // listing.lot_step) * listing.lot_step), now)

    # ---- debts ----

    def _pay_debts(self, account: Account, now: int) -> None:
        """Repay what can be repaid, and turn collateral into what cannot."""
        for asset, owed in tuple(account.lent.items()):
            if owed < 0:
                self._repay(account, asset, now)
        for asset, owed in tuple(account.lent.items()):
            if owed < 0 and asset != self._settlement:
                self._trade(account, asset, BUY, -owed, now)
                self._repay(account, asset, now)
        if account.lent.get(self._settlement, 0) < 0:
            self._sell_collateral(account, now)
            self._repay(account, self._settlement, now)
        worth, debt = 0, 0
        for asset in account.loans:
            lent = account.lent.get(asset, 0)
            worth += worth_atoms(self._listings, self._settlement, asset, max(0, account.available(asset)) + max(0, lent))
            debt -= worth_atoms(self._listings, self._settlement, asset, min(0, lent))
        if worth * _REST < debt:  # what is left is less than a lot of anything: waiting brings nothing more
            self._forgive(account, now)

    def _repay(self, account: Account, asset: str, now: int) -> None:
        atoms = min(max(0, account.available(asset)), -min(0, account.lent.get(asset, 0)))
        if atoms:
            self._lending.move(account, asset, atoms, now, by_itself=True)

    def _forgive(self, account: Account, now: int) -> None:
        """The insurance fund pays the debts of an account that has nothing left."""
        for asset, owed in tuple(account.lent.items()):
            if owed < 0:
                self._clearing.insure(account, asset, -owed)
                self._lending.move(account, asset, -owed, now, by_itself=True)

    def _sell_collateral(self, account: Account, now: int) -> None:
        """Sell other coins on their spot markets until the settlement asset covers what is owed."""
        for asset in account.loans:
            owed = -min(0, account.available(self._settlement)) - min(0, account.lent.get(self._settlement, 0))
            if not owed:
                return
            if asset == self._settlement:
                continue
            lent = max(0, account.lent.get(asset, 0))
            if lent:
                self._lending.move(account, asset, -lent, now, by_itself=True)
            held = account.available(asset)
            unit = worth_atoms(self._listings, self._settlement, asset, PPM)
            if held > 0 and unit:
                self._trade(account, asset, SELL, min(held, owed * PPM // unit * 21 // 20), now)  # a little more, for what trading costs

    def _trade(self, account: Account, asset: str, side: int, atoms: int, now: int) -> None:
        listing = self._listings.get(f"{asset}_{self._settlement}")
        if listing is None or not listing.is_matching or not len(listing.facing(side)):
            return
        lot = listing.instrument.lot_atoms * listing.lot_step
        lots = (-(-atoms // lot) if side == BUY else atoms // lot) * listing.lot_step
        if lots:
            self._desk.trade_for(account, listing, side, lots, Origin.COLLATERAL_CONVERSION, now)

    # ---- standing ----

    def _standing(self, account: Account) -> Margin:
        return margin(account, self._listings, self._settlement)

    def _is_short(self, account: Account) -> bool:
        standing = self._standing(account)
        return standing.equity_atoms < standing.maintenance_atoms

    def _expire_all(self, account: Account, now: int) -> None:
        for order in tuple(account.live.values()):
            self._desk.withdraw(order, self._listings[order.symbol], Status.EXPIRED, Change.EXPIRED, Reason.LIQUIDATION, now)

    def _set(self, account: Account, now: int, *, is_liquidating: bool) -> None:
        if account.is_liquidating == is_liquidating:
            return
        account.is_liquidating = is_liquidating
        if is_liquidating:
            self.troubled[account.name] = now
        else:
            del self.troubled[account.name]
            self._whole = {key: lots for key, lots in self._whole.items() if key[0] != account.name}
        self._effects.append(LiquidationChanged(account.name, is_liquidating, now))
