"""Who listens to what: stream sessions, their subscriptions, and the fan-out of frames. No socket here.

A subscription is not acknowledged, a repeated one changes nothing, an unknown symbol is silence; only an unknown kind of stream, a bad
window or a bad signature is answered, and the session stays open.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from lemon_trader.exchanges.backpack.server import Claim, Refusal
from lemon_trader.exchanges.backpack.server_stream import (
    WS_INVALID_SIGNATURE,
    StreamName,
    StreamRefusal,
    envelope,
    parse_stream,
    read_request,
)
from lemon_trader.sandbox.faults import Faults


class Gate(Protocol):
    """Who knows whose claim it is."""

    def account_of(self, claim: Claim, now_us: int, wall_us: int) -> str:
        """The account that signed a subscription. Raises Refusal."""

    def subscribed(self, session: "Session", name: StreamName, stream: str, account: str, now_us: int) -> None:
        """Somebody has begun to listen to a stream that was not his before; `account` is "" on a public one."""


class Session:
    """One client's stream connection. The shell hands its messages to `receive` and tells it when it is `gone`."""

    def __init__(self, hub: "Hub", send: Callable[[bytes], None], close: Callable[[int, str], None]) -> None:
        self._hub = hub
        self.send = send
        self.close = close  # asks the shell to end the connection: (code, reason)
        self.listens: set[tuple[str, str]] = set()  # (account or "", stream)

    def receive(self, message: str | bytes, now_us: int, wall_us: int | None = None) -> None:
        """Take one message of the client's; what is wrong with it is answered to him alone."""
        try:
            request = read_request(message)
            names = [(stream, parse_stream(stream)) for stream in request.streams]
            account = ""
            if any(name.is_private for _, name in names) and (request.is_on or request.claim is not None):
                account = self._hub.signer(request.claim, now_us, now_us if wall_us is None else wall_us)
        except StreamRefusal as refusal:
            self.send(refusal.encode())
            if refusal.code == self._hub.signature_error[0] and self._hub.signature_closes:
                self.close(refusal.code, refusal.message)
            return
        for stream, name in names:
            key = (account if name.is_private else "", stream)
            if request.is_on:
                self._hub.add(self, key, name, now_us)
            elif name.is_private and request.claim is None:
                self._hub.remove_any(self, stream)
            else:
                self._hub.remove(self, key)

    def tell(self, stream: str, data: dict[str, Any]) -> None:
        """Send one frame to this session alone."""
        self.send(envelope(stream, data))

    def gone(self) -> None:
        """The connection has ended."""
        self._hub.forget(self)


class Hub:
    """All sessions and what each of them listens to."""

    def __init__(
        self, gate: Gate, faults: Faults, *, signature_closes: bool = False, signature_error: int = WS_INVALID_SIGNATURE[0]
    ) -> None:
        self._gate = gate
        self.signature_closes = signature_closes
        self.signature_error = (signature_error, WS_INVALID_SIGNATURE[1])
        self._faults = faults
        self._listeners: dict[tuple[str, str], dict[Session, None]] = {}  # dicts keep the order of subscription
        self.sessions: dict[Session, None] = {}

    def open(self, send: Callable[[bytes], None], close: Callable[[int, str], None]) -> Session:
        """A new session."""
        session = Session(self, send, close)
        self.sessions[session] = None
        return session

    def signer(self, claim: Claim | None, now_us: int, wall_us: int) -> str:
        """The account behind a private subscription. Raises StreamRefusal."""
        if claim is None:
            raise StreamRefusal(self.signature_error)
        try:
            return self._gate.account_of(claim, now_us, wall_us)
        except Refusal:
            raise StreamRefusal(self.signature_error) from None

    def add(self, session: Session, key: tuple[str, str], name: StreamName, now_us: int) -> None:
        """Let the session listen; nothing happens when it does already."""
        if key in session.listens:
            return
        session.listens.add(key)
        self._listeners.setdefault(key, {})[session] = None
        self._gate.subscribed(session, name, key[1], key[0], now_us)

    def remove(self, session: Session, key: tuple[str, str]) -> None:
        """Let the session listen no more."""
        session.listens.discard(key)
        listeners = self._listeners.get(key)
        if listeners is not None:
            listeners.pop(session, None)
            if not listeners:
                del self._listeners[key]

    def remove_any(self, session: Session, stream: str) -> None:
        """Let the session listen no more, whichever account the stream is of."""
        for key in [key for key in session.listens if key[1] == stream]:
            self.remove(session, key)

    def forget(self, session: Session) -> None:
        """The session is gone."""
        for key in tuple(session.listens):
            self.remove(session, key)
        self.sessions.pop(session, None)

    def has(self, stream: str, account: str = "") -> bool:
        """Whether anybody listens."""
        return (account, stream) in self._listeners

    def streams(self, prefix: str) -> Iterator[str]:
        """The public streams with listeners whose names begin so."""
        return (stream for account, stream in tuple(self._listeners) if not account and stream.startswith(prefix))

    def publish(self, stream: str, data: dict[str, Any], now_us: int, account: str = "") -> None:
        """Send one frame to everybody who listens; it is encoded once."""
        listeners = self._listeners.get((account, stream))
        if not listeners or self._faults.swallows(stream, now_us):
            return
        payload = envelope(stream, data)
        for session in tuple(listeners):
            session.send(payload)

    def close_all(self, code: int, reason: str, sessions: Iterable[Session] | None = None) -> None:
        """Ask the shell to end these sessions, or all."""
        for session in tuple(self.sessions if sessions is None else sessions):
            session.close(code, reason)
