"""What an operator may do to the exchange, each act as a record that is checked before anything happens.

Texts in, texts out: prices and quantities are decimals on the market's own grid. Nothing here knows who asks; the door does.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from lemon_trader.core.instrument import GateError, Instrument, atoms
from lemon_trader.core.units import ATOMS_PER_UNIT, PPM, US_PER_MS, US_PER_S
from lemon_trader.exchanges.backpack.words import SIDES
from lemon_trader.market.acts import Act, Level, Take
from lemon_trader.market.chance import Chance
from lemon_trader.matching.orders import Refused
from lemon_trader.sandbox.app import SandboxApp
from lemon_trader.sandbox.faults import OUTAGE, Fault, Kind
from lemon_trader.sandbox.steering import STORIES, Steering

SPEED_PPM_MIN: Final = PPM // 100
SPEED_PPM_MAX: Final = PPM * 100_000
SECONDS_MAX: Final = 86_400
PRICE_FACTOR_MAX: Final = 100  # a market is moved to no more than so many times its price at once, and no less than that part


class OperatorRefused(ValueError):
    """An act that cannot be; nothing has changed. The text names the value and the way out."""


class Clocked(Protocol):
    """Who knows the exchange's time."""

    speed_ppm: int

    def set_speed(self, speed_ppm: int) -> None:
        """Run at another speed from now on."""


class _Act(msgspec.Struct, forbid_unknown_fields=True):
    """A request of the operator's."""


class Price(_Act):
    """Bring a market to a price. Markets of the same base move in proportion, unless it moves `alone`."""

    symbol: str
    price: str
    alone: bool = False


class Push(_Act):
    """State what others show at a price; a quantity of 0 = nobody. `side`: Bid or Ask."""

    symbol: str
    side: str
    price: str
    quantity: str


class Trade(_Act):
    """Somebody takes up to a limit price."""

    symbol: str
    side: str
    quantity: str
    price: str


class Hold(_Act):
    """Let a market stand still, or go on."""

    symbol: str
    held: bool


class Story(_Act):
    """Lead a market through a story."""

    symbol: str
    story: str


class State(_Act):
    """Open, Closed, CancelOnly, LimitOnly or PostOnly."""

    symbol: str
    state: str


class Filters(_Act):
    """Give a market other filters; what is not named stays."""

    symbol: str
    tick: str | None = None
    lot: str | None = None
    min_quantity: str | None = None
    max_quantity: str | None = None
    min_price: str | None = None
    max_price: str | None = None


class Switch(_Act):
    """Maintenance, or fills without their trade ids."""

    on: bool


class Order(_Act):
    """Order a fault: see `sandbox/faults.py`. An empty method or path fits every private request."""

    kind: Kind
    method: str = ""
    path: str = ""
    times: int = 1
    status: int = 503
    body: str = OUTAGE
    delay_ms: int = 0


class Odds(_Act):
    """How often faults are drawn by chance, ppm of the private requests by kind; {} = never."""

    ppm: dict[Kind, int]
    seed: int = 0


class Silence(_Act):
    """Send no frame of the streams whose names begin so, for so long; their sockets stay open."""

    prefix: str = ""
    seconds: int = 10


class Drop(_Act):
    """Lose the next frames of the streams whose names begin so."""

    prefix: str = ""
    frames: int = 1


class Close(_Act):
    """Close every stream with this code."""

    code: int = 1001
    reason: str = "closed by the operator"


class Lag(_Act):
    """Rows younger than this are in no history yet."""

    milliseconds: int


class Speed(_Act):
    """Exchange time beside the wall's, as a decimal number: "2.5"."""

    speed: str


class Deposit(_Act):
    """Bring an amount of an asset into an account."""

    account: str
    asset: str
    amount: str


class Nothing(_Act):
    """No fields."""


