"""What a session's own journal tells a backtest: how long the exchange took to answer."""

from collections.abc import Iterable
from typing import Final

from lemon_trader.backtest.latency import MOST_US, LatencyError, Measured
from lemon_trader.core.events import AnyEvent, Decided, PlaceAccepted, PlaceRefused

LEAST: Final = 10  # fewer answers say nothing about the slow ones


def latency_of(events: Iterable[AnyEvent]) -> Measured:
    """The times from each attempt to its answer, split where the exchange stamped it.

    The exchange's own time stands in an acceptance. Where it lies between attempt and answer it divides the two ways; a refusal, or a clock
    that is off, divides them in the middle: the sum is measured in any case.

    Raises:
        LatencyError: fewer than `LEAST` attempts were answered.
    """
    sent: dict[tuple[str, int], int] = {}
    entry: list[int] = []
    answer: list[int] = []
    for event in events:
        match event:
            case Decided():
                for attempt in event.attempts:
                    sent[event.symbol, attempt.client_id] = attempt.ts_us
            case PlaceAccepted() | PlaceRefused():
                sent_us = sent.pop((event.symbol, event.client_id), 0)
                whole = event.ts_us - sent_us
                if not sent_us or not 0 <= whole <= MOST_US:
                    continue
                stamped = event.venue_us - sent_us if isinstance(event, PlaceAccepted) else -1
                first = stamped if 0 < stamped < whole else whole // 2
                entry.append(first)
                answer.append(whole - first)
            case _:
                pass
    if len(entry) < LEAST:
        raise LatencyError(f"its journal holds {len(entry)} answered orders, and {LEAST} are needed; name the store of a longer session")
    return Measured(entry, answer)
