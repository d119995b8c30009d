"""What lasts too long is told once, and told again when it is over; a pair that ends alone leaves the others alone."""

from dataclasses import dataclass

import pytest
from tests.core.make import T0, USDC, account, fill, perp, read, spot

from lemon_trader.core.decide import decide, prepare
from lemon_trader.core.events import (
    Anchor,
    Attempted,
    BookSnapshot,
    Decided,
    FeedState,
    IdsReserved,
    LastPrice,
    OrderUpdate,
    PlaceAccepted,
    PlaceUnknown,
    Started,
    Told,
    UserCommand,
    Wake,
)
from lemon_trader.core.market import Binding
from lemon_trader.core.records import STOP_SLOT, TRIGGER_SLOT, write_band
from lemon_trader.core.state import TOLD_MAX, AccountState
from lemon_trader.core.step import step
from lemon_trader.core.units import ACTIVE, BUY, EXIT, LAYER, LIMIT, POST_ONLY, QUOTE, REDUCING, SELL, STOP, TAKE, TRIGGER, US_PER_S

S = US_PER_S
SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"


def told(state, key):
    return [a for a in state.alerts if a.key == key]


def attempt(symbol, client, *, slot=0, role=QUOTE, side=BUY, kind=POST_ONLY, lots=10, ticks=9_900, trigger=0, at=T0):
    return Decided(
        at,
        symbol,
        b"",
        b"",
        b"",
        (Attempted(at, symbol, client, slot, 0, role, side, kind, 0, ticks, trigger, lots, lots, at + 5 * S),),
        (),
    )


def live_second(state, second, *, public=True, account_read=True):
    """One second of a life in which the named sources speak."""
    at = T0 + second * S
    if public:
        step(state, LastPrice(at, at, next(iter(state.markets)), 10_001))
    if account_read and second % 15 == 0:
        step(state, read(next(iter(state.markets)), at_us=at))
    step(state, Wake(at))


SOURCES = [
    ("the public stream is silent", "public", {"public": False}),
    ("the account cannot be read", "account", {"account_read": False}),
]


@pytest.mark.parametrize(("says", "source", "silent"), SOURCES, ids=[s[0] for s in SOURCES])
def test_a_source_that_is_lost_for_two_minutes_is_told_once_and_told_when_it_is_back(says, source, silent):
    state = account()
    for n in range(1, 118):
        live_second(state, n, **silent)
    assert not told(state, "alert.feed_lost"), "a hiccup is nobody's business"
    for n in range(118, 400):
        live_second(state, n, **silent)
    lost = told(state, "alert.feed_lost")
    assert [(a.values["source"], a.grade) for a in lost] == [(source, "grave")]
    assert int(lost[0].values["seconds"]) == 120
    for n in range(400, 440):
        live_second(state, n)
    assert [a.values["source"] for a in told(state, "alert.feed_back")] == [source]


def test_a_stream_that_is_down_counts_as_lost_though_reads_go_on():
    state = account()
    step(state, FeedState(T0, "private", up=False, reason="reset"))
    for n in range(1, 200):
        live_second(state, n)
    assert [a.values["source"] for a in told(state, "alert.feed_lost")] == ["private"]


def test_a_new_life_watches_for_itself():
    state = account()
    for n in range(1, 200):
        live_second(state, n, public=False)
    assert told(state, "alert.feed_lost")
    step(state, Told(T0 + 200 * S, "alert.feed_lost", "grave", {}))
    assert state.told
    step(state, IdsReserved(T0 + 900 * S, 2_000, 3_024))
    assert not state.told
    assert not state.lost_us
    state.alerts.clear()
    step(state, Wake(T0 + 901 * S))
    assert not state.alerts, "two minutes begin anew"


def guarded(lots):
    """A perpetual's position whose strategy wants a resting stop."""
    state = account(perp())
    m = state.markets[PERP]
    m.ledger.book(fill(BUY if lots > 0 else SELL, 10_000, abs(lots), symbol=PERP))
    row = m.out[1]
    row.slot, row.role, row.kind, row.side, row.trigger_ticks = TRIGGER_SLOT, STOP, TRIGGER, SELL if lots > 0 else BUY, 9_000
    m.rows_used = 2
    return state, m


