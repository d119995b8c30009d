"""The program in one process without a socket: frames in at one end, HTTP bytes out at the other, everything between them real."""

import sys
import time
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rig.server import FRAMES, SYMBOL, Market

from lemon_trader.api.order_wire import OrderWire
from lemon_trader.config.settings import LimitSettings, PairSettings
from lemon_trader.core import decide
from lemon_trader.core.events import AccountRead, AccountTerms, Balance, BookSnapshot, FeedState, IdsReserved, LastPrice, Wake
from lemon_trader.core.instrument import Instrument
from lemon_trader.core.state import AccountState
from lemon_trader.core.units import ATOMS_PER_UNIT, US_PER_S
from lemon_trader.database.journal import Journal
from lemon_trader.engine.startup import bind
from lemon_trader.engine.turn import Engine
from lemon_trader.env_live.store import FolderStore
from lemon_trader.exchanges.catalog import exchange
from lemon_trader.market.instruments import default_instrument
from lemon_trader.run.parts import apply_limits, default_values, make_plan, make_signer
from lemon_trader.sandbox.accounts import demo_accounts
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import RateBudget
from lemon_trader.venues.market_feed import MarketFeed

START_US = 1_790_000_000_000_000
CASH = 1_000_000 * ATOMS_PER_UNIT


def lift_request_budget() -> None:
    """The core's: fifteen orders a second would be all that is measured."""
    decide.RATE_PER_US = decide.RATE_BURST = 10**15  # type: ignore[misc]


class Timer:
    """One that never comes."""

    def cancel(self) -> None:
        """Nothing to cancel."""


class Wire:
    """Takes requests and answers when it is told to.

    Attributes:
        written_ns: when the first request since the last answers was written.
    """

    def __init__(self, user: Any) -> None:
        self.user = user
        self.sent: list[bytes] = []
        self.written_ns = 0

    def write(self, data: bytes) -> None:
        if not self.sent:
            self.written_ns = time.perf_counter_ns()
        self.sent.append(data)

    def close(self) -> None:
        """Stays."""


class StillEnv:
    """`Env` without a world: time is what it was told, tasks run at once, timers never."""

    def __init__(self) -> None:
        self.at_us = START_US
        self.wires: list[Wire] = []

    def now_us(self) -> int:
        return self.at_us

    wall_us = now_us

    def random(self) -> float:
        return 0.5

    def call_later(self, _delay_us: int, _call: Callable[[], None]) -> Timer:
        return _TIMER

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> Timer:
        try:
            work.send(None)
        except StopIteration:
            return _TIMER
        raise RuntimeError(f"{name} waits for something")

    async def connect_wire(self, _url: str, user: Any) -> Wire:
        self.wires.append(Wire(user))
        return self.wires[-1]


_TIMER = Timer()


