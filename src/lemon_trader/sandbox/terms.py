"""What the sandbox's markets and coins have beside their filters: margin that grows with size, collateral weights, lending pools.

Factors are of the make of the venue's public lists (SOL's are the published ones); what others lend and owe is made up.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import ATOMS_PER_UNIT
from lemon_trader.matching.rules import COMPUTED, Loan, Rules, Terms

_UNIT: Final = ATOMS_PER_UNIT
_FACTORS_PPB: Final[Mapping[str, tuple[int, int]]] = {"SOL": (60_000, 36_000), "BTC": (30_000, 18_000), "ETH": (93_500, 56_100)}
_OTHER_FACTORS_PPB: Final = (150_000, 90_000)

LOANS: Final[Mapping[str, Loan]] = {
    "USDC": Loan(weight_ppm=1_000_000, supply_atoms=5_000_000 * _UNIT, demand_atoms=3_000_000 * _UNIT),
    "SOL": Loan(weight_ppm=900_000, supply_atoms=50_000 * _UNIT, demand_atoms=20_000 * _UNIT),
    "BTC": Loan(weight_ppm=950_000, supply_atoms=200 * _UNIT, demand_atoms=40 * _UNIT),
    "ETH": Loan(weight_ppm=950_000, supply_atoms=4_000 * _UNIT, demand_atoms=1_000 * _UNIT),
}


def terms_of(markets: Sequence[Instrument]) -> dict[str, Terms]:
    """The terms of these markets by symbol."""
    perps = ((market, *_FACTORS_PPB.get(market.base, _OTHER_FACTORS_PPB)) for market in markets if market.is_perp)
    return {market.symbol: Terms(imf_factor_ppb=imf, mmf_factor_ppb=mmf) for market, imf, mmf in perps}


def sandbox_rules() -> Rules:
    """The exchange's switches as the sandbox has them: lending pools, and marks made from its own books and the index."""
    return Rules(loans=LOANS, mark_rule=COMPUTED)
