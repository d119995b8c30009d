"""A stage for one fault at a time: the bot of `life.py` against its exchange, a script that forces the fault, then quiet and every check.

A script is a coroutine of a `Stage`. It starts the bot itself, so that a fault can wait for the very first request.
"""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from tests.simulation.life import TICK_US, Life, take
from tests.simulation.plan import Drawn
from tests.virtual_time import VirtualLoop

from lemon_trader.core.market import MarketState
from lemon_trader.core.orders import Order
from lemon_trader.core.units import EXIT, IN_FLIGHT, STOP, TRIGGER, UNKNOWN, US_PER_S
from lemon_trader.matching.orders import OrderState
from lemon_trader.sandbox.faults import Fault, Kind

S = US_PER_S
MAKER = "market-maker"
MARTINGALE = "martingale"
SPOT = "SOL_USDC"
PERP = "SOL_USDC_PERP"
WORLDS = [(MAKER, SPOT), (MARTINGALE, SPOT), (MAKER, PERP), (MARTINGALE, PERP)]
VALUES: dict[str, dict[str, Any]] = {
    MAKER: {"spread": Decimal("0.1"), "max_orders": 1, "interval": 3, "volatility_factor": Decimal(0), "requote_pct": Decimal("0.01"), "rebalance": "off"},
    # In at once, and out only by hand: something is held for as long as a script needs it.
    MARTINGALE: {
        "layers": 3, "step_pct": Decimal(1), "take_profit_pct": Decimal(6), "stop_loss_pct": Decimal(9), "entry": "market", "entry_wait": 5,
        "cooldown": 3, "pause_after_stop": 10, "stop_by_layer": False, "resting": 2,
    },
}  # fmt: skip


class Killed(Exception):
    """The program died in the middle of a call: what it would have done next is not done."""


class Stage:
    """One bot and its exchange; the names of what a script needs."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.symbol = life.drawn.symbol
        self.exchange = life.exchange
        self.seen: set[tuple[int, int]] = set()  # (client id, state) as they were met
        self.blind: list[str] = []  # opening orders that left without a valid book
        self.requests: list[tuple[int, str, str]] = []  # (time, method, path) as they reached the exchange
        life.edge.on_request.append(lambda method, path, *_: self.requests.append((self.now_us, method, path.split("?")[0])))

    # -- the bot --

    @property
    def session(self) -> Any:
        assert self.life.session is not None
        return self.life.session

    @property
    def market(self) -> MarketState:
        return self.session.state.markets[self.symbol]

    @property
    def alerts(self) -> list[str]:
        return self._alerts

    async def begin(self) -> None:
        """Start the bot; it is tried again while it cannot."""
        self._alerts: list[str] = []
        await self.life.be_born()
        engine = self.session.engine
        engine.on_alert = lambda alert: self._alerts.append(alert.key)
        turn = engine.turn

        def watched(facts: Any) -> None:
            turn(facts)
            self._look()

        engine.turn = watched

    async def again(self) -> None:
        """Kill -9, and a start two seconds later."""
        self.life.die(power=False)
        await self.wait(2)
        await self.begin()

    def command(self, action: str) -> None:
        self.life.command(action)

    def asked(self, method: str, path: str, since_us: int = 0) -> int:
        """How many such requests have reached the exchange."""
        return sum(m == method and p == path and at >= since_us for at, m, p in self.requests)

    def ever(self, state: int) -> set[int]:
        """Client ids that were ever met in this state."""
        return {client for client, was in self.seen if was == state}

    def ours(self, state: int) -> list[Order]:
        """Orders in this state now."""
        return [o for o in self.market.orders if o.state == state]

    def order(self, client_id: int) -> Order:
        found = self.market.orders.find(client_id, "")
        assert found is not None
        return found

    @property
    def calm(self) -> bool:
        """Nothing of ours is open to doubt, and the account was read."""
        return not self.ours(UNKNOWN) and self.session.state.unexplained == 0 and all(not o.ending for o in self.market.orders.live)

    # -- the exchange --

    @property
    def account(self) -> Any:
        return self.exchange.accounts[self.life.account.name]

    @property
    def live(self) -> list[OrderState]:
        """What rests at the exchange under our client ids."""
        return [o for o in self.account.live.values() if o.client_id in self.life.keys]

    @property
    def triggers(self) -> list[OrderState]:
        return [o for o in self.live if o.is_trigger]

    @property
    def fills(self) -> list[Any]:
        return [f for f in self.account.fills if f.symbol == self.symbol]

    @property
    def now_us(self) -> int:
        return self.life.edge.clock()

    def of_client(self, client_id: int) -> list[OrderState]:
        """Every order that the exchange ever took under this id."""
        return [o for o in (*self.account.live.values(), *self.account.order_history) if o.client_id == client_id]

    def sent(self) -> int:
        """Submissions that have reached the exchange's edge."""
        return sum(self.life.wire.submissions.values())

    def fault(self, kind: Kind, *, method: str = "POST", path: str = "", times: int = 1, **more: Any) -> None:
        self.life.faults.order(Fault(kind, method, path, times, **more))

    @property
    def happened(self) -> bool:
        """Every ordered fault has met its request."""
        return not self.life.faults._waiting

    def nibble(self, order: OrderState, lots: int) -> None:
        """Let the outside world trade with a resting order of ours, a lot at a time in one instant."""
        for _ in range(lots):
            self.exchange.trade_with(self.life.account.name, order.order_id, 1, self.now_us)

    def take(self, order: OrderState, lots: int = 0) -> None:
        """Let the outside world trade with a resting order of ours: `lots` of it, 0 = all."""
        before = order.executed_lots
        wanted = lots or order.open_lots
        take(self.exchange, order, wanted, self.now_us)
        assert order.executed_lots - before == wanted, "the market could not be made to trade with it"

    def held_lots(self) -> int:
        """Our position by the fills that the exchange made, whole lots."""
        return sum(f.side * f.lots for f in self.fills)

    # -- time --

    async def wait(self, seconds: float) -> None:
        until = self.life.loop.now_us + round(seconds * S)
        while self.life.loop.now_us < until:
            await self.life._pass(min(TICK_US, until - self.life.loop.now_us))
            self._look()

    async def until(self, what: Callable[[], bool], says: str, within_s: float = 40) -> None:
        """Let time pass until `what` holds."""
        end = self.life.loop.now_us + round(within_s * S)
        self._look()
        while not what():
            assert self.life.loop.now_us < end, f"never within {within_s} s: {says}"
            await self.life._pass(TICK_US)
            self._look()

    async def quoting(self) -> None:
        await self.until(lambda: any(not o.is_trigger for o in self.live), "an order of ours rests")

    async def holding(self) -> None:
        """Wait until a martingale holds something, its exit rests and, on a perpetual, its stop is armed."""
        ready = 2 if self.exchange.instrument(self.symbol).is_perp else 1
        await self.until(
            lambda: self.market.ledger.lots > 0 and sum(o.side < 0 for o in self.live) >= ready and self.calm, "held, with exit and stop"
        )

    def _look(self) -> None:
        if self.life.session is not None and self.symbol in self.session.state.markets:
            market = self.market
            self.seen.update((o.client_id, o.state) for o in market.orders)
            if not market.book.valid:
                now_us = market.view.now_us
                self.blind += [
                    f"{o.client_id} at {now_us}"
                    for o in market.orders.live
                    if o.state == IN_FLIGHT and o.sent_us == now_us == market.book_us and o.role not in (EXIT, STOP)
                ]


