"""A flag that holds several things may be given several times: none of them is dropped."""

from lemon_trader.cli.flags import read_flags, trading_groups
from lemon_trader.config.resolve import Request
from lemon_trader.config.sandbox import SANDBOX_PARAMETERS, resolve_sandbox

GROUPS = [("group.sandbox", SANDBOX_PARAMETERS)]


def market_of(words):
    typed = read_flags(words, GROUPS, words=False)
    return resolve_sandbox(Request(flags=typed.flags)).market.source


def test_a_market_given_twice_is_two_recordings():
    assert market_of(["--market", "SOL_USDC=a.csv", "--market", "ETH_USDC=b.csv"]) == "SOL_USDC=a.csv,ETH_USDC=b.csv"
    assert market_of(["--market=SOL_USDC=a.csv,BTC_USDC=c.csv", "--market", "ETH_USDC=b.csv"]).count("=") == 3


def test_a_market_given_once_is_as_it_was_typed():
    assert market_of(["--market", "a,b=c.csv"]) == "a,b=c.csv"
    assert market_of([]) == "synthetic"


def test_a_run_that_trades_takes_it_too():
    typed = read_flags(["--market", "SOL_USDC=a.csv", "--market", "BTC_USDC=b.csv"], trading_groups(), words=False)
    assert typed.flags["market"] == "SOL_USDC=a.csv,BTC_USDC=b.csv"
