"""Commands and facts that are under way for a while: who hears what when, and what it costs."""

from contextlib import suppress

from tests.matching.worlds import SPOT, UNIT, T, spot

from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import AccountRead, Balance, BookDelta, CancelAnswered, Fill, PlaceAccepted, PublicTrade, Wake
from lemon_trader.core.units import BUY, LIMIT, SELL, TAKE, US_PER_S
from lemon_trader.market.acts import Level, Take, apply
from lemon_trader.market.chance import Chance
from lemon_trader.matching.exchange import Exchange
from lemon_trader.matching.orders import NewOrder, Refused
from lemon_trader.matching.rules import Rules
from lemon_trader.venues.replay import ReplayVenue, apply_together, play

MS = 1_000
ENTRY, ANSWER, FEED = 30 * MS, 20 * MS, 10 * MS


class Steady:
    """Every message takes as long as the last."""

    def entry_us(self):
        return ENTRY

    def answer_us(self):
        return ANSWER

    def feed_us(self):
        return FEED


class Told:
    """An engine in name: it keeps what it hears, and sends what the test says at a moment."""

    def __init__(self, *script, delays=None, rules=None):
        self.exchange = Exchange([spot()], rules or Rules())
        self.exchange.advance(T)
        self.exchange.open_account("ann", {"USDC": 10_000 * UNIT, "SOL": 100 * UNIT})
        self.venue = ReplayVenue(self.exchange, "ann", delays or Steady())
        self.script = list(script)  # (from when on, command)
        self.heard = []  # (engine time, fact)

    def turn(self, facts):
        now_us = self.venue.now_us
        self.heard += [(now_us, fact) for fact in facts]
        assert max(fact.ts_us for fact in facts) <= now_us, "nothing is heard before its time"
        while self.script and now_us >= self.script[0][0]:
            self.venue.send([self.script.pop(0)[1]])

    def play(self, *acts, **more):
        book = [Level(T, SPOT, BUY, 9_900, 50), Level(T, SPOT, SELL, 10_100, 50)]
        play([*book, *acts], self.venue, self.turn, [SPOT], **{"quiet_us": 60 * US_PER_S, "wake_us": lambda: 0} | more)
        return self

    def when(self, kind):
        return [at_us - T for at_us, fact in self.heard if isinstance(fact, kind)]


def buy(price, lots=10, kind=LIMIT, client_id=1):
    return Place(SPOT, client_id, BUY, kind, 0, price, 0, lots)


def test_a_place_reaches_the_exchange_late_and_its_answer_comes_later_still():
    told = Told((T, buy(9_950))).play(Level(T + US_PER_S, SPOT, BUY, 9_000, 1))
    (answered,) = told.when(PlaceAccepted)
    sent = told.when(Wake)[0]
    assert answered == sent + ENTRY + ANSWER
    (order,) = told.exchange.open_orders("ann")
    assert order.created_us == T + sent + ENTRY


def test_public_facts_come_with_the_feed_and_account_facts_with_the_answers():
    told = Told((T, buy(9_950))).play(Take(T + US_PER_S, SPOT, SELL, 4, 9_950))
    assert told.when(PublicTrade) == [US_PER_S + FEED]
    assert told.when(Fill) == [US_PER_S + ANSWER]
    assert US_PER_S + ANSWER in told.when(Balance)
    (fill,) = (fact for _, fact in told.heard if isinstance(fact, Fill))
    assert fill.venue_us == T + US_PER_S
    assert fill.ts_us == T + US_PER_S + ANSWER


def test_what_trades_before_the_order_arrives_does_not_meet_it():
    early, late = Take(T + ENTRY - 1, SPOT, SELL, 4, 9_950), Take(T + ENTRY + 1, SPOT, SELL, 4, 9_950)
    assert not Told((T, buy(9_950))).play(early, Level(T + US_PER_S, SPOT, BUY, 9_000, 1)).when(Fill)
    assert Told((T, buy(9_950))).play(late, Level(T + US_PER_S, SPOT, BUY, 9_000, 1)).when(Fill)


def test_a_cancel_that_is_under_way_does_not_save_an_order():
    script = ((T, buy(9_950)), (T + US_PER_S, Cancel(SPOT, 1)))
    told = Told(*script).play(Level(T + US_PER_S, SPOT, BUY, 9_000, 1), Take(T + US_PER_S + 2 * MS, SPOT, SELL, 50, 9_950))
    assert told.when(Fill)
    (answer,) = (fact for _, fact in told.heard if isinstance(fact, CancelAnswered))
    assert answer.outcome == "not_found"


