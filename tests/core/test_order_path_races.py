"""Races by which an order, a position or its protection could be lost: each case is one sequence of facts that once ended badly."""

from dataclasses import replace

import msgspec
import pytest
from tests.core.make import T0, USDC, account, fill, perp, read, row, want

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.decide import decide, prepare
from lemon_trader.core.events import (
    NO_CLIENT_ID,
    Attempted,
    CancelAnswered,
    CancelAttempted,
    Decided,
    IdsReserved,
    LastPrice,
    MarkPrice,
    OrderUpdate,
    PlaceAccepted,
    PlaceRefused,
    PlaceUnknown,
    UserCommand,
    VenuePosition,
    Wake,
)
from lemon_trader.core.market import Binding
from lemon_trader.core.records import EXIT_SLOT, STOP_SLOT, TRIGGER_SLOT, Row
from lemon_trader.core.state import HIST_LAG_US, SKEW_MARGIN_US, AccountState
from lemon_trader.core.step import recover, step
from lemon_trader.core.units import (
    ARMED,
    BUY,
    CANCELLED,
    CANCELLING,
    EXIT,
    FILLED,
    LIMIT,
    POST_ONLY,
    PROVEN_ABSENT,
    QUOTE,
    REDUCE_ONLY,
    SELL,
    STOP,
    TAKE,
    TRIGGER,
    UNKNOWN,
    US_PER_S,
    WHOLE_POSITION,
    WORKING,
)

S = US_PER_S
WINDOW = 5 * S
SPOT = "SOL_USDC"
PERP = "SOL_USDC_PERP"
PROTECTIVE = REDUCE_ONLY | WHOLE_POSITION


def attempt(
    client, *, slot=0, lots=10, at=T0, role=QUOTE, side=BUY, kind=POST_ONLY, flags=0, ticks=9_900, trigger=0, generation=1, symbol=SPOT
):
    a = Attempted(at, symbol, client, slot, generation, role, side, kind, flags, ticks, trigger, lots, lots, at + WINDOW)
    return Decided(at, symbol, b"", b"", b"", (a,), ())


def rests(state, client, *, order=None, **how):
    """An order of ours that the venue has accepted."""
    made = attempt(client, **how)
    step(state, made)
    symbol = made.symbol
    status = "armed" if made.attempts[0].kind == TRIGGER else "working"
    step(state, PlaceAccepted(made.ts_us, made.ts_us, symbol, client, order or str(70 + client), status, 0))
    found = state.markets[symbol].orders.find(client, "")
    assert found.state == (ARMED if status == "armed" else WORKING)
    return found


def bind(state, *rows, symbol=SPOT, answer=None):
    """A strategy that always wants `rows`; `answer` overrides what it returns."""

    def targets(_params, _view, _position, _memory, out):
        for i, wanted in enumerate(rows, 1):
            out[i] = replace(wanted)
        return answer if answer is not None else 1 + len(rows)

    market = state.markets[symbol]
    market.binding = Binding("scripted", targets, Row(), Row(), lambda *_: (0, 0), 1_000 * USDC)
    market.limits.budget_atoms = 1_000 * USDC
    return market


def turn(state, symbol, at):
    """One decision, folded as the engine folds it; its commands."""
    step(state, Wake(at))
    decided, commands = decide(state, state.markets[symbol], at, at + WINDOW)
    if decided is not None:
        step(state, decided)
    return commands


def cancels(commands):
    return [c.client_id for c in commands if type(c) is Cancel]


def told(state, key):
    return [a for a in state.alerts if a.key == key]


def holds_long(lots=10):
    """A perpetual on which `lots` are held, venue and books agreeing."""
    state = account(perp())
    step(state, MarkPrice(T0, T0, PERP, 10_001, 10_001, 0, 0))
    entry = rests(state, 1, lots=lots, ticks=10_002, kind=LIMIT, symbol=PERP, order="60")
    step(state, fill(BUY, 10_002, lots, order="60", client=1, symbol=PERP, done=True))
    assert entry.state == FILLED
    step(state, VenuePosition(T0, T0, PERP, lots))
    return state, state.markets[PERP]


# ---- a strategy that fails ----


def test_cancels_are_repeated_although_the_strategy_has_no_answer():
    state = account()
    rests(state, 1)
    bind(state, answer=0)
    assert cancels(turn(state, SPOT, T0 + S)) == [1]
    assert cancels(turn(state, SPOT, T0 + 2 * S)) == [], "one is in the air"
    assert cancels(turn(state, SPOT, T0 + 4 * S)) == [1], "the first one was lost on the way"


