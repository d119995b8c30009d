"""Every example runs as its first lines say, and prints what it promises."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lemon_trader.optimize.building import cache_folder

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))
pytestmark = pytest.mark.process


def run(name: str, tmp_path: Path, *, seconds: int = 60, **more: str) -> list[str]:
    """The lines that an example prints; it must end in order and complain of nothing. `more` goes into its environment."""
    path = next(p for p in EXAMPLES if p.name.startswith(name))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LEMON_", "API_", "SECRET_", "BACKPACK_"))}
    clean |= {
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONWARNINGS": "error::RuntimeWarning",
        **more,
    }
    done = subprocess.run(
        [sys.executable, str(path)], check=False, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_the_touch_is_printed(tmp_path):
    lines = run("01", tmp_path)
    assert len(lines) == 6
    for line in lines[1:]:
        bid, ask = re.fullmatch(r"touch: [\d.]+ x ([\d.]+) / ([\d.]+) x [\d.]+", line).groups()
        assert float(bid) < float(ask)


def test_an_order_is_placed_and_cancelled(tmp_path):
    placed, cancelled = run("02", tmp_path)
    assert "PlaceAccepted" in placed
    assert "status='working'" in placed
    assert "outcome='cancelled'" in cancelled


def test_a_market_is_made_and_reported(tmp_path):
    found = dict(line.split() for line in run("03", tmp_path))
    assert int(found["trades"]) > 0
    assert float(found["net"]) == pytest.approx(float(found["gross"]) - float(found["fees"]) + float(found["funding"]))


def test_a_martingale_is_replayed_the_same_each_time(tmp_path):
    lines = run("04", tmp_path)
    roles = [line.split()[2] for line in lines[:-1]]
    assert {"LAYER", "EXIT", "STOP"} == set(roles)
    assert roles.index("EXIT") < roles.index("STOP"), "it dips and recovers, then it falls through"
    assert float(lines[-1].split()[1].rstrip(",")) < 0
    assert lines == run("04", tmp_path)


def test_two_pairs_share_a_budget_and_end_each_at_its_own_time(tmp_path):
    lines = run("05", tmp_path)
    assert lines[:2] == ["market-maker in ETH_USDC_PERP: 1000.00 for 20 s", "martingale in SOL_USDC: 500 for 30 s"]
    assert [line for line in lines if line.startswith("ETH_USDC_PERP: this pair has ended")]
    assert lines[-1].startswith("Stopped")


def test_a_plan_is_json(tmp_path):
    made = json.loads("\n".join(run("06", tmp_path)))
    assert len(made["lines"]) == 4
    assert 0 < made["worst_loss_atoms"] < made["budget_atoms"]
    assert made["spent_atoms"] <= made["budget_atoms"]


def test_a_hook_is_told_start_and_end(tmp_path):
    lines = run("07", tmp_path)
    assert [line.split()[1] for line in lines] == ["start", "stop"]
    assert all("[SANDBOX practice]" in line for line in lines)


def test_a_ladder_is_tested_beside_holding_and_cash(tmp_path):
    lines = run("08", tmp_path)
    (heads,) = {tuple(line.split()) for line in lines if line.split()[-2:] == ["hold", "cash"]}
    assert heads == ("pessimistic", "touch", "hold", "cash")
    rows = {cells[0]: cells[1:] for line in lines if len(cells := re.split(r"\s{2,}", line.strip())) >= 5}
    assert rows["Cycles won"][0] == "88.89"
    net = [float(cell) for cell in rows["Net"][:4]]
    assert net[2] < net[0] < 0 == net[3], "a market that falls: the ladder loses less than who held"
    assert any(line.endswith("stop") for line in lines)
    assert lines[-1] == "exit code 0; the report has 6 charts"


@pytest.mark.slow
def test_a_ladder_is_swept_and_the_best_are_played_again(tmp_path):
    # Compiled kernels are found where the tests of the sweep keep them: a minute of compiling is spent once.
    lines = run("09", tmp_path, seconds=500, LEMON_TRADER_KERNELS=str(cache_folder().parent))
    assert any(re.match(r"25 trials over 1 scenarios in \d+ s", line) for line in lines)
    gains = [float(cells[3]) for line in lines if len(cells := line.split()) > 6 and cells[0] in {"1", "2", "3"}]
    assert gains == sorted(gains, reverse=True)
    assert [line.split()[-1] for line in lines if line.split()[:1] in (["1"], ["2"], ["3"])][-3:] == ["yes"] * 3
    assert lines[-1].startswith("Report: ")


@pytest.mark.slow
def test_a_session_is_decided_again_and_replayed(tmp_path):
    lines = run("10", tmp_path)
    decided = re.match(r"(\d+) decisions with (\d+) orders .*: 0 differ\.", lines[1])
    assert int(decided[1]) > 1
    assert int(decided[2]) > 1
    (fills,) = [line for line in lines if line.startswith("Fills: ")]
    then, now = re.match(r"Fills: (\d+) in the session, (\d+) in the replay", fills).groups()
    assert int(then) > 0
    assert int(now) > 0
    assert lines[-1] == "exit code 0: no decision differs"


def test_every_example_is_run_here_and_listed():
    tested = set(re.findall(r'run\("(\d\d)"', Path(__file__).read_text(encoding="utf-8")))
    assert {p.name[:2] for p in EXAMPLES} == tested
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert not [p.name for p in EXAMPLES if p.name not in listed]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_an_example_is_short_and_says_how_it_is_run(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 90
    assert f"python examples/{path.name}" in text


def test_the_file_of_an_example_is_valid(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lemon_trader.main", "config", "validate", str(ROOT / "examples" / "05_lemon.toml")],
        check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "martingale:SOL_USDC" in done.stdout
