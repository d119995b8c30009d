"""`plan STRATEGY:SYMBOL`: the preflight sheet on the grid that the simulated exchange lists. Nothing is opened and nothing is sent.

A live start shows the same sheet with the account's own rates and the market's own grid and price before it asks.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from lemon_trader.cli.console import Console
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.doors import DONE
from lemon_trader.cli.flags import HELP, WHICH, Group, Typed
from lemon_trader.cli.trade import request_of
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE, PAIR
from lemon_trader.config.resolve import preview
from lemon_trader.config.settings import PairSettings
from lemon_trader.config.values import parse
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import ATOMS_PER_UNIT
from lemon_trader.market.instruments import UnknownMarket, default_instrument, usual_price_ticks
from lemon_trader.matching.rules import Rules
from lemon_trader.messages.catalogue import say
from lemon_trader.run.sheets import show_sheet
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market, Parameter

PRICE: Final = Parameter("price", "--price", "price", None, "help.price", low="0")


def plan_groups() -> Sequence[Group]:
    """The flags of `plan`."""
    own = declarations()
    of_strategies = {p.name for parameters in own.values() for p in parameters}
    return [
        ("group.plan", (*WHICH, PRICE)),
        *((name, tuple(parameters)) for name, parameters in own.items()),
        ("group.pair", tuple(p for p in PAIR if p.name not in of_strategies)),
        ("group.house", (*(p for p in HOUSE if p.name == "lang"), HELP)),
    ]


def plan(typed: Typed) -> int:
    """Print the sheet and the warnings of every pair named. Raises BadSetting, StrategyRefused, GateError."""
    price = parse(PRICE, typed.flags["price"]) if "price" in typed.flags else None
    found = preview(request_of(typed), declarations())
    if not found.pairs:
        raise BadSetting("pair.none", example=f"{next(iter(declarations()))}:SOL_USDC")
    for doubt in found.doubts:
        print(say(doubt.key, **doubt.values))
    for pair in found.pairs:
        _plan(pair, price if isinstance(price, Decimal) else None)
    return DONE


def _plan(pair: PairSettings, price: Decimal | None) -> None:
    try:
        instrument = default_instrument(pair.symbol)
    except UnknownMarket as error:
        raise BadSetting("plan.unknown-market", reason=error) from error
    ticks = instrument.price_ticks(f"{price:f}") if price is not None else usual_price_ticks(instrument)
    market = tier_one(instrument, ticks)
    strategy = STRATEGIES[pair.strategy]
    params = strategy.build(pair.values, market)
    budget = int(pair.budget * ATOMS_PER_UNIT) if pair.budget is not None else strategy.budget_needed(pair.values, market)
    show_sheet(Console(), pair.strategy, params, market, budget)
    for key, values in strategy.warnings(pair.values, market):
        print(say("sheet.warning", text=say(key, **values)))
    print(say("sheet.nothing-sent"))


def tier_one(instrument: Instrument, price_ticks: int) -> Market:
    """The market at this price with the rates of the exchange's first tier."""
    rates = Rules()
    maker, taker = (rates.perp_maker_ppm, rates.perp_taker_ppm) if instrument.is_perp else (rates.spot_maker_ppm, rates.spot_taker_ppm)
    return Market(instrument, maker, taker, price_ticks)
