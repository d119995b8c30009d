"""Bodies of Backpack's private REST answers, as JSON-ready values: all keys present, nulls explicit."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import ATOMS_PER_UNIT, US_PER_MS
from lemon_trader.exchanges.backpack.server_facts import EndedPosition, Execution, FundingPaid, Held, Leg, Order
from lemon_trader.exchanges.backpack.server_public import bps_text, margin_function, ppm_text
from lemon_trader.exchanges.backpack.times import iso_of_us
from lemon_trader.exchanges.backpack.words import LIMIT, SIDE_WORDS, USER

Json = dict[str, Any]

USER_ID: Final = 1
NO_LIMIT_ATOMS: Final = 100_000_000 * ATOMS_PER_UNIT  # what is said where nothing is limited: the venue always names a number
SYSTEM_ORDERS: Final[Mapping[str, str | None]] = {
    USER: None,
    "LIQUIDATION_AUTOCLOSE": "LiquidatePositionOnBook",
    "ADL_AUTOCLOSE": "LiquidatePositionOnAdl",
    "BACKSTOP_LIQUIDITY_PROVIDER": "LiquidatePositionOnBackstop",
    "COLLATERAL_CONVERSION": "CollateralConversion",
    "SETTLEMENT_AUTOCLOSE": "FutureExpiry",
}


# ---- orders and fills ----


def order_row(order: Order, market: Instrument) -> Json:
    """An order as the order endpoints print it: `price` and `postOnly` on limit orders alone, `quoteQuantity` on market orders alone."""
    row: Json = {
        "id": str(order.order_id),
        "clientId": order.client_id,
        "symbol": order.symbol,
        "side": SIDE_WORDS[order.side],
        "orderType": order.order_type,
        "status": order.status,
        "timeInForce": order.time_in_force,
        "selfTradePrevention": order.self_trade,
        "reduceOnly": order.reduce_only or None,
        "quantity": market.qty_text(order.lots),
        "executedQuantity": market.qty_text(order.executed_lots),
        "executedQuoteQuantity": atoms_text(order.executed_quote_atoms),
        "createdAt": order.created_us // US_PER_MS,
        "relatedOrderId": None if order.related_id is None else str(order.related_id),
        "strategyId": None,
        "triggerBy": order.trigger_by,
        "triggerPrice": market.price_text(order.trigger_ticks) if order.trigger_ticks else None,
        "triggerQuantity": trigger_quantity_text(order, market),
        "triggeredAt": None if order.triggered_us is None else order.triggered_us // US_PER_MS,
        **_leg("takeProfit", None if order.attached is None else order.attached.take_profit, market),
        **_leg("stopLoss", None if order.attached is None else order.attached.stop_loss, market),
    }
    if order.order_type == LIMIT:
        row["price"] = market.price_text(order.ticks)
        row["postOnly"] = order.post_only
    else:
        row["quoteQuantity"] = atoms_text(order.quote_atoms) if order.quote_atoms else None
        if order.slippage_ticks is not None:
            row |= {"slippageTolerance": str(order.slippage_ticks), "slippageToleranceType": "TickSize"}
        elif order.slippage_ppm is not None:
            row |= {"slippageTolerance": ppm_text(order.slippage_ppm * 100), "slippageToleranceType": "Percent"}
    return row


def _leg(name: str, leg: Leg | None, market: Instrument) -> Json:
    return {
        f"{name}TriggerPrice": market.price_text(leg.trigger_ticks) if leg is not None else None,
        f"{name}LimitPrice": market.price_text(leg.limit_ticks) if leg is not None and leg.limit_ticks else None,
        f"{name}TriggerBy": leg.trigger_by if leg is not None else None,
    }


def order_history_row(order: Order, market: Instrument) -> Json:
    """An order as its history prints it: time as text, and why it ended."""
    row = order_row(order, market)
    row["createdAt"] = iso_of_us(order.created_us)
    row["triggeredAt"] = None if order.triggered_us is None else iso_of_us(order.triggered_us)
    row["expiryReason"] = order.reason
    row["systemOrderType"] = system_order(order.origin)
    return row


def fill_row(fill: Execution, market: Instrument, *, with_trade_id: bool = True) -> Json:
    """A fill as its history prints it; the client id is text here. Liquidation fills are known to come without a trade id."""
    return {
        "clientId": None if fill.client_id is None else str(fill.client_id),
        "fee": atoms_text(fill.fee_atoms),
        "feeSymbol": fill.fee_asset,
        "isMaker": fill.is_maker,
        "orderId": str(fill.order_id),
        "price": market.price_text(fill.ticks),
        "quantity": market.qty_text(fill.lots),
        "side": SIDE_WORDS[fill.side],
        "symbol": fill.symbol,
        "systemOrderType": system_order(fill.origin),
        "timestamp": iso_of_us(fill.at_us),
        "tradeId": (fill.trade_id or None) if with_trade_id else None,
    }


def funding_row(paid: FundingPaid) -> Json:
    """One row of the account's funding history; positive = received."""
    return {
        "fundingRate": atoms_text(paid.rate_ppb),
        "intervalEndTimestamp": iso_of_us(paid.interval_end_us, digits=0),
        "quantity": atoms_text(paid.amount_atoms),
        "subaccountId": 0,
        "symbol": paid.symbol,
        "userId": USER_ID,
    }


