"""The exchange's clock as seen from here: an offset with an uncertainty, from timed questions. Pure: it reads no clock itself."""

from typing import Final, NamedTuple

from lemon_trader.core.units import PPM, US_PER_MS, US_PER_S

HALF_MS_US: Final = US_PER_MS // 2


class Sample(NamedTuple):
    """One answered question: the venue's clock is ours + `offset_us`, give or take `uncertainty_us`, at our time `at_us`."""

    at_us: int
    offset_us: int
    uncertainty_us: int


class VenueClock:
    """Estimate of the venue's clock.

    Of the last few samples the one wins that agrees with most of the others, and among those the one that is now least uncertain: a single
    wrong answer changes nothing, and a clock that was really set wins with the majority.

    Attributes:
        wants_sample: set by `doubt()` and until enough new samples came; who keeps time shall ask at once.
    """

    def __init__(
        self,
        *,
        keep: int = 8,
        enough: int = 3,
        worst_us: int = US_PER_S,
        drift_ppm: int = 100,
        every_us: int = 60 * US_PER_S,
    ) -> None:
        """An estimate without samples: offset 0.

        Args:
            keep: samples that are compared.
            enough: samples after which a doubt is over.
            worst_us: a sample more uncertain than this says nothing (half its round trip, µs).
            drift_ppm: how fast two clocks may run apart; an old sample is that much less certain.
            every_us: how long an estimate stays good enough.
        """
        assert 0 < enough <= keep
        self._keep = keep
        self._enough = enough
        self._worst_us = worst_us
        self._drift_ppm = drift_ppm
        self._every_us = every_us
        self._samples: list[Sample] = []
        self._best = Sample(0, 0, 0)
        self._first: Sample | None = None
        self.wants_sample = True
        self.ignored = 0

    @property
    def ready(self) -> bool:
        """At least one usable sample was ever taken."""
        return self._first is not None

    @property
    def offset_us(self) -> int:
        """Venue minus ours, µs; 0 before the first sample."""
        return self._best.offset_us

    @property
    def drift_ppm(self) -> int:
        """How much faster the venue's clock runs than ours since the first sample, ppm; 0 while a minute has not passed."""
        first, last = self._first, self._best
        if first is None or last.at_us - first.at_us < 60 * US_PER_S:
            return 0
        return (last.offset_us - first.offset_us) * PPM // (last.at_us - first.at_us)

    def uncertainty_us(self, now_us: int) -> int:
        """How far the estimate may be off now, µs; it grows with age."""
        return self._widened(self._best, now_us)

    def venue_us(self, now_us: int) -> int:
        """The venue's clock when ours says `now_us`, µs."""
        return now_us + self._best.offset_us

    def venue_ms(self, now_us: int) -> int:
        """The venue's clock when ours says `now_us`, whole ms: what a request is signed with."""
        return (now_us + self._best.offset_us) // US_PER_MS

    def sample(self, sent_us: int, received_us: int, venue_ms: int) -> bool:
        """Take one answered question. False when it is too uncertain to say anything.

        Args:
            sent_us: our time when the question left.
            received_us: our time when the answer was here.
            venue_ms: the venue's clock in the answer; it cut its own microseconds off, so half a millisecond is added.
        """
        uncertainty_us = (received_us - sent_us) // 2 + HALF_MS_US
        if received_us < sent_us or uncertainty_us > self._worst_us or venue_ms <= 0:
            self.ignored += 1
            return False
        middle_us = (sent_us + received_us) // 2
        taken = Sample(received_us, venue_ms * US_PER_MS + HALF_MS_US - middle_us, uncertainty_us)
        self._samples = [*self._samples[1 - self._keep :], taken] if self._keep > 1 else [taken]
        self._first = self._first or taken
        self._best = self._choose(received_us)
        if len(self._samples) >= self._enough:
            self.wants_sample = False
        return True

    def doubt(self) -> None:
        """The venue called a request of ours expired: what we know may be wrong. The estimate stays until new samples replace it."""
        self._samples = []
        self.wants_sample = True

    def due(self, now_us: int) -> bool:
        """Whether it is time to ask again."""
        return self.wants_sample or not self._samples or now_us - self._samples[-1].at_us >= self._every_us

    def _choose(self, now_us: int) -> Sample:
        wide = [(s, self._widened(s, now_us)) for s in self._samples]

        def rank(row: tuple[Sample, int]) -> tuple[int, int, int]:
            mine, mine_us = row
            agreeing = sum(abs(mine.offset_us - s.offset_us) <= mine_us + us for s, us in wide)
            return (-agreeing, mine_us, -mine.at_us)

        return min(wide, key=rank)[0]

    def _widened(self, sample: Sample, now_us: int) -> int:
        return sample.uncertainty_us + max(0, now_us - sample.at_us) * self._drift_ppm // PPM
