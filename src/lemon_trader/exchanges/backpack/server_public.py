"""Bodies of Backpack's public REST answers, as JSON-ready values: keys, units and number formats as they stand on the wire.

Prices and quantities are unpadded decimal strings, times differ by place (API reference 1.2), optional fields are explicit nulls.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import US_PER_MS
from lemon_trader.exchanges.backpack.times import iso_of_us

Json = dict[str, Any]

INTERVALS: Final[Mapping[str, int]] = {  # seconds; weeks begin on Monday, months on their first day
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14400, "6h": 21600,
    "8h": 28800, "12h": 43200, "1d": 86400, "3d": 259200, "1w": 604800, "1month": 2678400,
}  # fmt: skip

CHAINS: Final = ("Solana",)  # the chains on which this exchange names an address
_PPM_TO_ATOMS: Final = 1_000


# ---- numbers ----


def ppm_text(value: int) -> str:
    """Parts per million as a fraction: 20000 is "0.02"."""
    return atoms_text(value * _PPM_TO_ATOMS)


def bps_text(value_ppm: int) -> str:
    """Parts per million as basis points: 800 is "8"."""
    return atoms_text(value_ppm * 10_000_000)


# ---- the market ----


def market_row(
    market: Instrument, *, created_us: int, state: str, funding_interval_us: int, funding_bound_bps: int,
    factors_ppb: tuple[int, int] = (0, 0), open_interest: str | None = None, premium_band_ppm: int = 0, weight_ppm: int = 1_000_000,
) -> Json:  # fmt: skip
    """One row of `/markets`.

    Args:
        market: the filters.
        created_us: since when it is listed.
        state: of the order book.
        funding_interval_us: perpetuals.
        funding_bound_bps: bound of an interval's rate, both ways.
        factors_ppb: of the initial and maintenance margin functions.
        open_interest: a perpetual's limit in base units; None = none.
        premium_band_ppm: tolerance of a perpetual's premium band; 0 = no band.
        weight_ppm: how much a position counts towards an account's limit.
    """
    perp = market.is_perp
    return {
        "symbol": market.symbol,
        "baseSymbol": market.base,
        "quoteSymbol": market.quote,
        "marketType": "PERP" if perp else "SPOT",
        "rwaMarketType": None,
        "filters": {
            "price": {
                "tickSize": market.tick,
                "minPrice": market.price_text(market.min_ticks),
                "maxPrice": market.price_text(market.max_ticks) if market.max_ticks else None,
                "maxMultiplier": _factor(market.high_ppm),
                "minMultiplier": _factor(market.low_ppm),
                "maxImpactMultiplier": _factor(market.impact_high_ppm),
                "minImpactMultiplier": _factor(market.impact_low_ppm),
                "meanMarkPriceBand": _band(market),
                "meanPremiumBand": {"tolerancePct": ppm_text(premium_band_ppm)} if premium_band_ppm else None,
                "borrowEntryFeeMaxMultiplier": None,
                "borrowEntryFeeMinMultiplier": None,
                "maxPriceUpdateMultiplier": None,
                "minPriceUpdateMultiplier": None,
            },
            "quantity": {
                "stepSize": market.lot,
                "minQuantity": market.qty_text(market.min_lots),
                "maxQuantity": market.qty_text(market.max_lots) if market.max_lots else None,
            },
        },
        "imfFunction": margin_function(market.imf_ppm, factors_ppb[0]) if perp else None,
        "mmfFunction": margin_function(market.mmf_ppm, factors_ppb[1]) if perp else None,
        "fundingInterval": funding_interval_us // US_PER_MS if perp else None,
        "fundingRateUpperBound": str(funding_bound_bps) if perp else None,
        "fundingRateLowerBound": str(-funding_bound_bps) if perp else None,
        "openInterestLimit": open_interest if perp else "0",
        "positionLimitWeight": ppm_text(weight_ppm) if perp else None,
        "orderBookState": state,
        "createdAt": iso_of_us(created_us, digits=6),
        "visible": True,
    }


def margin_function(base_ppm: int, factor_ppb: int = 0) -> Json:
    """A margin function: max(base, factor x sqrt(notional))."""
    return {"type": "sqrt", "base": ppm_text(base_ppm), "factor": atoms_text(factor_ppb)}


def asset_row(symbol: str) -> Json:
    """One row of `/assets`. There is one chain and nothing can be deposited or withdrawn: this exchange holds no coins."""
    token = {
        "blockchain": CHAINS[0], "displayName": symbol, "contractAddress": None, "depositEnabled": False, "minimumDeposit": "0",
        "withdrawEnabled": False, "minimumWithdrawal": "0", "maximumWithdrawal": None, "withdrawalFee": "0", "nativeDecimals": 9,
    }  # fmt: skip
    return {"symbol": symbol, "displayName": symbol, "coingeckoId": None, "tokens": [token]}


def collateral_asset_row(symbol: str, weight_ppm: int, curve_base_ppm: int = 0, curve_ppb: int = 0) -> Json:
    """One row of `/collateral`; with a curve base above 0 the weight falls with the root of the quantity."""
    kind = {"type": "identity"}
    if curve_base_ppm:
        kind = {"type": "inverseSqrt", "base": ppm_text(curve_base_ppm), "positiveCurvePenalty": atoms_text(curve_ppb)}
    weight = {"weight": ppm_text(weight_ppm), "kind": kind}
    return {"symbol": symbol, "imfFunction": margin_function(20_000), "mmfFunction": margin_function(12_500), "haircutFunction": weight}


def ticker_row(
    market: Instrument, *, first_ticks: int, last_ticks: int, high_ticks: int, low_ticks: int, lots: int, quote_atoms: int, trades: int
) -> Json:
    """One row of `/tickers`: the last 24 hours or 7 days. The change is a fraction with six digits, cut towards zero."""
    change = last_ticks - first_ticks
    share_ppm = abs(change) * 1_000_000 // first_ticks * (1 if change >= 0 else -1)
    return {
        "symbol": market.symbol,
        "firstPrice": market.price_text(first_ticks),
        "lastPrice": market.price_text(last_ticks),
        "high": market.price_text(high_ticks),
        "low": market.price_text(low_ticks),
        "priceChange": market.price_text(change),
        "priceChangePercent": ppm_text(share_ppm),
        "volume": market.qty_text(lots),
        "quoteVolume": atoms_text(quote_atoms),
        "trades": str(trades),
    }


def depth_body(
    market: Instrument, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]], *, last_id: int, at_us: int, limit: int
) -> Json:
    """The body of `/depth`. Both sides come best first; on the wire bids ascend, so the best bid is the last element."""
    return {
        "asks": [[market.price_text(ticks), market.qty_text(lots)] for ticks, lots in asks[:limit]],
        "bids": [[market.price_text(ticks), market.qty_text(lots)] for ticks, lots in reversed(bids[:limit])],
        "lastUpdateId": str(last_id),
        "timestamp": at_us,
    }


def kline_row(
    market: Instrument, *, start_us: int, end_us: int, prices: tuple[int, int, int, int] | None, lots: int, quote_atoms: int, trades: int
) -> Json:
    """One row of `/klines`; `prices` are open, high, low, close in ticks, None for an interval without any."""
    texts = [None] * 4 if prices is None else [market.price_text(ticks) for ticks in prices]
    return {
        "start": iso_of_us(start_us, separator=" ", digits=0),
        "end": iso_of_us(end_us, separator=" ", digits=0),
        "open": texts[0],
        "high": texts[1],
        "low": texts[2],
        "close": texts[3],
        "volume": market.qty_text(lots),
        "quoteVolume": atoms_text(quote_atoms),
        "trades": str(trades),
    }


def trade_row(market: Instrument, *, trade_id: int, ticks: int, lots: int, is_buyer_maker: bool, at_us: int) -> Json:
    """One public print."""
    return {
        "id": trade_id,
        "price": market.price_text(ticks),
        "quantity": market.qty_text(lots),
        "quoteQuantity": atoms_text(market.notional_atoms(ticks, lots)),
        "isBuyerMaker": is_buyer_maker,
        "timestamp": at_us // US_PER_MS,
    }


def mark_price_row(market: Instrument, *, mark_ticks: int, index_ticks: int, funding_ppb: int, next_funding_us: int) -> Json:
    """One row of `/markPrices`; `funding_ppb` of the running interval, parts per 10⁹."""
    return {
        "symbol": market.symbol,
        "markPrice": market.price_text(mark_ticks),
        "indexPrice": market.price_text(index_ticks),
        "fundingRate": atoms_text(funding_ppb),
        "nextFundingTimestamp": next_funding_us // US_PER_MS,
    }


def open_interest_row(market: Instrument, lots: int, at_us: int) -> Json:
    """One row of `/openInterest`."""
    return {"symbol": market.symbol, "openInterest": market.qty_text(lots), "timestamp": at_us // US_PER_MS}


def funding_rate_row(symbol: str, funding_ppb: int, end_us: int) -> Json:
    """One row of `/fundingRates`."""
    return {"symbol": symbol, "fundingRate": atoms_text(funding_ppb), "intervalEndTimestamp": iso_of_us(end_us, digits=0)}


def _factor(ppm: int) -> str | None:
    return ppm_text(ppm) if ppm else None


def _band(market: Instrument) -> Json | None:
    if not market.band_high_ppm:
        return None
    return {"maxMultiplier": ppm_text(market.band_high_ppm), "minMultiplier": ppm_text(market.band_low_ppm)}
