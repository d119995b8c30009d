"""ccxt as published, REST and ccxt.pro streams: every unified call it offers for this exchange, and a session on spot and on a perpetual.

`tests/strangers/run.py` starts it. ccxt is pointed elsewhere by its own `urls`. Its withdrawal alone is left out.
"""

import asyncio
import time

import ccxt
import ccxt.pro
from checks import all_called, begin, check, done, equal, refused

SPOT, PERP = "SOL/USDC", "SOL/USDC:USDC"
UNIFIED = ("fetch_", "create_", "cancel_", "watch_", "un_watch_", "withdraw")


def pointed(make, ready, account=0):
    """An exchange of ccxt that talks to this sandbox, and remembers the unified calls that were made."""
    key = ready["accounts"][account]
    exchange = make({"apiKey": key["api_key"], "secret": key["secret"], "enableRateLimit": False})
    for name in ("public", "private"):
        exchange.urls["api"][name] = ready["rest_url"]
    if "ws" in exchange.urls["api"]:
        exchange.urls["api"]["ws"] = {"public": ready["ws_url"].rstrip("/"), "private": ready["ws_url"].rstrip("/")}
    return exchange


class Noted:
    """An exchange that remembers what was called."""

    def __init__(self, exchange, called):
        self._exchange, self._called = exchange, called

    def __getattr__(self, name):
        if name.startswith(UNIFIED):
            self._called.add(name)
        return getattr(self._exchange, name)


def offered(kind):
    """What ccxt's own class for this exchange says: what it inherits is made of these."""
    return {name for name in vars(kind) if name.startswith(UNIFIED) and name.islower()}


def public_calls(x):
    markets = x.load_markets()
    check("load_markets", {SPOT, PERP} <= set(markets), sorted(markets))
    equal("precision", markets[SPOT]["precision"], {"amount": 0.01, "price": 0.01})
    equal("a perpetual", [markets[PERP][name] for name in ("swap", "linear", "settle", "contractSize")], [True, True, "USDC", 1])
    equal("fetch_markets", sorted(m["symbol"] for m in x.fetch_markets()), sorted(markets))
    check("fetch_currencies", "Solana" in str(x.fetch_currencies()["SOL"]["info"]), x.currencies["SOL"])
    equal("fetch_status", x.fetch_status()["status"], "ok")
    check("fetch_time", isinstance(x.fetch_time(), int), x.fetch_time())  # ccxt reads the first digit alone
    book = x.fetch_order_book(SPOT, 20)
    check("fetch_order_book", book["bids"][0][0] < book["asks"][0][0] and book["bids"][0][0] > book["bids"][1][0], book["bids"][:2])
    check("fetch_order_book: size", len(book["bids"]) <= 20 and abs(book["timestamp"] / 1e3 - time.time()) < 5, book["timestamp"])
    ticker = x.fetch_ticker(SPOT)
    check("fetch_ticker", ticker["low"] <= ticker["last"] <= ticker["high"], ticker)
    equal("fetch_tickers", sorted(x.fetch_tickers()), sorted(markets))
    trades = x.fetch_trades(SPOT, limit=5)
    check("fetch_trades", len(trades) == 5 and trades[0]["timestamp"] <= trades[-1]["timestamp"], trades)
    bars = x.fetch_ohlcv(SPOT, "1m", since=int((time.time() - 300) * 1e3), limit=5)
    check("fetch_ohlcv", bars and all(low <= close <= high for _, _, high, low, close, _ in bars), bars)
    rate = x.fetch_funding_rate(PERP)
    check("fetch_funding_rate", rate["markPrice"] > 0 and abs(rate["fundingRate"]) < 0.01, rate)
    interest = x.fetch_open_interest(PERP)
    check("fetch_open_interest", interest["symbol"] == PERP and interest["openInterestValue"] >= 0, interest)
    check("fetch_funding_rate_history", all(r["symbol"] == PERP for r in x.fetch_funding_rate_history(PERP)), "")
    refused("no such market", lambda: x.publicGetApiV1Depth({"symbol": "NO_USDC"}), ccxt.BadRequest, "Invalid market symbol")


