"""What a plan would do, before anything is sent: orders, cost, averages, break-even and worst loss, in integers for the faces to print.

Prices are ticks, quantities lots, money quote atoms, rates ppm. The figures come from the formulas that trade.
"""

from typing import Any, Final

import msgspec

from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.formulas.cost import (
    active_stop_ppm,
    average_atoms,
    beyond_ticks,
    cap_ticks,
    round_trip_ppm,
    stop_loss_ticks,
    take_profit_ticks,
)
from lemon_trader.formulas.ladder import layer_lots, layer_ticks, spendable_atoms
from lemon_trader.formulas.margin import liquidation_ticks, margin_atoms
from lemon_trader.formulas.quote import quote_ticks
from lemon_trader.formulas.rounding import ceil_div
from lemon_trader.strategies.market_maker import REBALANCE_OFF, REBALANCE_TAKE, MarketMakerParams
from lemon_trader.strategies.martingale_records import MANUAL, MARKET, MartingaleParams
from lemon_trader.strategies.parameter import Market

FALLS_PPM: Final = (200_000, 400_000, 600_000)
STOP_ROUNDINGS: Final = 2  # ticks: stop and slippage are rounded once each, and an entry below the worst one may be rounded worse


class LayerLine(msgspec.Struct, frozen=True):
    """One layer, and the position once it and all shallower ones are filled.

    Attributes:
        depth_ppm: under the anchor.
        cost_atoms: of this layer; spent_atoms: of all up to it, without fees.
        average_ticks: what a lot has cost, rounded up.
        exit_ticks / stop_ticks: what would be taken, and where it would be given up.
        break_even_ticks: where closing ends at zero after the fees of both ways.
        bounce_ppm: how far the market must rise from this layer to the exit.
        loss_atoms: the most that is lost if the stop sells at its price less the slippage allowed: entered at the worst price and for the
            dearest fees that are allowed; >= 0.
        margin_atoms: initial margin of the position at this layer's price, perpetuals only; 0 on spot.
        liquidation_ticks: mark at which the exchange would close it; 0 = none above zero, or spot.
        liquidation_ppm: how far that is under this layer's price.
    """

    layer: int
    depth_ppm: int
    price_ticks: int
    lots: int
    cost_atoms: int
    spent_atoms: int
    average_ticks: int
    exit_ticks: int
    stop_ticks: int
    break_even_ticks: int
    bounce_ppm: int
    loss_atoms: int
    margin_atoms: int
    liquidation_ticks: int
    liquidation_ppm: int


class FallLine(msgspec.Struct, frozen=True):
    """What is left after the market has fallen, of what was put in; quote atoms.

    Attributes:
        fall_ppm: from the price of now; price_ticks: where that is.
        lots / spent_atoms: bought on the way, without fees.
        left_atoms: of the budget, if nothing had sold and everything went there for taker fees.
        stopped_atoms: of the budget, if the stop did its work without a gap; as `left_atoms` where it was not reached or there is none.
        is_liquidated: the exchange has closed the position before; then `left_atoms` is a bound from above.
    """

    fall_ppm: int
    price_ticks: int
    lots: int
    spent_atoms: int
    left_atoms: int
    stopped_atoms: int
    is_liquidated: bool


class LadderSheet(msgspec.Struct, frozen=True):
    """A martingale's plan at one price.

    Attributes:
        anchor_ticks: of layer 0; lines: one for each layer.
        fees_ppm: round trip as maker: a take profit below it loses.
        spent_atoms: the whole ladder; unspent_atoms: of the budget, kept for fees, rounding and the entry's room to follow.
        profit_atoms: of a cycle that closes after layer 0 alone, after fees; negative when it would lose.
        worst_loss_atoms: the largest `loss_atoms` of the lines.
        falls: what is left at -20, -40 and -60 %.
        equity_atoms: of the whole account in this quote; the budget where it is not known.
        resting / resting_atoms: how many layers rest at first, and what they lock. They stay at the exchange if this machine dies.
        has_resting_stop: a stop for the position rests at the exchange as well (perpetuals).
    """

    anchor_ticks: int
    lines: tuple[LayerLine, ...]
    falls: tuple[FallLine, ...]
    equity_atoms: int
    resting: int
    resting_atoms: int
    has_resting_stop: bool
    fees_ppm: int
    budget_atoms: int
    spent_atoms: int
    unspent_atoms: int
    profit_atoms: int
    worst_loss_atoms: int


class QuoteLine(msgspec.Struct, frozen=True):
    """One quote as it would rest with the position on target and a market that does not move."""

    side: int
    level: int
    price_ticks: int
    lots: int
    cost_atoms: int


