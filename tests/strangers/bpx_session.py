"""A trading session of bpx-py, as published, against a running sandbox.

Run by hand, in an environment where only bpx-py is installed:

    lemon-trader sandbox --json | python tests/strangers/bpx_session.py

The first line of standard input is the sandbox's readiness line. Exits 1 at the first thing that is not as bpx-py's users expect.
"""

import asyncio
import inspect
import json
import sys
import time

from bpx.account import Account
from bpx.async_.account import Account as AsyncAccount
from bpx.base.base_account import BaseAccount
from bpx.base.base_public import BasePublic
from bpx.public import Public
from loopback_only import stay_on_loopback

SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"


def check(what, is_right, value):
    print("ok " if is_right else "BAD", what, json.dumps(value, default=str)[:150])
    if not is_right:
        sys.exit(1)


def price(text, factor):
    return f"{float(text) * factor:.2f}"


def public_calls():
    p = Public()
    check("get_status", p.get_status() == {"status": "Ok", "message": None}, p.get_status())
    check("get_ping", p.get_ping() == "pong", p.get_ping())
    check("get_time", abs(int(p.get_time()) - time.time() * 1e3) < 5_000, p.get_time())
    check("get_assets", {a["symbol"] for a in p.get_assets()} >= {"SOL", "USDC"}, len(p.get_assets()))
    check("get_collateral", p.get_collateral()[0]["symbol"] == "USDC", p.get_collateral())
    check("get_borrow_lend_markets", p.get_borrow_lend_markets() == [], p.get_borrow_lend_markets())
    check("get_markets", {m["symbol"] for m in p.get_markets()} >= {SPOT, PERP}, p.get_markets()[0])
    check("get_ticker", float(p.get_ticker(SPOT)["lastPrice"]) > 0, p.get_ticker(SPOT))
    check("get_tickers", len(p.get_tickers()) >= 2, len(p.get_tickers()))
    check("get_klines", len(p.get_klines(SPOT, "1m", int(time.time()) - 600)) > 0, p.get_klines(SPOT, "1m", int(time.time()) - 600))
    check("get_open_interest", p.get_open_interest(PERP)[0]["symbol"] == PERP, p.get_open_interest(PERP))
    check("get_funding_interval_rates", len(p.get_funding_interval_rates(PERP)) > 0, p.get_funding_interval_rates(PERP))
    check("get_recent_trades", p.get_recent_trades(SPOT)[0]["id"] > 0, p.get_recent_trades(SPOT)[0])
    check("get_history_trades", p.get_history_trades(SPOT, 5)[0]["id"] > 0, p.get_history_trades(SPOT, 5)[0])
    book = p.get_depth(SPOT)
    check("get_depth: bids ascend", float(book["bids"][0][0]) < float(book["bids"][-1][0]), book["bids"][-1])
    return book["bids"][-1][0], book["asks"][0][0]


