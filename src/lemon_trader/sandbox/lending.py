"""Handlers of lending: pools and rates, an account's claims and debts, and moving coins between balance and pool."""

from typing import Any

from lemon_trader.core.instrument import NUMBER
from lemon_trader.core.units import ATOMS_PER_UNIT
from lemon_trader.exchanges.backpack.server import Refusal, choice
from lemon_trader.exchanges.backpack.server_lending import claim_row, pool_row
from lemon_trader.exchanges.backpack.server_orders import atoms_of
from lemon_trader.exchanges.backpack.server_public import ppm_text
from lemon_trader.sandbox.desk import Answer, Call, Desk

Json = dict[str, Any]


def pools(desk: Desk, call: Call) -> list[Json]:
    """Every pool with its rates."""
    return [_pool(desk, asset, call.now_us) for asset in desk.exchange.rules.loans]


def history(desk: Desk, call: Call) -> list[Json]:
    """The pools as they are now: what they were is not kept."""
    choice(call.query, "interval", "BorrowLendMarketHistoryInterval", ("1d", "1w", "1month", "1year"))
    wanted = call.query.get("symbol")
    return [_pool(desk, asset, call.now_us) for asset in desk.exchange.rules.loans if wanted in {None, asset}]


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


def _pool(desk: Desk, asset: str, now_us: int) -> Json:
    lending, loan = desk.exchange.lending, desk.exchange.rules.loans[asset]
    (lent, borrowed), (borrow_ppm, lend_ppm) = lending.pool(asset), lending.rates_ppm(asset)
    price = desk.exchange.worth_atoms(asset, ATOMS_PER_UNIT)
    return pool_row(
        asset, price_atoms=price, lent_atoms=lent, borrowed_atoms=borrowed, borrow_ppm=borrow_ppm, lend_ppm=lend_ppm,
        optimal_ppm=loan.optimal_ppm, bound_ppm=loan.bound_ppm, fee_ppm=loan.fee_ppm, at_us=now_us,
    )  # fmt: skip
