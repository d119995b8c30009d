"""Twenty-one bugs, each put into the program at one place while a `with` lasts. The suite is only worth what it finds of them.

`python -m tests.simulation --planted` runs seeds until each is found. Nothing of this reaches `src/`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

import msgspec
from tests import fake_env
from tests.simulation import life

from lemon_trader.api import client
from lemon_trader.api.account import AccountReader
from lemon_trader.api.order_wire import OrderWire
from lemon_trader.core import decide as deciding
from lemon_trader.core import reconcile
from lemon_trader.core import step as steps
from lemon_trader.core.diff import PLACE
from lemon_trader.core.events import CancelAnswered, Decided, FeedState, IdsReserved, OrderUpdate, PlaceAccepted, PlaceUnknown
from lemon_trader.core.ledger import Ledger
from lemon_trader.core.units import ACTIVE, CANCELLED, LIMIT, REJECTED, TRIGGER, UNKNOWN
from lemon_trader.engine.turn import Engine
from lemon_trader.exchanges.backpack import orders as words
from lemon_trader.venues.account_feed import AccountFeed
from lemon_trader.websocket.depth_sync import DepthSync

Switch = Callable[[], Any]  # a context manager
QUEUE_MAX: Final = 2


def _order(state: Any, event: Any) -> tuple[Any, Any]:
    market = state.markets.get(event.symbol)
    return market, market.orders.find(event.client_id, "") if market is not None else None


def _handler(kind: type, bug: Callable[[Callable[[Any, Any], None], Any, Any], None]) -> Any:
    """Replace what is done with one kind of fact; `bug` gets the real handler too."""
    real = steps._HANDLERS[kind]
    return patch.dict(steps._HANDLERS, {kind: lambda state, event: bug(real, state, event)})


@contextmanager
def send_before_commit() -> Iterator[None]:
    """An attempt is written after its bytes have left."""
    write, fold = Engine._write, Engine._fold
    waiting: dict[int, Any] = {}

    def late(self: Any, event: Any) -> bool:
        if type(event) is Decided and event.attempts:
            waiting[id(event)] = event
            return True
        return write(self, event)

    def then(self: Any, event: Any) -> None:
        if waiting.pop(id(event), None) is not None:
            write(self, event)
        fold(self, event)

    with patch.object(Engine, "_write", late), patch.object(Engine, "_fold", then):
        yield


def resend_on_timeout() -> Any:
    """What was not answered counts as refused, and is wanted again at once."""

    def bug(_real: Any, state: Any, event: Any) -> None:
        market, order = _order(state, event)
        if order is not None and order.is_live and not order.acked:
            market.orders.move(order, REJECTED, event.ts_us)
            market.asked = True

    return _handler(PlaceUnknown, bug)


@contextmanager
def resend_with_same_id() -> Iterator[None]:
    """What was not answered is sent once more, byte for byte."""
    settle = OrderWire._settle
    again: set[int] = set()

    def bug(self: Any, job: Any, facts: Any) -> None:
        if job.places and all(type(fact) is PlaceUnknown for fact in facts) and id(job) not in again:
            again.add(id(job))
            job.at_us = self._env.now_us()
            self._urgent.append(job)
            self._pump()
            return
        settle(self, job, facts)

    with patch.object(OrderWire, "_settle", bug):
        yield


@contextmanager
def only_open_orders_checked() -> Iterator[None]:
    """Histories and fills are not read."""

    async def nothing(*_: Any) -> list[Any]:
        return []

    with patch.object(AccountReader, "_order_history", nothing), patch.object(AccountReader, "_fills", nothing):
        yield


@contextmanager
def errors_are_not_found() -> Iterator[None]:
    """A cancel that failed counts as one that found nothing, and a read that failed as one without rows."""
    name = next(n for n, kind in vars(words).items() if isinstance(kind, type) and "cancel_answer" in vars(kind))
    dialect, real, get = getattr(words, name), getattr(words, name).cancel_answer, client.ApiClient.get

    def bug(self: Any, *args: Any) -> list[Any]:
        return [msgspec.structs.replace(e, outcome="not_found") if e.outcome == "unknown" else e for e in real(self, *args)]

    async def empty(self: Any, what: str, *args: Any, **more: Any) -> Any:
        decode = args[0]

        def lenient(status: int, body: bytes, ts_us: int) -> Any:
            return [] if status >= 500 else decode(status, body, ts_us)

        if what not in {"open_orders", "order_history", "fill_history", "funding_history"}:
            return await get(self, what, *args, **more)
        return await get(self, what, lenient, **{**more, "accept": (200, 500, 502, 503)})

    with patch.object(dialect, "cancel_answer", bug), patch.object(client.ApiClient, "get", empty):
        yield


def fence_skipped() -> Any:
    """Absence is declared without a fence."""
    return patch.object(reconcile, "_is_fenced", lambda _order, _read: True)


def fill_key_without_ordinal() -> Any:
    """Two equal fills without a trade id are one."""
    seen = Ledger.seen
    return patch.object(Ledger, "seen", lambda self, fill, _ordinal=0: seen(self, fill, 0))


def not_found_is_never_placed() -> Any:
    """A cancel that finds nothing proves that there never was anything."""

    def bug(real: Any, state: Any, event: Any) -> None:
        market, order = _order(state, event)
        if event.outcome == "not_found" and order is not None and order.is_live:
            market.orders.move(order, REJECTED, event.ts_us)
            market.asked = True
            return
        real(state, event)

    return _handler(CancelAnswered, bug)


@contextmanager
def unfiltered_cancel_all() -> Iterator[None]:
    """Two cancels or more of one turn are one of everything."""
    send, cancel = OrderWire.send, None
    name = next(n for n, kind in vars(words).items() if isinstance(kind, type) and "cancel" in vars(kind))
    dialect = getattr(words, name)
    cancel = dialect.cancel
    many = False

    def sends(self: Any, commands: Any) -> None:
        nonlocal many
        many = sum(type(c).__name__ == "Cancel" for c in commands) > 1
        send(self, commands)

    def everything(self: Any, *args: Any) -> Any:
        request = cancel(self, *args)
        return request._replace(path="/api/v1/orders") if many and hasattr(request, "_replace") else _moved(request) if many else request

    with patch.object(OrderWire, "send", sends), patch.object(dialect, "cancel", everything):
        yield


def _moved(request: Any) -> Any:
    if isinstance(request, msgspec.Struct):
        return msgspec.structs.replace(request, path="/api/v1/orders")
    import dataclasses

    return dataclasses.replace(request, path="/api/v1/orders")


@contextmanager
def stop_cancelled_first() -> Iterator[None]:
    """A resting stop goes before the one that replaces it is sent."""
    real = deciding.diff

    def bug(out: Any, used: int, orders: Any, count: int, view: Any, position: Any, scratch: Any, actions: Any) -> int:
        wanted = {row.slot: row.generation for row in out[1:used] if row.kind == TRIGGER}
        older = [o for o in list(orders)[:count] if o.kind == TRIGGER and o.generation < wanted.get(o.slot, -1)]
        for order in older:
            order.kind = LIMIT
        done = real(out, used, orders, count, view, position, scratch, actions)
        for order in older:
            order.kind = TRIGGER
        for n in range(done if older else 0):
            if actions[n].what == PLACE and out[actions[n].index].kind == TRIGGER:
                actions[n].what = 0
        return done

    with patch.object(deciding, "diff", bug):
        yield


@contextmanager
def unknown_left_out_of_limits() -> Iterator[None]:
    """Orders of unknown outcome count in no limit, and keep no slot."""
    review, fill = deciding.review, deciding.fill_slots

    def known(orders: Any) -> list[Any]:
        return [o for o in orders if o.state != UNKNOWN]

    def bug(out: Any, orders: Any, count: int, *rest: Any) -> int:
        left = known(list(orders)[:count])
        return review(out, left, len(left), *rest)

    real = deciding.diff

    def blind(out: Any, used: int, orders: Any, count: int, view: Any, position: Any, scratch: Any, actions: Any) -> int:
        everything = list(orders)[:count]
        left = known(everything)
        done = real(out, used, left, len(left), view, position, scratch, actions)
        for n in range(done):
            if actions[n].what not in {0, PLACE}:
                actions[n].index = everything.index(left[actions[n].index])
        return done

    with ExitStack() as stack:
        stack.enter_context(patch.object(deciding, "review", bug))
        stack.enter_context(patch.object(deciding, "diff", blind))
        stack.enter_context(patch.object(deciding, "fill_slots", lambda v, orders, _n: fill(v, known(orders), len(known(orders)))))
        yield


def position_not_compared() -> Any:
    """Absence is declared although balances and position are not explained."""
    return patch.object(reconcile, "_explain", lambda _state, _read: True)


@contextmanager
def book_kept_over_reconnect() -> Iterator[None]:
    """A new connection goes on with the book of the old one."""
    restart = DepthSync.restart

    def once(self: Any) -> None:
        if not hasattr(self, "last_id"):
            restart(self)

    def bug(_real: Any, state: Any, event: Any) -> None:
        if event.feed == "public":
            state.public_up = event.up
        else:
            state.private_up = event.up
        state.want_read = True

    with patch.object(DepthSync, "restart", once), _handler(FeedState, bug):
        yield


@contextmanager
def gap_ignored() -> Iterator[None]:
    """A delta follows whatever came before it."""
    delta = DepthSync.delta

    def bug(self: Any, event: Any) -> Any:
        if self.is_live and event.first_id > self.last_id + 1:
            event = msgspec.structs.replace(event, first_id=self.last_id + 1)
        return delta(self, event)

    with patch.object(DepthSync, "delta", bug):
        yield


@contextmanager
def quantity_rounded_up() -> Iterator[None]:
    """A lot more leaves than was decided."""
    name = next(n for n, kind in vars(words).items() if isinstance(kind, type) and "_texts" in vars(kind))
    dialect = getattr(words, name)
    texts = dialect._texts

    def bug(self: Any, order: Any, grid: Any) -> Any:
        return texts(self, msgspec.structs.replace(order, qty_lots=order.qty_lots + 1), grid)

    with patch.object(dialect, "_texts", bug):
        yield


def wall_clock_for_timers() -> Any:
    """Engine time is the machine's wall clock."""
    return patch.object(fake_env.FakeEnv, "now_us", lambda self: fake_env.START_US + self.asleep_us + self.loop.now_us + self.wall_skew_us)