def account_calls(ready, bid, ask):
    key = ready["accounts"][0]
    a = Account(key["api_key"], key["secret"])
    check("get_account", a.get_account()["spotMakerFee"] == "8", a.get_account())
    check("update_account", a.update_account(leverage_limit="5") == "", a.get_account()["leverageLimit"])
    check("get_balances", a.get_balances()["USDC"]["available"] == "10000", a.get_balances())
    check("get_collateral", float(a.get_collateral()["netEquity"]) > 0, a.get_collateral())
    check("get_deposits", a.get_deposits(10, 0) == [], 0)
    check("get_withdrawals", a.get_withdrawals(10, 0) == [], 0)
    check("get_borrow_lend_positions", a.get_borrow_lend_positions() == [], 0)
    check("get_max_order_quantity", float(a.get_max_order_quantity(SPOT, "Bid", price=bid)["maxOrderQuantity"]) > 1, 0)
    check("get_max_borrow_quantity", a.get_max_borrow_quantity("SOL")["maxBorrowQuantity"] == "0", 0)
    check("get_max_withdrawal_quantity", a.get_max_withdrawal_quantity("SOL")["maxWithdrawalQuantity"] == "0", 0)
    placed = a.execute_order(SPOT, "Bid", "Limit", "GTC", "0.5", price(bid, 0.9), client_id=77, post_only=True)
    check("execute_order limit", placed["status"] == "New" and placed["clientId"] == 77, placed)
    check("get_open_order by client id", a.get_open_order(SPOT, client_id=77)["id"] == placed["id"], 0)
    check("get_open_orders", len(a.get_open_orders(symbol=SPOT)) == 1, 0)
    check("cancel_order by client id", a.cancel_order(SPOT, client_id=77)["status"] == "Cancelled", 0)
    check("not found", a.get_open_order(SPOT, order_id=placed["id"]) == {"code": "RESOURCE_NOT_FOUND", "message": "Not Found"}, 0)
    crossing = a.execute_order(SPOT, "Bid", "Limit", "GTC", "0.5", price(ask, 1.05), post_only=True)
    check("post-only that crosses", crossing["message"] == "Order would immediately match and take liquidity", crossing)
    long_price = a.execute_order(SPOT, "Bid", "Limit", "GTC", "0.5", "100.123")
    check("precision", long_price == {"code": "INVALID_CLIENT_REQUEST", "message": "Price decimal too long"}, long_price)
    done = a.execute_order(SPOT, "Ask", "Market", quantity="0.5")
    check("execute_order market", done["status"] == "Filled", done)
    check("by quote", a.execute_order(SPOT, "Bid", "Market", quote_quantity="40")["executedQuantity"] != "0", 0)
    check("get_fill_history", a.get_fill_history(symbol=SPOT)[-1]["feeSymbol"] == "USDC", a.get_fill_history(symbol=SPOT))
    check("get_order_history", len(a.get_order_history(symbol=SPOT)) == 3, a.get_order_history(symbol=SPOT)[0])
    check("perp market", a.execute_order(PERP, "Ask", "Market", quantity="1")["status"] == "Filled", 0)
    check("get_open_positions", a.get_open_positions()[0]["netQuantity"] == "-1", a.get_open_positions())
    stop = a.execute_order(PERP, "Bid", "Market", trigger_price=price(ask, 1.2), trigger_quantity="1", quantity="1", reduce_only=True)
    check("trigger", stop["status"] == "TriggerPending" and stop["triggerQuantity"] == "1", stop)
    check("cancel_all_orders", [o["id"] for o in a.cancel_all_orders(PERP)] == [stop["id"]], 0)
    check("close", a.execute_order(PERP, "Bid", "Market", quantity="1", reduce_only=True)["status"] == "Filled", 0)
    check("flat", a.get_open_positions() == [], 0)
    for history in (a.get_borrow_history, a.get_interest_history, a.get_funding_payments, a.get_settlements_history):
        check(history.__name__, history() == [], history())
    check("withdrawal is refused", a.withdrawal("x", "Solana", "1", "SOL")["code"] == "NOT_IMPLEMENTED", 0)
    check("bad secret", Account(key["api_key"], ready["accounts"][1]["secret"]).get_account()["message"] == "Invalid signature", 0)
    check("expired", a.get_balances(window=0)["code"] == "INVALID_CLIENT_REQUEST", a.get_balances(window=0))


async def async_calls(ready, bid):
    key = ready["accounts"][1]
    a = AsyncAccount(key["api_key"], key["secret"])

    async def done(value):
        return await value if inspect.isawaitable(value) else value

    placed = await done(a.execute_order(SPOT, "Bid", "Limit", "GTC", "0.5", price(bid, 0.9)))
    check("async execute_order", placed["status"] == "New", placed)
    gone = await done(a.cancel_order(SPOT, order_id=placed["id"]))
    check("async cancel_order", gone["status"] == "Cancelled", gone)


if __name__ == "__main__":
    stay_on_loopback()
    line = json.loads(sys.stdin.readline())
    BaseAccount.BPX_API_URL = BasePublic.BASE_URL = line["rest_url"] + "/"
    touch = public_calls()
    account_calls(line, *touch)
    asyncio.run(async_calls(line, touch[0]))
    print("all well")
