"""bpx-py as published: every call that is neither a withdrawal nor a quote on request, synchronous or asynchronous, and a trading session.

`tests/strangers/run.py` starts it; its one argument is `sync` or `async`. The account's session on spot and on a perpetual runs against
still books, where the other account is the whole market, so that every figure is known beforehand.
"""

import asyncio
import inspect
import sys
import time
from importlib.metadata import version

import bpx.account
import bpx.async_.account
import bpx.async_.public
import bpx.public
from bpx.base.base_account import BaseAccount
from bpx.base.base_public import BasePublic
from checks import PERP, SPOT, all_called, begin, check, done, equal, until

NOT_FOUND = {"code": "RESOURCE_NOT_FOUND", "message": "Not Found"}


class Plain:
    """A client whose answers are plain values, whether it is asynchronous or not, and that remembers what was called."""

    def __init__(self, client, loop, called):
        self._client, self._loop, self._called = client, loop, called

    def __getattr__(self, name):
        def call(*args, **named):
            value = getattr(self._client, name)(*args, **named)
            self._called.add(name)
            while inspect.isawaitable(value):
                value = self._loop.run_until_complete(value)
            return value

        return call


def offered(kind):
    return {
        name
        for name, _ in inspect.getmembers(kind, callable)
        if name.startswith(("get_", "execute_", "cancel_", "update_", "submit_", "withdraw"))
    }


def pointed(rest_url):
    """The package's own class attributes say where the exchange is."""
    BaseAccount.BPX_API_URL = BasePublic.BASE_URL = rest_url + "/"


def public_calls(p, *, has_get_market):
    equal("get_status", p.get_status(), {"status": "Ok", "message": None})
    equal("get_ping", p.get_ping(), "pong")
    check("get_time", abs(int(p.get_time()) - time.time() * 1e3) < 5_000, p.get_time())
    check("get_assets", {a["symbol"] for a in p.get_assets()} >= {"SOL", "USDC", "BTC", "ETH"}, p.get_assets())
    sol = next(a for a in p.get_assets() if a["symbol"] == "SOL")
    check("a token", {"blockchain", "nativeDecimals", "withdrawalFee", "minimumDeposit"} <= set(sol["tokens"][0]), sol)
    usdc = next(c for c in p.get_collateral() if c["symbol"] == "USDC")
    check("get_collateral", usdc["haircutFunction"] == {"weight": "1", "kind": {"type": "identity"}}, usdc)
    pools = p.get_borrow_lend_markets()
    check("get_borrow_lend_markets", {m["symbol"] for m in pools} >= {"SOL", "USDC"}, pools)
    check("a pool's rates", 0 <= float(pools[0]["lendInterestRate"]) <= float(pools[0]["borrowInterestRate"]) < 10, pools[0])
    rows = p.get_borrow_lend_market_history("1d", "SOL")
    sol_pool = next(m for m in pools if m["symbol"] == "SOL")
    check("get_borrow_lend_market_history", rows[-1]["borrowedQuantity"] == sol_pool["borrowedQuantity"], rows)
    markets = {m["symbol"]: m for m in p.get_markets()}
    check("get_markets", {SPOT, PERP} <= set(markets), sorted(markets))
    check("a spot market", markets[SPOT]["marketType"] == "SPOT" and markets[SPOT]["imfFunction"] is None, markets[SPOT])
    check("a perpetual", markets[PERP]["fundingInterval"] == 3_600_000 and markets[PERP]["imfFunction"]["type"] == "sqrt", markets[PERP])
    if has_get_market:  # of the synchronous client alone; it asks for all markets
        check("get_market", {m["symbol"] for m in p.get_market()} == set(markets), "")
    ticker = p.get_ticker(SPOT)
    check("get_ticker", float(ticker["low"]) <= float(ticker["lastPrice"]) <= float(ticker["high"]), ticker)
    check("get_tickers", {t["symbol"] for t in p.get_tickers()} >= {SPOT, PERP}, p.get_tickers())
    book = p.get_depth(SPOT)
    bids, asks = ([float(price) for price, _ in book[side]] for side in ("bids", "asks"))
    check("get_depth: both sides ascend", bids == sorted(bids) and asks == sorted(asks) and bids[-1] < asks[0], book)
    bars = p.get_klines(SPOT, "1m", int(time.time()) - 600, int(time.time()))
    check("get_klines", 1 <= len(bars) <= 11 and float(bars[-1]["low"]) <= float(bars[-1]["close"]), bars)
    rates = p.get_funding_interval_rates(PERP, 10, 0)
    check("get_funding_interval_rates", rates and rates[0]["symbol"] == PERP and abs(float(rates[0]["fundingRate"])) < 0.01, rates)
    check("get_open_interest", [o["symbol"] for o in p.get_open_interest(PERP)] == [PERP], p.get_open_interest(PERP))
    marks = p.get_all_mark_prices(PERP)
    check(
        "get_all_mark_prices",
        len(marks) == 1 and float(marks[0]["markPrice"]) > 0 and marks[0]["nextFundingTimestamp"] % 3_600_000 == 0,
        marks,
    )
    trades = until("get_recent_trades", lambda: p.get_recent_trades(SPOT, 5), lambda rows: len(rows) == 5)
    check("trades: newest first", [t["id"] for t in trades] == sorted((t["id"] for t in trades), reverse=True), trades)
    older = p.get_history_trades(SPOT, 2, 1)
    check("get_history_trades", len(older) == 2 and {t["id"] for t in older} <= {t["id"] for t in p.get_recent_trades(SPOT, 1_000)}, older)


