"""Run a door in this process and read what it printed; or as a process of its own, in a folder of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("LEMON_TRADER_", "API_KEY", "SECRET_KEY", "BACKPACK_", "LC_", "LANG"))}


@dataclass(frozen=True)
class Printed:
    """What a door left behind."""

    code: int
    out: str
    err: str


def run(capsys, door, arguments):
    """Call `door(arguments)` and read what it printed."""
    code = door(arguments)
    captured = capsys.readouterr()
    return Printed(code, captured.out, captured.err)


def process(script, arguments, folder, environment=None, python=sys.executable):
    """`python script arguments` in `folder`, with nothing of ours in the environment but what is given."""
    done = subprocess.run(
        [python, str(ROOT / script), *arguments],
        cwd=folder, env=CLEAN | {"LANG": "en_US.UTF-8"} | (environment or {}), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Printed(done.returncode, done.stdout, done.stderr)
