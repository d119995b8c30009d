"""Behind `run.py` and `main.py` of a clone: the program as it lies here, whether it was installed or not.

Written for any Python 3, because its first task is to say which one is needed.
"""

import os
import sys
from pathlib import Path

NEEDED = (3, 11)
ROOT = Path(__file__).resolve().parents[3]


def enter(door: str) -> int:
    """Run the seed's grammar; with the clone's own `.venv` where this Python is too old or lacks the libraries. The exit code."""
    if sys.version_info >= NEEDED:
        try:
            from lemon_trader.cli.seed import main
        except ModuleNotFoundError as missing:
            if (missing.name or "").startswith("lemon_trader"):
                raise
            lack = f"the library {missing.name} is not installed"
        else:
            return main(door, sys.argv[1:])
    else:
        lack = f"this is Python {sys.version_info[0]}.{sys.version_info[1]} and lemon_trader needs {NEEDED[0]}.{NEEDED[1]} or newer"
    own = ROOT / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    if own.exists() and Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        os.execv(str(own), [str(own), str(ROOT / door), *sys.argv[1:]])  # noqa: S606  the same program again, under its own interpreter
    sys.stderr.write(f"{door}: {lack}. Run:  python3 -m pip install -r requirements.txt   (or: make setup)\n")
    sys.stderr.write(f"{door}：尚未就緒。請執行：python3 -m pip install -r requirements.txt（或 make setup）\n")
    return 2
