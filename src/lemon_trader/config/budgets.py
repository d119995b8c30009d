"""One budget for the account, shared out among its pairs."""

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Final

from lemon_trader.config.errors import BadSetting

CENT: Final = Decimal("0.01")
LEAST: Final = Decimal(1)  # as `--budget` has it


def share_budget(account: Decimal, pairs: Mapping[str, Decimal | None]) -> dict[str, Decimal]:
    """Each pair's budget: its own, and for those without one equal shares, down to the cent, of what the others leave.

    Args:
        account: quote units for all pairs together.
        pairs: own budgets by `STRATEGY:SYMBOL`; None = it has none.

    Raises:
        BadSetting: the own ones exceed the account's, or leave too little.
    """
    own = sum((budget for budget in pairs.values() if budget is not None), Decimal(0))
    if own > account:
        said = " + ".join(f"{budget} ({name})" for name, budget in pairs.items() if budget is not None)
        raise BadSetting("budget.over-account", wanted=own, said=said, account=account)
    open_pairs = [name for name, budget in pairs.items() if budget is None]
    share = ((account - own) / len(open_pairs)).quantize(CENT, ROUND_DOWN) if open_pairs else Decimal(0)
    if open_pairs and share < LEAST:
        raise BadSetting("budget.nothing-left", account=account, taken=own, pairs=", ".join(open_pairs), least=LEAST)
    return {name: share if budget is None else budget for name, budget in pairs.items()}
