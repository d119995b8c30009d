"""The live venue's two streams in virtual time: books from snapshot and deltas, REST while the stream is down, the account's own life."""

import asyncio
import json

import pytest
from tests.api.servers import URL, MemoryServer
from tests.fake_env import FakeEnv
from tests.virtual_time import run

from lemon_trader.api.client import ApiClient
from lemon_trader.core.book import Book
from lemon_trader.core.events import BadFact, BookDelta, BookSnapshot, FeedState, Fill, LastPrice, OrderUpdate, Touch
from lemon_trader.core.instrument import instrument
from lemon_trader.exchanges.catalog import exchange, signer
from lemon_trader.utils.clock import VenueClock
from lemon_trader.utils.rate import RateBudget
from lemon_trader.venues.account_feed import AccountFeed
from lemon_trader.venues.market_feed import MarketFeed

SECRET = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
SOL = instrument("SOL_USDC", "SOL", "USDC", is_perp=False, tick="0.01", lot="0.01")
PERP = instrument("SOL_USDC_PERP", "SOL", "USDC", is_perp=True, tick="0.01", lot="0.01")
MARKETS = {SOL.symbol: SOL, PERP.symbol: PERP}
WS = "ws://exchange/"
S = 1_000_000
MS = 1_000
NOW_US = 1_790_000_000_000_000


class Exchange:
    """One market that ticks each second; its book is read by REST and told by deltas."""

    def __init__(self, env):
        self.env = env
        self.rest = MemoryServer(env, self.answer)
        self.levels = {100: 1}
        self.last_id = 10
        self.streams = []
        self.heard = []
        self.loses_depth = False
        self.ticks = True
        self.rest_status = 200
        env.serve_feed(WS, self.accept)

    def accept(self, end):
        self.streams.append(end)
        self.tick(end)
        return self

    def on_messages(self, payloads):
        self.heard += [json.loads(payload) for payload in payloads]

    def on_closed(self, code, reason):
        pass

    def tick(self, end):
        if end.is_open:
            if self.ticks:
                self.say("ticker.SOL_USDC", {"e": "ticker", "E": NOW_US, "s": "SOL_USDC", "c": "100.00"}, end)
            self.env.call_later(S, lambda: self.tick(end))

    def say(self, stream, data, end=None):
        (end or self.streams[-1]).send(json.dumps({"stream": stream, "data": data}).encode())

    def change(self, price, quantity):
        self.last_id += 1
        self.levels[price] = quantity
        pair = [f"{price}.00", f"{quantity}.00"]
        if self.streams and not self.loses_depth:
            depth = {"e": "depth", "E": NOW_US, "T": NOW_US, "s": "SOL_USDC", "U": self.last_id, "u": self.last_id, "a": [], "b": [pair]}
            self.say("depth.SOL_USDC", depth)

    def answer(self, asked):
        bids = [[str(price), str(quantity)] for price, quantity in sorted(self.levels.items()) if quantity]
        body = {"asks": [["200", "1"]], "bids": bids, "lastUpdateId": str(self.last_id), "timestamp": NOW_US}
        asked.answer(self.rest_status, json.dumps(body).encode())


class Rig:
    def __init__(self):
        self.env = FakeEnv(asyncio.get_running_loop())
        self.exchange = Exchange(self.env)
        self.calls = []
        self.book = Book()
        dialect, self.clock = exchange("backpack").dialect(), VenueClock()
        client = ApiClient(self.env, URL, dialect, None, self.clock, RateBudget())
        self.public = MarketFeed(self.env, WS, dialect, client, MARKETS, [SOL.symbol], self.sink)
        self.private = AccountFeed(
            self.env, WS, dialect, signer("backpack", SECRET), self.clock, MARKETS, SOL.symbol, self.sink
        )  # fmt: skip

    def sink(self, facts):
        assert facts
        self.calls.append(list(facts))
        for fact in facts:
            match fact:
                case FeedState(feed="public"):
                    self.book.drop()
                case BookSnapshot():
                    self.book.snapshot(fact)
                case BookDelta():
                    self.book.delta(fact)

    @property
    def facts(self):
        return [fact for call in self.calls for fact in call]

    def of(self, kind):
        return [fact for fact in self.facts if type(fact) is kind]

    def agrees(self):
        truth = {price * 100: quantity * 100 for price, quantity in self.exchange.levels.items() if quantity}
        return self.book.valid and self.book.bids == truth and self.book.last_id == self.exchange.last_id


