"""Declarations of two made-up strategies: the rules of configuration do not depend on what the real ones declare."""

from lemon_trader.strategies.parameter import Parameter

QUOTER = (
    Parameter("spread", "--spread", "pct", "0.4", "help.spread", low="0.0001", high="50", sane_low="0.01", sane_high="10"),
    Parameter("quantity", "--quantity", "qty", None, "help.quantity"),
    Parameter("max_orders", "--max-orders", "int", "3", "help.max-orders", low="1", high="16"),
    Parameter("duration", "--duration", "duration", "1h", "help.duration", low="1s"),
    Parameter("style", "--style", "choice", "calm", "help.rebalance", choices=("calm", "bold")),
)
LADDER = (
    Parameter("stop_loss_pct", "--stop-loss-pct", "pct", "8", "help.slippage-pct", low="0.1", high="99", sane_low="2", sane_high="60"),
    Parameter("layers", "--layers", "int", "6", "help.max-orders", low="1", high="32"),
    Parameter("watch", "--watch", "bool", "true", "help.keep"),
)
STRATEGIES = {"quoter": QUOTER, "ladder": LADDER}
BY_NAME = {p.name: p for parameters in STRATEGIES.values() for p in parameters}
