"""Where value changes hands: balances, fees, positions, locks, and the counter-accounts that make the books close.

Nothing is created: what an account gains, another account, the outside world, the fee account, the funding pool or the insurance fund
loses, to the atom. On perpetuals a fill moves cash in the sense of `balance - entry cost`: that changes by price x quantity whether a
position grows or shrinks, so its sum over everybody stays as constant as a spot balance's.

Rounding: fees are ppm of atoms, rounded up against the payer, of perpetuals to whole steps; a reduction takes floor(cost x q / Q) out of
a position's cost and the rest stays with what remains; funding is rounded down against whoever pays or receives it.
"""

from collections.abc import Mapping
from copy import copy
from typing import Final

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import BUY, PPM
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.effects import (
    BalanceChanged,
    Change,
    Converted,
    Effect,
    Funded,
    OrderChanged,
    Position,
    PositionChange,
    PositionChanged,
    Settled,
)
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.orders import FILLED, LIMIT, PARTIALLY_FILLED, USER, Fill, OrderState, Origin, Reason, Status
from lemon_trader.matching.rules import Rules

_PPB: Final = 1_000_000_000
_FILL: Final = Change.FILLED
REPAY: Final = 1  # bits of OrderState.auto
LEND: Final = 2


class Clearing:
    """Accounts and counter-accounts of an exchange, and every way in which they change.

    Attributes:
        outside, fees, funding, insurance, interest: counter-accounts, atoms by asset; all but `fees` may be negative.
        deposits: what was ever brought in, atoms by asset.
        loan_wishes: (account, asset) of proceeds that shall repay or be lent, with the bits that say so.
        stale: balances (account, asset) that changed and were not published yet.
        bracketed: orders that bring triggers along and have filled since somebody looked.
        unsettled: accounts whose margin must be looked at before the present act is over.
    """

    def __init__(self, rules: Rules, effects: list[Effect], listings: Mapping[str, Listing]) -> None:
        self.accounts: dict[str, Account] = {}
        self.outside: dict[str, int] = {}
        self.fees: dict[str, int] = {}
        self.funding: dict[str, int] = {}
        self.insurance: dict[str, int] = {}
        self.interest: dict[str, int] = {}
        self.loan_wishes: dict[tuple[str, str], int] = {}
        self.settled = 0  # settlements so far
        self.unsettled: dict[str, None] = {}
        self.bracketed: dict[int, OrderState] = {}
        self.deposits: dict[str, int] = {}
        self._rules = rules
        self._effects = effects
        self._listings = listings
        self.next_position_id = rules.first_position_id
        self.stale: dict[tuple[str, str], None] = {}

    def open_account(self, name: str, balances: Mapping[str, int]) -> Account:
        """A new account. Raises ValueError."""
        if name in self.accounts:
            raise ValueError(f"account {name!r} is open already; choose another name")
        below = [asset for asset, atoms in balances.items() if atoms < 0]
        if below:
            raise ValueError(f"account {name!r} would start with a negative balance of {below[0]}; give 0 or more")
        account = self.accounts[name] = Account(name, balances, self._rules)
        for asset, atoms in balances.items():
            _move(self.deposits, asset, atoms)
        return account

    def deposit(self, account: Account, asset: str, atoms: int) -> None:
        """Bring `atoms` in from nowhere in the exchange (< 0: take out)."""
        self.credit(account, asset, atoms)
        _move(self.deposits, asset, atoms)

    def bring(self, asset: str, atoms: int) -> None:
        """`atoms` that are counted somewhere else than in a balance came from nowhere in the exchange."""
        _move(self.deposits, asset, atoms)

    def restore_position(self, account: Account, listing: Listing, position: Position) -> None:
        """Give an account a position that it holds from elsewhere; the outside world holds the other side of it."""
        symbol, quote = listing.instrument.symbol, listing.instrument.quote
        account.positions[symbol] = position
        listing.holders[account.name] = account
        listing.outside_lots -= position.lots
        _move(self.deposits, quote, -position.cost_atoms - position.settled_atoms)
        self.next_position_id = max(self.next_position_id, position.position_id + 1)

    def changed(self, order: OrderState, kind: Change, at_us: int, fill: Fill | None = None) -> None:
        """Say that an order changed."""
        self._effects.append(OrderChanged(order.account, kind, order.copied(), at_us, fill))

    def hold(self, order: OrderState, instrument: Instrument, market_atoms: int = 0) -> None:
        """Lock (spot) or expose (perpetual) what the open rest of an order needs; `market_atoms` = quote of a waiting market BUY."""
        account = self.accounts[order.account]
        lots = order.open_lots
        if instrument.is_perp:
            if not order.reduce_only:
                account.expose(order, lots)
            return
        if order.side == BUY:
            asset = instrument.quote
            atoms = instrument.notional_atoms(order.ticks, lots) if order.order_type is LIMIT else market_atoms
        else:
            asset, atoms = instrument.base, lots * instrument.lot_atoms
        if account.lock(order, asset, atoms):
            self.stale[account.name, asset] = None

    def release(self, order: OrderState, instrument: Instrument) -> None:
        """Hold nothing for an order any more."""
        account = self.accounts[order.account]
        if order.exposed_lots:
            account.expose(order, 0)
        asset = instrument.quote if order.side == BUY else instrument.base
        if account.lock(order, asset, 0):
            self.stale[account.name, asset] = None

    def end(self, order: OrderState, status: Status, kind: Change, at_us: int, reason: Reason | None = None) -> None:
        """Take a live order, which rests in no book any more, to its end."""
        order.status, order.reason, order.updated_us = status, reason, at_us
        self.release(order, self._listings[order.symbol].instrument)
        self.accounts[order.account].end(order)
        self.changed(order, kind, at_us)
        if order.attached is not None:
            self.bracketed[order.order_id] = order

    def fill(
        self, order: OrderState, listing: Listing, ticks: int, lots: int, quote: int, trade_id: int, at_us: int, *, is_maker: bool
    ) -> None:
        """Settle one side of a trade for an account: order, lock, balances, fee, position, ledger rows, effects.

        `quote`: atoms of `lots` at `ticks`.
        """
        instrument = listing.instrument
        account = self.accounts[order.account]
        order.executed_lots += lots
        order.executed_quote_atoms += quote
        order.updated_us = at_us
        is_whole = order.executed_lots == order.lots
        order.status = FILLED if is_whole else PARTIALLY_FILLED
        rate = self._fee_ppm(account, instrument, order, is_maker=is_maker)
        realised = 0
        moves: list[PositionChanged] | None = None
        if instrument.is_perp:
            asset, fee, moves = instrument.quote, _charge(quote, rate, self._rules.perp_fee_step_atoms), []
            realised, cash = self._move_position(account, listing, order, ticks, lots, fee, at_us, moves)
            self.credit(account, asset, cash - fee)
        elif order.side == BUY:
            base = lots * instrument.lot_atoms
            asset, fee = instrument.base, _charge(base, rate)
            self.credit(account, asset, base - fee)
            self.credit(account, instrument.quote, -quote)
        else:
            asset, fee = instrument.quote, _charge(quote, rate)
            self.credit(account, instrument.base, -lots * instrument.lot_atoms)
            self.credit(account, asset, quote - fee)
        _move(self.fees, asset, fee)
        if order.auto:
            self.loan_wishes[account.name, asset] = order.auto
        if order.order_type is LIMIT:
            self.hold(order, instrument)
        row = Fill(
            account=account.name, symbol=order.symbol, order_id=order.order_id, client_id=order.client_id, trade_id=trade_id,
            side=order.side, ticks=ticks, lots=lots, quote_atoms=quote, fee_atoms=fee, fee_asset=asset, realised_atoms=realised,
            is_maker=is_maker, origin=order.origin, at_us=at_us,
        )  # fmt: skip
        account.fills.append(row)
        if order.attached is not None:
            self.bracketed[order.order_id] = order
        self.changed(order, _FILL, at_us, row)
        if moves is not None:
            self._effects.extend(moves)
        if is_whole:
            account.end(order)

    def fill_outside(self, listing: Listing, side: int, lots: int, quote: int) -> None:
        """Settle one side of a trade for the outside world, which pays no fee. `quote`: what the lots cost, atoms."""
        instrument = listing.instrument
        _move(self.outside, instrument.quote, -side * quote)
        if instrument.is_perp:
            listing.outside_lots += side * lots
        else:
            _move(self.outside, instrument.base, side * lots * instrument.lot_atoms)

    def fund(self, account: Account, listing: Listing, interval_end_us: int, at_us: int) -> None:
        """Pay or charge a position its funding: rate x quantity x mark, positive rates are paid by longs."""
        position = account.positions[listing.instrument.symbol]
        notional = listing.instrument.notional_atoms(listing.mark_ticks, position.lots)
        amount = -listing.funding_ppb * notional // _PPB
        position.funding_atoms += amount
        self.credit(account, listing.instrument.quote, amount)
        _move(self.funding, listing.instrument.quote, -amount)
        row = Funded(
            account.name, position.symbol, listing.funding_ppb, listing.mark_ticks, position.lots, amount, interval_end_us, at_us
        )  # fmt: skip
        account.funding.append(row)
        self._effects.append(row)
        self.unsettled[account.name] = None

    def settle(self, account: Account, listing: Listing, at_us: int) -> None:
        """Move an open position's profit since the last time into the balance."""
        instrument = listing.instrument
        position = account.positions[instrument.symbol]
        amount = instrument.notional_atoms(listing.margin_ticks, position.lots) - position.cost_atoms - position.settled_atoms
        if not amount:
            return
        position.settled_atoms += amount
        self.credit(account, instrument.quote, amount)
        self.settled += 1
        row = Settled(account.name, instrument.symbol, position.position_id, amount, self.settled, at_us)
        account.settlements.append(row)
        self._effects.append(row)
        self.unsettled[account.name] = None

    def take_interest(self, asset: str, atoms: int) -> None:
        """The other side of interest that was added to claims (atoms < 0) and debts."""
        _move(self.interest, asset, atoms)

    def convert(self, account: Account, listing: Listing, atoms: int, at_us: int) -> None:
        """Let the outside world take a rest of a market's base for quote at the market's price, rounded down."""
        instrument = listing.instrument
        quote = atoms * instrument.notional_atoms(listing.margin_ticks, 1) // instrument.lot_atoms
        self.credit(account, instrument.base, -atoms)
        self.credit(account, instrument.quote, quote)
        _move(self.outside, instrument.base, atoms)
        _move(self.outside, instrument.quote, -quote)
        row = Converted(account.name, instrument.base, atoms, instrument.quote, quote, at_us)
        account.dust.append(row)
        self._effects.append(row)

    def insure(self, account: Account, asset: str, atoms: int) -> None:
        """The insurance fund gives an account `atoms` of an asset."""
        self.credit(account, asset, atoms)
        _move(self.insurance, asset, -atoms)

    def cover(self, account: Account, asset: str) -> None:
        """The insurance fund pays what a liquidated account without positions still owes."""
        owed = -account.total(asset)
        if owed > 0:
            self.insure(account, asset, owed)

    def publish(self, at_us: int) -> None:
        """Say which balances have changed since the last publication."""
        if not self.stale:
            return
        for name, asset in self.stale:
            account = self.accounts[name]
            self._effects.append(BalanceChanged(name, asset, account.available(asset), account.locked(asset), at_us))
        self.stale.clear()

    def check_closed(self) -> None:
        """Assert that everything is where it came from: assets to the atom, perpetual positions to the lot."""
        found: dict[str, int] = {}
        lots = {symbol: listing.outside_lots for symbol, listing in self._listings.items()}
        for account in self.accounts.values():
            for asset in account.assets:
                _move(found, asset, account.total(asset))
            for asset, atoms in account.lent.items():
                _move(found, asset, atoms)
            for symbol, position in account.positions.items():
                _move(found, self._listings[symbol].instrument.quote, -position.cost_atoms - position.settled_atoms)
                lots[symbol] += position.lots
        for pool in (self.outside, self.fees, self.funding, self.insurance, self.interest):
            for asset, atoms in pool.items():
                _move(found, asset, atoms)
        for asset in found.keys() | self.deposits.keys():
            there, given = found.get(asset, 0), self.deposits.get(asset, 0)
            assert there == given, f"the books do not close: {there} atoms of {asset} where {given} were deposited"
        for symbol, rest in lots.items():
            assert rest == 0, f"the books do not close: positions of {symbol} sum to {rest} lots instead of 0"

    def credit(self, account: Account, asset: str, atoms: int) -> None:
        """Change a balance; the other side of it is the caller's to book."""
        account.add(asset, atoms)
        self.stale[account.name, asset] = None

    def _fee_ppm(self, account: Account, instrument: Instrument, order: OrderState, *, is_maker: bool) -> int:
        if order.origin is not USER:
            return 0 if order.origin is Origin.ADL_AUTOCLOSE else self._rules.liquidation_fee_ppm
        return account.fees_ppm[2 * instrument.is_perp + (not is_maker)]

    def _move_position(
        self, account: Account, listing: Listing, order: OrderState, ticks: int, lots: int, fee: int, at_us: int,
        moves: list[PositionChanged],
    ) -> tuple[int, int]:  # fmt: skip
        """Book a fill into the one-way position; a fill through zero closes one position and opens another.

        Returns:
            The realised profit, and the part of it that had not been settled into the balance before.
        """
        symbol, side = order.symbol, order.side
        instrument = listing.instrument
        self.unsettled[account.name] = None
        position = account.positions.get(symbol)
        realised, cash, rest, rest_fee = 0, 0, lots, fee
        if position is not None and position.lots * side < 0:
            held = abs(position.lots)
            closed = min(lots, held)
            direction = -side
            part = abs(position.cost_atoms) * closed // held
            exit_atoms = instrument.notional_atoms(ticks, closed)
            settled = position.settled_atoms * closed // held
            realised = direction * (exit_atoms - part)
            cash = realised - settled
            rest, rest_fee = lots - closed, fee - fee * closed // lots
            position.lots += side * closed
            position.cost_atoms -= direction * part
            position.settled_atoms -= settled
            position.realised_atoms += realised
            position.closed_quote_atoms += exit_atoms
            position.closed_lots += closed
            _charge_position(position, order, fee - rest_fee if rest else fee, at_us)
            kind = PositionChange.ADJUSTED
            if not position.lots:
                kind = PositionChange.CLOSED
                position.closed_us = at_us
                del account.positions[symbol]
                del listing.holders[account.name]
                account.closed_positions.append(position)
            moves.append(PositionChanged(account.name, kind, copy(position), at_us))
            if not rest:
                return realised, cash
            position = None
        kind = PositionChange.ADJUSTED
        if position is None:
            kind = PositionChange.OPENED
            position = Position(
                position_id=self.next_position_id, symbol=symbol, lots=0, cost_atoms=0, opened_us=at_us, updated_us=at_us
            )  # fmt: skip
            self.next_position_id += 1
            account.positions[symbol] = position
            listing.holders[account.name] = account
        position.lots += side * rest
        position.cost_atoms += side * instrument.notional_atoms(ticks, rest)
        _charge_position(position, order, rest_fee, at_us)
        moves.append(PositionChanged(account.name, kind, copy(position), at_us))
        return realised, cash


def _charge(atoms: int, rate_ppm: int, step_atoms: int = 1) -> int:
    """The fee on `atoms`, rounded up to a multiple of the step: a fee is never too small, a rebate never too large."""
    return -(-atoms * rate_ppm // (PPM * step_atoms)) * step_atoms


def _charge_position(position: Position, order: OrderState, fee: int, at_us: int) -> None:
    position.fee_atoms += fee
    position.updated_us = at_us
    if order.origin is not USER:
        position.liquidation_fee_atoms += fee


def _move(pool: dict[str, int], asset: str, atoms: int) -> None:
    pool[asset] = pool.get(asset, 0) + atoms
