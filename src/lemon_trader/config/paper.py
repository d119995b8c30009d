"""What a paper account begins with, from the text that a person gave."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from lemon_trader.config.errors import BadSetting
from lemon_trader.core.instrument import GateError, atoms, decimal

ASSET: Final = re.compile(r"[A-Z0-9]{1,20}", re.ASCII)
EXAMPLE: Final = "USDC=1000,SOL=2"


def paper_balances(text: str, name: str) -> Mapping[str, Decimal]:
    """Units by asset, of a text like `USDC=1000,SOL=2`.

    Args:
        text: what was given.
        name: where, as a refusal names it.

    Raises:
        BadSetting: not of that form, an asset twice, an amount below 0 or finer than is counted, or nothing above 0.
    """
    found: dict[str, Decimal] = {}
    for part in text.split(","):
        asset, equals, amount = (word.strip() for word in part.partition("="))
        asset = asset.upper()
        try:
            value = decimal(amount) if equals and ASSET.fullmatch(asset) and asset not in found else None
            if value is None or value < 0 or Decimal(atoms(amount)).scaleb(-9) != value:
                raise BadSetting("setting.paper-balance", name=name, value=part.strip()[:60], example=EXAMPLE)
        except GateError as error:
            raise BadSetting("setting.paper-balance", name=name, value=part.strip()[:60], example=EXAMPLE) from error
        found[asset] = value
    if not any(found.values()):
        raise BadSetting("setting.paper-balance", name=name, value=text[:60], example=EXAMPLE)
    return found
