"""Several pairs in one account: each ends at its own time, and the run with the last of them. The whole session, in virtual time."""

import asyncio
import random
from decimal import Decimal
from pathlib import Path

import pytest
from tests.fake_env import START_US, FakeEnv
from tests.simulation.exchange import REST, STREAM, Edge
from tests.virtual_time import run

from lemon_trader.config.settings import SANDBOX, PairSettings, RunSettings
from lemon_trader.core.units import EXIT, STOP, US_PER_S
from lemon_trader.run.parts import default_values, make_signer
from lemon_trader.run.session import Session
from lemon_trader.sandbox.world import WorldOptions, make_world

S = US_PER_S
SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
MAKING = {"spread": Decimal("0.1"), "max_orders": 1, "interval": 3, "volatility_factor": Decimal(0), "rebalance": "off"}
AVERAGING = {
    "layers": 3, "step_pct": Decimal(1), "take_profit_pct": Decimal(6), "stop_loss_pct": Decimal(9), "entry": "offset", "entry_wait": 5,
    "cooldown": 3, "pause_after_stop": 10, "stop_by_layer": False, "resting": 2,
}  # fmt: skip


def pair(strategy, symbol, duration_s, **more):
    values = default_values(strategy, **(MAKING if strategy == "market-maker" else AVERAGING))
    return PairSettings(strategy, symbol, values, budget=Decimal(500), duration_s=duration_s, **more)


class House:
    """One account's exchange, and lives of a session on the same disks."""

    def __init__(self, loop, seed=7):
        self.loop = loop
        world = make_world(WorldOptions(market="synthetic", symbols=(SPOT, PERP), seed=seed, activity_pct=100), START_US)
        self.edge = Edge(world, lambda: START_US + loop.now_us)
        self.account = world.accounts[0]
        self.exchange = world.app.desk.exchange
        self.disks = {}

    async def live(self, *pairs):
        """A session that trades these pairs."""
        env = FakeEnv(self.loop, disks=self.disks)
        self.edge.serve(env)
        signer = make_signer(self.account.api_key, self.account.secret, scheme=self.account.scheme)
        session = Session(
            RunSettings(mode=SANDBOX, pairs=pairs, data_dir=Path("nowhere"), yes=True),
            env,
            signer,
            rest_url=REST,
            ws_url=STREAM,
            alone=True,
        )
        self.told = []
        session.on_alert = lambda alert: self.told.append((alert.key, alert.values.get("symbol")))
        await session.recover()
        await session.plan()
        await session.trade()
        return session, env

    async def wait(self, seconds):
        for _ in range(int(seconds * 10)):
            await asyncio.sleep(0.1)
            self.edge.advance()

    def opening(self, session, symbol):
        """What rests at the exchange in this market and is neither an exit nor a stop."""
        roles = {o.client_id: o.role for o in session.state.markets[symbol].orders}
        account = self.exchange.accounts[self.account.name]
        return [o for o in account.live.values() if o.symbol == symbol and roles.get(o.client_id) not in (EXIT, STOP)]


def test_each_pair_ends_at_its_own_duration_and_the_run_with_the_last():
    async def main():
        house = House(asyncio.get_running_loop())
        session, env = await house.live(pair("market-maker", PERP, 20), pair("martingale", SPOT, 50))
        over = asyncio.ensure_future(session.runner.until_ended())
        await house.wait(15)
        assert house.opening(session, PERP)
        assert house.opening(session, SPOT)
        await house.wait(15)
        assert not house.opening(session, PERP), "its 20 s are over"
        assert house.opening(session, SPOT), "the other one goes on"
        assert not over.done()
        picture = session.picture()
        assert {m["symbol"]: (m["ended"], m["may_open"]) for m in picture["markets"]} == {PERP: (True, False), SPOT: (False, True)}
        assert picture["state"] == "ACTIVE"
        assert ("alert.pair_ended", PERP) in house.told
        wanted = {m["symbol"]: m["orders"] for m in session.preview()}
        assert not [o for o in wanted[PERP] if o["role"] not in {"EXIT", "STOP"}], "a resume does not begin it again"
        assert wanted[SPOT]
        await house.wait(30)
        assert not house.opening(session, SPOT)
        assert session.runner.is_winding_down
        guarded = any(m.rows_used > 1 for m in session.state.markets.values())
        assert over.done() or guarded
        assert await session.stop("test")
        assert ("alert.stopped", None) in house.told
        await session.close()
        env.kill()
        over.cancel()

    run(main)


def test_a_pair_without_an_end_keeps_the_run_going():
    async def main():
        house = House(asyncio.get_running_loop())
        session, env = await house.live(pair("market-maker", PERP, 10), pair("market-maker", SPOT, None))
        over = asyncio.ensure_future(session.runner.until_ended())
        await house.wait(120)
        assert not over.done()
        assert not house.opening(session, PERP)
        assert house.opening(session, SPOT)
        await session.stop("test")
        await session.close()
        env.kill()
        over.cancel()

    run(main)


def test_a_killed_run_remembers_the_end_of_a_pair_only_until_the_start_that_asks_for_it_again():
    async def main():
        house = House(asyncio.get_running_loop())
        _, env = await house.live(pair("market-maker", PERP, 10), pair("market-maker", SPOT, None))
        await house.wait(20)
        env.kill()
        session, env = await house.live(pair("market-maker", SPOT, None))
        assert session.state.markets[PERP].ended, "the journal has it"
        await house.wait(15)
        assert not house.opening(session, PERP)
        env.kill()
        session, env = await house.live(pair("market-maker", PERP, None), pair("market-maker", SPOT, None))
        await house.wait(15)
        assert house.opening(session, PERP)
        await session.stop("test")
        await session.close()
        env.kill()

    run(main)


@pytest.mark.parametrize("seed", range(3))
def test_whenever_a_pair_ends_nothing_that_opens_is_left_of_it_and_nothing_is_lost(seed):
    """Drawn durations; after each end the books equal the exchange's, fill by fill."""

    async def main():
        chance = random.Random(f"durations {seed}")
        house = House(asyncio.get_running_loop(), seed=seed)
        lasts = {SPOT: chance.randint(5, 60), PERP: chance.randint(5, 60)}
        strategies = {SPOT: chance.choice(("market-maker", "martingale")), PERP: chance.choice(("market-maker", "martingale"))}
        session, env = await house.live(*(pair(strategies[s], s, lasts[s]) for s in (SPOT, PERP)))
        for second in range(80):
            await house.wait(1)
            for symbol, lasts_s in lasts.items():
                if second > lasts_s + 5:
                    assert not house.opening(session, symbol), f"{symbol} ended at {lasts_s} s, now {second} s"
        assert session.runner.is_winding_down
        assert await session.stop("test")
        account = house.exchange.accounts[house.account.name]
        for symbol, m in session.state.markets.items():
            fills = [f for f in account.fills if f.symbol == symbol]
            base = sum(f.side * f.lots for f in fills) * m.instrument.lot_atoms
            base -= sum(f.fee_atoms for f in fills if f.fee_asset == m.instrument.base)
            assert m.ledger.base_atoms == base
        await session.close()
        env.kill()

    run(main)