@pytest.mark.parametrize(("lots", "side"), [(10, SELL), (-10, BUY)])
def test_a_position_without_its_stop_is_told_after_five_seconds_and_when_the_stop_rests(lots, side):
    state, _ = guarded(lots)
    for n in range(1, 5):
        step(state, Wake(T0 + n * S))
    assert not told(state, "alert.unprotected")
    for n in range(5, 30):
        step(state, Wake(T0 + n * S))
    found = told(state, "alert.unprotected")
    assert [a.grade for a in found] == ["grave"]
    assert found[0].values["held"] == ("0.1" if lots > 0 else "-0.1")
    step(state, attempt(PERP, 1, slot=TRIGGER_SLOT, role=STOP, side=side, kind=TRIGGER, trigger=9_000, ticks=0))
    step(state, Wake(T0 + 31 * S))
    assert not told(state, "alert.protected"), "what is only in flight protects nothing"
    step(state, PlaceAccepted(T0 + 32 * S, T0, PERP, 1, "55", "armed", 0))
    step(state, Wake(T0 + 32 * S))
    assert len(told(state, "alert.protected")) == 1


def test_a_stop_on_the_wrong_side_protects_nothing():
    state, _ = guarded(10)
    step(state, attempt(PERP, 1, slot=TRIGGER_SLOT, role=STOP, side=BUY, kind=TRIGGER, trigger=9_000, ticks=0))
    step(state, PlaceAccepted(T0, T0, PERP, 1, "55", "armed", 0))
    for n in range(1, 10):
        step(state, Wake(T0 + n * S))
    assert told(state, "alert.unprotected")


def test_a_flat_market_and_one_that_wants_no_stop_are_not_unprotected():
    state, m = guarded(10)
    m.rows_used = 1
    for n in range(1, 10):
        step(state, Wake(T0 + n * S))
    assert not told(state, "alert.unprotected")


def test_an_outcome_that_stays_unknown_is_told_even_when_the_account_cannot_be_read():
    state = account()
    step(state, attempt(SPOT, 1))
    step(state, PlaceUnknown(T0 + S, SPOT, 1, "no answer"))
    for n in range(2, 62):
        step(state, Wake(T0 + n * S))
    assert not told(state, "alert.unknown_long")
    for n in range(62, 300):
        step(state, Wake(T0 + n * S))
    (alert,) = told(state, "alert.unknown_long")
    assert (alert.values["quantity"], alert.values["price"]) == ("0.1", "99")


def test_a_stop_is_told_when_it_begins_to_sell_and_with_its_loss_when_it_is_done():
    state = account(base=0)
    step(state, attempt(SPOT, 1, role=LAYER, kind=LIMIT, lots=20, ticks=10_000))
    step(state, fill(BUY, 10_000, 20, client=1, order="7", trade=1))
    assert not state.alerts
    step(state, attempt(SPOT, 2, slot=STOP_SLOT, role=STOP, side=SELL, kind=TAKE, lots=20, ticks=9_000))
    step(state, fill(SELL, 9_000, 5, client=2, order="8", trade=2))
    step(state, fill(SELL, 9_000, 5, client=2, order="8", trade=3))
    fired = told(state, "alert.stop_fired")
    assert [(a.values["quantity"], a.values["price"], a.values["held"]) for a in fired] == [("0.05", "90", "0.15")]
    step(state, fill(SELL, 8_000, 10, client=2, order="8", trade=4))
    (done,) = told(state, "alert.stop_done")
    assert done.values["realised"] == "-3", "0.1 at -10 and 0.1 at -20"


def test_a_flatten_that_sells_is_told_as_what_it_is():
    state = account(base=0)
    step(state, attempt(SPOT, 1, role=LAYER, kind=LIMIT, lots=20, ticks=10_000))
    step(state, fill(BUY, 10_000, 20, client=1, order="7", trade=1))
    step(state, UserCommand(T0, "flatten", "", "cli"))
    step(state, attempt(SPOT, 2, slot=STOP_SLOT, role=STOP, side=SELL, kind=TAKE, lots=20, ticks=9_000))
    step(state, fill(SELL, 9_000, 20, client=2, order="8", trade=2))
    assert not told(state, "alert.stop_fired")
    assert not told(state, "alert.stop_done")
    assert told(state, "alert.flatten_fired")[0].values["quantity"] == "0.2"
    assert told(state, "alert.flatten_done")[0].values["realised"] == "-2"


def test_a_stop_that_is_given_again_is_told_once():
    state = account()
    for origin in ("cli", "command"):
        step(state, UserCommand(T0, "stop", "", origin))
    assert [a.values["origin"] for a in told(state, "alert.command_stop")] == ["cli"]


def test_an_exit_is_no_stop():
    state = account()
    step(state, attempt(SPOT, 1, role=LAYER, kind=LIMIT, lots=20, ticks=10_000))
    step(state, fill(BUY, 10_000, 20, client=1, order="7", trade=1))
    step(state, attempt(SPOT, 2, slot=32, role=EXIT, side=SELL, kind=LIMIT, lots=20, ticks=10_500))
    step(state, fill(SELL, 10_500, 20, client=2, order="8", trade=2))
    assert not state.alerts