class Operator:
    """Carries out an operator's acts. `catch_up` lets the exchange live up to now and gives its time."""

    def __init__(self, app: SandboxApp, steering: Steering, clock: Clocked, catch_up: Callable[[], int]) -> None:
        self._app = app
        self._desk = app.desk
        self._steering = steering
        self._clock = clock
        self._catch_up = catch_up
        self._acts: dict[str, tuple[type[_Act], Callable[[Any, int], object]]] = {
            "price": (Price, self._price),
            "level": (Push, self._push),
            "trade": (Trade, self._trade),
            "hold": (Hold, self._hold),
            "story": (Story, self._story),
            "state": (State, self._state),
            "filters": (Filters, self._filters),
            "maintenance": (Switch, self._maintenance),
            "omit-trade-ids": (Switch, self._omit_trade_ids),
            "fault": (Order, self._fault),
            "odds": (Odds, self._odds),
            "silence": (Silence, self._silence),
            "drop": (Drop, self._drop),
            "close-streams": (Close, self._close),
            "history-lag": (Lag, self._lag),
            "clear-faults": (Nothing, lambda _act, _now: self._app.faults.clear()),
            "speed": (Speed, self._speed),
            "deposit": (Deposit, self._deposit),
        }

    @property
    def acts(self) -> Mapping[str, type[_Act]]:
        """What there is to do, and the fields of each."""
        return {name: shape for name, (shape, _) in self._acts.items()}

    def do(self, name: str, body: bytes) -> None:
        """Carry out an act, whole or not at all.

        Raises:
            KeyError: no such act.
            OperatorRefused: it cannot be.
        """
        shape, run = self._acts[name]
        try:
            act = msgspec.json.decode(body or b"{}", type=shape)
        except (msgspec.DecodeError, RecursionError) as error:
            raise OperatorRefused(f"{name}: {error}") from None
        now_us = self._catch_up()
        try:
            run(act, now_us)
        except (GateError, Refused, ValueError) as error:
            raise OperatorRefused(f"{name}: {error}") from None
        self._catch_up()

    # ---- the market ----

    def _price(self, act: Price, now_us: int) -> None:
        of = self._outside(act.symbol)
        target = of.price_ticks(act.price)
        here = self._steering.price_ticks(act.symbol) or target
        if not target or not here <= target * PRICE_FACTOR_MAX <= here * PRICE_FACTOR_MAX**2:
            raise OperatorRefused(
                f"{act.price} is too far from {of.price_text(here)}; go there in steps of {PRICE_FACTOR_MAX} times at most"
            )
        for symbol, other in self._steering.instruments.items():
            if symbol == act.symbol:
                self._steering.move(symbol, target, now_us)
            elif other.base == of.base and not act.alone and (there := self._steering.price_ticks(symbol)):
                self._steering.move(symbol, max(1, there * target // here), now_us)

    def _push(self, act: Push, now_us: int) -> None:
        of = self._outside(act.symbol)
        self._now(Level(now_us, act.symbol, _side(act.side), of.price_ticks(act.price), of.qty_lots(act.quantity)))

    def _trade(self, act: Trade, now_us: int) -> None:
        of = self._outside(act.symbol)
        lots = of.qty_lots(act.quantity)
        if not lots:
            raise OperatorRefused("a quantity of 0 trades nothing; give more")
        self._now(Take(now_us, act.symbol, _side(act.side), lots, of.price_ticks(act.price)))

    def _hold(self, act: Hold, now_us: int) -> None:
        self._outside(act.symbol)
        self._steering.hold(act.symbol, now_us, held=act.held)

    def _story(self, act: Story, now_us: int) -> None:
        self._outside(act.symbol)
        if act.story not in STORIES:
            raise OperatorRefused(f"no story is called {act.story[:40]!r}; there are {', '.join(STORIES)}")
        self._steering.tell(act.symbol, act.story, now_us)

    def _state(self, act: State, now_us: int) -> None:
        self._app.change_state(act.symbol, act.state, now_us)

    def _filters(self, act: Filters, now_us: int) -> None:
        self._outside(act.symbol)
        names = {"tick": act.tick, "lot": act.lot, "min_qty": act.min_quantity, "max_qty": act.max_quantity}
        names |= {"min_price": act.min_price, "max_price": act.max_price}
        self._app.change_filters(act.symbol, now_us, **{name: text for name, text in names.items() if text is not None})

    def _deposit(self, act: Deposit, now_us: int) -> None:
        amount = atoms(act.amount)
        known = {asset for of in self._desk.markets.values() for asset in (of.base, of.quote)}
        if act.account not in self._desk.exchange.accounts:
            raise OperatorRefused(f"no account is called {act.account[:40]!r}; there are {', '.join(self._desk.exchange.accounts)[:200]}")
        if act.asset not in known:
            raise OperatorRefused(f"no market here knows {act.asset[:40]!r}; there are {', '.join(sorted(known))}")
        self._app.deposit(act.account, act.asset, amount, now_us)

    # ---- what goes wrong ----

    def _maintenance(self, act: Switch, now_us: int) -> None:
        del now_us
        self._app.faults.maintenance = act.on

    def _omit_trade_ids(self, act: Switch, now_us: int) -> None:
        del now_us
        self._app.faults.omit_trade_ids = act.on

    def _fault(self, act: Order, now_us: int) -> None:
        del now_us
        _within("times", act.times, 1, 1_000_000)
        _within("status", act.status, 400, 599)
        delay_ms = _within("delay_ms", act.delay_ms, 0, SECONDS_MAX * 1_000)
        self._app.faults.order(Fault(act.kind, act.method, act.path, act.times, act.status, act.body, delay_ms * US_PER_MS))

    def _odds(self, act: Odds, now_us: int) -> None:
        del now_us
        self._app.faults.set_odds(Chance("faults", act.seed).below, act.ppm)

    def _silence(self, act: Silence, now_us: int) -> None:
        self._app.faults.silence(act.prefix, now_us + _within("seconds", act.seconds, 0, SECONDS_MAX) * US_PER_S)

    def _drop(self, act: Drop, now_us: int) -> None:
        del now_us
        self._app.faults.drop(act.prefix, _within("frames", act.frames, 0, 1_000_000))

    def _close(self, act: Close, now_us: int) -> None:
        del now_us
        _within("code", act.code, 1_000, 4_999)
        if act.code in {1_004, 1_005, 1_006, 1_015} or 1_016 <= act.code < 3_000:
            raise OperatorRefused(f"close code {act.code} is never sent; use 1000 to 1014 or 3000 to 4999")
        if len(act.reason.encode()) > 120:
            raise OperatorRefused("a close frame carries a reason of 120 bytes at most")
        self._app.hub.close_all(act.code, act.reason)

    def _lag(self, act: Lag, now_us: int) -> None:
        del now_us
        self._app.faults.history_lag_us = _within("milliseconds", act.milliseconds, 0, SECONDS_MAX * 1_000) * US_PER_MS

    def _speed(self, act: Speed, now_us: int) -> None:
        del now_us
        speed_ppm = atoms(act.speed) * PPM // ATOMS_PER_UNIT
        if not SPEED_PPM_MIN <= speed_ppm <= SPEED_PPM_MAX:
            raise OperatorRefused(f"a speed of {act.speed[:40]} is not possible; give 0.01 to 100000")
        self._clock.set_speed(speed_ppm)

    # ---- inside ----

    def _outside(self, symbol: str) -> Instrument:
        """The grid in which the outside world speaks of a market."""
        found = self._steering.instruments.get(symbol)
        if found is None:
            raise OperatorRefused(f"no market is called {symbol[:40]!r}; there are {', '.join(self._steering.instruments)}")
        return found

    def _now(self, act: Act) -> None:
        self._app.act(act)


def _side(word: str) -> int:
    if word not in SIDES:
        raise OperatorRefused(f"side {word[:20]!r}; it must be {' or '.join(SIDES)}")
    return SIDES[word]


def _within(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise OperatorRefused(f"{name} is {value}; it must be {low} to {high}")
    return value
