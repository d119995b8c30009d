"""Simulated days on all cores; `make simulate`, `make simulate-long`, `make simulate-planted`.

python -m tests.simulation --seeds 300 [--from 0] [--faults F02,F21]     the last line is `seeds N violations V days/minute R`
python -m tests.simulation --seeds 50 --bug "resend on timeout"         the same days lived by a program that is naive in one thing, for scale
python -m tests.simulation --one SEED [--faults …] [--acts 3,7] [--plain] [--bug NAME]    one seed, twice: its trace, and whether it is equal
python -m tests.simulation --planted [NAME …] [--faults …]              how many seeds it takes to find each planted bug
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import nullcontext
from typing import Any

from tests.invariants.ends import Equal
from tests.simulation.planted import PLANTED
from tests.simulation.run import kind_of, run_seed, shrink

PLANTED_MAX = 300
TWICE_EVERY = 25  # of so many seeds one is run twice
REPORTED = 3  # failures whose trace is printed
DAY_US = 86_400_000_000

Job = tuple[int, list[str] | None, str | None]


def _work(job: Job) -> dict[str, Any]:
    seed, only, bug = job
    with PLANTED[bug]() if bug is not None else nullcontext():
        out = run_seed(seed, only)
    equal = Equal()
    if seed % TWICE_EVERY == 0 and not out.violations and bug is None:
        second = run_seed(seed, only)
        equal.compare(out.trace, second.trace)
        equal.found += [f"in its second run: {violation}" for violation in second.violations]
    return {
        "seed": seed, "violations": out.violations + equal.found, "trace": out.trace, "us": out.simulated_us, "orders": out.commands,
        "fills": out.fills, "lives": out.lives, "events": out.market_acts, "faults": out.drawn.faults, "strategy": out.drawn.strategy,
        "symbol": out.drawn.symbol, "acts": out.faults_met, "lines": list(out.lines),
    }  # fmt: skip


def _revision() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _report(result: dict[str, Any], *, whole: bool) -> None:
    first = result["violations"][0]
    print(f"seed {result['seed']} {result['strategy']} {result['symbol']} faults {','.join(result['faults']) or '-'}: {first}")
    print(f"  revision {_revision()}, replay: python -m tests.simulation --one {result['seed']}", flush=True)
    if whole:
        print("".join(f"    {line}\n" for line in result["lines"]), end="", flush=True)


def _many(jobs: list[Job], workers: int) -> int:
    begun = time.monotonic()
    failed: list[dict[str, Any]] = []
    days: list[dict[str, Any]] = []
    with multiprocessing.Pool(workers, maxtasksperchild=50) as pool:
        for result in pool.imap_unordered(_work, jobs, chunksize=1):
            days.append(result)
            if result["violations"]:
                failed.append(result)
                if jobs[0][2] is None:
                    _report(result, whole=len(failed) <= REPORTED)
    minutes = (time.monotonic() - begun) / 60
    if jobs[0][2] is not None:
        kinds = Counter(kind_of(day["violations"][0]) for day in failed)
        print(
            f"{jobs[0][2]}: first found on {len(failed)} days by {', '.join(f'{kind} {n}' for kind, n in kinds.most_common()) or 'nobody'}"
        )
    elif failed:
        command, out = shrink(failed[0]["seed"], jobs[0][1])
        print(f"smallest failing case of seed {failed[0]['seed']}: {command}\n  {out.violations[0]}")
    for what in ("events", "orders", "fills", "acts", "lives"):
        counts = sorted(day[what] for day in days)
        print(f"{what} a day: least {counts[0]}, median {counts[len(counts) // 2]}, most {counts[-1]}, together {sum(counts)}")
    simulated = sum(day["us"] for day in days) / DAY_US
    print(f"seeds {len(jobs)} violations {len(failed)} days/minute {simulated / minutes:.1f}")
    return 1 if failed else 0


def _one(seed: int, bug: str | None, only: list[str] | None, acts: str, *, plain: bool) -> int:
    keep = None if acts == "all" else [] if acts == "none" else [int(n) for n in acts.split(",")]
    with PLANTED[bug]() if bug is not None else nullcontext():
        first = run_seed(seed, only, keep, plain=plain)
    with PLANTED[bug]() if bug is not None else nullcontext():
        second = run_seed(seed, only, keep, plain=plain)
    print("".join(f"{line}\n" for line in first.lines), end="")
    print(f"seed {seed} {first.drawn.strategy} {first.drawn.symbol} {first.drawn.values}")
    for n, ((at_us, act), tag) in enumerate(zip(first.drawn.acts, first.drawn.tags, strict=True)):
        if tag:
            print(f"  act {n}: {tag} {act} at {at_us / 1e6:.3f} s awake")
    print("\n".join(first.violations) or f"no violation in {first.market_acts} market events, {first.commands} orders, {first.fills} fills")
    print(
        "equal trace on repeat"
        if first.trace == second.trace and first.violations == second.violations
        else "I12: THE TRACE DIFFERS ON REPEAT"
    )
    return 1 if first.violations else 0


def _find(job: tuple[str, int, list[str] | None]) -> tuple[int, str]:
    name, seed, only = job
    with PLANTED[name]():
        found = run_seed(seed, only).violations
    if found and run_seed(seed, only).violations:
        found = []  # a day that fails without the bug too says nothing of it
    return seed, found[0] if found else ""


def _first(pool: Any, name: str, only: list[str] | None, workers: int, most: int) -> tuple[int, str]:
    """The first seed that finds the bug, and what it says; (0, "") when none does. No seed is begun that is not needed."""
    for begin in range(0, most, workers):
        for seed, violation in pool.map(_find, [(name, seed, only) for seed in range(begin, min(most, begin + workers))], chunksize=1):
            if violation:
                return seed, violation
    return 0, ""


def _planted(names: list[str], only: list[str] | None, workers: int, most: int) -> int:
    missed = 0
    with multiprocessing.Pool(workers, maxtasksperchild=20) as pool:
        for name in names or list(PLANTED):
            seed, violation = _first(pool, name, only, workers, most)
            missed += not violation
            told = (
                f"{seed + 1:4} days  {kind_of(violation):8} {violation.splitlines()[0][:110]}" if violation else f"NOT FOUND in {most} days"
            )
            print(f"{name:48} {told}", flush=True)
    print(f"planted {len(names or PLANTED)} found {len(names or PLANTED) - missed}")
    return 1 if missed else 0


def main(words: list[str] | None = None) -> int:
    """The exit code: 0 where nothing was found, or, of planted bugs, every one; `words` of a command line, None = this process's."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", type=int, default=300)
    asked.add_argument("--from", dest="first", type=int, default=0)
    asked.add_argument("--faults", default="all")
    asked.add_argument("--one", type=int)
    asked.add_argument("--acts", default="all")
    asked.add_argument("--plain", action="store_true")
    asked.add_argument("--bug", choices=PLANTED, help="planted while --one or --seeds runs")
    asked.add_argument("--planted", nargs="*", choices=[*PLANTED, []])
    asked.add_argument("--most", type=int, default=PLANTED_MAX)
    asked.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = asked.parse_args(words)
    only = None if given.faults == "all" else [name for name in given.faults.split(",") if name]
    if given.planted is not None:
        return _planted(given.planted, only, given.workers, given.most)
    if given.one is not None:
        return _one(given.one, given.bug, only, given.acts, plain=given.plain)
    return _many([(seed, only, given.bug) for seed in range(given.first, given.first + given.seeds)], given.workers)


if __name__ == "__main__":
    sys.exit(main())
