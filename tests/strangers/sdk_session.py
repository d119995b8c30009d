"""backpack-exchange-sdk as published: every call of its public, its account and its stream client, and a trading session.

`tests/strangers/run.py` starts it. What this exchange does not offer (withdrawals, quotes on request, strategies) is refused by name, and
paths that the exchange's documents do not know are not found; both are checked here.
"""

import inspect
import itertools
import time
from importlib.metadata import version

from backpack_exchange_sdk._base.errors import BackpackAPIError
from backpack_exchange_sdk.authenticated import AuthenticationClient
from backpack_exchange_sdk.public import PublicClient
from backpack_exchange_sdk.websocket import WebSocketClient
from checks import PERP, SPOT, all_called, begin, check, done, equal, refused, until

NOT_OFFERED = "NOT_IMPLEMENTED"


class Noted:
    """A client that remembers what was called."""

    def __init__(self, client):
        self._client, self.called = client, set()

    def __getattr__(self, name):
        self.called.add(name)
        return getattr(self._client, name)


def offered(kind):
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def limit(side, symbol, price, quantity, **more):
    return {"orderType": "Limit", "side": side, "symbol": symbol, "price": price, "quantity": quantity, **more}


def market(side, symbol, quantity, **more):
    return {"orderType": "Market", "side": side, "symbol": symbol, "quantity": quantity, **more}


def public_calls(p):
    now = int(time.time())
    equal("get_status", p.get_status(), {"status": "Ok", "message": None})
    equal("send_ping", p.send_ping(), "pong")
    check("get_system_time", abs(p.get_system_time() / 1e3 - now) < 5, p.get_system_time())
    equal("get_wallets", p.get_wallets(), [])
    check("get_assets", {"SOL", "USDC"} <= {a["symbol"] for a in p.get_assets()}, p.get_assets())
    check(
        "get_collateral",
        all({"symbol", "imfFunction", "mmfFunction", "haircutFunction"} <= set(c) for c in p.get_collateral()),
        p.get_collateral(),
    )
    check("get_borrow_lend_markets", all(m["state"] in {"Open", "Closed", "RepayOnly"} for m in p.get_borrow_lend_markets()), "")
    past = p.get_borrow_lend_market_history("1w", "USDC")
    check("get_borrow_lend_market_history", len(past) == 1 and 0 < float(past[0]["utilization"]) < 1, past)
    markets = p.get_markets()
    equal("get_market", p.get_market(SPOT)["filters"], next(m["filters"] for m in markets if m["symbol"] == SPOT))
    refused("get_market of no market", lambda: p.get_market("NO_USDC"), BackpackAPIError, "Invalid market symbol")
    equal("get_ticker", p.get_ticker(SPOT, "1w")["symbol"], SPOT)
    equal("get_tickers", len(p.get_tickers()), len(markets))
    check("get_depth", float(p.get_depth(PERP)["bids"][-1][0]) < float(p.get_depth(PERP)["asks"][0][0]) * 1.01, "")
    check("get_klines", all(k["start"] < k["end"] for k in p.get_klines(SPOT, "1m", now - 120, now)), "")
    check("get_klines of the index", isinstance(p.get_klines(PERP, "1m", now - 120, priceType="Index"), list), "")
    refused("get_klines of a strange interval", lambda: p.get_klines(SPOT, "7m", now - 120), BackpackAPIError, "parse parameter")
    (mark,) = p.get_mark_price(PERP)
    check("get_mark_price", abs(float(mark["markPrice"]) / float(mark["indexPrice"]) - 1) < 0.05, mark)
    equal("get_open_interest", [o["symbol"] for o in p.get_open_interest(PERP)], [PERP])
    check("get_funding_interval_rates", p.get_funding_interval_rates(PERP)[0]["symbol"] == PERP, p.get_funding_interval_rates(PERP))
    rows = until("get_recent_trades", lambda: p.get_recent_trades(SPOT, 3), lambda rows: len(rows) == 3)
    check("trades", all(isinstance(t["id"], int) and t["timestamp"] > 1e12 for t in rows), rows)
    equal("get_historical_trades", len(p.get_historical_trades(SPOT, 1, 1)), 1)
    equal("get_prediction_markets", p.get_prediction_markets(), [])
    equal("get_prediction_tags", p.get_prediction_tags(), [])


