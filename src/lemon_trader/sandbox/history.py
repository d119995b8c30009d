"""Handlers of the histories: an account's own rows, filtered, in pages, newest first unless asked otherwise."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final, TypeVar

from lemon_trader.core.units import US_PER_MS
from lemon_trader.exchanges.backpack.server import Refusal, choice, whole
from lemon_trader.exchanges.backpack.server_account import (
    fill_row,
    funding_row,
    order_history_row,
    position_history_row,
    system_order,
)
from lemon_trader.exchanges.backpack.server_lending import dust_row, interest_row, moved_row, settlement_row
from lemon_trader.exchanges.backpack.words import FILL_TYPES
from lemon_trader.matching.orders import Fill
from lemon_trader.sandbox import lending
from lemon_trader.sandbox.desk import Call, Desk
from lemon_trader.sandbox.private import chosen_markets

Json = dict[str, Any]
R = TypeVar("R")

SETTLEMENT_SOURCES: Final = (
    "BackstopLiquidation",
    "CulledBorrow",
    "CulledRealizePnl",
    "CulledRealizePnlBookUtilization",
    "FundingPayment",
    "RealizePnl",
    "TradingFees",
    "TradingFeesSystem",
)

# What each `fillType` stands for in `systemOrderType`; None is a user's own order.
_SYSTEM_BY_FILL_TYPE: Final[dict[str, frozenset[str | None]]] = {
    "User": frozenset({None}),
    "BookLiquidation": frozenset({"LiquidatePositionOnBook"}),
    "Adl": frozenset({"LiquidatePositionOnAdl"}),
    "Backstop": frozenset({"LiquidatePositionOnBackstop"}),
    "Liquidation": frozenset({"LiquidatePositionOnBook"}),
    "AllLiquidation": frozenset({"LiquidatePositionOnBook", "LiquidatePositionOnAdl", "LiquidatePositionOnBackstop"}),
    "CollateralConversion": frozenset({"CollateralConversion"}),
    "CollateralConversionAndSpotLiquidation": frozenset({"CollateralConversion"}),
}


def fills(desk: Desk, call: Call) -> list[Json]:
    """The account's executions."""
    wanted, order_id = chosen_markets(desk, call), call.query.get("orderId")
    from_us = whole(call.query, "from", 0, high=10**15) * US_PER_MS
    to_us = whole(call.query, "to", 10**15, high=10**15) * US_PER_MS + US_PER_MS - 1
    kind = choice(call.query, "fillType", "FillType", FILL_TYPES)
    systems = None if kind is None else _SYSTEM_BY_FILL_TYPE[kind]
    if call.query.get("strategyId") is not None:
        return []

    def fits(fill: Fill) -> bool:
        return (
            fill.symbol in wanted
            and order_id in {None, str(fill.order_id)}
            and from_us <= fill.at_us <= to_us
            and (systems is None or system_order(fill.origin) in systems)
        )

    rows = _page(desk, call, [desk.exchange.accounts[call.account].fills], fits, lambda fill: fill.at_us)
    return [fill_row(fill, wanted[fill.symbol], with_trade_id=not desk.faults.omit_trade_ids) for fill in rows]


def orders(desk: Desk, call: Call) -> list[Json]:
    """The account's orders: those that have ended, by the time of their end, and before them those that are open."""
    wanted, order_id = chosen_markets(desk, call), call.query.get("orderId")
    if call.query.get("strategyId") is not None:
        return []
    ended, live = desk.exchange.accounts[call.account].order_history, desk.exchange.open_orders(call.account)
    rows = _page(desk, call, [ended, live], lambda o: o.symbol in wanted and order_id in {None, str(o.order_id)}, lambda o: o.updated_us)
    return [order_history_row(order, wanted[order.symbol]) for order in rows]


def funding(desk: Desk, call: Call) -> list[Json]:
    """Funding paid and received."""
    wanted = chosen_markets(desk, call)
    paid = desk.exchange.accounts[call.account].funding
    return [funding_row(row) for row in _page(desk, call, [paid], lambda f: f.symbol in wanted, lambda f: f.at_us)]


