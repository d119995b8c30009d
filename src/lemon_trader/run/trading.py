"""A run that trades, in whatever mode: said in the first line, confirmed where money is at stake, stopped in order, reported at the end."""

import gc
import os
import time
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from lemon_trader.config.settings import DATABASE_FILE, LIVE, PAPER, SANDBOX, Face, RunSettings
from lemon_trader.core.instrument import GateError, atoms_text
from lemon_trader.core.market import MarketState
from lemon_trader.core.state import Alert
from lemon_trader.core.units import ATOMS_PER_UNIT, EXIT, PPM, STOP, TRIGGER, US_PER_S, side_name
from lemon_trader.database.journal import JournalError
from lemon_trader.engine.startup import Plan, StartRefused
from lemon_trader.env_live import FolderStore, LiveEnv, Proxies, new_loop
from lemon_trader.exchanges.signers import SecretError
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.instruments import UnknownMarket
from lemon_trader.matching.accounts import Account
from lemon_trader.messages.told import worded
from lemon_trader.run.doctor.record import is_proven
from lemon_trader.run.latch import is_latched, show_latch
from lemon_trader.run.parts import make_signer, market_of
from lemon_trader.run.scaled import ScaledEnv
from lemon_trader.run.session import Session, until_told
from lemon_trader.run.sheets import show_sheet
from lemon_trader.run.watchdog import Guard, Watch
from lemon_trader.sandbox.server import PortInUse, RunningSandbox, ServerOptions, start_sandbox
from lemon_trader.sandbox.world import SYNTHETIC, WorldOptions
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import StrategyRefused
from lemon_trader.venues.paper import PaperVenue
from lemon_trader.venues.venue import VenueLost

OK: Final = 0
FAILED: Final = 1
REFUSED: Final = 2
UNPROVEN_BUDGET: Final = 50 * ATOMS_PER_UNIT
PAST_KEPT: Final = 5
REPORT_EVERY_US: Final = 300 * US_PER_S
FEE_LOSS: Final = "quote.spread-below-fees"


def run_trading(settings: RunSettings, face: Face, *, rest_url: str = "", ws_url: str = "") -> int:
    """Trade until the end; the exit code: 0 in order, 1 lost on the way, 2 refused before anything was sent.

    `rest_url` and `ws_url` are where paper and live find the exchange; "" = the exchange's own.
    """
    return carry(_trade(settings, face, rest_url, ws_url), face)


def carry(work: Coroutine[Any, Any, int], face: Face) -> int:
    """Run a composed life on a loop of its own; what refuses a start becomes one message and exit code 2."""
    loop = new_loop()
    try:
        return loop.run_until_complete(work)
    except (StartRefused, StrategyRefused) as refused:
        face.say(refused.key, **refused.values)
    except (JournalError, SecretError, UnknownMarket, RecordingError, GateError, PortInUse) as error:
        face.say("start.refused", reason=str(error))
    except PermissionError as error:
        face.say("start.unwritable", path=error.filename, reason=error.strerror)
    except VenueLost as error:
        face.say("start.venue_lost", reason=str(error))
        return FAILED
    finally:
        loop.close()
    return REFUSED