def spot_session(a, b):
    for side, amount, price in (("sell", 1, 150), ("sell", 2, 150.5), ("buy", 2, 149.5)):
        equal("the other account's level", b.create_order(SPOT, "limit", side, amount, price)["status"], "open")
    order = a.create_order(SPOT, "limit", "buy", 1.5, 150, {"clientOrderId": 7_001})
    equal("partial fill", [order[name] for name in ("status", "filled", "remaining", "clientOrderId")], ["open", 1, 0.5, "7001"])
    equal("fetch_open_orders", [o["id"] for o in a.fetch_open_orders(SPOT)], [order["id"]])
    equal("fetch_open_order", a.fetch_open_order(order["id"], SPOT)["remaining"], 0.5)
    equal("fetch_balance: used", a.fetch_balance()["USDC"], {"free": 9_775, "used": 75, "total": 9_850})
    equal("the rest is sold to it", b.create_order(SPOT, "market", "sell", 0.5)["filled"], 0.5)
    trades = [(t["amount"], t["price"], t["takerOrMaker"], t["fee"]["cost"], t["fee"]["currency"]) for t in a.fetch_my_trades(SPOT)]
    equal(
        "fetch_my_trades",
        trades,
        [(0.5, 150, "maker", 0.0004, "SOL"), (1, 150, "taker", 0.001, "SOL")][:: 1 if trades[0][0] == 0.5 else -1],
    )
    equal("fetch_balance", (a.fetch_balance()["SOL"]["free"], a.fetch_balance()["USDC"]["free"]), (21.4986, 9_775))
    by_cost = a.create_order(SPOT, "market", "buy", None, None, {"cost": 50})
    check("market by cost", 48 < by_cost["cost"] <= 50 and by_cost["status"] == "closed", by_cost["info"])
    equal("market sell", a.create_order(SPOT, "market", "sell", 0.5)["average"], 149.5)
    post = a.create_order(SPOT, "limit", "sell", 0.3, 160, {"postOnly": True})
    equal("post-only", (post["postOnly"], post["status"]), (True, "open"))
    refused(
        "post-only that crosses",
        lambda: a.create_order(SPOT, "limit", "buy", 0.3, 152, {"postOnly": True}),
        ccxt.InvalidOrder,
        "immediately match",
    )
    refused("without funds", lambda: a.create_order(SPOT, "limit", "buy", 1_000, 149), ccxt.InsufficientFunds, "INSUFFICIENT_FUNDS")
    refused("a size below the step", lambda: a.create_order(SPOT, "limit", "buy", 0.001, 149), ccxt.InvalidOrder, "amount")
    equal("immediate or cancel", a.create_order(SPOT, "limit", "buy", 0.3, 140, {"timeInForce": "IOC"})["info"]["status"], "Expired")
    equal("cancel_order", a.cancel_order(post["id"], SPOT)["status"], "canceled")
    refused("cancelled is not found", lambda: a.cancel_order(post["id"], SPOT), ccxt.ExchangeNotAvailable, "Not Found")
    both = a.create_orders([
        {"symbol": SPOT, "type": "limit", "side": "buy", "amount": 0.1, "price": 140},
        {"symbol": SPOT, "type": "limit", "side": "buy", "amount": 0.2, "price": 139, "params": {"postOnly": True}},
    ])  # fmt: skip
    equal("create_orders", [(o["status"], o["price"]) for o in both], [("open", 140), ("open", 139)])
    equal("cancel_all_orders", sorted(o["id"] for o in a.cancel_all_orders(SPOT)), sorted(o["id"] for o in both))
    equal("nothing is open", a.fetch_open_orders(SPOT), [])
    history = {o["id"]: o["status"] for o in a.fetch_orders(SPOT)}
    equal("fetch_orders", (history[order["id"]], history[post["id"]]), ("closed", "canceled"))