class QuoteSheet(msgspec.Struct, frozen=True):
    """A maker's plan at one price.

    Attributes:
        spread_ppm: between first bid and first ask; fees_ppm: round trip as maker: a spread below it loses.
        bids_atoms / asks_atoms: everything that may rest on a side.
        round_atoms: what buying and selling level 0 once brings after fees; negative when it loses.
        target_atoms: wanted value of the position, signed.
        first_lots / first_ticks: the order that first brings the position there, signed, and the worst price that it may pay; 0 = none.
        first_cost_atoms / first_fee_atoms: what it costs, and the fee of it.
        worst_atoms: the position's largest value by the budget, which a fall finds it with.
        falls: what is left at -20, -40 and -60 %, found with the largest position. There is no stop.
        equity_atoms: of the whole account in this quote; the budget where it is not known.
        margin_atoms / liquidation_ticks / liquidation_ppm: of that largest position on a perpetual, bought at the price of now; else 0.
    """

    lines: tuple[QuoteLine, ...]
    first_lots: int
    first_ticks: int
    first_cost_atoms: int
    first_fee_atoms: int
    worst_atoms: int
    falls: tuple[FallLine, ...]
    equity_atoms: int
    margin_atoms: int
    liquidation_ticks: int
    liquidation_ppm: int
    spread_ppm: int
    fees_ppm: int
    budget_atoms: int
    bids_atoms: int
    asks_atoms: int
    round_atoms: int
    target_atoms: int


Sheet = LadderSheet | QuoteSheet


def sheet(params: Any, market: Market, budget_atoms: int, equity_atoms: int = 0, held_lots: int = 0) -> Sheet:
    """The plan of these parameters at `market.price_ticks`, which must be known (> 0).

    `equity_atoms`: of the whole account, 0 = not known, then the budget stands for it. `held_lots`: what the strategy holds already.
    """
    if isinstance(params, MartingaleParams):
        return ladder_sheet(params, market, budget_atoms, equity_atoms)
    assert isinstance(params, MarketMakerParams), f"no sheet for {type(params).__name__}"
    return quote_sheet(params, market, budget_atoms, equity_atoms, held_lots)


def ladder_sheet(params: MartingaleParams, market: Market, budget_atoms: int, equity_atoms: int = 0) -> LadderSheet:
    """A martingale's plan. Sizes and losses leave room for the worst entry allowed, prices stand under the entry that is expected."""
    instrument = market.instrument
    lot_worth = instrument.tick_lot_atoms
    anchor, most = anchors(params, market.price_ticks)
    fees = round_trip_ppm(market.maker_fee_ppm, market.maker_fee_ppm, 0 if instrument.is_perp else 1)
    equity = equity_atoms or budget_atoms
    lines = []
    lots_held = spent = spent_worst = 0
    for layer, lots in enumerate(plan_lots(params, market, budget_atoms, most)):
        price = layer_ticks(anchor, params.depth_ppm[layer], params.side)
        cost = price * lots * lot_worth
        lots_held += lots
        spent += cost
        average = average_atoms(spent, lots_held * instrument.lot_atoms, instrument.lot_atoms)
        stop_ppm = active_stop_ppm(params.stop_ppm, params.stop_by_layer, layer)
        exit_ticks = take_profit_ticks(average, params.take_profit_ppm, lot_worth, params.side)
        stop_ticks = stop_loss_ticks(average, stop_ppm, lot_worth, params.side)
        spent_worst += layer_ticks(most, params.depth_ppm[layer], params.side) * lots * lot_worth
        sold_ticks = _given_up_ticks(params, instrument.is_perp, spent_worst, lots_held, lot_worth, stop_ppm)
        if most != anchor:
            sold_ticks = max(sold_ticks - params.side * STOP_ROUNDINGS, 1)
        liquidation = _liquidation(market, spent, lots_held, equity, params.side)
        lines.append(
            LayerLine(
                layer=layer,
                depth_ppm=params.depth_ppm[layer],
                price_ticks=price,
                lots=lots,
                cost_atoms=cost,
                spent_atoms=spent,
                average_ticks=ceil_div(average, lot_worth),
                exit_ticks=exit_ticks,
                stop_ticks=stop_ticks,
                break_even_ticks=take_profit_ticks(average, max(fees, 0), lot_worth, params.side),
                bounce_ppm=ceil_div((exit_ticks - price) * params.side * PPM, price) if price > 0 else 0,
                loss_atoms=_loss(market, params.side, spent_worst, lots_held * sold_ticks * lot_worth),
                margin_atoms=margin_atoms(lots_held * price * lot_worth, instrument.imf_ppm) if instrument.is_perp else 0,
                liquidation_ticks=liquidation,
                liquidation_ppm=(price - liquidation) * params.side * PPM // price if liquidation and price > 0 else 0,
            )
        )
    first = lines[0]
    resting = min(params.resting, params.layers)
    return LadderSheet(
        anchor_ticks=anchor,
        lines=tuple(lines),
        falls=tuple(_ladder_fall(market, lines, budget_atoms, equity, fall) for fall in FALLS_PPM),
        equity_atoms=equity,
        resting=resting,
        resting_atoms=sum(line.cost_atoms for line in lines[:resting]),
        has_resting_stop=instrument.is_perp,
        fees_ppm=fees,
        budget_atoms=budget_atoms,
        spent_atoms=spent,
        unspent_atoms=budget_atoms - spent,
        profit_atoms=_net(market, params.side, first.cost_atoms, first.lots * first.exit_ticks * lot_worth, market.maker_fee_ppm),
        worst_loss_atoms=max(line.loss_atoms for line in lines),
    )


