"""The program that trades as a process of its own, against a sandbox somewhere else, by that sandbox's clock.

It is `run.session.Session` on the real environment: sockets, files, lock, journal, records, control channel. It says `trading` once it
decides, trades until it is killed or until `lasts_s` of the exchange's time have passed, then stops in order and says what its books are.
"""

import asyncio
import time
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.replay_rig import books_of_bot

from lemon_trader.config.settings import SANDBOX, LimitSettings, PairSettings, RunSettings
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.orders import Order
from lemon_trader.core.units import PPM, ROLE_NAMES, STATE_NAMES, UNKNOWN, US_PER_S
from lemon_trader.env_live import LiveEnv, Proxies, new_loop
from lemon_trader.run.parts import default_values, make_signer
from lemon_trader.run.scaled import ScaledEnv
from lemon_trader.run.session import Session
from lemon_trader.venues.venue import VenueLost

PAIRS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "SOL_USDC_PERP": ("market-maker", 2_000, {"spread": Decimal("0.03"), "interval": 3, "volatility_factor": Decimal(0)}),
    "SOL_USDC": (
        "martingale",
        400,
        {
            "layers": 4, "step_pct": Decimal("0.05"), "step_scale": Decimal(1), "take_profit_pct": Decimal("0.05"), "resting": 3,
            "stop_loss_pct": Decimal("0.5"), "stop_by_layer": False, "entry": "market", "cooldown": 1, "pause_after_stop": 2,
        },
    ),
}  # fmt: skip


def pairs() -> tuple[PairSettings, ...]:
    """Both strategies in one engine, each quick to act."""
    return tuple(
        PairSettings(name, symbol, default_values(name, **more), budget=Decimal(budget)) for symbol, (name, budget, more) in PAIRS.items()
    )


@dataclass(frozen=True)
class Asked:
    """What a life is told.

    Attributes:
        at_ns / at_us: a moment of the machine's monotonic clock, and the exchange's time in it.
        lasts_s: how long it trades, seconds of the exchange's time.
        tells_whole: it says as well when, by the exchange's time in µs, nothing of what its last life left is open to doubt any more.
    """

    rest_url: str
    ws_url: str
    api_key: str
    secret: str
    scheme: str
    folder: Path
    at_ns: int
    at_us: int
    speed_ppm: int
    lasts_s: int
    tells_whole: bool = False


def run(asked: Asked, tell: Connection) -> None:
    """Live; the process's whole work."""
    loop = new_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_live(asked, tell))


async def _live(asked: Asked, tell: Connection) -> None:
    failures: list[str] = []

    def now_us() -> int:
        return asked.at_us + (time.monotonic_ns() - asked.at_ns) * asked.speed_ppm // (1_000 * PPM)

    env = LiveEnv(asked.folder, lambda name, error: failures.append(f"{name}: {error!r}"), proxies=Proxies(environ={}))
    scaled = ScaledEnv(env, now_us, lambda span_us: span_us * PPM // asked.speed_ppm)
    limits = LimitSettings(daily_loss_pct=Decimal(90), drawdown_pct=Decimal(90))
    settings = RunSettings(mode=SANDBOX, pairs=pairs(), data_dir=asked.folder, yes=True, keep=True, limits=limits)
    signer = make_signer(asked.api_key, asked.secret, scheme=asked.scheme)
    session = Session(settings, scaled, signer, rest_url=asked.rest_url, ws_url=asked.ws_url)
    alerts: set[str] = set()
    session.on_alert = lambda alert: alerts.add(alert.key)
    try:
        await session.recover()
        await session.plan()
        await session.trade()
        tell.send("trading")
        if asked.tells_whole:
            scaled.spawn(_tell_whole(session, scaled, tell), "whole")
        await scaled.sleep(asked.lasts_s * US_PER_S)
        clean = await session.stop("test")
        tell.send({"clean": clean, "failures": failures, "alerts": alerts, "report": session.report(), **_books(session)})
    except VenueLost as lost:
        tell.send(f"lost: {lost}")  # a machine that is too slow for this exchange's clock: whoever started it starts it again
    finally:
        await session.close()


async def _tell_whole(session: Session, env: ScaledEnv, tell: Connection) -> None:
    """Say once that the account was read, every outcome is known and every balance explained."""
    state, born_us = session.state, env.now_us()

    def is_open(order: Order) -> bool:
        return bool(order.state == UNKNOWN or order.ending) and order.sent_us < born_us

    while state.unexplained or any(is_open(o) for m in state.markets.values() for o in m.orders.live):
        await env.sleep(US_PER_S // 10)
    tell.send(env.now_us())


def _books(session: Session) -> dict[str, Any]:
    """Position, cash and net result of each market, and what lives there by the program's own word."""
    markets = session.state.markets
    return {
        "books": {symbol: books_of_bot(m) for symbol, m in markets.items()},
        "net": {s: atoms_text(m.ledger.realised_atoms - m.ledger.fees_atoms + m.ledger.funding_atoms) for s, m in markets.items()},
        "live": [(o.order_id, ROLE_NAMES[o.role], STATE_NAMES[o.state]) for m in markets.values() for o in m.orders.live],
    }
