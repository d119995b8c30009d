"""What a live run loads: no arrays, no compiler, no tables. They cost tens of megabytes and tenths of a second before a position is watched."""

import subprocess
import sys
from pathlib import Path

HEAVY = ("numpy", "numba", "pyarrow", "textual", "optuna", "pandas")
SOURCES = Path(__file__).parents[2] / "src"


def test_a_live_run_loads_no_arrays():
    program = (
        "import sys, resource\n"
        "import lemon_trader.run.trading, lemon_trader.cli.trade, lemon_trader.cli.app, lemon_trader.main\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=SOURCES, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("[] "), done.stdout
