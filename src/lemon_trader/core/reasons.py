"""Why an order was placed, kept, moved, cancelled or withheld: codes for decisions, names for people and the journal.

The names are message ids too: `reason.<NAME>` in the catalogue says the same in the reader's language.
"""

from typing import Final

NONE: Final = 0
PLACED: Final = 1  # nothing of the slot lives and part of the total is open
KEPT: Final = 2  # as wanted
KEPT_TOLERANCE: Final = 3  # figure: distance in ticks; keeps its place in the queue
KEPT_SETTLING: Final = 4  # figure: µs until it may be replaced
KEPT_SMALLER: Final = 5  # a quote that is merely smaller; figure: lots missing
NOT_WANTED: Final = 6  # no row asks for it any more
OLD_GENERATION: Final = 7
CHANGED: Final = 8  # another side, kind or trigger is wanted
NEARER: Final = 9  # nearer the touch than wanted; figure: ticks
FARTHER: Final = 10  # farther than wanted; figure: ticks
LARGER: Final = 11  # larger than what is open; figure: lots
SMALLER: Final = 12
AGAIN: Final = 13  # a cancel is repeated until the end is proven
FENCE: Final = 14  # a cancel that proves what became of an unknown order
WAIT_END: Final = 15  # the slot's order has not ended yet
WAIT_RETRY: Final = 16  # figure: µs; a refusal waits for a newer book
WAIT_COINS: Final = 17  # coins are claimed by orders that have not ended; figure: lots free
BELOW_MIN: Final = 18  # figure: lots; the venue takes no smaller order
OWN_CROSS: Final = 19  # would meet our own order; figure: its price
STALE_ROW: Final = 20  # older than the highest generation attempted
DONE: Final = 21  # the total is filled
MASKED: Final = 22  # the mode allows no such role; figure: the mode
OUT_OF_BAND: Final = 23  # the venue would refuse the price; figure: nearest that it takes
MISSING_INPUT: Final = 24  # book, mark or account too old, or unread: no new exposure
LIMIT_QTY: Final = 25
LIMIT_NOTIONAL: Final = 26
LIMIT_COLLAR: Final = 27
LIMIT_ORDERS: Final = 28
LIMIT_POSITION: Final = 29
LIMIT_BUDGET: Final = 30
LIMIT_RATE: Final = 31
LIMIT_REPEAT: Final = 32  # identical refusals: one probe a minute
TOO_MANY_UNKNOWN: Final = 33
WAIT_FUNDS: Final = 34
SURPLUS: Final = 35  # a second order of one key: the venue accepted an attempt twice, or an end proved wrong

NAMES: Final = (
    "NONE", "PLACED", "KEPT", "KEPT_TOLERANCE", "KEPT_SETTLING", "KEPT_SMALLER", "NOT_WANTED", "OLD_GENERATION", "CHANGED", "NEARER",
    "FARTHER", "LARGER", "SMALLER", "AGAIN", "FENCE", "WAIT_END", "WAIT_RETRY", "WAIT_COINS", "BELOW_MIN", "OWN_CROSS", "STALE_ROW",
    "DONE", "MASKED", "OUT_OF_BAND", "MISSING_INPUT", "LIMIT_QTY", "LIMIT_NOTIONAL", "LIMIT_COLLAR", "LIMIT_ORDERS", "LIMIT_POSITION",
    "LIMIT_BUDGET", "LIMIT_RATE", "LIMIT_REPEAT", "TOO_MANY_UNKNOWN", "WAIT_FUNDS", "SURPLUS",
)  # fmt: skip
