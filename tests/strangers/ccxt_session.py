"""A trading session of ccxt, as published, against a running sandbox.

Run by hand, in an environment where only ccxt is installed:

    lemon-trader sandbox --json | python tests/strangers/ccxt_session.py

The first line of standard input is the sandbox's readiness line. Exits 1 at the first thing that is not as ccxt's users expect.
"""

import asyncio
import json
import sys

import ccxt
import ccxt.pro
from loopback_only import stay_on_loopback

SPOT, PERP = "SOL/USDC", "SOL/USDC:USDC"


def pointed(make, ready):
    exchange = make({"apiKey": ready["accounts"][0]["api_key"], "secret": ready["accounts"][0]["secret"], "enableRateLimit": False})
    for name in ("public", "private"):
        exchange.urls["api"][name] = ready["rest_url"]
    if "ws" in exchange.urls["api"]:
        exchange.urls["api"]["ws"] = {"public": ready["ws_url"].rstrip("/"), "private": ready["ws_url"].rstrip("/")}
    return exchange


def check(what, is_right, value):
    print("ok " if is_right else "BAD", what, json.dumps(value, default=str)[:160])
    if not is_right:
        sys.exit(1)


def rest(ready):
    x = pointed(ccxt.backpack, ready)
    markets = x.load_markets()
    check("load_markets", {SPOT, PERP} <= set(markets), sorted(markets))
    check("precision", markets[SPOT]["precision"] == {"amount": 0.01, "price": 0.01}, markets[SPOT]["precision"])
    check("fetch_currencies", "SOL" in x.currencies, sorted(x.currencies))
    check("fetch_status", x.fetch_status()["status"] == "ok", x.fetch_status())
    book = x.fetch_order_book(SPOT, 20)
    check("fetch_order_book", book["bids"][0][0] < book["asks"][0][0] and book["bids"][0][0] > book["bids"][1][0], book["bids"][:2])
    check("fetch_ticker", x.fetch_ticker(SPOT)["last"] > 0, x.fetch_ticker(SPOT)["last"])
    check("fetch_tickers", PERP in x.fetch_tickers(), list(x.fetch_tickers()))
    check("fetch_trades", x.fetch_trades(SPOT, limit=5)[0]["price"] > 0, x.fetch_trades(SPOT, limit=1)[0]["price"])
    check("fetch_ohlcv", len(x.fetch_ohlcv(SPOT, "1m", limit=5)) > 0, x.fetch_ohlcv(SPOT, "1m", limit=5)[:1])
    check("fetch_funding_rate", x.fetch_funding_rate(PERP)["fundingRate"] is not None, x.fetch_funding_rate(PERP)["fundingRate"])
    check("fetch_open_interest", x.fetch_open_interest(PERP) is not None, x.fetch_open_interest(PERP)["openInterestAmount"])
    check("fetch_funding_rate_history", x.fetch_funding_rate_history(PERP) is not None, len(x.fetch_funding_rate_history(PERP)))
    check("fetch_balance", x.fetch_balance()["USDC"]["free"] > 0, x.fetch_balance()["USDC"])
    bid, ask = book["bids"][0][0], book["asks"][0][0]
    far = x.price_to_precision(SPOT, bid * 0.9)
    order = x.create_order(SPOT, "limit", "buy", 0.5, far, {"clientOrderId": 7_001})
    check("create limit", order["status"] == "open" and order["clientOrderId"] == "7001", order["info"])
    check("fetch_open_orders", [o["id"] for o in x.fetch_open_orders(SPOT)] == [order["id"]], len(x.fetch_open_orders(SPOT)))
    check("fetch_open_order", x.fetch_open_order(order["id"], SPOT)["id"] == order["id"], order["id"])
    check("locked", x.fetch_balance()["USDC"]["used"] > 0, x.fetch_balance()["USDC"])
    check("cancel_order", x.cancel_order(order["id"], SPOT)["status"] == "canceled", order["id"])
    post = x.create_order(SPOT, "limit", "sell", 0.3, x.price_to_precision(SPOT, ask * 1.1), {"postOnly": True})
    check("create post-only", post["postOnly"] is True and post["status"] == "open", post["info"])
    try:
        x.create_order(SPOT, "limit", "buy", 0.3, x.price_to_precision(SPOT, ask * 1.05), {"postOnly": True})
        check("post-only that crosses", is_right=False, value="was accepted")
    except ccxt.InvalidOrder as error:
        check("post-only that crosses", "immediately match" in str(error), str(error))
    done = x.create_order(SPOT, "market", "buy", 0.25)
    check("create market", done["status"] == "closed" and done["filled"] == 0.25, done["info"])
    by_cost = x.create_order(SPOT, "market", "buy", None, None, {"cost": 50})
    check("market by cost", 0 < by_cost["cost"] <= 50, by_cost["info"])
    check("fetch_my_trades", x.fetch_my_trades(SPOT)[-1]["fee"]["currency"] == "SOL", x.fetch_my_trades(SPOT)[-1]["info"])
    check("fetch_orders", len(x.fetch_orders(SPOT)) >= 3, len(x.fetch_orders(SPOT)))
    both = x.create_orders([
        {"symbol": SPOT, "type": "limit", "side": "buy", "amount": 0.1, "price": bid * 0.9},
        {"symbol": SPOT, "type": "limit", "side": "buy", "amount": 0.2, "price": bid * 0.89, "params": {"postOnly": True}},
    ])  # fmt: skip
    check("create_orders", len(both) == 2 and all(o["status"] == "open" for o in both), [o["id"] for o in both])
    check("cancel_all_orders", len(x.cancel_all_orders(SPOT)) == 3, x.fetch_open_orders(SPOT))
    x.create_order(PERP, "market", "buy", 1)
    held = x.fetch_positions()
    check(
        "fetch_positions", float(held[0]["contracts"]) == 1 and held[0]["side"] == "long", {k: v for k, v in held[0].items() if k != "info"}
    )
    stop = x.create_order(PERP, "market", "sell", 1, None, {"triggerPrice": x.price_to_precision(PERP, bid * 0.8), "reduceOnly": True})
    check("create trigger", stop["info"]["status"] == "TriggerPending", stop["info"])
    check("cancel trigger", x.cancel_order(stop["id"], PERP)["status"] == "canceled", stop["id"])
    x.create_order(PERP, "market", "sell", 1, None, {"reduceOnly": True})
    check("flat", x.fetch_positions() == [], x.fetch_positions())
    check("fetch_funding_history", x.fetch_funding_history(PERP) == [], 0)
    try:
        x.create_order(SPOT, "limit", "buy", 1_000, bid * 0.99)
        check("without funds", is_right=False, value="was accepted")
    except ccxt.InsufficientFunds as error:
        check("without funds", is_right=True, value=str(error))


