"""What the doctor says: one line for each thing looked at, with a grade, and a way out where there is one."""

from collections.abc import Mapping
from typing import Final

import msgspec

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"


class Line(msgspec.Struct, frozen=True):
    """One finding.

    Attributes:
        name: of what was looked at; stable, for programs.
        grade: OK, WARN (works, and ought to be known) or FAIL (trading would not work, or not safely).
        key, values: message id of the finding, and what its placeholders stand for.
        fix: message id of the way out, with the same values; "" = none needed.
    """

    name: str
    grade: str
    key: str
    values: Mapping[str, object]
    fix: str = ""


class Lines:
    """The findings of one visit, in their order."""

    def __init__(self) -> None:
        """None yet."""
        self.found: list[Line] = []

    def ok(self, name: str, key: str, **values: object) -> None:
        """As it should be."""
        self.found.append(Line(name, OK, key, values))

    def warn(self, name: str, key: str, fix: str = "", **values: object) -> None:
        """Works, and ought to be known."""
        self.found.append(Line(name, WARN, key, values, fix))

    def fail(self, name: str, key: str, fix: str, **values: object) -> None:
        """Would not work, or not safely."""
        self.found.append(Line(name, FAIL, key, values, fix))

    @property
    def has_failed(self) -> bool:
        """At least one finding is a failure."""
        return any(line.grade == FAIL for line in self.found)
