"""The live venue's own life in virtual time: the clock before the first signature, the exchange's state, a catalogue that changes."""

import asyncio
import json

import pytest
from tests.api.servers import URL, MemoryServer
from tests.fake_env import FakeEnv
from tests.virtual_time import run

from lemon_trader.core.commands import Cancel
from lemon_trader.core.events import BookState, CancelAnswered, GridChanged, VenueStatus
from lemon_trader.exchanges.catalog import exchange, signer
from lemon_trader.venues.live import LiveVenue
from lemon_trader.venues.venue import VenueLost

SECRET = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
WS = "ws://exchange/"
S = 1_000_000


def market(symbol, tick="0.01", state="Open", minimum="0.01", kind="SPOT"):
    price = {"tickSize": tick, "minPrice": tick, "maxPrice": None}
    return {
        "symbol": symbol, "baseSymbol": "SOL", "quoteSymbol": "USDC", "marketType": kind, "orderBookState": state,
        "filters": {"price": price, "quantity": {"stepSize": "0.01", "minQuantity": minimum, "maxQuantity": None}},
    }  # fmt: skip


class Exchange:
    def __init__(self, env):
        self.env = env
        self.markets = [market("SOL_USDC"), market("SOL_USDC_PERP", kind="PERP")]
        self.status = "Ok"
        self.is_down = False
        self.offset_us = 3_600 * S
        self.rest = MemoryServer(env, self.answer)
        env.serve_feed(WS, lambda _end: self)

    def on_messages(self, payloads):
        pass

    def on_closed(self, code, reason):
        pass

    def answer(self, asked):
        now_ms = (self.env.now_us() + self.offset_us) // 1_000
        stamp = asked.headers.get("x-timestamp")
        if self.is_down:
            asked.answer(503)
        elif stamp is not None and not -600_000 < now_ms - int(stamp) < 5_000:
            asked.answer(400, b'{"code":"INVALID_CLIENT_REQUEST","message":"Request has expired"}')
        elif asked.path.endswith("/time"):
            asked.answer(200, str(now_ms).encode())
        elif asked.path.endswith("/status"):
            asked.answer(200, json.dumps({"status": self.status, "message": None}).encode())
        elif asked.path.endswith("/markets"):
            asked.answer(200, json.dumps(self.markets).encode())
        elif asked.path.endswith("/account"):
            fees = dict.fromkeys(("spotMakerFee", "spotTakerFee", "futuresMakerFee", "futuresTakerFee"), "1")
            asked.answer(200, json.dumps({**fees, "leverageLimit": "1", "autoLend": False, "liquidating": False}).encode())
        else:
            asked.answer(404, b'{"code":"RESOURCE_NOT_FOUND","message":"Not Found"}')


class Rig:
    def __init__(self):
        self.env = FakeEnv(asyncio.get_running_loop())
        self.exchange = Exchange(self.env)
        self.facts = []
        dialect, key = exchange("backpack").dialect(), signer("backpack", SECRET)
        self.venue = LiveVenue(self.env, dialect, key, self.facts.extend, rest_url=URL, ws_url=WS)

    def of(self, kind):
        return [fact for fact in self.facts if type(fact) is kind]

    def paths(self):
        return [asked.path for asked in self.exchange.rest.asked]


def play(script):
    async def main():
        rig = Rig()
        await script(rig)
        await rig.venue.close()
        await rig.env.sleep(60 * S)
        rig.env.check()

    run(main)


def test_nothing_is_signed_before_the_exchanges_time_is_known():
    async def script(rig):
        await rig.venue.terms()
        assert rig.paths() == ["/api/v1/time"] * 3 + ["/api/v1/account"]
        await rig.venue.terms()
        assert len(rig.paths()) == 5

    play(script)


def test_a_clock_that_cannot_be_read_and_an_exchange_that_is_down_are_said():
    async def script(rig):
        rig.exchange.is_down = True
        for read in (rig.venue.terms(), rig.venue.instruments(), rig.venue.read_account(["SOL_USDC"], 0), rig.venue.connect(["SOL_USDC"])):
            with pytest.raises(VenueLost, match="503"):
                await read

    play(script)


def test_what_a_signature_expires_by_is_exchange_time():
    async def script(rig):
        await rig.venue.terms()
        now_us = rig.env.now_us()
        assert abs(rig.venue.expires_us(now_us) - (now_us + 3_600 * S + 5 * S)) < 2_000

    play(script)


def test_the_exchanges_state_is_told_and_asked_more_often_while_it_is_not_well():
    async def script(rig):
        await rig.venue.connect(["SOL_USDC"])
        await rig.env.sleep(91 * S)
        assert [f.status for f in rig.of(VenueStatus)] == ["Ok"] * 4
        rig.exchange.status = "Maintenance"
        await rig.env.sleep(60 * S)
        assert 5 <= [f.status for f in rig.of(VenueStatus)].count("Maintenance") <= 8

    play(script)


@pytest.mark.parametrize(
    ("markets", "expected"),
    [
        ([market("SOL_USDC", state="CancelOnly")], ["CancelOnly"]),
        ([], ["Delisted"]),
        ([market("SOL_USDC", kind="PERP")], ["GridChanged: SOL_USDC is another market now: SOL/USDC became SOL/USDC"]),
        ([market("SOL_USDC", minimum="1")], []),
    ],
    ids=["a book that takes cancels only", "a market that is gone", "another kind of market", "another minimum"],
)
def test_what_changes_in_the_catalogue_is_told_once(markets, expected):
    async def script(rig):
        await rig.venue.connect(["SOL_USDC"])
        rig.exchange.markets = markets
        await rig.env.sleep(1_000 * S)
        assert [f.state for f in rig.of(BookState)] == expected
        rig.exchange.markets = [market("SOL_USDC")]
        await rig.env.sleep(400 * S)
        assert [f.state for f in rig.of(BookState)] == expected + (["Open"] if expected else [])

    play(script)


def test_bounds_and_grids_that_changed_are_told_once_and_used():
    async def script(rig):
        await rig.venue.connect(["SOL_USDC"])
        rig.exchange.markets = [market("SOL_USDC", minimum="1")]
        await rig.env.sleep(400 * S)
        assert rig.venue._markets["SOL_USDC"].min_lots == 100
        rig.exchange.markets = [market("SOL_USDC", tick="0.05")]
        await rig.env.sleep(800 * S)
        told = [(f.instrument.tick, f.instrument.order_tick, f.instrument.min_lots) for f in rig.of(GridChanged)]
        assert told == [("0.01", "0.01", 100), ("0.01", "0.05", 1)], "the second catalogue has its old minimum"
        assert rig.venue._markets["SOL_USDC"] == rig.of(GridChanged)[-1].instrument

    play(script)


def test_a_clock_that_was_set_is_followed_after_the_first_refusal():
    async def script(rig):
        await rig.venue.connect(["SOL_USDC"])
        await rig.env.sleep(5 * S)
        rig.exchange.offset_us += 7_200 * S
        rig.venue.send([Cancel("SOL_USDC", 1)])
        await rig.env.sleep(2 * S)
        rig.venue.send([Cancel("SOL_USDC", 1)])
        await rig.env.sleep(1 * S)
        assert [f.outcome for f in rig.of(CancelAnswered)] == ["unknown", "not_found"]
        assert rig.of(CancelAnswered)[0].reason == "EXPIRED"

    play(script)
