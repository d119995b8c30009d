"""The price behind all synthetic markets of one coin: a random walk whose size changes at many paces at once, with jumps.

Its deviation is a usual one times eight multipliers, each high or low, which are drawn anew every half minute, every two minutes, … every
six days on average (the multifractal of Calvet and Fisher). So calm and storm come at every scale, large moves follow large moves for
hours, and returns themselves do not repeat. A weak pull brings the price back over weeks, and it never leaves a quarter to four times of
where it began. All of it is integers, so a seed means the same on every machine.
"""

from typing import Final

from lemon_trader.core.units import PPM
from lemon_trader.market.calibration import (
    DEVIATION_PPB,
    JUMP_PPB,
    JUMPS_PPM,
    NEWS_PPM,
    PREMIUMS,
    SHORTEST_STEPS,
    SLOWER,
    STRESS_PPM,
    VOLATILE_PPM,
    VOLATILITIES,
)
from lemon_trader.market.chance import MILLION, Chance

PAR: Final = 10**12  # the price's fixed point: one times the price it began with
PPB: Final = 10**9
PULL_PPB: Final = 150  # part of the distance from the beginning that one step takes back
LOWEST: Final = PAR // 4
HIGHEST: Final = PAR * 4


class Price:
    """The price of one coin, as a multiple of where it began, step by step.

    Attributes:
        value: in units of PAR.
        volatility_ppm: deviation of a step beside the usual one.
    """

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._factors = [VOLATILE_PPM[chance.bits() & 1] for _ in range(VOLATILITIES)]
        self._left = [self._life(k) for k in range(VOLATILITIES)]
        self._quiet = 0  # steps until one of them changes
        self._deviation_ppb = 0
        self.value = PAR
        self.volatility_ppm = PPM
        self._change(0)

    @property
    def stress_ppm(self) -> int:
        """How the market feels: its volatility within bounds."""
        return min(STRESS_PPM[1], max(STRESS_PPM[0], self.volatility_ppm))

    def step(self) -> int:
        """The next value, in units of PAR."""
        chance = self._chance
        self._quiet -= 1
        if not self._quiet:
            self._change(min(self._left))
        change_ppb = (PAR - self.value) * PULL_PPB // PAR
        if chance.happens(NEWS_PPM):
            change_ppb += self._deviation_ppb * chance.bell() // MILLION
        if chance.happens(JUMPS_PPM):
            change_ppb += JUMP_PPB * chance.bell() // MILLION
        self.value = min(HIGHEST, max(LOWEST, self.value + self.value * change_ppb // PPB))
        return self.value

    def _change(self, gone: int) -> None:
        """Draw anew the multipliers whose time has come after `gone` steps."""
        volatility = PPM
        for k in range(VOLATILITIES):
            self._left[k] -= gone
            if not self._left[k]:
                self._factors[k] = VOLATILE_PPM[self._chance.bits() & 1]
                self._left[k] = self._life(k)
            volatility = volatility * self._factors[k] // PPM
        self._quiet = min(self._left)
        self.volatility_ppm = volatility
        self._deviation_ppb = DEVIATION_PPB * volatility // PPM

    def _life(self, k: int) -> int:
        return 1 + self._chance.wait(SHORTEST_STEPS * SLOWER**k)


class Premium:
    """How far a perpetual stands from the price behind it: pulled back to nothing within minutes, and more slowly within a day."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._fine = [0] * len(PREMIUMS)  # thousandths of a ppb, lest a slow pull be rounded away

    def step(self) -> int:
        """The next premium, parts per 10⁹ of the price."""
        total = 0
        for k, (deviation_ppb, steps) in enumerate(PREMIUMS):
            self._fine[k] += deviation_ppb * self._chance.bell() // 1_000 - self._fine[k] // steps
            total += self._fine[k]
        return total // 1_000
