"""Acts on a dead engine: nothing runs, and the account's orders and coins are still there.

`cancel`, `kill` and `flatten` live a short life without strategies: what the journal knows is recovered, the command is written, the
exchange is asked and told, ends are proven, and the life ends with what is left. `resume` lifts a latch in the journal after it has shown
what the next start would place. All of it goes through the engine that trades: there is no second way to an order.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from lemon_trader.config.settings import LIVE, Face, Keys, PairSettings, RunSettings
from lemon_trader.core.events import Started, UserCommand
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.state import Alert
from lemon_trader.core.units import ATOMS_PER_UNIT, STOP
from lemon_trader.database.journal import JournalUnwritable, peek
from lemon_trader.env import Env
from lemon_trader.env_live import FolderStore, LiveEnv, Proxies
from lemon_trader.exchanges.dialect import Signer
from lemon_trader.messages.told import worded
from lemon_trader.run.errand import FLATTEN, KILL, ORIGIN, RESUME, carry_out
from lemon_trader.run.latch import is_latched, show_latch, show_preview
from lemon_trader.run.looks import folded
from lemon_trader.run.parts import make_signer, values_of
from lemon_trader.run.session import Session
from lemon_trader.run.trading import FAILED, OK, REFUSED, carry, last_words
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.venues.venue import VenueLost

LATCHING: Final = (KILL, FLATTEN)
NOISE: Final = frozenset({"alert.unbound_market"})  # that no strategy trades is what such a life is


@dataclass(frozen=True, slots=True)
class ActSettings:
    """What an act on a dead engine needs to know.

    Attributes:
        action: CANCEL, KILL, FLATTEN or RESUME.
        mode, keys, data_dir, ws_proxy: as in `RunSettings`.
        rest_url, ws_url: of the exchange; "" = its own.
    """

    action: str
    mode: str
    data_dir: Path
    keys: Keys | None = None
    ws_proxy: str | None = None
    rest_url: str = ""
    ws_url: str = ""


def run_act(settings: ActSettings, face: Face) -> int:
    """Do it; 0 when it is done and proven, 1 when something may be left, 2 when it was refused before anything was sent."""
    return carry(_act(settings, face), face)


async def _act(settings: ActSettings, face: Face) -> int:
    faults: list[str] = []

    def failed(name: str, error: BaseException) -> None:
        faults.append(f"{name}: {error!r}")
        face.say("run.fault", part=name, error=repr(error))

    assert (settings.keys is not None) == (settings.mode == LIVE)
    env = LiveEnv(settings.data_dir, failed, proxies=Proxies(stream=settings.ws_proxy or "", environ=os.environ))
    locks = FolderStore(Path.home() / ".lemon-trader" / "locks")
    signer = make_signer(settings.keys.api_key, settings.keys.secret_key.reveal()) if settings.keys is not None else None
    pairs = pairs_of(settings.data_dir / settings.mode, settings.mode)
    if not pairs:
        face.say("act.nothing-traded", mode=settings.mode.upper())
        return FAILED
    run = RunSettings(settings.mode, pairs, keys=settings.keys, data_dir=settings.data_dir, ws_proxy=settings.ws_proxy)
    try:
        code = await act_on(run, settings.action, face, env, signer, rest_url=settings.rest_url, ws_url=settings.ws_url, locks=locks)
    finally:
        await env.close()
        locks.close()
    return code if not faults else FAILED


async def act_on(
    run: RunSettings, action: str, face: Face, env: Env, signer: Signer | None, *, rest_url: str = "", ws_url: str = "",
    locks: FolderStore | None = None,
) -> int:  # fmt: skip
    """The act on this store by this signer at these addresses; the exit code. Raises as `Session.recover` does."""
    secrets = [run.keys.secret_key.reveal()] if run.keys is not None else []
    session = Session(run, env, signer, rest_url=rest_url, ws_url=ws_url, locks=locks, secrets=secrets)
    session.on_alert = lambda alert: _tell(face, alert)
    try:
        try:
            await session.recover()
        except VenueLost as error:
            return _latch_blind(session, action, face, error)
        if action == RESUME:
            return await _resume(session, face)
        if action == FLATTEN and run.mode == LIVE and not await _may_flatten(session, face):
            face.say("act.declined")
            return REFUSED
        return await _carry_out(session, action, face)
    finally:
        await session.close()


def pairs_of(store_dir: Path, mode: str) -> tuple[PairSettings, ...]:
    """What the last starts bound, as the journal tells; empty where nothing ever traded. Raises JournalError, OSError."""
    store = FolderStore(store_dir)
    if peek(store) is None:
        return ()
    found = folded(store, mode)
    return tuple(pair_of(started) for _, started in sorted(found.state.started.items())) if found is not None else ()


def pair_of(started: Started) -> PairSettings:
    """The settings of a start as its record tells them; what does not read any more is at its default."""
    strategy = STRATEGIES.get(started.strategy)
    values = {} if strategy is None else values_of(strategy, started.params)
    return PairSettings(started.strategy, started.symbol, values, budget=Decimal(started.budget_atoms) / ATOMS_PER_UNIT)


async def _carry_out(session: Session, action: str, face: Face) -> int:
    try:
        done = await carry_out(session, action)
    except VenueLost as error:
        session.leave()
        face.say("act.latched-only" if action in LATCHING else "act.no-exchange", reason=error)
        return FAILED
    left = [o for m in session.state.markets.values() for o in m.orders.live if o.role != STOP]
    face.say(f"act.done.{action}" if done else f"act.not-done.{action}", count=len(left))
    last_words(face, session, clean=True)
    face.result({"action": action, "done": done, "running": False, "status": session.picture()})
    return OK if done else FAILED


def _latch_blind(session: Session, action: str, face: Face, error: VenueLost) -> int:
    """The exchange cannot be reached: a latch is written all the same, so that the next start is halted."""
    if action not in LATCHING:
        face.say("act.no-exchange", reason=error)
        return FAILED
    with suppress(JournalUnwritable):
        session.journal.append(UserCommand(session.env.now_us(), action, "", ORIGIN))
        face.say("act.latched-only", reason=error)
        return FAILED
    face.say("act.no-exchange", reason=error)
    return FAILED


async def _may_flatten(session: Session, face: Face) -> bool:
    """Show what would be sold for about how much, and ask for the word."""
    for symbol, m in sorted(session.state.markets.items()):
        if m.ledger.lots:
            session.engine.turn([await session.venue.depth(symbol)])
            i, price = m.instrument, m.reference_ticks()
            face.say(
                "act.would-sell", symbol=symbol, held=atoms_text(m.ledger.base_atoms), base=i.base, price=i.price_text(price),
                unrealised=atoms_text(m.ledger.unrealised_atoms(price)) if price else "-", quote=i.quote,
            )  # fmt: skip
    return face.confirm(FLATTEN, "act.confirm-flatten")


async def _resume(session: Session, face: Face) -> int:
    state = session.state
    if not is_latched(state):
        face.say("latch.none")
        return OK
    await session.plan()
    session.bind()
    picture, wanted = session.picture(), session.preview()
    show_latch(face, picture)
    show_preview(face, wanted)
    face.say("latch.next-start")
    if not face.confirm(RESUME, "latch.confirm"):
        face.say("act.declined")
        return REFUSED
    session.engine.record(UserCommand(session.env.now_us(), RESUME, "", ORIGIN))
    session.leave()
    face.say("act.done.resume")
    face.result({"action": RESUME, "done": True, "running": False, "would_place": wanted, "status": session.picture()})
    return OK


def _tell(face: Face, alert: Alert) -> None:
    if alert.key not in NOISE:
        face.say(alert.key, **worded(alert.values))
