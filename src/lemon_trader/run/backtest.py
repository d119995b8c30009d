"""`backtest`: one strategy over the past, through the engine that trades, under each model of fills that was asked for."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

import numpy as np

from lemon_trader.backtest.bar_exchange import BarExchange
from lemon_trader.backtest.bars import BarPlayer
from lemon_trader.backtest.gather import Gathered, utc
from lemon_trader.backtest.latency import Drawn, Fixed, LatencyError, quantiles
from lemon_trader.backtest.program import Program
from lemon_trader.backtest.result import PRICE, Columns, Note, Result, check
from lemon_trader.config.backtest import FILL_MODELS, KERNEL, QUEUES, REPLAY, TICK_DELAY_MS, BacktestSettings
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.settings import Face
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import PPM, US_PER_MS, US_PER_S
from lemon_trader.engine.startup import Plan, StartRefused
from lemon_trader.formulas.fill import FILL_MODELS as BAR_MODELS
from lemon_trader.formulas.fill import FillRules
from lemon_trader.formulas.queue import AHEAD, BEHIND, SPREAD, left_ahead
from lemon_trader.market.recordings import BARS, TRADES
from lemon_trader.market.tables import BarTable
from lemon_trader.matching.book import FIRST, IN_TURN, LAST, Queueing
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.rules import Rules
from lemon_trader.run.backtest_data import Data, interval_us, load, symbol_of, with_funding
from lemon_trader.run.backtest_latency import measured
from lemon_trader.run.parts import apply_limits, make_plan, to_atoms
from lemon_trader.sandbox.tiers import TIERS, UnknownTier, tier_of
from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.venues.replay import Delays, ReplayVenue, play

__all__ = ["run_backtest", "symbol_of"]

ACCOUNT: Final = "backtest"
CAPITAL: Final = Decimal(1_000)
QUIET_US: Final = 60 * US_PER_S  # a stretch without an act that is longer is a hole in the recording
MARTINGALE_LAYERS: Final = "layers"
# Trades do not say who stood in a queue: behind everybody an order is filled by what goes through it, before everybody by what touches it.
STANDING: Final = {"pessimistic": Queueing(LAST), "touch": Queueing(FIRST), "probabilistic": Queueing(IN_TURN)}


def run_backtest(settings: BacktestSettings, face: Face) -> list[Result]:
    """Play; the run that was asked for, and with `--bounds` the two ends between which the truth lies.

    Raises:
        BadSetting, StrategyRefused: before anything is played, or when the plan meets the market's first price.
    """
    data = load(settings)
    fees = fees_of(settings, is_perp=data.instrument.is_perp)
    has_queue = data.kind not in {BARS, TRADES}
    asked = settings.queue if has_queue else settings.fill_model
    ends = ((QUEUES[0], QUEUES[-1]) if has_queue else FILL_MODELS[:2]) if settings.bounds else ()
    wanted = tuple(dict.fromkeys((asked, *ends)))
    _foresee_memory(data, len(wanted), face)
    results = []
    for model in wanted:
        try:
            result = _run(settings, data, model, fees, face, is_shown=model == asked)
        except StartRefused as refused:
            raise BadSetting(refused.key, **refused.values) from refused
        check(result)
        results.append(result)
    return results


def _foresee_memory(data: Data, runs: int, face: Face) -> None:
    """Say before it happens that bars and what comes of them may not fit; books and trades are read as they are played."""
    if data.bars is None:
        return
    from lemon_trader.optimize import memory  # noqa: PLC0415  it knows the kernel's rows

    one = memory.needed([data.bars], 1, curved=True, compared=0, steps=0) - memory.PROCESS
    needed = memory.PROCESS + runs * one
    free = memory.available()
    if 0 < free < needed:
        face.say("backtest.memory", needed=needed >> 20, free=free >> 20)


def _run(settings: BacktestSettings, data: Data, model: str, fees: tuple[int, int], face: Face, *, is_shown: bool) -> Result:
    """One run by the engine that was asked for. Bars go through the kernel; the run that is shown is replayed and both are compared."""
    if data.kind != BARS:
        if settings.engine == KERNEL:
            raise BadSetting("backtest.kernel-bars", file=data.name)
        face.say("backtest.playing", model=model, source=data.name, engine=REPLAY)
        return replay_acts(settings, data, model, fees)
    is_late = _is_late(settings)
    engine = settings.engine or (REPLAY if is_late else "")
    if engine != REPLAY:
        face.say("backtest.playing", model=model, source=data.name, engine=KERNEL)
        quick = run_kernel(settings, data, model, fees)
        if engine == KERNEL or not is_shown:
            return quick
        check(quick)
    face.say("backtest.playing", model=model, source=data.name, engine=REPLAY)
    slow = replay_bars(settings, data, model, fees)
    return slow if engine == REPLAY else replace(slow, notes=(*slow.notes, compared(quick, slow)))


def _is_late(settings: BacktestSettings) -> bool:
    """Whether commands shall be under way for a while, which the kernel does not know. Raises BadSetting where it is wanted."""
    latency = settings.latency
    is_late = bool(latency.measured_in or latency.entry_us)
    if is_late and settings.engine == KERNEL:
        raise BadSetting("backtest.kernel-latency", name="--latency-from" if latency.measured_in else "--latency-ms")
    return is_late


def compared(quick: Result, slow: Result) -> Note:
    """What comes of holding kernel and replay against each other, fill by fill."""
    first, second = quick.fills, slow.fills
    count = min(len(first), len(second))
    wrong = np.flatnonzero(first[:count] != second[:count])
    if not len(wrong) and len(first) == len(second) and quick.totals == slow.totals:
        return Note("backtest.note.agree", {"fills": count})
    at = int(wrong[0]) if len(wrong) else count
    rows = second if len(second) > at else first
    when = utc(int(rows["at_us"][at])) if len(rows) > at else "-"
    nets = (atoms_text(r.totals.net_atoms) for r in (quick, slow))
    return Note("backtest.note.differ", {"fill": at + 1, "at": when, "kernel": next(nets), "replay": next(nets)})


def fees_of(settings: BacktestSettings, *, is_perp: bool) -> tuple[int, int]:
    """(maker, taker) in ppm: the tier's, or what was said instead. Raises BadSetting."""
    try:
        tier = TIERS[0] if settings.fee_tier is None else tier_of(settings.fee_tier)
    except UnknownTier as error:
        raise BadSetting("backtest.fee-tier", reason=error) from error
    rates = tier.fees_ppm[2:] if is_perp else tier.fees_ppm[:2]
    maker, taker = (rate if own is None else own for rate, own in zip(rates, settings.fees_ppm, strict=True))
    return maker, taker


