"""The OpenAPI document of what the exchange speaks, made from the very table that serves it: a path that is not served is not in it.

Paths, signatures and refusals come from `routes.ROUTES`; parameters, bodies and answers are told here by path. What the exchange does not
offer is documented as the refusal that it is.
"""

from functools import cache
from typing import Final

from lemon_trader.exchanges.backpack import words
from lemon_trader.exchanges.backpack.server_public import CHAINS, INTERVALS
from lemon_trader.sandbox import history, public, routes
from lemon_trader.sandbox.routes import ROUTES, Route
from lemon_trader.sandbox.shapes import Schema, listed, reference, schemas

VERSION: Final = "3.1.0"

_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}
_WHOLE: Final[Schema] = {"type": "integer", "minimum": 0}
_FLAG: Final[Schema] = {"type": "boolean"}
_PAGE: Final[dict[str, Schema]] = {"limit": {"type": "integer", "minimum": 0, "maximum": 1_000}, "offset": _WHOLE}
_SORTED: Final[dict[str, Schema]] = {**_PAGE, "sortDirection": {"type": "string", "enum": ["Asc", "Desc"]}}
_KIND: Final[dict[str, Schema]] = {"marketType": {"type": "string", "enum": list(words.MARKET_TYPES)}}
_SYMBOL: Final[dict[str, Schema]] = {"symbol": _TEXT}
_SPAN: Final[dict[str, Schema]] = {"interval": {"type": "string", "enum": ["1d", "1w"]}}

# What may be in the query of each path; a `!` marks what must be.
_QUERIES: Final[dict[tuple[str, str], dict[str, Schema]]] = {
    ("GET", "/api/v1/assets"): {"country": _TEXT},
    ("GET", "/api/v1/markets"): _KIND,
    ("GET", "/api/v1/market"): {"symbol!": _TEXT},
    ("GET", "/api/v1/ticker"): {"symbol!": _TEXT, **_SPAN},
    ("GET", "/api/v1/tickers"): _SPAN,
    ("GET", "/api/v1/depth"): {"symbol!": _TEXT, "limit": {"type": "string", "enum": [str(n) for n in words.DEPTH_LIMITS]}},
    ("GET", "/api/v1/klines"): {
        "symbol!": _TEXT, "interval!": {"type": "string", "enum": list(INTERVALS)}, "startTime!": _WHOLE, "endTime": _WHOLE,
        "priceType": {"type": "string", "enum": ["Last", "Index", "Mark"]},
    },
    ("GET", "/api/v1/trades"): {"symbol!": _TEXT, **_PAGE},
    ("GET", "/api/v1/trades/history"): {"symbol!": _TEXT, **_PAGE},
    ("GET", "/api/v1/markPrices"): {**_SYMBOL, **_KIND},
    ("GET", "/api/v1/openInterest"): _SYMBOL,
    ("GET", "/api/v1/fundingRates"): {"symbol!": _TEXT, **_PAGE},
    ("GET", "/api/v1/borrowLend/markets/history"): {
        "interval": {"type": "string", "enum": ["1d", "1w", "1month", "1year"]}, "symbol": _TEXT,
    },
    ("GET", "/api/v1/account/limits/order"): {
        "symbol!": _TEXT, "side!": {"type": "string", "enum": list(words.SIDES)}, "price": _NUMBER, "reduceOnly": _FLAG,
        "autoBorrow": _FLAG, "autoBorrowRepay": _FLAG, "autoLendRedeem": _FLAG,
    },
    ("GET", "/api/v1/account/limits/borrow"): {"symbol!": _TEXT},
    ("GET", "/api/v1/account/limits/withdrawal"): {"symbol!": _TEXT, "autoBorrow": _FLAG, "autoLendRedeem": _FLAG},
    ("GET", "/wapi/v1/capital/deposit/address"): {"blockchain!": {"type": "string", "enum": list(CHAINS)}},
    ("GET", "/wapi/v1/capital/deposits"): _PAGE,
    ("GET", "/wapi/v1/capital/withdrawals"): _PAGE,
    ("GET", "/api/v1/order"): {"symbol!": _TEXT, "orderId": _TEXT, "clientId": _WHOLE},
    ("GET", "/api/v1/orders"): {**_SYMBOL, **_KIND},
    ("GET", "/api/v1/position"): {**_SYMBOL, **_KIND},
    ("GET", "/wapi/v1/history/orders"): {**_SYMBOL, **_KIND, "orderId": _TEXT, "strategyId": _TEXT, **_SORTED},
    ("GET", "/wapi/v1/history/fills"): {
        **_SYMBOL, **_KIND, "orderId": _TEXT, "strategyId": _TEXT, "from": _WHOLE, "to": _WHOLE,
        "fillType": {"type": "string", "enum": list(words.FILL_TYPES)}, **_SORTED,
    },
    ("GET", "/wapi/v1/history/funding"): {**_SYMBOL, **_SORTED},
    ("GET", "/wapi/v1/history/position"): {**_SYMBOL, **_KIND, "state": {"type": "string", "enum": ["Open", "Closed"]}, **_SORTED},
    ("GET", "/wapi/v1/history/settlement"): {"source": {"type": "string", "enum": list(history.SETTLEMENT_SOURCES)}, **_SORTED},
    ("GET", "/wapi/v1/history/borrowLend"): {**_SYMBOL, **_SORTED},
    ("GET", "/wapi/v1/history/borrowLend/positions"): {**_SYMBOL, **_SORTED},
    ("GET", "/wapi/v1/history/interest"): {**_SYMBOL, **_SORTED},
    ("GET", "/wapi/v1/history/dust"): {**_SYMBOL, **_SORTED},
}  # fmt: skip