def account_calls(a):
    equal("get_account", a.get_account()["spotTakerFee"], "10")
    a.update_account(autoLend=True, autoBorrowSettlements=False, autoRepayBorrows=False, leverageLimit="3")
    equal("update_account", (a.get_account()["autoLend"], a.get_account()["leverageLimit"]), (True, "3"))
    lent = {p["symbol"]: p["netQuantity"] for p in a.get_borrow_lend_positions()}
    equal("auto-lend takes what is idle", (lent["SOL"], a.get_balances()["SOL"]["available"]), ("20", "0"))
    a.update_account(autoLend=False, leverageLimit="10")
    a.execute_borrow_lend("20", "Borrow", "SOL")
    equal("execute_borrow_lend redeems", a.get_balances()["SOL"]["available"], "20")
    for asset, quantity in lent.items():
        if asset != "SOL":
            a.execute_borrow_lend(quantity, "Borrow", asset)
    equal("get_borrow_lend_positions", a.get_borrow_lend_positions(), [])
    check(
        "get_borrow_history",
        {r["eventType"] for r in a.get_borrow_history(symbol="SOL")} == {"Lend", "LendRedeem"},
        a.get_borrow_history(symbol="SOL"),
    )
    equal("get_interest_history", a.get_interest_history(symbol="SOL"), [])
    equal("get_borrow_position_history", a.get_borrow_position_history(symbol="SOL"), [])
    check("get_max_borrow_quantity", a.get_max_borrow_quantity("SOL")["symbol"] == "SOL", a.get_max_borrow_quantity("SOL"))
    equal("get_max_order_quantity", a.get_max_order_quantity(SPOT, "Ask", price="150")["maxOrderQuantity"], "20")
    equal("get_max_withdrawal_quantity", a.get_max_withdrawal_quantity("SOL")["maxWithdrawalQuantity"], "20")
    check("get_collateral", float(a.get_collateral()["netEquityAvailable"]) >= 10_000, a.get_collateral())
    for name in ("get_deposits", "get_withdrawals", "get_dust_history", "get_strategy_history"):
        equal(name, getattr(a, name)(), [])
    check("get_deposit_address", "SANDBOX" in a.get_deposit_address("Solana")["address"], "")


def not_offered(a):
    for name, arguments in (
        ("submit_rfq", (SPOT, "Bid", "1")), ("submit_quote", ("1", "150", "151", 1)), ("accept_quote", ("1", "1")), ("refresh_rfq", ("1",)),
        ("cancel_rfq", ("1",)), ("create_strategy", (SPOT, "Bid", "Scheduled")), ("get_strategy", (SPOT, "1")),
        ("cancel_strategy", (SPOT, "1")), ("get_open_strategies", ()), ("cancel_all_strategies", (SPOT,)),
        ("get_rfq_history", ()), ("get_quote_history", ()), ("get_rfq_fill_history", ()), ("get_quote_fill_history", ()),
    ):  # fmt: skip
        refused(name, lambda name=name, arguments=arguments: getattr(a, name)(*arguments), BackpackAPIError, NOT_OFFERED)
    refused("get_estimated_liquidation_price", lambda: a.get_estimated_liquidation_price("e30="), BackpackAPIError, "not found")
    refused("get_withdrawal_delay", a.get_withdrawal_delay, BackpackAPIError, "not found")


