"""One seed from a fresh world, whatever becomes of it; and the smallest part of its plan that still fails."""

import asyncio
import gc
import random
import signal
import traceback
from collections.abc import Sequence
from typing import Any

from tests.simulation.life import Found, Life, Outcome
from tests.simulation.plan import Drawn, draw
from tests.virtual_time import VirtualLoop

from lemon_trader.core.units import US_PER_S

SEED_CPU_S = 60  # of the processor: a seed takes two; one that does not end is a finding, with the place where it turns
COLLECT_EVERY = 8
ACTIVE_US = 200 * US_PER_S  # of a day, before what is added where it is thin
SHRINK_MAX = 80  # runs


class Stuck(Exception):
    """A seed did not end."""


def _stuck(*_: Any) -> None:
    raise Stuck


def _told(context: dict[str, Any]) -> str:
    fault = context.get("exception")
    return "".join(traceback.format_exception(fault)) if fault is not None else str(context.get("message"))


def planned(seed: int, only: list[str] | None = None, keep: Sequence[int] | None = None, *, plain: bool = False) -> Drawn:
    """The day of this seed.

    Args:
        seed: which.
        only: these faults instead of the drawn ones; None = as drawn.
        keep: of the acts that belong to faults, those at these places alone; None = all.
        plain: without random delays and without shuffled steps.
    """
    drawn = draw(seed, only=only, active_us=ACTIVE_US, is_day=True)
    if keep is not None:
        drawn.keep(keep)
    if plain:
        drawn.delay_us, drawn.shuffled = 1_000, False
    return drawn


def run_seed(seed: int, only: list[str] | None = None, keep: Sequence[int] | None = None, *, plain: bool = False) -> Outcome:
    """One seed, from a fresh world; arguments as of `planned`."""
    drawn = planned(seed, only, keep, plain=plain)
    loop = VirtualLoop(shuffle=random.Random(f"order {seed}") if drawn.shuffled else None)
    asyncio.set_event_loop(loop)
    life = Life(seed, drawn, loop)
    gc.disable()  # a run makes little garbage in cycles; it is collected now and then between two
    signal.signal(signal.SIGPROF, _stuck)
    signal.setitimer(signal.ITIMER_PROF, SEED_CPU_S)
    loop.set_exception_handler(lambda _, context: life.note([f"a callback raised: {_told(context)}"]))
    try:
        return loop.run_until_complete(life.run())
    except Found:
        return life.out
    except Exception as fault:  # noqa: BLE001  a crash of the program is a finding like any other
        life.note([f"raised: {fault!r}\n{traceback.format_exc()}"])
        return life.out
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        life.count()
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


def kind_of(violation: str) -> str:
    """What was violated: the part before the colon."""
    return violation.split(":", maxsplit=1)[0].split(" ", maxsplit=1)[0]


def shrink(seed: int, only: list[str] | None) -> tuple[str, Outcome]:
    """(the command of the smallest failing case found, what it does): first delays go, then whole faults, then single acts, one by one."""
    wanted = kind_of(run_seed(seed, only).violations[0])
    runs = 0

    def fails(keep: list[int], *, plain: bool) -> Outcome | None:
        nonlocal runs
        runs += 1
        out = run_seed(seed, only, keep, plain=plain)
        return out if out.violations and kind_of(out.violations[0]) == wanted else None

    tags = planned(seed, only).tags
    kept = [n for n, tag in enumerate(tags) if tag]
    smallest = run_seed(seed, only)
    plain = False
    found = fails(kept, plain=True)
    if found is not None:
        plain, smallest = True, found
    parts = [[n for n in kept if tags[n] == tag] for tag in dict.fromkeys(tag for tag in tags if tag)] + [[n] for n in kept]
    for part in parts:
        rest = [n for n in kept if n not in part]
        if runs >= SHRINK_MAX or rest == kept:
            continue
        found = fails(rest, plain=plain)
        if found is not None:
            kept, smallest = rest, found
    faults = "" if only is None else f" --faults {','.join(only)}"
    command = f"python -m tests.simulation --one {seed}{faults} --acts {','.join(map(str, kept)) or 'none'}{' --plain' if plain else ''}"
    return command, smallest
