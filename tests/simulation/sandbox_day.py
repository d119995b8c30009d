"""A day in the sandbox: two programs with both strategies on spot and perpetual, and the exchange's own troubles; then all ledgers agree.

    make sandbox-day                                  24 hours in virtual time
    python -m tests.simulation.sandbox_day --hours 2

Two accounts trade, each with a market maker and a martingale, one the other way round than the other. In the course of the day a third
account is liquidated, the exchange is under maintenance for a while, and the filters of a market change twice. Every hour the exchange's
books must close to the atom; at the end every program's ledger must equal what the exchange has in its rows for the account, reckoned
here from these rows alone. Exits 1 otherwise.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

from tests.fake_env import START_US, FakeEnv
from tests.invariants.books import ledger_equality
from tests.simulation.exchange import REST, STREAM, Edge
from tests.virtual_time import VirtualLoop

from lemon_trader.config.settings import SANDBOX, PairSettings, RunSettings
from lemon_trader.core.units import BUY, US_PER_S
from lemon_trader.matching.orders import NewOrder, OrderType, Origin
from lemon_trader.run.parts import default_values, make_signer
from lemon_trader.run.session import Session
from lemon_trader.sandbox.desk import Switches
from lemon_trader.sandbox.world import WorldOptions, make_world

HOUR_US = 3_600 * US_PER_S
SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
MAKING = {"max_orders": 1, "interval": 10, "volatility_factor": Decimal(0)}
AVERAGING = {"layers": 3, "step_pct": Decimal("0.1"), "take_profit_pct": Decimal("0.4"), "stop_loss_pct": Decimal(1), "cooldown": 30}
TICK_S = 0.5
HEARTBEAT_US = 2 * US_PER_S  # a quiet book repeats itself less often than for clients that count frames: a day has many seconds
STEPS = (  # when in the day, in shares of it, and what
    (0.15, "somebody opens with all he has"),
    (0.25, "he is liquidated"),
    (0.40, "maintenance begins"),
    (0.41, "maintenance ends"),
    (0.55, "other filters"),
    (0.75, "the filters of before"),
)  # fmt: skip


class Day:
    """Two programs, a third account, and the exchange that they live on."""

    def __init__(self, loop: VirtualLoop, *, hours: float, seed: int = 1, activity_pct: int = 20, spread_pct: str = "0.25") -> None:
        """`spread_pct` of the makers: close ones are filled often, and lose their fees so quickly that a long day would end by a limit."""
        self.loop = loop
        self.span_us = int(hours * HOUR_US)
        self.making = MAKING | {"spread": Decimal(spread_pct)}
        world = make_world(
            WorldOptions(
                market="synthetic",
                symbols=(SPOT, PERP),
                seed=seed,
                activity_pct=activity_pct,
                accounts=3,
                switches=Switches(heartbeat_us=HEARTBEAT_US),
            ),
            START_US,
        )
        self.app = world.app
        self.exchange = world.app.desk.exchange
        self.edge = Edge(world, self.now_us)
        self.accounts = world.accounts
        self.sessions: list[Session] = []
        self.envs: list[FakeEnv] = []
        self.said: list[str] = []
        self.found: list[str] = []

    def now_us(self) -> int:
        """Exchange time."""
        return START_US + self.loop.now_us

    async def begin(self) -> None:
        """Start both programs."""
        for number, strategies in enumerate((("market-maker", "martingale"), ("martingale", "market-maker"))):
            env = FakeEnv(self.loop, seed=number)
            self.edge.serve(env)
            key = self.accounts[number]
            pairs = tuple(
                PairSettings(
                    strategy,
                    symbol,
                    default_values(strategy, **(self.making if strategy == "market-maker" else AVERAGING)),
                    budget=Decimal(500),
                )
                for strategy, symbol in zip(strategies, (SPOT, PERP), strict=True)
            )
            session = Session(
                RunSettings(mode=SANDBOX, pairs=pairs, data_dir=Path("nowhere"), yes=True),
                env, make_signer(key.api_key, key.secret, scheme=key.scheme), rest_url=REST, ws_url=STREAM, alone=True,
            )  # fmt: skip
            await session.recover()
            await session.plan()
            await session.trade()
            self.sessions.append(session)
            self.envs.append(env)

    async def until(self, at_us: int) -> None:
        """Live on; the market moves, and whatever a program's task raises is raised here."""
        while self.loop.now_us < at_us:
            await asyncio.sleep(TICK_S)
            self.edge.advance()
            for env in self.envs:
                env.check()

    async def run(self, *, tells: bool) -> None:
        """The whole day, with its hourly look at the books."""
        await self.begin()
        hours = [(at_us, "") for at_us in range(HOUR_US, self.span_us, HOUR_US)]
        for at_us, act in sorted([*hours, *((int(share * self.span_us), act) for share, act in STEPS)]):
            await self.until(at_us)
            if act:
                self.act(act)
            self.exchange.check_closed()
            if tells:
                fills = [len(self.exchange.accounts[key.name].fills) for key in self.accounts]
                print(f"{self.loop.now_us / HOUR_US:5.1f} h  fills {fills}  {act}", flush=True)
        await self.until(self.span_us)
        for session in self.sessions:
            if not await session.stop("the day is over"):
                self.found.append("a stop was not done in time")
        await self.until(self.loop.now_us + 10 * US_PER_S)
        self.look()
        for session, env in zip(self.sessions, self.envs, strict=True):
            await session.close()
            env.kill()

    def act(self, what: str) -> None:
        """What happens to the exchange, or to the third account."""
        self.said.append(what)
        name, now_us = self.accounts[2].name, self.now_us()
        match what:
            case "somebody opens with all he has":
                lots = self.exchange.max_order_lots(name, PERP, BUY) * 9 // 10
                new = NewOrder(symbol=PERP, side=BUY, order_type=OrderType.MARKET, lots=lots)
                self.exchange.place(name, new, now_us)
                if not self.exchange.accounts[name].position_lots(PERP):
                    self.found.append("the third account got no position")
            case "he is liquidated":
                standing = self.exchange.margin(name)
                taken = standing.equity_atoms - standing.maintenance_atoms * 9 // 10
                self.exchange._clearing.deposit(self.exchange.accounts[name], "USDC", -taken)  # his money goes, by the books' own door
            case "maintenance begins" | "maintenance ends":
                self.app.faults.maintenance = what == "maintenance begins"
            case "other filters":
                for symbol in (SPOT, PERP):
                    self.app.change_filters(symbol, now_us, tick="0.05", lot="0.05")
            case "the filters of before":
                for symbol in (SPOT, PERP):
                    self.app.change_filters(symbol, now_us, tick="0.01", lot="0.01")

    # -- what must be true --

    def look(self) -> None:
        """Both programs' ledgers beside the exchange's rows, and that everything has happened that was meant to."""
        self.exchange.check_closed()
        for key, session in zip(self.accounts, self.sessions, strict=False):
            account = self.exchange.accounts[key.name]
            for symbol, market in session.state.markets.items():
                i, ledger = self.exchange.instrument(symbol), market.ledger
                fills = [f for f in account.fills if f.symbol == symbol]
                base = sum(f.side * f.lots for f in fills) * i.lot_atoms - sum(f.fee_atoms for f in fills if f.fee_asset == i.base)
                quote = -sum(f.side * f.quote_atoms for f in fills) - sum(f.fee_atoms for f in fills if f.fee_asset == i.quote)
                quote += sum(row.amount_atoms for row in account.funding if row.symbol == symbol)
                ours = (
                    (ledger.lots * market.instrument.lot_atoms, ledger.flow_atoms())
                    if i.is_perp
                    else (ledger.base_atoms, ledger.cash_atoms)
                )
                self.found += ledger_equality(
                    f"{key.name} {symbol}",
                    {"base": Decimal(ours[0]), "quote": Decimal(ours[1])}, {"base": Decimal(base), "quote": Decimal(quote)},
                )  # fmt: skip
                if i.is_perp and account.position_lots(symbol) * i.lot_atoms != base:
                    self.found.append(f"{key.name} {symbol}: the exchange's position is not the sum of its fills")
                if not fills:
                    self.found.append(f"{key.name} {symbol}: nothing was filled all day")
        third = self.exchange.accounts[self.accounts[2].name]
        if not any(f.origin is not Origin.USER for f in third.fills):
            self.found.append("the third account was not liquidated")
        self.found += [f"{what}: it has not happened" for _, what in STEPS if what not in self.said]

    def told(self) -> str:
        """The day in a line."""
        fills = Counter((key.name, f.symbol) for key in self.accounts for f in self.exchange.accounts[key.name].fills)
        return ", ".join(f"{name} {symbol} {count} fills" for (name, symbol), count in sorted(fills.items()))


def live(hours: float, *, seed: int = 1, activity_pct: int = 20, spread_pct: str = "0.25", tells: bool = False) -> Day:
    """One day from its beginning to its end, in a loop of its own."""
    loop = VirtualLoop(shuffle=random.Random(f"day {seed}"))
    asyncio.set_event_loop(loop)
    day = Day(loop, hours=hours, seed=seed, activity_pct=activity_pct, spread_pct=spread_pct)
    try:
        loop.run_until_complete(day.run(tells=tells))
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
    return day


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--hours", type=float, default=24)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--activity-pct", type=int, default=20)
    given = asked.parse_args()
    begun = time.monotonic()
    day = live(given.hours, seed=given.seed, activity_pct=given.activity_pct, tells=True)
    print(f"{day.told()}; {given.hours:g} simulated hours in {time.monotonic() - begun:.0f} s")
    print("\n".join(day.found) or "all ledgers agree")
    return 1 if day.found else 0


if __name__ == "__main__":
    sys.exit(main())
