"""Which exchange a face looks at that does not trade by itself: menu, doctor, init. The same rules of modes and keys as a run's."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.keys import keys_for_live
from lemon_trader.config.resolve import Declarations, Preview, Request, choose_mode, market_settings, preview
from lemon_trader.config.settings import LIVE, SANDBOX, Keys, MarketSettings
from lemon_trader.config.sources import Layers, read_file
from lemon_trader.strategies.parameter import Parameter

SANDBOX_URL: Final = Parameter("sandbox_url", "--sandbox-url", "text", None, "help.sandbox-url")
LOOPBACK: Final = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\]):\d{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReachSettings:
    """Where to look, and how to speak of it.

    Attributes:
        mode: LIVE, PAPER or SANDBOX.
        mode_reason: message id of why; "" when it was asked for by name.
        keys: the account's, in LIVE only; None where they are missing or were refused.
        keys_refused: why there are none in LIVE.
        sandbox_url: of a sandbox that runs elsewhere; "" = one is embedded where it is needed.
        market: of an embedded sandbox; its seed also makes the demo keys of one that runs elsewhere.
    """

    mode: str
    mode_reason: str
    keys: Keys | None
    keys_refused: BadSetting | None
    sandbox_url: str
    market: MarketSettings
    data_dir: Path
    lang: str
    json: bool
    ws_proxy: str | None

    @property
    def store_dir(self) -> Path:
        """The folder of this mode alone."""
        return self.data_dir / self.mode


def resolve_reach(request: Request, declarations: Declarations) -> tuple[ReachSettings, Preview]:
    """The exchange to look at, and what the same flags, environment and file would trade. Keys that are refused are told, not raised.

    Raises:
        BadSetting: as a run's settings would be refused; an address that is not a sandbox's on this machine.
    """
    found = preview(request, declarations)
    url = _sandbox_url(request)
    if url and not request.flags.get(SANDBOX):
        if any(request.flags.get(mode) for mode in ("live", "paper")):
            raise BadSetting("reach.url-is-sandbox", value=url)
        mode, reason = SANDBOX, ""
    else:
        file = read_file(request.file) if request.file is not None else None
        mode, reason = choose_mode(request, Layers(request.flags, request.environment, file, request.flag_words))
    keys: Keys | None = None
    refused: BadSetting | None = None
    if mode == LIVE:
        try:
            keys = keys_for_live(request.flags, request.environment, request.dotenv)
        except BadSetting as error:
            refused = error
    house = found.house
    settings = ReachSettings(
        mode=mode,
        mode_reason=reason,
        keys=keys,
        keys_refused=refused,
        sandbox_url=url,
        market=market_settings(house),
        data_dir=Path(str(house["data_dir"])),
        lang=str(house["lang"] or request.lang),
        json=bool(house["json"]),
        ws_proxy=None if house["ws_proxy"] is None else str(house["ws_proxy"]),
    )
    return settings, found


def _sandbox_url(request: Request) -> str:
    """The address of a running sandbox without its last slash. A sandbox listens on loopback alone, so nothing else is one."""
    given = str(request.flags.get(SANDBOX_URL.name) or "").strip().rstrip("/")
    if not given:
        return ""
    if not LOOPBACK.fullmatch(given) or not 0 < int(urlsplit(given).netloc.rpartition(":")[2]) < 65_536:
        raise BadSetting("reach.not-a-sandbox", value=given[:80])
    return given
