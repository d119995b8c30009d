"""A live run as `lemon-trader run --live --yes` starts it, but at a sandbox's address: what the tests of real processes start.

Standard input: one JSON line with addresses, keys, pairs and what else differs. The exchange's own address is a constant of the program, and no
flag can change it; this door exists so that no flag has to.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path

from lemon_trader.cli.console import Console
from lemon_trader.config.settings import LIVE, Keys, LimitSettings, PairSettings, RunSettings, Secret
from lemon_trader.messages.catalogue import speak
from lemon_trader.run.parts import default_values
from lemon_trader.run.trading import run_trading


def main() -> int:
    said = json.loads(sys.stdin.readline())
    speak("en")
    pairs = tuple(
        PairSettings(strategy, symbol, default_values(strategy, **{k: _value(v) for k, v in values.items()}), budget=Decimal(400))
        for strategy, symbol, values in said["pairs"]
    )
    settings = RunSettings(
        LIVE, pairs, keys=Keys(said["api_key"], Secret(said["secret"]), "test"), data_dir=Path(said["data_dir"]), yes=True, keep=True,
        unproven=True, accept_fee_loss=True, limits=LimitSettings(daily_loss_pct=Decimal(90), drawdown_pct=Decimal(90)),
        watchdog=said.get("watchdog", True), watchdog_after_s=said.get("after_s", 3),
    )  # fmt: skip
    console = Console(yes=True, as_json=True)
    code = run_trading(settings, console, rest_url=said["rest_url"], ws_url=said["ws_url"])
    console.finish()
    return code


def _value(value):
    return Decimal(value) if isinstance(value, str) and value[:1].isdigit() else value


if __name__ == "__main__":
    sys.exit(main())
