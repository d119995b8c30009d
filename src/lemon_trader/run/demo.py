"""The minute that shows everything: a market made, a martingale cycle closed, a stop fired, a connection lost and found, books equal.

It is the very program that trades: the same engine, client and protocol, against the sandbox on loopback, only faster than the wall's
clock. Nothing is scripted but the prices of two markets.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from lemon_trader.config.settings import SANDBOX, DemoSettings, Face, MarketSettings, PairSettings, RunSettings
from lemon_trader.core.events import Event, FeedState
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.state import Recorded
from lemon_trader.core.units import EXIT, LAYER, PPM, QUOTE, STOP, US_PER_S, side_name
from lemon_trader.env_live import LiveEnv, Proxies
from lemon_trader.market.recordings import open_recording
from lemon_trader.run.parts import default_values, to_atoms
from lemon_trader.run.session import Session
from lemon_trader.run.sheets import money
from lemon_trader.run.trading import FAILED, OK, carry, confirm, last_words, sandbox_session, say_equality, tell
from lemon_trader.sandbox.server import RunningSandbox, ServerOptions, start_sandbox
from lemon_trader.sandbox.world import SYNTHETIC, WorldOptions

SPEED: Final = 3
SCRIPT_S: Final = 108  # of exchange time; the ladder's story lasts 100
RECORDING_SPEED: Final = 10
RECORDING_S: Final = 400
PERP: Final = "_PERP"
LADDER: Final = "SOL_USDC"
QUOTED: Final = "ETH_USDC_PERP"
STORIES: Final = {LADDER: "demo", QUOTED: "ripple"}
CUT_AT_PCT: Final = 30  # of the time, the streams are cut
CLOSE_CODE: Final = 1001
FILLS_SHOWN: Final = 14


@dataclass(slots=True)
class Seen:
    """What has happened so far."""

    quotes_filled: int = 0
    layers_filled: int = 0
    cycles_closed: int = 0
    stops: int = 0
    reconnects: int = 0
    shown: int = 0
    downs: set[str] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)


def run_demo(settings: DemoSettings, face: Face) -> int:
    """Show it; 0 when the books are equal to the exchange's own and, on the scripted market, everything promised has happened."""
    place = Path(tempfile.mkdtemp(prefix="lemon-demo-"))
    try:
        return carry(_demo(settings, face, place), face)
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _demo(settings: DemoSettings, face: Face, place: Path) -> int:
    scripted = settings.market.source == SYNTHETIC
    if scripted:
        ladder, quoted = LADDER, QUOTED
        world = WorldOptions(stories=STORIES, seed=settings.market.seed)
    else:
        ladder = next(iter(open_recording(Path(settings.market.source), limit=1).instruments))
        quoted = ladder.removesuffix(PERP) if ladder.endswith(PERP) else ladder + PERP
        world = WorldOptions(market=settings.market.source, symbol=ladder, twins=(quoted,), seed=settings.market.seed)
    speed = SPEED if scripted else RECORDING_SPEED
    lasts_s = SCRIPT_S if scripted else RECORDING_S
    face.say("mode.sandbox", place=str(place))
    sandbox = await start_sandbox(ServerOptions(world=world, speed_ppm=speed * PPM))
    face.say("demo.exchange", rest_url=sandbox.rest_url, speed=speed)
    seen = Seen()
    session: Session | None = None
    try:
        pairs = _pairs(ladder, quoted)
        chosen = RunSettings(mode=SANDBOX, pairs=pairs, data_dir=place, lang=settings.lang, market=MarketSettings(), yes=True)
        faults: list[str] = []

        def failed(name: str, error: BaseException) -> None:
            faults.append(name)
            face.say("run.fault", part=name, error=repr(error))

        env = LiveEnv(place, failed, proxies=Proxies(environ=os.environ))
        session = sandbox_session(chosen, env, sandbox)
        session.on_alert = lambda alert: tell(face, alert)
        await session.recover()
        plans = await session.plan()
        confirm(chosen, face, session, list(plans))
        await session.trade()
        _narrate(face, session, seen)
        for plan in plans:
            face.say("run.started", strategy=plan.strategy, symbol=plan.symbol, budget=atoms_text(plan.budget_atoms))
        await _watch(face, session, sandbox, lasts_s)
        clean = await session.stop("demo")
        last_words(face, session, clean=clean)
        statistics = session.report()
        face.report(statistics)
        face.say(
            "demo.happened", quotes=seen.quotes_filled, layers=seen.layers_filled, cycles=seen.cycles_closed, stops=seen.stops,
            reconnects=seen.reconnects,
        )  # fmt: skip
        equal = say_equality(face, session, sandbox.app.desk.exchange.accounts[sandbox.accounts[0].name])
        face.say("demo.next")
        face.result({"equal": equal, "clean": clean, "faults": faults, "seen": _facts(seen), "report": statistics})
        promised = not scripted or bool(seen.quotes_filled and seen.cycles_closed and seen.stops and seen.reconnects)
        return OK if equal and clean and promised and not faults else FAILED
    finally:
        if session is not None:
            await session.close()
        await sandbox.stop()