def test_the_cancel_of_an_exit_is_repeated_too_once_it_was_sent():
    state = account()
    rests(state, 1, slot=EXIT_SLOT, role=EXIT, side=SELL, kind=LIMIT, ticks=10_100)
    step(state, Decided(T0, SPOT, b"", b"", b"", (), (CancelAttempted(T0, SPOT, 1, "FARTHER"),)))
    bind(state, answer=0)
    assert cancels(turn(state, SPOT, T0 + 4 * S)) == [1]


def test_a_strategy_that_raises_freezes_its_market_and_nothing_else():
    state = account()
    rests(state, 1)
    rests(state, 2, slot=EXIT_SLOT, role=EXIT, side=SELL, kind=LIMIT, ticks=10_100)

    def broken(*_):
        raise ZeroDivisionError("in the strategy")

    market = bind(state)
    market.binding.targets = broken
    assert cancels(turn(state, SPOT, T0 + S)) == [1], "what opens goes, the exit stays"
    assert market.frozen == "STRATEGY_FAULT"
    turn(state, SPOT, T0 + 2 * S)
    assert len(told(state, "alert.strategy_fault")) == 1


# ---- starts ----


def test_an_order_of_a_lost_record_is_ours_however_often_recovery_was_interrupted():
    state = account()
    state.next_id, state.ids_end = 10, 1_034
    for lo in (1_034, 2_058, 3_082):  # three lives that ended before they had read anything
        step(state, IdsReserved(T0, lo, lo + 1_024))
    step(state, read(at_us=T0 + S, orders=(row(12),)))
    market = state.markets[SPOT]
    assert [o.client_id for o in market.orders.live] == [12]
    assert market.foreign == ()


def test_the_ids_of_earlier_lives_survive_a_checkpoint():
    state = account()
    state.next_id, state.ids_end = 10, 1_034
    step(state, IdsReserved(T0, 1_034, 2_058))
    again = AccountState()
    again.restore(state.image())
    step(again, read(at_us=T0 + S, orders=(row(12),)))
    assert [o.client_id for o in again.markets[SPOT].orders.live] == [12]


def test_a_cancel_in_the_air_is_sent_again_after_a_start_whose_clock_stands_behind():
    state = account()
    bind(state)
    rests(state, 1)
    assert cancels(turn(state, SPOT, T0 + S)) == [1]
    earlier = T0 - 3_600 * S
    recover(state, earlier)
    assert cancels(turn(state, SPOT, earlier + S)) == [1]


def test_a_resting_stop_whose_record_was_lost_may_fire_before_it_is_found():
    state, market = holds_long()
    state.next_id, state.ids_end = 10, 1_034
    step(state, IdsReserved(T0, 1_034, 2_058))
    armed = OrderUpdate(T0 + S, T0, PERP, "trigger_placed", "90", 12, "", SELL, 0, 9_000, 0, 0, "", "USER")
    step(state, armed)
    found = market.orders.find(12, "")
    assert (found.kind, found.state) == (TRIGGER, ARMED)
    step(state, fill(SELL, 8_990, 10, order="91", trade=2, related="90", symbol=PERP, done=True))
    assert found.state == FILLED
    assert market.ledger.lots == 0


# ---- fills ----


def test_a_fill_older_than_what_the_books_remember_is_not_booked_again():
    state = account()
    market = state.markets[SPOT]
    day = 86_400 * S
    first = fill(BUY, 9_900, 4, order="71", client=1, trade=1)
    rests(state, 1)
    step(state, first)
    rests(state, 2, slot=1, at=T0 + 3 * day)
    step(state, fill(BUY, 9_900, 5, order="72", client=2, trade=2, at_us=T0 + 3 * day))
    step(state, read(at_us=T0 + 3 * day + S, orders=(row(1, order="71", filled=4), row(2, order="72", filled=5)), fills=(first,)))
    assert market.ledger.lots == 9, "a start reads back to the oldest living order"
    again = AccountState()
    again.restore(state.image())
    step(again, read(at_us=T0 + 3 * day + 2 * S, orders=(row(1, order="71", filled=4), row(2, order="72", filled=5)), fills=(first,)))
    assert again.markets[SPOT].ledger.lots == 9


