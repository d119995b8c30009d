"""What the sandbox's markets and coins have beside their filters: margin that grows with size, collateral weights, lending pools.

Factors are of the make of the venue's public lists (SOL's are the published ones); what others lend and owe is made up.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import ATOMS_PER_UNIT
from lemon_trader.matching.rules import COMPUTED, Loan, Rules, Terms

_UNIT: Final = ATOMS_PER_UNIT
_ACCOUNT_LIMIT: Final = 100_000_000 * _UNIT  # of USDC: of an account's positions, and of its debts
OPEN_INTEREST: Final[Mapping[str, int]] = {"SOL": 4_000_000, "BTC": 10_000, "ETH": 200_000}  # coins
OTHER_OPEN_INTEREST: Final = 1_000_000_000
PREMIUM_BAND_PPM: Final = 50_000
_FACTORS_PPB: Final[Mapping[str, tuple[int, int]]] = {"SOL": (60_000, 36_000), "BTC": (30_000, 18_000), "ETH": (93_500, 56_100)}
_OTHER_FACTORS_PPB: Final = (150_000, 90_000)

# Weights begin to fall at some 10,000 SOL, 100 BTC and 2,000 ETH.
LOANS: Final[Mapping[str, Loan]] = {
    "USDC": Loan(weight_ppm=1_000_000, supply_atoms=5_000_000 * _UNIT, demand_atoms=3_000_000 * _UNIT),
    "SOL": Loan(
        weight_ppm=900_000, curve_base_ppm=1_100_000, curve_ppb=2_220_000, supply_atoms=50_000 * _UNIT, demand_atoms=20_000 * _UNIT
    ),
    "BTC": Loan(weight_ppm=950_000, curve_base_ppm=1_100_000, curve_ppb=15_800_000, supply_atoms=200 * _UNIT, demand_atoms=40 * _UNIT),
    "ETH": Loan(weight_ppm=950_000, curve_base_ppm=1_100_000, curve_ppb=3_530_000, supply_atoms=4_000 * _UNIT, demand_atoms=1_000 * _UNIT),
}


def terms_of(markets: Sequence[Instrument]) -> dict[str, Terms]:
    """The terms of these markets by symbol."""
    return {market.symbol: _terms(market) for market in markets if market.is_perp}


def sandbox_rules() -> Rules:
    """The exchange's switches as the sandbox has them: lending pools, and marks made from its own books and the index."""
    return Rules(loans=LOANS, mark_rule=COMPUTED, position_limit_atoms=_ACCOUNT_LIMIT, borrow_limit_atoms=_ACCOUNT_LIMIT)


def _terms(market: Instrument) -> Terms:
    imf, mmf = _FACTORS_PPB.get(market.base, _OTHER_FACTORS_PPB)
    units = OPEN_INTEREST.get(market.base, OTHER_OPEN_INTEREST)
    return Terms(
        imf_factor_ppb=imf, mmf_factor_ppb=mmf, open_interest_lots=units * _UNIT // market.lot_atoms, premium_band_ppm=PREMIUM_BAND_PPM
    )
