"""I1 (ledger equality) and I1a (no invention): rows of the database against the exchange's own rows, as plain values. Zero difference.

Imports nothing of the program.
"""

from collections import Counter
from decimal import Decimal

Row = tuple[object, ...]  # order id, trade id, side, price, quantity, fee, fee asset


class Ledger:
    """I1, I1a."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def invented(self, ours: list[Row], theirs: list[Row]) -> None:
        """I1a: every fill that we have was made; a fill without a trade id matches any of the same order, price and quantity."""
        self.found += [f"I1a: fill {row} was never made" for row in _without(ours, theirs)]

    def equal(self, ours: list[Row], theirs: list[Row]) -> None:
        """I1: one to one."""
        self.invented(ours, theirs)
        self.found += [f"I1: fill {row} is missing here" for row in _without(theirs, ours)]

    def sums(self, ours: dict[str, Decimal], theirs: dict[str, Decimal]) -> None:
        """I1: position and cash, to the last digit."""
        self.found += [
            f"I1: {what} is {ours.get(what)} here and {there} at the exchange" for what, there in theirs.items() if ours.get(what) != there
        ]


def _without(these: list[Row], those: list[Row]) -> list[Row]:
    """Rows of `these` that have no counterpart in `those`."""
    left, rest = Counter(these), Counter(those)
    both = left & rest
    left, rest = left - both, rest - both
    if not left:
        return []
    nameless = Counter((row[0], *row[2:]) for row in rest.elements())
    found = []
    for row in left.elements():
        short = (row[0], *row[2:])
        named = isinstance(row[1], int) and row[1] > 0 and all(isinstance(r[1], int) and r[1] > 0 for r in rest)
        if nameless[short] and not named:
            nameless[short] -= 1
        else:
            found.append(row)
    return found
