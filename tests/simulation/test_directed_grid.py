"""Filters that the exchange changes while orders rest and something is held (fault matrix F47), and a market it lists no more (F48)."""

import pytest
from tests.simulation.directed import MARTINGALE, PERP, SPOT, WORLDS, Stage, play

from lemon_trader.core.instrument import steps_between
from lemon_trader.core.units import BUY, TRIGGER


def list_with(s: Stage, **changed: str) -> None:
    """Other filters, from now on."""
    s.life.edge.world.app.change_filters(s.symbol, s.now_us, **changed)


def off_steps(s: Stage) -> list[str]:
    """Orders of ours at the exchange that are not on its steps."""
    i, listed = s.exchange.instrument(s.symbol), s.exchange.filters(s.symbol)
    ticks, lots = steps_between(listed, i)
    return [f"{o.client_id}: {o.ticks} {o.lots}" for o in s.live if not o.is_trigger and (o.ticks % ticks or o.lots % lots)]


async def noticed(s: Stage) -> None:
    listed = s.exchange.filters(s.symbol)

    def same() -> bool:
        ours = s.market.instrument
        return (ours.order_tick, ours.order_lot, ours.qty_text(ours.min_lots)) == (
            listed.tick,
            listed.lot,
            listed.qty_text(listed.min_lots),
        )

    await s.until(same, "the new filters are read", 330)


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F47_a_coarser_grid_is_followed_with_nothing_lost(strategy, symbol):
    async def script(s: Stage):
        await s.begin()
        await (s.holding() if strategy == MARTINGALE else s.quoting())
        list_with(s, tick="0.05", lot="0.1")
        await noticed(s)
        assert "alert.grid_changed" in s.alerts
        await s.until(
            lambda: s.calm and s.market.view.fresh == 1 and bool(s.live) and not off_steps(s), "everything is on the new steps", 60
        )
        sent = s.sent()
        await s.wait(20)
        assert off_steps(s) == []
        held = s.market.ledger.base_atoms
        await s.again()
        assert s.market.ledger.base_atoms == held, "the next life folds the old grid and then the new one"
        await s.until(lambda: s.calm and bool(s.live), "it goes on", 60)
        if strategy == MARTINGALE:
            assert s.sent() - sent <= 2, "nothing is placed and cancelled in turn"

    play(script, strategy, symbol)


@pytest.mark.parametrize(("strategy", "symbol"), WORLDS)
def test_F47_a_finer_grid_is_followed_with_nothing_lost(strategy, symbol):
    async def script(s: Stage):
        list_with(s, tick="0.05", lot="0.1")
        await s.begin()
        await (s.holding() if strategy == MARTINGALE else s.quoting())
        before = s.market.instrument
        held = s.market.ledger.base_atoms
        list_with(s, tick="0.01", lot="0.01")
        await noticed(s)
        assert (before.order_tick, s.market.instrument.order_tick) == ("0.05", "0.01")
        if strategy == MARTINGALE:
            assert s.market.ledger.base_atoms == held
            assert s.market.ledger.lots == held // s.market.instrument.lot_atoms, "the same, in smaller lots"
        await s.until(lambda: s.calm and s.market.view.fresh == 1 and bool(s.live), "it goes on", 60)
        await s.wait(10)
        await s.again()
        await s.until(lambda: s.calm and bool(s.live), "and after a restart", 60)

    play(script, strategy, symbol)


@pytest.mark.parametrize("symbol", [SPOT, PERP])
def test_F47_a_grid_that_changed_while_the_program_was_down_is_applied_after_the_fold(symbol):
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        held, cost = s.market.ledger.base_atoms, s.market.ledger.cost_atoms
        s.life.die(power=False)
        list_with(s, tick="0.1", lot="0.1")
        await s.wait(2)
        await s.begin()
        assert s.market.instrument.tick_step == 10
        assert (s.market.ledger.base_atoms, s.market.ledger.cost_atoms) == (held, cost)
        await s.until(lambda: s.calm and not off_steps(s) and any(o.side == BUY for o in s.live), "layers and exit on the new steps", 60)
        if symbol == PERP:
            assert any(o.kind == TRIGGER for o in s.market.orders.live)

    play(script, MARTINGALE, symbol)


def test_F47_a_minimum_that_rose_is_kept_to_and_the_grid_stays():
    async def script(s: Stage):
        await s.begin()
        await s.holding()
        list_with(s, min_qty="0.3")
        await noticed(s)
        assert s.alerts.count("alert.bounds_changed") == 1
        await s.wait(5)
        assert s.market.view.min_lots == 30

    play(script, MARTINGALE, SPOT)
