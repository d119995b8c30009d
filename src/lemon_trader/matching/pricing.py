"""A perpetual's own prices: mark, premium and funding rate, made once a second from its book and the index (API reference §7.2, §7.3).

The index stands for other exchanges and comes from outside. Mark = index + one-minute moving average of (mid - index), within a band around
the index; without an index the median of bid, ask and last trade, then mid, then last. The funding rate of the running interval is
mean premium + clamp(interest - mean premium, ±0.05 %), bounded.
"""

from typing import Final

from lemon_trader.core.units import PPM, US_PER_S
from lemon_trader.matching.listing import Listing
from lemon_trader.matching.rules import Rules

SAMPLE_US: Final = US_PER_S
_WINDOW: Final = 60  # samples of the moving average
_FINE: Final = 1 << 20  # the average is kept in 2⁻²⁰ ticks
_PPB: Final = 10**9
_DAMPER_PPB: Final = 500_000
_INTEREST_PPB: Final = 12_500  # of an hour: 0.03 % a day
_HOUR_US: Final = 3_600 * US_PER_S


class Pricing:
    """What one market's own prices are made from.

    Attributes:
        basis: moving average of mid - index, in 2⁻²⁰ ticks.
    """

    def __init__(self) -> None:
        self.basis = 0
        self._interval = -1
        self._premium_ppb = 0
        self._samples = 0

    def refine(self, ticks_by: int) -> None:
        """Express it in a finer grid."""
        self.basis *= ticks_by

    def sample(self, listing: Listing, rules: Rules, now_us: int) -> tuple[int, int]:
        """(mark_ticks, funding_ppb) as of a sample at `now_us`; a mark of 0 = there is nothing to make it from."""
        index = listing.index_ticks
        bid, _, ask, _ = listing.touch()
        fine_mid = (bid + ask) * _FINE // 2 if bid and ask else 0
        if index:
            if fine_mid and listing.book_state != "PostOnly":
                self.basis += (fine_mid - index * _FINE - self.basis) // _WINDOW
                mark = (index * _FINE + self.basis + _FINE // 2) // _FINE
                band = index * rules.mark_band_ppm // PPM
                mark = max(1, index - band, min(index + band, mark))
            else:
                mark = index
        elif fine_mid:
            mark = sorted((bid, ask, listing.last_ticks))[1] if listing.last_ticks else (bid + ask) // 2
        else:
            mark = listing.last_ticks
        return mark, self._rate(listing, mark, rules, now_us)

    def _rate(self, listing: Listing, mark: int, rules: Rules, now_us: int) -> int:
        interval = (now_us - 1) // rules.funding_interval_us  # the sample on the full hour closes the hour before it
        if interval != self._interval:
            self._interval, self._premium_ppb, self._samples = interval, 0, 0
        index = listing.index_ticks
        self._premium_ppb += (mark - index) * _PPB // index if index and mark else 0
        self._samples += 1
        premium = self._premium_ppb // self._samples
        interest = _INTEREST_PPB * rules.funding_interval_us // _HOUR_US
        rate = premium + max(-_DAMPER_PPB, min(_DAMPER_PPB, interest - premium))
        cap = listing.terms.funding_cap_ppb
        return max(-cap, min(cap, rate))