def delays_of(settings: BacktestSettings, *, is_fine: bool) -> tuple[Delays, str]:
    """How long messages take, and that in words. Raises BadSetting."""
    latency = settings.latency
    if latency.measured_in:
        found = measured(latency.measured_in)
        try:
            delays = Drawn(found, settings.seed)
        except LatencyError as error:
            raise BadSetting("backtest.latency", file=latency.measured_in, reason=error) from error
        words = " + ".join(f"{quantiles(times)[0] / US_PER_MS:g}" for times in (found.entry, found.answer))
        return delays, f"{latency.measured_in} ({words} ms)"
    usual = int(TICK_DELAY_MS * US_PER_MS) if is_fine else 0
    entry, answer, feed = (usual if us is None else us for us in (latency.entry_us, latency.answer_us, latency.feed_us))
    return Fixed(entry, answer, feed), " + ".join(f"{us / US_PER_MS:g}" for us in (entry, answer, feed)) + " ms"


def replay_bars(settings: BacktestSettings, data: Data, model: str, fees: tuple[int, int]) -> Result:
    """Bars through the real engine. Raises BadSetting, StartRefused, StrategyRefused."""
    table = bars_of(data)
    delays, words = delays_of(settings, is_fine=False)
    exchange, program = opened(settings, data, model, fees, delays)
    gathered = Gathered(program, table.every_us, has_mids=False)
    played = BarPlayer(exchange, gathered.turn, table, data.funding).play()
    return gathered.result(
        end_us=int(table.at_us[-1]) + table.every_us, prices=_prices(table), price_every_us=table.every_us, start_us=first_us(table),
        events=played, fill_model=model, source=data.name, notes=notes_of(data), layers=layers_of(program.plan),
        settings=assumed_on_bars(settings, data, words, fees),
    )  # fmt: skip