_WATCHED: Final[Schema] = {"type": "string", "enum": list(words.TRIGGERS_BY)}
_ORDER: Final[Schema] = {
    "type": "object",
    "properties": {
        "symbol": _TEXT,
        "side": {"type": "string", "enum": list(words.SIDES)},
        "orderType": {"type": "string", "enum": list(words.ORDER_TYPES)},
        "timeInForce": {"type": "string", "enum": list(words.TIMES_IN_FORCE)},
        "selfTradePrevention": {"type": "string", "enum": list(words.SELF_TRADE_RULES)},
        "clientId": {"type": "integer", "minimum": 0, "maximum": words.CLIENT_ID_MAX},
        **dict.fromkeys(("price", "quantity", "quoteQuantity", "triggerPrice", "slippageTolerance"), _NUMBER),
        **dict.fromkeys(("takeProfitTriggerPrice", "takeProfitLimitPrice", "stopLossTriggerPrice", "stopLossLimitPrice"), _NUMBER),
        **dict.fromkeys(("postOnly", "reduceOnly", "autoLend", "autoLendRedeem", "autoBorrow", "autoBorrowRepay"), _FLAG),
        **dict.fromkeys(("triggerBy", "takeProfitTriggerBy", "stopLossTriggerBy"), _WATCHED),
        "triggerQuantity": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%?$"},
        "slippageToleranceType": {"type": "string", "enum": ["TickSize", "Percent"]},
        "brokerId": _WHOLE,
    },
    "required": ["symbol", "side", "orderType"],
}
_NAMED: Final[Schema] = {
    "type": "object",
    "properties": {"symbol": _TEXT, "orderId": _TEXT, "clientId": {"type": "integer", "minimum": 0}},
    "required": ["symbol"],
}
_BODIES: Final[dict[tuple[str, str], Schema]] = {
    ("POST", "/api/v1/order"): _ORDER,
    ("POST", "/api/v1/orders"): {"type": "array", "items": _ORDER, "minItems": 1, "maxItems": 50},
    ("DELETE", "/api/v1/order"): _NAMED,
    ("DELETE", "/api/v1/orders"): {
        "type": "object",
        "properties": {"symbol": _TEXT, "orderType": {"type": "string", "enum": list(words.CANCEL_ALL_KINDS)}},
        "required": ["symbol"],
    },
    ("PATCH", "/api/v1/account"): {
        "type": "object",
        "properties": {**dict.fromkeys(("autoBorrowSettlements", "autoLend", "autoRepayBorrows"), _FLAG), "leverageLimit": _NUMBER},
    },
    ("POST", "/api/v1/borrowLend"): {
        "type": "object",
        "properties": {"side": {"type": "string", "enum": ["Lend", "Borrow"]}, "symbol": _TEXT, "quantity": _NUMBER},
        "required": ["side", "symbol", "quantity"],
    },
    ("POST", "/api/v1/account/convertDust"): {"type": "object", "properties": {"symbol": _TEXT}},
}

