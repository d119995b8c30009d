"""What there is to set: every strategy's declarations, from the catalogue of strategies."""

from lemon_trader.strategies.catalog import STRATEGIES
from lemon_trader.strategies.parameter import Parameter


def declarations() -> dict[str, tuple[Parameter, ...]]:
    """Each strategy's parameters by its name; the first strategy is the default one."""
    return {name: strategy.parameters for name, strategy in STRATEGIES.items()}
