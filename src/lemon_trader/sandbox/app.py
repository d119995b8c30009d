"""The sandbox without sockets: requests and stream messages in as bytes, answers and frames out as bytes, time as an argument.

A server carries it over real sockets, a simulation over memory under virtual time; both use the very same application. The edge checks who
asks and how often, the exchange behind decides, and everything that has happened is told to those who listen before an answer leaves.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, Protocol

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_MS, US_PER_S
from lemon_trader.exchanges.backpack.server import (
    Claim,
    Refusal,
    check_signature,
    check_time,
    claim_of,
    parse_body,
    split_target,
    to_json,
)
from lemon_trader.exchanges.backpack.server_stream import StreamName
from lemon_trader.exchanges.backpack.words import (
    INSTRUCTIONS,
    INVALID_CLIENT_REQUEST,
    JSON_TYPE,
    ORDER_PATH,
    ORDERS_PATH,
    SAYS_BAD_SIGNATURE_HEADER,
    SUBSCRIBE,
    TEXT_TYPE,
    TOO_MANY_REQUESTS,
)
from lemon_trader.market.acts import Act, apply
from lemon_trader.matching.effects import Effect
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import Refused
from lemon_trader.sandbox.accounts import DemoAccount
from lemon_trader.sandbox.desk import Answer, Call, Desk, Switches, refusal
from lemon_trader.sandbox.faults import Fault, Faults, Kind
from lemon_trader.sandbox.publisher import Publisher
from lemon_trader.sandbox.routes import METHODS, ROUTES, Route
from lemon_trader.sandbox.sessions import Hub, Session

MINUTE_US: Final = 60 * US_PER_S
_NOTHING: Final = Answer(is_lost=True)


class Response(msgspec.Struct, frozen=True, gc=False):
    """An HTTP answer. `delay_us`: wait so long before it leaves. `is_lost`: send nothing and end the connection."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    delay_us: int = 0
    is_lost: bool = False


class Memory(Protocol):
    """Who lets the exchange outlive its process."""

    def note(self, effects: Sequence[Effect]) -> None:
        """Write down what these effects say."""

    def touch(self, account: str) -> None:
        """An account's settings may have changed without an effect."""