class Program:
    """Engine, journal on disk, market maker, feed and order connections of one market.

    Attributes:
        requests: what left since the last `settle`.
    """

    def __init__(self, folder: Path, *, levels: int) -> None:
        lift_request_budget()
        account = demo_accounts(1, 1)[0]
        self.env = StillEnv()
        self.script = Market()
        self.instrument: Instrument = default_instrument(SYMBOL)
        self.instruments = {SYMBOL: self.instrument}
        self.signer = make_signer(account.api_key, account.secret)
        self.dialect = exchange("backpack").dialect()
        self.clock = VenueClock()
        self.clock.sample(START_US, START_US, START_US // 1_000)
        self.state = AccountState()
        self.market = self.state.add_market(self.instrument)
        journal = Journal(FolderStore(folder), mode="sandbox", account=account.api_key)
        journal.open(START_US)
        self.engine = Engine(self.state, journal, self)
        rate = RateBudget(per_minute=2_000_000_000, burst=1_000_000_000)
        env: Any = self.env
        self.orders = OrderWire(env, "http://127.0.0.1:1", self.dialect, self.signer, self.clock, rate, self.instruments, self.engine.turn)
        client: Any = None
        self.feed = MarketFeed(env, "ws://127.0.0.1:1", self.dialect, client, self.instruments, [SYMBOL], self.engine.turn)
        self.feed.stream.is_up = True
        self.levels = levels
        self._order_id = 0
        self._number = 0

    # -- as the engine's venue --

    def send(self, commands: Any) -> None:
        self.orders.send(commands)

    def expires_us(self, now_us: int) -> int:
        return now_us + 5 * US_PER_S

    # -- life --

    def begin(self) -> None:
        """Start as a session does, with books and balances in hand; the first quotes rest when this returns."""
        now, state = START_US, self.state
        self.orders.start()
        self.engine.record(IdsReserved(now, 1, 1_025))
        self.engine.record(AccountTerms(now, 800, 1_000, 200, 500, "1", auto_lend=False, liquidating=False))
        self.keep_fresh()
        values = default_values(
            "market-maker", max_orders=self.levels, quantity=Decimal("0.1"), rebalance="off", level_step_pct=Decimal("0.05")
        )
        pair = PairSettings("market-maker", SYMBOL, values, frozenset(), Decimal(50_000))
        book = self.script
        bids, asks = tuple(sorted(book.bids.items())), tuple(sorted(book.asks.items()))
        sync = self.feed._markets[SYMBOL].sync
        self.engine.turn([FeedState(now, "public", up=True), FeedState(now, "private", up=True)])
        self.engine.turn(sync.snapshot(BookSnapshot(now, now, SYMBOL, book.update_id, bids, asks)))
        self.receive(self.frame())
        plan = make_plan(pair, state, self.instrument, CASH)
        apply_limits(state, LimitSettings(), [plan])
        bind(state, plan)
        self.engine.deciding = True
        self.engine.turn([Wake(self.env.at_us)])
        self.settle()

    def keep_fresh(self) -> None:
        """What the streams and reads of fifteen seconds say, so that nothing is too old."""
        now = self.env.at_us
        balances = (Balance(now, now, "USDC", CASH, 0), Balance(now, now, "SOL", 0, 0))
        live = self.market.orders.live
        assert not live, "the read would have to list them"
        self.engine.turn([AccountRead(now, now, now, now, (SYMBOL,), (), (), (), (), balances, ()), LastPrice(now, now, SYMBOL, 15_005)])

    def receive(self, payload: bytes) -> None:
        """One network read of the stream with one frame in it."""
        self.env.at_us += 500
        self.feed.stream_messages([payload], self.env.at_us, is_first=False)

    def frame(self) -> bytes:
        """The next frame of the script."""
        if self._number == 0:
            self.script.cycle += 1
        payload = self.script.frame(self._number)
        self._number = (self._number + 1) % FRAMES
        return payload

    def until(self, number: int) -> bytes:
        """Receive what comes before the frame `number` of a cycle; that frame."""
        while self._number != number:
            self.receive(self.frame())
        return self.frame()

    @property
    def requests(self) -> list[bytes]:
        return [data for wire in self.env.wires for data in wire.sent]

    def settle(self) -> None:
        """Answer everything that was sent, and what is sent by that."""
        while self.requests:
            for wire in self.env.wires:
                sent, wire.sent = wire.sent, []
                for request in sent:
                    self.env.at_us += 50
                    wire.user.data_received(self._answer(request))

    def _answer(self, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        asked = msgspec.json.decode(body)
        place = head.startswith(b"POST")
        rows = [self._row(row, "New" if place else "Cancelled") for row in (asked if isinstance(asked, list) else [asked])]
        text = msgspec.json.encode(rows if isinstance(asked, list) else rows[0])
        return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text

    def _row(self, asked: dict[str, Any], status: str) -> dict[str, Any]:
        order_id = asked.get("orderId")
        if order_id is None:
            self._order_id += 1
            order_id = str(self._order_id)
        return {
            "id": order_id, "clientId": asked.get("clientId"), "symbol": SYMBOL, "side": asked.get("side", "Bid"), "status": status,
            "orderType": "Limit", "timeInForce": "GTC", "price": asked.get("price", "150.00"), "quantity": asked.get("quantity", "0.10"),
            "executedQuantity": "0", "executedQuoteQuantity": "0", "postOnly": True, "reduceOnly": None,
            "selfTradePrevention": "RejectTaker", "createdAt": self.env.at_us // 1_000, "relatedOrderId": None,
        }  # fmt: skip
