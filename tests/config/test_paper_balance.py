"""What a paper account begins with, as people write it."""

from decimal import Decimal

import pytest

from lemon_trader.config.errors import BadSetting
from lemon_trader.config.paper import paper_balances


@pytest.mark.parametrize(
    ("text", "balances"),
    [
        ("USDC=1000", {"USDC": Decimal(1000)}),
        (" usdc = 1000.5 , SOL=2 ", {"USDC": Decimal("1000.5"), "SOL": Decimal(2)}),
        ("USDC=0.000000001,SOL=0", {"USDC": Decimal("1E-9"), "SOL": Decimal(0)}),
    ],
)
def test_assets_with_their_amounts(text, balances):
    assert paper_balances(text, "--paper-balance") == balances


@pytest.mark.parametrize(
    ("says", "text", "value"),
    [
        ("nothing", "", ""),
        ("no amount", "USDC", "USDC"),
        ("no asset", "=5", "=5"),
        ("an asset twice", "USDC=1,USDC=2", "USDC=2"),
        ("less than nothing", "USDC=-5", "USDC=-5"),
        ("a word", "USDC=much", "USDC=much"),
        ("not finite", "USDC=NaN", "USDC=NaN"),
        ("finer than is counted", "USDC=0.0000000001", "USDC=0.0000000001"),
        ("more than can be counted", "USDC=99999999999999", "USDC=99999999999999"),
        ("nothing above nothing", "USDC=0", "USDC=0"),
        ("another separator", "USDC=1;SOL=2", "USDC=1;SOL=2"),
    ],
)
def test_what_is_no_balance_is_refused_with_its_value_and_an_example(says, text, value):
    with pytest.raises(BadSetting) as refused:
        paper_balances(text, "--paper-balance")
    assert refused.value.key == "setting.paper-balance", says
    assert refused.value.values == {"name": "--paper-balance", "value": value, "example": "USDC=1000,SOL=2"}
