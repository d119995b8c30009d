"""What a stop says of what it leaves behind: a position without a stop is told loudly, and dust is told as dust."""

from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from tests.core.make import account, fill, spot

from lemon_trader.core.units import BUY
from lemon_trader.run.trading import last_words


class Heard:
    """A face that remembers what was said."""

    def __init__(self):
        self.said = {}

    def say(self, key, **values):
        self.said[key] = values


@pytest.mark.parametrize(
    ("lots", "says", "silent"),
    [
        pytest.param(0, "stop.flat", "stop.dust", id="nothing is held"),
        pytest.param(1, "stop.dust", "stop.unwatched", id="less than the smallest order"),
        pytest.param(20, "stop.unwatched", "stop.dust", id="a position that nothing guards"),
    ],
)
def test_what_is_held_when_a_run_ends(lots, says, silent):
    state = account(replace(spot(), min_lots=5))
    if lots:
        state.markets["SOL_USDC"].ledger.book(fill(BUY, 10_000, lots))
    face = Heard()
    last_words(face, SimpleNamespace(state=state, runner=None), clean=True)
    assert says in face.said
    assert silent not in face.said
