"""Both strategies through recorded crashes and recorded books: nothing that must always hold is ever broken, whatever they earn."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests import recordings
from tests.replay_rig import NAME, Rig, books_of_bot, books_of_exchange, doubled_keys, make_rig, pair_of

from lemon_trader.core.events import Decided
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.units import BUY, EXIT, HALTED, LAYER, ROLE_NAMES, SELL, STOP, US_PER_S
from lemon_trader.market.acts import Source
from lemon_trader.market.recordings import open_recording
from lemon_trader.strategies.martingale_records import CLOSE, IDLE, LADDER, PHASE_NAMES, STOPPED

pytestmark = [pytest.mark.data, pytest.mark.slow]

CRASH_BARS = 240  # a crash: the deepest fall from the highest of so many bars
BARS = {"martingale": (200, 80), "market-maker": (60, 30)}  # before its lowest bar, and after
BATCHES = 1_500  # of a recorded book: some minutes
BUDGET = {"martingale": 400, "market-maker": 2_000}
MARKS_A_BAR = 6
LASTS_US = 60 * US_PER_S  # "armed, flat, nothing wanted" for so long is for ever
FOREIGN_LOTS = 1_000  # of the base, in the account before and none of the program's
MAY_REST = {
    IDLE: frozenset(),
    LADDER: frozenset({LAYER, EXIT, STOP}),
    CLOSE: frozenset({EXIT, STOP}),
    STOPPED: frozenset({STOP}),
}
RESULTS: dict[str, dict[str, str]] = {}


@dataclass
class Laws:
    """What holds after every turn.

    Attributes:
        keys: client id -> (slot, generation, kind); roles: client id -> role.
        read: events of the journal looked at so far; fills: of the exchange's rows.
        idle_since: since when a martingale is armed and flat with nothing resting, engine time; 0 = it is not.
    """

    strategy: str
    keys: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    roles: dict[int, int] = field(default_factory=dict)
    read: int = 0
    fills: int = -1
    idle_since: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    most_atoms: int = 0
    lowest_atoms: int = 0

    def __call__(self, rig: Rig) -> None:
        self._learn(rig)
        self._books(rig)
        if rig.venue.waiting or not rig.begun:
            return
        self.checks["turns"] += 1
        self._orders(rig)
        if self.strategy == "martingale":
            self._phase(rig)

    def _learn(self, rig: Rig) -> None:
        events = rig.bot.journal.events
        for event in events[self.read :]:
            if isinstance(event, Decided):
                for a in event.attempts:
                    self.keys[a.client_id], self.roles[a.client_id] = (a.slot, a.generation, a.kind), a.role
        self.read = len(events)

    def _books(self, rig: Rig) -> None:
        rows = len(rig.account.fills) + len(rig.account.funding)
        if rows == self.fills:
            return
        self.fills = rows
        self.checks["books"] += 1
        market, i = rig.bot.market, rig.bot.instrument
        assert books_of_bot(market) == books_of_exchange(rig.exchange, NAME, i)
        if i.is_perp:
            assert market.ledger.lots == rig.account.position_lots(i.symbol)
        else:
            assert market.ledger.base_atoms == rig.account.total(i.base) - FOREIGN_LOTS * i.lot_atoms
            assert market.ledger.base_atoms >= 0, "coins were sold that were never bought"

    def _orders(self, rig: Rig) -> None:
        """Budget, coins and keys, by what rests at the exchange."""
        account, i, ledger = rig.account, rig.bot.instrument, rig.bot.market.ledger
        doubled = doubled_keys(rig.exchange, NAME, self.keys)
        assert not doubled, doubled
        worth, lots = {BUY: 0, SELL: 0}, {BUY: 0, SELL: 0}
        for order in account.live.values():
            if not order.is_trigger:
                open_lots = order.lots - order.executed_lots
                worth[order.side] += i.notional_atoms(order.ticks, open_lots)
                lots[order.side] += open_lots
        held = ledger.cost_atoms if ledger.base_atoms > 0 else 0
        budget = rig.bot.market.binding.budget_atoms
        assert held + worth[BUY] <= budget, f"{held} held and {worth[BUY]} of resting buys, budget {budget}"
        if i.is_perp:
            if lots[SELL] > max(0, ledger.lots):  # what goes beyond the position opens a short
                short = ledger.cost_atoms if ledger.base_atoms < 0 else 0
                assert short + worth[SELL] - max(0, ledger.lots) * worth[SELL] // max(1, lots[SELL]) <= budget
        else:
            assert lots[SELL] * i.lot_atoms <= max(0, ledger.base_atoms), "more coins are offered than were bought"
        self.most_atoms = max(self.most_atoms, ledger.cost_atoms)
        net = rig.bot.state.net_pnl()
        if net is not None:
            self.lowest_atoms = min(self.lowest_atoms, net)

    def _phase(self, rig: Rig) -> None:
        state, market = rig.bot.state, rig.bot.market
        phase = market.binding.memory.phase
        resting = {self.roles[o.client_id] for o in rig.account.live.values() if o.client_id is not None}
        names = ", ".join(ROLE_NAMES[role] for role in sorted(resting - MAY_REST[phase]))
        assert resting <= MAY_REST[phase], f"{names} rests while the cycle is {PHASE_NAMES[phase]}"
        armed = phase == LADDER and market.position.sellable_lots == 0 and not resting and state.mode != HALTED and market.view.fresh
        if not armed:
            self.idle_since = 0
        elif not self.idle_since:
            self.idle_since = rig.now_us
        else:
            assert rig.now_us - self.idle_since < LASTS_US, "armed, flat, and no LAYER wanted"


def run(strategy: str, source: Source, name: str) -> Rig:
    """The recording from its first act to its last."""
    symbol = next(iter(source.instruments))
    i = source.instruments[symbol]
    laws = Laws(strategy)
    balances = {"USDC": 10_000 * 10**9} if i.is_perp else {"USDC": 10_000 * 10**9, i.base: FOREIGN_LOTS * i.lot_atoms}
    rig = make_rig(source, pair_of(strategy, symbol, budget=BUDGET[strategy]), balances=balances, after=laws)
    rig.play(source)
    assert rig.begun
    assert laws.checks["turns"] > 100
    grave = [(a.key, a.values) for a in rig.bot.alerts if a.grade == "grave" and a.key != "alert.latched"]
    assert not grave, grave
    latched = [a.values["reason"] for a in rig.bot.alerts if a.key == "alert.latched"]
    assert set(latched) <= {"DAILY_LOSS", "DRAWDOWN"}
    market = rig.bot.market
    rig.exchange.check_closed()
    ledger = market.ledger
    RESULTS[f"{name} {strategy}"] = {
        "fills": str(len(rig.account.fills)), "net": atoms_text(ledger.net_atoms(market.reference_ticks())),
        "fees": atoms_text(ledger.fees_atoms), "lowest": atoms_text(laws.lowest_atoms), "most": atoms_text(laws.most_atoms),
        "orders": str(len(laws.keys)), "halted": ",".join(latched),
    }  # fmt: skip
    print(f"\n{name} {strategy}: {RESULTS[f'{name} {strategy}']}")
    return rig


@cache
def lowest_bar(path: Path) -> tuple[int, list[int]]:
    """Index of the bar at the bottom of the recording's deepest crash, and the times of all bars, µs."""
    table = pq.read_table(path, columns=["ts_ms", "high", "low"])
    high, low = table["high"].to_numpy(), table["low"].to_numpy()
    padded = np.concatenate([np.full(CRASH_BARS - 1, high[0]), high])
    highest = np.lib.stride_tricks.sliding_window_view(padded, CRASH_BARS).max(axis=1)
    return int((low / highest).argmin()), (table["ts_ms"].to_numpy() * 1_000).tolist()


@pytest.mark.parametrize("strategy", sorted(BARS))
@pytest.mark.parametrize("name", recordings.names("bars"))
def test_through_the_deepest_crash_of_each_recording_of_bars(name: str, strategy: str):
    path = recordings.path(name)
    lowest, times_us = lowest_bar(path)
    before, after = BARS[strategy]
    start = max(0, lowest - before)
    marks_us = int(np.median(np.diff(times_us[start : lowest + after]))) // MARKS_A_BAR
    source = open_recording(path, start=times_us[start], limit=lowest - start + after, reference_us=marks_us)
    run(strategy, source, path.stem)


@pytest.mark.parametrize("strategy", sorted(BARS))
@pytest.mark.parametrize("name", [n for n in recordings.names("l2") if "_depth" in n and "coinm" not in n] or ["l2/none.parquet"])
def test_through_the_first_minutes_of_each_recorded_book(name: str, strategy: str):
    path = recordings.path(name)
    run(strategy, open_recording(path, limit=BATCHES), path.stem)