_EMPTY: Final[Schema] = {"type": "array", "maxItems": 0}
_WORD: Final = "text"  # an answer that is plain text
_NONE: Final = "none"  # one without a body
_ANSWERS: Final[dict[tuple[str, str], Schema | str]] = {
    ("GET", "/api/v1/ping"): _WORD,
    ("GET", "/api/v1/time"): _WORD,
    ("GET", "/api/v1/status"): reference("Status"),
    ("GET", "/api/v1/assets"): listed("Asset"),
    ("GET", "/api/v1/collateral"): listed("CollateralAsset"),
    ("GET", "/api/v1/markets"): listed("Market"),
    ("GET", "/api/v1/market"): reference("Market"),
    ("GET", "/api/v1/ticker"): reference("Ticker"),
    ("GET", "/api/v1/tickers"): listed("Ticker"),
    ("GET", "/api/v1/depth"): reference("Depth"),
    ("GET", "/api/v1/klines"): listed("Kline"),
    ("GET", "/api/v1/trades"): listed("Trade"),
    ("GET", "/api/v1/trades/history"): listed("Trade"),
    ("GET", "/api/v1/markPrices"): listed("MarkPrice"),
    ("GET", "/api/v1/openInterest"): listed("OpenInterest"),
    ("GET", "/api/v1/fundingRates"): listed("FundingRate"),
    ("GET", "/api/v1/borrowLend/markets"): listed("Pool"),
    ("GET", "/api/v1/borrowLend/markets/history"): listed("PoolThen"),
    ("GET", "/api/v1/borrowLend/apy"): reference("Yields"),
    ("GET", "/wapi/v1/feeTiers"): reference("FeeTiers"),
    ("GET", "/api/v1/account"): reference("Account"),
    ("PATCH", "/api/v1/account"): _NONE,
    ("GET", "/api/v1/account/limits/order"): reference("MaxOrder"),
    ("GET", "/api/v1/account/limits/borrow"): reference("MaxBorrow"),
    ("GET", "/api/v1/account/limits/withdrawal"): reference("MaxWithdrawal"),
    ("GET", "/api/v1/capital"): reference("Balances"),
    ("GET", "/api/v1/capital/collateral"): reference("Collateral"),
    ("GET", "/wapi/v1/capital/deposit/address"): reference("Address"),
    ("GET", "/api/v1/borrowLend/positions"): listed("Claim"),
    ("POST", "/api/v1/borrowLend"): _NONE,
    ("POST", "/api/v1/account/convertDust"): _NONE,
    ("GET", "/api/v1/order"): reference("Order"),
    ("POST", "/api/v1/order"): reference("Order"),
    ("DELETE", "/api/v1/order"): reference("Order"),
    ("GET", "/api/v1/orders"): listed("Order"),
    ("POST", "/api/v1/orders"): listed("BatchRow"),
    ("DELETE", "/api/v1/orders"): listed("Order"),
    ("GET", "/api/v1/position"): listed("Position"),
    ("GET", "/wapi/v1/history/orders"): listed("OrderHistory"),
    ("GET", "/wapi/v1/history/fills"): listed("Fill"),
    ("GET", "/wapi/v1/history/funding"): listed("Funding"),
    ("GET", "/wapi/v1/history/position"): listed("PositionHistory"),
    ("GET", "/wapi/v1/history/settlement"): listed("Settlement"),
    ("GET", "/wapi/v1/history/borrowLend"): listed("LoanMove"),
    ("GET", "/wapi/v1/history/borrowLend/positions"): listed("Claim"),
    ("GET", "/wapi/v1/history/interest"): listed("Interest"),
    ("GET", "/wapi/v1/history/dust"): listed("Dust"),
}