def run_kernel(settings: BacktestSettings, data: Data, model: str, fees: tuple[int, int]) -> Result:
    """Bars through the compiled loop. Raises BadSetting, StartRefused, StrategyRefused."""
    from lemon_trader.optimize.kernel import BarSettings, run_bars  # noqa: PLC0415  it loads the compiler

    table = bars_of(data)
    exchange, program = opened(settings, data, model, fees, Fixed())
    plan = Planner(settings, data)(program.state)
    assumed = BarSettings(
        exchange.rules, plan.budget_atoms, exchange.cash_atoms, program.market.limits, data.funding,
        day_loss_atoms=program.state.day_loss_max, drawdown_atoms=program.state.drawdown_max, source=data.name, params=plan.params,
    )  # fmt: skip
    result = run_bars(STRATEGIES[plan.strategy], plan.built, data.instrument, table, assumed)
    words = assumed_on_bars(settings, data, delays_of(settings, is_fine=False)[1], fees)
    return replace(result, settings=words, layers=layers_of(plan), notes=(*result.notes, *notes_of(data)))


def opened(
    settings: BacktestSettings, data: Data, model: str, fees: tuple[int, int], delays: Delays
) -> tuple[BarExchange, Program]:  # fmt: skip
    """An exchange of bars and the program before it, at the first bar's open. Raises BadSetting."""
    table, i = bars_of(data), data.instrument
    rules = FillRules(
        model=BAR_MODELS.index(model), touch_ppm=settings.touch_ppm, seed=settings.seed, share_ppm=settings.share_ppm,
        half_spread_ppm=settings.half_spread_ppm, maker_fee_ppm=fees[0], taker_fee_ppm=fees[1],
        imf_ppm=max(i.imf_ppm, _margin_ppm(settings)) if i.is_perp else 0, mmf_ppm=i.mmf_ppm,
    )  # fmt: skip
    exchange = BarExchange(i, rules, capital_atoms(settings), delay_us=lambda _: delays.entry_us())
    program = Program(i, exchange, Planner(settings, data), warm_up_us=0)
    at_us = first_us(table)
    price = int(table.open[int((table.lots > 0).argmax())])
    program.open(at_us, exchange.terms(at_us), lambda: exchange.opening(at_us, price), lambda: exchange.read(at_us))
    return exchange, program


def bars_of(data: Data) -> BarTable:
    """The bars, of which one at least traded. Raises BadSetting."""
    assert data.bars is not None
    if not (data.bars.lots > 0).any():
        raise BadSetting("backtest.no-volume", file=data.name)
    return data.bars


def first_us(table: BarTable) -> int:
    """When the first bar opens that traded, µs UTC."""
    return int(table.at_us[int((table.lots > 0).argmax())])


def replay_acts(settings: BacktestSettings, data: Data, model: str, fees: tuple[int, int]) -> Result:
    """Trades or a book through the real engine and the simulated exchange. Raises BadSetting, StartRefused, StrategyRefused."""
    assert data.open is not None
    source, instrument = data.open(), data.instrument
    delays, words = delays_of(settings, is_fine=True)
    every_funding_us = Rules().funding_interval_us if data.funding is None else interval_us(data.funding)
    rules = Rules(
        spot_maker_ppm=fees[0], spot_taker_ppm=fees[1], perp_maker_ppm=fees[0], perp_taker_ppm=fees[1],
        taker_delay_us=settings.taker_delay_us, funding_interval_us=every_funding_us,
    )  # fmt: skip
    exchange = Exchange([instrument], rules, queueing=STANDING[model] if data.kind == TRADES else queueing_of(model, settings.queue_power))
    exchange.advance(source.start_us)
    exchange.open_account(ACCOUNT, {instrument.quote: capital_atoms(settings)})
    if settings.leverage is not None and instrument.is_perp:
        exchange.set_imf_floor(ACCOUNT, _margin_ppm(settings))
    venue = ReplayVenue(exchange, ACCOUNT, delays)
    program = Program(instrument, venue, Planner(settings, data))
    every_us = 60 * US_PER_S if data.kind == TRADES else US_PER_S
    gathered = Gathered(program, every_us, has_mids=True)
    symbols = [instrument.symbol]
    start_us = source.start_us
    venue.now_us = start_us
    program.open(start_us, venue.terms(start_us), lambda: venue.opening(symbols, start_us), lambda: venue.read(symbols, 0, start_us))
    acts = source if data.funding is None else with_funding(source, data.funding)
    played = play(acts, venue, gathered.turn, symbols, quiet_us=QUIET_US, wake_us=program.wake_us)
    if program.plan is None:
        raise BadSetting("backtest.too-short", file=data.name)
    exchange.check_closed()
    return gathered.result(
        end_us=program.now_us + 1, price_every_us=every_us, start_us=start_us, events=played, fill_model=model, source=data.name,
        notes=notes_of(data), layers=layers_of(program.plan),
        settings=assumed(settings, data, words, fees) | {"taker_delay_ms": f"{settings.taker_delay_us / US_PER_MS:g}"},
    )  # fmt: skip