def system_order(origin: str) -> str | None:
    """The venue's `systemOrderType` of an order's origin; None for a user's own."""
    return SYSTEM_ORDERS[origin]


def trigger_quantity_text(order: Order, market: Instrument) -> str | None:
    """What a trigger order will place: a quantity, or a share of the position like "80%"; None on other orders."""
    if order.trigger_ppm:
        return f"{ppm_text(order.trigger_ppm * 100)}%"
    return market.qty_text(order.trigger_lots) if order.trigger_lots else None


# ---- positions ----


class PositionFigures(msgspec.Struct, frozen=True, gc=False):
    """What is derived of a position at a mark price, as text, for REST and stream alike. Quantities are lots: only the stream pads them."""

    lots: int
    exposure_lots: int
    exposure_notional: str
    entry_price: str
    break_even_price: str
    mark_price: str
    cost: str
    realised: str
    unrealised: str
    imf: str
    mmf: str
    factors_ppb: tuple[int, int]


def position_figures(
    held: Held, market: Instrument, mark_ticks: int, exposure_lots: int, fractions_ppb: tuple[int, int] | None = None,
    factors_ppb: tuple[int, int] = (0, 0),
) -> PositionFigures:  # fmt: skip
    """The figures of a position; what has been settled into the balance counts as realised.

    Args:
        held: the position.
        market: its grid.
        mark_ticks: what to value it at.
        exposure_lots: unsigned, with the open orders that would add to it.
        fractions_ppb: initial and maintenance margin fraction at its size; None = the market's base ones.
        factors_ppb: those of the market's margin functions.
    """
    imf, mmf = fractions_ppb or (market.imf_ppm * 1_000, market.mmf_ppm * 1_000)
    spent = held.cost_atoms + held.fee_atoms - held.realised_atoms - held.funding_atoms
    return PositionFigures(
        lots=held.lots,
        exposure_lots=exposure_lots,
        exposure_notional=atoms_text(market.notional_atoms(mark_ticks, exposure_lots)),
        entry_price=_unit_price(held.cost_atoms, held.lots, market),
        break_even_price=_unit_price(spent, held.lots, market),
        mark_price=market.price_text(mark_ticks),
        cost=atoms_text(held.cost_atoms),
        realised=atoms_text(held.realised_atoms + held.settled_atoms),
        unrealised=atoms_text(market.notional_atoms(mark_ticks, held.lots) - held.cost_atoms - held.settled_atoms if held.lots else 0),
        imf=atoms_text(imf),
        mmf=atoms_text(mmf),
        factors_ppb=factors_ppb,
    )


def position_history_row(held: EndedPosition, market: Instrument) -> Json:
    """One row of the position history; an open position has no closing price and no time of closing."""
    return {
        "id": str(held.position_id),
        "symbol": held.symbol,
        "netQuantity": market.qty_text(held.lots),
        "entryPrice": _unit_price(held.cost_atoms, held.lots, market),
        "closingPrice": _unit_price(held.closed_quote_atoms, held.closed_lots, market) if held.closed_lots else None,
        "cumulativePnlRealized": atoms_text(held.realised_atoms),
        "fees": atoms_text(held.fee_atoms),
        "liquidationFees": atoms_text(held.liquidation_fee_atoms),
        "fundingQuantity": atoms_text(held.funding_atoms),
        "openedAt": iso_of_us(held.opened_us),
        "closedAt": None if held.closed_us is None else iso_of_us(held.closed_us),
        "state": "Open" if held.closed_us is None else "Closed",
    }


def position_row(held: Held, market: Instrument, figures: PositionFigures, liquidation_ticks: int = 0) -> Json:
    """One row of `/position`."""
    return {
        "breakEvenPrice": figures.break_even_price,
        "cumulativeFundingPayment": atoms_text(held.funding_atoms),
        "cumulativeInterest": "0",
        "entryPrice": figures.entry_price,
        "estLiquidationPrice": market.price_text(liquidation_ticks),
        "imf": figures.imf,
        "imfFunction": margin_function(market.imf_ppm, figures.factors_ppb[0]),
        "markPrice": figures.mark_price,
        "mmf": figures.mmf,
        "mmfFunction": margin_function(market.mmf_ppm, figures.factors_ppb[1]),
        "netCost": figures.cost,
        "netExposureNotional": figures.exposure_notional,
        "netExposureQuantity": market.qty_text(figures.exposure_lots),
        "netQuantity": market.qty_text(figures.lots),
        "pnlRealized": figures.realised,
        "pnlUnrealized": figures.unrealised,
        "positionId": str(held.position_id),
        "subaccountId": None,
        "symbol": held.symbol,
        "userId": USER_ID,
    }


