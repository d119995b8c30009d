"""What a command of the user's changes, whatever state it meets."""

import pytest
from tests.core.make import T0, account

from lemon_trader.core.events import UserCommand
from lemon_trader.core.state import AccountState
from lemon_trader.core.step import step
from lemon_trader.core.units import ACTIVE, HALTED, REDUCING


def after(*actions: str) -> AccountState:
    state = account()
    for action in actions:
        step(state, UserCommand(T0, action, "", "test"))
    return state


CANCELS = [
    ("a cancel takes the take profit with it", ("cancel",), (REDUCING, "cancel", True, False)),
    ("after an ordered stop as well, where the take profit rests alone", ("stop", "cancel"), (REDUCING, "stop", True, False)),
    ("a cancel lifts no latch", ("kill", "cancel"), (HALTED, "kill", True, False)),
    ("a cancel ends a flatten that is under way and keeps its latch", ("flatten", "cancel"), (HALTED, "flatten", True, False)),
    ("a kill sells nothing, not even the rest of a flatten", ("flatten", "kill"), (HALTED, "kill", True, False)),
    ("a flatten goes on from a kill", ("kill", "flatten"), (HALTED, "flatten", True, True)),
    ("a resume lifts everything", ("flatten", "resume"), (ACTIVE, "", False, False)),
]


@pytest.mark.parametrize(("actions", "expected"), [c[1:] for c in CANCELS], ids=[c[0] for c in CANCELS])
def test_commands_one_after_another(actions: tuple[str, ...], expected: tuple[int, str, bool, bool]):
    state = after(*actions)
    assert (state.mode, state.mode_reason, state.exit_masked, state.flatten) == expected
