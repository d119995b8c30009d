"""The plan sheet on a face: what a start would do at the price of now. The same figures stand above every confirmation."""

from collections.abc import Sequence
from typing import Any

from lemon_trader.config.settings import Face
from lemon_trader.core.instrument import Instrument, atoms_text
from lemon_trader.core.units import PPM, SELL, side_name
from lemon_trader.strategies.parameter import Market
from lemon_trader.strategies.sheet import FallLine, LadderSheet, QuoteSheet, sheet


def show_sheet(
    face: Face, strategy: str, params: Any, market: Market, budget_atoms: int, *, equity_atoms: int = 0, held_lots: int = 0
) -> dict[str, Any]:  # fmt: skip
    """Print the plan of these parameters; a price that is not known yet prints nothing but that. The same figures as plain values.

    `equity_atoms`: of the whole account in the market's quote, 0 = not known. `held_lots`: what the strategy holds already.
    """
    i = market.instrument
    if market.price_ticks <= 0:
        face.say("sheet.no_price", symbol=i.symbol)
        return {"strategy": strategy, "symbol": i.symbol, "price": None}
    made = sheet(params, market, budget_atoms, equity_atoms, held_lots)
    price = i.price_text(market.price_ticks)
    face.say("sheet.head", strategy=strategy, symbol=i.symbol, price=price, budget=money(budget_atoms), quote=i.quote)
    if isinstance(made, LadderSheet):
        _ladder(face, made, i)
    else:
        _quotes(face, made, i)
    _falls(face, made, i, is_known=equity_atoms > 0)
    _left_behind(face, made, i)
    return {"strategy": strategy, "symbol": i.symbol, "price": price, "quote": i.quote} | facts(made, i)


def facts(made: LadderSheet | QuoteSheet, i: Instrument) -> dict[str, Any]:
    """The sheet as plain values: prices, quantities and money as exact text, rates in percent."""
    found: dict[str, Any] = {}
    for name in made.__struct_fields__:
        value = getattr(made, name)
        if name in {"lines", "falls"}:
            found[name] = [dict(_plain(line, n, i) for n in line.__struct_fields__) for line in value]
        else:
            key, text = _plain(made, name, i)
            found[key] = text
    return found


def _plain(record: Any, name: str, i: Instrument) -> tuple[str, Any]:
    value = getattr(record, name)
    stem, _, unit = name.rpartition("_")
    if name == "side":
        return name, side_name(value)
    if name == "lots" or unit == "lots":
        return f"{stem}_quantity" if stem else "quantity", i.qty_text(abs(value)) if value >= 0 else f"-{i.qty_text(-value)}"
    if unit == "ticks":
        return stem + ("_price" if stem != "price" else ""), i.price_text(value) if value else None
    if unit == "atoms":
        return stem, atoms_text(value)
    if unit == "ppm":
        return f"{stem}_pct", percent(value)
    return name, value


def _ladder(face: Face, made: LadderSheet, i: Instrument) -> None:
    columns = [
        "sheet.layer", "sheet.price", "sheet.quantity", "sheet.cost", "sheet.spent", "sheet.average", "sheet.zero", "sheet.exit",
        "sheet.stop", "sheet.bounce", "sheet.loss",
    ]  # fmt: skip
    rows: list[Sequence[object]] = [
        (
            line.layer, i.price_text(line.price_ticks), i.qty_text(line.lots), money(line.cost_atoms), money(line.spent_atoms),
            i.price_text(line.average_ticks), i.price_text(line.break_even_ticks), i.price_text(line.exit_ticks),
            i.price_text(line.stop_ticks), percent(line.bounce_ppm), money(line.loss_atoms),
        )
        for line in made.lines
    ]  # fmt: skip
    face.table("sheet.ladder", columns, rows)
    if i.is_perp:
        margins: list[Sequence[object]] = [
            (line.layer, money(line.margin_atoms), *_liquidation(i, line.liquidation_ticks, line.liquidation_ppm)) for line in made.lines
        ]
        face.table("sheet.margins", ("sheet.layer", "sheet.margin", "sheet.liquidation", "sheet.away"), margins)
    face.say("sheet.worst", loss=money(made.worst_loss_atoms), quote=i.quote)
    face.say("sheet.cycle", profit=money(made.profit_atoms), quote=i.quote, fees=percent(made.fees_ppm))
    face.say("sheet.locked", count=made.resting, locked=money(made.resting_atoms), whole=money(made.spent_atoms), quote=i.quote)
    face.say("sheet.guard_perp" if i.is_perp else "sheet.guard_spot")