@contextmanager
def unknown_status_swallowed() -> Iterator[None]:
    """A status that nobody knows is an end like any other."""

    def accepted(real: Any, state: Any, event: Any) -> None:
        market, order = _order(state, event)
        known = {"working", "armed", "filled", "expired", "cancelled", "trigger_failed"}
        if order is not None and event.status not in known:
            market.orders.move(order, CANCELLED, event.ts_us)
            market.asked = True
            return
        real(state, event)

    def update(real: Any, state: Any, event: Any) -> None:
        if event.kind in {"accepted", "trigger_placed", "cancelled", "expired", "trigger_failed", "modified"}:
            real(state, event)

    with _handler(PlaceAccepted, accepted), _handler(OrderUpdate, update):
        yield


def account_event_dropped() -> Any:
    """A read brings more messages of the account than a queue has room for; the rest is lost."""
    real = AccountFeed.stream_messages

    def bug(self: Any, payloads: Any, ts_us: int, *, is_first: bool) -> None:
        real(self, list(payloads)[:QUEUE_MAX], ts_us, is_first=is_first)

    return patch.object(AccountFeed, "stream_messages", bug)


def halt_not_latched() -> Any:
    """A new life has forgotten that it was killed."""

    def bug(real: Any, state: Any, event: Any) -> None:
        real(state, event)
        state.mode, state.mode_reason, state.exit_masked, state.flatten = ACTIVE, "", False, False

    return _handler(IdsReserved, bug)