def play(script):
    async def main():
        rig = Rig()
        await script(rig)
        rig.public.close()
        rig.private.close()
        await rig.env.sleep(30 * S)
        stamps = [fact.ts_us for fact in rig.facts]
        assert stamps == sorted(stamps), "engine time never goes back"
        rig.env.check()

    run(main)


# ---- the market ----


def test_it_subscribes_to_what_a_strategy_needs_and_the_book_comes_together():
    async def script(rig):
        rig.public.start()
        await rig.env.sleep(1 * S)
        for n in range(20):
            rig.exchange.change(90 + n, n)
            await rig.env.sleep(50 * MS)
        assert rig.agrees()
        assert rig.exchange.heard == [
            {"method": "SUBSCRIBE", "params": ["depth.SOL_USDC", "bookTicker.SOL_USDC", "trade.SOL_USDC", "ticker.SOL_USDC"]}
        ]
        assert [(f.feed, f.up) for f in rig.of(FeedState)] == [("public", True)]
        assert type(rig.calls[0][0]) is FeedState

    play(script)


def test_deltas_that_arrive_while_the_book_is_read_are_neither_lost_nor_told_twice():
    async def script(rig):
        rig.env.delay_us = (1 * MS, 80 * MS)
        rig.public.start()
        for n in range(100):
            await rig.env.sleep(20 * MS)
            if rig.exchange.streams:
                rig.exchange.change(80 + n % 30, n % 5)
        await rig.env.sleep(1 * S)
        assert rig.agrees()
        told = [f.last_id for f in rig.of(BookDelta)]
        assert told == sorted(set(told))

    play(script)


def test_facts_of_one_read_come_in_one_call():
    async def script(rig):
        rig.public.start()
        await rig.env.sleep(1 * S + 500 * MS)
        before = len(rig.calls)
        for n in range(5):
            rig.exchange.change(95, n)
        touch = {"e": "bookTicker", "E": NOW_US, "T": NOW_US, "s": "SOL_USDC", "a": "200.00", "A": "1", "b": "100.00", "B": "1", "u": 15}
        rig.exchange.say("bookTicker.SOL_USDC", touch)
        await rig.env.sleep(10 * MS)
        assert [[type(f) for f in call] for call in rig.calls[before:]] == [[BookDelta] * 5 + [Touch]]

    play(script)


def test_a_gap_drops_the_book_until_it_was_read_again():
    async def script(rig):
        rig.public.start()
        await rig.env.sleep(2 * S)
        rig.exchange.loses_depth = True
        rig.exchange.change(91, 4)
        rig.exchange.loses_depth = False
        rig.exchange.change(92, 5)
        await rig.env.sleep(2 * MS)
        assert not rig.book.valid
        await rig.env.sleep(1 * S)
        assert rig.agrees()
        assert len(rig.exchange.streams) == 1

    play(script)


def test_a_stream_that_loses_depth_in_silence_is_found_and_replaced():
    async def script(rig):
        rig.public.start()
        await rig.env.sleep(2 * S)
        rig.exchange.loses_depth = True
        rig.exchange.change(91, 4)
        await rig.env.sleep(22 * S)
        rig.exchange.loses_depth = False
        await rig.env.sleep(3 * S)
        assert len(rig.exchange.streams) == 2
        assert "depth stopped at 10" in next(f.reason for f in rig.of(FeedState) if not f.up)
        assert rig.agrees()

    play(script)


def test_a_quiet_book_is_confirmed_by_a_second_source_every_fifteen_seconds():
    async def script(rig):
        rig.public.start()
        await rig.env.sleep(63 * S)
        assert len(rig.of(BookSnapshot)) == 5
        assert len(rig.of(FeedState)) == 1

    play(script)


def test_while_the_stream_is_down_the_book_is_read_by_rest_and_says_that_it_is_down():
    async def script(rig):
        rig.public.start()
        await rig.env.sleep(15 * S)
        rig.env.refused.add(WS)
        rig.exchange.streams[-1].cut()
        await rig.env.sleep(1 * S)
        down = rig.of(FeedState)[-1]
        assert not down.up
        before = len(rig.of(BookSnapshot))
        rig.exchange.change(97, 7)
        await rig.env.sleep(20 * S)
        assert 8 <= len(rig.of(BookSnapshot)) - before <= 11
        assert rig.agrees()
        rig.env.refused.clear()
        await rig.env.sleep(40 * S)
        assert rig.of(FeedState)[-1].up
        rig.exchange.change(98, 8)
        await rig.env.sleep(1 * S)
        assert rig.agrees()

    play(script)