def test_the_taker_delay_begins_when_the_order_arrives():
    told = Told((T, buy(10_100, kind=TAKE)), rules=Rules(taker_delay_us=100 * MS)).play(Level(T + US_PER_S, SPOT, BUY, 9_000, 1))
    assert told.when(PlaceAccepted) == [ENTRY + ANSWER]
    assert told.when(Fill) == [ENTRY + 100 * MS + ANSWER]


def test_no_message_overtakes_an_earlier_one_of_its_direction():
    class Falling(Steady):
        waits = iter((5 * MS, 80 * MS))  # the read of the account goes first

        def entry_us(self):
            return next(self.waits, 5 * MS)

    script = ((T, buy(9_950)), (T, buy(9_940, client_id=2)))
    told = Told(*script, delays=Falling()).play(Level(T + US_PER_S, SPOT, BUY, 9_000, 1))
    first, second = told.exchange.open_orders("ann")
    assert (first.client_id, second.client_id) == (1, 2)
    assert first.created_us == second.created_us == T + 80 * MS


def test_a_read_of_the_account_is_as_old_as_its_way():
    told = Told().play(Level(T + US_PER_S, SPOT, BUY, 9_000, 1))
    (at_us, read), *_ = ((at, fact) for at, fact in told.heard if isinstance(fact, AccountRead))
    assert at_us - read.begun_us == ENTRY + ANSWER


def test_seconds_pass_between_two_acts_and_stop_in_a_hole_of_the_recording():
    near = Told().play(Level(T + 5 * US_PER_S, SPOT, BUY, 9_000, 1))
    assert len(near.when(Wake)) >= 5
    hole = Told().play(Level(T + 3_600 * US_PER_S, SPOT, BUY, 9_000, 1))
    assert len(hole.when(Wake)) <= 64
    assert max(w for w in hole.when(Wake) if w < 3_000 * US_PER_S) < 61 * US_PER_S


def test_the_engine_is_woken_when_it_wants_to_be():
    wanted = [T + 2_345_678]
    told = Told().play(Level(T + 5 * US_PER_S, SPOT, BUY, 9_000, 1), wake_us=lambda: wanted[0])
    assert 2_345_678 in told.when(Wake)


def test_without_delays_and_without_passing_time_it_is_as_it_always_was():
    told = Told((T, buy(9_950)))
    told.venue = ReplayVenue(told.exchange, "ann")
    play([Level(T, SPOT, SELL, 10_100, 50), Take(T + 10 * US_PER_S, SPOT, SELL, 4, 9_950)], told.venue, told.turn, [SPOT])
    assert told.when(PlaceAccepted) == [0]
    assert told.when(Fill) == [10 * US_PER_S]
    assert len(told.when(Wake)) == 2
    assert any(isinstance(fact, BookDelta) for _, fact in told.heard)


def test_levels_that_are_stated_in_one_go_leave_the_exchange_as_one_after_the_other_does():
    def lived(carry_out):
        exchange = Exchange([spot()])
        exchange.open_account("ann", {"USDC": 10_000 * UNIT, "SOL": 100 * UNIT})
        rng = Chance("levels", 7)
        for step in range(250):
            now_us = T + step * MS
            side, ticks = (BUY, SELL)[rng.below(2)], 9_950 + rng.below(100)
            batch = [
                Level(now_us, SPOT, BUY if (t := 9_950 + rng.below(100)) < 10_000 + rng.below(7) - 3 else SELL, t, rng.below(4) * 5)
                for _ in range(1 + rng.below(12))
            ]
            if rng.below(3) == 0:
                batch.insert(rng.below(len(batch) + 1), Take(now_us, SPOT, side, 7, ticks))
            if rng.below(4) == 0:
                with suppress(Refused):
                    exchange.place("ann", NewOrder(symbol=SPOT, side=side, lots=3, ticks=ticks), now_us)
            carry_out(batch, exchange)
            exchange.check_closed()
        account = exchange.accounts["ann"]
        fills = [(f.at_us, f.side, f.ticks, f.lots, f.is_maker) for f in account.fills]
        return exchange.depth(SPOT).bids, exchange.depth(SPOT).asks, fills, [(o.ticks, o.executed_lots) for o in account.live.values()]

    def one_by_one(batch, exchange):
        for act in batch:
            apply(act, exchange)

    together = lived(apply_together)
    assert together == lived(one_by_one)
    assert len(together[2]) > 20, "without fills nothing was met"
