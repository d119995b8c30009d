"""What an account is worth on perpetuals and what it needs: cross margin, one settlement asset, everything at mark.

Equity = settlement balance - what spot orders lock + unrealised profit. Initial margin is asked for positions and the orders that would
enlarge them, maintenance margin for positions alone; both are a plain fraction of the notional (the market's base fraction).
"""

from collections.abc import Mapping

import msgspec

from lemon_trader.core.units import BUY, PPM
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.listing import Listing


class Margin(msgspec.Struct, frozen=True, gc=False):
    """An account's standing on perpetuals, atoms of the settlement asset.

    Attributes:
        equity_atoms: see the module; may be negative.
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
        instrument = listing.instrument
        ticks = listing.margin_ticks
        position = account.positions.get(symbol)
        lots = 0
        if position is not None:
            lots = position.lots
            unrealised += instrument.notional_atoms(ticks, lots) - position.cost_atoms
            maintenance += _share(instrument.notional_atoms(ticks, abs(lots)), instrument.mmf_ppm)
        exposure = instrument.notional_atoms(ticks, exposure_lots(lots, *account.exposed_lots(symbol)))
        notional += exposure
        initial += _share(exposure, max(instrument.imf_ppm, account.imf_floor_ppm))
    return Margin(account.available(asset) + unrealised, unrealised, initial, maintenance, notional)


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
    fraction = max(instrument.imf_ppm, account.imf_floor_ppm)
    more = _share(instrument.notional_atoms(ticks, after), fraction) - _share(
        instrument.notional_atoms(listing.margin_ticks, before), fraction
    )
    adverse = max(0, side * (quote_atoms - instrument.notional_atoms(ticks, lots)))
    return now.initial_atoms + more + adverse - now.equity_atoms


def spendable_atoms(account: Account, listings: Mapping[str, Listing], settlement: str | None, asset: str) -> int:
    """What a new spot order may lock of an asset: what is available, and of the settlement asset no more than margin leaves free."""
    available = account.available(asset)
    if asset != settlement or not account.perpetuals:
        return max(0, available)
    now = margin(account, listings, asset)
    return max(0, min(available, now.equity_atoms - now.initial_atoms))


def _share(atoms: int, fraction_ppm: int) -> int:
    return -(-atoms * fraction_ppm // PPM)