def placed(a, symbol, side, quantity, price=None, **more):
    kind = "Limit" if price else "Market"
    order = a.execute_order(symbol, side, kind, quantity=quantity, price=price, time_in_force="GTC" if price else None, **more)
    check(f"{kind} {side} {quantity} {symbol}", order.get("symbol") == symbol and order.get("side") == side, order)
    return order


def state(order):
    return order["status"], order["executedQuantity"], order["executedQuoteQuantity"]


def spot_session(a, b):
    """Buy 1.5 at 150 of which the other account sells 1 at once and 0.5 later; sell 1 by quote; cancel in every way."""
    for number, (side, price, quantity) in enumerate(
        (("Ask", "150", "1"), ("Ask", "150.1", "2"), ("Bid", "149.9", "1"), ("Bid", "149.8", "2"))
    ):
        equal("the other account's level", placed(b, SPOT, side, quantity, price, client_id=number + 1)["status"], "New")
    check(
        "rests in the order book", a.get_open_orders(symbol=SPOT) == [] and len(b.get_open_orders("SPOT", SPOT)) == 4, b.get_open_orders()
    )
    order = placed(a, SPOT, "Bid", "1.5", "150", client_id=77)
    equal("partial fill", state(order), ("PartiallyFilled", "1", "150"))
    equal("locked", a.get_balances()["USDC"]["locked"], "75")
    equal("get_open_order", a.get_open_order(SPOT, client_id=77)["id"], order["id"])
    equal("sold to it", state(placed(b, SPOT, "Ask", "0.5")), ("Filled", "0.5", "75"))
    equal("filled is not open any more", a.get_open_order(SPOT, order_id=order["id"]), NOT_FOUND)
    fills = a.get_fill_history(SPOT, 100, 0, 1, int(time.time() * 1e3) + 60_000, "User", "SPOT")
    figures = [(f["price"], f["quantity"], f["fee"], f["feeSymbol"], f["isMaker"], f["side"], f["clientId"]) for f in fills]
    mine = ("Bid", "77")
    equal("get_fill_history", figures, [("150", "0.5", "0.0004", "SOL", True, *mine), ("150", "1", "0.001", "SOL", False, *mine)])
    held = a.get_balances()
    equal("get_balances", (held["SOL"]["available"], held["USDC"]["available"], held["USDC"]["locked"]), ("21.4986", "9775", "0"))
    equal("market sell of two levels", state(placed(a, SPOT, "Ask", "1.5")), ("Filled", "1.5", "224.8"))
    by_quote = a.execute_order(SPOT, "Bid", "Market", quote_quantity="151")
    check("market buy by quote", by_quote["status"] == "Filled" and 149 < float(by_quote["executedQuoteQuantity"]) <= 151, by_quote)
    crossing = a.execute_order(SPOT, "Bid", "Limit", "GTC", "0.5", "151", post_only=True)
    equal("post-only that crosses", crossing, {"code": "INVALID_ORDER", "message": "Order would immediately match and take liquidity"})
    equal("immediate or cancel", a.execute_order(SPOT, "Bid", "Limit", "IOC", "0.5", "149")["status"], "Expired")
    equal("fill or kill", a.execute_order(SPOT, "Bid", "Limit", "FOK", "50", "150.1")["executedQuantity"], "0")
    equal(
        "precision",
        a.execute_order(SPOT, "Bid", "Limit", "GTC", "0.5", "100.123"),
        {"code": "INVALID_CLIENT_REQUEST", "message": "Price decimal too long"},
    )
    equal("funds", a.execute_order(SPOT, "Bid", "Limit", "GTC", "1000", "149")["code"], "INSUFFICIENT_FUNDS")
    rests = placed(a, SPOT, "Bid", "0.5", "140", post_only=True, self_trade_prevention="RejectBoth")
    equal("post-only that rests", (rests["status"], rests["postOnly"], rests["selfTradePrevention"]), ("New", True, "RejectBoth"))
    gone = a.cancel_order(SPOT, order_id=rests["id"])
    equal("cancel_order by id", (gone["id"], gone["status"]), (rests["id"], "Cancelled"))
    equal("cancel_order again", a.cancel_order(SPOT, order_id=rests["id"]), NOT_FOUND)
    placed(a, SPOT, "Bid", "0.5", "140", client_id=4_294_967_295)
    equal("cancel_order by client id", a.cancel_order(SPOT, client_id=4_294_967_295)["clientId"], 4_294_967_295)
    ids = [placed(a, SPOT, "Bid", "0.1", price)["id"] for price in ("141", "142")]
    equal("cancel_all_orders", sorted(o["id"] for o in a.cancel_all_orders(SPOT)), sorted(ids))
    equal("nothing left to cancel", a.cancel_all_orders(SPOT), [])
    history = a.get_order_history(SPOT, order["id"], 10, 0, "SPOT")
    equal("get_order_history", [(o["id"], o["status"], o["executedQuantity"]) for o in history], [(order["id"], "Filled", "1.5")])
    pages = [o["id"] for offset in (0, 2, 4) for o in a.get_order_history(symbol=SPOT, limit=2, offset=offset)]
    equal("pages of the history", pages, [o["id"] for o in a.get_order_history(symbol=SPOT, limit=6)])