async def until(watch, is_it):
    while not is_it(seen := await watch()):
        pass
    return seen


async def streams(ready):
    x = pointed(ccxt.pro.backpack, ready)
    try:
        book = await asyncio.wait_for(x.watch_order_book(SPOT), 30)
        check("watch_order_book", book["bids"][0][0] < book["asks"][0][0], book["bids"][:1])
        check("watch_ticker", (await asyncio.wait_for(x.watch_ticker(SPOT), 10))["last"] > 0, 0)
        check("watch_bids_asks", await asyncio.wait_for(x.watch_bids_asks([SPOT]), 10), 0)
        check("watch_trades", await asyncio.wait_for(x.watch_trades(SPOT), 30), 0)
        check("watch_ohlcv", await asyncio.wait_for(x.watch_ohlcv(SPOT, "1m"), 30), 0)
        watching = asyncio.ensure_future(x.watch_orders(SPOT))
        everything = asyncio.ensure_future(x.watch_orders())
        held = asyncio.ensure_future(x.watch_positions([PERP]))
        await asyncio.sleep(0.5)
        placed = await x.create_order(SPOT, "limit", "buy", 0.5, x.price_to_precision(SPOT, book["bids"][0][0] * 0.9))
        seen = await asyncio.wait_for(watching, 10)
        check("watch_orders of a symbol", seen[-1]["id"] == placed["id"] and seen[-1]["status"] == "open", seen[-1]["info"])
        seen = await asyncio.wait_for(everything, 10)
        check("watch_orders of all", seen[-1]["id"] == placed["id"], seen[-1]["id"])
        # Both streams tell of the acceptance, and ccxt keeps no message that nobody waits for: so wait first, and for the right one.
        watching = asyncio.ensure_future(until(lambda: x.watch_orders(SPOT), lambda seen: seen[-1]["status"] == "canceled"))
        await asyncio.sleep(0.1)
        await x.cancel_order(placed["id"], SPOT)
        check("watch_orders: cancelled", (await asyncio.wait_for(watching, 10))[-1]["id"] == placed["id"], placed["id"])
        await x.create_order(PERP, "market", "buy", 1)
        seen = await asyncio.wait_for(held, 10)
        check("watch_positions", float(seen[0]["contracts"]) == 1, seen[0]["info"])
        await x.create_order(PERP, "market", "sell", 1, None, {"reduceOnly": True})
    finally:
        await x.close()


if __name__ == "__main__":
    stay_on_loopback()
    line = json.loads(sys.stdin.readline())
    print("ccxt", ccxt.__version__)
    rest(line)
    asyncio.run(streams(line))
    print("all well")
