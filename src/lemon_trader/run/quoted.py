"""Grids and prices of now from the exchange's public side, for a plan: nothing is signed, and no key is looked for."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lemon_trader.api.client import ReadLost
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.reach import ReachSettings
from lemon_trader.config.settings import PAPER, MarketSettings
from lemon_trader.core.instrument import Instrument
from lemon_trader.run.reach import open_reach

NEAR_MAX: Final = 6


def quoted_markets(symbols: Sequence[str], *, rest_url: str = "") -> dict[str, tuple[Instrument, int]]:
    """(grid, mid of the touch in ticks) of these markets. Raises BadSetting when they are not listed or nobody answers."""
    settings = ReachSettings(PAPER, "", None, None, "", MarketSettings(), Path(), "en", json=False, ws_proxy=None)
    return asyncio.run(_ask(settings, symbols, rest_url))


async def _ask(settings: ReachSettings, symbols: Sequence[str], rest_url: str) -> dict[str, tuple[Instrument, int]]:
    reach = await open_reach(settings, rest_url=rest_url)
    found: dict[str, tuple[Instrument, int]] = {}
    try:
        listed, _ = await reach.client.markets()
        for symbol in symbols:
            if symbol not in listed:
                base = symbol.split("_", maxsplit=1)[0]
                near = [s for s in sorted(listed) if s.split("_", maxsplit=1)[0] == base] or sorted(listed)
                raise BadSetting("plan.not-listed", symbol=symbol, near=", ".join(near[:NEAR_MAX]))
            book = await reach.client.depth(listed[symbol])
            bid, ask = max((p for p, _ in book.bids), default=0), min((p for p, _ in book.asks), default=0)
            found[symbol] = listed[symbol], (bid + ask) // 2 if bid and ask else bid or ask
    except ReadLost as lost:
        raise BadSetting("plan.market-lost", reason=lost) from lost
    finally:
        await reach.close()
    return found
