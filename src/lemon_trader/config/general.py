"""The settings that belong to the program and not to one strategy, declared as strategies declare theirs."""

from typing import Final

from lemon_trader.config.alerts import ALERTS
from lemon_trader.config.settings import MODES
from lemon_trader.strategies.parameter import Parameter

LANGUAGES: Final = ("en", "zh-TW")

# One pair's own: on the command line, in the environment, at the top of a file for all pairs, or in a `[[pair]]` of it.
# A strategy that declares one of these names as its own parameter gives it its own default and bounds.
PAIR: Final = (
    Parameter("budget", "--budget", "quote", None, "help.budget", low="1", sane_high="1000000"),
    Parameter("duration", "--duration", "duration", None, "help.duration", low="1s", sane_high="366d"),
    Parameter("inventory", "--inventory", "qty", "0", "help.inventory", low="0"),
)

LIMITS: Final = (
    Parameter("account_budget", "--account-budget", "quote", None, "help.account-budget", low="1", sane_high="1000000"),
    Parameter("max_order_notional", "--max-order-notional", "quote", None, "help.max-order-notional", low="1"),
    Parameter("max_position_notional", "--max-position-notional", "quote", None, "help.max-position-notional", low="1"),
    Parameter("max_open_orders", "--max-open-orders", "int", "40", "help.max-open-orders", low="1", high="120"),
    Parameter(
        "daily_loss_pct", "--daily-loss-pct", "pct", "10", "help.daily-loss-pct", low="0.01", high="100", sane_low="0.5", sane_high="50"
    ),
    Parameter("drawdown_pct", "--drawdown-pct", "pct", "20", "help.drawdown-pct", low="0.01", high="100", sane_low="1", sane_high="60"),
    Parameter("slippage_pct", "--slippage-pct", "pct", "1", "help.slippage-pct", low="0.01", high="20", sane_low="0.05", sane_high="5"),
)

MARKET: Final = (
    Parameter("market", "--market", "text", "synthetic", "help.market", repeats=True),
    Parameter("seed", "--seed", "int", "1", "help.seed", low="0", high="4294967295"),
    Parameter("speed", "--speed", "number", "1", "help.speed", low="0.01", high="100000"),
)

PAPER_BALANCE: Final = Parameter("paper_balance", "--paper-balance", "text", "USDC=1000", "help.paper-balance")

HOUSE: Final = (
    Parameter("lang", "--lang", "choice", None, "help.lang", choices=LANGUAGES),
    Parameter("data_dir", "--data-dir", "text", "data-store", "help.data-dir"),
    Parameter("durability", "--durability", "choice", "normal", "help.durability", choices=("normal", "strict")),
    Parameter("journal_days", "--journal-days", "int", "7", "help.journal-days", low="0", high="36500"),
    Parameter("watchdog", "--watchdog", "bool", "true", "help.watchdog"),
    Parameter("watchdog_after", "--watchdog-after", "duration", "10s", "help.watchdog-after", low="3s", high="5m"),
    Parameter("ws_proxy", "--ws-proxy", "text", None, "help.ws-proxy"),
    Parameter("keep", "--keep", "bool", "false", "help.keep"),
    Parameter("accept_fee_loss", "--accept-fee-loss", "bool", "false", "help.accept-fee-loss"),
    Parameter("unproven", "--unproven", "bool", "false", "help.unproven"),
    Parameter("json", "--json", "bool", "false", "help.json"),
    PAPER_BALANCE,
)

MODE: Final = Parameter("mode", "--mode", "choice", None, "help.mode", choices=MODES)

# What answers a question is given with the command that asks it: it never comes out of a file or an environment.
ANSWERS: Final = (
    Parameter("yes", "--yes", "bool", "false", "help.yes"),
    Parameter("as_written", "--as-written", "bool", "false", "help.as-written"),
)

GENERAL: Final = (*PAIR, *LIMITS, *MARKET, *ALERTS, *HOUSE, MODE)