def test_the_child_of_a_trigger_whose_own_answer_was_lost_is_booked_by_one_read():
    state, market = holds_long()
    step(state, attempt(2, slot=TRIGGER_SLOT, role=STOP, side=SELL, kind=TRIGGER, flags=PROTECTIVE, ticks=0, trigger=9_000, symbol=PERP))
    step(state, PlaceUnknown(T0 + S, PERP, 2, "timeout"))
    sold = fill(SELL, 8_990, 10, order="91", trade=2, related="90", symbol=PERP, fee=USDC)
    step(state, sold)
    parent = row(2, order="90", status="triggered", is_open=False, side=SELL, ticks=0, symbol=PERP)
    child = row(NO_CLIENT_ID, order="91", status="filled", is_open=False, filled=10, side=SELL, ticks=0, symbol=PERP, related="90")
    step(state, read(PERP, at_us=T0 + 2 * S, history=(child, parent), fills=(sold,)))
    assert market.ledger.lots == 0
    assert market.orders.live == []
    assert market.orders.filled_ever[TRIGGER_SLOT] == 10, "the ladder must hear of it"


# ---- an unknown order ----


def unknown(state, client=1, **how):
    step(state, attempt(client, **how))
    step(state, PlaceUnknown(T0 + S, how.get("symbol", SPOT), client, "timeout"))
    order = state.markets[how.get("symbol", SPOT)].orders.find(client, "")
    assert order.state == UNKNOWN
    return order


def fence(state, client=1):
    at = T0 + WINDOW + SKEW_MARGIN_US + S
    step(state, LastPrice(at, at, SPOT, 10_001))
    step(state, Decided(at, SPOT, b"", b"", b"", (), (CancelAttempted(at, SPOT, client, "FENCE"),)))
    step(state, CancelAnswered(at, at, SPOT, client, "not_found"))
    return at + HIST_LAG_US + S


@pytest.mark.parametrize("quote", [11_000 * USDC, 9_000 * USDC])
def test_money_that_comes_or_goes_alone_cannot_be_the_unknown_order_and_does_not_hold_it_up(quote):
    state = account()
    order = unknown(state)
    at = fence(state)
    for n in range(5):
        step(state, read(at_us=at + n * S, quote=quote))
    assert order.state == PROVEN_ABSENT
    assert len(told(state, "alert.transfer")) == 1


def test_money_and_coins_that_move_together_may_be_the_unknown_order_and_hold_it_up():
    state = account()
    order = unknown(state)
    at = fence(state)
    for n in range(50):
        step(state, read(at_us=at + n * S, quote=9_990 * USDC, base=10**8))
    assert order.state == UNKNOWN


def test_money_and_coins_of_an_order_that_rests_no_more_are_its_fill_that_the_history_tells_later_and_no_transfer():
    state = account()
    order = rests(state, 1)
    step(state, read(at_us=T0 + S, orders=(row(1, order="71"),)))
    expected = dict(state.expected)
    for n in range(2, 8):
        step(state, read(at_us=T0 + n * S, quote=9_990 * USDC, base=10**8))
    assert order.is_live
    assert told(state, "alert.transfer") == []
    assert state.expected == expected, "what the fill will book is not booked twice"


def test_an_order_that_stays_unknown_is_told_once():
    state = account()
    unknown(state)
    for n in range(2, 300):
        step(state, read(at_us=T0 + n * S))
        step(state, Wake(T0 + n * S))
    assert len(told(state, "alert.unknown_long")) == 1


def test_an_end_whose_fills_never_come_is_told_too():
    state = account()
    order = rests(state, 1)
    step(state, OrderUpdate(T0 + S, T0, SPOT, "cancelled", "71", 1, "", BUY, 9_900, 0, 10, 4, "", "USER"))
    assert order.state == WORKING
    for n in range(2, 300):
        step(state, read(at_us=T0 + n * S))
        step(state, Wake(T0 + n * S))
    assert order.is_live, "four lots are said to be filled: the slot is not free"
    assert len(told(state, "alert.unknown_long")) == 1


def test_what_a_cancel_met_is_never_proven_absent():
    state = account()
    order = unknown(state)
    at = T0 + WINDOW + SKEW_MARGIN_US + S
    step(state, LastPrice(at, at, SPOT, 10_001))
    step(state, Decided(at, SPOT, b"", b"", b"", (), (CancelAttempted(at, SPOT, 1, "FENCE"),)))
    step(state, CancelAnswered(at, at, SPOT, 1, "cancelled", 4))
    step(state, Decided(at + S, SPOT, b"", b"", b"", (), (CancelAttempted(at + S, SPOT, 1, "FENCE"),)))
    step(state, CancelAnswered(at + S, at + S, SPOT, 1, "not_found"))
    step(state, read(at_us=at + 20 * S))
    assert order.state == UNKNOWN, "it was there and four lots of it were filled"
    step(state, fill(BUY, 9_900, 4, order="71", client=1))
    assert order.state == CANCELLED


