"""Units and codes that every room shares: integers, and the names that people read for them.

Price in ticks, quantity in lots, money in atoms (10⁻⁹ of any asset), rates in ppm, time in µs UTC.
Codes are plain integers, because the same functions run as Python and compiled.
"""

from typing import Final

ATOMS_PER_UNIT: Final = 1_000_000_000
PPM: Final = 1_000_000
US_PER_S: Final = 1_000_000
US_PER_MS: Final = 1_000
INT64_MAX: Final = 2**63 - 1
ALWAYS_ASK: Final = 0  # a band of (0, 0): the answer may change with any price

# Side of an order, chosen so that `side * lots` is the signed change of the position.
BUY: Final = 1
SELL: Final = -1

# Kind of market.
SPOT: Final = 0
PERP: Final = 1

# Role of a wanted order.
QUOTE: Final = 0
LAYER: Final = 1
EXIT: Final = 2
STOP: Final = 3
REBALANCE: Final = 4

# Kind of a wanted order.
POST_ONLY: Final = 0
LIMIT: Final = 1
TAKE: Final = 2  # immediate-or-cancel with a slippage cap, wanted until filled
TRIGGER: Final = 3  # reduce-only, rests at the venue, judged by mark price

# Flags of a wanted order.
REDUCE_ONLY: Final = 1
WHOLE_POSITION: Final = 2  # a TRIGGER for 100 % of the position

# State of an order; `architecture.md` §2.
PLANNED: Final = 0
IN_FLIGHT: Final = 1
WORKING: Final = 2
ARMED: Final = 3
CANCELLING: Final = 4
UNKNOWN: Final = 5
FILLED: Final = 6
CANCELLED: Final = 7
EXPIRED: Final = 8
REJECTED: Final = 9
PROVEN_ABSENT: Final = 10
FIRST_TERMINAL: Final = FILLED  # every code from here on is an end

# What the account may do.
ACTIVE: Final = 0
REDUCING: Final = 1  # strategies may only reduce; an end by `stop` or `--duration`
HALTED: Final = 2  # latched: a limit, `kill`, `flatten` or the watchdog

ROLE_NAMES: Final = ("QUOTE", "LAYER", "EXIT", "STOP", "REBALANCE")
KIND_NAMES: Final = ("POST_ONLY", "LIMIT", "TAKE", "TRIGGER")
STATE_NAMES: Final = (
    "PLANNED", "IN_FLIGHT", "WORKING", "ARMED", "CANCELLING", "UNKNOWN",
    "FILLED", "CANCELLED", "EXPIRED", "REJECTED", "PROVEN_ABSENT",
)  # fmt: skip
MODE_NAMES: Final = ("ACTIVE", "REDUCING", "HALTED")


def side_name(side: int) -> str:
    """The field's word for a side: BUY or SELL."""
    return "BUY" if side == BUY else "SELL"
