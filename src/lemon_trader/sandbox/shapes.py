"""The shapes of the exchange's answers, as JSON schemas: what the fuzz test holds every answer to.

Each shape is a line of `name:kind` words. Kinds: `s` text, `d` decimal number as text, `i` whole number, `b` yes or no, `t` naive ISO time,
`k` time of a candle, `@Name` another shape, `[@Name]` a list of it; a trailing `?` may be null. A name with `~` before it may be absent. No
shape has fields that are not named here.
"""

from typing import Any, Final

Schema = dict[str, Any]

_KINDS: Final[dict[str, Schema]] = {
    "s": {"type": "string"},
    "d": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    "i": {"type": "integer"},
    "b": {"type": "boolean"},
    "t": {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?$"},
    "k": {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$"},
    "null": {"type": "null"},
}

_ORDER: Final = """
    id:s clientId:i? symbol:s side:s orderType:s status:s timeInForce:s selfTradePrevention:s reduceOnly:b? quantity:d? executedQuantity:d?
    executedQuoteQuantity:d? relatedOrderId:s? strategyId:null triggerBy:s? triggerPrice:d? triggerQuantity:s?
    takeProfitTriggerPrice:d? takeProfitLimitPrice:d? takeProfitTriggerBy:s? stopLossTriggerPrice:d? stopLossLimitPrice:d?
    stopLossTriggerBy:s? ~price:d ~postOnly:b ~quoteQuantity:d? ~slippageTolerance:d ~slippageToleranceType:s
"""

SHAPES: Final[dict[str, str]] = {
    "Error": "code:s message:s",
    "Status": "status:s message:s?",
    "Asset": "symbol:s displayName:s coingeckoId:s? tokens:[@Token]",
    "Token": """blockchain:s displayName:s contractAddress:s? depositEnabled:b minimumDeposit:d withdrawEnabled:b minimumWithdrawal:d
        maximumWithdrawal:d? withdrawalFee:d nativeDecimals:i""",
    "CollateralAsset": "symbol:s imfFunction:@MarginFunction mmfFunction:@MarginFunction haircutFunction:@Haircut",
    "Haircut": "weight:d kind:@HaircutKind",
    "HaircutKind": "type:s ~base:d ~positiveCurvePenalty:d",
    "MarginFunction": "type:s base:d factor:d",
    "Market": """symbol:s baseSymbol:s quoteSymbol:s marketType:s rwaMarketType:s? filters:@Filters imfFunction:@MarginFunction?
        mmfFunction:@MarginFunction? fundingInterval:i? fundingRateUpperBound:s? fundingRateLowerBound:s? openInterestLimit:d
        positionLimitWeight:d? orderBookState:s createdAt:t visible:b""",
    "Filters": "price:@PriceFilter quantity:@QuantityFilter",
    "PriceFilter": """tickSize:d minPrice:d maxPrice:d? maxMultiplier:d? minMultiplier:d? maxImpactMultiplier:d? minImpactMultiplier:d?
        meanMarkPriceBand:@Band? meanPremiumBand:@PremiumBand? borrowEntryFeeMaxMultiplier:d? borrowEntryFeeMinMultiplier:d?
        maxPriceUpdateMultiplier:d? minPriceUpdateMultiplier:d?""",
    "Band": "maxMultiplier:d minMultiplier:d",
    "PremiumBand": "tolerancePct:d",
    "QuantityFilter": "stepSize:d minQuantity:d maxQuantity:d?",
    "Ticker": """symbol:s firstPrice:d lastPrice:d high:d low:d priceChange:d priceChangePercent:d volume:d quoteVolume:d trades:s""",
    "Depth": "asks:[@Level] bids:[@Level] lastUpdateId:s timestamp:i",
    "Kline": "start:k end:k open:d? high:d? low:d? close:d? volume:d quoteVolume:d trades:s",
    "Trade": "id:i price:d quantity:d quoteQuantity:d isBuyerMaker:b timestamp:i",
    "MarkPrice": "symbol:s markPrice:d indexPrice:d fundingRate:d nextFundingTimestamp:i",
    "OpenInterest": "symbol:s openInterest:d timestamp:i",
    "FundingRate": "symbol:s fundingRate:d intervalEndTimestamp:t",
    "Pool": """symbol:s state:s assetMarkPrice:d borrowInterestRate:d lendInterestRate:d borrowedQuantity:d lentQuantity:d utilization:d
        optimalUtilization:d maxUtilization:d openBorrowLendLimit:d fee:d stepSize:d throttleUtilizationThreshold:d
        throttleUtilizationBound:d throttleUpdateFraction:d timestamp:t""",
    "PoolThen": "borrowInterestRate:d borrowedQuantity:d lendInterestRate:d lentQuantity:d timestamp:t utilization:d",
    "Yields": "borrowLend:[@Yield] staking:[@Yield]",
    "Yield": "symbol:s borrowRate:d lendRate:d",
    "FeeTiers": "spot:[@FeeTier] futures:[@FeeTier]",
    "FeeTier": "tier:s makerFee:d takerFee:d stake:d volume30d:d",
    "Account": """autoBorrowSettlements:b autoLend:b autoRealizePnl:b autoRepayBorrows:b borrowLimit:d futuresMakerFee:d futuresTakerFee:d
        leverageLimit:d limitOrders:i liquidating:b positionLimit:d spotMakerFee:d spotTakerFee:d triggerOrders:i""",
    "Balance": "available:d locked:d staked:d",
    "Collateral": """assetsValue:d borrowLiability:d collateral:[@CollateralRow] imf:d liabilitiesValue:d marginFraction:d? mmf:d
        netEquity:d netEquityAvailable:d netEquityLocked:d netExposureFutures:d pnlUnrealized:d unsettledEquity:d""",
    "CollateralRow": """symbol:s assetMarkPrice:d totalQuantity:d balanceNotional:d collateralWeight:d collateralValue:d openOrderQuantity:d
        lendQuantity:d availableQuantity:d""",
    "MaxOrder": "symbol:s side:s price:d? maxOrderQuantity:d autoBorrow:b? autoBorrowRepay:b? autoLendRedeem:b? reduceOnly:b?",
    "MaxBorrow": "symbol:s maxBorrowQuantity:d",
    "MaxWithdrawal": "symbol:s maxWithdrawalQuantity:d autoBorrow:b? autoLendRedeem:b?",
    "Order": f"{_ORDER} createdAt:i triggeredAt:i?",
    "PlacedOrder": f"{_ORDER} createdAt:i triggeredAt:i? operation:s",
    "RefusedOrder": "operation:s code:s message:s",
    "OrderHistory": f"{_ORDER} createdAt:t triggeredAt:t? expiryReason:s? systemOrderType:s?",
    "Fill": """clientId:s? fee:d feeSymbol:s isMaker:b orderId:s price:d quantity:d side:s symbol:s systemOrderType:s? timestamp:t
        tradeId:i?""",
    "Position": """breakEvenPrice:d cumulativeFundingPayment:d cumulativeInterest:d entryPrice:d estLiquidationPrice:d imf:d
        imfFunction:@MarginFunction markPrice:d mmf:d mmfFunction:@MarginFunction netCost:d netExposureNotional:d netExposureQuantity:d
        netQuantity:d pnlRealized:d pnlUnrealized:d positionId:s subaccountId:i? symbol:s userId:i""",
    "PositionHistory": """id:s symbol:s netQuantity:d entryPrice:d closingPrice:d? cumulativePnlRealized:d fees:d liquidationFees:d
        fundingQuantity:d openedAt:t closedAt:t? state:s""",
    "Funding": "fundingRate:d intervalEndTimestamp:t quantity:d subaccountId:i symbol:s userId:i",
    "Settlement": "quantity:d source:s subaccountId:i? timestamp:t userId:i ~positionId:s? ~engineSequence:i",
    "LoanMove": """eventType:s positionId:s positionQuantity:d? quantity:d source:s symbol:s timestamp:t spotMarginOrderId:s?""",
    "Claim": """id:s symbol:s netQuantity:d netExposureQuantity:d netExposureNotional:d cumulativeInterest:d imf:d
        imfFunction:@MarginFunction mmf:d mmfFunction:@MarginFunction markPrice:d estLiquidationPrice:d""",
    "Interest": "interestRate:d interval:i marketSymbol:s paymentType:s positionId:s quantity:d symbol:s timestamp:t",
    "Dust": "id:i quantity:d symbol:s usdcReceived:d timestamp:t",
    "Address": "address:s",
}


def schemas() -> dict[str, Schema]:
    """All shapes as schemas that may refer to one another under `#/components/schemas/`."""
    found = {name: _object(line) for name, line in SHAPES.items()}
    found["Level"] = {"type": "array", "items": _KINDS["d"], "minItems": 2, "maxItems": 2}
    found["Balances"] = {"type": "object", "additionalProperties": reference("Balance")}
    found["BatchRow"] = {"oneOf": [reference("PlacedOrder"), reference("RefusedOrder")]}
    return found


def reference(name: str) -> Schema:
    """A schema that is that shape."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(name: str) -> Schema:
    """A schema that is a list of that shape."""
    return {"type": "array", "items": reference(name)}


def _object(line: str) -> Schema:
    properties, required = {}, []
    for word in line.split():
        name, _, kind = word.partition(":")
        if name.startswith("~"):
            name = name[1:]
        else:
            required.append(name)
        properties[name] = _kind(kind)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _kind(kind: str) -> Schema:
    if kind.endswith("?"):
        return {"anyOf": [_kind(kind[:-1]), {"type": "null"}]}
    if kind.startswith("[@"):
        return listed(kind[2:-1])
    if kind.startswith("@"):
        return reference(kind[1:])
    return _KINDS[kind]