def _quotes(face: Face, made: QuoteSheet, i: Instrument) -> None:
    rows: list[Sequence[object]] = [
        (line.level, (f"side.{side_name(line.side)}", {}), i.price_text(line.price_ticks), i.qty_text(line.lots), money(line.cost_atoms))
        for line in made.lines
    ]
    face.table("sheet.quotes", ("sheet.level", "sheet.side", "sheet.price", "sheet.quantity", "sheet.cost"), rows)
    face.say("sheet.sides", bids=money(made.bids_atoms), asks=money(made.asks_atoms), quote=i.quote)
    face.say("sheet.break_even", spread=percent(made.spread_ppm), fees=percent(made.fees_ppm), round=money(made.round_atoms), quote=i.quote)
    if made.target_atoms and not i.is_perp:
        face.say("sheet.inventory", target=money(made.target_atoms), quote=i.quote)
    if made.first_lots:
        face.say(
            "sheet.first-sale" if made.first_lots < 0 else "sheet.first-purchase", quantity=i.qty_text(abs(made.first_lots)), base=i.base,
            price=i.price_text(made.first_ticks), cost=money(made.first_cost_atoms), fee=money(made.first_fee_atoms), quote=i.quote,
        )  # fmt: skip
    if i.is_perp:
        at, away = _liquidation(i, made.liquidation_ticks, made.liquidation_ppm)
        where = ("sheet.where", {"at": at, "away": away}) if away is not None else at
        face.say("sheet.quote-margin", worst=money(made.worst_atoms), margin=money(made.margin_atoms), where=where, quote=i.quote)
    face.say("sheet.no-stop")


def _falls(face: Face, made: LadderSheet | QuoteSheet, i: Instrument, *, is_known: bool) -> None:
    """What a fall leaves: of the budget, and of the whole account."""
    columns = ("sheet.fall", "sheet.price", "sheet.spent", "sheet.left", "sheet.left-budget", "sheet.left-equity", "sheet.left-stopped")
    rows: list[Sequence[object]] = []
    for fall in made.falls:
        lost = made.budget_atoms - fall.left_atoms
        shares = (_share(fall, fall.left_atoms, made.budget_atoms), _share(fall, made.equity_atoms - lost, made.equity_atoms))
        left: object = ("sheet.liquidated", {}) if fall.is_liquidated else money(fall.left_atoms)
        stopped = money(fall.stopped_atoms) if isinstance(made, LadderSheet) else None
        rows.append((f"-{percent(fall.fall_ppm)}", i.price_text(fall.price_ticks), money(fall.spent_atoms), left, *shares, stopped))
    face.table("sheet.falls", columns, rows)
    if not is_known:
        face.say("sheet.equity-unknown")


def _left_behind(face: Face, made: LadderSheet | QuoteSheet, i: Instrument) -> None:
    """What stays at the exchange if this machine dies now, and what nobody does any more."""
    if isinstance(made, LadderSheet):
        key = "sheet.dies-ladder-perp" if made.has_resting_stop else "sheet.dies-ladder-spot"
        face.say(key, count=made.resting, locked=money(made.resting_atoms), quote=i.quote)
        return
    asks = sum(line.side == SELL for line in made.lines)
    face.say(
        "sheet.dies-quotes", bids=len(made.lines) - asks, asks=asks, bid_worth=money(made.bids_atoms), ask_worth=money(made.asks_atoms),
        quote=i.quote,
    )  # fmt: skip


def _liquidation(i: Instrument, ticks: int, ppm: int) -> tuple[object, object]:
    return (i.price_text(ticks), percent(ppm)) if ticks > 0 else (("sheet.never", {}), None)


def _share(fall: FallLine, left_atoms: int, whole_atoms: int) -> object:
    return None if fall.is_liquidated else percent(left_atoms * PPM // whole_atoms // 100 * 100)


def money(atoms: int) -> str:
    """Quote atoms to a hundredth, half away from zero; for screens only."""
    cents = (abs(atoms) + 5_000_000) // 10_000_000
    sign = "-" if atoms < 0 and cents else ""
    return f"{sign}{cents // 100}.{cents % 100:02d}"


def percent(ppm: int) -> str:
    """Ppm as percent text, exact."""
    return atoms_text(ppm * 1_000_000_000 // (PPM // 100))