def test_a_book_that_cannot_be_read_is_said_and_not_hammered():
    async def script(rig):
        rig.exchange.rest_status = 404
        rig.public.start()
        for _ in range(600):
            await rig.env.sleep(100 * MS)
            rig.exchange.change(95, 1)
        assert not rig.book.valid
        assert {f.source for f in rig.of(BadFact)} == {"depth"}
        assert len(rig.exchange.rest.asked) < 40
        rig.exchange.rest_status = 200
        await rig.env.sleep(31 * S)
        assert rig.agrees()

    play(script)


def test_a_new_connection_begins_with_an_empty_book():
    async def script(rig):
        rig.public.start()
        await rig.env.sleep(15 * S)
        rig.exchange.streams[-1].cut()
        rig.exchange.change(99, 9)
        await rig.env.sleep(3 * S)
        kinds = [type(f) for f in rig.facts]
        second_up = max(i for i, f in enumerate(rig.facts) if type(f) is FeedState and f.up)
        assert BookDelta not in kinds[second_up : kinds.index(BookSnapshot, second_up)]
        assert rig.agrees()

    play(script)


# ---- the account ----


def test_the_account_is_subscribed_signed_with_a_sign_of_life_that_is_not_told():
    async def script(rig):
        rig.private.start()
        await rig.env.sleep(20 * S)
        first, second = rig.exchange.heard
        assert first["params"] == ["account.orderUpdate", "account.positionUpdate", "account.balanceUpdate"]
        assert first["signature"][0] == "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
        assert second == {"method": "SUBSCRIBE", "params": ["ticker.SOL_USDC"]}
        assert [type(f) for f in rig.facts] == [FeedState]
        assert rig.of(LastPrice) == []

    play(script)


def test_account_facts_of_one_read_come_in_one_call():
    def update(event, **more):
        row = {
            "e": event,
            "E": NOW_US,
            "T": NOW_US,
            "s": "SOL_USDC",
            "S": "Bid",
            "i": "7",
            "c": 1,
            "o": "LIMIT",
            "f": "GTC",
            "q": "1.00",
            "Q": "1",
        }
        return {**row, "p": "100.00", "X": "New", "z": "0", "Z": "0", "V": "RejectTaker", "O": "USER", "r": False, "t": None, **more}

    async def script(rig):
        rig.private.start()
        await rig.env.sleep(1 * S + 500 * MS)
        before = len(rig.calls)
        rig.exchange.say("account.orderUpdate", update("orderAccepted"))
        fill = {"t": 5, "l": "1.00", "L": "100.00", "m": True, "n": "0.08", "N": "USDC", "X": "Filled", "z": "1.00"}
        rig.exchange.say("account.orderUpdate", update("orderFill", **fill))
        await rig.env.sleep(10 * MS)
        assert [[type(f) for f in call] for call in rig.calls[before:]] == [[OrderUpdate, Fill]]

    play(script)


def test_a_silent_account_stream_is_replaced_and_says_so():
    async def script(rig):
        rig.private.start()
        await rig.env.sleep(20 * S)
        rig.exchange.ticks = False
        await rig.env.sleep(5 * S)
        assert [(f.feed, f.up) for f in rig.of(FeedState)][:2] == [("private", True), ("private", False)]
        rig.exchange.ticks = True
        await rig.env.sleep(10 * S)
        assert rig.of(FeedState)[-1].up

    play(script)


def test_a_subscription_that_is_refused_is_tried_again_with_a_doubted_clock_and_without_a_storm():
    async def script(rig):
        rig.clock = rig.private._clock = VenueClock()
        for _ in range(3):
            rig.clock.sample(rig.env.now_us(), rig.env.now_us(), rig.env.now_us() // 1_000)
        refusal = b'{"id":null,"error":{"code":4005,"message":"Invalid signature"}}'
        rig.env.serve_feed(WS, lambda end: (rig.exchange.streams.append(end), end.send(refusal), rig.exchange)[2])
        rig.private.start()
        await rig.env.sleep(60 * S)
        assert rig.clock.wants_sample
        assert "subscription refused" in next(f.reason for f in rig.of(FeedState) if not f.up)
        assert 3 <= len(rig.exchange.streams) <= 25

    play(script)


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"[" * 5_000, b"{}", b'{"stream":"depth.SOL_USDC","data":{"U":1}}', b""])
def test_garbage_is_told_as_such_and_the_stream_goes_on(payload):
    async def script(rig):
        rig.public.start()
        await rig.env.sleep(2 * S)
        rig.exchange.streams[-1].send(payload)
        rig.exchange.change(97, 7)
        await rig.env.sleep(1 * S)
        assert len(rig.of(BadFact)) == 1
        assert rig.agrees()
        assert len(rig.exchange.streams) == 1

    play(script)
