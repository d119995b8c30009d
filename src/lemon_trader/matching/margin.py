"""What an account is worth on perpetuals and what it needs: cross margin, one settlement asset, everything at mark.

Equity = settlement balance - what spot orders lock of it + unrealised profit + other assets at their collateral weight, lent coins counted
and borrowed ones deducted. Initial margin is asked for positions and the orders that would enlarge them, and for debts; maintenance margin
for positions and debts alone. A position's margin fraction is max(base, factor x sqrt(notional)), its initial one at least 1 / leverage.
"""

from collections.abc import Mapping
from math import isqrt

import msgspec

from lemon_trader.core.units import ATOMS_PER_UNIT, BUY, PPM
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.rules import Loan

_PPB_OF_PPM = 1_000


class Margin(msgspec.Struct, frozen=True, gc=False):
    """An account's standing on perpetuals, atoms of the settlement asset.

    Attributes:
        equity_atoms: see the module; may be negative.
        unrealised_atoms: profit of open positions that has not been settled into the balance.
        initial_atoms / maintenance_atoms: required, rounded up per market.
        notional_atoms: unsigned, positions and risk-increasing orders at mark.
    """

    equity_atoms: int
    unrealised_atoms: int
    initial_atoms: int
    maintenance_atoms: int
    notional_atoms: int


def margin(account: Account, listings: Mapping[str, Listing], asset: str) -> Margin:
    """The account's standing at the present marks; `asset` is what perpetuals settle in."""
    unrealised = initial = maintenance = notional = 0
    for symbol in account.perpetuals:
        listing = listings[symbol]
        instrument, terms = listing.instrument, listing.terms
        ticks = listing.margin_ticks
        position = account.positions.get(symbol)
        lots = 0
        if position is not None:
            lots = position.lots
            unrealised += instrument.notional_atoms(ticks, lots) - position.cost_atoms - position.settled_atoms
            maintenance += share(instrument.notional_atoms(ticks, abs(lots)), instrument.mmf_ppm, terms.mmf_factor_ppb)
        exposure = instrument.notional_atoms(ticks, exposure_lots(lots, *account.exposed_lots(symbol)))
        notional += exposure
        initial += share(exposure, max(instrument.imf_ppm, account.imf_floor_ppm), terms.imf_factor_ppb)
    equity = account.available(asset) + unrealised
    if account.loans:
        worth, initial_debt, maintenance_debt = _collateral(account, listings, asset)
        equity, initial, maintenance = equity + worth, initial + initial_debt, maintenance + maintenance_debt
    return Margin(equity, unrealised, initial, maintenance, notional)


def exposure_lots(lots: int, buys: int, sells: int) -> int:
    """The largest position, unsigned, that a position and its open orders can become without the other side's orders filling."""
    return max(abs(lots), lots + buys, sells - lots)


def missing_atoms(
    account: Account,
    listings: Mapping[str, Listing],
    asset: str,
    listing: Listing,
    side: int,
    lots: int,
    price_ticks: int,
    quote_atoms: int,
) -> int:
    """How much equity is missing for one more order; 0 or less when it may be placed. One that enlarges no exposure always may.

    Args:
        account: whose order it is.
        listings: all markets.
        asset: what perpetuals settle in.
        listing: the order's market.
        side: BUY or SELL.
        lots: the order's quantity.
        price_ticks: what to value the market at while nothing else is known.
        quote_atoms: what the order would pay (BUY) or get (SELL): what that is worse than the mark is lost at once and counts.
    """
    instrument = listing.instrument
    held = account.position_lots(instrument.symbol)
    buys, sells = account.exposed_lots(instrument.symbol)
    before = exposure_lots(held, buys, sells)
    after = exposure_lots(held, buys + lots, sells) if side == BUY else exposure_lots(held, buys, sells + lots)
    if after <= before:
        return 0
    ticks = listing.margin_ticks or price_ticks
    now = margin(account, listings, asset)
    base, factor = max(instrument.imf_ppm, account.imf_floor_ppm), listing.terms.imf_factor_ppb
    more = share(instrument.notional_atoms(ticks, after), base, factor) - share(
        instrument.notional_atoms(listing.margin_ticks, before), base, factor
    )
    adverse = max(0, side * (quote_atoms - instrument.notional_atoms(ticks, lots)))
    return now.initial_atoms + more + adverse - now.equity_atoms


