"""The quick way through the gate gives what `Decimal` gives, or leaves the text to it."""

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lemon_trader.core.instrument import GateError, instrument
from lemon_trader.core.units import INT64_MAX

STEPS = ("0.000000001", "0.00001", "0.01", "0.05", "0.1", "1", "100")
MARKETS = {step: instrument("X_Y", "X", "Y", is_perp=True, tick=step, lot="1") for step in STEPS}
NUMBERS = st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,10})?", fullmatch=True)


@given(st.sampled_from(STEPS), NUMBERS)
@example("0.00001", "8873751831102.2")
@example("0.000000001", "123456789012345")
@example("0.000000001", "999999999999999")
@example("0.01", "0.01")
@example("0.000000001", "8400000.2")
@settings(max_examples=300)
def test_ticks_are_exact_or_refused(step, text):
    market = MARKETS[step]
    exact = Decimal(text) / Decimal(step)
    if exact != int(exact) or int(exact) * market.tick_lot_atoms > INT64_MAX:
        with pytest.raises(GateError, match=r"is not on|more than"):
            market.price_ticks(text)
    else:
        assert market.price_ticks(text) == int(exact)


def test_a_price_whose_single_lot_is_beyond_64_bits_of_atoms_is_refused_on_either_way():
    market = instrument("X_Y", "X", "Y", is_perp=True, tick="0.01", lot="1")  # 10⁷ atoms a tick and lot
    assert market.price_ticks("9223372036.85") == 922337203685
    with pytest.raises(GateError, match="more than this program counts"):
        market.price_ticks("9223372036.86")
    with pytest.raises(GateError, match="more than this program counts"):
        market.price_ticks("9223372036.860000000000000")