def play(
    script: Callable[[Stage], Awaitable[None]], strategy: str = MAKER, symbol: str = SPOT, *, seed: int = 1, story: str = "",
    quiet_s: int = 30, strict: bool = False, forgiven: tuple[str, ...] = (), besides: tuple[str, ...] = (), **values: Any,
) -> Stage:  # fmt: skip
    """Play a script, then the quiet and every check of a life.

    Args:
        script: what happens.
        strategy: who trades.
        symbol: where.
        seed: of the market.
        story: a scripted market.
        quiet_s: how long nothing goes wrong at the end.
        strict: every attempt synced.
        forgiven: beginnings of violations that the fault itself makes; the script checks that they pass.
        besides: further markets that the exchange lists.
        values: parameters of the strategy.
    """
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    drawn = Drawn(
        strategy,
        symbol,
        {**VALUES[strategy], **values},
        100,
        {symbol: story} if story else {},
        1_000,
        strict,
        0,
        quiet_s * S,
        [],
        besides=besides,
    )
    life = Life(seed, drawn, loop)
    life.edge.breaks = lambda: True
    life.forgiven = forgiven
    stage = Stage(life)
    raised: list[str] = []
    loop.set_exception_handler(lambda _, context: raised.append(repr(context)) if type(context.get("exception")) is not Killed else None)

    async def whole() -> None:
        await script(stage)
        await life._quiet()
        life._final_checks()

    try:
        loop.run_until_complete(whole())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
    assert not raised, raised
    assert not life.out.violations, life.out.violations
    assert not stage.blind, stage.blind
    assert stage.ours(UNKNOWN) == []
    return stage


def has_trigger(stage: Stage) -> bool:
    """A stop of ours rests at the exchange and we know it."""
    return any(o.kind == TRIGGER for o in stage.market.orders.live) and bool(stage.triggers)
