"""What the panel wants of the world besides the control channel: the command line gives it, and a test gives another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lemon_trader.env import Store


@dataclass(frozen=True, slots=True)
class Said:
    """What one of the program's own commands left behind: its exit code and what it printed."""

    code: int
    text: str


class Launch(Protocol):
    """An engine that was asked to start as a process of its own."""

    def ended(self) -> int | None:
        """Its exit code; None while it lives."""

    def said(self) -> str:
        """The last lines it printed."""


class Desk(Protocol):
    """The world.

    Attributes:
        modes: every mode, live first. asked: the one that the panel was opened with; "" = none.
        environment: of the process.
    """

    modes: Sequence[str]
    asked: str
    environment: Mapping[str, str]

    def store(self, mode: str) -> Store:
        """Where the engine of this mode keeps its records. Raises OSError."""

    async def command(self, name: str, mode: str, words: Sequence[str] = ()) -> Said:
        """Run `lemon-trader NAME` for this mode to its end, and read what it prints."""

    def launch(self, mode: str, words: Sequence[str]) -> Launch:
        """Start `lemon-trader run` in this mode; it lives on when the panel ends. Raises OSError."""

    async def symbols(self, mode: str) -> Sequence[str]:
        """The markets that can be traded in this mode. Raises OSError where nobody answers."""
