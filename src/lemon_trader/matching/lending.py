"""The lending pools: coins that accounts lend and borrow, what the exchange does by itself with idle and missing ones, and interest.

A lent coin leaves the balance and becomes a claim, `Account.lent`; a debt is a negative claim. Balance and claim together change only by
interest, whose other side is the `interest` counter-account, so the books close. The outside world lends and borrows too (`Loan`), which
makes the rates.
"""

from collections import deque
from collections.abc import Mapping

import msgspec

from lemon_trader.core.units import PPM, US_PER_S
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.clearing import REPAY, Clearing
from lemon_trader.matching.effects import Effect, InterestPaid, LoanChange, LoanMoved
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.margin import margin, share, worth_atoms
from lemon_trader.matching.orders import Code, Reason, Refused
from lemon_trader.matching.rules import Loan, Rules

_YEAR_US = 365 * 86_400 * US_PER_S
_ROWS_MAX = 366 * 24
_STEEP = 9  # how much faster the rate rises above the optimal utilisation


class PoolThen(msgspec.Struct, frozen=True, gc=False):
    """A pool as it was when interest was paid: atoms lent and borrowed, yearly rates in ppm."""

    lent: int
    borrowed: int
    borrow_ppm: int
    lend_ppm: int
    at_us: int


class Lending:
    """All pools.

    Attributes:
        past: of each, a row for every time that interest was paid, oldest first; a year of hours is kept.
    """

    def __init__(
        self, rules: Rules, clearing: Clearing, listings: Mapping[str, Listing], settlement: str | None, effects: list[Effect]
    ) -> None:  # fmt: skip
        self.loans: Mapping[str, Loan] = rules.loans
        self._limit_atoms = rules.borrow_limit_atoms
        self._clearing = clearing
        self._listings = listings
        self._settlement = settlement
        self._effects = effects
        self._lent = {asset: loan.supply_atoms for asset, loan in self.loans.items()}
        self.past: dict[str, deque[PoolThen]] = {asset: deque(maxlen=_ROWS_MAX) for asset in self.loans}
        self._borrowed = {asset: loan.demand_atoms for asset, loan in self.loans.items()}

    # ---- what is asked ----

    def pool(self, asset: str) -> tuple[int, int]:
        """(lent, borrowed) of an asset, atoms, the outside world's part included."""
        return self._lent[asset], self._borrowed[asset]

    def utilisation_ppm(self, asset: str) -> int:
        """Borrowed over lent, parts per million."""
        lent = self._lent[asset]
        return self._borrowed[asset] * PPM // lent if lent > 0 else 0

    def rates_ppm(self, asset: str) -> tuple[int, int]:
        """(borrow, lend): yearly interest."""
        loan, used = self.loans[asset], self.utilisation_ppm(asset)
        rate = loan.rate_ppm * min(used, loan.optimal_ppm) // loan.optimal_ppm
        if used > loan.optimal_ppm:
            rate += loan.rate_ppm * _STEEP * (used - loan.optimal_ppm) // (PPM - loan.optimal_ppm)
        return rate, rate * used // PPM * (PPM - loan.fee_ppm) // PPM

    def borrowable_atoms(self, account: Account, asset: str) -> int:
        """The most that an account could borrow now: what the pool and its own margin allow."""
        loan = self.loans.get(asset)
        if loan is None or self._settlement is None:
            return 0
        room = self._lent[asset] * loan.bound_ppm // PPM - self._borrowed[asset]
        now = margin(account, self._listings, self._settlement)
        fraction = max(loan.imf_ppm, account.imf_floor_ppm)
        unit = worth_atoms(self._listings, self._settlement, asset, PPM)
        if not unit:
            return 0
        if self._limit_atoms:
            room = min(room, (self._limit_atoms - self._owed_atoms(account, asset, 0)) * PPM // unit)
        return max(0, min(room, (now.equity_atoms - now.initial_atoms) * PPM // fraction * PPM // unit))

    def borrow_lend(self, account: Account, asset: str, atoms: int, now: int) -> None:
        """Lend, or repay first (atoms > 0); redeem what is lent, then borrow (< 0). Raises Refused, and then nothing has changed."""
        if asset not in self.loans:
            raise Refused(Code.INVALID_ASSET, f"Asset {asset} is not in the borrow lend market")
        if atoms > 0:
            if atoms > account.available(asset):
                raise Refused(Code.INSUFFICIENT_FUNDS, "Insufficient funds", Reason.INSUFFICIENT_FUNDS)
            self.move(account, asset, atoms, now)
            return
        mine = max(0, account.lent.get(asset, 0))
        self._check_redeem(asset, min(mine, -atoms))
        self.check_borrow(account, asset, -atoms - mine)
        self.move(account, asset, atoms, now)

    def check_borrow(self, account: Account, asset: str, atoms: int) -> None:
        """Refuse a debt that the pool or the account's margin cannot carry. Raises Refused."""
        if atoms <= 0:
            return
        loan = self.loans.get(asset)
        if loan is None:
            raise Refused(Code.INVALID_ASSET, f"Asset {asset} is not in the borrow lend market")
        if self._borrowed[asset] + atoms > self._lent[asset] * loan.bound_ppm // PPM:
            raise Refused(Code.INSUFFICIENT_SUPPLY, "Insufficient supply", Reason.INSUFFICIENT_BORROWABLE_QUANTITY)
        if self._settlement is None:
            raise Refused(Code.BORROW_LIMIT, "Borrow limit exceeded", Reason.INSUFFICIENT_MARGIN)
        if self._limit_atoms and self._owed_atoms(account, asset, atoms) > self._limit_atoms:
            raise Refused(Code.BORROW_LIMIT, "Borrow limit exceeded", Reason.INSUFFICIENT_BORROWABLE_QUANTITY)
        now = margin(account, self._listings, self._settlement)
        more = share(worth_atoms(self._listings, self._settlement, asset, atoms), max(loan.imf_ppm, account.imf_floor_ppm), 0)
        if now.equity_atoms < now.initial_atoms + more:
            raise Refused(Code.INSUFFICIENT_MARGIN, "Insufficient margin", Reason.INSUFFICIENT_MARGIN)

    def _owed_atoms(self, account: Account, asset: str, more_atoms: int) -> int:
        """What an account's debts are worth with `more_atoms` of `asset` on top."""
        assert self._settlement is not None
        debts = {name: -atoms for name, atoms in account.lent.items() if atoms < 0}
        debts[asset] = debts.get(asset, 0) + more_atoms
        return sum(worth_atoms(self._listings, self._settlement, name, atoms) for name, atoms in debts.items())

    def _check_redeem(self, asset: str, atoms: int) -> None:
        if atoms > 0 and self._borrowed[asset] > self._lent[asset] - atoms:
            raise Refused(Code.INSUFFICIENT_SUPPLY, "Insufficient supply", Reason.INSUFFICIENT_BORROWABLE_QUANTITY)

    # ---- what happens ----

    def restore(self, account: Account, lent: Mapping[str, int]) -> None:
        """Give an account claims and debts that it holds from elsewhere."""
        for asset, atoms in lent.items():
            account.lent[asset] = atoms
            pool = self._lent if atoms > 0 else self._borrowed
            pool[asset] = pool.get(asset, 0) + abs(atoms)
            self._clearing.bring(asset, atoms)

    def move(self, account: Account, asset: str, atoms: int, now: int, *, by_itself: bool = False) -> None:
        """Move `atoms` from the balance into the claim (< 0: back), told as the parts that it consists of."""
        held = account.lent.get(asset, 0)
        closing = min(abs(held), abs(atoms)) if held * atoms < 0 else 0
        sign = 1 if atoms > 0 else -1
        for part, change in (
            (closing, LoanChange.REPAY if sign > 0 else LoanChange.REDEEM),
            (abs(atoms) - closing, LoanChange.LEND if sign > 0 else LoanChange.BORROW),
        ):
            if not part:
                continue
            if change is LoanChange.REPAY:
                self._borrowed[asset] -= part
            elif change is LoanChange.BORROW:
                self._borrowed[asset] += part
            else:
                self._lent[asset] += part if change is LoanChange.LEND else -part
            row = LoanMoved(account.name, change, asset, part, by_itself, now)
            account.loan_rows.append(row)
            self._effects.append(row)
        account.lent[asset] = held + atoms
        self._clearing.credit(account, asset, -atoms)

    def relieve(self, account: Account, now: int) -> None:
        """Fill what is missing in a balance: redeem what is lent, then, of the settlement asset and by the account's flag, borrow."""
        for asset in self.loans:
            missing = -account.available(asset)
            if missing <= 0:
                continue
            redeemed = min(missing, max(0, account.lent.get(asset, 0)))
            if redeemed:
                self.move(account, asset, -redeemed, now, by_itself=True)
                missing -= redeemed
            if missing and asset == self._settlement and account.auto_borrow_settlements:
                loan = self.loans[asset]
                room = self._lent[asset] * loan.bound_ppm // PPM - self._borrowed[asset]
                if missing <= room:
                    self.move(account, asset, -missing, now, by_itself=True)

    def sweep(self, now: int) -> None:
        """Do what accounts want done by itself with the balances that have just changed."""
        clearing = self._clearing
        wishes, clearing.loan_wishes = clearing.loan_wishes, {}
        for name, asset in tuple(clearing.stale):
            if asset not in self.loans:
                continue
            account = clearing.accounts[name]
            if account.available(asset) < 0:
                self.relieve(account, now)
            wish = wishes.get((name, asset), 0)
            free, lent = account.available(asset), account.lent.get(asset, 0)
            if free > 0 > lent and (account.auto_repay_borrows or wish & REPAY):
                self.move(account, asset, min(free, -lent), now, by_itself=True)
                free, lent = account.available(asset), account.lent.get(asset, 0)
            if free > 0 and lent >= 0 and (account.auto_lend or wish & ~REPAY):
                self.move(account, asset, free, now, by_itself=True)

    def accrue(self, interval_us: int, interval_end_us: int, now: int) -> None:
        """Pay interest for an interval; rounded down for lenders and up for borrowers."""
        rates = {asset: self.rates_ppm(asset) for asset in self.loans}
        for asset, (borrow_ppm, lend_ppm) in rates.items():
            self.past[asset].append(PoolThen(self._lent[asset], self._borrowed[asset], borrow_ppm, lend_ppm, interval_end_us))
        for account in self._clearing.accounts.values():
            for asset, lent in tuple(account.lent.items()):
                if not lent:
                    continue
                rate = rates[asset][1] if lent > 0 else rates[asset][0]
                amount = lent * rate * interval_us // (PPM * _YEAR_US)
                if not amount:
                    continue
                account.lent[asset] = lent + amount
                account.interest[asset] = account.interest.get(asset, 0) + amount
                if lent > 0:
                    self._lent[asset] += amount
                else:
                    self._borrowed[asset] -= amount
                self._clearing.take_interest(asset, -amount)
                row = InterestPaid(account.name, asset, rate, amount, interval_end_us, now)
                account.interest_rows.append(row)
                self._effects.append(row)
                self._clearing.unsettled[account.name] = None