def spendable_atoms(
    account: Account, listings: Mapping[str, Listing], settlement: str | None, asset: str, *, redeems: bool = False
) -> int:  # fmt: skip
    """What a new spot order may lock of an asset: what is available, and of the settlement asset no more than margin leaves free.

    With `redeems` also what the account has lent of it.
    """
    available = account.available(asset)
    if redeems:
        available += max(0, account.lent.get(asset, 0))
    if asset != settlement or not (account.perpetuals or account.owes):
        return max(0, available)
    now = margin(account, listings, asset)
    return max(0, min(available, now.equity_atoms - now.initial_atoms))


def share(atoms: int, base_ppm: int, factor_ppb: int) -> int:
    """max(base, factor x sqrt(notional)) of a notional, rounded up."""
    if not factor_ppb:
        return -(-atoms * base_ppm // PPM)
    return -(-atoms * fraction_ppb(atoms, base_ppm, factor_ppb) // ATOMS_PER_UNIT)


def fraction_ppb(atoms: int, base_ppm: int, factor_ppb: int) -> int:
    """The margin fraction of a notional, parts per 10⁹."""
    squared = factor_ppb * factor_ppb * atoms // ATOMS_PER_UNIT
    root = isqrt(squared)
    return max(base_ppm * _PPB_OF_PPM, root + (root * root < squared))


def weight_ppm(loan: Loan, atoms: int) -> int:
    """What a unit of `atoms` (0 or more) of an asset counts as collateral, parts per million of its price.

    Where the asset has a curve it falls with the root of the quantity. The reference (§2.3) knows the curve's two numbers and not its
    formula; this is the usual one of exchanges whose haircut is of that name.
    """
    if not loan.curve_base_ppm:
        return loan.weight_ppm
    root_ppb = isqrt(max(0, atoms) * ATOMS_PER_UNIT)  # of the quantity in whole units, parts per 10⁹
    bent = loan.curve_base_ppm * ATOMS_PER_UNIT // (ATOMS_PER_UNIT + loan.curve_ppb * root_ppb // ATOMS_PER_UNIT)
    return min(loan.weight_ppm, bent)


def worth_atoms(listings: Mapping[str, Listing], settlement: str, asset: str, atoms: int) -> int:
    """An amount of any asset in the settlement asset, by its perpetual's index, else its spot market's price; 0 where there is none."""
    if asset == settlement:
        return atoms
    perp, spot = listings.get(f"{asset}_{settlement}_PERP"), listings.get(f"{asset}_{settlement}")
    if perp is not None and perp.index_ticks:
        return atoms * perp.instrument.notional_atoms(perp.index_ticks, 1) // perp.instrument.lot_atoms
    if spot is not None:
        return atoms * spot.instrument.notional_atoms(spot.margin_ticks, 1) // spot.instrument.lot_atoms
    return 0


def _collateral(account: Account, listings: Mapping[str, Listing], settlement: str) -> tuple[int, int, int]:
    """(what lent, borrowed and other assets add to equity, initial margin of debts, their maintenance margin)."""
    equity = initial = maintenance = 0
    for asset, loan in account.loans.items():
        lent = account.lent.get(asset, 0)
        if asset == settlement:
            equity += lent
        else:
            net = account.total(asset) + lent
            if net:
                worth = worth_atoms(listings, settlement, asset, net)
                equity += worth * weight_ppm(loan, net) // PPM if worth > 0 else worth
        if lent < 0:
            debt = worth_atoms(listings, settlement, asset, -lent)
            initial += share(debt, max(loan.imf_ppm, account.imf_floor_ppm), 0)
            maintenance += share(debt, loan.mmf_ppm, 0)
    return equity, initial, maintenance
