"""The engine's life on the loop: wakes, reads of the account, checkpoints, and an ordered stop."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from lemon_trader.core.events import UserCommand, Wake
from lemon_trader.core.instrument import atoms_text
from lemon_trader.core.reconcile import news
from lemon_trader.core.state import READ_EVERY_US
from lemon_trader.core.units import EXIT, FIRST_TERMINAL, STOP, US_PER_S
from lemon_trader.core.watch import held_text
from lemon_trader.engine.startup import OVERLAP_US, reach_us
from lemon_trader.engine.turn import Engine
from lemon_trader.env import Env, Timer
from lemon_trader.venues.venue import Venue, VenueLost

WAKE_US: Final = 1 * US_PER_S
READ_GAP_US: Final = 1 * US_PER_S  # between two reads that are wanted at once
LOST_GAP_US: Final = 5 * US_PER_S
CHECKPOINT_US: Final = 3_600 * US_PER_S
STOP_WAIT_US: Final = 15 * US_PER_S  # an ordered stop waits no longer for the ends of its cancels


class Runner:
    """Keeps an engine awake and informed until it is stopped.

    Attributes:
        is_winding_down: every pair's duration has passed and something held is still guarded.
        reads, reads_lost: account reads that came and that failed.
        before_wake: called with the engine's time each second, before the turn.
    """

    def __init__(self, engine: Engine, env: Env, venue: Venue, *, durations_us: Mapping[str, int] | None = None) -> None:
        """Know the parts; `run` begins. `durations_us`: by symbol, how long each pair trades; 0 = until it is stopped."""
        self.engine = engine
        self.reads = 0
        self.reads_lost = 0
        self.is_winding_down = False
        self._env = env
        self._venue = venue
        self._wanted = asyncio.Event()
        self._ended = asyncio.Event()
        self._tasks: list[Timer] = []
        self._started_us = env.now_us()
        self._durations_us = dict(durations_us or {})
        self._last_read_us = engine.state.read_us or self._started_us  # a machine may have slept since the start's own read
        self._on_tick: list[Callable[[int], None]] = []
        self.before_wake: Callable[[int], None] = _nothing
        engine.on_wish = self._wanted.set

    def on_tick(self, call: Callable[[int], None]) -> None:
        """Call with the engine's time each second, after the turn: snapshots, screens."""
        self._on_tick.append(call)

    def run(self) -> None:
        """Start waking and reading; returns at once."""
        self._tasks = [self._env.spawn(self._wake(), "wake"), self._env.spawn(self._read(), "read")]

    async def until_ended(self) -> None:
        """Come back when the duration has passed and nothing held needs a guard, or when `end` was called."""
        await self._ended.wait()

    def end(self) -> None:
        """Let `until_ended` come back."""
        self._ended.set()

    def command(self, action: str, origin: str, detail: str = "", symbol: str = "") -> None:
        """A command of the user, from whatever door; a `symbol` only for a "stop" of one pair."""
        self.engine.turn([UserCommand(self._env.now_us(), action, symbol, origin, detail)])

    async def stop(self, origin: str) -> bool:
        """Stop in order: no new exposure, cancels until their ends are proven, then the journal's last words.

        Returns:
            True when nothing that opens rests any more; False when the wait ran out first, which the last screen says.
        """
        self.command("stop", origin)
        until = self._env.now_us() + STOP_WAIT_US
        while self.opening_orders() and self._env.now_us() < until:
            await self._env.sleep(50_000)
        self._last_words(origin)
        self.leave()
        return not self.opening_orders()

    def _last_words(self, origin: str) -> None:
        state = self.engine.state
        net = state.net_pnl()
        state.tell(
            self._env.now_us(), "alert.stopped", "info", origin=origin, net="-" if net is None else atoms_text(net), held=held_text(state),
            resting=sum(len(m.orders.live) for m in state.markets.values()),
        )  # fmt: skip
        self.engine.hand_out()

    def leave(self) -> None:
        """Stop waking and reading, and write the journal's last words; nothing is cancelled and nothing is waited for."""
        for task in self._tasks:
            task.cancel()
        self.engine.checkpoint(self._env.now_us())

    def opening_orders(self) -> int:
        """Orders of ours that rest and can open something: quotes, layers, rebalancing."""
        return sum(
            1
            for market in self.engine.state.markets.values()
            if market.binding is not None
            for order in market.orders.live
            if order.role not in (EXIT, STOP) and order.state < FIRST_TERMINAL
        )

    async def _wake(self) -> None:
        next_checkpoint = self._env.now_us() + CHECKPOINT_US
        while True:
            now = self._env.now_us()
            due = min((m.wake_us for m in self.engine.state.markets.values() if m.wake_us > now), default=now + WAKE_US)
            await self._env.sleep(max(1_000, min(WAKE_US, due - now)))
            now = self._env.now_us()
            self.before_wake(now)
            self.engine.turn([Wake(now)])
            for call in self._on_tick:
                call(now)
            if now >= next_checkpoint:
                self.engine.checkpoint(now)
                next_checkpoint = now + CHECKPOINT_US
            self._end_pairs(now)

    def _end_pairs(self, now_us: int) -> None:
        """End each pair whose duration is over; with the last one the run winds down."""
        over = {s for s, lasts_us in self._durations_us.items() if 0 < lasts_us <= now_us - self._started_us or self._is_ended(s)}
        if over and len(over) == len(self._durations_us):
            self._wind_down()
            return
        for symbol in sorted(s for s in over if not self._is_ended(s)):
            self.command("stop", "duration", symbol=symbol)

    def _is_ended(self, symbol: str) -> bool:
        """Whether this pair was stopped alone."""
        market = self.engine.state.markets.get(symbol)
        return market is not None and market.ended

    def _wind_down(self) -> None:
        """Every duration is over: nothing opens any more; what is held is guarded until nothing is wanted for it."""
        if not self.is_winding_down:
            self.is_winding_down = True
            self.command("stop", "duration")
        if all(m.binding is None or m.rows_used <= 1 for m in self.engine.state.markets.values()):
            self._ended.set()

    async def _read(self) -> None:
        while True:
            state = self.engine.state
            gap = READ_GAP_US if state.want_read else READ_EVERY_US
            self._wanted.clear()
            timer = self._env.call_later(gap, self._wanted.set)
            await self._wanted.wait()
            timer.cancel()
            if gap == READ_EVERY_US and state.want_read:
                await self._env.sleep(READ_GAP_US // 10)  # what asked for a read is seldom alone
            try:
                read = await self._venue.read_account(sorted(state.markets), self._since_us())
            except VenueLost:
                self.reads_lost += 1
                await self._env.sleep(LOST_GAP_US)
                continue
            self.reads += 1
            self._last_read_us = read.begun_us
            self.engine.turn([news(self.engine.state, read)])

    def _since_us(self) -> int:
        """How far a read looks back: over what the last one saw, and over every order whose end is not known."""
        orders = [o for m in self.engine.state.markets.values() for o in m.orders.live if o.unknown_us or o.missing or o.ending]
        return max(0, min([self._last_read_us - OVERLAP_US, *map(reach_us, orders)]))


def _nothing(now_us: int) -> None:
    """Nobody listens."""
