"""Settings of `record`: which markets go onto which tape, and where they come from. No keys: everything it reads is public."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.general import HOUSE
from lemon_trader.config.model import read
from lemon_trader.config.resolve import Request, check_symbol
from lemon_trader.config.sources import Layers
from lemon_trader.config.values import items
from lemon_trader.strategies.parameter import Parameter

ENDINGS: Final = (".jsonl", ".jsonl.gz")
ADDRESS: Final = {
    "rest_url": re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,200}", re.ASCII),
    "ws_url": re.compile(r"wss?://[A-Za-z0-9.\-\[\]:]{1,200}/?", re.ASCII),
}
_HOUSE: Final = {p.name: p for p in HOUSE}

RECORD_ONLY: Final = (
    Parameter("symbol", "--symbol", "list", None, "help.record-symbol"),
    Parameter("out", "--out", "text", None, "help.record-out"),
    Parameter("duration", "--duration", "duration", None, "help.record-duration", low="1s"),
    Parameter("rotate_mb", "--rotate-mb", "int", "256", "help.rotate-mb", low="1", high="1000000"),
    Parameter("rest_url", "--rest-url", "text", None, "help.rest-url"),
    Parameter("ws_url", "--ws-url", "text", None, "help.ws-url"),
)
RECORD_PARAMETERS: Final = (*RECORD_ONLY, _HOUSE["ws_proxy"], _HOUSE["lang"], _HOUSE["json"])


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """What to record.

    Attributes:
        symbols: the markets, at least one, each once.
        out: the tape's first part.
        duration_s: the end by itself; None = until stopped.
        part_bytes: a part that has grown so large is followed by the next one.
        rest_url, ws_url: where the exchange is; "" = where it lives.
    """

    symbols: tuple[str, ...]
    out: Path
    duration_s: int | None
    part_bytes: int
    rest_url: str
    ws_url: str
    ws_proxy: str | None
    lang: str
    json: bool


def resolve_record(request: Request) -> RecordSettings:
    """The settings, from flags, environment and defaults.

    Raises:
        BadSetting: no market, no file, a file that is there already, one of another ending, an address that is none.
    """
    given = Layers(request.flags, request.environment, None, request.flag_words).collect(p.name for p in RECORD_PARAMETERS)
    origins = {name: g.origin for name, g in given.items()}
    values = read("record", RECORD_PARAMETERS, {name: g.value for name, g in given.items()}, origins)
    symbols = tuple(dict.fromkeys(check_symbol(s, origins["symbol"]) for s in items(str(values["symbol"] or ""))))
    if not symbols:
        raise BadSetting("record.no-symbol")
    if values["out"] is None:
        raise BadSetting("record.no-out", example=f"{symbols[0].lower()}{ENDINGS[1]}")
    out = Path(str(values["out"]))
    if not out.name.endswith(ENDINGS):
        raise BadSetting("record.ending", file=out, endings=", ".join(ENDINGS))
    if out.exists():
        raise BadSetting("record.exists", file=out)
    if not out.parent.is_dir():
        raise BadSetting("record.no-folder", file=out, folder=out.parent)
    for name, shape in ADDRESS.items():
        if values[name] is not None and not shape.fullmatch(str(values[name])):
            raise BadSetting("record.address", name=origins[name], value=str(values[name])[:80])
    return RecordSettings(
        symbols=symbols,
        out=out,
        duration_s=None if values["duration"] is None else cast("int", values["duration"]),
        part_bytes=cast("int", values["rotate_mb"]) << 20,
        rest_url=str(values["rest_url"] or ""),
        ws_url=str(values["ws_url"] or ""),
        ws_proxy=None if values["ws_proxy"] is None else str(values["ws_proxy"]),
        lang=str(values["lang"] or request.lang),
        json=bool(values["json"]),
    )