def quote_sheet(
    params: MarketMakerParams, market: Market, budget_atoms: int, equity_atoms: int = 0, held_lots: int = 0
) -> QuoteSheet:  # fmt: skip
    """A maker's plan."""
    lot_worth = market.instrument.tick_lot_atoms
    equity = equity_atoms or budget_atoms
    first_lots, first_ticks = first_purchase(params, market, budget_atoms, held_lots)
    first_cost = abs(first_lots) * first_ticks * lot_worth
    first_rate = market.taker_fee_ppm if params.rebalance == REBALANCE_TAKE else market.maker_fee_ppm
    most_lots = budget_atoms // (market.price_ticks * lot_worth)
    most = most_lots * market.price_ticks * lot_worth
    liquidation = _liquidation(market, most, most_lots, equity, BUY) if most_lots else 0
    mid2 = 2 * market.price_ticks
    lots = params.quantity_lots or budget_atoms // params.levels // (mid2 * lot_worth)
    lines = []
    sums = {BUY: 0, SELL: 0}
    for side in (BUY, SELL):
        for level in range(params.levels):
            price = quote_ticks(mid2, side, min((params.spread_ppm + 1) // 2 + level * params.level_step_ppm, PPM))
            cost = price * lots * lot_worth
            sums[side] += cost
            lines.append(QuoteLine(side, level, price, lots, cost))
    bid, ask = lines[0], lines[params.levels]
    return QuoteSheet(
        lines=tuple(lines),
        spread_ppm=params.spread_ppm,
        fees_ppm=max(2 * market.maker_fee_ppm, 0),
        budget_atoms=budget_atoms,
        bids_atoms=sums[BUY],
        asks_atoms=sums[SELL],
        round_atoms=_net(market, BUY, bid.cost_atoms, ask.cost_atoms, market.maker_fee_ppm),
        target_atoms=budget_atoms * params.target_ppm // PPM,
        first_lots=first_lots,
        first_ticks=first_ticks,
        first_cost_atoms=first_cost,
        first_fee_atoms=ceil_div(first_cost * max(first_rate, 0), PPM),
        worst_atoms=most,
        falls=tuple(_quote_fall(market, most_lots, budget_atoms, liquidation, fall) for fall in FALLS_PPM),
        equity_atoms=equity,
        margin_atoms=margin_atoms(most, market.instrument.imf_ppm) if market.instrument.is_perp else 0,
        liquidation_ticks=liquidation,
        liquidation_ppm=(market.price_ticks - liquidation) * PPM // market.price_ticks if liquidation else 0,
    )


def first_purchase(params: MarketMakerParams, market: Market, budget_atoms: int, held_lots: int) -> tuple[int, int]:
    """(signed lots, worst price) of the order that first brings the position to its target; (0, 0) where none is needed or allowed."""
    lot_worth = market.instrument.tick_lot_atoms
    gap = budget_atoms * params.target_ppm // PPM - held_lots * market.price_ticks * lot_worth
    side = BUY if gap > 0 else SELL
    if params.rebalance == REBALANCE_OFF or abs(gap) * PPM <= params.threshold_ppm * budget_atoms:
        return 0, 0
    take = params.rebalance == REBALANCE_TAKE
    price = cap_ticks(market.price_ticks, params.slippage_ppm, side) if take else market.price_ticks
    lots = abs(gap) // (market.price_ticks * lot_worth)
    if side == SELL and not market.instrument.is_perp:
        lots = min(lots, held_lots)
    elif side == BUY:
        lots = min(lots, budget_atoms // (price * lot_worth))
    return (side * lots, price) if lots >= max(market.instrument.min_lots, 1) else (0, 0)


def anchors(params: MartingaleParams, price_ticks: int) -> tuple[int, int]:
    """(where layer 0 is expected, the worst price it may be filled at) when bid and ask stand at this price."""
    if params.entry == MANUAL:
        return params.entry_ticks, params.entry_ticks
    if params.entry == MARKET:
        return price_ticks, cap_ticks(price_ticks, params.entry_slippage_ppm, params.side)
    entry = layer_ticks(price_ticks, params.offset_ppm, params.side)
    return entry, entry + params.side * (entry * params.chase_ppm // PPM)


def plan_lots(params: MartingaleParams, market: Market, budget_atoms: int, most_ticks: int) -> list[int]:
    """Lots of each layer, as a cycle that begins now would freeze them."""
    spend = spendable_atoms(budget_atoms, max(market.maker_fee_ppm, market.taker_fee_ppm))
    return [
        layer_lots(
            spend, params.share_ppb[i], layer_ticks(most_ticks, params.depth_ppm[i], params.side), market.instrument.tick_lot_atoms
        )
        for i in range(params.layers)
    ]  # fmt: skip


def _given_up_ticks(params: MartingaleParams, is_perp: bool, spent_atoms: int, lots: int, lot_worth: int, stop_ppm: int) -> int:
    """The lowest price (of a long) at which a stop without a gap may sell: less its slippage, or where the resting stop fires instead."""
    average = average_atoms(spent_atoms, lots, 1)
    stop_ticks = stop_loss_ticks(average, stop_ppm, lot_worth, params.side)
    sold = cap_ticks(stop_ticks, params.stop_slippage_ppm, -params.side)
    if not is_perp:
        return sold
    fired = beyond_ticks(stop_ticks, params.protect_ppm, params.side)
    return min(sold, fired) if params.side > 0 else max(sold, fired)


def _liquidation(market: Market, cost_atoms: int, lots: int, equity_atoms: int, side: int) -> int:
    """Where the exchange closes a position that cost this; 0 on spot. Fees of opening it are paid already."""
    i = market.instrument
    if not i.is_perp:
        return 0
    cash = equity_atoms - ceil_div(cost_atoms * max(market.maker_fee_ppm, 0), PPM)
    return liquidation_ticks(cost_atoms, lots, i.tick_lot_atoms, cash, i.mmf_ppm, side)


def _ladder_fall(market: Market, lines: list[LayerLine], budget_atoms: int, equity_atoms: int, fall_ppm: int) -> FallLine:
    price = max(market.price_ticks * (PPM - fall_ppm) // PPM, 1)
    lot_worth = market.instrument.tick_lot_atoms
    bought = [line for line in lines if line.price_ticks >= price]
    lots, spent = sum(line.lots for line in bought), sum(line.cost_atoms for line in bought)
    left = budget_atoms + (_net(market, BUY, spent, lots * price * lot_worth, market.taker_fee_ppm) if lots else 0)
    # The deepest stop that the price has passed is the one that sold; a deeper layer was never bought then.
    stopped = budget_atoms - max((line.loss_atoms for line in bought if line.stop_ticks >= price), default=budget_atoms - left)
    gone = bool(lots) and _liquidation(market, spent, lots, equity_atoms, BUY) >= price
    return FallLine(fall_ppm, price, lots, spent, left, stopped, gone)


def _quote_fall(market: Market, lots: int, budget_atoms: int, liquidation: int, fall_ppm: int) -> FallLine:
    price = max(market.price_ticks * (PPM - fall_ppm) // PPM, 1)
    lot_worth = market.instrument.tick_lot_atoms
    spent = lots * market.price_ticks * lot_worth
    left = budget_atoms + (_net(market, BUY, spent, lots * price * lot_worth, market.taker_fee_ppm) if lots else 0)
    return FallLine(fall_ppm, price, lots, spent, left, left, liquidation >= price)


def _loss(market: Market, side: int, opened_atoms: int, closed_atoms: int) -> int:
    """The most that a stop loses: opened and closed for whatever fee is dearer; >= 0."""
    dear = max(market.maker_fee_ppm, market.taker_fee_ppm)
    worst = Market(market.instrument, dear, market.taker_fee_ppm, market.price_ticks)
    return max(-_net(worst, side, opened_atoms, closed_atoms, market.taker_fee_ppm), 0)


def _net(market: Market, side: int, opened_atoms: int, closed_atoms: int, close_fee_ppm: int) -> int:
    """What a round trip leaves after fees, quote atoms rounded down: opened as maker, closed at `close_fee_ppm`."""
    open_fee = market.maker_fee_ppm
    if market.instrument.is_perp:
        fees = ceil_div(opened_atoms * open_fee, PPM) + ceil_div(closed_atoms * close_fee_ppm, PPM)
        return side * (closed_atoms - opened_atoms) - fees
    # On spot the buy pays in the coin bought, so that much less is sold.
    return closed_atoms * (PPM - open_fee) * (PPM - close_fee_ppm) // (PPM * PPM) - opened_atoms
