"""What a sweep may try: for each parameter the values it may take, in order, as a person would type them.

A point is one level for each parameter, as whole numbers. So every sampler tries the same finite set, equal points are recognised, the
neighbours of a point are known, and nothing is rounded on the way from a sampler to a strategy.
"""

from collections.abc import Sequence
from itertools import product
from math import prod

import msgspec

Point = tuple[int, ...]


class Dimension(msgspec.Struct, frozen=True):
    """One parameter that varies.

    Attributes:
        name: of the parameter.
        levels: its values as text, at least one, no two alike.
        is_ordered: neighbouring levels are alike (numbers); False = they only differ (words, switches).
    """

    name: str
    levels: tuple[str, ...]
    is_ordered: bool = True


class Space(msgspec.Struct, frozen=True):
    """Every combination of the dimensions' levels."""

    dimensions: tuple[Dimension, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Levels of each dimension."""
        return tuple(len(d.levels) for d in self.dimensions)

    @property
    def size(self) -> int:
        """How many points there are."""
        return prod(self.shape)

    def at(self, index: int) -> Point:
        """The point with this number, 0 ... size - 1; the last dimension changes fastest."""
        point = []
        for levels in reversed(self.shape):
            index, level = divmod(index, levels)
            point.append(level)
        return tuple(reversed(point))

    def of_units(self, units: Sequence[float]) -> Point:
        """The point that numbers in [0, 1) fall into, one for each dimension."""
        return tuple(min(int(unit * levels), levels - 1) for unit, levels in zip(units, self.shape, strict=True))

    def texts(self, point: Point) -> dict[str, str]:
        """The parameters' values at a point, by name."""
        return {d.name: d.levels[level] for d, level in zip(self.dimensions, point, strict=True)}

    def neighbours(self, point: Point, reach: int = 1) -> list[Point]:
        """The points that differ in one parameter: ordered ones by up to `reach` levels, others by any. It is none of them."""
        found = []
        for axis, d in enumerate(self.dimensions):
            here = point[axis]
            levels = range(max(0, here - reach), min(len(d.levels), here + reach + 1)) if d.is_ordered else range(len(d.levels))
            found += [(*point[:axis], level, *point[axis + 1 :]) for level in levels if level != here]
        return found

    def around(self, point: Point, reach: int = 1) -> list[Point]:
        """The box around a point: every ordered parameter up to `reach` levels away, the others as they are; the point itself is in it."""
        ranges = [
            range(max(0, here - reach), min(len(d.levels), here + reach + 1)) if d.is_ordered else (here,)
            for d, here in zip(self.dimensions, point, strict=True)
        ]
        return list(product(*ranges))
