"""Mark price, index price and funding rate of a simulated perpetual, second by second.

The mark is the mid of the book. The index stands for other exchanges: a synthetic market says what it is; otherwise it follows the mark
slowly, so that a fast move opens a premium and closes it again. The funding rate is the published rule: mean premium of the hour +
clamp(interest − mean premium, ±0.05 %), bounded; in a quiet market that is the interest of 0.0000125 an hour.
"""

from collections.abc import Sequence
from typing import Final

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.units import US_PER_S
from lemon_trader.market.acts import Reference

HOUR_US: Final = 3_600 * US_PER_S
INTEREST_PPB: Final = 12_500
DAMPER_PPB: Final = 500_000
RATE_MAX_PPB: Final = 15_000_000
PPB: Final = 10**9
INDEX_LAG_US: Final = 15 * US_PER_S
SILENCE_US_MAX: Final = 600 * US_PER_S  # over a longer hole in the data the exchange's prices are not made up
FINE: Final = 1 << 20  # the index is kept in 2⁻²⁰ of half a tick


class Marks:
    """The reference prices of one market, every `every_us`. Ask `until` before and after each change of the book.

    Farther apart than `INDEX_LAG_US` there is no premium left to see, and the funding rate is the interest alone.
    """

    def __init__(self, instrument: Instrument, every_us: int = US_PER_S) -> None:
        self._symbol = instrument.symbol
        self._is_perp = instrument.is_perp
        self._every_us = every_us
        self._next_us = 0
        self._index = 0
        self._hour = 0
        self._premium_ppb = 0  # sum over the hour's samples
        self._samples = 0

    def until(self, at_us: int, mid_half_ticks: int, index: int = 0) -> Sequence[Reference]:
        """The references that fall due up to `at_us` while the mid stands where it is. None on spot and before there is a mid.

        `index` in 2⁻²⁰ of half a tick; 0 = nobody knows it, it follows the mid.

        After a long silence the first reference comes with the second question, when the mid is of today again.
        """
        if not self._is_perp or mid_half_ticks <= 0 or at_us < self._next_us:
            return ()
        if self._next_us and at_us - self._next_us > SILENCE_US_MAX:
            self._next_us = at_us
            return ()
        due = []
        self._next_us = self._next_us or at_us
        while self._next_us <= at_us:
            due.append(self._sample(self._next_us, mid_half_ticks, index))
            self._next_us = (self._next_us // self._every_us + 1) * self._every_us
        return due

    def _sample(self, at_us: int, mid: int, index: int) -> Reference:
        fine = mid * FINE
        if index or not self._index:
            self._index = index or fine
        else:
            self._index += (fine - self._index) * min(self._every_us, INDEX_LAG_US) // INDEX_LAG_US
        hour = (at_us - 1) // HOUR_US  # the sample on the full hour closes the hour before it
        if hour != self._hour:
            self._hour, self._premium_ppb, self._samples = hour, 0, 0
        self._premium_ppb += (fine - self._index) * PPB // self._index
        self._samples += 1
        rate = funding_ppb(self._premium_ppb // self._samples)
        return Reference(at_us, self._symbol, (mid + 1) >> 1, (self._index + FINE) // (2 * FINE), rate)


def funding_ppb(premium_ppb: int) -> int:
    """The hourly rate for a mean premium, both parts per 10⁹."""
    rate = premium_ppb + max(-DAMPER_PPB, min(DAMPER_PPB, INTEREST_PPB - premium_ppb))
    return max(-RATE_MAX_PPB, min(RATE_MAX_PPB, rate))