def _pairs(ladder: str, quoted: str) -> tuple[PairSettings, ...]:
    making = default_values("market-maker", spread=Decimal("0.2"), max_orders=2, interval=10, volatility_factor=Decimal(0))
    averaging = default_values("martingale", entry_wait=5, cooldown=5, pause_after_stop=600)
    return (
        PairSettings("market-maker", quoted, making, budget=Decimal(2_000)),
        PairSettings("martingale", ladder, averaging, budget=Decimal(400)),
    )


async def _watch(face: Face, session: Session, sandbox: RunningSandbox, lasts_s: int) -> None:
    env = session.env
    begun = env.now_us()
    cut = False
    said = 0
    while (passed := (env.now_us() - begun) // US_PER_S) < lasts_s:
        await env.sleep(US_PER_S)
        if not cut and 100 * passed >= lasts_s * CUT_AT_PCT:
            cut = True
            face.say("demo.cut")
            sandbox.app.hub.close_all(CLOSE_CODE, "demonstration")
        if passed >= said + 12:
            said = passed
            picture = session.picture()
            for market in picture["markets"]:
                resting = sum(o["state"] in {"WORKING", "ARMED"} for o in market["orders"])
                face.say(
                    "demo.moment", seconds=passed, symbol=market["symbol"], bid=market["bid"], ask=market["ask"], resting=resting,
                    position=market["position"], net=money(to_atoms(Decimal(market["net"]))) if market["net"] else "-",
                )  # fmt: skip


def _narrate(face: Face, session: Session, seen: Seen) -> None:
    """Listen beside the records and tell what people want to see."""
    record = session.engine.on_fact

    def told(number: int, event: Event, recorded: Sequence[Recorded]) -> None:
        if record is not None:
            record(number, event, recorded)
        if isinstance(event, FeedState):
            if not event.up:
                seen.downs.add(event.feed)
            elif event.feed in seen.downs:
                seen.downs.discard(event.feed)
                seen.reconnects += 1
                face.say("demo.reconnected", feed=(f"demo.feed.{event.feed}", {}))
        for entry in recorded:
            _fill(face, session, seen, entry)

    session.engine.on_fact = told


def _fill(face: Face, session: Session, seen: Seen, entry: Recorded) -> None:
    fill, i = entry.fill, session.state.markets[entry.fill.symbol].instrument
    flat = not session.state.markets[fill.symbol].ledger.lots
    seen.quotes_filled += entry.role == QUOTE
    seen.layers_filled += entry.role == LAYER
    if flat and entry.role in {EXIT, STOP} and entry.generation not in seen.ended:
        seen.ended.add(entry.generation)
        seen.cycles_closed += entry.role == EXIT
        seen.stops += entry.role == STOP
    if entry.role == QUOTE and seen.shown >= FILLS_SHOWN:
        return
    seen.shown += 1
    key = {QUOTE: "demo.quote_filled", LAYER: "demo.layer_filled", EXIT: "demo.exit_filled", STOP: "demo.stop_filled"}.get(entry.role)
    if key is not None:
        side: object = (f"side.{side_name(fill.side)}", {})
        face.say(
            key, symbol=fill.symbol, side=side, quantity=i.qty_text(fill.qty_lots), price=i.price_text(fill.price_ticks),
            realised=money(entry.booked.realised_atoms),
        )  # fmt: skip


def _facts(seen: Seen) -> dict[str, int]:
    return {
        "quotes_filled": seen.quotes_filled,
        "layers_filled": seen.layers_filled,
        "cycles_closed": seen.cycles_closed,
        "stops": seen.stops,
        "reconnects": seen.reconnects,
    }