def anchor_rebuilt() -> Any:
    """A new life begins its day anew."""

    def bug(real: Any, state: Any, event: Any) -> None:
        real(state, event)
        state.has_anchor = False

    return _handler(IdsReserved, bug)


@contextmanager
def secret_in_error() -> Iterator[None]:
    """A read that failed says with which key."""
    make, secrets = life.make_signer, [""]

    def noted(api_key: str, secret: str, **more: Any) -> Any:
        secrets[0] = secret
        return make(api_key, secret, **more)

    class Talkative(client.ReadLost):
        def __init__(self, text: str) -> None:
            super().__init__(f"{text} (key {secrets[0]})")

    with patch.object(life, "make_signer", noted), patch.object(client, "ReadLost", Talkative):
        yield


PLANTED: Final[dict[str, Switch]] = {
    "send before commit": send_before_commit,
    "resend on timeout": resend_on_timeout,
    "resend with same id": resend_with_same_id,
    "only open orders checked": only_open_orders_checked,
    "errors counted as not found": errors_are_not_found,
    "fence skipped": fence_skipped,
    "fill key without ordinal": fill_key_without_ordinal,
    "cancel not found taken as never placed": not_found_is_never_placed,
    "unfiltered cancel-all": unfiltered_cancel_all,
    "stop replaced cancel-first": stop_cancelled_first,
    "UNKNOWN left out of limits": unknown_left_out_of_limits,
    "position not compared before declaring absence": position_not_compared,
    "book kept over reconnect": book_kept_over_reconnect,
    "sequence gap ignored": gap_ignored,
    "quantity rounded up": quantity_rounded_up,
    "wall clock for timers": wall_clock_for_timers,
    "unknown status swallowed": unknown_status_swallowed,
    "account event dropped when the queue is full": account_event_dropped,
    "halt not latched": halt_not_latched,
    "anchor rebuilt after restart": anchor_rebuilt,
    "secret in an error text": secret_in_error,
}
