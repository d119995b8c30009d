"""Fee tiers: what an account of each pays, as the venue's public list has them (API reference §7.1).

The perpetuals' column is complete there. Of the spot column only tiers 1, 2 and VIP5 were captured; the others are steps between them.
"""

from typing import Final

import msgspec


class Tier(msgspec.Struct, frozen=True):
    """One row.

    Attributes:
        fees_ppm: spot maker, spot taker, perpetual maker, perpetual taker.
        stake: exchange tokens to hold for it, whole ones.
        volume: or what to trade on perpetuals within 30 days, whole USD.
    """

    name: str
    fees_ppm: tuple[int, int, int, int]
    stake: int
    volume: int


TIERS: Final = (
    Tier("Tier 1", (800, 1_000, 200, 500), 0, 0),
    Tier("Tier 2", (700, 900, 190, 450), 350, 500_000),
    Tier("Tier 3", (600, 800, 180, 400), 1_500, 1_000_000),
    Tier("Tier 4", (500, 700, 160, 350), 3_500, 5_000_000),
    Tier("Tier 5", (400, 600, 130, 300), 15_000, 10_000_000),
    Tier("Tier 6", (300, 500, 100, 280), 30_000, 25_000_000),
    Tier("VIP1", (200, 450, 100, 260), 50_000, 50_000_000),
    Tier("VIP2", (100, 400, 0, 240), 100_000, 100_000_000),
    Tier("VIP3", (0, 350, 0, 220), 200_000, 150_000_000),
    Tier("VIP4", (0, 300, 0, 200), 350_000, 200_000_000),
    Tier("VIP5", (0, 250, 0, 180), 500_000, 300_000_000),
)
TIER_NAMES: Final = tuple(tier.name for tier in TIERS)


class UnknownTier(ValueError):
    """A name that no fee tier has."""


def tier_of(name: str) -> Tier:
    """The tier of this name, whatever its case and blanks. Raises UnknownTier."""
    plain = name.replace(" ", "").casefold()
    for tier in TIERS:
        if tier.name.replace(" ", "").casefold() == plain:
            return tier
    raise UnknownTier(f"{name!r} is no fee tier; give one of {', '.join(TIER_NAMES)}")