def perp_session(a, b, *, sends_flags):
    """Go short 1.5 at 150, see the position, close it by reduce-only; triggers, brackets, histories."""
    for side, price, quantity in (("Bid", "150", "1"), ("Bid", "149.9", "5"), ("Ask", "150.1", "5")):
        placed(b, PERP, side, quantity, price)
    before = float(a.get_balances()["USDC"]["available"])
    order = placed(a, PERP, "Ask", "1.5", "150")
    equal("perpetual: partial fill", state(order), ("PartiallyFilled", "1", "150"))
    equal("perpetual: the rest", state(placed(b, PERP, "Bid", "0.5", "150")), ("Filled", "0.5", "75"))
    (held,) = a.get_open_positions()
    equal("get_open_positions", (held["symbol"], held["netQuantity"], held["entryPrice"], held["netCost"]), (PERP, "-1.5", "150", "-225"))
    equal("exposure", (held["netExposureQuantity"], float(held["imf"]) >= 0.02, float(held["mmf"]) >= 0.0125), ("1.5", True, True))
    fees = [(f["fee"], f["feeSymbol"], f["isMaker"]) for f in a.get_fill_history(symbol=PERP)]
    equal("perpetual: fees", fees, [("0.015", "USDC", True), ("0.075", "USDC", False)])
    margin = a.get_collateral()
    check("get_collateral", 0 < float(margin["netEquityLocked"]) < float(margin["netEquity"]), margin)
    check("get_collateral of nobody's subaccount", "netEquity" in a.get_collateral(subaccount_id=0), "")
    if sends_flags:  # aiohttp puts no bool into a query
        most = a.get_max_order_quantity(PERP, "Bid", price="150", reduce_only=True)
        equal("get_max_order_quantity that reduces", (most["maxOrderQuantity"], most["reduceOnly"]), ("1.5", True))
    most = a.get_max_order_quantity(PERP, "Ask", price="150")
    check("get_max_order_quantity", 1 < float(most["maxOrderQuantity"]) < 10_000 and most["price"] == "150", most)
    stop = a.execute_order(
        PERP, "Bid", "Market", quantity="1.5", trigger_price="180", trigger_quantity="1.5", triggered_by="MarkPrice", reduce_only=True
    )
    equal(
        "trigger", (stop["status"], stop["triggerPrice"], stop["triggerQuantity"], stop["quantity"]), ("TriggerPending", "180", "1.5", "0")
    )
    equal("a trigger counts", (a.get_account()["triggerOrders"], a.get_account()["limitOrders"]), (1, 0))
    half = a.execute_order(PERP, "Bid", "Limit", "GTC", "0.5", "140", trigger_price="200", trigger_quantity="50%")
    equal("trigger of a share", (half["status"], half["triggerQuantity"]), ("TriggerPending", "50%"))
    bracket = placed(
        a, PERP, "Ask", "0.1", "160", take_profit_trigger_price="150", stop_loss_trigger_price="190",
        take_profit_trigger_by="LastPrice", stop_loss_trigger_by="MarkPrice", stop_loss_limit_price="191", take_profit_limit_price="149",
    )  # fmt: skip
    equal("take profit and stop loss", (bracket["takeProfitTriggerPrice"], bracket["stopLossLimitPrice"]), ("150", "191"))
    equal("cancel_all_orders of a perpetual", {o["id"] for o in a.cancel_all_orders(PERP)}, {stop["id"], half["id"], bracket["id"]})
    equal("half of it back", state(placed(a, PERP, "Bid", "0.5", reduce_only=True)), ("Filled", "0.5", "75.05"))
    equal("the position is smaller", a.get_open_positions()[0]["netQuantity"], "-1")
    equal("the whole rest", state(placed(a, PERP, "Bid", "9", reduce_only=True))[1], "1")
    equal("flat", a.get_open_positions(), [])
    refusal = a.execute_order(PERP, "Bid", "Market", quantity="1", reduce_only=True)
    check("nothing to reduce", "educe only" in refusal["message"], refusal)
    after = float(a.get_balances()["USDC"]["available"])
    fees = sum(float(f["fee"]) for f in a.get_fill_history(symbol=PERP))
    equal("what it cost", round(before - after, 9), round(0.15 + fees, 9))
    equal("get_funding_payments", a.get_funding_payments(symbol=PERP), [])
    check("get_settlements_history", {s["source"] for s in a.get_settlements_history(source="RealizePnl")} <= {"RealizePnl"}, "")
    equal("get_profit_and_loss_history is removed", a.get_profit_and_loss_history(symbol=PERP), "not found")