async def _trade(settings: RunSettings, face: Face, rest_url: str, ws_url: str) -> int:
    face.say(f"mode.{settings.mode}", place=str(settings.store_dir))
    if settings.mode_reason:
        face.say(settings.mode_reason)
    failures: list[str] = []

    def failed(name: str, error: BaseException) -> None:
        failures.append(f"{name}: {error!r}")
        face.say("run.fault", part=name, error=repr(error))
        if session is not None:
            session.log.note("error", "fault", {"part": name, "error": repr(error)})
            session.state.tell(session.env.now_us(), "alert.part_failed", "grave", part=name, error=repr(error))
        if session is not None and session.runner is not None:
            session.runner.end()  # a fault of ours: orders are pulled, and the next start goes through the journal

    sandbox: RunningSandbox | None = None
    session: Session | None = None
    guard: Guard | None = None
    env = LiveEnv(settings.data_dir, failed, proxies=Proxies(stream=settings.ws_proxy or "", environ=os.environ))
    try:
        if settings.mode == SANDBOX:
            set_aside(settings.store_dir)
            sandbox = await open_sandbox(settings)
            session = sandbox_session(settings, env, sandbox)
        elif settings.mode == PAPER:
            session = Session(settings, env, None, rest_url=rest_url, ws_url=ws_url)
        else:
            assert settings.keys is not None
            secret = settings.keys.secret_key.reveal()
            signer = make_signer(settings.keys.api_key, secret)
            locks = FolderStore(Path.home() / ".lemon-trader" / "locks")
            session = Session(settings, env, signer, rest_url=rest_url, ws_url=ws_url, locks=locks, secrets=[secret])
        session.on_alert = lambda alert: tell(face, alert)
        await session.recover()
        if session.cut_bytes:
            face.say("start.torn_tail", bytes=session.cut_bytes)
        plans = await session.plan()
        if isinstance(session.venue, PaperVenue):
            say_paper(face, session.venue)
        if is_latched(session.state):
            show_latch(face, session.picture())
            face.say("latch.at-start")
        if not confirm(settings, face, session, list(plans)):
            face.say("start.declined")
            return REFUSED
        if settings.mode == LIVE:
            guard = watched(settings, face, session, rest_url, ws_url)
        await session.trade()
        if guard is not None and session.runner is not None:
            guard.beat(session.env.now_us())  # from now on silence counts: what rests was placed by now
            session.runner.on_tick(guard.beat)
        gc.collect()
        gc.freeze()  # what lives as long as the program is not looked through again: a full pass would stop it for a tenth of a second
        for plan in plans:
            face.say("run.started", strategy=plan.strategy, symbol=plan.symbol, budget=atoms_text(plan.budget_atoms))
        origin = await until_told(session, first=lambda: face.say("run.stopping"), second=lambda: face.say("run.stopping_already"))
        clean = await session.stop("fault" if failures else origin)
        last_words(face, session, clean=clean)
        face.report(session.report())
        facts: dict[str, object] = {"status": session.picture(), "report": session.report(), "clean": clean, "faults": failures}
        if sandbox is not None:
            facts["equal"] = say_equality(face, session, sandbox.app.desk.exchange.accounts[sandbox.accounts[0].name])
        elif isinstance(session.venue, PaperVenue):
            facts["equal"] = say_equality(face, session, session.venue.account, ("paper.equal_yes", "paper.equal_no"))
            face.say("paper.stands_still")
        face.result(facts)
        return OK if clean and not failures else FAILED
    finally:
        if session is not None:
            await session.close()
        if guard is not None:
            await guard.leave()
        if sandbox is not None:
            await sandbox.stop()


def watched(settings: RunSettings, face: Face, session: Session, rest_url: str, ws_url: str) -> Guard | None:
    """A watchdog beside a live run, started; None where it was not wanted, or cannot be."""
    if not settings.watchdog:
        face.say("watchdog.off")
        return None
    if os.name != "posix":
        face.say("watchdog.not-here")
        return None

    def told(key: str, grade: str, **values: object) -> None:
        session.state.tell(session.env.now_us(), key, grade, **values)

    guard = Guard(session.env, Watch(settings, rest_url, ws_url), told)
    guard.start()
    face.say("watchdog.watches", seconds=settings.watchdog_after_s)
    return guard


async def open_sandbox(settings: RunSettings) -> RunningSandbox:
    """The embedded sandbox that these settings ask for."""
    known = {p.symbol for p in settings.pairs}
    recorded = settings.market.source != SYNTHETIC
    symbol = next(iter(known)) if recorded and len(known) == 1 else None
    world = WorldOptions(market=settings.market.source, seed=settings.market.seed, symbol=symbol)
    return await start_sandbox(ServerOptions(world=world, speed_ppm=int(settings.market.speed * PPM)))


