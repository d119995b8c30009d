"""Handlers of lending: pools and rates, an account's claims and debts, and moving coins between balance and pool."""

from typing import Any, Final

from lemon_trader.core.instrument import NUMBER
from lemon_trader.core.units import ATOMS_PER_UNIT, US_PER_S
from lemon_trader.exchanges.backpack.server import Refusal, choice, required
from lemon_trader.exchanges.backpack.server_lending import claim_row, pool_row, pool_then_row
from lemon_trader.exchanges.backpack.server_orders import atoms_of
from lemon_trader.exchanges.backpack.server_public import ppm_text
from lemon_trader.matching.lending import PoolThen
from lemon_trader.sandbox.desk import Answer, Call, Desk

Json = dict[str, Any]
_HOUR_US: Final = 3_600 * US_PER_S
_DAY_US: Final = 24 * _HOUR_US
_SPANS: Final = {  # (how far back, how far apart)
    "1d": (_DAY_US, _HOUR_US), "1w": (7 * _DAY_US, _HOUR_US), "1month": (30 * _DAY_US, _DAY_US), "1year": (365 * _DAY_US, _DAY_US),
}  # fmt: skip


def pools(desk: Desk, call: Call) -> list[Json]:
    """Every pool with its rates."""
    return [_pool_row(desk, asset, _pool(desk, asset, call.now_us)) for asset in desk.exchange.rules.loans]


def history(desk: Desk, call: Call) -> list[Json]:
    """The pools as they were, oldest first and the present last: every hour of a day or week, every day of a month or year."""
    required(call.query, "interval", "BorrowLendMarketHistoryInterval")
    interval = choice(call.query, "interval", "BorrowLendMarketHistoryInterval", tuple(_SPANS)) or ""
    span_us, step_us = _SPANS[interval]
    wanted = call.query.get("symbol")
    rows: list[Json] = []
    for asset in desk.exchange.rules.loans:
        if wanted in {None, asset}:
            then = (row for row in desk.exchange.lending.past[asset] if row.at_us > call.now_us - span_us and not row.at_us % step_us)
            rows += [_pool_then_row(row) for row in (*then, _pool(desk, asset, call.now_us))]
    return rows


def yields(desk: Desk, call: Call) -> Json:
    """What lending and borrowing cost a year; nothing can be staked."""
    del call
    rates = {asset: desk.exchange.lending.rates_ppm(asset) for asset in desk.exchange.rules.loans}
    rows = [{"symbol": asset, "borrowRate": ppm_text(borrow), "lendRate": ppm_text(lend)} for asset, (borrow, lend) in rates.items()]
    return {"borrowLend": rows, "staking": []}


def positions(desk: Desk, call: Call) -> list[Json]:
    """The account's claims (above 0) and debts."""
    owner, loans = desk.exchange.accounts[call.account], desk.exchange.rules.loans
    return [
        claim_row(
            number, asset, net_atoms=owner.lent[asset], price_atoms=desk.exchange.worth_atoms(asset, ATOMS_PER_UNIT),
            interest_atoms=owner.interest.get(asset, 0), imf_ppm=max(loan.imf_ppm, owner.imf_floor_ppm), mmf_ppm=loan.mmf_ppm,
        )
        for number, (asset, loan) in enumerate(loans.items(), 1)
        if owner.lent.get(asset)
    ]  # fmt: skip


def move(desk: Desk, call: Call) -> Answer:
    """Lend or borrow; the opposite side redeems or repays."""
    side, asset, text = (call.params.get(name) for name in ("side", "symbol", "quantity"))
    if side not in {"Lend", "Borrow"}:
        raise _bad("BorrowLendSide", "Expect a valid enumeration value.")
    if not isinstance(asset, str):
        raise _bad("Asset", 'Type "Asset" expects an input value.')
    if not isinstance(text, str) or not NUMBER.match(text):
        raise _bad("string(decimal)", "Invalid decimal: unknown character")
    atoms = atoms_of(text)
    if atoms <= 0:
        raise Refusal(400, "INVALID_QUANTITY", "Quantity is below the minimum allowed value")
    desk.exchange.borrow_lend(call.account, asset, atoms if side == "Lend" else -atoms, call.now_us)
    return Answer()


def convert_dust(desk: Desk, call: Call) -> Answer:
    """Turn rests too small to sell into quote: of one asset, or of all."""
    asset = call.params.get("symbol")
    desk.exchange.convert_dust(call.account, call.now_us, asset if isinstance(asset, str) else None)
    return Answer()


def _bad(kind: str, reason: str) -> Refusal:
    return Refusal(
        400, "", f'parse request payload error: failed to parse "{kind}": {reason} (occurred while parsing "BorrowLendExecutePayload")'
    )


def _pool(desk: Desk, asset: str, now_us: int) -> PoolThen:
    lending = desk.exchange.lending
    return PoolThen(*lending.pool(asset), *lending.rates_ppm(asset), now_us)


def _pool_then_row(then: PoolThen) -> Json:
    return pool_then_row(
        lent_atoms=then.lent, borrowed_atoms=then.borrowed, borrow_ppm=then.borrow_ppm, lend_ppm=then.lend_ppm, at_us=then.at_us
    )


def _pool_row(desk: Desk, asset: str, then: PoolThen) -> Json:
    """A pool as it is."""
    loan = desk.exchange.rules.loans[asset]
    return pool_row(
        asset, price_atoms=desk.exchange.worth_atoms(asset, ATOMS_PER_UNIT), lent_atoms=then.lent, borrowed_atoms=then.borrowed,
        borrow_ppm=then.borrow_ppm, lend_ppm=then.lend_ppm, optimal_ppm=loan.optimal_ppm, bound_ppm=loan.bound_ppm, fee_ppm=loan.fee_ppm,
        at_us=then.at_us,
    )  # fmt: skip
