"""One parameter of a strategy, declared once: flags, environment, file, panel, menu, docs and checks are all made from it."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from lemon_trader.core.instrument import Instrument
from lemon_trader.core.records import Position, Row, View

Value = Decimal | int | str | bool | None  # by kind: pct, quote, price, qty are Decimal; int is int; duration is int seconds; choice is str
KINDS: Final = ("pct", "quote", "price", "qty", "number", "int", "duration", "choice", "bool", "text", "list", "levels")


# When a change acts: at the next decision; as each quote is placed again; when the next layer has filled; with the next cycle (an entry
# that has bought nothing is planned anew at once); when the run is started again.
NOW: Final = "now"
QUOTE: Final = "quote"
FILL: Final = "fill"
CYCLE: Final = "cycle"
START: Final = "start"
ACTS: Final = (NOW, QUOTE, FILL, CYCLE, START)


class Parameter(msgspec.Struct, frozen=True):
    """A named setting.

    Attributes:
        name: key in files and in the environment, `take_profit_pct`; percentages are in percent and end in `_pct`.
        flag: on the command line, `--take-profit-pct`.
        kind: one of `KINDS`; durations take `90s 5m 12h`, a bare number is seconds; a list is commas between, or the flag several times;
            levels are `event=on|silent|off` for some of `choices`, or a table in a file. Both are kept as text (`config/values.items`).
        default: as a person would type it; None = derived or off.
        low / high: hard bounds, inclusive, as text; outside is refused.
        sane_low / sane_high: beyond these one is asked, because it is probably off by a hundred.
        choices: of a choice.
        help: message id of the sentence that explains it.
        secret: its value is shown masked wherever it is shown.
        repeats: of a text that may hold several things with commas between: the flag may be given several times instead.
        acts: of a strategy's own, when a change of it acts in a run that goes on, one of `ACTS`.
    """

    name: str
    flag: str
    kind: str
    default: str | None
    help: str
    low: str | None = None
    high: str | None = None
    sane_low: str | None = None
    sane_high: str | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    repeats: bool = False
    acts: str = NOW


class Market(msgspec.Struct, frozen=True):
    """What a strategy may know of its market when its parameters are built: the grid, the account's rates, the price now (0 = unknown)."""

    instrument: Instrument
    maker_fee_ppm: int
    taker_fee_ppm: int
    price_ticks: int


class StrategyRefused(ValueError):
    """Parameters that cannot work together or in this market. The text names the values and the nearest ones that work.

    Attributes:
        key: message id, so that every door says the same in the reader's language.
        values: what the message's placeholders stand for.
    """

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(f"{key}: " + ", ".join(f"{k}={v}" for k, v in values.items()))
        self.key = key
        self.values = values


class FeatureMaker(Protocol):
    """The maker of a market's features."""

    def __call__(self, now_us: int, bid_ticks: int, ask_ticks: int) -> tuple[int, int]:
        """(volatility_ppm, fall_ppm) after this touch; times never go back."""

    @property
    def windows_us(self) -> tuple[int, int]:
        """Over which times they are measured: volatility and fall, µs."""

    def resize(self, volatility_us: int, fall_us: int) -> None:
        """Measure over other times from now on, and go on from what was measured."""

    def rescale(self, tick_factor: int) -> None:
        """A tick has become so many; the features stay what they are."""


class Strategy(Protocol):
    """What one file of this folder offers; `catalog.py` lists them.

    Attributes:
        name: `market-maker`, `martingale`.
        parameters: everything a person may set.
        params_type / memory_type: records of int64 (`core/records.py` shows how they are declared).
        targets: the scalar, compilable decision `(params, view, position, memory, out) -> rows + 1`; row 0 is the header; 0 = halt.
    """

    name: str
    parameters: tuple[Parameter, ...]
    params_type: type
    memory_type: type
    targets: Callable[[Any, View, Position, Any, list[Row]], int]

    def build(self, values: Mapping[str, Value], market: Market) -> Any:
        """The params record. Raises StrategyRefused."""

    def read(self, values: Mapping[str, Value], market: Market) -> Any:
        """The same of values that were checked before, and are judged by no market any more."""

    def features(self, params: Any) -> FeatureMaker:
        """A fresh maker of the view's features; called for every touch."""

    def budget_needed(self, values: Mapping[str, Value], market: Market) -> int:
        """The smallest budget with which every order reaches the market's minimum, quote atoms; 0 = unknown. Raises StrategyRefused."""

    def waiting(self, params: Any, view: View, position: Position, memory: Any) -> str:
        """Message id of what makes it want less than usual at this moment; "" = nothing. Asked by faces, never by a turn."""

    def warnings(self, values: Mapping[str, Value], market: Market) -> list[tuple[str, dict[str, object]]]:
        """Message ids with their values for what works but ought to be said (a spread below the fee break-even ...)."""