def spot_session(a, b, told):
    for row in (limit("Ask", SPOT, "150", "1"), limit("Ask", SPOT, "150.5", "3"), limit("Bid", SPOT, "149.5", "3")):
        equal("the other account's level", b.execute_order(**row)["status"], "New")
    order = a.execute_order(**limit("Bid", SPOT, "150", "1.2", clientId=9, brokerId=1_500, timeInForce="GTC"))
    equal("partial fill", (order["status"], order["executedQuantity"]), ("PartiallyFilled", "1"))
    equal("get_users_open_orders", a.get_users_open_orders(SPOT, clientId=9)["id"], order["id"])
    b.execute_order(**market("Ask", SPOT, "0.2"))
    refused("filled is not found", lambda: a.get_users_open_orders(SPOT, orderId=order["id"]), BackpackAPIError, "Not Found")
    fees = [f["fee"] for f in a.get_fill_history(symbol=SPOT, orderId=order["id"], sortDirection="Asc", fillType="User")]
    equal("get_fill_history", fees, ["0.001", "0.00016"])
    dust = a.execute_order(**market("Ask", SPOT, "21.19", slippageTolerance="1", slippageToleranceType="Percent"))
    equal("a tolerance stops it", (dust["executedQuantity"], dust["slippageToleranceType"]), ("3", "Percent"))
    batch = a.execute_batch_orders(
        [
            limit("Bid", SPOT, "140", "0.1"),
            limit("Bid", SPOT, "149.123", "1"),
            limit("Ask", SPOT, "149", "1", postOnly=True),
            limit("Bid", SPOT, "141", "0.1"),
        ]
    )
    equal("execute_batch_orders", [row["operation"] for row in batch], ["Ok", "Err", "Ok", "Ok"])
    equal("a batch's error", (batch[1]["code"], batch[1]["message"]), ("INVALID_CLIENT_REQUEST", "Price decimal too long"))
    equal("get_open_orders", {o["price"] for o in a.get_open_orders(SPOT, "SPOT")}, {"140", "141", "149"})
    equal("cancel_open_order", a.cancel_open_order(SPOT, orderId=batch[0]["id"])["status"], "Cancelled")
    trigger = a.execute_order(**market("Ask", SPOT, None, triggerPrice="100", triggerQuantity="80%", triggerBy="LastPrice"))
    equal("trigger of a share", (trigger["status"], trigger["triggerQuantity"]), ("TriggerPending", "80%"))
    equal("conditional orders alone", [o["id"] for o in a.cancel_open_orders(SPOT, "ConditionalOrder")], [trigger["id"]])
    equal("limit orders alone", len(a.cancel_open_orders(SPOT, "RestingLimitOrder")), 2)
    history = {o["id"]: o["status"] for o in a.get_order_history(symbol=SPOT, sortDirection="Asc")}
    equal("get_order_history", (history[order["id"]], history[dust["id"]], history[trigger["id"]]), ("Filled", dust["status"], "Cancelled"))
    refused("too little", lambda: a.execute_order(**limit("Bid", SPOT, "140", "0.001")), BackpackAPIError, "uantity")
    orders = told["account.orderUpdate"]
    mine = until("orderUpdate", lambda: [u for u in orders if u["i"] == order["id"]], lambda rows: len(rows) == 3)
    equal(
        "its events",
        [(u["e"], u["X"], float(u["z"])) for u in mine],
        [("orderAccepted", "New", 0), ("orderFill", "PartiallyFilled", 1), ("orderFill", "Filled", 1.2)],
    )
    equal(
        "its fill",
        [(float(u["l"]), float(u["L"]), u["m"], u["n"], u["N"], u["c"]) for u in mine[1:]],
        [(1, 150, False, "0.001", "SOL", 9), (0.2, 150, True, "0.00016", "SOL", 9)],
    )
    equal("its nulls", [u["t"] is None for u in mine], [True, False, False])
    equal("of this market alone too", [u["i"] for u in told[f"account.orderUpdate.{SPOT}"]], [u["i"] for u in orders])
    equal(
        "balanceUpdate",
        {u["a"] for u in until("balances", lambda: told["account.balanceUpdate"], lambda rows: len(rows) >= 4)},
        {"SOL", "USDC"},
    )


def perp_session(a, b, told):
    for row in (limit("Ask", PERP, "150", "1"), limit("Bid", PERP, "149", "5"), limit("Ask", PERP, "151", "5")):
        b.execute_order(**row)
    order = a.execute_order(**limit("Bid", PERP, "150", "2", stopLossTriggerPrice="120", takeProfitTriggerPrice="200"))
    equal("perpetual: partial fill", (order["status"], order["executedQuoteQuantity"]), ("PartiallyFilled", "150"))
    (held,) = a.get_open_positions(PERP, "PERP")
    equal("get_open_positions", (held["netQuantity"], held["entryPrice"], held["netExposureQuantity"]), ("1", "150", "2"))
    b.execute_order(**market("Ask", PERP, "1"))
    equal("it is filled", a.get_open_positions(PERP)[0]["netQuantity"], "2")
    armed = a.get_open_orders(PERP)
    equal(
        "bracket",
        {(o["status"], o["side"], o["triggerPrice"]) for o in armed},
        {("TriggerPending", "Ask", "120"), ("TriggerPending", "Ask", "200")},
    )
    closed = a.execute_order(**market("Ask", PERP, "5", reduceOnly=True))
    equal("reduce only", closed["executedQuantity"], "2")
    refused("flat", lambda: a.get_open_positions(PERP), BackpackAPIError, "Not Found")
    equal("flat everywhere", a.get_open_positions(), [])
    (past,) = a.get_position_history(symbol=PERP, state="Closed")
    equal("get_position_history", (past["state"], past["cumulativePnlRealized"]), ("Closed", "-2"))
    equal("get_funding_payments", a.get_funding_payments(symbol=PERP), [])
    equal("get_settlement_history", list(a.get_settlement_history(source="FundingPayment")), [])
    a.cancel_open_orders(PERP)
    moves = until("positionUpdate", lambda: told["account.positionUpdate"], lambda rows: rows and rows[-1].get("e") == "positionClosed")
    equal("its events", [(m["e"], float(m["q"])) for m in moves], [("positionOpened", 1), ("positionAdjusted", 2), ("positionClosed", 0)])


