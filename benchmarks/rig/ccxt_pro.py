"""ccxt as its users write it: watch the book, decide, create the order. Runs in the environment of the peers, on uvloop."""

import json
import sys

import ccxt.pro
import uvloop

SYMBOL = "SOL/USDC"


async def main() -> None:
    ready = json.loads(sys.argv[1])
    x = ccxt.pro.backpack({"apiKey": ready["api_key"], "secret": ready["secret"], "enableRateLimit": False})
    for name in ("public", "private"):
        x.urls["api"][name] = ready["rest_url"]
    address = ready["ws_url"].rstrip("/")
    x.urls["api"]["ws"] = {"public": address, "private": address}
    await x.load_markets()
    placed = None
    while True:
        book = await x.watch_order_book(SYMBOL)
        if book["asks"] and placed is None:
            placed = await x.create_order(SYMBOL, "limit", "buy", 0.1, book["bids"][0][0] - 0.3, {"postOnly": True})
        elif not book["asks"] and placed is not None:
            order, placed = placed, None
            await x.cancel_order(order["id"], SYMBOL)


if __name__ == "__main__":
    uvloop.run(main())
