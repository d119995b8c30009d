"""A day of 86,400 s in minutes of loop time: active hours, and nights in between that are skipped in one leap of every clock.

In a night the exchange lives on: funding, settlements and the day's boundary pass; the market begins anew in the morning, not far from where
it was, and what rests may be traded with by that alone.
"""

from typing import TYPE_CHECKING

import msgspec

from lemon_trader.market.acts import Source, merge
from lemon_trader.market.instruments import default_instrument, usual_price_ticks
from lemon_trader.market.scenarios import SCENARIOS, play_scenario
from lemon_trader.market.synthetic import synthetic

if TYPE_CHECKING:
    from tests.simulation.life import Life

LEAPS_PPM = (0, 0, 5_000, -5_000, 20_000, -20_000)
PACE_PPM = 220_000
STORIES = ("ripple", "demo", "spike", "crash", "", "", "", "", "", "")


def wake_up(life: "Life", night_us: int, *, pace: int = 0) -> None:
    """Let a night pass in one leap; afterwards the market is another one, or with a `pace` an even one of so many percent."""
    life.skipped_us += night_us
    if life.env is not None:
        life.env.asleep_us = life.skipped_us
    symbols = [life.drawn.symbol, *life.drawn.besides]
    life.edge.world.app.advance(life.edge.clock())
    acts = [_morning(life, symbol, pace=pace) for symbol in symbols]
    life.edge.follow(merge(acts))


def _morning(life: "Life", symbol: str, *, pace: int) -> Source:
    now, exchange = life.edge.clock(), life.exchange
    listed = default_instrument(symbol)
    bid, _, ask, _ = exchange.touch(symbol)
    scale = life.edge.world.app.desk.outside._scales.get(symbol)
    mid = (bid + ask) // 2 if bid and ask else exchange.last_ticks(symbol)
    ticks = mid // (scale.ticks_by if scale is not None else 1) or usual_price_ticks(listed)
    for side, level, _ in exchange.outside_levels(symbol):  # whoever rested here yesterday has gone
        exchange.set_outside(symbol, side, level, 0, now)
    if scale is not None:
        scale.levels.clear()
    life.mornings += 1
    seed = life.out.seed * 100 + life.mornings
    story = "" if pace else life.chance.choice(STORIES)
    ticks += ticks * (0 if pace else life.chance.choice(LEAPS_PPM)) // 1_000_000
    if story:
        script = msgspec.structs.replace(SCENARIOS[story], pace_ppm=PACE_PPM)
        return play_scenario(script, listed, start_us=now, seed=seed, price_ticks=ticks)
    return synthetic([listed], seed=seed, start_us=now, activity_pct=pace or life.drawn.activity_pct, prices={symbol: ticks})
