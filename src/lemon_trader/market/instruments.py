"""The markets a simulated exchange lists by default: filters as Backpack publishes them, spot and perpetual against USDC.

Steps, multipliers and margin fractions follow its public market list where we hold a copy of it (SOL, and the grids that its recorded
messages show for BTC and ETH); the others are of the same make. A real market's filters are always read from the exchange itself.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from lemon_trader.core.instrument import Instrument, instrument
from lemon_trader.market.errors import MarketRefused

QUOTE: Final = "USDC"


class Coin(msgspec.Struct, frozen=True, gc=False):
    """One base asset: the grid of its two markets and how busy they are.

    Attributes:
        tick, lot: smallest steps, decimal text.
        max_price: highest price of its perpetual, decimal text.
        price: a usual price, where a synthetic market starts, decimal text.
        pace_ppm: how busy its markets are beside SOL's, parts per million.
        touch: quote that usually rests at the best price, whole USDC.
    """

    base: str
    tick: str
    lot: str
    max_price: str
    price: str
    pace_ppm: int
    touch: int


COINS: Final[Mapping[str, Coin]] = {
    coin.base: coin
    for coin in (
        Coin("SOL", "0.01", "0.01", "1000", "150", 1_000_000, 12_000),
        Coin("BTC", "0.1", "0.00001", "1000000", "90000", 1_500_000, 40_000),
        Coin("ETH", "0.01", "0.0001", "100000", "3500", 1_300_000, 25_000),
        Coin("XRP", "0.0001", "0.1", "100", "2.2", 700_000, 6_000),
        Coin("DOGE", "0.00001", "1", "10", "0.2", 600_000, 4_000),
        Coin("AVAX", "0.001", "0.1", "1000", "25", 500_000, 3_000),
    )
}


def _spot(coin: Coin) -> Instrument:
    return instrument(
        f"{coin.base}_{QUOTE}", coin.base, QUOTE, is_perp=False, tick=coin.tick, lot=coin.lot, min_qty=coin.lot, min_price=coin.tick,
        low_ppm=250_000, high_ppm=2_000_000, impact_low_ppm=970_000, impact_high_ppm=1_030_000,
    )  # fmt: skip


def _perp(coin: Coin) -> Instrument:
    return instrument(
        f"{coin.base}_{QUOTE}_PERP", coin.base, QUOTE, is_perp=True, tick=coin.tick, lot=coin.lot, min_qty=coin.lot, min_price=coin.tick,
        max_price=coin.max_price, low_ppm=250_000, high_ppm=2_000_000, impact_low_ppm=990_000, impact_high_ppm=1_010_000,
        band_low_ppm=900_000, band_high_ppm=1_100_000, imf_ppm=20_000, mmf_ppm=13_500,
    )  # fmt: skip


INSTRUMENTS: Final[Mapping[str, Instrument]] = {i.symbol: i for make in (_spot, _perp) for i in map(make, COINS.values())}


class UnknownMarket(MarketRefused):
    """A symbol that the simulated exchange does not list."""


def default_instrument(symbol: str) -> Instrument:
    """The default market `symbol`.

    Raises:
        UnknownMarket: it is not listed; the text names those that are.
    """
    found = INSTRUMENTS.get(symbol)
    if found is None:
        raise UnknownMarket("market.unlisted", symbol=symbol, listed=", ".join(sorted(INSTRUMENTS)))
    return found


def usual_price_ticks(of: Instrument) -> int:
    """Where a synthetic market of this instrument starts, ticks."""
    return of.price_ticks(COINS[of.base].price)
