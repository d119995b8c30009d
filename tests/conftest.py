"""What every test may rely on."""

import pytest


@pytest.fixture(autouse=True)
def pipes_are_as_wide_as_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner of tests may set COLUMNS, and texts would break where the runner's screen ends."""
    monkeypatch.delenv("COLUMNS", raising=False)