def streams(ready, key=None):
    """A stream client whose one address is this sandbox's; what it was told, by stream."""

    class Here(WebSocketClient):
        def _connect(self):
            self.base_url = ready["ws_url"]
            super()._connect()

    told = {}
    socket = Here(*(() if key is None else (key["api_key"], key["secret"])))

    def listen(names, *, is_private=False):
        for name in names:
            told[name] = []
            socket.subscribe([name], told[name].append, is_private=is_private)

    return listen, told, socket


def public_streams(ready):
    listen, told, socket = streams(ready)
    names = [f"{kind}.{PERP}" for kind in ("depth", "depth.200ms", "bookTicker", "trade", "ticker", "markPrice")]
    listen([*names, f"kline.1m.{PERP}", "depth.NO_USDC"])
    until("every public stream", lambda: {name: len(rows) for name, rows in told.items()}, lambda n: all(n[name] for name in names), 60)
    until("every depth id", lambda: len(told[f"depth.{PERP}"]), lambda n: n > 20)
    deltas = told[f"depth.{PERP}"][:50]
    check("depth ids without a gap", all(b["U"] == a["u"] + 1 for a, b in itertools.pairwise(deltas)), deltas[:3])
    check("microseconds", all(d["E"] > 1e15 and d["T"] <= d["E"] for d in deltas), deltas[:1])
    trade = told[f"trade.{PERP}"][0]
    check("trade", {"e", "E", "T", "s", "p", "q", "b", "a", "t", "m"} == set(trade) and isinstance(trade["t"], int), trade)
    mark = told[f"markPrice.{PERP}"][0]
    check("markPrice", {"e", "E", "T", "s", "p", "f", "i", "n"} == set(mark), mark)
    check("ticker", set(told[f"ticker.{PERP}"][0]) == {"e", "E", "s", "o", "c", "h", "l", "v", "V", "n"}, told[f"ticker.{PERP}"][0])
    equal("an unknown symbol is silent", told["depth.NO_USDC"], [])
    socket.unsubscribe([f"trade.{PERP}"])


def main():
    alive, still = begin()
    public = Noted(PublicClient(base_url=alive["rest_url"] + "/", timeout=10))
    public_calls(public)
    public_streams(alive)
    a, b = (Noted(AuthenticationClient(k["api_key"], k["secret"], base_url=still["rest_url"] + "/", timeout=10)) for k in still["accounts"])
    account_calls(a)
    listen, told, _ = streams(still, still["accounts"][0])
    listen(["account.orderUpdate", f"account.orderUpdate.{SPOT}", "account.positionUpdate", "account.balanceUpdate"], is_private=True)
    time.sleep(0.3)  # a subscription has no acknowledgement
    spot_session(a, b, told)
    perp_session(a, b, told)
    not_offered(a)
    rest = a.get_balances()["SOL"]["available"]
    a.convert_dust("SOL")
    check("convert_dust leaves what can be sold", a.get_balances()["SOL"]["available"] == rest, rest)
    all_called("PublicClient", offered(PublicClient), public.called, set())
    left_out = {"request_withdrawal", "create_withdrawal_delay", "update_withdrawal_delay"}
    all_called("AuthenticationClient", offered(AuthenticationClient), a.called, left_out)
    done(f"backpack-exchange-sdk {version('backpack-exchange-sdk')}")


if __name__ == "__main__":
    main()
