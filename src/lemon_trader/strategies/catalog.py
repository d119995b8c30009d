"""The strategies by name. One file adds one, and one line here offers it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lemon_trader.strategies.market_maker_setup import MarketMaker
from lemon_trader.strategies.martingale_setup import Martingale
from lemon_trader.strategies.parameter import Strategy

DEFAULT: Final = "market-maker"

STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType({strategy.name: strategy for strategy in (MarketMaker(), Martingale())})
