"""Place one order far below the market and cancel it again, with our own client: commands go out, facts come in.

python examples/02_place_and_cancel.py
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import CancelAnswered, Event, PlaceAccepted, PlaceRefused
from lemon_trader.core.units import BUY, POST_ONLY
from lemon_trader.env_live import LiveEnv
from lemon_trader.run.parts import make_signer, make_venue
from lemon_trader.sandbox.server import start_sandbox

SYMBOL = "SOL_USDC"
ANSWERS = (PlaceAccepted, PlaceRefused, CancelAnswered)


async def main() -> None:
    sandbox = await start_sandbox()
    account = sandbox.accounts[0]
    env = LiveEnv(Path(tempfile.gettempdir()), lambda part, error: print(f"{part} failed: {error!r}"))
    answers: asyncio.Queue[Event] = asyncio.Queue()

    def sink(facts: Sequence[Event]) -> None:
        """Everything of one network read: market data, answers, account messages."""
        for fact in facts:
            if isinstance(fact, ANSWERS):
                answers.put_nowait(fact)

    venue = make_venue(env, make_signer(account.api_key, account.secret), sink, rest_url=sandbox.rest_url, ws_url=sandbox.ws_url)
    try:
        market = (await venue.instruments())[SYMBOL]
        await venue.connect([SYMBOL])
        book = await venue.depth(SYMBOL)
        # Integers from here on: ticks and lots of this market.
        price = max(ticks for ticks, _ in book.bids) * 80 // 100
        lots = market.qty_lots("0.5")
        venue.send([Place(SYMBOL, 1, BUY, POST_ONLY, 0, price, 0, lots)])
        print(f"buy {market.qty_text(lots)} at {market.price_text(price)}:", await answers.get())
        venue.send([Cancel(SYMBOL, 1)])
        print("cancel:", await answers.get())
    finally:
        await venue.close()
        await env.close()
        await sandbox.stop()


if __name__ == "__main__":
    asyncio.run(main())