def perp_session(a, b):
    for side, amount, price in (("sell", 1, 150), ("sell", 5, 151), ("buy", 5, 149)):
        b.create_order(PERP, "limit", side, amount, price)
    order = a.create_order(PERP, "limit", "buy", 2, 150)
    equal("perpetual: partial fill", (order["filled"], order["remaining"], order["cost"]), (1, 1, 150))
    b.create_order(PERP, "market", "sell", 1)
    (held,) = a.fetch_positions()
    equal("fetch_positions", (held["symbol"], held["side"], float(held["contracts"]), float(held["entryPrice"])), (PERP, "long", 2, 150))
    stop = a.create_order(PERP, "market", "sell", 2, None, {"triggerPrice": "120", "reduceOnly": True})
    equal("trigger", (stop["info"]["status"], float(stop["info"]["triggerPrice"])), ("TriggerPending", 120))
    equal("cancel trigger", a.cancel_order(stop["id"], PERP)["status"], "canceled")
    parent = a.create_order(
        PERP, "limit", "buy", 0.1, 140, {"stopLoss": {"triggerPrice": "100"}, "takeProfit": {"triggerPrice": "200", "price": "199"}}
    )
    equal(
        "stop loss and take profit",
        [float(parent["info"][n]) for n in ("stopLossTriggerPrice", "takeProfitTriggerPrice", "takeProfitLimitPrice")],
        [100, 200, 199],
    )
    equal("cancel_all_orders of a perpetual", [o["id"] for o in a.cancel_all_orders(PERP)], [parent["id"]])
    equal("reduce only", a.create_order(PERP, "market", "sell", 9, None, {"reduceOnly": True})["filled"], 2)
    equal("flat", a.fetch_positions(), [])
    equal("fetch_funding_history", a.fetch_funding_history(PERP), [])
    fees = sorted((t["fee"]["cost"], t["fee"]["currency"]) for t in a.fetch_my_trades(PERP))
    equal("perpetual: fees", fees, [(0.03, "USDC"), (0.075, "USDC"), (0.149, "USDC")])


def other_account_calls(a):
    equal("fetch_deposits", a.fetch_deposits(), [])
    equal("fetch_withdrawals", a.fetch_withdrawals(), [])
    address = a.fetch_deposit_address("USDC", {"network": "SOL"})
    check("fetch_deposit_address", "SANDBOX" in address["address"], address)


async def soon(awaitable, seconds=30):
    return await asyncio.wait_for(awaitable, seconds)


async def unwatched(awaitable):
    """No answer to an UNSUBSCRIBE is waited for by ccxt; should it wait after all, then for one that no exchange sends."""
    await asyncio.wait_for(awaitable, 5)


async def public_streams(x):
    book = await soon(x.watch_order_book(SPOT))
    check("watch_order_book", book["bids"][0][0] < book["asks"][0][0], book["bids"][:1])
    for _ in range(20):
        book = await soon(x.watch_order_book(SPOT))
    rest = await x.fetch_order_book(SPOT, 50)
    check(
        "its book stays near the exchange's",
        abs(book["bids"][0][0] / rest["bids"][0][0] - 1) < 0.01 and book["bids"][0][0] < book["asks"][0][0],
        book["bids"][0],
    )
    books = await soon(x.watch_order_book_for_symbols([PERP, "BTC/USDC"]))
    check("watch_order_book_for_symbols", books["symbol"] in {PERP, "BTC/USDC"}, books["symbol"])
    check("watch_ticker", (await soon(x.watch_ticker(SPOT)))["last"] > 0, "")
    check("watch_tickers", set(await soon(x.watch_tickers([SPOT, PERP]))) <= {SPOT, PERP}, "")
    best = (await soon(x.watch_bids_asks([SPOT])))[SPOT]
    check("watch_bids_asks", best["bid"] < best["ask"] and best["bidVolume"] > 0, best)
    (trade, *_) = await soon(x.watch_trades(SPOT))
    check(
        "watch_trades", trade["side"] in {"buy", "sell"} and trade["price"] > 0 and abs(trade["timestamp"] / 1e3 - time.time()) < 30, trade
    )
    check("watch_trades_for_symbols", (await soon(x.watch_trades_for_symbols([PERP, SPOT])))[0]["symbol"] in {SPOT, PERP}, "")
    (bar, *_) = await soon(x.watch_ohlcv(SPOT, "1m"))
    check("watch_ohlcv", bar[3] <= bar[4] <= bar[2], bar)
    bars = await soon(x.watch_ohlcv_for_symbols([[PERP, "1m"]]))
    check("watch_ohlcv_for_symbols", list(bars) == [PERP], bars)
    await unwatched(x.un_watch_order_book_for_symbols([PERP, "BTC/USDC"]))
    await unwatched(x.un_watch_order_book(SPOT))
    await unwatched(x.un_watch_tickers([PERP]))
    await unwatched(x.un_watch_ticker(SPOT))
    await unwatched(x.un_watch_bids_asks([SPOT]))
    await unwatched(x.un_watch_trades_for_symbols([PERP]))
    await unwatched(x.un_watch_trades(SPOT))
    await unwatched(x.un_watch_ohlcv_for_symbols([[PERP, "1m"]]))
    await unwatched(x.un_watch_ohlcv(SPOT, "1m"))