def test_a_word_that_nobody_knows_does_not_cost_a_resting_stop():
    state, market = holds_long()
    stop = rests(state, 2, slot=TRIGGER_SLOT, role=STOP, side=SELL, kind=TRIGGER, flags=PROTECTIVE, ticks=0, trigger=9_000, symbol=PERP)
    late = T0 + 600 * S
    wanted = want(TRIGGER_SLOT, SELL, 0, 10, role=STOP, kind=TRIGGER, flags=PROTECTIVE, generation=1, trigger_ticks=9_000)
    bind(state, wanted, symbol=PERP)
    step(state, MarkPrice(late, late, PERP, 10_001, 10_001, 0, 0))
    step(state, OrderUpdate(late, late, PERP, "triggerPondered", "72", 2, "", SELL, 0, 9_000, 0, 0, "", "USER"))
    assert stop.state == UNKNOWN
    assert cancels(turn(state, PERP, late)) == [], "the exchange had accepted it: it is looked for before it is cancelled"
    armed = row(2, order="72", status="armed", side=SELL, ticks=0, symbol=PERP)
    step(state, read(PERP, at_us=late + S, orders=(armed,), positions=(VenuePosition(late, late, PERP, 10),)))
    assert market.orders.find(2, "").state == ARMED


# ---- protection ----


@pytest.mark.parametrize("code", ["INVALID_ORDER", "INSUFFICIENT_MARGIN", "INVALID_PRICE"])
def test_a_stop_that_is_refused_again_and_again_is_tried_within_seconds_and_not_within_a_minute(code):
    state, market = holds_long()
    for n in range(2, 9):
        step(state, attempt(n, slot=STOP_SLOT, role=STOP, side=SELL, kind=TAKE, flags=REDUCE_ONLY, at=T0 + n * S, symbol=PERP))
        step(state, PlaceRefused(T0 + n * S, PERP, n, code, "no"))
    assert market.retry_us[STOP_SLOT] <= T0 + 8 * S + 2 * S
    assert len(told(state, "alert.refused_again")) == 1


@pytest.mark.parametrize(
    ("code", "kind", "slot", "after_us", "says"),
    [
        ("INVALID_PRICE", TRIGGER, TRIGGER_SLOT, 0, "a TRIGGER goes by the mark: no book has to come first"),
        ("TOO_MANY_REQUESTS", TAKE, STOP_SLOT, 0, "a throttle had nothing to do with the price"),
        ("INVALID_PRICE", TAKE, STOP_SLOT, 5 * S, "a price that was refused waits for a newer book, and not for ever"),
    ],
)
def test_in_a_market_that_says_nothing_a_refused_stop_goes_again_when_its_time_has_come(code, kind, slot, after_us, says):
    state, market = holds_long()
    step(state, attempt(2, slot=slot, role=STOP, side=SELL, kind=kind, flags=PROTECTIVE, at=T0, symbol=PERP))
    step(state, PlaceRefused(T0, PERP, 2, code, "no"))
    due_us = market.retry_us[slot] + after_us
    assert 0 < market.retry_us[slot] <= T0 + 2 * S
    prepare(state, market, due_us - 1)
    assert market.view.retry_us[slot] > 0, says
    prepare(state, market, due_us)
    assert market.view.retry_us[slot] == 0, says


def test_flatten_keeps_the_resting_stop_until_flat_though_the_strategy_has_failed():
    state, market = holds_long()
    rests(state, 2, slot=TRIGGER_SLOT, role=STOP, side=SELL, kind=TRIGGER, flags=PROTECTIVE, ticks=0, trigger=9_000, symbol=PERP)
    rests(state, 3, slot=1, symbol=PERP)
    bind(state, symbol=PERP, answer=0)
    step(state, UserCommand(T0 + S, "flatten", "", "test"))
    commands = turn(state, PERP, T0 + S)
    assert cancels(commands) == [3]
    assert [(c.side, c.kind, c.qty_lots) for c in commands if type(c) is Place] == [(SELL, TAKE, 10)]
    placed = next(c for c in commands if type(c) is Place)
    step(state, PlaceAccepted(T0 + 2 * S, T0, PERP, placed.client_id, "99", "working", 0))
    step(state, fill(SELL, 10_000, 10, order="99", client=placed.client_id, trade=9, symbol=PERP, done=True))
    assert market.ledger.lots == 0
    assert cancels(turn(state, PERP, T0 + 2 * S)) == [2], "flat: nothing is left to protect"


