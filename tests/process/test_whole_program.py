"""The program as a user starts it: the seed's own command lines, the demonstration, a stop in the middle. Real processes, real sockets."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.process


def environment(home: Path) -> dict[str, str]:
    """No keys, no settings of the machine's user."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LEMON_", "API_", "SECRET_", "BACKPACK_"))}
    return {**clean, "HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT / "src")}


def run(tmp_path: Path, *words: str, seconds: float = 90) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *words], check=False, cwd=ROOT, env=environment(tmp_path), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


SEED_LINES = [
    ["run.py", "--symbol", "SOL_USDC", "--spread", "0.2", "--max-orders", "5"],
    ["run.py", "--symbol", "SOL_USDC", "--spread", "0.1", "--interval", "120"],
    ["run.py", "--symbol", "SOL_USDC", "--spread", "0.3", "--quantity", "0.5", "--max-orders", "3", "--interval", "60"],
    ["main.py", "--symbol", "SOL_USDC", "--spread", "0.5", "--max-orders", "3", "--interval", "60"],
    ["run.py", "--strategy", "martingale", "--symbol", "SOL_USDC_PERP"],
]


@pytest.mark.parametrize("line", SEED_LINES, ids=[" ".join(line) for line in SEED_LINES])
def test_the_seeds_own_command_lines_trade_and_end_with_equal_books(tmp_path, line):
    place = tmp_path / "data"
    code, out = run(tmp_path, *line, "--duration", "5", "--json", "--data-dir", str(place))
    said = json.loads(out.strip().splitlines()[-1])
    assert code == 0, out
    assert said["equal"] is True
    assert said["clean"] is True
    assert said["status"]["sent"] > 0, "it quoted"
    assert "SANDBOX" in out.splitlines()[0]


def test_a_stop_in_the_middle_cancels_what_opens_and_the_books_are_equal(tmp_path):
    line = [sys.executable, "run.py", "--symbol", "SOL_USDC", "--spread", "0.05", "--json", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(line, cwd=ROOT, env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as bot:
        deadline = time.monotonic() + 60
        while not (tmp_path / "data" / "sandbox" / "control.json").exists():
            assert time.monotonic() < deadline, "it did not start"
            time.sleep(0.1)
        time.sleep(3)
        bot.send_signal(signal.SIGINT)
        out, _ = bot.communicate(timeout=40)
    said = json.loads(out.strip().splitlines()[-1])
    assert bot.returncode == 0, out
    assert said["equal"] is True
    assert not [o for m in said["status"]["markets"] for o in m["orders"] if o["role"] in {"QUOTE", "LAYER", "REBALANCE"}]


def test_the_demonstration_shows_what_it_promises(tmp_path):
    code, out = run(tmp_path, "-m", "lemon_trader.main", "demo", "--json", "--lang", "en")
    said = json.loads(out.strip().splitlines()[-1])
    assert code == 0, out
    assert said["equal"] is True
    assert said["faults"] == []
    seen = said["seen"]
    assert min(seen["quotes_filled"], seen["layers_filled"], seen["cycles_closed"], seen["stops"], seen["reconnects"]) >= 1


REFUSED = [
    ("an unknown symbol", ["--symbol", "SLO_USDC", "--spread", "0.2"], "SLO_USDC"),
    ("a negative spread", ["--symbol", "SOL_USDC", "--spread", "-0.2"], "-0.2"),
    ("a spread off by a hundred", ["--symbol", "SOL_USDC", "--spread", "30"], "30"),
    ("a quantity off the grid", ["--symbol", "SOL_USDC", "--spread", "0.2", "--quantity", "0.503"], "0.503"),
    ("a stop as a negative fraction", ["--symbol", "SOL_USDC", "--strategy", "martingale", "--stop-loss-pct", "-0.33"], "33"),
    ("a budget under the smallest ladder", ["--symbol", "SOL_USDC", "--strategy", "martingale", "--budget", "5"], "5"),
    ("a recording that is not there", ["--symbol", "SOL_USDC", "--spread", "0.2", "--market", "nowhere.parquet"], "nowhere.parquet"),
]


@pytest.mark.parametrize(("says", "flags", "value"), REFUSED, ids=[r[0] for r in REFUSED])
def test_bad_input_is_one_clear_message_and_exit_code_2(tmp_path, says, flags, value):
    code, out = run(tmp_path, "run.py", *flags, "--sandbox", "--data-dir", str(tmp_path / "data"))
    assert code == 2, f"{says}: {out}"
    assert "Traceback" not in out
    assert value in out, f"the message names the value: {out}"