class SandboxApp:
    """An exchange that speaks Backpack's protocol.

    Attributes:
        desk: the exchange, its accounts, tapes and switches.
        faults: what tests order to go wrong.
        hub: who listens to what.
        memory: who writes down what has happened before anybody is told; None = nobody.
    """

    def __init__(
        self, exchange: Exchange, markets: Sequence[Instrument], accounts: Sequence[DemoAccount], *, switches: Switches | None = None,
        faults: Faults | None = None,
    ) -> None:  # fmt: skip
        """Open the accounts on the exchange."""
        self.faults = faults or Faults()
        self.desk = Desk(exchange, markets, accounts, switches or Switches(), self.faults)
        edge = self.desk.switches
        self.hub = Hub(self, self.faults, signature_closes=edge.signature_closes, signature_error=edge.signature_error)
        self._publisher = Publisher(self.desk, self.hub)
        self._meters: dict[str, tuple[int, int]] = {}  # who -> (minute, requests in it)
        self._seen: dict[str, int] = {}  # signature -> when, oldest first
        self.memory: Memory | None = None
        self._later: list[tuple[int, int, Callable[[int], object]]] = []
        self._order = count()

    # ---- requests ----

    def handle(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, now_us: int, *, wall_us: int | None = None,
        peer: str = "",
    ) -> Response:  # fmt: skip
        """Answer one request; never raises for what a client sends.

        `now_us` is exchange time; `wall_us` the client's honest other clock when the exchange runs at another speed: a signed time may
        be of either. `peer` says who asks, for the limit on public histories. `target` is the path with its query.
        """
        self.desk.exchange.advance(now_us)
        try:
            path, pairs = split_target(target)
            answer = self._answer(method, path, pairs, headers, body, now_us, now_us if wall_us is None else wall_us, peer)
        except Refusal as refused:
            content_type, text = refused.encode()
            answer = Answer(status=refused.status, body=text, content_type=content_type)
        self._flush(now_us)
        if method == "PATCH" and self.memory is not None:  # settings of an account change without an effect
            for name in self.desk.exchange.accounts:
                self.memory.touch(name)
        content = (("Content-Type", answer.content_type),) if answer.content_type else ()
        return Response(answer.status, content + answer.headers, answer.body, answer.delay_us, answer.is_lost)

    def _answer(
        self, method: str, path: str, pairs: list[tuple[str, str]], headers: Mapping[str, str], body: bytes, now_us: int, wall_us: int,
        peer: str,
    ) -> Answer:  # fmt: skip
        route = ROUTES.get((method, path))
        if route is None:
            known = path in METHODS
            raise Refusal(405 if known else 404, "", "method not allowed" if known else "not found")
        is_batch = route.instruction is not None and (method, path) == ("POST", ORDERS_PATH)
        sent: Any = parse_body(body, many=is_batch, most=self.desk.switches.batch_max) if method != "GET" else {}
        account = ""
        if route.instruction is not None:
            claim = self._claim(headers)
            account = self._account(claim, route.instruction, pairs, sent, now_us, wall_us)
            self._meter(account, self.desk.switches.requests_per_minute, now_us)
            if path.startswith("/wapi/v1/history/"):
                self._meter(f"wapi {account}", self.desk.switches.wapi_per_minute, now_us)
            if self.faults.maintenance:
                raise Refusal(503, "MAINTENANCE", "The exchange is under maintenance")
        elif route.is_history:
            self._meter(f"history {peer}", self.desk.switches.history_per_minute, now_us)
        query = dict(pairs)
        params = query if is_batch else {**query, **sent}
        call = Call(now_us, query, pairs, params, sent if is_batch else (), account)
        fault = self.faults.take(method, path)
        return self._run(route, call) if fault is None else self._run_with(fault, route, call)

    def _run(self, route: Route, call: Call) -> Answer:
        """Let the handler act. Raises Refusal."""
        try:
            value = route.handler(self.desk, call)
        except Refused as refused:
            said = refusal(refused)
            if said.status == 404:
                said.status = self._missing_status(route, call)
            raise said from None
        if isinstance(value, Answer):
            return value
        return Answer(body=to_json(value), content_type=JSON_TYPE, headers=route.headers)

    def _missing_status(self, route: Route, call: Call) -> int:
        """The status for an order that is not live, which may be another one for a cancel of an order that was."""
        switches = self.desk.switches
        if switches.cancel_finished_status and route.instruction == INSTRUCTIONS["DELETE", ORDER_PATH]:
            meant = {str(call.params.get(name)) for name in ("orderId", "clientId") if call.params.get(name) is not None}
            rows = self.desk.exchange.accounts[call.account].order_history
            if any({str(row.order_id), str(row.client_id)} & meant for row in rows):
                return switches.cancel_finished_status
        return switches.cancel_unknown_status

    def _run_with(self, fault: Fault, route: Route, call: Call) -> Answer:
        """Let the handler act as the fault has it."""
        error = Answer(fault.status, fault.body.encode(), JSON_TYPE if fault.body[:1] in {"{", "["} else TEXT_TYPE)
        match fault.kind:
            case Kind.LOSE_REQUEST:
                return _NOTHING
            case Kind.ERROR_BEFORE:
                return error
            case Kind.ACCEPT_NEVER:
                return Answer(202)
            case Kind.ACCEPT_LATE:
                self._do_later(route, call, fault.delay_us)
                return Answer(202)
            case Kind.EXECUTE_LATE:
                self._do_later(route, call, fault.delay_us)
                return _NOTHING
            case Kind.DELAY_REPLY:
                return msgspec.structs.replace(self._tried(route, call), delay_us=fault.delay_us)
            case Kind.LOSE_REPLY:
                self._tried(route, call)
                return _NOTHING
            case Kind.ERROR_AFTER:
                self._tried(route, call)
                return error

    def _tried(self, route: Route, call: Call) -> Answer:
        try:
            return self._run(route, call)
        except Refusal as refused:
            content_type, text = refused.encode()
            return Answer(refused.status, text, content_type)

    def _do_later(self, route: Route, call: Call, delay_us: int) -> None:
        def run(now_us: int) -> None:
            self._tried(route, msgspec.structs.replace(call, now_us=now_us))

        heapq.heappush(self._later, (call.now_us + delay_us, next(self._order), run))

    # ---- who asks, and how often ----

    def account_of(self, claim: Claim, now_us: int, wall_us: int) -> str:
        """The account that signed a subscription. Raises Refusal."""
        return self._account(claim, SUBSCRIBE, [], {}, now_us, wall_us)

    def _account(self, claim: Claim, instruction: str, pairs: list[tuple[str, str]], sent: Any, now_us: int, wall_us: int) -> str:
        account = self.desk.accounts.get(claim.api_key)
        if account is None:
            raise Refusal(self.desk.switches.unauthorized_status, self.desk.switches.unauthorized_code, "Unknown API key")
        check_time(claim, (now_us // US_PER_MS, wall_us // US_PER_MS))
        verifier = self.desk.verifiers[claim.api_key]
        if not verifier.reads(claim.signature):
            raise Refusal(400, INVALID_CLIENT_REQUEST, SAYS_BAD_SIGNATURE_HEADER)
        check_signature(claim, verifier.verify, instruction, pairs, sent)
        if self.desk.switches.forbids_replay and instruction != SUBSCRIBE:
            self._forbid_replay(claim.signature, now_us)
        return account.name

    def _claim(self, headers: Mapping[str, str]) -> Claim:
        try:
            return claim_of(headers)
        except Refusal as refused:
            refused.status, refused.code = self.desk.switches.unauthorized_status, self.desk.switches.unauthorized_code
            raise

    def _forbid_replay(self, signature: str, now_us: int) -> None:
        """Refuse a signature that has been seen within the longest window. Raises Refusal."""
        while self._seen and next(iter(self._seen.values())) < now_us - MINUTE_US:
            del self._seen[next(iter(self._seen))]
        if signature in self._seen:
            raise Refusal(400, INVALID_CLIENT_REQUEST, "Duplicate request")
        self._seen[signature] = now_us

    def _meter(self, who: str, limit: int, now_us: int) -> None:
        """Count a request within its minute of exchange time. Raises Refusal when there were too many."""
        minute = now_us // MINUTE_US
        seen, requests = self._meters.get(who, (minute, 0))
        requests = requests + 1 if seen == minute else 1
        self._meters[who] = (minute, requests)
        if limit and requests > limit:
            raise Refusal(429, TOO_MANY_REQUESTS, f"Rate limit of {limit} requests per minute exceeded")

    # ---- streams ----

    def open_stream(self, send: Callable[[bytes], None], close: Callable[[int, str], None]) -> Session:
        """A new stream session. `send` is called with each frame, `close` when the exchange ends the connection (code, reason)."""
        return self.hub.open(send, close)

    def subscribed(self, session: Session, name: StreamName, stream: str, account: str, now_us: int) -> None:
        """Somebody has begun to listen; called by the hub."""
        self._publisher.subscribed(session, name, stream, account, now_us)

    # ---- time and the outside world ----

    def act(self, act: Act) -> None:
        """Let the outside world do something to the market, at the act's own time."""
        apply(act, self.desk.outside)
        self._flush(act.at_us)

    def change_filters(self, symbol: str, now_us: int, **changes: Any) -> None:
        """Give a market other filters while it trades: see `Desk.change_filters`."""
        self.desk.exchange.advance(now_us)
        self._flush(now_us)  # what was said before is in the grid of before
        before = self.desk.markets[symbol]
        self.desk.change_filters(symbol, now_us, **changes)
        self._publisher.regridded(symbol, before)
        self._flush(now_us)

    def change_state(self, symbol: str, state: str, now_us: int) -> None:
        """Open, close or restrict a market. Raises Refused INVALID_MARKET, ValueError for another word."""
        self.desk.exchange.set_book_state(symbol, state, now_us)
        self._flush(now_us)

    def deposit(self, account: str, asset: str, atoms: int, now_us: int) -> None:
        """Credit an account from outside the exchange. Raises ValueError unless `atoms` is above 0."""
        self.desk.exchange.deposit(account, asset, atoms, now_us)
        self._flush(now_us)

    def advance(self, now_us: int) -> None:
        """Let time pass: what is due at the exchange, what was put off, heartbeats of quiet books, and the frames of the clock."""
        while self._later and self._later[0][0] <= now_us:
            at_us, _, run = heapq.heappop(self._later)
            run(max(at_us, self.desk.exchange.now_us))
        self.desk.exchange.advance(now_us)
        for symbol in self._publisher.quiet_books(now_us):
            self.desk.exchange.restate(symbol, now_us)
        self._flush(now_us)
        self._publisher.tick(now_us)

    def next_due_us(self) -> int:
        """When `advance` has something to do at the earliest."""
        due = [self._publisher.next_due_us()]
        if self._later:
            due.append(self._later[0][0])
        if self.desk.exchange.next_due_us is not None:
            due.append(self.desk.exchange.next_due_us)
        return min(due)

    def _flush(self, now_us: int) -> None:
        effects = self.desk.exchange.take_effects()
        if effects:
            if self.memory is not None:
                self.memory.note(effects)
            self._publisher.publish(effects, now_us)
