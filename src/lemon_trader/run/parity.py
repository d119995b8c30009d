"""`report parity`: what a session decided against what the program at hand decides, and what it got against what a replay gets."""

from typing import Final

import numpy as np

from lemon_trader.backtest.parity import Session, redecide
from lemon_trader.backtest.parity_fills import FillParity, compare_fills
from lemon_trader.backtest.program import WARM_UP_US
from lemon_trader.backtest.result import FILL, ORDER
from lemon_trader.config.backtest import PUBLISHED, QUEUES, TICK_DELAY_MS, BacktestSettings, Latency
from lemon_trader.config.data import FOLDER
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.parity import ParitySettings
from lemon_trader.config.settings import Face, LimitSettings
from lemon_trader.core.events import Started
from lemon_trader.core.market import Binding
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import US_PER_MS
from lemon_trader.database.chain import JournalError
from lemon_trader.database.journal import read_events
from lemon_trader.engine.startup import Plan
from lemon_trader.env_live import FolderStore
from lemon_trader.market.errors import RecordingError
from lemon_trader.market.recordings import TAPE, kind_of, open_recording
from lemon_trader.run.acts import pair_of
from lemon_trader.run.backtest import run_backtest
from lemon_trader.run.backtest_latency import measured
from lemon_trader.run.looks import grids_of
from lemon_trader.run.parts import apply_limits, market_of, values_of
from lemon_trader.strategies.catalog import STRATEGIES

TAKER_DELAY_US: Final = 100 * US_PER_MS


def sessions_of(settings: ParitySettings, mode: str) -> dict[str, Session]:
    """Every decision in the journal of this mode made again, by symbol; empty where nothing traded.

    Raises:
        BadSetting: a journal that cannot be read, or of a strategy that this program does not have.
    """
    store = FolderStore(settings.data_dir / mode)
    try:
        symbols = {e.symbol for e in read_events(store) if isinstance(e, Started)}
        return redecide(read_events(store), grids_of(store, mode, symbols), _bound, lambda state, of: _limit(state, of, settings.limits))
    except JournalError as error:
        raise BadSetting("look.journal", mode=mode, reason=error) from error


def fill_parity(settings: ParitySettings, mode: str, session: Session, face: Face) -> FillParity | None:
    """The session's fills against a replay of the tape with the session's settings, fees and measured latency.

    None, and said, for a market that is not on the tape: a session may have traded more than was recorded.

    Raises:
        BadSetting: a tape that cannot be played, or of other hours.
    """
    assert settings.tape is not None
    symbol = session.started.symbol
    try:
        is_there = kind_of(settings.tape) != TAPE or symbol in open_recording(settings.tape).instruments
    except RecordingError as error:
        raise BadSetting("backtest.data", reason=error) from error
    if not is_there:
        face.say("parity.not-on-tape", symbol=symbol, file=settings.tape)
        return None
    replay = run_backtest(_as_backtest(settings, session, _latency(settings, mode, face)), face)[0]
    return compare_fills(np.array(session.fills, FILL), np.array(session.orders_sent, ORDER), replay, settings.window_us)


def _bound(started: Started, state: AccountState) -> Binding:
    """The strategy of a start by its settings as the journal has them. Raises BadSetting."""
    strategy = STRATEGIES.get(started.strategy)
    if strategy is None:
        raise BadSetting("parity.no-strategy", strategy=started.strategy, known=", ".join(STRATEGIES))
    params = strategy.read(values_of(strategy, started.params), market_of(state, state.markets[started.symbol].instrument))
    return Binding(strategy.name, strategy.targets, params, strategy.memory_type(), strategy.features(params), started.budget_atoms)


def _limit(state: AccountState, started: Started, limits: LimitSettings) -> None:
    def never(_: object) -> Binding:
        raise AssertionError("limits bind nothing")

    plan = Plan(started.symbol, started.strategy, started.params, started.budget_atoms, 0, 0, None, never)
    apply_limits(state, limits, [plan])


def _latency(settings: ParitySettings, mode: str, face: Face) -> Latency:
    """The times that the session itself measured; of one that was too short for that, what a backtest assumes, and it is said."""
    store = str(settings.data_dir / mode)
    try:
        measured(store)
    except BadSetting:
        face.say("parity.latency-assumed", ms=TICK_DELAY_MS)
        return Latency(None, None, None)
    return Latency(None, None, None, store)


def _as_backtest(settings: ParitySettings, session: Session, latency: Latency) -> BacktestSettings:
    """The session as a backtest of the tape: from its start to its last fact."""
    started = session.started
    fees: tuple[int | None, int | None] = (None, None)
    if session.terms is not None:
        t = session.terms
        fees = (t.perp_maker_ppm, t.perp_taker_ppm) if session.instrument.is_perp else (t.spot_maker_ppm, t.spot_taker_ppm)
    return BacktestSettings(
        pair=pair_of(started), limits=settings.limits, data=settings.tape, history=settings.data_dir / FOLDER,
        start_us=session.begin_us - WARM_UP_US, end_us=session.end_us + 1, every_us=60_000_000, to_nearest=True, engine="replay",
        fill_model="pessimistic", touch_ppm=0, share_ppm=0, half_spread_ppm=0, queue=QUEUES[0], queue_power=1, bounds=False,
        latency=latency, taker_delay_us=TAKER_DELAY_US, fee_tier=None, fees_ppm=fees,
        funding=PUBLISHED, leverage=None, capital=None, calibrate=None, report=None, seed=1, lang="en", json=False,
    )  # fmt: skip
