"""What the tests of the exchange's words share: a published dummy key, two markets, one dialect."""

from lemon_trader.core.instrument import Instrument, instrument
from lemon_trader.exchanges import catalog
from lemon_trader.exchanges.dialect import Signer

SEED = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="  # RFC 8032, section 7.1, test 1
PAIR = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg=="
PUBLIC = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
NOW_MS = 1750793021519
TS_US = 7_000_000

SPOT = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01", min_qty="0.01")
PERP = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01", min_qty="0.01")
STABLE = instrument("USDT_USDC", "USDT", "USDC", is_perp=False, tick="0.0001", lot="1")
ETH = instrument("ETH_USDC", "ETH", "USDC", is_perp=False, tick="0.01", lot="0.0001")
ETH_PERP = instrument("ETH_USDC_PERP", "ETH", "USDC", is_perp=True, tick="0.01", lot="0.0001")
BTC_PERP = instrument("BTC_USDC_PERP", "BTC", "USDC", is_perp=True, tick="0.1", lot="0.00001")
STOCK = instrument("AAPL.US_USDC_PERP", "AAPL.US", "USDC", is_perp=True, tick="0.01", lot="0.01")
MARKETS: dict[str, Instrument] = {m.symbol: m for m in (SPOT, PERP, STABLE, ETH, ETH_PERP, BTC_PERP, STOCK)}


def signer() -> Signer:
    return catalog.signer("backpack", SEED)
