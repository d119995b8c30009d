"""The whole program on the rig: the session that trades, with its journal on disk, its records, its limits and its market maker.

    python benchmarks/rig/engine.py READY FOLDER LEVELS normal|strict

One thing is lifted: the account's own budget of requests, which would let fifteen orders a second leave and no more.
"""

import asyncio
import gc
import json
import sys
from decimal import Decimal
from functools import partial
from pathlib import Path

from lemon_trader.config.settings import SANDBOX, LimitSettings, PairSettings, RunSettings
from lemon_trader.core import decide
from lemon_trader.env_live import LiveEnv, new_loop
from lemon_trader.run.parts import default_values, make_signer
from lemon_trader.run.session import Session
from lemon_trader.utils.rate import RateBudget
from lemon_trader.venues import public_side

SYMBOL = "SOL_USDC"


def lift_request_budget() -> None:
    """The core's and the connection's: `RATE_PER_US` requests an eighth of a second would be all that is measured."""
    decide.RATE_PER_US = decide.RATE_BURST = 10**15  # type: ignore[misc]
    public_side.RateBudget = partial(RateBudget, per_minute=2_000_000_000, burst=1_000_000_000)  # type: ignore[misc,assignment]


async def trade(ready: dict[str, str], folder: Path, levels: int, *, strict: bool) -> None:
    env = LiveEnv(folder, lambda name, fault: print("fault", name, repr(fault), file=sys.stderr))
    values = default_values("market-maker", max_orders=levels, quantity=Decimal("0.1"), rebalance="off", level_step_pct=Decimal("0.05"))
    pair = PairSettings("market-maker", SYMBOL, values, frozenset(), Decimal(50_000))
    settings = RunSettings(SANDBOX, (pair,), data_dir=folder, limits=LimitSettings(), strict=strict)
    session = Session(settings, env, make_signer(ready["api_key"], ready["secret"]), rest_url=ready["rest_url"], ws_url=ready["ws_url"])
    session.on_alert = lambda alert: print("alert", alert.key, alert.values, file=sys.stderr)
    await session.recover()
    await session.plan()
    await session.trade()
    gc.collect()
    gc.freeze()
    await asyncio.Event().wait()


def main() -> None:
    lift_request_budget()
    new_loop().run_until_complete(trade(json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), strict=sys.argv[4] == "strict"))


if __name__ == "__main__":
    main()