@cache
def document(rest_url: str, ws_url: str) -> Schema:
    """The document of the exchange at these addresses."""
    paths: dict[str, Schema] = {}
    for (method, path), route in ROUTES.items():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, route)
    return {
        "openapi": VERSION,
        "info": {
            "title": "Simulated Backpack Exchange",
            "version": "1",
            "description": f"What this sandbox implements of the exchange's protocol. Streams: {ws_url}",
        },
        "servers": [{"url": rest_url}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"signature": {"type": "apiKey", "in": "header", "name": words.KEY_HEADER}},
        },
    }


def _operation(method: str, path: str, route: Route) -> Schema:
    key = (method, path)
    is_refused = route.handler is routes.refused
    operation: Schema = {
        "operationId": f"{method.lower()}{path.replace('/', '_')}",
        "summary": (route.handler.__doc__ or "").splitlines()[0],
        "parameters": [_parameter(name, schema) for name, schema in _QUERIES.get(key, {}).items()],
        "responses": _refusals(route) if is_refused else {**_answers(key, route), **_refusals(route)},
    }
    if route.instruction is not None:
        operation |= {"security": [{"signature": []}], "x-instruction": route.instruction}
        operation["parameters"] += [_header(words.TIMESTAMP_HEADER), _header(words.SIGNATURE_HEADER)]
        operation["parameters"].append(_header(words.WINDOW_HEADER, is_required=False))
    if key in _BODIES:
        operation["requestBody"] = {"content": {"application/json": {"schema": _BODIES[key]}}}
    return operation


def _answers(key: tuple[str, str], route: Route) -> Schema:
    shape = _ANSWERS.get(key)
    if shape is None:
        assert route.handler in {public.nothing, history.empty, history.removed}, f"{key} has no documented answer"
        shape = _EMPTY
    if shape == _NONE:
        return {"200": {"description": "done"}}
    if shape == _WORD:
        return {"200": {"description": "plain text", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    found: Schema = {"200": {"description": "the answer", "content": {"application/json": {"schema": shape}}}}
    if key == ("GET", "/api/v1/ticker"):
        found["204"] = {"description": "nothing has traded"}
    if key == ("POST", "/api/v1/order"):
        found["202"] = {"description": "taken, not executed yet"}
    return found


def _refusals(route: Route) -> Schema:
    content = {"application/json": {"schema": reference("Error")}, "text/plain": {"schema": {"type": "string"}}}
    codes = {"400": "refused", "404": "there is no such thing"}
    if route.instruction is not None:
        codes |= {"401": "no account has this key", "429": "too many requests", "503": "under maintenance", "413": "too long"}
    elif route.is_history:
        codes["429"] = "too many requests"
    return {code: {"description": text, "content": content} for code, text in codes.items()}


def _parameter(name: str, schema: Schema) -> Schema:
    return {"name": name.removesuffix("!"), "in": "query", "required": name.endswith("!"), "schema": schema}


def _header(name: str, *, is_required: bool = True) -> Schema:
    return {"name": name, "in": "header", "required": is_required, "schema": {"type": "string"}}
