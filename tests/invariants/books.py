"""Ledger equality and budgets as plain arithmetic over values that are handed in. Imports nothing of the program."""

from collections import Counter
from decimal import Decimal


def ledger_equality(name: str, ours: dict[str, Decimal], theirs: dict[str, Decimal]) -> list[str]:
    """I1: position, cash and fees to the last digit; zero difference, no tolerance."""
    return [f"{name}: {k} is {ours.get(k)} here and {v} at the exchange" for k, v in theirs.items() if ours.get(k) != v]


def fills_equality(name: str, ours: list[tuple[object, ...]], theirs: list[tuple[object, ...]]) -> list[str]:
    """I1, I1a: the same fills, one to one."""
    mine, venue = Counter(ours), Counter(theirs)
    found = [f"{name}: fill {f} was never made" for f in (mine - venue).elements()]
    return found + [f"{name}: fill {f} is missing here" for f in (venue - mine).elements()]


def one_live_order(name: str, live: list[tuple[object, int, bool]]) -> list[str]:
    """I2: at most one accepted, not terminal order for each key; `live` is (key, order id, is a protective trigger)."""
    counted = Counter(key for key, _, is_trigger in live if not is_trigger)
    return [f"{name}: {n} live orders of {key}" for key, n in counted.items() if n > 1]


def totals(name: str, filled: dict[object, Decimal], written: dict[object, Decimal]) -> list[str]:
    """I2: filled for a key never exceeds the largest total written for it."""
    return [
        f"{name}: {key} filled {lots}, at most {written.get(key)} was written" for key, lots in filled.items() if lots > written.get(key, 0)
    ]


def within_budget(name: str, held_cost: Decimal, open_buys: Decimal, budget: Decimal) -> list[str]:
    """I5: held at cost and resting buys together never exceed the budget."""
    spent = held_cost + open_buys
    return [f"{name}: {held_cost} held and {open_buys} resting exceed the budget of {budget}"] if spent > budget else []


def unprotected(name: str, position: Decimal, stops: list[tuple[int, Decimal]], since_s: float, most_s: float) -> list[str]:
    """I6: what is held has a resting stop over all of it; `stops` is (signed side, quantity covered), missing for `since_s` by now."""
    covered = any(side * position < 0 and quantity >= abs(position) for side, quantity in stops)
    return [f"{name}: {position} held and no stop over it for {since_s} s"] if position and not covered and since_s > most_s else []


def write_ahead(name: str, submitted: set[int], written: set[int]) -> list[str]:
    """I4: every id that reached the exchange was in the journal before."""
    return [f"{name}: client id {c} reached the exchange before the journal" for c in sorted(submitted - written)]
