"""From where a run's own reads look back."""

from types import SimpleNamespace

from lemon_trader.core.state import AccountState
from lemon_trader.engine.runner import Runner
from lemon_trader.engine.startup import OVERLAP_US

READ_US = 1_790_000_000_000_000
HOURS_US = 12 * 3_600 * 1_000_000


def runner_at(now_us, read_us):
    state = AccountState()
    state.read_us = read_us
    engine = SimpleNamespace(state=state, on_wish=None)
    return Runner(engine, SimpleNamespace(now_us=lambda: now_us), None)


def test_a_machine_that_slept_between_the_starts_read_and_the_run_reads_what_happened_meanwhile():
    assert runner_at(READ_US + HOURS_US, READ_US)._since_us() == READ_US - OVERLAP_US


def test_a_run_that_nothing_was_read_for_looks_back_from_its_start():
    assert runner_at(READ_US, 0)._since_us() == READ_US - OVERLAP_US