def test_a_day_that_ends_is_told_with_what_it_made():
    state = account()
    state.has_anchor = False
    step(state, Anchor(T0, "day", 0, 19_675))
    assert not told(state, "alert.digest"), "the first anchor ends no day"
    step(state, Anchor(T0 + 86_400 * S, "day", 1_500_000_000, 19_676))
    step(state, Anchor(T0 + 2 * 86_400 * S, "day", 1_000_000_000, 19_677))
    assert [(a.values["day"], a.values["made"], a.values["net"]) for a in told(state, "alert.digest")] == [
        ("2023-11-14", "1.5", "1.5"),
        ("2023-11-15", "-0.5", "1"),
    ]


def test_the_banner_keeps_the_latest_and_no_more():
    state = account()
    for n in range(TOLD_MAX + 5):
        step(state, Told(T0 + n, "alert.venue_status", "warn", {"status": str(n)}))
    assert [a.values["status"] for a in state.told] == [str(n) for n in range(5, TOLD_MAX + 5)]


# -- one pair of several --


def two_pairs():
    state = account(spot())
    state.add_market(perp())
    step(state, BookSnapshot(T0, T0, PERP, 10, ((10_000, 500),), ((10_002, 500),)))

    def targets(_params, view, _position, _memory, out):
        for n, (role, slot, side, ticks) in enumerate(((QUOTE, 0, BUY, 9_900), (EXIT, 32, SELL, 10_500)), 1):
            row = out[n]
            row.slot, row.generation, row.role, row.side, row.kind, row.price_ticks, row.qty_lots = slot, 0, role, side, LIMIT, ticks, 10
        write_band(out, 0, 0, 0)
        return 3

    for m in state.markets.values():
        m.binding = Binding("test", targets, None, Empty(), lambda *_: (0, 0), 1_000 * USDC)
    return state


@dataclass(slots=True)
class Empty:
    """A strategy's memory without a field."""


def roles(state, symbol):
    m = state.markets[symbol]
    decide(state, m, T0 + S, T0 + 6 * S)
    return [row.role for row in m.out[1 : m.rows_used]]


def test_a_pair_that_is_stopped_alone_drops_what_opens_and_keeps_what_closes():
    state = two_pairs()
    step(state, UserCommand(T0, "stop", SPOT, "duration"))
    assert state.mode == ACTIVE
    assert roles(state, SPOT) == [EXIT]
    assert roles(state, PERP) == [QUOTE, EXIT]
    assert [a.values["symbol"] for a in told(state, "alert.pair_ended")] == [SPOT]
    step(state, UserCommand(T0, "stop", SPOT, "duration"))
    assert len(told(state, "alert.pair_ended")) == 1
    for m in state.markets.values():
        prepare(state, m, T0)
    assert (state.markets[SPOT].view.may_open, state.markets[PERP].view.may_open) == (0, 1)


def test_what_ended_a_pair_is_lifted_by_its_own_start_and_by_no_resume():
    state = two_pairs()
    step(state, UserCommand(T0, "stop", SPOT, "duration"))
    step(state, UserCommand(T0, "resume", "", "cli"))
    step(state, Started(T0, "test", PERP, 1, 0, 0, {}, "sandbox"))
    assert roles(state, SPOT) == [EXIT]
    step(state, Started(T0, "test", SPOT, 1, 0, 0, {}, "sandbox"))
    assert roles(state, SPOT) == [QUOTE, EXIT]


def test_a_latch_is_stronger_than_the_end_of_a_pair():
    state = two_pairs()
    step(state, UserCommand(T0, "stop", SPOT, "duration"))
    step(state, UserCommand(T0, "kill", "", "cli"))
    assert roles(state, SPOT) == []


def test_a_checkpoint_remembers_that_a_pair_has_ended_and_reads_older_ones():
    state = two_pairs()
    step(state, UserCommand(T0, "stop", SPOT, "duration"))
    image = state.image()
    again = AccountState()
    again.restore(image)
    assert (again.markets[SPOT].ended, again.markets[PERP].ended) == (True, False)
    for market in image["markets"].values():
        del market["ended"]
    older = AccountState()
    older.restore(image)
    assert not older.markets[SPOT].ended


def test_an_order_of_the_ended_pair_is_cancelled_though_the_account_is_active():
    state = two_pairs()
    m = state.markets[SPOT]
    step(state, attempt(SPOT, 1, ticks=9_900, lots=10))
    step(state, OrderUpdate(T0, T0, SPOT, "accepted", "70", 1, "", BUY, 9_900, 0, 10, 0, "", "USER"))
    step(state, UserCommand(T0, "stop", SPOT, "duration"))
    decided, _ = decide(state, m, T0 + S, T0 + 6 * S)
    assert decided is not None
    assert [c.client_id for c in decided.cancels] == [1]
    assert m.limits.mode == REDUCING
