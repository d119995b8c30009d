"""The order path: every command is answered exactly once, nothing is sent twice, cancels never wait behind quotes."""

import asyncio
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.api.servers import URL, MemoryServer
from tests.fake_env import FakeEnv
from tests.virtual_time import run

from lemon_trader.api.order_wire import BATCH_MAX, NOT_SENT, OrderWire
from lemon_trader.core.commands import Cancel, Place
from lemon_trader.core.events import CancelAnswered, PlaceAccepted, PlaceRefused, PlaceUnknown
from lemon_trader.core.instrument import instrument
from lemon_trader.core.units import BUY, LIMIT, POST_ONLY, REDUCE_ONLY, SELL, TAKE, TRIGGER, WHOLE_POSITION
from lemon_trader.exchanges.catalog import exchange, signer
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import PROTECT, RateBudget

SOL = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01")
MARKETS = {SOL.symbol: SOL}
SECRET = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="  # the published seed of RFC 8032's first test
MS = 1_000
S = 1_000_000


def place(client_id, kind=POST_ONLY, flags=0):
    trigger = 9_000 if kind == TRIGGER else 0
    return Place(SOL.symbol, client_id, SELL if kind == TRIGGER else BUY, kind, flags, 0 if trigger else 10_000, trigger, 100)


def cancel(client_id, order_id=""):
    return Cancel(SOL.symbol, client_id, order_id)


def order_row(body):
    row = {"id": str(9_000 + body.get("clientId", 0)), "clientId": body.get("clientId"), "symbol": body["symbol"], "side": body["side"]}
    return {
        **row,
        "status": "New",
        "orderType": "Limit",
        "createdAt": 1_790_000_000_000,
        "executedQuantity": "0",
        "quantity": "1",
        "price": "100",
    }


def honest(asked):
    """An exchange that takes every order and every cancel."""
    if asked.method == "DELETE":
        body = json.loads(asked.body)
        asked.answer(200, json.dumps({**order_row({**body, "side": "Bid"}), "status": "Cancelled"}).encode())
    elif asked.path.endswith("/orders"):
        asked.answer(200, json.dumps([{"operation": "Ok", **order_row(body)} for body in json.loads(asked.body)]).encode())
    elif asked.path.endswith("/order"):
        asked.answer(200, json.dumps(order_row(json.loads(asked.body))).encode())
    else:
        asked.answer(200, b"1790000000000")


