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
from lemon_trader.exchanges.backpack.words import FILL_TYPES
from lemon_trader.matching.orders import Fill
from lemon_trader.sandbox.desk import Call, Desk
from lemon_trader.sandbox.private import chosen_markets

Json = dict[str, Any]
R = TypeVar("R")

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


def empty(desk: Desk, call: Call) -> list[Json]:
    """A history that stays empty here (settlements, lending, dust, strategies); its paging is checked all the same."""
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
