"""What a market or an account may not grow beyond: open interest, an account's positions, and the premium of a limit price.

The reference names the three (§2.4, §3.1) and not their formulas; the choices here are ours.
"""

from collections.abc import Mapping

from lemon_trader.core.units import BUY, PPM
from lemon_trader.matching.accounts import Account
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.margin import exposure_lots
from lemon_trader.matching.orders import Code, Reason, Refused
from lemon_trader.matching.rules import Rules


def check_limits(side: int, lots: int, account: Account, listing: Listing, listings: Mapping[str, Listing], rules: Rules) -> None:
    """Refuse a perpetual's order that would bring open interest or the account's positions above their limits, were it filled whole.

    One that enlarges nothing is never refused, also where a limit is exceeded already. Raises Refused.
    """
    most = listing.terms.open_interest_lots
    if not most and not rules.position_limit_atoms:
        return
    symbol = listing.instrument.symbol
    held = account.position_lots(symbol)
    buys, sells = account.exposed_lots(symbol)
    before = exposure_lots(held, buys, sells)
    after = exposure_lots(held, buys + lots, sells) if side == BUY else exposure_lots(held, buys, sells + lots)
    if after <= before:
        return
    if most:
        mine = max(0, side * held)  # what of the open interest on this side is the account's
        grown = max(0, side * held + (buys if side == BUY else sells) + lots) - mine
        if listing.open_interest_lots(side) + grown > most:
            raise Refused(Code.POSITION_LIMIT, "Open interest limit exceeded", Reason.POSITION_LIMIT)
    if rules.position_limit_atoms:
        whole = _weighted(listing, after)
        for other in account.perpetuals - {symbol}:
            lots_there = exposure_lots(account.position_lots(other), *account.exposed_lots(other))
            whole += _weighted(listings[other], lots_there)
        if whole > rules.position_limit_atoms:
            raise Refused(Code.POSITION_LIMIT, "Position limit exceeded", Reason.POSITION_LIMIT)


def leaves_premium_band(side: int, ticks: int, listing: Listing, rules: Rules) -> bool:
    """True when a limit price's premium over the index is further from the mark's, which is a mean already, than the band allows."""
    index, mark = listing.index_ticks, listing.mark_ticks
    if not index or not mark:
        return False
    beyond = side * (ticks - mark)  # above 0: towards the other side of the book
    if rules.premium_band_sides == "both":
        beyond = abs(beyond)
    return beyond * PPM > index * listing.terms.premium_band_ppm


def _weighted(listing: Listing, lots: int) -> int:
    return listing.instrument.notional_atoms(listing.margin_ticks, lots) * listing.terms.position_weight_ppm // PPM
