"""The liquidation price is the nearest at which the position does not stand: one tick better it stands, there it does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as draw

from lemon_trader.formulas.margin import liquidation_ticks, margin_atoms

PPM = 10**6


def stands(cost: int, lots: int, worth: int, cash: int, mmf: int, side: int, ticks: int) -> bool:
    notional = lots * worth * ticks
    equity = cash + side * (notional - cost)
    return equity >= margin_atoms(notional, mmf)


@settings(max_examples=200)
@given(
    lots=draw.integers(1, 10**6), average=draw.integers(1, 10**6), worth=draw.sampled_from([1, 10**5, 10**7]),
    cash=draw.integers(0, 10**18), mmf=draw.integers(0, 500_000), side=draw.sampled_from([1, -1]),
)  # fmt: skip
def test_it_is_where_the_position_stops_standing(lots: int, average: int, worth: int, cash: int, mmf: int, side: int):
    cost = lots * average * worth
    at = liquidation_ticks(cost, lots, worth, cash, mmf, side)
    if at:
        assert not stands(cost, lots, worth, cash, mmf, side, at)
    if at + side > 0:
        assert stands(cost, lots, worth, cash, mmf, side, at + side) or (side < 0 and at == 1)


CASES = [
    ("money for the whole position: it never happens", 100 * 1_000, 1_000, 100 * 1_000, 12_500, 1, 0),
    ("a tenth of it: a little above nine tenths of the price", 100 * 1_000, 1_000, 10 * 1_000, 12_500, 1, 91),
    ("a short with as much as it brought: below twice the price", 100 * 1_000, 1_000, 100 * 1_000, 12_500, -1, 198),
]


@pytest.mark.parametrize(("cost", "lots", "cash", "mmf", "side", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_by_hand(cost: int, lots: int, cash: int, mmf: int, side: int, expected: int):
    assert liquidation_ticks(cost, lots, 1, cash, mmf, side) == expected