def queueing_of(model: str, power: int) -> Queueing:
    """How our orders queue in a recorded book."""
    code, power = {"pessimistic": (BEHIND, 0), "proportional": (SPREAD, 1), "probability": (SPREAD, power), "optimistic": (AHEAD, 0)}[model]
    return Queueing(leaving=lambda ahead, behind, left: left_ahead(code, power, ahead, behind, left))


class Planner:
    """Makes the plan as a start does, and applies the limits."""

    def __init__(self, settings: BacktestSettings, data: Data) -> None:
        self._settings = settings
        self._data = data

    def __call__(self, state: AccountState) -> Plan:
        """The plan. Raises StrategyRefused, StartRefused."""
        i = self._data.instrument
        available, _ = state.balances[i.quote]
        plan = make_plan(self._settings.pair, state, i, available)
        margin_ppm = max(i.imf_ppm, _margin_ppm(self._settings)) if i.is_perp else PPM
        if plan.budget_atoms * margin_ppm > available * PPM:
            raise BadSetting("backtest.capital", value=atoms_text(available), budget=atoms_text(plan.budget_atoms))
        apply_limits(state, self._settings.limits, [plan])
        return plan


def capital_atoms(settings: BacktestSettings) -> int:
    """Quote that the account begins with, atoms."""
    return to_atoms(settings.capital if settings.capital is not None else max(CAPITAL, settings.pair.budget or CAPITAL))


def _margin_ppm(settings: BacktestSettings) -> int:
    """The initial margin that a leverage limit asks for; 0 = there is none."""
    return 0 if settings.leverage is None else int(PPM / settings.leverage)


def layers_of(plan: Plan | None) -> int:
    """Layers of the ladder; 0 for a strategy without one."""
    return int(getattr(plan.built, MARTINGALE_LAYERS, 0)) if plan is not None else 0


def assumed(settings: BacktestSettings, data: Data, latency: str, fees: tuple[int, int]) -> dict[str, str]:
    """What was assumed, as text by name, for whoever looks at the figures."""
    found = {
        "data": data.kind,
        "latency": latency,
        "maker_fee_pct": f"{fees[0] / 10_000:g}",
        "taker_fee_pct": f"{fees[1] / 10_000:g}",
        "seed": str(settings.seed),
    }
    if data.instrument.is_perp:
        found["funding"] = settings.funding
    return found


def assumed_on_bars(settings: BacktestSettings, data: Data, latency: str, fees: tuple[int, int]) -> dict[str, str]:
    """The same on bars."""
    return assumed(settings, data, latency, fees) | {
        "volume_share_pct": f"{settings.share_ppm / 10_000:g}",
        "half_spread_pct": f"{settings.half_spread_ppm / 10_000:g}",
    }


def notes_of(data: Data) -> Sequence[Note]:
    """What the data itself makes one say."""
    found = []
    if data.off_grid:
        found.append(Note("backtest.note.off-grid", {"count": data.off_grid, "tick": data.instrument.tick}))
    if data.gaps:
        longest = max(data.gaps, key=lambda gap: gap.rows)
        rows = sum(gap.rows for gap in data.gaps)
        found.append(Note("backtest.note.gaps", {"count": len(data.gaps), "rows": rows, "most": longest.rows, "at": utc(longest.at_us)}))
    if data.kind == TRADES:
        found.append(Note("backtest.note.invented-book"))
    return found


def _prices(table: BarTable) -> Columns:
    rows = np.zeros(len(table), PRICE)
    for name, column in zip(PRICE.names or (), (table.at_us, table.open, table.high, table.low, table.close), strict=True):
        rows[name] = column
    return rows
