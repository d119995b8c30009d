"""The port between an engine and what it trades against: commands go out, facts come in.

Live speaks to an exchange, paper to its public streams and a simulated fill, replay to a tape. An engine cannot tell them apart.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from lemon_trader.core.commands import Command
from lemon_trader.core.events import AccountRead, AccountTerms, Event
from lemon_trader.core.instrument import Instrument

Sink = Callable[[Sequence[Event]], None]


class Venue(Protocol):
    """Where commands go. Facts reach the sink given at construction, all facts of one network read in one call."""

    def send(self, commands: Sequence[Command]) -> None:
        """Send the commands of one turn; never blocks and never calls the sink before it returns.

        The places go as one batch with one signature, the cancels each alone; both leave before this returns when their
        connections are idle. Every place is answered by exactly one of PlaceAccepted, PlaceRefused, PlaceUnknown, and every cancel by
        one CancelAnswered, through the sink.
        """

    def expires_us(self, now_us: int) -> int:
        """Exchange time after which a command signed now will be refused at the edge."""

    async def instruments(self) -> dict[str, Instrument]:
        """The venue's markets by symbol. Raises VenueLost."""

    async def terms(self) -> AccountTerms:
        """The account's rates and switches. Raises VenueLost."""

    async def read_account(self, symbols: Sequence[str], since_us: int) -> AccountRead:
        """Read orders, history, fills, moves, balances and positions. Raises VenueLost when any of the reads fails."""

    async def connect(self, symbols: Sequence[str]) -> None:
        """Start the streams of these markets and keep them; facts flow from now on. Raises VenueLost."""

    async def close(self) -> None:
        """End streams and connections; nothing is cancelled by it."""


class VenueLost(Exception):
    """The venue could not be reached, or answered what cannot be read, within the bounded retries."""
