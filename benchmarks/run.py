"""Every figure of `docs/performance.md` with what stands beside it, in one run: a table on standard output, `--json FILE` for programs.

    make bench                        everything, about ten minutes
    make bench ARGS="--only rig"      one part: rig, inside, replay, backtest, peers, sandbox, stylised, memory, strangers

Absolute figures are those of this machine at this moment; the ratios are what counts. Where the system lets us, the measuring processes run
before all others (SCHED_FIFO), because a neighbour's time slice is a thousand times longer than what is measured here.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nacl import bindings

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = HERE / ".venv-peers"
PARTS = ("rig", "inside", "replay", "backtest", "peers", "sandbox", "stylised", "memory", "strangers")
FRAMES = 8  # of a cycle on the rig, half a millisecond each
SIX_FRAMES = 32  # six cancels must have ended before the next six orders may leave
SANDBOX_HOURS = 6  # of its memory; `python benchmarks/sandbox_life.py` lives a whole day
SIGNATURE_US = 15.6  # on the machine and day that the goals in µs were set
ROUNDS = 3  # of the rig, all stacks in each, so that a slow minute meets everybody


@dataclass
class Row:
    """One line: what, the figure, beside what it stands and how that compares with the goal. `goal` "" = there is none."""

    part: str
    name: str
    p50: float
    p99: float | None
    unit: str
    ratio: str = ""
    goal: str = ""
    verdict: str = ""


def child_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}


def peers_python() -> str:
    """The interpreter of the peers' environment, made when it is missing or its lock changed."""
    lock = HERE / "requirements-peers.txt"
    stamp = PEERS / ".lock"
    python = PEERS / "bin" / "python"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        print("preparing the environment of the peers …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEERS)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)], check=True)
        stamp.write_bytes(lock.read_bytes())
    return str(python)


# ---- the rig ----


def ride(command: Callable[[str, str], list[str]], cycles: int, frames: int) -> list[list[float]]:
    """Let one stack trade on the rig; for each cycle of `frames` frames: first and last place, how many, first and last cancel; µs."""
    with tempfile.TemporaryDirectory(prefix="lemon-rig-") as folder:
        server = subprocess.Popen(
            [sys.executable, str(HERE / "rig" / "server.py"), "--cycles", str(cycles), "--frames", str(frames)],
            stdout=subprocess.PIPE,
            env=child_environment(),
            text=True,
        )
        client = None
        try:
            assert server.stdout is not None
            ready = server.stdout.readline().strip()
            client = subprocess.Popen(command(ready, folder), env=child_environment())
            answer: dict[str, Any] = json.loads(server.stdout.readline())
        finally:
            for process in (client, server):
                if process is not None:
                    process.kill()
                    process.wait()
    if len(answer["rows"]) < cycles // 2:
        raise SystemExit(f"the rig saw only {len(answer['rows'])} of {cycles} cycles with an order: {command('READY', folder)}")
    if answer["refused"] or answer["empty"] > cycles // 10:
        raise SystemExit(
            f"the rig saw {answer['empty']} cycles without an order and {answer['refused']} refusals: {command('READY', folder)}"
        )
    return [[first / 1_000, last / 1_000, count, cancel / 1_000, end / 1_000] for first, last, count, cancel, end in answer["rows"]]


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def rig(cycles: int) -> list[Row]:
    ours = str(HERE / "rig" / "engine.py")
    peers = peers_python()
    stacks: dict[str, Callable[[str, str], list[str]]] = {
        "bare": lambda ready, _: [sys.executable, str(HERE / "rig" / "bare.py"), ready],
        "engine": lambda ready, folder: [sys.executable, ours, ready, folder, "1", "normal"],
        "one": lambda ready, folder: [sys.executable, ours, ready, folder, "1", "normal"],  # at the pace of six: beside what six stand
        "six": lambda ready, folder: [sys.executable, ours, ready, folder, "6", "normal"],
        "strict": lambda ready, folder: [sys.executable, ours, ready, folder, "1", "strict"],
        "ccxt": lambda ready, _: [peers, str(HERE / "rig" / "ccxt_pro.py"), ready],
    }
    seen: dict[str, list[list[float]]] = {name: [] for name in stacks}
    for _ in range(ROUNDS):
        for name, command in stacks.items():
            seen[name] += ride(command, cycles // ROUNDS, SIX_FRAMES if name in {"one", "six"} else FRAMES)
    of = {name: ([r[0] for r in rows], [r[1] for r in rows], [r[3] for r in rows if r[3]]) for name, rows in seen.items()}
    p50 = {name: quantile(first, 0.5) for name, (first, _, _) in of.items()}
    p99 = {name: quantile(first, 0.99) for name, (first, _, _) in of.items()}
    last = quantile(of["six"][1], 0.5)
    beside = p50["engine"] / p50["bare"]
    tail = p99["engine"] / p99["bare"]
    return [
        Row("rig", "bare path: read, sign, write", p50["bare"], p99["bare"], "µs"),
        Row("rig", "whole engine, tick to order", p50["engine"], p99["engine"], "µs", f"{beside:.2f}× bare, p99 {tail:.2f}×",
            "≤ 1.5× bare, p99 ≤ 2×", mark(beside <= 1.5 and tail <= 2)),
        Row("rig", "whole engine, tick to cancel", quantile(of["engine"][2], 0.5), quantile(of["engine"][2], 0.99), "µs",
            f"{quantile(of['engine'][2], 0.5) / quantile(of['bare'][2], 0.5):.2f}× bare"),
        Row("rig", "ccxt.pro book → ccxt order", p50["ccxt"], p99["ccxt"], "µs", f"{p50['ccxt'] / p50['engine']:.1f}× ours",
            "≥ 5× ours", mark(p50["ccxt"] >= 5 * p50["engine"])),
        Row("rig", "durability = strict", p50["strict"], p99["strict"], "µs", f"{p50['strict'] / p50['engine']:.2f}× normal",
            "p50 ≤ 350 µs", mark(p50["strict"] <= 350)),
        Row("rig", "one order, a quarter as often", p50["one"], p99["one"], "µs", f"{p50['one'] / p50['engine']:.2f}× the same often"),
        Row("rig", "six orders in one turn, as seldom: the first", p50["six"], p99["six"], "µs",
            f"{p50['six'] / p50['one']:.2f}× a single one", "≤ 1.2×", mark(p50["six"] <= 1.2 * p50["one"])),
        Row("rig", "six orders in one turn: the last", last, quantile(of["six"][1], 0.99), "µs", "", "≤ 250 µs", mark(last <= 250)),
    ]  # fmt: skip


def mark(is_met: bool) -> str:
    return "met" if is_met else "missed"


# ---- the other parts: each a program of its own that prints one JSON object ----


def part(script: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(HERE / script), "--json", *arguments], env=child_environment(), stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


INSIDE_GOALS = {"turn, strategy asked, nothing to send": 8.0, "turn with one place, to its first byte": 30.0}


def inside(_: int) -> list[Row]:
    rows = []
    for name, us in part("inside.py").items():
        goal = INSIDE_GOALS.get(name)
        rows.append(Row("inside", name, us, None, "µs", "", f"≤ {goal:.0f} µs" if goal else "", mark(us <= goal) if goal else ""))
    return rows


def replay(_: int) -> list[Row]:
    found = part("replay.py")
    market = found["market"]
    return [
        Row("replay", f"{market}: facts through the engine, exchange left out", found["engine_facts"], None, "/s",
            f"{found['engine_facts'] / 282_000:.2f}× NautilusTrader (282,000)", "≥ 200,000 /s", mark(found["engine_facts"] >= 200_000)),
        Row("replay", f"{market}: acts, exchange included", found["acts"], None, "/s", f"{found['orders']} commands"),
        Row("replay", f"{market}: turns, exchange included", found["turns"], None, "/s"),
    ]  # fmt: skip


def backtests(_: int) -> list[Row]:
    """In a second of the processor, so that a busy machine shows less."""
    found = part("backtest.py")
    points = found["bar_points"]
    return [
        Row("backtest", "bars through the engine: their points", points, None, "/s", f"{points / 96_000:.2f}× NautilusTrader (96,000 bars)",
            "≥ 250,000 /s", mark(points >= 250_000)),
        Row("backtest", "trades through engine, exchange and latency: acts", found["trades_events"], None, "/s"),
        Row("backtest", "a recorded book through engine, exchange and latency: changes", found["book_events"], None, "/s",
            f"{found['book_events'] / 282_000:.2f}× NautilusTrader (282,000)", "≥ 200,000 /s", mark(found["book_events"] >= 200_000)),
    ]  # fmt: skip


LADDERS = {"vectorbt": "vectorbt_orders.py", "NautilusTrader": "nautilus.py", "backtesting.py": "backtesting_py.py"}


def peer(python: str, script: str, folder: str) -> dict[str, Any] | str:
    """What a program of `benchmarks/peers` printed, or why it printed nothing."""
    done = subprocess.run(
        [python, str(HERE / "peers" / script), folder], env=child_environment(), capture_output=True, check=False, text=True
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def told(name: str, found: dict[str, Any] | str, beside: str = "", goal: str = "", verdict: str = "") -> Row:
    """The row of one program that played the common ladder; one without an answer says why."""
    if isinstance(found, str):
        return Row("peers", name, 0, None, "", f"left out: {found}", "", "skipped")
    more = f"first call {found['first']:,.0f} /s, peak {found['peak'] / 2**20:.0f} MiB, {found['fills']:,} fills, net {found['net']:.2f}"
    return Row("peers", name, found["later"], None, "/s", f"{beside}; {more}" if beside else more, goal, verdict)


def beside(name: str, what: str, own: dict[str, Any], found: dict[str, Any] | str) -> Row:
    return told(f"{name}: {what}", found, "" if isinstance(found, str) else f"ours {own['later'] / found['later']:,.2f}×")


def peers(_: int) -> list[Row]:
    """The same ladder over the same bars everywhere, and a maker in the same recorded book; in seconds of the processor."""
    try:
        python = peers_python()
    except subprocess.CalledProcessError as error:
        python, missing = "", f"the peers' environment cannot be made here (exit code {error.returncode})"
    with tempfile.TemporaryDirectory(prefix="lemon-peers-") as folder:

        def other(script: str) -> dict[str, Any] | str:
            return peer(python, script, folder) if python else missing

        own = peer(sys.executable, "ours.py", folder)
        if isinstance(own, str):
            raise SystemExit(f"the compiled loop did not play the ladder: {own}")
        rows = [told(f"our compiled loop: {own['count']:,} bars of one ladder", own, "", "≥ 200,000,000 /s", mark(own["later"] >= 200e6))]
        rows += [beside(name, "bars of the same ladder", own, other(script)) for name, script in LADDERS.items()]
        own = peer(sys.executable, "book.py", folder)
        if isinstance(own, str):  # no recordings here
            return [*rows, told("a maker in a recorded book", own)]
        rows.append(told(f"our engine: {own['count']:,} events of a book", own, "", "≥ 25,000,000 /s", mark(own["later"] >= 25e6)))
        return [*rows, beside("hftbacktest", "the same events, a maker of its own", own, other("hftbacktest_maker.py"))]


def sandbox(_: int) -> list[Row]:
    found, life = part("sandbox_orders.py"), part("sandbox_life.py", "--hours", str(SANDBOX_HOURS))
    day = life["memory"]
    return [
        Row("sandbox", "signed limit orders over loopback", found["signed"], None, "/s", "", "≥ 3,000 /s", mark(found["signed"] >= 3_000)),
        Row("sandbox", "processor time of the sandbox for one of them", found["server_us"], None, "µs",
            f"{1e6 / found['server_us']:,.0f} /s on a core of its own; the client's {found['client_us']:.0f} µs"),
        Row("sandbox", "matching alone, one order in five trades", found["matching"], None, "/s", "", "≥ 200,000 /s",
            mark(found["matching"] >= 200_000)),
        Row("sandbox", "one order after the other", life["alone_p50"], life["alone_p99"], "µs", f"{life['alone_us']:.0f} µs of processor"),
        Row("sandbox", "the same while fifty listen", life["crowded_p50"], life["crowded_p99"], "µs",
            f"{life['crowd_frames']:,} frames; {life['crowd_us'] / life['alone_us']:.1f}× the processor time"),
        Row("sandbox", "depth frames to one subscriber, an order each", life["depth_frames"], None, "/s",
            f"{1e6 / life['depth_us']:,.0f} /s on a core of its own"),
        Row("sandbox", "start to first answer", life["start"] * 1_000, None, "ms", f"{life['start_cpu'] * 1_000:.0f} ms of processor",
            "≤ 1,000 ms", mark(life["start"] <= 1)),
        Row("sandbox", f"six markets alone, {day['hours']:g} h: resident", day["resident"] / 2**20, None, "MiB", f"{day['acts']:,} acts"),
        Row("sandbox", "slope over its second half", day["slope"] / 1024, None, "KiB/h", "per simulated hour"),
    ]  # fmt: skip


def stylised(_: int) -> list[Row]:
    """How many of the facts lie in the bands; `benchmarks/stylised.py` prints each."""
    sys.path.insert(0, str(ROOT / "src"))
    from stylised import outside

    rows = []
    for column, facts in part("stylised.py").items():
        seen, out = sum(map(len, facts)), [name.partition(":")[0] for f in facts for name in outside(f)]
        beside = f"of {seen}" + "".join(f"; outside {count} of {kind}" for kind, count in sorted(Counter(out).items()))
        goal, verdict = ("all", mark(not out)) if column == "synthetic" else ("", "")
        rows.append(Row("stylised", f"facts of {column} markets within their bands", seen - len(out), None, "", beside, goal, verdict))
    return rows


def memory(_: int) -> list[Row]:
    found = part("memory.py")
    return [
        Row("memory", "resident after one simulated hour of quoting", found["resident"] / 2**20, None, "MiB", f"{found['orders']} orders"),
        Row("memory", "slope over its second half", found["slope"] / 1024, None, "KiB/min", "per simulated minute"),
    ]


def strangers(_: int) -> list[Row]:
    """Other people's clients, five sessions each; `make bench` has made their environment."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, str(ROOT / "tests" / "strangers" / "run.py"), "--rounds", "5"],
        env=child_environment(),
        check=True,
        stdout=sys.stderr,
    )
    return [
        Row("strangers", "twenty sessions of other people's clients", time.perf_counter() - begun, None, "s", "", "all content", mark(True))
    ]


# ---- the table ----


def table(rows: list[Row]) -> str:
    lines = ["| part | what | p50 | p99 | beside | goal | |", "|---|---|---:|---:|---|---|---|"]
    for r in rows:
        p50 = f"{r.p50:,.0f}" if r.p50 >= 1_000 or not r.unit else f"{r.p50:.1f}"
        p99 = "" if r.p99 is None else f"{r.p99:.0f} {r.unit}"
        lines.append(f"| {r.part} | {r.name} | {p50} {r.unit} | {p99} | {r.ratio} | {r.goal} | {r.verdict} |")
    return "\n".join(lines)


def machine_now() -> str:
    """How fast this machine is just now, by the one figure that is the same code everywhere."""
    pair = bindings.crypto_sign_seed_keypair(bytes(32))[1]
    text = bytes(150)
    runs = []
    for _ in range(9):
        begun = time.perf_counter_ns()
        for _ in range(300):
            bindings.crypto_sign(text, pair)
        runs.append((time.perf_counter_ns() - begun) / 300_000)
    now = statistics.median(runs)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"one signature {now:.1f} µs (the goals in µs are of a machine with {SIGNATURE_US}){load}"


def first_in_line() -> str:
    """Run before others where we may; how it went, for the head of the table."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except (AttributeError, PermissionError, OSError):
        return "at ordinary priority: a busy machine shows in every p99"
    return "before other processes (SCHED_FIFO)"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be given more than once")
    asked.add_argument("--cycles", type=int, default=2_400, help="orders of each stack on the rig")
    asked.add_argument("--json", type=Path, help="write the rows to this file too")
    given = asked.parse_args()
    how = first_in_line()
    speed = machine_now()
    rows: list[Row] = []
    for name in given.only or PARTS:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += {
            "rig": rig,
            "inside": inside,
            "replay": replay,
            "backtest": backtests,
            "peers": peers,
            "sandbox": sandbox,
            "stylised": stylised,
            "memory": memory,
            "strangers": strangers,
        }[name](given.cycles)
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, {how}; {speed}"
    print(f"{machine}\n\n{table(rows)}")
    if given.json is not None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        given.json.write_text(
            json.dumps({"at": stamp, "machine": machine, "rows": [asdict(r) for r in rows]}, indent=1, ensure_ascii=False)
        )


if __name__ == "__main__":
    main()
