"""Rounding that says which way, and products that stay exact where 64 bits would not hold them.

Compiled integers wrap at 64 bits and Python's do not: every function here states the range in which both give the same.
"""

import math
from typing import Final

from lemon_trader.formulas.compilable import compilable

PPM: Final = 1_000_000
PPB: Final = 1_000_000_000
INT64_MAX: Final = 2**63 - 1


@compilable
def ceil_div(value: int, unit: int) -> int:
    """`value` / `unit` rounded up. `unit` > 0, any `value` above -2**63."""
    return -(-value // unit)


@compilable
def scaled_floor(value: int, factor: int, unit: int) -> int:
    """`value` x `factor` / `unit` rounded down, exact also where the product has more than 64 bits.

    Args:
        value: 0 ... 2**63 - 1.
        factor: 0 ... 2**63 - 1.
        unit: 1 ... 2**61.

    The result must be below 2**63: callers pass shares of an amount (`factor` <= `unit`) or prices and costs, which are.
    """
    if factor == 0 or value <= INT64_MAX // factor:
        return value * factor // unit
    if unit <= INT64_MAX // factor:
        return value // unit * factor + value % unit * factor // unit
    return value // unit * factor + _long_division(value % unit, factor, unit, 0)


@compilable
def scaled_ceil(value: int, factor: int, unit: int) -> int:
    """`value` x `factor` / `unit` rounded up; ranges as `scaled_floor`."""
    if factor == 0 or value <= INT64_MAX // factor:
        return -(-(value * factor) // unit)
    if unit <= INT64_MAX // factor:
        return value // unit * factor - (-(value % unit * factor) // unit)
    return value // unit * factor + _long_division(value % unit, factor, unit, 1)


@compilable
def _long_division(rest: int, factor: int, unit: int, up: int) -> int:
    """`rest` x `factor` / `unit` bit by bit, for `rest` < `unit`: no number on the way is above 3 x `unit`."""
    quotient = 0
    remainder = 0
    for bit in range(62, -1, -1):
        quotient *= 2
        remainder *= 2
        if (factor >> bit) & 1:
            remainder += rest
        if remainder >= unit:
            remainder -= unit
            quotient += 1
        if remainder >= unit:
            remainder -= unit
            quotient += 1
    if up and remainder > 0:
        quotient += 1
    return quotient


@compilable
def root(value: int) -> int:
    """The integer square root, rounded down. `value` 0 ... 4 x 10**18."""
    # The float's root is correctly rounded on every machine; the two loops take the last step in integers.
    guess = int(math.sqrt(value))
    while guess * guess > value:
        guess -= 1
    while (guess + 1) * (guess + 1) <= value:
        guess += 1
    return guess
