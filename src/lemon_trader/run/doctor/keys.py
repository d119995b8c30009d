"""Whether the exchange knows a pair of keys: one signed read, asked before the keys are written anywhere."""

from pathlib import Path

from lemon_trader.config.reach import ReachSettings
from lemon_trader.config.settings import LIVE, Keys, MarketSettings
from lemon_trader.core.events import AccountTerms
from lemon_trader.run.reach import open_reach
from lemon_trader.run.side_loop import SideLoop


def ask_terms(keys: Keys, *, rest_url: str = "") -> AccountTerms:
    """The account's rates as the exchange tells the owner of these keys. `rest_url`: instead of the real exchange's, for tests.

    Raises:
        ReadLost: the exchange refused the keys, or could not be asked.
        SecretError: the keys cannot sign.
    """
    settings = ReachSettings(
        mode=LIVE, mode_reason="", keys=keys, keys_refused=None, sandbox_url="", market=MarketSettings(), data_dir=Path(), lang="en",
        json=False, ws_proxy=None,
    )  # fmt: skip
    loop = SideLoop()
    try:
        reach = loop.do(open_reach(settings, rest_url=rest_url))
        try:
            loop.do(reach.fresh_clock())
            return loop.do(reach.client.terms())
        finally:
            loop.do(reach.close())
    finally:
        loop.close()
