"""How long commands and facts are under way in a replay: always the same, or drawn from what was once measured.

Draws come from a stream that is fixed by a seed, so a run can be repeated. A cancel, a place and an account read take the entry's time; an
answer and a fact about the account the answer's; a public fact the feed's.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lemon_trader.market.chance import Chance

MOST_US: Final = 60_000_000  # what takes a minute was lost, and a replay loses nothing
SAMPLES_MAX: Final = 100_000


class LatencyError(ValueError):
    """Measured times that cannot be used; the text names the value and the way out."""


class Fixed(msgspec.Struct, frozen=True):
    """Every message takes as long as the last.

    Attributes:
        entry, answer, feed: µs, 0 … `MOST_US`.
    """

    entry: int = 0
    answer: int = 0
    feed: int = 0

    def entry_us(self) -> int:
        """From our decision to the exchange's hand."""
        return self.entry

    def answer_us(self) -> int:
        """From the exchange to us, of answers and account facts."""
        return self.answer

    def feed_us(self) -> int:
        """From the exchange to us, of public facts."""
        return self.feed


class Measured(msgspec.Struct, frozen=True):
    """Times as they were measured, µs, in any order; a feed that nobody measured is as fast as the answers."""

    entry: Sequence[int]
    answer: Sequence[int]
    feed: Sequence[int] = ()

    def check(self) -> "Measured":
        """Itself. Raises LatencyError for times that are none, or none at all."""
        for name in ("entry", "answer", "feed"):
            times = getattr(self, name)
            if not times and name != "feed":
                raise LatencyError(f"there is no {name} time in it; at least one is needed")
            if len(times) > SAMPLES_MAX:
                raise LatencyError(f"it holds {len(times)} {name} times; at most {SAMPLES_MAX} are taken")
            wrong = next((t for t in times if not 0 <= t <= MOST_US), None)
            if wrong is not None:
                raise LatencyError(f"an {name} time of {wrong} µs; times are 0 to {MOST_US} µs")
        return self


class Drawn:
    """Each message takes a time of those that were measured, each as likely."""

    def __init__(self, measured: Measured, seed: int) -> None:
        """Draw from these. Raises LatencyError."""
        measured.check()
        self._entry = sorted(measured.entry)
        self._answer = sorted(measured.answer)
        self._feed = sorted(measured.feed) or self._answer
        self._chance = Chance("latency", seed)

    def entry_us(self) -> int:
        """From our decision to the exchange's hand."""
        return self._entry[self._chance.below(len(self._entry))]

    def answer_us(self) -> int:
        """From the exchange to us, of answers and account facts."""
        return self._answer[self._chance.below(len(self._answer))]

    def feed_us(self) -> int:
        """From the exchange to us, of public facts."""
        return self._feed[self._chance.below(len(self._feed))]


def read_measured(text: bytes) -> Measured:
    """Times out of JSON: `{"entry_us": […], "answer_us": […], "feed_us": […]}`, the last one optional.

    A list may also be pairs of `[µs, how often]`, as a histogram has them. Raises LatencyError.
    """
    try:
        found = msgspec.json.decode(text, type=dict[str, list[int | tuple[int, int]]])
    except msgspec.DecodeError as error:
        raise LatencyError(f'it cannot be read as {{"entry_us": [µs, …], "answer_us": [µs, …]}} ({error})') from None
    strangers = set(found) - {"entry_us", "answer_us", "feed_us"}
    if strangers:
        raise LatencyError(f"it has {', '.join(sorted(strangers))}, and only entry_us, answer_us and feed_us are known")
    return Measured(*(_times(found, name) for name in ("entry_us", "answer_us", "feed_us"))).check()


def quantiles(times: Sequence[int]) -> tuple[int, int, int]:
    """(median, 99th percentile, largest) of at least one time, each one that was measured."""
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], ordered[-1]


def _times(found: Mapping[str, Sequence[object]], name: str) -> list[int]:
    times: list[int] = []
    for entry in found.get(name, ()):
        if isinstance(entry, int):
            times.append(entry)
            continue
        assert isinstance(entry, (list, tuple))
        us, count = entry
        if not 0 <= count <= SAMPLES_MAX:
            raise LatencyError(f"{name}: {us} µs is counted {count} times; a count is 0 to {SAMPLES_MAX}")
        times += [us] * count
    return times
