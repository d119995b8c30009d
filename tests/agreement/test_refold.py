"""The journal says everything: each decision in it can be made again from it, and its fold is the state that wrote it."""

from dataclasses import replace
from functools import cache

import pytest
from tests.agreement.tapes import CASES, Case
from tests.fake_store import Disk
from tests.replay_rig import Rig, durable, make_rig

from lemon_trader.core.decide import RATE_RESERVE, _flatten_row, _refill
from lemon_trader.core.diff import CANCEL, PLACE, Scratch, action_array, diff
from lemon_trader.core.events import Decided, Started, UserCommand
from lemon_trader.core.limits import mask, review
from lemon_trader.core.reasons import NAMES
from lemon_trader.core.records import Position, View, pack, row_array, unpack
from lemon_trader.core.state import AccountState
from lemon_trader.core.step import step
from lemon_trader.core.units import US_PER_S
from lemon_trader.database.journal import Journal, read_events
from lemon_trader.engine.startup import fold
from lemon_trader.run.parts import market_of, values_of
from lemon_trader.strategies.catalog import STRATEGIES

EDITS = {  # what acts now, with the next fill, and with the next cycle
    "martingale": {"layers": "4", "take_profit_pct": "0.06", "stop_slippage_pct": "1", "resting": "3"},
    "market-maker": {"spread": "0.3", "max_orders": "2", "volatility_window": "30"},
}


@cache
def played(name: str) -> tuple[Rig, Disk]:
    """The tape with a real journal; somebody edits, presses kill and resume, and a checkpoint is written in the middle. Not to be changed."""
    case = next(c for c in CASES if c.name == name)
    disk = Disk()
    journal = Journal(disk.store(), mode="sandbox", account="demo")
    source = case.source()
    journal.open(source.start_us)
    done: list[str] = []

    def interfere(rig: Rig) -> None:
        passed = (rig.now_us - rig.start_us) // US_PER_S
        for tenths, action in ((3, "edit"), (5, "checkpoint"), (6, "kill"), (7, "resume")):
            if passed >= case.seconds * tenths // 10 and action not in done:
                done.append(action)
                if action == "checkpoint":
                    rig.bot.engine.checkpoint(rig.now_us)
                elif action == "edit":
                    params = rig.bot.state.started[case.symbol].params | EDITS[case.strategy]
                    rig.bot.engine.turn([UserCommand(rig.now_us, action, case.symbol, "test", params=params)])
                else:
                    rig.bot.engine.turn([UserCommand(rig.now_us, action, "", "test")])

    rig = make_rig(source, case.pair, after=interfere, journal=journal)
    rig.play(source)
    assert done == ["edit", "checkpoint", "kill", "resume"]
    return rig, disk


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_decision_in_the_journal_is_made_again_from_it(case: Case):
    rig, disk = played(case.name)
    strategy = STRATEGIES[case.strategy]
    limits = replace(rig.bot.market.limits)
    out, actions, scratch = row_array(), action_array(), Scratch()
    state = AccountState()
    state.add_market(rig.bot.instrument)
    params = None
    decisions = places = cancels = 0
    for event in read_events(disk.store()):
        if isinstance(event, Decided):
            decisions += 1
            market = state.markets[event.symbol]
            view, position = unpack(View, event.view), unpack(Position, event.position)
            memory = unpack(strategy.memory_type, market.memory_bytes) if market.memory_bytes else strategy.memory_type()
            before = pack(memory)
            used = strategy.targets(params, view, position, memory, out)
            after = pack(memory)
            assert (after if after != before else b"") == event.memory, f"decision {decisions}: memory"
            limits.mode, limits.exit_masked = state.mode, int(state.exit_masked)
            used = mask(out, used, limits)
            market.view, market.position, market.out = view, position, out
            if state.flatten:
                used = _flatten_row(market, used)
            live = market.orders.live
            done = diff(out, used, live, len(live), view, position, scratch, actions)
            if done:
                _refill(state, event.ts_us)
                limits.rate_tokens, limits.rate_reserve, limits.budget_atoms = state.rate_tokens, RATE_RESERVE, position.budget_atoms
                review(out, live, len(live), view, position, limits, actions, done)
                state.rate_tokens = limits.rate_tokens
            placed = [
                (r.slot, r.generation, r.role, r.side, r.kind, r.flags, r.price_ticks, r.trigger_ticks, a.qty_lots, r.qty_lots)
                for a in actions[:done]
                if a.what == PLACE and (r := out[a.index])
            ]
            assert placed == [
                (a.slot, a.generation, a.role, a.side, a.kind, a.flags, a.price_ticks, a.trigger_ticks, a.qty_lots, a.total_lots)
                for a in event.attempts
            ], f"decision {decisions}: attempts"
            withdrawn = [(live[a.index].client_id, NAMES[a.reason]) for a in actions[:done] if a.what == CANCEL]
            assert withdrawn == [(c.client_id, c.reason) for c in event.cancels if c.reason != "FENCE"], f"decision {decisions}: cancels"
            places, cancels = places + len(placed), cancels + len(withdrawn)
        if isinstance(event, Started) or (isinstance(event, UserCommand) and event.action == "edit"):
            params = strategy.read(values_of(strategy, event.params), market_of(state, rig.bot.instrument))
        step(state, event)
    assert params == rig.bot.market.binding.params
    assert decisions > 10
    assert places + cancels == len(rig.venue.commands)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_fold_of_the_journal_is_the_state_that_wrote_it(case: Case):
    rig, disk = played(case.name)
    instruments = {rig.bot.instrument.symbol: rig.bot.instrument}
    lived = durable(rig.bot.state)
    whole = AccountState()
    fold(whole, None, list(read_events(disk.store())), instruments)
    assert durable(whole) == lived, "from the beginning"
    opened = Journal(disk.copy().store(), mode="sandbox", account="demo").open(rig.now_us)
    assert opened.state is not None
    assert opened.events, "something must have happened after the checkpoint"
    late = AccountState()
    fold(late, opened.state, opened.events, instruments)
    assert durable(late) == lived, "from the checkpoint in the middle"
