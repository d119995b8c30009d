"""The private half of a venue: the account's stream, with a sign of life of its own."""

from collections.abc import Callable, Mapping, Sequence

from lemon_trader.core.events import MARKET_FACTS, BadFact, Event, FeedState
from lemon_trader.core.instrument import Instrument
from lemon_trader.env import Env
from lemon_trader.exchanges.dialect import STREAM_ERROR, Dialect, Signer
from lemon_trader.utils.clock import VenueClock
from lemon_trader.venues.venue import Sink
from lemon_trader.websocket.client import AGE_US, StreamClient


class AccountFeed:
    """Account facts of one network read in one call of the sink.

    An account may be silent for hours, so one market's ticker comes along: it shows each second that this very connection lives.
    """

    def __init__(
        self,
        env: Env,
        url: str,
        dialect: Dialect,
        signer: Signer,
        clock: VenueClock,
        instruments: Mapping[str, Instrument],
        heartbeat: str,
        sink: Sink,
        *,
        age_us: int = AGE_US,
    ) -> None:
        """Know the parts; `start()` connects.

        Args:
            env: the world.
            url: of the stream.
            dialect: the exchange's words.
            signer: who signs the subscription.
            clock: the exchange's time, which is signed.
            instruments: the markets by symbol.
            heartbeat: symbol of the market whose ticker shows that the connection lives.
            sink: where facts go.
            age_us: a stream silent for this long is replaced.
        """
        self._env = env
        self._dialect = dialect
        self._signer = signer
        self._clock = clock
        self._instruments = instruments
        self._heartbeat = heartbeat
        self._sink = sink
        self.stream = StreamClient(env, url, "private", self, age_us=age_us)
        self.start: Callable[[], None] = self.stream.start
        self.close: Callable[[], None] = self.stream.close

    def hello(self) -> Sequence[bytes]:
        """The account's streams, signed, and the sign of life."""
        venue_ms = self._clock.venue_ms(self._env.now_us())
        private = self._dialect.subscribe(self._dialect.private_streams(), self._signer, venue_ms)
        return [private, self._dialect.subscribe([self._dialect.heartbeat_stream(self._heartbeat)], None, venue_ms)]

    def stream_messages(self, payloads: Sequence[bytes], ts_us: int, *, is_first: bool) -> None:
        """Account facts of one read; the sign of life itself is the public stream's to tell."""
        facts: list[Event] = [FeedState(ts_us, "private", up=True)] if is_first else []
        refused = ""
        for payload in payloads:
            for fact in self._dialect.frame(payload, self._instruments, ts_us):
                if isinstance(fact, MARKET_FACTS):
                    continue
                facts.append(fact)
                if isinstance(fact, BadFact) and fact.source == STREAM_ERROR:
                    refused = fact.reason
        if facts:
            self._sink(facts)
        if refused:
            # The exchange says no to the subscription and keeps the connection open: it would be silent for ever. The likeliest reason
            # that passes is our clock.
            self._clock.doubt()
            self.stream.restart(f"subscription refused: {refused}")

    def stream_ended(self, reason: str, ts_us: int) -> None:
        """What happens to the account from now on is not seen; it is asked for."""
        self._sink([FeedState(ts_us, "private", up=False, reason=reason)])
