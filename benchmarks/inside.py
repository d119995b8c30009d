"""What one turn costs inside the process, and each of its parts: no socket, everything else real.

    python benchmarks/inside.py

A market maker with six quotes resting; frames are decoded from their bytes, the journal is a file, the signer signs, and the
order connection ends in a wire that takes bytes and says nothing.
"""

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from program import START_US, Program
from rig.server import FRAMES, SYMBOL

from lemon_trader.core.commands import Place
from lemon_trader.core.decide import decide, prepare
from lemon_trader.core.diff import PLACE, diff
from lemon_trader.core.events import Wake
from lemon_trader.core.limits import RATE_UNIT, review
from lemon_trader.core.records import pack
from lemon_trader.core.units import BUY, POST_ONLY, US_PER_S
from lemon_trader.database.journal import Journal
from lemon_trader.env_live.store import FolderStore

REPEATS = 7


def cost(call: Callable[[], object], count: int = 2_000) -> float:
    """µs of one call: the median of some runs, so that a neighbour's burst does not count and luck does not either."""
    call()
    runs = []
    for _ in range(REPEATS):
        begun = time.perf_counter_ns()
        for _ in range(count):
            call()
        runs.append((time.perf_counter_ns() - begun) / count / 1_000)
    return statistics.median(runs)


def each(calls: list[Callable[[], object]]) -> float:
    """µs of one of `calls`, each called once, in order: the median."""
    times = []
    clock = time.perf_counter_ns
    for call in calls:
        begun = clock()
        call()
        times.append(clock() - begun)
    return statistics.median(times) / 1_000


def measure(folder: Path) -> dict[str, float]:
    """µs by what was done."""
    found: dict[str, float] = {}
    program = Program(folder / "turn", levels=6)
    program.begin()
    market, state = program.market, program.state
    binding = market.binding
    assert binding is not None
    resting = [(o.client_id, o.price_ticks) for o in market.orders.live]
    assert len(resting) == 6, resting
    gc.collect()
    gc.freeze()

    frames = _quiet(program, 4_000)
    found["turn, frame in the band: decode, chain, book"] = each([_receive(program, f) for f in frames[:2_000]])
    turns = program.engine.turns
    found["turn, strategy asked, nothing to send"] = each([_receive_asked(program, f) for f in frames[2_000:]])
    assert program.engine.turns == turns + 2_000
    assert resting == [(o.client_id, o.price_ticks) for o in market.orders.live]

    now, v, p = program.env.at_us, market.view, market.position
    found["decode a depth frame"] = cost(lambda: program.dialect.frame(frames[0], program.instruments, START_US))
    found["view and position"] = cost(lambda: prepare(state, market, now))
    found["memory packed, as the journal has it"] = cost(lambda: pack(binding.memory))
    found["targets"] = cost(lambda: binding.targets(binding.params, v, p, binding.memory, market.out))
    orders, used = market.orders.live, market.rows_used
    found["diff, six orders kept"] = cost(lambda: diff(market.out, used, orders, len(orders), v, p, market.scratch, market.actions))
    found["decide, nothing to send"] = cost(lambda: decide(state, market, now, now))
    limits, action = market.limits, market.actions[0]
    limits.rate_tokens = 10**12 * RATE_UNIT

    def one_place() -> None:
        action.what, action.index, action.qty_lots = PLACE, 1, 10
        review(market.out, orders, len(orders), v, p, limits, market.actions, 1)

    found["limits of one place"] = cost(one_place)

    journal = Journal(FolderStore(folder / "journal"), mode="bench", account="bench")
    journal.open(START_US)
    wake = Wake(START_US)
    found["journal, one fact written through"] = cost(lambda: journal.append(wake))
    found["journal, one fact written and synced (this disk)"] = cost(lambda: (journal.append(wake), journal.sync()), 20)
    journal.close()

    places = [Place(SYMBOL, n, BUY, POST_ONLY, 0, 15_000 + n % 9, 0, 10) for n in range(6)]
    text = b"instruction=orderExecute&clientId=1&orderType=Limit&postOnly=true&price=150.00&quantity=0.10&side=Bid&symbol=SOL_USDC"
    found["signature"] = cost(lambda: program.signer.sign(text), 500)
    found["one order: text, signature, body"] = cost(
        lambda: program.dialect.place(places[:1], program.instruments, program.signer, START_US // 1_000), 500
    )
    found["six orders: text, one signature, body"] = cost(
        lambda: program.dialect.place(places, program.instruments, program.signer, START_US // 1_000), 500
    )

    single = Program(folder / "single", levels=1)
    single.begin()
    found["turn with one place, to its first byte"], found["turn with one cancel, to its first byte"] = _turns_with_orders(single, 1_500, 1)
    six = Program(folder / "six", levels=6)
    six.begin()
    found["turn with six places, to its first byte"], found["turn with six cancels, to its first byte"] = _turns_with_orders(six, 600, 6)
    return found


def _quiet(program: Program, count: int) -> list[bytes]:
    """Frames that change a level far away."""
    script = program.script
    frames = []
    while len(frames) < count:
        script.cycle += 1
        frames.append(script.frame(2))
    script.cycle += script.cycle % 2  # the script's parity is the price's
    return frames


def _receive(program: Program, payload: bytes) -> Callable[[], object]:
    return lambda: program.receive(payload)


def _receive_asked(program: Program, payload: bytes) -> Callable[[], object]:
    def call() -> None:
        program.market.asked = True
        program.receive(payload)

    return call


def _turns_with_orders(program: Program, count: int, expected: int) -> tuple[float, float]:
    """Cancel and place in turn, as on the rig: the asks go, the asks come back."""
    places, cancels = [], []
    clock = time.perf_counter_ns
    for _ in range(count):
        for number, times in ((FRAMES // 2, cancels), (0, places)):
            frame = program.until(number)
            sent = program.engine.sent
            begun = clock()
            program.receive(frame)
            times.append(min(wire.written_ns for wire in program.env.wires if wire.sent) - begun)
            assert program.engine.sent - sent == expected, (number, program.engine.sent - sent)
            program.settle()
        if program.env.at_us - program.state.public_us > US_PER_S or program.env.at_us - program.state.account_us > 10 * US_PER_S:
            program.receive(program.until(FRAMES // 2))
            program.settle()
            program.keep_fresh()
            program.receive(program.until(0))
            program.settle()
    return statistics.median(places) / 1_000, statistics.median(cancels) / 1_000


def main() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="lemon-bench-") as folder:
        return measure(Path(folder))


if __name__ == "__main__":
    figures = main()
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for name, us in figures.items():
            print(f"{us:9.2f} µs  {name}")