def sandbox_session(settings: RunSettings, env: LiveEnv, sandbox: RunningSandbox) -> Session:
    """A session against an embedded sandbox, by its clock and with its first demo account."""
    account = sandbox.accounts[0]
    scaled = ScaledEnv(env, sandbox.clock.now_us, sandbox.clock.wall_of)
    signer = make_signer(account.api_key, account.secret, scheme=account.scheme)
    return Session(settings, scaled, signer, rest_url=sandbox.rest_url, ws_url=sandbox.ws_url, world=env)


def set_aside(store_dir: Path) -> None:
    """An embedded sandbox is a new exchange each time: what the last one knew is kept beside, the newest five."""
    if (store_dir / "journal-000001").exists() or (store_dir / DATABASE_FILE).exists():
        store_dir.rename(store_dir.with_name(f"{store_dir.name}-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1_000:03d}"))
    past = sorted(p for p in store_dir.parent.glob(f"{store_dir.name}-2*") if p.is_dir())
    for old in past[:-PAST_KEPT]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()


def confirm(settings: RunSettings, face: Face, session: Session, plans: list[Plan]) -> bool:
    """Say what will happen and let the person agree where money is at stake; True to go on."""
    state = session.state
    for symbol, name, old, new in session.changed():
        face.say("start.changed", symbol=symbol, name=name, old=old, new=new)
    if session.changed() and not settings.keep and not face.ask("start.changed_ask"):
        return False
    for pair, plan in zip(settings.pairs, plans, strict=True):
        strategy = STRATEGIES[pair.strategy]
        market = market_of(state, state.markets[pair.symbol].instrument)
        equity, held = session.equity_atoms(market.instrument.quote), state.markets[pair.symbol].ledger.lots
        show_sheet(
            face, plan.strategy, plan.built, market, plan.budget_atoms, equity_atoms=equity, held_lots=held or plan.inventory_lots
        )  # fmt: skip
        for key, values in strategy.warnings(pair.values, market):
            face.say(key, **values)
            if key == FEE_LOSS and settings.mode == LIVE and not settings.accept_fee_loss and not face.ask("start.fee_loss_ask"):
                raise StartRefused("start.fee_loss", **values)
    if settings.mode != LIVE:
        return True
    total = sum(plan.budget_atoms for plan in plans)
    assert settings.keys is not None
    if total > UNPROVEN_BUDGET and not settings.unproven and not is_proven(session.store, settings.keys.api_key):
        symbols = ", ".join(plan.symbol for plan in plans)
        raise StartRefused("start.unproven", symbol=symbols, budget=atoms_text(total), cap=atoms_text(UNPROVEN_BUDGET))
    for pair, plan in zip(settings.pairs, plans, strict=True):
        quantity = pair.values.get("quantity")
        if isinstance(quantity, Decimal):
            m = state.markets[pair.symbol]
            levels = int(pair.values.get("max_orders") or 1)
            side = int(quantity * levels * m.reference_ticks() * m.instrument.tick_lot_atoms * ATOMS_PER_UNIT / m.instrument.lot_atoms)
            equity = session.equity_atoms(m.instrument.quote)
            if 4 * side > equity and not face.ask(
                "start.large_side_ask", symbol=pair.symbol, side=atoms_text(side), equity=atoms_text(equity)
            ):
                raise StartRefused(
                    "start.large_side", symbol=pair.symbol, quantity=quantity, side=atoms_text(side), equity=atoms_text(equity)
                )
        if not face.confirm(pair.symbol, "start.confirm", symbol=pair.symbol, budget=atoms_text(plan.budget_atoms)):
            return False
    return True


def tell(face: Face, alert: Alert) -> None:
    """Tell an alert of the engine."""
    face.say(alert.key, **worded(alert.values))


def last_words(face: Face, session: Session, *, clean: bool) -> None:
    """What a stop leaves behind: position, average, unrealised, what rests, what is not watched any more, and how to go on."""
    for symbol, m in sorted(session.state.markets.items()):
        _last_words_of(face, symbol, m)
    if not clean:
        face.say("stop.not_clean", count=session.runner.opening_orders() if session.runner is not None else 0)
    face.say("stop.go_on")


