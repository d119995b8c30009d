"""What the panel knows at a moment, and the questions its panes ask of it. A picture may come from an engine of another version."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from lemon_trader import __version__
from lemon_trader.config.settings import LIVE
from lemon_trader.messages.catalogue import knows, say
from lemon_trader.panel.lines import number
from lemon_trader.panel.settings import PanelSettings

TRACK_MAX: Final = 2_400  # prices kept for the line: twenty minutes at two a second
LOG_MAX: Final = 400
OPENING: Final = frozenset({"QUOTE", "LAYER", "REBALANCE"})
RESTING: Final = frozenset({"WORKING", "ARMED", "IN_FLIGHT"})
ACTIVE: Final = "ACTIVE"

Picture = Mapping[str, Any]


@dataclass(slots=True)
class Scene:
    """Everything on the screen.

    Attributes:
        mode: whose engine is looked at; "" = none was chosen.
        picture: the last one; None = none was ever seen.
        is_running: the picture is of an engine that answered just now; otherwise it is what was last seen.
        is_silent: an engine is there and does not answer.
        symbol: of the market that the lower panes show.
        track: mid prices by symbol, with the engine's time.
        log: (level, text), the newest last; levels are INFO, WARNING, ERROR, COMMAND and SYSTEM.
        starting: a start was sent and has not been answered.
    """

    settings: PanelSettings
    mode: str = ""
    picture: Picture | None = None
    is_running: bool = False
    is_silent: bool = False
    starting: bool = False
    symbol: str = ""
    track: dict[str, deque[tuple[int, Decimal]]] = field(default_factory=dict)
    log: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=LOG_MAX))

    @property
    def is_live(self) -> bool:
        """Real money is at stake."""
        return self.mode == LIVE

    @property
    def markets(self) -> list[Picture]:
        """The picture's markets."""
        found = self.picture.get("markets") if self.picture is not None else None
        return [m for m in found if isinstance(m, dict) and isinstance(m.get("symbol"), str)] if isinstance(found, list) else []

    @property
    def market(self) -> Picture | None:
        """The market that the lower panes show."""
        markets = self.markets
        return next((m for m in markets if m["symbol"] == self.symbol), markets[0] if markets else None)

    @property
    def stranger(self) -> str:
        """The engine's version, where it is not the panel's; "" = it is."""
        if self.picture is None:
            return ""
        version = str(self.picture.get("version", "?"))
        return "" if version == __version__ else version

    def take(self, picture: Picture, *, running: bool) -> None:
        """Look at this picture from now on."""
        self.picture, self.is_running, self.is_silent = picture, running, False
        if not running:
            return
        at_us = picture.get("as_of_us")
        for market in self.markets:
            middle = mid(market)
            if middle is not None and isinstance(at_us, int):
                line = self.track.setdefault(market["symbol"], deque(maxlen=TRACK_MAX))
                if line and at_us < line[-1][0]:
                    line.clear()  # another engine, with a clock of its own
                if not line or at_us > line[-1][0]:
                    line.append((at_us, middle))

    def next_market(self) -> None:
        """Let the lower panes show the next market."""
        symbols = [m["symbol"] for m in self.markets]
        if symbols:
            at = symbols.index(self.symbol) if self.symbol in symbols else 0
            self.symbol = symbols[(at + 1) % len(symbols)]

    def note(self, level: str, text: str) -> None:
        """One entry of the log."""
        self.log.append((level, text))


def mid(market: Picture) -> Decimal | None:
    """The middle of the touch; None where a side is missing."""
    bid, ask = number(market.get("bid")), number(market.get("ask"))
    return (bid + ask) / 2 if bid and ask and 0 < bid < ask else None


def rows_of(market: Picture | None, name: str) -> list[Picture]:
    """A list of the picture: orders, wants, fills."""
    found = market.get(name) if market is not None else None
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def opening(market: Picture) -> tuple[int, int]:
    """(orders that open and rest, orders that open and are wanted)."""
    rest = sum(o.get("role") in OPENING and o.get("state") in RESTING for o in rows_of(market, "orders"))
    return rest, sum(w.get("role") in OPENING for w in rows_of(market, "wants"))


def latch(picture: Picture) -> str:
    """Why the engine does not trade as usual, in words where there are any for it."""
    reason, detail = (str(picture.get(name) or "") for name in ("reason", "detail"))
    return say(f"latch.{reason}", figures=detail or "-") if knows(f"latch.{reason}") else f"{reason} {detail}".strip() or "-"


def why_not(scene: Scene, market: Picture) -> list[str]:
    """Every reason why this market is not quoted as wanted, the gravest first; empty = it is."""
    picture = scene.picture or {}
    found = []
    state = str(picture.get("state"))
    if state != ACTIVE:
        found.append(say("panel.why.state", state=say(f"state.{state.lower()}"), reason=latch(picture)))
    if market.get("frozen"):
        found.append(say("panel.why.frozen", reason=market["frozen"]))
    if market.get("fresh") is False:
        found.append(say("reason.MISSING_INPUT"))
    if market.get("waiting"):
        found.append(say(str(market["waiting"])))
    figures = {w.get("reason"): w.get("figure") for w in rows_of(market, "wants")}
    withheld = market.get("withheld")
    found += [say(f"reason.{name}", figure=figures.get(name, "-")) for name in (withheld if isinstance(withheld, list) else [])]
    rest, wanted = opening(market)
    if not found and not wanted:
        found.append(say("panel.why.nothing-wanted"))
    elif not found and not rest:
        found.append(say("panel.why.not-yet"))
    return list(dict.fromkeys(found))