class Rig:
    def __init__(self, respond=honest, *, seed=0, **options):
        self.env = FakeEnv(asyncio.get_running_loop(), seed)
        self.server = MemoryServer(self.env, respond)
        self.clock = VenueClock()
        self.clock.sample(self.env.now_us(), self.env.now_us(), self.env.now_us() // 1_000)
        self.rate = RateBudget()
        self.calls = []
        self.in_send = False
        self.wire = OrderWire(
            self.env, URL, exchange("backpack").dialect(), signer("backpack", SECRET), self.clock, self.rate, MARKETS, self.sink, **options
        )

    def sink(self, facts):
        assert not self.in_send, "the sink was called before send returned"
        assert facts
        self.calls.append(list(facts))

    def send(self, *commands):
        self.in_send = True
        self.wire.send(commands)
        self.in_send = False

    @property
    def facts(self):
        return [fact for call in self.calls for fact in call]

    def bodies(self):
        """(method, client ids) of every order request in the order of arrival."""
        found = []
        for asked in self.server.asked:
            if asked.body:
                body = json.loads(asked.body)
                found.append(
                    (asked.method, [row.get("clientId", row.get("orderId")) for row in (body if isinstance(body, list) else [body])])
                )
        return found

    async def up(self):
        self.wire.start()
        await self.env.sleep(10 * MS)
        assert self.wire.is_up


def play(script, respond=honest, **options):
    async def main():
        rig = Rig(respond, **options)
        result = await script(rig)
        rig.env.check()
        return result

    return run(main)


def kinds(facts):
    return Counter(type(fact) for fact in facts)


# ---- how commands leave ----


def test_places_of_a_turn_leave_as_one_batch_and_cancels_each_alone_all_at_once():
    async def script(rig):
        await rig.up()
        now_us = rig.env.now_us()
        rig.send(place(1), cancel(50), place(2), cancel(51), place(3))
        await rig.env.sleep(1 * MS)
        assert {asked.at_us - now_us for asked in rig.server.asked} == {1 * MS}
        assert sorted(rig.bodies()) == [("DELETE", [50]), ("DELETE", [51]), ("POST", [1, 2, 3])]
        await rig.env.sleep(10 * MS)
        assert kinds(rig.facts) == {PlaceAccepted: 3, CancelAnswered: 2}
        assert sorted(len(call) for call in rig.calls) == [1, 1, 3]

    play(script)


def test_a_single_place_is_no_batch():
    async def script(rig):
        await rig.up()
        rig.send(place(7))
        await rig.env.sleep(10 * MS)
        assert rig.server.targets() == ["POST /api/v1/order"]
        assert [type(fact) for fact in rig.facts] == [PlaceAccepted]
        assert rig.facts[0].client_id == 7

    play(script)


def test_a_turn_larger_than_a_batch_is_split_and_each_part_is_signed():
    async def script(rig):
        await rig.up()
        rig.send(*(place(n) for n in range(BATCH_MAX + 5)))
        await rig.env.sleep(100 * MS)
        assert [ids for _, ids in rig.bodies()] == [list(range(BATCH_MAX)), list(range(BATCH_MAX, BATCH_MAX + 5))]
        assert kinds(rig.facts) == {PlaceAccepted: BATCH_MAX + 5}

    play(script)


@pytest.mark.parametrize(
    ("kind", "flags"), [(TAKE, 0), (TRIGGER, WHOLE_POSITION), (LIMIT, REDUCE_ONLY)], ids=["a take", "a stop", "an order that only reduces"]
)
def test_protection_does_not_wait_for_the_connection_of_quotes(kind, flags):
    def slow_posts(asked):
        asked.end._env.call_later(200 * MS, lambda: honest(asked))

    async def script(rig):
        await rig.up()
        rig.send(place(1))
        await rig.env.sleep(5 * MS)
        rig.send(place(2), place(3, kind, flags))
        await rig.env.sleep(5 * MS)
        assert [ids for _, ids in rig.bodies()] == [[1], [3]]

    play(script, slow_posts)


def test_quotes_never_take_the_connections_of_cancels():
    def never(asked):
        if asked.method == "DELETE":
            honest(asked)

    async def script(rig):
        await rig.up()
        for n in range(30):
            rig.send(place(n))
        rig.send(cancel(99))
        await rig.env.sleep(10 * MS)
        assert rig.bodies() == [("POST", [0]), ("DELETE", [99])]
        assert [type(fact) for fact in rig.facts] == [CancelAnswered]

    play(script, never)


def test_a_cancel_never_overtakes_its_own_place():
    held = []

    def slow_posts(asked):
        held.append(asked) if asked.method == "POST" else honest(asked)

    async def script(rig):
        await rig.up()
        rig.send(place(1), place(2))
        rig.send(cancel(1), cancel(9))
        await rig.env.sleep(50 * MS)
        assert rig.bodies() == [("POST", [1, 2]), ("DELETE", [9])]
        honest(held[0])
        await rig.env.sleep(50 * MS)
        assert rig.bodies()[2:] == [("DELETE", [1])]
        assert kinds(rig.facts) == {PlaceAccepted: 2, CancelAnswered: 2}

    play(script, slow_posts)


def test_a_place_is_signed_with_the_time_at_which_it_was_given_not_at_which_it_left():
    held = []

    def hold_first(asked):
        held.append(asked) if not held else honest(asked)

    async def script(rig):
        await rig.up()
        rig.send(place(1))
        await rig.env.sleep(10 * MS)
        given_ms = rig.clock.venue_ms(rig.env.now_us())
        rig.send(place(2))
        await rig.env.sleep(300 * MS)
        honest(held[0])
        await rig.env.sleep(10 * MS)
        assert int(rig.server.asked[-1].headers["x-timestamp"]) == given_ms

    play(script, hold_first)


# ---- what is answered when something goes wrong ----


@pytest.mark.parametrize(
    "after", [lambda asked: asked.end.cut(), lambda asked: asked.end.close(), lambda _: None], ids=["cut", "closed", "silence"]
)
def test_what_left_and_was_not_answered_is_unknown_and_never_sent_again(after):
    async def script(rig):
        await rig.up()
        rig.send(place(1), place(2), cancel(3))
        await rig.env.sleep(30 * S)
        assert sorted(rig.bodies()) == [("DELETE", [3]), ("POST", [1, 2])]
        assert kinds(rig.facts) == {PlaceUnknown: 2, CancelAnswered: 1}
        assert [fact.outcome for fact in rig.facts if type(fact) is CancelAnswered] == ["unknown"]

    play(script, lambda asked: after(asked) if asked.body else honest(asked))


def test_while_nothing_is_connected_places_are_definitely_not_sent_and_cancels_unknown():
    async def script(rig):
        rig.env.refused.add(URL)
        rig.wire.start()
        await rig.env.sleep(1 * S)
        rig.send(place(1), cancel(2), place(3, TRIGGER, WHOLE_POSITION))
        await rig.env.sleep(1 * MS)
        assert kinds(rig.facts) == {PlaceRefused: 2, CancelAnswered: 1}
        assert {fact.code for fact in rig.facts if type(fact) is PlaceRefused} == {NOT_SENT}
        assert rig.server.asked == []
        assert len(rig.calls) == 1

    play(script)


def test_a_command_given_before_the_first_connection_is_up_waits_for_it():
    async def script(rig):
        rig.wire.start()
        rig.send(place(1), cancel(2))
        await rig.env.sleep(20 * MS)
        assert kinds(rig.facts) == {PlaceAccepted: 1, CancelAnswered: 1}

    play(script)


def test_a_place_that_found_no_free_connection_in_time_is_not_sent():
    async def script(rig):
        await rig.up()
        rig.send(place(1))
        await rig.env.sleep(1 * MS)
        rig.send(place(2), cancel(2))
        await rig.env.sleep(600 * MS)
        assert [(type(fact), fact.client_id) for fact in rig.facts] == [(PlaceRefused, 2), (CancelAnswered, 2)]
        assert rig.facts[0].code == NOT_SENT
        await rig.env.sleep(10 * S)
        assert [ids for method, ids in rig.bodies() if method == "POST"] == [[1]]

    play(script, lambda asked: honest(asked) if asked.method == "DELETE" else None)


def test_an_order_that_cannot_be_written_is_refused_and_the_others_go():
    async def script(rig):
        await rig.up()
        spot = Place("NO_SUCH", 1, BUY, POST_ONLY, 0, 1, 0, 1)
        rig.send(spot, cancel(5), place(2, TRIGGER, WHOLE_POSITION))
        await rig.env.sleep(20 * MS)
        refused = [fact for fact in rig.facts if type(fact) is PlaceRefused]
        assert [(fact.client_id, fact.code) for fact in refused] == [(1, NOT_SENT)]
        assert kinds(rig.facts) == {PlaceRefused: 1, PlaceAccepted: 1, CancelAnswered: 1}

    play(script)


def test_an_exhausted_budget_refuses_quotes_and_lets_cancels_through():
    async def script(rig):
        await rig.up()
        while rig.rate.left(PROTECT, rig.env.now_us()) > 10:
            rig.rate.take(PROTECT, rig.env.now_us())
        rig.send(place(1), *(cancel(n) for n in range(10, 30)))
        await rig.env.sleep(400 * MS)
        assert [(type(fact), fact.code) for fact in rig.facts if fact.client_id == 1] == [(PlaceRefused, NOT_SENT)]
        assert kinds(rig.facts)[CancelAnswered] == 20

    play(script)


def test_cancels_that_wait_for_the_budget_share_one_timer_and_leave_one_by_one():
    async def script(rig):
        await rig.up()
        while rig.rate.take(PROTECT, rig.env.now_us()):
            pass
        before = rig.env.timers
        for n in range(10, 40):
            rig.send(cancel(n))
        assert rig.env.timers - before == 2, "one for the budget and one for the wait, however often the queue was looked at"
        assert rig.bodies() == []
        await rig.env.sleep(200 * MS)
        some = len(rig.bodies())
        assert 3 <= some <= 6, "as many as the budget grew by"
        await rig.env.sleep(1_000 * MS)
        answers = [fact.outcome for fact in rig.facts]
        assert len(answers) == 30, "each is answered, and once"
        assert answers.count("unknown") == 30 - len(rig.bodies()) > 0, "what waited too long did not leave"

    play(script)


def test_too_many_requests_holds_quotes_back_for_a_while():
    async def script(rig):
        await rig.up()
        rig.send(place(1))
        await rig.env.sleep(10 * MS)
        rig.send(place(2))
        await rig.env.sleep(10 * MS)
        assert [fact.code for fact in rig.facts] == ["TOO_MANY_REQUESTS", NOT_SENT]
        await rig.env.sleep(3 * S)
        rig.send(place(3))
        await rig.env.sleep(10 * MS)
        assert [ids for _, ids in rig.bodies()] == [[1], [3]]

    play(script, lambda asked: asked.answer(429, b"", "Retry-After: 2\r\n") if b"1" in asked.body[-3:] else honest(asked))


@pytest.mark.parametrize("command", [place(1), cancel(1)], ids=["of a place", "of a cancel"])
def test_an_expired_signature_makes_the_clock_doubtful(command):
    body = b'{"code":"INVALID_CLIENT_REQUEST","message":"Request has expired"}'

    async def script(rig):
        await rig.up()
        for _ in range(3):
            rig.clock.sample(rig.env.now_us(), rig.env.now_us(), rig.env.now_us() // 1_000)
        assert not rig.clock.wants_sample
        rig.send(command)
        await rig.env.sleep(10 * MS)
        assert rig.clock.wants_sample

    play(script, lambda asked: asked.answer(400, body))


# ---- connections ----


def test_connections_come_back_and_commands_go_on():
    async def script(rig):
        await rig.up()
        await rig.env.sleep(60 * S)
        for end in rig.server.open_ends:
            end.close()
        await rig.env.sleep(20 * MS)
        assert len(rig.server.open_ends) == 3
        rig.send(place(1))
        await rig.env.sleep(20 * MS)
        assert kinds(rig.facts) == {PlaceAccepted: 1}

    play(script)


def test_an_exchange_that_hangs_up_at_once_is_not_stormed():
    async def script(rig):
        rig.env.serve_wire(URL, lambda end: (end.close(), Listener())[1])
        rig.wire.start()
        await rig.env.sleep(60 * S)
        assert 3 <= len(rig.env.connected) < 120

    class Listener:
        def data_received(self, data):
            pass

        def connection_lost(self, reason):
            pass

    play(script)


def test_a_connection_that_died_in_silence_is_found_while_nothing_depends_on_it():
    async def script(rig):
        await rig.up()
        for end in rig.server.open_ends:
            end.is_silent = True
        await rig.env.sleep(40 * S)
        assert {asked.target for asked in rig.server.asked} == {"/api/v1/time"}
        assert len(rig.env.connected) == 6
        rig.send(place(1))
        await rig.env.sleep(20 * MS)
        assert kinds(rig.facts) == {PlaceAccepted: 1}

    play(script)


def test_the_time_asked_on_an_idle_connection_is_a_sample_of_the_clock():
    async def script(rig):
        await rig.up()
        await rig.env.sleep(31 * S)
        assert rig.clock._samples[-1].at_us > rig.env.now_us() - 11 * S

    def time(asked):
        asked.answer(200, str(asked.end._env.now_us() // 1_000).encode())

    play(script, time)


def test_after_closing_nothing_is_told_and_nothing_connects():
    async def script(rig):
        await rig.up()
        rig.send(place(1))
        rig.wire.close()
        rig.send(place(2))
        await rig.env.sleep(60 * S)
        assert rig.facts == []
        assert rig.server.open_ends == []
        assert len(rig.env.connected) == 3

    play(script)


# ---- the law ----

FATES = ["honest", "cut before", "cut after", "silence", "503", "garbage", "429", "slow"]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=12),
    st.lists(st.sampled_from(FATES), min_size=1, max_size=8),
)
def test_whatever_happens_every_command_is_answered_once_and_no_order_leaves_twice(seed, turns, fates):
    count = iter(range(10**9))

    def respond(asked):
        fate = fates[next(count) % len(fates)]
        if fate == "cut before":
            asked.end.cut()
        elif fate == "cut after":
            honest(asked)
            asked.end._env.call_later(500, asked.end.cut)
        elif fate == "503":
            asked.answer(503, b"down")
        elif fate == "garbage":
            asked.end.write(b"<html>")
        elif fate == "429":
            asked.answer(429)
        elif fate == "slow":
            asked.end._env.call_later(900 * MS, lambda: honest(asked))
        elif fate == "honest":
            honest(asked)

    async def script(rig):
        rig.env.delay_us = (100, 3_000)
        rig.wire.start()
        ids, places, cancels = iter(range(1, 10**6)), [], []
        for pause_ms, new, old in turns:
            await rig.env.sleep(pause_ms * MS)
            mine = [next(ids) for _ in range(new)]
            gone = [n for n in places if n not in cancels][:old]
            places += mine
            cancels += gone
            rig.send(*map(place, mine), *map(cancel, gone))
        await rig.env.sleep(60 * S)
        answered = Counter(f.client_id for f in rig.facts if type(f) in {PlaceAccepted, PlaceRefused, PlaceUnknown})
        assert answered == Counter(places)
        assert Counter(f.client_id for f in rig.facts if type(f) is CancelAnswered) == Counter(cancels)
        left = Counter(n for method, found in rig.bodies() if method == "POST" for n in found)
        assert all(times == 1 for times in left.values())
        not_sent = {f.client_id for f in rig.facts if type(f) is PlaceRefused and f.code == NOT_SENT}
        assert not not_sent & set(left)
        arrived = [(method, n) for method, found in rig.bodies() for n in found]
        assert all(
            arrived.index(("POST", n)) < arrived.index(("DELETE", n)) for n in cancels if {("POST", n), ("DELETE", n)} <= set(arrived)
        )

    play(script, respond, seed=seed)