def _unit_price(cost_atoms: int, lots: int, market: Instrument) -> str:
    """Quote per unit of base with nine decimals, cut towards zero; "0" when nothing is held."""
    if not lots:
        return "0"
    atoms = abs(cost_atoms) * ATOMS_PER_UNIT // (abs(lots) * market.lot_atoms)
    return atoms_text(atoms if cost_atoms * lots >= 0 else -atoms)


# ---- the account ----


def account_row(
    *, maker_taker_ppm: tuple[int, int, int, int], leverage_limit: str, limit_orders: int, trigger_orders: int, is_liquidating: bool,
    auto_lend: bool = False, auto_borrow_settlements: bool = False, auto_repay_borrows: bool = False,
    borrow_limit_atoms: int = NO_LIMIT_ATOMS, position_limit_atoms: int = NO_LIMIT_ATOMS,
) -> Json:  # fmt: skip
    """The body of `/account`. Rates: spot maker, spot taker, futures maker, futures taker; printed in basis points. Limits: quote atoms."""
    spot_maker, spot_taker, perp_maker, perp_taker = maker_taker_ppm
    return {
        "autoBorrowSettlements": auto_borrow_settlements,
        "autoLend": auto_lend,
        "autoRealizePnl": True,
        "autoRepayBorrows": auto_repay_borrows,
        "borrowLimit": atoms_text(borrow_limit_atoms),
        "futuresMakerFee": bps_text(perp_maker),
        "futuresTakerFee": bps_text(perp_taker),
        "leverageLimit": leverage_limit,
        "limitOrders": limit_orders,
        "liquidating": is_liquidating,
        "positionLimit": atoms_text(position_limit_atoms),
        "spotMakerFee": bps_text(spot_maker),
        "spotTakerFee": bps_text(spot_taker),
        "triggerOrders": trigger_orders,
    }


def capital_body(balances: Iterable[tuple[str, int, int]]) -> Json:
    """The body of `/capital` from (asset, available atoms, locked atoms)."""
    return {asset: {"available": atoms_text(free), "locked": atoms_text(locked), "staked": "0"} for asset, free, locked in balances}


class CollateralLine(msgspec.Struct, frozen=True, gc=False):
    """One asset's part of an account's collateral. `price_atoms`: quote atoms of one unit; `lent_atoms` < 0 = borrowed."""

    asset: str
    price_atoms: int
    total_atoms: int
    locked_atoms: int
    weight_ppm: int
    lent_atoms: int = 0


def collateral_body(
    lines: Iterable[CollateralLine], *, equity_atoms: int, unrealised_atoms: int, locked_atoms: int, exposure_atoms: int, imf_ppm: int,
    mmf_ppm: int,
) -> Json:  # fmt: skip
    """The body of `/capital/collateral`, in quote atoms. `locked_atoms`: margin in use; `exposure_atoms`: futures notional."""
    rows, assets_value, liabilities, borrowed = [], 0, 0, 0
    for line in lines:
        net = line.total_atoms + line.lent_atoms
        notional = net * line.price_atoms // ATOMS_PER_UNIT
        value = notional * line.weight_ppm // 1_000_000 if notional > 0 else notional
        assets_value += max(0, notional)
        liabilities -= min(0, notional)
        borrowed -= min(0, line.lent_atoms) * line.price_atoms // ATOMS_PER_UNIT
        rows.append({
            "symbol": line.asset,
            "assetMarkPrice": atoms_text(line.price_atoms),
            "totalQuantity": atoms_text(net),
            "balanceNotional": atoms_text(notional),
            "collateralWeight": ppm_text(line.weight_ppm),
            "collateralValue": atoms_text(value),
            "openOrderQuantity": atoms_text(line.locked_atoms),
            "lendQuantity": atoms_text(max(0, line.lent_atoms)),
            "availableQuantity": atoms_text(line.total_atoms - line.locked_atoms),
        })  # fmt: skip
    return {
        "assetsValue": atoms_text(assets_value),
        "borrowLiability": atoms_text(borrowed),
        "collateral": rows,
        "imf": ppm_text(imf_ppm),
        "liabilitiesValue": atoms_text(liabilities),
        "marginFraction": atoms_text(equity_atoms * ATOMS_PER_UNIT // exposure_atoms) if exposure_atoms else None,
        "mmf": ppm_text(mmf_ppm),
        "netEquity": atoms_text(equity_atoms),
        "netEquityAvailable": atoms_text(equity_atoms - locked_atoms),
        "netEquityLocked": atoms_text(locked_atoms),
        "netExposureFutures": atoms_text(exposure_atoms),
        "pnlUnrealized": atoms_text(unrealised_atoms),
        "unsettledEquity": atoms_text(unrealised_atoms),
    }