def _last_words_of(face: Face, symbol: str, m: MarketState) -> None:
    i, ledger, price = m.instrument, m.ledger, m.reference_ticks()
    if not ledger.base_atoms:
        face.say("stop.flat", symbol=symbol)
    else:
        average = ledger.cost_atoms * i.lot_atoms // (abs(ledger.base_atoms) * i.tick_lot_atoms)
        face.say(
            "stop.position", symbol=symbol, held=atoms_text(ledger.base_atoms), base=i.base, average=i.price_text(average),
            unrealised=atoms_text(ledger.unrealised_atoms(price)), quote=i.quote,
        )  # fmt: skip
    for order in m.orders.live:
        place = i.price_text(order.trigger_ticks or order.price_ticks)
        face.say("stop.rests", symbol=symbol, side=(f"side.{side_name(order.side)}", {}), quantity=i.qty_text(order.open_lots), price=place)
    if ledger.base_atoms and abs(ledger.lots) < max(1, i.min_lots):
        face.say("stop.dust", symbol=symbol, least=i.qty_text(max(1, i.min_lots)), base=i.base)
    elif ledger.base_atoms:
        rests = any(o.kind == TRIGGER for o in m.orders.live)
        face.say("stop.protected" if rests else "stop.unwatched", symbol=symbol)
        if not any(o.role in (EXIT, STOP) for o in m.orders.live):
            face.say("stop.nothing_sells", symbol=symbol)


def say_paper(face: Face, venue: PaperVenue) -> None:
    """What the paper account is: new with these balances, or the one of an earlier start, which the flag does not change."""
    account, beginning = venue.account, venue.file.beginning
    held = ", ".join(f"{atoms_text(account.total(asset))} {asset}" for asset in account.assets)
    if venue.file.is_new:
        face.say("paper.account_new", balances=held)
    else:
        given = ", ".join(f"{atoms_text(atoms)} {asset}" for asset, atoms in beginning.opened_with.items())
        since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(beginning.begun_us // US_PER_S))
        face.say("paper.account_kept", since=since, given=given, balances=held)


def say_equality(face: Face, session: Session, account: Account, words: tuple[str, str] = ("equal.yes", "equal.no")) -> bool:
    """Compare our books with the simulated exchange's own, and the report with our books, to the atom, and say so."""
    reported = {market["symbol"]: market["periods"]["all"] for market in session.report()["markets"]}
    equal = True
    for symbol, m in sorted(session.state.markets.items()):
        i = m.instrument
        ours = (m.ledger.lots if i.is_perp else m.ledger.base_atoms, m.ledger.flow_atoms() if i.is_perp else m.ledger.cash_atoms)
        fills = [f for f in account.fills if f.symbol == symbol]
        cash = sum(-f.side * f.quote_atoms for f in fills)
        cash -= sum(f.fee_atoms for f in fills if f.fee_asset == i.quote)
        cash += sum(f.amount_atoms for f in account.funding if f.symbol == symbol)
        base = sum(f.side * f.lots for f in fills)
        if not i.is_perp:
            base = base * i.lot_atoms - sum(f.fee_atoms for f in fills if f.fee_asset == i.base) + m.ledger.given_atoms
        figures = reported.get(symbol, {"gross": "0", "fees": "0", "funding": "0"})
        shown = (figures["gross"], figures["fees"], figures["funding"])
        kept = (atoms_text(m.ledger.realised_atoms), atoms_text(m.ledger.fees_atoms), atoms_text(m.ledger.funding_atoms))
        same = ours == (base, cash) and shown == kept
        equal = equal and same
        unit = i.lot_atoms if i.is_perp else 1
        said = [f"{atoms_text(held * unit)} {i.base}, {atoms_text(paid)} {i.quote}" for held, paid in (ours, (base, cash))]
        face.say(words[0] if same else words[1], symbol=symbol, ours=said[0], theirs=said[1])
    return equal