def test_flatten_sells_no_further_than_the_exchanges_band():
    state, market = holds_long()
    bind(state, symbol=PERP)
    step(state, UserCommand(T0 + S, "flatten", "", "test"))
    step(state, LastPrice(T0 + S, T0 + S, PERP, 10_001))
    i = market.instrument
    market.instrument = msgspec.structs.replace(i, low_ppm=990_000, high_ppm=1_010_000)
    commands = turn(state, PERP, T0 + S)
    assert [c.price_ticks for c in commands if type(c) is Place] == [9_901], "the band's bound, not the cap beyond it"


def test_flatten_buys_a_short_back():
    state = account(perp())
    step(state, MarkPrice(T0, T0, PERP, 10_001, 10_001, 0, 0))
    rests(state, 1, side=SELL, ticks=10_000, symbol=PERP)
    step(state, fill(SELL, 10_000, 10, order="71", client=1, symbol=PERP, done=True))
    bind(state, symbol=PERP)
    step(state, UserCommand(T0 + S, "flatten", "", "test"))
    commands = turn(state, PERP, T0 + S)
    assert [(c.side, c.kind, c.flags, c.qty_lots) for c in commands if type(c) is Place] == [(BUY, TAKE, REDUCE_ONLY, 10)]


def test_kill_withdraws_what_opens_in_a_market_that_no_strategy_runs_in():
    state, market = holds_long()
    rests(state, 2, slot=TRIGGER_SLOT, role=STOP, side=SELL, kind=TRIGGER, flags=PROTECTIVE, ticks=0, trigger=9_000, symbol=PERP)
    rests(state, 3, slot=1, symbol=PERP)
    rests(state, 4, slot=EXIT_SLOT, role=EXIT, side=SELL, kind=LIMIT, flags=REDUCE_ONLY, ticks=10_100, symbol=PERP)
    assert market.binding is None
    assert cancels(turn(state, PERP, T0 + S)) == [], "nobody has said what shall become of them"
    step(state, UserCommand(T0 + S, "kill", "", "test"))
    assert cancels(turn(state, PERP, T0 + S)) == [3, 4], "the stop stays"


# ---- a frozen market ----


def mismatched(state, *, venue=4, at=T0, reads=3):
    for n in range(reads):
        step(state, read(PERP, at_us=at + n * S, positions=(VenuePosition(at, at, PERP, venue),)))


def test_a_position_that_agrees_again_thaws_its_market_after_a_restart_too():
    state, _ = holds_long()
    mismatched(state)
    assert state.markets[PERP].frozen == "POSITION_MISMATCH"
    again = AccountState()
    again.restore(state.image())
    mismatched(again, venue=10, at=T0 + 60 * S, reads=1)
    assert again.markets[PERP].frozen == ""


def test_resume_does_not_hide_a_position_that_still_differs():
    state, market = holds_long()
    mismatched(state, reads=6)
    step(state, UserCommand(T0 + 9 * S, "resume", "", "test"))
    assert market.frozen == "POSITION_MISMATCH", "no fill explains it: nothing is taken over and nothing opens"
    assert len(told(state, "alert.position_unproven")) == 1
    mismatched(state, at=T0 + 10 * S)
    assert len(told(state, "alert.position_mismatch")) == 2


def test_a_frozen_market_still_leaves_by_exit_and_stop():
    state, market = holds_long()
    mismatched(state, at=T0)
    assert market.frozen
    bind(
        state,
        want(1, BUY, 9_800, 10, generation=2),
        want(EXIT_SLOT, SELL, 10_100, 10, role=EXIT, kind=LIMIT, flags=REDUCE_ONLY),
        want(TRIGGER_SLOT, SELL, 0, 10, role=STOP, kind=TRIGGER, flags=PROTECTIVE, trigger_ticks=9_000),
        symbol=PERP,
    )
    assert [c.kind for c in turn(state, PERP, T0 + 2 * S) if type(c) is Place] == [TRIGGER, LIMIT]


@pytest.mark.parametrize("action", ["kill", "stop", "flatten"])
def test_no_command_takes_the_resting_stop_from_a_position(action):
    state, market = holds_long()
    rests(state, 2, slot=TRIGGER_SLOT, role=STOP, side=SELL, kind=TRIGGER, flags=PROTECTIVE, ticks=0, trigger=9_000, symbol=PERP)
    wanted = want(TRIGGER_SLOT, SELL, 0, 10, role=STOP, kind=TRIGGER, flags=PROTECTIVE, generation=1, trigger_ticks=9_000)
    bind(state, wanted, symbol=PERP)
    step(state, UserCommand(T0 + S, action, "", "test"))
    assert 2 not in cancels(turn(state, PERP, T0 + S))
    assert market.orders.find(2, "").state != CANCELLING
