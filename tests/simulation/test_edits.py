"""A running pair is given other parameters while the way to the exchange fails: nothing is sent twice, forgotten, or left from before."""

from decimal import Decimal

import pytest
from tests.simulation.directed import MAKER, MARTINGALE, PERP, SPOT, Stage, play

from lemon_trader.core.events import UserCommand
from lemon_trader.core.units import LAYER, QUOTE, UNKNOWN
from lemon_trader.sandbox.faults import Kind

LOST = [("an answer to a place is lost", "POST"), ("answers to cancels are lost", "DELETE")]
SYMBOLS = [SPOT, PERP]


def edit(s: Stage, **params: str) -> None:
    """The change as a door gives it."""
    s.life.watch.gives("edit")
    answer = s.session.edit({"symbol": s.symbol, "params": params, "apply": True, "origin": "simulation"})
    assert answer.get("edit", {}).get("done"), answer


def resting(s: Stage, role: int) -> list[int]:
    return sorted(o.price_ticks for o in s.market.orders.live if o.role == role and o.acked)


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("method", [case[1] for case in LOST], ids=[case[0] for case in LOST])
def test_quotes_stand_where_the_other_spread_wants_them(method: str, symbol: str):
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        old = {o.client_id for o in s.live}
        s.fault(Kind.LOSE_REPLY, method=method, times=1 if method == "POST" else 2)
        edit(s, spread="1", max_orders="2")
        await s.until(lambda: s.happened, "the answer was lost")
        assert s.ever(UNKNOWN) or method == "DELETE"
        await s.until(lambda: s.calm and len(resting(s, QUOTE)) >= 2 and not old & {o.client_id for o in s.live}, "quoting again", 60)
        mid = s.market.reference_ticks()
        assert all(abs(price - mid) * 1_000 >= 2 * mid for price in resting(s, QUOTE)), (
            "half a percent away, less the skew and what the mid moved"
        )
        assert {o.client_id for o in s.live} == {o.client_id for o in s.market.orders.live}
        refused = s.session.edit({"symbol": s.symbol, "params": {"spread": "-1"}, "apply": True})
        assert "refused" in refused
        assert s.market.binding.params.spread_ppm == 10_000

    play(script, MAKER, symbol)


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("method", [case[1] for case in LOST], ids=[case[0] for case in LOST])
def test_a_ladder_that_bought_nothing_is_planned_anew_once_every_end_is_proven(method: str, symbol: str):
    async def script(s: Stage):
        await s.begin()
        await s.until(lambda: len(resting(s, LAYER)) == 2 and s.calm, "the ladder rests")
        cycle, before = s.market.binding.memory.cycle, resting(s, LAYER)
        s.fault(Kind.LOSE_REPLY, method=method, times=1 if method == "POST" else 2)
        edit(s, step_pct="2", layers="4", resting="3")
        await s.until(lambda: s.happened, "the answer was lost")
        await s.until(lambda: s.calm and len(resting(s, LAYER)) == 3, "another ladder rests", 90)
        memory = s.market.binding.memory
        assert (memory.cycle, memory.layers) == (cycle + 1, 4)
        assert not set(resting(s, LAYER)[:-1]) & set(before)
        assert {o.client_id for o in s.live} == {o.client_id for o in s.market.orders.live}

    play(script, MARTINGALE, symbol, entry="offset", entry_offset_pct=Decimal(2), entry_wait=3_600)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_what_is_held_keeps_its_ladder_and_its_stop_through_a_change_and_a_death(symbol: str):
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        memory = s.market.binding.memory
        kept = (memory.cycle, memory.layers, memory.exit_ticks, memory.stop_ticks, list(memory.price))
        edit(s, layers="5", step_pct="0.8", stop_loss_pct="12", take_profit_pct="5")
        await s.wait(3)
        assert (memory.cycle, memory.layers, memory.exit_ticks, memory.stop_ticks, list(memory.price)) == kept, "a plan that has bought"
        assert s.session.state.started[s.symbol].params["layers"] == "5"
        s.life.die(power=False)
        await s.wait(2)
        await s.begin()
        await s.holding()
        memory = s.market.binding.memory
        assert (memory.cycle, memory.layers, memory.exit_ticks, memory.stop_ticks, list(memory.price)) == kept
        assert s.session.state.started[s.symbol].params["layers"] == "3", "a start has its own settings"

    play(script, MARTINGALE, symbol)


def test_a_change_is_in_the_journal_before_the_first_order_that_follows_from_it():
    async def script(s: Stage):
        await s.begin()
        await s.quoting()
        written = []
        append = s.session.journal.append
        s.session.journal.append = lambda event: (
            written.append(type(event).__name__ if not isinstance(event, UserCommand) else event.action),
            append(event),
        )[1]
        edit(s, spread="1")
        assert written[0] == "edit"
        assert "Decided" in written, "the cancels of the old quotes"
        await s.until(lambda: s.calm and bool(resting(s, QUOTE)), "quoting again", 60)

    play(script, MAKER, SPOT)
