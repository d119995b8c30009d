"""What the panel needs of concrete parts: values of a strategy tried together, and the markets that the exchange lists."""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

from lemon_trader.api.client import ReadLost
from lemon_trader.config.reach import ReachSettings
from lemon_trader.config.settings import PAPER, MarketSettings
from lemon_trader.market.instruments import default_instrument
from lemon_trader.matching.rules import Rules
from lemon_trader.run.reach import open_reach
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market, Value

ANY_MARKET: Final = "SOL_USDC_PERP"  # both directions are allowed there, and its grid is fine
ON_A_GRID: Final = {"quantity": None, "entry_price": Decimal(100)}  # a market's own grid: here one that is on every grid stands for it


def check_values(strategy: str, values: Mapping[str, Value]) -> None:
    """Try whether these values can work together at all; a market's own grid is tried at a start. Raises StrategyRefused."""
    rates = Rules()
    market = Market(default_instrument(ANY_MARKET), rates.perp_maker_ppm, rates.perp_taker_ppm, 0)
    tried = {name: ON_A_GRID[name] if name in ON_A_GRID and value is not None else value for name, value in values.items()}
    if tried.get("budget") is None:
        tried["budget"] = Decimal(10**6)
    STRATEGIES[strategy].build(tried, market)


async def listed_symbols(data_dir: Path) -> list[str]:
    """Every market that the exchange itself lists. Raises OSError where it does not answer."""
    proxy = os.environ.get("LEMON_TRADER_WS_PROXY")
    settings = ReachSettings(PAPER, "", None, None, "", MarketSettings(), data_dir, "en", json=False, ws_proxy=proxy)
    reach = await open_reach(settings)
    try:
        markets, _ = await reach.client.markets()
    except ReadLost as error:
        raise OSError(0, str(error)) from error
    finally:
        await reach.close()
    return sorted(markets)
