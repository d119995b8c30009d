"""A checkpoint holds everything that the next life needs; folding it is as good as folding the journal from its beginning."""

import msgspec
from tests.core.make import T0, account, fill
from tests.core.test_unknown_outcome import attempt

from lemon_trader.core.events import Anchor, Latched, PlaceAccepted, Started, UserCommand
from lemon_trader.core.state import AccountState
from lemon_trader.core.step import step
from lemon_trader.core.units import BUY, HALTED, REDUCING


def through_bytes(state):
    fresh = AccountState()
    fresh.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(state.image())))
    return fresh


def test_an_image_through_bytes_is_the_same_state():
    state = account()
    step(state, Started(T0, "martingale", "SOL_USDC", 400, 0, 0, {"layers": "6"}, "sandbox"))
    step(state, attempt(1))
    step(state, PlaceAccepted(T0, T0, "SOL_USDC", 1, "77", "working", 0))
    step(state, fill(BUY, 9_900, 4, order="77", client=1))
    step(state, Anchor(T0, "day", 5, 20_000))
    again = through_bytes(state)
    assert again.image() == state.image()
    assert again.started["SOL_USDC"].params == {"layers": "6"}
    order = again.markets["SOL_USDC"].orders.find(1, "77")
    assert (order.filled_lots, order.open_lots) == (4, 6)
    step(again, fill(BUY, 9_900, 4, order="77", client=1))
    assert again.markets["SOL_USDC"].ledger.lots == 4, "the fill is known across the checkpoint"


def test_a_latch_outlives_a_restart_and_a_plain_stop_is_released_by_a_start():
    state = account()
    step(state, Latched(T0, HALTED, "DAILY_LOSS", "7 >= 5"))
    halted = through_bytes(state)
    step(halted, Started(T0, "market-maker", "SOL_USDC", 400, 0, 0, {}, "sandbox"))
    assert (halted.mode, halted.mode_reason) == (HALTED, "DAILY_LOSS")
    step(halted, UserCommand(T0, "resume", "", "test"))
    assert halted.mode == 0
    step(halted, UserCommand(T0, "stop", "", "test"))
    stopped = through_bytes(halted)
    assert stopped.mode == REDUCING
    step(stopped, Started(T0, "market-maker", "SOL_USDC", 400, 0, 0, {}, "sandbox"))
    assert stopped.mode == 0
