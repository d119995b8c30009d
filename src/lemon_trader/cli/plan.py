"""`plan STRATEGY:SYMBOL`: the preflight sheet. Nothing is signed and nothing is sent.

Without a mode it is on the grid that the simulated exchange lists and needs no network; with `--paper` or `--live` grid and price are the
exchange's public ones of now. A live start shows the same sheet with the account's own rates before it asks.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from lemon_trader.cli.console import Console, json_line
from lemon_trader.cli.declared import declarations
from lemon_trader.cli.doors import DONE
from lemon_trader.cli.flags import HELP, MODE_FLAGS, WHICH, Group, Typed
from lemon_trader.cli.screen import print_text
from lemon_trader.cli.trade import request_of
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE, PAIR
from lemon_trader.config.resolve import preview
from lemon_trader.config.settings import LIVE, PAPER, PairSettings
from lemon_trader.config.values import parse
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import ATOMS_PER_UNIT
from lemon_trader.market.instruments import UnknownMarket, default_instrument, usual_price_ticks
from lemon_trader.matching.rules import Rules
from lemon_trader.messages.catalogue import say
from lemon_trader.run.parts import DERIVED_SHARE
from lemon_trader.run.quoted import quoted_markets
from lemon_trader.run.sheets import percent, show_sheet
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market, Parameter

PRICE: Final = Parameter("price", "--price", "price", None, "help.price", low="0")
EQUITY: Final = Parameter("equity", "--equity", "quote", None, "help.equity", low="1")


def plan_groups() -> Sequence[Group]:
    """The flags of `plan`."""
    own = declarations()
    of_strategies = {p.name for parameters in own.values() for p in parameters}
    return [
        ("group.plan", (*WHICH, *MODE_FLAGS, PRICE, EQUITY)),
        *((name, tuple(parameters)) for name, parameters in own.items()),
        ("group.pair", tuple(p for p in PAIR if p.name not in of_strategies)),
        ("group.house", (*(p for p in HOUSE if p.name in {"lang", "json"}), HELP)),
    ]


def plan(typed: Typed) -> int:
    """Print the sheet and the warnings of every pair named. Raises BadSetting, StrategyRefused, GateError."""
    price, equity = (parse(p, typed.flags[p.name]) if p.name in typed.flags else None for p in (PRICE, EQUITY))
    found = preview(request_of(typed), declarations())
    if not found.pairs:
        raise BadSetting("pair.none", example=f"{next(iter(declarations()))}:SOL_USDC")
    for doubt in found.doubts:
        print_text(say(doubt.key, **doubt.values))
    symbols = [pair.symbol for pair in found.pairs]
    quoted = quoted_markets(symbols) if any(typed.flags.get(mode) for mode in (LIVE, PAPER)) else {}
    sheets = [_plan(pair, _market(pair.symbol, price, quoted), _atoms(equity)) for pair in found.pairs]
    print_text(say("sheet.nothing-sent"))
    if typed.flags.get("json"):
        print(json_line({"plans": sheets}))
    return DONE


def _plan(pair: PairSettings, market: Market, equity_atoms: int) -> dict[str, Any]:
    strategy, i = STRATEGIES[pair.strategy], market.instrument
    params = strategy.build(pair.values, market)
    budget = _budget(pair, market, equity_atoms)
    held_lots = i.qty_lots(f"{pair.inventory:f}") if pair.inventory else 0
    facts = show_sheet(Console(), pair.strategy, params, market, budget, equity_atoms=equity_atoms, held_lots=held_lots)
    warnings = [say(key, **values) for key, values in strategy.warnings(pair.values, market)]
    for text in warnings:
        print_text(say("sheet.warning", text=text))
    print_text(say("plan.rates", maker=percent(market.maker_fee_ppm), taker=percent(market.taker_fee_ppm)))
    return {**facts, "warnings": warnings}


def _budget(pair: PairSettings, market: Market, equity_atoms: int) -> int:
    """As given; else as a start derives it, from the quantity or from the account; where neither is known the smallest that works."""
    if pair.budget:
        return _atoms(pair.budget)
    if equity_atoms and pair.values.get("quantity") is None:
        return int(equity_atoms * DERIVED_SHARE)
    if pair.values.get("quantity") is None:
        print_text(say("plan.smallest"))
    return STRATEGIES[pair.strategy].budget_needed(pair.values, market)


def _market(symbol: str, price: object, quoted: Mapping[str, tuple[Instrument, int]]) -> Market:
    """The market at the price that was named, else at the exchange's of now, else at the usual one. Raises BadSetting, GateError."""
    try:
        instrument, ticks = quoted[symbol] if symbol in quoted else (default_instrument(symbol), 0)
    except UnknownMarket as error:
        raise BadSetting("plan.unknown-market", reason=error) from error
    if isinstance(price, Decimal):
        ticks = instrument.price_ticks(f"{price:f}")
    return tier_one(instrument, ticks or usual_price_ticks(instrument))


def _atoms(amount: object) -> int:
    """An amount of quote in atoms; 0 for none."""
    return int(amount * ATOMS_PER_UNIT) if isinstance(amount, Decimal) else 0


def tier_one(instrument: Instrument, price_ticks: int) -> Market:
    """The market at this price with the rates of the exchange's first tier."""
    rates = Rules()
    maker, taker = (rates.perp_maker_ppm, rates.perp_taker_ppm) if instrument.is_perp else (rates.spot_maker_ppm, rates.spot_taker_ppm)
    return Market(instrument, maker, taker, price_ticks)