def positions(desk: Desk, call: Call) -> list[Json]:
    """Positions, closed and open."""
    wanted = chosen_markets(desk, call)
    state = choice(call.query, "state", "PositionState", ("Open", "Closed"))
    held = desk.exchange.accounts[call.account]
    every = [held.closed_positions, [p for p in held.positions.values() if p.lots]]
    rows = _page(
        desk, call, every, lambda p: p.symbol in wanted and state in {None, "Open" if p.closed_us is None else "Closed"},
        lambda p: p.updated_us,
    )  # fmt: skip
    return [position_history_row(p, wanted[p.symbol]) for p in rows]


def settlements(desk: Desk, call: Call) -> list[Json]:
    """Profit of open positions and funding that moved into the balance."""
    source = choice(call.query, "source", "SettlementSourceFilter", SETTLEMENT_SOURCES)
    held = desk.exchange.accounts[call.account]
    rows: list[tuple[int, Json]] = []
    if source in {None, "RealizePnl"}:
        rows += [
            (s.at_us, settlement_row(
                amount_atoms=s.amount_atoms, source="RealizePnl", position_id=s.position_id, sequence=s.sequence, at_us=s.at_us))
            for s in held.settlements
        ]  # fmt: skip
    if source in {None, "FundingPayment"}:
        rows += [
            (f.at_us, settlement_row(amount_atoms=f.amount_atoms, source="FundingPayment", position_id=None, sequence=n, at_us=f.at_us))
            for n, f in enumerate(held.funding, 1)
        ]
    rows.sort(key=lambda row: row[0])
    return [row for _, row in _page(desk, call, [rows], lambda _: True, lambda row: row[0])]


def loans(desk: Desk, call: Call) -> list[Json]:
    """What moved between balances and pools."""
    asset = call.query.get("symbol")
    kinds = ("Borrow", "BorrowRepay", "Lend", "LendRedeem")
    kind = choice(call.query, "type", "BorrowLendEventType", kinds)
    moved = list(desk.exchange.accounts[call.account].loan_rows)
    rows = _page(desk, call, [moved], lambda r: asset in {None, r.asset} and kind in {None, r.change.value}, lambda r: r.at_us)
    return [moved_row(r.asset, r.change.value, r.atoms, by_itself=r.by_itself, at_us=r.at_us) for r in rows]


def claims(desk: Desk, call: Call) -> list[Json]:
    """Claims and debts that are open; ended ones are told by the moves alone."""
    _paging(call)
    return lending.positions(desk, call)


def interest(desk: Desk, call: Call) -> list[Json]:
    """Interest earned and owed."""
    asset = call.query.get("symbol") or call.query.get("asset")
    paid = list(desk.exchange.accounts[call.account].interest_rows)
    rows = _page(desk, call, [paid], lambda r: asset in {None, r.asset}, lambda r: r.at_us)
    return [interest_row(r.asset, amount_atoms=r.amount_atoms, rate_ppm=r.rate_ppm, at_us=r.at_us) for r in rows]


def dust(desk: Desk, call: Call) -> list[Json]:
    """Rests that became quote."""
    converted = list(enumerate(desk.exchange.accounts[call.account].dust, 1))
    rows = _page(desk, call, [converted], lambda _: True, lambda row: row[1].at_us)
    return [dust_row(n, r.asset, atoms=r.atoms, quote_atoms=r.quote_atoms, at_us=r.at_us) for n, r in rows]


def empty(desk: Desk, call: Call) -> list[Json]:
    """A history that stays empty here (deposits, withdrawals, strategies); its paging is checked all the same."""
    _paging(call)
    del desk
    return []


def removed(desk: Desk, call: Call) -> list[Json]:
    """A history that the venue has taken away."""
    del desk, call
    raise Refusal(404, "", "not found")


def _paging(call: Call) -> tuple[int, int, bool]:
    limit, offset = whole(call.query, "limit", 100, high=1_000), whole(call.query, "offset", 0)
    ascending = choice(call.query, "sortDirection", "SortDirection", ("Asc", "Desc"), "Desc") == "Asc"
    return limit, offset, ascending


def _page(desk: Desk, call: Call, parts: Sequence[Sequence[R]], fits: Callable[[R], bool], at_us: Callable[[R], int]) -> Iterator[R]:
    """The page asked for, of `parts` that are oldest first one after the other; rows younger than the lag on order are not written yet."""
    limit, offset, ascending = _paging(call)
    latest_us = call.now_us - desk.faults.history_lag_us
    ordered = chain.from_iterable(parts if ascending else (reversed(part) for part in reversed(parts)))
    return islice((row for row in ordered if at_us(row) <= latest_us and fits(row)), offset, offset + limit)
