"""An engine in live mode as a process of its own, against a sandbox in the test's process; it is killed between two instructions."""

import asyncio
import multiprocessing
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.env_live.real import until

from lemon_trader.config.settings import LIVE, Keys, LimitSettings, PairSettings, RunSettings, Secret
from lemon_trader.env_live import LiveEnv, Proxies, new_loop
from lemon_trader.run.parts import default_values, make_signer
from lemon_trader.run.session import Session
from lemon_trader.sandbox.server import RunningSandbox, ServerOptions, start_sandbox
from lemon_trader.sandbox.world import WorldOptions

SPOT, PERP = "SOL_USDC", "ETH_USDC_PERP"
LADDER = {
    "layers": 3, "step_pct": Decimal("0.5"), "step_scale": Decimal(1), "take_profit_pct": Decimal(5), "resting": 2, "entry": "market",
    "stop_loss_pct": Decimal(9), "stop_by_layer": False,
}  # fmt: skip
PAIRS = tuple(PairSettings("martingale", s, default_values("martingale", **LADDER), budget=Decimal(400)) for s in (SPOT, PERP))
FORKS = multiprocessing.get_context("forkserver")
START_MAX_S = 30


@dataclass(frozen=True)
class Asked:
    """What the engine's process is told."""

    rest_url: str
    ws_url: str
    api_key: str
    secret: str
    folder: Path


def keys(api_key: str, secret: str) -> Keys:
    return Keys(api_key, Secret(secret), "test")


def run_settings(asked: Asked) -> RunSettings:
    limits = LimitSettings(daily_loss_pct=Decimal(90), drawdown_pct=Decimal(90))
    return RunSettings(LIVE, PAIRS, keys=keys(asked.api_key, asked.secret), data_dir=asked.folder, yes=True, keep=True, limits=limits)


def trade(asked: Asked, tell: Connection) -> None:
    """The process's whole work: trade until both ladders hold a position with its take profit, say so, go on."""
    loop = new_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_trade(asked, tell))


async def _trade(asked: Asked, tell: Connection) -> None:
    env = LiveEnv(asked.folder, lambda name, error: tell.send(f"{name}: {error!r}"), proxies=Proxies(environ={}))
    signer = make_signer(asked.api_key, asked.secret)
    session = Session(run_settings(asked), env, signer, rest_url=asked.rest_url, ws_url=asked.ws_url)
    await session.recover()
    await session.plan()
    await session.trade()
    await until(lambda: all(_is_settled(m) for m in session.state.markets.values()), START_MAX_S)
    tell.send("settled")
    await asyncio.sleep(3_600)


def _is_settled(market: Any) -> bool:
    rests = {o.role for o in market.orders.live if o.order_id and not o.unknown_us}
    return market.ledger.lots > 0 and len(rests) >= (3 if market.instrument.is_perp else 2)


@dataclass
class Rig:
    """The exchange, the account at it, and what the dead engine left in `folder`."""

    sandbox: RunningSandbox
    folder: Path
    asked: Asked
    said: list[Any] = field(default_factory=list)

    @property
    def account(self) -> Any:
        return self.sandbox.app.desk.exchange.accounts[self.sandbox.accounts[0].name]

    def rests(self) -> dict[str, list[tuple[str, bool]]]:
        """By market, side and whether it is a trigger, of every order that lives at the exchange."""
        found: dict[str, list[tuple[str, bool]]] = {SPOT: [], PERP: []}
        for order in self.account.live.values():
            found[order.symbol].append(("BUY" if order.side > 0 else "SELL", order.is_trigger))
        return {symbol: sorted(rows) for symbol, rows in found.items()}


@asynccontextmanager
async def dead_engine(folder: Path):
    """A rig whose engine traded until it held something in both markets, and then was killed with -9."""
    sandbox = await start_sandbox(ServerOptions(world=WorldOptions(symbols=(SPOT, PERP), seed=3, accounts=1)))
    account = sandbox.accounts[0]
    asked = Asked(sandbox.rest_url, sandbox.ws_url, account.api_key, account.secret, folder)
    hear, tell = FORKS.Pipe(duplex=False)
    engine = FORKS.Process(target=trade, args=(asked, tell))
    engine.start()
    try:
        deadline = time.monotonic() + START_MAX_S
        while not hear.poll():
            assert engine.is_alive(), "the engine's process ended by itself"
            assert time.monotonic() < deadline, "the engine did not settle"
            await asyncio.sleep(0.02)
        assert hear.recv() == "settled"
        engine.kill()
        engine.join()
        yield Rig(sandbox, folder, asked)
    finally:
        engine.kill()
        engine.join()
        await sandbox.stop()
