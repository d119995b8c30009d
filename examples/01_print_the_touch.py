"""Print best bid and ask: once by REST, then as the stream says it. Any client can do this; nothing of ours is used but the exchange.

    python examples/01_print_the_touch.py

The sandbox speaks Backpack's words. Put the exchange's own addresses in their place and it prints the real market: neither call is signed.
"""

import asyncio
import json

import aiohttp

from lemon_trader.sandbox.server import start_sandbox

SYMBOL = "SOL_USDC"
TOUCHES = 5


async def main() -> None:
    sandbox = await start_sandbox()
    try:
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{sandbox.rest_url}/api/v1/depth", params={"symbol": SYMBOL}) as answer:
                book = await answer.json()
            # Both sides rise with the price: the best bid is the last of its side.
            print(f"book: {book['bids'][-1][0]} / {book['asks'][0][0]}")
            async with http.ws_connect(sandbox.ws_url) as stream:
                await stream.send_json({"method": "SUBSCRIBE", "params": [f"bookTicker.{SYMBOL}"]})
                for _ in range(TOUCHES):
                    touch = json.loads(await stream.receive_str())["data"]
                    print(f"touch: {touch['B']} x {touch['b']} / {touch['a']} x {touch['A']}")
    finally:
        await sandbox.stop()


if __name__ == "__main__":
    asyncio.run(main())
