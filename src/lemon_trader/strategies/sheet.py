"""What a plan would do, before anything is sent: orders, cost, averages, break-even and worst loss, in integers for the faces to print.

Prices are ticks, quantities lots, money quote atoms, rates ppm. The figures come from the formulas that trade.
"""

from typing import Any

import msgspec

from lemon_trader.core.units import BUY, PPM, SELL
from lemon_trader.formulas.cost import active_stop_ppm, average_atoms, cap_ticks, round_trip_ppm, stop_loss_ticks, take_profit_ticks
from lemon_trader.formulas.ladder import layer_lots, layer_ticks, spendable_atoms
from lemon_trader.formulas.quote import quote_ticks
from lemon_trader.formulas.rounding import ceil_div
from lemon_trader.strategies.market_maker import MarketMakerParams
from lemon_trader.strategies.martingale_records import MANUAL, MARKET, MartingaleParams
from lemon_trader.strategies.parameter import Market


class LayerLine(msgspec.Struct, frozen=True):
    """One layer, and the position once it and all shallower ones are filled.

    Attributes:
        depth_ppm: under the anchor.
        cost_atoms: of this layer; spent_atoms: of all up to it, without fees.
        average_ticks: what a lot has cost, rounded up.
        exit_ticks / stop_ticks: what would be taken, and where it would be given up.
        break_even_ticks: where closing ends at zero after the fees of both ways.
        bounce_ppm: how far the market must rise from this layer to the exit.
        loss_atoms: lost if the stop sells at its price less the slippage allowed, fees included; >= 0.
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


class LadderSheet(msgspec.Struct, frozen=True):
    """A martingale's plan at one price.

    Attributes:
        anchor_ticks: of layer 0; lines: one for each layer.
        fees_ppm: round trip as maker: a take profit below it loses.
        spent_atoms: the whole ladder; unspent_atoms: of the budget, kept for fees, rounding and the entry's room to follow.
        profit_atoms: of a cycle that closes after layer 0 alone, after fees; negative when it would lose.
        worst_loss_atoms: the largest `loss_atoms` of the lines.
    """

    anchor_ticks: int
    lines: tuple[LayerLine, ...]
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
    """

    lines: tuple[QuoteLine, ...]
    spread_ppm: int
    fees_ppm: int
    budget_atoms: int
    bids_atoms: int
    asks_atoms: int
    round_atoms: int
    target_atoms: int


Sheet = LadderSheet | QuoteSheet


def sheet(params: Any, market: Market, budget_atoms: int) -> Sheet:
    """The plan of these parameters at `market.price_ticks`, which must be known (> 0)."""
    if isinstance(params, MartingaleParams):
        return ladder_sheet(params, market, budget_atoms)
    assert isinstance(params, MarketMakerParams), f"no sheet for {type(params).__name__}"
    return quote_sheet(params, market, budget_atoms)


def ladder_sheet(params: MartingaleParams, market: Market, budget_atoms: int) -> LadderSheet:
    """A martingale's plan. Sizes leave room for the worst entry allowed, prices stand under the entry that is expected."""
    instrument = market.instrument
    lot_worth = instrument.tick_lot_atoms
    anchor, most = anchors(params, market.price_ticks)
    fees = round_trip_ppm(market.maker_fee_ppm, market.maker_fee_ppm, 0 if instrument.is_perp else 1)
    lines = []
    lots_held = spent = 0
    for layer, lots in enumerate(plan_lots(params, market, budget_atoms, most)):
        price = layer_ticks(anchor, params.depth_ppm[layer], params.side)
        cost = price * lots * lot_worth
        lots_held += lots
        spent += cost
        average = average_atoms(spent, lots_held * instrument.lot_atoms, instrument.lot_atoms)
        stop_ppm = active_stop_ppm(params.stop_ppm, params.stop_by_layer, layer)
        exit_ticks = take_profit_ticks(average, params.take_profit_ppm, lot_worth, params.side)
        stop_ticks = stop_loss_ticks(average, stop_ppm, lot_worth, params.side)
        sold_ticks = cap_ticks(stop_ticks, params.stop_slippage_ppm, -params.side)
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
                loss_atoms=max(-_net(market, params.side, spent, lots_held * sold_ticks * lot_worth, market.taker_fee_ppm), 0),
            )
        )
    first = lines[0]
    return LadderSheet(
        anchor_ticks=anchor,
        lines=tuple(lines),
        fees_ppm=fees,
        budget_atoms=budget_atoms,
        spent_atoms=spent,
        unspent_atoms=budget_atoms - spent,
        profit_atoms=_net(market, params.side, first.cost_atoms, first.lots * first.exit_ticks * lot_worth, market.maker_fee_ppm),
        worst_loss_atoms=max(line.loss_atoms for line in lines),
    )


def quote_sheet(params: MarketMakerParams, market: Market, budget_atoms: int) -> QuoteSheet:
    """A maker's plan."""
    lot_worth = market.instrument.tick_lot_atoms
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
    )


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


def _net(market: Market, side: int, opened_atoms: int, closed_atoms: int, close_fee_ppm: int) -> int:
    """What a round trip leaves after fees, quote atoms rounded down: opened as maker, closed at `close_fee_ppm`."""
    open_fee = market.maker_fee_ppm
    if market.instrument.is_perp:
        fees = ceil_div(opened_atoms * open_fee, PPM) + ceil_div(closed_atoms * close_fee_ppm, PPM)
        return side * (closed_atoms - opened_atoms) - fees
    # On spot the buy pays in the coin bought, so that much less is sold.
    return closed_atoms * (PPM - open_fee) * (PPM - close_fee_ppm) // (PPM * PPM) - opened_atoms