async def until(watch, is_it):
    while not is_it(seen := await watch()):
        pass
    return seen


async def private_streams(x, b):
    watching = asyncio.ensure_future(x.watch_orders(SPOT))
    everything = asyncio.ensure_future(x.watch_orders())
    held = asyncio.ensure_future(x.watch_positions([PERP]))
    await asyncio.sleep(0.5)  # a subscription has no acknowledgement
    placed = await x.create_order(SPOT, "limit", "buy", 0.5, 148)
    seen = await soon(watching)
    equal("watch_orders of a symbol", (seen[-1]["id"], seen[-1]["status"]), (placed["id"], "open"))
    equal("watch_orders of all", (await soon(everything))[-1]["id"], placed["id"])
    # Both streams tell of the acceptance, and ccxt keeps no message that nobody waits for: so wait first, and for the right one.
    watching = asyncio.ensure_future(until(lambda: x.watch_orders(SPOT), lambda seen: seen[-1]["status"] == "canceled"))
    await asyncio.sleep(0.1)
    await x.cancel_order(placed["id"], SPOT)
    equal("watch_orders: cancelled", (await soon(watching))[-1]["id"], placed["id"])
    b.create_order(PERP, "limit", "sell", 5, 151)
    await x.create_order(PERP, "market", "buy", 1)
    seen = await soon(held)
    equal("watch_positions", (float(seen[0]["contracts"]), seen[0]["info"]["e"]), (1, "positionOpened"))
    watching = asyncio.ensure_future(until(lambda: x.watch_positions([PERP]), lambda seen: seen[0]["info"]["e"] == "positionClosed"))
    await asyncio.sleep(0.1)
    await x.create_order(PERP, "market", "sell", 1, None, {"reduceOnly": True})
    await soon(watching)
    equal("async fetch_positions", await x.fetch_positions(), [])
    await unwatched(x.un_watch_positions([PERP]))
    await unwatched(x.un_watch_orders(SPOT))


async def streams(alive, still, b, called):
    for ready, talk in ((alive, public_streams), (still, lambda x: private_streams(x, b))):
        x = pointed(ccxt.pro.backpack, ready)
        try:
            await x.load_markets()
            await talk(Noted(x, called))
        finally:
            await x.close()


def main():
    alive, still = begin()
    called, watched = set(), set()
    public_calls(Noted(pointed(ccxt.backpack, alive), called))
    a, b = (Noted(pointed(ccxt.backpack, still, number), called) for number in (0, 1))
    spot_session(a, b)
    perp_session(a, b)
    other_account_calls(a)
    asyncio.run(streams(alive, still, b, watched))
    all_called("ccxt.backpack", offered(ccxt.backpack), called, {"create_order_request", "withdraw"})
    all_called("ccxt.pro.backpack", offered(ccxt.pro.backpack), watched, {"watch_private", "watch_public"})
    done(f"ccxt {ccxt.__version__}")


if __name__ == "__main__":
    main()
