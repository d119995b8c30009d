"""What a ladder would do, cost and lose, as JSON: the sheet that stands above every start, for a program of your own.

    python examples/06_plan_as_json.py

Nothing is connected. Prices are ticks, quantities lots, money atoms (10⁻⁹); the market's grid says what they are worth.
"""

import json
from decimal import Decimal

import msgspec

from lemon_trader.core.units import ATOMS_PER_UNIT
from lemon_trader.market.instruments import default_instrument
from lemon_trader.run.parts import default_values
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Market
from lemon_trader.strategies.sheet import sheet

BUDGET = 500


def main() -> None:
    instrument = default_instrument("SOL_USDC")
    market = Market(instrument, maker_fee_ppm=800, taker_fee_ppm=1_000, price_ticks=instrument.price_ticks("150"))
    values = {**default_values("martingale", layers=4), "budget": Decimal(BUDGET)}
    params = STRATEGIES["martingale"].build(values, market)
    made = sheet(params, market, BUDGET * ATOMS_PER_UNIT)
    print(json.dumps({"tick": instrument.tick, "lot": instrument.lot, **msgspec.to_builtins(made)}, indent=2))


if __name__ == "__main__":
    main()