def account_calls(a):
    account = a.get_account()
    fees = [account[name] for name in ("spotMakerFee", "spotTakerFee", "futuresMakerFee", "futuresTakerFee")]
    equal("get_account", fees, ["8", "10", "2", "5"])
    equal("update_account", a.update_account(leverage_limit="5"), "")
    equal("the leverage", a.get_account()["leverageLimit"], "5")
    equal("get_deposits", a.get_deposits(10, 0), [])
    check("get_deposit_address", "SANDBOX" in a.get_deposit_address("Solana")["address"], a.get_deposit_address("Solana"))
    equal("get_withdrawals", a.get_withdrawals(10, 0), [])
    equal("get_borrow_lend_positions", a.get_borrow_lend_positions(), [])
    equal("execute_borrow_lend", a.execute_borrow_lend("2", "Lend", "SOL"), "")
    (lent,) = a.get_borrow_lend_positions()
    equal("what is lent", (lent["symbol"], lent["netQuantity"]), ("SOL", "2"))
    equal("redeemed", a.execute_borrow_lend("2", "Borrow", "SOL"), "")
    rows = a.get_borrow_history(symbol="SOL", limit=10)
    equal("get_borrow_history", [(r["eventType"], r["quantity"]) for r in rows], [("LendRedeem", "2"), ("Lend", "2")])
    equal("get_interest_history", a.get_interest_history(symbol="SOL"), [])
    check("get_max_borrow_quantity", float(a.get_max_borrow_quantity("SOL")["maxBorrowQuantity"]) >= 0, a.get_max_borrow_quantity("SOL"))
    equal(
        "get_max_withdrawal_quantity", a.get_max_withdrawal_quantity("SOL")["maxWithdrawalQuantity"], a.get_balances()["SOL"]["available"]
    )
    wide = a.get_balances(window=60_001)
    equal("a window too wide", wide.get("code"), "INVALID_CLIENT_REQUEST")


def main():
    is_async = sys.argv[1] == "async"
    alive, still = begin()
    loop = asyncio.new_event_loop()
    accounts, publics = (bpx.async_.account.Account, bpx.async_.public.Public) if is_async else (bpx.account.Account, bpx.public.Public)
    of_public, of_account = set(), set()
    pointed(alive["rest_url"])
    public_calls(Plain(publics(), loop, of_public), has_get_market=hasattr(publics, "get_market"))
    pointed(still["rest_url"])
    a, b = (Plain(accounts(k["api_key"], k["secret"]), loop, of_account) for k in still["accounts"])
    spot_session(a, b)
    perp_session(a, b, sends_flags=not is_async)
    account_calls(a)
    keys = still["accounts"]
    stranger = Plain(accounts(keys[0]["api_key"], keys[1]["secret"]), loop, of_account)
    equal("the wrong secret", stranger.get_account(), {"code": "INVALID_CLIENT_REQUEST", "message": "Invalid signature"})
    all_called("Public", {name for name in offered(publics) if not name.endswith("_url")}, of_public, set())
    all_called("Account", offered(accounts), of_account, {"withdrawal", "submit_quote"})
    loop.close()
    done(f"bpx-py {version('bpx-py')} {sys.argv[1]}")


if __name__ == "__main__":
    main()
