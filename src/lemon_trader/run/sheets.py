"""The plan sheet on a face: what a start would do at the price of now. The same figures stand above every confirmation."""

from typing import Any

from lemon_trader.config.settings import Face
from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import PPM, side_name
from lemon_trader.strategies.parameter import Market
from lemon_trader.strategies.sheet import LadderSheet, QuoteSheet, sheet


def show_sheet(face: Face, strategy: str, params: Any, market: Market, budget_atoms: int) -> None:
    """Print the plan of these parameters; a price that is not known yet prints nothing but that."""
    i = market.instrument
    if market.price_ticks <= 0:
        face.say("sheet.no_price", symbol=i.symbol)
        return
    made = sheet(params, market, budget_atoms)
    price = i.price_text(market.price_ticks)
    face.say("sheet.head", strategy=strategy, symbol=i.symbol, price=price, budget=money(budget_atoms), quote=i.quote)
    if isinstance(made, LadderSheet):
        _ladder(face, made, i)
    else:
        _quotes(face, made, i)


def _ladder(face: Face, made: LadderSheet, i: Instrument) -> None:
    columns = (
        "sheet.layer", "sheet.price", "sheet.quantity", "sheet.cost", "sheet.spent", "sheet.average", "sheet.exit", "sheet.stop",
        "sheet.bounce", "sheet.loss",
    )  # fmt: skip
    rows = [
        (
            line.layer, i.price_text(line.price_ticks), i.qty_text(line.lots), money(line.cost_atoms), money(line.spent_atoms),
            i.price_text(line.average_ticks), i.price_text(line.exit_ticks), i.price_text(line.stop_ticks),
            percent(line.bounce_ppm), money(line.loss_atoms),
        )
        for line in made.lines
    ]  # fmt: skip
    face.table("sheet.ladder", columns, rows)
    face.say("sheet.worst", loss=money(made.worst_loss_atoms), quote=i.quote)
    face.say("sheet.cycle", profit=money(made.profit_atoms), quote=i.quote, fees=percent(made.fees_ppm))
    face.say("sheet.guard_perp" if i.is_perp else "sheet.guard_spot")


def _quotes(face: Face, made: QuoteSheet, i: Instrument) -> None:
    rows = [
        (line.level, side_name(line.side), i.price_text(line.price_ticks), i.qty_text(line.lots), money(line.cost_atoms))
        for line in made.lines
    ]
    face.table("sheet.quotes", ("sheet.level", "sheet.side", "sheet.price", "sheet.quantity", "sheet.cost"), rows)
    face.say("sheet.sides", bids=money(made.bids_atoms), asks=money(made.asks_atoms), quote=i.quote)
    face.say("sheet.break_even", spread=percent(made.spread_ppm), fees=percent(made.fees_ppm), round=money(made.round_atoms), quote=i.quote)
    if made.target_atoms and not i.is_perp:
        face.say("sheet.inventory", target=money(made.target_atoms), quote=i.quote)


def money(atoms: int) -> str:
    """Quote atoms to a hundredth, half away from zero; for screens only."""
    cents = (abs(atoms) + 5_000_000) // 10_000_000
    sign = "-" if atoms < 0 and cents else ""
    return f"{sign}{cents // 100}.{cents % 100:02d}"


def percent(ppm: int) -> str:
    """Ppm as percent text, exact."""
    return atoms_text(ppm * 1_000_000_000 // (PPM // 100))
