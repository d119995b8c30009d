"""Settings of `report parity`: whose journal, which tape of the same hours, and by which limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, cast

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE, LIMITS
from lemon_trader.config.model import read
from lemon_trader.config.resolve import Request
from lemon_trader.config.settings import MODES, LimitSettings
from lemon_trader.config.sources import Layers
from lemon_trader.strategies.parameter import Parameter

PARITY_ONLY: Final = (
    Parameter("tape", "--tape", "text", None, "help.parity-tape"),
    Parameter("match_within", "--match-within", "duration", "5s", "help.match-within", low="1s", high="1h"),
)
LIMIT_PARAMETERS: Final = tuple(p for p in LIMITS if p.name != "account_budget")
_HOUSE: Final = tuple(p for p in HOUSE if p.name in {"data_dir", "lang", "json"})
PARITY_PARAMETERS: Final = (*PARITY_ONLY, *LIMIT_PARAMETERS, *_HOUSE)


@dataclass(frozen=True, slots=True)
class ParitySettings:
    """What to compare.

    Attributes:
        modes: whose journals.
        data_dir: where they stand, a folder for each mode.
        tape: a recording of the same hours; None = decisions only.
        window_us: so far apart in time two fills may be and still be one.
        limits: that the session ran with; they stand in no journal.
    """

    modes: Sequence[str]
    data_dir: Path
    tape: Path | None
    window_us: int
    limits: LimitSettings
    json: bool


def resolve_parity(request: Request) -> ParitySettings:
    """The settings, from flags, environment and defaults. Raises BadSetting."""
    given = Layers(request.flags, request.environment, None, request.flag_words).collect(p.name for p in PARITY_PARAMETERS)
    values = read("parity", PARITY_PARAMETERS, {k: g.value for k, g in given.items()}, {k: g.origin for k, g in given.items()})
    modes = [mode for mode in MODES if request.flags.get(mode)]
    if len(modes) > 1:
        raise BadSetting("mode.many", modes=", ".join(f"--{mode}" for mode in modes))
    tape = None if values["tape"] is None else Path(str(values["tape"]))
    if tape is not None and not tape.is_file():
        raise BadSetting("parity.no-tape", file=tape)
    if tape is not None and not modes:
        raise BadSetting("parity.tape-of-which", modes=", ".join(f"--{mode}" for mode in MODES))
    return ParitySettings(
        modes=modes or MODES,
        data_dir=Path(str(values["data_dir"])),
        tape=tape,
        window_us=cast("int", values["match_within"]) * 1_000_000,
        limits=LimitSettings(
            order_notional=cast("Decimal | None", values["max_order_notional"]),
            position_notional=cast("Decimal | None", values["max_position_notional"]),
            open_orders=cast("int", values["max_open_orders"]),
            daily_loss_pct=cast("Decimal", values["daily_loss_pct"]),
            drawdown_pct=cast("Decimal", values["drawdown_pct"]),
            slippage_pct=cast("Decimal", values["slippage_pct"]),
        ),
        json=bool(values["json"]),
    )
