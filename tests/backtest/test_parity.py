"""A session's decisions are made again from its journal: none differs in the program that made them, and what was changed is found."""

from dataclasses import replace
from functools import cache

import msgspec
import pytest
from tests.agreement.tapes import CASES
from tests.agreement.test_refold import played
from tests.replay_rig import make_rig

from lemon_trader.backtest.parity import CANCEL, LET_THROUGH, MEMORY, ORDER, STRATEGY, UNREADABLE, WITHHELD, redecide
from lemon_trader.config.settings import LimitSettings
from lemon_trader.core.events import Decided, Fill, Started, UserCommand
from lemon_trader.core.units import US_PER_S
from lemon_trader.database.journal import read_events
from lemon_trader.run.parity import _bound, _limit

LIMITS = LimitSettings()
MAKER, LADDER = CASES[0].name, CASES[4].name


@cache
def journal(name: str):
    rig, disk = played(name)
    return rig.bot.instrument, tuple(read_events(disk.store()))


def again(instrument, events, limits=LIMITS):
    (session,) = redecide(events, {instrument.symbol: instrument}, _bound, lambda state, of: _limit(state, of, limits)).values()
    return session


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_program_that_made_a_session_decides_it_the_same(case):
    instrument, events = journal(case.name)
    session = again(instrument, events)
    assert session.differences == []
    assert session.decisions > 10
    assert session.decisions + session.unasked == sum(isinstance(e, Decided) for e in events)
    assert session.orders + session.cancels == sum(len(e.attempts) + len(e.cancels) for e in events if isinstance(e, Decided))
    assert len(session.fills) == len({e.trade_id for e in events if isinstance(e, Fill)})


def restarted(events, **params):
    """The journal as if its settings had been others: what today's program would find that had changed since."""
    return [replace_params(e, params) if isinstance(e, Started) else e for e in events]


def replace_params(started, params):
    return msgspec.structs.replace(started, params={**started.params, **params})


def nth(events, what, change, number=3):
    """The journal with one thing of its `number`th decision of that kind changed."""
    seen, changed = 0, []
    for event in events:
        if isinstance(event, Decided) and getattr(event, what):
            seen += 1
            event = change(event) if seen == number else event
        changed.append(event)
    assert seen >= number
    return changed


def test_other_settings_show_as_other_wishes():
    instrument, events = journal(MAKER)
    session = again(instrument, restarted(events, spread="0.12"))
    assert session.differing > 5
    assert {d.cause[0] for d in session.differences if d.what == ORDER} == {STRATEGY}
    first = next(d for d in session.differences if d.what == ORDER)
    assert first.then.split(" @ ")[0].startswith("QUOTE")
    assert first.then != first.now


def test_a_price_that_was_another_is_found_in_its_decision_alone():
    instrument, events = journal(LADDER)

    def dearer(event):
        one = event.attempts[0]
        return msgspec.structs.replace(event, attempts=(msgspec.structs.replace(one, price_ticks=one.price_ticks + 1), *event.attempts[1:]))

    changed = nth(events, "attempts", dearer, 2)
    session = again(instrument, changed)
    (difference,) = [d for d in session.differences if d.what == ORDER and d.cause[0] == STRATEGY]
    at = next(e.ts_us for e, old in zip(changed, events, strict=True) if e is not old)
    assert difference.at_us == at
    then, now = (float(text.split(" @ ")[1].split()[0]) for text in (difference.then, difference.now))
    assert then - now == pytest.approx(0.01)


def test_a_limit_of_today_that_withholds_is_named():
    instrument, events = journal(MAKER)
    session = again(instrument, events, replace(LIMITS, open_orders=1))
    causes = {d.cause[0] for d in session.differences if d.what == ORDER}
    assert causes == {WITHHELD}
    assert {d.cause[1]["reason"][0] for d in session.differences if d.what == ORDER} == {"reason.LIMIT_ORDERS"}
    assert all(d.now == "" for d in session.differences if d.what == ORDER)


def test_an_order_that_a_session_held_back_is_told_apart_from_another_wish():
    instrument, events = journal(MAKER)
    session = again(instrument, nth(events, "attempts", lambda e: msgspec.structs.replace(e, attempts=e.attempts[1:]), 1))
    assert session.differences[0].cause[0] == LET_THROUGH
    assert session.differences[0].then == ""


def test_a_cancel_that_was_not_sent_is_found():
    instrument, events = journal(MAKER)
    session = again(instrument, nth(events, "cancels", lambda e: msgspec.structs.replace(e, cancels=e.cancels[1:])))
    assert session.differences[0].what == CANCEL
    assert session.differences[0].then == ""


def test_a_memory_that_was_another_names_the_fields():
    instrument, events = journal(LADDER)
    early = next(e.memory for e in events if isinstance(e, Decided) and e.memory)
    session = again(instrument, nth(events, "memory", lambda e: msgspec.structs.replace(e, memory=early)))
    first = session.differences[0]
    assert (first.what, first.cause[0]) == (MEMORY, STRATEGY)
    assert first.then.split()[0] == first.now.split()[0]
    assert first.then != first.now


def test_a_view_of_another_version_is_said_and_the_rest_goes_on():
    instrument, events = journal(LADDER)
    session = again(instrument, nth(events, "view", lambda e: msgspec.structs.replace(e, view=msgspec.msgpack.encode([1] * 99))))
    (difference,) = session.differences
    assert difference.cause[0] == UNREADABLE
    assert session.differing == 1
    assert session.decisions > 10


def test_one_difference_does_not_make_the_next():
    instrument, events = journal(MAKER)
    places = [n for n, e in enumerate(events) if isinstance(e, Decided) and e.attempts]
    session = again(instrument, nth(events, "attempts", lambda e: msgspec.structs.replace(e, attempts=()), len(places) - 1))
    assert session.differing <= 3


@pytest.mark.parametrize(("case", "changed"), [(CASES[0], {"spread": "0.2", "max_orders": "2"}), (CASES[6], {"take_profit_pct": "0.1"})])
def test_a_session_that_was_edited_is_decided_again_by_what_was_edited(case, changed):
    source, edited = case.source(), []

    def edit(rig):
        if rig.begun and not edited and rig.now_us - rig.start_us > case.seconds * US_PER_S // 2:
            params = {**rig.bot.state.started[case.symbol].params, **changed}
            edited.append(rig.now_us)
            rig.bot.engine.turn([UserCommand(rig.now_us, "edit", case.symbol, "test", "", params)])

    rig = make_rig(source, case.pair, after=edit)
    rig.play(source)
    events = rig.bot.journal.events
    assert edited
    session = again(rig.bot.instrument, events)
    assert session.differences == []
    assert [e for e in events if isinstance(e, Decided) and e.ts_us > edited[0]]
    unedited = [e for e in events if not (isinstance(e, UserCommand) and e.action == "edit")]
    assert again(rig.bot.instrument, unedited).differing > 0, "without the edit the same decisions are others"
