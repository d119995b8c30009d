"""What every test may rely on."""

import os

import pytest
from hypothesis import HealthCheck, settings

# A check draws the same cases every time, and no case is judged by a busy machine's clock: what it says is about the change, not about luck.
# `LEMON_TRADER_NEW_CASES=1` looks for cases that nobody has seen yet.
settings.register_profile(
    "check", derandomize=not os.environ.get("LEMON_TRADER_NEW_CASES"), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("check")


@pytest.fixture(autouse=True)
def pipes_are_as_wide_as_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner of tests may set COLUMNS, and texts would break where the runner's screen ends."""
    monkeypatch.delenv("COLUMNS", raising=False)
