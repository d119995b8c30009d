"""The two checks of stops that rest at the exchange: may they overlap, do they follow the position, is what they sell known as theirs?"""

from typing import Any, Final, NamedTuple

from lemon_trader.core.events import Event, Fill, OrderRow, OrderUpdate, PlaceAccepted
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import REDUCE_ONLY, SELL, TRIGGER, US_PER_S, WHOLE_POSITION
from lemon_trader.run.doctor.bench import Bench, CheckFailed, Placed

Outcome = tuple[str, dict[str, object], dict[str, Any]]

FAR_PPM: Final = 150_000  # how far under the mark the stops lie that shall not fire
FIRE_US: Final = 40 * US_PER_S  # of each try: a mark that has gone away is followed by the next one
NEAR_TICKS: Final = (2, 5, 10)  # under the mark: near enough to fire soon, and each try gives the second purchase more time


async def triggers(bench: Bench) -> Outcome:
    """Two reduce-only stops for 100 % of a position rest side by side and stay where they are when the position grows."""
    m = _perp(bench)
    await bench.buy(m)
    mark = await bench.mark_ticks(m)
    stops = [
        await _stop(bench, m, mark * (1_000_000 - FAR_PPM) // 1_000_000),
        await _stop(bench, m, mark * (990_000 - FAR_PPM) // 1_000_000),
    ]
    findings: dict[str, Any] = {"first": stops[0].said, "second": stops[1].said}
    for stop, key in zip(stops, ("checks.triggers.refused", "checks.triggers.one-only"), strict=True):
        if not isinstance(stop.fact, PlaceAccepted):
            raise CheckFailed(key, findings, said=stop.said)
    await bench.buy(m)
    rows = {row.client_id: row for row in await bench.open_orders(m.symbol)}
    left = [rows[stop.client_id] for stop in stops if stop.client_id in rows]
    findings["after_growth"] = [_shown(m, row) for row in left]
    if len(left) < len(stops):
        raise CheckFailed("checks.triggers.gone", findings, left=len(left))
    for stop in stops:
        await bench.end(m.symbol, stop.client_id)
    return "checks.triggers.passed", {}, findings


async def trigger_events(bench: Bench) -> Outcome:
    """A stop that fires sells the whole position, also what was bought after it was placed, and the stream says whose child it was."""
    m = _perp(bench)
    for under_ticks in NEAR_TICKS:
        shot = await _fire(bench, m, under_ticks)
        if shot is None:
            await bench.tidy()
            continue
        findings: dict[str, Any] = {"events": shot.events, "sold": m.qty_text(shot.sold_lots), "left": m.qty_text(shot.left_lots)}
        if not shot.is_related:
            raise CheckFailed("checks.trigger-events.orphan", findings)
        if not shot.had_grown:
            await bench.tidy()  # it fired before the position had grown: once more, a little farther away
            continue
        if shot.left_lots:
            raise CheckFailed("checks.trigger-events.partly", findings, left=findings["left"])
        return "checks.trigger-events.passed", {}, findings
    if shot is None:
        raise CheckFailed("checks.trigger-events.quiet", seconds=FIRE_US // US_PER_S)
    raise CheckFailed("checks.trigger-events.too-fast", findings)


class Shot(NamedTuple):
    """A stop that fired: what the stream told, what was sold and left, whether every sell named the stop and came late enough."""

    events: list[str]
    sold_lots: int
    left_lots: int
    is_related: bool
    had_grown: bool


async def _fire(bench: Bench, m: Instrument, under_ticks: int) -> Shot | None:
    """Buy, place a stop just under the mark, buy again, and wait until it has fired; None when it did not. Raises CheckFailed."""
    async with bench.listening(m) as facts:
        await bench.buy(m)
        held = await bench.held_lots(m)
        stop = await _stop(bench, m, await bench.mark_ticks(m) - under_ticks)
        if not isinstance(stop.fact, PlaceAccepted):
            raise CheckFailed("checks.triggers.refused", {"answer": stop.said}, said=stop.said)
        await bench.buy(m)
        had_grown = await bench.held_lots(m) > held
        if not await bench.until(lambda: bool(_sold(facts, stop)), FIRE_US):
            return None
        await bench.until(lambda: sum(fill.qty_lots for fill in _sold(facts, stop)) > held, US_PER_S)
        await bench.end(m.symbol, stop.client_id)
        sold = _sold(facts, stop)
        left = await bench.held_lots(m)
        return Shot(_events(facts, stop), sum(f.qty_lots for f in sold), left, all(f.related_id for f in sold), had_grown)


async def _stop(bench: Bench, m: Instrument, ticks: int) -> Placed:
    return await bench.place(m, TRIGGER, side=SELL, trigger=ticks, flags=REDUCE_ONLY | WHOLE_POSITION)


def _perp(bench: Bench) -> Instrument:
    if bench.perp is None:
        raise CheckFailed("checks.no-perp")
    return bench.perp


def _sold(facts: list[Event], stop: Placed) -> list[Fill]:
    """Sells that the stop caused, as far as the stream lets one know: its own, its child's, or somebody's that is no order of ours."""
    return [f for f in facts if isinstance(f, Fill) and f.side == SELL and (f.related_id in {"", stop.order_id})]


def _events(facts: list[Event], stop: Placed) -> list[str]:
    """What the stream said of the stop and its child, in order."""
    told = []
    for fact in facts:
        if isinstance(fact, OrderUpdate) and stop.order_id in {fact.order_id, fact.related_id}:
            told.append(f"{fact.kind} order {fact.order_id} related {fact.related_id or '-'}")
        elif isinstance(fact, Fill) and fact.side == SELL:
            told.append(f"fill order {fact.order_id} related {fact.related_id or '-'}")
    return told


def _shown(m: Instrument, row: OrderRow) -> str:
    return f"{row.status} at {m.price_text(row.trigger_ticks)}, quantity {m.qty_text(row.qty_lots) if row.qty_lots else '100%'}"
