"""Chance as integers: the same names give the same draws on every machine and with every version of Python.

SplitMix64 (Steele, Lea and Flood 2014) passes the usual batteries, needs one word of state, and is far more than a market needs.
Nothing here is fit for secrets.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

MILLION: Final = 1_000_000
_MASK: Final = 2**64 - 1
_BELL_DEVIATION: Final = 37_837  # standard deviation of the sum of four uniform 16-bit numbers
_BELL_MEAN: Final = 131_070
_LN_2: Final = 45_426  # in 2⁻¹⁶


class Chance:
    """A stream of draws, fixed by the names it was made with."""

    __slots__ = ("_state",)

    def __init__(self, *names: str | int) -> None:
        self._state = int.from_bytes(hashlib.blake2b(repr(names).encode(), digest_size=8).digest())

    def bits(self) -> int:
        """64 random bits."""
        self._state = z = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """One of 0 … bound − 1, each as likely; `bound` > 0 and far below 2⁶⁴."""
        return self.bits() * bound >> 64

    def happens(self, ppm: int) -> bool:
        """True in `ppm` of a million draws."""
        return self.bits() * MILLION >> 64 < ppm

    def wait(self, mean: int) -> int:
        """How long until something happens that happens every `mean` on average and remembers nothing: exponential, to 3 %."""
        z = self.bits() | 1
        length = z.bit_length()
        fraction = (z << (65 - length) & _MASK) >> 48  # of the way from one power of two to the next, 16 bits
        return mean * (((65 - length) << 16) - fraction) * _LN_2 >> 32

    def among(self, curve: Sequence[tuple[int, int]]) -> int:
        """A number whose distribution `curve` tells: (part of all that is smaller, ppm; number), straight between its points."""
        z = self.bits() * MILLION >> 64
        k = 1
        while curve[k][0] <= z:
            k += 1
        (low, first), (high, last) = curve[k - 1], curve[k]
        return first + (last - first) * (z - low) // (high - low)

    def bell(self) -> int:
        """A bell-shaped number with mean 0, in millionths of its standard deviation; never beyond 3.5 of them."""
        z = self.bits()
        total = (z & 0xFFFF) + (z >> 16 & 0xFFFF) + (z >> 32 & 0xFFFF) + (z >> 48)
        return (total - _BELL_MEAN) * MILLION // _BELL_DEVIATION
