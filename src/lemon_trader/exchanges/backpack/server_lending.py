"""Bodies of Backpack's borrow-lend answers: pools, an account's claims and debts, and the histories of what moved by itself.

Rates are yearly fractions, quantities are in the asset, naive ISO times. Rows are written from plain figures.
"""

from typing import Any

from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.units import ATOMS_PER_UNIT
from lemon_trader.exchanges.backpack.server_account import USER_ID
from lemon_trader.exchanges.backpack.server_public import margin_function, ppm_text
from lemon_trader.exchanges.backpack.times import iso_of_us

Json = dict[str, Any]


def pool_row(
    asset: str, *, price_atoms: int, lent_atoms: int, borrowed_atoms: int, borrow_ppm: int, lend_ppm: int, optimal_ppm: int, bound_ppm: int,
    fee_ppm: int, at_us: int,
) -> Json:  # fmt: skip
    """One row of `/borrowLend/markets`."""
    return {
        "symbol": asset,
        "state": "Open",
        "assetMarkPrice": atoms_text(price_atoms),
        "borrowInterestRate": ppm_text(borrow_ppm),
        "lendInterestRate": ppm_text(lend_ppm),
        "borrowedQuantity": atoms_text(borrowed_atoms),
        "lentQuantity": atoms_text(lent_atoms),
        "utilization": atoms_text(borrowed_atoms * ATOMS_PER_UNIT // lent_atoms if lent_atoms else 0),
        "optimalUtilization": ppm_text(optimal_ppm),
        "maxUtilization": "1",
        "openBorrowLendLimit": "100000000",
        "fee": ppm_text(fee_ppm),
        "stepSize": "0.000000001",
        "throttleUtilizationThreshold": ppm_text(bound_ppm),
        "throttleUtilizationBound": ppm_text(bound_ppm),
        "throttleUpdateFraction": "1",
        "timestamp": iso_of_us(at_us),
    }


def pool_then_row(*, lent_atoms: int, borrowed_atoms: int, borrow_ppm: int, lend_ppm: int, at_us: int) -> Json:
    """One row of `/borrowLend/markets/history`: which pool it is of stands only in the question."""
    return {
        "borrowInterestRate": ppm_text(borrow_ppm),
        "borrowedQuantity": atoms_text(borrowed_atoms),
        "lendInterestRate": ppm_text(lend_ppm),
        "lentQuantity": atoms_text(lent_atoms),
        "timestamp": iso_of_us(at_us),
        "utilization": atoms_text(borrowed_atoms * ATOMS_PER_UNIT // lent_atoms if lent_atoms else 0),
    }


def claim_row(number: int, asset: str, *, net_atoms: int, price_atoms: int, interest_atoms: int, imf_ppm: int, mmf_ppm: int) -> Json:
    """One row of `/borrowLend/positions`: a claim (net above 0) or a debt."""
    return {
        "id": str(number),
        "symbol": asset,
        "netQuantity": atoms_text(net_atoms),
        "netExposureQuantity": atoms_text(abs(net_atoms)),
        "netExposureNotional": atoms_text(abs(net_atoms) * price_atoms // ATOMS_PER_UNIT),
        "cumulativeInterest": atoms_text(interest_atoms),
        "imf": ppm_text(imf_ppm),
        "imfFunction": margin_function(imf_ppm),
        "mmf": ppm_text(mmf_ppm),
        "mmfFunction": margin_function(mmf_ppm),
        "markPrice": atoms_text(price_atoms),
        "estLiquidationPrice": "0",
    }


def moved_row(asset: str, change: str, atoms: int, *, by_itself: bool, at_us: int) -> Json:
    """One row of the borrow-lend history."""
    return {
        "eventType": change,
        "positionId": asset,
        "positionQuantity": None,
        "quantity": atoms_text(atoms),
        "source": "AutoLend" if by_itself else "User",
        "symbol": asset,
        "timestamp": iso_of_us(at_us),
        "spotMarginOrderId": None,
    }


def interest_row(asset: str, *, amount_atoms: int, rate_ppm: int, at_us: int) -> Json:
    """One row of the interest history; earned > 0."""
    return {
        "interestRate": ppm_text(rate_ppm),
        "interval": 1,
        "marketSymbol": asset,
        "paymentType": "Lend" if amount_atoms > 0 else "Borrow",
        "positionId": asset,
        "quantity": atoms_text(abs(amount_atoms)),
        "symbol": asset,
        "timestamp": iso_of_us(at_us),
    }


def settlement_row(*, amount_atoms: int, source: str, position_id: int | None, sequence: int, at_us: int) -> Json:
    """One row of the settlement history; positive = received."""
    return {
        "quantity": atoms_text(amount_atoms),
        "source": source,
        "subaccountId": None,
        "timestamp": iso_of_us(at_us),
        "userId": USER_ID,
        "positionId": None if position_id is None else str(position_id),
        "engineSequence": sequence,
    }


def dust_row(number: int, asset: str, *, atoms: int, quote_atoms: int, at_us: int) -> Json:
    """One row of the dust history."""
    return {
        "id": number,
        "quantity": atoms_text(atoms),
        "symbol": asset,
        "usdcReceived": atoms_text(quote_atoms),
        "timestamp": iso_of_us(at_us),
    }
