"""Where tests find recorded markets: the folder that LEMON_TRADER_DATA names, by default `shared/data` beside the repository."""

import os
from pathlib import Path

import pytest

VARIABLE = "LEMON_TRADER_DATA"
FOLDER = Path(os.environ.get(VARIABLE) or Path(__file__).parents[2] / "shared" / "data")


def path(name: str) -> Path:
    """The recording `name`, as in "bars/x.parquet"; skips the test when it is not there."""
    found = FOLDER / name
    if not found.is_file():
        pytest.skip(f"no recording {name} in {FOLDER}; set {VARIABLE} to a folder that holds it")
    return found


def names(folder: str) -> list[str]:
    """Names of all recordings in a folder, for parametrised tests; one that says so when the folder is missing, so that its test skips."""
    return sorted(f"{folder}/{p.name}" for p in (FOLDER / folder).glob("*.parquet")) or [f"{folder}/none.parquet"]
