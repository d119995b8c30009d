"""`python -m tests.simulation --seeds 300 [--from 0] [--faults F02,F21] [--one SEED]`: run seeds on all cores, print what was found.

The last line is `seeds N violations V days/minute R`. A failing seed is replayed by `--one SEED`.
"""

import argparse
import gc
import multiprocessing
import os
import random
import signal
import sys
import time
import traceback
from typing import Any

from tests.simulation.life import Found, Life, Outcome
from tests.simulation.plan import draw
from tests.virtual_time import VirtualLoop

COLLECT_EVERY = 8
SEED_WALL_S = 60  # a seed takes a second or two; one that does not end is a finding, with the place where it turns


class Stuck(Exception):
    """A seed did not end."""


def _stuck(*_: Any) -> None:
    raise Stuck


def _told(context: dict[str, Any]) -> str:
    fault = context.get("exception")
    return "".join(traceback.format_exception(fault)) if fault is not None else str(context.get("message"))


def run_seed(seed: int, only: list[str] | None = None) -> Outcome:
    """One seed, from a fresh world."""
    import asyncio

    drawn = draw(seed, only=only, is_day=True)
    loop = VirtualLoop(shuffle=random.Random(f"order {seed}") if drawn.shuffled else None)
    asyncio.set_event_loop(loop)
    life = Life(seed, drawn, loop)
    gc.disable()  # a run makes little garbage in cycles; it is collected once, at its end
    signal.signal(signal.SIGALRM, _stuck)
    signal.alarm(SEED_WALL_S)
    loop.set_exception_handler(lambda _, context: life.out.violations.append(f"a callback raised: {_told(context)}"))
    try:
        return loop.run_until_complete(life.run())
    except Found:
        return life.out
    except Exception as fault:  # noqa: BLE001  a crash of the program is a finding like any other
        life.out.violations.append(f"raised: {fault!r}\n{traceback.format_exc()}")
        return life.out
    finally:
        signal.alarm(0)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
        gc.enable()
        if seed % COLLECT_EVERY == 0:
            gc.collect()


def _work(job: tuple[int, list[str] | None]) -> dict[str, Any]:
    out = run_seed(*job)
    return {
        "seed": out.seed, "violations": out.violations, "trace": out.trace, "us": out.simulated_us, "commands": out.commands, "fills": out.fills,
        "lives": out.lives, "acts": out.market_acts, "faults": out.drawn.faults, "strategy": out.drawn.strategy, "symbol": out.drawn.symbol,
        "met": out.faults_met,
    }  # fmt: skip


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seeds", type=int, default=300)
    asked.add_argument("--from", dest="first", type=int, default=0)
    asked.add_argument("--faults", default="all")
    asked.add_argument("--one", type=int)
    asked.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = asked.parse_args()
    only = None if given.faults == "all" else [f for f in given.faults.split(",") if f]
    if given.one is not None:
        first, second = _work((given.one, only)), _work((given.one, only))
        print(first)
        print("equal trace on repeat" if first["trace"] == second["trace"] else "THE TRACE DIFFERS ON REPEAT")
        return 1 if first["violations"] else 0
    begun = time.monotonic()
    jobs = [(seed, only) for seed in range(given.first, given.first + given.seeds)]
    failed = []
    simulated = commands = fills = lives = acts = 0
    with multiprocessing.Pool(given.workers, maxtasksperchild=25) as pool:
        for result in pool.imap_unordered(_work, jobs, chunksize=1):
            simulated += result["us"]
            commands, fills = commands + result["commands"], fills + result["fills"]
            lives, acts = lives + result["lives"], acts + result["acts"]
            if result["violations"]:
                failed.append(result)
                print(
                    f"seed {result['seed']} {result['strategy']} {result['symbol']} faults {','.join(result['faults'])}: {result['violations'][0]}"
                )
                print(f"  replay: python -m tests.simulation --one {result['seed']}", flush=True)
    minutes = (time.monotonic() - begun) / 60
    days = simulated / 86_400_000_000
    print(f"market acts {acts}, orders {commands}, fills {fills}, lives {lives}, simulated hours {simulated / 3.6e9:.1f}")
    print(f"seeds {given.seeds} violations {len(failed)} days/minute {days / minutes:.2f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
