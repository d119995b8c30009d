"""Composition: the one place that names concrete parts, and what a start, a sandbox and a demonstration do with them."""

from lemon_trader.run.demo import run_demo
from lemon_trader.run.sandbox import run_sandbox
from lemon_trader.run.trading import run_trading

__all__ = ["run_demo", "run_sandbox", "run_trading"]
