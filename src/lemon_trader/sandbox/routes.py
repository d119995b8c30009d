"""The sandbox's table of contents: which handler answers which method and path, and the instruction that must have been signed for it.

What the exchange does not do (withdrawals, quotes on request, vaults, strategies) is refused by name, after the signature was
checked, so that a client learns that it asked rightly for what is not there.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from lemon_trader.exchanges.backpack.server import Refusal
from lemon_trader.exchanges.backpack.words import INSTRUCTIONS
from lemon_trader.sandbox import history, lending, private, public
from lemon_trader.sandbox.desk import Call, Desk

Handler = Callable[[Desk, Call], Any]


class Route(msgspec.Struct, frozen=True):
    """One row. `instruction` None = public; `is_history` = counted by the limit on public histories."""

    handler: Handler
    instruction: str | None = None
    is_history: bool = False
    headers: tuple[tuple[str, str], ...] = ()


def refused(desk: Desk, call: Call) -> Any:
    """A definite no to what this exchange does not do."""
    del desk, call
    raise Refusal(400, "NOT_IMPLEMENTED", "This exchange does not offer that")


_CATALOGUE: Final = (("Cache-Control", "s-maxage=300, stale-while-revalidate=600"),)
_MARKS: Final = (("Cache-Control", "s-maxage=1, stale-while-revalidate=3, stale-if-error=3600"),)

_PUBLIC: Final[dict[str, Route]] = {
    "/api/v1/ping": Route(public.ping),
    "/api/v1/time": Route(public.time),
    "/api/v1/status": Route(public.status),
    "/api/v1/wallets": Route(public.nothing),
    "/api/v1/assets": Route(public.assets),
    "/api/v1/collateral": Route(public.collateral),
    "/api/v1/markets": Route(public.markets, headers=_CATALOGUE),
    "/api/v1/market": Route(public.market),
    "/api/v1/ticker": Route(public.ticker),
    "/api/v1/tickers": Route(public.tickers),
    "/api/v1/depth": Route(public.depth),
    "/api/v1/klines": Route(public.klines, is_history=True),
    "/api/v1/trades": Route(public.trades),
    "/api/v1/trades/history": Route(public.trades, is_history=True),
    "/api/v1/markPrices": Route(public.mark_prices, headers=_MARKS),
    "/api/v1/openInterest": Route(public.open_interest),
    "/api/v1/fundingRates": Route(public.funding_rates),
    "/api/v1/borrowLend/markets": Route(lending.pools),
    "/api/v1/borrowLend/markets/history": Route(lending.history),
    "/api/v1/borrowLend/apy": Route(lending.yields),
    "/api/v1/securities": Route(public.nothing),
    "/api/v1/market-sessions": Route(public.nothing),
    "/api/v1/prediction": Route(public.nothing),
    "/api/v1/prediction/tags": Route(public.nothing),
    "/api/v1/vaults": Route(public.nothing),
    "/api/v1/vaults/history": Route(public.nothing),
    "/wapi/v1/feeTiers": Route(public.fee_tiers),
    "/wapi/v1/country/permissions": Route(public.nothing),
}

_PRIVATE: Final[dict[tuple[str, str], Handler]] = {
    ("GET", "/api/v1/account"): private.account,
    ("PATCH", "/api/v1/account"): private.change_account,
    ("GET", "/api/v1/account/limits/order"): private.max_order,
    ("GET", "/api/v1/account/limits/borrow"): private.max_borrow,
    ("GET", "/api/v1/account/limits/withdrawal"): private.max_withdrawal,
    ("GET", "/api/v1/capital"): private.capital,
    ("GET", "/api/v1/capital/collateral"): private.collateral,
    ("GET", "/wapi/v1/capital/deposits"): history.empty,
    ("GET", "/wapi/v1/capital/deposit/address"): private.deposit_address,
    ("GET", "/wapi/v1/capital/withdrawals"): history.empty,
    ("GET", "/api/v1/borrowLend/positions"): lending.positions,
    ("POST", "/api/v1/borrowLend"): lending.move,
    ("POST", "/api/v1/account/convertDust"): lending.convert_dust,
    ("GET", "/api/v1/order"): private.open_order,
    ("POST", "/api/v1/order"): private.place,
    ("DELETE", "/api/v1/order"): private.cancel,
    ("GET", "/api/v1/orders"): private.open_orders,
    ("POST", "/api/v1/orders"): private.place_many,
    ("DELETE", "/api/v1/orders"): private.cancel_all,
    ("GET", "/api/v1/position"): private.positions,
    ("GET", "/wapi/v1/history/orders"): history.orders,
    ("GET", "/wapi/v1/history/fills"): history.fills,
    ("GET", "/wapi/v1/history/funding"): history.funding,
    ("GET", "/wapi/v1/history/position"): history.positions,
    ("GET", "/wapi/v1/history/settlement"): history.settlements,
    ("GET", "/wapi/v1/history/borrowLend"): history.loans,
    ("GET", "/wapi/v1/history/borrowLend/positions"): history.claims,
    ("GET", "/wapi/v1/history/interest"): history.interest,
    ("GET", "/wapi/v1/history/dust"): history.dust,
    ("GET", "/wapi/v1/history/strategies"): history.empty,
    ("GET", "/wapi/v1/history/pnl"): history.removed,
}

ROUTES: Final[dict[tuple[str, str], Route]] = {
    **{("GET", path): route for path, route in _PUBLIC.items()},
    **{key: Route(_PRIVATE.get(key, refused), instruction) for key, instruction in INSTRUCTIONS.items()},
}
METHODS: Final = frozenset(path for _, path in ROUTES)
assert set(_PRIVATE) <= set(INSTRUCTIONS), "every private path has an instruction"
